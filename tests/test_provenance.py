"""Provenance is JSON, the same for the same run, and knows its inputs."""

import json

import numpy as np

from neuroalign.loaders import from_arrays
from neuroalign.provenance import collect, hash_array


def test_the_record_holds_versions_parameters_and_inputs() -> None:
    record = json.loads(collect({"seed": 3}, {"features": "ab"}))
    assert record["parameters"] == {"seed": 3}
    assert record["inputs"] == {"features": "ab"}
    assert {"python", "numpy", "xarray"} <= record["versions"].keys()


def test_hashes_see_values_dtype_shape_and_labels() -> None:
    base = from_arrays(np.zeros((2, 2)), stimulus=["a", "b"], modality="eeg")
    renamed = from_arrays(np.zeros((2, 2)), stimulus=["a", "c"], modality="eeg")
    assert hash_array(base) == hash_array(base.copy(deep=True))
    others = [renamed, base + 1, base.astype("float64"), np.zeros(4, "float32")]
    assert len({hash_array(array) for array in [base, *others]}) == 5


def test_room_that_no_label_needs_changes_no_hash() -> None:
    assert hash_array(np.array(["a", "bc"], dtype="<U9")) == hash_array(np.array(["a", "bc"]))
    assert hash_array(np.array(["a", "bc"])) != hash_array(np.array(["a", "bd"]))
