"""When in training a score reaches half of where it ends, and which map of the cortex says so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.convergence._correlation import (
    correlate,
    correlate_maps,
    count_two_sided,
    draw_weights,
    find_bounds,
    naive_p,
    state,
)
from neuroalign.convergence.spins import draw_spins, read_places, spread_map
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.schema import check_estimate
from neuroalign.scores import METRICS

Array = npt.NDArray[Any]
BASES: dict[str, Callable[[Array], Array]] = {
    "zero": lambda course: np.zeros_like(course[0]),
    "first": lambda course: course[0],
}
# Fewer regions have no order that chance could not give.
LEAST_ORDERED = 4
# What is drawn anew: neuroids of a region, folds (which hold other stimuli), or both.
OVER = {"neuroid": (True, False), "fold": (False, True), "both": (True, True)}


def find_crossing(course: Array, steps: Array, baseline: str = "zero") -> Array:
    """Find where courses (step, ...) first reach half of their rise; NaN where they do not rise.

    Between checkpoints courses are taken for straight.
    """
    base = choose(BASES, baseline, "baseline")(course)
    goal = base + 0.5 * (course[-1] - base)
    rises = course[-1] > base
    after = (course >= goal).argmax(axis=0)
    before = np.maximum(after - 1, 0)
    high, low = (np.take_along_axis(course, one[None], axis=0)[0] for one in (after, before))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(after > before, (goal - low) / (high - low), 0.0)
    found: Array = steps[before] + share * (steps[after] - steps[before])
    return np.where(rises, found, np.nan)


def find_half_times(
    scores: xr.DataArray,
    *,
    by: str | None = "roi",
    over: str = "neuroid",
    baseline: str = "zero",
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Find the training step at which scores reach half of their final value.

    Parameters
    ----------
    scores : DataArray (step,), (step, neuroid) or (step, fold, neuroid)
        ``step`` rising, the last the end of training.
    by : str or None
        Coord on neuroid whose neuroids are averaged: ``roi``, ``neuroid``. None: all together.
    over : {"neuroid", "fold", "both"}
        What the interval draws anew: the neuroids of a region; folds, which hold other stimuli; or
        both. The same draw serves all steps.
    baseline : {"zero", "first"}
        Half of the final value, as published, or half of the way from the first to the last.
    n_resamples : int
    level : float
    seed : int

    Returns
    -------
    Dataset
        Over ``by`` (``all`` when None): ``half_time`` in steps with ``lower`` and ``upper``;
        ``relative``, the share of training; ``first`` and ``final`` scores; ``n_neuroids``. NaN
        where a score does not end above its baseline. Where it begins above half of its end, the
        first step stands, and the truth lies before it: ``attrs['warnings']`` names those regions.
        Neuroids that lack a score at a step or fold where others have one are left out, and counted
        in ``attrs['n_left_out']``.

    Raises
    ------
    SchemaError, ValueError

    Notes
    -----
    Intervals are NaN where fewer than half of the draws have a half-time, and with a single
    neuroid (fold) to draw from. Folds share training stimuli: intervals over folds are narrow.

    References
    ----------
    Raugel et al. (2025), arXiv:2508.18226, section 2 (half time).

    Examples
    --------
    >>> steps = np.array([0.0, 1.0, 2.0, 4.0])
    >>> scores = xr.DataArray([0.0, 0.2, 0.3, 0.4], dims="step", coords={"step": steps})
    >>> find_half_times(scores, by=None)["half_time"].values
    array([1.])
    """
    choose(BASES, baseline, "baseline")
    drawn = choose(OVER, over, "over")
    cube = _read_courses(scores)
    steps = np.asarray(scores["step"].values, dtype=np.float64)
    names, codes = _group(scores, by, cube.shape[2])
    rng = np.random.default_rng(seed)
    n_folds = cube.shape[1]
    fold_weights = draw_weights(n_folds, n_resamples, rng) / n_folds
    known = np.isfinite(cube)
    whole = (known | ~known.any(axis=2, keepdims=True)).all(axis=(0, 1))
    rows = []
    for number in range(len(names)):
        own = cube[:, :, (codes == number) & whole]
        n = own.shape[2]
        if not n:
            rows.append([np.nan] * 6 + [0])
            continue
        course = own.mean(axis=(1, 2))
        time = float(find_crossing(course, steps, baseline))
        fixed = np.full((n_resamples, 1), 1.0)
        on_neuroids = draw_weights(n, n_resamples, rng) / n if drawn[0] else fixed / n
        on_folds = fold_weights if drawn[1] else fixed / n_folds
        low, high = np.nan, np.nan
        if (n > 1 and drawn[0]) or (n_folds > 1 and drawn[1]):
            weights = np.broadcast_to(on_neuroids, (n_resamples, n))
            kept = np.broadcast_to(on_folds, (n_resamples, n_folds))
            draws = np.einsum("bf,sfn,bn->sb", kept, own, weights, optimize=True)
            low, high = find_bounds(find_crossing(draws, steps, baseline), level)
        rows.append([time, low, high, time / steps[-1], course[0], course[-1], n])
    columns = ("half_time", "lower", "upper", "relative", "first", "final", "n_neuroids")
    dim = by or "all"
    early = [
        name for name, row in zip(names, rows, strict=True) if row[5] > 0 and row[0] == steps[0]
    ]
    result = xr.Dataset(
        {name: (dim, column) for name, column in zip(columns, np.transpose(rows), strict=True)},
        coords={dim: names},
        attrs={
            "kind": "estimate",
            "method": "find_half_times",
            "over": over,
            "baseline": baseline,
            "level": level,
            "n_resamples": n_resamples,
            "headline": "half_time",
            "verdict": "half-times [steps]: "
            + ", ".join(
                f"{name} {say_step(row[0])}" for name, row in zip(names[:8], rows, strict=False)
            )
            + (f" and {len(names) - 8} more" if len(names) > 8 else ""),
            "n_undefined": int(np.isnan(np.transpose(rows)[0]).sum()),
            "n_left_out": int((~whole & (codes >= 0)).sum()),
            **_warn_early(early, len(names), steps[0]),
            "seed": seed,
            "provenance": provenance.collect(
                {
                    "by": by or "",
                    "over": over,
                    "baseline": baseline,
                    "seed": seed,
                    "n_resamples": n_resamples,
                    "level": level,
                },
                {"scores": provenance.hash_array(scores)},
            ),
        },
    )
    return check_estimate(result)


