"""Scores in units of what could be explained, and how sure they are."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError, choose, some
from neuroalign.evaluate._ceilings import find_ceiling
from neuroalign.scores import choose_metric

Array = npt.NDArray[Any]
CHUNK = 4_000_000
# Scores of the same responses differ by less, even where predictions are kept in single precision.
SAME_SCORE = 1e-3


def _keep(ceiling: xr.DataArray) -> xr.DataArray:
    return ceiling


def _root(ceiling: xr.DataArray) -> xr.DataArray:
    return ceiling**0.5


# The ceiling is a share of variance: it divides r2, and its root divides r.
NORMALIZERS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {"pearson": _root, "r2": _keep}


def normalize_scores(
    result: xr.Dataset,
    *,
    ceiling: xr.DataArray | xr.Dataset | None = None,
    min_ceiling: float = 0.1,
) -> xr.Dataset:
    """Divide scores by what the noise allows.

    Parameters
    ----------
    result : Dataset
        Kind encoding, metric ``pearson`` or ``r2``.
    ceiling : DataArray or Dataset (neuroid[, time]), optional
        A share of variance, as functions of ``ceilings`` return it; that in ``result`` when None.
        A Dataset with ``lower`` and ``upper`` carries its uncertainty over.
    min_ceiling : float
        Where the ceiling is below, or not known, the ratio is no measurement and becomes NaN;
        ``attrs['n_below_ceiling']`` counts them. 0 keeps every positive ceiling.

    Returns
    -------
    Dataset
        The result with ``normalized_score`` (fold, neuroid[, time]) and ``mean_normalized_score``
        (neuroid[, time]): r / sqrt(ceiling), which is CC_norm under ``signal_power``, or
        r2 / ceiling. Never clipped: above 1 by chance where ceilings are low. With a Dataset also
        ``normalized_lower`` and ``normalized_upper``: the mean score over the bounds of the
        ceiling, its uncertainty alone (`bootstrap_scores` gives that of the score).

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    Means of ratios are ruled by the lowest ceilings; report the plain scores beside them.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=60, n_features=5, n_neuroids=3)
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> result = cross_validate(Ridge(1.0), data.features, data.responses, ceiling=None)
    >>> half = xr.full_like(result["mean_score"], 0.5)
    >>> normal = normalize_scores(result, ceiling=half)
    >>> bool((normal["mean_normalized_score"] > result["mean_score"]).all())
    True
    """
    divide = choose(NORMALIZERS, str(result.attrs.get("metric", "")), "result.attrs['metric']")
    if not 0 <= min_ceiling < 1:
        raise ValueError(
            f"min_ceiling: expected a share of variance from 0 to below 1, got {min_ceiling}. "
            "0.1 is usual."
        )
    bounds = {}
    score = result["score"]
    if ceiling is None:
        if "ceiling" not in result:
            raise SchemaError(
                f"result: expected 'ceiling', got {some(result.data_vars)}. Pass ceiling=."
            )
        top = result["ceiling"]
    else:
        blank = score.rename(fold="sample").drop_vars("sample")
        top = find_ceiling(ceiling, blank, 0)
        if isinstance(ceiling, xr.Dataset) and {"lower", "upper"} <= set(ceiling.data_vars):
            bounds = {
                name: find_ceiling(ceiling[bound].rename("ceiling"), blank, 0)
                for name, bound in (("normalized_upper", "lower"), ("normalized_lower", "upper"))
            }
    kept = (top > 0) & (top >= min_ceiling)
    result = result.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        result["normalized_score"] = (score / divide(top.where(kept))).transpose(*score.dims)
        mean = average_score(result)
        result["mean_normalized_score"] = (mean / divide(top.where(kept))).transpose(*mean.dims)
        for name, bound in bounds.items():
            # A bound of 0 leaves the score without an upper bound, which infinity says.
            result[name] = (mean / divide(bound)).where(kept)
    if not bool(kept.any()):
        highest = f"{float(top.max()):.3f} at most" if bool(top.notnull().any()) else "none known"
        warnings.warn(
            f"ceiling: expected at least {min_ceiling} for some neuroids, got {highest}: every "
            "normalised score is NaN. Responses need repeats, or pass ceiling=.",
            NeuroalignWarning,
            stacklevel=2,
        )
    result.attrs |= {
        "min_ceiling": float(min_ceiling),
        "n_below_ceiling": int((~kept).sum()),
    }
    return result


def bootstrap_scores(
    result: xr.Dataset,
    responses: xr.DataArray,
    *,
    by: str = "stimulus",
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Interval of the mean score over resampled stimuli, runs or subjects.

    Parameters
    ----------
    result : Dataset
        Of `cross_validate` with ``keep=("prediction",)`` and ``n_repeats=1``; metric ``pearson``
        or ``r2``.
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        The very responses that were cross-validated.
    by : str
        Coord on ``sample``: rows of one label depend on each other and are drawn together.
        ``run`` for time series.
    level : float
    n_resamples : int
    seed : int

    Returns
    -------
    Dataset
        Over (neuroid[, time]): ``estimate``, the mean over folds; ``lower``, ``upper``
        (percentiles); ``standard_error``.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    Rows without a response (NaN, of an encoder with ``missing="drop"``) are left out for their
    neuroid. The encoders are not fitted again: it says what other *test* stimuli would have
    scored. Folds count by the rows drawn for them, so that whole runs can be drawn too.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=60, n_features=5, n_neuroids=3)
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> keep = {"ceiling": None, "keep": ["prediction"]}
    >>> result = cross_validate(Ridge(1.0), data.features, data.responses, **keep)
    >>> found = bootstrap_scores(result, data.responses, n_resamples=50)
    >>> bool((found["lower"] < found["upper"]).all())
    True
    """
    moments = choose(MOMENTS, str(result.attrs.get("metric", "")), "result.attrs['metric']")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}. 0.95 is usual.")
    guess, observed = find_predictions(result, responses, "result")
    if by not in responses.coords or responses[by].dims != ("sample",):
        raise AlignError(
            f"by: expected a coord on 'sample' of responses, got '{by}' (there are "
            f"{some(responses.coords)}). Name what was drawn independently."
        )
    codes = np.unique(responses[by].values, return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    if n_units < 2:
        raise ValueError(
            f"by: expected at least 2 different '{by}' to resample, got {n_units}. Use another."
        )
    rng = np.random.default_rng(seed)
    drawn_units = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_resamples)
    counts = np.concatenate([np.ones((1, n_units)), drawn_units])[:, codes]
    folds = np.unique(result["held_out_in"].values, return_inverse=True)[1]
    rows = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    step = max(1, CHUNK // len(counts))
    parts = []
    for start in range(0, observed.shape[1], step):
        chunk = slice(start, start + step)
        parts.append(_draw(moments, observed[:, chunk], guess[:, chunk], counts, rows))
    drawn = np.concatenate(parts, axis=1)
    low, high = (1 - level) / 2, (1 + level) / 2
    columns = {
        "estimate": drawn[0],
        "lower": np.quantile(drawn[1:], low, axis=0),
        "upper": np.quantile(drawn[1:], high, axis=0),
        "standard_error": drawn[1:].std(axis=0, ddof=1),
    }
    template = result["mean_score"]
    return xr.Dataset(
        {key: template.copy(data=col.reshape(template.shape)) for key, col in columns.items()},
        attrs={
            "kind": "estimate",
            "method": f"bootstrap_scores (by {by})",
            "metric": result.attrs["metric"],
            "level": level,
            "n_units": n_units,
            "n_resamples": n_resamples,
            "seed": seed,
        },
    )


def average_score(result: xr.Dataset) -> xr.DataArray:
    """Average over folds; where some had no rows to score, take the stored mean of the others."""
    mean = result["score"].mean("fold", skipna=False)
    return mean.fillna(result["mean_score"]) if "mean_score" in result else mean


def group_missing(known: Array) -> list[tuple[Array, Array]]:
    """Give each pattern of known rows (n,), and the columns of ``known`` (n, t) that have it."""
    if known.all():
        return [(np.ones(len(known), dtype=bool), np.arange(known.shape[1]))]
    patterns, member = np.unique(known, axis=1, return_inverse=True)
    return [
        (pattern, np.flatnonzero(member.ravel() == number))
        for number, pattern in enumerate(patterns.T)
    ]


def find_predictions(result: xr.Dataset, responses: xr.DataArray, name: str) -> tuple[Array, Array]:
    """Give predictions and responses (sample, target) of the same rows, checked."""
    if "prediction" not in result or "held_out_in" not in result.coords:
        raise SchemaError(
            f"{name}: expected 'prediction' of one split, got {some(result.data_vars)}. Run "
            "cross_validate with keep=('prediction',) and n_repeats=1."
        )
    guess = result["prediction"]
    if guess.dims != responses.dims or guess.shape != responses.shape:
        raise AlignError(
            f"responses: expected the shape {guess.shape} of predictions in {name}, got "
            f"{responses.shape}. Pass the responses that were cross-validated."
        )
    for coord in ("stimulus", "run", "onset", "neuroid"):
        if coord in guess.coords and coord in responses.coords:
            differs = guess[coord].values != responses[coord].values
            if differs.any():
                raise AlignError(
                    f"responses: expected the '{coord}' of predictions in {name}, got another in "
                    f"row {int(np.argmax(differs))}. Pass the responses that were cross-validated."
                )
    flat = (len(responses), -1)
    predicted = guess.values.reshape(flat).astype(np.float64)
    observed = responses.values.reshape(flat).astype(np.float64)
    _check_scored(result, predicted, observed, name)
    return predicted, observed


def _check_scored(result: xr.Dataset, predicted: Array, observed: Array, name: str) -> None:
    """Check that responses are those scored: labels may agree where values do not."""
    rows = result["held_out_in"].values == result["fold"].values[0]
    function = choose_metric(str(result.attrs["metric"]))
    again = np.full(observed.shape[1], np.nan)
    for there, columns in group_missing(np.isfinite(observed[rows])):
        place = np.ix_(np.flatnonzero(rows)[there], columns)
        if there.sum() > 1:
            again[columns] = function(observed[place], predicted[place])
    stored = result["score"].values[0].ravel()
    differs = ~np.isclose(again, stored, rtol=0, atol=SAME_SCORE, equal_nan=True)
    if differs.any():
        first = int(np.argmax(differs))
        raise AlignError(
            f"responses: expected those scored in {name}, got others: neuroid number {first} "
            f"scores {again[first]:.3f} in the first fold, and {stored[first]:.3f} in {name}. "
            "Pass the responses that were cross-validated."
        )


def _sum_known(counts: Array, known: Array) -> Array:
    """Sum counts (draw, row) over the known rows: (draw, target), or (draw, 1) where all are."""
    return counts.sum(axis=1, keepdims=True) if known.all() else np.asarray(counts @ known)


def _center(values: Array, known: Array) -> Array:
    """Take out the mean of the known rows; 0 in the others."""
    filled = np.where(known, values, 0.0)
    mean = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, values - mean, 0.0)


