"""Diagrams as curves and images, which can be averaged, mapped and compared by any statistic.

In: diagrams of `compute_persistence`. Out: a DataArray over distances.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.topology.persistence import find_finite, take_bars

Array = npt.NDArray[Any]


def _make_grid(bars: Array, grid: Any) -> Array:
    if grid is not None:
        points = np.asarray(grid, dtype=np.float64)
        if points.ndim != 1 or not len(points) or not (np.diff(points) > 0).all():
            raise ValueError(
                f"grid: expected increasing distances (n,), got {points.shape}. Sort it."
            )
        return points
    ends = bars[np.isfinite(bars)]
    low, high = (ends.min(), ends.max()) if len(ends) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1.0, 100)


def _wrap_curve(
    values: Array, dims: tuple[str, ...], coords: dict[str, Array], source: xr.Dataset, method: str
) -> xr.DataArray:
    keep = {key: source.attrs[key] for key in ("preprocessing", "n_used") if key in source.attrs}
    return xr.DataArray(values, coords, dims, attrs={"method": method, **keep})


def betti_curve(diagrams: xr.Dataset, *, dimension: int = 1, grid: Any = None) -> xr.DataArray:
    """Count the components, loops or voids that are alive at each distance.

    Parameters
    ----------
    diagrams : Dataset
        What `compute_persistence` returned.
    dimension : int
    grid : array (n,), optional
        Distances; 100 from the first birth to the last finite death when not given.

    Returns
    -------
    DataArray (distance)
        Number of bars with birth <= t < death.

    Raises
    ------
    SchemaError, ValueError

    Examples
    --------
    >>> from neuroalign.topology import compute_persistence
    >>> diagrams = compute_persistence([[0.0], [1.0], [3.0]])
    >>> betti_curve(diagrams, dimension=0, grid=[0.0, 1.5, 2.5]).values.tolist()
    [3.0, 2.0, 1.0]
    """
    bars = take_bars(diagrams, dimension)
    points = _make_grid(bars, grid)
    alive = (bars[:, :1] <= points) & (points < bars[:, 1:])
    counts = alive.sum(axis=0).astype(np.float64)
    return _wrap_curve(counts, ("distance",), {"distance": points}, diagrams, "betti_curve")


def persistence_landscape(
    diagrams: xr.Dataset, *, dimension: int = 1, n_layers: int = 5, grid: Any = None
) -> xr.DataArray:
    """Turn a diagram into functions that can be averaged.

    Parameters
    ----------
    diagrams : Dataset
        What `compute_persistence` returned.
    dimension : int
    n_layers : int
    grid : array (n,), optional
        Distances; 100 from the first birth to the last finite death when not given.

    Returns
    -------
    DataArray (layer, distance)
        Layer k at t: the k-th largest of max(0, min(t - birth, death - t)) over finite bars.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Bubenik (2015), Journal of Machine Learning Research 16, 77-102, definition 3.

    Examples
    --------
    >>> from neuroalign.topology import compute_persistence
    >>> diagrams = compute_persistence([[0.0], [1.0], [3.0]])
    >>> persistence_landscape(diagrams, dimension=0, n_layers=2, grid=[0.5, 1.0]).values.tolist()
    [[0.5, 1.0], [0.5, 0.0]]
    """
    if n_layers < 1:
        raise ValueError(f"n_layers: expected 1 or more, got {n_layers}. 5 is usual.")
    bars = find_finite(take_bars(diagrams, dimension))
    points = _make_grid(bars, grid)
    tents = np.maximum(0, np.minimum(points - bars[:, :1], bars[:, 1:] - points))
    layers = np.zeros((n_layers, len(points)))
    highest = np.sort(tents, axis=0)[::-1][:n_layers]
    layers[: len(highest)] = highest
    coords = {"layer": np.arange(1, n_layers + 1), "distance": points}
    return _wrap_curve(layers, ("layer", "distance"), coords, diagrams, "persistence_landscape")


def persistence_image(
    diagrams: xr.Dataset,
    *,
    dimension: int = 1,
    bandwidth: float | None = None,
    birth_grid: Any = None,
    length_grid: Any = None,
    power: float = 1.0,
) -> xr.DataArray:
    """Turn a diagram into an image: a sum of Gaussians, one at each (birth, length).

    Parameters
    ----------
    diagrams : Dataset
        What `compute_persistence` returned.
    dimension : int
    bandwidth : float, optional
        Standard deviation, in units of distance; a twentieth of the longest bar when not given.
        Give it, and both grids, to compare images.
    birth_grid, length_grid : array (n,), optional
        Where to evaluate; 100 births from the first to the last, 100 lengths from 0 to the longest.
    power : float
        Each bar weighs length ** power. Above 0 short bars, which noise makes, fade out.

    Returns
    -------
    DataArray (birth, length)
        Density at the points of the grids, over finite bars.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Adams et al. (2017), Journal of Machine Learning Research 18(8), 1-35, definition 1.

    Examples
    --------
    >>> from neuroalign.topology import compute_persistence
    >>> diagrams = compute_persistence([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> image = persistence_image(diagrams, birth_grid=[0.0, 1.0], length_grid=[0.0, 0.41])
    >>> int(image.values.argmax())
    3
    """
    bars = find_finite(take_bars(diagrams, dimension))
    lengths = bars[:, 1] - bars[:, 0]
    longest = float(lengths.max(initial=0.0)) or 1.0
    width = longest / 20 if bandwidth is None else float(bandwidth)
    if not width > 0:
        raise ValueError(f"bandwidth: expected a distance above 0, got {bandwidth}. Use None.")
    births = _make_grid(bars[:, :1], birth_grid)
    heights = _make_grid(np.array([[0.0, longest]]), length_grid)
    along = np.exp(-((births[:, None] - bars[:, 0]) ** 2) / (2 * width**2))
    up = np.exp(-((heights[:, None] - lengths) ** 2) / (2 * width**2))
    image = (along * lengths**power) @ up.T / (2 * np.pi * width**2)
    coords = {"birth": births, "length": heights}
    return _wrap_curve(image, ("birth", "length"), coords, diagrams, "persistence_image")
