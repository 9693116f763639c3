"""Which layers have the geometry of which regions, with inference over people and images.

Run ``python compare_layers_rois.py FEATURES OUT RESPONSES...``: a folder with one file a layer, as
`neuroalign.storage.save` writes them; a page to write; and one stored file of responses a person,
with ``roi`` on neuroids and images shown in at least two runs.
"""

import sys
from pathlib import Path

import neuroalign as na

folder, out, *files = sys.argv[1:]
layers = {path.stem: na.storage.load(path) for path in sorted(Path(folder).glob("*.nc"))}
people = {Path(file).stem: na.storage.load(file) for file in files}
models = {name: na.rsa.compute_rdm(layer, distance="correlation") for name, layer in layers.items()}

rois = sorted(set(next(iter(people.values()))["roi"].values.tolist()))
results = {}
for roi in rois:
    part = {name: one[:, one["roi"].values == roi] for name, one in people.items()}
    # Cross-validated over runs: zero on average where two images do not differ.
    rdms = na.rsa.compute_rdm(part, distance="crossnobis", fold="run", over="subject")
    found = na.rsa.infer(models, rdms, method="whitened_correlation", n_bootstrap=500, seed=0)
    results[f"layers against {roi}"] = found
    best = found["model"].values[found["mean"].values.argmax()]
    low, high = float(found["ceiling_lower"]), float(found["ceiling_upper"])
    print(f"{roi}: best layer {best}, noise ceiling {low:.2f} to {high:.2f}")
    for name, score, p in zip(
        found["model"].values, found["mean"].values, found["p_value"].values, strict=True
    ):
        print(f"  {name}: {score:.3f} (p = {p:.3f})")
na.report.write_html(results, out, title="Layers and regions")
