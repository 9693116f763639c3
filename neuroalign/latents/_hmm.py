"""Hidden Markov chains on bare arrays: states given likelihoods, for all trials at once.

A trial shorter than the others is padded with bins whose log-likelihood is 0, as missing bins
are: they change nothing. Long trials are cut into blocks that run side by side; see `smooth`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

Array = npt.NDArray[Any]
# Blocks side by side: enough to hide the cost of a step, few enough to stay in cache.
WIDTH, SHORTEST = 128, 64
# Two starts of a block agree when each state does to this share.
AGREE = 1e-12


@dataclass(frozen=True)
class Smoothed:
    """What forward and backward passes give.

    ``log_prob`` (trial,), ``posterior`` (trial, time, state), ``pairs`` (state, state) the
    expected number of transitions over all trials.
    """

    log_prob: Array
    posterior: Array
    pairs: Array


def smooth(log_b: Array, start: Array, transition: Array, lengths: Array) -> Smoothed:
    """Run the scaled forward and backward passes.

    Parameters
    ----------
    log_b : array (trial, time, state)
        Log-likelihood of each bin; 0 where missing or after the end.
    start : array (state,)
    transition : array (state, state)
        Rows sum to one.
    lengths : array of int (trial,)

    Returns
    -------
    Smoothed

    Notes
    -----
    Blocks of a long trial first start from a guess, then again from where the block before them
    ended, until no start changes by more than a share of 1e-12: chains forget their past, mostly
    within one block. A chain that does not is run in order, which is the usual algorithm. Where
    probabilities underflow, all is done anew in logarithms.

    References
    ----------
    Rabiner (1989), Proceedings of the IEEE 77(2), section V.A, doi:10.1109/5.18626.
    """
    n, length, k = log_b.shape
    blocks = _count_blocks(n, length)
    span = -(-length // blocks)
    top = np.zeros((n, blocks * span))
    np.max(log_b, axis=2, out=top[:, :length])
    cut = _cut(log_b, blocks, span)
    cut -= _cut(top[..., None], blocks, span)
    np.exp(cut, out=cut)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha, scale = _pass_forward(cut, start, transition, blocks)
        if not ((scale > 0) & np.isfinite(scale)).all():
            return smooth_log(log_b, start, transition, lengths)
        cut /= scale[..., None]
        beta = _pass_backward(cut, alpha, transition, blocks)
        np.multiply(cut, beta, out=cut)
        pairs = transition * _count_pairs(alpha, cut, blocks, lengths)
        np.multiply(alpha, beta, out=alpha)
        total = alpha @ np.ones(k)
        if not ((total > 0) & np.isfinite(total)).all():
            return smooth_log(log_b, start, transition, lengths)
    log_prob = (top + _join(np.log(scale)[..., None], n)[..., 0]).sum(axis=1)
    alpha /= total[..., None]
    return Smoothed(log_prob, _join(alpha, n)[:, :length], pairs)


def _count_blocks(n: int, length: int) -> int:
    return max(1, min(WIDTH // n, length // SHORTEST))


def _cut(values: Array, blocks: int, span: int) -> Array:
    """Lay trials (trial, time, ...) out as (bin of block, block of trial, ...), padded with 0."""
    n, _, k = values.shape
    out = np.zeros((span, n, blocks, k))
    for block in range(blocks):
        part = values[:, block * span : (block + 1) * span]
        out[: part.shape[1], :, block] = part.swapaxes(0, 1)
    return out.reshape(span, n * blocks, k)


def _join(values: Array, n: int) -> Array:
    """Put blocks (bin of block, block of trial, state) back in order."""
    span, width, k = values.shape
    ordered = values.reshape(span, n, width // n, k).transpose(1, 2, 0, 3)
    return np.ascontiguousarray(ordered).reshape(n, -1, k)


def _count_pairs(alpha: Array, after: Array, blocks: int, lengths: Array) -> Array:
    """Sum products (state, state) of each bin and the next, within trials."""
    span, width, k = alpha.shape
    # The number in its trial of the bin after each.
    number = np.arange(1, span + 1)[:, None] + span * (np.arange(width) % blocks)
    inside = number < np.repeat(lengths, blocks)
    before = alpha[:-1] if inside[:-1].all() else alpha[:-1] * inside[:-1, :, None]
    inner = before.reshape(-1, k).T @ after[1:].reshape(-1, k)
    edge = alpha[-1, :-1] * inside[-1, :-1, None]
    return np.asarray(inner + edge.T @ after[0, 1:])


def _pass_forward(b: Array, start: Array, transition: Array, blocks: int) -> tuple[Array, Array]:
    """Filtered states (bin, block, state) and the sum of each bin before it was scaled."""
    width = b.shape[1]
    first = np.arange(width) % blocks == 0
    entry = np.where(first[:, None], start, np.mean(transition, axis=0))
    alpha, scale = _run_forward(b, entry, transition)
    while True:
        arrived = np.where(first[:, None], start, np.roll(alpha[-1], 1, axis=0) @ transition)
        stale = _find_changed(entry, arrived)
        if not len(stale):
            return alpha, scale
        entry[stale] = arrived[stale]
        alpha[:, stale], scale[:, stale] = _run_forward(b[:, stale], entry[stale], transition)


def _run_forward(b: Array, entry: Array, transition: Array) -> tuple[Array, Array]:
    alpha, scale = np.empty_like(b), np.empty(b.shape[:2])
    ones = np.ones(b.shape[2])
    moved = entry
    for t in range(len(b)):
        now = np.multiply(moved, b[t], out=alpha[t])
        now /= np.dot(now, ones, out=scale[t])[:, None]
        moved = now @ transition
    return alpha, scale


def _pass_backward(b: Array, alpha: Array, transition: Array, blocks: int) -> Array:
    """Likelihood of what follows each bin, so scaled that its product with alpha sums to one."""
    width = b.shape[1]
    last = np.arange(width) % blocks == blocks - 1
    leave = np.ones(alpha.shape[1:])
    beta = _run_backward(b, leave, transition)
    while True:
        arrived = np.roll((b[0] * beta[0]) @ transition.T, -1, axis=0)
        arrived /= (arrived * alpha[-1]).sum(axis=1, keepdims=True)
        arrived[last] = 1.0
        if not np.isfinite(arrived).all():
            return np.full_like(beta, np.nan)
        stale = _find_changed(leave, arrived)
        if not len(stale):
            return beta
        leave[stale] = arrived[stale]
        beta[:, stale] = _run_backward(b[:, stale], leave[stale], transition)


def _run_backward(b: Array, leave: Array, transition: Array) -> Array:
    beta = np.empty_like(b)
    back = np.ascontiguousarray(transition.T)
    beta[-1] = leave
    for t in range(len(b) - 1, 0, -1):
        np.matmul(b[t] * beta[t], back, out=beta[t - 1])
    return beta


def _find_changed(old: Array, new: Array) -> Array:
    agree = np.abs(new - old) <= AGREE * np.abs(new)
    return np.flatnonzero(~agree.all(axis=1) & np.isfinite(new).all(axis=1))


def smooth_log(log_b: Array, start: Array, transition: Array, lengths: Array) -> Smoothed:
    """Do the same in logarithms: slower, and safe where probabilities underflow."""
    length, k = log_b.shape[1:]
    alpha, beta = np.empty_like(log_b), np.zeros_like(log_b)
    with np.errstate(divide="ignore"):
        log_start, log_a = np.log(start), np.log(transition)
    alpha[:, 0] = log_start + log_b[:, 0]
    for t in range(1, length):
        alpha[:, t] = logsumexp(alpha[:, t - 1, :, None] + log_a, axis=1) + log_b[:, t]
    for t in range(length - 1, 0, -1):
        ahead = (log_b[:, t] + beta[:, t])[:, None, :]
        beta[:, t - 1] = logsumexp(log_a + ahead, axis=2)
    log_prob = logsumexp(alpha[:, -1], axis=1)
    pairs = np.zeros((k, k))
    for t in range(length - 1):
        ahead = (log_b[:, t + 1] + beta[:, t + 1])[:, None, :]
        joint = alpha[:, t, :, None] + log_a + ahead - log_prob[:, None, None]
        pairs += np.exp(joint[lengths > t + 1]).sum(axis=0)
    posterior = np.exp(alpha + beta - log_prob[:, None, None])
    return Smoothed(log_prob, posterior, pairs)


def find_path(log_b: Array, start: Array, transition: Array) -> Array:
    """Find the most probable path (Viterbi).

    Parameters
    ----------
    log_b : array (trial, time, state)
    start : array (state,)
    transition : array (state, state)

    Returns
    -------
    array of int (trial, time)
    """
    n, length, k = log_b.shape
    with np.errstate(divide="ignore"):
        best, step = np.log(start) + log_b[:, 0], np.log(transition).T.copy()
    origin = np.empty((length, n, k), dtype=np.int32)
    for t in range(1, length):
        # (trial, state now, state before): the last axis is contiguous for the search.
        reach = best[:, None, :] + step
        origin[t] = reach.argmax(axis=2)
        best = np.take_along_axis(reach, origin[t][..., None], axis=2)[..., 0] + log_b[:, t]
    path = np.empty((n, length), dtype=np.int64)
    path[:, -1] = best.argmax(axis=1)
    every = np.arange(n)
    for t in range(length - 1, 0, -1):
        path[:, t - 1] = origin[t, every, path[:, t]]
    return path
