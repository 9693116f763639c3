"""Learning curves of alignment: how far kernels have moved, and toward what, at each checkpoint."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry._kernels import cosine_of_kernels
from neuroalign.geometry._matrices import as_matrix, check_stimuli, sign, sort_steps
from neuroalign.geometry.learning import align_kernels

Array = npt.NDArray[Any]


def trace_alignment(
    checkpoints: Mapping[float, Any],
    *,
    target: Any = None,
    tangent_kernels: Mapping[float, Any] | None = None,
    center: bool = False,
    n_blocks: int = 10,
    seed: int = 0,
) -> xr.Dataset:
    """Align the kernel at each checkpoint with the first, the last, the one before and a target.

    Parameters
    ----------
    checkpoints : mapping of training step to array (sample, unit)
        The same stimuli at each, in the same order (checked where they are labelled); widths may
        differ.
    target : array (sample,) or (sample, column), optional
        What is learnt.
    tangent_kernels : mapping of training step to array (row, row), optional
        Of the same steps, see `neuroalign.features.compute_tangent_kernel`.
    center : bool
        Subtract the mean of each unit first. With the target both always are.
    n_blocks : int
        Random blocks of samples, left out in turn for the errors.
    seed : int

    Returns
    -------
    Dataset
        Over ``step``, rising: ``to_first``, ``to_last`` and ``to_previous`` (NaN at the first), 0
        to 1; ``target``, with one; each with its jackknife error ``<name>_error``. With tangent
        kernels ``tangent_to_first`` and ``tangent_to_last``, without errors, as their rows are no
        samples. Learning is lazy where ``to_first`` stays near 1, and rich where it falls while
        ``target`` rises.

    Raises
    ------
    SchemaError, AlignError, ValueError

    References
    ----------
    Liu et al. (2024), ICLR, arXiv:2310.08513; Fort et al. (2020), NeurIPS, arXiv:2010.15110
    (tangent kernels over training); Efron & Stein (1981), Annals of Statistics 9, 586-596.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> start, goal = rng.normal(size=(60, 20)), np.repeat([-1.0, 1.0], 30)
    >>> path = {step: start + step * goal[:, None] for step in (0, 1, 5)}
    >>> course = trace_alignment(path, target=goal)
    >>> bool((np.diff(course["target"]) > 0).all() and (np.diff(course["to_first"]) < 0).all())
    True
    """
    order, matrices = _read_checkpoints(checkpoints)
    labelled = {f"checkpoints[{step}]": one for step, one in checkpoints.items()}
    check_stimuli({**labelled, "target": target})
    n = len(matrices[0])
    if not 2 <= n_blocks <= n // 2:
        raise ValueError(f"n_blocks: expected 2 to {n // 2} blocks, got {n_blocks}. 10 is usual.")
    wanted = None if target is None else _read_target(target, n)
    blocks = np.array_split(np.random.default_rng(seed).permutation(n), n_blocks)
    found = _align(matrices, wanted, center, np.arange(n))
    left = [_align(matrices, wanted, center, np.setdiff1d(np.arange(n), block)) for block in blocks]
    variables: dict[str, Any] = {}
    for name, values in found.items():
        spread = np.array([one[name] for one in left]).var(axis=0)
        variables[name] = ("step", values)
        variables[f"{name}_error"] = ("step", np.sqrt((n_blocks - 1) * spread))
    if tangent_kernels is not None:
        if sorted(tangent_kernels) != order:
            raise AlignError(
                f"tangent_kernels: expected the steps {order}, got {sorted(tangent_kernels)}. "
                "Compute one at each checkpoint."
            )
        kernels = [tangent_kernels[step] for step in order]
        for name, other in (("first", kernels[0]), ("last", kernels[-1])):
            courses = [align_kernels(other, one) for one in kernels]
            variables[f"tangent_to_{name}"] = ("step", courses)
    result = xr.Dataset(variables, coords={"step": np.array(order)})
    inputs = {str(step): matrix for step, matrix in zip(order, matrices, strict=True)}
    if wanted is not None:
        inputs["target"] = wanted
    for step in order if tangent_kernels is not None else []:
        inputs[f"tangent_{step}"] = np.asarray((tangent_kernels or {})[step])
    known = found["to_first"][np.isfinite(found["to_first"])]
    told = f"falls to {known.min():.3f}" if len(known) else "is undefined, as that one is zero"
    verdict = f"{len(order)} checkpoints: alignment with the first {told}"
    if "target" in found:
        verdict += f", with the target goes from {found['target'][0]:.3f} to "
        verdict += f"{found['target'][-1]:.3f}"
    verdict += "."
    parameters: dict[str, Any] = {"center": center, "n_blocks": n_blocks, "n": n, "seed": seed}
    return sign(result, "trace_alignment", inputs, parameters, "to_first", verdict)


def _read_checkpoints(checkpoints: Mapping[float, Any]) -> tuple[list[float], list[Array]]:
    order = sort_steps(checkpoints)
    if len(order) < 2:
        raise ValueError(
            f"checkpoints: expected at least two, got {len(order)}. Name them by their step."
        )
    matrices = [as_matrix(checkpoints[step], f"checkpoints[{step}]", 4) for step in order]
    counts = sorted({len(matrix) for matrix in matrices})
    if len(counts) > 1:
        raise SchemaError(
            f"checkpoints: expected the same samples in each, got {counts} rows. "
            "Use the same stimuli."
        )
    return order, matrices


def _read_target(target: Any, n: int) -> Array:
    values = np.asarray(target, dtype=np.float64)
    wanted = as_matrix(values[:, None] if values.ndim == 1 else values, "target", 4)
    if len(wanted) != n:
        raise AlignError(
            f"target: expected {n} samples as at the checkpoints, got {len(wanted)}. "
            "Give one row for each."
        )
    return wanted


def _align(
    matrices: list[Array], target: Array | None, center: bool, rows: Array
) -> dict[str, Array]:
    """Courses of alignment over checkpoints, from some of the samples."""
    kept = [matrix[rows] for matrix in matrices]
    centred = [matrix - matrix.mean(axis=0) for matrix in kept]
    cosine = cosine_of_kernels(centred if center else kept)
    found = {
        "to_first": cosine[0],
        "to_last": cosine[-1],
        "to_previous": np.concatenate([[np.nan], np.diagonal(cosine, 1)]),
    }
    if target is not None:
        goal = target[rows] - target[rows].mean(axis=0)
        found["target"] = cosine_of_kernels([*centred, goal])[-1, :-1]
    return found
