"""Small disturbances on their way through depth or time: do they grow, or does the path return?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry._matrices import check_stimuli, sign
from neuroalign.geometry._steps import read_steps


def trace_perturbation(clean: Any, perturbed: Any, *, over: str = "layer") -> xr.Dataset:
    """Follow the distance between clean and disturbed samples from step to step.

    Parameters
    ----------
    clean, perturbed : as for ``compare_steps``
        Activations of the same samples at the same steps, without and with a disturbance of the
        first step. Disturb little: the answer is that of the linear map around each sample.
    over : str
        The dim of steps.

    Returns
    -------
    Dataset
        Over the steps: ``ratio``, the mean over samples of ``|f(x + d) - f(x)| / |d|`` with d the
        disturbance at the first step (below 1 it dies out), and its standard error ``ratio_se``;
        ``relative``, the same divided by the length of the clean activations at each step over
        that at the first, which tells a return from activations that shrink or grow.

    Raises
    ------
    SchemaError
        When a sample is not disturbed at the first step, or has clean activations of zeros.
    AlignError
        When steps, samples or units differ, or labelled samples are in another order.

    References
    ----------
    Jacobs, Fel, Hakim, Brondetta, Ba & Keller (2025), Block-Recurrent Dynamics in Vision
    Transformers, arXiv:2512.19941 (return after perturbation).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, d = rng.normal(size=(20, 5)), 0.01 * rng.normal(size=(20, 5))
    >>> rate = 0.5 ** np.arange(4)[:, None, None]
    >>> trace_perturbation(x + 0 * rate, x + rate * d)["ratio"].values.round(3).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    one, other = read_steps(clean, over, "clean"), read_steps(perturbed, over, "perturbed")
    plain, moved = one.stack("clean"), other.stack("perturbed")
    if plain.shape != moved.shape or not np.array_equal(one.labels, other.labels):
        raise AlignError(
            f"perturbed: expected the steps, samples and units of clean, {plain.shape}, got "
            f"{moved.shape}. Record both at the same steps."
        )
    # The steps of a mapping agree among themselves.
    given = (("clean", clean), ("perturbed", perturbed))
    check_stimuli(
        {
            name: next(iter(part.values())) if isinstance(part, Mapping) else part
            for name, part in given
        }
    )
    distance, length = np.linalg.norm(moved - plain, axis=2), np.linalg.norm(plain, axis=2)
    still, empty = int((distance[0] == 0).sum()), int((length == 0).sum())
    if still or empty:
        raise SchemaError(
            f"perturbed: expected samples disturbed at the first step, and clean activations, got "
            f"{still} without a disturbance and {empty} of zeros. Leave them out."
        )
    ratio = distance / distance[0]
    n = ratio.shape[1]
    error = ratio.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(ratio), np.nan)
    result = xr.Dataset(
        {
            "ratio": (over, ratio.mean(axis=1)),
            "ratio_se": (over, error),
            "relative": (over, (ratio / (length / length[0])).mean(axis=1)),
        },
        coords={over: one.labels},
    )
    verdict = (
        f"Of a disturbance {float(result['ratio'][-1]):.3g} is left after {len(ratio)} {over}s."
    )
    inputs = {f"clean.{key}": value for key, value in one.inputs().items()}
    inputs |= {f"perturbed.{key}": value for key, value in other.inputs().items()}
    parameters: dict[str, Any] = {"over": over, "n": n, "n_steps": len(ratio), "seed": 0}
    return sign(result, "trace_perturbation", inputs, parameters, "ratio", verdict)
