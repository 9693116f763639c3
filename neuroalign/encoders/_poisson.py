"""Kernels of the Poisson model: many neurons at once, proximal Newton with line search.

Loss of a neuron: the mean over rows (weights sum to 1) of ``mu - y log mu``, ``mu = e f(eta)`` with
exposure e. To add a link: a ``Link`` and its row in ``LINKS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, xlogy

from neuroalign.encoders._poisson_penalties import Penalty

Array = npt.NDArray[Any]
# Below this the logarithm of softplus is its argument.
DEEP = -30.0
ROW_BLOCK, BYTES = 256, 64e6
ARMIJO, MOST_HALVINGS = 1e-4, 40
# A curvature serves again while steps shrink the residual at least this much.
REUSE = 0.05
# When one in so many neurons is left, it goes on without the others.
FEW = 3
# From this many neurons on, sharing the products of features pays.
FEW_NEURONS = 6
SEPARATED = 1e-6


class Link(NamedTuple):
    """``rate`` f(eta); ``loss`` e f - y log f; its first and second ``slopes`` in eta."""

    rate: Callable[[Array], Array]
    loss: Callable[[Array, Array, Array], Array]
    slopes: Callable[[Array, Array, Array], tuple[Array, Array]]
    inverse: Callable[[Array], Array]


def _lose_exp(eta: Array, y: Array, e: Array) -> Array:
    found: Array = e * np.exp(eta) - y * eta
    return found


def _slope_exp(eta: Array, y: Array, e: Array) -> tuple[Array, Array]:
    mu = e * np.exp(eta)
    return mu - y, mu


def _softplus(eta: Array) -> Array:
    found: Array = np.logaddexp(0.0, eta)
    return found


def _log_softplus(eta: Array) -> Array:
    return np.where(eta < DEEP, eta, np.log(_softplus(np.maximum(eta, DEEP))))


def _lose_softplus(eta: Array, y: Array, e: Array) -> Array:
    found: Array = e * _softplus(eta) - y * _log_softplus(eta)
    return found


def _slope_softplus(eta: Array, y: Array, e: Array) -> tuple[Array, Array]:
    first = expit(eta)
    second = first * (1.0 - first)
    held = np.maximum(eta, DEEP)
    share = expit(held) / _softplus(held)
    # Second slope of log softplus: f''/f - (f'/f)^2, which is below 0.
    bend = share * (1.0 - expit(held) - share)
    return e * first - y * share, np.maximum(e * second - y * bend, 0.0)


def _invert_softplus(rate: Array) -> Array:
    found: Array = rate + np.log(-np.expm1(-rate))
    return found


LINKS = {
    "exp": Link(np.exp, _lose_exp, _slope_exp, np.log),
    "softplus": Link(_softplus, _lose_softplus, _slope_softplus, _invert_softplus),
}


@dataclass
class Problem:
    """Rows of many neurons: X (n, q), counts Y, weights W and exposure E (n, t), used (t, q)."""

    X: Array
    Y: Array
    W: Array
    E: Array
    used: Array
    link: Link

    def take(self, neurons: Array) -> "Problem":
        """Keep some neurons."""
        parts = (self.Y[:, neurons], self.W[:, neurons], self.E[:, neurons])
        return Problem(self.X, *parts, self.used[neurons], self.link)

    def loss(self, eta: Array) -> Array:
        """Mean loss (t,) at eta (n, t); infinite where a step overshoots."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.einsum("nt,nt->t", self.W, self.link.loss(eta, self.Y, self.E))
        return np.where(np.isnan(found), np.inf, found)

    def slopes(self, eta: Array) -> tuple[Array, Array]:
        """Slope (t, q) of the mean loss, and weighted curvature (n, t) in eta."""
        with np.errstate(over="ignore"):
            first, second = self.link.slopes(eta, self.Y, self.E)
        return (self.W * first).T @ self.X * self.used, self.W * second


