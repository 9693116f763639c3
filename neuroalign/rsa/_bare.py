"""Square matrices without labels: are they points, or distances?"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError

# Share of the largest value that rounding, of float32 too, leaves where an RDM has zeros.
ROUNDING = 1e-6


def refuse_bare_rdm(values: npt.NDArray[Any], name: str) -> None:
    """Refuse a bare array that looks like an RDM where it would be taken for points.

    Parameters
    ----------
    values : array
    name : str
        The argument named in the message.

    Raises
    ------
    SchemaError
        When it is square, symmetric and 0 on its diagonal but for rounding, from 3 rows on.
    """
    square = values.ndim == 2 and values.shape[0] == values.shape[1] and len(values) > 2
    if not square or values.dtype.kind not in "iufb":
        return
    values = values.astype(np.float64)
    rounding = ROUNDING * np.abs(values).max()
    # Of points the diagonal is hardly ever 0, so that the rest is seldom looked at.
    if not (np.abs(np.diagonal(values)) <= rounding).all():
        return
    if (np.abs(values - values.T) <= rounding).all():
        raise SchemaError(
            f"{name}: expected points (sample, unit), got a bare symmetric {values.shape} matrix "
            "with a zero diagonal, which may be an RDM. Say which: rsa.from_matrix(matrix, "
            "conditions) for dissimilarities, xr.DataArray(matrix, dims=('sample', 'neuroid')) "
            "for points."
        )
