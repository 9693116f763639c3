"""Canonical correlations: how well the axes of two representations can be matched linearly.

In: arrays (sample, unit). Out: canonical correlations and variates, or one number.

With as many units as stimuli, the correlations of the very data they are fitted to are 1 for any
pair, noise included. `held_out_correlations` fits on some stimuli and correlates others.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.errors import NeuroalignWarning, choose
from neuroalign.scores import pearson
from neuroalign.similarity._pairs import center, find_groups, read_pair, split_stimuli

Array = npt.NDArray[Any]


class Canonical(NamedTuple):
    """Canonical correlations, from the largest, and their variates.

    ``correlations`` (component,); ``first`` and ``second`` (sample, component), columns of length 1
    without ridge; ``first_weights`` and ``second_weights`` (unit, component), which make the
    variates from centred units.
    """

    correlations: Array
    first: Array
    second: Array
    first_weights: Array
    second_weights: Array


class Basis(NamedTuple):
    """White coordinates (sample, axis) of one representation, and the map (unit, axis) to them."""

    axes: Array
    weights: Array
    mean: Array


class Weighted(NamedTuple):
    """White coordinates, the centred units, and how their projections become weights."""

    basis: Basis
    units: Array
    weigh: Callable[[Array], Array]


class Held(NamedTuple):
    """White coordinates of training rows, and test rows in the same coordinates."""

    train: Array
    test: Array


# How the projections of units on variates (component, unit) sum up to the weight of a component.
WEIGHTS: dict[str, Callable[[Array], Array]] = {"absolute": np.abs, "squared": np.square}
WEIGHT_BY = {"first": False, "second": True}


def whiten_axes(X: Array, *, ridge: float = 0.0, variance: float = 1.0) -> Basis:
    """Rotate to principal axes and give each length 1, or less by the ridge.

    Parameters
    ----------
    X : array (n, p)
    ridge : float
        Penalty relative to the mean eigenvalue of XX', as in ``encoders.Ridge``.
    variance : float
        Keep the fewest principal axes that hold this share of the variance.

    Returns
    -------
    Basis

    Raises
    ------
    ValueError
    """
    if ridge < 0:
        raise ValueError(f"ridge: expected 0 or more, got {ridge}. 0 is plain CCA.")
    if not 0 < variance <= 1:
        raise ValueError(
            f"variance: expected a share above 0 and up to 1, got {variance}. 0.99 is usual."
        )
    X = np.asarray(X, dtype=np.float64)
    mean = X.mean(axis=0)
    left, lengths, right = np.linalg.svd(X - mean, full_matrices=False)
    # Scaled by the uncentred size: what centring leaves of a constant is rounding.
    floor = max(lengths.max(initial=0.0), np.abs(mean).max() * np.sqrt(len(X)))
    rank = int((lengths > floor * max(X.shape) * np.finfo(np.float64).eps).sum())
    squares = lengths[:rank] ** 2
    if variance < 1 and rank:
        rank = int(np.searchsorted(np.cumsum(squares) / squares.sum(), variance)) + 1
    left, lengths, right = left[:, :rank], lengths[:rank], right[:rank].T
    root = np.sqrt(lengths**2 + ridge * squares.sum() / len(X))
    return Basis(left * (lengths / root), right / root, mean)


def canonical_correlations(X: Any, Y: Any, *, ridge: float = 0.0) -> Canonical:
    """Find the linear combinations of two representations that correlate most.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
        The same stimuli in the same order.
    ridge : float
        Penalty on both sides, relative to the mean eigenvalue of XX' as in ``encoders.Ridge``.
        It shrinks correlations of axes with little variance; 0 is plain CCA.

    Returns
    -------
    Canonical
        As many components as the smaller rank.

    Raises
    ------
    AlignError
        When rows differ.
    SchemaError, ValueError

    See Also
    --------
    held_out_correlations : without the bias of fitting and scoring the same stimuli.

    References
    ----------
    Björck & Golub (1973), Math. Comp. 27(123), on the SVD of the product of two bases;
    Vinod (1976), J. Econometrics 4(2), on the ridge.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(50, 3))
    >>> found = canonical_correlations(X, X @ rng.normal(size=(3, 3)))
    >>> found.correlations.round(6)
    array([1., 1., 1.])
    """
    one, other = read_pair(X, Y)
    first, second = whiten_axes(one, ridge=ridge), whiten_axes(other, ridge=ridge)
    left, r, right = np.linalg.svd(first.axes.T @ second.axes, full_matrices=False)
    return Canonical(
        np.clip(r, 0.0, 1.0),
        first.axes @ left,
        second.axes @ right.T,
        first.weights @ left,
        second.weights @ right.T,
    )


def held_out_correlations(
    X: Any,
    Y: Any,
    *,
    ridge: float = 0.0,
    variance: float = 1.0,
    n_splits: int = 5,
    groups: Sequence[Any] | Array | None = None,
    seed: int = 0,
) -> Array:
    """Fit canonical variates on some stimuli and correlate them on others.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
    ridge : float
        As in `canonical_correlations`; needed when units outnumber training stimuli.
    variance : float
        Share of variance that principal axes of the training rows keep before: 0.99 is the SVCCA
        of Raghu et al.
    n_splits : int
        Folds of stimuli, dealt at random.
    groups : sequence (sample,), optional
        Rows of one group stay together; the stimuli of labelled rows when not given.
    seed : int

    Returns
    -------
    array (fold, component)
        In the order of the training correlations; where folds differ in rank, NaN at the end. A
        variate that is constant on the test rows counts 0.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(2, 60, 40))
    >>> bool(abs(held_out_correlations(X, Y).mean()) < 0.1)
    True
    """
    one, other = read_pair(X, Y)
    labels = find_groups(X, groups)
    folds = [
        correlate_held(*pair)
        for pair in zip(
            *(prepare_held_out(side, ridge, variance, n_splits, labels, seed)
              for side in (one, other)),
            strict=True,
        )
    ]  # fmt: skip
    table = np.full((len(folds), max(map(len, folds))), np.nan)
    for row, found in zip(table, folds, strict=True):
        row[: len(found)] = found
    return table


def projection_weighted_cca(
    X: Any, Y: Any, *, weight_by: str = "first", weights: str = "absolute"
) -> float:
    """Average canonical correlations, weighted by how much of a representation each accounts for.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
    weight_by : {"first", "second"}
        Whose units give the weights: the measure is asymmetric. Morcos et al. take the first; their
        published code takes the one with fewer units.
    weights : {"absolute", "squared"}
        Of a component h: ``sum_j |<h, x_j>|`` over units x_j (the formula of Morcos et al.), or
        ``sum_j <h, x_j>^2``, its variance, which does not depend on the axes of the units.

    Returns
    -------
    float
        0 to 1; NaN when one side is constant.

    Raises
    ------
    AlignError, SchemaError, ValueError

    References
    ----------
    Morcos, Raghu & Bengio (2018), NeurIPS 31, on projection weighting; Kornblith et al. (2019),
    ICML, arXiv:1905.00414, on squared weights and linear regression.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> round(projection_weighted_cca(X, X @ [[2.0], [1.0], [0.0]]), 6)
    1.0
    """
    one, other = read_pair(X, Y)
    pair = [prepare_weighted(one, weights), prepare_weighted(other, weights)]
    if choose(WEIGHT_BY, weight_by, "weight_by"):
        pair.reverse()
    return pair_weighted(*pair)


def _warn_of_full(basis: Basis) -> None:
    n, rank = basis.axes.shape
    if 1 < rank == n - 1:
        warnings.warn(
            f"method: expected fewer units than stimuli for CCA, got {n} stimuli and units that "
            "span them: correlations are 1 with anything, noise too. Use method='cca_held_out' "
            "or 'cka_debiased', or fewer components.",
            NeuroalignWarning,
            stacklevel=2,
        )


def prepare_cca(X: Array, ridge: float = 0.0) -> Basis:
    """Compute once a representation what `pair_cca` needs."""
    basis = whiten_axes(X, ridge=ridge)
    if not ridge:
        _warn_of_full(basis)
    return basis


def prepare_svcca(X: Array, variance: float = 0.99) -> Basis:
    """Keep the principal axes with most of the variance (Raghu et al. 2017)."""
    return whiten_axes(X, variance=variance)


def _correlate_axes(one: Basis, other: Basis) -> Array:
    r: Array = np.linalg.svd(one.axes.T @ other.axes, compute_uv=False)
    return np.clip(r, 0.0, 1.0)


def _average(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")


def pair_cca(one: Basis, other: Basis) -> float:
    """Mean canonical correlation; NaN when one side is constant."""
    return _average(_correlate_axes(one, other))


def pair_squared_cca(one: Basis, other: Basis) -> float:
    """Mean squared canonical correlation, the share of variance between white axes."""
    return _average(_correlate_axes(one, other) ** 2)


def prepare_weighted(X: Array, weights: str = "absolute") -> Weighted:
    """Compute once a representation what `pair_weighted` needs."""
    basis = whiten_axes(X)
    _warn_of_full(basis)
    return Weighted(basis, center(X), choose(WEIGHTS, weights, "weights"))


def pair_weighted(one: Weighted, other: Weighted) -> float:
    """Projection-weighted mean of canonical correlations; the weights are those of the first."""
    left, r, _ = np.linalg.svd(one.basis.axes.T @ other.basis.axes, full_matrices=False)
    if not r.size:
        return float("nan")
    variates = one.basis.axes @ left
    weights = one.weigh(variates.T @ one.units).sum(axis=1)
    return float(weights @ np.clip(r, 0.0, 1.0) / weights.sum())


def prepare_held_out(
    X: Array,
    ridge: float = 0.0,
    variance: float = 1.0,
    n_splits: int = 5,
    groups: Sequence[Any] | Array | None = None,
    seed: int = 0,
) -> list[Held]:
    """White axes of the training rows of each fold, and its test rows in them."""
    held = []
    for train, test in split_stimuli(len(X), n_splits, seed, groups):
        basis = whiten_axes(X[train], ridge=ridge, variance=variance)
        held.append(Held(basis.axes, (X[test] - basis.mean) @ basis.weights))
    return held


def correlate_held(one: Held, other: Held) -> Array:
    """Correlate test rows along the canonical variates of the training rows: (component,)."""
    left, _, right = np.linalg.svd(one.train.T @ other.train, full_matrices=False)
    return np.nan_to_num(pearson(one.test @ left, other.test @ right.T))


def pair_held_out(one: list[Held], other: list[Held]) -> float:
    """Mean over folds of the mean held-out canonical correlation."""
    return float(
        np.mean([_average(correlate_held(*pair)) for pair in zip(one, other, strict=True)])
    )
