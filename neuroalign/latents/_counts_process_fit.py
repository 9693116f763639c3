"""Climb the bound of counts driven by smooth processes: posterior, readout, kernels in turn."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from neuroalign.latents._counts_process import (
    State,
    Waves,
    choose_waves,
    count_constant,
    cut_blocks,
    infer_block,
)
from neuroalign.latents._fourier_gp import FourierBasis, find_circle, find_spectrum, make_basis
from neuroalign.latents._kalman import States
from neuroalign.latents._linear_fit import OBSERVATIONS, Readout

Array = npt.NDArray[Any]
# Longest lengths in a window of a long trial, and in its overlap with the next.
WINDOW, OVERLAP = 8, 4
# Steps of the posterior between two updates of the parameters: it starts where it was.
STEPS = 2
# Passes of each of several starts before the best goes on.
RACE = 10
# Growth of the pace of kernels while it pays, and its limit.
FASTER, FASTEST = 1.5, 20.0


class Windows(NamedTuple):
    """Pieces of trials, all of one length.

    ``trial`` and ``begin`` (window,) say whence; ``first`` and ``last`` (window,) bound the bins
    whose latents are taken from it.
    """

    trial: Array
    begin: Array
    first: Array
    last: Array
    length: int

    def cut(self, values: Array) -> Array:
        """Cut (trial, time, ...) into (window, time, ...), 0 beyond the end."""
        out = np.zeros((len(self.trial), self.length, *values.shape[2:]), dtype=values.dtype)
        for row, (trial, begin) in enumerate(zip(self.trial, self.begin, strict=True)):
            piece = values[trial, begin : begin + self.length]
            out[row, : len(piece)] = piece
        return out

    def join(self, pieces: Array, n_trials: int, n_bins: int) -> Array:
        """Put the inner bins of (window, time, ...) together."""
        out = np.zeros((n_trials, n_bins, *pieces.shape[2:]))
        for row, (trial, begin) in enumerate(zip(self.trial, self.begin, strict=True)):
            first, last = self.first[row], min(self.last[row], n_bins - begin)
            out[trial, begin + first : begin + last] = pieces[row, first:last]
        return out


def cut_windows(n_trials: int, n_bins: int, longest: float) -> Windows:
    """Windows over trials of ``n_bins``; one a trial where it is short enough.

    Bins farther apart than several lengths of the kernel do not know of each other: a latent is
    taken from the window in which it lies at least two lengths from either edge.
    """
    whole, overlap = int(np.ceil(WINDOW * longest)), int(np.ceil(OVERLAP * longest))
    if n_bins <= whole:
        zero = np.zeros(n_trials, dtype=np.intp)
        return Windows(np.arange(n_trials), zero, zero, zero + n_bins, n_bins)
    stride = whole - overlap
    begins = np.arange(0, n_bins - overlap, stride)
    first = np.where(begins == 0, 0, overlap // 2)
    last = np.where(begins + whole >= n_bins, whole, overlap // 2 + stride)
    trial = np.repeat(np.arange(n_trials), len(begins))
    return Windows(
        trial, np.tile(begins, n_trials), np.tile(first, n_trials), np.tile(last, n_trials), whole
    )


@dataclass
class CountsModel:
    """Readout, ``lengths`` (latent,) of the kernels in bins, and how they came about."""

    readout: Readout
    lengths: Array
    bounds: tuple[float, float]
    circle: int
    objective: list[float] = field(default_factory=list)
    converged: bool = False

    def find_basis(self, n_bins: int) -> FourierBasis:
        """Basis for windows of that many bins, on the circle of the fit where they fit in."""
        circle = max(self.circle, find_circle(n_bins, self.bounds[1]))
        return make_basis(n_bins, circle, self.bounds[0])


class Moments(NamedTuple):
    """Of trials: ``mean``, ``spread`` (trial, time, latent[, latent]), ``bound`` (trial,)."""

    mean: Array
    spread: Array
    bound: Array


def infer_counts(Y: Array, observed: Array, model: CountsModel, max_steps: int) -> Moments:
    """Infer latents of trials, and a bound on the log likelihood of each.

    Of a trial in several windows, the bound is the sum over windows less that over what two of
    them share, which is exact where the shared bins part the rest.
    """
    n_trials, n_bins, _ = Y.shape
    windows = cut_windows(n_trials, n_bins, model.bounds[1])
    waves = choose_waves(model.find_basis(windows.length), model.lengths)
    pieces, seen = windows.cut(Y), windows.cut(observed.astype(np.float64))
    means, spreads, bounds = [], [], []
    shared = seen.copy()
    later = windows.begin > 0
    shared[:, int(np.ceil(OVERLAP * model.bounds[1])) :] = 0.0
    for block in cut_blocks(len(pieces), waves):
        state = infer_block(
            pieces[block], seen[block], model.readout, waves, None, max_steps, 1e-7
        )  # fmt: skip
        bound = state.bound + count_constant(pieces[block])
        again = np.flatnonzero(later[block]) + (block.start or 0)
        if len(again):
            values = pieces[again] * shared[again]
            twice = infer_block(
                values, shared[again], model.readout, waves, None, max_steps, 1e-7
            )  # fmt: skip
            bound[again - block.start] -= twice.bound + count_constant(values)
        means.append(state.mean)
        spreads.append(state.spread)
        bounds.append(bound)
    totals = np.bincount(windows.trial, np.concatenate(bounds), minlength=n_trials)
    mean = windows.join(np.concatenate(means), n_trials, n_bins)
    return Moments(mean, windows.join(np.concatenate(spreads), n_trials, n_bins), totals)


class _Memory:
    """Where the posterior of each window was, in coefficients that outlive a change of kernel."""

    def __init__(self, n_windows: int, n_latents: int, n_waves: int, n_bins: int) -> None:
        self.values = np.zeros((n_windows, n_latents, n_waves))
        self.W = np.zeros((n_windows, n_bins, n_latents, n_latents))
        self.known = False

    def recall(self, block: slice, waves: Waves) -> tuple[Array, Array] | None:
        if not self.known:
            return None
        parts = [
            self.values[block, k, where] / scale
            for k, (where, scale) in enumerate(zip(waves.kept, waves.scale, strict=True))
        ]
        return np.concatenate(parts, axis=1), self.W[block]

    def keep(self, block: slice, state: State, waves: Waves) -> None:
        self.values[block] = 0.0
        start = 0
        for k, (where, scale) in enumerate(zip(waves.kept, waves.scale, strict=True)):
            self.values[block, k, where] = state.u[:, start : start + len(where)] * scale
            start += len(where)
        self.W[block] = state.W

    def stretch(self, factors: Array) -> None:
        """Follow latents that are divided by ``factors``, their loadings multiplied."""
        self.values /= factors[:, None]
        self.W *= factors[:, None] * factors


class _Pace:
    """How far beyond the move of a kernel to go: farther each time it pays, else back to the move.

    Kernels move slowly by expectation maximisation where counts are few.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self.ahead: tuple[Array, Array] | None = None

    def move(self, model: CountsModel, memory: _Memory, aim: Array, factors: Array) -> None:
        """Change lengths and scales; ``aim`` and ``factors`` are what the plain move asks for."""
        beyond = self.factor - 1.0
        low, high = np.log(model.bounds)
        there = np.log(aim) + np.clip(np.log(aim / model.lengths) * beyond, -0.5, 0.5)
        there = np.clip(there, low, high)
        scales = np.clip(np.log(factors) * beyond, -0.5, 0.5)
        self.ahead = (there - np.log(aim), scales)
        _rescale(model, memory, np.exp(there), factors * np.exp(scales))
        self.factor = min(FASTEST, self.factor * FASTER)

    def undo(self, model: CountsModel, memory: _Memory) -> bool:
        """Go back to the plain move; False when there was no more than that."""
        if self.ahead is None or not np.any(self.ahead):
            return False
        lengths, scales = self.ahead
        _rescale(model, memory, model.lengths * np.exp(-lengths), np.exp(-scales))
        self.factor, self.ahead = 1.0, None
        return True