class Fit(NamedTuple):
    """Weights b (t, q), Newton steps, whether a minimum was met (t,), and curvatures (t, q, q)."""

    b: Array
    n_iter: Array
    converged: Array
    H: Array


def build_curvature(X: Array, curvature: Array, used: Array) -> Array:
    """Give X' diag(c) X (t, q, q) for every column c (n, t), with 1 for weights not in use."""
    n_rows, q = X.shape
    t = curvature.shape[1]
    if t < FEW_NEURONS:
        H = np.stack([(X * curvature[:, [row]]).T @ X for row in range(t)])
        return _keep_used(H, used)
    rows, columns = np.triu_indices(q)
    starts = np.concatenate([[0], np.cumsum(np.arange(q, 0, -1))])
    packed = np.zeros((len(rows), t))
    buffer = np.empty((len(rows), ROW_BLOCK))
    for start in range(0, n_rows, ROW_BLOCK):
        part = np.ascontiguousarray(X[start : start + ROW_BLOCK].T)
        products = buffer[:, : part.shape[1]]
        # Products of pairs of features are shared: one matrix product serves all neurons.
        for row in range(q):
            np.multiply(part[row:], part[row], out=products[starts[row] : starts[row + 1]])
        packed += products @ curvature[start : start + ROW_BLOCK]
    H = np.empty((t, q, q))
    H[:, rows, columns] = packed.T
    H[:, columns, rows] = packed.T
    return _keep_used(H, used)


def _keep_used(H: Array, used: Array) -> Array:
    H *= used[:, :, None] & used[:, None, :]
    place = np.arange(H.shape[1])
    H[:, place, place] += ~used
    return H


def share_curvature(X: Array, curvature: Array, used: Array) -> Array | None:
    """Do the same from one column where all are in proportion, as at a constant rate; else None."""
    total = curvature.sum(axis=0)
    share = total / total[0] if total[0] > 0 else total
    for rows in (slice(0, ROW_BLOCK), slice(None)):
        if not np.allclose(curvature[rows], curvature[rows, :1] * share, rtol=1e-12, atol=0):
            return None
    full = build_curvature(X, curvature[:, :1], np.ones((1, X.shape[1]), dtype=bool))[0]
    return _keep_used(share[:, None, None] * full, used)


def split_neurons(n_rows: int, q: int, t: int) -> list[Array]:
    """Cut neurons into chunks whose arrays stay within a budget of memory."""
    each = 8 * max(n_rows, q * q, 1)
    n_chunks = max(1, int(np.ceil(t * each / BYTES)))
    return [part for part in np.array_split(np.arange(t), n_chunks) if len(part)]


