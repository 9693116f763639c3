"""Cross-validated distances on bare arrays: (stack, condition, fold, channel), cells may lack.

``present`` (condition, fold) tells the cells that hold data; the others are 0. A distance of two
conditions averages over all ordered couples of different folds that hold both.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.rsa._kernels import multiply_rows, shrink_rates, subtract_gram

Array = npt.NDArray[Any]
# Numbers of a table that are centred and multiplied at once.
BLOCK = 400_000


def crossnobis(B: Array, present: Array) -> Array:
    """Cross-validated squared distance, mean over channels; negative values are kept.

    Full tables: ``G = (S S' - sum_m B_m B_m') / (M (M - 1))`` with S the sum over folds. A full
    ``B`` is centred where it lies. Patterns in float32 are multiplied so, once centred, and
    summed over folds in float64: digits that were not measured would double the time.
    """
    if not present.all():
        return _crossnobis_sparse(B, present)
    n_stack, n, n_folds, p = B.shape
    gram = np.zeros((n_stack, n, n))
    # Blocks that stay in the cache, in place: a centred copy of everything costs as much as the
    # products.
    width = min(p, max(1, BLOCK // n))
    height = max(1, BLOCK // (n * width))
    for top in range(0, n_stack, height):
        part = gram[top : top + height]
        for left in range(0, p, width):
            total = np.zeros((len(part), n, min(width, p - left)), dtype=B.dtype)
            for fold in range(n_folds):
                block = B[top : top + height, :, fold, left : left + width]
                block -= block.mean(axis=1, keepdims=True)
                total += block
                part -= multiply_rows(block)
            part += multiply_rows(total)
    gram /= n_folds * (n_folds - 1) * p
    return subtract_gram(gram)


def _center_present(B: Array, present: Array) -> Array:
    """Subtract the mean over all cells of each channel: any shift common to a fold cancels."""
    count = np.maximum(present.sum(axis=0), 1)
    return np.asarray((B - B.sum(axis=1, keepdims=True) / count[:, None]) * present[..., None])


def _crossnobis_sparse(B: Array, present: Array) -> Array:
    n_stack, n, n_folds, p = B.shape
    B = _center_present(B, present)
    held = present.astype(np.float64)
    both = held @ held.T
    couples = both * (both - 1)
    other = (held[:, :, None] * held[:, None, :]) * (1 - np.eye(n_folds))
    out = np.empty((n_stack, n, n))
    for t in range(n_stack):
        flat = B[t].reshape(n * n_folds, p)
        inner = (flat @ flat.T).reshape(n, n_folds, n, n_folds)
        own = np.einsum("imin->imn", inner) * (1 - np.eye(n_folds))
        # Fold m of i with fold n of j counts where i is in n and j is in m too.
        size = own.reshape(n, -1) @ other.reshape(n, -1).T
        cross = np.einsum(
            "imjn,in,jm,mn->ij", inner, held, held, 1 - np.eye(n_folds), optimize=True
        )
        out[t] = size + size.T - cross - cross.T
    with np.errstate(invalid="ignore", divide="ignore"):
        out = np.where(couples > 0, out / (couples * p), np.nan)
    out[:, np.arange(n), np.arange(n)] = 0.0
    return out


def poisson_cv(B: Array, present: Array) -> Array:
    """Symmetrised divergence with rates of one fold and log rates of the mean of the others."""
    B = np.asarray(B, dtype=np.float64)
    n_stack, n, n_folds, p = B.shape
    held = present.astype(np.float64)[..., None]
    n_others = held.sum(axis=1, keepdims=True) - held
    total = B.sum(axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        train = np.where(n_others > 0, (total - B) / n_others, 0.0)
    usable = held * (n_others > 0)
    rates = shrink_rates(B) * usable
    logs = np.log(shrink_rates(train)) * usable
    if present.all():
        cross = rates.reshape(n_stack, n, -1) @ np.swapaxes(logs.reshape(n_stack, n, -1), 1, 2)
        return np.asarray(subtract_gram(cross) / (n_folds * p))
    used = usable[..., 0]
    own = (rates * logs).sum(axis=3)
    size = own @ used.T
    rows = rates.reshape(n_stack, n, -1)
    cross = rows @ np.swapaxes(logs.reshape(n_stack, n, -1), 1, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = (size + np.swapaxes(size, 1, 2) - cross - np.swapaxes(cross, 1, 2)) / (
            (used @ used.T) * p
        )
    out[:, np.arange(n), np.arange(n)] = 0.0
    return np.asarray(out)


def decode_pairs(train: Array, test: Array, codes: Array) -> tuple[Array, Array]:
    """Count right decisions of the nearest-centroid rule in whitened space, for all pairs at once.

    Parameters
    ----------
    train : array (condition, channel)
        Mean patterns; rows of NaN where a condition is absent.
    test : array (row, channel)
    codes : array (row,)
        Condition of each row.

    Returns
    -------
    array (condition, condition)
        How many rows of i lie nearer to i than to j; ties count one half.
    array (condition, condition)
        How many rows were decided.
    """
    n = len(train)
    shift = np.nan_to_num(np.nanmean(train, axis=0))
    train, test = train - shift, test - shift
    # The norm of a test row is common to all of its distances.
    far = (train**2).sum(axis=1) - 2 * test @ train.T
    own = far[np.arange(len(test)), codes][:, None]
    known = np.isfinite(own) & np.isfinite(far)
    with np.errstate(invalid="ignore"):
        right = np.where(known, (own < far) + 0.5 * (own == far), 0.0)
    member = np.zeros((n, len(test)))
    member[codes, np.arange(len(test))] = 1.0
    return member @ right, member @ known
