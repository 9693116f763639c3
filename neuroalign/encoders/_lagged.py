"""Ridge on lagged copies of a signal, without ever writing them down.

In: signals (time, column), stretches of time that know nothing of each other, a range of lags.
Out: the Gram matrix of the lagged copies and their products with the targets, exact at the edges.

With copies ``x(t - l)``, zero outside a stretch of T samples, block (i, j) of the Gram matrix
follows from the block before it: ``G[i+1, j+1] = G[i, j] + h_i h_j' - e_i e_j'``, where
``h_i = x(-1 - l_i)`` enters at the front and ``e_i = x(T-1 - l_i)`` leaves at the end. So the first
row of blocks, a cross-correlation, and two thin matrices hold all of it. They add up over
stretches. A column of ones in the signal, zero outside like the rest, lets its mean be taken out
afterwards: the moments of all folds come from one pass.
"""

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft, linalg

from neuroalign._linalg import eigh_ranked, shrink

Array = npt.NDArray[Any]
# From so many lags on, blocks of Fourier transforms need less work than one product a lag.
FEW_LAGS = 16
BUFFER_BYTES = 16 * 1024**2
# Gram matrices alive at once: all rows, one fold's training and test, penalty, sum and factor.
N_HELD = 6
# Where the machine does not say how much memory it has.
USUAL_MEMORY = 32 * 1024**3


def check_memory(n_lags: int, p: int) -> None:
    """Check that Gram matrices of so many lags of p signals fit the memory of this machine.

    Raises
    ------
    MemoryError
    """
    known = hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(os.sysconf_names)
    room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else USUAL_MEMORY
    need = N_HELD * 8 * (n_lags * p) ** 2
    if need > room:
        raise MemoryError(
            f"lags: expected matrices that fit {room / 1e9:.1f} GB of memory, got {n_lags} lags of "
            f"{p} features, which take {need / 1e9:.1f} GB. Shorten lags (in seconds), lower the "
            "sampling rate (align.resample), or reduce the features."
        )


class Moments(NamedTuple):
    """Sums over the time of some stretches; signals and targets each end in a column of ones.

    ``first`` (lag, p + 1 + q + 1, p + 1): products of the copy at the first lag, and of the
    targets, with the copies at all lags; ``heads``, ``tails`` (stretch, lag - 1, p + 1): what
    enters and leaves; ``x_sum`` (p,), ``y_sum``, ``y_square`` (q,); ``n`` samples.
    """

    first: Array
    heads: Array
    tails: Array
    x_sum: Array
    y_sum: Array
    y_square: Array
    n: int


class Normal(NamedTuple):
    """``gram`` (lag p, lag p), ``cross`` (lag p, q), ``square`` (q,) of centred signals."""

    gram: Array
    cross: Array
    square: Array


def pad_signal(x: Array, first: int, last: int, *, mark: bool = False) -> Array:
    """Zero-fill, so that the copies of row t are rows t to t + last - first, last lag first.

    ``mark`` adds a column that is 1 where there is signal.
    """
    (n, p), reach = x.shape, last - first
    padded = np.zeros((n + reach, p + mark), dtype=x.dtype)
    start, stop = max(last, 0), min(last + n, n + reach)
    if stop > start:
        padded[start:stop, :p] = x[start - last : stop - last]
        padded[start:stop, p:] = 1
    return padded


