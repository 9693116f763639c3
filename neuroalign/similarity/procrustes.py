"""Shape metrics: how far apart two representations stay after the best rotation or permutation.

In: arrays (sample, unit). Out: a distance, a matrix of distances, or an alignment.
To add a group of moves: a function from the products of units (p, q) to the best map (p, q) and
its row in ``_shapes.GROUPS`` (and its sum in ``OVERLAPS``). To add a metric: its row in
``METRICS``.

``alpha`` goes from 1 (rotations only) to 0 (any linear map, as CCA): units are partly whitened
first. The eigenvalues are then taken relative to their own weighted mean ``sum l^2 / sum l``, so
that neither units of measurement nor the number of stimuli shift what an alpha means; with alpha
strictly between 0 and 1 the formula of the paper is met by data scaled so that this mean is 1.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._threads import map_threads
from neuroalign.errors import choose
from neuroalign.similarity._pairs import center, read_pair
from neuroalign.similarity._shapes import (
    GROUPS,
    METRICS,
    REDUCTIONS,
    finish_angular,
    finish_cosine,
    measure,
    read_several,
    reduce_units,
    whiten_partly,
)

Array = npt.NDArray[Any]


class Alignment(NamedTuple):
    """One representation moved onto another.

    ``values`` (sample, unit): the moved one, centred; ``transform`` (unit, unit): centred units
    times it give the values; ``distance``: what is left, as a Frobenius norm.
    """

    values: Array
    transform: Array
    distance: float


def shape_distance(
    X: Any, Y: Any, *, metric: str = "angular", group: str = "orthogonal", alpha: float = 1.0
) -> float:
    """Distance of two representations up to rotations or permutations of their units.

    Parameters
    ----------
    X, Y : array or DataArray (sample, unit)
        The same stimuli in the same order. Units are centred; the smaller number of units is
        padded with zeros.
    metric : {"angular", "euclidean"}
        Angle in radians (blind to scale), or Frobenius norm of the difference.
    group : {"orthogonal", "permutation"}
        Rotations and reflections, or one-to-one matching of units.
    alpha : float
        1: rotations only. 0: blind to any invertible linear map, as CCA. Between: partly whitened.

    Returns
    -------
    float
        A metric: symmetric, 0 only for equal shapes, with the triangle inequality (for
        permutations among representations of equally many units). NaN as an angle with a constant
        representation.

    Raises
    ------
    AlignError, SchemaError, ValueError

    References
    ----------
    Williams, Kunz, Kornblith & Linderman (2021), NeurIPS 34, arXiv:2110.14739, sections on
    rotation-invariant, permutation-invariant and partly whitened metrics.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 4))
    >>> round(shape_distance(X, 2 * X[:, ::-1], metric="angular"), 6)
    0.0
    """
    finish = choose(METRICS, metric, "metric")
    choose(GROUPS, group, "group")
    one, other = (whiten_partly(side, alpha) for side in read_pair(X, Y))
    return measure(one, other, group, finish)


def align_shape(X: Any, onto: Any, *, group: str = "orthogonal") -> Alignment:
    """Rotate or permute the units of one representation so that it comes nearest to another.

    Parameters
    ----------
    X : array or DataArray (sample, p)
    onto : array or DataArray (sample, q)
    group : {"orthogonal", "permutation"}

    Returns
    -------
    Alignment
        ``values`` (sample, q) and ``transform`` (p, q). With p other than q the smaller side is
        embedded: of the larger one the part without a counterpart is dropped.

    Raises
    ------
    AlignError, SchemaError, ValueError

    References
    ----------
    Schönemann (1966), Psychometrika 31(1), doi:10.1007/BF02289451.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 3))
    >>> align_shape(X, X[:, [2, 0, 1]], group="permutation").transform.argmax(axis=0)
    array([2, 0, 1])
    """
    solve = choose(GROUPS, group, "group")
    one, other = (center(side) for side in read_pair(X, onto))
    transform = solve(one.T @ other)
    moved = one @ transform
    return Alignment(moved, transform, float(np.linalg.norm(moved - other)))


def pairwise_shape_distances(
    representations: Mapping[str, Any],
    *,
    metric: str = "angular",
    group: str = "orthogonal",
    alpha: float = 1.0,
) -> xr.DataArray:
    """Distances between all pairs; each representation is centred and whitened once.

    Parameters
    ----------
    representations : mapping of str to array (sample, unit)
    metric, group, alpha
        As in `shape_distance`. For permutations all are padded to the largest number of units, so
        that the triangle inequality holds throughout.

    Returns
    -------
    DataArray (first, second)
        Symmetric, zero diagonal: an RDM of representations.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Examples
    --------
    >>> a, b, c = np.random.default_rng(0).normal(size=(3, 20, 4))
    >>> pairwise_shape_distances({"a": a, "b": b, "c": c}).shape
    (3, 3)
    """
    finish = choose(METRICS, metric, "metric")
    shapes = read_several(representations, alpha, choose(REDUCTIONS, group, "group"))
    pairs = list(combinations(range(len(shapes)), 2))
    found = map_threads(
        lambda pair: measure(shapes[pair[0]], shapes[pair[1]], group, finish), pairs
    )
    table = np.zeros((len(shapes), len(shapes)))
    for (i, j), distance in zip(pairs, found, strict=True):
        table[i, j] = table[j, i] = distance
    names = [str(name) for name in representations]
    return xr.DataArray(
        table,
        dims=("first", "second"),
        coords={"first": names, "second": names},
        attrs={"kind": "dissimilarity", "distance": f"{metric} shape", "group": group,
               "alpha": float(alpha)},
    )  # fmt: skip


def prepare_shape(X: Array, alpha: float = 1.0) -> Array:
    """Compute once a representation what `pair_shape` needs: white, of length 1, few units."""
    shape = reduce_units(whiten_partly(X, alpha))
    norm = np.linalg.norm(shape)
    return shape / norm if norm > 0 else shape


def pair_shape(one: Array, other: Array) -> float:
    """Cosine of the angular Procrustes distance, which is the normalised Bures similarity."""
    return measure(one, other, "orthogonal", finish_cosine)


def pair_angle(one: Array, other: Array) -> float:
    """Angular Procrustes distance in radians."""
    return measure(one, other, "orthogonal", finish_angular)


def prepare_permuted(X: Array, alpha: float = 1.0) -> Array:
    """Compute once a representation what `pair_permuted` needs: all its units."""
    return whiten_partly(X, alpha)


def pair_permuted(one: Array, other: Array) -> float:
    """Angular distance in radians after the best one-to-one matching of units."""
    return measure(one, other, "permutation", finish_angular)
