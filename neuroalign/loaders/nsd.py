"""The Natural Scenes Dataset as released: betas, images, reliability and regions of one subject."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, choose, some
from neuroalign.loaders import _nsd_places as places
from neuroalign.loaders._nsd_design import N_SESSIONS, describe_trials
from neuroalign.loaders._nsd_files import (
    TRIALS,
    VOLUMES,
    Betas,
    read_surfaces,
    size_mgh,
)
from neuroalign.schema import SCHEMA_VERSION, check_responses

Array = npt.NDArray[Any]
# [bytes] of float32 that all trials of one chunk's neuroids take.
BLOCK = 32 * 1024**2
VOLUME, SURFACE = False, True
SPACES = {"func1pt8mm": VOLUME, "func1mm": VOLUME, "fsaverage": SURFACE}


def _number(subject: str | int) -> int:
    text = str(subject).removeprefix("subj")
    if not text.isdigit() or not 1 <= int(text) <= len(N_SESSIONS):
        raise LoadError(
            f"subject: expected 'subj01' to 'subj{len(N_SESSIONS):02d}', got '{subject}'. "
            "Name one of those."
        )
    return int(text)


def _check_there(files: dict[int, Path], folder: Path, explicit: bool) -> None:
    missing = [number for number, path in files.items() if not path.exists()]
    if missing:
        hint = "Download them." if explicit else "Download them, or pass sessions= for a part."
        raise FileNotFoundError(
            f"{folder}: expected {len(files)} sessions, missing "
            f"{some([files[number].name for number in missing])}. {hint}"
        )


def _find(folder: Path, numbers: list[int], stem: str, explicit: bool) -> tuple[str, list[Path]]:
    """The files of sessions: HDF5 where there are any, because it can be read in parts."""
    held = [e for e in VOLUMES if any((folder / f"{stem}{n:02d}{e}").exists() for n in numbers)]
    ending = held[0] if held else next(iter(VOLUMES))
    files = {number: folder / f"{stem}{number:02d}{ending}" for number in numbers}
    _check_there(files, folder, explicit)
    return ending, list(files.values())


def _split(n_neuroids: int, n_samples: int, in_parts: bool) -> tuple[int, ...]:
    width = max(1, BLOCK // (4 * n_samples)) if in_parts else n_neuroids
    edges = [*range(0, n_neuroids, width), n_neuroids]
    return tuple(np.diff(edges).tolist())


def _chunk(betas: Betas, in_parts: bool) -> Any:
    n_samples, n_neuroids = betas.shape
    rows = (TRIALS,) * (n_samples // TRIALS)
    widths = _split(n_neuroids, n_samples, in_parts)
    array: Any = da.from_array(betas, (rows, widths), name=False, asarray=False, fancy=False)  # type: ignore[no-untyped-call]
    return array


def _label(coords: dict[str, Any], labels: dict[str, Array]) -> None:
    """Coord roi takes the first file that names a neuroid; several files stay apart as well."""
    joined: Array | None = None
    for name, column in labels.items():
        if len(labels) > 1:
            coords[f"roi_{name}"] = ("neuroid", column)
        joined = column if joined is None else np.where(joined == "", column, joined)
    if joined is not None:
        coords["roi"] = ("neuroid", joined)


def _load_volumes(
    folder: Path,
    subject: str,
    space: str,
    betas: Path,
    numbers: list[int],
    explicit: bool,
    roi: list[str],
    mask: str | Path | None,
) -> tuple[Any, dict[str, Any], dict[str, Any], list[Path]]:
    ending, paths = _find(betas, numbers, "betas_session", explicit)
    volume = VOLUMES[ending]
    grids = {path: volume.size(path) for path in paths}
    grid = grids[paths[0]]
    for path, own in grids.items():
        if own != grid:
            raise LoadError(
                f"{path}: expected the grid {grid} of {paths[0].name}, got {own}. "
                "Load spaces apart."
            )
    maps = places.Grid(folder, subject, space, grid, paths[0])
    inside = np.ones(grid, dtype=bool)
    if mask is not None:
        path = Path(mask) if str(mask).endswith((".nii", ".nii.gz")) else maps.find(str(mask))
        inside = maps.read(path) > 0
        if not inside.any():
            raise LoadError(f"{path}: expected voxels above 0, got none. Check the mask.")
    ijk = np.argwhere(inside)
    at = tuple(ijk.T)
    coords: dict[str, Any] = {
        "neuroid": ("neuroid", np.array(["-".join(map(str, row)) for row in ijk.tolist()]))
    }
    coords |= {axis: ("neuroid", ijk[:, n]) for n, axis in enumerate("ijk")}
    if (betas / "ncsnr.nii.gz").exists():
        reliability = maps.read(betas / "ncsnr.nii.gz")[at]
        coords["ncsnr"] = ("neuroid", reliability.astype(np.float32))
    labels = {}
    for name in roi:
        codes, names = maps.labels(name)[at], places.read_names(folder, subject, name)
        labels[name] = places.name_labels(codes, names, str(maps.find(name)))
    _label(coords, labels)
    attrs: dict[str, Any] = {"grid_shape": list(grid)}
    if maps.affine is not None:
        xyz = ijk @ maps.affine[:3, :3].T + maps.affine[:3, 3]
        coords |= {axis: ("neuroid", xyz[:, n].astype(np.float32)) for n, axis in enumerate("xyz")}
        attrs["affine"] = maps.affine.ravel().tolist()
    read = partial(volume.read, ijk=ijk)
    return _chunk(Betas(paths, len(ijk), read), volume.in_parts), coords, attrs, paths


def _load_surfaces(
    folder: Path,
    subject: str,
    space: str,
    betas: Path,
    numbers: list[int],
    explicit: bool,
    roi: list[str],
    mask: str | Path | None,
) -> tuple[Any, dict[str, Any], dict[str, Any], list[Path]]:
    files = {
        side: {n: betas / f"{stem}.betas_session{n:02d}.mgh" for n in numbers}
        for side, stem in places.SIDES.items()
    }
    counts = {}
    for side, own in files.items():
        _check_there(own, betas, explicit)
        sizes = {path: size_mgh(path) for path in own.values()}
        counts[side] = next(iter(sizes.values()))
        for path, size in sizes.items():
            if size != counts[side]:
                raise LoadError(
                    f"{path}: expected {counts[side]} vertices as in session {numbers[0]}, got "
                    f"{size}. Download it again."
                )
    vertices = {side: np.arange(count) for side, count in counts.items()}
    if mask is not None:
        for side, count in counts.items():
            codes, _ = places.side_labels(folder, side, str(mask), count)
            vertices[side] = np.flatnonzero(codes > 0)
        if not any(map(len, vertices.values())):
            raise LoadError(
                f"mask: expected vertices above 0 in '{mask}', got none. Name another mask."
            )
    hemisphere = np.repeat(list(vertices), [len(part) for part in vertices.values()])
    vertex = np.concatenate(list(vertices.values()))
    names = [f"{side}-{one}" for side, one in zip(hemisphere, vertex.tolist(), strict=True)]
    coords: dict[str, Any] = {
        "neuroid": ("neuroid", np.array(names)),
        "hemisphere": ("neuroid", hemisphere),
        "vertex": ("neuroid", vertex),
    }
    reliability = {side: betas / f"{stem}.ncsnr.mgh" for side, stem in places.SIDES.items()}
    if all(path.exists() for path in reliability.values()):
        parts = [places.read_side(p, counts[s])[vertices[s]] for s, p in reliability.items()]
        coords["ncsnr"] = ("neuroid", np.concatenate(parts).astype(np.float32))
    labels = {}
    for name in roi:
        table = places.read_names(folder, subject, name)
        columns = []
        for side, count in counts.items():
            codes, own_names = places.side_labels(folder, side, name, count)
            kept = codes[vertices[side]]
            columns.append(places.name_labels(kept, own_names or table, f"{side} {name}"))
        labels[name] = np.concatenate(columns)
    _label(coords, labels)
    pairs = [(files["L"][number], files["R"][number]) for number in numbers]
    read = partial(read_surfaces, vertices=(vertices["L"], vertices["R"]))
    attrs = {"n_vertices": list(counts.values())}
    paths = [path for pair in pairs for path in pair]
    return _chunk(Betas(pairs, len(vertex), read), True), coords, attrs, paths


def load_nsd(
    folder: Path | str,
    *,
    subject: str | int,
    space: str = "func1pt8mm",
    preparation: str = "betas_fithrf_GLMdenoise_RR",
    sessions: Sequence[int] | None = None,
    roi: str | Sequence[str] | None = None,
    mask: str | Path | None = None,
) -> xr.DataArray:
    """Load single-trial betas of one subject of the Natural Scenes Dataset.

    Parameters
    ----------
    folder : path
        The root, which holds ``nsddata`` and ``nsddata_betas`` as in the release.
    subject : str or int
        ``"subj01"`` to ``"subj08"``, or the number.
    space : {"func1pt8mm", "func1mm", "fsaverage"}
    preparation : str
        Folder of the betas.
    sessions : sequence of int, optional
        From 1. All that the subject has when not given; one that lacks is then an error.
    roi : str or sequence of str, optional
        Names of region files, such as ``"prf-visualrois"``: ``roi/*.nii.gz`` of the subject, or
        ``lh.* rh.*`` (mgz, mgh, annot) of fsaverage. Labels take the names of the ``.ctab``, and
        stay numbers without one. Where several files name a neuroid, the first counts; each also
        stays in its own coord ``roi_<name>``.
    mask : str or path, optional
        Name of a region file, such as ``"nsdgeneral"``, or a NIfTI image on the grid: neuroids
        above 0 are kept.

    Returns
    -------
    DataArray (sample, neuroid)
        Percent signal change, float32, lazy: chunks of one session and, where the format can be
        read in parts (hdf5, mgh), so many neuroids that all their trials fit in 32 MiB.
        ``stimulus`` is the row of the image among the 73000, counted from 0: ``nsd-00042``.
        ``repeat`` counts from 0 over the whole experiment, ``trial`` from 0 in the session;
        ``shared`` marks the images that all subjects saw. On neuroid: ``ncsnr`` where its map is
        there, ``i j k`` or ``hemisphere`` and ``vertex``. Voxels outside the brain are 0.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    References
    ----------
    Allen et al. (2022), Nature Neuroscience 25, doi:10.1038/s41593-021-00962-x.

    Examples
    --------
    What is missing is named; average what came by ``average_repeats(zscore_sessions(responses))``:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         load_nsd(folder, subject="subj01", mask="nsdgeneral", roi="prf-visualrois")
    ...     except FileNotFoundError as error:
    ...         print(str(error).split(": ", 1)[1])
    expected a folder of betas, got none. Beside it: nothing.
    """
    folder, number = Path(folder), _number(subject)
    on_surface = choose(SPACES, space, "space")
    name = f"subj{number:02d}"
    numbers = list(range(1, N_SESSIONS[number - 1] + 1) if sessions is None else sessions)
    outside = [one for one in numbers if not 1 <= one <= N_SESSIONS[number - 1]]
    if outside or not numbers or len(set(numbers)) < len(numbers):
        raise LoadError(
            f"sessions: expected each of 1 to {N_SESSIONS[number - 1]} once at most ({name}), got "
            f"{numbers}. "
            "Drop the others."
        )
    betas = folder / "nsddata_betas/ppdata" / name / space / preparation
    if not betas.is_dir():
        held = sorted(path.name for path in betas.parent.glob("*"))
        raise FileNotFoundError(
            f"{betas}: expected a folder of betas, got none. Beside it: {some(held) or 'nothing'}."
        )
    regions = [roi] if isinstance(roi, str) else list(roi or [])
    load = _load_surfaces if on_surface else _load_volumes
    values, coords, attrs, paths = load(
        folder, name, space, betas, numbers, sessions is not None, regions, mask
    )
    trials = describe_trials(folder, number, numbers)
    for column in trials:
        text = trials[column].dtype.kind not in "biuf"
        coords[str(column)] = ("sample", trials[column].to_numpy(dtype=np.str_ if text else None))
    coords["subject"] = ("sample", np.full(len(trials), name))
    attrs |= {
        "kind": "responses",
        "modality": "fmri",
        "units": "percent",
        "space": space,
        "source": ", ".join(path.name for path in paths),
        "schema_version": SCHEMA_VERSION,
        "history": f"load_nsd: {name}, {len(numbers)} sessions of {preparation}",
    }
    responses = xr.DataArray(values, coords, ("sample", "neuroid"), attrs=attrs)
    # xarray names an array after its dask graph, which differs from call to call.
    return check_responses(responses.rename(None))
