"""Which features fill a representation, and when that bends the similarity of two of them.

What is easy, or was learnt first, takes more variance than what is hard, though both are computed.
Similarity measures weigh variance, so that they can miss, or make up, a shared computation.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import is_continuous
from neuroalign.errors import AlignError, choose
from neuroalign.geometry import _feature_fits as fits
from neuroalign.geometry._matrices import as_matrix, sign
from neuroalign.stats.permutations import permutation_p, permute_rows

Array = npt.NDArray[Any]
Features = Mapping[str, Any] | xr.Dataset


def explain_variance(
    X: Any,
    features: Features,
    *,
    n_splits: int = 2,
    group: str | Array | None = None,
    aggregate: str = "pooled",
    n_components: int = 20,
    ceiling: Any = None,
    n_bootstrap: int = 1000,
    n_permutations: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Variance of a representation that each named feature explains on unseen rows.

    Parameters
    ----------
    X : array or DataArray (sample, unit)
        Of a brain or of a model.
    features : Dataset of (sample,) or (sample, column), or mapping of name to such arrays
        Text and truth values are coded by level, numbers taken as they are.
    n_splits : int
        Folds; 2 fits on one half and tests on the other, both ways.
    group : str, array (sample,) or None
        Coord of X, or labels, of groups that no fold divides. None: repeats of a stimulus stay
        together, a recording is cut into stretches, other rows are dealt at random.
    aggregate : {"pooled", "item"}
        Divide summed squares, or average the ratios of rows (the published form, unstable where a
        row lies near the mean).
    n_components : int
        Principal components (of the training rows) to look at one by one.
    ceiling : array (unit,), optional
        Share of the variance of each unit that is signal, see ``ceilings``.
    n_bootstrap : int
        Draws of rows, or of whole groups, for the intervals; fits stay as they are.
    n_permutations : int
        For ``p_value``: the feature is permuted over rows (within ``group``, shifted in time in a
        recording) and refitted. 0 skips it.
    seed : int

    Returns
    -------
    Dataset
        Over ``feature``: ``total``, R2 of the feature alone; ``unique``, R2 lost when it leaves
        the joint model; their 95 % intervals ``<name>_lower`` and ``<name>_upper``; ``p_value`` of
        ``total``. ``joint`` R2 of all features, ``shared`` = joint - sum of ``unique``.
        ``unit_total``, ``unit_unique`` (feature, unit) and ``component_total`` (feature,
        component), NaN where nothing varies; ``component_share`` of the variance. With
        ``ceiling``: ``signal``, the share of variance that is signal, and ``total_of_signal``.

    Raises
    ------
    SchemaError, AlignError, ValueError

    Notes
    -----
    Features that depend on each other share variance: compare ``unique`` then. R2 below 0 means
    that the feature predicts worse than the mean of the training rows.

    References
    ----------
    Lampinen et al. (2024), Learned feature representations are biased by complexity, learning
    order, position, and more, arXiv:2405.05847.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> easy, hard = rng.choice(["no", "yes"], size=(2, 400))
    >>> X = np.stack([2.0 * (easy == "yes"), 1.0 * (hard == "yes")], axis=1)
    >>> found = explain_variance(X, {"easy": easy, "hard": hard})
    >>> found["total"].round(1).values.tolist()
    [0.8, 0.2]
    """
    combine = choose(fits.AGGREGATES, aggregate, "aggregate")
    values = as_matrix(X, at_least=4)
    fits.check_rows(X, features)
    named = fits.read_features(features, len(values))
    groups = fits.read_groups(X, group, len(values))
    folds = fits.split_rows(X, groups, len(values), n_splits, seed)
    fits.check_varies(values)
    axes = fits.find_axes(values, folds, n_components)
    base = fits.sum_errors(values, None, folds, axes)
    single = [fits.sum_errors(values, one.design, folds, axes) for one in named]
    joint = fits.sum_errors(values, _join(named), folds, [])
    without = [
        fits.sum_errors(values, _join([b for b in named if b is not a]), folds, []) for a in named
    ]
    rng = np.random.default_rng(seed)
    counts = fits.draw_rows(len(values), groups, n_bootstrap, rng)
    draws = np.array([combine(one.row, base.row, counts) for one in single])
    every = combine(joint.row, base.row, counts)
    lost = np.array([every - combine(one.row, base.row, counts) for one in without])
    variables: dict[str, Any] = {
        **_with_interval("total", draws),
        **_with_interval("unique", lost),
        "joint": every[0],
        "shared": every[0] - lost[:, 0].sum(),
        "unit_total": (("feature", "unit"), [_ratio(one.unit, base.unit) for one in single]),
        "unit_unique": (
            ("feature", "unit"),
            [_ratio(joint.unit, base.unit) - _ratio(one.unit, base.unit) for one in without],
        ),
        "component_total": (
            ("feature", "component"),
            [_ratio(one.component, base.component) for one in single],
        ),
        "component_share": ("component", base.component / base.unit.sum()),
    }
    if n_permutations:
        within = groups if isinstance(group, str) or group is not None else None
        scheme = "circular" if isinstance(X, xr.DataArray) and is_continuous(X) else "block"
        reached = np.zeros(len(named))
        for _ in range(n_permutations):
            order = permute_rows(len(values), scheme, rng, within=within)
            for place, one in enumerate(named):
                error = fits.sum_errors(values, one.design[order], folds, [])
                reached[place] += combine(error.row, base.row, counts[:1])[0] >= draws[place, 0]
        variables["p_value"] = ("feature", permutation_p(reached, draws[:, 0], n_permutations))
    if ceiling is not None:
        signal = float(_read_ceiling(ceiling, values.shape[1]) @ base.unit / base.unit.sum())
        if not signal > 0:
            raise ValueError(
                "ceiling: expected some unit with signal, got a ceiling of 0 in all that vary. "
                "Leave it out, or keep reliable units."
            )
        variables |= {"signal": signal, "total_of_signal": ("feature", draws[:, 0] / signal)}
    names = np.array([one.name for one in named])
    result = xr.Dataset(variables, coords={"feature": names, **_unit_coords(X)})
    parameters: dict[str, Any] = {
        "n": len(values),
        "seed": seed,
        "n_splits": n_splits,
        "aggregate": aggregate,
        "n_bootstrap": n_bootstrap,
        "n_permutations": n_permutations,
    }
    inputs = {"X": X, **{f"features.{one.name}": one.design for one in named}}
    return sign(result, "explain_variance", inputs, parameters, "total")


