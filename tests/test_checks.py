"""The ground of the schema: labels, dims, storable coords."""

import numpy as np
import pytest
import xarray as xr

from neuroalign._checks import add_history, as_labels, check_dims, check_plain, check_unique
from neuroalign.errors import SchemaError


def test_labels_are_strings_and_never_missing() -> None:
    assert as_labels(["b", "a"], "names").tolist() == ["b", "a"]
    for bad in ([1, 2], ["a", None], ["a", float("nan")], np.array(["a", ""])):
        with pytest.raises(SchemaError, match="names: expected strings"):
            as_labels(bad, "names")


def test_history_grows_on_a_copy() -> None:
    array = xr.DataArray([1.0], dims="sample")
    longer = add_history(add_history(array, "first"), "second")
    assert longer.attrs["history"] == "first\nsecond"
    assert "history" not in array.attrs


def test_order_of_dims_is_part_of_the_schema() -> None:
    array = xr.DataArray(np.zeros((2, 3)), dims=("neuroid", "sample"))
    with pytest.raises(SchemaError, match="Use transpose"):
        check_dims(array, "x", ("sample", "neuroid"))


def test_repeated_labels_are_named() -> None:
    array = xr.DataArray([0.0, 1.0], {"roi": ("roi", ["V1", "V1"])}, ("roi",))
    with pytest.raises(SchemaError, match="V1"):
        check_unique(array, "x", "roi")


def test_numbers_as_labels_are_refused() -> None:
    array = xr.DataArray([0.0], {"run": ("sample", [1])}, ("sample",))
    with pytest.raises(SchemaError, match="'001' and 1 are different"):
        check_plain(array, "x")


def test_labels_that_are_numbers_are_told_how_to_become_names() -> None:
    with pytest.raises(SchemaError, match=r"got 1 \(int\) in row 0. .*asarray\(run\).astype"):
        as_labels([1, 2], "run")