def _correlate(counts: Array, y: Array, guess: Array) -> Array:
    """Weighted correlation of each column: (draw, target)."""
    known = np.isfinite(y)
    total = np.maximum(_sum_known(counts, known), 1)
    y, guess = _center(y, known), _center(guess, known)
    mean_y, mean_g = counts @ y / total, counts @ guess / total
    cross = counts @ (y * guess) / total - mean_y * mean_g
    power = (counts @ y**2 / total - mean_y**2) * (counts @ guess**2 / total - mean_g**2)
    return np.asarray(np.clip(cross / np.sqrt(np.maximum(power, 0)), -1, 1))


def _explain(counts: Array, y: Array, guess: Array) -> Array:
    """Weighted share of variance explained in each column: (draw, target)."""
    known = np.isfinite(y)
    total = np.maximum(_sum_known(counts, known), 1)
    centred = _center(y, known)
    spread = counts @ centred**2 / total - (counts @ centred / total) ** 2
    return np.asarray(1 - (counts @ np.where(known, y - guess, 0.0) ** 2 / total) / spread)


MOMENTS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "pearson": _correlate,
    "r2": _explain,
}


def _draw(
    moments: Callable[[Array, Array, Array], Array],
    observed: Array,
    guess: Array,
    counts: Array,
    rows: list[Array],
) -> Array:
    """Mean over folds, each counting by its drawn rows; a fold with one row drawn counts not."""
    top, bottom = np.zeros((len(counts), observed.shape[1])), np.zeros((len(counts), 1))
    for fold in rows:
        drawn, known = counts[:, fold], np.isfinite(observed[fold])
        usable = _sum_known((drawn > 0).astype(np.float64), known) > 1
        n_known = np.maximum(known.sum(axis=0), 1) if not known.all() else len(fold)
        weight = np.where(usable, _sum_known(drawn, known) / n_known, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            score = moments(drawn, observed[fold], guess[fold])
        top += np.where(weight > 0, weight * score, 0.0)
        bottom = bottom + weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(top / bottom)
