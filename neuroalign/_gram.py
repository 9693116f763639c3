"""The error of every penalty on rows that were held out, from few factorisations.

In: features, folds, a grid of penalties. Out: an object that takes a chunk of targets and gives
``(penalty, fold, target)`` sums of squared errors. To add a rule: a class with ``project`` and
``sum_all`` and its row in ``RULES``.

Notation: W = 2 n r t flops is one product of an (n, r) basis with t targets.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from neuroalign._hat import MOST_GAIN, Block, Generalised, LeaveOneOut, sum_squares, unit_basis
from neuroalign._linalg import (
    Spectrum,
    average_rows,
    eigh_gram,
    eigh_ranked,
    is_dual,
    scale_rows,
    shrink,
)

Array = npt.NDArray[Any]
Folds = list[tuple[Array, Array]]
# Operators of the block rule are kept for all penalties at once up to this size.
OPERATOR_BYTES = 512 * 1024**2
# One symmetric eigendecomposition of m rows, with vectors, in units of m**3 flops; in float64 and
# far from the speed of a product, hence the second factor.
EIGH_FLOPS, EIGH_SLOWNESS = 9.0, 5.0


class FoldFactors(NamedTuple):
    """What one fold needs to predict its test rows for any penalty and any target.

    ``values`` (r,), ``left`` (n_train, r), ``held_out`` (n_test, r), and the two row indices.
    """

    values: Array
    left: Array
    held_out: Array
    train: Array
    test: Array


class Rule(Protocol):
    """How held-out errors are computed."""

    n_folds: int

    def project(self, Y: Array) -> tuple[Any, Array]:
        """Bring targets (n, t) into the basis; also give the errors of the mean (fold, t)."""

    def sum_all(self, state: Any) -> Array:
        """Sum squared errors: (penalty, fold, target)."""


def factorise_folds(
    X: Array,
    folds: Folds,
    *,
    center: bool = True,
    solver: str = "auto",
    weights: Array | None = None,
    kernel: Array | None = None,
) -> list[FoldFactors]:
    """Factorise the training rows of each fold, and project its test rows.

    Parameters
    ----------
    X : array (n, p)
    folds : list of (train, test) row indices
    center : bool
        Centre with the means of the training rows of each fold.
    solver : {"auto", "primal", "dual"}
        ``auto`` takes the dual where there are more features than training rows.
    weights : array (n,), optional
    kernel : array (n, n), optional
        As `make_kernel` gives it, where the caller has it already.

    Returns
    -------
    list of FoldFactors
        In the dtype of X; factorised in float64. In the dual the n x n Gram matrix is
        built once and each fold takes its blocks.
    """
    wide = np.asarray(X, dtype=np.float64)
    smallest = min((len(train) for train, _ in folds), default=len(wide))
    if is_dual((smallest, wide.shape[1]), solver):
        kernel = make_kernel(X, center=center) if kernel is None else kernel
        factors = [_factorise_block(kernel, train, test, center, weights) for train, test in folds]
    else:
        factors = [_factorise_rows(wide, train, test, center, weights) for train, test in folds]
    return [
        FoldFactors(
            one.values, one.left.astype(X.dtype), one.held_out.astype(X.dtype), one.train, one.test
        )
        for one in factors
    ]


def make_kernel(X: Array, *, center: bool) -> Array:
    """XX' of the (centred) X in float64."""
    wide = np.asarray(X, dtype=np.float64)
    wide = wide - wide.mean(axis=0) if center else wide
    return np.asarray(wide @ wide.T)


def _pick(weights: Array | None, rows: Array) -> Array | None:
    return None if weights is None else weights[rows]


def _factorise_rows(
    X: Array, train: Array, test: Array, center: bool, weights: Array | None
) -> FoldFactors:
    spectrum = eigh_gram(X[train], center=center, solver="primal", weights=_pick(weights, train))
    held_out = scale_rows((X[test] - spectrum.center) @ spectrum.right, _pick(weights, test))
    return FoldFactors(spectrum.values, spectrum.left, held_out, train, test)


