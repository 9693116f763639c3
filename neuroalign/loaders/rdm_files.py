"""Pre-computed RDMs: rsatoolbox's hdf5, MATLAB and numpy files to labelled stacks, and back."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError, SchemaError, choose, some
from neuroalign.loaders._rdm_arrays import check_values, count_conditions
from neuroalign.loaders._rdm_readers import HDF5, READERS, Found, number_names
from neuroalign.schema import SCHEMA_VERSION, as_labels, check_rdm
from neuroalign.storage import write_whole

Array = npt.NDArray[Any]
PathLike = Path | str
CONDITIONS = "conditions"
# Labels that names of RDMs may hold, as in 'IT | Session: 1' or 'sub-01_ses-2'.
HELD = {"subject": "sub(?:ject)?", "session": "ses(?:sion)?", "run": "run"}


def _read_labels(names: Sequence[str]) -> dict[str, Array]:
    """Labels that every name holds after its word."""
    found = {}
    for label, word in HELD.items():
        pattern = rf"(?<![a-z]){word}(?:\s*[:=_-]\s*|\s+|(?=\d))([a-z0-9]+)"
        held = [re.search(pattern, name, re.IGNORECASE) for name in names]
        values = [one[1] for one in held if one]
        if names and len(values) == len(names):
            found[label] = np.array(values)
    return found


def _name_conditions(found: Found, labels: Sequence[str] | str | None, n: int, path: Path) -> Array:
    if isinstance(labels, str):
        given: Any = choose(found.conditions, labels, f"{path}: labels")
    elif labels is not None:
        given = labels
    else:
        unique = [values for values in found.conditions.values() if len(set(values)) == n]
        given = unique[0] if unique else number_names(n, "condition")
    names = as_labels(given, "labels")
    if names.shape != (n,):
        raise LoadError(
            f"{path}: expected {n} labels (one for each condition), got {len(names)}. "
            "Give them in the order of the file."
        )
    if len(set(names.tolist())) < n:
        twice = sorted({label for label in names.tolist() if (names == label).sum() > 1})
        raise LoadError(f"{path}: expected unique labels, got {some(twice)} repeated. Rename them.")
    return names


def load_rdms(
    path: PathLike,
    *,
    labels: Sequence[str] | str | None = None,
    categories: Sequence[str] | str | None = None,
    key: str | None = None,
    form: str | None = None,
    distance: str | None = None,
    dtype: str = "float64",
) -> xr.DataArray:
    """Load a stack of pre-computed RDMs.

    Parameters
    ----------
    path : path
        ``.h5`` / ``.hdf5`` (rsatoolbox's ``RDMs.save``), ``.mat`` (any version; arrays, cells,
        or structs with a field ``RDM`` and a field ``name``) or ``.npy``.
    labels : sequence of str (condition,) or str, optional
        Names of the conditions in the order of the file, or the name of the pattern descriptor
        (hdf5) or cell variable (mat) that holds them. When not given, the first of those that is
        unique, else ``condition-00`` and so on.
    categories : sequence of str (condition,) or str, optional
        As ``labels``, but may repeat.
    key : str, optional
        The variable (mat) or dataset (hdf5), when the file has several.
    form : {"square", "condensed"}, optional
        ``(..., n, n)`` or ``(..., pair)``; square when the last two dims are equal. MATLAB's
        ``(n, n, ...)`` is turned.
    distance : str, optional
        Name of the measure; the file's own when not given. ``crossnobis`` and ``poisson_cv``
        allow values below 0.
    dtype : str

    Returns
    -------
    DataArray (rdm, pair)
        ``rdm`` names the RDMs (as the file does, where it does so uniquely); ``first`` and
        ``second`` name the conditions of a pair, in the order (0, 1), (0, 2), ... (1, 2), ...
        that scipy's ``squareform`` and MATLAB's ``pdist`` share. ``subject``, ``session`` and
        ``run`` (rdm,) where every name says them, as ``"IT | subject1 | Session: 2"`` and
        ``"sub-01_ses-2"`` do. attrs ``kind`` dissimilarity, ``distance``, ``source``.

    Raises
    ------
    FileNotFoundError, DataCorruptionError
    LoadError
        When RDMs are asymmetric, have values on the diagonal, NaN or values below 0, or a number
        of pairs that no number of conditions gives; when labels do not fit.

    Notes
    -----
    Several RDMs of a person are no independent people: average them by
    `neuroalign.rsa.average_rdms` before `neuroalign.rsa.infer`, as below.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import scipy.io
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/rdms.npy", np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    ...     rdms = load_rdms(f"{folder}/rdms.npy", labels=["cat", "dog", "cup"])
    >>> rdms.shape, rdms["first"].values.tolist(), rdms["second"].values.tolist()
    ((2, 3), ['cat', 'cat', 'dog'], ['dog', 'cup', 'cup'])

    Two people, each in two sessions, to one RDM of each person:

    >>> from neuroalign.rsa import average_rdms
    >>> names = ["IT | BE | Session: 1", "IT | KO | Session: 1"]
    >>> names += ["IT | BE | Session: 2", "IT | KO | Session: 2"]
    >>> structs = np.array([(np.array([1.0, k, 3.0]), name) for k, name in enumerate(names)],
    ...                    dtype=[("RDM", object), ("name", object)])
    >>> with TemporaryDirectory() as folder:
    ...     scipy.io.savemat(f"{folder}/rdms.mat", {"RDMs": structs})
    ...     rdms = load_rdms(f"{folder}/rdms.mat")
    >>> rdms["session"].values.tolist()
    ['1', '1', '2', '2']
    >>> who = np.array([name.split(" | ")[1] for name in rdms["rdm"].values])
    >>> people = {one: average_rdms(rdms[who == one], over="rdm") for one in ("BE", "KO")}
    >>> {name: rdm.values.tolist() for name, rdm in people.items()}
    {'BE': [1.0, 1.0, 3.0], 'KO': [1.0, 2.0, 3.0]}
    """
    path = Path(path)
    endings = {ending: read for ending, read in READERS.items() if path.suffix.lower() == ending}
    read = endings.get(path.suffix.lower()) or choose(READERS, path.suffix, f"{path}: ending")
    found = read(path, key, form, dtype)
    measure = distance or str(found.attrs.get("distance", ""))
    check_values(found.values, found.names, measure, path)
    n = count_conditions(found.values.shape[1], str(path))
    names = _name_conditions(found, labels, n, path)
    first, second = np.triu_indices(n, 1)
    coords: dict[str, Any] = {
        "first": ("pair", names[first]),
        "second": ("pair", names[second]),
    }
    if categories is not None:
        held = (
            choose(found.conditions, categories, f"{path}: categories")
            if isinstance(categories, str)
            else categories
        )
        groups = as_labels(held, "categories")
        if groups.shape != (n,):
            raise LoadError(
                f"{path}: expected {n} categories, got {len(groups)}. Give each condition one."
            )
        coords |= {"first_category": ("pair", groups[first])}
        coords |= {"second_category": ("pair", groups[second])}
    told = _read_labels(found.names) | found.per_rdm
    coords |= {name: ("rdm", values) for name, values in told.items()}
    unique = len(set(found.names)) == len(found.names)
    coords["rdm"] = np.array(found.names if unique else number_names(len(found.names), "rdm"))
    if not unique:
        coords["name"] = ("rdm", np.array(found.names))
    attrs = {
        **found.attrs,
        "kind": "dissimilarity",
        "distance": measure or "unknown",
        "source": path.name,
        "schema_version": SCHEMA_VERSION,
        "history": f"load_rdms: {path.name}",
    }
    return check_rdm(xr.DataArray(found.values, coords, ("rdm", "pair"), attrs=attrs), str(path))


def _unfold(rdms: xr.DataArray) -> tuple[Array, Array, dict[str, Array], dict[str, Array]]:
    """Rows of pairs, labels, and descriptors of conditions and of RDMs."""
    square = rdms.dims[-2:] == ("first", "second")
    lead = list(rdms.dims[: -2 if square else -1])
    flat = rdms.stack(rdm_=lead, create_index=False) if lead else rdms.expand_dims("rdm_", -1)
    flat = flat.transpose("rdm_", ...)
    per_rdm = {str(k): v.values for k, v in flat.coords.items() if v.dims == ("rdm_",)}
    if square:
        n = rdms.sizes["first"]
        upper = np.triu_indices(n, 1)
        labels, values = rdms["first"].values, flat.values[:, upper[0], upper[1]]
        groups = rdms.coords.get("first_category")
        categories = None if groups is None else groups.values
    else:
        values = flat.values
        n = count_conditions(values.shape[1], "rdms")
        # The first condition meets all others in the first n - 1 pairs.
        one, two = (rdms[name].values for name in ("first", "second"))
        labels = np.concatenate([one[:1], two[: n - 1]])
        upper = np.triu_indices(n, 1)
        if not (np.array_equal(labels[upper[0]], one) and np.array_equal(labels[upper[1]], two)):
            raise SchemaError(
                "rdms: expected pairs in the order (0, 1), (0, 2)... (1, 2)..., got another. "
                "Sort them as squareform does."
            )
        categories = None
        if {"first_category", "second_category"} <= set(rdms.coords):
            pair = [rdms[f"{name}_category"].values for name in ("first", "second")]
            categories = np.concatenate([pair[0][:1], pair[1][: n - 1]])
    patterns = {CONDITIONS: labels}
    if categories is not None:
        patterns["category"] = categories
    return values, labels, patterns, per_rdm


def _write_descriptors(file: h5py.File, name: str, columns: Mapping[str, Array], n: int) -> None:
    group = file.create_group(name)
    group["index"] = np.arange(n)
    for key, values in columns.items():
        if values.dtype.kind not in "UT":
            group[key] = values
            continue
        try:
            group[key] = np.array(values.tolist(), dtype=np.str_).astype("S")
        except UnicodeEncodeError as error:
            raise SchemaError(
                f"rdms.{key}: expected ASCII names, which are all that rsatoolbox reads, got "
                f"'{error.object}'. Rename them."
            ) from error


def to_rsatoolbox(rdms: xr.DataArray, path: PathLike) -> Path:
    """Write RDMs as the hdf5 file that ``rsatoolbox.rdm.load_rdm`` reads.

    Parameters
    ----------
    rdms : DataArray (..., first, second) or (..., pair)
        Leading dims become one; their coords become ``rdm_descriptors``.
    path : path
        ``.h5`` or ``.hdf5``; written whole.

    Returns
    -------
    Path

    Raises
    ------
    SchemaError
        When these are no dissimilarities (kind ``cross``), pairs stand in another order, or
        names are not ASCII.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> rdm = from_matrix(np.array([1.0, 2.0, 3.0]), ["cat", "dog", "cup"])
    >>> with TemporaryDirectory() as folder:
    ...     load_rdms(to_rsatoolbox(rdm, f"{folder}/rdm.h5")).values.tolist()
    [[1.0, 2.0, 3.0]]
    """
    path = Path(path)
    choose(dict.fromkeys(HDF5), path.suffix, "path ending")
    check_rdm(rdms, "rdms")
    if rdms.attrs.get("kind") != "dissimilarity":
        raise SchemaError(
            f"rdms: expected kind 'dissimilarity', got '{rdms.attrs.get('kind')}'. rsatoolbox "
            "keeps one half of an RDM; make it symmetric first."
        )
    values, labels, patterns, per_rdm = _unfold(rdms)
    with write_whole(path) as partial_path, h5py.File(partial_path, "w") as file:
        file["dissimilarities"] = values.astype(np.float64)
        file.attrs["dissimilarity_measure"] = str(rdms.attrs.get("distance", "unknown"))
        group = file.create_group("descriptors")
        for key, value in rdms.attrs.items():
            if key in ("distance", "kind"):
                continue
            if isinstance(value, str):
                group.attrs[key] = value
            else:
                group[key] = value
        _write_descriptors(file, "rdm_descriptors", per_rdm, len(values))
        _write_descriptors(file, "pattern_descriptors", patterns, len(labels))
    return path
