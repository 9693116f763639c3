"""Responses from MNE's objects, and MNE's objects from responses."""

import mne
import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import LoadError, SchemaError
from neuroalign.loaders.arrays import from_arrays
from neuroalign.loaders.mne_objects import from_mne, to_mne


@pytest.fixture
def epochs(rng):
    """Six epochs of two channel types, with metadata."""
    info = mne.create_info(["M1", "G1", "E1"], 100.0, ["mag", "grad", "eeg"], verbose="warning")
    info["bads"] = ["G1"]
    events = np.column_stack([np.arange(6) * 100, np.zeros(6, int), [7, 9, 7, 9, 7, 9]])
    metadata = pd.DataFrame({"word": list("abcdef"), "onset": 1.5, "known": [True, False] * 3})
    values = rng.standard_normal((6, 3, 40)) * [[1e-13], [1e-12], [1e-5]]
    return mne.EpochsArray(
        values, info, events, -0.1, {"face": 7, "house": 9}, metadata=metadata, verbose="warning"
    )


def test_epochs_become_responses_with_types_units_and_metadata(epochs):
    responses = from_mne(epochs, dtype="float64", run="run-01")
    np.testing.assert_array_equal(responses.values, epochs.get_data())
    assert responses["units"].values.tolist() == ["T", "T/m", "V"]
    assert responses["channel_type"].values.tolist() == ["mag", "grad", "eeg"]
    assert responses["bad"].values.tolist() == [False, True, False]
    assert responses["metadata_onset"].values.tolist() == [1.5] * 6
    assert responses.attrs["modality"] == "meg"


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_epochs_return_bit_equal_through_a_file(epochs, tmp_path):
    back = to_mne(from_mne(epochs, dtype="float64"))
    back.save(tmp_path / "x-epo.fif", fmt="double", verbose="error")
    again = mne.read_epochs(tmp_path / "x-epo.fif", verbose="error")
    np.testing.assert_array_equal(again.get_data(), epochs.get_data())
    np.testing.assert_array_equal(again.events, epochs.events)
    assert again.event_id == epochs.event_id
    assert again.info["bads"] == ["G1"]
    assert again.get_channel_types() == epochs.get_channel_types()
    assert again.metadata["word"].tolist() == list("abcdef")


def test_filters_and_positions_return(epochs):
    responses = from_mne(epochs, dtype="float64").assign_attrs(highpass=1.0, lowpass=30.0)
    responses = responses.assign_coords(
        x=("neuroid", [1.0, 2.0, 3.0]), y=("neuroid", [4.0, 5.0, 6.0]), z=("neuroid", [7.0] * 3)
    )
    info = to_mne(responses).info
    assert (info["highpass"], info["lowpass"]) == (1.0, 30.0)
    np.testing.assert_allclose(info["chs"][2]["loc"][:3], [0.003, 0.006, 0.007])
    np.testing.assert_allclose(from_mne(to_mne(responses))["y"], [4, 5, 6], rtol=1e-6)


def test_bare_arrays_become_epochs(rng):
    responses = from_arrays(
        rng.standard_normal((4, 2, 10)),
        modality="eeg",
        stimulus=list("aabb"),
        time=np.arange(10) / 50,
        sampling_rate=50,
    )
    epochs = to_mne(responses)
    assert epochs.event_id == {"a": 1, "b": 2}
    assert epochs.get_channel_types() == ["eeg", "eeg"]


def test_responses_without_time_are_refused(rng):
    flat = from_arrays(rng.standard_normal((4, 2)), modality="eeg", stimulus=list("abcd"))
    with pytest.raises(SchemaError, match="responses: expected dims .sample, neuroid, time."):
        to_mne(flat)


def test_uneven_times_are_refused(epochs):
    responses = from_mne(epochs)
    responses = responses.isel(time=[0, 1, 3])
    with pytest.raises(SchemaError, match="evenly spaced 'time'"):
        to_mne(responses)


def test_a_wrong_sampling_rate_is_refused(epochs):
    responses = from_mne(epochs).assign_attrs(sampling_rate=50.0)
    with pytest.raises(SchemaError, match=r"of 'time' \(100 Hz\), got 50 Hz"):
        to_mne(responses)


