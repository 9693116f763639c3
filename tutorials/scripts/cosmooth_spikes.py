"""How many latent dimensions a population shares: co-smoothing of spikes in an NWB file.

Run ``python cosmooth_spikes.py FILE.nwb OUT.html``. Each model sees some neurons of a held-out
trial and predicts the others; bits per spike above 0 say that it beats their mean rates.
"""

import sys

import xarray as xr

import neuroalign as na

file, page = sys.argv[1:3]
counts = na.loaders.load_nwb(file, window=(0.0, 1.0), bin_width=0.02)
busy = counts.mean(["sample", "time"]) / 0.02 > 0.5  # spikes a second
counts = counts[:, busy.values]
print(f"{counts.sizes['sample']} trials, {counts.sizes['neuroid']} neurons above 0.5 Hz")

scores: dict[str, xr.Dataset] = {}
for n_latents in (1, 2, 4):
    model = na.latents.GPFA(n_latents, tol=1e-4)
    scores[f"GPFA with {n_latents}"] = na.latents.cosmooth(model, counts, n_splits=4, seed=0)
for name, score in scores.items():
    mean, error = score.attrs["mean"], score.attrs["standard_error"]
    print(f"{name}: {mean:.3f} +/- {error:.3f} {score.attrs['metric']}")
best = max(scores, key=lambda name: scores[name].attrs["mean"])
print(f"best: {best}")

latents = na.latents.GPFA(int(best.split()[-1]), tol=1e-4).fit(counts).transform(counts)
na.report.write_html({**scores, "latents": latents}, page, title="Co-smoothing")
