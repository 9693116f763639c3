"""NIfTI runs to responses: one sample a volume, one neuroid a voxel."""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, NeuroalignWarning, choose, some
from neuroalign.loaders._cleaning import STANDARDIZE, UNITS, clean_run, list_steps, make_drifts
from neuroalign.loaders._files import check_file
from neuroalign.loaders._lazy_runs import join_runs
from neuroalign.loaders._runs import (
    check_names,
    check_tr,
    sample_coords,
    series_attrs,
    split_runs,
)
from neuroalign.loaders.events import ENDINGS
from neuroalign.loaders.nifti import (
    check_affine,
    check_length,
    open_series,
    read_mask,
    read_tr,
    read_volumes,
)
from neuroalign.schema import check_responses

Array = npt.NDArray[Any]
PathLike = Path | str


def _read_run(
    path: PathLike, inside: Array, nuisance: Array, standardize: str | None, verify: bool
) -> Array:
    values = read_volumes(path, inside, verify=verify)
    n_bad = clean_run(values, nuisance, standardize)
    if n_bad:
        warnings.warn(
            f"{path}: expected finite values, got NaN or infinity in {n_bad} of "
            f"{values.shape[1]} voxels; after detrending or standardising all of their run is NaN. "
            "Mask them out.",
            NeuroalignWarning,
            stacklevel=2,
        )
    return values


def _read_confounds(
    source: Any, columns: Sequence[str] | None, n: int, path: PathLike
) -> tuple[Array, bool]:
    """Confounds of one run (volume, confound); NaN in the first row takes the column's mean."""
    if isinstance(source, str | Path):
        table = pd.read_csv(check_file(source, ENDINGS), sep="\t", na_values=["n/a"])
    else:
        table = pd.DataFrame(np.asarray(source))
    if columns is not None:
        absent = [name for name in columns if name not in table]
        if absent:
            raise LoadError(
                f"{source}: expected columns {absent}, got {list(table.columns)[:8]}. "
                "Name columns of the table."
            )
        table = table[list(columns)]
    name = source if isinstance(source, str | Path) else "confounds"
    if len(table) != n:
        raise LoadError(
            f"{name}: expected {n} rows (volumes of {path}), got {len(table)}. Pair them."
        )
    bad = [
        str(column)
        for column in table
        if table[column].dtype.kind not in "buif" or np.isinf(table[column]).any()
    ]
    if bad:
        raise LoadError(f"{name}: expected finite numbers, got others in {some(bad)}. Drop those.")
    holes = table.columns[table.iloc[1:].isna().any()].tolist()
    if holes:
        raise LoadError(
            f"{name}: expected NaN in the first row at most, got more in {holes[:5]}. Drop those."
        )
    filled = bool(table.iloc[0].isna().any())
    return table.fillna(table.mean()).to_numpy(dtype=float), filled


def _name_voxels(ijk: Array, shape: Sequence[int]) -> Array:
    """Names 'i-j-k'; each number is written once, not once a voxel."""
    # As wide as needed: text of whole numbers is 21 characters wide by default.
    numbers = [np.arange(size).astype(f"U{len(str(size))}") for size in shape[:3]]
    i, j, k = (texts[ijk[:, axis]] for axis, texts in enumerate(numbers))
    names = np.strings.add(np.strings.add(i, "-"), np.strings.add(np.strings.add(j, "-"), k))
    return names.astype(f"U{np.strings.str_len(names).max(initial=1)}")


