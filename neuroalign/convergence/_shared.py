"""One encoder on many layers: what no layer changes is done once, what is wide is made narrow.

In: features of layers and responses of the same rows, folds. Out: held-out scores of each layer.
Three things are exact and spare work: rows that show the same stimulus in the same folds are fitted
as one row with a weight; a layer wider than the rows enters as the root of its kernel; and test
rows are predicted in the eigenbasis, so that no weight of a feature is ever computed.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import csr_array
from tqdm import tqdm

from neuroalign._gram import Folds, make_kernel
from neuroalign._linalg import average_rows, eigh_ranked, scale_rows, shrink
from neuroalign._threads import map_threads
from neuroalign.encoders._engine import CHUNK, Engine, choose_penalties, find_edges
from neuroalign.encoders._labelled import TOP_EDGE_R2, measure_edges
from neuroalign.encoders.ridge import Ridge
from neuroalign.scores import METRICS

Array = npt.NDArray[Any]


class Rows(NamedTuple):
    """Rows that are fitted as one: ``first`` (m,) of each, ``code`` (n,), ``counts`` (m,)."""

    first: Array
    code: Array
    counts: Array


class Design(NamedTuple):
    """What all layers share: rows, ``folds`` of rows, and ``inner`` folds of each one's training
    rows (numbered within them), or the name of a rule."""

    rows: Rows
    folds: Folds
    inner: list[Folds | str]


class FoldScores(NamedTuple):
    """Of one layer and fold: ``score`` and ``alpha`` (target,), shares at the grid's edges."""

    score: Array
    alpha: Array
    edges: tuple[float, float]


def make_design(
    encoder: Ridge,
    features: Mapping[str, xr.DataArray],
    responses: xr.DataArray,
    folds: Folds,
    groups: Array | None,
) -> Design:
    """Split training rows as the encoder would, and find the rows that are alike to every layer."""
    n_alphas = len(encoder._check_options())
    X, Y = next(iter(features.values())).values, responses.values
    inner = []
    for train, _ in folds:
        own = None if groups is None else groups[train]
        own = own if own is not None and len(np.unique(own)) > 1 else None
        inner.append(encoder._make_folds(X[train], Y[train], own, n_alphas))
    rows = _merge(features, responses, folds, inner)
    if encoder.conservative:
        # Spread over folds counts the spread of repeats, which means of them lack.
        n = responses.sizes["sample"]
        rows = Rows(np.arange(n), np.arange(n), np.ones(n, dtype=np.intp))
    return Design(rows, folds, inner)


def _merge(
    features: Mapping[str, xr.DataArray],
    responses: xr.DataArray,
    folds: Folds,
    inner: list[Folds | str],
) -> Rows:
    """Find rows of one stimulus that no fold parts, where every layer holds the same for them."""
    n = responses.sizes["sample"]
    alone = Rows(np.arange(n), np.arange(n), np.ones(n, dtype=np.intp))
    if "stimulus" not in responses.coords or any(isinstance(one, str) for one in inner):
        return alone
    stimulus = np.unique(responses["stimulus"].values, return_inverse=True)[1]
    if stimulus.max(initial=-1) + 1 == n:
        return alone
    columns = [stimulus]
    for (train, test), parts in zip(folds, inner, strict=True):
        columns.append(_mark(n, train, test))
        pairs = [] if isinstance(parts, str) else parts
        columns += [_mark(n, train[known], train[held]) for known, held in pairs]
    _, first, code = np.unique(
        np.stack(columns, axis=1), axis=0, return_index=True, return_inverse=True
    )
    code = code.ravel()
    if any((one.values != one.values[first][code]).any() for one in features.values()):
        return alone
    return Rows(first, code, np.bincount(code))


def _mark(n: int, train: Array, test: Array) -> Array:
    side = np.zeros(n, dtype=np.intp)
    side[train], side[test] = 1, 2
    return side


def rotate(X: Array, *, center: bool) -> Array:
    """Give a matrix with the same Gram matrix of rows and no more columns than rows.

    Ridge knows features by their inner products alone; means of any rows stay the same mixtures.
    """
    if X.shape[1] <= X.shape[0]:
        return X
    values, vectors = eigh_ranked(make_kernel(X, center=center))
    root: Array = (vectors * np.sqrt(values)).astype(X.dtype)
    # A constant layer has no direction at all; one column of zeros says the same.
    return root if root.shape[1] else np.zeros_like(X[:, :1])


