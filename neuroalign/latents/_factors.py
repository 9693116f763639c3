"""Gaussian factors: y = C z + d + noise, by EM on moments, or on rows with missing entries.

In: rows (row, unit) and what of them was observed. Out: a `Factors` and log likelihoods. To add a
noise model: a function from the variances of units to those the model allows, in ``NOISES``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]
# A variance stays above this share of the unit's own, or one unit could take a factor for itself.
FLOOR = 1e-3


class Factors(NamedTuple):
    """``loadings`` (unit, latent), ``mean`` (unit,), ``noise`` (unit,): variances."""

    loadings: Array
    mean: Array
    noise: Array


class Run(NamedTuple):
    """Log likelihood per iteration, and whether its gain fell below the tolerance."""

    log_likelihood: list[float]
    converged: bool


def _pool(noise: Array) -> Array:
    return np.full_like(noise, noise.mean())


NOISES: dict[str, Callable[[Array], Array]] = {"diagonal": np.asarray, "isotropic": _pool}


def invert_definite(matrices: Array) -> tuple[Array, Array]:
    """Invert positive definite matrices and give their log determinants.

    Parameters
    ----------
    matrices : array (..., k, k)

    Returns
    -------
    array (..., k, k), array (...,)
    """
    root = np.linalg.cholesky(matrices)
    inverse = np.linalg.inv(root)
    logdet = 2 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(-1)
    return np.swapaxes(inverse, -1, -2) @ inverse, logdet


def group_rows(observed: Array) -> tuple[Array, Array]:
    """Rows that miss the same entries share one posterior covariance.

    Parameters
    ----------
    observed : bool array (row, unit)

    Returns
    -------
    bool array (pattern, unit), and the number of each row's pattern (row,)
    """
    if observed.all():
        return observed[:1], np.zeros(len(observed), dtype=np.intp)
    packed = np.packbits(observed, axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return observed[first], which.ravel()


def measure_units(Y: Array, observed: Array) -> tuple[Array, Array]:
    """Mean and variance of each unit over what was observed of it."""
    count = np.maximum(observed.sum(axis=0), 1)
    mean = np.where(observed, Y, 0.0).sum(axis=0) / count
    variance = np.where(observed, Y - mean, 0.0) ** 2
    return mean, variance.sum(axis=0) / count


def start(Y: Array, observed: Array, n_latents: int) -> Factors:
    """Begin at the principal components of the rows, with missing entries at their means."""
    mean, variance = measure_units(Y, observed)
    filled = np.where(observed, Y - mean, 0.0)
    scale = np.sqrt(np.maximum(variance, np.finfo(float).tiny))
    values, vectors = np.linalg.eigh((filled / scale).T @ (filled / scale) / len(Y))
    top = np.argsort(values)[::-1][:n_latents]
    loadings = scale[:, None] * vectors[:, top] * np.sqrt(np.maximum(values[top] - 1, 0.1))
    return Factors(loadings, mean, np.maximum(variance / 2, FLOOR * variance))


def infer(Y: Array, observed: Array, factors: Factors) -> tuple[Array, Array, Array]:
    """Posterior means, covariances and log likelihoods of rows.

    Parameters
    ----------
    Y : array (row, unit)
    observed : bool array (row, unit)
    factors : Factors

    Returns
    -------
    array (row, latent), array (row, latent, latent), array (row,)
        A row without observed entries has the prior and a log likelihood of 0.
    """
    C, d, R = factors
    k = C.shape[1]
    weighted = C / R[:, None]
    patterns, which = group_rows(observed)
    products = (C[:, :, None] * weighted[:, None, :]).reshape(-1, k * k)
    gains = (patterns.astype(float) @ products).reshape(-1, k, k)
    covariances, logdets = invert_definite(np.eye(k) + gains)
    centered = np.where(observed, Y - d, 0.0)
    drive = centered @ weighted
    covariances = covariances[which]
    means = np.einsum("nij,nj->ni", covariances, drive)
    squares = (centered**2 / R).sum(axis=1) - (drive * means).sum(axis=1)
    constants = patterns @ np.log(2 * np.pi * R) + logdets
    return means, covariances, -0.5 * (constants[which] + squares)


def regress(
    Y: Array, observed: Array, means: Array, covariances: Array, floor: Array, noise: str
) -> Factors:
    """Update the map from latents to units: each unit over the rows where it was observed.

    Parameters
    ----------
    Y, observed : array (row, unit)
    means : array (row, latent)
    covariances : array (row, latent, latent)
    floor : array (unit,)
        Least variance.
    noise : {"diagonal", "isotropic"}

    Returns
    -------
    Factors
    """
    n, k = means.shape
    Z = np.column_stack([means, np.ones(n)])
    filled = np.where(observed, Y, 0.0)
    if observed.all():
        second = Z.T @ Z
        second[:k, :k] += covariances.sum(axis=0)
        moments = np.broadcast_to(second, (Y.shape[1], k + 1, k + 1))
    else:
        outer = Z[:, :, None] * Z[:, None, :]
        outer[:, :k, :k] += covariances
        moments = (observed.T.astype(float) @ outer.reshape(n, -1)).reshape(-1, k + 1, k + 1)
        # A unit never observed keeps zero loadings.
        moments = moments + np.eye(k + 1) * np.asarray(~observed.any(axis=0))[:, None, None]
    cross = filled.T @ Z
    weights = np.linalg.solve(moments, cross[..., None])[..., 0]
    count = np.maximum(observed.sum(axis=0), 1)
    variance = ((filled**2).sum(axis=0) - (weights * cross).sum(axis=1)) / count
    allowed = choose(NOISES, noise, "noise")(np.maximum(variance, floor))
    return Factors(weights[:, :k], weights[:, k], allowed)


def _score_moments(covariance: Array, factors: Factors, n: int) -> tuple[float, Array, Array]:
    """Log likelihood of n complete rows of this covariance; posterior map and its covariance."""
    C, _, R = factors
    weighted = C / R[:, None]
    posterior, logdet = invert_definite(np.eye(C.shape[1]) + C.T @ weighted)
    back = posterior @ weighted.T
    square = (np.diag(covariance) / R).sum() - np.sum((back @ covariance) * weighted.T)
    constant = np.log(2 * np.pi * R).sum() + logdet
    return -0.5 * n * float(constant + square), back, posterior


def fit_moments(
    covariance: Array, n: int, factors: Factors, floor: Array, noise: str, limits: tuple[int, float]
) -> tuple[Factors, Run]:
    """EM on the covariance of complete rows: an iteration costs nothing per row."""
    scores: list[float] = []
    for _ in range(limits[0]):
        score, back, posterior = _score_moments(covariance, factors, n)
        scores.append(score)
        if _has_settled(scores, limits[1], n):
            return factors, Run(scores, True)
        shared = covariance @ back.T
        loadings = np.linalg.solve(posterior + back @ shared, shared.T).T
        variance = np.diag(covariance) - (loadings * shared).sum(axis=1)
        allowed = choose(NOISES, noise, "noise")(np.maximum(variance, floor))
        factors = Factors(loadings, factors.mean, allowed)
    return factors, Run(scores, False)


def _has_settled(scores: list[float], tol: float, n: int) -> bool:
    return len(scores) > 1 and scores[-1] - scores[-2] < tol * n


def fit_factors(
    Y: Array, observed: Array, n_latents: int, *, noise: str = "diagonal", max_iter: int = 500,
    tol: float = 1e-6,
) -> tuple[Factors, Run]:  # fmt: skip
    """Fit by EM; rows may miss entries.

    Parameters
    ----------
    Y : array (row, unit)
    observed : bool array (row, unit)
    n_latents : int
    noise : {"diagonal", "isotropic"}
    max_iter : int
    tol : float
        Least gain in log likelihood per row.

    Returns
    -------
    Factors, Run
    """
    rows = observed.any(axis=1)
    Y, observed = Y[rows], observed[rows]
    factors = start(Y, observed, n_latents)
    mean, variance = measure_units(Y, observed)
    floor = np.maximum(FLOOR * variance, np.finfo(float).tiny ** 0.5)
    factors = factors._replace(
        noise=choose(NOISES, noise, "noise")(np.maximum(factors.noise, floor))
    )
    if observed.all():
        centered = Y - mean
        covariance = centered.T @ centered / len(Y)
        return fit_moments(covariance, len(Y), factors, floor, noise, (max_iter, tol))
    scores: list[float] = []
    for _ in range(max_iter):
        means, covariances, each = infer(Y, observed, factors)
        scores.append(float(each.sum()))
        if _has_settled(scores, tol, len(Y)):
            return factors, Run(scores, True)
        factors = regress(Y, observed, means, covariances, floor, noise)
    return factors, Run(scores, False)


def solve_isotropic(Y: Array, n_latents: int) -> Factors:
    """Maximum likelihood of isotropic noise on complete rows, in closed form.

    Tipping & Bishop (1999), J. R. Stat. Soc. B 61, eqs. 7 and 8.
    """
    mean = Y.mean(axis=0)
    values, vectors = np.linalg.eigh((Y - mean).T @ (Y - mean) / len(Y))
    rest, top = values[:-n_latents], values[: -n_latents - 1 : -1]
    noise = max(float(rest.mean()), FLOOR * float(values.mean()))
    loadings = vectors[:, : -n_latents - 1 : -1] * np.sqrt(np.maximum(top - noise, 0.0))
    return Factors(loadings, mean, np.full(len(values), noise))


def check_count(value: Any, name: str, most: float = np.inf) -> int:
    """Check an integer from 1 to ``most``.

    Raises
    ------
    ValueError
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if most < 1:
        raise ValueError(f"X: expected more units for {name}={value!r}, got too few. Add some.")
    if not whole or not 1 <= value <= most:
        bound = "an integer >= 1" if np.isinf(most) else f"an integer from 1 to {most:.0f}"
        raise ValueError(f"{name}: expected {bound}, got {value!r}. Change it.")
    return int(value)


def wrap_factors(factors: Factors, labels: Labels) -> xr.Dataset:
    """Name the parameters of linear Gaussian responses."""
    return xr.Dataset(
        {
            "loadings": (("neuroid", "latent"), factors.loadings),
            "offset": ("neuroid", factors.mean),
            "noise": ("neuroid", factors.noise),
        },
        coords={"latent": name_latents(factors.loadings.shape[1]), **labels.on_neuroid()},
    )


def name_latents(n: int) -> Array:
    """Names of latents, as `transform` gives them."""
    return np.array([f"latent-{number:02d}" for number in range(n)])