def say_step(step: float) -> str:
    """Write a half-time."""
    return "does not rise" if np.isnan(step) else f"{step:.3g}"


def _warn_early(early: list[str], n: int, first: float) -> dict[str, str]:
    if not early:
        return {}
    return {
        "warnings": f"scores: expected courses that begin below half of where they end, got "
        f"{len(early)} of {n} above it at step {first:g} ({some(early)}). Their half-time lies "
        "before: use baseline='first' for half of the rise, or add earlier checkpoints."
    }


def _read_courses(scores: xr.DataArray) -> Array:
    """Scores as (step, fold, neuroid)."""
    allowed = [("step",), ("step", "neuroid"), ("step", "fold", "neuroid")]
    if scores.dims not in allowed or "step" not in scores.coords:
        raise SchemaError(
            f"scores: expected dims ('step',), ('step', 'neuroid') or ('step', 'fold', 'neuroid') "
            f"with coord 'step', got {scores.dims}. Select a layer, or average."
        )
    steps = scores["step"].values
    if len(steps) < 2 or not (np.diff(steps) > 0).all():
        raise SchemaError(
            f"scores: expected two rising steps or more, got {some(steps)}. Sort the checkpoints."
        )
    values = np.asarray(scores.values, dtype=np.float64)
    return values.reshape(len(steps), *(1,) * (3 - values.ndim), *values.shape[1:])


