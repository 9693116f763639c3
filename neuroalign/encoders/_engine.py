"""Ridge on bare arrays: factorise the features once, then solve targets chunk by chunk."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import _linalg
from neuroalign._filters import Mapped, Product, Projected, multiply_plainly
from neuroalign._gram import Folds, Rule, make_kernel, make_rule
from neuroalign._hat import Block
from neuroalign._linalg import Spectrum
from neuroalign.errors import SchemaError, choose, some

Array = npt.NDArray[Any]
# Targets of one chunk: what is computed of it stays in the cache of a core.
CHUNK = 1000
# A penalty at the edge matters only where the error still falls there by this share a step.
EDGE_SLOPE = 1e-3
# ... or where all penalties are so many times larger or smaller than the mean eigenvalue.
FAR_OFF = 1e3


class Judged(NamedTuple):
    """Held-out errors of a chunk.

    ``losses`` (a, t): mean squared error, NaN where a search left a penalty out; ``null`` (t,):
    that of the training mean; ``error`` (a, t): standard error over folds.
    """

    losses: Array
    null: Array
    error: Array


class Solution(NamedTuple):
    """What was fitted to a chunk: ``coef`` (t, p), ``intercept`` (t,)."""

    coef: Array
    intercept: Array


class Search(NamedTuple):
    """How penalties are compared.

    ``form`` of the folds; ``tolerance`` of predictions; ``margin``: errors within this share of
    the smallest are computed again in full, none if 0; ``half``: products in bfloat16.
    """

    form: str
    tolerance: dict[str, float]
    margin: float
    half: bool


# Predictions err by less than the arithmetic does; rough ones, by less than neighbours differ.
FINE = {"float32": 1e-6, "float64": 1e-13}
ROUGH = {"float32": 3e-4, "float64": 3e-4}
SEARCHES: dict[str, Search] = {
    "exact": Search("auto", FINE, 0.0, half=False),
    "coarse": Search("direct", ROUGH, 2e-3, half=False),
    "mixed": Search("direct", ROUGH, 3e-3, half=True),
}


def run_search(search: Search, rule: Rule, state: Any) -> Array:
    """Sum squared errors (a, k, t): all penalties, then those near the best in full."""
    sums = rule.sum_all(state)
    if not search.margin or not isinstance(rule, Projected | Mapped):
        return sums
    total = sums.sum(axis=1)
    near = total <= total.min(axis=0) * (1 + search.margin)
    for row, members in enumerate(near):
        columns = np.flatnonzero(members)
        if len(columns):
            sums[row][:, columns] = rule.sum_errors(state, row, columns)
    return sums


class Engine:
    """One factorisation of the features, and any number of targets solved on it.

    Parameters
    ----------
    X : array (n, p)
    folds : list of (train, test), {"loo", "gcv"}, or empty with one penalty
    grid : array (a,)
    n_targets : int
        How many targets will come, which decides between two exact forms.
    center, relative : bool
    solver, search, form : str
    weights : array (n,), optional
    spectrum : Spectrum, optional
        Of X, where the caller has it; then ``kernel`` may be given as `make_kernel` makes it.
    """

    def __init__(
        self,
        X: Array,
        folds: Folds | str,
        grid: Array,
        n_targets: int,
        *,
        center: bool = True,
        relative: bool = True,
        solver: str = "auto",
        search: str = "exact",
        form: str | None = None,
        weights: Array | None = None,
        spectrum: Spectrum | None = None,
        kernel: Array | None = None,
    ) -> None:
        self.center, self.weights, self.dtype = center, weights, X.dtype
        self.search = choose(SEARCHES, search, "search")
        if spectrum is None:
            # One Gram matrix serves all rows and every fold.
            dual = weights is None and _linalg.is_dual(X.shape, solver)
            kernel = make_kernel(X, center=center) if dual else None
            spectrum = _linalg.eigh_gram(
                X, center=center, solver=solver, weights=weights, kernel=kernel
            )
        total = len(X) if weights is None else float(weights.sum())
        mean = spectrum.values.sum() / total
        scale = mean if relative else 1.0
        # A constant X has no eigenvalue to be relative to.
        self.alphas = grid * (scale if scale > 0 else 1.0)
        self.relative = self.alphas / mean if mean > 0 else self.alphas
        self.values = spectrum.values
        length = np.linalg.norm(spectrum.left, axis=0)
        self.basis = (spectrum.left / length).astype(self.dtype)
        self.back = np.ascontiguousarray((spectrum.right * length).T, dtype=self.dtype)
        self.mean = spectrum.center.astype(self.dtype)
        self.rule: Rule | None = None
        self.rows = np.ones(1)
        if len(grid) > 1:
            self.rule = make_rule(
                X, spectrum, folds, self.alphas, n_targets,
                center=center, solver=solver, weights=weights,
                form=form or self.search.form, tolerance=self.search.tolerance[X.dtype.name],
                kernel=kernel, refined=self.search.margin > 0, product=self._choose_product(),
            )  # fmt: skip
            self.rows = self._count_rows(folds, len(X))

    def _choose_product(self) -> Product:
        if not self.search.half:
            return multiply_plainly
        from neuroalign._device import multiply_in_half  # noqa: PLC0415

        return multiply_in_half

    def _count_rows(self, folds: Folds | str, n: int) -> Array:
        """Weight of the held-out rows of each fold."""
        own = np.ones(n) if self.weights is None else self.weights
        if isinstance(folds, str):
            return np.array([own.sum()])
        return np.array([own[test].sum() for _, test in folds])

    def judge(self, Y: Array, wanted: Array | None = None) -> Judged:
        """Compute held-out errors of a chunk (n, t); those not ``wanted`` (a, t) may be inf."""
        if self.rule is None:
            blank = np.full((len(self.alphas), Y.shape[1]), np.nan)
            return Judged(blank, blank[0], blank)
        state, null = self.rule.project(Y)
        if wanted is not None and isinstance(self.rule, Block):
            sums = self.rule.sum_all(state, wanted)
        else:
            sums = run_search(self.search, self.rule, state)
        count = self.rows.sum()
        means = sums / self.rows[:, None]
        k = self.rule.n_folds
        blank = np.full_like(means[:, 0], np.nan)
        with np.errstate(invalid="ignore"):
            spread = means.std(axis=1, ddof=1) / np.sqrt(k) if k > 1 else blank
        return Judged(sums.sum(axis=1) / count, null.sum(axis=0) / count, spread)

    def solve(self, Y: Array, alphas: Array) -> Solution:
        """Fit a chunk (n, t) at one penalty (t,) each."""
        mean = (
            _linalg.average_rows(Y, self.weights)
            if self.center
            else np.zeros(Y.shape[1], self.dtype)
        )
        projected = self.basis.T @ _linalg.scale_rows(Y - mean, self.weights)
        few, place = np.unique(alphas, return_inverse=True)
        projected *= _linalg.shrink(self.values, few).astype(self.dtype)[:, place]
        coef = projected.T @ self.back
        return Solution(coef, mean - coef @ self.mean)


def choose_penalties(judged: Judged, *, conservative: bool = False) -> Array:
    """Pick the penalty index of each target; of equal errors the larger penalty wins.

    Parameters
    ----------
    judged : Judged
    conservative : bool
        Take the largest penalty within one standard error (over folds) of the best.

    Returns
    -------
    array of int (t,)
    """
    losses = np.where(np.isnan(judged.losses), np.inf, judged.losses)
    last = len(losses) - 1
    best: Array = last - np.argmin(losses[::-1], axis=0)
    if not conservative:
        return best
    columns = np.arange(losses.shape[1])
    # With one fold there is no standard error, and the best stands.
    bound = losses[best, columns] + np.nan_to_num(judged.error[best, columns])
    within: Array = last - np.argmax((losses <= bound)[::-1], axis=0)
    return np.maximum(best, within)


def solve_chunk(engine: Engine, Y: Array, *, conservative: bool = False) -> dict[str, Array]:
    """Choose a penalty for each target of a chunk (n, t), and fit it.

    Returns
    -------
    dict of str to array
        ``weights`` (p, t); ``intercept``, ``alpha``, ``cv_mse``, ``cv_r2`` (t,).
    """
    columns = np.arange(Y.shape[1])
    judged = engine.judge(Y)
    best = np.zeros(len(columns), dtype=np.intp)
    if len(engine.alphas) > 1:
        best = choose_penalties(judged, conservative=conservative)
    level = Y[0] if engine.center else np.zeros(len(columns))
    constant = (level == Y).all(axis=0)
    best[constant] = len(engine.alphas) - 1
    solved = engine.solve(Y, engine.alphas[best])
    solved.coef[constant] = 0.0
    mse, null = judged.losses[best, columns], judged.null
    r2 = 1.0 - np.divide(mse, null, out=np.full_like(mse, np.nan), where=null > 0)
    return {
        "weights": solved.coef.T,
        "intercept": solved.intercept,
        "alpha": engine.alphas[best],
        "cv_mse": mse,
        "cv_r2": r2,
    }


def find_edges(losses: Array, best: Array, relative: Array | None = None) -> tuple[Array, Array]:
    """Tell where the best penalty is the smallest or largest, and the error still falls there.

    Far from the eigenvalues the error is flat: there a grid is short whatever the slope.

    Parameters
    ----------
    losses : array (a, t)
    best : array of int (t,)
    relative : array (a,), optional
        The penalties in units of the mean eigenvalue, where they are the whole grid.

    Returns
    -------
    tuple of array of bool (2, t)
        Low and high edge; rows: at the edge, and still falling.
    """
    last = len(losses) - 1
    if last == 0:
        blank = np.zeros((2, len(best)), dtype=bool)
        return blank, blank
    falls_low = losses[1] - losses[0] > EDGE_SLOPE * losses[1]
    falls_high = losses[last - 1] - losses[last] > EDGE_SLOPE * losses[last - 1]
    if relative is not None:
        falls_low |= relative[0] > FAR_OFF
        falls_high |= relative[last] < 1 / FAR_OFF
    return np.stack([best == 0, falls_low]), np.stack([best == last, falls_high])


def find_patterns(targets: Array) -> Iterator[tuple[Array, Array | None]]:
    """Group targets (n, t) that lack the same rows; rows are None where nothing is missing.

    Yields
    ------
    columns : array of int
    rows : array of int, or None
        Rows that are there.

    Raises
    ------
    ValueError
        When fewer than two rows are left.
    """
    missing = np.isnan(targets) if targets.dtype.kind == "f" else np.zeros((1, 1), dtype=bool)
    if not missing.any():
        yield np.arange(targets.shape[1]), None
        return
    patterns, member = np.unique(missing, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        columns = np.flatnonzero(member.ravel() == number)
        rows = np.flatnonzero(~patterns[:, number])
        if len(rows) < 2:
            raise ValueError(
                f"y: expected at least 2 rows without NaN for each neuroid, got {len(rows)} for "
                f"{len(columns)} of them (first: number {columns[0]}). Drop those neuroids."
            )
        yield columns, rows


def find_pools(
    alpha_per: str, labels: xr.DataArray | None, shape: tuple[int, ...]
) -> list[npt.NDArray[np.bool_]]:
    """Name the targets (neuroid[, time], flat) that share one penalty, as masks.

    Raises
    ------
    SchemaError
        When regions are asked for and not labelled.
    """
    if alpha_per == "global":
        return [np.ones(int(np.prod(shape, dtype=int)), dtype=bool)]
    if labels is None or "roi" not in labels.coords:
        raise SchemaError(
            "y: expected a DataArray with coord 'roi' on 'neuroid' for alpha_per='roi', got "
            f"{'a bare array' if labels is None else some(labels.coords)}. "
            "Assign it, or use alpha_per='neuroid'."
        )
    regions = np.repeat(labels["roi"].values, int(np.prod(shape[1:], dtype=int)))
    return [regions == one for one in np.unique(regions)]


def keep_rows(folds: Folds, rows: Array | None) -> Folds:
    """Number folds by the rows that are there; folds that lose a side are left out.

    Raises
    ------
    ValueError
        When none is left.
    """
    if rows is None or not folds:
        return folds
    place = np.full(max(int(max(train.max(), test.max())) for train, test in folds) + 1, -1)
    place[rows] = np.arange(len(rows))
    pairs = [(place[train], place[test]) for train, test in folds]
    kept = [(train[train >= 0], test[test >= 0]) for train, test in pairs]
    left = [(train, test) for train, test in kept if len(train) > 1 and len(test)]
    if not left:
        raise ValueError(
            f"y: expected rows without NaN, or with weight, in training and test of a fold, got "
            f"{len(rows)} rows that lie in one. Use another cv."
        )
    return left
