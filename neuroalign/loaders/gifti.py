"""Hemisphere pairs of functional GIFTI to responses, and values on vertices back to GIFTI."""

import binascii
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError, require
from neuroalign.loaders._files import check_file
from neuroalign.loaders._gifti_arrays import check_arrays
from neuroalign.loaders._rows import take_rows
from neuroalign.loaders._runs import check_tr, sample_coords, series_attrs
from neuroalign.loaders._surface_runs import PathLike, list_runs
from neuroalign.schema import check_responses
from neuroalign.storage import write_whole

nib: Any = require("nibabel", "fmri")
Array = npt.NDArray[Any]
HEMISPHERES = ("L", "R")
SIDES = {"L": "left", "R": "right"}
ANATOMY = {"L": "CortexLeft", "R": "CortexRight"}
ENDINGS = (".gii", ".gii.gz")
# What a file says of its side by its name: BIDS, FreeSurfer.
NAMED = re.compile(r"(?:^|_)hemi-([LR])(?:_|\.)|^([lr])h\.")
SPACE = re.compile(r"(?:^|_)space-([A-Za-z0-9]+)")
OTHER_CONTENT = {1002: "labels", 1008: "a mesh", 1009: "a mesh"}
# nibabel's parser trusts the XML: damage shows as whatever the next line of it needs.
UNREADABLE = (
    nib.filebasedimages.ImageFileError,
    ExpatError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
    binascii.Error,
    zlib.error,
)


def open_gifti(path: PathLike, hemisphere: str | None = None) -> Any:
    """Read a GIFTI file whole, and refuse the other hemisphere's.

    Parameters
    ----------
    path : path
    hemisphere : {"L", "R"} or None
        The side it was given as.

    Returns
    -------
    nibabel GiftiImage

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError
    """
    path = check_file(path, ENDINGS)
    try:
        check_arrays(path)
        image: Any = nib.load(path)
    except LoadError:
        raise
    except UNREADABLE as error:
        raise DataCorruptionError(
            f"{path}: expected a whole GIFTI file, got '{error}'. Download it again."
        ) from error
    if not isinstance(image, nib.GiftiImage):
        # nibabel gives None for XML of another kind.
        raise DataCorruptionError(
            f"{path}: expected a whole GIFTI file, got other XML. Download it again."
        )
    check_side(path, hemisphere, image)
    return image


def check_side(path: PathLike, hemisphere: str | None, image: Any = None) -> None:
    """Refuse a file that says, by metadata or by name, that it is the other hemisphere."""
    if hemisphere is None:
        return
    metas = [] if image is None else [image.meta, *(array.meta for array in image.darrays)]
    says = {str(meta.get("AnatomicalStructurePrimary", "")): "metadata" for meta in metas}
    named = NAMED.search(Path(path).name)
    if named:
        says[ANATOMY[(named.group(1) or named.group(2)).upper()]] = "name"
    wrong = [side for side in says if side in ANATOMY.values() and side != ANATOMY[hemisphere]]
    if wrong:
        raise LoadError(
            f"{path}: expected {ANATOMY[hemisphere]} as the {SIDES[hemisphere]} hemisphere, got "
            f"{wrong[0]} by its {says[wrong[0]]}. Swap left and right."
        )


def _read_series(path: Path, hemisphere: str) -> Array:
    """Values of every vertex at every time: float32 (sample, vertex)."""
    image = open_gifti(path, hemisphere)
    arrays = image.darrays
    others = [OTHER_CONTENT[array.intent] for array in arrays if array.intent in OTHER_CONTENT]
    if others or not arrays:
        raise LoadError(
            f"{path}: expected values on vertices, got {others[0] if others else 'no data'}. "
            "Name the func.gii file."
        )
    rows = [np.atleast_2d(np.asarray(array.data, dtype=np.float32).T) for array in arrays]
    if len({row.shape[1] for row in rows}) > 1:
        raise LoadError(
            f"{path}: expected one number of vertices, got "
            f"{sorted({row.shape[1] for row in rows})}. Write the file again."
        )
    values: Array = np.concatenate(rows)
    return values


