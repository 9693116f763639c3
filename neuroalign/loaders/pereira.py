"""Concepts and sentences read in the scanner (Pereira et al. 2018): a file an experiment."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, NeuroalignWarning, choose, some
from neuroalign.loaders._mat import read_mat
from neuroalign.loaders.arrays import from_arrays
from neuroalign.schema import add_history

Array = npt.NDArray[Any]
PathLike = Path | str
CONCEPTS = ("examples", "keyConcept", 180)
# Experiment (data_<experiment>.mat) -> its variables of responses and labels, and its stimuli.
EXPERIMENTS = {
    "180concepts_sentences": CONCEPTS,
    "180concepts_pictures": CONCEPTS,
    "180concepts_wordclouds": CONCEPTS,
    "384sentences": ("examples_passagesentences", "keySentences", 384),
    "243sentences": ("examples_passagesentences", "keySentences", 243),
}
PASSAGE = "labelsPassageForEachSentence"


def _find_file(folder: PathLike, experiment: str, subject: str | None) -> tuple[Path, str]:
    place = Path(folder) if subject is None else Path(folder) / subject
    if not place.is_dir():
        packed = sorted(path.name for path in place.parent.glob("*.tar*"))
        advice = f"Unpack {some(packed)} first." if packed else "Name the participant's folder."
        raise FileNotFoundError(
            f"{place}: expected the folder of one participant, got none. {advice}"
        )
    return place / f"data_{experiment}.mat", subject or place.name


def _as_list(value: Any) -> list[Any]:
    """Cells and columns of any orientation as one list; a lone text is a list of one."""
    if isinstance(value, np.ndarray):
        return list(value.ravel(order="F").tolist())
    return list(value) if isinstance(value, list) else [value]


def _texts(value: Any, name: str, path: Path) -> list[str]:
    items = _as_list(value)
    texts = [_as_list(item)[0] if len(_as_list(item)) == 1 else item for item in items]
    bad = [row for row, text in enumerate(texts) if not isinstance(text, str) or not text.strip()]
    if bad:
        raise LoadError(
            f"{path}: expected text in every cell of '{name}', got {type(texts[bad[0]]).__name__} "
            f"in row {bad[0]} ({len(bad)} of {len(texts)}). The layout differs; read it by hand."
        )
    return [text.strip() for text in texts]


def _read_places(meta: dict[str, Any], n: int, path: Path) -> Array:
    """Voxel indices (neuroid, 3), counted from 0."""
    places = np.atleast_2d(np.asarray(meta.get("colToCoord", np.empty((0, 3)))))
    whole = places.dtype.kind in "buif" and np.array_equal(places, np.round(places))
    if places.shape != (n, 3) or not whole or places.min(initial=1) < 1:
        raise LoadError(
            f"{path}: expected meta.colToCoord of ({n}, 3) indices from 1, got shape "
            f"{places.shape}, least {places.min(initial=1):g}. Check that examples and meta belong "
            "together."
        )
    return places.astype(np.int64) - 1


def _read_roi(meta: dict[str, Any], atlas: str, n: int, path: Path) -> Array:
    """Name the region of an atlas that each voxel lies in; '' outside of all."""
    absent = [name for name in ("atlases", "rois", "roiColumns") if name not in meta]
    if absent:
        raise LoadError(
            f"{path}: expected meta.{absent[0]} for atlas='{atlas}', got {some(meta, 20)}. "
            "Load without atlas."
        )
    atlases = {name: row for row, name in enumerate(_texts(meta["atlases"], "meta.atlases", path))}
    row = choose(atlases, atlas, f"{path}: atlas")
    regions = _texts(_as_list(meta["rois"])[row], "meta.rois", path)
    columns = _as_list(meta["roiColumns"])[row]
    columns = columns if isinstance(columns, list) else [columns]
    if len(columns) != len(regions):
        raise LoadError(
            f"{path}: expected columns for {len(regions)} regions of '{atlas}', got "
            f"{len(columns)}. Download it again."
        )
    roi = np.full(n, "", dtype=f"<U{max(map(len, regions))}")
    for region, held in zip(regions, columns, strict=True):
        index = np.asarray(held).ravel().astype(np.int64) - 1
        if len(index) and not (index.min() >= 0 and index.max() < n):
            raise LoadError(
                f"{path}: expected columns 1 to {n} for region '{region}', got up to "
                f"{index.max() + 1}. Check that examples and meta belong together."
            )
        roi[index] = region
    return roi


def load_pereira(
    folder: PathLike, *, experiment: str, subject: str | None = None, atlas: str | None = None
) -> xr.DataArray:
    """Load the responses of one participant to the stimuli of one experiment.

    Parameters
    ----------
    folder : path
        The participant's folder (such as ``P01``, unpacked), or with ``subject`` the one above.
    experiment : str
        ``180concepts_sentences``, ``180concepts_pictures``, ``180concepts_wordclouds``,
        ``384sentences`` or ``243sentences``: the file is ``data_<experiment>.mat``.
    subject : str, optional
        The folder's name when not given.
    atlas : str, optional
        An atlas of ``meta.atlases`` that names ``roi``: ``gordon``, ``languageLH``... Voxels
        outside its regions get ''.

    Returns
    -------
    DataArray (sample, neuroid)
        float32. ``stimulus`` is the concept or the sentence; ``passage`` its passage, where the
        file says so; ``i j k`` are voxel indices, counted from 0; attrs ``grid_shape``. There is
        one response a stimulus: the authors averaged repetitions.

    Warns
    -----
    NeuroalignWarning
        When voxels hold NaN.

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    LoadError
        When the number of stimuli is not that of the experiment, or labels, places and responses
        do not belong together.

    Notes
    -----
    The variables are those that public readers of the files use. Unverified against the data:
    that ``colToCoord`` counts from 1, and the affine of its grid, so that ``x y z`` are absent.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import scipy.io
    >>> words = np.array([[f"word-{n}"] for n in range(180)], object)
    >>> meta = {"dimensions": [88, 125, 85], "colToCoord": [[1, 2, 3], [1, 2, 4]]}
    >>> content = {"examples": np.ones((180, 2)), "keyConcept": words, "meta": meta}
    >>> with TemporaryDirectory() as folder:
    ...     scipy.io.savemat(f"{folder}/data_180concepts_pictures.mat", content)
    ...     responses = load_pereira(folder, experiment="180concepts_pictures", subject=None)
    >>> responses["neuroid"].values.tolist()
    ['0-1-2', '0-1-3']
    """
    values_name, labels_name, n_stimuli = choose(EXPERIMENTS, experiment, "experiment")
    path, subject = _find_file(folder, experiment, subject)
    content = read_mat(path)
    for name in (values_name, labels_name, "meta"):
        if name not in content:
            raise LoadError(
                f"{path}: expected variable '{name}', got {some(content, 20)}. The layout differs "
                "from data_180concepts_* or data_*sentences; read it by scipy.io and from_arrays."
            )
    values, meta = content[values_name], content["meta"]
    labels = _texts(content[labels_name], labels_name, path)
    if not isinstance(meta, dict) or not isinstance(values, np.ndarray) or values.ndim != 2:
        raise LoadError(
            f"{path}: expected a matrix '{values_name}' and a struct 'meta', got "
            f"{type(values).__name__} {np.shape(values)} and {type(meta).__name__}. "
            "Download it again."
        )
    if not len(values) == len(labels) == n_stimuli:
        raise LoadError(
            f"{path}: expected {n_stimuli} stimuli, got {len(values)} rows of '{values_name}' and "
            f"{len(labels)} of '{labels_name}'. The file is incomplete; download it again."
        )
    n = values.shape[1]
    places = _read_places(meta, n, path)
    holes = np.isnan(values).any(axis=0)
    if holes.any():
        warnings.warn(
            f"{path}: expected finite responses, got NaN in {int(holes.sum())} of {n} voxels. "
            "Drop those voxels before fitting.",
            NeuroalignWarning,
            stacklevel=2,
        )
    sample: dict[str, Any] = {}
    if PASSAGE in content:
        numbers = np.asarray(_as_list(content[PASSAGE])).ravel().astype(np.int64)
        if len(numbers) != n_stimuli:
            raise LoadError(
                f"{path}: expected {n_stimuli} values of '{PASSAGE}', got {len(numbers)}. "
                "Download it again."
            )
        sample["passage"] = [f"passage-{number:03d}" for number in numbers.tolist()]
    neuroid = {axis: places[:, number] for number, axis in enumerate("ijk")}
    if atlas is not None:
        neuroid["roi_"] = _read_roi(meta, atlas, n, path)
    shape = _as_list(meta.get("dimensions", []))
    responses = from_arrays(
        values,
        modality="fmri",
        stimulus=labels,
        subject=[subject] * n_stimuli,
        neuroid=["-".join(map(str, place)) for place in places.tolist()],
        sample_coords=sample,
        neuroid_coords=neuroid,
        attrs={"source": path.name, "space": "native"},
    )
    if len(shape) == 3:
        responses.attrs["grid_shape"] = [int(size) for size in shape]
    if atlas is not None:
        # Voxels outside all regions have no label, which from_arrays would refuse.
        responses = responses.rename(roi_="roi")
    return add_history(responses, f"load_pereira: {path.name}, atlas {atlas or 'none'}")
