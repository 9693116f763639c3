"""RDMs as objects of rsatoolbox in memory, and back; its files are read by ``loaders``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose, require, some
from neuroalign.rsa._pairs import count_conditions
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.rdms import condense, find_condition_coords
from neuroalign.schema import as_labels

Array = npt.NDArray[Any]
# Their names of measures that have another one here; squares are divided by channels in both.
MEASURES = {
    "squared euclidean": "squared_euclidean",
    "squared mahalanobis": "mahalanobis",
}
CONDITIONS = "conditions"
# What numbers rows and says nothing of them.
COUNTER = "index"


def _read_columns(descriptors: Mapping[str, Any], n: int, name: str) -> dict[str, Array]:
    """Descriptors of n entries, as text or numbers."""
    columns = {}
    for key, values in descriptors.items():
        column = np.asarray(values)
        if column.shape != (n,):
            raise SchemaError(
                f"rdms.{name}['{key}']: expected {n} values, got shape {column.shape}. Drop it."
            )
        if key != COUNTER:
            columns[str(key)] = column if column.dtype.kind in "fiub" else column.astype(np.str_)
    return columns


def _count(n: int, word: str) -> Array:
    return np.array([f"{word}-{k:0{max(2, len(str(n - 1)))}d}" for k in range(n)])


def _name_conditions(columns: dict[str, Array], by: str | Sequence[str] | None, n: int) -> Array:
    if isinstance(by, str):
        names = choose(columns, by, "by").astype(np.str_)
    elif by is not None:
        names = as_labels(list(by), "by")
    else:
        text = [one for one in columns.values() if one.dtype.kind == "U"]
        unique = [one for one in text if len(set(one.tolist())) == n]
        names = unique[0] if unique else _count(n, "condition")
    if len(names) != n or len(set(names.tolist())) < n:
        raise SchemaError(
            f"by: expected {n} different names of conditions, got {len(names)} of which "
            f"{len(set(names.tolist()))} differ. Name another pattern descriptor."
        )
    return names


def from_rsatoolbox(
    rdms: Any,
    *,
    by: str | Sequence[str] | None = None,
    category: str | None = None,
    over: str = "rdm",
) -> xr.DataArray:
    """Label the RDMs of an ``rsatoolbox.rdm.RDMs`` object.

    Parameters
    ----------
    rdms : rsatoolbox.rdm.RDMs
        Or anything else with ``dissimilarities`` (rdm, pair), ``pattern_descriptors`` and
        ``rdm_descriptors``; rsatoolbox need not be installed.
    by : str or sequence of str, optional
        The pattern descriptor that names the conditions, or the names themselves; the first
        one of text that is unique, else ``condition-00`` and so on.
    category : str, optional
        The pattern descriptor of categories.
    over : str
        Name of the leading dim, such as "subject" for `infer`. The RDM descriptor of this name
        labels it, else RDMs are numbered.

    Returns
    -------
    DataArray (over, pair)
        A copy. Other descriptors become coords: of RDMs under their names, of conditions as
        ``first_<name>`` and ``second_<name>``. Measures get our names (``squared euclidean`` is
        ``squared_euclidean``).

    Raises
    ------
    SchemaError
        When it is no such object, names are not unique, or descriptors do not fit.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> theirs = SimpleNamespace(
    ...     dissimilarities=np.array([[1.0, 2.0, 3.0]]), dissimilarity_measure="crossnobis",
    ...     pattern_descriptors={"index": [0, 1, 2], "stimulus": ["cat", "dog", "car"]},
    ...     rdm_descriptors={"index": [0], "subject": ["sub-01"]},
    ... )
    >>> rdm = from_rsatoolbox(theirs, over="subject")
    >>> rdm["subject"].values.tolist(), rdm["second"].values.tolist(), rdm.attrs["distance"]
    (['sub-01'], ['dog', 'car', 'car'], 'crossnobis')
    """
    missing = [
        name
        for name in ("dissimilarities", "pattern_descriptors", "rdm_descriptors")
        if not hasattr(rdms, name)
    ]
    if missing:
        raise SchemaError(
            f"rdms: expected an rsatoolbox RDMs object, got {type(rdms).__name__} without "
            f"{some(missing)}. Label matrices by rsa.from_matrix, read files by loaders.load_rdms."
        )
    values = np.array(rdms.dissimilarities, dtype=np.float64, ndmin=2)
    n = count_conditions(values.shape[1])
    known = _read_columns(rdms.pattern_descriptors, n, "pattern_descriptors")
    names = _name_conditions(known, by, n)
    if category is not None:
        known["category"] = choose(known, category, "category").astype(np.str_)
    first, second = np.triu_indices(n, 1)
    coords: dict[str, Any] = {}
    for key, column in known.items():
        if not np.array_equal(column, names) and key not in (CONDITIONS, by):
            coords |= {f"first_{key}": ("pair", column[first])}
            coords |= {f"second_{key}": ("pair", column[second])}
    n_rdms = len(values)
    of_rdms = _read_columns(rdms.rdm_descriptors, n_rdms, "rdm_descriptors")
    labels = of_rdms.pop(over, _count(n_rdms, over)).astype(np.str_)
    if len(set(labels.tolist())) < n_rdms:
        raise SchemaError(
            f"over: expected different '{over}' of {n_rdms} RDMs, got "
            f"{len(set(labels.tolist()))}. Leave over= out, or take a subset first."
        )
    coords |= {over: labels} | {key: (over, column) for key, column in of_rdms.items()}
    measure = str(getattr(rdms, "dissimilarity_measure", None) or "unknown")
    return fold(values, names, (over,), distance=MEASURES.get(measure, measure)).assign_coords(
        coords
    )


def to_rsatoolbox(rdms: xr.DataArray) -> Any:
    """Make an ``rsatoolbox.rdm.RDMs`` object.

    Parameters
    ----------
    rdms : DataArray (..., pair) or (..., first, second)
        Leading dims become one.

    Returns
    -------
    rsatoolbox.rdm.RDMs
        Float64 copies. ``pattern_descriptors`` hold ``conditions`` and what is known of each (as
        ``category``), ``rdm_descriptors`` the labels of all leading dims.

    Raises
    ------
    MissingExtraError
        When rsatoolbox is not installed.
    SchemaError
        For RDMs of kind 'cross' or else asymmetric.

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> theirs = to_rsatoolbox(from_matrix([1.0, 2.0, 3.0], ["cat", "dog", "car"]))
    >>> theirs.pattern_descriptors["conditions"], theirs.dissimilarities.tolist()
    (['cat', 'dog', 'car'], [[1.0, 2.0, 3.0]])
    """
    module: Any = require("rsatoolbox.rdm", "test")
    values, labels = condense(rdms, name="rdms")
    lead = rdms.dims[: -2 if rdms.dims[-1] == "second" else -1]
    shape = values.shape[:-1]
    of_rdms = {}
    for key, coord in rdms.coords.items():
        if coord.dims and set(coord.dims) <= set(lead):
            spread = coord.broadcast_like(rdms.isel(dict.fromkeys(rdms.dims[len(lead) :], 0)))
            of_rdms[str(key)] = spread.transpose(*lead).values.reshape(-1).tolist()
    of_conditions = {
        CONDITIONS: labels.tolist(),
        **{key: column.tolist() for key, column in find_condition_coords(rdms, labels).items()},
    }
    theirs = {ours: name for name, ours in MEASURES.items()}
    measure = str(rdms.attrs.get("distance", "unknown"))
    flat = np.array(values, dtype=np.float64).reshape(int(np.prod(shape)), -1)
    return module.RDMs(
        flat,
        dissimilarity_measure=theirs.get(measure, measure),
        rdm_descriptors=of_rdms,
        pattern_descriptors=of_conditions,
    )
