"""Angles that a population holds: circular coordinates from cohomology, and their scores."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign.errors import SchemaError, choose
from neuroalign.rsa.rdms import find_conditions
from neuroalign.topology._backends import run_cocycles
from neuroalign.topology._harmonic import (
    WEIGHTS,
    decorrelate,
    extend,
    lift_cocycle,
    smooth,
    weigh_edges,
)
from neuroalign.topology._points import is_rdm, read_cloud
from neuroalign.topology.persistence import check_field, check_size
from neuroalign.topology.sampling import pick_from_cloud

Array = npt.NDArray[Any]


def find_circular_coordinates(
    data: Any,
    *,
    n_coordinates: int = 1,
    metric: str = "euclidean",
    rdm_transform: str = "auto",
    landmarks: int | None = None,
    position: float = 0.5,
    weights: str = "density",
    prime: int = 47,
    max_points: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Give each sample its angle on the longest loops: one for a ring, two for a torus.

    Parameters
    ----------
    data : array or DataArray (sample, unit), or DataArray (pair) or (first, second)
        Points, or one RDM.
    n_coordinates : int
        Loops to read, the longest first. Two or more are made independent: integer sums of them
        whose smooth forms are least correlated, as loops of a torus come in any mixture.
    metric : {"euclidean", "city_block", "cosine", "correlation"}
        Of points, see `compute_persistence`.
    rdm_transform : {"auto", "root", "ranks", "none"}
        Of an RDM, see `compute_persistence`.
    landmarks : int, optional
        Find the loops in so many points spread over the cloud; all others get their angle from the
        landmarks around them.
    position : float
        Where between birth (0) and death (1) of the loop the complex is taken; for several, between
        the last birth and the first death. Late: many edges, also across the loop.
    weights : {"density", "uniform"}
        Of edges in the least squares. ``density``: kernel weights divided by the density at both
        ends, so that angles follow the length of the loop whatever the sampling. ``uniform``: as
        first published; angles stand still where points are dense and jump where they are rare.
    prime : int
        Homology is computed over the field of so many elements, then lifted to integers.
    max_points : int, optional
        See `compute_persistence`.
    seed : int
        Of the landmarks.

    Returns
    -------
    Dataset
        ``angle`` (sample, coordinate) [rad], in [0, 2 pi), up to rotation and reflection;
        ``birth`` and ``death`` (coordinate) of the bars; ``next_length``: length of the longest bar
        not read. Coords of ``sample`` as in the data. A ``coordinate`` of a torus is a sum of
        loops, so that it has no one bar.

    Raises
    ------
    SchemaError, ValueError
        When there are fewer loops than asked for, or they never live at the same time.
    MissingExtraError

    References
    ----------
    de Silva, Morozov & Vejdemo-Johansson (2011), Discrete & Computational Geometry 45, 737-759,
    doi:10.1007/s00454-011-9344-x, section 2. Perea (2020), Sparse circular coordinates,
    Topological Data Analysis, Abel Symposia 15, 435-458 (landmarks). Scoccola et al. (2023),
    Toroidal coordinates, SoCG, LIPIcs 258, 57 (independence).

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    >>> ring = np.column_stack([np.cos(truth), np.sin(truth)])
    >>> angle = find_circular_coordinates(ring)["angle"].isel(coordinate=0)
    >>> float(score_angles(angle, truth)["correlation"].round(3))
    1.0
    """
    choose(WEIGHTS, weights, "weights")
    check_field(prime, "prime")
    if prime == 2 or n_coordinates < 1 or not 0 < position < 1:
        raise ValueError(
            "prime, n_coordinates, position: expected an odd prime, 1 or more, and a share in "
            f"(0, 1), got {prime}, {n_coordinates} and {position}. Use 47, 1 and 0.5."
        )
    cloud = read_cloud(data, metric, rdm_transform)
    check_size(cloud.n if landmarks is None else landmarks, 1, max_points)
    rows, covering = np.arange(cloud.n), 0.0
    if landmarks is not None:
        rows, covering = pick_from_cloud(cloud, landmarks, "maxmin", seed)
    distances = cloud.measure_all(rows)
    bars, cocycles = run_cocycles(distances, prime)
    order = np.argsort(bars[:, 0] - bars[:, 1], kind="stable")
    chosen = order[:n_coordinates]
    birth, death = _find_overlap(bars[chosen], n_coordinates)
    scale = birth + position * (death - birth)
    adjacent = (distances <= scale) & ~np.eye(len(rows), dtype=bool)
    edges = weigh_edges(distances, adjacent, scale, weights)
    lifted = [lift_cocycle(cocycles[bar], adjacent, prime) for bar in chosen]
    if n_coordinates > 1:
        lifted = decorrelate(lifted, [smooth(one, edges)[1] for one in lifted], edges)
    angles = np.empty((cloud.n, n_coordinates))
    to_landmarks = distances
    if landmarks is not None:
        to_landmarks = np.stack([cloud.measure_from(int(row)) for row in rows], axis=1)
    for column, cocycle in enumerate(lifted):
        potential, rest = smooth(cocycle, edges)
        turns = potential
        if landmarks is not None:
            turns = extend(potential, rest, to_landmarks, scale / 2)
            turns[rows] = potential
        angles[:, column] = (2 * np.pi * turns) % (2 * np.pi)
    lengths = bars[order, 1] - bars[order, 0]
    following = float(lengths[n_coordinates]) if len(lengths) > n_coordinates else 0.0
    shortest = float(lengths[n_coordinates - 1])
    verdict = (
        f"{n_coordinates} circular coordinate{'s' if n_coordinates > 1 else ''} of {cloud.n} "
        f"samples; the next loop lives {following / shortest:.0%} as long as the last one read."
    )
    result = xr.Dataset(
        {
            "angle": (("sample", "coordinate"), angles),
            "birth": ("coordinate", bars[chosen, 0]),
            "death": ("coordinate", bars[chosen, 1]),
            "next_length": following,
        },
        coords=_sample_coords(data),
    )
    parameters: dict[str, str | float | bool | list[str]] = {
        "n_coordinates": n_coordinates,
        "metric": metric,
        "rdm_transform": rdm_transform,
        "landmarks": landmarks or 0,
        "position": position,
        "weights": weights,
        "prime": prime,
        "seed": seed,
    }
    labelled = data if isinstance(data, xr.DataArray) else np.asarray(data, dtype=np.float64)
    result.attrs = {
        "kind": "estimate",
        "method": "circular_coordinates",
        "headline": "angle",
        "verdict": verdict,
        "preprocessing": cloud.steps,
        "scale": float(scale),
        "weights": weights,
        "n_points": cloud.n,
        "n_used": len(rows),
        "covering_radius": covering,
        "seed": seed,
        "schema_version": schema.SCHEMA_VERSION,
        "provenance": provenance.collect(parameters, {"data": provenance.hash_array(labelled)}),
    }
    return schema.check(result)


