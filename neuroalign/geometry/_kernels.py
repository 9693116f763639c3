"""Small algebra of kernels and spectra that several measures of this room share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def cosine_of_kernels(matrices: Sequence[Array]) -> Array:
    """Cosine between the linear kernels XX' of matrices over the same rows.

    Parameters
    ----------
    matrices : sequence of array (n, p)
        Centred by the caller where that is meant; p may differ.

    Returns
    -------
    array (matrix, matrix)
        0 to 1; NaN for a matrix of zeros.
    """
    n, widest = len(matrices[0]), max(matrix.shape[1] for matrix in matrices)
    count = len(matrices)
    product = np.empty((count, count))
    # |X'Y|^2 = <XX', YY'>: whichever side is smaller.
    small = [matrix @ matrix.T for matrix in matrices] if n <= widest else None
    for i in range(count):
        for j in range(i, count):
            value = (
                np.square(matrices[i].T @ matrices[j]).sum()
                if small is None
                else (small[i] * small[j]).sum()
            )
            product[i, j] = product[j, i] = value
    norm = np.sqrt(np.diag(product))
    scale = np.outer(norm, norm)
    cosine: Array = np.divide(product, scale, out=np.full_like(product, np.nan), where=scale > 0)
    return cosine


def stable_rank(matrix: Array) -> float:
    """Squared Frobenius norm over squared spectral norm: the directions that carry the most."""
    values = np.square(np.linalg.svd(matrix, compute_uv=False))
    return float(values.sum() / values[0]) if values[0] > 0 else float("nan")
