"""Encode the same responses from every layer of a model, doing once what layers share."""

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance, schema, scores
from neuroalign._arrays import copy_geometry, describe
from neuroalign.convergence._shared import make_design, score_layers
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.evaluate._ceilings import find_ceiling
from neuroalign.evaluate._checks import (
    check_arguments,
    check_finite,
    check_overlap,
    check_rows,
    check_targets,
    join_history,
    warn_shuffled,
)
from neuroalign.evaluate._splits import find_inner, split_rows
from neuroalign.evaluate.cross_validation import cross_validate

Array = npt.NDArray[Any]


def encode_layers(
    features: Mapping[str, xr.DataArray],
    responses: xr.DataArray,
    encoder: Any = None,
    *,
    group: str | None = "run",
    n_splits: int | None = None,
    gap: float = 0.0,
    n_repeats: int = 1,
    on: str | tuple[str, ...] = "stimulus",
    metric: str = "pearson",
    ceiling: str | xr.DataArray | None = "split_half",
    allow_shared_stimuli: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Cross-validate an encoder from every layer to every neuroid.

    Parameters
    ----------
    features : mapping of str to DataArray (sample, feature)
        Layer to its features, in order of depth; rows labelled as the responses.
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
    encoder : estimator, optional
        ``Ridge()`` when None. What follows about sharing holds for a ``Ridge`` with one penalty a
        neuroid; any other estimator or pipeline is cross-validated layer by layer.
    group, n_splits, gap, n_repeats, on, metric, ceiling, allow_shared_stimuli, seed
        As in `neuroalign.evaluate.cross_validate`; all layers have the same folds.
    progress : bool

    Returns
    -------
    Dataset
        ``score`` and ``alpha`` (layer, fold, neuroid[, time]), ``mean_score``
        (layer, neuroid[, time]), ``ceiling`` (neuroid[, time]), a share of variance; coord
        ``depth`` (layer), from 0 at the first layer to 1 at the last. The numbers are those of
        `cross_validate` of each layer.

    Raises
    ------
    AlignError, LeakageError, SchemaError, ValueError

    Notes
    -----
    Folds, checks, hashes, ceilings and averages of targets are made once. Rows of one stimulus
    that no fold parts are fitted as one row that weighs as many: squared errors of repeats differ
    from those of their mean by a constant, so penalties and weights are the same, and with R
    repeats products cost 1 / R^2. A layer with more features than rows enters as the root of its
    n x n kernel, made once and not once a fold, and predictions need no weights of features.
    What remains is the product of each layer's filters with the targets, which layers cannot
    share: it bounds the gain where nothing is repeated and layers are narrower than the rows.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=4, snr=2.0)
    >>> layers = {"early": data.features[:, :10], "late": data.features}
    >>> result = encode_layers(layers, data.responses, ceiling=None)
    >>> bool((result["mean_score"].sel(layer="late") > 0.5).all())
    True
    """
    encoder = Ridge() if encoder is None else encoder
    _check_layers(features)
    for layer in features.values():
        check_arguments(encoder, layer, n_splits, 0, n_repeats)
        check_rows(layer, responses, on)
        check_finite(layer, "features")
    schema.check_responses(responses)
    scores.choose_metric(metric)
    missing = check_targets(encoder, responses, 0)
    first = next(iter(features.values()))
    folds, labels = split_rows(responses, group, n_splits, gap, n_repeats, seed)
    check_overlap(first, responses, folds, allow_shared_stimuli)
    messages: list[str] = []
    turned = _check_depth(features)
    if isinstance(encoder, Ridge) and encoder.alpha_per == "neuroid" and not missing:
        design = make_design(encoder, features, responses, folds, find_inner(responses, group))
        found, messages = score_layers(encoder, features, responses, design, metric, progress)
        messages += warn_shuffled(responses, folds)
        shape = (len(found), len(folds), *responses.shape[1:])
        parts = {
            name: np.reshape(
                [[getattr(fold, name) for fold in one] for one in found.values()], shape
            )
            for name in ("score", "alpha")
        }
        edges = np.array([[fold.edges for fold in one] for one in found.values()])
        n_fitted = len(design.rows.first)
    else:
        results = [
            cross_validate(
                encoder, layer, responses, group=group, n_splits=n_splits, gap=gap,
                n_repeats=n_repeats, on=on, metric=metric, ceiling=None,
                allow_shared_stimuli=allow_shared_stimuli, seed=seed,
            )
            for layer in tqdm(features.values(), desc="layers", disable=not progress)
        ]  # fmt: skip
        names = [name for name in ("score", "alpha") if name in results[0]]
        parts = {name: np.stack([one[name].values for one in results]) for name in names}
        edges, n_fitted = None, responses.sizes["sample"]
        messages = list(dict.fromkeys(str(one.attrs["warnings"]) for one in results))
    messages += turned

    names = list(features)
    result = xr.Dataset(
        {
            name: (("layer", "fold", *map(str, responses.dims[1:])), values)
            for name, values in parts.items()
        },
        coords={
            "layer": names,
            "depth": ("layer", np.linspace(0, 1, len(names))),
            "fold": labels,
            **describe(responses).coords,
        },
    )
    result["mean_score"] = result["score"].mean("fold", skipna=bool(missing))
    result["ceiling"] = find_ceiling(ceiling, responses, seed)
    if edges is not None:
        result["edge_low"] = (("layer", "fold"), edges[..., 0])
        result["edge_high"] = (("layer", "fold"), edges[..., 1])
    result.attrs = {
        "kind": "estimate",
        "method": "encode_layers",
        "metric": metric,
        "model": " ".join(repr(encoder).split()),
        "seed": seed,
        "headline": "mean_score",
        "verdict": _judge(result["mean_score"], metric),
        "n_samples": responses.sizes["sample"],
        "n_fitted_rows": n_fitted,
        "warnings": "\n".join(filter(None, messages)),
        "history": join_history(first, responses),
        "provenance": provenance.collect(
            {
                "encoder": " ".join(repr(encoder).split()),
                "group": group or "",
                "n_splits": n_splits or 0,
                "gap": gap,
                "n_repeats": n_repeats,
                "on": on if isinstance(on, str) else list(on),
                "metric": metric,
                "ceiling": ceiling if isinstance(ceiling, str) else type(ceiling).__name__,
                "allow_shared_stimuli": allow_shared_stimuli,
                "seed": seed,
            },
            {"responses": provenance.hash_array(responses)}
            | {f"features {name}": provenance.hash_array(one) for name, one in features.items()},
        ),
    }
    for name in map(str, result.data_vars):
        result[name] = copy_geometry(responses, result[name])
    return schema.check_estimate(copy_geometry(responses, result))


def _judge(scores: xr.DataArray, metric: str) -> str:
    means = scores.mean([dim for dim in scores.dims if dim != "layer"]).values
    if not np.isfinite(means).any():
        return f"{len(means)} layers: no neuroid has a score."
    best = int(np.nanargmax(means))
    return (
        f"{len(means)} layers, {scores.sizes['neuroid']} neuroids: mean {metric} highest at "
        f"'{scores['layer'].values[best]}', {means[best]:.3f}."
    )


def _check_depth(features: Mapping[str, xr.DataArray]) -> list[str]:
    """Say that layers of one network do not stand as the network lists them."""
    marks = [one.attrs.get("layer_order", np.nan) for one in features.values()]
    if len({one.attrs.get("model") for one in features.values()}) > 1:
        return []
    names = list(features)
    for place, (one, two) in enumerate(pairwise(map(float, marks))):
        # Features without a mark are NaN, and never less.
        if two < one:
            said = (
                f"features: expected layers in order of depth, got '{names[place]}' before "
                f"'{names[place + 1]}', which the network lists first. Spatial and temporal scores "
                "take the order given for depth: sort the layers if it is not meant."
            )
            warnings.warn(said, NeuroalignWarning, stacklevel=3)
            return [said]
    return []


def _check_layers(features: Mapping[str, xr.DataArray]) -> None:
    if not isinstance(features, Mapping) or not features:
        what = "an empty one" if isinstance(features, Mapping) else type(features).__name__
        raise SchemaError(
            f"features: expected a mapping of layer to DataArray (sample, feature), got {what}. "
            "Pass what features.extract returned."
        )
    for name, layer in features.items():
        if not isinstance(layer, xr.DataArray):
            raise SchemaError(
                f"features['{name}']: expected a DataArray (sample, feature), got "
                f"{type(layer).__name__}. Label it with loaders.features_from_arrays."
            )
