"""What files on surfaces and grayordinates hold: GIFTI, CIFTI, annotations, FreeSurfer maps."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import some
from neuroalign.loaders._mgh import read_header, read_values
from neuroalign.loaders.atlases import read_annot
from neuroalign.loaders.cifti import open_cifti, structure_names
from neuroalign.loaders.gifti import NAMED, SIDES, load_gifti, open_gifti
from neuroalign.study._findings import WRONG, attempt, count_kinds, title

LABELS, POINTS, FACES = 1002, 1008, 1009
Array = npt.NDArray[Any]


def _side(path: Path) -> str | None:
    """Hemisphere by the name of the file."""
    named = NAMED.search(path.name)
    return (named.group(1) or named.group(2)).upper() if named else None


def _describe_finite(values: Array) -> list[str]:
    broken = int(values.size - np.isfinite(values).sum())
    wrong = WRONG if broken and broken == values.size else ""
    return [f"{wrong}{broken} of {values.size} values not finite"] if broken else []


def _describe_mesh(points: Array, faces: Array | None) -> list[str]:
    lines = [f"mesh: {len(points)} vertices, {0 if faces is None else len(faces)} faces"]
    if len(points):
        low, high = points.min(axis=0), points.max(axis=0)
        span = ", ".join(f"{a:.4g} to {b:.4g}" for a, b in zip(low, high, strict=True))
        lines.append(f"extent: {span} mm")
    if faces is not None and len(faces) and not 0 <= faces.min() <= faces.max() < len(points):
        lines.append(
            f"{WRONG}faces: expected vertices 0 to {len(points) - 1}, got {faces.min()} to "
            f"{faces.max()}. Write the mesh again."
        )
    return [*lines, *_describe_finite(points)]


def _describe_labels(codes: Array, table: dict[int, str]) -> list[str]:
    used = np.unique(codes)
    names = [table[code] for code in used.tolist() if code in table]
    # Most tools leave 0, the rest of the brain, without a name.
    unnamed = [code for code in used.tolist() if code != 0 and code not in table]
    lines = [f"labels: {codes.size} vertices, {len(names)} names: {some(names, 12)}"]
    return lines + ([f"{WRONG}codes without a name: {some(unnamed)}"] if unnamed else [])


def _describe_series(path: Path, side: str | None, arrays: list[Array]) -> list[str]:
    sizes = sorted({array.shape[0] for array in arrays})
    n_maps = sum(1 if array.ndim == 1 else array.shape[1] for array in arrays)
    lines = [f"values: {n_maps} on {' or '.join(map(str, sizes))} vertices, {arrays[0].dtype}"]
    if len(sizes) > 1:
        lines.append(f"{WRONG}expected one number of vertices, got {sizes}. Write the file again.")
    lines += [line for array in arrays for line in _describe_finite(array)][:3]
    if n_maps == 1 or len(sizes) > 1:
        return lines
    stem = path.name.removesuffix(".gz").removesuffix(".gii").removesuffix(".func")
    sidecar = path.with_name(f"{stem}.json")
    if not sidecar.exists():
        return [*lines, f"TR: not known, there is no {sidecar.name}; pass tr="]
    run, wrong = attempt(lambda: load_gifti(None, path) if side == "R" else load_gifti(path))
    if run is None:
        return [*lines, *wrong]
    tr = 1 / run.attrs["sampling_rate"]
    return [*lines, f"TR: {tr:g} s, {n_maps * tr:g} s in all", *wrong]


def describe_gifti(path: Path) -> list[str]:
    """Describe values, labels or a mesh; raise when it is damaged or the other hemisphere's."""
    side = _side(path)
    image = open_gifti(path, side)
    found = {int(array.intent): np.asarray(array.data) for array in image.darrays}
    where = f", {SIDES[side]} hemisphere" if side else ""
    head = title(path, f"GIFTI, whole{where}")
    if not found:
        return [head, f"{WRONG}no data arrays. Write the file again."]
    if POINTS in found:
        return [head, *_describe_mesh(found[POINTS], found.get(FACES))]
    if LABELS in found:
        table = image.labeltable.get_labels_as_dict()
        names = {int(code): str(name) for code, name in table.items()}
        return [head, *_describe_labels(found[LABELS], names)]
    arrays = [np.asarray(array.data) for array in image.darrays]
    return [head, *_describe_series(path, side, arrays)]


def describe_annot(path: Path) -> list[str]:
    """Describe a FreeSurfer annotation; raise when it is damaged."""
    side = _side(path)
    # A file that does not name its side is held to none.
    codes, table = read_annot(path, side or "L")
    where = f", {SIDES[side]} hemisphere" if side else ""
    # -1 is FreeSurfer's word for a vertex without a label.
    return [
        title(path, f"FreeSurfer annotation{where}"),
        *_describe_labels(codes, {-1: "none", **table}),
    ]


def describe_mgh(path: Path) -> list[str]:
    """Describe a FreeSurfer map; raise when it is cut."""
    header = read_header(path)
    *places, n_maps = header.shape
    return [
        title(path, "FreeSurfer map, whole"),
        f"sizes: {' x '.join(map(str, places))} places, {n_maps} map(s)",
        f"type: {header.dtype.name}",
        *_describe_finite(read_values(path)),
    ]


def _describe_rows(rows: Any) -> list[str]:
    if hasattr(rows, "step"):
        total = rows.step * rows.size
        return [f"series: {rows.size} each {rows.step:g} {rows.unit.lower()}, {total:g} in all"]
    return [f"maps: {len(rows)}: {some(rows.name, 8)}"]


def _describe_columns(columns: Any) -> list[str]:
    if hasattr(columns, "vertices") and not hasattr(columns, "vertex"):
        return [f"parcels: {len(columns)}: {some(columns.name, 8)}"]
    return [f"grayordinates: {len(columns)}: {count_kinds(structure_names(columns))}"]


def describe_cifti(path: Path) -> list[str]:
    """Describe a series, maps or labels; raise when it is cut or of another kind."""
    kind = path.name.lower().split(".")[-2]
    image, rows, columns = open_cifti(path, kind)
    lines = [
        title(path, f"CIFTI-2 {kind}, whole"),
        *_describe_columns(columns),
        *_describe_rows(rows),
        f"type: {image.get_data_dtype()}",
    ]
    if hasattr(rows, "label"):
        names = [str(name) for name, _ in rows.label[0].values()]
        lines.append(f"labels: {len(names)}: {some(names, 12)}")
    if getattr(rows, "unit", "SECOND") != "SECOND":
        lines.append(f"{WRONG}series: expected SECOND, got {rows.unit}. Pass tr= in s.")
    return lines + _describe_finite(np.asarray(image.dataobj[:1]))
