"""Centred kernel alignment (CKA): how alike two kernels of the same stimuli are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose
from neuroalign.similarity._measures import (
    dot,
    double_center,
    gram,
    multiply_squares,
    scale_to_unit,
    squared_distances,
    u_center,
)

Array = npt.NDArray[Any]


def _linear(X: Array, _bandwidth: float, _degree: int) -> Array:
    return gram(X)


def _cosine(X: Array, _bandwidth: float, _degree: int) -> Array:
    norm = np.linalg.norm(X, axis=1, keepdims=True)
    return gram(np.divide(X, norm, out=np.zeros_like(X), where=norm > 0), center=False)


def _rbf(X: Array, bandwidth: float, _degree: int) -> Array:
    distances = squared_distances(X)
    median = float(np.median(distances[np.triu_indices(len(X), 1)]))
    # Where most rows are copies the median is 0: any width then tells copies from others.
    scale = 2 * bandwidth**2 * (median or 1.0)
    return np.asarray(np.exp(-distances / scale))


def _polynomial(X: Array, _bandwidth: float, degree: int) -> Array:
    return np.asarray((gram(X) / X.shape[1] + 1.0) ** degree)


KERNELS: dict[str, Callable[[Array, float, int], Array]] = {
    "linear": _linear,
    "cosine": _cosine,
    "rbf": _rbf,
    "polynomial": _polynomial,
}


def compute_kernel(
    X: npt.NDArray[Any], kernel: str = "linear", *, bandwidth: float = 1.0, degree: int = 3
) -> npt.NDArray[np.float64]:
    """Compute a kernel of the rows of a representation.

    Parameters
    ----------
    X : array (n, p)
    kernel : {"linear", "cosine", "rbf", "polynomial"}
        ``rbf``: exp(-d^2 / (2 s^2)) with s = ``bandwidth`` times the median distance of two rows.
        ``polynomial``: (x.y / p + 1) ** ``degree``, of centred columns.
    bandwidth : float
    degree : int

    Returns
    -------
    array (n, n)

    Raises
    ------
    ValueError

    Examples
    --------
    >>> compute_kernel(np.array([[0.0], [2.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    function = choose(KERNELS, kernel, "kernel")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth: expected a positive share of the median, got {bandwidth}.")
    if degree < 1:
        raise ValueError(f"degree: expected 1 or more, got {degree}.")
    return function(X, bandwidth, degree)


def prepare_biased(
    X: Array, *, kernel: str = "linear", bandwidth: float = 1.0, degree: int = 3
) -> Array:
    """Centre the kernel in rows and columns, at unit norm: (n, n)."""
    return scale_to_unit(
        double_center(compute_kernel(X, kernel, bandwidth=bandwidth, degree=degree))
    )


def prepare_debiased(
    X: Array, *, kernel: str = "linear", bandwidth: float = 1.0, degree: int = 3
) -> Array:
    """Centre the kernel without its diagonal, at unit norm: (n, n)."""
    return scale_to_unit(u_center(compute_kernel(X, kernel, bandwidth=bandwidth, degree=degree)))


def pair_angle(one: Array, other: Array) -> float:
    """Angle [rad] between two centred kernels of unit norm; NaN for zeros."""
    size = dot(one, one) * dot(other, other)
    return float(np.arccos(np.clip(dot(one, other), -1.0, 1.0))) if size > 0 else float("nan")


def multiply_angles(one: Sequence[Array], other: Sequence[Array]) -> Array:
    """Angles [rad] of all pairs of centred kernels of unit norm; NaN for zeros."""
    angles = np.arccos(np.clip(multiply_squares(one, other), -1.0, 1.0))
    left, right = (np.array([dot(square, square) > 0 for square in side]) for side in (one, other))
    return np.asarray(np.where(left[:, None] & right, angles, np.nan))


Named = Mapping[str, npt.NDArray[Any]]


def stream_cka(
    batches: Iterable[tuple[Named, Named]],
    *,
    kernel: str = "linear",
    bandwidth: float = 1.0,
    degree: int = 3,
) -> xr.DataArray:
    """Debiased CKA of more stimuli than fit in memory, from batches of them.

    Parameters
    ----------
    batches : iterable of two mappings of name to array (n, p)
        Layers of one model and of another (or the same) for one batch of stimuli; the same names
        and number of stimuli, 4 or more, in every batch. One batch is held at a time.
    kernel, bandwidth, degree
        See `compute_kernel`. The median distance of ``rbf`` is that of each batch.

    Returns
    -------
    DataArray (layer, layer_other)
        The unbiased HSIC averaged over batches, then the ratio. It is unbiased in the HSIC at any
        batch size, with more variance than that of all stimuli at once.

    Raises
    ------
    SchemaError
    ValueError

    References
    ----------
    Nguyen, Raghu & Kornblith (2021), ICLR, arXiv:2010.15327, equations 2 and 3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> batches = [{"relu": rng.normal(size=(20, 8))} for _ in range(3)]
    >>> found = stream_cka((batch, batch) for batch in batches)
    >>> float(found.sel(layer="relu", layer_other="relu").round(6))
    1.0
    """
    names: tuple[list[str], list[str]] | None = None
    cross, own, others = np.zeros(()), np.zeros(()), np.zeros(())
    for one, other in batches:
        found = (list(one), list(other))
        if names is None:
            names = found
        if found != names:
            raise SchemaError(
                f"batches: expected the layers {names} in every batch, got {found}. "
                "Give the same layers in the same order."
            )
        counts = {len(X) for X in (*one.values(), *other.values())}
        if len(counts) != 1:
            raise SchemaError(
                f"batches: expected the same stimuli in all layers, got {sorted(counts)} rows."
            )
        n = counts.pop()
        left, right = (
            [
                u_center(compute_kernel(X, kernel, bandwidth=bandwidth, degree=degree))
                for X in side.values()
            ]
            for side in (one, other)
        )
        scale = n * (n - 3)
        cross = cross + multiply_squares(left, right) / scale
        own = own + np.array([dot(K, K) for K in left]) / scale
        others = others + np.array([dot(K, K) for K in right]) / scale
    if names is None:
        raise SchemaError("batches: expected one batch or more, got none. Pass a fresh iterable.")
    size = np.sqrt(own)[:, None] * np.sqrt(others)
    values = np.divide(cross, size, out=np.zeros_like(cross), where=size > 0)
    return xr.DataArray(
        values,
        {"layer": names[0], "layer_other": names[1]},
        ("layer", "layer_other"),
        name="similarity",
        attrs={"metric": "cka_debiased"},
    )
