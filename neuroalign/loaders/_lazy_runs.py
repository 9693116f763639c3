"""Runs that are read when computed, as one dask array that does not double them."""

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.array.core import finalize
from dask.delayed import delayed

Array = npt.NDArray[Any]


def _hand_over(results: Any) -> Array:
    """Give one run as it was read; join several as dask does."""
    while isinstance(results, tuple | list) and len(results) == 1:
        results = results[0]
    if isinstance(results, np.ndarray):
        return results
    joined: Array = finalize(results)  # type: ignore[no-untyped-call]
    return joined


class RunArray(da.Array):
    """A dask array (sample, neuroid) with a chunk a run, each read anew when computed.

    Dask copies an array of one chunk when it is computed, because the chunk may lie in its graph.
    Runs are read from disk, so the copy would only double the memory. What is derived from this
    array, persisted ones included, is a plain dask array again.
    """

    __slots__ = ()

    def __dask_postcompute__(self) -> tuple[Callable[..., Array], tuple[()]]:
        """Leave out the copy."""
        return _hand_over, ()

    def __dask_postpersist__(self) -> tuple[Callable[..., Any], tuple[()]]:
        """Become plain: a persisted run lies in the graph."""
        return _make_plain(self)._rebuild, ()

    def copy(self) -> Any:
        """Stay runs: the copy has the same graph."""
        return _make_runs(self)

    def __getitem__(self, index: Any) -> Any:
        """Whole runs stay runs."""
        part = super().__getitem__(index)  # type: ignore[no-untyped-call]
        whole = part.shape[1:] == self.shape[1:] and set(part.chunks[0]) <= set(self.chunks[0])
        return _make_runs(part) if whole else part


def _make_runs(array: Any) -> RunArray:
    runs: RunArray = RunArray(array.dask, array.name, array.chunks, meta=array._meta)  # type: ignore[no-untyped-call]
    return runs


def _make_plain(array: Any) -> Any:
    return da.Array(array.dask, array.name, array.chunks, meta=array._meta)  # type: ignore[no-untyped-call]


def join_runs(
    reads: Sequence[Callable[[], Array]], sizes: Sequence[int], n_neuroids: int
) -> RunArray:
    """Join runs without reading them.

    Parameters
    ----------
    reads : sequence (run,) of functions
        Each gives the values of a run, float32 (sample, neuroid), new ones at every call.
    sizes : sequence of int (run,)
        Samples of each run.
    n_neuroids : int

    Returns
    -------
    RunArray (sample, neuroid)
        A chunk a run.
    """
    blocks = [
        da.from_delayed(delayed(read, pure=True)(), (size, n_neuroids), np.float32)  # type: ignore[no-untyped-call]
        for read, size in zip(reads, sizes, strict=True)
    ]
    return _make_runs(da.concatenate(blocks, axis=0))  # type: ignore[no-untyped-call]
