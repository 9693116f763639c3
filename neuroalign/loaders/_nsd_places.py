"""Where the neuroids of the Natural Scenes Dataset lie: masks, regions, reliability maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import LoadError, some
from neuroalign.loaders._files import check_file
from neuroalign.loaders._mgh import read_values
from neuroalign.loaders.atlases import UNLABELLED, read_annot
from neuroalign.loaders.nifti import check_affine, open_image

Array = npt.NDArray[Any]
LABELS = Path("nsddata/freesurfer/fsaverage/label")
SIDES = {"L": "lh", "R": "rh"}


class Grid:
    """The voxels of one subject: maps of its grid are checked against the betas."""

    def __init__(self, folder: Path, subject: str, space: str, grid: tuple[int, ...], betas: Path):
        self.folder, self.grid, self.betas = folder, grid, betas
        self.regions = folder / "nsddata/ppdata" / subject / space / "roi"
        self.subject = subject
        self.affine: Array | None = None

    def read(self, path: Path) -> Array:
        """Read a map of the grid (i, j, k).

        Raises
        ------
        LoadError
            When it lies on another grid, or has its axes reversed as HDF5 has them.
        """
        image = open_image(path)
        values: Array = np.asanyarray(image.dataobj)
        while values.ndim > 3 and values.shape[-1] == 1:
            values = values[..., 0]
        if values.shape != self.grid and values.shape == self.grid[::-1]:
            raise LoadError(
                f"{path}: expected the grid {self.grid} (i, j, k) of {self.betas.name}, got it "
                f"reversed, {values.shape}. It was made from the bare HDF5 array: transpose it."
            )
        if values.shape != self.grid:
            raise LoadError(
                f"{path}: expected the grid {self.grid} of {self.betas}, got {values.shape}. "
                "Take the map of the same subject and space."
            )
        if self.affine is None:
            self.affine = image.affine
        check_affine(image.affine, self.affine, path, "the other maps of the subject")
        return values

    def find(self, name: str) -> Path:
        """Path of a region file by its name."""
        return _need(self.regions, [f"{name}.nii.gz", f"{name}.nii"], self.regions)

    def labels(self, name: str) -> Array:
        return self.read(self.find(name))


def _need(folder: Path, names: Sequence[str], shown: Path) -> Path:
    for name in names:
        if (folder / name).exists():
            return folder / name
    held = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    raise FileNotFoundError(
        f"{shown / names[0]}: expected a region file, got none. In its folder: "
        f"{some(held) or 'nothing'}."
    )


def read_names(folder: Path, subject: str, roi: str) -> dict[int, str]:
    """Read the names of labels from the colour table; none when there is no table.

    Raises
    ------
    LoadError
        When a row is not a number and a name.
    """
    places = [folder / "nsddata/freesurfer" / who / "label" for who in (subject, "fsaverage")]
    tables = [place / f"{roi}{ending}" for place in places for ending in (".mgz.ctab", ".ctab")]
    path = next((table for table in tables if table.exists()), None)
    if path is None:
        return {}
    names = {}
    check_file(path, (".ctab",))
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        cells = line.split()
        if not cells or cells[0].startswith("#"):
            continue
        if len(cells) < 2 or not cells[0].lstrip("-").isdigit():
            raise LoadError(
                f"{path}: expected 'number name', got '{line}' in row {number}. Download it again."
            )
        names[int(cells[0])] = cells[1]
    return names


def name_labels(codes: Array, names: dict[int, str], path: str) -> Array:
    """Name the region of each neuroid; numbers as text without names, '' for 0 and below."""
    if not (np.isfinite(codes).all() and (codes == np.round(codes)).all()):
        raise LoadError(
            f"{path}: expected whole numbers as labels, got fractions or NaN. "
            "Name the file of labels."
        )
    labels = [names.get(code, str(code)) if code > 0 else "" for code in codes.astype(int).tolist()]
    return np.array(["" if label in UNLABELLED else label for label in labels], dtype=np.str_)


def read_side(path: Path, count: int) -> Array:
    """Read a value of each vertex of one hemisphere.

    Raises
    ------
    LoadError
        When it has another number of vertices.
    """
    values = read_values(path)
    if len(values) != count:
        raise LoadError(
            f"{path}: expected the {count} vertices of the betas, got {len(values)}. Take the map "
            "of the same surface."
        )
    return values


def side_labels(folder: Path, side: str, name: str, count: int) -> tuple[Array, dict[int, str]]:
    """Codes of one hemisphere, and the names where the file holds them (.annot)."""
    labels, stem = folder / LABELS, f"{SIDES[side]}.{name}"
    path = _need(labels, [f"{stem}{end}" for end in (".mgz", ".mgh", ".annot")], labels)
    if path.suffix != ".annot":
        return read_side(path, count), {}
    codes, names = read_annot(path, side)
    if len(codes) != count:
        raise LoadError(
            f"{path}: expected {count} vertices, got {len(codes)}. "
            "Name the file of the same surface."
        )
    # Its first entry is the region without a name, which other files number 0.
    return codes, names
