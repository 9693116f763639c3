"""CIFTI dense series to responses, and values on grayordinates back to CIFTI."""

import operator
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError, choose, require
from neuroalign.loaders._files import check_file
from neuroalign.loaders._lazy_runs import join_runs
from neuroalign.loaders._rows import take_rows
from neuroalign.loaders._runs import check_tr, sample_coords, series_attrs
from neuroalign.loaders._surface_runs import PathLike, list_runs
from neuroalign.loaders.gifti import UNREADABLE
from neuroalign.loaders.nifti import check_length
from neuroalign.schema import check_responses
from neuroalign.storage import write_whole

nib: Any = require("nibabel", "fmri")
Array = npt.NDArray[Any]
DAMAGED = (
    *UNREADABLE,
    nib.cifti2.Cifti2HeaderError,
    nib.spatialimages.HeaderDataError,
)
PREFIX = "CIFTI_STRUCTURE_"
CORTEX = ("CORTEX_LEFT", "CORTEX_RIGHT")
SIDES = {"_LEFT": "L", "_RIGHT": "R"}
# What the axes of a file make it, in words the user knows from file names.
KINDS: dict[tuple[str, ...], str] = {
    ("SeriesAxis", "BrainModelAxis"): "dtseries",
    ("ScalarAxis", "BrainModelAxis"): "dscalar",
    ("LabelAxis", "BrainModelAxis"): "dlabel",
    ("SeriesAxis", "ParcelsAxis"): "ptseries",
    ("ScalarAxis", "ParcelsAxis"): "pscalar",
    ("BrainModelAxis", "BrainModelAxis"): "dconn",
    ("ParcelsAxis", "ParcelsAxis"): "pconn",
}


def open_cifti(path: PathLike, kind: str) -> tuple[Any, Any, Any]:
    """Open a CIFTI-2 file after checking that it is whole and of the wanted kind.

    Parameters
    ----------
    path : path
    kind : str
        ``dtseries``, ``dlabel`` or another of ``KINDS``.

    Returns
    -------
    image : nibabel Cifti2Image
    rows, columns : nibabel axes

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = check_file(path, (".nii",))
    try:
        image: Any = nib.load(path)
    except DAMAGED as error:
        raise DataCorruptionError(
            f"{path}: expected a CIFTI-2 file, got '{error}'. Download it again."
        ) from error
    if not isinstance(image, nib.Cifti2Image):
        raise LoadError(
            f"{path}: expected a CIFTI-2 {kind}, got {type(image).__name__} without CIFTI axes. "
            "Load volumes with load_fmri."
        )
    check_length(image, path)
    axes = _read_axes(image, path)
    names = tuple(type(axis).__name__ for axis in axes)
    found = KINDS.get(names, "another kind")
    if found != kind:
        raise LoadError(
            f"{path}: expected a {kind}, got a {found} (axes {', '.join(names)}). "
            f"Name the .{kind}.nii file."
        )
    return image, axes[0], axes[1]


def _read_axes(image: Any, path: Path) -> tuple[Any, ...]:
    """The axes, after asking for what a damaged header would lack."""
    try:
        axes = tuple(image.header.get_axis(number) for number in range(image.ndim))
        for axis in axes:
            for count in getattr(axis, "nvertices", {}).values():
                operator.index(count)
    except DAMAGED as error:
        raise DataCorruptionError(
            f"{path}: expected a header with whole axes, got '{error}'. Download it again."
        ) from error
    return axes


def structure_names(axis: Any) -> Array:
    """Structures of a BrainModelAxis, without their prefix: str (neuroid,)."""
    return np.array([str(name).removeprefix(PREFIX) for name in axis.name], dtype=np.str_)


def _read_run(path: Path) -> Array:
    image: Any = nib.load(path)
    try:
        values: Array = np.asarray(image.dataobj, dtype=np.float32)
    except (*UNREADABLE, MemoryError, OverflowError) as error:
        raise DataCorruptionError(
            f"{path}: expected as many values as the header says, got '{error}'. Download it again."
        ) from error
    return values


def _read_tr(axis: Any, path: Path) -> float:
    if axis.unit != "SECOND":
        raise LoadError(f"{path}: expected a series in SECOND, got {axis.unit}. Pass tr= in s.")
    return check_tr(float(axis.step), path)


def _places(axis: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coords of the grayordinates, and the attrs that lead back to the file."""
    structure = structure_names(axis)
    surfaces = {str(name).removeprefix(PREFIX): n for name, n in axis.nvertices.items()}
    others = sorted(set(surfaces) - set(CORTEX))
    if others:
        raise LoadError(
            f"{path}: expected surfaces {' and '.join(CORTEX)}, got {others}. "
            "Load other structures by nibabel."
        )
    on_surface = np.asarray(axis.surface_mask)
    voxel = np.where(on_surface[:, None], -1, axis.voxel)
    vertex = np.where(on_surface, axis.vertex, -1)
    side = np.array([SIDES.get(name[name.rfind("_") :], "") for name in structure.tolist()])
    tails = [
        str(v) if on else "-".join(map(str, row))
        for on, v, row in zip(on_surface, vertex.tolist(), voxel.tolist(), strict=True)
    ]
    names = [f"{name}-{tail}" for name, tail in zip(structure, tails, strict=True)]
    coords: dict[str, Any] = {
        "neuroid": np.array(names),
        "structure": structure,
        "hemisphere": side.astype(np.str_),
        "vertex": vertex,
    }
    attrs: dict[str, Any] = {"n_vertices": [int(surfaces.get(name, 0)) for name in CORTEX]}
    xyz = np.full(voxel.shape, np.nan, dtype=np.float32)
    if not on_surface.all():
        affine = np.asarray(axis.affine, dtype=float)
        xyz[~on_surface] = voxel[~on_surface] @ affine[:3, :3].T + affine[:3, 3]
        attrs["affine"] = affine.ravel().tolist()
        attrs["grid_shape"] = [int(size) for size in axis.volume_shape]
    coords |= {name: voxel[:, n] for n, name in enumerate("ijk")}
    coords |= {name: xyz[:, n] for n, name in enumerate("xyz")}
    return {key: ("neuroid", value) for key, value in coords.items()}, attrs


