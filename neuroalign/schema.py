"""One schema for all that flows: plain DataArray and Dataset, checked, never subclassed.

In: any xarray object. Out: the same object, or a SchemaError that names what is wrong.
To add a kind: write ``check_<kind>`` and its row in ``CHECKS``.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._storable import check_storable
from neuroalign.errors import SchemaError, choose, some

SCHEMA_VERSION = "neuroalign/1"
MODALITIES = ("fmri", "meg", "eeg", "ieeg", "spikes", "calcium", "behaviour", "model")
STRING_COORDS = [
    "stimulus",
    "run",
    "session",
    "subject",
    "neuroid",
    "roi",
    "hemisphere",
    "structure",
    "channel_type",
    "region",
    "quality",
    "units",
    "space",
    "first",
    "second",
    "first_category",
    "second_category",
]

# What a missing value turns into when an array or a table makes it a string.
NO_LABEL = ("", "nan", "NaN", "NaT", "<NA>")

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


def as_labels(values: Any, name: str) -> npt.NDArray[np.str_]:
    """Turn labels into a string array; refuse missing and non-string ones.

    Parameters
    ----------
    values : sequence of str, shape (n,)
    name : str
        Argument named in the message.

    Returns
    -------
    array of str, shape (n,)

    Raises
    ------
    SchemaError
        On None, NaN, an empty string, or anything that is not a string: ``1`` and ``'001'``
        are different labels, and only the caller knows which is meant.
    """
    text = isinstance(values, np.ndarray) and values.dtype.kind == "U"
    # What is text already needs no look at each object, which is slow for long recordings.
    if text and not np.isin(values, NO_LABEL).any():
        return np.ravel(values)
    items = np.asarray(values, dtype=object).ravel().tolist()
    for row, item in enumerate(items):
        missing = item is None or (isinstance(item, str) and item in NO_LABEL)
        missing = missing or (not isinstance(item, str) and str(item) in NO_LABEL)
        if missing or not isinstance(item, str):
            raise SchemaError(
                f"{name}: expected strings, got {'a missing value' if missing else repr(item)} "
                f"({type(item).__name__}) in row {row}. "
                "Read tables with dtype=str and keep_default_na=False, and name every row."
            )
    return np.array(items, dtype=np.str_) if items else np.empty(0, dtype="<U1")


def name_runs(n: int) -> list[str]:
    """Name runs that were given in order: ``run-01``, ``run-02`` and so on."""
    return [f"run-{number + 1:02d}" for number in range(n)]


def add_history(array: Labelled, step: str) -> Labelled:
    """Return a copy (data shared) whose ``history`` has one more line."""
    past = str(array.attrs.get("history", ""))
    return array.assign_attrs(history=f"{past}\n{step}" if past else step)


def check_plain(array: Labelled, name: str) -> Labelled:
    """Check what every kind shares: storable coords and attrs, no MultiIndex, no object dtype.

    Raises
    ------
    SchemaError
    """
    if not isinstance(array, xr.DataArray | xr.Dataset):
        raise SchemaError(
            f"{name}: expected an xarray object, got {type(array).__name__}. "
            "Use neuroalign.loaders.from_arrays to label bare arrays."
        )
    check_storable(array, name)
    for key in STRING_COORDS:
        if key in array.coords and array.coords[key].dtype.kind not in "UT":
            raise SchemaError(
                f"{name}: expected coord '{key}' as strings, got {array.coords[key].dtype}. "
                "Convert it yourself: '001' and 1 are different labels."
            )
    return array


def check_dims(
    array: xr.DataArray, name: str, required: Sequence[str], optional: Iterable[Sequence[str]] = ()
) -> None:
    """Check the order of dims: the required ones, or one of the optional longer forms."""
    forms = [tuple(required), *map(tuple, optional)]
    if tuple(array.dims) not in forms:
        expected = " or ".join(str(form) for form in forms)
        raise SchemaError(
            f"{name}: expected dims {expected}, got {tuple(array.dims)}. Use transpose or rename."
        )


def check_unique(array: xr.DataArray, name: str, coord: str) -> None:
    """Check that a coord exists and holds no label twice."""
    if coord not in array.coords:
        raise SchemaError(f"{name}: expected coord '{coord}', got {some(array.coords)}. Assign it.")
    labels, counts = np.unique(np.asarray(array[coord].values), return_counts=True)
    if (counts > 1).any():
        raise SchemaError(
            f"{name}: expected unique '{coord}', got {int((counts > 1).sum())} repeated "
            f"({some(labels[counts > 1])}). Rename or average them."
        )


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
                    f"{name}: expected coord '{coord}' on 'sample', got dims {array[coord].dims}."
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
            raise SchemaError(f"{name}: expected increasing 'time' [s], got {time[:5]}...")
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
    """
    check_plain(matched, name)
    missing = {"features", "responses"} - set(map(str, matched.data_vars))
    if missing:
        raise SchemaError(
            f"{name}: expected 'features' and 'responses', missing {sorted(missing)}."
        )
    check_features(matched["features"], f"{name}.features")
    check_responses(matched["responses"], f"{name}.responses")
    return matched


