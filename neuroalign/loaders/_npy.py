"""Plain .npy arrays, and spikes of many clusters split into trains. No pickles are read."""

import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import DataCorruptionError, LoadError, some
from neuroalign.loaders._files import check_file

Array = npt.NDArray[Any]
MAGIC = b"\x93NUMPY"


def open_npy(path: Path | str) -> Array:
    """Open an array on disk; columns (n, 1), as MATLAB writes them, become (n,).

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DataCorruptionError
        When it is cut, or not what its name says.
    LoadError
        When it holds pickled objects.
    """
    path = check_file(path, (".npy",))
    with path.open("rb") as stream:
        head = stream.read(len(MAGIC))
    if head != MAGIC:
        raise DataCorruptionError(
            f"{path}: expected a numpy array, got bytes {head.hex()}. Export it again."
        )
    try:
        values: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError) as error:
        if "bject" in str(error):
            raise LoadError(
                f"{path}: expected numbers or text, got pickled objects, which are not read "
                "because they can run code. Save it as a plain array."
            ) from error
        raise DataCorruptionError(
            f"{path}: expected a whole numpy array, got '{error}'. Copy it again."
        ) from error
    return values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values


def check_lengths(columns: Sequence[tuple[Path, Any]]) -> None:
    """Check that the columns of one table are equally long.

    Raises
    ------
    LoadError
        Naming the files.
    """
    sizes = [len(values) if values.ndim else 0 for _, values in columns]
    if len(set(sizes)) > 1:
        shown = ", ".join(
            f"{path.name} {size}" for (path, _), size in zip(columns, sizes, strict=True)
        )
        raise LoadError(
            f"{columns[0][0].parent}: expected files of one table to have equally many rows, got "
            f"{shown}. Copy or export them together."
        )


def split_clusters(times: Array, clusters: Array, ids: Array, path: Path) -> dict[str, Array]:
    """Split spike times [s] by cluster: the number of each, as text -> its times.

    Parameters
    ----------
    times : array (spike,)
    clusters : array of int (spike,)
    ids : array of int (cluster,)
        Clusters wanted; those without spikes get none, spikes of others are left out.
    path : Path
        The file of the clusters, for the message.

    Raises
    ------
    LoadError
    """
    if clusters.dtype.kind not in "iu" and not np.equal(np.mod(clusters, 1), 0).all():
        raise LoadError(
            f"{path}: expected whole numbers of clusters, got {clusters.dtype}. Export it again."
        )
    labels = np.asarray(clusters).astype(np.int64)
    order = np.argsort(labels, kind="stable")
    ordered, moved = labels[order], np.asarray(times, dtype=np.float64)[order]
    low, high = np.searchsorted(ordered, ids), np.searchsorted(ordered, ids, side="right")
    return {str(number): moved[a:b] for number, a, b in zip(ids.tolist(), low, high, strict=True)}


def choose_kept(
    ids: Array, quality: Array, keep: str | Sequence[str] | None, name: Path | str
) -> Array:
    """Choose the clusters whose quality is wanted; None keeps all.

    Raises
    ------
    LoadError
        When none is left.
    """
    if keep is None:
        return ids
    wanted = [keep] if isinstance(keep, str) else list(keep)
    kept: Array = ids[np.isin(quality, wanted)]
    if not len(kept):
        labels, counts = np.unique(quality, return_counts=True)
        have = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True)]
        raise LoadError(
            f"{name}: expected clusters labelled {some(wanted)}, got {some(have)}. "
            "Pass keep=, or keep=None for all."
        )
    return kept
