"""Say what a file holds, and whether it is whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from neuroalign import schema, storage
from neuroalign.errors import LoadError, choose, require, some
from neuroalign.loaders.events import load_events


def _describe_stored(path: Path) -> list[str]:
    array = storage.load(path)
    if "kind" in array.attrs:
        schema.check(array, str(path))
    sizes = ", ".join(f"{dim} {size}" for dim, size in array.sizes.items())
    lines = [f"{path.name}: {array.attrs.get('kind', 'of no kind')}", f"sizes: {sizes}"]
    lines.append(f"coords: {some(list(array.coords), limit=30)}")
    return lines + [
        f"{key}: {value}" for key, value in array.attrs.items() if key not in ("kind", "provenance")
    ]


def _describe_features(path: Path) -> list[str]:
    if not path.is_dir():
        raise LoadError(
            f"{path}: expected an ending that tells the format, got none. Known: {some(DESCRIBE)}."
        )
    require("torch", "torch")
    from neuroalign.features._store import open_store  # noqa: PLC0415

    layers = open_store(path)
    lines = [f"{path.name}: features of {len(layers)} layers, whole"]
    for name, layer in layers.items():
        sizes = ", ".join(f"{dim} {size}" for dim, size in layer.sizes.items())
        lines.append(f"{name}: {sizes}, {layer.dtype}")
    return lines


def _describe_image(path: Path) -> list[str]:
    require("nibabel", "fmri")
    from neuroalign.loaders.nifti import open_image, read_tr  # noqa: PLC0415

    image = open_image(path)
    grid, volumes = image.shape[:3], int(np.prod(image.shape[3:]))
    voxel = " x ".join(f"{size:g}" for size in image.header.get_zooms()[:3])
    corner = ", ".join(f"{number:g}" for number in image.affine[:3, 3])
    lines = [
        f"{path.name}: NIfTI image, whole" + (" (CRC holds)" if path.suffix == ".gz" else ""),
        f"grid: {' x '.join(map(str, grid))} voxels of {voxel} mm, {volumes} volume(s)",
        f"type: {image.get_data_dtype()}, scaled by {image.dataobj.slope:g}",
        f"first voxel at: {corner} mm",
    ]
    if volumes > 1:
        tr = read_tr(image, path)
        lines.append(f"TR: {tr:g} s, {volumes * tr:g} s in all")
    return lines


def _describe_events(path: Path) -> list[str]:
    events = load_events(path)
    stop = (events["onset"] + events["duration"]).max()
    lines = [f"{path.name}: {len(events)} events"]
    if len(events):
        lines.append(f"span: {events['onset'].min():g} to {stop:g} s")
    names, counts = np.unique(events["stimulus"].to_numpy(dtype=str), return_counts=True)
    shown = [f"{name} x {count}" for name, count in zip(names, counts, strict=True)]
    return [*lines, f"stimuli ({len(names)}): {some(shown, limit=20)}"]


DESCRIBE: dict[str, Callable[[Path], list[str]]] = {
    ".nc": _describe_stored,
    ".zarr": _describe_stored,
    ".nii": _describe_image,
    ".nii.gz": _describe_image,
    ".tsv": _describe_events,
    "": _describe_features,
}


def describe_file(path: Path) -> str:
    """Describe a stored object, an image or a table of events; raise when it is damaged.

    Parameters
    ----------
    path : path
        ``.nc``, ``.zarr``, ``.nii``, ``.nii.gz``, ``.tsv``, or a folder of features.

    Returns
    -------
    str
        What it is, its sizes and labels, one a line.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError, ValueError
    """
    path = Path(path)
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return "\n".join(choose(DESCRIBE, ending, f"ending of {path}")(path))
