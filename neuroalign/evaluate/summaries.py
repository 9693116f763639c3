"""Results by region, by layer and over subjects, with their intervals."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.stats.intervals import bootstrap_interval

Array = npt.NDArray[Any]
STATISTICS: dict[str, Callable[..., Any]] = {"mean": np.mean, "median": np.median}
UNITS = {
    "subject": "new subjects",
    "neuroid": "spread over the neuroids measured; neighbours are not independent",
}


def summarise(
    result: xr.Dataset | Mapping[str, xr.Dataset],
    by: str | None = "roi",
    *,
    value: str = "mean_score",
    statistic: str = "mean",
    over: str = "neuroid",
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> xr.Dataset:
    """Summarise scores of neuroids by a label of theirs.

    Parameters
    ----------
    result : Dataset, or dict of them
        Kind encoding; a dict layer -> result gives a dim ``layer`` in its order.
    by : str or None
        Coord on ``neuroid``: ``roi``, ``subject``, ``hemisphere``. Neuroids with an empty label
        are left out. None: all together, under the label ``all``.
    value : str
        A variable (neuroid[, time]), such as ``mean_normalized_score``.
    statistic : {"mean", "median"}
        Over the neuroids with a finite value.
    over : {"neuroid", "subject"}
        What the interval resamples: neuroids; or subjects (coord ``subject`` on neuroid), by the
        statistic of each subject's neuroids, whose mean is the estimate: the group level.
    level : float
    n_resamples : int
    seed : int

    Returns
    -------
    Dataset
        Kind estimate, over ([layer,] ``by``[, time]): ``estimate``, ``lower``, ``upper``,
        ``standard_error``; ``n_units`` and ``n_neuroids`` ([layer,] ``by``). The interval is NaN
        with fewer than two units. ``attrs['generalises_to']`` says what it is about.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=60, n_features=5, n_neuroids=3)
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> result = cross_validate(Ridge(1.0), data.features, data.responses, ceiling=None)
    >>> sorted(summarise(result, by=None, n_resamples=50).data_vars)[:3]
    ['estimate', 'lower', 'n_neuroids']
    """
    choose(STATISTICS, statistic, "statistic")
    speaks_of = choose(UNITS, over, "over")
    given: Any = result
    if not isinstance(given, Mapping):
        raise SchemaError(
            f"result: expected a Dataset or a dict of them, got {type(given).__name__}. Name the "
            "layers: {'layer-1': one, 'layer-2': two}."
        )
    if isinstance(result, xr.Dataset):
        summary = _summarise(result, by, value, statistic, over, level, n_resamples, seed)
    elif not result:
        raise ValueError("result: expected at least one layer, got an empty dict. Name them.")
    else:
        parts = [
            _summarise(one, by, value, statistic, over, level, n_resamples, seed)
            for one in result.values()
        ]
        dim = by or "group"
        for name, part in zip(result, parts, strict=True):
            if not np.array_equal(part[dim].values, parts[0][dim].values):
                raise AlignError(
                    f"result['{name}']: expected the '{dim}' of the first layer, got others "
                    f"({some(part[dim].values)}). Score the same neuroids by every layer."
                )
        summary = xr.concat(parts, "layer", join="exact").assign_coords(layer=list(result))
    summary.attrs = {
        "kind": "estimate",
        "method": f"summarise ({statistic} of {value})",
        "over": over,
        "generalises_to": speaks_of,
        "level": level,
        "n_resamples": n_resamples,
        "seed": seed,
    }
    return summary


def _summarise(
    result: xr.Dataset,
    by: str | None,
    value: str,
    statistic: str,
    over: str,
    level: float,
    n_resamples: int,
    seed: int,
) -> xr.Dataset:
    if value not in result or result[value].dims[:1] != ("neuroid",):
        raise SchemaError(
            f"value: expected a variable over 'neuroid', got '{value}' (there are "
            f"{some(result.data_vars)}). "
            "Name one of those."
        )
    values = result[value]
    labels = _read(result, by)
    subjects = _read(result, "subject") if over == "subject" else None
    groups = [label for label in np.unique(labels).tolist() if label != ""]
    if not groups:
        raise SchemaError(f"result: expected a label in '{by}', got empty ones. Name the neuroids.")
    rows = []
    for label in groups:
        own = labels == label
        bare = values.values[own].reshape(int(own.sum()), -1)
        scored = np.isfinite(bare).all(axis=1)
        units = bare[scored]
        function: Callable[..., Any] = STATISTICS[statistic]
        if subjects is not None:
            names = subjects[own][scored]
            units = np.array([function(units[names == s], axis=0) for s in np.unique(names)])
            units, function = units.reshape(-1, bare.shape[1]), np.mean
        rows.append((*_interval(units, function, level, n_resamples, seed), scored.sum()))
    dim = by or "group"
    shape = (len(groups), *values.shape[1:])
    dims = (dim, *map(str, values.dims[1:]))
    coords: dict[Any, Any] = {dim: groups}
    if "time" in values.coords:
        coords["time"] = values["time"]
    names = ("estimate", "lower", "upper", "standard_error")
    columns: dict[str, Any] = {
        name: (dims, np.array([row[i] for row in rows]).reshape(shape))
        for i, name in enumerate(names)
    }
    columns["n_units"] = (dim, np.array([row[4] for row in rows], dtype=np.int64))
    columns["n_neuroids"] = (dim, np.array([row[5] for row in rows], dtype=np.int64))
    return xr.Dataset(columns, coords=coords)


def _interval(
    units: Array, function: Callable[..., Any], level: float, n_resamples: int, seed: int
) -> tuple[Array, Array, Array, Array, int]:
    """Estimate, bounds, standard error and count; no bounds for fewer than two units."""
    unknown = np.full(units.shape[1], np.nan)
    if len(units) < 2:
        estimate = np.asarray(function(units, axis=0)) if len(units) else unknown
        return estimate, unknown, unknown, unknown, len(units)
    found = bootstrap_interval(units, function, level=level, n_resamples=n_resamples, seed=seed)
    columns = [found[name].values for name in ("estimate", "lower", "upper", "standard_error")]
    return columns[0], columns[1], columns[2], columns[3], len(units)


def _read(result: xr.Dataset, by: str | None) -> Array:
    if by is None:
        return np.full(result.sizes["neuroid"], "all")
    if by not in result.coords or result[by].dims != ("neuroid",):
        raise SchemaError(
            f"by: expected a coord on 'neuroid', got '{by}' (there are {some(result.coords)}). "
            "Assign it."
        )
    return np.asarray(result[by].values)
