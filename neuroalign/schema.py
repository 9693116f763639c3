"""One schema for all that flows: plain DataArray and Dataset, checked, never subclassed.

In: any xarray object. Out: the same object, or a SchemaError that names what is wrong.
To add a kind: write ``check_<kind>`` and its row in ``CHECKS``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from neuroalign._checks import (
    STRING_COORDS,
    Labelled,
    add_history,
    as_labels,
    check_dims,
    check_plain,
    check_unique,
    name_runs,
)
from neuroalign._results import (
    check_encoding,
    check_estimate,
    check_generalization,
    check_layers,
    check_rsa,
)
from neuroalign.errors import SchemaError, choose, some

__all__ = [
    "CHECKS",
    "MODALITIES",
    "SCHEMA_VERSION",
    "STRING_COORDS",
    "Labelled",
    "add_history",
    "as_labels",
    "check",
    "check_dims",
    "check_encoding",
    "check_estimate",
    "check_features",
    "check_generalization",
    "check_latents",
    "check_layers",
    "check_matched",
    "check_plain",
    "check_rdm",
    "check_responses",
    "check_rsa",
    "check_states",
    "check_unique",
    "name_runs",
]

SCHEMA_VERSION = "neuroalign/1"
MODALITIES = ("fmri", "meg", "eeg", "ieeg", "spikes", "calcium", "behaviour", "model")


def _check_float(array: xr.DataArray, name: str) -> None:
    if array.dtype.kind != "f":
        raise SchemaError(f"{name}: expected floats, got {array.dtype}. Use astype('float32').")


def _check_sample_identity(array: xr.DataArray, name: str) -> None:
    known = set(map(str, array.coords))
    if "stimulus" not in known and not {"run", "onset"} <= known:
        raise SchemaError(
            f"{name}: expected coord 'stimulus', or 'run' and 'onset', on 'sample', "
            f"got {some(sorted(known))}. Assign one of them."
        )
    for coord in ("stimulus", "run"):
        if coord in known:
            if array[coord].dims != ("sample",):
                raise SchemaError(
                    f"{name}: expected coord '{coord}' on 'sample', got dims {array[coord].dims}. "
                    "Assign it as ('sample', values)."
                )
            as_labels(array[coord].values, f"{name}.{coord}")


def _check_runs(array: xr.DataArray, name: str) -> None:
    for outer in ("session", "subject"):
        if "run" in array.coords and outer in array.coords:
            pairs = set(
                zip(array["run"].values.tolist(), array[outer].values.tolist(), strict=True)
            )
            runs = [run for run, _ in pairs]
            twice = sorted({run for run in runs if runs.count(run) > 1})
            if twice:
                raise SchemaError(
                    f"{name}: expected each run in one {outer}, got {some(twice)} in several. "
                    "Name runs like 'ses-01_run-02'."
                )


def check_responses(responses: xr.DataArray, name: str = "responses") -> xr.DataArray:
    """Check brain (or model) responses.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
    name : str
        Argument named in the message.

    Returns
    -------
    DataArray
        The same object.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> responses = from_arrays([[1.0, 2.0]], modality="eeg", stimulus=["cat"])
    >>> check_responses(responses) is responses
    True
    >>> check_responses(responses.drop_vars("stimulus"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    neuroalign.errors.SchemaError: responses: expected coord 'stimulus', or 'run' and 'onset', ...
    """
    check_plain(responses, name)
    check_dims(responses, name, ("sample", "neuroid"), [("sample", "neuroid", "time")])
    _check_float(responses, name)
    check_unique(responses, name, "neuroid")
    _check_sample_identity(responses, name)
    _check_runs(responses, name)
    modality = responses.attrs.get("modality")
    if modality is not None and modality not in MODALITIES:
        choose(dict.fromkeys(MODALITIES), str(modality), f"{name}.attrs['modality']")
    if "time" in responses.dims and "time" in responses.coords:
        time = np.asarray(responses["time"].values)
        if not (np.diff(time) > 0).all():
            raise SchemaError(
                f"{name}: expected increasing 'time' [s], got {some(time.tolist())}. Sort by it."
            )
    return responses


def check_features(features: xr.DataArray, name: str = "features") -> xr.DataArray:
    """Check stimulus features.

    Parameters
    ----------
    features : DataArray (sample, feature), (sample, token, feature) or (sample, feature, time)
    name : str

    Returns
    -------
    DataArray

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.loaders import features_from_arrays
    >>> features = features_from_arrays([[1.0, 2.0]], stimulus=["cat"])
    >>> check_features(features) is features
    True
    """
    check_plain(features, name)
    check_dims(
        features,
        name,
        ("sample", "feature"),
        [("sample", "token", "feature"), ("sample", "feature", "time")],
    )
    _check_float(features, name)
    _check_sample_identity(features, name)
    return features


def check_matched(matched: xr.Dataset, name: str = "matched") -> xr.Dataset:
    """Check a Dataset of ``features`` and ``responses`` over one ``sample``.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.align import match
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=20, n_features=3, n_neuroids=2)
    >>> check_matched(match(data.features, data.responses))["responses"].shape
    (20, 2)
    """
    check_plain(matched, name)
    missing = {"features", "responses"} - set(map(str, matched.data_vars))
    if missing:
        raise SchemaError(
            f"{name}: expected 'features' and 'responses', missing {sorted(missing)}. "
            "Use what align.match returns."
        )
    check_features(matched["features"], f"{name}.features")
    check_responses(matched["responses"], f"{name}.responses")
    return matched


def check_rdm(rdm: xr.DataArray, name: str = "rdm") -> xr.DataArray:
    """Check one RDM or a stack: leading dims, then (first, second) or (pair).

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> rdm = from_matrix(np.array([1.0, 2.0, 3.0]), ["cat", "dog", "cup"])
    >>> check_rdm(rdm) is rdm
    True
    """
    check_plain(rdm, name)
    _check_float(rdm, name)
    square, condensed = rdm.dims[-2:] == ("first", "second"), rdm.dims[-1:] == ("pair",)
    if not (square or condensed):
        raise SchemaError(
            f"{name}: expected last dims ('first', 'second') or ('pair',), got {rdm.dims}. "
            "Use rsa.from_matrix to label a matrix, or rsa.compute_rdm."
        )
    if square:
        if rdm.sizes["first"] != rdm.sizes["second"]:
            raise SchemaError(
                f"{name}: expected a square RDM, got {dict(rdm.sizes)}. "
                "Keep the same conditions in rows and columns."
            )
        check_unique(rdm, name, "first")
        if not np.array_equal(rdm["first"].values, rdm["second"].values):
            raise SchemaError(
                f"{name}: expected the same labels on 'first' and 'second', got others. "
                "Put the conditions of rows and columns in one order."
            )
        values = rdm.values
        if rdm.attrs.get("kind") == "dissimilarity":
            diagonal = np.diagonal(values, axis1=-2, axis2=-1)
            symmetric = np.allclose(values, np.swapaxes(values, -1, -2), equal_nan=True)
            if not symmetric or np.nanmax(np.abs(diagonal), initial=0.0) > 0:
                raise SchemaError(
                    f"{name}: expected a symmetric RDM with zero diagonal. Use kind 'cross' "
                    "for asymmetric ones."
                )
    return rdm


def check_latents(latents: xr.DataArray, name: str = "latents") -> xr.DataArray:
    """Check latents (sample, latent) or (sample, time, latent).

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import xarray as xr
    >>> latents = xr.DataArray([[0.5, 1.5]], dims=("sample", "latent"))
    >>> check_latents(latents) is latents
    True
    """
    check_plain(latents, name)
    check_dims(latents, name, ("sample", "latent"), [("sample", "time", "latent")])
    _check_float(latents, name)
    return latents


def check_states(states: xr.DataArray, name: str = "states") -> xr.DataArray:
    """Check numbers of states (sample,) or (sample, time), NaN after the end of a trial.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> states = xr.DataArray([[0.0, 1.0, np.nan]], dims=("sample", "time"))  # one ended trial
    >>> check_states(states) is states
    True
    """
    check_plain(states, name)
    check_dims(states, name, ("sample",), [("sample", "time")])
    _check_float(states, name)
    return states


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "responses": check_responses,
    "features": check_features,
    "matched": check_matched,
    "dissimilarity": check_rdm,
    "cross": check_rdm,
    "latents": check_latents,
    "states": check_states,
    "encoding": check_encoding,
    "generalisation": check_generalization,
    "rsa": check_rsa,
    "layers": check_layers,
    "estimate": check_estimate,
}


def check(array: Labelled, name: str = "object") -> Labelled:
    """Check any schema object by its ``attrs['kind']``.

    Parameters
    ----------
    array : DataArray or Dataset
    name : str

    Returns
    -------
    DataArray or Dataset
        The same object.

    Raises
    ------
    SchemaError
        When it breaks its kind.
    ValueError
        When the kind is unknown.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> responses = from_arrays([[1.0, 2.0]], modality="eeg", stimulus=["cat"])
    >>> check(responses) is responses
    True
    """
    check_plain(array, name)
    checker = choose(CHECKS, array.attrs.get("kind", ""), f"{name}.attrs['kind']")
    checker(array, name)
    return array