def gather_moments(X: Array, Y: Array, stretches: list[Array], first: int, last: int) -> Moments:
    """Sum the products of lagged copies over stretches.

    Parameters
    ----------
    X : array (n, p)
    Y : array (n, q)
        Both float64.
    stretches : list of array of int
        Rows of each, in order of time.
    first, last : int
        Lags [samples].

    Returns
    -------
    Moments
    """
    n_lags, p, q = last - first + 1, X.shape[1] + 1, Y.shape[1] + 1
    sums = _Direct(n_lags, p + q, p) if n_lags <= FEW_LAGS else _Blocks(n_lags, p + q, p)
    edges = np.zeros((2, len(stretches), n_lags - 1, p))
    x_sum, y_sum, y_square = np.zeros(p - 1), np.zeros(q - 1), np.zeros(q - 1)
    for number, rows in enumerate(stretches):
        # Views where rows follow each other, as they mostly do: copies cost more than the sums.
        place: Any = slice(rows[0], rows[-1] + 1) if (np.diff(rows) == 1).all() else rows
        x, y = X[place], Y[place]
        reach = pad_signal(x, first, last, mark=True)
        for start in range(0, len(rows), sums.span):
            part = y[start : start + sums.span]
            near = reach[start : start + len(part) + n_lags - 1]
            sums.add(np.hstack([near[n_lags - 1 :], part, np.ones((len(part), 1))]), near)
        edges[0, number] = reach[: n_lags - 1][::-1]
        edges[1, number] = reach[len(rows) :][::-1]
        x_sum += x.sum(axis=0)
        y_sum += y.sum(axis=0)
        y_square += np.einsum("ij,ij->j", y, y)
    n = sum(map(len, stretches))
    return Moments(sums.total(), edges[0], edges[1], x_sum, y_sum, y_square, n)


