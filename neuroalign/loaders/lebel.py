"""Stories heard in the scanner (LeBel et al. 2023, OpenNeuro ds003020)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from dask.delayed import delayed

from neuroalign.errors import LoadError, some
from neuroalign.loaders._files import check_id
from neuroalign.loaders._hdf5_tree import open_hdf5
from neuroalign.loaders._runs import check_tr
from neuroalign.loaders.transcript import SILENCES, load_transcript
from neuroalign.schema import SCHEMA_VERSION, check_responses

Array = npt.NDArray[Any]
PathLike = Path | str
ENDING = ".hf5"
# OpenNeuro's folder is 'derivative'; many copies say 'derivatives'.
FOLDERS = ("derivative", "derivatives", ".")
# Marks that the transcribers put between words: breath, lip smack, laughter, noise.
MARKS = ("sentence_start", "sentence_end", "br", "lg", "ls", "ns", "sp")
NO_WORDS = (*SILENCES, *MARKS, *(f"{{{mark}}}" for mark in MARKS))


def _find_folder(folder: PathLike, *parts: str) -> Path:
    tried = [Path(folder, name, *parts) for name in FOLDERS]
    for path in tried:
        if path.is_dir():
            return path
    raise FileNotFoundError(
        f"{folder}: expected a folder {Path(FOLDERS[0], *parts)}, got none. Name the root of "
        "ds003020, and download that part."
    )


def _choose_stories(folder: Path, ending: str, stories: Sequence[str] | None) -> list[str]:
    present = sorted(path.name.removesuffix(ending) for path in folder.glob(f"*{ending}"))
    names = present if stories is None else list(stories)
    absent = [name for name in names if name not in present]
    if absent or not names or len(set(names)) < len(names):
        raise LoadError(
            f"{folder}: expected stories, each once, got {len(present)} there and "
            f"{some(absent) or 'none or one twice'} asked for in vain. Download them, or pass "
            f"stories= among {some(present)}."
        )
    return names


def _open_shape(path: Path, repeats: bool) -> tuple[int, ...]:
    """Shape of the responses: (TR, voxel), or (repeat, TR, voxel)."""
    name, dims = ("individual_repeats", 3) if repeats else ("data", 2)
    form = "(repeat, TR, voxel)" if repeats else "(TR, voxel)"
    with open_hdf5(path, (ENDING,)) as file:
        shape = tuple(file[name].shape) if name in file else ()
        if len(shape) != dims or file[name].dtype.kind != "f" or 0 in shape:
            raise LoadError(
                f"{path}: expected '{name}' of {form} floats, got {some(file, 20)} with shape "
                f"{shape}. Download it again."
            )
    return shape


def _read(path: Path, repeat: int | None) -> Array:
    with open_hdf5(path, (ENDING,)) as file:
        values = file["data"][()] if repeat is None else file["individual_repeats"][repeat]
        return np.asarray(values, dtype=np.float32)


def load_lebel(
    folder: PathLike,
    *,
    subject: str,
    stories: Sequence[str] | None = None,
    repeats: bool = False,
    tr: float = 2.0,
    start: float = 10.0,
) -> xr.DataArray:
    """Load the preprocessed responses of one subject to stories.

    Parameters
    ----------
    folder : path
        Root of ds003020; ``derivative/preprocessed_data/<subject>/<story>.hf5`` is read.
    subject : str
        ``UTS01`` and so on.
    stories : sequence of str, optional
        All that are there when not given.
    repeats : bool
        Read ``individual_repeats`` (repeat, TR, voxel), which test stories hold, instead of
        ``data``, their mean.
    tr : float
        Repetition time [s]. The authors' scripts count 2.0; the scanner's was 2.0045.
    start : float
        Onset [s] of the first volume of a file from the start of the sound.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, lazy: a story is read when computed. ``run`` and ``story`` are the name of the
        story (runs of repeats: ``story_repeat-01``), ``onset`` is [s] from the start of the
        sound: the clock of the words. A voxel is named by its column; columns of different
        subjects are different voxels.

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    LoadError
        When stories are missing (each is named), or differ in their voxels.

    Notes
    -----
    Unverified against the data: that files begin 10 s after the sound. It follows from the
    authors' scripts, which set the sound 10 s after the first volume and cut features by 10
    volumes at the start and 5 at the end to fit the files. Voxels are in the subject's own space
    (pycortex masks are not read), so that ``x y z`` are not known.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import h5py
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     place = Path(folder) / "derivative/preprocessed_data/UTS03"
    ...     place.mkdir(parents=True)
    ...     with h5py.File(place / "souls.hf5", "w") as file:
    ...         file["data"] = np.ones((3, 4))
    ...     responses = load_lebel(folder, subject="UTS03").load()
    >>> responses.shape, responses["onset"].values.tolist()
    ((3, 4), [10.0, 12.0, 14.0])
    """
    place = _find_folder(folder, "preprocessed_data", check_id(subject, "subject"))
    names = _choose_stories(place, ENDING, stories)
    check_tr(tr, "tr")
    blocks: list[Any] = []
    runs: list[tuple[str, str, int, int]] = []
    n_voxels = 0
    for story in names:
        path = place / f"{story}{ENDING}"
        shape = _open_shape(path, repeats)
        n_voxels = n_voxels or shape[-1]
        if shape[-1] != n_voxels:
            raise LoadError(
                f"{path}: expected the {n_voxels} voxels of {names[0]}, got {shape[-1]}. "
                "It belongs to another subject; download it again."
            )
        for number in range(shape[0] if repeats else 1):
            later = delayed(partial(_read, path, number if repeats else None), pure=True)()
            blocks.append(
                da.from_delayed(later, shape[-2:], np.float32)  # type: ignore[no-untyped-call]
            )
            run = f"{story}_repeat-{number + 1:02d}" if repeats else story
            runs.append((run, story, number, shape[-2]))
    sizes = [size for *_, size in runs]
    volume = np.concatenate([np.arange(size) for size in sizes])
    width = len(str(n_voxels - 1))
    coords: dict[str, Any] = {
        "run": ("sample", np.repeat([run for run, *_ in runs], sizes)),
        "story": ("sample", np.repeat([story for _, story, *_ in runs], sizes)),
        "repeat": ("sample", np.repeat([number for *_, number, _ in runs], sizes)),
        "onset": ("sample", start + volume * tr),
        "duration": ("sample", np.full(len(volume), tr)),
        "subject": ("sample", np.full(len(volume), subject)),
        "neuroid": ("neuroid", np.array([f"voxel-{n:0{width}d}" for n in range(n_voxels)])),
    }
    attrs = {
        "kind": "responses",
        "modality": "fmri",
        "units": "z",
        "sampling_rate": 1 / tr,
        "space": "native",
        "source": f"ds003020 {subject}",
        "schema_version": SCHEMA_VERSION,
        "history": f"load_lebel: {len(runs)} runs, TR {tr:g} s, first volume at {start:g} s",
    }
    values = da.concatenate(blocks, axis=0)  # type: ignore[no-untyped-call]
    return check_responses(xr.DataArray(values, coords, ("sample", "neuroid"), attrs=attrs))


def load_lebel_words(
    folder: PathLike, *, stories: Sequence[str] | None = None, tier: str | None = None
) -> dict[str, pd.DataFrame]:
    r"""Read the words of stories and when they are said.

    Parameters
    ----------
    folder : path
        Root of ds003020; ``derivative/TextGrids/<story>.TextGrid`` is read.
    stories : sequence of str, optional
        All that are there when not given.
    tier : str, optional
        As in `load_transcript`.

    Returns
    -------
    dict of str to DataFrame
        Story -> ``onset``, ``duration`` [s from the start of the sound] and ``stimulus``, without
        the transcribers' marks of breath and noise.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> grid = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n2\n<exists>\n1\n'
    >>> grid += '"IntervalTier" "word"\n0 2 2\n0 1 "once"\n1 2 "upon"\n'
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "derivative/TextGrids/souls.TextGrid"
    ...     path.parent.mkdir(parents=True)
    ...     _ = path.write_text(grid)
    ...     words = load_lebel_words(folder)
    >>> words["souls"]["stimulus"].tolist()
    ['once', 'upon']
    """
    place = _find_folder(folder, "TextGrids")
    names = _choose_stories(place, ".TextGrid", stories)
    return {
        name: load_transcript(place / f"{name}.TextGrid", tier=tier, silences=NO_WORDS)
        for name in names
    }
