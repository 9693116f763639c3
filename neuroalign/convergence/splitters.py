"""Splitter codes: where an agent came from or is going to, told on a path that routes share.

In: responses, positions and types of trials with a common path. Out: how well the type is decoded
there, at the same positions, and which units tell it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign._arrays import copy_geometry, describe
from neuroalign.convergence.place_maps import cut_places, read_column
from neuroalign.decoders import decode_across_time, decode_classes
from neuroalign.errors import SchemaError, some
from neuroalign.schema import check_estimate
from neuroalign.stats.permutations import count_reached, permutation_p, permute_rows

Array = npt.NDArray[Any]


class Stem(NamedTuple):
    """Trials on the common path: ``values`` (trial, neuroid, place), one type a trial."""

    values: Array
    types: Array
    rows: Array
    gap: float
    n_dropped: int


def splitter_index(
    responses: xr.DataArray,
    trial_type: Any,
    position: Any,
    trial: Any,
    *,
    limits: tuple[float, float] | None = None,
    bins: int | Sequence[float] = 6,
    group: str | None = None,
    n_splits: int | None = None,
    classifier: str = "logistic",
    n_permutations: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    """Decode the type of trials from their common path, position by position.

    Parameters
    ----------
    responses : DataArray (sample, neuroid)
    trial_type : str, or sequence (sample,)
        Coord on ``sample`` or labels of two types: left and right, as the trial goes on or as it
        began.
    position : str, or array (sample,)
        Along the path. Samples off the common path have other positions, or NaN.
    trial : str, or sequence (sample,)
        What each sample's trial is called.
    limits : tuple of float, optional
        Where the common path begins and ends.
    bins : int, or sequence of float
        Stretches of the path (their edges make ``limits`` needless). All trials are compared in
        the same stretches; those that miss one are left out.
    group : str, optional
        Coord on ``sample`` whose groups are held out whole, and within which types change places
        under the null: a session, or a block of forced trials. None: trials are independent.
    n_splits, classifier, n_permutations, seed
        As in `neuroalign.decoders.decode_classes`.

    Returns
    -------
    Dataset
        ``index``: 0 at chance and 1 where every trial is told, with ``lower`` and ``upper`` over
        folds, ``p_value`` and ``null`` (permutation); ``course`` (place), the same from one
        stretch alone; ``separation`` (neuroid): difference of the two types' means over standard
        deviation within types, of trials averaged over the path, above 0 where the second type
        in order of names is higher, with two-sided ``p_neuroid`` and ``p_fwer`` (largest of all
        units).

    Raises
    ------
    LeakageError, SchemaError, ValueError

    Notes
    -----
    Were the types at other positions, place alone would tell them. So trials are averaged in each
    stretch, all stretches weigh the same, and what each unit gains along a stretch, by its slope
    within trials, is taken off by how far a trial's mean position is from the middle. Slopes know
    no types, and the null is untouched. ``attrs['position_gap']`` says how far apart the types were
    before that, at most, in widths of a stretch. Speed and heading may tell types too: match them
    by choosing samples. Where types come in blocks, slow drifts tell them too: alternate
    them, or hold out blocks that have both (``group``).

    References
    ----------
    Wood, Dudchenko, Robitsek & Eichenbaum (2000), Neuron 27, 623-633 (splitter cells). Fang &
    Stachenfeld (2024), ICLR (in a predictive agent).

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> lap = np.repeat(np.arange(40), 12)
    >>> values = rng.normal(size=(480, 5)) + np.outer(lap % 2, [1.5, 0, 0, 0, 0])
    >>> data = from_arrays(values, stimulus=["stem"] * 480, modality="model")
    >>> side = np.array(["left", "right"])[lap % 2]
    >>> found = splitter_index(data, side, np.tile(np.linspace(0, 1, 12), 40), lap, bins=3)
    >>> bool(found["index"] > 0.8), float(found["p_value"]) < 0.01
    (True, True)
    """
    if limits is not None and not isinstance(bins, int | np.integer):
        raise ValueError("limits: expected None where bins are edges, got both. Leave one out.")
    where, number, edges = cut_places(responses, position, bins, limits)
    types = read_column(responses, trial_type, "trial_type").astype(str)
    names = read_column(responses, trial, "trial").astype(str)
    stem = _average_trials(responses, where, number, edges, types, names)
    kinds, codes = np.unique(stem.types, return_inverse=True)
    centers = (edges[:-1] + edges[1:]) / 2
    units = dict(describe(responses).coords)
    coords: dict[Any, Any] = {
        **units,
        "time": centers - centers[0],
        "stimulus": ("sample", stem.types),
    }
    if group is not None:
        labels = read_column(responses, group, "group").astype(str)[stem.rows]
        coords[group] = ("sample", labels)
    trials = xr.DataArray(stem.values, coords, ("sample", "neuroid", "time"))
    options: dict[str, Any] = {
        "group": group, "n_splits": n_splits, "classifier": classifier, "seed": seed,
    }  # fmt: skip
    whole = decode_classes(trials, n_permutations=n_permutations, patterns=False, **options)
    across = decode_across_time(trials, **options)["mean_score"].values[0]
    rng = np.random.default_rng(seed)
    within = None if group is None else coords[group][1]
    means = stem.values.mean(axis=2)
    observed = _separate(means, codes)
    found = xr.Dataset(
        {
            "index": ((), _rescale(whole["balanced_accuracy"].values)),
            "lower": ((), _rescale(whole["lower"].values)),
            "upper": ((), _rescale(whole["upper"].values)),
            "course": ("place", _rescale(np.diagonal(across))),
            "separation": ("neuroid", observed),
        },
        {**units, "place": centers},
    )
    if n_permutations:
        null = np.array(
            [
                _separate(means, codes[permute_rows(len(codes), "block", rng, within=within)])
                for _ in range(n_permutations)
            ]
        )
        reached, top = count_reached(np.abs(null), np.abs(observed))
        found["p_value"] = whole["p_value"]
        found["null"] = ("permutation", _rescale(whole["null"].values))
        found["p_neuroid"] = ("neuroid", permutation_p(reached, observed, n_permutations))
        found["p_fwer"] = ("neuroid", permutation_p(top, observed, n_permutations))
    found.attrs = {
        "kind": "estimate",
        "method": "splitter_index",
        "headline": "index",
        "types": ", ".join(kinds.tolist()),
        "classifier": classifier,
        "group": group or "",
        "n_trials": len(codes),
        "n_dropped": stem.n_dropped,
        "position_gap": stem.gap,
        "n_permutations": n_permutations,
        "seed": seed,
        "history": str(responses.attrs.get("history", "")),
        "provenance": provenance.collect(
            {
                "bins": len(centers), "classifier": classifier, "group": group or "",
                "n_splits": n_splits or 0, "n_permutations": n_permutations, "seed": seed,
            },
            {
                "responses": provenance.hash_array(responses),
                "position": provenance.hash_array(where),
                "trial_type": provenance.hash_array(types),
            },
        ),
    }  # fmt: skip
    found.attrs["verdict"] = _judge(found)
    return check_estimate(copy_geometry(responses, found))


def _average_trials(
    responses: xr.DataArray, where: Array, number: Array, edges: Array, types: Array, names: Array
) -> Stem:
    """Mean response of each trial in each stretch, at the position of its middle."""
    trials, first, code = np.unique(names, return_index=True, return_inverse=True)
    mixed = trials[np.unique(code[types != types[first][code]])]
    if len(mixed):
        raise SchemaError(
            f"trial_type: expected one type a trial, got two in {some(mixed)}. Give every trial a "
            "name of its own."
        )
    n_places, n_cells = len(edges) - 1, len(trials) * (len(edges) - 1)
    on = number >= 0
    if not on.any():
        raise SchemaError(
            f"limits: expected a path that samples pass, got none from {edges[0]:g} to "
            f"{edges[-1]:g}; positions run from {np.nanmin(where):g} to {np.nanmax(where):g}. "
            "Give limits in units of position."
        )
    cell = code[on] * n_places + number[on]
    counts = np.bincount(cell, minlength=n_cells).reshape(len(trials), n_places)
    kept = (counts > 0).all(axis=1)
    kinds = np.unique(types[first][kept])
    if len(kinds) != 2:
        raise SchemaError(
            f"trial_type: expected two types with trials that pass every stretch, got "
            f"{some(kinds) or 'none'} in {int(kept.sum())} of {len(trials)} trials. Select two "
            "types; use fewer bins, or limits that all trials reach."
        )
    filled = np.maximum(counts, 1)[:, :, None]
    values = responses.values[on].astype(np.float64)
    cube = _sum(cell, values, n_cells).reshape(len(trials), n_places, -1) / filled
    place = _sum(cell, where[on, None], n_cells).reshape(len(trials), n_places, 1) / filled
    shift = where[on] - place.reshape(-1)[cell]
    spread = np.bincount(number[on], shift**2, n_places)
    together = _sum(number[on], shift[:, None] * values, n_places)
    slope = np.where(spread[:, None] > 0, together / np.maximum(spread, 1e-300)[:, None], 0.0)
    middle = ((edges[:-1] + edges[1:]) / 2)[:, None]
    cube = (cube - slope * (place - middle))[kept]
    own = types[first][kept]
    gap = np.abs(np.subtract(*(place[kept][own == kind].mean(axis=0) for kind in kinds)))
    worst = float((gap.ravel() / np.diff(edges)).max())
    return Stem(np.moveaxis(cube, 1, 2), own, first[kept], worst, int((~kept).sum()))


def _sum(code: Array, values: Array, n: int) -> Array:
    total = np.zeros((n, values.shape[1]))
    np.add.at(total, code, values)
    return total


def _separate(means: Array, codes: Array) -> Array:
    """Difference of means over the standard deviation within both types (neuroid,)."""
    one, other = means[codes == 0], means[codes == 1]
    scatter = ((one - one.mean(axis=0)) ** 2).sum(axis=0)
    scatter = scatter + ((other - other.mean(axis=0)) ** 2).sum(axis=0)
    spread = np.sqrt(scatter / max(len(means) - 2, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = (other.mean(axis=0) - one.mean(axis=0)) / spread
    return np.where(spread > 0, found, np.nan)


def _rescale(accuracy: Array) -> Array:
    return np.asarray(2 * np.asarray(accuracy, dtype=np.float64) - 1)


def _judge(found: xr.Dataset) -> str:
    value, low, high = (float(found[name]) for name in ("index", "lower", "upper"))
    said = f"splitter index {value:.2f} [{low:.2f} to {high:.2f}]"
    said += f" over {found.attrs['n_trials']} trials"
    if "p_value" in found:
        passed = int((found["p_fwer"].values < 0.05).sum())
        said += f", p = {float(found['p_value']):.3g}"
        said += f"; {passed} of {found.sizes['neuroid']} units tell the type alone"
    return said + "."
