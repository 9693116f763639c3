"""Similarity of RDMs, aligned by condition label first.

========================  ======================================================================
``cosine``                cosine of the lists of distances: keeps the zero, so 0 must mean equal
``pearson``               linear correlation: blind to a constant and to scale
``spearman``              correlation of ranks; favours RDMs with ties, such as of categories
``rho_a``                 the same without that favour: mean over random breaking of ties
``tau_a``                 share of couples of pairs in one order less share in the other one
``tau_b``                 the same over couples without ties, which favours RDMs with ties
``whitened_cosine``       ``cosine`` after errors that pairs with a common condition share are
                          whitened; equal to linear CKA where noise is equal
``whitened_correlation``  the same after the mean, as ``pearson``
``bures``                 overlap of the shapes of both sets of points, 1 when they can be rotated
                          and scaled into each other
``riemannian``            minus the distance of second moments, over scale and added noise; 0 when
                          equal; takes positive definite ones only, see ``ridge``
========================  ======================================================================

Use the whitened ones for power with estimated distances, ``rho_a`` where only an order is meant.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose
from neuroalign.rsa import _comparison_kernels as kernels
from neuroalign.rsa._comparison_inputs import (
    align_controls,
    find_observed,
    read_rows,
    read_sigma,
    read_signal,
)
from neuroalign.rsa._geometry import bures_similarity, riemannian_distance
from neuroalign.rsa.joining import gather_rdms
from neuroalign.rsa.rdms import align_rdms, find_conditions, to_condensed

Array = npt.NDArray[Any]
RDMs = xr.DataArray | Mapping[str, xr.DataArray]
NAN = ("raise", "omit")
# Comparisons that are a product of centred, normalised RDMs: others have no residuals.
RESIDUAL = ("pearson", "spearman")
PARTIAL = {"both": (True, True), "a": (True, False), "b": (False, True)}


class Noise(NamedTuple):
    """Covariance of conditions, and what signal-dependent noise needs."""

    sigma: Array | None
    signal: Array | None
    n_folds: int
    ridge: float = 0.0


def _plain(name: str) -> Callable[[Array, Array, kernels.Weights, Noise], Array]:
    def compare(A: Array, B: Array, weights: kernels.Weights, _noise: Noise) -> Array:
        return kernels.KERNELS[name](A, B, weights)

    return compare


def _whitened(name: str, center: bool) -> Callable[[Array, Array, kernels.Weights, Noise], Array]:
    """Whitened by equal noise, by a covariance of conditions, or by signal-dependent noise."""

    def compare(A: Array, B: Array, weights: kernels.Weights, noise: Noise) -> Array:
        if noise.sigma is None and noise.signal is None:
            return kernels.KERNELS[name](A, B, weights)
        n = len(weights.conditions)
        if not (weights.pairs == 1).all():
            raise SchemaError(
                "sigma: expected complete RDMs, got missing pairs. Drop the conditions that lack "
                "them, or leave out sigma and signal."
            )
        sigma = np.eye(n) if noise.sigma is None else noise.sigma
        if noise.signal is None:
            return kernels.compare_by_conditions(A, B, sigma, center=center)
        V = kernels.covary_distances(n, sigma, noise.signal, noise.n_folds)
        Z = [kernels.normalise_by_covariance(X, V, center=center) for X in (A, B)]
        return np.asarray(Z[0] @ Z[1].T)

    return compare


def _riemannian(A: Array, B: Array, weights: kernels.Weights, noise: Noise) -> Array:
    check_complete(weights)
    return riemannian_distance(A, B, ridge=noise.ridge)


def check_complete(weights: kernels.Weights) -> None:
    if not (weights.pairs == 1).all():
        raise SchemaError(
            "nan: expected complete RDMs for this method, got missing pairs. Drop the conditions "
            "that lack them."
        )


def _geometric(
    compute: Callable[[Array, Array], Array],
) -> Callable[[Array, Array, kernels.Weights, Noise], Array]:
    def compare(A: Array, B: Array, weights: kernels.Weights, _noise: Noise) -> Array:
        check_complete(weights)
        return compute(A, B)

    return compare


COMPARISONS: dict[str, Callable[[Array, Array, kernels.Weights, Noise], Array]] = {
    "cosine": _plain("cosine"),
    "pearson": _plain("pearson"),
    "spearman": _plain("spearman"),
    "rho_a": _plain("rho_a"),
    "tau_a": _plain("tau_a"),
    "tau_b": _plain("tau_b"),
    "whitened_cosine": _whitened("whitened_cosine", False),
    "whitened_correlation": _whitened("whitened_correlation", True),
    "bures": _geometric(bures_similarity),
    "riemannian": _riemannian,
}
WHITENED = ("whitened_cosine", "whitened_correlation")
SHAPES = ("bures", "riemannian")


# What rsatoolbox calls a comparison that has another name here.
MEANT = {
    "corr": "pearson",
    "cosine_cov": "whitened_cosine",
    "corr_cov": "whitened_correlation",
    "neg_riem_dist": "riemannian",
    "kendall": "tau_b",
    "tau-a": "tau_a",
    "tau-b": "tau_b",
    "rho-a": "rho_a",
}


def check_name(method: str) -> None:
    """Point from a name of rsatoolbox to ours.

    Raises
    ------
    ValueError
    """
    if method in MEANT:
        raise ValueError(
            f"method: expected one of {', '.join(map(repr, COMPARISONS))}, got '{method}'. "
            f"Did you mean '{MEANT[method]}'?"
        )


def refuse_shapes(method: str) -> None:
    """Say where a comparison of shapes is taken, which has no average RDM and so no ceiling.

    Raises
    ------
    ValueError
    """
    if method in SHAPES:
        raise ValueError(
            f"method: expected a comparison with an average RDM, and so a noise ceiling, got "
            f"'{method}'. Use 'whitened_cosine', or compare_rdms(models, rdms, "
            f"method='{method}'{', ridge=0.1' if method == 'riemannian' else ''}) for each subject "
            "and a t test over subjects."
        )


def compare_rdms(
    a: RDMs,
    b: RDMs,
    *,
    method: str = "pearson",
    how: str = "strict",
    nan: str = "raise",
    sigma: xr.DataArray | None = None,
    signal: xr.DataArray | None = None,
    n_folds: int = 2,
    controls: xr.DataArray | None = None,
    remove_from: str = "both",
    ridge: float = 0.0,
) -> xr.DataArray:
    """Compare every RDM of one stack with every RDM of another.

    Parameters
    ----------
    a, b : DataArray (..., first, second) or (..., pair), or mapping of name to RDM
        In any order of conditions: they are brought into one by label.
    method : str
        A name in ``COMPARISONS``. ``rho_a`` and ``tau_a`` do not favour RDMs with ties;
        ``riemannian`` is the negative distance, 0 at best, of RDMs whose second moments are
        positive definite. ``bures`` sets negative eigenvalues of the centred kernel, which noise
        makes, to 0.
    how : {"strict", "inner"}
        Both must hold the same conditions, or those that they share are compared.
    nan : {"raise", "omit"}
        ``omit`` leaves out pairs that are missing in any RDM of either stack.
    sigma : DataArray (first, second), optional
        For whitened methods: noise covariance of the condition estimates. Equal and independent
        when not given.
    signal : DataArray, optional
        For whitened methods: one RDM of the expected distances, whose noise grows with them.
    n_folds : int
        Folds of the crossnobis distances; matters with ``signal`` only.
    controls : DataArray (..., first, second) or (..., pair), optional
        RDMs to hold constant, for ``pearson`` and ``spearman`` (ranked too): a partial
        correlation.
    remove_from : {"both", "a", "b"}
        Take ``controls`` out of both sides, or of one (semi-partial correlation).
    ridge : float
        For ``riemannian``: this share of its mean distance is added to each distance of an RDM,
        as equal independent noise would do, so that second moments become positive definite.

    Returns
    -------
    DataArray (dims of a, dims of b)
        A dim that both have is renamed ``<dim>_other`` for ``b``. A constant RDM compares as 0.

    Raises
    ------
    AlignError
        When conditions differ.
    SchemaError
        For missing values, or RDMs of kind 'cross'.
    ValueError

    References
    ----------
    Diedrichsen et al. (2021), arXiv:2007.02789; Schütt et al. (2023), eLife 12:e82566.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> from neuroalign.rsa import compute_rdm
    >>> values = np.random.default_rng(0).normal(size=(5, 20))
    >>> data = from_arrays(values, stimulus=list("abcde"), modality="fmri")
    >>> rdm = compute_rdm(data)
    >>> round(float(compare_rdms(rdm, rdm[::-1, ::-1])), 6)
    1.0
    """
    check_name(method)
    compute = choose(COMPARISONS, method, "method")
    choose(dict.fromkeys(NAN), nan, "nan")
    sides = choose(PARTIAL, remove_from, "remove_from")
    if method not in WHITENED and (sigma is not None or signal is not None):
        raise ValueError(
            f"sigma, signal: expected None with method '{method}', got a covariance. "
            "Use 'whitened_cosine' or 'whitened_correlation'."
        )
    check_ridge(ridge, method)
    a, b = gather_rdms(a, "a", "rdm"), gather_rdms(b, "b", "rdm")
    a, b = align_rdms(a, b, how=how)
    labels = find_conditions(a)
    A, B = read_rows(a), read_rows(b)
    C = None if controls is None else align_controls(controls, labels)
    observed = find_observed([A, B] if C is None else [A, B, C], nan)
    A, B = (np.where(observed, X, 0.0) for X in (A, B))
    weights = kernels.weigh(A.shape[1], observed=observed)
    if C is not None:
        similarity = _compare_partial(A, B, np.where(observed, C, 0.0), weights, method, sides)
    else:
        noise = Noise(read_sigma(sigma, labels), read_signal(signal, labels), n_folds, ridge)
        if n_folds < 2:
            raise ValueError(f"n_folds: expected 2 or more, got {n_folds}.")
        similarity = compute(A, B, weights, noise)
    return _wrap(similarity, a, b, method)


def check_ridge(ridge: float, method: str) -> None:
    """Refuse a ridge where it is not used.

    Raises
    ------
    ValueError
    """
    if not (np.isfinite(ridge) and ridge >= 0) or (ridge and method != "riemannian"):
        raise ValueError(
            f"ridge: expected 0, or more with method 'riemannian', got {ridge} with '{method}'. "
            "Leave it out."
        )


def _compare_partial(
    A: Array, B: Array, C: Array, weights: kernels.Weights, method: str, sides: tuple[bool, bool]
) -> Array:
    if method not in RESIDUAL:
        raise ValueError(
            f"controls: expected method 'pearson' or 'spearman', got '{method}'. "
            "Other comparisons have no residuals."
        )
    normalise = kernels.NORMALISERS[method]
    basis = _span(normalise(C, weights))
    Z = [normalise(X, weights) for X in (A, B)]
    cleaned = [remove_span(z, basis) if remove else z for z, remove in zip(Z, sides, strict=True)]
    return np.asarray(cleaned[0] @ cleaned[1].T)


def _span(Z: Array) -> Array:
    """Orthonormal rows that span the rows of Z, whatever its rank."""
    _, values, right = np.linalg.svd(Z, full_matrices=False)
    return np.asarray(right[values > 1e-10 * max(values.max(initial=0.0), 1e-300)])


def remove_span(Z: Array, basis: Array) -> Array:
    """Project unit rows away from a basis; what is explained wholly becomes 0, not noise."""
    rest = Z - (Z @ basis.T) @ basis
    rest[np.linalg.norm(rest, axis=1) < 1e-10] = 0.0
    return kernels.scale_to_unit(rest)


def _wrap(similarity: Array, a: xr.DataArray, b: xr.DataArray, method: str) -> xr.DataArray:
    lead_a, lead_b = a.dims[:-1], b.dims[:-1]
    taken = {str(key) for key, c in a.coords.items() if "pair" not in c.dims} | set(lead_a)
    coords: dict[Any, Any] = {k: c for k, c in a.coords.items() if "pair" not in c.dims}
    rename = {dim: f"{dim}_other" if dim in lead_a else str(dim) for dim in lead_b}
    for key, coord in b.coords.items():
        if "pair" not in coord.dims:
            name = f"{key}_other" if str(key) in taken else str(key)
            coords[name] = (tuple(rename[d] for d in coord.dims), coord.values)
    shape = (*a.shape[:-1], *b.shape[:-1])
    dims = (*lead_a, *rename.values())
    return xr.DataArray(
        similarity.reshape(shape), coords, dims, name="similarity", attrs={"metric": method}
    )


def regress_rdms(rdms: xr.DataArray, confounds: xr.DataArray) -> xr.DataArray:
    """Remove confound RDMs, and the mean, from each RDM by least squares.

    Parameters
    ----------
    rdms : DataArray (..., first, second) or (..., pair)
    confounds : DataArray (..., first, second) or (..., pair)
        All its RDMs are removed together.

    Returns
    -------
    DataArray (..., pair)
        Residuals, with mean 0: negative values are meant.

    Raises
    ------
    AlignError, SchemaError

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> names = list("abcdef")
    >>> shape, size = rng.random((2, 15))
    >>> both = from_matrix(shape + size, names)
    >>> left = regress_rdms(both, from_matrix(size, names))
    >>> bool(abs(np.corrcoef(left, size)[0, 1]) < 1e-6)
    True
    """
    labels = find_conditions(rdms)
    held = to_condensed(rdms, labels)
    rows, C = read_rows(held), align_controls(confounds, labels)
    find_observed([rows, C], "raise")
    design = np.concatenate([np.ones((1, C.shape[1])), C - C.mean(axis=1, keepdims=True)])
    scaled = kernels.scale_to_unit(design)
    basis = _span(scaled)
    residual = rows - (rows @ basis.T) @ basis
    return held.copy(data=residual.reshape(held.shape).astype(held.dtype))


def fisher_z(similarity: xr.DataArray) -> xr.DataArray:
    """Transform correlations so that their errors are alike at every level: atanh.

    Parameters
    ----------
    similarity : DataArray

    Returns
    -------
    DataArray
        Infinite at -1 and 1.

    Raises
    ------
    ValueError
        When a value is beyond -1 or 1.

    Examples
    --------
    >>> import xarray as xr
    >>> fisher_z(xr.DataArray([0.0, 0.5])).round(3).values.tolist()
    [0.0, 0.549]
    """
    values = np.asarray(similarity.values, dtype=np.float64)
    if np.nanmax(np.abs(values), initial=0.0) > 1 + 1e-9:
        raise ValueError(
            f"similarity: expected correlations from -1 to 1, got "
            f"{float(np.nanmax(np.abs(values))):.3g}. Only correlations have a Fisher z."
        )
    with np.errstate(divide="ignore"):
        return similarity.copy(data=np.arctanh(np.clip(values, -1, 1)))
