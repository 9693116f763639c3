"""Responses with planted truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose, require
from neuroalign.loaders.arrays import features_from_arrays, from_arrays

Array = npt.NDArray[Any]
# Seeds of the patches [mm, pial fsaverage, left hemisphere; x is mirrored on the right], from
# occipital pole to temporal lobe.
PATCH_SEEDS = ((-10, -98, 0), (-20, -92, -10), (-32, -82, -14), (-42, -72, -4), (-40, -52, -18))
MESHES = {"fsaverage5": 10242}


def simulate_linear(
    n_samples: int = 200,
    n_features: int = 30,
    n_neuroids: int = 50,
    *,
    snr: float = 1.0,
    n_runs: int = 4,
    seed: int = 0,
) -> xr.Dataset:
    """Responses that are a linear map of Gaussian features, plus noise.

    Parameters
    ----------
    n_samples, n_features, n_neuroids, n_runs : int
    snr : float
        Variance of the signal over that of the noise.
    seed : int

    Returns
    -------
    Dataset
        ``features`` (sample, feature), ``responses`` (sample, neuroid), the planted ``weights``
        (feature, neuroid), and ``reliability`` (neuroid), the signal's share of the variance.

    Examples
    --------
    >>> data = simulate_linear(n_samples=100, n_features=5, n_neuroids=3, snr=1.0)
    >>> data["responses"].shape, data["weights"].shape
    ((100, 3), (5, 3))
    >>> data["reliability"].round(1).values.tolist()
    [0.5, 0.5, 0.5]
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_samples, n_features))
    weights = rng.normal(size=(n_features, n_neuroids)) / np.sqrt(n_features)
    noise = rng.normal(size=(n_samples, n_neuroids)) / np.sqrt(snr)
    stimulus = [f"stimulus-{row:05d}" for row in range(n_samples)]
    run = [f"run-{row * n_runs // n_samples + 1:02d}" for row in range(n_samples)]
    responses = from_arrays(
        features @ weights + noise, stimulus=stimulus, run=run, modality="model"
    )
    return xr.Dataset(
        {
            "features": features_from_arrays(features, stimulus=stimulus).assign_coords(
                run=responses["run"]
            ),
            "responses": responses,
            "weights": (("feature", "neuroid"), weights.astype("float32")),
            "reliability": ("neuroid", np.full(n_neuroids, snr / (1 + snr), dtype="float32")),
        },
        attrs={"kind": "matched", "seed": seed},
    )


