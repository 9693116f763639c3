"""From rows to RDMs: average cells, whiten them, apply one kernel, put absent conditions back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import sparse

from neuroalign.errors import SchemaError
from neuroalign.rsa._crossvalidated import decode_pairs
from neuroalign.rsa.noise import estimate_noise, read_noise, take_symmetric_root, whiten_rows

Array = npt.NDArray[Any]
NoiseLike = xr.DataArray | str | None
# Numbers of a movie that are averaged and compared at once.
BLOCK = 1_000_000


class Rows(NamedTuple):
    """Responses (sample, neuroid[, time]) of one RDM, with codes of condition and of fold."""

    responses: xr.DataArray
    codes: Array
    n_conditions: int
    folds: Array
    fold_names: Array
    by: str
    fold: str | None


def average_cells(rows: Rows, *, narrow: bool = False) -> tuple[Array, Array]:
    """Average rows of each condition in each fold, in float64.

    Parameters
    ----------
    rows : Rows
    narrow : bool
        Keep a large table of float32 where there is nothing to average.

    Returns
    -------
    array (time or 1, condition, fold, channel)
        0 in cells without rows.
    bool array (condition, fold)
    """
    values = rows.responses.values
    n, n_folds = rows.n_conditions, len(rows.fold_names)
    cell = rows.codes * n_folds + rows.folds
    counts = np.bincount(cell, minlength=n * n_folds)
    if (counts == 1).all():
        kept = narrow and values.dtype == np.float32 and values.size > BLOCK
        dtype = np.float32 if kept else np.float64
        means = np.empty((*values.shape[2:], len(cell), values.shape[1]), dtype=dtype)
        # Row by row, turned and widened in the cache, without any copy of the whole.
        for row, place in zip(values, cell, strict=True):
            means[..., place, :] = row.T
    else:
        flat = values.reshape(len(values), -1)
        weights = 1.0 / counts[cell]
        shape = (n * n_folds, len(cell))
        average = sparse.csr_array((weights, (cell, np.arange(len(cell)))), shape=shape)
        means = average @ flat.astype(np.float64)
        if values.ndim == 3:
            means = np.ascontiguousarray(np.moveaxis(means.reshape(-1, *values.shape[1:]), 2, 0))
    shape4 = (-1, n, n_folds, values.shape[1])
    return means.reshape(shape4), (counts > 0).reshape(n, n_folds)


def find_noise_fold(rows: Rows) -> str | None:
    """Name the folds within which conditions repeat, so that noise is what differs there."""
    cells = rows.codes * len(rows.fold_names) + rows.folds
    return rows.fold if rows.fold is not None and np.bincount(cells).max() > 1 else None


def find_noise(rows: Rows, noise: NoiseLike) -> xr.DataArray | None:
    """Estimate the noise when it was only named: from repeats in a fold, else from those across."""
    if not isinstance(noise, str):
        return noise
    fold = find_noise_fold(rows)
    return estimate_noise(rows.responses, by=rows.by, fold=fold, method=noise)


def whiten_cells(B: Array, rows: Rows, noise: xr.DataArray | None) -> Array:
    """Whiten (time, condition, fold, channel) by one matrix, or one for each time or fold."""
    if noise is None:
        return B
    matrix, inverse = read_noise(noise, rows.responses["neuroid"].values)
    if matrix.ndim == 2:
        return whiten_rows(B, matrix, inverse)
    lead = str(noise.dims[0])
    timed = lead == "time" and len(B) == len(matrix)
    if not (timed or lead == rows.fold) or noise.ndim != 3:
        raise SchemaError(
            f"noise: expected (neuroid, neuroid_other), alone or for each fold or time point, "
            f"got dims {noise.dims} {noise.shape}. Select one of them."
        )
    if lead == rows.fold:
        place = {label: i for i, label in enumerate(noise[lead].values.tolist())}
        absent = [name for name in rows.fold_names.tolist() if name not in place]
        if absent:
            raise SchemaError(
                f"noise: expected every {lead} of responses, missing '{absent[0]}'. "
                f"Estimate it with over='{lead}'."
            )
        # Patterns of different folds are multiplied: only symmetric roots keep channels in place.
        roots = [
            take_symmetric_root(matrix[place[name]], inverse) for name in rows.fold_names.tolist()
        ]
        return np.stack([B[:, :, i] @ root for i, root in enumerate(roots)], axis=2)
    return np.stack([whiten_rows(B[i], one, inverse) for i, one in enumerate(matrix)])


def _prepare(
    rows: Rows, noise: NoiseLike, joined: bool, narrow: bool = False
) -> tuple[Array, Array]:
    B, present = average_cells(rows, narrow=narrow)
    B = whiten_cells(B, rows, find_noise(rows, noise))
    if joined:
        B = np.moveaxis(B, 0, 2).reshape(1, *B.shape[1:3], -1)
    return B, present


def remove_mean_pattern(B: Array, present: Array) -> Array:
    """Subtract the mean pattern over conditions from each fold."""
    count = np.maximum(present.sum(axis=0), 1)[:, None]
    return np.asarray((B - B.sum(axis=1, keepdims=True) / count) * present[..., None])


def _spread(made: Array, held: Array) -> Array:
    """Put conditions without data back as NaN."""
    if held.all():
        return made
    out = np.full((len(made), len(held), len(held)), np.nan)
    out[:, np.ix_(held, held)[0], np.ix_(held, held)[1]] = made
    out[:, np.arange(len(held)), np.arange(len(held))] = 0.0
    return out


def run_patterns(
    rows: Rows, kernel: Callable[..., Array], noise: NoiseLike, joined: bool, remove_mean: bool
) -> Array:
    """Apply a kernel of mean patterns; folds do not matter."""
    single = rows._replace(folds=np.zeros_like(rows.folds), fold_names=np.array(["all"]))
    B, present = _prepare(single, noise, joined)
    if remove_mean:
        B = remove_mean_pattern(B, present)
    held = present[:, 0]
    return _spread(kernel(B[:, held, 0]), held)


def run_cells(
    rows: Rows, kernel: Callable[..., Array], noise: NoiseLike, joined: bool, remove_mean: bool
) -> Array:
    """Apply a kernel of patterns in each fold, without noise a few time points after others."""
    times = rows.responses.sizes.get("time", 1)
    cells = rows.n_conditions * len(rows.fold_names) * rows.responses.sizes["neuroid"]
    step = max(1, BLOCK // cells)
    if noise is None and not joined and times > step:
        parts = (
            rows._replace(responses=rows.responses.isel(time=slice(start, start + step)))
            for start in range(0, times, step)
        )
        return np.concatenate([run_cells(one, kernel, None, False, remove_mean) for one in parts])
    B, present = _prepare(rows, noise, joined, narrow=True)
    if remove_mean:
        B = remove_mean_pattern(B, present)
    return np.asarray(kernel(B, present))


def run_couples(
    rows: Rows, kernel: Callable[..., Array], noise: NoiseLike, joined: bool, remove_mean: bool
) -> Array:
    """Average a kernel of two sets of patterns over couples of folds, the earlier one as rows."""
    B, present = _prepare(rows, noise, joined)
    if remove_mean:
        B = remove_mean_pattern(B, present)
    total = np.zeros((len(B), rows.n_conditions, rows.n_conditions))
    count = np.zeros(total.shape[1:])
    for m in range(B.shape[2]):
        for n in range(m + 1, B.shape[2]):
            known = np.outer(present[:, m], present[:, n])
            count += known
            made = np.stack([kernel(one[:, m], one[:, n]) for one in B])
            total += np.where(known, made, 0.0)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))


def run_trials(
    rows: Rows, kernel: Callable[..., Array], noise: NoiseLike, joined: bool, remove_mean: bool
) -> Array:
    """Decode single rows of each fold from the mean patterns of the others.

    ``kernel`` turns right and decided counts into an accuracy. A named noise is estimated from
    the training folds alone.
    """
    times = rows.responses.sizes.get("time", 1)
    n_times = 1 if joined else times
    right = np.zeros((n_times, rows.n_conditions, rows.n_conditions))
    decided = np.zeros_like(right)
    for fold in range(len(rows.fold_names)):
        inside = np.flatnonzero(rows.folds == fold)
        outside = np.flatnonzero(rows.folds != fold)
        train = rows._replace(
            responses=rows.responses.isel(sample=outside),
            codes=rows.codes[outside],
            folds=np.zeros(len(outside), dtype=np.intp),
            fold_names=np.array(["all"]),
            fold=None,
        )
        # Each test row is a cell of its own, so that it goes the way of the patterns.
        test = rows._replace(
            responses=rows.responses.isel(sample=inside),
            codes=np.arange(len(inside)),
            n_conditions=len(inside),
            folds=np.zeros(len(inside), dtype=np.intp),
            fold_names=np.array(["all"]),
            fold=None,
        )
        learnt = find_noise(train, noise)
        means, present = _prepare(train, learnt, joined)
        means = np.where(present[None, :, :1, None], means, np.nan)
        single, _ = _prepare(test, learnt, joined)
        for t in range(n_times):
            found = decode_pairs(means[t, :, 0], single[t, :, 0], rows.codes[inside])
            right[t] += found[0]
            decided[t] += found[1]
    return kernel(right, decided)


def score_decisions(right: Array, decided: Array) -> Array:
    """Accuracy of each pair: the mean of the shares of both conditions that were decided right."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = right / decided
    accuracy = np.asarray((share + np.swapaxes(share, 1, 2)) / 2)
    n = accuracy.shape[1]
    accuracy[:, np.arange(n), np.arange(n)] = 0.0
    return accuracy
