"""Square matrices without labels: are they points, or distances?"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError


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
        When it is square, symmetric and 0 on its diagonal, from 3 rows on.
    """
    square = values.ndim == 2 and values.shape[0] == values.shape[1] and len(values) > 2
    if square and not np.diagonal(values).any() and np.array_equal(values, values.T):
        raise SchemaError(
            f"{name}: expected points (sample, unit), got a bare symmetric {values.shape} matrix "
            "with a zero diagonal, which may be an RDM. Say which: rsa.from_matrix(matrix, "
            "conditions) for dissimilarities, xr.DataArray(matrix, dims=('sample', 'neuroid')) "
            "for points."
        )
