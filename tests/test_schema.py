"""The schema accepts what it describes and names what breaks it."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays, simulate_linear
from neuroalign.schema import add_history, as_labels, check, check_rdm, check_responses


@pytest.fixture
def responses() -> xr.DataArray:
    return from_arrays(np.zeros((3, 2)), stimulus=["a", "b", "c"], run=["r"] * 3, modality="eeg")


BREAKS = {
    "dims": (lambda r: r.T, "expected dims .'sample', 'neuroid'."),
    "ints": (lambda r: r.astype(int), "expected floats, got int64"),
    "names": (lambda r: r.assign_coords(neuroid=["x", "x"]), "expected unique 'neuroid'"),
    "no id": (lambda r: r.drop_vars("stimulus"), "expected coord 'stimulus', or 'run' and"),
    "nan id": (lambda r: r.assign_coords(stimulus=("sample", ["a", "", "c"])), "in row 1"),
    "number id": (lambda r: r.assign_coords(stimulus=("sample", [1, 2, 3])), "'001' and 1 are"),
    "objects": (
        lambda r: r.assign_coords(extra=("sample", np.array(["a", 1, None], object))),
        "got dtype object",
    ),
    "slash": (lambda r: r.assign_coords({"a/b": ("sample", [1, 2, 3])}), "names without '/'"),
    "attrs": (lambda r: r.assign_attrs(x={"a": 1}), "flat numeric list, got dict"),
    "modality": (lambda r: r.assign_attrs(modality="fmir"), "Did you mean 'fmri'"),
    "sessions": (
        lambda r: r.assign_coords(session=("sample", ["1", "1", "2"])),
        "expected each run in one session, got 'r'",
    ),
    "type": (lambda r: r.values, "expected an xarray object, got ndarray"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_fault_is_named(responses: xr.DataArray, name: str) -> None:
    spoil, message = BREAKS[name]
    with pytest.raises(ValueError, match=message):
        check_responses(spoil(responses))


def test_a_multiindex_is_refused(responses: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match="MultiIndex"):
        check_responses(responses.set_index(sample=["stimulus", "run"]))


def test_check_reads_the_kind(responses: xr.DataArray) -> None:
    assert check(responses) is responses
    assert check(simulate_linear(n_samples=10)).attrs["kind"] == "matched"
    with pytest.raises(ValueError, match="kind.*expected one of 'responses'"):
        check(responses.assign_attrs(kind="respones"))


def test_rdms_are_square_symmetric_and_named() -> None:
    coords = {"first": ["a", "b"], "second": ["a", "b"]}
    rdm = xr.DataArray([[0.0, 1.0], [1.0, 0.0]], coords, ("first", "second"))
    rdm.attrs["kind"] = "dissimilarity"
    assert check_rdm(rdm) is rdm
    spoiled = rdm.copy(data=[[0.0, 1.0], [2.0, 0.0]])
    with pytest.raises(SchemaError, match="symmetric RDM with zero diagonal"):
        check_rdm(spoiled)
    assert check_rdm(spoiled.assign_attrs(kind="cross")) is not None


def test_labels_are_strings_without_gaps() -> None:
    assert as_labels(["a", "bb"], "x").dtype.kind == "U"
    for bad in ([None], [float("nan")], [1], [""]):
        with pytest.raises(SchemaError, match="x: expected strings, got .* in row 0"):
            as_labels(bad, "x")


def test_history_grows_by_lines(responses: xr.DataArray) -> None:
    twice = add_history(add_history(responses, "one"), "two")
    assert twice.attrs["history"] == "one\ntwo"
    assert "history" not in responses.attrs


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, "", "nan", "NaN", "<NA>"])
def test_no_missing_label_passes_as_a_name(missing: object) -> None:
    with pytest.raises(SchemaError, match="stimulus: expected strings, got"):
        as_labels(["a", missing], "stimulus")


def test_a_label_lost_in_an_array_is_missed() -> None:
    with pytest.raises(SchemaError, match="row 1"):
        as_labels(np.array(["a", np.nan]), "stimulus")