def test_labels_may_be_given_or_taken_from_the_metadata(epochs):
    assert from_mne(epochs, stimulus="word")["stimulus"].values.tolist() == list("abcdef")
    assert from_mne(epochs, stimulus=list("uvwxyz"))["stimulus"].values.tolist() == list("uvwxyz")


def test_an_absent_metadata_column_is_named(epochs):
    with pytest.raises(LoadError, match="stimulus: expected a column of the metadata, got 'noun'"):
        from_mne(epochs, stimulus="noun")


def test_two_names_of_one_code_are_refused(epochs):
    epochs.event_id = {"face": 7, "house": 9, "building": 9}
    with pytest.raises(LoadError, match="one name a code, got 'house' and 'building' for 9"):
        from_mne(epochs)


def test_recordings_become_samples_with_run_and_onset(rng):
    info = mne.create_info(2, 50.0, "seeg", verbose="warning")
    raw = mne.io.RawArray(rng.standard_normal((2, 100)) * 1e-5, info, verbose="warning")
    responses = from_mne(raw, dtype="float64")
    np.testing.assert_array_equal(responses.values, raw.get_data().T)
    assert responses["onset"].values[50] == 1.0
    assert responses.attrs["modality"] == "ieeg"


def test_other_objects_are_refused():
    with pytest.raises(LoadError, match="inst: expected Epochs, Evoked.* got list"):
        from_mne([])


def test_averages_must_agree(epochs):
    one, other = epochs["face"].average(picks="all"), epochs["house"].average(picks="all")
    other.crop(0, 0.2)
    with pytest.raises(LoadError, match="channels and times of 'face' in all, got others"):
        from_mne([one, other])


def test_real_averages_show_the_m100(real_data):
    path = real_data / "meg_mne_sample_evoked" / "test-ave.fif.gz"
    evokeds = mne.read_evokeds(path, baseline=(None, 0), verbose="error")
    kept = [evoked.filter(None, 40, verbose="error").pick("grad") for evoked in evokeds]
    responses = from_mne(kept)
    assert responses["n_averages"].values.tolist() == [3, 6, 6, 6]
    assert responses.attrs["units"] == "T/m"
    tones = responses[responses["stimulus"].values.tolist().index("Right Auditory")]
    peaks = [_find_peak(tones, side) for side in ("Left", "Right")]
    np.testing.assert_allclose(peaks, [0.083, 0.098], atol=0.002)


def _find_peak(tones, side):
    """Time of the largest RMS of the gradiometers over one temporal lobe."""
    names = mne.read_vectorview_selection(f"{side}-temporal", verbose="error")
    names = {name.replace(" ", "") for name in names}
    inside = [name.replace(" ", "") in names for name in tones["neuroid"].values]
    power = (tones.values[inside].astype(float) ** 2).mean(0)
    late = (tones["time"].values > 0.05) & (tones["time"].values < 0.15)
    return tones["time"].values[late][power[late].argmax()]


def test_positions_go_back_in_the_frame_they_came_in(epochs):
    responses = from_mne(epochs).assign_attrs(space="mni_tal")
    places = {axis: ("neuroid", [10.0, 20.0, np.nan]) for axis in "xyz"}
    info = to_mne(responses.assign_coords(places)).info
    talairach = mne.io.constants.FIFF.FIFFV_MNE_COORD_MNI_TAL
    assert [int(channel["coord_frame"]) for channel in info["chs"][:2]] == [talairach] * 2
    np.testing.assert_allclose(info["chs"][1]["loc"][:3], 0.02)
    assert from_mne(to_mne(responses.assign_coords(places))).attrs["space"] == "mni_tal"


def test_samples_in_another_order_go_back_without_a_warning(epochs):
    responses = from_mne(epochs, dtype="float64").isel(sample=[4, 0, 3])
    back = to_mne(responses)
    np.testing.assert_array_equal(back.get_data(copy=False), responses.values)
    assert back.metadata["event_sample"].tolist() == [400, 0, 300]
