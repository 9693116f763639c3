"""How well a model predicts the brain at all: the encoding score."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.convergence._correlation import draw_weights, find_bounds, state
from neuroalign.convergence.preferences import read_scores
from neuroalign.errors import AlignError, some
from neuroalign.evaluate.normalization import NORMALIZERS
from neuroalign.schema import check_estimate

Array = npt.NDArray[Any]


def encoding_score(
    result: xr.Dataset,
    *,
    kept: xr.DataArray | None = None,
    min_ceiling: float = 0.1,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Average the scores of layers over neuroids (and times).

    Parameters
    ----------
    result : Dataset
        Of `encode_layers`.
    kept : DataArray of bool (neuroid,), optional
        Neuroids to use.
    min_ceiling : float
        Neuroids whose ceiling is below enter no normalised mean.
    n_resamples : int
        Bootstrap draws over regions with their neuroids, or over neuroids without regions.
    level : float
    seed : int

    Returns
    -------
    Dataset
        Over (statistic,): ``score``, ``lower``, ``upper``, ``normalized`` (over the ceiling; NaN
        where it is unknown, in ``attrs['n_without_ceiling']`` neuroids). Statistics:
        ``best_of_mean``, the layer with the highest mean, the same for all neuroids;
        ``mean_of_best``, each neuroid at the layer that is best in the other folds; ``mean``, over
        layers. ``by_layer`` (layer), and ``n_neuroids``.

    Raises
    ------
    AlignError, SchemaError

    Notes
    -----
    A layer chosen by the folds that it is scored on makes ``mean_of_best`` rise with the number of
    layers even without signal; here each fold is scored at the layer that the others chose.

    References
    ----------
    Raugel et al. (2025), arXiv:2508.18226, section 2 (encoding score).

    Examples
    --------
    >>> from neuroalign.convergence import encode_layers
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=4, snr=4.0)
    >>> layers = {"early": data.features[:, :5], "late": data.features}
    >>> found = encoding_score(encode_layers(layers, data.responses))
    >>> bool(found["score"].sel(statistic="best_of_mean") > found["by_layer"].sel(layer="early"))
    True
    """
    scores = read_scores(result)
    folds = result["score"].transpose("fold", "layer", "neuroid", ...)
    if kept is not None:
        known = set(kept["neuroid"].values.tolist())
        missing = [one for one in scores["neuroid"].values.tolist() if one not in known]
        if missing:
            raise AlignError(
                f"kept: expected the neuroids of result, missing {len(missing)}: {some(missing)}. "
                "Compute it from the same responses."
            )
        chosen = kept.sel(neuroid=scores["neuroid"].values).values.astype(bool)
        if not chosen.any():
            raise AlignError(
                f"kept: expected True for a neuroid or more, got none of {len(chosen)}. Keep some."
            )
        scores, folds = scores[:, chosen], folds[:, :, chosen]
        result = result.isel(neuroid=chosen)
    top = _read_ceiling(result, min_ceiling)
    turns = _read_turns(folds)
    values = {
        "best_of_mean": _take_one_layer(folds.values, turns),
        "mean_of_best": _pick_best(folds.values, turns).mean(axis=0),
        "mean": scores.values.mean(axis=0),
    }
    n = scores.sizes["neuroid"]
    codes = np.arange(n)
    if "roi" in scores.coords and len(np.unique(scores["roi"].values)) > 1:
        codes = np.unique(scores["roi"].values, return_inverse=True)[1]
    drawn = draw_weights(int(codes.max()) + 1, n_resamples, np.random.default_rng(seed))[:, codes]
    rows = []
    for one in values.values():
        per = one.reshape(n, -1).mean(axis=1)
        known = np.isfinite(per)
        with np.errstate(invalid="ignore", divide="ignore"):
            draws = drawn[:, known] @ per[known] / drawn[:, known].sum(axis=1)
            normalized = one / top
        share = normalized[np.isfinite(normalized)]
        rows.append([np.mean(per[known]), *find_bounds(draws, level), _mean(share)])
    columns = dict(zip(("score", "lower", "upper", "normalized"), np.transpose(rows), strict=True))
    rest = tuple(range(1, scores.ndim))
    answer = xr.Dataset(
        {name: ("statistic", column) for name, column in columns.items()}
        | {"by_layer": ("layer", np.nanmean(scores.values, axis=rest))},
        coords={"statistic": list(values), "layer": scores["layer"], "depth": scores["depth"]},
        attrs={
            "kind": "estimate",
            "method": "encoding_score",
            "metric": str(result.attrs.get("metric", "")),
            "level": level,
            "n_neuroids": n,
            "n_without_ceiling": int(np.isnan(top).reshape(n, -1).all(axis=1).sum()),
            "headline": "score",
            "verdict": "; ".join(
                state(f"encoding score ({name.replace('_', ' ')})", *row[:3])
                for name, row in zip(values, rows, strict=True)
            ),
            "n_resamples": n_resamples,
            "min_ceiling": min_ceiling,
            "resampled": "neuroids" if len(np.unique(codes)) == n else "regions",
            "seed": seed,
            "provenance": provenance.collect(
                {
                    "min_ceiling": min_ceiling,
                    "n_resamples": n_resamples,
                    "level": level,
                    "seed": seed,
                },
                {"scores": provenance.hash_array(scores)},
            ),
        },
    )
    return check_estimate(answer)


