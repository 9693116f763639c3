"""Things without labels, refused in words that name the door to labels."""

from collections.abc import Mapping
from typing import Any

import xarray as xr

from neuroalign import schema
from neuroalign.errors import SchemaError, some

# What a foreign object has, and the way from there; an RDM first, as it has more than patterns.
FOREIGN = {
    "dissimilarities": "Convert it by rsa.from_rsatoolbox(rdms).",
    "measurements": (
        "Label it by loaders.from_arrays(data.measurements, stimulus=data.obs_descriptors[...], "
        "modality=...)."
    ),
}
LABEL_RDM = "Label arrays by rsa.from_matrix(values, conditions)."
LABEL_PATTERNS = (
    "Label arrays by loaders.from_arrays(values, stimulus=..., modality=...), "
    "or loaders.features_from_arrays for features."
)


def _name_way(value: Any, usual: str) -> str:
    return next((way for known, way in FOREIGN.items() if hasattr(value, known)), usual)


def need_rdm(rdm: Any, name: str) -> xr.DataArray:
    """Refuse all but a DataArray where an RDM is meant.

    Raises
    ------
    SchemaError
    """
    if isinstance(rdm, xr.DataArray):
        if "sample" in rdm.dims:
            raise SchemaError(
                f"{name}: expected an RDM (..., first, second) or (..., pair), got patterns "
                f"{rdm.dims}. Compute it by rsa.compute_rdm({name})."
            )
        return rdm
    if isinstance(rdm, xr.Dataset):
        raise SchemaError(
            f"{name}: expected a labelled RDM, got a Dataset of {some(rdm.data_vars)}. "
            f"Select one, such as {name}['{next(iter(rdm.data_vars), 'rdm')}']."
        )
    if isinstance(rdm, Mapping):
        raise SchemaError(
            f"{name}: expected one labelled RDM, got a mapping of {len(rdm)}. "
            "Join them by rsa.stack_rdms(rdms), or take one."
        )
    way = _name_way(rdm, LABEL_RDM)
    raise SchemaError(f"{name}: expected a labelled RDM, got {type(rdm).__name__}. {way}")


def check_rdm(rdm: Any, name: str = "rdm") -> xr.DataArray:
    """Check one RDM or a stack: leading dims, then (first, second) or (pair).

    Raises
    ------
    SchemaError
    """
    return schema.check_rdm(need_rdm(rdm, name), name)


def need_responses(responses: Any, name: str = "responses") -> None:
    """Refuse all but a DataArray, or a mapping of names to DataArrays, where patterns are meant.

    Raises
    ------
    SchemaError
    """
    parts = responses.items() if isinstance(responses, Mapping) else ((None, responses),)
    for key, one in parts:
        if not isinstance(one, xr.DataArray) or isinstance(responses, xr.Dataset):
            place = name if key is None or isinstance(responses, xr.Dataset) else f"{name}['{key}']"
            got = type(responses if isinstance(responses, xr.Dataset) else one).__name__
            raise SchemaError(
                f"{place}: expected a DataArray (sample, neuroid) or (sample, feature), or a "
                f"mapping of names to them, got {got}. {_name_way(one, LABEL_PATTERNS)}"
            )
        if one.dims[-2:] == ("first", "second") or one.dims[-1:] == ("pair",):
            place = name if key is None else f"{name}['{key}']"
            raise SchemaError(
                f"{place}: expected patterns (sample, neuroid) or (sample, feature), got an RDM "
                f"{one.dims}. It is computed already: pass it to rsa.compare_rdms or rsa.infer."
            )


def need_mapping(values: Any, name: str, example: str) -> None:
    """Refuse all but a mapping of conditions to something.

    Raises
    ------
    SchemaError
    """
    if not isinstance(values, Mapping):
        raise SchemaError(
            f"{name}: expected a mapping of each condition to its value, got "
            f"{type(values).__name__}. Pass {example}, or dict(zip(conditions, values))."
        )
