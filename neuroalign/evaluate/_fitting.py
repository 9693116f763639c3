"""Fit the folds of one cross-validation, and lay their scores side by side."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter
from tqdm import tqdm

from neuroalign import scores
from neuroalign._arrays import (
    describe,
    find_differing,
    list_row_keys,
    wrap_samples,
    wrap_weights,
)
from neuroalign._folds import Folds
from neuroalign.errors import some
from neuroalign.evaluate._pipelines import keep_labels

Array = npt.NDArray[Any]
WITH_WEIGHTS = ("Ridge", "BandedRidge", "FractionalRidge", "PoissonGLM", "TemporalReceptiveField")


def fit_fold(
    encoder: Any, features: xr.DataArray, targets: xr.DataArray, train: Array, inner: Array | None
) -> Any:
    """Fit a clone; an encoder that takes ``groups`` keeps them whole in its inner folds.

    Steps of a pipeline get back the labels that scikit-learn strips.
    """
    model = clone(encoder)
    model = keep_labels(model) if isinstance(model, Pipeline) else model
    options = pass_groups(model, None if inner is None else inner[train])
    # Rows were compared on what the caller chose; other labels may differ by right.
    differ = [
        key
        for key in list_row_keys(features, targets)
        if find_differing(features, targets, key).any()
    ]
    return model.fit(features[train], targets.drop_vars(differ)[train], **options)


def pass_groups(model: Any, groups: Array | None) -> dict[str, Array]:
    """Arguments of ``fit`` that keep groups whole in inner folds; none where it takes none."""
    name, last = model.steps[-1] if hasattr(model, "steps") else ("", model)
    if groups is None or not has_fit_parameter(last, "groups") or len(np.unique(groups)) < 2:
        return {}
    return {f"{name}__groups" if name else "groups": groups}


def run_folds(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    folds: Folds,
    inner: Array | None,
    metric: str,
    with_weights: bool,
    progress: bool,
) -> tuple[list[dict[str, Any]], xr.DataArray, list[str]]:
    """Fit and score each fold; gather predictions of all test rows, and what was warned."""
    template, parts = describe(responses), []
    predicted, times = np.zeros_like(responses.values), np.zeros(responses.sizes["sample"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for train, test in tqdm(folds, desc="folds", disable=not progress):
            model = fit_fold(encoder, features, responses, train, inner)
            values = np.asarray(model.predict(features[test]))
            if values.shape != (len(test), *responses.shape[1:]):
                raise ValueError(
                    f"encoder: expected predictions of shape {(len(test), *responses.shape[1:])}, "
                    f"got {values.shape}. Use an encoder that predicts every target."
                )
            # Repeated splits test a row several times: its prediction is the mean of them.
            predicted[test] += values
            times[test] += 1
            observed = responses[test]
            guess = wrap_samples(values.astype(responses.dtype), observed, template)
            parts.append(_describe_fold(model, observed, guess, metric))
            if with_weights:
                parts[-1]["weights"] = _read_weights(model, features[test], template)
    messages: list[str] = []
    for warning in caught:
        if str(warning.message) not in messages:
            messages.append(str(warning.message))
            warnings.warn(str(warning.message), warning.category, stacklevel=3)
    predicted /= times.astype(predicted.dtype).reshape(-1, *[1] * (predicted.ndim - 1))
    return parts, wrap_samples(predicted, responses, template), messages


def score_known(observed: xr.DataArray, guess: xr.DataArray, metric: str) -> Array:
    """Score each neuroid (and time) on the rows it has; NaN with fewer than two."""
    missing = np.isnan(observed.values).reshape(len(observed), -1)
    if not missing.any():
        return scores.score(observed, guess, metric=metric).values
    values, fitted = (array.values.reshape(len(array), -1) for array in (observed, guess))
    found = np.full(values.shape[1], np.nan)
    patterns, member = np.unique(missing, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        place = np.ix_(~pattern, member.ravel() == number)
        if len(pattern) - pattern.sum() > 1:
            found[place[1][0]] = scores.METRICS[metric](values[place], fitted[place])
    return found.reshape(observed.shape[1:])


def average_folds(score: xr.DataArray, responses: xr.DataArray, folds: Folds) -> xr.DataArray:
    """Average over the folds in which a neuroid (and time) has rows to be scored on."""
    counts = [np.isfinite(responses.values[test]).sum(axis=0) for _, test in folds]
    known = score.copy(data=np.stack(counts) > 1)
    n_known = known.sum("fold")
    return score.where(known, 0.0).sum("fold", skipna=False) / n_known.where(n_known > 0)


def _describe_fold(
    model: Any, observed: xr.DataArray, guess: xr.DataArray, metric: str
) -> dict[str, Any]:
    """Read the score of one fold and what its last step learnt."""
    last = model[-1] if hasattr(model, "steps") else model
    part: dict[str, Any] = {"score": score_known(observed, guess, metric)}
    alpha = np.asarray(getattr(last, "alpha_", np.nan))
    if alpha.shape == guess.shape[1:]:
        part["alpha"] = alpha
    for name in ("edge_low_", "edge_high_"):
        if hasattr(last, name):
            part[name] = float(getattr(last, name))
    return part


def _read_weights(model: Any, inputs: xr.DataArray, template: xr.DataArray) -> xr.DataArray:
    """Read the weights of the last step, or ``coef_`` of a linear one: (feature, ...)."""
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(last, "weights_"):
        labelled: xr.DataArray = last.weights_
        return labelled
    known = model[:-1].transform(inputs) if hasattr(model, "steps") and len(model) > 1 else inputs
    coef = np.asarray(getattr(getattr(last, "estimator_", last), "coef_", np.nan))
    n_features, n_targets = known.shape[1], int(np.prod(template.shape[1:]))
    alone = n_targets == 1 and coef.shape == (n_features,)
    if coef.shape != (n_targets, n_features) and not alone:
        raise ValueError(
            f"keep: expected an encoder with weights_ for 'weights' ({some(WITH_WEIGHTS)}), or a "
            f"linear one of scikit-learn whose coef_ is (neuroid, feature), got "
            f"{type(last).__name__}. Drop 'weights' from keep."
        )
    columns = describe(known) if isinstance(known, xr.DataArray) else None
    return wrap_weights(coef.T.reshape(n_features, *template.shape[1:]), columns, template)


def stack_folds(
    parts: list[dict[str, Any]], labels: list[str], responses: xr.DataArray
) -> xr.Dataset:
    """Lay the folds side by side, with the labels of neuroids and times."""
    template = describe(responses)
    dims = ("fold", *map(str, responses.dims[1:]))
    result = xr.Dataset(coords={"fold": labels, **template.coords})
    for name in ("score", "alpha"):
        if name in parts[0]:
            result[name] = (dims, np.stack([part[name] for part in parts]))
    if "weights" in parts[0]:
        stacked = xr.concat([part["weights"] for part in parts], "fold")
        result["weights"] = stacked.assign_coords(fold=labels).drop_attrs()
    for name in ("edge_low_", "edge_high_"):
        if name in parts[0]:
            result.attrs[name.rstrip("_")] = [part[name] for part in parts]
    return result
