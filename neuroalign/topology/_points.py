"""From points or RDMs to distances that a filtration may use, few enough to compute with.

In: points (sample, unit) or one RDM, bare or labelled. Out: distances, bare, with a line that says
what was done to them. To add a metric: its row in ``METRICS``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import rankdata
from sklearn.metrics.pairwise import euclidean_distances, manhattan_distances

from neuroalign.errors import AlignError, SchemaError, choose
from neuroalign.rsa._bare import refuse_bare_rdm
from neuroalign.rsa.rdms import find_conditions, to_condensed

Array = npt.NDArray[Any]
# Distances of RDMs that are metrics as they stand; all others grow like squares.
ARE_METRICS = ("euclidean", "city_block")


def _center(values: Array) -> Array:
    # Distances do not change, and those of points far from the origin keep their digits.
    centered: Array = values - values.mean(axis=0)
    return centered


def _to_unit(values: Array) -> Array:
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    flat = int((norms <= 1e-12 * norms.max(initial=0.0)).sum())
    if flat:
        raise SchemaError(
            f"data: expected points that have a direction, got {flat} without one (zero, or "
            "constant over units). Leave them out, or use metric='euclidean'."
        )
    unit: Array = values / norms
    return unit


def _to_unit_centered(values: Array) -> Array:
    return _to_unit(values - values.mean(axis=1, keepdims=True))


Metric = tuple[Callable[[Array], Array], Callable[[Array, Array], Array], str]
METRICS: dict[str, Metric] = {
    "euclidean": (_center, euclidean_distances, "euclidean distances"),
    "city_block": (_center, manhattan_distances, "city-block distances"),
    "cosine": (_to_unit, euclidean_distances, "chords sqrt(2 - 2 cosine)"),
    "correlation": (_to_unit_centered, euclidean_distances, "chords sqrt(2 - 2 correlation)"),
}


def _take_root(values: Array) -> tuple[Array, str]:
    return np.sqrt(np.maximum(values, 0)), "sqrt(max(d, 0))"


def _take_ranks(values: Array) -> tuple[Array, str]:
    return rankdata(values) / len(values), "ranks of d divided by their number"


def _leave(values: Array) -> tuple[Array, str]:
    return np.maximum(values, 0), "max(d, 0)"


TRANSFORMS: dict[str, Callable[[Array], tuple[Array, str]]] = {
    "root": _take_root,
    "ranks": _take_ranks,
    "none": _leave,
}


class Cloud(NamedTuple):
    """Points, or their distances, before landmarks are chosen.

    ``points`` (n, p) or None, ``distances`` (n, n) or None, ``n``, ``steps`` in words,
    ``n_negative`` distances that were below 0.
    """

    points: Array | None
    distances: Array | None
    n: int
    steps: str
    metric: str
    n_negative: int = 0

    def measure_from(self, row: int) -> Array:
        """Distances (n,) from one point to all."""
        if self.points is None:
            found: Array = np.asarray(self.distances)[row].copy()
        else:
            found = METRICS[self.metric][1](self.points[row : row + 1], self.points)[0]
        # Rounding leaves a point a little away from itself.
        found[row] = 0
        return found

    def measure_all(self, rows: Array | None = None) -> Array:
        """Distances (k, k) among some points, or all; exactly symmetric, with zero diagonal."""
        if self.points is None:
            full = np.asarray(self.distances)
            return full.copy() if rows is None else full[np.ix_(rows, rows)]
        points = self.points if rows is None else self.points[rows]
        found = METRICS[self.metric][1](points, points)
        found = (found + found.T) / 2
        np.fill_diagonal(found, 0)
        return found


def is_rdm(data: Any) -> bool:
    """Tell an RDM from points by its dims."""
    return isinstance(data, xr.DataArray) and (
        data.dims[-2:] == ("first", "second") or data.dims[-1:] == ("pair",)
    )


def find_lead(data: Any) -> tuple[str, ...]:
    """Dims of a stack of RDMs before those of the pairs; none for points and for one RDM."""
    if not is_rdm(data):
        return ()
    own = 1 if data.dims[-1] == "pair" else 2
    return tuple(map(str, data.dims[:-own]))


def read_values(data: Any, name: str = "data") -> Array:
    """Take points (sample, unit) out as float64.

    Raises
    ------
    SchemaError
        With other than two dims, fewer than two points, NaN or infinite values, and for a bare
        matrix that may be an RDM.
    """
    labelled = isinstance(data, xr.DataArray)
    values = np.asarray(data.values if labelled else data, dtype=np.float64)
    if not labelled:
        refuse_bare_rdm(values, name)
    if values.ndim != 2 or not values.size or len(values) < 2:
        raise SchemaError(
            f"{name}: expected two or more points (sample, unit) or an RDM, got shape "
            f"{values.shape}. Select a time, or flatten units and times."
        )
    wrong = int((~np.isfinite(values)).any(axis=1).sum())
    if wrong:
        raise SchemaError(
            f"{name}: expected finite values, got NaN or infinity in {wrong} of {len(values)} "
            "points. Leave out those samples or units."
        )
    return values


def _read_rdm(rdm: xr.DataArray, transform: str, name: str) -> Cloud:
    lead = find_lead(rdm)
    if lead:
        raise SchemaError(
            f"{name}: expected one RDM, got a stack over {lead}. Select one with isel, or average "
            "them."
        )
    values = to_condensed(rdm).values.astype(np.float64)
    if not np.isfinite(values).all():
        raise SchemaError(
            f"{name}: expected finite distances, got {int((~np.isfinite(values)).sum())} that are "
            "not. Leave out their conditions."
        )
    known = str(rdm.attrs.get("distance", ""))
    if transform == "auto":
        transform = "none" if known in ARE_METRICS else "root"
    changed, steps = TRANSFORMS[transform](values)
    n = len(find_conditions(rdm))
    distances = np.zeros((n, n))
    rows, columns = np.triu_indices(n, 1)
    distances[rows, columns] = distances[columns, rows] = changed
    steps = f"RDM ({known or 'distance not named'}): {steps}"
    return Cloud(None, distances, n, steps, "rdm", int((values < 0).sum()))


def read_cloud(data: Any, metric: str, rdm_transform: str, name: str = "data") -> Cloud:
    """Read points or one RDM, whichever it is.

    Parameters
    ----------
    data : array or DataArray (sample, unit), or DataArray (pair) or (first, second)
    metric : str
        A name in ``METRICS``; of no use for an RDM.
    rdm_transform : {"auto", "root", "ranks", "none"}
    name : str

    Returns
    -------
    Cloud

    Raises
    ------
    SchemaError, ValueError
    """
    prepare, _, text = choose(METRICS, metric, "metric")
    choose({"auto": None, **TRANSFORMS}, rdm_transform, "rdm_transform")
    if is_rdm(data):
        return _read_rdm(data, rdm_transform, name)
    values = prepare(read_values(data, name))
    return Cloud(values, None, len(values), text, metric)


def check_same_samples(a: Any, b: Any) -> None:
    """Check that two labelled representations hold the same samples in the same order.

    Raises
    ------
    AlignError
    """
    both = [one for one in (a, b) if isinstance(one, xr.DataArray)]
    keys = [key for key in ("stimulus", "run", "onset") if all(key in one.coords for one in both)]
    if len(both) < 2:
        return
    for key in keys:
        if not np.array_equal(a[key].values, b[key].values):
            raise AlignError(
                f"b: expected the '{key}' of a in its order, got others. Use align.match first."
            )