def score_best_layer(result: xr.Dataset) -> xr.DataArray:
    """Score each neuroid, in each fold, at the layer that is best for it in the other folds.

    Parameters
    ----------
    result : Dataset
        Of `encode_layers`.

    Returns
    -------
    DataArray (fold, neuroid[, time])

    Examples
    --------
    >>> from neuroalign.convergence import encode_layers
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=4)
    >>> layers = {"early": data.features[:, :5], "late": data.features}
    >>> score_best_layer(encode_layers(layers, data.responses, ceiling=None)).dims
    ('fold', 'neuroid')
    """
    folds = result["score"].transpose("fold", "layer", "neuroid", ...)
    blank = folds.isel(layer=0, drop=True)
    return blank.copy(data=_pick_best(folds.values, _read_turns(folds))).rename("score")


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else np.nan


def _read_ceiling(result: xr.Dataset, least: float) -> Array:
    """What divides scores: (neuroid[, time]), NaN where nothing is known or worth dividing by."""
    blank = np.full(result["mean_score"].shape[1:], np.nan)
    divide = NORMALIZERS.get(str(result.attrs.get("metric", "")))
    if divide is None or "ceiling" not in result:
        return blank
    ceiling = result["ceiling"]
    divisor: Array = divide(ceiling.where((ceiling > 0) & (ceiling >= least))).values
    return divisor.reshape(divisor.shape + (1,) * (blank.ndim - divisor.ndim)) + 0 * (
        np.zeros(blank.shape)
    )


def _read_turns(folds: xr.DataArray) -> Array:
    """Say which repeat of the cross-validation each fold is of, by its name."""
    if "fold" not in folds.coords:
        return np.zeros(folds.sizes["fold"], dtype=str)
    names = folds["fold"].values.astype(str).tolist()
    return np.array([name.split(" ")[0] if name.startswith("repeat-") else "" for name in names])


def _leave_out(folds: Array, turns: Array) -> Array:
    """Mean over the other folds of the same repeat: (fold, layer, ...).

    Folds of another repeat test rows of this one again: they may not choose its layer.
    """
    known = np.nan_to_num(folds)
    others = known.copy()
    for turn in np.unique(turns):
        own = known[turns == turn]
        if len(own) > 1:
            others[turns == turn] = (own.sum(axis=0) - own) / (len(own) - 1)
    return others


def _take_one_layer(folds: Array, turns: Array) -> Array:
    """Each fold at the layer whose mean over neuroids is highest in the others."""
    others = _leave_out(folds, turns)
    means = others.reshape(*others.shape[:2], -1).mean(axis=2)
    picked: Array = folds[np.arange(len(folds)), means.argmax(axis=1)]
    return np.asarray(picked.mean(axis=0))


def _pick_best(folds: Array, turns: Array) -> Array:
    """Each fold and neuroid at the layer that is best for the neuroid in the others."""
    best = _leave_out(folds, turns).argmax(axis=1)
    return np.asarray(np.take_along_axis(folds, best[:, None], axis=1)[:, 0])