def _rescale(model: CountsModel, memory: _Memory, lengths: Array, factors: Array) -> None:
    model.lengths = lengths
    model.readout.loadings = model.readout.loadings * factors
    memory.stretch(factors)


def fit_counts(
    Y: Array, observed: Array, starts: list[CountsModel], max_iter: int, tol: float
) -> CountsModel:
    """Climb until the bound grows by less than ``tol`` a bin.

    Long trials are cut into windows that overlap; the objective is the sum of their bounds.

    Parameters
    ----------
    Y, observed : array (trial, time, unit)
    starts : list of CountsModel
        Of several, the one with the best bound per entry after some passes goes on.
    max_iter : int
    tol : float

    Returns
    -------
    CountsModel
        One of the starts, changed.
    """
    short = max_iter if len(starts) == 1 else min(RACE, max_iter)
    climbs = [_Climb(Y, observed, model, tol) for model in starts]
    for climb in climbs:
        climb.run(short)
    best = max(climbs, key=_Climb.measure)
    best.run(max_iter - short)
    return best.model


class _Climb:
    """A climb over windows (window, time, unit) that can be halted and taken up again."""

    def __init__(self, Y: Array, observed: Array, model: CountsModel, tol: float) -> None:
        windows = cut_windows(len(Y), Y.shape[1], model.bounds[1])
        Y = windows.cut(Y)
        seen = windows.cut(observed.astype(np.float64))
        self.Y, self.seen, self.model = Y, seen, model
        self.enough = tol * seen.any(axis=2).sum()
        self.basis = model.find_basis(Y.shape[1])
        k = len(model.lengths)
        self.pace = _Pace()
        self.memory = _Memory(len(Y), k, len(self.basis.frequency), Y.shape[1])
        self.constant = float(count_constant(Y).sum())

    def measure(self) -> float:
        """Bound per entry: longer windows count more bins twice."""
        return self.model.objective[-1] / float(self.seen.sum())

    def run(self, n_passes: int) -> None:
        """Make so many passes, or fewer where the bound has settled or is lost."""
        for _ in range(n_passes):
            if self.model.converged or not np.isfinite(self.model.objective[-1:]).all():
                return
            self._pass()

    def _pass(self) -> None:
        Y, seen, model, basis = self.Y, self.seen, self.model, self.basis
        pace, memory, k = self.pace, self.memory, len(self.model.lengths)
        waves = choose_waves(basis, model.lengths)
        total, power = self.constant, [np.zeros(len(one)) for one in waves.kept]
        mean, spread = np.empty((*Y.shape[:2], k)), np.empty((*Y.shape[:2], k, k))
        for block in cut_blocks(len(Y), waves):
            state = infer_block(
                Y[block], seen[block], model.readout, waves, memory.recall(block, waves),
                STEPS if memory.known else 10, 0.0,
            )  # fmt: skip
            memory.keep(block, state, waves)
            mean[block], spread[block] = state.mean, state.spread
            total += float(state.bound.sum())
            _add_power(power, state, waves)
        memory.known = True
        gain = total - model.objective[-1] if model.objective else np.inf
        if not gain >= 0 and pace.undo(model, memory):
            return
        model.objective.append(total)
        model.converged = bool(abs(gain) < self.enough)
        if model.converged or not np.isfinite(total):
            return
        states = States(mean, spread, spread, np.arange(len(Y)), np.zeros(len(Y)))
        model.readout = OBSERVATIONS["poisson"].update(Y, seen, states, model.readout)
        power = [one / len(Y) for one in power]
        pace.move(model, memory, *_aim_kernels(model, basis, waves, power))


