"""Folds that are factorised one by one, and the few filters that stand for all penalties.

In: factors of folds and a grid. Out: two rules for `neuroalign._gram` that give the same errors:
``Projected`` brings training rows into each fold's basis first, ``Mapped`` joins basis and filter
to maps from training to test rows, which saves the projection and takes their memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign._hat import sum_squares
from neuroalign._linalg import average_rows, scale_rows, shrink

Array = npt.NDArray[Any]
# From an operator (rows, columns) to what multiplies it with a chunk (columns, t).
Product = Callable[[Array], Callable[[Array], Array]]


class FoldFactors(NamedTuple):
    """What one fold needs to predict its test rows for any penalty and any target.

    ``values`` (r,), ``left`` (n_train, r), ``held_out`` (n_test, r), and the two row indices.
    """

    values: Array
    left: Array
    held_out: Array
    train: Array
    test: Array


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


def pick(weights: Array | None, rows: Array) -> Array | None:
    """Weights of some rows, where there are weights."""
    return None if weights is None else weights[rows]


def multiply_plainly(operator: Array) -> Callable[[Array], Array]:
    """Multiply in the dtype of the operator."""
    return partial(np.matmul, operator)


def sum_mixed(basis: Array, shares: Array, unknown: Array) -> Array:
    """Sum squared errors (a, t) of predictions that mix a basis (m, n_test, t)."""
    flat = basis.reshape(len(basis), unknown.size)
    losses = np.empty((len(shares), unknown.shape[1]))
    for row, share in enumerate(shares.astype(flat.dtype)):
        error = (share @ flat).reshape(unknown.shape)
        error -= unknown
        losses[row] = sum_squares(error)
    return losses


class _Direct:
    """What both rules share: factors, filters, and targets centred by each fold's training rows."""

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

    def split(self, fold: FoldFactors, Y: Array) -> tuple[Array, Array]:
        """Training and test rows of a chunk (n, t), as this fold sees them."""
        known, unknown = Y[fold.train], Y[fold.test]
        own = pick(self.weights, fold.train)
        if self.center:
            mean = average_rows(known, own)
            known -= mean
            unknown -= mean
        return scale_rows(known, own), scale_rows(unknown, pick(self.weights, fold.test))


class Projected(_Direct):
    """A(1 - 1/k) W to predict, k(1 - 1/k)^2 W to project."""

    def project(self, Y: Array) -> tuple[list[tuple[Array, Array]], Array]:
        state, null = [], []
        for fold in self.factors:
            known, unknown = self.split(fold, Y)
            state.append((fold.left.T @ known, unknown))
            null.append(sum_squares(unknown))
        return state, np.stack(null)

    def sum_all(self, state: list[tuple[Array, Array]]) -> Array:
        total = []
        parts = zip(self.factors, self.mixtures, state, strict=True)
        for fold, mixture, (projected, unknown) in parts:
            filters = mixture.filters.astype(projected.dtype)
            basis = np.empty((len(filters), *unknown.shape), dtype=projected.dtype)
            for number, one in enumerate(filters):
                np.matmul(fold.held_out * one, projected, out=basis[number])
            total.append(sum_mixed(basis, mixture.shares, unknown))
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


class Mapped(_Direct):
    """A(1 - 1/k) W to predict, from training rows as they are.

    Parameters
    ----------
    factors, alphas, center, weights, tolerance
        As for `Projected`.
    refined : bool
        Keep the map of every penalty too, for ``sum_errors``.
    product : callable
        How the maps of the filters multiply; in full by default.
    """

    def __init__(
        self,
        factors: list[FoldFactors],
        alphas: Array,
        center: bool,
        weights: Array | None,
        tolerance: float,
        *,
        refined: bool = False,
        product: Product = multiply_plainly,
    ) -> None:
        super().__init__(factors, alphas, center, weights, tolerance)
        self.maps = [
            product(np.concatenate([_join(fold, one) for one in mixture.filters]))
            for fold, mixture in zip(self.factors, self.mixtures, strict=True)
        ]
        self.full = [
            [_join(fold, shrink(fold.values, alpha)) for fold in self.factors] if refined else []
            for alpha in alphas.tolist()
        ]
        # The maps hold all that they know.
        self.factors = [
            fold._replace(left=fold.left[:0], held_out=fold.held_out[:0]) for fold in factors
        ]

    def project(self, Y: Array) -> tuple[list[tuple[Array, Array]], Array]:
        state = [self.split(fold, Y) for fold in self.factors]
        return state, np.stack([sum_squares(unknown) for _, unknown in state])

    def sum_all(self, state: list[tuple[Array, Array]]) -> Array:
        total = []
        for multiply, mixture, (known, unknown) in zip(
            self.maps, self.mixtures, state, strict=True
        ):
            basis = multiply(known).reshape(len(mixture.filters), *unknown.shape)
            total.append(sum_mixed(basis, mixture.shares, unknown))
        return np.stack(total, axis=1)

    def sum_errors(self, state: list[tuple[Array, Array]], row: int, columns: Any) -> Array:
        """Sum squared errors of one penalty for some targets: (fold, target)."""
        total = []
        for operator, (known, unknown) in zip(self.full[row], state, strict=True):
            error = operator @ known[:, columns]
            error -= unknown[:, columns]
            total.append(sum_squares(error))
        return np.stack(total)


def _join(fold: FoldFactors, scale: Array) -> Array:
    """Map from training to test rows (n_test, n_train)."""
    joined: Array = (fold.held_out * scale.astype(fold.left.dtype)) @ fold.left.T
    return joined
