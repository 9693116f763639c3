"""Predictivity corrected for the noise of the responses and of the fitted map."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance, schema
from neuroalign._arrays import copy_geometry, describe, names_conditions
from neuroalign._folds import make_folds
from neuroalign.ceilings._repeats import predict_reliability
from neuroalign.errors import SchemaError, some
from neuroalign.evaluate._checks import (
    check_arguments,
    check_finite,
    check_rows,
    join_history,
)
from neuroalign.evaluate._fitting import fit_fold
from neuroalign.evaluate._halves import (
    average_repeats,
    describe_unreliable,
    divide,
    draw_halves,
    measure_growth,
    warn_unreliable,
)
from neuroalign.scores import pearson

Array = npt.NDArray[Any]


def correct_consistency(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    *,
    n_splits: int = 5,
    n_halves: int = 10,
    min_consistency: float = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Correlation with held-out averages, over the consistency of responses and of predictions.

    Parameters
    ----------
    encoder : estimator
        Fitted to the average of all repeats, and to the averages of two random halves of them.
    features : DataArray (sample, feature)
        Rows of one stimulus must be alike.
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Single presentations with ``stimulus``, each shown twice at least.
    n_splits : int
        Folds of whole stimuli.
    n_halves : int
        Random halves of the repeats. Their half correlations are averaged before the division: a
        mean of ratios is ruled by halves that agree by chance least.
    min_consistency : float
        ``normalized_score`` is NaN where the consistency of responses or of predictions (both
        after Spearman-Brown) is below: there the ratio is no measurement.
    seed : int
    progress : bool

    Returns
    -------
    Dataset
        Kind encoding, over (fold, neuroid[, time]): ``score``, r of predictions with the average;
        ``response_consistency`` and ``prediction_consistency``; ``normalized_score``, r / sqrt of
        their product, never clipped. Over (neuroid[, time]): ``mean_score``;
        ``mean_normalized_score``, the mean r over the root of the mean consistencies, NaN below
        the threshold. ``attrs['n_unreliable']`` counts those (neuroids and times), and
        ``attrs['warnings']`` names them.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Warns
    -----
    NeuroalignWarning
        When neuroids (or times) have no corrected score; says how many and which.

    Notes
    -----
    r = corr(p, y) / sqrt(SB[corr(p1, p2)] SB[corr(y1, y2)]) with SB(r) = k r / (1 + (k - 1) r), all
    on held-out stimuli; p, p1, p2 are predictions of the maps fitted to the average and its halves.
    k = 2, as published, for even numbers of repeats; of odd ones a half lacks one repeat, and k is
    by how much its noise variance exceeds that of the average of all (3 for three repeats).
    It estimates the correlation of signals under two assumptions: noise of the halves is
    independent, and the maps of the halves differ from that of the average by noise alone. A
    penalty chosen anew for each half breaks the second: halves are noisier and shrink more. What
    is corrected for is noise in the map, not a map too poor for want of stimuli: few training
    stimuli lower the corrected value too.

    With 400 stimuli, 6 repeats, 8 features and a planted correlation of 0.7 it gives 0.71 at a
    signal-to-noise variance of 0.1 (raw r 0.42), 0.70 at 0.3, 0.70 at 1 to 10. At 0.01 it fails:
    three quarters of neuroids fall below ``min_consistency``, and those left are 0.49 on average,
    picked by noise in the denominator. Distrust it where ``n_unreliable`` is large.

    References
    ----------
    Nayebi, Rajalingham, Jazayeri & Yang (2023), NeurIPS 36, arXiv:2305.11772.

    Examples
    --------
    >>> from neuroalign.align import match
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> rng = np.random.default_rng(0)
    >>> X, names = rng.normal(size=(60, 4)), [f"image-{n}" for n in range(60)]
    >>> signal = X @ rng.normal(size=(4, 3))
    >>> values = np.concatenate([signal + 2 * rng.normal(size=signal.shape) for _ in range(6)])
    >>> responses = from_arrays(values, modality="spikes", stimulus=names * 6)
    >>> features = features_from_arrays(X, stimulus=names)
    >>> data = match(features, responses)
    >>> found = correct_consistency(Ridge(1.0), data.features, data.responses, n_halves=3)
    >>> bool((found["mean_normalized_score"] > 0.85).all())
    True
    """
    check_arguments(encoder, features, n_splits)
    schema.check_responses(responses)
    if not 0 <= min_consistency < 1:
        raise ValueError(
            f"min_consistency: expected 0 to below 1, got {min_consistency}. 0.1 is usual."
        )
    if n_halves < 1:
        raise ValueError(f"n_halves: expected at least 1 random half, got {n_halves}. Use 10.")
    check_rows(features, responses, "stimulus")
    check_finite(features, "features")
    check_finite(responses, "responses")
    names, first, codes = _group(features, responses)
    rng = np.random.default_rng(seed)
    stimuli = features[first]
    full = average_repeats(responses, codes, np.ones(len(codes), dtype=bool), names)
    halves = [draw_halves(responses, codes, names, rng) for _ in range(n_halves)]
    folds = make_folds(len(names), groups=names, n_splits=n_splits, seed=seed, shuffle_groups=True)
    parts = []
    for train, test in tqdm(folds, desc="folds", disable=not progress):
        guess = _predict(encoder, stimuli, full, train, test)
        model, data = [], []
        for one, two in halves:
            pair = [_predict(encoder, stimuli, half, train, test) for half in (one, two)]
            model.append(pearson(*pair))
            data.append(pearson(one.values[test], two.values[test]))
        parts.append([pearson(guess, full.values[test]), np.mean(model, 0), np.mean(data, 0)])
    result = _wrap(
        np.array(parts), features, responses, encoder, min_consistency, n_halves, seed,
        measure_growth(codes),
    )  # fmt: skip
    warn_unreliable(result.attrs.get("warnings", ""))
    return result


