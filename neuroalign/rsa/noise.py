"""Noise covariance of channels from residuals or repeats, shrunk or not, and whitening by it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import linalg

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.schema import SCHEMA_VERSION, check_responses

Array = npt.NDArray[Any]
SOURCES = {"repeats": True, "residuals": False}
OUTPUTS = ("covariance", "precision")
# A channel with less noise of its own (in its standard deviations) is a mixture of others.
OWN_NOISE = 1e-7
# Rows of a covariance that are scaled at once, so that they stay in the cache.
ROWS = 64


class Estimate(NamedTuple):
    """A covariance (p, p) and the share of the target in it, 0 to 1."""

    covariance: Array
    shrinkage: float


def _full(E: Array, dof: float) -> Estimate:
    return Estimate(E.T @ E / dof, 0.0)


def _diagonal(E: Array, dof: float) -> Estimate:
    return Estimate(np.diag(np.einsum("ij,ij->j", E, E) / dof), 1.0)


def _ledoit_wolf(E: Array, dof: float) -> Estimate:
    """Toward the mean variance; Ledoit & Wolf (2004), J. Multivar. Anal. 88(2)."""
    n, p = E.shape
    S = E.T @ E / n
    mean = np.trace(S) / p
    spread = (S * S).sum() - p * mean**2
    # Sum over rows of the squared distance of their outer product to S, without any of them.
    error = ((np.einsum("ij,ij->i", E, E) ** 2).sum() / n - (S * S).sum()) / dof
    share = float(np.clip(error / spread, 0, 1)) if spread > 0 else 1.0
    covariance = (1 - share) * S
    covariance.flat[:: p + 1] += share * mean
    return Estimate(covariance * (n / dof), share)


def _schaefer_strimmer(E: Array, dof: float) -> Estimate:
    """Correlations toward 0; Schäfer & Strimmer (2005), Stat. Appl. Genet. Mol. Biol. 4(1)."""
    n = len(E)
    S = E.T @ E
    scale = np.sqrt(np.diagonal(S) / n)
    inverse = 1 / np.where(scale > 0, scale, 1.0)
    Z = E * inverse
    size = 0.0
    for start in range(0, len(S), ROWS):
        part = S[start : start + ROWS] * (inverse / n)
        part *= inverse[start : start + ROWS, None]
        part[np.arange(len(part)), np.arange(start, start + len(part))] = 0.0
        size += float(np.vdot(part, part))
    Z *= Z
    # Residuals of few repeats resemble each other: dof of them, not n, are independent.
    error = (np.square(Z.sum(axis=1)).sum() - np.square(Z).sum()) / n - size
    share = float(np.clip(error / (dof * size), 0, 1)) if size > 0 else 1.0
    S *= (1 - share) / dof
    S.flat[:: len(S) + 1] = scale**2 * (n / dof)
    return Estimate(S, share)


METHODS: dict[str, Callable[[Array, float], Estimate]] = {
    "full": _full,
    "diagonal": _diagonal,
    "ledoit_wolf": _ledoit_wolf,
    "schaefer_strimmer": _schaefer_strimmer,
    "shrinkage": _schaefer_strimmer,
}


def find_codes(responses: xr.DataArray, by: str, fold: str | None) -> Array:
    """Number the cells (condition, or condition within fold) that rows belong to."""
    keys = [by] if fold is None else [by, fold]
    codes = np.zeros(responses.sizes["sample"], dtype=np.intp)
    for key in keys:
        if key not in responses.coords or responses[key].dims != ("sample",):
            raise SchemaError(
                f"responses: expected coord '{key}' on 'sample', got {some(responses.coords)}. "
                "Assign it, or name another."
            )
        _, code = np.unique(responses[key].values, return_inverse=True)
        codes = codes * (int(code.max(initial=0)) + 1) + code
    return np.asarray(np.unique(codes, return_inverse=True)[1])


def remove_means(values: Array, codes: Array) -> tuple[Array, int]:
    """Subtract the mean of each cell: (n, ...) in float64, and degrees of freedom n - cells."""
    values = np.asarray(values, dtype=np.float64)
    counts = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    start = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(values[order], start, axis=0)
    means /= counts.reshape(-1, *[1] * (values.ndim - 1))
    # Rows that are alone in their cell have no residual, and give no degree of freedom.
    kept = counts[codes] > 1
    return (values - means[codes])[kept], int((counts[counts > 1] - 1).sum())


def _join(values: Array) -> Array:
    """Count each time point as a row of its own: (n, p[, t]) to (n * t, p)."""
    return values if values.ndim == 2 else np.moveaxis(values, 2, 1).reshape(-1, values.shape[1])


def estimate_noise(
    responses: xr.DataArray,
    *,
    by: str = "stimulus",
    method: str = "schaefer_strimmer",
    from_: str = "repeats",
    fold: str | None = None,
    dof: float | None = None,
    over: str | None = None,
    output: str = "covariance",
) -> xr.DataArray:
    """Estimate how the noise of channels covaries.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
        Repeated presentations, or residuals of a fitted model (``from_="residuals"``).
    by : str
        Coord that names the condition.
    method : {"schaefer_strimmer", "ledoit_wolf", "full", "diagonal"}
        ``shrinkage`` is another name of ``schaefer_strimmer``. ``full`` is singular when there
        are fewer degrees of freedom than channels.
    from_ : {"repeats", "residuals"}
        ``repeats``: what remains of each row after the mean of its condition.
    fold : str, optional
        Take means within each run (or session) too, so that drifts between runs are no noise.
    dof : float, optional
        Degrees of freedom. Of repeats: K (R - 1), the rows less the means taken; of residuals,
        give rows less the rank of the design; rows less 1 when not given.
    over : {"run", "session", "subject", "time", ...}, optional
        One covariance for each value of this coord on ``sample`` (fold by fold whitening), or
        for each time point; time points are pooled else.
    output : {"covariance", "precision"}

    Returns
    -------
    DataArray ([over,] neuroid, neuroid_other)
        attrs ``measure``, ``method``, ``dof``, ``shrinkage`` (the mean share of the target).

    Raises
    ------
    SchemaError
        Without repeats, or with missing values.
    ValueError

    References
    ----------
    Walther et al. (2016), NeuroImage 137, doi:10.1016/j.neuroimage.2015.12.012.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> values = np.random.default_rng(0).normal(size=(80, 5))
    >>> data = from_arrays(values, stimulus=["a", "b"] * 40, modality="fmri")
    >>> noise = estimate_noise(data, method="full")
    >>> noise.attrs["dof"]
    78.0
    """
    check_responses(responses)
    compute = choose(METHODS, method, "method")
    repeated = choose(SOURCES, from_, "from_")
    choose(dict.fromkeys(OUTPUTS), output, "output")
    if not np.isfinite(responses.values).all():
        raise SchemaError(
            "responses: expected finite values, got missing ones. Drop those channels or rows."
        )
    matrices, shares, freedoms = [], [], []
    parts, labels = _cut(responses, over)
    for part in parts:
        values = np.asarray(part.values, dtype=np.float64)
        free: float
        if repeated:
            values, free = remove_means(values, find_codes(part, by, fold))
            if free < 1:
                cell = by if fold is None else f"{by} within {fold}"
                raise SchemaError(
                    f"responses: expected repeats of each {cell}, got {part.sizes['sample']} rows "
                    "shown once each. Leave out fold, or estimate noise from residuals."
                )
        else:
            free = len(values) - 1
        free = free if dof is None else dof
        if not free > 0:
            raise ValueError(
                f"dof: expected more than 0 degrees of freedom, got {free} of "
                f"{part.sizes['sample']} rows. Give more rows, or rows less the rank of the design."
            )
        n_times = values.shape[2] if values.ndim == 3 else 1
        made = compute(_join(values), free * n_times)
        matrices.append(made.covariance if output == "covariance" else invert(made.covariance))
        shares.append(made.shrinkage)
        freedoms.append(free)
    names = responses["neuroid"].values
    coords: dict[str, Any] = {"neuroid": names, "neuroid_other": names}
    dims: tuple[str, ...] = ("neuroid", "neuroid_other")
    array = np.stack(matrices)
    if over is None:
        array = array[0]
    else:
        dims, coords = (over, *dims), {over: labels, **coords}
    attrs = {"measure": output, "method": method, "dof": float(np.mean(freedoms))}
    attrs |= {"shrinkage": float(np.mean(shares)), "schema_version": SCHEMA_VERSION}
    return xr.DataArray(array, coords, dims, attrs=attrs)


def _cut(responses: xr.DataArray, over: str | None) -> tuple[list[xr.DataArray], Array]:
    if over is None:
        return [responses], np.empty(0)
    if over == "time" and "time" in responses.dims:
        times = (
            responses["time"].values
            if "time" in responses.coords
            else np.arange(responses.sizes["time"])
        )
        return [responses.isel(time=t) for t in range(len(times))], times
    codes = find_codes(responses, over, None)
    labels = np.unique(responses[over].values)
    return [responses.isel(sample=np.flatnonzero(codes == c)) for c in range(len(labels))], labels


def invert(covariance: Array) -> Array:
    """Invert a positive definite matrix, or say that it is singular."""
    # From the factor itself: a third of the work of solving for every column.
    inverse, _ = linalg.lapack.dpotri(factorise(covariance), lower=True, overwrite_c=True)
    for start in range(0, len(inverse), ROWS):
        stop = start + ROWS
        block = inverse[start:stop, start:stop]
        block += np.tril(block, -1).T
        inverse[start:stop, stop:] = inverse[stop:, start:stop].T
    return np.asarray(inverse)


def factorise(matrix: Array) -> Array:
    """Lower Cholesky factor.

    Raises
    ------
    ValueError
        When the matrix is singular.
    """
    try:
        lower = linalg.cholesky(matrix, lower=True)
    except linalg.LinAlgError as error:
        raise ValueError(
            f"noise: expected a positive definite matrix, got a singular one of {len(matrix)} "
            "channels. Use method='schaefer_strimmer', or more repeats than channels."
        ) from error
    # Relative to each channel, since units may differ by many orders between kinds of sensors.
    own = np.diagonal(lower) / np.sqrt(np.diagonal(matrix))
    if own.min() <= OWN_NOISE:
        raise ValueError(
            f"noise: expected a positive definite matrix, got a nearly singular one of "
            f"{len(matrix)} channels. Use method='schaefer_strimmer', or more repeats than "
            "channels."
        )
    return np.asarray(lower)


def read_noise(noise: xr.DataArray, names: Array) -> tuple[Array, bool]:
    """Matrices ([over,] p, p) in the order of the named channels; whether they are precisions.

    Channels left out of a precision are integrated out: its covariance is cut, not itself.
    """
    if not isinstance(noise, xr.DataArray) or noise.dims[-2:] != ("neuroid", "neuroid_other"):
        got = noise.dims if isinstance(noise, xr.DataArray) else type(noise).__name__
        raise SchemaError(
            f"noise: expected a DataArray (neuroid, neuroid_other), got {got}. "
            "Use what rsa.estimate_noise returns."
        )
    inverse = bool(
        choose(
            {"covariance": False, "precision": True},
            noise.attrs.get("measure", ""),
            "noise.attrs['measure']",
        )
    )
    place = {name: i for i, name in enumerate(noise["neuroid"].values.tolist())}
    absent = [name for name in names.tolist() if name not in place]
    if absent:
        raise AlignError(
            f"noise: expected the neuroids of responses, missing {len(absent)} ({some(absent)}). "
            "Estimate it from the same channels."
        )
    rows = np.array([place[name] for name in names.tolist()], dtype=np.intp)
    values = np.asarray(noise.values, dtype=np.float64)
    if inverse and len(rows) < len(place):
        flat = values.reshape(-1, *values.shape[-2:])
        values = np.stack([invert(matrix) for matrix in flat]).reshape(values.shape)
        inverse = False
    return values[..., rows[:, None], rows], inverse


def take_symmetric_root(matrix: Array, inverse: bool) -> Array:
    """Matrix (p, p) that whitens: scales each channel, then turns it as little as can be.

    The root is that of correlations: units of channels may differ by many orders of magnitude.
    """
    covariance = invert(matrix) if inverse else matrix
    factorise(covariance)
    scale = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    root: Array = (vectors / np.sqrt(values)) @ vectors.T / scale[:, None]
    return root


def whiten_rows(values: Array, matrix: Array, inverse: bool) -> Array:
    """Map patterns (..., p) so that distances between them are Mahalanobis distances."""
    lower = factorise(matrix)
    if inverse:
        return np.asarray(values @ lower)
    flat = values.reshape(-1, values.shape[-1])
    # L^-1 once, then one product: faster than a solve for many rows.
    root = linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    return np.asarray((flat @ root.T).reshape(values.shape))


def whiten(responses: xr.DataArray, noise: xr.DataArray) -> xr.DataArray:
    """Normalise responses by the noise covariance: channels with unit, uncorrelated noise.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
    noise : DataArray (neuroid, neuroid_other)
        From `estimate_noise`, covariance or precision.

    Returns
    -------
    DataArray
        In standard deviations of noise, times the symmetric inverse root of its correlations,
        which keeps each channel as near to itself as can be. Same coords.

    Raises
    ------
    AlignError, SchemaError, ValueError

    References
    ----------
    Walther et al. (2016), NeuroImage 137, doi:10.1016/j.neuroimage.2015.12.012: multivariate noise
    normalisation.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> from neuroalign.rsa import estimate_noise
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(size=(200, 3)) * [1.0, 2.0, 4.0]
    >>> responses = from_arrays(values, modality="fmri", stimulus=list("abcd") * 50)
    >>> white = whiten(responses, estimate_noise(responses))
    >>> bool((abs(white.std("sample") - 1) < 0.2).all())
    True
    """
    check_responses(responses)
    if not np.isfinite(responses.values).all():
        lost = int((~np.isfinite(responses.values)).sum())
        raise SchemaError(
            f"responses: expected finite values, got {lost} missing of {responses.size}, each of "
            "which would spread over all neuroids. Drop those samples or neuroids."
        )
    matrix, inverse = read_noise(noise, responses["neuroid"].values)
    if matrix.ndim != 2:
        raise SchemaError(
            f"noise: expected (neuroid, neuroid_other), got {noise.dims}. Select one of them."
        )
    root = take_symmetric_root(matrix, inverse)
    out = np.moveaxis(np.tensordot(responses.values, root, axes=(1, 0)), -1, 1)
    return responses.copy(data=out.astype(responses.dtype))
