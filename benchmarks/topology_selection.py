"""Is the source of an RDM found more surely when only its topology is kept?

Runs the model-selection protocol of Lin & Kriegeskorte (2024), thresholds chosen within folds, on
layers of small networks and, with a path, on quarters of a slice of Haxby et al. (2001). Run from
the repository root:

``OMP_NUM_THREADS=1 python -m benchmarks.topology_selection --haxby PATH --png FILE``

Not here, it says. 8 layers of 10 networks trained from other seeds on digits, 62 held-out digits,
Euclidean RDMs; accuracy of naming the layer of a network that was left out, chance 0.125; standard
errors over networks and stimuli 0.05 to 0.08:

=======  =====  ============  =====  =====  =====  ==============  ==================
voxels   noise  RGTM, nested  raw    rank   z      best in sample  topology-sensitive
=======  =====  ============  =====  =====  =====  ==============  ==================
64       0      .562          .588   .438   .525   .562            .425
64       0.5    .463          .537   .475   .525   .512            .442
64       1      .375          .425   .350   .400   .463            .346
64       2      .250          .362   .275   .287   .300            .275
16       0      .412          .500   .300   .325   .412            .296
16       0.5    .400          .537   .400   .425   .487            .340
16       1      .312          .388   .250   .275   .375            .210
16       2      .113          .300   .138   .138   .188            .088
Haxby           .375          .562   .375   .438   .458            .347
=======  =====  ============  =====  =====  =====  ==============  ==================

(Haxby: 4 quarters, 12 runs of one subject, 8 categories, chance 0.25, standard errors 0.07 to 0.1.)

- RGTM with thresholds chosen on other networks differs from z-scored RDMs by -0.06 to +0.09, never
  by more than 1.1 standard errors. No advantage grows with noise or with fewer voxels.
- The best thresholds, named after the fact, look better than nested ones by up to 0.09.
- Topology-sensitive thresholds do no better than ranks alone. Where RGTM gains (little noise), it
  does so at low thresholds, on near pairs.
- Raw RDMs are best throughout, because layers and quarters also differ in the mean and spread
  of their dissimilarities: information about the source, though not about a shape.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from neuroalign.loaders import from_arrays, load_fmri
from neuroalign.rsa import compute_rdm
from neuroalign.topology import select_source

N_LAYERS, N_STIMULI, WIDTH = 8, 62, 64
COLUMNS = ("nested", "raw", "rank", "z_score")
KINDS = ("local", "global", "geometry", "topology", "intermediate")


def train_network(seed: int, epochs: int) -> list[np.ndarray]:
    """Train a network of 8 hidden layers on digits; its responses (62, 64) to held-out ones."""
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    targets = torch.tensor(digits.target)
    # The same stimuli in all networks, none of them trained on.
    shown = np.random.default_rng(0).permutation(len(images))
    test, train = shown[:N_STIMULI], shown[N_STIMULI:]
    torch.manual_seed(seed)
    sizes = [64, *[WIDTH] * N_LAYERS]
    layers = [
        torch.nn.Sequential(torch.nn.Linear(a, b), torch.nn.BatchNorm1d(b), torch.nn.ReLU())
        for a, b in pairwise(sizes)
    ]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in np.array_split(torch.randperm(len(train)).numpy(), len(train) // 128):
            rows = train[batch]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images[rows]), targets[rows])
            torch.autograd.backward(loss)
            optimizer.step()
    network.eval()
    found, values = [], images[test]
    with torch.no_grad():
        for layer in layers:
            values = layer(values)
            found.append(values.numpy().astype(np.float64))
    return found


def measure_networks(
    networks: Sequence[list[np.ndarray]], noise: float, n_voxels: int
) -> xr.DataArray:
    """RDMs (seed, layer, first, second) of voxels: few units, and noise in their SDs."""
    rows = []
    for seed, layers in enumerate(networks):
        rng = np.random.default_rng([seed, n_voxels, round(10 * noise)])
        for values in layers:
            voxels = values[:, rng.choice(WIDTH, n_voxels, replace=False)]
            measured = voxels + noise * voxels.std() * rng.normal(size=voxels.shape)
            names = [f"digit {i:02d}" for i in range(N_STIMULI)]
            data = from_arrays(measured, stimulus=names, modality="model", dtype="float64")
            rows.append(compute_rdm(data, distance="euclidean"))
    stack = xr.concat(rows, "row", coords="minimal", compat="override", combine_attrs="override")
    values = stack.values.reshape(len(networks), N_LAYERS, N_STIMULI, N_STIMULI)
    coords = {"first": stack["first"].values, "second": stack["second"].values}
    coords["seed"] = np.array([f"seed {i}" for i in range(len(networks))])
    coords["layer"] = np.array([f"layer {i + 1}" for i in range(N_LAYERS)])
    return xr.DataArray(values, coords, ("seed", "layer", "first", "second"), attrs=stack.attrs)


def measure_haxby(folder: Path) -> xr.DataArray:
    """RDMs (run, roi, first, second) of 8 categories in the quarters of a slice, one subject."""
    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    data = load_fmri(
        [run / "bold_1slice.nii.gz" for run in runs],
        mask=folder / "mask.nii.gz",
        events=[run / "bold_events.tsv" for run in runs],
        detrend=True,
        standardize="zscore",
    ).compute()
    data = data.isel(sample=np.flatnonzero(data["stimulus"].values != "rest"))
    left = np.where(data["i"].values < np.median(data["i"].values), "low i", "high i")
    front = np.where(data["j"].values > np.median(data["j"].values), "high j", "low j")
    quarters = [f"{a}, {b}" for a, b in zip(left, front, strict=True)]
    return compute_rdm(
        data.assign_coords(roi=("neuroid", quarters)), over=("run", "roi"), distance="correlation"
    )


def make_row(name: str, result: xr.Dataset) -> dict[str, Any]:
    """One line of the table."""
    row: dict[str, Any] = {"name": name, "chance": float(result["chance"])}
    for column in COLUMNS:
        one = result.sel(representation=column)
        row[column] = float(one["mean"])
        row[f"{column}_se"] = float(one["standard_error"])
    gap = result.sel(representation="z_score")
    row |= {"gain": float(gap["difference"]), "gain_se": float(gap["difference_error"])}
    row["best_in_sample"] = float(result["best_in_sample"])
    held = dict(
        zip(result["kind"].values.tolist(), result["category_accuracy"].values, strict=True)
    )
    row |= {kind: float(held[kind]) if kind in held else float("nan") for kind in KINDS}
    middle = (result["selected_lower"].median(), result["selected_upper"].median())
    return row | {"lower": float(middle[0]), "upper": float(middle[1])}


def format_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the rows out as aligned text: accuracy (standard error)."""
    head = ["", "chance", *COLUMNS, "nested - z_score", "best in sample", *KINDS, "chosen l, u"]
    lines = [head]
    for row in rows:
        cells = [row["name"], f"{row['chance']:.3f}"]
        cells += [f"{row[c]:.3f} ({row[f'{c}_se']:.3f})" for c in COLUMNS]
        cells += [f"{row['gain']:+.3f} ({row['gain_se']:.3f})", f"{row['best_in_sample']:.3f}"]
        cells += [f"{row[kind]:.3f}" for kind in KINDS]
        lines.append([*cells, f"{row['lower']:.1f}, {row['upper']:.1f}"])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def draw_surfaces(results: dict[str, xr.Dataset], path: Path, across: int = 3) -> None:
    """Accuracy and, beside it, its standard error over lower and upper thresholds.

    Circles: thresholds chosen for the folds.
    """
    down = -(-len(results) // across)
    figure = Figure(figsize=(6.2 * across, 2.7 * down), layout="constrained")
    axes = figure.subplots(down, 2 * across, squeeze=False).reshape(down * across, 2)
    for axis in axes[len(results) :].ravel():
        axis.set_axis_off()
    for pair, (name, result) in zip(axes, results.items(), strict=False):
        levels = np.unique(np.concatenate([result["lower"].values, result["upper"].values]))
        half = (levels[1] - levels[0]) / 2
        extent = (-half, 1 + half, -half, 1 + half)
        low, high = (np.searchsorted(levels, result[end].values) for end in ("lower", "upper"))
        looks = (
            ("accuracy", name, "viridis", float(result["chance"])),
            ("accuracy_error", "standard error", "magma", 0.0),
        )
        for axis, (key, title, colors, floor) in zip(pair, looks, strict=True):
            image = np.full((len(levels), len(levels)), np.nan)
            image[high, low] = result[key].values
            shown = axis.imshow(image, origin="lower", extent=extent, cmap=colors, vmin=floor)
            figure.colorbar(shown, ax=axis)
            axis.set(xlabel="lower (quantile)", ylabel="upper (quantile)")
            axis.set_title(title, fontsize=9)
        chosen = result["selected_lower"].values, result["selected_upper"].values
        pair[0].plot(*chosen, "o", mfc="none", mec="red", clip_on=False)
    figure.savefig(path, dpi=100)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the protocol from the command line."""
    parser = argparse.ArgumentParser(description="Model selection by topology.")
    parser.add_argument("--haxby", type=Path, help="folder of the Haxby data, haxby2001 in it")
    parser.add_argument("--png", type=Path, help="draw the accuracies here")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--quick", action="store_true", help="fewer networks, under 60 s")
    options = parser.parse_args(arguments)
    n_seeds, n_bootstrap = (5, 10) if options.quick else (10, 50)
    networks = [train_network(seed, 3 if options.quick else 20) for seed in range(n_seeds)]
    jobs = {
        f"layers, {n_voxels} voxels, noise {noise:g}": (noise, n_voxels)
        for n_voxels in (64, 16)
        for noise in (0.0, 0.5, 1.0, 2.0)
    }
    results = {}
    for name, (noise, n_voxels) in jobs.items():
        results[name] = select_source(
            measure_networks(networks, noise, n_voxels),
            source="layer",
            over="seed",
            bootstrap="both",
            n_bootstrap=n_bootstrap,
        )
    if options.haxby is not None:
        results["Haxby slice, quarters"] = select_source(
            measure_haxby(options.haxby), over="run", bootstrap="both", n_bootstrap=n_bootstrap
        )
    rows = [make_row(name, result) for name, result in results.items()]
    print(format_rows(rows))
    if options.png is not None:
        draw_surfaces(results, options.png)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
