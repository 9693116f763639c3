"""Depth as dynamics: how a representation moves from layer to layer, or from time to time."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign.errors import SchemaError, choose, some
from neuroalign.geometry._kernels import cosine_of_kernels, stable_rank
from neuroalign.geometry._matrices import sign
from neuroalign.geometry._steps import Steps, read_steps
from neuroalign.geometry.spectrum import effective_rank

Array = npt.NDArray[Any]
# Rows compared at a time: bounds the (row, step, step) cube.
CHUNK_CELLS = 4_000_000


class _Sums(NamedTuple):
    """Sums over rows of a (row, step, step) comparison, and of its squares."""

    n_rows: int
    total: Array
    squares: Array

    def average(self) -> tuple[Array, Array]:
        """Mean and standard error over rows."""
        mean = self.total / self.n_rows
        if self.n_rows < 2:
            return mean, np.full_like(mean, np.nan)
        variance = np.maximum(self.squares / self.n_rows - mean**2, 0.0)
        return mean, np.sqrt(variance / (self.n_rows - 1))


def _sum_rows(stack: Array, compare: Callable[[Array], Array]) -> _Sums:
    """Sum a comparison over rows, in chunks."""
    n_steps, n_rows, _ = stack.shape
    chunk = max(1, CHUNK_CELLS // n_steps**2)
    total, squares = np.zeros((n_steps, n_steps)), np.zeros((n_steps, n_steps))
    for first in range(0, n_rows, chunk):
        values = compare(stack[:, first : first + chunk].transpose(1, 0, 2))
        total += values.sum(axis=0)
        squares += np.square(values).sum(axis=0)
    return _Sums(n_rows, total, squares)


def _sum_cosines(steps: Steps, argument: str = "activations") -> _Sums:
    stack = _to_directions(steps.stack(argument), steps.labels, argument)
    return _sum_rows(stack, lambda rows: 1.0 - rows @ rows.transpose(0, 2, 1))


def _sum_squares(steps: Steps, argument: str = "activations") -> _Sums:
    stack = steps.stack(argument)

    def compare(rows: Array) -> Array:
        norms = np.square(rows).sum(axis=2)
        product = rows @ rows.transpose(0, 2, 1)
        squared = norms[:, :, None] + norms[:, None, :] - 2.0 * product
        return np.asarray(np.maximum(squared, 0.0) / rows.shape[2])

    return _sum_rows(stack, compare)


def _compare_kernels(steps: Steps) -> tuple[Array, Array]:
    centred = [matrix - matrix.mean(axis=0) for matrix in steps.matrices]
    if len(centred[0]) < 3:
        raise SchemaError(
            f"activations: expected at least 3 samples for 'cka', got {len(centred[0])}. "
            "Use measure='cosine'."
        )
    similarity = cosine_of_kernels(centred)
    return 1.0 - similarity, np.full_like(similarity, np.nan)


# Of single rows, so that batches of them add up.
ROW_MEASURES: dict[str, Callable[[Steps, str], _Sums]] = {
    "cosine": _sum_cosines,
    "squared": _sum_squares,
}
MEASURES: dict[str, Callable[[Steps], tuple[Array, Array]]] = {
    "cosine": lambda steps: _sum_cosines(steps).average(),
    "squared": lambda steps: _sum_squares(steps).average(),
    "cka": _compare_kernels,
}


def compare_steps(
    activations: Any, *, over: str = "layer", measure: str = "cosine", center: bool = False
) -> xr.Dataset:
    """Compare every layer with every layer, or every time with every time.

    Parameters
    ----------
    activations : DataArray with dim ``over``, mapping of str to array, or array
        (step, sample, unit) in any of these forms, all steps over the same samples. Responses
        (sample, neuroid, time) with ``over="time"``; a recording (sample, neuroid) with
        ``over="sample"``. Tokens between sample and unit count as samples.
    over : str
        The dim of steps.
    measure : {"cosine", "squared", "cka"}
        Mean over samples of 1 - cos, or of the squared distance a unit; or 1 - centred kernel
        alignment of all samples, which takes steps of different widths.
    center : bool
        Subtract the mean of each unit over all samples and steps first (``cka`` always centres
        each step).

    Returns
    -------
    Dataset
        ``dissimilarity`` and its ``standard_error`` over samples (NaN for ``cka``), both
        (``over``, ``<over>_other``).

    Raises
    ------
    SchemaError, AlignError
    ValueError
        For an unknown measure.

    References
    ----------
    Jacobs, Fel, Hakim, Brondetta, Ba & Keller (2025), Block-Recurrent Dynamics in Vision
    Transformers, arXiv:2512.19941.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = compare_steps(rng.normal(size=(4, 30, 10)))
    >>> found["dissimilarity"].dims
    ('layer', 'layer_other')
    """
    compare = choose(MEASURES, measure, "measure")
    steps = read_steps(activations, over)
    if center and measure != "cka":
        mean = steps.stack("activations").mean(axis=(0, 1))
        steps = steps._replace(matrices=[matrix - mean for matrix in steps.matrices])
    values, error = compare(steps)
    result = _wrap_square(values, error, steps.labels, over)
    parameters = {"over": over, "measure": measure, "center": center, **_count(steps)}
    return sign(result, "compare_steps", steps.inputs(), parameters, "dissimilarity")


def stream_steps(
    batches: Iterable[Any], *, over: str = "layer", measure: str = "cosine"
) -> xr.Dataset:
    """Compare every layer with every layer over more samples than fit in memory.

    Parameters
    ----------
    batches : iterable of what ``compare_steps`` takes
        The same steps in every batch, other samples. One batch is held at a time.
    over : str
        The dim of steps.
    measure : {"cosine", "squared"}
        See ``compare_steps``; both are sums over samples, so that the answer is that of all
        samples at once. For kernel alignment over batches see `neuroalign.similarity.stream_cka`.

    Returns
    -------
    Dataset
        As of ``compare_steps``, for ``segment_steps`` too.

    Raises
    ------
    SchemaError
        When there is no batch, or one holds other steps.
    AlignError, ValueError

    References
    ----------
    Jacobs, Fel, Hakim, Brondetta, Ba & Keller (2025), Block-Recurrent Dynamics in Vision
    Transformers, arXiv:2512.19941.

    Examples
    --------
    >>> layers = np.random.default_rng(0).normal(size=(4, 30, 10))
    >>> found = stream_steps(layers[:, start : start + 10] for start in (0, 10, 20))
    >>> whole = compare_steps(layers)
    >>> np.allclose(found["dissimilarity"], whole["dissimilarity"])
    True
    """
    add_up = choose(ROW_MEASURES, measure, "measure")
    sums: _Sums | None = None
    labels, inputs = np.empty(0), {}
    for number, batch in enumerate(batches):
        steps = read_steps(batch, over, f"batches[{number}]")
        one = add_up(steps, f"batches[{number}]")
        if sums is None:
            sums, labels = one, steps.labels
        elif not np.array_equal(labels, steps.labels):
            raise SchemaError(
                f"batches[{number}]: expected the steps {some(labels)}, got {some(steps.labels)}. "
                "Give the same steps in the same order."
            )
        else:
            sums = _Sums(
                sums.n_rows + one.n_rows, sums.total + one.total, sums.squares + one.squares
            )
        # Only hashes are kept of a batch.
        hashes = [provenance.hash_array(matrix) for matrix in steps.matrices]
        inputs[f"batch_{number}"] = np.array(hashes)
    if sums is None:
        raise SchemaError("batches: expected one batch or more, got none. Pass a fresh iterable.")
    result = _wrap_square(*sums.average(), labels, over)
    parameters: dict[str, Any] = {"over": over, "measure": measure, "center": False, "seed": 0}
    parameters |= {"n": sums.n_rows, "n_steps": len(labels), "n_batches": len(inputs)}
    return sign(result, "compare_steps", inputs, parameters, "dissimilarity")


def _wrap_square(values: Array, error: Array, labels: Array, over: str) -> xr.Dataset:
    np.fill_diagonal(values, 0.0)
    dims = (over, f"{over}_other")
    return xr.Dataset(
        {"dissimilarity": (dims, (values + values.T) / 2), "standard_error": (dims, error)},
        coords={over: labels, f"{over}_other": labels},
    )


def trace_dynamics(activations: Any, *, over: str = "layer") -> xr.Dataset:
    """Describe the path of a representation from step to step.

    Parameters
    ----------
    activations : as for ``compare_steps``
        Steps of one width.
    over : str
        The dim of steps.

    Returns
    -------
    Dataset
        Over ``transition`` (coords ``start`` and ``end``): ``speed`` [rad], the mean angle between
        a step and the next; ``step_norm``, the mean length of the update; ``stable_rank`` and
        ``entropy_rank`` of the update, centred over samples. Over the steps: ``convergence``, the
        mean cosine with the last one; ``coherence``, the length of the mean direction (1 when all
        samples point the same way). ``<name>_se`` are standard errors over samples.

    Raises
    ------
    SchemaError, AlignError

    References
    ----------
    Jacobs, Fel, Hakim, Brondetta, Ba & Keller (2025), Block-Recurrent Dynamics in Vision
    Transformers, arXiv:2512.19941.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> path = np.cumsum(rng.normal(size=(5, 40, 8)), axis=0)
    >>> bool((np.diff(trace_dynamics(path)["speed"]) < 0).all())
    True
    """
    steps = read_steps(activations, over)
    stack = steps.stack("activations")
    directions = _to_directions(stack, steps.labels)
    updates = np.diff(stack, axis=0)
    angle = np.arccos(np.clip((directions[1:] * directions[:-1]).sum(axis=2), -1.0, 1.0))
    by_row = {
        "speed": ("transition", angle),
        "step_norm": ("transition", np.linalg.norm(updates, axis=2)),
        "convergence": (over, (directions * directions[-1]).sum(axis=2)),
    }
    centred = updates - updates.mean(axis=1, keepdims=True)
    variables: dict[str, Any] = {
        "stable_rank": ("transition", [stable_rank(one) for one in centred]),
        "entropy_rank": ("transition", [effective_rank(one) for one in centred]),
        "coherence": (over, np.linalg.norm(directions.mean(axis=1), axis=1)),
    }
    n = stack.shape[1]
    for key, (dim, values) in by_row.items():
        variables[key] = (dim, values.mean(axis=1))
        error = values.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(values), np.nan)
        variables[f"{key}_se"] = (dim, error)
    coords = {
        over: steps.labels,
        "start": ("transition", steps.labels[:-1]),
        "end": ("transition", steps.labels[1:]),
    }
    parameters = {"over": over, "speed_units": "rad", **_count(steps)}
    result = xr.Dataset(variables, coords)
    return sign(result, "trace_dynamics", steps.inputs(), parameters, "speed")


def estimate_modes(before: Any, after: Any, *, rank: int | None = None) -> xr.Dataset:
    """Find the linear map from one step to the next, and its eigenvalues.

    Parameters
    ----------
    before, after : array (sample, unit)
        The same samples one step apart; centre them on their fixed point.
    rank : int or None
        Leading directions of ``before`` kept; all that rounding leaves when None.

    Returns
    -------
    Dataset
        ``real`` and ``imaginary`` (mode) parts of the eigenvalues and their ``magnitude``, the
        largest first; ``r2``, the share of ``after`` that the map explains.

    Raises
    ------
    SchemaError
    ValueError
        When ``rank`` is not between 1 and the rank of ``before``.

    References
    ----------
    Tu et al. (2014), Journal of Computational Dynamics 1, 391, exact dynamic mode decomposition.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 2))
    >>> estimate_modes(x, x * [0.5, 0.2])["magnitude"].values.round(6).tolist()
    [0.5, 0.2]
    """
    steps = read_steps({"before": before, "after": after}, "step")
    first, second = steps.stack("before")
    left, scale, right = np.linalg.svd(first, full_matrices=False)
    full = int((scale > scale.max(initial=0.0) * max(first.shape) * np.finfo(float).eps).sum())
    if not 1 <= (full if rank is None else rank) <= full:
        raise ValueError(
            f"rank: expected 1 to {full}, the rank of before, got {rank}. Use fewer directions."
        )
    if not second.any():
        raise SchemaError("after: expected values, got zeros throughout. The map is 0.")
    kept = full if rank is None else rank
    left, scale, right = left[:, :kept], scale[:kept], right[:kept]
    projected = left.T @ second
    values = np.linalg.eigvals((projected @ right.T) / scale[:, None])
    values = values[np.argsort(-np.abs(values), kind="stable")]
    r2 = 1.0 - np.square(second - left @ projected).sum() / np.square(second).sum()
    result = xr.Dataset(
        {
            "real": ("mode", values.real),
            "imaginary": ("mode", values.imag),
            "magnitude": ("mode", np.abs(values)),
            "r2": r2,
        }
    )
    parameters = {"rank": kept, **_count(steps)}
    return sign(result, "estimate_modes", steps.inputs(), parameters, "magnitude")


def _to_directions(stack: Array, labels: Array, argument: str = "activations") -> Array:
    norms = np.linalg.norm(stack, axis=2, keepdims=True)
    if (norms == 0).any():
        raise SchemaError(
            f"{argument}: expected rows with a direction, got {int((norms == 0).sum())} of zeros "
            f"(first in step '{labels[np.argwhere(norms[..., 0] == 0)[0, 0]]}'). Drop them."
        )
    return np.asarray(stack / norms)


def _count(steps: Steps) -> dict[str, Any]:
    return {"n": len(steps.matrices[0]), "n_steps": len(steps.matrices), "seed": 0}
