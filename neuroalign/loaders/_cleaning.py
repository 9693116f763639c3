"""Clean one run: drifts and confounds in one projection, then standardise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Columns that are worked on at once: a run must not be held several times over.
BLOCK = 4096
UNITS = {"zscore": "z", "percent": "percent"}


def _zscore(values: Array) -> None:
    values -= values.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = values.std(axis=0, dtype=np.float64).astype(np.float32)
    # A voxel without variance stays at zero instead of turning into NaN.
    values /= np.where(spread > 0, spread, 1)


def _percent(values: Array) -> None:
    mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    values -= mean
    values *= 100 / np.where(mean != 0, mean, 1)


STANDARDIZE: dict[str, Callable[[Array], None]] = {"zscore": _zscore, "percent": _percent}


def make_drifts(
    n: int, tr: float, detrend: bool, high_pass: float | None
) -> npt.NDArray[np.float64]:
    """Columns to project out: a linear trend, and discrete cosines below the cut-off [Hz]."""
    order = 0 if high_pass is None else int(np.floor(2 * n * high_pass * tr))
    time = np.pi * (np.arange(n) + 0.5) / n
    columns = [np.linspace(-1, 1, n)] if detrend else []
    columns += [np.cos(time * number) for number in range(1, order + 1)]
    return np.array(columns).reshape(len(columns), n).T


def clean_run(values: Array, nuisance: Array, standardize: str | None) -> int:
    """Clean a run in place.

    Parameters
    ----------
    values : array (volume, neuroid)
        float32; the mean of each neuroid is kept unless it is standardised.
    nuisance : array (volume, regressor)
        Projected out; columns that depend on others do no harm.
    standardize : {"zscore", "percent"} or None

    Returns
    -------
    int
        How many neuroids hold NaN or infinity.
    """
    left, spread, _ = np.linalg.svd(nuisance - nuisance.mean(axis=0), full_matrices=False)
    basis = left[:, spread > 1e-10 * spread.max(initial=1)].astype(np.float32)
    n_bad = 0
    for start in range(0, values.shape[1], BLOCK):
        block = values[:, start : start + BLOCK]
        n_bad += int((~np.isfinite(block)).any(axis=0).sum())
        if basis.shape[1]:
            # The constant keeps its place: the basis is centred.
            centred = block - block.mean(axis=0, dtype=np.float64).astype(np.float32)
            block -= basis @ (basis.T @ centred)
        if standardize is not None:
            STANDARDIZE[standardize](block)
    return n_bad


def list_steps(
    confounds: bool,
    detrend: bool,
    high_pass: float | None,
    standardize: str | None,
    *,
    filled: bool = False,
) -> list[str]:
    """Lines of history for what was done, in the order done."""
    steps = {
        "confounds regressed out": confounds,
        "first-row NaN of confounds filled with column means": filled,
        "linear trend removed per run": detrend,
        f"cosines below {high_pass} Hz removed per run": high_pass is not None,
        f"standardised per run: {standardize}": standardize is not None,
    }
    return [step for step, done in steps.items() if done]
