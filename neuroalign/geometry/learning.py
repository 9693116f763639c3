"""What learning changed: richly, with new features, or lazily, by small steps along old ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import features
from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.geometry._kernels import cosine_of_kernels
from neuroalign.geometry._matrices import as_matrix, check_stimuli, sign
from neuroalign.geometry.spectrum import effective_rank

Array = npt.NDArray[Any]


def align_representations(before: Any, after: Any, *, center: bool = False) -> float:
    """Cosine between the linear kernels of two representations of the same samples.

    Parameters
    ----------
    before, after : array or DataArray (sample, unit)
    center : bool
        Subtract the mean of each unit first, as centred kernel alignment does. Work on rich and
        lazy learning does not.

    Returns
    -------
    float
        0 to 1; 1 when the kernels are proportional.

    Raises
    ------
    SchemaError
    AlignError
        When the numbers of samples differ, or labelled ones are in another order.

    References
    ----------
    Liu et al. (2024), How connectivity structure shapes rich and lazy learning in neural circuits,
    ICLR, arXiv:2310.08513.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(10, 4))
    >>> round(align_representations(X, 3.0 * X[:, ::-1]), 6)
    1.0
    """
    pair = [as_matrix(before, "before"), as_matrix(after, "after")]
    if len(pair[0]) != len(pair[1]):
        raise AlignError(
            f"after: expected {len(pair[0])} samples as before, got {len(pair[1])}. "
            "Show both the same inputs."
        )
    check_stimuli({"before": before, "after": after})
    if center:
        pair = [matrix - matrix.mean(axis=0) for matrix in pair]
    return float(cosine_of_kernels(pair)[0, 1])


def align_kernels(before: Any, after: Any) -> float:
    """Cosine between two kernel matrices: of tangent kernels, say.

    Parameters
    ----------
    before, after : array (row, row_other)

    Returns
    -------
    float
        0 to 1 for kernels; NaN when one is zero.

    Raises
    ------
    AlignError
        When they are not square or differ in shape.
    SchemaError
        When they are not finite.

    References
    ----------
    Cristianini et al. (2001), NeurIPS 14, On kernel-target alignment.

    Examples
    --------
    >>> align_kernels(np.eye(2), np.ones((2, 2))).__round__(4)
    0.7071
    """
    one, other = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if one.ndim != 2 or one.shape[0] != one.shape[1] or one.shape != other.shape:
        raise AlignError(
            f"after: expected square kernels of one shape, got {one.shape} and {other.shape}. "
            "Compute both on the same inputs."
        )
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise SchemaError(
            "before, after: expected finite kernels, got missing or infinite values. Check the "
            "network and its inputs."
        )
    scale = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / scale) if scale > 0 else float("nan")


def compare_weights(before: Mapping[str, Any], after: Mapping[str, Any]) -> xr.Dataset:
    """Describe how far, and in which way, each set of weights moved.

    Parameters
    ----------
    before, after : mapping of name to array
        The same names and shapes, as ``features.read_weights`` gives them.

    Returns
    -------
    Dataset
        Over ``parameter``: ``change``, the norm of the difference; ``relative_change``, divided by
        the norm before (NaN from zeros); ``sign_similarity``, the share of weights whose sign is
        the same; ``rank_before``, ``rank_after`` and ``rank_change``, effective ranks of matrices
        and of what was added to them (entropy of squared singular values; dims after the first
        joined; NaN for vectors). ``total_change``, ``total_relative_change`` and
        ``total_sign_similarity`` of all weights together.

    Raises
    ------
    AlignError
        When names or shapes differ.
    SchemaError
        For weights that are not finite.

    References
    ----------
    Liu et al. (2024), ICLR, arXiv:2310.08513.

    Examples
    --------
    >>> found = compare_weights({"w": np.eye(2)}, {"w": np.diag([1.0, -1.0])})
    >>> float(found["change"][0]), float(found["sign_similarity"][0])
    (2.0, 0.75)
    """
    if set(before) != set(after) or not before:
        raise AlignError(
            f"after: expected the weights {some(before)}, got {some(after)}. "
            "Compare two states of one network."
        )
    pairs = {name: (_read(before, name, "before"), _read(after, name, "after")) for name in before}
    for name, (one, other) in pairs.items():
        if one.shape != other.shape:
            raise AlignError(
                f"after['{name}']: expected shape {one.shape}, got {other.shape}. "
                "Compare two states of one network."
            )
    rows = [_describe_weights(*pair) for pair in pairs.values()]
    columns = {key: ("parameter", np.array([row[key] for row in rows])) for key in rows[0]}
    every = [np.concatenate([pair[k].ravel() for pair in pairs.values()]) for k in (0, 1)]
    whole = _describe_weights(*every)
    totals = {
        f"total_{key}": whole[key] for key in ("change", "relative_change", "sign_similarity")
    }
    result = xr.Dataset({**columns, **totals}, coords={"parameter": np.array(list(pairs))})
    inputs = {
        f"{side}.{n}": p[k] for k, side in enumerate(("before", "after")) for n, p in pairs.items()
    }
    parameters = {"n": len(every[0]), "seed": 0}
    return sign(result, "compare_weights", inputs, parameters, "total_relative_change")


def measure_laziness(
    before: Any,
    after: Any,
    probe: Any,
    *,
    layer: str | None = None,
    parameters: Sequence[str] | None = None,
    target: Any = None,
    center: bool = False,
    sketch: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Compare a network before and after learning: the higher the alignments, the lazier.

    Parameters
    ----------
    before, after : torch.nn.Module
        Two states of one network (``copy.deepcopy`` before training).
    probe : tensor or array (sample, ...)
        Inputs; at most 512 samples times outputs.
    layer : str or None
        The layer whose representation is compared; the output when None.
    parameters : sequence of str, optional
        Weights whose tangent kernel is taken: the recurrent ones, say. All when not given.
    target : array (sample,) or (sample, column), optional
        What was learnt, for ``target_before`` and ``target_after``.
    center : bool
        Centre representations before they are aligned; the target always is.
    sketch, seed : see ``features.compute_tangent_kernel``

    Returns
    -------
    Dataset
        ``representation_alignment`` and ``tangent_alignment``, 0 to 1; ``rank_hidden_before`` and
        ``rank_hidden_after``, the effective ranks of the layer; ``target_before`` and
        ``target_after``, the centred alignment of the layer with the target; and all that
        ``compare_weights`` gives.

    Raises
    ------
    MissingExtraError
        Without torch.
    AlignError, SchemaError, ValueError

    References
    ----------
    Liu et al. (2024), ICLR, arXiv:2310.08513; Chizat et al. (2019), NeurIPS, arXiv:1812.07956.

    Examples
    --------
    >>> from copy import deepcopy
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> found = measure_laziness(net, deepcopy(net), np.eye(3), layer="1")
    >>> round(float(found["tangent_alignment"]), 6), float(found["total_change"])
    (1.0, 0.0)
    """
    nets = (before, after)
    hidden = [features.record_layer(net, probe, layer) for net in nets]
    kernels = [
        features.compute_tangent_kernel(net, probe, parameters=parameters, sketch=sketch, seed=seed)
        for net in nets
    ]
    weights = compare_weights(*(features.read_weights(net) for net in nets))
    variables: dict[str, Any] = {
        "representation_alignment": align_representations(*hidden, center=center),
        "tangent_alignment": align_kernels(*kernels),
        "rank_hidden_before": effective_rank(hidden[0]),
        "rank_hidden_after": effective_rank(hidden[1]),
    }
    if target is not None:
        wanted = np.asarray(target, dtype=np.float64).reshape(len(np.asarray(target)), -1)
        for key, values in zip(("before", "after"), hidden, strict=True):
            variables[f"target_{key}"] = align_representations(wanted, values, center=True)
    record: dict[str, Any] = {
        "layer": layer or "output",
        "center": center,
        "sketch": int(kernels[0].attrs["sketch"]),
        "n": len(hidden[0]),
        "seed": seed,
    }
    if parameters is not None:
        record["parameters"] = list(parameters)
    inputs = {"hidden_before": hidden[0], "hidden_after": hidden[1]}
    inputs |= {"tangent_before": kernels[0].values, "tangent_after": kernels[1].values}
    result = weights.assign(variables)
    aligned = [float(result[f"{name}_alignment"]) for name in ("tangent", "representation")]
    moved = float(result["total_relative_change"])
    verdict = (
        f"Tangent kernels before and after align by {aligned[0]:.3f}, representations by "
        f"{aligned[1]:.3f} (1: lazy); weights moved by {moved:.3f} "
        "of their norm."
    )
    return sign(result, "measure_laziness", inputs, record, "tangent_alignment", verdict)


def _read(weights: Mapping[str, Any], name: str, side: str) -> Array:
    values = np.asarray(weights[name], dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise SchemaError(
            f"{side}['{name}']: expected finite weights, got shape {values.shape} with "
            f"{int((~np.isfinite(values)).sum())} that are not. Check the training."
        )
    return values


def _describe_weights(before: Array, after: Array) -> dict[str, float]:
    change, start = float(np.linalg.norm(after - before)), float(np.linalg.norm(before))
    return {
        "change": change,
        "relative_change": change / start if start > 0 else float("nan"),
        "sign_similarity": float((np.sign(before) == np.sign(after)).mean()),
        "rank_before": _rank(before),
        "rank_after": _rank(after),
        "rank_change": _rank(after - before),
    }


def _rank(weights: Array) -> float:
    if weights.ndim < 2 or len(weights) < 2:
        return float("nan")
    return effective_rank(weights.reshape(len(weights), -1), center=False)