def load_cifti(
    path: PathLike | Sequence[PathLike],
    *,
    events: Any = None,
    labels: Any = None,
    stimulus: str = "trial_type",
    tr: float | None = None,
    runs: Sequence[str] | None = None,
    session: str | None = None,
    subject: str | None = None,
    space: str = "fsLR",
) -> xr.DataArray:
    """Load runs of CIFTI dense series.

    Parameters
    ----------
    path : path, or sequence of paths (run,)
        ``.dtseries.nii``, all on the same grayordinates.
    events : path or DataFrame, or one for each run, optional
        A sample takes the label of the event that is on at its onset, else ``rest``;
        events that label none are warned of.
    labels : sequence (run) of sequence of str (sample,), optional
        Labels given directly, instead of events.
    stimulus : str
        The column of the events that names what was shown.
    tr : float, optional
        Repetition time [s]; from the series axis when not given.
    runs : sequence of str, optional
        Unique names, ``run-01`` and so on when not given.
    session, subject : str, optional
    space : str

    Returns
    -------
    DataArray (sample, neuroid)
        float32, lazy: each run is read when computed. On neuroid: ``structure`` (such as
        ``CORTEX_LEFT``), ``hemisphere``, ``vertex`` (-1 on voxels), ``i j k`` (-1 on vertices)
        and ``x y z`` [mm] (NaN on vertices).

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> brain = nib.cifti2.BrainModelAxis.from_surface([0, 2], 5, "CORTEX_LEFT")
    >>> header = (nib.cifti2.SeriesAxis(0, 2.0, 3), brain)
    >>> with TemporaryDirectory() as folder:
    ...     nib.save(nib.Cifti2Image(np.ones((3, 2)), header), f"{folder}/run.dtseries.nii")
    ...     responses = load_cifti(f"{folder}/run.dtseries.nii").load()
    >>> responses["vertex"].values.tolist(), responses["onset"].values.tolist()
    ([0, 2], [0.0, 2.0, 4.0])
    """
    paths = list_runs(path)
    if not paths:
        raise LoadError("path: expected one or more runs, got none. Name the files.")
    opened = [open_cifti(one, "dtseries") for one in paths]
    _, series, brain = opened[0]
    seconds = _read_tr(series, paths[0]) if tr is None else check_tr(float(tr), "tr")
    for one, (_, own, places) in zip(paths[1:], opened[1:], strict=True):
        if places != brain:
            raise LoadError(
                f"{one}: expected the {len(brain)} grayordinates of {paths[0].name}, got other "
                f"ones ({len(places)}). Load those runs apart."
            )
        if tr is None and abs(_read_tr(own, one) - seconds) > 1e-3:
            raise LoadError(
                f"{one}: expected the TR of {paths[0].name} ({seconds:g} s), got {own.step:g} s. "
                "Load those runs apart, or pass tr=."
            )
    sizes = [image.shape[0] for image, _, _ in opened]
    starts = [float(own.start) if tr is None else 0.0 for _, own, _ in opened]
    coords: dict[str, Any] = dict(
        sample_coords(
            paths,
            sizes,
            seconds,
            starts=starts,
            events=events,
            labels=labels,
            stimulus=stimulus,
            runs=runs,
            session=session,
            subject=subject,
        )
    )
    places, grid = _places(brain, paths[0])
    step = f"load_cifti: {len(paths)} runs, TR {seconds:g} s"
    values = join_runs([partial(_read_run, one) for one in paths], sizes, len(brain))
    attrs = series_attrs(paths, seconds, space, step) | grid
    array = xr.DataArray(values, coords | places, ("sample", "neuroid"), attrs=attrs)
    # Unnamed: xarray would take the name of the graph.
    return check_responses(array.rename(None))


