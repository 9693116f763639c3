"""Which layer or feature space predicts best, chosen where it is not scored."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance, schema, scores
from neuroalign._arrays import copy_geometry, describe
from neuroalign._folds import Folds, make_folds, purge_folds
from neuroalign.errors import SchemaError, choose, some
from neuroalign.evaluate._ceilings import find_ceiling
from neuroalign.evaluate._checks import (
    check_arguments,
    check_finite,
    check_overlap,
    check_rows,
    check_targets,
    join_history,
)
from neuroalign.evaluate._fitting import average_folds, fit_fold, score_known
from neuroalign.evaluate._splits import check_sizes, find_inner, read, read_run, split_rows

Array = npt.NDArray[Any]


def _by_neuroid(responses: xr.DataArray) -> Array:
    return np.arange(responses.sizes["neuroid"])


def _by_roi(responses: xr.DataArray) -> Array:
    if "roi" not in responses.coords:
        raise SchemaError(
            f"responses: expected coord 'roi' to choose per 'roi', got {some(responses.coords)}. "
            "Assign it, or use per='neuroid'."
        )
    return np.unique(responses["roi"].values, return_inverse=True)[1]


def _together(responses: xr.DataArray) -> Array:
    return np.zeros(responses.sizes["neuroid"], dtype=np.intp)


# Which neuroids share one choice.
PER: dict[str, Callable[[xr.DataArray], Array]] = {
    "neuroid": _by_neuroid,
    "roi": _by_roi,
    "global": _together,
}


def select_features(
    encoder: Any,
    features: Mapping[str, xr.DataArray],
    responses: xr.DataArray,
    *,
    per: str = "neuroid",
    group: str | None = "run",
    n_splits: int | None = None,
    n_inner: int = 5,
    gap: float = 0.0,
    on: str | tuple[str, ...] = "stimulus",
    metric: str = "pearson",
    ceiling: str | xr.DataArray | None = "split_half",
    allow_shared_stimuli: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Choose among feature spaces on inner folds, score the choice on outer ones.

    The best of many spaces on the folds that also report its score is optimistic: its score is a
    maximum. Here the rows of an outer fold never take part in the choice they are scored on.

    Parameters
    ----------
    encoder : estimator
        Cloned for every fit: (outer folds) x (inner folds + 1) x spaces of them.
    features : dict of DataArray (sample, feature)
        Name -> features of the same rows as ``responses``; ties go to the first.
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        NaN only for an encoder with ``missing="drop"``, as in `cross_validate`.
    per : {"neuroid", "roi", "global"}
        Who chooses: each neuroid, each ROI by the mean inner score of its neuroids, or all
        together. Times of a neuroid choose together.
    group, n_splits, gap, on, metric, ceiling, allow_shared_stimuli : see `cross_validate`
    n_inner : int
        Inner folds: of whole groups where the training rows hold two or more, else contiguous;
        with the same gap.
    seed : int
    progress : bool

    Returns
    -------
    Dataset
        Kind encoding: ``score`` (fold, neuroid[, time]) of the space chosen in each fold;
        ``choice`` (fold, neuroid), its name, empty where no space had a score; ``inner_score``
        (fold, space, neuroid) that decided; ``space_score`` (fold, space, neuroid[, time]), the
        outer score of every space, which needs no choice; ``mean_score``, ``ceiling``. With
        ``attrs['n_unstable']``, how many neuroids chose differently between outer folds.

    Raises
    ------
    AlignError, LeakageError, SchemaError, ValueError

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=4, snr=2.0)
    >>> noise = data.features.copy(data=np.random.default_rng(1).normal(size=data.features.shape))
    >>> spaces = {"noise": noise, "true": data.features}
    >>> result = select_features(Ridge(1.0), spaces, data.responses, ceiling=None)
    >>> bool((result["choice"] == "true").all())
    True
    """
    schema.check_responses(responses)
    share = choose(PER, per, "per")(responses)
    scores.choose_metric(metric)
    if not isinstance(features, Mapping):
        raise ValueError(
            f"features: expected a mapping from names to features, got {type(features).__name__}. "
            "Pass {'layer1': ..., 'layer2': ...}."
        )
    if len(features) < 2:
        raise ValueError(
            f"features: expected at least 2 named spaces to choose from, got {len(features)}. "
            "Use evaluate.cross_validate for one."
        )
    for name, space in features.items():
        check_arguments(encoder, space, n_splits)
        check_rows(space, responses, on)
        check_finite(space, f"features['{name}']")
    if not isinstance(n_inner, int | np.integer) or n_inner < 2:
        raise ValueError(f"n_inner: expected at least 2 inner folds, got {n_inner}. 5 is usual.")
    missing = check_targets(encoder, responses, 0)
    folds, labels = split_rows(responses, group, n_splits, gap, 1, seed)
    for space in features.values():
        check_overlap(space, responses, folds, allow_shared_stimuli)
    inner = find_inner(responses, group)
    names = np.array(list(features))
    columns: dict[str, list[Array]] = {
        key: [] for key in ("score", "choice", "inner_score", "space_score")
    }
    for train, test in tqdm(folds, desc="folds", disable=not progress):
        inside = _split_inside(responses, train, inner, n_inner, gap)
        decided, outer = [], []
        for space in features.values():
            parts = [
                _score(encoder, space, responses, (train[a], train[b]), inner, metric)
                for a, b in inside
            ]
            decided.append(_over_time(_average(parts, responses[train], inside)))
            outer.append(_score(encoder, space, responses, (train, test), inner, metric))
        chosen, known = _choose(np.stack(decided), share)
        every = np.stack(outer)
        picked = every[chosen, np.arange(len(chosen))]
        picked[~known] = np.nan
        columns["score"].append(picked)
        columns["choice"].append(np.where(known, names[chosen], ""))
        columns["inner_score"].append(np.stack(decided))
        columns["space_score"].append(every)
    result = _stack(columns, labels, names, responses)
    result["mean_score"] = result["score"].mean("fold", skipna=False)
    if missing:
        result["mean_score"] = average_folds(result["score"], responses, folds)
    result["ceiling"] = find_ceiling(ceiling, responses, seed)
    choice = result["choice"].values
    first = next(iter(features.values()))
    result.attrs |= {
        "kind": "encoding",
        "metric": metric,
        "model": " ".join(repr(encoder).split()),
        "seed": seed,
        "per": per,
        "n_samples": responses.sizes["sample"],
        "n_unstable": int((choice != choice[:1]).any(axis=0).sum()),
        "group": group or "",
        "gap": float(gap),
        "history": join_history(first, responses),
        "provenance": provenance.collect(
            {
                "group": group or "",
                "n_splits": n_splits or 0,
                "n_inner": n_inner,
                "gap": gap,
                "per": per,
                "on": on if isinstance(on, str) else list(on),
                "metric": metric,
                "allow_shared_stimuli": allow_shared_stimuli,
                "seed": seed,
            },
            {f"features/{name}": provenance.hash_array(a) for name, a in features.items()}
            | {"responses": provenance.hash_array(responses)},
        ),
    }
    for key in ("score", "mean_score", "ceiling"):
        result[key] = copy_geometry(responses, result[key])
    return schema.check_encoding(copy_geometry(responses, result))


