"""How far a representation is organised by what a task asks for."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import SchemaError
from neuroalign.geometry._matrices import Matrix, as_matrix
from neuroalign.similarity.kernel_alignment import prepare_biased, prepare_debiased

Array = npt.NDArray[Any]
ESTIMATORS = {False: prepare_biased, True: prepare_debiased}
LEAST_DEBIASED = 4


def target_alignment(X: Matrix, targets: Any, *, debias: bool = False) -> float:
    """Alignment of the kernel of a representation with that of a target: their centred cosine.

    Parameters
    ----------
    X : array or DataArray (sample, unit)
    targets : array (sample,) or (sample, target)
        Labels of categories, compared as equal or not; or numbers (a task's output, coded +1 and
        -1; the input of a network). Integers are numbers.
    debias : bool
        Without what chance alone gives, which is much where units are as many as samples: for
        brains. It can then be below 0.

    Returns
    -------
    float
        0 to 1 when not debiased; NaN when X or the targets do not vary.

    Raises
    ------
    SchemaError

    Notes
    -----
    ``<HKH, HLH> / (|HKH| |HLH|)`` with K = XX', L = YY', H the centring: linear CKA. Trials of one
    condition count as samples of their own: average them to ask about conditions.

    References
    ----------
    Cortes, Mohri & Rostamizadeh (2012), JMLR 13, 795-828, on centred alignment; Alleman, Lindsey &
    Fusi (2024), ICLR, arXiv:2401.13558; Song et al. (2012), JMLR 13, on the debiased form.

    Examples
    --------
    >>> bits = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    >>> round(target_alignment(bits, bits[:, 0]), 4), round(target_alignment(np.eye(8), bits), 4)
    (0.5774, 0.6547)
    """
    values = as_matrix(X, at_least=LEAST_DEBIASED if debias else 2)
    labels = np.asarray(targets)
    if labels.ndim not in (1, 2) or len(labels) != len(values):
        raise SchemaError(
            f"targets: expected one row for each of {len(values)} samples, got shape "
            f"{labels.shape}. Give (sample,) or (sample, target)."
        )
    if labels.dtype.kind not in "iufb":
        if labels.ndim > 1:
            raise SchemaError("targets: expected labels (sample,), got two dims. Give one.")
        labels = np.unique(labels)[None, :] == labels[:, None]
    columns = as_matrix(labels.reshape(len(values), -1), "targets")
    prepare = ESTIMATORS[bool(debias)]
    varies = [np.ptp(part, axis=0).max() > 0 for part in (values, columns)]
    return float((prepare(values) * prepare(columns)).sum()) if all(varies) else float("nan")
