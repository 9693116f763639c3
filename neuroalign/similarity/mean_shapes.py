"""The mean of several representations: generalised Procrustes analysis, flat or on the sphere.

In: a mapping of name to array (sample, unit). Out: a ``MeanShape``. To add a metric: how one round
moves the mean, in ``STEPS``.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError, choose
from neuroalign.similarity._shapes import GROUPS, METRICS, REDUCTIONS, measure, read_several
from neuroalign.similarity.procrustes import pairwise_shape_distances

Array = npt.NDArray[Any]


class MeanShape(NamedTuple):
    """The mean of several representations.

    ``values`` (sample, unit); ``aligned`` (representation, sample, unit), each moved onto the
    mean; ``distances`` (representation,) from it; ``n_iterations``; ``converged``.
    """

    values: Array
    aligned: Array
    distances: Array
    n_iterations: int
    converged: bool


def _step_flat(mean: Array, aligned: Array) -> Array:
    average: Array = aligned.mean(axis=0)
    return average


def _step_sphere(mean: Array, aligned: Array) -> Array:
    """Average in the plane that touches the sphere at the mean, and come back to the sphere."""
    cosines = np.clip((aligned * mean).sum(axis=(1, 2)), -1.0, 1.0)[:, None, None]
    angles = np.arccos(cosines)
    direction = aligned - cosines * mean
    lengths = np.linalg.norm(direction, axis=(1, 2), keepdims=True)
    unit = np.divide(direction, lengths, out=np.zeros_like(direction), where=lengths > 0)
    tangent = (unit * angles).mean(axis=0)
    length = float(np.linalg.norm(tangent))
    stepped: Array = np.cos(length) * mean + np.sinc(length / np.pi) * tangent
    stepped /= np.linalg.norm(stepped)
    return stepped


STEPS: dict[str, Callable[[Array, Array], Array]] = {
    "angular": _step_sphere,
    "euclidean": _step_flat,
}


def average_shapes(
    representations: Mapping[str, Any],
    *,
    metric: str = "euclidean",
    group: str = "orthogonal",
    alpha: float = 1.0,
    n_iterations: int = 200,
    tolerance: float = 1e-8,
) -> MeanShape:
    """Find the representation with the least sum of squared shape distances (Fréchet mean).

    Parameters
    ----------
    representations : mapping of str to array (sample, unit)
    metric, group, alpha
        As in `shape_distance`; with ``angular`` each is scaled to length 1, and so is the mean.
    n_iterations : int
        At most so many rounds of aligning all to the mean and averaging.
    tolerance : float
        Stop when the mean moves less, relative to its length.

    Returns
    -------
    MeanShape
        A local optimum, from the representation nearest to all others as the start.

    Raises
    ------
    AlignError, SchemaError, ValueError

    References
    ----------
    Gower (1975), Psychometrika 40(1), doi:10.1007/BF02291478, generalised Procrustes analysis;
    Williams et al. (2021), arXiv:2110.14739, on means in shape space.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> found = average_shapes({"a": X, "b": X[:, ::-1], "c": -X})
    >>> bool((found.distances < 1e-6).all())
    True
    """
    step, finish = choose(STEPS, metric, "metric"), METRICS[metric]
    solve = choose(GROUPS, group, "group")
    if n_iterations < 1:
        raise ValueError(f"n_iterations: expected 1 or more, got {n_iterations}. 200 is usual.")
    shapes = np.stack(read_several(representations, alpha, REDUCTIONS[group]))
    sizes = np.linalg.norm(shapes, axis=(1, 2), keepdims=True)
    if metric == "angular":
        if not sizes.all():
            raise SchemaError(
                "representations: expected units that vary, got a constant representation, which "
                "has no direction. Drop it, or use metric='euclidean'."
            )
        shapes = shapes / sizes
    distances = pairwise_shape_distances(representations, metric=metric, group=group, alpha=alpha)
    mean = shapes[int((distances.values**2).sum(axis=0).argmin())]
    moved, rounds = np.inf, 0
    while rounds < n_iterations and moved > tolerance * np.linalg.norm(mean):
        aligned = np.stack([shape @ solve(shape.T @ mean) for shape in shapes])
        stepped = step(mean, aligned)
        moved = float(np.linalg.norm(stepped - mean))
        mean, rounds = stepped, rounds + 1
    aligned = np.stack([shape @ solve(shape.T @ mean) for shape in shapes])
    left = np.array([measure(shape, mean, group, finish) for shape in shapes])
    return MeanShape(mean, aligned, left, rounds, moved <= tolerance * float(np.linalg.norm(mean)))
