"""Is a loop more than chance makes of as many points? Surrogates that lack it, prepared alike.

To add a null: a function of points (n, p) and a generator, and its row in ``NULLS``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance, schema
from neuroalign.errors import SchemaError, choose
from neuroalign.stats.permutations import count_reached
from neuroalign.topology._backends import BACKENDS
from neuroalign.topology._points import METRICS, is_rdm, read_cloud, read_values
from neuroalign.topology.persistence import check_size, find_finite
from neuroalign.topology.sampling import find_dense, pick_from_cloud
from neuroalign.topology.summaries import SUMMARIES

Array = npt.NDArray[Any]


def shuffle_units(values: Array, rng: np.random.Generator) -> Array:
    """Permute the samples of each unit on its own: keeps each unit's values, and nothing joint."""
    return rng.permuted(values, axis=0)


def shift_units(values: Array, rng: np.random.Generator) -> Array:
    """Shift each unit in time on its own, end to front: keeps each unit's autocorrelation."""
    starts = rng.integers(len(values), size=values.shape[1])
    rows = (np.arange(len(values))[:, None] + starts) % len(values)
    return np.take_along_axis(values, rows, axis=0)


def draw_gaussian(values: Array, rng: np.random.Generator) -> Array:
    """Draw as many Gaussian points of the same mean and covariance."""
    mean = values.mean(axis=0)
    # Mixtures of the centred points have their covariance, at any rank.
    mixture = rng.normal(size=(len(values), len(values))) @ (values - mean)
    drawn: Array = mean + mixture / np.sqrt(len(values))
    return drawn


def draw_sphere(values: Array, rng: np.random.Generator) -> Array:
    """Draw as many points on the sphere in the span of the points, of their root mean square."""
    mean = values.mean(axis=0)
    _, spread, axes = np.linalg.svd(values - mean, full_matrices=False)
    axes = axes[spread > spread.max(initial=0.0) * max(values.shape) * np.finfo(np.float64).eps]
    radius = np.sqrt((spread**2).sum() / len(values))
    points = rng.normal(size=(len(values), len(axes)))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    drawn: Array = mean + points @ axes
    return drawn


def randomize_phases(values: Array, rng: np.random.Generator) -> Array:
    """Add one random phase per frequency to all units: keeps spectra and cross-spectra."""
    n = len(values)
    transform = np.fft.rfft(values, axis=0)
    phases = np.exp(2j * np.pi * rng.uniform(size=(len(transform), 1)))
    # The mean, and at even length the last frequency, are real.
    phases[0] = 1
    if n % 2 == 0:
        phases[-1] = rng.choice([-1.0, 1.0])
    return np.asarray(np.fft.irfft(transform * phases, n=n, axis=0))


NULLS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "shuffle": shuffle_units,
    "shift": shift_units,
    "gaussian": draw_gaussian,
    "sphere": draw_sphere,
    "phase": randomize_phases,
}


def _project(values: Array, n_components: int) -> Array:
    centered = values - values.mean(axis=0)
    left, spread, _ = np.linalg.svd(centered, full_matrices=False)
    projected: Array = left[:, :n_components] * spread[:n_components]
    return projected


def draw_surrogate(data: Any, null: str = "gaussian", *, seed: int = 0) -> Any:
    """Draw a surrogate of points: as many, with some of their statistics and no other shape.

    Parameters
    ----------
    data : array or DataArray (sample, unit)
        Samples in order of time for ``shift`` and ``phase``.
    null : {"shuffle", "shift", "gaussian", "sphere", "phase"}
        See `assess_topology`.
    seed : int

    Returns
    -------
    array or DataArray (sample, unit)
        As given, float64.

    Raises
    ------
    SchemaError, ValueError

    Examples
    --------
    >>> draw_surrogate([[0.0], [1.0], [2.0]], "shuffle").sum()
    np.float64(3.0)
    """
    draw = choose(NULLS, null, "null")
    drawn = draw(read_values(data), np.random.default_rng(seed))
    return data.copy(data=drawn) if isinstance(data, xr.DataArray) else drawn


