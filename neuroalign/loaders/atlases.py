"""Labels of regions from an atlas onto the neuroids of responses.

To add a format: write a reader and its row in ``READERS``.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import (
    DataCorruptionError,
    LoadError,
    NeuroalignWarning,
    SchemaError,
    choose,
    require,
    some,
)
from neuroalign.loaders._files import check_file
from neuroalign.loaders._surface_runs import PathLike
from neuroalign.loaders.cifti import CORTEX, open_cifti, structure_names
from neuroalign.loaders.gifti import HEMISPHERES, SIDES, check_side, open_gifti
from neuroalign.loaders.nifti import check_affine, open_image
from neuroalign.schema import add_history, check_responses

nib: Any = require("nibabel", "fmri")
Array = npt.NDArray[Any]
Names = dict[int, str]
Atlas = PathLike | Sequence[PathLike | None]
# The code of places that an atlas does not hold; 0 may be a region of it.
ABSENT = -1
# Atlases name what belongs to no region in these ways.
UNLABELLED = ("", "???", "unknown", "Unknown", "n/a")


def _need(responses: xr.DataArray, coords: set[str], attrs: set[str], atlas: object) -> None:
    missing = coords - set(map(str, responses.coords)) | attrs - set(responses.attrs)
    if missing:
        raise SchemaError(
            f"responses: expected {sorted(coords | attrs)} to match {atlas}, missing "
            f"{sorted(missing)}. Use an atlas of the same kind of places."
        )


def _one(atlas: Atlas) -> Path:
    if not isinstance(atlas, str | Path):
        raise LoadError(
            f"atlas: expected one file, got {len(atlas)}. Give pairs for surfaces only."
        )
    return Path(atlas)


def _read_volume(responses: xr.DataArray, atlas: Atlas) -> tuple[Array, Array]:
    """Codes at the voxels of a label image. No names: the format holds none."""
    path = _one(atlas)
    _need(responses, {"i", "j", "k"}, {"affine", "grid_shape"}, path)
    image = open_image(path)
    values = np.asanyarray(image.dataobj)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    grid = tuple(int(size) for size in responses.attrs["grid_shape"])
    if values.shape != grid:
        raise LoadError(
            f"{path}: expected the grid {grid} of responses, got {values.shape}. "
            "Resample the atlas, with nearest neighbours."
        )
    affine = np.array(responses.attrs["affine"], dtype=float).reshape(4, 4)
    check_affine(image.affine, affine, path, responses.attrs.get("source", "responses"))
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise LoadError(
            f"{path}: expected whole numbers as labels, got fractions or NaN. "
            "It looks like a map or was interpolated; use the label image."
        )
    ijk = [responses[axis].values for axis in "ijk"]
    inside = ijk[0] >= 0
    codes = np.full(len(inside), ABSENT, dtype=np.int64)
    codes[inside] = values[tuple(axis[inside] for axis in ijk)]
    return codes, np.array(
        [str(code) if code not in (0, ABSENT) else "" for code in codes.tolist()]
    )


def _named(codes: Array, table: Mapping[int, str]) -> Array:
    return np.array([table.get(code, "") for code in codes.tolist()], dtype=np.str_)


def _read_gifti_labels(path: Path, side: str) -> tuple[Array, Names]:
    image = open_gifti(path, side)
    if len(image.darrays) != 1 or image.darrays[0].intent != 1002:
        raise LoadError(
            f"{path}: expected one array of labels, got {len(image.darrays)} arrays of intent "
            f"{sorted({int(array.intent) for array in image.darrays})}. Name a label.gii file."
        )
    table = image.labeltable.get_labels_as_dict()
    codes = np.asarray(image.darrays[0].data).ravel().astype(np.int64)
    return codes, {int(code): str(name) for code, name in table.items()}


def read_annot(path: Path, side: str) -> tuple[Array, Names]:
    check_file(path, (".annot",))
    check_side(path, side)
    try:
        codes, _, names = nib.freesurfer.read_annot(path)
        table = {code: name.decode() for code, name in enumerate(names)}
    # nibabel raises the bare Exception for versions that it does not know.
    except Exception as error:
        raise DataCorruptionError(
            f"{path}: expected a FreeSurfer annotation, got '{error}'. Download it again."
        ) from error
    return codes.astype(np.int64), table


def _on_surface(
    read: Callable[[Path, str], tuple[Array, Names]],
) -> Callable[[xr.DataArray, Atlas], tuple[Array, Array]]:
    """A reader of hemisphere files becomes a reader of pairs."""

    def read_pair(responses: xr.DataArray, atlas: Atlas) -> tuple[Array, Array]:
        _need(responses, {"hemisphere", "vertex"}, {"n_vertices"}, atlas)
        if isinstance(atlas, str | Path) or len(atlas) != 2:
            raise LoadError(
                f"atlas: expected a pair (left, right), got {atlas}. Write None for a side "
                "without a file."
            )
        hemisphere, vertex = responses["hemisphere"].values, responses["vertex"].values
        all_codes = np.full(len(vertex), ABSENT, dtype=np.int64)
        all_names = np.full(len(vertex), "", dtype=object)
        sides = zip(HEMISPHERES, atlas, responses.attrs["n_vertices"], strict=True)
        for side, path, count in sides:
            own = (hemisphere == side) & (vertex >= 0)
            if path is None or not own.any():
                continue
            codes, table = read(Path(path), side)
            if len(codes) != count:
                raise LoadError(
                    f"{path}: expected the {int(count)} {SIDES[side]} vertices of responses, got "
                    f"{len(codes)}. Take the atlas of the space "
                    f"'{responses.attrs.get('space', 'unknown')}'."
                )
            all_codes[own] = codes[vertex[own]]
            all_names[own] = _named(codes[vertex[own]], table)
        return all_codes, all_names.astype(np.str_)

    return read_pair


def _read_dlabel(responses: xr.DataArray, atlas: Atlas) -> tuple[Array, Array]:
    """Codes at the grayordinates that the atlas shares with the responses."""
    path = _one(atlas)
    _need(responses, {"hemisphere", "vertex"}, {"n_vertices"}, path)
    image, labels, brain = open_cifti(path, "dlabel")
    if len(labels) != 1:
        raise LoadError(
            f"{path}: expected one map of labels, got {len(labels)} ({list(labels.name)[:5]}). "
            "Save the wanted map alone."
        )
    surfaces = {str(name): int(n) for name, n in brain.nvertices.items()}
    for name, count in zip(CORTEX, responses.attrs["n_vertices"], strict=True):
        own = surfaces.get(f"CIFTI_STRUCTURE_{name}", 0)
        if count and own and own != count:
            raise LoadError(
                f"{path}: expected {int(count)} vertices in {name} as in responses, got {own}. "
                "Take the atlas of the same density."
            )
    codes = np.asarray(image.dataobj)[0].astype(np.int64)
    voxel = np.where(brain.surface_mask[:, None], -1, brain.voxel)
    if not brain.surface_mask.all() and "affine" in responses.attrs:
        affine = np.array(responses.attrs["affine"], dtype=float).reshape(4, 4)
        check_affine(brain.affine, affine, path, responses.attrs.get("source", "responses"))
    places = zip(
        structure_names(brain).tolist(),
        np.where(brain.surface_mask, brain.vertex, -1).tolist(),
        map(tuple, voxel.tolist()),
        strict=True,
    )
    at = dict(zip(places, codes.tolist(), strict=True))
    own_codes = np.array([at.get(key, ABSENT) for key in _grayordinates(responses)], dtype=np.int64)
    table = {int(code): str(label[0]) for code, label in labels.label[0].items()}
    return own_codes, _named(own_codes, table)


def _grayordinates(responses: xr.DataArray) -> list[tuple[str, int, tuple[int, ...]]]:
    """Structure, vertex and voxel of each neuroid; bare surfaces are cortex."""
    n = responses.sizes["neuroid"]
    if "structure" in responses.coords:
        structure = responses["structure"].values.tolist()
    else:
        cortex = dict(zip(HEMISPHERES, CORTEX, strict=True))
        structure = [cortex.get(side, "") for side in responses["hemisphere"].values.tolist()]
    voxel = np.full((n, 3), -1)
    if "i" in responses.coords:
        voxel = np.stack([responses[axis].values for axis in "ijk"], axis=1)
    vertex = responses["vertex"].values.tolist()
    return list(zip(structure, vertex, map(tuple, voxel.tolist()), strict=True))


# Ending -> reader; the longer endings come first, for ".dlabel.nii" also ends in ".nii".
READERS: dict[str, Callable[[xr.DataArray, Atlas], tuple[Array, Array]]] = {
    ".dlabel.nii": _read_dlabel,
    ".nii.gz": _read_volume,
    ".nii": _read_volume,
    ".gii.gz": _on_surface(_read_gifti_labels),
    ".gii": _on_surface(_read_gifti_labels),
    ".annot": _on_surface(read_annot),
}


def _check_names(names: Any, codes: npt.NDArray[Any]) -> Mapping[int, str]:
    """Check that names are given by code, for codes that are there."""
    if names is None:
        return {}
    if not isinstance(names, Mapping) or not all(
        isinstance(code, int | np.integer) and isinstance(name, str) for code, name in names.items()
    ):
        raise LoadError(
            f"names: expected a mapping of int codes to names, such as {{1: 'V1'}}, got {names!r}. "
            "Write it so."
        )
    known = {int(code) for code in codes.tolist()} - {ABSENT}
    unused = sorted(set(map(int, names)) - known)
    if unused and len(unused) == len(names):
        raise LoadError(
            f"names: expected codes that neuroids have ({some(sorted(known))}), got {unused}. "
            "Drop the others."
        )
    return names


def add_roi(
    responses: xr.DataArray, atlas: Atlas, *, names: Mapping[int, str] | None = None
) -> xr.DataArray:
    """Name the region of each neuroid.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
        Voxels with ``i j k``, or vertices with ``hemisphere`` and ``vertex``, or both.
    atlas : path, or pair (left, right) of paths
        A label image on the same grid (``.nii``, ``.nii.gz``; whole numbers, 0 is none), a CIFTI
        ``.dlabel.nii``, or a pair of ``.label.gii`` or FreeSurfer ``.annot`` on the same mesh;
        None in the pair for a side without a file.
    names : mapping of int to str, optional
        Code -> name, before the names the atlas holds; a label image holds none, and its codes
        are written as text without it.

    Returns
    -------
    DataArray
        A copy (data shared) with coord ``roi`` on neuroid; '' where the atlas names nothing.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Warns
    -----
    NeuroalignWarning
        When no neuroid lies in a region.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> from neuroalign.loaders import load_fmri
    >>> images = {"bold": [[[[0, 1]]], [[[2, 3]]]], "atlas": [[[1]], [[2]]]}
    >>> with TemporaryDirectory() as folder:
    ...     for name, values in images.items():
    ...         image = nib.Nifti1Image(np.array(values, "int16"), np.eye(4))
    ...         nib.save(image, f"{folder}/{name}.nii")
    ...     responses = load_fmri(f"{folder}/bold.nii", labels=[["cat", "dog"]], tr=2.0)
    ...     named = add_roi(responses, f"{folder}/atlas.nii", names={1: "V1", 2: "V2"})
    >>> named["roi"].values.tolist()
    ['V1', 'V2']
    """
    check_responses(responses)
    files = [atlas] if isinstance(atlas, str | Path) else [path for path in atlas if path]
    if not files:
        raise LoadError("atlas: expected a file or a pair of files, got none. Name one.")
    first = Path(files[0]).name
    ending = next((known for known in READERS if first.lower().endswith(known)), first)
    codes, labels = choose(READERS, ending, "atlas ending")(responses, atlas)
    given = _check_names(names, codes)
    pairs = zip(codes.tolist(), labels.tolist(), strict=True)
    named = [label if code == ABSENT else given.get(code, label) for code, label in pairs]
    roi = np.array(["" if name in UNLABELLED else name for name in named], dtype=np.str_)
    if not (roi != "").any():
        warnings.warn(
            f"{first}: expected regions on the neuroids, got none labelled. "
            "Check that atlas and responses lie in one space.",
            NeuroalignWarning,
            stacklevel=2,
        )
    regions = len(set(roi.tolist()) - {""})
    labelled = responses.assign_coords(roi=("neuroid", roi))
    return add_history(labelled, f"add_roi: {regions} regions of {first}")
