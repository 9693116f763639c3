"""How variance spreads over directions: effective ranks, participation ratio, power-law exponent.

The spectrum of X (sample, unit) is that of its centred covariance X'X / n, in falling order. Every
number depends on the definition chosen and on the number of samples; results say both.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import linalg

from neuroalign.errors import NeuroalignWarning, choose, some
from neuroalign.geometry._matrices import (
    Matrix,
    as_layers,
    as_matrix,
    check_draws,
    join_layers,
    sign,
)

Array = npt.NDArray[Any]
# Shares of the first eigenvalue below which one is rounding; samples wanted for each rank fitted.
ROUNDING, SAMPLES_A_RANK, SAMPLES_A_UNIT = 1e-12, 5, 2
KINDS: dict[str, Callable[[Array], Array]] = {
    "eigenvalue": np.asarray,
    "singular": np.sqrt,
}


class PowerLaw(NamedTuple):
    """The line log(eigenvalue) = intercept - alpha log(rank), and R2 over the ranks fitted."""

    alpha: float
    intercept: float
    r2: float


def compute_spectrum(
    X: Matrix, *, center: bool = True, max_components: int | None = None
) -> npt.NDArray[np.float64]:
    """Eigenvalues of the covariance X'X / n, in falling order.

    Parameters
    ----------
    X : array or DataArray (sample, unit)
    center : bool
        Subtract the mean of each unit first.
    max_components : int, optional
        Keep this many of the largest.

    Returns
    -------
    array (min(n_samples, n_units),)
        In the squared units of X.

    Raises
    ------
    SchemaError
        When X is not a finite matrix of two samples or more.
    ValueError

    Examples
    --------
    >>> X = np.diag([3.0, 2.0, 1.0])
    >>> compute_spectrum(X, center=False).tolist()
    [3.0, 1.3333333333333333, 0.3333333333333333]
    """
    if max_components is not None and max_components < 1:
        raise ValueError(f"max_components: expected 1 or more, got {max_components}. None: all.")
    values = as_matrix(X)
    largest = np.abs(values).max()
    if center:
        values = values - values.mean(axis=0)
    spectrum: npt.NDArray[np.float64] = linalg.svdvals(values)[:max_components] ** 2 / len(values)
    # Means are rounded: what they leave of constant units is no variance.
    rounding = np.finfo(np.float64).eps * largest * max(values.shape)
    return spectrum if spectrum[0] > rounding**2 else np.zeros_like(spectrum)


def _rank(spectrum: Array, kind: str, eps: float) -> float:
    weights = choose(KINDS, kind, "kind")(spectrum)
    total = weights.sum()
    if total <= 0:
        return float("nan")
    share = weights / total + eps
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def _participate(spectrum: Array) -> float:
    total = (spectrum**2).sum()
    return float(spectrum.sum() ** 2 / total) if total > 0 else float("nan")


def effective_rank(
    X: Matrix,
    *,
    kind: str = "eigenvalue",
    center: bool = True,
    eps: float = 0.0,
    max_components: int | None = None,
) -> float:
    """How many directions hold the variance: the exponential of an entropy.

    Parameters
    ----------
    X : array or DataArray (sample, unit)
    kind : {"eigenvalue", "singular"}
        Entropy of the eigenvalues of the covariance (Li et al.), or of the singular values of the
        matrix (Roy & Vetterli; RankMe of Garrido et al., which does not center). With 1/rank
        eigenvalues in 200 dims they are 63.4 and 164.6: never compare one with the other.
    center : bool
    eps : float
        Added to each share, which is not normalised again; Li et al. add 1e-7.
    max_components : int, optional
        Keep this many of the largest; Li et al. keep 2048.

    Returns
    -------
    float
        From 1 to min(n_samples - 1, n_units); NaN when X does not vary.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    Li et al. (2025), arXiv:2509.23024, eq. 1; Garrido et al. (2023), ICML, arXiv:2210.02885, eq. 1;
    Roy & Vetterli (2007), EUSIPCO, 606-610.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(2000, 10))
    >>> round(effective_rank(X), 1), round(effective_rank(10 + X, kind="singular", center=False), 1)
    (10.0, 2.8)
    """
    choose(KINDS, kind, "kind")
    return _rank(compute_spectrum(X, center=center, max_components=max_components), kind, eps)


def participation_ratio(X: Matrix, *, center: bool = True) -> float:
    """How many directions hold the variance: (sum of eigenvalues)^2 / sum of their squares.

    Parameters
    ----------
    X : array or DataArray (sample, unit)
    center : bool

    Returns
    -------
    float
        From 1 to min(n_samples - 1, n_units); NaN when X does not vary.

    Raises
    ------
    SchemaError

    References
    ----------
    Gao et al. (2017), bioRxiv, doi:10.1101/214262.

    Examples
    --------
    >>> participation_ratio(np.array([[1, 0], [-1, 0], [0, 1], [0, -1.0]]))
    2.0
    """
    return _participate(compute_spectrum(X, center=center))


def fit_power_law(
    spectrum: Array | xr.DataArray, *, ranks: tuple[int, int] = (12, 100)
) -> PowerLaw:
    """Fit eigenvalue ~ rank^-alpha by a line in logarithms, each rank weighted by 1/rank.

    Parameters
    ----------
    spectrum : array (component,)
        Eigenvalues in falling order. Those below 1e-12 of the first are rounding, and dropped.
    ranks : (first, last)
        Fitted, counted from 1, both included.

    Returns
    -------
    PowerLaw
        ``alpha``, ``intercept`` and ``r2``, the weighted share of variance of log eigenvalues over
        the same ranks.

    Raises
    ------
    ValueError
        When there are fewer eigenvalues than the last rank, or one of them is not positive.

    References
    ----------
    Agrawal et al. (2022), NeurIPS, alpha-ReQ; Stringer et al. (2019), Nature 571,
    doi:10.1038/s41586-019-1346-5, Methods.

    Examples
    --------
    >>> fit_power_law(2.0 * np.arange(1, 201) ** -1.5).alpha.__round__(6)
    1.5
    """
    values = np.asarray(spectrum, dtype=np.float64)
    first, last = check_ranks(ranks)
    if values.ndim != 1:
        raise ValueError(
            f"spectrum: expected one dim, got shape {values.shape}. Pass one spectrum."
        )
    n_real = int(np.count_nonzero(values > ROUNDING * values.max(initial=0.0)))
    if n_real < last:
        raise ValueError(
            f"ranks: expected the last of at most {n_real}, the positive eigenvalues there are, "
            f"got {last}. Use more samples or a smaller range."
        )
    rank = np.arange(first, last + 1)
    return fit_line(values[first - 1 : last], rank)


def check_ranks(ranks: Sequence[int]) -> tuple[int, int]:
    """Check a range of ranks, counted from 1, both ends included.

    Raises
    ------
    ValueError
    """
    if len(ranks) != 2 or not 1 <= ranks[0] < ranks[1]:
        raise ValueError(
            f"ranks: expected (first, last) with 1 <= first < last, got {tuple(ranks)}. "
            "(12, 100) is usual."
        )
    return int(ranks[0]), int(ranks[1])


def fit_line(values: Array, rank: Array) -> PowerLaw:
    """Fit log values by log ranks, weighted by 1/rank, without a look at either."""
    x, y, weight = np.log(rank), np.log(values), 1 / rank / (1 / rank).sum()
    x_mean, y_mean = weight @ x, weight @ y
    slope = weight @ ((x - x_mean) * (y - y_mean)) / (weight @ (x - x_mean) ** 2)
    intercept = y_mean - slope * x_mean
    total = weight @ (y - y_mean) ** 2
    lost = weight @ (y - intercept - slope * x) ** 2
    return PowerLaw(float(-slope), float(intercept), float(1 - lost / total) if total else 1.0)


def describe_spectrum(
    X: Matrix | Mapping[str, Matrix],
    *,
    ranks: tuple[int, int] = (12, 100),
    max_components: int | None = None,
) -> xr.Dataset:
    """Every number of the spectrum, for one matrix or for each layer of a model.

    Parameters
    ----------
    X : array or DataArray (sample, unit), or dict of layer -> one
    ranks : (first, last)
        Fitted by a power law, counted from 1.
    max_components : int, optional

    Returns
    -------
    Dataset
        Over ``layer`` (none for one matrix): ``rankme`` (entropy of eigenvalues, centred),
        ``rankme_singular`` (of singular values, not centred), ``participation_ratio``, ``alpha``
        and ``alpha_r2`` (NaN where the spectrum is shorter than the range), ``n_samples``,
        ``n_units``; over ``rank`` too: ``spectrum``, NaN beyond its end.

    Raises
    ------
    SchemaError, ValueError

    Warns
    -----
    NeuroalignWarning
        When a layer has fewer samples than 5 times the last rank or 2 times its units: alpha comes
        out too large and ranks too small. See `subsample_spectrum`.

    References
    ----------
    Li et al. (2025), arXiv:2509.23024; Garrido et al. (2023), arXiv:2210.02885.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layers = {"first": rng.normal(size=(500, 8)), "last": rng.normal(size=(500, 4))}
    >>> describe_spectrum(layers, ranks=(1, 4))["participation_ratio"].round(1).values.tolist()
    [7.8, 3.9]
    """
    first, last = check_ranks(ranks)
    layers = as_layers(X)
    rows = {
        layer: _describe(layer, matrix, (first, last), max_components)
        for layer, matrix in layers.items()
    }
    few = [layer or "X" for layer, row in rows.items() if _is_short(row, last)]
    if few:
        warnings.warn(
            f"X: expected at least {SAMPLES_A_RANK} samples for each rank up to {last} and "
            f"{SAMPLES_A_UNIT} for each unit, got fewer in {some(few)}. alpha is too large and "
            "ranks are too small; compare only layers of equal n, or see subsample_spectrum.",
            NeuroalignWarning,
            stacklevel=2,
        )
    parameters: dict[str, Any] = {"ranks": f"{first}-{last}", "center": True, "weight": "1/rank"}
    parameters["n"] = int(min(int(row["n_samples"]) for row in rows.values()))
    if max_components is not None:
        parameters["max_components"] = max_components
    named = {layer or "X": matrix for layer, matrix in layers.items()}
    headline = "alpha" if any(np.isfinite(row["alpha"]) for row in rows.values()) else "rankme"
    return sign(join_layers(rows), "spectrum", named, parameters, headline)


def _describe(layer: str, X: Matrix, ranks: tuple[int, int], cap: int | None) -> xr.Dataset:
    values = as_matrix(X, f"X['{layer}']" if layer else "X")
    spectrum = compute_spectrum(values, max_components=cap)
    plain = compute_spectrum(values, center=False, max_components=cap)
    real = np.count_nonzero(spectrum > ROUNDING * spectrum[0])
    line = fit_power_law(spectrum, ranks=ranks) if real >= ranks[1] else None
    return xr.Dataset(
        {
            "rankme": _rank(spectrum, "eigenvalue", 0.0),
            "rankme_singular": _rank(plain, "singular", 0.0),
            "participation_ratio": _participate(spectrum),
            "alpha": line.alpha if line else np.nan,
            "alpha_r2": line.r2 if line else np.nan,
            "n_samples": values.shape[0],
            "n_units": values.shape[1],
            "spectrum": ("rank", spectrum),
        },
        coords={"rank": np.arange(1, len(spectrum) + 1)},
    )


def _is_short(row: xr.Dataset, last: int) -> bool:
    n, units = int(row["n_samples"]), int(row["n_units"])
    return n < SAMPLES_A_RANK * last or n < SAMPLES_A_UNIT * units


def subsample_spectrum(
    X: Matrix,
    *,
    shares: Sequence[float] = (0.125, 0.25, 0.5, 1.0),
    ranks: tuple[int, int] = (12, 100),
    n_draws: int = 5,
    seed: int = 0,
) -> xr.Dataset:
    """The same numbers on part of the samples: have they come to rest?

    Parameters
    ----------
    X : array or DataArray (sample, unit)
    shares : sequence of float
        Of the samples, above 0 to 1.
    ranks : (first, last)
    n_draws : int
        Random subsets a share, without replacement.
    seed : int

    Returns
    -------
    Dataset
        Over (``share``, ``draw``): ``rankme``, ``rankme_singular``, ``participation_ratio``,
        ``alpha``, ``alpha_r2``, ``n_samples``. A number that still moves between the last two
        shares is one of the sample, not of the representation.

    Raises
    ------
    SchemaError, ValueError

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(400, 50))
    >>> curve = subsample_spectrum(X, ranks=(1, 20))
    >>> curve["rankme"].mean("draw").round(0).values.tolist()
    [30.0, 39.0, 44.0, 47.0]
    """
    check_ranks(ranks)
    values = as_matrix(X)
    check_draws(shares, n_draws)
    rng = np.random.default_rng(seed)
    drawn = []
    for share in shares:
        size = max(2, round(share * len(values)))
        rows = [
            _describe("", values[np.sort(rng.permutation(len(values))[:size])], ranks, None)
            for _ in range(n_draws)
        ]
        kept = [row.drop_vars("rank").drop_dims("rank") for row in rows]
        drawn.append(xr.concat(kept, "draw"))
    curve = xr.concat(drawn, xr.DataArray(list(shares), dims="share", name="share"))
    parameters: dict[str, Any] = {"ranks": f"{ranks[0]}-{ranks[1]}", "n_draws": n_draws}
    parameters |= {"seed": seed, "n": len(values)}
    curve = curve.drop_vars("n_units")
    return sign(curve, "subsampled spectrum", {"X": X}, parameters, "rankme")
