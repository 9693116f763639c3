"""Find by how many seconds marked events and measured responses are apart."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._folds import make_folds
from neuroalign._gram import factorise_folds
from neuroalign._linalg import shrink
from neuroalign.align.resampling import check_timed, convolve_hrf
from neuroalign.errors import AlignError, NeuroalignWarning
from neuroalign.scores import pearson

Array = npt.NDArray[Any]
# Penalties tried, in units of the mean eigenvalue of the regressors.
PENALTIES = (1e-3, 1.0, 1e3)
REACH = 10.0
# [s] by which the best lag may differ between runs left out, as of half a haemodynamic delay.
SPREAD = 3.0


def estimate_lag(
    features: xr.DataArray,
    responses: xr.DataArray,
    *,
    lags: Sequence[float] | None = None,
    hrf: str = "glover",
    n_best: int = 50,
) -> xr.Dataset:
    """Shift the events until their haemodynamic course predicts unseen runs best.

    Labels are often late or early by seconds: volumes dropped at the start, onsets already moved
    for the haemodynamic delay, another clock. A shift of half the delay costs half the score.

    Parameters
    ----------
    features : DataArray (sample, feature)
        With ``run``, ``onset`` and ``duration``; see `events_to_features`.
    responses : DataArray (sample, neuroid)
        Volumes of at least two runs, without trend or offset between runs. Pass training runs only
        when the lag serves a test on others.
    lags : sequence of float, optional
        [s]; from -10 to 10 in steps of one response sample when not given.
    hrf : {"glover", "spm"}
    n_best : int
        A lag is judged by the mean score of its best neuroids, since most may not respond.

    Returns
    -------
    Dataset
        ``score`` (fold, lag): Pearson r on the held-out run, mean over the best neuroids at that
        lag; ``fold_lag`` (fold): the best lag [s] when that run is left out of the mean, whose
        spread says how sure the estimate is. ``attrs['lag']`` [s] is the best of the mean.

    Raises
    ------
    AlignError
        With fewer than two runs, or without times.
    ValueError

    Warns
    -----
    NeuroalignWarning
        When the best lag is at an end of ``lags``, or changes by more than `SPREAD` seconds with
        the run that is left out, as it does in two of three recordings of mere noise.

    Notes
    -----
    The fit at each lag is ridge regression, leaving one run out, at the one of three penalties
    that predicts best.

    Examples
    --------
    >>> import pandas as pd
    >>> from neuroalign.align import convolve_hrf, events_to_features
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> onset = np.tile(2.0 * np.arange(100), 2)
    >>> clock = {"run": np.repeat(["run-01", "run-02"], 100), "onset": onset}
    >>> bold = from_arrays(rng.normal(size=(200, 3)), modality="fmri", sampling_rate=0.5, **clock)
    >>> shown = np.sort(rng.choice(np.arange(10.0, 170.0, 4.0), 15, replace=False))
    >>> events = events_to_features(
    ...     [pd.DataFrame({"onset": shown, "duration": 1.0, "stimulus": "tone"})] * 2
    ... )
    >>> late = convolve_hrf(events, bold, lag=4.0).values  # what is shown comes 4 s late
    >>> answer = bold.copy(data=bold.values * 0.02 + late)
    >>> estimate_lag(events, answer).attrs["lag"]
    4.0
    """
    check_timed(responses, "responses", ("onset",))
    if responses.dims != ("sample", "neuroid"):
        raise AlignError(
            f"responses: expected dims ('sample', 'neuroid'), got {responses.dims}. "
            "Average over time, or select one."
        )
    run = responses["run"].values
    if len(np.unique(run)) < 2:
        raise AlignError(
            f"responses: expected two or more runs to hold one out, got {len(np.unique(run))}. "
            "Load more runs."
        )
    tried = _default_lags(responses) if lags is None else np.asarray(lags, dtype=np.float64)
    if tried.ndim != 1 or not len(tried) or not np.isfinite(tried).all():
        raise ValueError(
            f"lags: expected one or more numbers of seconds, got {lags}. "
            "Pass such as np.arange(0, 8, 0.5)."
        )
    if n_best < 1:
        raise ValueError(f"n_best: expected at least 1 neuroid, got {n_best}. Pass 100, say.")
    folds = make_folds(len(run), groups=run, n_splits=len(np.unique(run)))
    values = responses.values.astype(np.float64)
    score = np.stack(
        [
            _score_lag(convolve_hrf(features, responses, hrf=hrf, lag=lag).values, values, folds)
            for lag in tried.tolist()
        ],
        axis=2,
    )
    # (penalty, fold, lag, neuroid): the best neuroids at each lag, by their mean over folds.
    n_best = min(n_best, values.shape[1])
    order = np.argsort(score.mean(axis=1), axis=2)[:, None, :, -n_best:]
    best = np.take_along_axis(score, order, axis=3).mean(axis=3)
    chosen = best[int(best.mean(axis=1).max(axis=1).argmax())]
    others = (chosen.sum(axis=0) - chosen) / (len(folds) - 1)
    names = ["+".join(np.unique(run[test]).tolist()) for _, test in folds]
    fold_lag, lag = tried[others.argmax(axis=1)], float(tried[chosen.mean(axis=0).argmax()])
    _warn_unsure(tried, lag, fold_lag, float(chosen.mean(axis=0).max()))
    return xr.Dataset(
        {
            "score": (("fold", "lag"), chosen),
            "fold_lag": ("fold", fold_lag),
        },
        coords={"fold": names, "lag": tried},
        attrs={
            "kind": "estimate",
            "method": "estimate_lag",
            "lag": lag,
            "hrf": hrf,
            "n_best": n_best,
        },
    )


def _warn_unsure(tried: Array, lag: float, fold_lag: Array, score: float) -> None:
    """Say so where the best lag may lie beyond those tried, or nowhere."""
    if len(tried) > 1 and lag in (tried.min(), tried.max()):
        warnings.warn(
            f"lags: expected the best lag between {tried.min():g} and {tried.max():g} s, got "
            f"{lag:g} s at the end (r = {score:.2f}). Pass wider lags, or check the onsets.",
            NeuroalignWarning,
            stacklevel=3,
        )
    low, high = float(fold_lag.min()), float(fold_lag.max())
    if high - low > SPREAD:
        warnings.warn(
            f"responses: expected runs to agree on the lag, got {low:g} to {high:g} s (r = "
            f"{score:.2f}). Check onsets and labels, or pass neuroids that answer the stimuli.",
            NeuroalignWarning,
            stacklevel=3,
        )


def _default_lags(responses: xr.DataArray) -> Array:
    one = responses["run"].values == responses["run"].values[0]
    step = float(np.median(np.diff(np.sort(responses["onset"].values[one]))))
    reach = int(REACH // step)
    return np.arange(-reach, reach + 1) * step


def _score_lag(regressors: Array, values: Array, folds: list[tuple[Array, Array]]) -> Array:
    """Score each penalty on each held-out run: (penalty, fold, neuroid)."""
    scores = np.zeros((len(PENALTIES), len(folds), values.shape[1]))
    for number, fold in enumerate(factorise_folds(regressors.astype(np.float64), folds)):
        known = values[fold.train]
        projected = fold.left.T @ (known - known.mean(axis=0))
        for row, share in enumerate(PENALTIES):
            scale = shrink(fold.values, share * float(fold.values.mean()))
            guess = (fold.held_out * scale) @ projected
            scores[row, number] = np.nan_to_num(pearson(values[fold.test], guess))
    return scores