def _place_patches(rois: list[str], n_per_roi: int) -> dict[str, Array]:
    """Give each region the vertices nearest to its seed, half of them in each hemisphere."""
    datasets = require("nilearn.datasets", "fmri")
    parts = datasets.load_fsaverage("fsaverage5")["pial"].parts
    rows: dict[str, list[Any]] = {"vertex": [], "hemisphere": [], "xyz": []}
    counts = {"L": n_per_roi - n_per_roi // 2, "R": n_per_roi // 2}
    taken: dict[str, set[int]] = {"L": set(), "R": set()}
    for index, _ in enumerate(rois):
        for side, part in (("L", "left"), ("R", "right")):
            points = np.asarray(parts[part].coordinates)
            seed = np.array(PATCH_SEEDS[index % len(PATCH_SEEDS)], dtype=float)
            seed[0] *= 1 if side == "L" else -1
            order = np.argsort(((points - seed) ** 2).sum(axis=1))
            free = [int(v) for v in order if int(v) not in taken[side]][: counts[side]]
            taken[side] |= set(free)
            rows["vertex"] += free
            rows["hemisphere"] += [side] * len(free)
            rows["xyz"] += points[free].tolist()
    xyz = np.asarray(rows["xyz"], dtype="float32")
    names = [f"{s}-{v:05d}" for s, v in zip(rows["hemisphere"], rows["vertex"], strict=True)]
    return {
        "neuroid": np.array(names),
        "vertex": np.asarray(rows["vertex"], dtype="int64"),
        "hemisphere": np.array(rows["hemisphere"]),
        **{axis: xyz[:, number] for number, axis in enumerate("xyz")},
    }


def simulate_layered_cortex(
    layers: Mapping[str, xr.DataArray],
    roi_layers: Mapping[str, str],
    *,
    n_neuroids_per_roi: int = 100,
    n_repeats: int = 3,
    noise: float = 1.0,
    n_runs: int = 6,
    n_components: int = 40,
    mesh: str | None = "fsaverage5",
    seed: int = 0,
) -> xr.DataArray:
    """Cortex in which each region reads one planted layer.

    Parameters
    ----------
    layers : mapping of str to DataArray (sample, feature)
        Features of the same stimuli, by layer.
    roi_layers : mapping of str to str
        Region to the layer that it reads.
    n_neuroids_per_roi, n_repeats, n_runs : int
        All repeats of a stimulus fall in one run, so that runs can be held out.
    noise : float
        Median standard deviation of the noise of one presentation, in units of the signal's;
        neuroids spread around it log-normally.
    n_components : int
        How many principal components of a layer a neuroid reads, with random weights.
    mesh : {"fsaverage5"} or None
        Place each region as a patch of vertices on this mesh.
    seed : int

    Returns
    -------
    DataArray (sample, neuroid)
        Coords ``roi`` and ``planted_layer`` on neuroid; with a mesh ``hemisphere``, ``vertex``
        and ``x y z`` [mm] too.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import features_from_arrays
    >>> rng = np.random.default_rng(0)
    >>> names = [f"image-{n}" for n in range(30)]
    >>> layers = {
    ...     layer: features_from_arrays(rng.normal(size=(30, 8)), stimulus=names)
    ...     for layer in ("early", "late")
    ... }
    >>> planted = {"V1": "early", "IT": "late"}
    >>> responses = simulate_layered_cortex(
    ...     layers, planted, n_neuroids_per_roi=5, n_components=8, mesh=None
    ... )
    >>> responses.shape, responses["planted_layer"].values[[0, 5]].tolist()
    ((90, 10), ['early', 'late'])
    """
    rng = np.random.default_rng(seed)
    rois = list(roi_layers)
    signals = []
    for roi in rois:
        layer = choose(layers, roi_layers[roi], f"roi_layers['{roi}']")
        centred = layer.values.astype(np.float64) - layer.values.mean(axis=0, dtype=np.float64)
        left, strength, _ = np.linalg.svd(centred, full_matrices=False)
        components = (left * strength)[:, :n_components]
        signal = components @ rng.normal(size=(components.shape[1], n_neuroids_per_roi))
        signals.append(signal / signal.std(axis=0))
    signal = np.concatenate(signals, axis=1)
    stimuli = next(iter(layers.values()))["stimulus"].values
    n_stimuli, n_neuroids = signal.shape
    run_of = rng.permutation(n_stimuli) % n_runs
    order = np.argsort(run_of, kind="stable")
    rows = np.concatenate(
        [np.tile(order[run_of[order] == run], n_repeats) for run in range(n_runs)]
    )
    level = noise * np.exp(0.3 * rng.normal(size=n_neuroids))
    values = signal[rows] + level * rng.normal(size=(len(rows), n_neuroids))
    coords: dict[str, Any] = {
        "planted_layer": np.repeat([roi_layers[r] for r in rois], n_neuroids_per_roi)
    }
    attrs: dict[str, Any] = {
        "source": "simulated",
        "history": f"simulate_layered_cortex seed={seed}",
    }
    neuroid = None
    if mesh is not None:
        n_vertices = choose(MESHES, mesh, "mesh")
        coords |= _place_patches(rois, n_neuroids_per_roi)
        neuroid = coords.pop("neuroid")
        attrs |= {"space": mesh, "n_vertices": [n_vertices, n_vertices]}
    return from_arrays(
        values,
        stimulus=stimuli[rows],
        run=[f"run-{run + 1:02d}" for run in run_of[rows]],
        neuroid=neuroid,
        roi=np.repeat(rois, n_neuroids_per_roi),
        neuroid_coords=coords,
        modality="fmri",
        attrs=attrs,
    )