def _group(features: xr.DataArray, responses: xr.DataArray) -> tuple[Array, Array, Array]:
    """Name each stimulus, its first row, and the stimulus of each row."""
    if "stimulus" not in responses.coords or names_conditions(responses):
        raise SchemaError(
            f"responses: expected presentations named by 'stimulus', got "
            f"{some(responses.coords)}. Estimate one response a presentation first."
        )
    names, first, codes, counts = np.unique(
        responses["stimulus"].values, return_index=True, return_inverse=True, return_counts=True
    )
    if counts.min() < 2:
        rare = names[counts < 2]
        raise SchemaError(
            f"responses: expected every stimulus twice or more, got {len(rare)} shown once "
            f"({some(rare)}). Drop those."
        )
    if not np.array_equal(features.values, features.values[first][codes]):
        raise SchemaError(
            "features: expected the same features in every row of a stimulus, got others. "
            "Average them, or name what differs as another stimulus."
        )
    return names, first, codes


def _predict(
    encoder: Any, features: xr.DataArray, targets: xr.DataArray, train: Array, test: Array
) -> Array:
    guess = np.asarray(fit_fold(encoder, features, targets, train, None).predict(features[test]))
    return guess.reshape(len(test), *targets.shape[1:])


def _name_targets(responses: xr.DataArray) -> Array:
    """Names (neuroid,) or (neuroid, time)."""
    names = responses["neuroid"].values.astype(str)
    if "time" not in responses.dims:
        return names
    steps = [f"time {index}" for index in range(responses.sizes["time"])]
    return np.array([[f"{name} at {step}" for step in steps] for name in names])


def _wrap(
    parts: Array,
    features: xr.DataArray,
    responses: xr.DataArray,
    encoder: Any,
    least: float,
    n_halves: int,
    seed: int,
    growth: float,
) -> xr.Dataset:
    r, halves = parts[:, 0], parts[:, 1:]
    model, data = np.moveaxis(predict_reliability(halves, growth), 1, 0)
    mean_model, mean_data = predict_reliability(halves.mean(axis=0), growth)
    overall = divide(r.mean(axis=0), mean_model, mean_data, least)
    rest = tuple(map(str, responses.dims[1:]))
    said = describe_unreliable(overall, _name_targets(responses), least, "responses")
    by_fold = {
        "score": r,
        "prediction_consistency": model,
        "response_consistency": data,
        "normalized_score": divide(r, model, data, least),
    }
    means = {"mean_score": r.mean(axis=0), "mean_normalized_score": overall}
    result = xr.Dataset(
        {name: (("fold", *rest), column) for name, column in by_fold.items()}
        | {name: (rest, column) for name, column in means.items()},
        coords={"fold": [f"fold-{i}" for i in range(len(r))], **describe(responses).coords},
        attrs={
            "kind": "encoding",
            "metric": "pearson",
            "method": "correct_consistency",
            "formula": "corr(p, y) / sqrt(SB[corr(p1, p2)] SB[corr(y1, y2)])",
            "model": " ".join(repr(encoder).split()),
            "seed": seed,
            "n_halves": n_halves,
            "min_consistency": least,
            "n_unreliable": int(np.isnan(overall).sum()),
            **({"warnings": said} if said else {}),
            "history": join_history(features, responses),
            "provenance": provenance.collect(
                {"n_splits": len(r), "n_halves": n_halves, "min_consistency": least, "seed": seed},
                {
                    "features": provenance.hash_array(features),
                    "responses": provenance.hash_array(responses),
                },
            ),
        },
    )
    for name in result.data_vars:
        result[name] = copy_geometry(responses, result[name])
    return schema.check_encoding(copy_geometry(responses, result))