def _read_tr(path: Path) -> float:
    """RepetitionTime of the BIDS JSON beside the file."""
    stem = path.name.removesuffix(".gz").removesuffix(".gii").removesuffix(".func")
    sidecar = path.with_name(f"{stem}.json")
    tr = None
    if sidecar.exists():
        try:
            tr = json.loads(sidecar.read_text(encoding="utf-8")).get("RepetitionTime")
        except (ValueError, AttributeError) as error:
            raise DataCorruptionError(
                f"{sidecar}: expected a JSON object, got '{error}'. Mend it, or pass tr=."
            ) from error
    if not isinstance(tr, int | float):
        raise LoadError(
            f"{path}: expected its TR as RepetitionTime in {sidecar.name}, got none. "
            "Pass tr= in seconds."
        )
    return check_tr(float(tr), sidecar)


def _check_partners(values: dict[str, Array], paths: dict[str, Path], space: str | None) -> None:
    """Hemispheres of one run agree in samples, and in vertices unless they are a subject's own."""
    if len(values) < 2:
        return
    left, right = (values[side].shape for side in HEMISPHERES)
    for axis, what in ((0, "samples"), (1, "vertices")):
        if left[axis] != right[axis] and not (axis == 1 and space == "fsnative"):
            raise LoadError(
                f"{paths['R']}: expected the {left[axis]} {what} of hemi-L ({paths['L'].name}), "
                f"got {right[axis]} in hemi-R. Pair files of one run and one space; "
                "space='fsnative' lets vertices differ."
            )


def load_gifti(
    left: PathLike | Sequence[PathLike] | None = None,
    right: PathLike | Sequence[PathLike] | None = None,
    *,
    events: Any = None,
    labels: Any = None,
    stimulus: str = "trial_type",
    tr: float | None = None,
    runs: Sequence[str] | None = None,
    session: str | None = None,
    subject: str | None = None,
    space: str | None = None,
) -> xr.DataArray:
    """Load runs on the vertices of one or both hemispheres.

    Parameters
    ----------
    left, right : path, or sequence of paths (run,), optional
        ``func.gii``, one a run and hemisphere; one hemisphere may be left out.
    events : path or DataFrame, or one for each run, optional
        A sample takes the label of the event that is on at its onset, else ``rest``;
        events that label none are warned of.
    labels : sequence (run) of sequence of str (sample,), optional
        Labels given directly, instead of events.
    stimulus : str
        The column of the events that names what was shown.
    tr : float, optional
        Repetition time [s]; ``RepetitionTime`` of the JSON beside the file when not given.
    runs : sequence of str, optional
        Unique names, ``run-01`` and so on when not given.
    session, subject : str, optional
    space : str, optional
        Such as ``fsaverage5``; from the file name (``space-``) when not given.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, in memory: GIFTI cannot be read in parts. Coords ``hemisphere`` and ``vertex``
        on neuroid, left before right; ``attrs['n_vertices']`` is [left, right].

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> arrays = [nib.gifti.GiftiDataArray(np.full(5, n, "float32")) for n in range(3)]
    >>> with TemporaryDirectory() as folder:
    ...     nib.save(nib.gifti.GiftiImage(darrays=arrays), f"{folder}/left.func.gii")
    ...     responses = load_gifti(f"{folder}/left.func.gii", tr=2.0, labels=[["a", "b", "c"]])
    >>> responses.shape, responses["hemisphere"].values[0].item()
    ((3, 5), 'L')
    """
    given = {"L": list_runs(left), "R": list_runs(right)}
    sides = [side for side in HEMISPHERES if given[side]]
    if not sides:
        raise LoadError(
            "left, right: expected files of a hemisphere or of both, got none. Name one at least."
        )
    if len({len(given[side]) for side in sides}) > 1:
        raise LoadError(
            f"right: expected {len(given['L'])} runs as in left, got {len(given['R'])}. Pair them."
        )
    paths = given[sides[0]]
    found = SPACE.search(paths[0].name)
    space = space or (found.group(1) if found else None)
    blocks: list[dict[str, Array]] = []
    for number in range(len(paths)):
        files = {side: given[side][number] for side in sides}
        block = {side: _read_series(files[side], side) for side in sides}
        _check_partners(block, files, space)
        for side in sides:
            if block[side].shape[1] != (blocks or [block])[0][side].shape[1]:
                raise LoadError(
                    f"{files[side]}: expected the {blocks[0][side].shape[1]} vertices of "
                    f"{given[side][0].name}, got {block[side].shape[1]}. Load spaces apart."
                )
        blocks.append(block)
    seconds = _read_tr(paths[0]) if tr is None else check_tr(float(tr), "tr")
    sizes = [len(block[sides[0]]) for block in blocks]
    counts = [blocks[0][side].shape[1] if side in sides else 0 for side in HEMISPHERES]
    hemisphere = np.repeat(HEMISPHERES, counts)
    vertex = np.concatenate([np.arange(count) for count in counts])
    coords: dict[str, Any] = dict(
        sample_coords(
            paths,
            sizes,
            seconds,
            starts=[0.0] * len(paths),
            events=events,
            labels=labels,
            stimulus=stimulus,
            runs=runs,
            session=session,
            subject=subject,
        )
    )
    names = [f"{side}-{index}" for side, index in zip(hemisphere, vertex.tolist(), strict=True)]
    coords["neuroid"] = ("neuroid", np.array(names))
    coords["hemisphere"] = ("neuroid", hemisphere)
    coords["vertex"] = ("neuroid", vertex)
    step = f"load_gifti: {len(paths)} runs, hemispheres {' '.join(sides)}, TR {seconds:g} s"
    sources = [given[side][number] for number in range(len(paths)) for side in sides]
    attrs = series_attrs(sources, seconds, space, step) | {"n_vertices": counts}
    values = np.concatenate(
        [np.concatenate([block[side] for side in sides], axis=1) for block in blocks]
    )
    return check_responses(xr.DataArray(values, coords, ("sample", "neuroid"), attrs=attrs))


