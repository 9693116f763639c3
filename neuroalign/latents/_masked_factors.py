"""Non-negative factors of a tensor with holes: (time, subject, pair) as a sum of outer products.

In: a tensor and where it was seen. Out: `Factors` of unit norm and their weights. Holes are filled
by the model before every sweep, so that they pull it nowhere; each sweep is tensorly's hierarchical
least squares, fed with products that two passes over the tensor give.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import linear_sum_assignment

from neuroalign.errors import FitError, SchemaError, require, some

nnls: Any = require("tensorly.solvers.nnls", "tensors")

Array = npt.NDArray[Any]
SWEEPS = 5
DIMS = ("time", "subject", "pair")


class Factors(NamedTuple):
    """``modes``: (size, component) each, columns of norm 1; ``weights`` in descending order.

    ``history`` is the relative error of what was seen, after each iteration.
    """

    modes: tuple[Array, Array, Array]
    weights: Array
    history: list[float]
    converged: bool

    @property
    def error(self) -> float:
        """Relative error at the end."""
        return self.history[-1]


def draw_start(shape: tuple[int, ...], rank: int, rng: np.random.Generator) -> list[Array]:
    """Uniform factors (size, component) of each mode."""
    return [rng.uniform(size=(size, rank)) for size in shape]


def solve_nonnegative(products: Array, gram: Array, start: Array, sweeps: int = SWEEPS) -> Array:
    """Rows (row, component) >= 0 whose ``rows @ gram`` comes nearest to ``products``."""
    rows = np.ascontiguousarray(start.T)
    found = nnls.hals_nnls(np.ascontiguousarray(products.T), gram, rows, n_iter_max=sweeps)
    return np.ascontiguousarray(np.asarray(found).T)


def rebuild(modes: tuple[Array, ...] | list[Array]) -> Array:
    """The model (time, subject, pair)."""
    time, subject, pair = modes
    inner = subject[:, None, :] * pair[None, :, :]
    model: Array = time @ inner.reshape(-1, time.shape[1]).T
    return model.reshape(len(time), len(subject), len(pair))


def factorize(
    tensor: Array, seen: Array | None, start: list[Array], max_iter: int, tol: float
) -> Factors:
    """Fit non-negative factors.

    Parameters
    ----------
    tensor : array (time, subject, pair)
        Values where not ``seen`` are not looked at.
    seen : bool array like the tensor, or None
        None: all of it.
    start : list of three arrays (size, component)
    max_iter : int
    tol : float
        Least change of the relative error.

    Raises
    ------
    FitError
        When the error is not finite.
    """
    modes = [np.array(one, dtype=tensor.dtype) for one in start]
    hidden = None if seen is None or bool(seen.all()) else ~seen
    filled = tensor if hidden is None else np.where(hidden, 0.0, tensor).astype(tensor.dtype)
    # One float64 number per row: a float32 sum of millions of squares would drift.
    power = float(np.einsum("tsp,tsp->t", filled, filled).sum(dtype=np.float64))
    history: list[float] = []
    model = None if hidden is None else rebuild(modes)
    for _ in range(max_iter):
        if hidden is not None and model is not None:
            np.copyto(filled, model, where=hidden)
        iprod = _sweep(filled, modes)
        if hidden is None:
            rest = power + _square(modes) - 2.0 * iprod
        else:
            model = rebuild(modes)
            gap = np.where(hidden, 0.0, filled - model)
            rest = float(np.einsum("tsp,tsp->t", gap, gap).sum(dtype=np.float64))
        history.append(float(np.sqrt(max(rest, 0.0) / max(power, 1e-300))))
        if not np.isfinite(history[-1]):
            raise FitError(
                f"X: expected affinities that factors can approach, got error {history[-1]} after "
                f"{len(history)} iterations. Look for extreme values."
            )
        if len(history) > 1 and abs(history[-2] - history[-1]) < tol:
            return _normalize(modes, history, True)
    return _normalize(modes, history, False)


def _sweep(filled: Array, modes: list[Array]) -> float:
    """Update the modes in place; give the inner product of the tensor and the new model."""
    n_times, n_subjects, n_pairs = filled.shape
    flat = filled.reshape(n_times, -1)
    time, subject, pair = modes
    grams = [one.T @ one for one in modes]
    inner = (subject[:, None, :] * pair[None, :, :]).reshape(-1, time.shape[1])
    time = solve_nonnegative(flat @ inner, grams[1] * grams[2], time)
    grams[0] = time.T @ time
    # What both other modes need of the tensor, once the times are known.
    carried = (flat.T @ time).reshape(n_subjects, n_pairs, -1)
    products = np.einsum("spr,pr->sr", carried, pair)
    subject = solve_nonnegative(products, grams[0] * grams[2], subject)
    grams[1] = subject.T @ subject
    products = np.einsum("spr,sr->pr", carried, subject)
    pair = solve_nonnegative(products, grams[0] * grams[1], pair)
    modes[:] = [time, subject, pair]
    return float(np.sum(products * pair, dtype=np.float64))


def _square(modes: list[Array]) -> float:
    grams = [one.T.astype(np.float64) @ one for one in modes]
    return float((grams[0] * grams[1] * grams[2]).sum())


def _normalize(modes: list[Array], history: list[float], converged: bool) -> Factors:
    norms = [np.linalg.norm(one.astype(np.float64), axis=0) for one in modes]
    weights = norms[0] * norms[1] * norms[2]
    order = np.argsort(-weights, kind="stable")
    unit = [
        (one / np.where(norm > 0, norm, 1.0))[:, order]
        for one, norm in zip(modes, norms, strict=True)
    ]
    return Factors((unit[0], unit[1], unit[2]), weights[order], history, converged)


def fit_starts(
    values: Array, seen: Array | None, rank: int, n_inits: int, max_iter: int, tol: float, seed: int
) -> list[Factors]:
    """Fit from several uniform starts, each of its own stream."""
    rngs = [np.random.default_rng([seed, number]) for number in range(n_inits)]
    return [
        factorize(values, seen, draw_start(values.shape, rank, rng), max_iter, tol) for rng in rngs
    ]


def measure_congruence(first: Factors, second: Factors) -> Array:
    """Match components, and give each pair's product of cosines over the modes (component,)."""
    agreement = np.ones((len(first.weights), len(second.weights)))
    for one, other in zip(first.modes, second.modes, strict=True):
        agreement = agreement * (one.T.astype(np.float64) @ other)
    rows, columns = linear_sum_assignment(agreement, maximize=True)
    matched: Array = agreement[rows, columns]
    return matched