def minimise(
    problem: Problem,
    penalty: Penalty,
    b: Array,
    tolerance: Array,
    max_iter: int,
    H: Array | None = None,
) -> Fit:
    """Take proximal Newton steps for all neurons at once until each is at its minimum.

    Parameters
    ----------
    problem : Problem
    penalty : Penalty
    b : array (t, q)
        Where to start.
    tolerance : array (t,)
        Largest residual of the conditions of a minimum.
    max_iter : int
    H : array (t, q, q), optional
        Curvatures of a fit nearby, which may still serve.
    """
    b = b * problem.used
    eta = problem.X @ b.T
    value = problem.loss(eta) + penalty.value(b)
    n_iter = np.zeros(len(b), dtype=int)
    # Neurons that are at their minimum from the start never need a curvature of their own.
    blank = np.eye(b.shape[1])
    H = np.tile(blank, (len(b), 1, 1)) if H is None else H
    before = np.where((blank == H).all(axis=(1, 2)), 0.0, np.inf)
    fresh = not before.any()
    prepared = None
    stuck = np.zeros(len(b), dtype=bool)
    for step in range(max_iter + 1):
        slope, curvature = problem.slopes(eta)
        residual = penalty.residual(b, slope)
        active = (residual > tolerance) & ~stuck
        if step == max_iter or not active.any():
            break
        rows = np.flatnonzero(active)
        if step and len(rows) <= len(b) // FEW:
            # The many that are done need no company.
            rest = minimise(
                problem.take(rows), penalty.take(rows), b[rows], tolerance[rows], max_iter - step,
                H[rows],
            )  # fmt: skip
            b[rows], residual[rows] = rest.b, np.where(rest.converged, 0.0, np.inf)
            H[rows] = rest.H
            n_iter[rows] += rest.n_iter
            break
        stale = np.flatnonzero(active & ~(residual < REUSE * before))
        if len(stale):
            shared = None
            if fresh and not step:
                shared = share_curvature(problem.X, curvature, problem.used)
            part = (problem.X, curvature[:, stale], problem.used[stale])
            H[stale] = build_curvature(*part) if shared is None else shared[stale]
        if len(stale) or prepared is None:
            prepared = penalty.prepare(H)
        # Neurons that are done stand still, so that the company a neuron keeps changes nothing.
        target = np.where(active[:, None], penalty.solve(prepared, b, slope), b)
        before = np.where(active, residual, before)
        n_iter += active
        b, eta, value, stuck = _search(problem, penalty, (b, eta, value), target, slope)
        # A step that could not be taken with an old curvature is tried with a new one.
        old = stuck & ~np.isin(np.arange(len(b)), stale)
        stuck &= ~old
        before[old] = 0.0
    return Fit(b, n_iter, residual <= tolerance, H)


def _search(
    problem: Problem,
    penalty: Penalty,
    at: tuple[Array, Array, Array],
    target: Array,
    slope: Array,
) -> tuple[Array, Array, Array, Array]:
    """Halve the step of each neuron until its loss falls enough; say who found none."""
    b, eta, value = at
    move = target - b
    drift = problem.X @ move.T
    expected = (slope * move).sum(axis=1) + penalty.value(target) - penalty.value(b)
    rounding = 1e-13 * np.maximum(np.abs(value), 1e-3)
    new_b, new_eta = target, eta + drift
    new_value = problem.loss(new_eta) + penalty.value(target)
    rows = np.flatnonzero(~(new_value <= value + ARMIJO * expected + rounding))
    size = 1.0
    for _ in range(MOST_HALVINGS):
        if not len(rows):
            break
        size /= 2
        new_b[rows] = b[rows] + size * move[rows]
        new_eta[:, rows] = eta[:, rows] + size * drift[:, rows]
        found = problem.take(rows).loss(new_eta[:, rows]) + penalty.take(rows).value(new_b[rows])
        new_value[rows] = found
        rows = rows[~(found <= value[rows] + ARMIJO * size * expected[rows] + rounding[rows])]
    new_b[rows], new_eta[:, rows], new_value[rows] = b[rows], eta[:, rows], value[rows]
    stuck = np.zeros(len(b), dtype=bool)
    stuck[rows] = True
    return new_b, new_eta, new_value, stuck


def find_separated(H: Array, gram: Array, information: Array) -> Array:
    """Tell neurons (t,) whose curvature vanishes in a direction in which the features vary.

    There the loss falls for ever: no spikes on one side, so that the weights have no end.
    """
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-10 * values[-1]
    basis = vectors[:, kept] / np.sqrt(values[kept])
    smallest = np.linalg.eigvalsh(basis.T @ H @ basis)[:, 0]
    found: Array = smallest < SEPARATED * information
    return found


def lose_heldout(link: Link, eta: Array, Y: Array, W: Array, E: Array) -> Array:
    """Give the summed loss (t,) of held-out rows: ``mu - y log mu``, exposure included."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss = link.loss(eta, Y, E) - xlogy(Y, np.where(E > 0, E, 1.0))
        found = (W * loss).sum(axis=0)
    return np.where(np.isfinite(found), found, np.inf)
