"""Many tests at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import choose


def _harmonic(n: int) -> float:
    """Sum of 1 / i for i up to n: what any dependence between tests may cost."""
    return float(np.sum(1 / np.arange(1, n + 1)))


# By what a procedure multiplies the p values of n tests.
METHODS: dict[str, Callable[[int], float]] = {"bh": lambda n: 1.0, "by": _harmonic}


def fdr(p_value: npt.NDArray[Any], method: str = "bh") -> npt.NDArray[np.float64]:
    """Adjust p values for the false discovery rate.

    Parameters
    ----------
    p_value : array (...)
        NaN entries are no tests and stay NaN.
    method : {"bh", "by"}
        Benjamini & Hochberg holds its level when tests are independent or positively dependent;
        Benjamini & Yekutieli under any dependence, at a cost of about ln(n) + 0.58 in p.

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
    Benjamini & Yekutieli (2001), Annals of Statistics 29, doi:10.1214/aos/1013699998.

    Examples
    --------
    >>> import numpy as np
    >>> fdr(np.array([0.001, 0.02, 0.04, 0.5])).round(3).tolist()
    [0.004, 0.04, 0.053, 0.5]
    """
    factor = choose(METHODS, method, "method")
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
    share = values[order] * len(values) * factor(len(values)) / ranks
    adjusted = np.minimum(np.minimum.accumulate(share), 1.0)
    result = np.full(p.shape, np.nan)
    filled = np.empty(len(values))
    filled[order] = adjusted
    result[tested] = filled
    return result
