"""Forward-model patterns of linear decoders, on bare arrays and labelled.

Weights say how to cancel noise; patterns say what the decoded quantity does to each neuroid.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import copy_geometry
from neuroalign.errors import SchemaError

Array = npt.NDArray[Any]


def flatten_responses(X: Any) -> Any:
    """Join neuroids and times into columns, named by both.

    Parameters
    ----------
    X : DataArray (sample, neuroid[, time]), or array-like

    Returns
    -------
    DataArray (sample, feature), or array (sample, feature)
        Anything that has two dims comes back as it is, but for the name of a labelled dim.

    Raises
    ------
    SchemaError
        When a DataArray has other dims.
    """
    if not isinstance(X, xr.DataArray):
        return X.reshape(len(X), -1) if isinstance(X, np.ndarray) and X.ndim == 3 else X
    if X.dims[:1] != ("sample",) or X.ndim not in (2, 3):
        raise SchemaError(
            f"X: expected dims ('sample', 'neuroid'[, 'time']), got {X.dims}. "
            "Use X.transpose('sample', ...)."
        )
    coords: dict[Any, Any] = {key: c for key, c in X.coords.items() if c.dims == ("sample",)}
    names = [X[dim].values.astype(str) for dim in X.dims[1:] if dim in X.coords]
    if len(names) == X.ndim - 1:
        joined = names[0]
        if len(names) == 2:
            joined = np.strings.add(np.strings.add(names[0], " ")[:, None], names[1]).ravel()
        coords["feature"] = joined
    values = np.asarray(X.values).reshape(len(X), -1)
    return xr.DataArray(values, dims=("sample", "feature"), coords=coords)


def find_patterns(X: Array, scores: Array) -> Array:
    """Compute what a unit of each decoded score does to each column, the other scores held.

    Parameters
    ----------
    X : array (n, p)
    scores : array (n, t)
        Linear in X.

    Returns
    -------
    array (p, t)
        Cov(X) W Cov(scores)^-1 in float64; the pseudo-inverse where scores depend on each other.

    Notes
    -----
    With centred S = XW this is X' S (S'S)^+ = X' (S^+)', which needs neither covariance and
    does not square the condition number.

    References
    ----------
    Haufe et al. (2014), NeuroImage 87, eq. 6, doi:10.1016/j.neuroimage.2013.10.067.
    """
    X, scores = np.asarray(X, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    centred = scores - scores.mean(axis=0)
    # What rounding leaves of a score that does not vary is no score.
    size = max(scores.shape) * np.finfo(np.float64).eps
    still = np.abs(centred).max(axis=0, initial=0.0) <= size * np.abs(scores).max(axis=0, initial=0)
    centred[:, still] = 0.0
    patterns: Array = (X - X.mean(axis=0)).T @ np.linalg.pinv(centred, rcond=size).T
    return patterns


def wrap_patterns(
    values: Array, responses: xr.DataArray | None, targets: xr.DataArray | None
) -> xr.DataArray:
    """Label patterns: targets as in training, neuroids with the places that maps need.

    Parameters
    ----------
    values : array (target..., neuroid[, time])
    responses, targets : DataArray of zero samples, or None for no labels

    Returns
    -------
    DataArray (target..., neuroid[, time])
    """
    if responses is None:
        inner: tuple[Any, ...] = ("neuroid",)
        coords: dict[Any, Any] = {}
    else:
        inner, coords = responses.dims[1:], dict(responses.coords)
    n_outer = values.ndim - len(inner)
    outer: tuple[Any, ...] = ("target", "target_time")[:n_outer]
    if targets is not None:
        # Neuroids may be decoded from neuroids: theirs are then the targets.
        known = {*inner, *coords}
        clash = {key: f"target_{key}" for key in (*targets.dims, *targets.coords) if key in known}
        renamed = targets.rename(clash)
        outer = renamed.dims[1:]
        coords |= {key: c for key, c in renamed.coords.items() if c.dims}
    patterns = xr.DataArray(values, dims=(*outer, *inner), coords=coords)
    return patterns if responses is None else copy_geometry(responses, patterns)
