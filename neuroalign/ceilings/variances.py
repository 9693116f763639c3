"""Ceilings from variances: across repeats of a stimulus, and of their mean."""

from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.ceilings._blocks import by_neuroid
from neuroalign.ceilings._repeats import (
    Repeats,
    covary,
    divide_power,
    draw_counts,
    in_chunks,
    predict_reliability,
)
from neuroalign.errors import SchemaError, some


def ncsnr(
    responses: xr.DataArray,
    *,
    by: str = "stimulus",
    session: str | None = None,
    n_averaged: int | None = None,
    n_bootstrap: int = 1000,
    block: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Ceiling from the noise variance across repeats, as the Natural Scenes Dataset defines it.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Single presentations, any number of repeats each. Chunked ones are read a few neuroids at
        a time, 64 MiB of float64 each; chunks of more neuroids are then read several times.
    by : str
        Coord on sample that names what was repeated.
    session : str, optional
        Coord on sample; responses are z-scored within each. ``session`` where that coord exists,
        else all rows together.
    n_averaged : int or None
        Repeats averaged in the responses to be bounded. None: those there are, 1/n averaged over
        stimuli.
    n_bootstrap, block, seed : int
        As in `split_half`.

    Returns
    -------
    Dataset
        ``ncsnr`` = s_signal / s_noise, with s_noise^2 the mean over stimuli of the variance
        (ddof 1) across repeats and s_signal^2 = max(0, 1 - s_noise^2); ``ceiling`` =
        ncsnr^2 / (ncsnr^2 + 1/n); ``ceiling_r``, ``lower``, ``upper``.

    Raises
    ------
    SchemaError

    References
    ----------
    Allen et al. (2022), Nature Neuroscience 25, doi:10.1038/s41593-021-00962-x, Methods.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal, stimulus = rng.normal(size=(50, 3)), [f"image-{n}" for n in range(50)]
    >>> noisy = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
    >>> responses = from_arrays(noisy, modality="fmri", stimulus=stimulus * 4)
    >>> found = ncsnr(responses)  # signal and noise are equally strong
    >>> bool((abs(found["ncsnr"] - 1) < 0.3).all())
    True
    """
    if responses.chunks is not None:
        part = partial(
            ncsnr,
            by=by,
            session=session,
            n_averaged=n_averaged,
            n_bootstrap=n_bootstrap,
            block=block,
            seed=seed,
        )
        return by_neuroid(responses, part)
    data = Repeats(responses, by)
    if session is None and "session" in responses.coords:
        session = "session"
    if session is not None and session not in responses.coords:
        raise SchemaError(
            f"responses: expected coord '{session}', got {some(responses.coords)}. Assign it."
        )
    visits = np.zeros(len(data.order)) if session is None else responses[session].values[data.order]
    # In place: these are copies of ours, and the largest arrays here.
    scaled = data.values
    for one in np.unique(visits):
        rows = scaled[visits == one]
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled[visits == one] = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    sums = np.add.reduceat(scaled, data.start, axis=0)
    squares = np.add.reduceat(np.square(scaled, out=scaled), data.start, axis=0)
    repeated = np.flatnonzero(data.counts >= 2)
    n = data.counts[repeated][:, None]
    variance = (squares[repeated] - sums[repeated] ** 2 / n) / (n - 1)
    counts = draw_counts(len(repeated), n_bootstrap, block, seed)
    noise = np.maximum(counts @ variance / len(repeated), 0.0)
    signal = 1 - noise
    share = float(np.mean(1 / data.counts)) if n_averaged is None else 1 / n_averaged
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt(np.maximum(signal[0], 0.0) / noise[0])
    return data.wrap(
        divide_power(signal, noise * share),
        {"ncsnr": ratio},
        {
            "method": "ncsnr",
            "formula": "ncsnr^2 / (ncsnr^2 + 1/n)",
            "n_averaged": 1 / share,
            "session": session or "",
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
    )


def ceiling_from_ncsnr(
    ncsnr: npt.ArrayLike | xr.DataArray, n_averaged: float = 3
) -> npt.NDArray[np.float64] | xr.DataArray:
    """Ceiling from a ratio that a dataset ships: ncsnr^2 / (ncsnr^2 + 1/n).

    Parameters
    ----------
    ncsnr : array or DataArray, any shape
        s_signal / s_noise of one presentation, not negative; NaN stays.
    n_averaged : float
        Repeats averaged in the responses to be bounded.

    Returns
    -------
    array or DataArray
        Share of variance, 0 to 1; times 100 it is the noise ceiling in percent.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> round(float(ceiling_from_ncsnr(0.49)), 3)
    0.419
    """
    if n_averaged <= 0:
        raise ValueError(
            f"n_averaged: expected more than 0 repeats, got {n_averaged}. "
            "Pass how many presentations were averaged."
        )
    ratio = ncsnr if isinstance(ncsnr, xr.DataArray) else np.asarray(ncsnr, dtype=np.float64)
    if bool((ratio < 0).any()):
        raise ValueError(
            f"ncsnr: expected ratios of 0 and more, got {float(ratio.min()):g}. "
            "Pass the map of the dataset, not a z-score."
        )
    power = ratio**2
    share: npt.NDArray[np.float64] | xr.DataArray = power / (power + 1 / n_averaged)
    return share


def explainable_variance(
    responses: xr.DataArray,
    *,
    by: str = "stimulus",
    n_averaged: int | None = None,
    n_bootstrap: int = 1000,
    block: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Ceiling from the variance of the mean over repeats, as voxelwise modelling defines it.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Single presentations, every stimulus equally often. Each repeat (coord ``repeat``, else in
        order) is z-scored over stimuli. Chunked ones are read a few neuroids at a time.
    by : str
        Coord on sample that names what was repeated; ``onset`` for a film shown in several runs.
    n_averaged : int or None
        Repeats averaged in the responses to be bounded; all when None.
    n_bootstrap, block, seed : int
        As in `split_half`.

    Returns
    -------
    Dataset
        ``explainable_variance``, EV = var(mean over repeats) / mean(var of a repeat);
        ``explainable_variance_corrected``, EV - (1 - EV) / (R - 1), unbiased for rho_1;
        ``ceiling`` from it by Spearman-Brown; ``ceiling_r``, ``lower``, ``upper``.

    Raises
    ------
    SchemaError
        When stimuli do not come equally often.

    References
    ----------
    Hsu, Borst & Theunissen (2004), Network 15, doi:10.1088/0954-898X_15_2_002; Dupre la Tour,
    Visconti di Oleggio Castello & Gallant (2025), Imaging Neuroscience 3, on the correction.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal, stimulus = rng.normal(size=(50, 3)), [f"image-{n}" for n in range(50)]
    >>> noisy = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
    >>> responses = from_arrays(noisy, modality="fmri", stimulus=stimulus * 4)
    >>> found = explainable_variance(responses)
    >>> bool((abs(found["ceiling"] - 0.8) < 0.1).all())
    True
    """
    if responses.chunks is not None:
        whole = partial(
            explainable_variance,
            by=by,
            n_averaged=n_averaged,
            n_bootstrap=n_bootstrap,
            block=block,
            seed=seed,
        )
        return by_neuroid(responses, whole)
    data = Repeats(responses, by)
    table = data.table("explainable_variance")
    n_repeats = table.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        table = (table - table.mean(axis=0)) / table.std(axis=0, ddof=1)
    counts = draw_counts(len(table), n_bootstrap, block, seed)

    def compare(part: np.ndarray) -> tuple[np.ndarray]:
        single = sum(covary(counts, part[:, i], part[:, i]) for i in range(n_repeats))
        mean = part.mean(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (covary(counts, mean, mean) / (single / n_repeats),)

    (share,) = in_chunks(table, counts, compare)
    corrected = share - (1 - share) / (n_repeats - 1)
    n = n_averaged or n_repeats
    return data.wrap(
        predict_reliability(corrected, n),
        {"explainable_variance": share[0], "explainable_variance_corrected": corrected[0]},
        {
            "method": "explainable_variance",
            "formula": "EV - (1 - EV) / (R - 1), EV = var(mean) / mean(var)",
            "n_averaged": n,
            "n_repeats": n_repeats,
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
    )
