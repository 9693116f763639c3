"""Does one model predict better than another, and for whom does that hold?"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.evaluate.normalization import (
    average_score,
    find_predictions,
    group_missing,
)
from neuroalign.stats.intervals import bootstrap_interval
from neuroalign.stats.multiple import fdr

Array = npt.NDArray[Any]
# Sign flips times targets held at once.
CHUNK = 8_000_000
# Up to this many units all sign flips are enumerated.
ENUMERATED_UNITS = 12


class Pairs(NamedTuple):
    """Differences (unit, target), how to label the targets, and what the test speaks about."""

    values: Array
    template: xr.DataArray
    generalises_to: str


def compare_models(
    result_a: xr.Dataset,
    result_b: xr.Dataset,
    *,
    over: str = "stimulus",
    responses: xr.DataArray | None = None,
    by: str = "stimulus",
    level: float = 0.95,
    n_permutations: int = 2000,
    n_resamples: int = 1000,
    fdr_method: str = "bh",
    seed: int = 0,
) -> xr.Dataset:
    """Test paired differences of two models by flipping their signs.

    Parameters
    ----------
    result_a, result_b : Dataset
        Kind encoding, of the same responses, folds and metric.
    over : {"stimulus", "subject", "neuroid", "fold"}
        The units whose differences change sign, and so what the p value generalises to.

        - ``stimulus``: held-out rows of one ``by`` label, for each neuroid; to new stimuli, for
          the models as fitted. Needs ``keep=("prediction",)`` in both and ``responses``.
        - ``subject``: mean over the neuroids of each subject (coord ``subject`` on neuroid); to new
          subjects. The strongest claim; needs six subjects to reach 0.05.
        - ``neuroid``: over all neuroids; to other neuroids *of the same brains and stimuli*, if
          they were independent, which neighbours are not: p is too small for anything more.
        - ``fold``: for each neuroid; folds share training rows, so their differences are
          correlated and p is too small, and 2^(1 - folds) at least. For orientation only.
    responses : DataArray, optional
        For ``stimulus``.
    by : str
        Coord on ``sample`` of ``responses`` that names independent units: ``run`` for time series.
    level : float
        Of the bootstrap interval over the same units.
    n_permutations : int
        All sign flips are taken where units are 12 or fewer.
    n_resamples : int
    fdr_method : {"bh", "by"}
    seed : int

    Returns
    -------
    Dataset
        Kind estimate, over (neuroid[, time]), or without neuroids for ``subject`` and
        ``neuroid``: ``difference`` (a minus b), ``lower``, ``upper``, two-sided ``p_value``,
        ``q_value`` and ``p_fwer``. ``attrs['generalises_to']`` says what the p value is about.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    Over stimuli, a score of a fold is written as a mean of row contributions (score plus influence
    function: for r, ``r + z_y z_p - r (z_y^2 + z_p^2) / 2``), so that differences of scores are
    means of row differences, whose signs flip by stimulus under the null that both models predict
    equally well. It holds its level for tens of stimuli a fold and more. Rows without a response
    (NaN) give a neuroid nothing; over folds, a neuroid that misses one has no p value.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=60, n_features=5, n_neuroids=3)
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> keep = {"ceiling": None, "keep": ["prediction"]}
    >>> whole, part = (
    ...     cross_validate(Ridge(1.0), features, data.responses, **keep)
    ...     for features in (data.features, data.features[:, :2])
    ... )
    >>> found = compare_models(whole, part, responses=data.responses, n_resamples=50)
    >>> bool((found["difference"] > 0).all())
    True
    """
    pair = choose(UNITS, over, "over")
    if n_permutations < 1:
        raise ValueError(
            f"n_permutations: expected at least 1, got {n_permutations}. 2000 is usual."
        )
    _check_pair(result_a, result_b)
    values, template, speaks_of = pair(result_a, result_b, responses, by)
    if len(values) < 2:
        raise ValueError(
            f"over: expected at least 2 units of '{over}', got {len(values)}. Use another."
        )
    signs, exact = _draw_signs(len(values), n_permutations, seed)
    p_value, p_fwer = _flip(values, signs, exact)
    interval = bootstrap_interval(
        values, level=level, method="percentile", n_resamples=n_resamples, seed=seed
    )
    columns = {
        "difference": values.mean(axis=0),
        "lower": interval["lower"].values,
        "upper": interval["upper"].values,
        "p_value": p_value,
        "q_value": fdr(p_value, fdr_method),
        "p_fwer": p_fwer,
    }
    return xr.Dataset(
        {key: template.copy(data=col.reshape(template.shape)) for key, col in columns.items()},
        attrs={
            "kind": "estimate",
            "headline": "difference",
            "method": f"compare_models (over {over})",
            "metric": result_a.attrs["metric"],
            "model_a": str(result_a.attrs["model"]),
            "model_b": str(result_b.attrs["model"]),
            "generalises_to": speaks_of,
            "level": level,
            "n_units": len(values),
            "n_permutations": len(signs),
            "fdr_method": fdr_method,
            "seed": seed,
        },
    )


def _check_pair(a: xr.Dataset, b: xr.Dataset) -> None:
    """Check that two results speak of the same neuroids, folds and metric."""
    for name, result in (("result_a", a), ("result_b", b)):
        if not isinstance(result, xr.Dataset):
            raise SchemaError(
                f"{name}: expected a Dataset of kind 'encoding', got {type(result).__name__}. "
                "Compare two results at a time, as cross_validate returned them."
            )
        if "score" not in result or "metric" not in result.attrs:
            raise SchemaError(
                f"{name}: expected a result of kind 'encoding', got {some(result.data_vars)}. "
                "Pass what cross_validate returned."
            )
    if a.attrs["metric"] != b.attrs["metric"]:
        raise AlignError(
            f"result_b: expected metric '{a.attrs['metric']}' as in result_a, got "
            f"'{b.attrs['metric']}'. Score both by the same."
        )
    if a["score"].dims != b["score"].dims:
        raise AlignError(
            f"result_b: expected dims {a['score'].dims} as in result_a, got {b['score'].dims}. "
            "Evaluate both on the same responses."
        )
    for dim in map(str, a["score"].dims):
        if not np.array_equal(a[dim].values, b[dim].values):
            raise AlignError(
                f"result_b: expected the '{dim}' of result_a, got others ({some(b[dim].values)}). "
                "Compare models of the same responses and folds."
            )


def _blank(score: xr.DataArray, *dims: str) -> xr.DataArray:
    """Take the labels that stay when dims go."""
    return score.isel(dict.fromkeys(dims, 0), drop=True).drop_attrs()


def _pair_folds(a: xr.Dataset, b: xr.Dataset, _responses: Any, _by: str) -> Pairs:
    difference = (a["score"] - b["score"]).values
    return Pairs(
        difference.reshape(len(difference), -1),
        _blank(a["score"], "fold"),
        "orientation only: folds share training rows",
    )


def _pair_neuroids(a: xr.Dataset, b: xr.Dataset, _responses: Any, _by: str) -> Pairs:
    difference = average_score(a) - average_score(b)
    values = difference.values.reshape(difference.sizes["neuroid"], -1)
    scored = np.isfinite(values).all(axis=1)
    return Pairs(
        values[scored],
        _blank(difference, "neuroid"),
        "other neuroids of the same brains and stimuli, were they independent",
    )


def _pair_subjects(a: xr.Dataset, b: xr.Dataset, _responses: Any, _by: str) -> Pairs:
    if "subject" not in a.coords or a["subject"].dims != ("neuroid",):
        raise SchemaError(
            f"result_a: expected coord 'subject' on 'neuroid', got {some(a.coords)}. Assign it to "
            "compare over subjects."
        )
    difference = average_score(a) - average_score(b)
    means = difference.groupby("subject").mean(skipna=True)
    return Pairs(
        means.values.reshape(means.sizes["subject"], -1),
        _blank(difference, "neuroid"),
        "new subjects, on these stimuli",
    )


def _pair_stimuli(a: xr.Dataset, b: xr.Dataset, responses: xr.DataArray | None, by: str) -> Pairs:
    if responses is None:
        raise ValueError(
            "responses: expected the responses that were cross-validated to compare over "
            "stimuli, got None. Pass them, or choose another over=."
        )
    contribute = choose(CONTRIBUTIONS, str(a.attrs["metric"]), "result_a.attrs['metric']")
    if by not in responses.coords or responses[by].dims != ("sample",):
        raise AlignError(
            f"by: expected a coord on 'sample' of responses, got '{by}' (there are "
            f"{some(responses.coords)}). Name what was drawn independently."
        )
    first, observed = find_predictions(a, responses, "result_a")
    second, _ = find_predictions(b, responses, "result_b")
    held = np.unique(a["held_out_in"].values, return_inverse=True)[1]
    if not np.array_equal(a["held_out_in"].values, b["held_out_in"].values):
        raise AlignError(
            "result_b: expected the folds of result_a, got rows held out elsewhere. Use the same "
            "group, n_splits and seed."
        )
    rows = np.zeros_like(observed)
    known = np.isfinite(observed)
    folds = [np.flatnonzero(held == fold) for fold in range(int(held.max()) + 1)]
    # A fold scores the targets that have two rows in it; these folds count alike in the mean.
    n_folds = sum((known[own].sum(axis=0) > 1).astype(np.intp) for own in folds)
    for own in folds:
        for there, columns in group_missing(known[own]):
            if there.sum() < 2:
                continue
            place = np.ix_(own[there], columns)
            with np.errstate(invalid="ignore", divide="ignore"):
                gain = contribute(observed[place], first[place])
                gain = gain - contribute(observed[place], second[place])
            rows[place] = gain * (len(rows) / np.asarray(n_folds)[columns] / there.sum())
    rows[:, np.asarray(n_folds) == 0] = np.nan
    codes = np.unique(responses[by].values, return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    total = np.zeros((n_units, rows.shape[1]))
    np.add.at(total, codes, rows)
    return Pairs(
        total * (n_units / len(rows)),
        _blank(a["score"], "fold"),
        f"new units of '{by}', for the models as fitted",
    )


UNITS: dict[str, Callable[[xr.Dataset, xr.Dataset, xr.DataArray | None, str], Pairs]] = {
    "stimulus": _pair_stimuli,
    "subject": _pair_subjects,
    "neuroid": _pair_neuroids,
    "fold": _pair_folds,
}


def _standardise(values: Array) -> Array:
    centred = values - values.mean(axis=0)
    return np.asarray(centred / centred.std(axis=0))


def _multiply(observed: Array, guess: Array) -> Array:
    """Row contributions whose mean is the correlation: r plus its influence function."""
    y, p = _standardise(observed), _standardise(guess)
    r = (y * p).mean(axis=0)
    return np.asarray(r + y * p - r / 2 * (y**2 + p**2))


def _fit(observed: Array, guess: Array) -> Array:
    """Row contributions whose mean is the share of variance explained, likewise."""
    lost = (observed - guess) ** 2 / observed.var(axis=0)
    return np.asarray(1 - lost + lost.mean(axis=0) * (_standardise(observed) ** 2 - 1))


CONTRIBUTIONS: dict[str, Callable[[Array, Array], Array]] = {"pearson": _multiply, "r2": _fit}


def _draw_signs(n: int, n_permutations: int, seed: int) -> tuple[Array, bool]:
    """Draw sign flips (flip, unit), or list them all where they are few."""
    if n <= ENUMERATED_UNITS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return 1.0 - 2.0 * bits, True
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], size=(n_permutations, n)), False


def _flip(values: Array, signs: Array, exact: bool) -> tuple[Array, Array]:
    """Two-sided p of each target, and by the largest of all targets."""
    observed = np.abs(values.mean(axis=0))
    # Studentised, so that the largest over targets is not that of the noisiest.
    scale = np.sqrt((values**2).mean(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        ranked = observed / scale
        reached, top = np.zeros(values.shape[1]), np.zeros(len(signs))
        step = max(1, CHUNK // len(signs))
        for start in range(0, values.shape[1], step):
            chunk = slice(start, start + step)
            null = np.abs(signs @ values[:, chunk]) / len(values) / scale[chunk]
            # Sums of the same flips in another order differ in the last bits: they are ties.
            reached[chunk] = (null >= ranked[chunk] * (1 - 1e-9)).sum(axis=0)
            top = np.fmax(top, np.nanmax(null, axis=1, initial=0.0))
    reached_max = len(top) - np.searchsorted(np.sort(top), ranked * (1 - 1e-9), side="left")
    # The list of all flips holds the observed one already.
    extra = 0 if exact else 1
    known = np.isfinite(ranked)
    p_value = np.where(known, (reached + extra) / (len(signs) + extra), np.nan)
    return p_value, np.where(known, (reached_max + extra) / (len(signs) + extra), np.nan)
