"""Weights of feature spaces for each target: screened cheaply, judged exactly, then refined.

Candidates are points on the simplex. Every candidate is one factorisation; generalised
cross-validation, a single product a candidate, leaves a few for each target, and only these are
judged on held-out rows. All that is decided for a target depends on this target alone.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from neuroalign import _linalg
from neuroalign._gram import Folds, make_kernel
from neuroalign._hat import Generalised, unit_basis
from neuroalign._linalg import Spectrum
from neuroalign._threads import count_threads, map_threads
from neuroalign.encoders._engine import CHUNK, Engine, choose_penalties, find_edges

Array = npt.NDArray[Any]
Made = TypeVar("Made")
# Targets judged together: two pieces where a candidate has as many as most have.
PIECE = CHUNK // 2
CONCENTRATIONS = (0.1, 1.0)
# A space with less weight than this is dropped: it would add nothing but rounding.
LEAST_WEIGHT = 1e-6
# Penalties judged on folds lie this many steps around the one that screening prefers.
WINDOW = 3
# A refinement multiplies or divides the weight of one space by this; the next by its root.
FIRST_STEP = 3.0


def draw_candidates(n_spaces: int, n_candidates: int, seed: int) -> Array:
    """Draw weights: each space alone, all alike, all but one, then Dirichlet draws.

    Parameters
    ----------
    n_spaces, n_candidates : int
        The fixed ones are always there.
    seed : int

    Returns
    -------
    array (candidate, space)
        Rows sum to 1; weights below 1e-6 are exactly 0.
    """
    fixed = [np.eye(n_spaces)]
    if n_spaces > 1:
        fixed.append(np.full((1, n_spaces), 1 / n_spaces))
    if n_spaces > 2:
        fixed.append((1 - np.eye(n_spaces)) / (n_spaces - 1))
    known = np.concatenate(fixed)
    left = 0 if n_spaces == 1 else max(0, n_candidates - len(known))
    rng = np.random.default_rng(seed)
    drawn = [
        rng.dirichlet(np.full(n_spaces, CONCENTRATIONS[row % len(CONCENTRATIONS)]))
        for row in range(left)
    ]
    return normalise(np.concatenate([known, np.reshape(drawn, (left, n_spaces))]))


def normalise(weights: Array) -> Array:
    """Make rows sum to 1, and what is next to nothing exactly nothing."""
    weights = np.where(weights < LEAST_WEIGHT * weights.sum(axis=1, keepdims=True), 0.0, weights)
    normal: Array = weights / weights.sum(axis=1, keepdims=True)
    return normal


class Found(NamedTuple):
    """What was found for each target.

    ``weights`` (t, m), ``row`` (t,) of the grid, ``mse`` and ``null`` (t,), ``coef`` (t, r) over
    the columns of all spaces, ``intercept`` (t,), ``short`` (t,): at an edge of the grid where the
    error still falls.
    """

    weights: Array
    row: Array
    mse: Array
    null: Array
    coef: Array
    intercept: Array
    short: Array


class Trial(NamedTuple):
    """One candidate and who tries it: ``weights`` (m,), ``columns`` (t,), ``near`` (t,).

    ``near`` is the row of the grid that screening prefers, -1 where the whole grid is open.
    """

    weights: Array
    columns: Array
    near: Array


def in_waves(
    make: Callable[[Any], Made], items: Sequence[Any] | Array
) -> Iterator[tuple[int, list[Made]]]:
    """Make a few things at a time, in threads: those of one wave are held together."""
    size = count_threads()
    for first in range(0, len(items), size):
        yield first, map_threads(make, items[first : first + size])


class SimplexSearch:
    """Spaces, folds and penalties; ``run`` searches for any targets.

    Parameters
    ----------
    parts : sequence of array (n, r)
        Columns of each space, of trace n.
    folds : list of (train, test)
    grid : array (a,)
        Absolute penalties, increasing.
    center : bool
    n_best : int
        Candidates judged on folds for each target.
    """

    def __init__(
        self, parts: Sequence[Array], folds: Folds, grid: Array, *, center: bool, n_best: int
    ) -> None:
        self.parts, self.folds, self.center, self.n_best = parts, folds, center, n_best
        self.grid = grid
        # Inner products of the spaces make those of any blend, by sums.
        ends = np.cumsum([0, *(part.shape[1] for part in parts)])
        dual = ends[-1] >= len(parts[0])
        self.kernels = [make_kernel(part, center=center) for part in parts] if dual else None
        self.columns = [slice(a, b) for a, b in pairwise(ends.tolist())]

    def run(self, Y: Array, candidates: Array, n_refine: int) -> Found:
        """Search for targets (n, t)."""
        n_targets, dtype = Y.shape[1], Y.dtype
        blank = np.full(n_targets, np.nan)
        width = self.columns[-1].stop
        found = Found(
            np.zeros((n_targets, len(self.parts))), np.zeros(n_targets, dtype=np.intp),
            np.full(n_targets, np.inf), blank,
            np.zeros((n_targets, width), dtype), np.zeros(n_targets, dtype),
            np.zeros(n_targets, dtype=bool),
        )  # fmt: skip
        shortlist, near = self._screen(Y, candidates)
        found_at = [np.nonzero(shortlist == number) for number in range(len(candidates))]
        self._try_all(
            Y, found,
            [
                Trial(weights, columns, near[places, columns])
                for weights, (places, columns) in zip(candidates, found_at, strict=True)
            ],
        )  # fmt: skip
        for step in range(n_refine):
            self._refine(Y, found, FIRST_STEP ** (0.5**step))
        if len(candidates) == len(self.grid) == 1:
            found.mse[:] = np.nan
        return found

    def _decompose(self, weights: Array, *, right: bool) -> tuple[Spectrum, Array | None]:
        """Factorise a blend; also its kernel, where it has one."""
        X = self._blend(weights)
        if self.kernels is None:
            return _linalg.eigh_gram(X, center=self.center, solver="primal"), None
        total = np.zeros_like(self.kernels[0])
        for kernel, weight in zip(self.kernels, weights, strict=True):
            total += weight * kernel
        values, vectors = _linalg.eigh_ranked(total)
        mean = X.mean(axis=0, dtype=np.float64) if self.center else np.zeros(X.shape[1])
        # The columns of vectors have no mean: what X is centred by falls out.
        back = X.T @ vectors.astype(X.dtype) if right else X[:0].T
        return Spectrum(values, vectors, back, mean), total

    def _blend(self, weights: Array) -> Array:
        """Join the spaces that have weight; one without is not there."""
        kept = [part * part.dtype.type(np.sqrt(one))
                for part, one in zip(self.parts, weights, strict=True) if one > 0]  # fmt: skip
        return np.concatenate(kept, axis=1)

    def _make_engine(self, weights: Array, folds: Folds | str, grid: Array, t: int) -> Engine:
        # The engine compares penalties only where there are two.
        judged = np.repeat(grid, 2) if len(grid) == 1 else grid
        spectrum, kernel = self._decompose(weights, right=True)
        return Engine(
            self._blend(weights), folds, judged, t,
            center=self.center, relative=False, spectrum=spectrum, kernel=kernel,
        )  # fmt: skip

    def _screen(self, Y: Array, candidates: Array) -> tuple[Array, Array]:
        """Give the best candidates (q, t) and the penalty each prefers; -1 where it is open."""
        q = min(self.n_best, len(candidates))
        if q == len(candidates):
            every = np.broadcast_to(np.arange(q)[:, None], (q, Y.shape[1]))
            return every, np.full(every.shape, -1)
        least = np.full((q, Y.shape[1]), np.inf)
        # Where no candidate can be screened, the first are judged over the whole grid.
        which, near = np.tile(np.arange(q)[:, None], (1, Y.shape[1])), np.full(least.shape, -1)
        for first, rules in in_waves(self._make_screen, candidates):

            def screen(start: int, first: int = first, rules: Any = rules) -> None:
                columns = np.arange(start, min(start + CHUNK, Y.shape[1]))
                for number, rule in enumerate(rules, first):
                    losses = rule.sum_all(rule.project(Y[:, columns])[0])[:, 0]
                    row = losses.argmin(axis=0)
                    loss = losses[row, np.arange(len(columns))]
                    worst = least[:, columns].argmax(axis=0)
                    better = loss < least[worst, columns]
                    place = worst[better], columns[better]
                    least[place], which[place], near[place] = loss[better], number, row[better]

            map_threads(screen, range(0, Y.shape[1], CHUNK))
        return which, near

    def _make_screen(self, weights: Array) -> Generalised:
        spectrum, _ = self._decompose(weights, right=False)
        basis = unit_basis(spectrum)
        return Generalised(spectrum, basis, self.grid, self.center, None, self.parts[0].dtype)

    def _try_all(self, Y: Array, found: Found, trials: list[Trial]) -> None:
        """Judge candidates on folds, each for its targets, and keep what is better."""
        todo = [trial for trial in trials if len(trial.columns)]
        for first, engines in in_waves(self._prepare, todo):
            for trial, engine in zip(todo[first:], engines, strict=False):
                self._try(Y, found, trial, engine)

    def _find_rows(self, trial: Trial) -> Array:
        """Penalties that any target of a trial may take."""
        last = len(self.grid) - 1
        if (trial.near < 0).any():
            return np.arange(last + 1)
        low, high = int(trial.near.min()) - WINDOW, int(trial.near.max()) + WINDOW
        return np.arange(max(0, low), min(last, high) + 1)

    def _prepare(self, trial: Trial) -> Engine:
        grid = self.grid[self._find_rows(trial)]
        return self._make_engine(trial.weights, self.folds, grid, len(trial.columns))

    def _try(self, Y: Array, found: Found, trial: Trial, engine: Engine) -> None:
        rows, last = self._find_rows(trial), len(self.grid) - 1

        def judge(start: int) -> None:
            part, own = (one[start : start + PIECE] for one in (trial.columns, trial.near))
            wanted = (np.abs(rows[:, None] - own) <= WINDOW) | (own < 0)
            doubled = np.repeat(wanted, 2, axis=0) if len(rows) == 1 else wanted
            judged = engine.judge(Y[:, part], doubled)
            losses = np.where(wanted, judged.losses[: len(rows)], np.inf)
            best = choose_penalties(judged._replace(losses=losses))
            loss = losses[best, np.arange(len(part))]
            better = loss < found.mse[part]
            if better.any():
                kept = part[better]
                found.mse[kept], found.null[kept] = loss[better], judged.null[better]
                low_edge, high_edge = find_edges(np.where(wanted, losses, np.nan), best)
                at_low, at_high = rows[0] == 0, rows[-1] == last
                ends = (low_edge.all(axis=0) & at_low) | (high_edge.all(axis=0) & at_high)
                found.short[kept] = np.asarray(ends)[better]
                found.row[kept], found.weights[kept] = rows[best[better]], trial.weights
                self._fill(found, engine, Y, kept)

        map_threads(judge, range(0, len(trial.columns), PIECE))

    def _fill(self, found: Found, engine: Engine, Y: Array, columns: Array) -> None:
        solved = engine.solve(Y[:, columns], self.grid[found.row[columns]])
        weights, start = found.weights[columns[0]], 0
        found.intercept[columns] = solved.intercept
        for place, weight in zip(self.columns, weights, strict=True):
            size = (place.stop - place.start) if weight > 0 else 0
            own = solved.coef[:, start : start + size] * solved.coef.dtype.type(np.sqrt(weight))
            found.coef[columns, place] = own if size else 0.0
            start += size

    def _refine(self, Y: Array, found: Found, factor: float) -> None:
        """Move the weight with the steepest slope by a factor, where the held-out error falls.

        Targets of one candidate that move the same weight to the same side share the step.
        """
        moves: dict[tuple[float, ...], list[Array]] = {}
        used, member = np.unique(found.weights, axis=0, return_inverse=True)
        for number, weights in enumerate(used):
            columns = np.flatnonzero(member.ravel() == number)
            if np.count_nonzero(weights) < 2:
                continue
            slopes = self._slope(Y[:, columns], weights, self.grid[found.row[columns]])
            space = np.abs(slopes).argmax(axis=0)
            down = slopes[space, np.arange(len(columns))] > 0
            for one in np.flatnonzero(weights):
                for side in (True, False):
                    moved = weights.copy()
                    moved[one] *= 1 / factor if side else factor
                    key = tuple(normalise(moved[None])[0].tolist())
                    moves.setdefault(key, []).append(columns[(space == one) & (down == side)])
        joined = {key: np.concatenate(lists) for key, lists in moves.items()}
        trials = [
            Trial(np.asarray(key), columns, found.row[columns].copy())
            for key, columns in joined.items()
        ]
        self._try_all(Y, found, trials)

    def _slope(self, Y: Array, weights: Array, alphas: Array) -> Array:
        """Derivative of log GCV by the log weight of each space: (m, t).

        With M = K + aI, u = M^-1 y and v = M^-1 u: the residual sum of squares a^2 u'u falls by
        2 a^2 v'K_i u, and the trace of I - H by a tr(M^-1 K_i M^-1).
        """
        engine = Engine(self._blend(weights), [], np.ones(1), 1, center=self.center, relative=False)
        basis, values = engine.basis.astype(np.float64), engine.values
        Y = Y.astype(np.float64)
        Y = Y - Y.mean(axis=0) if self.center else Y
        inverse = _linalg.shrink(values, alphas)
        projected = basis.T @ Y
        beyond = np.maximum((Y**2).sum(axis=0) - (projected**2).sum(axis=0), 0)
        left = ((1 - values[:, None] * inverse) ** 2 * projected**2).sum(axis=0) + beyond
        free = len(Y) - float(self.center) - (values[:, None] * inverse).sum(axis=0)
        tiny = np.finfo(np.float64).tiny
        slopes = np.zeros((len(weights), Y.shape[1]))
        for space in np.flatnonzero(weights).tolist():
            own = self.parts[space].T.astype(np.float64) @ basis
            one, two = own @ (inverse * projected), own @ (inverse**2 * projected)
            spent = ((own**2).sum(axis=0)[:, None] * inverse**2).sum(axis=0)
            fall = 2 * alphas**2 * (one * two).sum(axis=0) / np.maximum(left, tiny)
            slopes[space] = weights[space] * (2 * alphas * spent / np.maximum(free, tiny) - fall)
        return slopes