def hide_slabs(shape: tuple[int, int, int], fold: int, n_folds: int, length: int) -> Array:
    """Bool tensor, True where one fold is held out, in blocks of ``length`` bins.

    Blocks of one subject with all its pairs, as pairs of one neuroid share its noise; of one pair
    where there is but one subject. Blocks go round the folds, so that each moment, each subject and
    each pair stays seen elsewhere.
    """
    n_times, n_subjects, n_pairs = shape
    block = np.arange(n_times)[:, None, None] // length
    turn = np.arange(n_subjects)[:, None] if n_subjects > 1 else np.arange(n_pairs)[None, :]
    held = (block + turn[None]) % n_folds == fold
    return np.broadcast_to(held, shape)


def read_tensor(tensor: xr.DataArray) -> tuple[Array, Array | None]:
    """Values with 0 for NaN, and where they were seen (None: everywhere)."""
    values = np.asarray(tensor.values, dtype=np.float32)
    seen = ~np.isnan(values)
    if not np.isfinite(values[seen]).all() or (values[seen] < 0).any() or not values[seen].any():
        raise SchemaError(
            "X: expected affinities >= 0, finite and not all 0, got others. "
            "Take them from compute_affinity."
        )
    for axis, dim in enumerate(DIMS):
        lost = np.flatnonzero(~seen.any(axis=tuple({0, 1, 2} - {axis})))
        if len(lost):
            raise SchemaError(
                f"X: expected each {dim} to be seen at least once, got {len(lost)} never seen "
                f"(position {some(lost.tolist())}). Drop them."
            )
    return np.where(seen, values, np.float32(0)), None if seen.all() else seen