def _find_overlap(bars: Array, wanted: int) -> tuple[float, float]:
    """Distances at which all chosen loops live."""
    if len(bars) < wanted:
        raise ValueError(
            f"n_coordinates: expected as many loops as the points have, got {wanted} and "
            f"{len(bars)} loops. Ask for fewer, or use more points."
        )
    birth, death = float(bars[:, 0].max()), float(bars[:, 1].min())
    if not birth < death:
        raise ValueError(
            f"n_coordinates: expected loops that live at the same time, got {wanted} whose last "
            f"is born at {birth:.3g} and whose first dies at {death:.3g}. Ask for fewer."
        )
    return birth, death


def _sample_coords(data: Any) -> dict[Any, Any]:
    """What is known of each sample; the conditions of an RDM."""
    if not isinstance(data, xr.DataArray):
        return {}
    if is_rdm(data):
        return {"stimulus": ("sample", np.asarray(find_conditions(data)))}
    dim = data.dims[0]
    coords = data.coords.items()
    return {key: ("sample", c.values) for key, c in coords if c.dims == (dim,)}


def circular_correlation(a: Any, b: Any) -> float:
    """Correlate two angles (Fisher & Lee): 1 for rotations, -1 for reflections of each other.

    Parameters
    ----------
    a, b : array (n,)
        [rad].

    Returns
    -------
    float
        ``sum sin(a_i - a_j) sin(b_i - b_j)`` over pairs, divided by the root of the product of both
        sums of squares. NaN when an angle does not vary.

    Raises
    ------
    SchemaError

    References
    ----------
    Fisher & Lee (1983), A correlation coefficient for circular data, Biometrika 70, 327-332,
    doi:10.1093/biomet/70.2.327.

    Examples
    --------
    >>> round(circular_correlation([0.0, 1.0, 3.0], [2.0, 1.0, -1.0]), 6)
    -1.0
    """
    first, second = _read_angles(a, b)
    # Sums over pairs of sines are quadratic forms of the sums over samples.
    u, v = (np.column_stack([np.cos(x), np.sin(x)]) for x in (first, second))
    cross = np.linalg.det(u.T @ v)
    norm = np.linalg.det(u.T @ u) * np.linalg.det(v.T @ v)
    return float(cross / np.sqrt(norm)) if norm > 1e-12 * len(u) ** 4 else float("nan")


def score_angles(decoded: Any, truth: Any) -> xr.Dataset:
    """Score decoded angles against known ones, whatever their origin and direction.

    Parameters
    ----------
    decoded, truth : array or DataArray (n,)
        [rad].

    Returns
    -------
    Dataset
        ``correlation``: size of `circular_correlation`; ``resultant``: mean length of the
        differences as unit vectors, 1 for a perfect angle; ``median_error`` [rad] after the best
        rotation and reflection; ``reflected`` (0 or 1) and ``rotation`` [rad] that lead from
        decoded to true angles.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> table = score_angles([0.5, 1.5, 3.5], [0.0, -1.0, -3.0])
    >>> round(float(table["correlation"]), 6), int(table["reflected"])
    (1.0, 1)
    """
    first, second = _read_angles(decoded, truth)
    sums = [np.exp(1j * (second - sign * first)).mean() for sign in (1, -1)]
    reflected = int(abs(sums[1]) > abs(sums[0]))
    rotation = float(np.angle(sums[reflected]))
    turned = np.array([1, -1])[reflected] * first + rotation
    error = np.abs(np.angle(np.exp(1j * (second - turned))))
    columns = {
        "correlation": abs(circular_correlation(first, second)),
        "resultant": abs(sums[reflected]),
        "median_error": float(np.median(error)),
        "reflected": reflected,
        "rotation": rotation,
    }
    attrs = {
        "kind": "estimate",
        "method": "circular_correlation",
        "headline": "correlation",
        "verdict": f"Circular correlation {columns['correlation']:.3f}, median error "
        f"{columns['median_error']:.3f} rad over {len(first)} samples.",
        "n_samples": len(first),
    }
    return schema.check(xr.Dataset(columns, attrs=attrs))


def _read_angles(a: Any, b: Any) -> tuple[Array, Array]:
    first, second = (np.asarray(x, dtype=np.float64) for x in (a, b))
    good = first.ndim == 1 and first.shape == second.shape and len(first) > 2
    if not good or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise SchemaError(
            f"angles: expected two of shape (n,), n > 2, finite, got {first.shape} and "
            f"{second.shape}. Select a coordinate, and drop samples without an angle."
        )
    return first, second
