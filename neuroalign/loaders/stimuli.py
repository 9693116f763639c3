"""Folders of images, videos or sounds to a map: stimulus -> file, for `features.extract`."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from neuroalign.errors import DataCorruptionError, LoadError, choose, some
from neuroalign.loaders._files import check_file
from neuroalign.loaders._tables import read_table
from neuroalign.schema import as_labels

KINDS = {
    "image": (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    "video": (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v"),
    "audio": (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aac"),
}
IDS: dict[str, Callable[[Path, Path], str]] = {
    "stem": lambda path, folder: path.stem,
    "name": lambda path, folder: path.name,
    "path": lambda path, folder: path.relative_to(folder).as_posix(),
}


def _find(folder: Path, endings: tuple[str, ...], kind: str, recursive: bool) -> list[Path]:
    """Files of the kind; hidden ones, and what archives of macOS add, are not stimuli."""
    entries = folder.rglob("*") if recursive else folder.glob("*")
    # A broken link counts: it is a stimulus whose content was not fetched.
    files = [
        path
        for path in entries
        if (path.is_file() or path.is_symlink())
        and not any(
            part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts
        )
    ]
    found = sorted(path for path in files if path.suffix.lower() in endings)
    if not found:
        other = sorted({path.suffix.lower() or path.name for path in files})
        raise LoadError(
            f"{folder}: expected {kind} files ({', '.join(endings)}), got "
            f"{f'only {some(other)}' if other else 'no files'}. Check folder, kind= and recursive=."
        )
    return found


def _read_pairs(
    table: Path | str | pd.DataFrame, folder: Path, stimulus: str, filename: str
) -> list[tuple[str, Path]]:
    frame = table if isinstance(table, pd.DataFrame) else read_table(table)
    name = "table" if isinstance(table, pd.DataFrame) else str(table)
    for column in (stimulus, filename):
        if column not in frame:
            raise LoadError(
                f"{name}: expected column '{column}', got {some(frame.columns)}. "
                "Pass stimulus= or filename=."
            )
    labels = as_labels(frame[stimulus].to_numpy(), f"{name}: {stimulus}").tolist()
    files = as_labels(frame[filename].to_numpy(), f"{name}: {filename}").tolist()
    outside = [file for file in files if Path(file).is_absolute() or ".." in Path(file).parts]
    if outside:
        raise LoadError(
            f"{name}: expected files inside {folder}, got {some(outside)}. Name them from there."
        )
    absent = [file for file in files if not (folder / file).exists()]
    if absent:
        raise LoadError(
            f"{name}: expected each file in {folder}, {len(absent)} of {len(files)} are not "
            f"there ({some(absent)}). Fetch them or drop their rows."
        )
    return [(label, folder / file) for label, file in zip(labels, files, strict=True)]


def _map(pairs: Iterable[tuple[str, Path]], advice: str) -> dict[str, Path]:
    stimuli: dict[str, Path] = {}
    for name, path in pairs:
        if name in stimuli:
            raise LoadError(
                f"{path}: expected its own stimulus id, got '{name}' again, which "
                f"{stimuli[name]} has. {advice}"
            )
        stimuli[name] = path
    return dict(sorted(stimuli.items()))


def list_stimuli(
    folder: Path | str,
    *,
    kind: str = "image",
    ids: str = "stem",
    recursive: bool = True,
    table: Path | str | pd.DataFrame | None = None,
    stimulus: str = "stimulus_id",
    filename: str = "filename",
) -> dict[str, Path]:
    """Name the stimuli of a folder.

    Parameters
    ----------
    folder : path
    kind : {"image", "video", "audio"}
        Which endings are stimuli. Other and hidden files are passed over.
    ids : {"stem", "name", "path"}
        The stimulus id: ``cat`` , ``cat.jpg`` or ``animals/cat.jpg``.
    recursive : bool
        Look in folders of the folder too.
    table : path (.csv, .tsv) or DataFrame, optional
        Pairs of id and file, as in BrainIO stimulus sets, instead of the names of all files.
    stimulus, filename : str
        The columns of the table; ids are read as text, so that '001' stays '001'.

    Returns
    -------
    dict of str to Path
        Stimulus id -> file, sorted by id; what `features.extract` takes.

    Raises
    ------
    FileNotFoundError
        When there is no such folder.
    DataCorruptionError
        When a file is empty, a web page, or a pointer to content that was not fetched.
    LoadError
        When there are no stimuli, two have one id, or the table names what is not there.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("dog.png", "cat.jpg"):
    ...         Image.new("RGB", (4, 4)).save(Path(folder) / name)
    ...     {stimulus: path.name for stimulus, path in list_stimuli(folder).items()}
    {'cat': 'cat.jpg', 'dog': 'dog.png'}
    """
    endings = choose(KINDS, kind, "kind")
    name_file = choose(IDS, ids, "ids")
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: expected a folder, got none. Check the path.")
    if not folder.is_dir():
        raise LoadError(f"{folder}: expected a folder, got a file. Name the folder it is in.")
    if table is None:
        found = _find(folder, endings, kind, recursive)
        stimuli = _map(
            [(name_file(path, folder), path) for path in found],
            "Rename one, or pass ids='path'.",
        )
    else:
        stimuli = _map(_read_pairs(table, folder, stimulus, filename), "Drop one of the rows.")
    for path in stimuli.values():
        if path.is_symlink() and not path.exists():
            raise DataCorruptionError(
                f"{path}: expected {kind} content, got a link to what is not here. "
                "Fetch the content (git annex get)."
            )
        check_file(path, endings)
    return stimuli
