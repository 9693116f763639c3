"""What comparisons of RDMs take, brought to arrays in one order of conditions."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.rsa.rdms import to_condensed

Array = npt.NDArray[Any]


def read_rows(rdm: xr.DataArray) -> Array:
    return np.asarray(rdm.values, dtype=np.float64).reshape(-1, rdm.shape[-1])


def find_observed(stacks: list[Array], nan: str) -> Array:
    observed = np.all([np.isfinite(X).all(axis=0) for X in stacks], axis=0)
    lost = int((~observed).sum())
    if lost and nan == "raise":
        raise SchemaError(
            f"a, b: expected finite dissimilarities, got {lost} of {len(observed)} pairs missing "
            "in some RDM. Use nan='omit' to leave them out of all."
        )
    if observed.sum() < 3:
        raise SchemaError(
            f"a, b: expected 3 or more pairs that no RDM lacks, got {int(observed.sum())}. "
            "Drop the RDMs that lack most."
        )
    return np.asarray(observed)


def align_controls(controls: xr.DataArray, labels: Array) -> Array:
    return read_rows(to_condensed(controls, labels))


def read_sigma(sigma: xr.DataArray | None, labels: Array) -> Array | None:
    if sigma is None:
        return None
    if not isinstance(sigma, xr.DataArray) or sigma.dims != ("first", "second"):
        raise SchemaError(
            "sigma: expected a DataArray (first, second) with names of conditions, got "
            f"{sigma.dims if isinstance(sigma, xr.DataArray) else type(sigma).__name__}."
        )
    absent = set(labels.tolist()) - set(sigma["first"].values.tolist())
    if absent:
        raise AlignError(
            f"sigma: expected every condition of a, missing {some(sorted(absent))}. Name them."
        )
    values = np.asarray(sigma.sel(first=labels, second=labels).values, dtype=np.float64)
    if not np.allclose(values, values.T) or np.linalg.eigvalsh(values)[0] <= 0:
        raise ValueError(
            "sigma: expected a symmetric positive definite covariance, got none. Shrink it."
        )
    return values


def read_signal(signal: xr.DataArray | None, labels: Array) -> Array | None:
    if signal is None:
        return None
    rows = read_rows(to_condensed(signal, labels))
    if len(rows) != 1:
        raise SchemaError(f"signal: expected one RDM, got {len(rows)}. Average them.")
    # A negative estimate of a distance is no signal.
    return np.asarray(np.clip(rows[0], 0, None))
