"""Is an M/EEG file all there? Sizes that headers promise, against sizes on disk.

MNE reads a recording that was cut and gives fewer samples; each check here finds the cut first.
"""

import configparser
import gzip
import struct
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders._files import check_file
from neuroalign.loaders._mat import UNREADABLE
from neuroalign.loaders._mat_tags import check_tags

TAG = struct.Struct(">iIii")
BLOCK = 1 << 20
# Noise does not shrink; what shrinks further is no recording.
MOST_RATIO, SPARE = 100, 1 << 26
# Where a .res4 of CTF holds samples and channels of a trial, and the number of trials done.
CTF_SIZES, CTF_DONE = 1288, 1320
# Bytes before the samples of a .meg4.
CTF_HEAD = 8
# Bytes of one sample.
BRAINVISION = {"INT_16": 2, "UINT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4, "IEEE_FLOAT_64": 8}


def _cut(path: Path, expected: str, got: str) -> DataCorruptionError:
    return DataCorruptionError(f"{path}: truncated: {expected}, {got}. Copy or download it again.")


def _check_gzip(path: Path) -> None:
    size, limit = 0, MOST_RATIO * path.stat().st_size + SPARE
    try:
        with gzip.open(path) as stream:
            while size <= limit and (block := stream.read(BLOCK)):
                size += len(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataCorruptionError(
            f"{path}: expected a whole gzip stream, got '{error}'. Download it again."
        ) from error
    if size > limit:
        raise DataCorruptionError(
            f"{path}: expected a recording under gzip, got {path.stat().st_size} bytes that hold "
            f"more than {limit}, which no recording does. Download it again."
        )


def check_fif(path: Path) -> None:
    """Follow the chain of tags to the one that ends the file.

    A recording that was cut, even between two buffers, has no such tag.
    """
    if path.suffix == ".gz":
        return _check_gzip(path)
    size, place, count = path.stat().st_size, 0, 0
    with path.open("rb") as stream:
        while place + TAG.size <= size:
            stream.seek(place)
            _, _, length, following = TAG.unpack(stream.read(TAG.size))
            end = place + TAG.size + max(length, 0)
            if end > size or length < 0:
                break
            if following < 0:
                return None
            # A step back would never end; only damage makes one.
            if 0 < following < end:
                break
            place, count = following or end, count + 1
    raise _cut(path, "its tags end with a closing one", f"got {size} bytes, {count} whole tags")


def check_edf(path: Path) -> None:
    """Compare records x samples x bytes of the header with the size."""
    with path.open("rb") as stream:
        head = stream.read(256)
        try:
            n_signals = int(head[252:256])
            header, records = int(head[184:192]), int(head[236:244])
            stream.seek(256 + n_signals * 216)
            samples = sum(int(stream.read(8)) for _ in range(n_signals))
        except ValueError as error:
            raise DataCorruptionError(
                f"{path}: expected an EDF or BDF header, got '{error}'. Download it again."
            ) from error
    width = 3 if path.suffix.lower() == ".bdf" else 2
    promised, size = header + records * samples * width, path.stat().st_size
    if records < 0:
        raise _cut(path, "its header counts records", f"got {records}: recording was not closed")
    if size < promised:
        raise _cut(path, f"its header promises {records} records ({promised} bytes)", f"got {size}")


def _read_vhdr(path: Path) -> dict[str, str]:
    """Keys of all sections of a BrainVision header; the free text at its end is left out."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    body = text.split("[Comment]")[0].split("\n", 1)[-1]
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(body)
    except configparser.Error as error:
        raise LoadError(
            f"{path}: expected a BrainVision header, got '{error}'. Download it again."
        ) from error
    return {key: value or "" for part in parser.values() for key, value in part.items()}


def check_brainvision(path: Path) -> None:
    """Look for the samples of a header, and for a whole number of them."""
    keys = _read_vhdr(path)
    names = {key: keys.get(key, "") for key in ("datafile", "markerfile")}
    base = path.stem
    for name in names.values():
        # $b stands for the header's own name.
        part = path.parent / name.replace("$b", base)
        if name and not part.exists():
            raise FileNotFoundError(
                f"{path}: expected '{part.name}' beside it, got no such file. "
                "Copy all three files (.vhdr, .eeg, .vmrk) together."
            )
    width = BRAINVISION.get(keys.get("binaryformat", ""))
    counts = {key: keys.get(key) or "0" for key in ("numberofchannels", "datapoints")}
    if not all(count.isdigit() for count in counts.values()) or not names["datafile"]:
        raise LoadError(
            f"{path}: expected DataFile and whole numbers of channels and points, got "
            f"'{names['datafile']}', {list(counts.values())}. Correct the header."
        )
    frame = (width or 0) * int(counts["numberofchannels"])
    if not frame or keys.get("dataformat", "").upper() != "BINARY":
        return
    data = path.parent / names["datafile"].replace("$b", base)
    size, points = data.stat().st_size, int(counts["datapoints"])
    if size % frame or size < points * frame:
        raise _cut(
            data,
            f"{path.name} needs {points * frame or (size // frame + 1) * frame} bytes",
            f"got {size} ({size / frame:.2f} samples)",
        )


def _read_sizes(path: Path) -> tuple[str, int] | None:
    """Name and bytes of the .fdt that a .set points to; None when the data are inside."""
    try:
        names = ["EEG", "data", "nbchan", "pnts", "trials", "datfile"]
        check_tags(path)
        held: Any = scipy.io.loadmat(
            path, variable_names=names, squeeze_me=True, struct_as_record=False
        )
    except NotImplementedError as error:
        # MATLAB 7.3 is HDF5, which finds its own cuts; EEGLAB keeps the data inside.
        if find_spec("pymatreader") is not None:
            return None
        raise LoadError(
            f"{path}: expected MATLAB version 7 or older, got version 7.3 (HDF5), which MNE reads "
            "with pymatreader only. Install that, or save the set again as version 7."
        ) from error
    except UNREADABLE as error:
        raise DataCorruptionError(
            f"{path}: expected a MATLAB file of EEGLAB, got '{error}'. Download it again."
        ) from error
    if "EEG" in held:
        held = {name: getattr(held["EEG"], name, "") for name in names}
    if not {"data", "nbchan", "pnts", "trials"} <= set(held):
        raise LoadError(
            f"{path}: expected the fields of EEGLAB, got {sorted(held)[:8]}. "
            "Save the set again with EEGLAB."
        )
    if not isinstance(held["data"], str):
        return None
    try:
        sizes = [int(np.asarray(held[name]).item()) for name in ("nbchan", "pnts", "trials")]
    except (ValueError, TypeError) as error:
        raise DataCorruptionError(
            f"{path}: expected one number each in nbchan, pnts and trials, got '{error}'. "
            "Download it again."
        ) from error
    return held["data"], 4 * int(np.prod(sizes))


def check_eeglab(path: Path) -> None:
    """Compare channels x points x trials of a .set with its .fdt."""
    promised = _read_sizes(path)
    if promised is None:
        return
    # MNE takes the .fdt of the same name when the one named inside is gone.
    places = [path.parent / Path(promised[0]).name, path.with_suffix(".fdt")]
    data = next((place for place in places if place.exists()), None)
    if data is None:
        raise FileNotFoundError(
            f"{path}: expected '{places[0].name}' beside it, got no such file. Copy both together."
        )
    size = data.stat().st_size
    if size != promised[1]:
        raise _cut(
            data,
            f"{path.name} needs {promised[1] / 1e6:.3g} MB",
            f"{data.name} is {size / 1e6:.3g} MB ({size} of {promised[1]} bytes)",
        )


def check_ctf(folder: Path) -> None:
    """Compare the trials that a .res4 counts with the bytes of its .meg4 parts."""
    header = folder / f"{folder.stem}.res4"
    parts = [folder / f"{folder.stem}.meg4", *sorted(folder.glob(f"{folder.stem}.*_meg4"))]
    absent = [part.name for part in (header, parts[0]) if not part.exists()]
    if absent:
        raise FileNotFoundError(
            f"{folder}: expected {' and '.join(absent)} in it, got no such file. Copy it whole."
        )
    head = header.read_bytes()[: CTF_DONE + 2]
    if len(head) < CTF_DONE + 2:
        raise _cut(header, f"a header has more than {CTF_DONE} bytes", f"got {len(head)}")
    n_samples, n_channels = struct.unpack_from(">ih", head, CTF_SIZES)
    done = struct.unpack_from(">h", head, CTF_DONE)[0]
    frame = 4 * n_samples * n_channels
    if frame <= 0:
        raise DataCorruptionError(
            f"{header}: expected samples and channels, got {n_samples} and {n_channels}. "
            "Copy or download it again."
        )
    held = 0
    for part in parts:
        size = part.stat().st_size - CTF_HEAD
        if size < 0 or size % frame:
            raise _cut(
                part, f"its trials have {frame} bytes each", f"got {size / frame:.2f} trials"
            )
        held += size // frame
    # A recording that was stopped has fewer trials than planned, but not fewer than done.
    if held < done:
        raise _cut(parts[-1], f"{header.name} counts {done} trials", f"got {held}")


CHECKS: dict[str, Callable[[Path], None]] = {
    ".fif": check_fif,
    ".fif.gz": check_fif,
    ".edf": check_edf,
    ".bdf": check_edf,
    ".vhdr": check_brainvision,
    ".set": check_eeglab,
}


def check_recording(path: Path | str, *, verify: bool = True) -> Path:
    """Refuse a recording that is absent, another kind of content, or cut.

    Parameters
    ----------
    path : path
        A file, or the folder of a format that is one (CTF ``.ds``, EGI ``.mff``).
    verify : bool
        Compare sizes, for the formats that promise one.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = Path(path)
    if path.is_dir():
        if verify and path.suffix.lower() == ".ds":
            check_ctf(path)
        return path
    ending = ".fif.gz" if path.name.endswith(".fif.gz") else path.suffix.lower()
    check_file(path, (ending,))
    if verify and ending in CHECKS:
        CHECKS[ending](path)
    return path
