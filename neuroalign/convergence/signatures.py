"""Signs of prediction in maps of places: fields move back, and grow a tail.

In: maps of units before and after learning (`map_places`). Out: shifts and skews of fields along
the running direction, with intervals and nulls. Units that predict where one goes next have the
fields of a successor representation.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.convergence._correlation import count_two_sided, state
from neuroalign.convergence.place_fields import measure_fields, read_maps
from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.schema import check_estimate
from neuroalign.stats.intervals import bootstrap_interval

Array = npt.NDArray[Any]
STATISTICS = ("shift", "skew_before", "skew_after", "skew_change", "width_change")


def _read_directions(maps: xr.DataArray, direction: Any) -> Array:
    """Sign of the running direction for each leading label of the maps."""
    if maps.ndim == 2:
        if isinstance(direction, Mapping):
            raise SchemaError(
                "direction: expected 1 or -1 for maps of one direction, got a mapping. Map with "
                "by= first."
            )
        return np.array([direction])
    if maps.ndim != 3:
        raise SchemaError(f"before, after: expected at most one leading dim, got {maps.dims}.")
    labels = maps[str(maps.dims[0])].values.astype(str).tolist()
    if not isinstance(direction, Mapping) or set(map(str, direction)) != set(labels):
        raise SchemaError(
            f"direction: expected a mapping of {some(labels)} to 1 or -1, got {direction!r}. Say "
            "which way each label runs."
        )
    signs = {str(name): one for name, one in direction.items()}
    return np.array([signs[one] for one in labels])


def _check_pair(before: xr.DataArray, after: xr.DataArray) -> None:
    if before.dims != after.dims or before.shape[-1] != after.shape[-1]:
        raise AlignError(
            f"before, after: expected maps of the same dims and places, got {dict(before.sizes)} "
            f"and {dict(after.sizes)}. Use the same bins."
        )
    for name in map(str, before.dims):
        if name in before.coords and name in after.coords:
            same = np.array_equal(before[name].values, after[name].values)
            if not same:
                raise AlignError(
                    f"before, after: expected the same '{name}' in both, got others. Select those "
                    "that both have, in one order."
                )


def compare_fields(
    before: Any,
    after: Any,
    *,
    direction: float | Mapping[str, float] = 1,
    threshold: float = 0.1,
    baseline: str = "zero",
    whole: bool = True,
    group: str | None = None,
    n_permutations: int = 2000,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Compare fields before and after learning: do they move back, do they grow a tail?

    Units that predict places to come answer ahead of the place they stand for: their fields reach
    back against the running direction, and the longer the horizon, the farther.

    Parameters
    ----------
    before, after : Dataset of `map_places`, or DataArray ([label,] neuroid, place)
        The same units and places.
    direction : {1, -1}, or mapping of label to these
        Whether the animal ran to higher places or to lower ones; for maps with a leading dim
        (``by`` of `map_places`), of each label.
    threshold, baseline
        See `measure_fields`.
    whole : bool
        Leave out fields that an end of the track cuts, before or after.
    group : str, optional
        Coord on ``neuroid`` whose units depend on each other (animal, session); each unit alone
        when None. Fields of one unit in both directions always go together.
    n_permutations : int
        Random signs, see Notes.
    n_resamples, level, seed
        Of bootstrap intervals over groups.

    Returns
    -------
    Dataset
        Over (statistic,): ``value``, ``lower``, ``upper``, ``p_value``. Statistics, all along the
        running direction: ``shift`` of the centre of mass (below 0: back), ``skew_before``,
        ``skew_after`` (below 0: the tail trails), ``skew_change``, ``width_change``. ``field``
        (statistic, field) of each one, with coords ``field_neuroid`` and ``field_label``.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    The null of changes is that before and after are exchangeable in each group, the null of skews
    that fields are as often mirrored: both turn signs of groups, and p counts means as far from 0.
    A unit of a successor representation on a track run one way with discount g has a field
    ``g^k`` at k places before its own: a shift of ``-g / (1 - g)`` and a skew of
    ``-(1 + g) / sqrt(g)`` far from the ends.

    References
    ----------
    Mehta, Quirk & Wilson (2000), Neuron 25, 707-715 (skewed fields). Stachenfeld, Botvinick &
    Gershman (2017), Nature Neuroscience 20, 1643-1653 (successor representation). Fang &
    Stachenfeld (2024), ICLR (predictive auxiliary objectives).

    Examples
    --------
    >>> place = np.arange(80.0)
    >>> own = np.arange(40.0, 70.0)[:, None]
    >>> point = xr.DataArray((place == own) * 1.0, {"place": place}, ("neuroid", "place"))
    >>> tail = point.copy(data=np.where(place <= own, 0.5 ** (own - place), 0.0))
    >>> found = compare_fields(point, tail, threshold=0.0, n_resamples=100)
    >>> round(float(found["value"].sel(statistic="shift")), 3)
    -1.0
    """
    one, other = read_maps(before, "before"), read_maps(after, "after")
    _check_pair(one, other)
    signs = _read_directions(one, direction)
    if not np.isin(signs, (-1, 1)).all():
        raise ValueError(f"direction: expected 1 or -1, got {direction!r}.")
    early, late = (
        measure_fields(maps, threshold=threshold, baseline=baseline) for maps in (one, other)
    )
    n_units = one.sizes["neuroid"]
    sign = np.repeat(signs, n_units)
    skews = [sign * part["skew"].values.ravel() for part in (early, late)]
    columns = np.stack(
        [
            sign * (late["center"] - early["center"]).values.ravel(),
            *skews,
            skews[1] - skews[0],
            (late["width"] - early["width"]).values.ravel(),
        ]
    )
    kept = np.isfinite(columns[0])
    if whole:
        kept &= early["whole"].values.ravel() & late["whole"].values.ravel()
    names = one["neuroid"].values if "neuroid" in one.coords else np.arange(n_units)
    if group is not None and group not in one.coords:
        raise SchemaError(
            f"group: expected a coord on 'neuroid', got '{group}' (there are {some(one.coords)})."
        )
    units = np.tile(names if group is None else one[group].values, len(signs))[kept]
    codes = np.unique(units, return_inverse=True)[1]
    if codes.max(initial=-1) < 1:
        raise SchemaError(
            f"before, after: expected fields of two or more {group or 'units'}, got "
            f"{int(codes.max(initial=-1)) + 1}. Lower the threshold, or keep fields at the ends "
            "with whole=False."
        )
    columns = columns[:, kept]
    rng = np.random.default_rng(seed)
    turned = rng.choice([-1.0, 1.0], size=(n_permutations, int(codes.max()) + 1))[:, codes]
    rows = [_summarise(column, codes, turned, level, n_resamples, seed) for column in columns]
    labels = one[str(one.dims[0])].values.astype(str) if one.ndim == 3 else np.array(["all"])
    found = xr.Dataset(
        {
            name: ("statistic", np.array(values))
            for name, values in zip(
                ("value", "lower", "upper", "p_value"), np.transpose(rows), strict=True
            )
        }
        | {"field": (("statistic", "place_field"), columns)},
        {
            "statistic": list(STATISTICS),
            "field_neuroid": ("place_field", np.tile(names, len(signs))[kept].astype(str)),
            "field_label": ("place_field", np.repeat(labels, n_units)[kept]),
        },
        {
            "kind": "estimate",
            "method": "compare_fields",
            "headline": "value",
            "threshold": threshold,
            "baseline": baseline,
            "group": group or "neuroid",
            "n_fields": int(kept.sum()),
            "n_groups": int(codes.max()) + 1,
            "n_permutations": n_permutations,
            "n_resamples": n_resamples,
            "level": level,
            "seed": seed,
            "provenance": provenance.collect(
                {"threshold": threshold, "baseline": baseline, "whole": whole, "seed": seed},
                {"before": provenance.hash_array(one), "after": provenance.hash_array(other)},
            ),
        },
    )
    found.attrs["verdict"] = _judge_fields(found)
    return check_estimate(found)


