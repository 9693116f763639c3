"""From a cocycle to an angle: integer lift, least squares, and the values of other points.

In: distances and rows (i, j, value) of a cocycle mod a prime. Out: potentials, in turns.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve
from scipy.sparse.csgraph import connected_components

from neuroalign.errors import choose

Array = npt.NDArray[Any]


def lift_cocycle(rows: Array, adjacent: Array, prime: int) -> Array:
    """Read a cocycle mod a prime as integers (n, n), antisymmetric; those nearest to 0.

    Raises
    ------
    ValueError
        When the integers do not sum to 0 around each triangle.
    """
    value = np.where(rows[:, 2] > prime // 2, rows[:, 2] - prime, rows[:, 2])
    lifted = np.zeros(adjacent.shape)
    lifted[rows[:, 0], rows[:, 1]] = value
    lifted[rows[:, 1], rows[:, 0]] = -value
    lifted *= adjacent
    first, second = np.nonzero(np.triu(lifted))
    around = lifted[first, second][:, None] + lifted[second] + lifted[:, first].T
    closed = adjacent[first] & adjacent[second]
    if (around[closed] != 0).any():
        raise ValueError(
            f"prime: expected one under which the loop has integer values, got {prime}. Use "
            "another, such as 41, 43 or 53."
        )
    return lifted


def _weigh_alike(distances: Array, _scale: float) -> Array:
    return np.ones_like(distances)


def _weigh_density(distances: Array, scale: float) -> Array:
    # Half the longest edge: wider kernels do not see the density, narrower ones only its noise.
    near = np.exp(-((2 * distances / scale) ** 2))
    density = near.sum(axis=1)
    weights: Array = near / np.outer(density, density)
    return weights


WEIGHTS = {"uniform": _weigh_alike, "density": _weigh_density}


def weigh_edges(distances: Array, adjacent: Array, scale: float, weights: str) -> Array:
    """Weights (n, n) of the edges in the least squares; 0 where there is none."""
    found: Array = choose(WEIGHTS, weights, "weights")(distances, scale) * adjacent
    return found


def smooth(cocycle: Array, weights: Array) -> tuple[Array, Array]:
    """Find the potential whose differences are nearest to a cocycle.

    Parameters
    ----------
    cocycle : array (n, n)
        Antisymmetric: [i, j] is the step from i to j.
    weights : array (n, n)
        Symmetric; 0 where there is no edge.

    Returns
    -------
    array (n,)
        The potential f; modulo 1 it is the circular coordinate.
    array (n, n)
        What differences leave over: cocycle[i, j] - (f[j] - f[i]) on edges.
    """
    laplacian = np.diag(weights.sum(axis=1)) - weights
    # A constant on each component is free: it is fixed to mean 0.
    _, component = connected_components(weights > 0, directed=False)
    same = component[:, None] == component
    potential: Array = solve(
        laplacian + same * weights.mean(), (weights * cocycle).sum(axis=0), assume_a="pos"
    )
    rest = (cocycle - (potential[None, :] - potential[:, None])) * (weights > 0)
    return potential, rest


def decorrelate(cocycles: list[Array], rests: list[Array], weights: Array) -> list[Array]:
    """Replace cocycles by sums of them whose smooth forms are short and least correlated.

    Pairs are reduced as Lagrange and Gauss do, until nothing gets shorter: exact for two.
    """
    forms = np.stack([rest.ravel() for rest in rests])
    gram = (forms * weights.ravel()) @ forms.T
    change = np.eye(len(forms))
    moved = True
    while moved:
        moved = False
        for i in range(len(gram)):
            for j in range(len(gram)):
                step = 0 if i == j else np.rint(gram[i, j] / gram[j, j])
                shorter = step * (step * gram[j, j] - 2 * gram[i, j]) < -1e-9 * gram[i, i]
                if step and shorter:
                    change[i] -= step * change[j]
                    gram[i] -= step * gram[j]
                    gram[:, i] -= step * gram[:, j]
                    moved = True
    return [sum(c * x for c, x in zip(row, cocycles, strict=True)) for row in change]


def extend(potential: Array, rest: Array, to_landmarks: Array, radius: float) -> Array:
    """Values of any point, in turns, from the landmarks around it.

    Parameters
    ----------
    potential : array (k,)
    rest : array (k, k)
        See `smooth`.
    to_landmarks : array (n, k)
        Distances.
    radius : float
        Landmarks within it count; any two of them must be joined by an edge.

    Returns
    -------
    array (n,)
    """
    nearest = to_landmarks.argmin(axis=1)
    share = np.maximum(radius - to_landmarks, 0)
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    values: Array = potential[nearest] - (share * rest[nearest]).sum(axis=1)
    return values
