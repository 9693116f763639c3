"""Sessions to one scale: what a scanner or an electrode drifted by between visits is taken out."""

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, some
from neuroalign.schema import add_history, check_responses

Array = npt.NDArray[Any]


def _zscore_visits(values: Array, visits: Array) -> Array:
    scaled = np.full(values.shape, np.nan, dtype=values.dtype)
    for visit in np.unique(visits):
        own = visits == visit
        rows = values[own].astype(np.float64)
        known = np.isfinite(rows)
        n = known.sum(axis=0)
        rows[~known] = 0
        # Counts by hand: nanmean warns of neuroids that a session did not cover.
        rows -= rows.sum(axis=0) / np.maximum(n, 1)
        rows[~known] = 0
        spread = np.sqrt((rows**2).sum(axis=0) / np.maximum(n - 1, 1))
        # A constant is 0 but for rounding, and stays 0.
        flat = spread <= 1e-7 * np.abs(values[own]).max(axis=0, initial=0, where=known)
        rows = np.where(flat, 0, rows / np.where(flat, 1, spread))
        rows[~known] = np.nan
        scaled[own] = rows
    return scaled


def _cover_visits(sizes: tuple[int, ...], visits: Array) -> tuple[int, ...]:
    """Join chunks of samples until each visit lies in one chunk."""
    _, codes = np.unique(visits, return_inverse=True)
    n = len(codes)
    first, last = np.full(codes.max() + 1, n), np.zeros(codes.max() + 1, dtype=int)
    np.minimum.at(first, codes, np.arange(n))
    np.maximum.at(last, codes, np.arange(n))
    free = np.ones(n + 1, dtype=bool)
    for start, stop in zip(first, last, strict=True):
        free[start + 1 : stop + 1] = False
    edges = [0, *(edge for edge in np.cumsum(sizes).tolist() if free[edge])]
    return tuple(np.diff(edges).tolist())


def zscore_sessions(responses: xr.DataArray, by: str = "session") -> xr.DataArray:
    """Z-score each neuroid (and time point) within each session.

    Do this before repeats are averaged; it uses all samples of a session, so that train and test
    samples of one session share its mean and spread, as is usual for betas.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
        In memory, or chunked: then the result is lazy, and where chunks hold whole sessions each
        is read by itself.
    by : str
        Coord on sample; ``run`` for scores within runs.

    Returns
    -------
    DataArray (sample, neuroid[, time])
        In standard deviations (ddof 1), units ``z``. NaN and infinite values are left out and come
        back as NaN; what does not vary in a session is 0 there.

    Raises
    ------
    SchemaError
        Without that coord, or when a session has one sample.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> days = ["ses-01"] * 4 + ["ses-02"] * 4
    >>> values = np.arange(8.0)[:, None] + np.repeat([0, 100], 4)[:, None]
    >>> responses = from_arrays(values, modality="fmri", stimulus=list("abcdabcd"), session=days)
    >>> [f"{value:.2f}" for value in zscore_sessions(responses).values[[0, 4], 0]]
    ['-1.16', '-1.16']
    """
    check_responses(responses)
    if by not in responses.coords or responses[by].dims != ("sample",):
        raise SchemaError(
            f"responses: expected coord '{by}' on 'sample', got {some(responses.coords)}. "
            "Assign it, or pass by=."
        )
    visits = responses[by].values
    names, counts = np.unique(visits, return_counts=True)
    if (counts < 2).any():
        raise SchemaError(
            f"responses: expected two samples or more in each {by}, got one in "
            f"{some(names[counts < 2])}. Drop those."
        )
    _, codes = np.unique(visits, return_inverse=True)
    if responses.chunks is None:
        values = _zscore_visits(responses.values, codes)
    else:
        rows = _cover_visits(responses.chunks[0], codes)
        blocks = responses.data.rechunk({0: rows})
        shape = (-1, *(1,) * (blocks.ndim - 1))
        # The visits travel as an array of one column, so that each block meets its own rows.
        chunks = (rows, *((1,),) * (blocks.ndim - 1))
        column = da.from_array(codes.reshape(shape), chunks)  # type: ignore[no-untyped-call]
        values = blocks.map_blocks(_zscore_block, column, dtype=blocks.dtype)
    scaled = responses.copy(data=values).assign_attrs(units="z")
    return add_history(scaled, f"zscore_sessions by {by}")


def _zscore_block(values: Array, codes: Array) -> Array:
    return _zscore_visits(values, codes.ravel())
