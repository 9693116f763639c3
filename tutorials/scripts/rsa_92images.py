"""Human and monkey IT over 92 images: agreement, noise ceilings, and how well models fit.

Run ``python rsa_92images.py FOLDER`` with the folder of the four files of Kriegeskorte et al.
(2008).
"""

import sys
from pathlib import Path

import xarray as xr

from neuroalign.loaders import load_rdms
from neuroalign.rsa import compare_rdms, infer, noise_ceiling

folder = Path(sys.argv[1])
images = [f"image {n}" for n in range(92)]
both = load_rdms(folder / "Kriegeskorte_Neuron2008_supplementalData.mat", labels=images)
models = load_rdms(folder / "92_modelRDMs.mat", labels=images)
sessions = load_rdms(folder / "92_brainRDMs.mat", labels=images)

for method in ("pearson", "spearman"):
    print(f"human - monkey {method} {compare_rdms(both[:1], both[1:], method=method).item():.4f}")

# The file holds session 1 of all four subjects, then session 2.
first, second = (
    sessions.isel(rdm=part).assign_coords(rdm=list("1234")).rename(rdm="subject")
    for part in (slice(0, 4), slice(4, 8))
)
subjects: xr.DataArray = (first + second) / 2
subjects = subjects.assign_attrs(sessions.attrs)
for method in ("cosine", "pearson", "rho_a", "tau_a", "whitened_cosine", "whitened_correlation"):
    bounds = noise_ceiling(subjects, method=method)
    print(f"ceiling {method} {bounds['ceiling_lower']:.4f} {bounds['ceiling_upper']:.4f}")
for method in ("rho_a", "tau_a"):
    result = infer(models, subjects, method=method, bootstrap="none")
    for name, score in zip(result["model"].values, result["mean"].values, strict=True):
        print(f"fit {method} {name} {score:.3f}")
