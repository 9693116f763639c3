"""Bare arrays get labels, and wrong lengths are named."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays


def test_repeats_are_counted_and_neuroids_named() -> None:
    responses = from_arrays(np.zeros((4, 2)), stimulus=["a", "b", "a", "a"], modality="spikes")
    assert responses["repeat"].values.tolist() == [0, 0, 1, 2]
    assert responses["neuroid"].values.tolist() == ["neuroid-0000", "neuroid-0001"]
    assert responses.dtype == "float32"
    assert responses.attrs["modality"] == "spikes"


def test_three_dims_need_times() -> None:
    values = np.zeros((2, 1, 3))
    timed = from_arrays(values, stimulus=["a", "b"], time=[0.0, 0.1, 0.2], modality="meg")
    assert timed.dims == ("sample", "neuroid", "time")
    with pytest.raises(SchemaError, match="time: expected times"):
        from_arrays(values, stimulus=["a", "b"], modality="meg")


def test_wrong_lengths_and_shapes_name_the_argument() -> None:
    with pytest.raises(SchemaError, match=r"stimulus: expected 3 values .* got shape \(2,\)"):
        from_arrays(np.zeros((3, 1)), stimulus=["a", "b"], modality="eeg")
    with pytest.raises(SchemaError, match="values: expected 2 dims"):
        from_arrays(np.zeros(3), stimulus=["a"], modality="eeg")
    with pytest.raises(SchemaError, match=r"values: expected \(sample, feature\)"):
        features_from_arrays(np.zeros(3), stimulus=["a"])


def test_features_keep_their_spaces() -> None:
    features = features_from_arrays(np.zeros((2, 2)), stimulus=["a", "b"], space=["x", "y"])
    assert features["space"].values.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (xr.DataArray(np.zeros((3, 3)), dims=("neuroid", "sample")), "expected dims"),
        (np.ones((3, 2), dtype=complex), "expected real numbers"),
        ([["a"]] * 3, "expected real numbers"),
        (np.full((3, 2), 1e300), "expected numbers within float32"),
    ],
)
def test_values_that_would_be_lost_are_refused(values: object, message: str) -> None:
    with pytest.raises(SchemaError, match=f"values: {message}"):
        from_arrays(values, modality="fmri", stimulus=["a", "b", "c"])


def test_onsets_are_numbers() -> None:
    with pytest.raises(SchemaError, match="onset: expected seconds, got <U1"):
        from_arrays(np.zeros((2, 2)), modality="fmri", run=["r", "r"], onset=["0", "1"])


def test_a_neuroid_may_lie_in_no_region() -> None:
    names = ["V1", "", "-"]
    labelled = from_arrays(np.zeros((2, 3)), modality="fmri", stimulus=["a", "b"], roi=names)
    assert labelled["roi"].values.tolist() == names
    with pytest.raises(SchemaError, match="roi: expected strings, got a missing value"):
        from_arrays(np.zeros((2, 2)), modality="fmri", stimulus=["a", "b"], roi=["V1", None])


def test_milliseconds_are_suspected() -> None:
    names, cube = ["a", "b"], np.zeros((2, 1, 3))
    with pytest.warns(NeuroalignWarning, match="time: expected seconds .* up to 100. Divide"):
        from_arrays(cube, stimulus=names, time=[-100, 0, 100], modality="eeg")
    with pytest.warns(NeuroalignWarning, match="onset: expected seconds from the start of the run"):
        from_arrays(cube[:, :, 0], run=names, onset=[0.0, 6e5], modality="fmri")
    # Bins of 500 s at 1 / 500 Hz are meant.
    long = [0.0, 500.0, 1000.0]
    from_arrays(cube, stimulus=names, time=long, sampling_rate=1 / 500, modality="spikes")


def test_a_modality_in_capitals_is_named() -> None:
    with pytest.raises(ValueError, match="modality: .* got 'fMRI'. Did you mean 'fmri'"):
        from_arrays(np.zeros((1, 1)), stimulus=["a"], modality="fMRI")


def test_values_on_their_side_are_told_from_labels_that_lack() -> None:
    names = ["a", "b", "c", "d"]
    with pytest.raises(SchemaError, match=r"values: expected one row for each of 4 .*values\.T"):
        from_arrays(np.zeros((3, 4)), modality="fmri", stimulus=names)
    with pytest.raises(SchemaError, match=r"Pass values\.swapaxes\(0, 1\)"):
        from_arrays(np.zeros((3, 4, 2)), modality="fmri", stimulus=names, time=[0.0, 0.1])
    with pytest.raises(SchemaError, match=r"Pass values\.T"):
        features_from_arrays(np.zeros((3, 4)), stimulus=names, space=["x", "y", "z"])
    with pytest.raises(SchemaError, match="stimulus: expected 3 values"):
        from_arrays(np.zeros((3, 4)), modality="fmri", stimulus=names, neuroid=names)


def test_numbers_as_names_get_their_own_advice() -> None:
    with pytest.raises(SchemaError, match=r"got 1 \(int\).*numpy.asarray\(run\).astype\(str\)"):
        from_arrays(np.zeros((2, 3)), modality="fmri", stimulus=["a", "b"], run=[1, 2])
    with pytest.raises(SchemaError, match="a missing value .* Name every row"):
        from_arrays(np.zeros((2, 3)), modality="fmri", stimulus=["a", ""])


@pytest.mark.parametrize("labels", [{"V1": [0, 1]}, {"V1"}])
def test_labels_without_an_order_are_refused(labels: Any) -> None:
    kind = type(labels).__name__
    with pytest.raises(
        SchemaError, match=rf"roi: expected one label for each neuroid, got a {kind} \('V1'\)"
    ):
        from_arrays(np.zeros((2, 2)), modality="fmri", stimulus=["a", "b"], roi=labels)
