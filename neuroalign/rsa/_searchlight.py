"""RDMs of many overlapping neighbourhoods on bare arrays: one product of matrices each, or sums.

Squared distances are sums over channels, so a neighbourhood's RDM is a sparse sum of what each
channel contributes to each pair; that wins with few pairs or many folds. Else channels are
gathered and multiplied: neighbourhoods of one size at a time, as a stack that stays in the cache.
Patterns lie (channel, fold, condition), so that a gather copies whole rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.sparse import csr_array

from neuroalign.errors import NeuroalignError
from neuroalign.rsa._cells import Rows
from neuroalign.rsa._jobs import Distance
from neuroalign.rsa.noise import METHODS, factorise

Array = npt.NDArray[Any]
# Bytes of patterns gathered at once (they stay in the cache), and of contributions.
GATHERED, CONTRIBUTED = 1 << 20, 1 << 24
# Seconds on one core, measured: for a number gathered, multiplied and added, one contributed by a
# channel to a pair in a fold, and for each member of a sparse sum whatever the pairs.
COST = {"gather": 1.5e-9, "multiply": 1.5e-11, "add": 3.5e-10, "contribute": 1.5e-8, "row": 1.5e-8}
# A pattern with less spread than this share of its mean is constant but for rounding.
CONSTANT = 1e-13


@dataclass(frozen=True)
class Residuals:
    """What is left of rows after means of cells (channel, row); covariances are estimated of it."""

    values: Array
    dof: float
    method: str

    def cut(self, members: Array) -> Array:
        """Covariance of some channels."""
        return METHODS[self.method](self.values[members].T, self.dof).covariance


@dataclass(frozen=True)
class Covariance:
    """A covariance of all channels."""

    matrix: Array

    def cut(self, members: Array) -> Array:
        """Covariance of some channels."""
        return np.asarray(self.matrix[np.ix_(members, members)])


@dataclass(frozen=True)
class Light:
    """All that RDMs of neighbourhoods are made of.

    ``cells`` (channel, fold, condition); ``present`` (condition, fold); neighbours as the
    ``indices`` and ``indptr`` of a CSR array, no members where there shall be no RDM. ``rows`` is
    given for distances that need single rows, or noise of each fold, and are run one by one.
    """

    cells: Array
    present: Array
    indices: Array
    indptr: Array
    name: str
    distance: Distance
    noise: Residuals | Covariance | None = None
    rows: Rows | None = None
    row_noise: Any = None
    remove_mean: bool = False


def _condense(square: Array) -> Array:
    n = square.shape[-1]
    first, second = np.triu_indices(n, 1)
    return np.asarray(square.reshape(len(square), n * n).take(first * n + second, axis=1))


def _multiply(X: Array) -> Array:
    """Inner products of conditions: (stack, channel, condition) to (stack, n, n)."""
    return np.asarray(np.matmul(np.swapaxes(X, 1, 2), X))


def _subtract(gram: Array) -> Array:
    """Squared distances (stack, pair) from inner products."""
    size = np.ascontiguousarray(np.diagonal(gram, axis1=1, axis2=2))
    first, second = np.triu_indices(gram.shape[-1], 1)
    squared = _condense(gram)
    squared *= -2
    squared += size.take(first, axis=1)
    squared += size.take(second, axis=1)
    return squared


def _square(X: Array) -> Array:
    """Mean over channels of squared differences; X has no mean over conditions."""
    squared = _subtract(_multiply(X[:, :, 0]))
    squared /= X.shape[1]
    return np.asarray(np.maximum(squared, 0.0, out=squared))


def _root(X: Array) -> Array:
    return np.asarray(np.sqrt(_square(X)))


def _one_minus(gram: Array, lost: Array) -> Array:
    """1 - cosine (stack, pair) from inner products."""
    size = np.ascontiguousarray(np.diagonal(gram, axis1=1, axis2=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(lost, np.nan, 1 / np.sqrt(size))
    first, second = np.triu_indices(gram.shape[-1], 1)
    made = _condense(gram)
    made *= scale.take(first, axis=1)
    made *= scale.take(second, axis=1)
    np.clip(made, -1, 1, out=made)
    return np.asarray(np.subtract(1, made, out=made))


def _correlate(X: Array) -> Array:
    patterns = X[:, :, 0]
    mean = patterns.mean(axis=1, keepdims=True)
    patterns = patterns - mean
    gram = _multiply(patterns)
    size = np.sqrt(np.diagonal(gram, axis1=1, axis2=2) / X.shape[1])
    return _one_minus(gram, size <= CONSTANT * np.abs(mean[:, 0]))


def _angle(X: Array) -> Array:
    gram = _multiply(X[:, :, 0])
    return _one_minus(gram, np.diagonal(gram, axis1=1, axis2=2) == 0)


def _cross(X: Array) -> Array:
    """Crossnobis distance; each fold has no mean over conditions, and all its cells."""
    stack, p, n_folds, n = X.shape
    gram = _multiply(X.sum(axis=2))
    gram -= _multiply(X.reshape(stack, p * n_folds, n))
    squared = _subtract(gram)
    squared /= n_folds * (n_folds - 1) * p
    return squared


# Distances from stacks (stack, channel, fold, condition) to (stack, pair).
STACKED: dict[str, Callable[[Array], Array]] = {
    "squared_euclidean": _square,
    "euclidean": _root,
    "correlation": _correlate,
    "cosine": _angle,
    "mahalanobis": _square,
    "crossnobis": _cross,
    "linear_discriminant_contrast": _cross,
}
# Those that are means over channels, and what is done to the mean.
SUMMED: dict[str, Callable[[Array], Array]] = {
    "squared_euclidean": np.asarray,
    "euclidean": np.sqrt,
    "mahalanobis": np.asarray,
    "crossnobis": np.asarray,
    "linear_discriminant_contrast": np.asarray,
}
# These need patterns without a mean over conditions (in each fold) to keep their digits.
SHIFTED = tuple(SUMMED)


def center_cells(cells: Array, present: Array) -> Array:
    """Subtract means over the conditions that each fold has; absent cells stay 0."""
    held = present.T.astype(np.float64)
    mean = cells.sum(axis=2, keepdims=True) / np.maximum(held.sum(axis=1), 1)[:, None]
    return np.asarray((cells - mean) * held)


def prefer_sums(light: Light, n_members: float) -> bool:
    """Tell whether summing contributions is cheaper than multiplying gathered patterns."""
    if light.name not in SUMMED or light.noise is not None or light.rows is not None:
        return False
    if light.distance.folds and not light.present.all():
        return True
    _, n_folds, n = light.cells.shape
    several = n_folds > 1
    pairs = n * (n - 1) / 2
    gathered = (1 + several) * n_members * n_folds * n * COST["gather"]
    multiplied = 2 * n_members * (n_folds + several) * n * n * COST["multiply"]
    added = n_members * (COST["row"] + pairs * COST["add"])
    contributed = n_folds * pairs * COST["contribute"]
    return bool(added + contributed < gathered + multiplied)


def compute_rdms(light: Light, part: slice) -> Array:
    """RDMs (center, pair) of a stretch of centres; NaN where there are no members."""
    starts = light.indptr[part.start : part.stop + 1]
    sizes = np.diff(starts)
    n = light.cells.shape[2]
    out = np.full((len(sizes), n * (n - 1) // 2), np.nan)
    live = np.flatnonzero(sizes)
    if not len(live):
        return out
    if prefer_sums(light, float(sizes[live].mean())):
        _fill_sums(light, part, out)
        return out
    for size in np.unique(sizes[live]):
        alike = np.flatnonzero(sizes == size)
        one = int(size) * light.cells[0].nbytes
        step = max(1, GATHERED // one)
        for begin in range(0, len(alike), step):
            places = alike[begin : begin + step]
            members = light.indices[starts[places][:, None] + np.arange(size)]
            out[places] = _make_stack(light, members)
    return out


def _make_stack(light: Light, members: Array) -> Array:
    """RDMs of neighbourhoods of one size, members (center, size)."""
    if light.rows is not None:
        return np.stack([_run_alone(light, light.rows, one) for one in members])
    X = light.cells.take(members.ravel(), axis=0).reshape(*members.shape, *light.cells.shape[1:])
    if light.noise is not None:
        for patterns, one in zip(X, members, strict=True):
            patterns[...] = _whiten(patterns, light.noise, one)
    if light.name in STACKED and light.present.all():
        return STACKED[light.name](X)
    if light.distance.folds:
        return _condense(light.distance.kernel(np.transpose(X, (0, 3, 2, 1)), light.present))
    return _condense(light.distance.kernel(np.swapaxes(X[:, :, 0], 1, 2)))


def _whiten(patterns: Array, noise: Residuals | Covariance, members: Array) -> Array:
    """Whiten (channel, fold, condition); NaN where the covariance is singular."""
    try:
        lower = factorise(noise.cut(members))
    except ValueError:
        return np.full_like(patterns, np.nan)
    flat = patterns.reshape(len(patterns), -1)
    return np.asarray(linalg.solve_triangular(lower, flat, lower=True).reshape(patterns.shape))


def _run_alone(light: Light, rows: Rows, members: Array) -> Array:
    part = rows._replace(responses=rows.responses.isel(neuroid=members))
    try:
        made = light.distance.run(
            part, light.distance.kernel, light.row_noise, False, light.remove_mean
        )
    except NeuroalignError:
        raise
    except ValueError:
        # A singular covariance.
        return np.full(rows.n_conditions * (rows.n_conditions - 1) // 2, np.nan)
    return np.asarray(_condense(made)[0])


def _fill_sums(light: Light, part: slice, out: Array) -> None:
    """Sum contributions of channels (channel, pair), in slabs of pairs that stay in memory."""
    start, stop = light.indptr[part.start], light.indptr[part.stop]
    members = light.indices[start:stop]
    used = np.zeros(len(light.cells), dtype=np.bool_)
    used[members] = True
    own, columns = np.flatnonzero(used), (np.cumsum(used) - 1)[members]
    indptr = light.indptr[part.start : part.stop + 1] - start
    sizes = np.diff(indptr)
    shape = (len(sizes), len(own))
    share = csr_array((np.repeat(1 / np.maximum(sizes, 1), sizes), columns, indptr), shape=shape)
    cells = light.cells[own]
    first, second = np.triu_indices(cells.shape[2], 1)
    step = max(8, CONTRIBUTED // (len(own) * cells.shape[1] * 8))
    finish = SUMMED[light.name]
    live = sizes > 0
    for begin in range(0, len(first), step):
        slab = slice(begin, begin + step)
        made = share @ _contribute(light, cells, first[slab], second[slab])
        out[live, slab] = finish(made[live])


def _contribute(light: Light, cells: Array, first: Array, second: Array) -> Array:
    """What each channel adds to squared distances of pairs: (channel, pair)."""
    both = (light.present[first] & light.present[second]).T
    differences = (cells[:, :, first] - cells[:, :, second]) * both
    if not light.distance.folds:
        return np.asarray(np.square(differences[:, 0]))
    total = differences.sum(axis=1)
    couples = both.sum(axis=0) * (both.sum(axis=0) - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.einsum("vfp,vfp->vp", differences, differences)
        made = (total * total - own) / np.where(couples > 0, couples, np.nan)
    return np.asarray(made)
