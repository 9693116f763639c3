"""The spectrum of what repeats: cross-validated principal components of noisy responses."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import linalg

from neuroalign.errors import NeuroalignWarning, SchemaError, some
from neuroalign.geometry._matrices import Matrix, sign
from neuroalign.geometry.spectrum import check_ranks, fit_line

Array = npt.NDArray[Any]
# Below this share of positive values in the fitted range the spectrum there is noise.
LEAST_POSITIVE = 0.6


def cross_validate_spectrum(
    responses: Matrix,
    *,
    by: str = "stimulus",
    fold: str | None = None,
    ranks: tuple[int, int] = (12, 100),
    n_splits: int = 5,
    seed: int = 0,
) -> xr.Dataset:
    """Eigenspectrum of the part of responses that repeats (cvPCA), and its power-law exponent.

    Parameters
    ----------
    responses : DataArray (sample, neuroid), or array (repeat, stimulus, neuroid)
        Single presentations, each stimulus shown twice at least.
    by : str
        Coord on sample that names the stimulus.
    fold : str, optional
        Coord whose values stay whole in a half ("run", "session"): noise that presentations of one
        run share would else pass as signal. Stimuli missing from a half are left out.
    ranks : (first, last)
        Fitted, counted from 1.
    n_splits : int
        Random divisions of the presentations of each stimulus in two halves, each averaged; both
        directions are used.
    seed : int

    Returns
    -------
    Dataset
        Over ``rank``: ``spectrum``, the variance of a component that is the same in both halves,
        and ``plain_spectrum``, the eigenvalues of one half, noise included. Scalars: ``alpha``,
        fitted to the absolute values; ``alpha_sd``, over splits, which share data: no standard
        error; ``alpha_r2``; ``plain_alpha``; ``share_positive``, of the ranks fitted;
        ``reliability``, the share of variance of a half that repeats.

    Raises
    ------
    SchemaError
        Without repeats or ``by``, or with missing values.
    ValueError
        When there are fewer components than the last rank.

    Warns
    -----
    NeuroalignWarning
        When less than 60 % of the spectrum in the range is positive; ``alpha`` is then NaN.

    Notes
    -----
    c_k = sum_s (A v_k)_s (B v_k)_s / n with v_k the components of A, the other half is B. Noise of
    the halves is independent, so c_k estimates signal alone, but along axes that noise has turned:
    beyond a noise share of about 3/4 alpha comes out too small.

    References
    ----------
    Stringer et al. (2019), Nature 571, doi:10.1038/s41586-019-1346-5, Methods.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(400, 30)) * np.arange(1, 31) ** -0.5
    >>> both = signal + 0.1 * rng.normal(size=(2, 400, 30))
    >>> round(float(cross_validate_spectrum(both, ranks=(1, 20))["alpha"]), 1)
    1.0
    """
    first, last = check_ranks(ranks)
    if n_splits < 1:
        raise ValueError(f"n_splits: expected 1 or more, got {n_splits}. 5 is usual.")
    values, codes, groups = _read(responses, by, fold)
    rng = np.random.default_rng(seed)
    shared, plain, power = [], [], []
    for _ in range(n_splits):
        halves = _divide(values, codes, groups, rng)
        n = len(halves[0])
        if min(n - 1, values.shape[1]) < last:
            raise ValueError(
                f"ranks: expected the last of at most {min(n - 1, values.shape[1])}, the "
                f"components of {n} stimuli and {values.shape[1]} neuroids, got {last}. Use a "
                "smaller range."
            )
        one, other = (half - half.mean(axis=0) for half in halves)
        if not (one.any() and other.any()):
            raise SchemaError(
                "responses: expected stimuli that differ, got equal means in all. Check by."
            )
        pairs = [_project(one, other), _project(other, one)]
        shared.append(np.mean([pair[0] for pair in pairs], axis=0))
        plain.append(np.mean([pair[1] for pair in pairs], axis=0))
        power.append((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))
    n_kept = min(map(len, shared))
    spectra = np.array([row[:n_kept] for row in shared])
    plain_mean = np.mean([row[:n_kept] for row in plain], axis=0)
    rank = np.arange(1, n_kept + 1)
    fitted = slice(first - 1, last)
    spectrum = spectra.mean(axis=0)
    positive = float((spectrum[fitted] > 0).mean())
    if positive < LEAST_POSITIVE:
        warnings.warn(
            f"responses: expected a spectrum above 0 in at least {LEAST_POSITIVE:.0%} of ranks "
            f"{first} to {last}, got {positive:.0%}. alpha is not defined there: use a smaller "
            "range or more repeats.",
            NeuroalignWarning,
            stacklevel=2,
        )
    line = fit_line(np.abs(spectrum[fitted]), rank[fitted])
    known = 1.0 if positive >= LEAST_POSITIVE else np.nan
    alphas = [fit_line(np.abs(row[fitted]), rank[fitted]).alpha for row in spectra]
    result = xr.Dataset(
        {
            "spectrum": ("rank", spectrum),
            "plain_spectrum": ("rank", plain_mean),
            "alpha": known * line.alpha,
            "alpha_sd": known * float(np.std(alphas, ddof=1)) if n_splits > 1 else np.nan,
            "alpha_r2": known * line.r2,
            "plain_alpha": fit_line(plain_mean[fitted], rank[fitted]).alpha,
            "share_positive": positive,
            "reliability": float(np.mean(power)),
        },
        coords={"rank": rank},
    )
    parameters: dict[str, Any] = {"by": by, "fold": fold or "", "ranks": f"{first}-{last}"}
    parameters |= {"weight": "1/rank", "n_splits": n_splits, "seed": seed, "n": n}
    told = f"α = {float(result['alpha']):.2f}" if positive >= LEAST_POSITIVE else "α undefined"
    verdict = f"Cross-validated spectrum: {told} over ranks {first} to {last}, "
    verdict += f"reliability {float(result['reliability']):.2f}."
    inputs = {"responses": responses}
    return sign(result, "cross-validated spectrum", inputs, parameters, "alpha", verdict)


def _read(responses: Matrix, by: str, fold: str | None) -> tuple[Array, Array, Array | None]:
    """Rows (sample, neuroid), the number of the stimulus of each, and of its fold."""
    if not isinstance(responses, xr.DataArray):
        cube = np.asarray(responses, dtype=np.float64)
        if cube.ndim != 3 or cube.shape[0] < 2 or fold is not None:
            raise SchemaError(
                "responses: expected (repeat, stimulus, neuroid) with two repeats or more and no "
                f"fold, got shape {cube.shape}. Pass a DataArray with its coords else."
            )
        values = cube.reshape(-1, cube.shape[2])
        codes, groups = np.tile(np.arange(cube.shape[1]), cube.shape[0]), None
    else:
        missing = [key for key in (by, fold) if key is not None and key not in responses.coords]
        if missing or responses.ndim != 2:
            raise SchemaError(
                f"responses: expected (sample, neuroid) with coords {some([by, fold or by])}, got "
                f"{responses.dims} with {some(responses.coords)}. Assign them, select one time."
            )
        values = np.asarray(responses.values, dtype=np.float64)
        codes = np.unique(responses[by].values, return_inverse=True)[1]
        groups = None
        if fold is not None:
            groups = np.unique(responses[fold].values, return_inverse=True)[1]
            if groups.max() < 1:
                raise SchemaError(
                    f"responses: expected two values of '{fold}' or more, got one. Use fold=None."
                )
    if not np.isfinite(values).all():
        raise SchemaError("responses: expected finite values, got missing ones. Drop those rows.")
    if groups is None and np.bincount(codes).max() < 2:
        raise SchemaError(
            f"responses: expected repeats of each {by}, got each once. Use fit_power_law instead."
        )
    return values, codes, groups


def _divide(
    values: Array, codes: Array, groups: Array | None, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Average a random half of the presentations of each stimulus, and the other half."""
    if groups is None:
        order = np.lexsort((rng.random(len(codes)), codes))
        place = np.arange(len(codes)) - np.searchsorted(codes[order], codes[order])
        half = np.empty(len(codes), dtype=np.intp)
        half[order] = place % 2
        # Which half gets the odd one out, and with two repeats which is first, is random too.
        half ^= rng.integers(0, 2, size=codes.max() + 1)[codes]
    else:
        n_groups = int(groups.max()) + 1
        half = (rng.permutation(n_groups) % 2)[groups]
    counts = np.stack([np.bincount(codes[half == h], minlength=codes.max() + 1) for h in (0, 1)])
    kept = (counts > 0).all(axis=0)
    if np.count_nonzero(kept) < 3:
        raise SchemaError(
            "responses: expected 3 stimuli or more in both halves, got fewer. Use other folds."
        )
    sums = np.zeros((2, codes.max() + 1, values.shape[1]))
    np.add.at(sums, (half, codes), values)
    means = sums[:, kept] / counts[:, kept, None]
    return means[0], means[1]


def _project(one: Array, other: Array) -> tuple[Array, Array]:
    """Variance along the components of one half: shared with the other, and its own."""
    left, size, right = linalg.svd(one, full_matrices=False)
    n = len(one)
    keep = min(n - 1, one.shape[1])
    shared = np.einsum("sk,sk->k", left * size, other @ right.T) / n
    return shared[:keep], (size**2 / n)[:keep]
