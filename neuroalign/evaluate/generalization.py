"""Generalisation across time: weights learnt at one time, tested at all others.

To add a metric: a function of (observed, predicted), both (neuroid, sample, time), that gives
(neuroid, train_time, time), and its row in ``ACROSS_TIME``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import rankdata
from tqdm import tqdm

from neuroalign import provenance, schema, scores
from neuroalign._arrays import copy_geometry, describe
from neuroalign.errors import SchemaError, choose
from neuroalign.evaluate._checks import (
    check_arguments,
    check_finite,
    check_overlap,
    check_rows,
    join_history,
)
from neuroalign.evaluate._fitting import fit_fold
from neuroalign.evaluate._splits import find_inner, split_rows

Array = npt.NDArray[Any]


def generalize_time(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    *,
    group: str | None = "run",
    n_splits: int | None = None,
    n_repeats: int = 1,
    on: str | tuple[str, ...] = "stimulus",
    metric: str = "pearson",
    allow_shared_stimuli: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Fit an encoder at each time, and score its predictions at every time.

    A code that stays the same gives a square, one that moves on a diagonal.

    Parameters
    ----------
    encoder : estimator
        Fitted once a fold to all neuroids and times.
    features : DataArray (sample, feature)
    responses : DataArray (sample, neuroid, time)
        Rows labelled as the features, see ``align.match``.
    group, n_splits, n_repeats, on, allow_shared_stimuli, seed, progress
        As in `cross_validate`.
    metric : {"pearson", "spearman", "r2"}
        ``r2`` also asks that the size of the code stays the same.

    Returns
    -------
    Dataset
        ``score`` (fold, neuroid, train_time, time) and ``mean_score`` (neuroid, train_time, time).
        Where the two times agree it is the score of `cross_validate`. Neuroids that are constant
        at a time score NaN there.

    Raises
    ------
    AlignError
        When labels of features and responses differ.
    LeakageError
        When a fold tests a stimulus it trains on.
    SchemaError, ValueError

    References
    ----------
    King & Dehaene (2014), Trends Cogn. Sci. 18(4), doi:10.1016/j.tics.2014.01.002.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> rng = np.random.default_rng(0)
    >>> words, names = rng.normal(size=(100, 2)), [f"word-{i}" for i in range(100)]
    >>> stable = np.repeat(words[:, :1, None], 3, axis=2) + rng.normal(size=(100, 1, 3))
    >>> result = generalize_time(
    ...     Ridge(),
    ...     features_from_arrays(words, stimulus=names),
    ...     from_arrays(stable, modality="eeg", stimulus=names, time=[0.1, 0.2, 0.3]),
    ...     group=None,
    ... )
    >>> bool((result["mean_score"] > 0.4).all())
    True
    """
    check_arguments(encoder, features, n_splits, n_repeats=n_repeats)
    schema.check_responses(responses)
    if "time" not in responses.dims:
        raise SchemaError(
            f"responses: expected dims ('sample', 'neuroid', 'time'), got {responses.dims}. "
            "Use cross_validate where there is one time."
        )
    scores.choose_metric(metric)
    score = choose(ACROSS_TIME, metric, "metric")
    check_rows(features, responses, on)
    check_finite(features, "features")
    check_finite(responses, "responses")
    folds, labels = split_rows(responses, group, n_splits, 0.0, n_repeats, seed)
    check_overlap(features, responses, folds, allow_shared_stimuli)
    inner = find_inner(responses, group)

    shape = (len(folds), *responses.shape[1:], responses.sizes["time"])
    found = np.empty(shape)
    for number, (train, test) in enumerate(tqdm(folds, desc="folds", disable=not progress)):
        model = fit_fold(encoder, features, responses, train, inner)
        predicted = np.asarray(model.predict(features[test]))
        observed = responses.values[test]
        if predicted.shape != observed.shape:
            raise ValueError(
                f"encoder: expected predictions of shape {observed.shape}, got {predicted.shape}. "
                "Use an encoder that predicts every neuroid and time."
            )
        wide = (array.swapaxes(0, 1).astype(np.float64) for array in (observed, predicted))
        found[number] = score(*wide)

    known = describe(responses).coords
    result = xr.Dataset(
        {"score": (("fold", "neuroid", "train_time", "time"), found)},
        {"fold": labels, **known},
    )
    if "time" in known:
        result = result.assign_coords(train_time=known["time"].values)
    result["mean_score"] = result["score"].mean("fold", skipna=False)
    parameters: dict[str, str | float | bool | list[str]] = {
        "group": group or "",
        "n_splits": n_splits or 0,
        "n_repeats": n_repeats,
        "on": on if isinstance(on, str) else list(on),
        "metric": metric,
        "allow_shared_stimuli": allow_shared_stimuli,
        "seed": seed,
    }
    inputs = {
        "features": provenance.hash_array(features),
        "responses": provenance.hash_array(responses),
    }
    result.attrs |= {
        "kind": "generalisation",
        "metric": metric,
        "model": " ".join(repr(encoder).split()),
        "seed": seed,
        "n_samples": responses.sizes["sample"],
        "group": group or "",
        "n_repeats": n_repeats,
        "history": join_history(features, responses),
        "provenance": provenance.collect(parameters, inputs),
    }
    return schema.check_generalization(copy_geometry(responses, result))


def _pearson(observed: Array, predicted: Array) -> Array:
    """Correlate each predicted with each observed time: one product a neuroid."""
    r: Array = _standardise(predicted).swapaxes(1, 2) @ _standardise(observed)
    return np.clip(r, -1.0, 1.0)


def _standardise(values: Array) -> Array:
    """Centre over samples and scale to length 1; NaN where constant."""
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    constant = (values == values[:, :1]).all(axis=1, keepdims=True)
    scaled: Array = np.divide(centred, length, out=np.full_like(centred, np.nan), where=~constant)
    return scaled


def _spearman(observed: Array, predicted: Array) -> Array:
    return _pearson(rankdata(observed, axis=1), rankdata(predicted, axis=1))


def _r2(observed: Array, predicted: Array) -> Array:
    """One minus the squared error over that of the mean of the observed rows."""
    # About the level of the neuroid, so that little cancels below.
    level = observed.mean(axis=(1, 2), keepdims=True)
    mean = observed.mean(axis=1, keepdims=True) - level
    truth, guess = observed - level - mean, predicted - level
    total = (truth**2).sum(axis=1)
    # The prediction at one time, about the mean of another: |g - m_s|^2 - 2 g'(y - m) + |y - m|^2.
    shared = guess.sum(axis=1)[:, :, None] * mean
    about = (guess**2).sum(axis=1)[:, :, None] - 2 * shared + mean**2 * observed.shape[1]
    error = about - 2 * guess.swapaxes(1, 2) @ truth + total[:, None, :]
    constant = (observed == observed[:, :1]).all(axis=1)[:, None, :]
    share: Array = np.divide(
        error, total[:, None, :], out=np.full_like(error, np.nan), where=~constant
    )
    return 1.0 - share


ACROSS_TIME: dict[str, Callable[[Array, Array], Array]] = {
    "pearson": _pearson,
    "spearman": _spearman,
    "r2": _r2,
}
