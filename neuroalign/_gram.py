"""The error of every penalty on rows that were held out, from few factorisations.

In: features, folds, a grid of penalties. Out: an object that takes a chunk of targets and gives
``(penalty, fold, target)`` sums of squared errors. To add a rule: a class with ``project`` and
``sum_all`` and its row in ``RULES``.

Notation: W = 2 n r t flops is one product of an (n, r) basis with t targets.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neuroalign._filters import (
    FoldFactors,
    Mapped,
    Product,
    Projected,
    multiply_plainly,
    pick,
)
from neuroalign._hat import MOST_GAIN, Block, Generalised, LeaveOneOut, unit_basis
from neuroalign._linalg import Spectrum, eigh_gram, eigh_ranked, is_dual, scale_rows
from neuroalign._threads import map_threads

Array = npt.NDArray[Any]
Folds = list[tuple[Array, Array]]
# Operators and maps are kept for all penalties at once up to this size.
OPERATOR_BYTES = 512 * 1024**2
# Filters that stand for a grid of penalties, see `neuroalign._filters`.
USUAL_FILTERS = 14
# One symmetric eigendecomposition of m rows, with vectors, in units of m**3 flops; in float64 and
# far from the speed of a product, hence the second factor.
EIGH_FLOPS, EIGH_SLOWNESS = 9.0, 5.0


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
    factorise: Callable[..., FoldFactors]
    if is_dual((smallest, wide.shape[1]), solver):
        kernel = make_kernel(X, center=center) if kernel is None else kernel
        source, factorise = kernel, _factorise_block
    else:
        source, factorise = wide, _factorise_rows

    def work(fold: tuple[Array, Array]) -> FoldFactors:
        one = factorise(source, *fold, center, weights)
        left, held_out = one.left.astype(X.dtype), one.held_out.astype(X.dtype)
        return one._replace(left=left, held_out=held_out)

    return map_threads(work, folds)


def make_kernel(X: Array, *, center: bool) -> Array:
    """XX' of the (centred) X in float64."""
    wide = np.asarray(X, dtype=np.float64)
    wide = wide - wide.mean(axis=0) if center else wide
    return np.asarray(wide @ wide.T)


def _factorise_rows(
    X: Array, train: Array, test: Array, center: bool, weights: Array | None
) -> FoldFactors:
    spectrum = eigh_gram(X[train], center=center, solver="primal", weights=pick(weights, train))
    held_out = scale_rows((X[test] - spectrum.center) @ spectrum.right, pick(weights, test))
    return FoldFactors(spectrum.values, spectrum.left, held_out, train, test)


def _factorise_block(
    kernel: Array, train: Array, test: Array, center: bool, weights: Array | None
) -> FoldFactors:
    inner, outer = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
    known = pick(weights, train)
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
    held_out = scale_rows(outer @ vectors, pick(weights, test))
    return FoldFactors(values, vectors, held_out, train, test)


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
    refined: bool = False,
    product: Product = multiply_plainly,
) -> Rule:
    """Choose the cheapest exact form for these folds.

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
    form : {"auto", "direct", "projected", "mapped", "block"}
        How folds are computed; all give the same numbers. "direct" is the cheaper of the two
        that factorise each fold.
    tolerance : float
        Error of predictions of the direct forms, relative to the largest.
    kernel : array (n, n), optional
        See `make_kernel`.
    refined, product
        For `neuroalign._filters.Mapped`.

    Returns
    -------
    Rule
    """
    if isinstance(folds, str):
        basis = unit_basis(spectrum)
        return RULES[folds](spectrum, basis, alphas, center, weights, X.dtype)
    if form in ("auto", "direct"):
        form, _ = choose_form(
            X.shape, X.dtype.itemsize, folds, len(alphas), n_targets, refined=refined, form=form
        )
    if form == "block":
        rule = Block(spectrum, unit_basis(spectrum), folds, alphas, center, weights, X.dtype)
        if X.dtype == np.float64 or rule.gain < MOST_GAIN:
            return rule
    factors = factorise_folds(
        X, folds, center=center, solver=solver, weights=weights, kernel=kernel
    )
    if form == "mapped":
        return Mapped(factors, alphas, center, weights, tolerance, refined=refined, product=product)
    return Projected(factors, alphas, center, weights, tolerance)


def is_partition(folds: Folds, n: int) -> bool:
    """Tell whether each row is tested once and trains all other folds."""
    tests = [test for _, test in folds]
    once = len(tests) > 1 and np.array_equal(np.sort(np.concatenate(tests)), np.arange(n))
    return once and all(len(train) + len(test) == n for train, test in folds)


def choose_form(
    shape: tuple[int, ...],
    itemsize: int,
    folds: Folds,
    n_alphas: int,
    n_targets: int,
    *,
    refined: bool = False,
    form: str = "auto",
) -> tuple[str, float]:
    """Find the cheapest form of folds whose operators may be held.

    Returns
    -------
    tuple of str and float
        "projected", "mapped" or "block" (never with ``form="direct"``), and the bytes it holds.
    """
    n, p = shape
    tests, trains = _count_rows(folds)
    n_maps = min(n_alphas, USUAL_FILTERS) + n_alphas * refined
    held = {
        "projected": ((tests + trains) * np.minimum(trains, p)).sum() * itemsize,
        "mapped": n_maps * (tests * trains).sum() * itemsize,
    }
    if form != "direct" and is_partition(folds, n):
        held["block"] = n_alphas * (tests * (tests + min(n, p))).sum() * itemsize
    costs = _count_flops(shape, folds, n_alphas, n_targets)
    possible = [
        name for name, size in held.items() if name == "projected" or size <= OPERATOR_BYTES
    ]
    best = min(possible, key=lambda name: costs[name])
    return best, float(held[best])


def _count_rows(folds: Folds) -> tuple[Array, Array]:
    """Rows of test and of training of each fold."""
    tests = np.array([len(test) for _, test in folds], dtype=float)
    return tests, np.array([len(train) for train, _ in folds], dtype=float)


def _count_flops(
    shape: tuple[int, ...], folds: Folds, n_alphas: int, n_targets: int
) -> dict[str, float]:
    """Factorisations, operators and products of each form."""
    n, p = shape
    rank = min(n, p)
    tests, trains = _count_rows(folds)
    inner, filters = np.minimum(trains, p), min(n_alphas, USUAL_FILTERS)
    fixed = EIGH_SLOWNESS * EIGH_FLOPS * (inner**3).sum()
    projected = fixed + 2.0 * n_targets * (inner * (trains + filters * tests)).sum()
    mapped = fixed + 2.0 * filters * (tests * trains * (inner + n_targets)).sum()
    block = n_alphas * (4 * tests**2 * rank + 2 * tests**3).sum()
    block += (2 + n_alphas) * 2.0 * n * rank * n_targets
    block += 2.0 * n_alphas * n_targets * (tests**2).sum()
    return {"projected": projected, "mapped": mapped, "block": block}