def _brain_axis(values: xr.DataArray) -> Any:
    """The BrainModelAxis of the neuroids, in their order."""
    needed = {"structure", "vertex", "i", "j", "k"}
    missing = needed - set(values.coords) | {"n_vertices"} - set(values.attrs)
    if missing:
        raise SchemaError(
            f"values: expected grayordinates, missing {sorted(missing)}. "
            "Start from what load_cifti gave."
        )
    structure, vertex = values["structure"].values, values["vertex"].values
    starts = np.flatnonzero(np.r_[True, structure[1:] != structure[:-1]])
    if len(starts) != len(set(structure.tolist())):
        raise SchemaError("values: expected each structure in one piece. Sort by structure first.")
    voxel = np.stack([values[name].values for name in "ijk"], axis=1)
    counts = zip(CORTEX, values.attrs["n_vertices"], strict=True)
    space: dict[str, Any] = {}
    if (vertex < 0).any():
        if not {"affine", "grid_shape"} <= set(values.attrs):
            raise SchemaError(
                "values: expected attrs affine and grid_shape for voxels, got none. "
                "Start from what load_cifti gave."
            )
        space["affine"] = np.array(values.attrs["affine"], dtype=float).reshape(4, 4)
        space["volume_shape"] = tuple(int(size) for size in values.attrs["grid_shape"])
    return nib.cifti2.BrainModelAxis(
        np.array([PREFIX + name for name in structure.tolist()]),
        voxel=voxel,
        vertex=vertex,
        nvertices={PREFIX + name: int(n) for name, n in counts if name in structure},
        **space,
    )


def _series_axis(values: xr.DataArray) -> Any:
    if values.ndim != 2 or not {"onset", "duration"} <= set(values.coords):
        raise SchemaError(
            "values: expected (sample, neuroid) with onset and duration for a dtseries, got "
            f"{values.dims}. Write a .dscalar.nii."
        )
    onset, step = values["onset"].values, float(values["duration"].values[0])
    if len(onset) > 1 and np.abs(np.diff(onset) - step).max() > 1e-3:
        raise SchemaError(
            f"values: expected one run, one sample each {step:g} s, got gaps between onsets. "
            "Write each run to its own file."
        )
    return nib.cifti2.SeriesAxis(float(onset[0]), step, len(onset))


def _scalar_axis(values: xr.DataArray) -> Any:
    if values.ndim == 1:
        return nib.cifti2.ScalarAxis([str(values.name or "value")])
    if "stimulus" in values.coords:
        return nib.cifti2.ScalarAxis(values["stimulus"].values.tolist())
    return nib.cifti2.ScalarAxis([f"sample {number}" for number in range(values.shape[0])])


# Ending -> the axis of its rows, the intent of the file.
WRITERS: dict[str, tuple[Callable[[xr.DataArray], Any], str]] = {
    ".dtseries.nii": (_series_axis, "NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES"),
    ".dscalar.nii": (_scalar_axis, "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS"),
}


def to_cifti(values: xr.DataArray, path: PathLike) -> Path:
    """Put one value a grayordinate back where it came from.

    Parameters
    ----------
    values : DataArray (neuroid,) or (sample, neuroid)
        With coords ``structure``, ``vertex`` and ``i j k``, and attrs ``n_vertices`` and, for
        voxels, ``affine`` and ``grid_shape``. Only the neuroids that are there are written.
    path : path
        ``.dtseries.nii`` for one run, ``.dscalar.nii`` for maps; written whole, as float32.

    Returns
    -------
    Path

    Raises
    ------
    SchemaError
        When the places are not known, or samples are not one regular series.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> place = {"structure": ["CORTEX_LEFT"] * 2, "vertex": [0, 2]}
    >>> place |= dict.fromkeys("ijk", [-1, -1])
    >>> values = from_arrays([[1.0, 2.0]], modality="fmri", stimulus=["cat"], neuroid_coords=place)
    >>> with TemporaryDirectory() as folder:
    ...     path = to_cifti(values[0].assign_attrs(n_vertices=[5, 5]), f"{folder}/map.dscalar.nii")
    ...     np.asarray(nib.load(path).dataobj).tolist()
    [[1.0, 2.0]]
    """
    path = Path(path)
    make_rows, intent = choose(WRITERS, "".join(path.suffixes[-2:]), "path ending")
    rows = np.atleast_2d(take_rows(values))
    axes = (make_rows(values), _brain_axis(values))
    image = nib.Cifti2Image(rows, header=axes)
    image.nifti_header.set_data_dtype(np.float32)
    image.nifti_header.set_intent(intent)
    with write_whole(path) as partial_path:
        nib.save(image, partial_path)
    return path