def _group(scores: xr.DataArray, by: str | None, n: int) -> tuple[list[str], Array]:
    if by is None:
        return ["all"], np.zeros(n, dtype=np.intp)
    if by not in scores.coords or scores[by].dims != ("neuroid",):
        raise SchemaError(
            f"scores: expected coord '{by}' on 'neuroid', got {some(scores.coords)}. "
            "Use by=None for all together."
        )
    labels = scores[by].values.astype(str)
    # Regions keep the order in which they come, which often is that of the hierarchy.
    names = [one for one in dict.fromkeys(labels.tolist()) if one]
    place = {one: number for number, one in enumerate(names)}
    return names, np.array([place.get(one, -1) for one in labels.tolist()])


def compare_order(
    half_times: xr.DataArray,
    maps: xr.Dataset,
    neuroids: xr.DataArray | xr.Dataset | None = None,
    *,
    n_spins: int = 1000,
    n_shuffles: int = 1000,
    mesh: str = "fsaverage5",
    seed: int = 0,
) -> xr.Dataset:
    """Hold the order of half-times of regions against maps of the cortex, or latencies.

    Parameters
    ----------
    half_times : DataArray (roi,), or (region,) of a result of `trace`
    maps : Dataset
        Variables (roi,), such as peak times of MEG; or (neuroid,) on vertices of the whole cortex,
        as `neuroalign.loaders.load_cortical_maps` gives, averaged over the vertices of each region.
    neuroids : DataArray or Dataset with neuroid
        Says by ``roi``, ``hemisphere`` and ``vertex`` where regions lie; for maps (neuroid,).
    n_spins, n_shuffles : int
        Rotations of the cortex, and permutations of regions; 0 spares them.
    mesh : str
    seed : int

    Returns
    -------
    Dataset
        Over (map,): ``score``, Pearson r; ``spearman``; ``p_spin`` of r (NaN for maps of regions),
        ``p_shuffled`` of r, ``p_naive``, all two-sided; ``n_regions``. p are NaN with fewer than
        4 regions, and r with fewer than 3; ``attrs['warnings']`` says so, and names regions that
        a map has no value for.

    Raises
    ------
    AlignError, SchemaError

    References
    ----------
    Raugel et al. (2025), arXiv:2508.18226, section 3 (half times against cortical maps);
    Alexander-Bloch et al. (2018), NeuroImage 178, 540-551.

    Examples
    --------
    >>> times = xr.DataArray([1.0, 2.0, 4.0], dims="roi", coords={"roi": ["V1", "V2", "V4"]})
    >>> latency = xr.Dataset({"meg": times * 0.05})
    >>> round(float(compare_order(times, latency)["score"].item()), 6)
    1.0
    """
    if half_times.dims == ("region",):
        # As `trace` calls them, whose neuroids have a coord 'roi' already.
        half_times = half_times.rename(region="roi")
    if half_times.dims != ("roi",):
        raise SchemaError(
            f"half_times: expected dims ('roi',), got {half_times.dims}. Pass "
            "find_half_times(scores, by='roi')['half_time'], or trace(...)['half_time']."
        )
    regions, times = half_times["roi"].values.tolist(), half_times.values.astype(np.float64)
    rng = np.random.default_rng(seed)
    rows: list[list[float]] = []
    notes: list[str] = []
    for name in maps.data_vars:
        values, turned = _average_map(maps[name], regions, neuroids, n_spins, mesh, seed)
        known = np.isfinite(times) & np.isfinite(values)
        x, y = times[known], values[known]
        lost = np.array(regions)[np.isfinite(times) & ~known]
        if len(lost):
            notes.append(
                f"maps['{name}']: expected a value for every region of half_times, got none for "
                f"{len(lost)} of {len(regions)} ({some(lost)}). They are left out."
            )
        if len(x) < LEAST_ORDERED:
            notes.append(
                f"maps['{name}']: expected {LEAST_ORDERED} regions or more with a half-time, got "
                f"{len(x)}. Their order says nothing: p is NaN. Take finer regions."
            )
            r = correlate(x, y) if len(x) > 2 else np.nan
            rank = float(METRICS["spearman"](x, y)) if len(x) > 2 else np.nan
            rows.append([r, rank, np.nan, np.nan, np.nan, len(x)])
            continue
        r = correlate(x, y)
        if np.ptp(x) == 0:
            notes.append(
                "half_times: expected steps that differ between regions, got the same in all "
                f"{len(x)}. They have no order: add checkpoints, or use baseline='first'."
            )
        orders = rng.permuted(np.tile(x, (n_shuffles, 1)), axis=1)
        null = correlate_maps(y[None], orders)[:, 0]
        p_spin = np.nan
        if turned is not None and len(turned) and np.isfinite(r):
            p_spin = count_two_sided(r, correlate_maps(x[None], turned[:, known])[:, 0])
        rank = float(METRICS["spearman"](x, y))
        rows.append([r, rank, p_spin, count_two_sided(r, null), naive_p(x, y), known.sum()])
    columns = ("score", "spearman", "p_spin", "p_shuffled", "p_naive", "n_regions")
    result = xr.Dataset(
        {name: ("map", one) for name, one in zip(columns, np.transpose(rows), strict=True)},
        coords={"map": [str(name) for name in maps.data_vars]},
        attrs={
            "kind": "estimate",
            "method": "compare_order",
            "metric": "pearson",
            "headline": "score",
            "verdict": "order of half-times (Pearson): "
            + "; ".join(
                state(str(name), row[0], np.nan, np.nan) + f" over {int(row[5])} regions"
                for name, row in zip(maps.data_vars, rows, strict=True)
            ),
            **({"warnings": "\n".join(dict.fromkeys(notes))} if notes else {}),
            "n_spins": n_spins,
            "n_shuffles": n_shuffles,
            "seed": seed,
            "provenance": provenance.collect(
                {"n_spins": n_spins, "n_shuffles": n_shuffles, "mesh": mesh, "seed": seed},
                {"half_times": provenance.hash_array(half_times)}
                | {f"map {name}": provenance.hash_array(one) for name, one in maps.items()},
            ),
        },
    )
    return check_estimate(result)