def load_fmri(
    bold: PathLike | Sequence[PathLike],
    *,
    mask: PathLike | None = None,
    events: Any = None,
    labels: Any = None,
    stimulus: str = "trial_type",
    confounds: Any = None,
    confound_columns: Sequence[str] | None = None,
    tr: float | None = None,
    runs: Sequence[str] | None = None,
    session: str | None = None,
    subject: str | None = None,
    detrend: bool = False,
    high_pass: float | None = None,
    standardize: str | None = None,
    verify: bool = True,
) -> xr.DataArray:
    """Load runs of volumes.

    Parameters
    ----------
    bold : path, or sequence of paths
        4-D NIfTI, one a run, on one grid.
    mask : path, optional
        3-D NIfTI of 0 and 1 on that grid; all voxels without it.
    events : path or DataFrame, or one for each run, optional
        A volume takes the label of the event that is on at its onset, else ``rest``;
        events that label none are warned of.
    labels : sequence (run) of sequence of str (volume,), optional
        Labels given directly, instead of events.
    stimulus : str
        The column of the events that names what was shown.
    confounds : path or array (volume, confound), one for each run, optional
        Regressed out.
    confound_columns : sequence of str, optional
    tr : float, optional
        Repetition time [s]; from the header when not given.
    runs : sequence of str, optional
        Unique names, ``run-01`` and so on when not given.
    session, subject : str, optional
    detrend : bool
        Remove a linear trend of each run.
    high_pass : float, optional
        Remove discrete cosines below this frequency [Hz].
    standardize : {"zscore", "percent"} or None
        Within each run, as the last step.
    verify : bool
        Compare lengths when files are opened and, when a run is computed, the CRC of gzipped
        ones, in the same read: a file with a flipped byte never gives values.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, lazy: each run is read when computed. Steps stand in ``history``, in the order
        done: confounds, trend and cosines in one projection, then standardisation.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Examples
    --------
    Two runs, z-scored within runs, each volume labelled:

    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(size=(2, 2, 1, 4)).astype("float32")
    >>> with TemporaryDirectory() as folder:
    ...     paths = [f"{folder}/{run}.nii.gz" for run in ("run-01", "run-02")]
    ...     for path in paths:
    ...         nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    ...     responses = load_fmri(paths, labels=[list("abcd")] * 2, tr=2.0, standardize="zscore")
    ...     responses.shape, bool(abs(responses.mean("sample")).max() < 1e-6)
    ((8, 4), True)
    """
    paths = [bold] if isinstance(bold, str | Path) else list(bold)
    if not paths:
        raise LoadError("bold: expected one or more runs, got none. Name the files.")
    names = check_names(runs, len(paths))
    for path in paths:
        check_file(path, (".nii", ".nii.gz"))
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise LoadError(
            f"bold: expected each run once, got a file twice in {some(paths)}. Drop the copies."
        )
    if labels is not None and events is not None:
        raise LoadError("labels: expected labels or events, got both. Pass one of them.")
    if standardize is not None:
        choose(STANDARDIZE, standardize, "standardize")
    tables = split_runs(events, len(paths), "events")
    texts = split_runs(labels, len(paths), "labels")
    nuisances = split_runs(confounds, len(paths), "confounds")

    first, shape = open_series(paths[0], verify=False)
    inside = np.ones(shape[:3], bool) if mask is None else read_mask(mask, first, paths[0])
    seconds = read_tr(first, paths[0]) if tr is None else check_tr(tr)
    if high_pass is not None and not 0 < high_pass < 0.5 / seconds:
        raise LoadError(
            f"high_pass: expected a frequency between 0 and {0.5 / seconds:g} Hz (half the "
            f"sampling rate), got {high_pass:g}. Give 1 / period, such as 1 / 128."
        )
    reads, sizes, filled = [], [], False
    for number, path in enumerate(paths):
        image, own = (first, shape) if number == 0 else open_series(path, verify=False)
        if verify:
            check_length(image, path)
        if own[:3] != shape[:3]:
            raise LoadError(
                f"{path}: expected the grid {shape[:3]} of {paths[0]}, got {own[:3]}. "
                "Resample it, or load it apart."
            )
        check_affine(image.affine, first.affine, path, paths[0])
        if tr is None and abs(read_tr(image, path) - seconds) > 1e-3:
            raise LoadError(
                f"{path}: expected the TR of {paths[0]} ({seconds:g} s), got "
                f"{read_tr(image, path):g} s. Load those runs apart, or pass tr=."
            )
        nuisance = make_drifts(own[3], seconds, detrend, high_pass)
        if nuisances[number] is not None:
            extra, hole = _read_confounds(nuisances[number], confound_columns, own[3], path)
            nuisance, filled = np.column_stack([extra, nuisance]), filled or hole
        reads.append(partial(_read_run, path, inside, nuisance, standardize, verify))
        sizes.append(own[3])
    coords: dict[str, Any] = dict(
        sample_coords(
            paths,
            sizes,
            seconds,
            starts=[0.0] * len(paths),
            events=tables,
            labels=texts,
            stimulus=stimulus,
            runs=names,
            session=session,
            subject=subject,
        )
    )
    ijk = np.argwhere(inside)
    xyz = (ijk @ first.affine[:3, :3].T + first.affine[:3, 3]).astype(np.float32)
    coords["neuroid"] = ("neuroid", _name_voxels(ijk, shape))
    coords |= {axis: ("neuroid", ijk[:, n]) for n, axis in enumerate("ijk")}
    coords |= {axis: ("neuroid", xyz[:, n]) for n, axis in enumerate("xyz")}
    steps = [
        f"load_fmri: {len(paths)} runs, TR {seconds:g} s",
        *list_steps(confounds is not None, detrend, high_pass, standardize, filled=filled),
    ]
    attrs = series_attrs(paths, seconds, None, "\n".join(steps)) | {
        "units": UNITS.get(standardize or "", "a.u."),
        "affine": first.affine.ravel().tolist(),
        "grid_shape": list(shape[:3]),
    }
    values = join_runs(reads, sizes, len(ijk))
    responses = xr.DataArray(values, coords, ("sample", "neuroid"), attrs=attrs)
    # Unnamed: xarray would take the name of the graph.
    return check_responses(responses.rename(None))