def to_gifti(
    values: xr.DataArray, left_path: PathLike | None = None, right_path: PathLike | None = None
) -> list[Path]:
    """Put one value a vertex back where it came from; vertices without one are NaN.

    Parameters
    ----------
    values : DataArray (neuroid,) or (sample, neuroid)
        With coords ``hemisphere`` and ``vertex``, and attr ``n_vertices`` [left, right].
    left_path, right_path : path, optional
        ``.func.gii``, written whole as float32; a hemisphere without values needs none.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    SchemaError
        When the places of the vertices are not known, or values would be lost.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> from neuroalign.loaders import from_arrays
    >>> place = {"hemisphere": ["L", "L"], "vertex": [0, 2]}
    >>> values = from_arrays([[1.0, 2.0]], modality="fmri", stimulus=["cat"], neuroid_coords=place)
    >>> with TemporaryDirectory() as folder:
    ...     (path,) = to_gifti(values[0].assign_attrs(n_vertices=[4, 4]), f"{folder}/lh.func.gii")
    ...     nib.load(path).darrays[0].data.tolist()
    [1.0, nan, 2.0, nan]
    """
    rows = np.atleast_2d(take_rows(values))
    missing = {"hemisphere", "vertex"} - set(values.coords) | {"n_vertices"} - set(values.attrs)
    if missing:
        raise SchemaError(
            f"values: expected vertices, missing {sorted(missing)}. "
            "Start from what load_gifti gave."
        )
    hemisphere, vertex = values["hemisphere"].values, values["vertex"].values
    if (vertex < 0).any() or not np.isin(hemisphere, HEMISPHERES).all():
        raise SchemaError(
            "values: expected vertices only, got places without one. Select them, or use to_cifti."
        )
    paths = dict(zip(HEMISPHERES, (left_path, right_path), strict=True))
    if left_path is not None and right_path is not None and Path(left_path) == Path(right_path):
        raise SchemaError(
            f"right_path: expected a file of its own, got that of the left ('{left_path}'). "
            "Name one file a hemisphere."
        )
    lost = [SIDES[side] for side in HEMISPHERES if paths[side] is None and side in hemisphere]
    if lost:
        raise SchemaError(f"{lost[0]}_path: expected a path, got none. Values there would be lost.")
    written = []
    for side, count in zip(HEMISPHERES, values.attrs["n_vertices"], strict=True):
        path = paths[side]
        if path is None:
            continue
        check_side(path, side)
        own = hemisphere == side
        surface = np.full((len(rows), int(count)), np.nan, dtype=np.float32)
        surface[:, vertex[own]] = rows[:, own]
        arrays = [
            nib.gifti.GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", datatype="float32")
            for row in surface
        ]
        meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": ANATOMY[side]})
        with write_whole(path) as partial:
            nib.save(nib.gifti.GiftiImage(meta=meta, darrays=arrays), partial)
        written.append(Path(path))
    return written
