"""Source estimates to responses: one neuroid a vertex or grid point of the brain."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, NeuroalignWarning, require
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
            f"{path}: expected '{path.name}-lh.stc' and '-rh.stc', got no such files."
        )
    with reading(path):
        stc = mne.read_source_estimate(path)
    base = path.name
    for ending in ENDINGS:
        base = base.removesuffix(ending)
    return stc, base


def _vertices(stc: Any, name: str) -> tuple[Array, Array]:
    """Vertex numbers and hemispheres, in the order of the data."""
    shape = np.shape(stc.data)
    if len(shape) != 2 or not hasattr(stc, "vertices"):
        raise LoadError(
            f"{name}: expected one value a vertex and time, got {type(stc).__name__} {shape}. "
            "Take its magnitude() or project() first."
        )
    parts = [np.asarray(part, dtype=int) for part in stc.vertices]
    names = SIDES if len(parts) == 2 else ("",) * len(parts)
    side = [label for label, part in zip(names, parts, strict=True) for _ in part]
    return np.concatenate(parts), np.array(side, dtype="<U1")


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


def _place(vertex: Array, side: Array, meshes: Sequence[Array], name: str) -> Array:
    parts = SIDES if side[0] else ("",)
    if len(meshes) != len(parts):
        raise LoadError(
            f"{name}: expected one mesh for each of {parts}, got {len(meshes)}. Pass all parts."
        )
    places = np.empty((len(vertex), 3))
    for mesh, label in zip(meshes, parts, strict=True):
        rows = side == label
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
    """
    items = list(estimates) if isinstance(estimates, list | tuple) else [estimates]
    if not items:
        raise LoadError("estimates: expected one or more, got none.")
    read = [_read(item) for item in items]
    names = [base or f"estimate-{n:02d}" for n, (_, base) in enumerate(read)]
    first = read[0][0]
    vertex, side = _vertices(first, names[0])
    for (stc, _), name in zip(read, names, strict=True):
        own = _vertices(stc, name)
        same = np.array_equal(own[0], vertex) and np.array_equal(own[1], side)
        if not same or not np.array_equal(stc.times, first.times):
            raise LoadError(
                f"{name}: expected the {len(vertex)} vertices and {len(first.times)} times of "
                f"{names[0]}, got {len(own[0])} and {len(stc.times)}. Morph and crop them alike."
            )
    coords: dict[str, Any] = {"vertex": vertex, "hemisphere": side.tolist() if side[0] else None}
    frame = ""
    if source_space is not None:
        meshes, frame = _places_of_space(source_space)
    elif mesh is not None:
        meshes = [np.asarray(mesh[label]) for label in SIDES if label in mesh]
    if source_space is not None or mesh is not None:
        places = _place(vertex, side, meshes, "source_space" if mesh is None else "mesh")
        coords |= {axis: places[:, number] for number, axis in enumerate("xyz")}
    attrs = {"space": space or frame, "source": ", ".join(dict.fromkeys(b for _, b in read if b))}
    return from_arrays(
        np.array([stc.data for stc, _ in read]),
        modality=modality,
        units=units,
        stimulus=names if stimulus is None else stimulus,
        sampling_rate=1 / float(first.tstep),
        time=first.times,
        neuroid=[f"{label or 'V'}-{number}" for label, number in zip(side, vertex, strict=True)],
        neuroid_coords=coords,
        attrs={key: value for key, value in attrs.items() if value}
        | {"history": f"load_source_estimates: {len(items)} estimates"},
        dtype=dtype,
        **name_samples(len(items), run=run, session=session, subject=subject),
    )
