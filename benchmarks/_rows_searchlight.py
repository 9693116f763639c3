"""Rows of the searchlight races, for ``benchmarks.rsa``: ours against rsatoolbox.

Both make one RDM for each neighbourhood of a full volume and compare it with one model.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.harness import Race, measure_flops_per_second, run_race
from neuroalign.loaders import from_arrays
from neuroalign.rsa import find_neighborhoods, run_searchlight
from neuroalign.rsa.rdms import wrap_condensed

# Sizes of a cube of voxels, conditions and runs.
FULL = {"edge": 40, "n": 60, "n_runs": 1}
QUICK = {"edge": 10, "n": 20, "n_runs": 1}
CROSSED: dict[str, Any] = {
    "full": {"edge": 24, "n": 8, "n_runs": 8},
    "quick": {"edge": 10, "n": 8, "n_runs": 4},
}
PLAIN: dict[str, Any] = {"full": FULL, "quick": QUICK}
# Both sides have 93 voxels in a whole ball: the peer leaves out those at 3 voxels exactly.
RADIUS = 3
Inputs = dict[str, Any]


def simulate_volume(edge: int, n: int, n_runs: int) -> Inputs:
    """Noise on a cube of voxels, and one random model RDM."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n * n_runs, edge**3))
    names = np.tile([f"c{i:03d}" for i in range(n)], n_runs)
    runs = np.repeat([f"run-{r}" for r in range(n_runs)], n)
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
    data = from_arrays(values, stimulus=names, run=runs, modality="fmri", dtype="float64")
    places = {axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")}
    model = rng.uniform(size=n * (n - 1) // 2)
    return {"data": data.assign_coords(places), "model": model, "edge": edge, "n": n}


def _light(inputs: Inputs, **options: Any) -> np.ndarray:
    data = inputs["data"]
    near = find_neighborhoods(data, RADIUS - 1e-3, unit="voxel")
    labels = np.unique(data["stimulus"].values)
    model = wrap_condensed(inputs["model"], labels, (), {})
    return run_searchlight(data, near, {"model": model}, **options)["score"].values[0]


def light_correlation(inputs: Inputs) -> np.ndarray:
    """Correlation distance, Pearson correlation with the model."""
    return _light(inputs, distance="correlation", method="pearson")


def light_euclidean(inputs: Inputs) -> np.ndarray:
    """Squared Euclidean distance, cosine with the model."""
    return _light(inputs, distance="squared_euclidean", method="cosine")


def light_crossnobis(inputs: Inputs) -> np.ndarray:
    """Crossnobis distance over runs, cosine with the model."""
    return _light(inputs, distance="crossnobis", fold="run", method="cosine")


def _light_peer(inputs: Inputs, distance: str, method: str) -> np.ndarray:
    from rsatoolbox.inference import eval_fixed  # noqa: PLC0415
    from rsatoolbox.model import ModelFixed  # noqa: PLC0415
    from rsatoolbox.util import searchlight  # noqa: PLC0415

    mask = np.ones([inputs["edge"]] * 3)
    centers, near = searchlight.get_volume_searchlight(mask, RADIUS)
    names, values = inputs["data"]["stimulus"].values, inputs["data"].values
    rdms = searchlight.get_searchlight_RDMs(values, centers, near, names, distance, verbose=False)
    model = ModelFixed("model", inputs["model"])
    results = searchlight.evaluate_models_searchlight(rdms, model, eval_fixed, method)
    return np.array([float(np.squeeze(one.evaluations)) for one in results])


def light_rsatoolbox_correlation(inputs: Inputs) -> np.ndarray:
    """The same in rsatoolbox, one center after the other."""
    return _light_peer(inputs, "correlation", "corr")


def light_rsatoolbox_euclidean(inputs: Inputs) -> np.ndarray:
    """The same in rsatoolbox, one center after the other."""
    return _light_peer(inputs, "euclidean", "cosine")


def light_loop_crossnobis(inputs: Inputs) -> np.ndarray:
    """A loop over centers, since the searchlight of rsatoolbox takes no folds."""
    from rsatoolbox.data import Dataset  # noqa: PLC0415
    from rsatoolbox.rdm import calc_rdm  # noqa: PLC0415
    from rsatoolbox.util.searchlight import get_volume_searchlight  # noqa: PLC0415

    data, model = inputs["data"], inputs["model"]
    _, near = get_volume_searchlight(np.ones([inputs["edge"]] * 3), RADIUS)
    names = {"stimulus": data["stimulus"].values, "run": data["run"].values}
    scores = []
    for members in near:
        one = Dataset(data.values[:, members], obs_descriptors=names)
        made = calc_rdm(one, method="crossnobis", descriptor="stimulus", cv_descriptor="run")
        rdm = made.dissimilarities[0]
        scores.append(rdm @ model / np.linalg.norm(rdm) / np.linalg.norm(model))
    return np.array(scores)


def count_flops(edge: int, n: int, n_runs: int) -> float:
    """Products of each pair of conditions in each whole ball, once."""
    return edge**3 * 93.0 * n * (n - 1)


def _race(name: str, ours: str, peer: str, theirs: str, sizes: dict[str, Any]) -> Race:
    return Race(
        name, "benchmarks._rows_searchlight", "simulate_volume", ours, peer, theirs,
        flops="count_flops", **sizes,
    )  # fmt: skip


RACES: list[Race] = []
if find_spec("rsatoolbox") is not None:
    RACES = [
        _race(
            "searchlight correlation", "light_correlation", "rsatoolbox",
            "light_rsatoolbox_correlation", PLAIN,
        ),
        _race(
            "searchlight squared euclidean", "light_euclidean", "rsatoolbox",
            "light_rsatoolbox_euclidean", PLAIN,
        ),
        _race(
            "searchlight crossnobis", "light_crossnobis", "rsatoolbox in a loop",
            "light_loop_crossnobis", CROSSED,
        ),
    ]  # fmt: skip


def searchlight_rows(quick: bool) -> list[dict[str, Any]]:
    """Run the races, three times each."""
    speed = measure_flops_per_second()
    return [run_race(race, quick=quick, repeats=3, speed=speed) for race in RACES]


def rows(quick: bool) -> list[dict[str, Any]]:
    """The same rows by the name that every room uses."""
    return searchlight_rows(quick)