def assess_topology(
    data: Any,
    *,
    null: str = "gaussian",
    statistic: str = "longest_bar_ratio",
    n_nulls: int = 99,
    max_dim: int = 1,
    metric: str = "euclidean",
    n_components: int | None = None,
    n_neighbors: int | None = None,
    keep: float = 0.3,
    landmarks: int | None = None,
    landmark_method: str = "maxmin",
    backend: str = "ripser",
    max_points: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Test whether points have more topology than surrogates that have none of their own.

    Data and surrogates go through the same steps in the same order: projection, dense core,
    landmarks, persistence, so that all diagrams come from equally many points.

    Parameters
    ----------
    data : array or DataArray (sample, unit)
    null : {"gaussian", "sphere", "shuffle", "shift", "phase"}
        ``gaussian``: same mean and covariance. ``sphere``: uniform on the sphere around the mean,
        in the span of the points, of their root mean square radius. ``shuffle``: samples of each
        unit permuted on their own. ``shift``: each unit shifted in time on its own. ``phase``:
        Fourier phases drawn anew, the same for all units, which keeps spectra and cross-spectra.
    statistic : str
        A name in ``SUMMARIES``; larger counts as more. Ratios do not depend on scale.
    n_nulls : int
    max_dim : {0, 1, 2}
    metric : {"euclidean", "city_block", "cosine", "correlation"}
    n_components : int, optional
        First project on so many principal components, found anew in each surrogate.
    n_neighbors : int, optional
        Then keep the dense core by the distance to this neighbour, see `keep_dense`.
    keep : float
        Share of points in the dense core.
    landmarks : int, optional
        Then choose so many landmarks.
    landmark_method : {"maxmin", "random"}
    backend : {"ripser", "gudhi"}
    max_points : int, optional
        See `compute_persistence`.
    seed : int
    progress : bool

    Returns
    -------
    Dataset
        Over ``dimension``: ``observed``, ``p_value`` = (1 + #{null >= observed}) / (1 + n_nulls),
        ``null_mean``, ``null_sd``; ``null`` (permutation, dimension). NaN where no bar dies. The
        attrs say ``preprocessing`` in words, ``n_points`` and ``n_used``.

    Raises
    ------
    SchemaError
        For RDMs, which have no points to draw surrogates of.
    ValueError

    References
    ----------
    Phipson & Smyth (2010), doi:10.2202/1544-6115.1585. Prichard & Theiler (1994), Physical Review
    Letters 73, 951, doi:10.1103/PhysRevLett.73.951 (phases). Gardner et al. (2022), Nature 602,
    123-128, doi:10.1038/s41586-021-04268-7 (shifts).

    Examples
    --------
    >>> import numpy as np
    >>> angle = np.linspace(0, 6, 40)
    >>> ring = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> result = assess_topology(ring, n_nulls=19, statistic="longest_bar")
    >>> float(result["p_value"].sel(dimension=1))
    0.05
    """
    draw = choose(NULLS, null, "null")
    summary = choose(SUMMARIES, statistic, "statistic")
    run = choose(BACKENDS, backend, "backend")
    choose(METRICS, metric, "metric")
    if is_rdm(data):
        raise SchemaError(
            "data: expected points (sample, unit), got an RDM, which has no points to draw "
            "surrogates of. Pass the responses."
        )
    if n_nulls < 1:
        raise ValueError(f"n_nulls: expected at least 1, got {n_nulls}. 99 is usual.")
    values = read_values(data)
    if n_components is not None and not 1 <= n_components <= min(values.shape):
        raise ValueError(
            f"n_components: expected 1 to {min(values.shape)}, got {n_components}. None keeps all."
        )
    n_dense = len(values) if n_neighbors is None else max(2, round(keep * len(values)))
    check_size(n_dense if landmarks is None else landmarks, max_dim, max_points)

    def measure(points: Array) -> tuple[list[float], int]:
        if n_components is not None:
            points = _project(points, n_components)
        if n_neighbors is not None:
            points = points[find_dense(points, n_neighbors, keep)]
        cloud, rows = read_cloud(points, metric, "auto"), None
        if landmarks is not None:
            rows, _ = pick_from_cloud(cloud, landmarks, landmark_method, seed)
        distances = cloud.measure_all(rows)
        bars = run(distances, max_dim, np.inf, 2)
        return [summary(find_finite(one)) for one in bars], len(distances)

    observed, n_used = measure(values)
    seeds = np.random.SeedSequence(seed).spawn(n_nulls)
    draws = (draw(values, np.random.default_rng(one)) for one in seeds)
    drawn = tqdm(draws, "nulls", n_nulls, disable=not progress)
    nulls = np.array([measure(points)[0] for points in drawn])
    actual = np.array(observed)
    # No bar at all in a surrogate is less than any: the observed one is not reached.
    reached = count_reached(np.nan_to_num(nulls, nan=-np.inf), actual)[0]
    # Only bars that outlast all others by infinity may be infinite; their count is still valid.
    p_value = np.where(np.isnan(actual), np.nan, (1 + reached) / (1 + n_nulls))
    finite = xr.DataArray(np.where(np.isfinite(nulls), nulls, np.nan), dims=("permutation", "k"))
    steps = [METRICS[metric][2]]
    if n_components is not None:
        steps.insert(0, f"{n_components} principal components")
    if n_neighbors is not None:
        steps.insert(-1, f"the {keep:.0%} densest points by neighbour {n_neighbors}")
    if landmarks is not None:
        steps.append(f"{landmarks} {landmark_method} points")
    result = xr.Dataset(
        {
            "observed": ("dimension", actual),
            "p_value": ("dimension", p_value),
            "null_mean": ("dimension", finite.mean("permutation").values),
            "null_sd": ("dimension", finite.std("permutation").values),
            "null": (("permutation", "dimension"), nulls),
        },
        {"dimension": np.arange(max_dim + 1)},
    )
    labelled = data if isinstance(data, xr.DataArray) else values
    parameters: dict[str, str | float | bool | list[str]] = {
        "null": null,
        "statistic": statistic,
        "n_nulls": n_nulls,
        "max_dim": max_dim,
        "metric": metric,
        "n_components": n_components or 0,
        "n_neighbors": n_neighbors or 0,
        "keep": keep,
        "landmarks": landmarks or 0,
        "landmark_method": landmark_method,
        "backend": backend,
        "seed": seed,
    }
    told = "; ".join(
        f"H{k} {actual[k]:.3g} (null {float(result['null_mean'][k]):.3g}, p = {p_value[k]:.3g})"
        for k in range(max_dim + 1)
    )
    result.attrs = {
        "kind": "estimate",
        "headline": "observed",
        "verdict": f"{statistic.replace('_', ' ')} against the {null} null: {told}.",
        "method": "topology_null",
        "null_model": null,
        "statistic": statistic,
        "preprocessing": "; ".join(steps),
        "n_points": len(values),
        "n_used": n_used,
        "n_permutations": n_nulls,
        "seed": seed,
        "schema_version": schema.SCHEMA_VERSION,
        "provenance": provenance.collect(parameters, {"data": provenance.hash_array(labelled)}),
    }
    return schema.check(result)