def _summarise(
    column: Array, codes: Array, turned: Array, level: float, n_resamples: int, seed: int
) -> list[float]:
    known = np.isfinite(column)
    value = float(column[known].mean()) if known.any() else np.nan
    if len(np.unique(codes[known])) < 2:
        return [value, np.nan, np.nan, np.nan]
    bounds = bootstrap_interval(
        column[known], groups=codes[known], level=level, n_resamples=n_resamples, seed=seed
    )
    null = turned[:, known] @ column[known] / known.sum()
    p_value = count_two_sided(value, null)
    return [value, float(bounds["lower"]), float(bounds["upper"]), p_value]


def _judge_fields(found: xr.Dataset) -> str:
    shift, skew = (found.sel(statistic=name) for name in ("shift", "skew_after"))
    said = [
        f"{state(name, one['value'].item(), one['lower'].item(), one['upper'].item())}, "
        f"p = {float(one['p_value']):.3g}"
        for name, one in (("shift", shift), ("skew after", skew))
    ]
    back, trails = (bool((one["value"] < 0) & (one["p_value"] < 0.05)) for one in (shift, skew))
    told = {
        (True, True): "fields moved back and trail, as those of a successor representation",
        (True, False): "fields moved back without a trailing tail",
        (False, True): "fields trail but did not move back",
        (False, False): "no sign of a successor representation",
    }[back, trails]
    return f"{found.attrs['n_fields']} fields: {told} ({'; '.join(said)})."
