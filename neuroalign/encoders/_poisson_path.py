"""Poisson models along a path of penalties: started at the strongest, judged on held-out rows."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from neuroalign._gram import Folds
from neuroalign.encoders._engine import Judged
from neuroalign.encoders._poisson import (
    Fit,
    Link,
    Problem,
    build_curvature,
    find_separated,
    lose_heldout,
    minimise,
    split_neurons,
)

Array = npt.NDArray[Any]
# Penalties are chosen on fits this exact; the last fit is as exact as asked.
PATH_TOLERANCE = 1e-5


class Data(NamedTuple):
    """X (n, p), counts Y, weights W and exposure E (n, t), used (t, p)."""

    X: Array
    Y: Array
    W: Array
    E: Array
    used: Array

    def take(self, rows: Array | None, neurons: Array) -> "Data":
        """Keep some rows and neurons; neurons in their order, rows None for all."""
        if rows is None and len(neurons) == self.Y.shape[1]:
            return self
        if rows is None:
            Y, W, E = self.Y[:, neurons], self.W[:, neurons], self.E[:, neurons]
            return Data(self.X, Y, W, E, self.used[neurons])
        place = np.ix_(rows, neurons)
        return Data(self.X[rows], self.Y[place], self.W[place], self.E[place], self.used[neurons])

    def rate(self) -> Array:
        """Mean count per unit of exposure (t,); NaN where nothing is known."""
        total = np.einsum("nt,nt->t", self.W, self.E)
        spikes = np.einsum("nt,nt->t", self.W, self.Y)
        found: Array = np.full(len(total), np.nan)
        np.divide(spikes, total, out=found, where=total > 0)
        return found


@dataclass
class Settings:
    """What all fits of an estimator share; ``group`` (p,) numbers the groups of weights."""

    link: Link
    penalty: Any
    group: Array
    intercept: bool
    relative: bool
    tol: float
    max_iter: int


class Start(NamedTuple):
    """The null model of a chunk: centre (p,), weights b (t, q), and the size of its slopes (t,)."""

    problem: Problem
    group: Array
    centre: Array
    b: Array
    scale: Array


def start_fit(data: Data, settings: Settings) -> Start:
    """Centre the features, put the intercept first, and set it to the mean rate."""
    X = data.X.astype(np.float64, copy=False)
    centre = X.mean(axis=0) if settings.intercept else np.zeros(X.shape[1])
    X = X - centre
    spread = float(np.sqrt(np.mean(X * X))) if X.size else 1.0
    group, used = settings.group, data.used
    b = np.zeros((len(used), X.shape[1] + settings.intercept))
    if settings.intercept:
        X = np.hstack([np.ones((len(X), 1)), X])
        group = np.concatenate([[-1], group])
        used = np.hstack([np.ones((len(used), 1), dtype=bool), used])
        b[:, 0] = settings.link.inverse(data.rate())
    W = data.W / data.W.sum(axis=0)
    problem = Problem(np.ascontiguousarray(X), data.Y, W, data.E, used, settings.link)
    mean = np.einsum("nt,nt->t", W, data.Y)
    return Start(problem, group, centre, b, mean * min(1.0, spread or 1.0))


def scale_penalties(data: Data, settings: Settings) -> Array:
    """Give the unit of the penalty of each neuron (t,).

    Squared: the information of a constant rate times the mean variance of features, so that 1 is
    as strong as the data. Groups: the smallest penalty at which all groups are 0.
    """
    if not settings.relative:
        return np.ones(data.Y.shape[1])
    unit = np.ones(data.Y.shape[1])
    for neurons in split_neurons(len(data.X), data.X.shape[1], data.Y.shape[1]):
        start = start_fit(data.take(None, neurons), settings)
        unit[neurons] = settings.penalty.unit(*_describe_null(start, settings))
    return np.where(unit > 0, unit, 1.0)


def _describe_null(start: Start, settings: Settings) -> tuple[Array, ...]:
    """Groups, weights in use, slope at the null model, and its mean information per feature."""
    problem = start.problem
    slope, _ = problem.slopes(problem.X @ start.b.T)
    mean = np.einsum("nt,nt->t", problem.W, problem.Y)
    X = problem.X[:, int(settings.intercept) :]
    spread = problem.W.T @ (X * X)
    spread -= (problem.W.T @ X) ** 2 if settings.intercept else 0.0
    own = problem.used[:, int(settings.intercept) :]
    variance = (spread * own).sum(axis=1) / np.maximum(own.sum(axis=1), 1)
    return start.group, problem.used, slope, mean * variance


def fit_at(
    data: Data, settings: Settings, alpha: Array, *, flag: bool = True
) -> tuple[Array, Array, Fit, Array]:
    """Fit each neuron at its own penalty (t,).

    Returns
    -------
    tuple
        ``coef`` (t, p), ``intercept`` (t,), the fit, and who is separated (t,).
    """
    start = start_fit(data, settings)
    penalty = settings.penalty(start.group, start.problem.used, alpha)
    fit = minimise(start.problem, penalty, start.b, settings.tol * start.scale, settings.max_iter)
    separated = np.zeros(len(alpha), dtype=bool)
    if flag and (alpha == 0).any():
        separated[alpha == 0] = _check_separation(start, fit.b, np.flatnonzero(alpha == 0))
    coef, intercept = _undo(fit.b, start, settings)
    return coef, intercept, fit, separated


def _check_separation(start: Start, b: Array, free: Array) -> Array:
    problem = start.problem.take(free)
    _, curvature = problem.slopes(problem.X @ b[free].T)
    mean = np.einsum("nt,nt->t", problem.W, problem.Y)
    found = np.zeros(len(free), dtype=bool)
    for row in range(len(free)):
        kept = np.flatnonzero(problem.used[row])
        # Columns that a neuron does not use have no part in its separation.
        X, every = problem.X[:, kept], np.ones((1, len(kept)), dtype=bool)
        gram = build_curvature(X, problem.W[:, [row]] * (problem.E[:, [row]] > 0), every)[0]
        H = build_curvature(X, curvature[:, [row]], every)
        found[row] = find_separated(H, gram, mean[[row]])[0]
    return found


def _undo(b: Array, start: Start, settings: Settings) -> tuple[Array, Array]:
    if not settings.intercept:
        return b, np.zeros(len(b))
    return b[:, 1:], b[:, 0] - b[:, 1:] @ start.centre


def judge_penalties(data: Data, settings: Settings, folds: Folds, alphas: Array) -> Judged:
    """Judge every penalty (a, t) on held-out rows, warm-started from the strongest down.

    Returns
    -------
    Judged
        Losses per row less that of the mean training rate; ``null`` holds the held-out spikes per
        row. Folds in whose training or test rows a neuron has no spikes or no rows say nothing.
    """
    n_alphas, t = alphas.shape
    gains = np.zeros((len(folds), n_alphas, t))
    weight, spikes = np.zeros((len(folds), t)), np.zeros(t)
    for number, (train, test) in enumerate(folds):
        for chunk in split_neurons(len(train), data.X.shape[1] + 1, t):
            learnt = data.take(train, chunk)
            rate = learnt.rate()
            firing = np.nan_to_num(rate) > 0
            neurons = chunk[firing]
            if not len(neurons):
                continue
            held = data.take(test, neurons)
            losses = _walk_path(data.take(train, neurons), held, settings, alphas[:, neurons])
            constant = held.E * rate[firing]
            null = (held.W * (constant - xlogy(held.Y, constant))).sum(axis=0)
            gains[number][:, neurons] = losses - null
            weight[number, neurons] = held.W.sum(axis=0)
            spikes[neurons] += (held.W * held.Y).sum(axis=0)
    total = np.maximum(weight.sum(axis=0), 1e-300)
    losses = gains.sum(axis=0) / total
    return Judged(losses, spikes / total, _spread(gains, weight))


def _spread(gains: Array, weight: Array) -> Array:
    """Standard error (a, t) over folds of the loss per row."""
    counted = weight > 0
    n_folds = counted.sum(axis=0)
    each = gains / np.where(counted, weight, 1.0)[:, None]
    mean = each.sum(axis=0) / np.maximum(n_folds, 1)
    squares = (((each - mean) * counted[:, None]) ** 2).sum(axis=0)
    error: Array = np.sqrt(squares / np.maximum(n_folds - 1, 1) / np.maximum(n_folds, 1))
    return error


def _walk_path(learnt: Data, held: Data, settings: Settings, alphas: Array) -> Array:
    start = start_fit(learnt, settings)
    tolerance = max(settings.tol, PATH_TOLERANCE) * start.scale
    b, H, losses = start.b, None, np.zeros(alphas.shape)
    for row in range(len(alphas))[::-1]:
        penalty = settings.penalty(start.group, start.problem.used, alphas[row])
        fit = minimise(start.problem, penalty, b, tolerance, settings.max_iter, H)
        # Neighbours on the path have nearly the same curvature: it is handed on.
        b, H = fit.b, fit.H
        coef, intercept = _undo(b, start, settings)
        eta = held.X @ coef.T + intercept
        losses[row] = lose_heldout(settings.link, eta, held.Y, held.W, held.E)
    return losses
