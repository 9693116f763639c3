"""Small algebra of kernels and spectra that several measures of this room share."""

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.similarity._measures import gram, multiply_squares

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
    # |X'Y|^2 = <XX', YY'>: whichever side is smaller.
    if n <= widest:
        kernels = [gram(matrix, center=False) for matrix in matrices]
        product = multiply_squares(kernels, kernels)
    else:
        product = np.empty((count, count))
        for i, j in combinations_with_replacement(range(count), 2):
            product[i, j] = product[j, i] = np.square(matrices[i].T @ matrices[j]).sum()
    norm = np.sqrt(np.diag(product))
    scale = np.outer(norm, norm)
    cosine: Array = np.divide(product, scale, out=np.full_like(product, np.nan), where=scale > 0)
    return cosine


def stable_rank(matrix: Array) -> float:
    """Squared Frobenius norm over squared spectral norm: the directions that carry the most."""
    values = np.square(np.linalg.svd(matrix, compute_uv=False))
    return float(values.sum() / values[0]) if values[0] > 0 else float("nan")
