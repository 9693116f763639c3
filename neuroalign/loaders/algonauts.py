"""The training set of the Algonauts Project 2023: responses, images and regions of one subject."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, choose, some
from neuroalign.loaders._npy import open_npy
from neuroalign.schema import SCHEMA_VERSION, check_responses

Array = npt.NDArray[Any]
SIDES = {"L": "lh", "R": "rh"}
IMAGE = re.compile(r"^train-(\d{4,})_nsd-(\d{5})\.png$")
N_FSAVERAGE = 163842
# [bytes] of one chunk.
BLOCK = 64 * 1024**2
# Number -> name, from 1. The files that say so (mapping_*.npy) are pickles, which can run code
# and are never read; the order is that of the challenge's development kit.
REGIONS = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": (
        "early",
        "midventral",
        "midlateral",
        "midparietal",
        "ventral",
        "lateral",
        "parietal",
    ),
}


def _list_images(folder: Path) -> list[str]:
    """Name the images in the order of the responses, as 'nsd-00013'; check the numbering."""
    found = [IMAGE.match(path.name) for path in sorted(folder.glob("*.png"))]
    if not found or not all(found):
        bad = [path.name for path in sorted(folder.glob("*.png")) if not IMAGE.match(path.name)]
        raise LoadError(
            f"{folder}: expected images 'train-0001_nsd-00013.png', got {some(bad) or 'none'}. "
            "Unpack the archive again."
        )
    numbers = [int(match[1]) for match in found if match]
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
        raise LoadError(
            f"{folder}: expected images numbered 1 to {max(numbers)}, missing {some(missing)}. "
            "Unpack the archive again."
        )
    named = {int(match[1]): f"nsd-{match[2]}" for match in found if match}
    return [named[number] for number in range(1, len(numbers) + 1)]


def _label(folder: Path, stem: str, roi: str, size: int) -> Array:
    path = folder / f"{stem}.{roi}_challenge_space.npy"
    codes = np.asarray(open_npy(path))
    if codes.shape != (size,):
        raise LoadError(
            f"{path}: expected {size} labels (the vertices of {stem}_training_fmri.npy), got "
            f"shape {codes.shape}. Take both from one subject."
        )
    names = ("", *REGIONS[roi])
    outside = sorted(set(codes.tolist()) - set(range(len(names))))
    if outside:
        raise LoadError(
            f"{path}: expected labels 0 to {len(names) - 1}, got {some(outside)}. Unpack it again."
        )
    labels: Array = np.array(names)[codes.astype(int)]
    return labels


def _vertices(folder: Path, stem: str, size: int) -> Array | None:
    """Where the vertices lie on fsaverage, where that map is there."""
    path = folder / f"{stem}.all-vertices_fsaverage_space.npy"
    if not path.exists():
        return None
    vertices = np.flatnonzero(open_npy(path))
    if len(vertices) != size:
        raise LoadError(
            f"{path}: expected {size} vertices, as in {stem}_training_fmri.npy, got "
            f"{len(vertices)}. Take both from one subject."
        )
    return vertices


def load_algonauts(
    folder: Path | str,
    *,
    hemisphere: str | None = None,
    roi: str | Sequence[str] | None = None,
) -> xr.DataArray:
    """Load the training responses of one subject of the Algonauts Project 2023.

    Parameters
    ----------
    folder : path
        ``subj01`` to ``subj08``, as unpacked, with ``training_split`` and ``roi_masks``.
    hemisphere : {"L", "R"}, optional
        Both, left first, when not given.
    roi : str or sequence of str, optional
        ``"prf-visualrois"``, ``"floc-faces"``, ``"floc-bodies"``, ``"floc-places"``,
        ``"floc-words"``, ``"streams"``: name coord ``roi``. Of several the first that names a
        vertex counts, and each has its own coord ``roi_<name>``. Names come from a table here: the
        ``mapping_*.npy`` beside the masks are pickles, and are not read.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, lazy, in chunks of samples, averaged over repeats by the makers. ``stimulus`` is
        the number in the image's name: ``nsd-00013``, from 0, the same ids as `load_nsd`. With
        ``vertex`` on fsaverage where the map of all vertices is there.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    References
    ----------
    Gifford et al. (2023), arXiv:2301.03198.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     split = Path(folder) / "training_split"
    ...     for name in ("images", "fmri"):
    ...         (split / f"training_{name}").mkdir(parents=True)
    ...     (split / "training_images/train-0001_nsd-00013.png").touch()
    ...     np.save(split / "training_fmri/lh_training_fmri.npy", np.ones((1, 3), "float32"))
    ...     responses = load_algonauts(folder, hemisphere="L").load()
    >>> responses["stimulus"].values.tolist(), responses.shape
    (['nsd-00013'], (1, 3))
    """
    folder = Path(folder)
    regions = [roi] if isinstance(roi, str) else list(roi or [])
    for name in regions:
        choose(REGIONS, name, "roi")
    wanted = SIDES if hemisphere is None else {hemisphere: choose(SIDES, hemisphere, "hemisphere")}
    masks, images = folder / "roi_masks", _list_images(folder / "training_split/training_images")
    blocks, sides, vertices = [], [], []
    labels: dict[str, list[Array]] = {name: [] for name in regions}
    paths = [
        folder / f"training_split/training_fmri/{s}_training_fmri.npy" for s in wanted.values()
    ]
    for (side, stem), path in zip(wanted.items(), paths, strict=True):
        values = open_npy(path)
        if values.ndim != 2 or values.dtype.kind != "f" or len(values) != len(images):
            raise LoadError(
                f"{path}: expected floats ({len(images)} images, vertex), got {values.dtype} "
                f"{values.shape}. Unpack images and responses of one subject."
            )
        size = values.shape[1]
        rows = max(1, BLOCK // (values.dtype.itemsize * max(1, size)))
        array: Any = da.from_array(values, (rows, -1), name=False)  # type: ignore[no-untyped-call]
        blocks.append(array.astype(np.float32))
        sides.append(np.full(size, side))
        vertices.append(_vertices(masks, stem, size))
        for name in regions:
            labels[name].append(_label(masks, stem, name, size))
    places = [np.arange(len(s)) if v is None else v for s, v in zip(sides, vertices, strict=True)]
    hemispheres = np.concatenate(sides)
    names = [f"{a}-{b}" for a, b in zip(hemispheres, np.concatenate(places).tolist(), strict=True)]
    coords: dict[str, Any] = {
        "stimulus": ("sample", np.array(images)),
        "subject": ("sample", np.full(len(images), folder.name)),
        "neuroid": ("neuroid", np.array(names)),
        "hemisphere": ("neuroid", hemispheres),
    }
    attrs: dict[str, Any] = {
        "kind": "responses",
        "modality": "fmri",
        "units": "z",
        "source": ", ".join(path.name for path in paths),
        "schema_version": SCHEMA_VERSION,
        "history": f"load_algonauts: {folder.name}, {len(images)} images",
    }
    if all(part is not None for part in vertices):
        coords["vertex"] = ("neuroid", np.concatenate(places))
        attrs |= {"space": "fsaverage", "n_vertices": [N_FSAVERAGE, N_FSAVERAGE]}
    joined = np.full(len(hemispheres), "")
    for name, parts in labels.items():
        column = np.concatenate(parts)
        joined = np.where(joined == "", column, joined)
        coords |= {f"roi_{name}": ("neuroid", column)} if len(labels) > 1 else {}
    coords |= {"roi": ("neuroid", joined)} if labels else {}
    values = da.concatenate(blocks, axis=1)  # type: ignore[no-untyped-call]
    responses = xr.DataArray(values, coords, ("sample", "neuroid"), attrs=attrs)
    return check_responses(responses.rename(None))
