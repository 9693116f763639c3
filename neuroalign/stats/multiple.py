"""Many tests at once."""

from typing import Any

import numpy as np
import numpy.typing as npt


def fdr(p_value: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Adjust p values for the false discovery rate.

    Parameters
    ----------
    p_value : array (...)
        NaN entries are no tests and stay NaN.

    Returns
    -------
    array (...)
        q values: the smallest rate at which each test would be called a discovery.

    Raises
    ------
    ValueError
        When a value lies outside 0 to 1.

    References
    ----------
    Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    p = np.asarray(p_value, dtype=np.float64)
    tested = np.isfinite(p)
    values = p[tested]
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"p_value: expected values in 0 to 1, got {values.min()} to {values.max()}. "
            "Pass p values, not scores."
        )
    order = np.argsort(values)[::-1]
    ranks = np.arange(len(values), 0, -1)
    adjusted = np.minimum.accumulate(values[order] * len(values) / ranks)
    result = np.full(p.shape, np.nan)
    filled = np.empty(len(values))
    filled[order] = adjusted
    result[tested] = filled
    return result
