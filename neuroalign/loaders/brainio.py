"""Brain-Score (BrainIO) assemblies to responses and back: plain netCDF, no subclass, no MultiIndex.

An assembly is one data variable over presentation, neuroid and time_bin in any order, or a table
of spikes over event; its coords are plain variables.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, SchemaError, choose, some
from neuroalign.loaders._brainio import (
    DIMS,
    EDGES,
    NAMES,
    PER_SECOND,
    keep_attrs,
    make_plain,
    open_assembly,
    parse_cells,
    read_bins,
)
from neuroalign.loaders._tables import read_table
from neuroalign.loaders._trials import UNIT_NUMBERS, UNIT_TEXTS
from neuroalign.loaders.spikes import bin_trials
from neuroalign.schema import SCHEMA_VERSION, add_history, check_responses
from neuroalign.storage import write_whole

Array = npt.NDArray[Any]
PathLike = Path | str


def _read_responses(
    array: xr.DataArray, scale: float, dtype: str, path: Path
) -> tuple[xr.DataArray, dict[str, Any]]:
    order = [dim for dim in DIMS if dim in array.dims]
    dims = [DIMS[dim] for dim in order]
    coords: dict[str, Any] = {}
    attrs = keep_attrs(array.attrs)
    for key, coord in array.coords.items():
        name = {**NAMES, **EDGES}.get(str(key), str(key))
        values = make_plain(name, np.asarray(coord.values), path)
        if not coord.dims:
            # One bin, squeezed away: the numbers stay as facts about all values.
            number = values.item()
            attrs[name] = number / scale if name in EDGES.values() else number
        elif name not in ("sample", "time"):
            coords[name] = (tuple(DIMS[str(dim)] for dim in coord.dims), values)
    for theirs, name in (("stimulus_id", "stimulus"), ("neuroid_id", "neuroid")):
        if name not in coords:
            raise LoadError(
                f"{path}: expected coord '{theirs}', got {some(array.coords, 20)}. Add it."
            )
    if "region" in coords and "roi" not in coords:
        coords["roi"] = coords["region"]
    if "time" in dims:
        read_bins(coords, attrs, scale, path)
    values = array.transpose(*order).values
    if values.dtype.kind not in "buif":
        raise LoadError(f"{path}: expected numbers, got {values.dtype}. Write responses only.")
    plain = keep_attrs(attrs)
    responses = xr.DataArray(values.astype(dtype), coords, dims, attrs=plain)
    if "time" in dims and (np.diff(responses["time"].values) < 0).any():
        responses = responses.sortby("time")
    return responses, plain


def _read_trains(array: xr.DataArray, path: Path) -> tuple[dict[str, Array], pd.DataFrame]:
    if "neuroid_id" not in array.coords:
        raise LoadError(
            f"{path}: expected coord 'neuroid_id' on event, got {some(array.coords, 20)}. Add it."
        )
    table = pd.DataFrame(
        {
            NAMES.get(str(key), str(key)): make_plain(
                NAMES.get(str(key), str(key)), np.asarray(coord.values), path
            )
            for key, coord in array.coords.items()
            if coord.dims == ("event",)
        }
    )
    groups = table.groupby("neuroid", sort=True)
    fixed = groups.nunique(dropna=False).le(1).all()
    units = groups.first()[[name for name in fixed.index if fixed[name]]]
    times = array.values.astype(np.float64)
    trains = {str(name): times[rows] for name, rows in groups.indices.items()}
    return trains, units


def read_brainio_spikes(path: PathLike) -> tuple[dict[str, Array], pd.DataFrame]:
    """Read a BrainIO table of spikes (dim ``event``) as trains, for `bin_trials` and its kin.

    Parameters
    ----------
    path : path
        ``.nc``; values are times [s].

    Returns
    -------
    trains : dict of str to array (spike,)
        Neuroid -> times [s].
    units : DataFrame
        Indexed by neuroid; every coord that has one value a neuroid.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xarray as xr
    >>> units = ("event", ["a-1", "a-2", "a-1"])
    >>> times = xr.DataArray([0.1, 0.2, 0.4], {"neuroid_id": units}, ("event",), name="data")
    >>> with TemporaryDirectory() as folder:
    ...     times.to_netcdf(f"{folder}/spikes.nc", engine="h5netcdf")
    ...     trains, _ = read_brainio_spikes(f"{folder}/spikes.nc")
    >>> trains["a-1"].tolist()
    [0.1, 0.4]
    """
    path = Path(path)
    array = open_assembly(path)
    if array.dims != ("event",):
        raise LoadError(
            f"{path}: expected spikes over dim 'event', got {array.dims}. Use load_brainio."
        )
    return _read_trains(array, path)


def _merge(responses: xr.DataArray, stimulus_set: PathLike) -> xr.DataArray:
    """Bring the columns of a stimulus set to the samples, by id; nothing is dropped or filled."""
    table = read_table(stimulus_set)
    column = next((name for name in ("stimulus_id", "image_id") if name in table), None)
    if column is None:
        raise LoadError(
            f"{stimulus_set}: expected column 'stimulus_id', got {some(table.columns, 20)}. "
            "Rename it."
        )
    ids = table[column]
    twice = ids[ids.duplicated()].unique().tolist()
    if twice:
        raise LoadError(
            f"{stimulus_set}: expected each stimulus_id once, got {len(twice)} repeated "
            f"({some(twice)}). Drop the copies: a merge would multiply the presentations."
        )
    shown = responses["stimulus"].values
    rows = pd.Index(ids).get_indexer(pd.Index(shown.tolist()))
    absent = sorted(set(shown[rows < 0].tolist()))
    if absent:
        raise LoadError(
            f"{stimulus_set}: expected every stimulus of the assembly, got none for {len(absent)} "
            f"({some(absent)}), while the table names them like {some(ids, 2)}. Bring the ids into "
            "one form."
        )
    coords = {}
    for name in table.columns.drop(column):
        values = parse_cells(table[name].tolist())[rows]
        if str(name) in (*responses.dims, "stimulus") or (
            name in responses.coords
            and responses[name].values.astype(str).tolist() != values.astype(str).tolist()
        ):
            raise LoadError(
                f"{stimulus_set}: expected column '{name}' to agree with the coord of the "
                "assembly, got other values. Rename the column."
            )
        if name not in responses.coords:
            coords[str(name)] = ("sample", values)
    return add_history(
        responses.assign_coords(coords), f"stimulus set merged: {Path(stimulus_set).name}"
    )


def load_brainio(
    path: PathLike,
    *,
    stimulus_set: PathLike | None = None,
    events: pd.DataFrame | None = None,
    window: tuple[float, float] | None = None,
    bin_width: float | None = None,
    time_unit: str = "ms",
    modality: str | None = None,
    units: str | None = None,
    dtype: str = "float32",
) -> xr.DataArray:
    """Load a Brain-Score (BrainIO) assembly.

    Parameters
    ----------
    path : path
        ``.nc``, netCDF-4, with one data variable over ``presentation``, ``neuroid`` and perhaps
        ``time_bin`` in any order, or a table of spike times [s] over ``event``.
    stimulus_set : path, optional
        ``.csv`` with a row for each ``stimulus_id`` (or ``image_id``); its columns become coords
        of the samples.
    events, window, bin_width
        For a table of spikes, and required there: as in `bin_trials`.
    time_unit : {"ms", "s"}
        Of ``time_bin_start`` and ``time_bin_end``; Brain-Score writes milliseconds.
    modality, units : str, optional
        What the file's attrs say when not given, else ``spikes`` and ``a.u.``.
    dtype : str

    Returns
    -------
    DataArray (sample, neuroid[, time])
        ``stimulus_id`` (once ``image_id``) becomes ``stimulus``, ``repetition`` ``repeat`` (as
        counted in the file), ``neuroid_id`` ``neuroid``; ``region`` is also ``roi``. Ids that are
        whole numbers become text. ``time`` [s] is the centre of each bin, ``time_start`` and
        ``time_stop`` are its edges, in attrs ``window`` [s] and, when all are equal,
        ``bin_width`` [s]. Attrs of the file stay, ``identifier`` and
        ``stimulus_set_identifier`` among them. Datetimes become ISO text.

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    LoadError
        When dims, ids or bins are not those of an assembly; when the stimulus set lacks a
        stimulus, repeats one, or contradicts the assembly.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from neuroalign.loaders import from_arrays, to_brainio
    >>> responses = from_arrays([[1.0, 2.0]], modality="spikes", stimulus=["cat"])
    >>> names = {"identifier": "lab.Study", "stimulus_set_identifier": "lab.set"}
    >>> with TemporaryDirectory() as folder:
    ...     loaded = load_brainio(to_brainio(responses, f"{folder}/assembly.nc", **names))
    >>> loaded.values.tolist(), loaded.attrs["identifier"]
    ([[1.0, 2.0]], 'lab.Study')
    """
    path = Path(path)
    scale = choose(PER_SECOND, time_unit, "time_unit")
    array = open_assembly(path)
    spikes = array.dims == ("event",)
    if not spikes and (events is not None or window is not None or bin_width is not None):
        raise LoadError(
            f"{path}: expected spikes over dim 'event' to bin, got {some(array.dims)}. Leave out "
            "events, window and bin_width."
        )
    if spikes:
        trains, table = _read_trains(array, path)
        if events is None or bin_width is None:
            raise LoadError(
                f"{path}: expected events= and bin_width= for a table of {array.size} spikes of "
                f"{len(trains)} neuroids, got none. Pass both, or use read_brainio_spikes."
            )
        responses = bin_trials(
            trains, events, window=window, bin_width=bin_width, units=table, source=path.name
        ).astype(dtype)
        known = {*UNIT_TEXTS, *UNIT_NUMBERS, *responses.coords}
        named = table.loc[responses["neuroid"].values.tolist()]
        more = {
            str(name): ("neuroid", make_plain(str(name), named[name].to_numpy(), path))
            for name in named.columns
            if name not in known
        }
        responses = responses.assign_coords(more)
        if "region" in responses.coords:
            responses = responses.assign_coords(roi=("neuroid", responses["region"].values))
        attrs = keep_attrs(array.attrs)
    else:
        responses, attrs = _read_responses(array, scale, dtype, path)
    defaults = {"modality": "spikes", "units": "a.u.", **responses.attrs, **attrs}
    given = {"modality": modality, "units": units}
    chosen = {key: value for key, value in given.items() if value is not None}
    fixed = {"kind": "responses", "source": path.name, "schema_version": SCHEMA_VERSION}
    responses = responses.assign_attrs({**defaults, **chosen, **fixed})
    responses = add_history(responses, f"load_brainio: {path.name}")
    if stimulus_set is not None:
        responses = _merge(responses, stimulus_set)
    try:
        return check_responses(responses)
    except SchemaError as error:
        raise LoadError(f"{path}: {error}") from error


def _make_bins(responses: xr.DataArray) -> dict[str, Any]:
    """Edges of the time bins [ms], from coords, or half a step around each centre."""
    if {"time_start", "time_stop"} <= set(responses.coords):
        start, stop = responses["time_start"].values, responses["time_stop"].values
    else:
        time = responses["time"].values.astype(float)
        steps = np.diff(time)
        rate = responses.attrs.get("sampling_rate")
        if rate is None and not (len(steps) and np.ptp(steps) < 1e-6 * steps[0]):
            raise SchemaError(
                "responses: expected attrs['sampling_rate'] [Hz] or evenly spaced 'time', got "
                "neither. Set the rate."
            )
        half = 0.5 / float(rate) if rate is not None else steps.mean() / 2
        start, stop = time - half, time + half
    edges = {}
    for name, values in (("time_bin_start", start), ("time_bin_end", stop)):
        scaled = np.round(np.asarray(values, dtype=float) * PER_SECOND["ms"], 6)
        whole = np.array_equal(scaled, np.round(scaled))
        edges[name] = ("time_bin", scaled.astype(np.int64) if whole else scaled)
    return edges


def to_brainio(
    responses: xr.DataArray, path: PathLike, *, identifier: str, stimulus_set_identifier: str
) -> Path:
    """Write responses as the netCDF assembly that BrainIO and Brain-Score read.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
    path : path
        ``.nc``; written whole.
    identifier, stimulus_set_identifier : str
        Names under which Brain-Score knows the assembly and its stimuli.

    Returns
    -------
    Path

    Raises
    ------
    SchemaError
        When the responses have no ``stimulus``, or their bins are not known.
    ValueError
        When the path does not end in ``.nc``.

    Notes
    -----
    ``repeat`` is counted within each stimulus when absent. The coord ``valid`` of ragged trials
    is left out: NaN in the values says the same.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xarray as xr
    >>> from neuroalign.loaders import from_arrays
    >>> responses = from_arrays([[1.0, 2.0]], modality="spikes", stimulus=["cat"])
    >>> names = {"identifier": "lab.Study", "stimulus_set_identifier": "lab.set"}
    >>> with TemporaryDirectory() as folder:
    ...     path = to_brainio(responses, f"{folder}/assembly.nc", **names)
    ...     xr.load_dataset(path)["stimulus_id"].values.tolist()
    ['cat']
    """
    check_responses(responses)
    path = Path(path)
    choose({".nc": None}, path.suffix, "path ending")
    for name, text in (
        ("identifier", identifier),
        ("stimulus_set_identifier", stimulus_set_identifier),
    ):
        if not text:
            raise SchemaError(f"{name}: expected a name, got an empty one. Name the assembly.")
    if "stimulus" not in responses.coords:
        raise SchemaError("responses: expected coord 'stimulus', got none. Assemblies need it.")
    dims = {ours: theirs for theirs, ours in DIMS.items()}
    names = {ours: theirs for theirs, ours in NAMES.items()}
    left_out = {"valid", "time", *EDGES.values()}
    coords: dict[str, Any] = {
        names.get(str(key), str(key)): (tuple(dims[str(dim)] for dim in coord.dims), coord.values)
        for key, coord in responses.coords.items()
        if key not in left_out
    }
    if "roi" in coords and ("region" not in coords or np.array_equal(*_pair(coords))):
        coords["region"] = coords.pop("roi")
    if "repetition" not in coords:
        labels = pd.Series(responses["stimulus"].values)
        coords["repetition"] = ("presentation", labels.groupby(labels).cumcount().to_numpy())
    if "time" in responses.dims:
        coords |= _make_bins(responses)
    attrs = {**responses.attrs, "identifier": identifier}
    attrs["stimulus_set_identifier"] = stimulus_set_identifier
    order = [dims[str(dim)] for dim in responses.dims]
    content = xr.Dataset({"data": (order, responses.values)}, coords, attrs)
    with write_whole(path) as partial_path:
        content.to_netcdf(partial_path, engine="h5netcdf")
    return path


def _pair(coords: Mapping[str, Any]) -> tuple[Array, Array]:
    return coords["roi"][1], coords["region"][1]