def _average_map(
    brain_map: xr.DataArray,
    regions: list[str],
    neuroids: xr.DataArray | xr.Dataset | None,
    n_spins: int,
    mesh: str,
    seed: int,
) -> tuple[Array, Array | None]:
    """Means of a map over regions, and after each spin (spin, roi)."""
    if brain_map.dims == ("roi",):
        missing = sorted(set(regions) - set(brain_map["roi"].values.tolist()))
        if missing:
            raise AlignError(
                f"maps['{brain_map.name}']: expected the regions of half_times, missing "
                f"{some(missing)}. Add them, or drop them from half_times."
            )
        return brain_map.sel(roi=regions).values.astype(np.float64), None
    if neuroids is None or "roi" not in neuroids.coords:
        raise SchemaError(
            f"neuroids: expected an array with 'roi', 'hemisphere' and 'vertex' to average "
            f"maps['{brain_map.name}'] over regions, got none. Pass the responses."
        )
    unknown = sorted(set(regions) - set(neuroids["roi"].values.tolist()))
    if unknown:
        raise AlignError(
            f"half_times: expected regions that neuroids have, got {some(unknown)} without any. "
            "Pass the responses that were encoded, or drop those regions."
        )
    places = read_places(neuroids, mesh, "neuroids")
    full = spread_map(brain_map, mesh, f"maps['{brain_map.name}']")
    member = neuroids["roi"].values[:, None] == np.array(regions)[None, :]
    rows = np.concatenate([places[None], draw_spins(places, n_spins, seed, mesh)])
    values = full[rows]
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means = (np.where(known, values, 0.0) @ member) / (known @ member.astype(np.float64))
    return means[0], means[1:]