def _factorise_block(
    kernel: Array, train: Array, test: Array, center: bool, weights: Array | None
) -> FoldFactors:
    inner, outer = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
    known = _pick(weights, train)
    if center:
        # Both sides are centred by the (weighted) mean of the training rows.
        share = np.full(len(train), 1 / len(train)) if known is None else known / known.sum()
        mean = inner @ share
        outer = outer - (outer @ share)[:, None] - mean + share @ mean
        inner = inner - mean - mean[:, None] + share @ mean
    if known is not None:
        root = np.sqrt(known)
        inner, outer = inner * root * root[:, None], outer * root
    values, vectors = eigh_ranked(inner)
    held_out = scale_rows(outer @ vectors, _pick(weights, test))
    return FoldFactors(values, vectors, held_out, train, test)


class Mixture(NamedTuple):
    """Filters of all penalties as mixtures of few: ``filters`` (m, r), ``shares`` (a, m).

    1 / (l + a) is smooth in log a: over eight decades some 14 filters span any number of penalties
    to 1e-6, so that products are spent on 14 of them and the rest are sums.
    """

    filters: Array
    shares: Array


def mix_filters(values: Array, alphas: Array, size: Array, tolerance: float) -> Mixture:
    """Span 1 / (values + alpha) by orthogonal filters.

    Parameters
    ----------
    values : array (r,)
    alphas : array (a,)
    size : array (r,)
        Norm of what each direction adds to predictions: where it is small, so may accuracy be.
    tolerance : float
        Error allowed, relative to the largest prediction.

    Returns
    -------
    Mixture
    """
    weight = np.maximum(size, size.max(initial=0.0) * np.finfo(np.float64).eps)
    table = np.stack([shrink(values, alpha) for alpha in alphas.tolist()]) * weight
    left, spread, right = np.linalg.svd(table, full_matrices=False)
    kept = spread > tolerance * spread.max(initial=0.0)
    return Mixture(right[kept] / weight, left[:, kept] * spread[kept])


class KFold:
    """Each fold factorised for itself: A(1 - 1/k) W to predict, k(1 - 1/k)^2 W to project."""

    def __init__(
        self,
        factors: list[FoldFactors],
        alphas: Array,
        center: bool,
        weights: Array | None,
        tolerance: float,
    ) -> None:
        self.factors, self.alphas, self.center, self.weights = factors, alphas, center, weights
        self.n_folds = len(factors)
        self.mixtures = [
            mix_filters(one.values, alphas, np.linalg.norm(one.held_out, axis=0), tolerance)
            for one in factors
        ]

    def project(self, Y: Array) -> tuple[list[tuple[Array, Array]], Array]:
        state, null = [], []
        for fold in self.factors:
            known, unknown = Y[fold.train], Y[fold.test]
            if self.center:
                mean = average_rows(known, _pick(self.weights, fold.train))
                known -= mean
                unknown -= mean
            known = scale_rows(known, _pick(self.weights, fold.train))
            unknown = scale_rows(unknown, _pick(self.weights, fold.test))
            state.append((fold.left.T @ known, unknown))
            null.append(sum_squares(unknown))
        return state, np.stack(null)

    def sum_all(self, state: list[tuple[Array, Array]]) -> Array:
        total = []
        parts = zip(self.factors, self.mixtures, state, strict=True)
        for fold, mixture, (projected, unknown) in parts:
            dtype, n_targets = projected.dtype, projected.shape[1]
            filters, shares = mixture.filters.astype(dtype), mixture.shares.astype(dtype)
            basis = np.empty((len(filters), *unknown.shape), dtype=dtype)
            for number, one in enumerate(filters):
                np.matmul(fold.held_out * one, projected, out=basis[number])
            flat = basis.reshape(len(filters), unknown.size)
            losses = np.empty((len(shares), n_targets))
            for row, share in enumerate(shares):
                error = (share @ flat).reshape(unknown.shape)
                error -= unknown
                losses[row] = sum_squares(error)
            total.append(losses)
        return np.stack(total, axis=1)

    def sum_errors(self, state: list[tuple[Array, Array]], row: int, columns: Any) -> Array:
        """Sum squared errors of one penalty for some targets: (fold, target)."""
        total = []
        for fold, (projected, unknown) in zip(self.factors, state, strict=True):
            scale = shrink(fold.values, float(self.alphas[row])).astype(projected.dtype)
            error = (fold.held_out * scale) @ projected[:, columns]
            error -= unknown[:, columns]
            total.append(sum_squares(error))
        return np.stack(total)