def _add_power(power: list[Array], state: State, waves: Waves) -> None:
    """Add expected squares of the coefficients, summed over windows."""
    squares = state.u**2 + np.diagonal(state.covariance, axis1=1, axis2=2)
    total, start = squares.sum(axis=0), 0
    for one, scale in zip(power, waves.scale, strict=True):
        one += total[start : start + len(scale)] * scale**2
        start += len(scale)


def _aim_kernels(
    model: CountsModel, basis: FourierBasis, waves: Waves, power: list[Array]
) -> tuple[Array, Array]:
    """Most likely length of each latent, and the root of its variance.

    For any length the best variance is known: only the length is searched.
    """
    shortest, longest = np.log(model.bounds)
    longest = min(longest, np.log(basis.longest))
    factors = np.ones(len(power))
    lengths = model.lengths.copy()
    for k, (where, one) in enumerate(zip(waves.kept, power, strict=True)):

        def cost(log_length: float, where: Array = where, one: Array = one) -> float:
            prior = find_spectrum(basis, float(np.exp(log_length)))[where]
            return float(len(one) * np.log((one / prior).mean()) + np.log(prior).sum())

        near = np.log(lengths[k]) + np.array([-0.5, 0.5])
        low, high = max(shortest, near[0]), min(longest, near[1])
        found = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
        lengths[k] = np.exp(found.x)
        prior = find_spectrum(basis, float(lengths[k]))[where]
        factors[k] = np.sqrt((one / prior).mean())
    return lengths, factors
