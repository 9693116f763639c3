"""Long work in chunks: each writes its own aligned region and commits, so that a kill costs one.

In: arrays to be filled along their last axis, and the number of targets. Out: a folder that knows
which chunks are done. Chunks of one folder may be written by several processes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from neuroalign._formats import hash_file
from neuroalign.errors import DataCorruptionError
from neuroalign.storage import write_whole

Array = npt.NDArray[Any]
RECORD = "journal.json"


def cut_targets(n: int, size: int) -> list[slice]:
    """Cut n targets into stretches of ``size``, the last one shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def size_chunk(n: int, fixed: int, per_target: int, memory: int, unit: int = 1) -> int:
    """Choose how many targets fit a budget.

    Parameters
    ----------
    n : int
        Targets in all.
    fixed, per_target : int
        Bytes held whatever the chunk, and for each target of it.
    memory : int
        Budget in bytes.
    unit : int
        Round down to a multiple, where there are that many.

    Returns
    -------
    int

    Raises
    ------
    MemoryError
        When not even one unit fits; says how much it takes.
    """
    least = min(n, unit)
    room = (memory - fixed) // per_target
    if room < least:
        need = fixed + least * per_target
        raise MemoryError(
            f"memory: expected at least {need:,} bytes for {least} targets at a time, got "
            f"{memory:,}. Raise it, or reduce the features."
        )
    return min(n, max(least, room // unit * unit))


class ChunkedFolder:
    """Arrays on disk that are filled chunk by chunk along their last axis.

    Parameters
    ----------
    folder : Path
    key : str
        Hash of everything that the content depends on.
    shapes : mapping of str to tuple of int
        Array name -> shape; the last size is the number of targets.
    chunk : int
        Targets of one chunk.
    dtype : str
    """

    def __init__(
        self, folder: Path, key: str, shapes: Mapping[str, tuple[int, ...]], chunk: int, dtype: str
    ) -> None:
        self.folder, self.key, self.chunk, self.dtype = Path(folder), key, chunk, dtype
        self.shapes = dict(shapes)
        self.parts = cut_targets(next(iter(self.shapes.values()))[-1], chunk)

    def prepare(self) -> None:
        """Create the arrays, or take up what an interrupted run of the same request left.

        Raises
        ------
        FileExistsError
            When the folder holds another request, or something else.
        """
        record = self.folder / RECORD
        if record.is_file():
            known = read_record(self.folder)
            if known["key"] != self.key or known["chunk"] != self.chunk:
                raise FileExistsError(
                    f"{self.folder}: expected the same request to resume, got one with other "
                    "inputs, parameters or chunks. Choose another folder, or delete this one."
                )
            return
        if self.folder.exists() and any(self.folder.iterdir()):
            raise FileExistsError(
                f"{self.folder}: expected a free name, got a folder with other content. "
                "Choose another."
            )
        for name, shape in self.shapes.items():
            zarr.create_array(
                LocalStore(self.folder / name),
                shape=shape,
                dtype=self.dtype,
                chunks=(*shape[:-1], self.chunk),
                # The checksum lets a reader see flipped bits instead of returning them.
                compressors=(ZstdCodec(level=1), Crc32cCodec()),
                fill_value=float("nan"),
                config={"write_empty_chunks": True},
            )
        content = {"key": self.key, "chunk": self.chunk, "n_chunks": len(self.parts)}
        with write_whole(record) as partial:
            partial.write_text(json.dumps(content), encoding="utf-8")

    def list_pending(self) -> list[int]:
        """Give the numbers of the chunks that are not committed, or whose files are not whole."""
        return [number for number in range(len(self.parts)) if not self._is_done(number)]

    def _is_done(self, number: int) -> bool:
        mark = self._mark(number)
        if not mark.is_file():
            return False
        try:
            files = json.loads(mark.read_text(encoding="utf-8"))
            return all(hash_file(self.folder / name) == digest for name, digest in files.items())
        except (ValueError, OSError, AttributeError):
            return False

    def _mark(self, number: int) -> Path:
        return self.folder / "done" / f"{number:06d}.json"

    def write(self, number: int, values: Mapping[str, Array]) -> None:
        """Write one chunk of every array, then commit it."""
        files = {}
        for name, shape in self.shapes.items():
            stored = zarr.open_array(LocalStore(self.folder / name), mode="r+")
            # Rows of NaN are data here; set anew, since an array forgets it when it is opened.
            array = stored.with_config({"write_empty_chunks": True})
            array[..., self.parts[number]] = values[name]
            place = Path(name, "c", *["0"] * (len(shape) - 1), str(number))
            files[place.as_posix()] = hash_file(self.folder / place)
        with write_whole(self._mark(number)) as partial:
            partial.write_text(json.dumps(files), encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any]:
    """Read what a folder says of itself.

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: expected a folder with '{RECORD}', got none. "
            "Name the folder that was written."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {name: record[name] for name in ("key", "chunk", "n_chunks")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorruptionError(
            f"{path}: expected a record of chunks, got '{error}'. Fit into another folder."
        ) from error


def count_done(folder: Path, name: str) -> tuple[int, int, tuple[int, ...]]:
    """Count the chunks that are done and whole, of how many, and give the shape of an array.

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    """
    folder = Path(folder)
    record = read_record(folder)
    shape = tuple(_open_array(folder, name).shape)
    known = ChunkedFolder(folder, record["key"], {name: shape}, record["chunk"], "float32")
    return len(known.parts) - len(known.list_pending()), len(known.parts), shape


def _open_array(folder: Path, name: str) -> Any:
    try:
        return zarr.open_array(LocalStore(folder / name), mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise DataCorruptionError(
            f"{folder / name}: expected a zarr array, got '{error}'. Fit into another folder."
        ) from error


def open_chunked(folder: Path, names: list[str]) -> dict[str, Any]:
    """Open the arrays of a folder whose chunks are all done and whole.

    Parameters
    ----------
    folder : Path
    names : list of str

    Returns
    -------
    dict of str to zarr.Array

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    """
    folder = Path(folder)
    record = read_record(folder)
    arrays = {name: _open_array(folder, name) for name in names}
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    whole = ChunkedFolder(folder, record["key"], shapes, record["chunk"], "float32")
    pending = whole.list_pending()
    if pending:
        raise DataCorruptionError(
            f"{folder}: expected {record['n_chunks']} whole chunks, got {len(pending)} that are "
            f"missing or damaged (first: {pending[0]}). Repeat the call that wrote it: it computes "
            "those alone."
        )
    return arrays
