"""Movie runs of the Dynamic Natural Vision study (Wen et al. 2018, Cerebral Cortex).

18 training segments seen twice and 5 test segments seen ten times by each of three subjects.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, choose, some
from neuroalign.loaders._files import check_id
from neuroalign.loaders.cifti import CORTEX, load_cifti
from neuroalign.schema import add_history, check_responses

Array = npt.NDArray[Any]
PathLike = Path | str
TR = 2.0
# Split -> prefix of its segments, how many there are, how often each was shown.
SPLITS = {"train": ("seg", 18, 2), "test": ("test", 5, 10)}
# Volumes of a run -> those before the movie; four follow it, and 240 are left.
BEFORE = {245: 1, 246: 2}
AFTER = 4
MOVIE = 240
# Share of the spread that float32 cannot tell from none.
NOTHING = 1e-5


def _find_files(
    folder: PathLike, subject: str, split: str, segments: Sequence[int] | None
) -> list[tuple[str, int, Path]]:
    """List segment, repeat and file of every run; say which are not there."""
    prefix, n_segments, n_repeats = choose(SPLITS, split, "split")
    wanted = list(range(1, n_segments + 1)) if segments is None else list(segments)
    unknown = [number for number in wanted if number not in range(1, n_segments + 1)]
    if unknown or not wanted or len(set(wanted)) < len(wanted):
        raise LoadError(
            f"segments: expected distinct numbers from 1 to {n_segments} for split '{split}', got "
            f"{wanted}. Correct them."
        )
    root = Path(folder) / check_id(subject, "subject") / "fmri"
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: expected the folder of one subject, got none. Name the folder that holds "
            "subject1, subject2 and subject3."
        )
    runs = [
        (name, repeat, root / name / "cifti" / f"{name}_{repeat}_Atlas.dtseries.nii")
        for name in (f"{prefix}{number}" for number in wanted)
        for repeat in range(1, n_repeats + 1)
    ]
    absent = [str(path.relative_to(root)) for _, _, path in runs if not path.exists()]
    if absent:
        raise LoadError(
            f"{root}: expected {len(runs)} runs of split '{split}', got {len(runs) - len(absent)}. "
            f"Missing: {some(absent)}. Download them, or pass segments=."
        )
    return runs


def _clean(values: Array, *, basis: Array, standardize: bool) -> Array:
    """Project a polynomial out of one run (volume, neuroid); the mean stays unless z-scored."""
    mean = values.mean(axis=0, dtype=np.float64)
    centred = values - mean
    clean = centred - basis @ (basis.T @ centred)
    if not standardize:
        return np.asarray(clean + mean, dtype=np.float32)
    spread, before = clean.std(axis=0), centred.std(axis=0)
    # What rounding leaves of a pure trend is no signal, and stays at zero.
    kept = spread > NOTHING * before
    return np.asarray(np.where(kept, clean / np.where(kept, spread, 1), 0), dtype=np.float32)


def _make_basis(order: int) -> Array:
    """Orthonormal polynomials of order 1 and up over the movie: (volume, order)."""
    powers = np.vander(np.linspace(-1, 1, MOVIE), order + 1, increasing=True)
    return np.asarray(np.linalg.qr(powers)[0][:, 1:])


def load_dynamic_vision(
    folder: PathLike,
    *,
    subject: str,
    split: str = "train",
    segments: Sequence[int] | None = None,
    cortex: bool = True,
    polynomial: int = 4,
    standardize: bool = True,
) -> xr.DataArray:
    """Load the movie runs of one subject, cut to the movie.

    Parameters
    ----------
    folder : path
        Holds ``subject1/fmri/seg1/cifti/seg1_1_Atlas.dtseries.nii`` and so on.
    subject : str
        ``subject1``, ``subject2`` or ``subject3``.
    split : {"train", "test"}
        ``seg1`` to ``seg18``, two repeats, or ``test1`` to ``test5``, ten repeats.
    segments : sequence of int, optional
        Numbers of segments; all when not given.
    cortex : bool
        Keep the two cortical surfaces only, as the authors do.
    polynomial : int
        Order of the trend that is removed from each run; 0 removes none.
    standardize : bool
        To mean 0 and variance 1 within each run.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, lazy, 240 samples a run. ``run`` is ``seg1_1``, ``segment`` is ``seg1``,
        ``repeat`` counts from 0, ``onset`` is [s] from the start of the movie, and ``stimulus``
        names the moment: ``seg1_004`` is the volume at 8 s, in every repeat.

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    LoadError
        When runs are missing (each is named) or have other than 245 or 246 volumes.

    Notes
    -----
    The TR of 2 s, the volumes before (1 of 245, 2 of 246) and after (4) the movie, and the trend
    of order 4 follow scripts made after the authors' own. Unverified against the data: names of
    folders, and that the first volume kept is at the start of the movie.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> brain = nib.cifti2.BrainModelAxis.from_surface([0, 2], 5, "CORTEX_LEFT")
    >>> header = (nib.cifti2.SeriesAxis(0, 2.0, 245), brain)
    >>> values = np.random.default_rng(0).normal(size=(245, 2)).astype("float32")
    >>> with TemporaryDirectory() as folder:
    ...     place = Path(folder) / "subject1/fmri/seg1/cifti"
    ...     place.mkdir(parents=True)
    ...     for run in ("seg1_1", "seg1_2"):
    ...         nib.save(nib.Cifti2Image(values, header), place / f"{run}_Atlas.dtseries.nii")
    ...     responses = load_dynamic_vision(folder, subject="subject1", segments=[1]).load()
    >>> responses.shape, responses["stimulus"].values[[4, 244]].tolist()
    ((480, 2), ['seg1_004', 'seg1_004'])
    """
    if not 0 <= polynomial < 20:
        raise LoadError(f"polynomial: expected an order of 0 to 19, got {polynomial}. Try 4.")
    runs = _find_files(folder, subject, split, segments)
    names = [f"{segment}_{repeat}" for segment, repeat, _ in runs]
    paths = [path for _, _, path in runs]
    whole = load_cifti(paths, tr=TR, runs=names, subject=subject)
    kept, start = [], 0
    for path, size in zip(paths, whole.chunksizes["sample"], strict=True):
        if size not in BEFORE:
            raise LoadError(
                f"{path}: expected 245 or 246 volumes, got {size}. Download the run again."
            )
        kept.append(np.arange(start + BEFORE[size], start + size - AFTER))
        start += size
    responses = whole.isel(sample=np.concatenate(kept))
    if cortex:
        responses = responses.isel(neuroid=np.isin(responses["structure"].values, CORTEX))
    # One block a run: cleaning must see all of its volumes.
    values = responses.data.rechunk((MOVIE, -1))
    if polynomial or standardize:
        basis = _make_basis(polynomial)
        clean = partial(_clean, basis=basis, standardize=standardize)
        values = values.map_blocks(clean, dtype=np.float32)
    responses = responses.copy(data=values)
    volume = np.tile(np.arange(MOVIE), len(runs))
    segment = np.repeat([name for name, _, _ in runs], MOVIE)
    moment = [f"{name}_{n:03d}" for name, n in zip(segment.tolist(), volume.tolist(), strict=True)]
    responses = responses.assign_coords(
        onset=("sample", volume * TR),
        duration=("sample", np.full(len(volume), TR)),
        repeat=("sample", np.repeat([repeat - 1 for _, repeat, _ in runs], MOVIE)),
        segment=("sample", segment),
        stimulus=("sample", np.array(moment)),
    )
    steps = {
        f"load_dynamic_vision: {split}, {len(runs)} runs cut to {MOVIE} volumes": True,
        f"trend of order {polynomial} removed per run": polynomial > 0,
        "standardised per run: zscore": standardize,
    }
    for step, done in steps.items():
        responses = add_history(responses, step) if done else responses
    units = "z" if standardize else responses.attrs.get("units", "a.u.")
    return check_responses(responses.assign_attrs(units=units))
