"""Held-out errors of all rows from one factorisation, by the hat matrix.

With X centred and X = U S V', the fit at penalty a is H y, H = vv' + U diag(l / (l + a)) U' with
l the squares of S and v the unit vector of the intercept; what a row's own value adds to its fit
is divided out again. In: a spectrum. Out: rules for `neuroalign._gram`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign._linalg import Spectrum, average_rows, scale_rows, shrink

Array = npt.NDArray[Any]
Folds = list[tuple[Array, Array]]
# A row that a fit nearly meets keeps little error of its own, which is divided by little again:
# beyond this factor float32 does not carry enough digits.
MOST_GAIN = 300.0


def sum_squares(values: Array) -> Array:
    """Sum of squares of each column."""
    total: Array = np.einsum("ij,ij->j", values, values)
    return total


def unit_basis(spectrum: Spectrum) -> Array:
    """Left singular vectors (n, r), orthonormal: in the primal ``left`` is their multiple."""
    basis: Array = spectrum.left / np.linalg.norm(spectrum.left, axis=0)
    return basis


def _center(Y: Array, center: bool, weights: Array | None) -> Array:
    """Targets as the factorised features are: less their mean, times the roots of weights."""
    mean = average_rows(Y, weights) if center else np.zeros(Y.shape[1], Y.dtype)
    return scale_rows(Y - mean, weights)


class Block:
    """Every fold from one factorisation of all rows, for any partition of them.

    With H = vv' + U diag(l / (l + a)) U' (v: the unit vector of the intercept), the errors of the
    held-out rows S are (I - H_SS)^-1 (y - H y)_S: W to project, A W to predict. Block form of the
    leave-one-out identity; Allen (1974), Technometrics 16, 125-127.
    """

    def __init__(
        self,
        spectrum: Spectrum,
        basis: Array,
        folds: Folds,
        alphas: Array,
        center: bool,
        weights: Array | None,
        dtype: Any,
    ) -> None:
        self.center, self.weights, self.n_folds = center, weights, len(folds)
        self.tests = [test for _, test in folds]
        self.basis = basis.astype(dtype)
        n = len(basis)
        # Then no target has a part beyond the basis.
        self.full = basis.shape[1] >= n - center
        root = np.ones(n) if weights is None else np.sqrt(weights)
        unit = root / np.linalg.norm(root) if center else np.zeros(n)
        self.null_operators = [
            np.linalg.inv(np.eye(len(test)) - np.outer(unit[test], unit[test])).astype(dtype)
            for test in self.tests
        ]
        # Largest factor by which rounding of targets enters errors.
        self.gain = 1.0
        self.operators = []
        for alpha in alphas.tolist():
            kept = spectrum.values * shrink(spectrum.values, alpha)
            row = []
            for test in self.tests:
                own = basis[test]
                half = own * np.sqrt(kept)
                # The product with its own transpose takes half the work.
                hat = half @ half.T + np.outer(unit[test], unit[test])
                inverse = np.linalg.inv(np.eye(len(test)) - hat)
                self.gain = max(self.gain, float(np.abs(inverse).max()))
                short = inverse.astype(dtype)
                row.append((short, short @ (own * (1 - kept)).astype(dtype)))
            self.operators.append(row)

    def project(self, Y: Array) -> tuple[tuple[Array, list[Array]], Array]:
        centred = _center(Y, self.center, self.weights)
        projected = self.basis.T @ centred
        null = [
            sum_squares(operator @ centred[test])
            for operator, test in zip(self.null_operators, self.tests, strict=True)
        ]
        beyond: list[Array] = []
        if not self.full:
            rest = centred - self.basis @ projected
            beyond = [rest[test] for test in self.tests]
        return (projected, beyond), np.stack(null)

    def sum_all(self, state: tuple[Array, list[Array]], wanted: Array | None = None) -> Array:
        """Sum squared errors; inf where a penalty is not ``wanted`` (a, t) for a target."""
        projected, beyond = state
        if wanted is None:
            wanted = np.ones((len(self.operators), projected.shape[1]), dtype=bool)
        total = np.full((len(self.operators), self.n_folds, projected.shape[1]), np.inf)
        for row, operators in enumerate(self.operators):
            columns = np.flatnonzero(wanted[row])
            own = projected if wanted[row].all() else projected[:, columns]
            for number, (inverse, operator) in enumerate(operators if len(columns) else []):
                error = operator @ own
                if not self.full:
                    error += inverse @ beyond[number][:, columns]
                total[row, number, columns] = sum_squares(error)
        return total


class LeaveOneOut:
    """Every row held out by itself: (y - H y)_i / (1 - h_ii), A W to predict."""

    n_folds = 1

    def __init__(
        self,
        spectrum: Spectrum,
        basis: Array,
        alphas: Array,
        center: bool,
        weights: Array | None,
        dtype: Any,
    ) -> None:
        self.center, self.weights = center, weights
        root = np.ones(len(basis)) if weights is None else np.sqrt(weights)
        own = root**2 / (root**2).sum() if center else np.zeros(len(basis))
        lost = [1 - spectrum.values * shrink(spectrum.values, alpha) for alpha in alphas.tolist()]
        smallest = min(float((1 - own - basis**2 @ (1 - one)).min()) for one in lost)
        if 1 / max(smallest, 1e-300) > MOST_GAIN:
            dtype = np.float64
        self.basis = basis.astype(dtype)
        self.null_left = (1 - own).astype(dtype)[:, None]
        self.lost = [one.astype(dtype)[:, None] for one in lost]
        self.left = [(1 - own - basis**2 @ (1 - one)).astype(dtype)[:, None] for one in lost]

    def project(self, Y: Array) -> tuple[tuple[Array, Array], Array]:
        centred = _center(Y, self.center, self.weights)
        projected = self.basis.T @ centred
        null = sum_squares(centred / self.null_left)[None]
        return (projected, centred - self.basis @ projected), null

    def sum_all(self, state: tuple[Array, Array]) -> Array:
        projected, beyond = state
        total = np.empty((len(self.lost), 1, projected.shape[1]))
        for row, (lost, left) in enumerate(zip(self.lost, self.left, strict=True)):
            error = self.basis @ (lost * projected)
            error += beyond
            error /= left
            total[row, 0] = sum_squares(error)
        return total


class Generalised:
    """Generalised cross-validation: n RSS / (n - tr H)^2, at the price of the projection.

    Golub, Heath & Wahba (1979), Technometrics 21, 215-223, equation 1.3.
    """

    n_folds = 1

    def __init__(
        self,
        spectrum: Spectrum,
        basis: Array,
        alphas: Array,
        center: bool,
        weights: Array | None,
        dtype: Any,
    ) -> None:
        self.center, self.weights = center, weights
        self.basis = basis.astype(dtype)
        n = len(basis)
        kept = np.stack(
            [spectrum.values * shrink(spectrum.values, alpha) for alpha in alphas.tolist()]
        )
        self.lost = ((1 - kept) ** 2).astype(dtype)
        free = n - float(center) - kept.sum(axis=1)
        # A fit that spends every degree of freedom cannot be judged.
        self.scale = np.where(free > 1e-6 * n, (n / np.maximum(free, 1e-6 * n)) ** 2, np.inf)
        self.null_scale = (n / (n - float(center))) ** 2

    def project(self, Y: Array) -> tuple[tuple[Array, Array], Array]:
        centred = _center(Y, self.center, self.weights)
        squared = (self.basis.T @ centred) ** 2
        total = sum_squares(centred)
        beyond = np.maximum(total - squared.sum(axis=0), 0)
        return (squared, beyond), self.null_scale * total[None]

    def sum_all(self, state: tuple[Array, Array]) -> Array:
        squared, beyond = state
        total = self.lost @ squared + beyond
        total = np.where(np.isfinite(self.scale), self.scale, 1)[:, None] * total
        total[np.isinf(self.scale)] = np.inf
        errors: Array = total[:, None]
        return errors