def _split_inside(
    responses: xr.DataArray, train: Array, inner: Array | None, n_inner: int, gap: float
) -> Folds:
    """Split training rows; whole groups stay whole where there are two of them."""
    whole = None if inner is None else inner[train]
    if whole is not None and len(np.unique(whole)) < 2:
        whole = None
    folds = make_folds(len(train), groups=whole, n_splits=n_inner)
    check_sizes(folds, "n_inner")
    if not gap:
        return folds
    onset = read(responses, "onset")
    if onset is None:
        run = read_run(responses)
        onset = np.empty(len(run))
        for one in np.unique(run):
            onset[run == one] = np.arange(int((run == one).sum()))
    return purge_folds(folds, gap, read_run(responses)[train], onset[train])


def _score(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    fold: tuple[Array, Array],
    inner: Array | None,
    metric: str,
) -> Array:
    train, test = fold
    guess = np.asarray(fit_fold(encoder, features, responses, train, inner).predict(features[test]))
    observed = responses[test]
    return score_known(observed, observed.copy(data=guess.reshape(observed.shape)), metric)


def _average(parts: list[Array], responses: xr.DataArray, folds: Folds) -> Array:
    """Average over the folds in which a neuroid (and time) has rows to be scored on."""
    stacked = xr.DataArray(np.stack(parts), dims=("fold", *responses.dims[1:]))
    return np.asarray(average_folds(stacked, responses, folds).values)


def _over_time(score: Array) -> Array:
    """Average (neuroid, time) over the times that have a score."""
    if score.ndim == 1:
        return score
    known = np.isfinite(score)
    count = known.sum(axis=1)
    total = np.where(known, score, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _choose(decided: Array, share: Array) -> tuple[Array, Array]:
    """Pick the best space of those who choose together, and say who had any score."""
    n_groups = int(share.max()) + 1
    known = np.isfinite(decided)
    total = np.zeros((len(decided), n_groups))
    count = np.zeros((len(decided), n_groups))
    np.add.at(total.T, share, np.where(known, decided, 0).T)
    np.add.at(count.T, share, known.T)
    mean = np.where(count > 0, total / np.maximum(count, 1), -np.inf)
    return mean.argmax(axis=0)[share], np.asarray(known.any(axis=0))


def _stack(
    columns: dict[str, list[Array]], labels: list[str], names: Array, responses: xr.DataArray
) -> xr.Dataset:
    rest = tuple(map(str, responses.dims[1:]))
    dims = {
        "score": ("fold", *rest),
        "choice": ("fold", "neuroid"),
        "inner_score": ("fold", "space", "neuroid"),
        "space_score": ("fold", "space", *rest),
    }
    return xr.Dataset(
        {key: (dims[key], np.stack(column)) for key, column in columns.items()},
        coords={"fold": labels, "space": names, **describe(responses).coords},
    )
