"""Who saw which image when in the Natural Scenes Dataset: one id, counted from 0.

The design counts images from 1 (``subjectim``, ``sharedix``), the table of images from 0
(``nsdId``). What leaves here is the row of the image in ``nsd_stimuli.hdf5``, from 0, as text.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.io

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders._files import check_file
from neuroalign.loaders._mat import UNREADABLE
from neuroalign.loaders._mat_tags import check_tags
from neuroalign.loaders._nsd_files import TRIALS
from neuroalign.loaders._tables import read_table

Array = npt.NDArray[Any]
N_SESSIONS = (40, 40, 32, 30, 40, 32, 40, 30)
EXPERIMENT = Path("nsddata/experiments/nsd")
# [s]; a trial begins every 4 s and its image stays for 3 s.
STEP, DURATION = 4.0, 3.0
NEEDED = ("masterordering", "subjectim", "sharedix")


def name_images(numbers: Array) -> Array:
    """Name images by their row among the 73000, from 0: ``nsd-00042``."""
    return np.array([f"nsd-{number:05d}" for number in np.asarray(numbers).tolist()])


def read_design(folder: Path) -> dict[str, Array]:
    """Read nsd_expdesign.mat, and compare its shared images with the table of images.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = check_file(folder / EXPERIMENT / "nsd_expdesign.mat", (".mat",))
    try:
        check_tags(path)
        held = scipy.io.loadmat(path)
    except UNREADABLE as error:
        raise DataCorruptionError(
            f"{path}: expected a MATLAB file, got '{error}'. Download it again."
        ) from error
    missing = [name for name in NEEDED if name not in held]
    if missing:
        raise LoadError(f"{path}: expected {list(NEEDED)}, missing {missing}. Download it again.")
    design = {name: np.asarray(held[name]).astype(np.int64) for name in NEEDED}
    design["masterordering"] = design["masterordering"].ravel()
    design["sharedix"] = design["sharedix"].ravel()
    if "stimpattern" in held:
        design["stimpattern"] = np.asarray(held["stimpattern"]).astype(bool)
    order, images = design["masterordering"], design["subjectim"]
    if len(images) != len(N_SESSIONS):
        raise LoadError(
            f"{path}: expected images of {len(N_SESSIONS)} subjects in subjectim, got "
            f"{len(images)}. Download it again."
        )
    if order.min() < 1 or order.max() > images.shape[1] or images.min() < 1:
        raise LoadError(
            f"{path}: expected orders and images counted from 1, got orders {order.min()} to "
            f"{order.max()} and images from {images.min()}. Download it again."
        )
    check_shared(design["sharedix"], folder / EXPERIMENT / "nsd_stim_info_merged.csv")
    return design


def check_shared(sharedix: Array, path: Path) -> None:
    """Compare the shared images (from 1) with the rows flagged in the table (ids from 0).

    Raises
    ------
    LoadError
        When they differ: an id off by one pairs every response with another image.
    """
    if not path.exists():
        return
    table = read_table(path)
    lacking = {"nsdId", "shared1000"} - set(table.columns)
    if lacking:
        raise LoadError(
            f"{path}: expected columns nsdId and shared1000, missing {sorted(lacking)}. "
            "Download it again."
        )
    flagged = table["shared1000"].str.lower().isin(["true", "1"])
    listed = np.sort(table.loc[flagged, "nsdId"].astype(np.int64).to_numpy())
    ours = np.sort(sharedix - 1)
    if not np.array_equal(listed, ours):
        raise LoadError(
            f"{path}: expected nsdId of shared1000 to be sharedix - 1 of nsd_expdesign.mat, got "
            f"{listed[:3].tolist()}... ({len(listed)}) and {ours[:3].tolist()}... ({len(ours)}). "
            "One of the files was renumbered; download both again."
        )


def describe_trials(folder: Path, subject: int, sessions: list[int]) -> pd.DataFrame:
    """List the trials of some sessions of one subject, in the order of the betas.

    Parameters
    ----------
    folder : Path
        The root of the dataset.
    subject : int
        From 1.
    sessions : list of int
        From 1.

    Returns
    -------
    DataFrame
        ``stimulus``, ``repeat`` (from 0, over the whole experiment), ``session``, ``trial`` (from
        0, in the session), ``shared``, ``duration`` [s]; ``run`` and ``onset`` [s] where the
        design holds ``stimpattern``.
    """
    design = read_design(folder)
    order = design["masterordering"]
    if max(sessions) * TRIALS > len(order):
        raise LoadError(
            f"sessions: expected 1 to {len(order) // TRIALS}, as the design has them, got "
            f"{max(sessions)}. "
            "Name sessions of the design."
        )
    images = design["subjectim"][subject - 1][order - 1] - 1
    table = pd.DataFrame({"image": images})
    table["repeat"] = table.groupby("image").cumcount()
    rows = np.concatenate([np.arange(TRIALS) + (one - 1) * TRIALS for one in sessions])
    table = table.iloc[rows].reset_index(drop=True)
    session = np.repeat(sessions, TRIALS)
    trials = pd.DataFrame(
        {
            "stimulus": name_images(table["image"].to_numpy()),
            "repeat": table["repeat"].to_numpy(),
            "session": [f"ses-{one:02d}" for one in session.tolist()],
            "trial": np.tile(np.arange(TRIALS), len(sessions)),
            "shared": np.isin(table["image"], design["sharedix"] - 1),
            "duration": DURATION,
        }
    )
    if "stimpattern" not in design:
        return trials
    runs, slots = [], []
    for one in sessions:
        run, slot = np.nonzero(design["stimpattern"][one - 1])
        if len(run) != TRIALS:
            raise LoadError(
                f"{folder / EXPERIMENT / 'nsd_expdesign.mat'}: expected {TRIALS} trials in "
                f"stimpattern of session {one}, got {len(run)}. Download it again."
            )
        runs += [f"ses-{one:02d}_run-{number + 1:02d}" for number in run.tolist()]
        slots.append(slot)
    return trials.assign(run=runs, onset=np.concatenate(slots) * STEP)
