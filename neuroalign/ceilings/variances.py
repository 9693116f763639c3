"""Ceilings from variances: across repeats of a stimulus, and of their mean."""

import numpy as np
import xarray as xr

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
        Single presentations, any number of repeats each.
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
    """
    data = Repeats(responses, by)
    if session is None and "session" in responses.coords:
        session = "session"
    if session is not None and session not in responses.coords:
        raise SchemaError(
            f"responses: expected coord '{session}', got {some(responses.coords)}. Assign it."
        )
    visits = np.zeros(len(data.order)) if session is None else responses[session].values[data.order]
    scaled = np.empty_like(data.values)
    for one in np.unique(visits):
        rows = data.values[visits == one]
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled[visits == one] = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    sums = np.add.reduceat(scaled, data.start, axis=0)
    squares = np.add.reduceat(scaled**2, data.start, axis=0)
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
        order) is z-scored over stimuli.
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
    """
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
