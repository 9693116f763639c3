"""The main job on embedded data: which layer of a network explains which cortical region.

Images come from installed wheels, the network is seeded and untrained, and the cortex is simulated
on fsaverage5, so that the report can be held against the truth that was planted.
"""

from pathlib import Path

import numpy as np
import xarray as xr
from sklearn.pipeline import make_pipeline

from neuroalign import (
    align,
    ceilings,
    encoders,
    evaluate,
    features,
    loaders,
    models,
    report,
    storage,
)
from neuroalign.errors import LoadError
from neuroalign.provenance import collect
from neuroalign.study.images import cut_natural_images

PLANTED = {
    "V1": "stages.stage1",
    "V2": "stages.stage2",
    "V4": "stages.stage3",
    "LO": "stages.stage4",
}


def summarise_layers(results: dict[str, xr.Dataset], planted: dict[str, str]) -> xr.Dataset:
    """Compare layers by region: mean score, the best layer, and the planted one.

    Parameters
    ----------
    results : dict of str to Dataset
        Encoding results of one response array, by layer in depth order.
    planted : dict of str to str
        Region to the layer that generated it.

    Returns
    -------
    Dataset
        ``score`` (layer, roi), ``best_layer`` and ``planted_layer`` (roi), and
        ``best_layer_index`` (neuroid).
    """
    names = list(results)
    per_neuroid = xr.concat(
        [results[name]["score"].mean("fold") for name in names], dim=xr.Variable("layer", names)
    )
    score = per_neuroid.groupby("roi").mean().sel(roi=list(planted))
    score = score.assign_coords(roi=np.array(list(planted)))
    best = per_neuroid.argmax("layer").astype("float32").drop_vars("planted_layer", errors="ignore")
    summary = xr.Dataset(
        {
            "score": score.transpose("layer", "roi").astype("float32"),
            "best_layer": ("roi", np.array(names)[score.argmax("layer").values]),
            "planted_layer": ("roi", np.array([planted[roi] for roi in planted])),
            "best_layer_index": best,
        }
    )
    first = next(iter(results.values()))
    return summary.assign_attrs(
        kind="layers",
        metric=first.attrs["metric"],
        model="SmallConvNet",
        seed=first.attrs["seed"],
        provenance=collect(
            {"layers": ",".join(names), "chosen_by": "mean held-out score of each region"}
        ),
    )


def run_demo(
    folder: Path | str,
    *,
    n_images: int = 240,
    n_neuroids_per_roi: int = 150,
    n_permutations: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> tuple[xr.Dataset, Path]:
    """Load, align, extract, fit, score and report, without any download.

    Parameters
    ----------
    folder : path
        Where the report and the results go; made when absent.
    n_images, n_neuroids_per_roi, n_permutations : int
        Size of the study.
    seed : int
        Seed of images, network, cortex, noise and permutations.
    progress : bool
        Show progress bars.

    Returns
    -------
    Dataset
        The comparison of layers, see `summarise_layers`.
    Path
        The HTML report.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise LoadError(f"{folder}: expected a folder for results, got a file. Choose another.")
    folder.mkdir(parents=True, exist_ok=True)
    images = cut_natural_images(n_images, seed=seed)
    network = models.SmallConvNet(seed=seed)
    layers = features.extract(
        network, images, list(PLANTED.values()), batch_size=32, progress=progress
    )
    responses = loaders.simulate_layered_cortex(
        layers, PLANTED, n_neuroids_per_roi=n_neuroids_per_roi, seed=seed
    )
    # Models are fitted to averages over repeats, which is what the split-half ceiling bounds.
    ceiling = ceilings.split_half(responses, seed=seed)["ceiling"]
    averaged = align.average_repeats(responses)
    results = {}
    for name, layer in layers.items():
        matched = align.match(layer, averaged)
        encoder = make_pipeline(features.PrincipalComponents(100), encoders.Ridge())
        results[name] = evaluate.cross_validate(
            encoder,
            matched["features"],
            matched["responses"],
            group="run",
            ceiling=ceiling,
            n_permutations=n_permutations,
            seed=seed,
            progress=progress,
        )
    summary = summarise_layers(results, PLANTED)
    storage.save(summary, folder / "layers.nc", overwrite=True)
    screens = {"layers": summary} | {
        f"encoding from {name}": result for name, result in results.items()
    }
    page = report.write_html(screens, folder / "report.html", title="neuroalign demo")
    return summary, page
