"""Folders of suite2p to calcium responses: fluorescence, dF/F or deconvolved events.

``ops.npy`` and ``stat.npy`` are pickled objects, which can run code and are never read. The frame
rate, which stands in ``ops.npy``, must therefore be given; places of the cells are not known.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, choose, some
from neuroalign.loaders._npy import check_lengths, open_npy
from neuroalign.loaders.calcium import from_traces
from neuroalign.schema import add_history

Array = npt.NDArray[Any]
BASELINE_PERCENTILE = 8.0


def _read_traces(folder: Path, name: str, rois: Array) -> Array:
    """Read the rows of some rois: float32 (frame, roi)."""
    values = open_npy(folder / name)
    if values.ndim != 2 or values.dtype.kind != "f":
        raise LoadError(
            f"{folder / name}: expected floats (roi, frame), got {values.dtype} of shape "
            f"{values.shape}. Run suite2p again."
        )
    return np.asarray(values[rois], dtype=np.float32).T


def _correct(folder: Path, rois: Array, neuropil: float) -> Array:
    traces = _read_traces(folder, "F.npy", rois)
    if neuropil == 0:
        return traces
    around = _read_traces(folder, "Fneu.npy", rois)
    if around.shape != traces.shape:
        raise LoadError(
            f"{folder / 'Fneu.npy'}: expected shape {traces.shape[::-1]} as in F.npy, got "
            f"{around.shape[::-1]}. Copy both again."
        )
    traces -= np.float32(neuropil) * around
    return traces


def _relate(folder: Path, rois: Array, neuropil: float) -> Array:
    """Change relative to a baseline, the low percentile of each whole trace."""
    traces = _correct(folder, rois, neuropil)
    baseline = np.percentile(traces, BASELINE_PERCENTILE, axis=0)
    dark = np.flatnonzero(~(baseline > 0))
    if len(dark):
        raise LoadError(
            f"{folder / 'F.npy'}: expected a baseline above 0 for dF/F, got {baseline[dark[0]]:g} "
            f"for roi {rois[dark[0]]} ({len(dark)} of {len(rois)}). Lower neuropil=, or load 'F'."
        )
    return np.asarray((traces - baseline) / baseline, dtype=np.float32)


def _deconvolved(folder: Path, rois: Array, neuropil: float) -> Array:
    # suite2p subtracted the neuropil before it deconvolved.
    return _read_traces(folder, "spks.npy", rois)


SIGNALS: dict[str, Callable[[Path, Array, float], Array]] = {
    "F": _correct,
    "dff": _relate,
    "spks": _deconvolved,
}
UNITS = {"F": "a.u.", "dff": "dF/F", "spks": "a.u."}


def _find_planes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a suite2p folder, got none. Check the path.")
    if (folder / "F.npy").exists() or (folder / "spks.npy").exists():
        return [folder]
    planes = [path for path in folder.glob("plane*") if path.name[5:].isdigit()]
    if not planes:
        raise LoadError(
            f"{folder}: expected F.npy, or folders plane0, plane1..., got "
            f"{some(sorted(path.name for path in folder.iterdir())) or 'nothing'}. "
            "Name the folder 'suite2p' or one of its planes."
        )
    return sorted(planes, key=lambda path: int(path.name[5:]))


def _choose_rois(folder: Path, name: str, threshold: float | None) -> Array:
    """Positions of the rois that count as cells."""
    found = open_npy(folder / name)
    if threshold is None:
        return np.arange(len(found))
    cells = open_npy(folder / "iscell.npy")
    if cells.ndim != 2 or cells.shape[1] != 2:
        raise LoadError(
            f"{folder / 'iscell.npy'}: expected (roi, 2), is-cell and probability, got shape "
            f"{cells.shape}. Run suite2p again, or pass cells=False."
        )
    check_lengths([(folder / name, found), (folder / "iscell.npy", cells)])
    return np.flatnonzero((cells[:, 0] > 0) & (cells[:, 1] >= threshold))


def load_suite2p(
    folder: Path | str,
    *,
    rate: float | None = None,
    signal: str = "dff",
    neuropil: float = 0.7,
    cells: bool = True,
    least_probability: float = 0.0,
    start: float = 0.0,
    times: Any = None,
    events: pd.DataFrame | None = None,
    window: tuple[float, float] | None = None,
    how: str = "nearest",
    run: str = "run-01",
    session: str | None = None,
    subject: str | None = None,
) -> xr.DataArray:
    """Load the traces of a suite2p folder.

    Parameters
    ----------
    folder : path
        A plane, or ``suite2p`` with its planes, which are joined on ``neuroid``.
    rate : float, optional
        Frames of one plane a second [Hz]: ``ops['fs']``. ``ops.npy`` is a pickle, which is never
        read, so that `rate` or `times` is required.
    signal : {"dff", "F", "spks"}
        Change relative to baseline (8th percentile of the run), fluorescence, or deconvolved.
    neuropil : float
        How much of ``Fneu.npy`` is subtracted from ``F.npy``; suite2p's own default is 0.7. Not
        used for ``spks``.
    cells : bool
        Only what ``iscell.npy`` calls a cell.
    least_probability : float
        Only cells of this probability or more.
    start : float
        Time of the first frame [s] on the clock of the events.
    times : array (frame,), optional
        [s], instead of `rate` and `start`.
    events : DataFrame, optional
        ``onset``, ``duration`` [s] and ``stimulus``; one sample a frame without.
    window : (float, float), optional
        [s] from onset.
    how : {"nearest", "linear"}
        How frames give the value at a time, see `from_traces`.
    run : str
    session, subject : str, optional

    Returns
    -------
    DataArray (sample, neuroid) or (sample, neuroid, time)
        float32; neuroids are named by plane and roi, ``plane0/0012``.

    Raises
    ------
    FileNotFoundError, DataCorruptionError, LoadError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/F.npy", np.arange(15.0).reshape(3, 5))
    ...     np.save(f"{folder}/Fneu.npy", np.zeros((3, 5)))
    ...     np.save(f"{folder}/iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.8]]))
    ...     responses = load_suite2p(folder, rate=10.0, signal="F")
    >>> responses[0].values.tolist()  # the second roi is no cell
    [0.0, 10.0]
    """
    read = choose(SIGNALS, signal, "signal")
    folder = Path(folder)
    planes = _find_planes(folder)
    if rate is None and times is None:
        raise LoadError(
            f"{folder}: expected rate= [Hz] or times= [s], got none; ops.npy is a pickle, which "
            "is never read. Pass ops['fs'], as you know it from the recording."
        )
    name = "spks.npy" if signal == "spks" else "F.npy"
    rois = [_choose_rois(path, name, least_probability if cells else None) for path in planes]
    if not sum(map(len, rois)):
        raise LoadError(
            f"{folder}: expected cells in iscell.npy, got none of probability "
            f"{least_probability:g} or more. Lower least_probability=, or pass cells=False."
        )
    blocks = [read(path, rows, neuropil) for path, rows in zip(planes, rois, strict=True)]
    lengths = {path.name: len(block) for path, block in zip(planes, blocks, strict=True)}
    if len(set(lengths.values())) > 1:
        raise LoadError(
            f"{folder}: expected planes of equally many frames, got {lengths}. "
            "Load each plane apart."
        )
    responses = from_traces(
        np.concatenate(blocks, axis=1),
        times=times,
        rate=rate,
        start=start,
        events=events,
        window=window,
        how=how,
        neuroid=[
            f"{path.name}/{roi:04d}"
            for path, rows in zip(planes, rois, strict=True)
            for roi in rows.tolist()
        ],
        units=UNITS[signal],
        source=folder.name,
        run=run,
        session=session,
        subject=subject,
    )
    step = f"load_suite2p: {signal}, neuropil {neuropil:g}, {sum(map(len, rois))} rois"
    return add_history(responses, step)