class _Direct:
    """One product a lag."""

    def __init__(self, n_lags: int, n_anchor: int, n_reach: int) -> None:
        self.span = max(1, BUFFER_BYTES // (16 * (n_anchor + n_reach)))
        self.sums = np.zeros((n_lags, n_anchor, n_reach))

    def add(self, anchor: Array, reach: Array) -> None:
        last = len(self.sums) - 1
        for lag, total in enumerate(self.sums):
            total += anchor.T @ reach[last - lag : last - lag + len(anchor)]

    def total(self) -> Array:
        return self.sums


class _Blocks:
    """Short transforms of blocks some lags long, whose spectra add up (overlap-save)."""

    def __init__(self, n_lags: int, n_anchor: int, n_reach: int) -> None:
        self.n_lags = n_lags
        self.size = int(fft.next_fast_len(4 * n_lags, real=True))
        self.step = self.size - n_lags + 1
        batch = max(1, BUFFER_BYTES // (16 * self.size * (n_anchor + n_reach)))
        self.span = batch * self.step
        self.spectrum = np.zeros((self.size // 2 + 1, n_anchor, n_reach), dtype=np.complex128)

    def add(self, anchor: Array, reach: Array) -> None:
        n_blocks = -(-len(anchor) // self.step)
        held = np.zeros((n_blocks * self.step, anchor.shape[1]))
        held[: len(anchor)] = anchor
        near = np.zeros((n_blocks * self.step + self.n_lags - 1, reach.shape[1]))
        near[: len(reach)] = reach
        blocks = held.reshape(n_blocks, self.step, -1).swapaxes(0, 1)
        windows = np.lib.stride_tricks.as_strided(
            near,
            (self.size, n_blocks, near.shape[1]),
            (near.strides[0], self.step * near.strides[0], near.strides[1]),
            writeable=False,
        )
        left = fft.rfft(blocks, self.size, axis=0)
        right = fft.rfft(windows, self.size, axis=0)
        self.spectrum += left.conj().swapaxes(1, 2) @ right

    def total(self) -> Array:
        sums: Array = fft.irfft(self.spectrum, self.size, axis=0)[: self.n_lags][::-1]
        return sums


def add_moments(parts: Iterable[Moments]) -> Moments:
    """Join the moments of separate stretches."""
    parts = list(parts)
    return Moments(
        sum((one.first for one in parts[1:]), parts[0].first),
        np.concatenate([one.heads for one in parts]),
        np.concatenate([one.tails for one in parts]),
        sum((one.x_sum for one in parts[1:]), parts[0].x_sum),
        sum((one.y_sum for one in parts[1:]), parts[0].y_sum),
        sum((one.y_square for one in parts[1:]), parts[0].y_square),
        sum(one.n for one in parts),
    )


def make_normal(moments: Moments, x_mean: Array, y_mean: Array) -> Normal:
    """Take means out of the signals before their lagging, and write the Gram matrix.

    Parameters
    ----------
    moments : Moments
    x_mean : array (p,)
    y_mean : array (q,)

    Returns
    -------
    Normal
        Lag by lag: row ``lag * p + column``.
    """
    p, q = len(x_mean), len(y_mean)
    lower = np.hstack([np.eye(p), -x_mean[:, None]])
    target = np.hstack([np.eye(q), -y_mean[:, None]])
    first = lower @ moments.first[:, : p + 1] @ lower.T
    cross = target @ moments.first[:, p + 1 :] @ lower.T
    n_lags = len(first)
    heads, tails = moments.heads @ lower.T, moments.tails @ lower.T
    flat = [edge.reshape(len(edge), -1) for edge in (heads, tails)]
    gram = np.empty((n_lags, p, n_lags, p))
    gram[0] = first.swapaxes(0, 1)
    gram[:, :, 0] = first.swapaxes(1, 2)
    for lag in range(1, n_lags):
        moved = heads[:, lag - 1].T @ flat[0] - tails[:, lag - 1].T @ flat[1]
        gram[lag, :, 1:] = gram[lag - 1, :, :-1] + moved.reshape(p, n_lags - 1, p)
    square = moments.y_square - 2 * y_mean * moments.y_sum + moments.n * y_mean**2
    return Normal(
        gram.reshape(n_lags * p, n_lags * p),
        cross.swapaxes(1, 2).reshape(n_lags * p, q),
        square,
    )


def make_identity(n_lags: int, p: int) -> Array:
    """Penalise the size of weights."""
    return np.eye(n_lags * p)


def make_laplacian(n_lags: int, p: int) -> Array:
    """Penalise squared differences of weights at neighbouring lags."""
    if n_lags == 1:
        return make_identity(n_lags, p)
    step = np.diff(np.eye(n_lags), axis=0)
    return np.kron(step.T @ step, np.eye(p))


def solve_penalised(normal: Normal, penalty: Array, alpha: float) -> Array:
    """Solve (gram + alpha penalty) w = cross; the shortest solution where there are many.

    Parameters
    ----------
    normal : Normal
    penalty : array (lag p, lag p)
    alpha : float

    Returns
    -------
    array (lag p, q)
    """
    system = normal.gram + alpha * penalty
    try:
        factor, lower = linalg.cho_factor(system, lower=True, check_finite=False)
    except linalg.LinAlgError:
        pivots = np.zeros(1)
    else:
        pivots = np.diag(factor) ** 2
    if pivots.min() <= pivots.max() * len(system) * np.finfo(np.float64).eps:
        values, vectors = eigh_ranked(system)
        solution: Array = vectors @ (shrink(values, 0.0)[:, None] * (vectors.T @ normal.cross))
    else:
        solution = linalg.cho_solve((factor, lower), normal.cross, check_finite=False)
    return solution


def sum_loss(normal: Normal, weights: Array) -> Array:
    """Squared error (q,) of weights (lag p, q) on the samples behind a Gram matrix."""
    fitted = np.einsum("ij,ij->j", weights, normal.gram @ weights - 2 * normal.cross)
    loss: Array = np.maximum(normal.square + fitted, 0.0)
    return loss


def predict_lagged(x: Array, weights: Array, first: int) -> Array:
    """Predict one stretch from its lagged copies, few rows at a time.

    Parameters
    ----------
    x : array (n, p)
        Centred.
    weights : array (lag, p, q)
    first : int
        Lag of the first weights [samples].

    Returns
    -------
    array (n, q)
    """
    n_lags, p, q = weights.shape
    reach = pad_signal(x, first, first + n_lags - 1)
    flat = np.ascontiguousarray(weights[::-1]).reshape(n_lags * p, q)
    width = reach.itemsize * p
    copies = np.lib.stride_tricks.as_strided(
        reach, (len(x), n_lags * p), (width, reach.itemsize), writeable=False
    )
    step = max(1, BUFFER_BYTES // (width * n_lags))
    predicted = np.empty((len(x), q), dtype=x.dtype)
    for start in range(0, len(x), step):
        predicted[start : start + step] = copies[start : start + step] @ flat
    return predicted