RULES: dict[str, Callable[..., Rule]] = {"loo": LeaveOneOut, "gcv": Generalised}


def make_rule(
    X: Array,
    spectrum: Spectrum,
    folds: Folds | str,
    alphas: Array,
    n_targets: int,
    *,
    center: bool = True,
    solver: str = "auto",
    weights: Array | None = None,
    form: str = "auto",
    tolerance: float = 0.0,
    kernel: Array | None = None,
) -> Rule:
    """Choose the cheaper exact form for these folds.

    Parameters
    ----------
    X : array (n, p)
    spectrum : Spectrum
        Of all rows of X.
    folds : list of (train, test), or {"loo", "gcv"}
    alphas : array (a,)
    n_targets : int
    center : bool
    solver : {"auto", "primal", "dual"}
    weights : array (n,), optional
    form : {"auto", "direct", "block"}
        How folds are computed; both give the same numbers.
    tolerance : float
        Error of predictions of the direct form, relative to the largest.
    kernel : array (n, n), optional
        See `make_kernel`.

    Returns
    -------
    Rule
    """
    if isinstance(folds, str):
        basis = unit_basis(spectrum)
        return RULES[folds](spectrum, basis, alphas, center, weights, X.dtype)
    if form == "auto":
        form = "block" if _prefers_block(X.shape, folds, len(alphas), n_targets) else "direct"
    if form == "block":
        rule = Block(spectrum, unit_basis(spectrum), folds, alphas, center, weights, X.dtype)
        if X.dtype == np.float64 or rule.gain < MOST_GAIN:
            return rule
    factors = factorise_folds(
        X, folds, center=center, solver=solver, weights=weights, kernel=kernel
    )
    return KFold(factors, alphas, center, weights, tolerance)


def is_partition(folds: Folds, n: int) -> bool:
    """Tell whether each row is tested once and trains all other folds."""
    tests = [test for _, test in folds]
    once = len(tests) > 1 and np.array_equal(np.sort(np.concatenate(tests)), np.arange(n))
    return once and all(len(train) + len(test) == n for train, test in folds)


def _prefers_block(shape: tuple[int, ...], folds: Folds, n_alphas: int, n_targets: int) -> bool:
    """Compare flops of one factorisation and its operators with one factorisation a fold."""
    n, p = shape
    if not is_partition(folds, n):
        return False
    rank = min(n, p)
    sizes = np.array([len(test) for _, test in folds], dtype=float)
    if n_alphas * (sizes * (sizes + rank)).sum() * 8 > OPERATOR_BYTES:
        return False
    work = 2.0 * n * rank * n_targets
    inner = np.minimum(n - sizes, p)
    direct = EIGH_SLOWNESS * EIGH_FLOPS * (inner**3).sum()
    direct += 2.0 * n_targets * ((n - sizes) * inner + n_alphas * sizes * inner).sum()
    block = n_alphas * (4 * sizes**2 * rank + 2 * sizes**3).sum()
    block += (2 + n_alphas) * work + 2.0 * n_alphas * n_targets * (sizes**2).sum()
    return bool(block < direct)