def equalize_features(X: Any, features: Features) -> xr.DataArray:
    """Give each feature the same variance: project on its directions and divide by the norm.

    Parameters
    ----------
    X : array or DataArray (sample, unit)
    features : as for ``explain_variance``

    Returns
    -------
    DataArray (sample, feature)
        Coordinates along the directions of each feature (of the regression on all of them), with
        squares that sum to the number of samples for each; coord ``space`` names the feature. What
        no feature explains is left out.

    Raises
    ------
    SchemaError, AlignError

    References
    ----------
    Lampinen et al. (2024), arXiv:2405.05847.

    Examples
    --------
    >>> labels = np.tile(["a", "b"], 10), np.repeat(["c", "d"], 10)
    >>> X = np.stack([9.0 * (labels[0] == "a"), 1.0 * (labels[1] == "c")], axis=1)
    >>> even = equalize_features(X, {"first": labels[0], "second": labels[1]})
    >>> even.std("sample").round(6).values.tolist()
    [1.0, 1.0]
    """
    values = as_matrix(X)
    fits.check_rows(X, features)
    named = fits.read_features(features, len(values))
    centred = values - values.mean(axis=0)
    parts, spaces = [], []
    for one, axes in zip(named, fits.find_axes_of(values, named), strict=True):
        part = centred @ axes.T
        norm = np.linalg.norm(part) / np.sqrt(len(values))
        if norm > 0:
            parts.append(part / norm)
            spaces += [one.name] * part.shape[1]
    if not parts:
        raise AlignError(
            "features: expected some that the representation holds, got none of them. "
            "Use other features."
        )
    coords: dict[str, Any] = {"space": ("feature", np.array(spaces))}
    if isinstance(X, xr.DataArray):
        first = X.dims[0]
        coords |= {
            str(key): ("sample", c.values) for key, c in X.coords.items() if c.dims == (first,)
        }
    return xr.DataArray(np.concatenate(parts, axis=1), coords, ("sample", "feature"))


def _join(named: list[fits.Feature]) -> Array | None:
    return np.concatenate([one.design for one in named], axis=1) if named else None


def _with_interval(name: str, draws: Array) -> dict[str, Any]:
    """Observed values (the first draw) and the 95 % interval of the others."""
    drawn = draws[:, 1:] if draws.shape[1] > 1 else np.full((len(draws), 1), np.nan)
    lower, upper = np.percentile(drawn, [2.5, 97.5], axis=1)
    return {
        name: ("feature", draws[:, 0]),
        f"{name}_lower": ("feature", lower),
        f"{name}_upper": ("feature", upper),
    }


def _ratio(error: Array, total: Array) -> Array:
    quotient = np.divide(error, total, out=np.full_like(total, np.nan), where=total > 0)
    return np.asarray(1.0 - quotient)


def _read_ceiling(ceiling: Any, n_units: int) -> Array:
    values = np.asarray(ceiling, dtype=np.float64)
    if values.shape != (n_units,) or not ((values >= 0) & (values <= 1)).all():
        raise AlignError(
            f"ceiling: expected {n_units} shares of variance from 0 to 1, got shape "
            f"{values.shape}. Use ceilings.split_half(...)['ceiling']."
        )
    return values


def _unit_coords(X: Any) -> dict[str, Any]:
    """Bring the coords of the units along."""
    if not isinstance(X, xr.DataArray):
        return {}
    last = X.dims[-1]
    return {
        f"unit_{key}" if key in ("feature", "unit") else str(key): ("unit", c.values)
        for key, c in X.coords.items()
        if c.dims == (last,)
    }
