"""What a NIfTI image holds."""

from pathlib import Path
from typing import Any

import numpy as np

from neuroalign.loaders.nifti import open_image, read_tr
from neuroalign.study._findings import WRONG, attempt

# Values of larger images [bytes] are not looked at.
LOOK = 1 << 30


def _look(image: Any) -> list[str]:
    """Count values that are no numbers; only floats can hold any."""
    dtype = image.get_data_dtype()
    if dtype.kind != "f":
        return []
    size = int(np.prod(image.shape, dtype=object)) * dtype.itemsize
    if size > LOOK:
        return [f"values: not looked at, {size / 1e9:.3g} GB"]
    values = np.asanyarray(image.dataobj)
    broken = int(values.size - np.isfinite(values).sum())
    text = f"{broken} of {values.size} values not finite"
    # Maps are NaN where there is no brain; a series with holes spreads them when it is filtered.
    places = np.isfinite(values).reshape(*values.shape[:3], -1)
    outside = bool((places.all(axis=-1) == places.any(axis=-1)).all())
    return [("" if outside and broken < values.size else WRONG) + text] if broken else []


def describe_image(path: Path) -> list[str]:
    """Describe an image or a series; raise when it is damaged or lies nowhere."""
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
    wrong: list[str] = []
    if volumes > 1:
        tr, wrong = attempt(lambda: read_tr(image, path))
        lines += [] if tr is None else [f"TR: {tr:g} s, {volumes * tr:g} s in all"]
    return [*lines, *_look(image), *wrong]
