"""Spikes drawn from a Poisson model in which neurons listen to themselves and to each other."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.encoders._poisson import LINKS
from neuroalign.errors import choose

Array = npt.NDArray[Any]
# A model whose rate passes this feeds on itself.
HIGHEST = 1e3


def simulate_glm(
    drive: Any,
    filters: Any = None,
    *,
    link: str = "exp",
    refractory: int = 0,
    run: Any = None,
    step: float = 1.0,
    seed: int = 0,
) -> xr.DataArray:
    """Draw spikes bin by bin, with history and coupling.

    Parameters
    ----------
    drive : array (sample, neuroid)
        What each neuron gets from outside, intercept included, before the link.
    filters : array (lag, source, target), optional
        What a spike of ``source`` adds to ``target`` that many bins later; the first lag is 1.
    link : {"exp", "softplus"}
    refractory : int
        Bins after a spike in which the rate is 0. Counts are then at most 1 a bin: the chance of a
        spike is that of at least one.
    run : sequence of str (sample,), optional
        History starts anew in each run; rows of a run stand together.
    step : float
        Width of a bin [s], for the coords ``onset`` and ``duration``.
    seed : int

    Returns
    -------
    DataArray (sample, neuroid)
        float32 counts with coords ``run``, ``onset``, ``duration``, ``neuroid``.

    Raises
    ------
    ValueError
        On an unknown link, other shapes, or a model whose rates run away.

    References
    ----------
    Pillow et al. (2008), Nature 454, 995-999, methods.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import simulate_glm
    >>> simulate_glm(np.full((50, 2), -1.0)).shape
    (50, 2)
    """
    function = choose(LINKS, link, "link").rate
    drive = np.asarray(drive, np.float64)
    n, t = drive.shape if drive.ndim == 2 else (0, 0)
    filters = np.zeros((0, t, t)) if filters is None else np.asarray(filters, np.float64)
    if drive.ndim != 2 or filters.shape[1:] != (t, t):
        raise ValueError(
            "filters: expected drive (sample, neuroid) and filters (lag, source, target), got "
            f"shapes {drive.shape} and {filters.shape}. One row a bin, one column a neuron."
        )
    runs = np.full(n, "run-01") if run is None else np.asarray(run).astype(str)
    rng = np.random.default_rng(seed)
    counts = np.zeros((n, t))
    onset = np.zeros(n)
    start = 0
    for row in range(n):
        start = row if row and runs[row] != runs[row - 1] else start
        onset[row] = (row - start) * step
        past = counts[max(start, row - len(filters)) : row][::-1]
        eta = drive[row] + np.einsum("ls,lst->t", past, filters[: len(past)])
        rate = function(np.minimum(eta, 50.0))
        if rate.max(initial=0.0) > HIGHEST:
            raise ValueError(
                f"filters: expected rates that stay finite, got {rate.max():.3g} spikes per bin "
                f"of neuron {int(rate.argmax())} in row {row}. Weaken excitation, or lower drive."
            )
        counts[row] = rng.poisson(rate)
        if refractory:
            recent = counts[max(start, row - refractory) : row].any(axis=0)
            counts[row] = np.where(recent, 0.0, np.minimum(counts[row], 1.0))
    return xr.DataArray(
        counts.astype(np.float32),
        dims=("sample", "neuroid"),
        coords={
            "run": ("sample", runs),
            "onset": ("sample", onset),
            "duration": ("sample", np.full(n, step)),
            "neuroid": np.array([f"neuron-{column:03d}" for column in range(t)]),
        },
        attrs={
            "kind": "responses", "modality": "spikes", "units": "spikes per bin",
            "sampling_rate": 1.0 / step,
        },
    )  # fmt: skip
