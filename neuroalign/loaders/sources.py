"""Source estimates to responses: one neuroid a vertex or grid point of the brain."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, NeuroalignWarning, require, some
from neuroalign.loaders._mne import FRAMES, name_samples, reading
from neuroalign.loaders.arrays import from_arrays

mne: Any = require("mne", "meg")
Array = npt.NDArray[Any]
SIDES = ("L", "R")
# Furthest point of a head, or of a small animal's brain [mm].
REACH = (2, 400)
ENDINGS = ("-lh.stc", "-rh.stc", "-vl.stc", "-vol.stc", "-lh.w", "-rh.w")


def _read(estimate: Any) -> tuple[Any, str]:
    """Read one estimate, with its name; an opened one passes through."""
    if not isinstance(estimate, str | Path):
        return estimate, ""
    path = Path(estimate)
    if not path.exists() and not list(path.parent.glob(f"{path.name}-*")):
        raise FileNotFoundError(
            f"{path}: expected '{path.name}-lh.stc' and '-rh.stc', got no such files. "
            "Name the estimate without its ending."
        )
    with reading(path):
        stc = mne.read_source_estimate(path)
    base = path.name
    for ending in ENDINGS:
        base = base.removesuffix(ending)
    return stc, base


def _name_parts(stc: Any) -> list[str]:
    """Hemispheres of surfaces, '' for volumes, in the order of the data."""
    volume = isinstance(stc, mne.VolSourceEstimate)
    n_surfaces = 0 if volume else min(2, len(stc.vertices))
    return [*SIDES[:n_surfaces], *[""] * (len(stc.vertices) - n_surfaces)]


def _vertices(stc: Any, name: str) -> tuple[Array, Array, Array]:
    """Vertex numbers, hemispheres and number of the part, in the order of the data."""
    shape = np.shape(stc.data)
    if len(shape) != 2 or not hasattr(stc, "vertices"):
        raise LoadError(
            f"{name}: expected one value a vertex and time, got {type(stc).__name__} {shape}. "
            "Take its magnitude() or project() first."
        )
    parts = [np.asarray(part, dtype=int) for part in stc.vertices]
    sizes = [len(part) for part in parts]
    side = np.repeat(np.array(_name_parts(stc), dtype="<U1"), sizes)
    return np.concatenate(parts), side, np.repeat(np.arange(len(parts)), sizes)


def _name_points(stc: Any, vertex: Array, part: Array) -> list[str]:
    """Give each point a name of its own: volumes of several parts may repeat their numbers."""
    sides = _name_parts(stc)
    apart = sides.count("") > 1
    names = [side or (f"V{number}" if apart else "V") for number, side in enumerate(sides)]
    return [f"{names[own]}-{number}" for own, number in zip(part, vertex, strict=True)]


def _places_of_space(space: Any) -> tuple[list[Array], str]:
    """Positions of all points of each part of a source space [mm], and their frame."""
    if isinstance(space, str | Path):
        with reading(space):
            space = mne.read_source_spaces(space, verbose="warning")
    frame = FRAMES.get(int(space[0]["coord_frame"]), "unknown")
    meshes = [np.asarray(part["rr"]) * 1000 for part in space]
    reach = max(float(np.abs(mesh).max()) for mesh in meshes)
    if not REACH[0] < reach < REACH[1]:
        warnings.warn(
            f"source_space: expected points {REACH[0]} to {REACH[1]} mm from the origin at most, "
            f"got {reach:g} mm. Its unit may not be metres; check it.",
            NeuroalignWarning,
            stacklevel=3,
        )
    return meshes, frame


def _place(
    vertex: Array, part: Array, sides: Sequence[str], meshes: Sequence[Array], name: str
) -> Array:
    if len(meshes) != len(sides):
        raise LoadError(
            f"{name}: expected one mesh for each of {len(sides)} parts, got {len(meshes)}. "
            "Pass all parts."
        )
    places = np.empty((len(vertex), 3))
    for number, (mesh, label) in enumerate(zip(meshes, sides, strict=True)):
        rows = part == number
        if rows.any() and vertex[rows].max() >= len(mesh):
            raise LoadError(
                f"{name}: expected a mesh with vertex {vertex[rows].max()} in hemisphere "
                f"'{label}', got {len(mesh)} vertices. Pass the mesh they were estimated on."
            )
        places[rows] = np.asarray(mesh)[vertex[rows]]
    return places


def load_source_estimates(
    estimates: Any,
    *,
    stimulus: Sequence[str] | None = None,
    source_space: Any = None,
    mesh: Mapping[str, Any] | None = None,
    modality: str = "meg",
    units: str = "a.u.",
    space: str | None = None,
    run: str | None = None,
    session: str | None = None,
    subject: str | None = None,
    dtype: str = "float32",
) -> xr.DataArray:
    """Load source estimates, one sample each.

    Parameters
    ----------
    estimates : path or mne.SourceEstimate, or a sequence of them
        Paths with or without ``-lh.stc`` (both hemispheres are read) or ``-vl.stc``; on the same
        vertices and times.
    stimulus : sequence of str (sample,), optional
        Names of the files when not given.
    source_space : path or mne.SourceSpaces, optional
        Gives the positions, in its own frame.
    mesh : mapping with "L" and "R" to arrays (vertex, 3), optional
        [mm]; positions of the surface's vertices instead.
    modality : {"meg", "eeg", "ieeg"}
    units : str
        Of the estimate, such as ``"A m"``; dSPM and its like have none.
    space : str, optional
        Name of the space, such as ``"fsaverage"``; else the frame of the source space.
    run, session, subject : str, optional
    dtype : str
        ``"float64"`` keeps all bits of an estimate that was not read from a file.

    Returns
    -------
    DataArray (sample, neuroid, time)
        With coords ``vertex``, ``hemisphere`` and, when known, ``x y z`` [mm].

    Raises
    ------
    FileNotFoundError, LoadError, SchemaError

    Examples
    --------
    >>> import mne
    >>> import numpy as np
    >>> values = np.arange(12.0).reshape(3, 4)  # three vertices, four times
    >>> vertices = [np.array([0, 4]), np.array([2])]
    >>> estimate = mne.SourceEstimate(values, vertices, tmin=0.0, tstep=0.01)
    >>> responses = load_source_estimates(estimate, stimulus=["tone"])
    >>> responses["vertex"].values.tolist(), responses["hemisphere"].values.tolist()
    ([0, 4, 2], ['L', 'L', 'R'])
    """
    items = list(estimates) if isinstance(estimates, list | tuple) else [estimates]
    if not items:
        raise LoadError("estimates: expected one or more, got none. Name the files.")
    read = [_read(item) for item in items]
    names = [base or f"estimate-{n:02d}" for n, (_, base) in enumerate(read)]
    from_files = [base for _, base in read if base]
    if len(set(from_files)) < len(from_files):
        raise LoadError(
            f"estimates: expected each once, got one twice among {some(from_files)}. A "
            "name without '-lh.stc' reads both hemispheres, and either of its files does too."
        )
    first = read[0][0]
    vertex, side, part = _vertices(first, names[0])
    for (stc, _), name in zip(read, names, strict=True):
        own = _vertices(stc, name)
        same = all(map(np.array_equal, own, (vertex, side, part)))
        if not same or not np.array_equal(stc.times, first.times):
            raise LoadError(
                f"{name}: expected the {len(vertex)} vertices and {len(first.times)} times of "
                f"{names[0]}, got {len(own[0])} and {len(stc.times)}. Morph and crop them alike."
            )
    coords: dict[str, Any] = {"vertex": vertex}
    frame = ""
    if source_space is not None:
        meshes, frame = _places_of_space(source_space)
    elif mesh is not None:
        meshes = [np.asarray(mesh[label]) for label in SIDES if label in mesh]
    if source_space is not None or mesh is not None:
        name = "source_space" if source_space is not None else "mesh"
        places = _place(vertex, part, _name_parts(first), meshes, name)
        coords |= {axis: places[:, number] for number, axis in enumerate("xyz")}
    attrs = {"space": space or frame, "source": ", ".join(dict.fromkeys(b for _, b in read if b))}
    responses = from_arrays(
        np.array([stc.data for stc, _ in read]),
        modality=modality,
        units=units,
        stimulus=names if stimulus is None else stimulus,
        sampling_rate=1 / float(first.tstep),
        time=first.times,
        neuroid=_name_points(first, vertex, part),
        neuroid_coords=coords,
        attrs={key: value for key, value in attrs.items() if value}
        | {"history": f"load_source_estimates: {len(items)} estimates"},
        dtype=dtype,
        **name_samples(len(items), run=run, session=session, subject=subject),
    )
    # Volumes beside surfaces have no hemisphere, which is '' and no missing label.
    return responses.assign_coords(hemisphere=("neuroid", side)) if side.any() else responses