def check_rdm(rdm: xr.DataArray, name: str = "rdm") -> xr.DataArray:
    """Check one RDM or a stack: leading dims, then (first, second) or (pair).

    Raises
    ------
    SchemaError
    """
    check_plain(rdm, name)
    _check_float(rdm, name)
    square, condensed = rdm.dims[-2:] == ("first", "second"), rdm.dims[-1:] == ("pair",)
    if not (square or condensed):
        raise SchemaError(
            f"{name}: expected last dims ('first', 'second') or ('pair',), got {rdm.dims}."
        )
    if square:
        if rdm.sizes["first"] != rdm.sizes["second"]:
            raise SchemaError(f"{name}: expected a square RDM, got {dict(rdm.sizes)}.")
        check_unique(rdm, name, "first")
        if not np.array_equal(rdm["first"].values, rdm["second"].values):
            raise SchemaError(f"{name}: expected the same labels on 'first' and 'second'.")
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
    """
    check_plain(latents, name)
    check_dims(latents, name, ("sample", "latent"), [("sample", "time", "latent")])
    _check_float(latents, name)
    return latents


def check_encoding(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check an encoding result: ``score`` (fold, neuroid[, time]) with metric and provenance.

    Raises
    ------
    SchemaError
    """
    check_plain(result, name)
    if "score" not in result:
        raise SchemaError(f"{name}: expected 'score', got {some(result.data_vars)}.")
    check_dims(result["score"], f"{name}.score", ("fold", "neuroid"), [("fold", "neuroid", "time")])
    for attr in ("metric", "model", "seed", "provenance"):
        if attr not in result.attrs:
            raise SchemaError(f"{name}: expected attrs['{attr}'], got {some(result.attrs)}.")
    return result


def check_layers(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check a comparison of layers: ``score`` (layer, roi), both labelled.

    Raises
    ------
    SchemaError
    """
    check_plain(result, name)
    if "score" not in result:
        raise SchemaError(f"{name}: expected 'score', got {some(result.data_vars)}.")
    check_dims(result["score"], f"{name}.score", ("layer", "roi"))
    for coord in ("layer", "roi"):
        check_unique(result["score"], f"{name}.score", coord)
    return result


def check_estimate(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check numbers with their uncertainty: a ceiling, an interval, a test, a lag.

    Raises
    ------
    SchemaError
    """
    check_plain(result, name)
    if not isinstance(result, xr.Dataset) or "method" not in result.attrs:
        raise SchemaError(f"{name}: expected a Dataset with attrs['method'], got none.")
    return result


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "responses": check_responses,
    "features": check_features,
    "matched": check_matched,
    "dissimilarity": check_rdm,
    "cross": check_rdm,
    "latents": check_latents,
    "encoding": check_encoding,
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
    """
    check_plain(array, name)
    checker = choose(CHECKS, array.attrs.get("kind", ""), f"{name}.attrs['kind']")
    checker(array, name)
    return array