def score_layers(
    encoder: Ridge,
    features: Mapping[str, xr.DataArray],
    responses: xr.DataArray,
    design: Design,
    metric: str,
    progress: bool,
) -> tuple[dict[str, list[FoldScores]], list[str]]:
    """Fit and score each layer in each fold; also what was warned, each once."""
    Y = responses.values.reshape(responses.sizes["sample"], -1)
    averages = _average(Y, design.rows)
    found: dict[str, list[FoldScores]] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name, layer in tqdm(features.items(), desc="layers", disable=not progress):
            X = layer.values
            X = X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)
            X = rotate(X[design.rows.first], center=bool(encoder.fit_intercept))
            found[name] = [
                _score_fold(encoder, X, Y, averages, design, number, metric)
                for number in range(len(design.folds))
            ]
    messages = list(dict.fromkeys(str(warning.message) for warning in caught))
    categories = {str(warning.message): warning.category for warning in caught}
    for message in messages:
        warnings.warn(message, categories[message], stacklevel=3)
    return found, messages


def _average(Y: Array, rows: Rows) -> Array:
    """Average targets over the rows that are fitted as one; the very array where none are."""
    if len(rows.first) == len(Y):
        return Y
    n = len(Y)
    order = np.argsort(rows.code, kind="stable")
    starts = np.concatenate([[0], np.cumsum(rows.counts)])
    share = csr_array(
        (np.repeat(1 / rows.counts, rows.counts), order, starts), shape=(len(starts) - 1, n)
    )
    averages = np.empty((len(rows.first), Y.shape[1]), dtype=Y.dtype)
    for part in _cut(Y.shape[1]):
        averages[:, part] = share @ Y[:, part].astype(np.float64)
    return averages


def _cut(n_targets: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, n_targets, CHUNK))


def _renumber(folds: Folds | str, code: Array, known: Array) -> Folds | str:
    """Number inner folds by the rows that are fitted as one."""
    if isinstance(folds, str):
        return folds
    place = np.searchsorted(known, code)
    return [(np.unique(place[train]), np.unique(place[test])) for train, test in folds]


def _score_fold(
    encoder: Ridge,
    X: Array,
    Y: Array,
    averages: Array,
    design: Design,
    number: int,
    metric: str,
) -> FoldScores:
    (train, test), code = design.folds[number], design.rows.code
    known, held = np.unique(code[train]), np.unique(code[test])
    plain = len(averages) == len(Y)
    weights = None if plain else design.rows.counts[known].astype(np.float64)
    inner = design.inner[number]
    engine = encoder._make_engine(
        X[known],
        inner if plain else _renumber(inner, code[train], known),
        encoder._check_options(),
        Y.shape[1],
        weights,
    )
    to_test = (X[held] - engine.mean) @ engine.back.T
    rows, last = np.searchsorted(held, code[test]), len(engine.alphas) - 1
    score, alpha = np.empty((2, Y.shape[1]))
    short, constant = np.empty((2, Y.shape[1]), dtype=bool)
    best = np.empty(Y.shape[1], dtype=np.intp)

    def work(part: slice) -> None:
        own = averages[known, part].astype(engine.dtype, copy=False)
        judged = engine.judge(own)
        picked = np.zeros(own.shape[1], dtype=np.intp)
        if last:
            picked = choose_penalties(judged, conservative=encoder.conservative)
        level = own[0] if encoder.fit_intercept else np.zeros(own.shape[1])
        constant[part] = (own == level).all(axis=0)
        picked[constant[part]] = last
        guess = _predict(engine, to_test, own, picked, constant[part], bool(encoder.fit_intercept))
        score[part] = METRICS[metric](Y[test, part], guess.astype(Y.dtype)[rows])
        low, high = find_edges(judged.losses, picked, engine.relative)
        mse = judged.losses[picked, np.arange(len(picked))]
        with np.errstate(divide="ignore", invalid="ignore"):
            signal = 1 - mse / judged.null > TOP_EDGE_R2
        short[part] = low.all(axis=0) | (high.all(axis=0) & signal)
        best[part], alpha[part] = picked, engine.alphas[picked]

    map_threads(work, _cut(Y.shape[1]))
    edges = measure_edges(best[~constant], last + 1, short[~constant])
    return FoldScores(score, alpha, edges)


def _predict(
    engine: Engine, to_test: Array, own: Array, picked: Array, constant: Array, center: bool
) -> Array:
    """Predict test rows of a chunk through the eigenbasis of the training rows."""
    mean = average_rows(own, engine.weights) if center else np.zeros(own.shape[1], engine.dtype)
    projected = engine.basis.T @ scale_rows(own - mean, engine.weights)
    few, place = np.unique(picked, return_inverse=True)
    projected *= shrink(engine.values, engine.alphas[few]).astype(engine.dtype)[:, place]
    projected[:, constant] = 0
    guess: Array = to_test @ projected
    guess += mean
    return guess
