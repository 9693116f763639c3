"""Recordings of MNE's formats: whole, cut around events, and damaged."""

import struct
import subprocess
import sys

import h5py
import mne
import numpy as np
import pandas as pd
import pytest

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignWarning
from neuroalign.loaders.meg import load_continuous, load_epochs, load_meg

SFREQ = 200.0


@pytest.fixture
def raw(rng):
    """Four EEG channels in volts and three annotated events, 6 s."""
    info = mne.create_info(["Fz", "Cz", "Pz", "Oz"], SFREQ, "eeg", verbose="warning")
    data = rng.standard_normal((4, 1200)) * 2e-5
    raw = mne.io.RawArray(data, info, verbose="warning")
    places = dict(zip(raw.ch_names, rng.uniform(0.04, 0.08, (4, 3)), strict=True))
    raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    marks = mne.Annotations([1.0, 2.5, 4.0], [0.1, 0.1, 0.1], ["face", "house", "face"])
    return raw.set_annotations(marks)


@pytest.fixture
def fif(raw, tmp_path):
    """The recording as float64 FIF."""
    raw.save(tmp_path / "x_raw.fif", fmt="double", verbose="error")
    return tmp_path / "x_raw.fif"


def export(raw, path):
    """Write with the format's own library; MNE says what BrainVision and EDF leave out."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mne.export.export_raw(path, raw, overwrite=True, verbose="error")
    return path


def cut(path, size):
    """Keep the first bytes of a file."""
    path.write_bytes(path.read_bytes()[:size])
    return path


def test_fif_continuous_values_are_bit_equal_in_float64(raw, fif):
    responses = load_continuous(fif, dtype="float64")
    np.testing.assert_array_equal(responses.values, raw.get_data().T)
    assert responses.dims == ("sample", "neuroid")
    assert responses["neuroid"].values.tolist() == raw.ch_names
    assert responses.attrs["units"] == "V"
    assert responses.attrs["modality"] == "eeg"
    assert responses.attrs["source"] == "x_raw.fif"


@pytest.mark.parametrize(("ending", "tolerance"), [("vhdr", 1e-7), ("edf", 1e-8), ("set", 1e-11)])
def test_formats_come_back_from_their_own_writers(raw, tmp_path, ending, tolerance):
    path = export(raw, tmp_path / f"x.{ending}")
    responses = load_continuous(path)
    np.testing.assert_allclose(
        responses.values[: raw.n_times], raw.get_data().T, atol=tolerance, rtol=1e-5
    )
    epochs = load_meg(path, window=(-0.2, 0.5))
    # BrainVision markers have a kind, which MNE puts before their name.
    names = [name.removeprefix("Comment/") for name in epochs["stimulus"].values]
    assert names == ["face", "house", "face"]
    np.testing.assert_allclose(epochs["onset"], [1.0, 2.5, 4.0], atol=1 / SFREQ)


def test_windows_equal_those_of_mne(raw, fif):
    ours = load_meg(fif, window=(-0.2, 0.5), baseline=(-0.2, 0), dtype="float64")
    events, codes = mne.events_from_annotations(raw, verbose="error")
    theirs = mne.Epochs(
        raw, events, codes, -0.2, 0.5, baseline=(-0.2, 0), preload=True, verbose="error"
    )
    np.testing.assert_array_equal(ours.values, theirs.get_data())
    np.testing.assert_array_equal(ours["time"].values, theirs.times)


def test_windows_survive_storage(fif, tmp_path):
    responses = load_meg(fif, window=(-0.2, 0.5), subject="01")
    storage.save(responses, tmp_path / "x.nc")
    assert storage.load(tmp_path / "x.nc").identical(responses)
    assert responses.dtype == np.float32


def test_positions_are_in_mm_on_the_head(raw, fif):
    responses = load_meg(fif, window=(-0.2, 0.5))
    place = raw.info["chs"][1]["loc"][:3] * 1000
    np.testing.assert_allclose([responses[axis].values[1] for axis in "xyz"], place, atol=1e-4)
    assert 50 < np.linalg.norm(place) < 200
    assert responses.attrs["space"] == "head"


def test_events_come_as_table_file_or_array_alike(fif, tmp_path):
    table = pd.DataFrame({"onset": [1.0, 2.5], "duration": 0.1, "trial_type": ["face", "house"]})
    table.to_csv(tmp_path / "events.tsv", sep="\t", index=False)
    array = np.array([[200, 0, 1], [500, 0, 2]])
    forms = [
        load_meg(fif, window=(0, 0.5), events=tmp_path / "events.tsv"),
        load_meg(fif, window=(0, 0.5), events=table.rename(columns={"trial_type": "stimulus"})),
        load_meg(fif, window=(0, 0.5), events=array, event_id={"face": 1, "house": 2}),
    ]
    for form in forms:
        np.testing.assert_array_equal(form.values, forms[0].values)
        assert form["stimulus"].values.tolist() == ["face", "house"]


def test_a_first_sample_and_a_date_do_not_move_onsets(raw, tmp_path):
    late = raw.copy().set_annotations(None).set_meas_date(1e9).crop(0.5)
    late.set_annotations(mne.Annotations([0.5], 0.1, "face"))
    assert late.first_samp == 100
    late.save(tmp_path / "late_raw.fif", fmt="double", verbose="error")
    by_mark = load_meg(tmp_path / "late_raw.fif", window=(0, 0.2))
    table = pd.DataFrame({"onset": by_mark["onset"].values, "stimulus": ["face"]})
    by_table = load_meg(tmp_path / "late_raw.fif", window=(0, 0.2), events=table)
    np.testing.assert_array_equal(by_mark.values, by_table.values)
    first = int(by_mark["onset"].values[0] * SFREQ)
    expected = late.get_data()[:, first : first + 41].astype("float32")
    np.testing.assert_array_equal(by_mark.values[0], expected)


def test_stimulus_channels_give_events(rng):
    info = mne.create_info(["Cz", "STI"], SFREQ, ["eeg", "stim"], verbose="warning")
    data = np.vstack([rng.standard_normal(1000) * 1e-5, np.zeros(1000)])
    data[1, 300:310] = 5
    raw = mne.io.RawArray(data, info, verbose="warning")
    responses = load_meg(raw, window=(0, 0.1), event_id={"face": 5})
    assert responses["neuroid"].values.tolist() == ["Cz"]
    assert responses["onset"].values.tolist() == [1.5]


def test_bad_channels_leave_and_are_named_or_stay_marked(raw):
    raw.info["bads"] = ["Cz"]
    without = load_meg(raw, window=(0, 0.5))
    assert "Cz" not in without["neuroid"].values
    assert "bad channels dropped: Cz" in without.attrs["history"]
    kept = load_meg(raw, window=(0, 0.5), drop_bad=False)
    assert kept["bad"].values.tolist() == [False, True, False, False]


def test_decimation_keeps_time_zero_and_every_nth_sample(raw):
    slow = raw.copy().filter(None, 20, verbose="error")
    full, part = (load_meg(slow, window=(-0.13, 0.5), decimate=n) for n in (1, 4))
    assert 0.0 in part["time"].values
    assert part.attrs["sampling_rate"] == 50
    kept = np.isin(full["time"].values, part["time"].values)
    np.testing.assert_array_equal(part.values, full.values[:, :, kept])


def test_decimation_without_low_pass_is_refused(raw):
    with pytest.raises(LoadError, match=r"low-pass below the new Nyquist frequency \(25 Hz\)"):
        load_meg(raw, window=(0, 0.5), decimate=4)


def test_windows_past_the_edge_are_named_and_refused(raw):
    with pytest.raises(LoadError, match="1 of 3 events .*event 2 'face' at 4 s ends"):
        load_meg(raw, window=(0, 3))


def test_windows_past_the_edge_are_dropped_only_with_a_warning(raw):
    with pytest.warns(NeuroalignWarning, match="1 of 3 events cannot be used"):
        responses = load_meg(raw, window=(0, 3), allow_dropped=True)
    assert responses.sizes["sample"] == 2
    assert responses.attrs["n_dropped_events"] == 1


def test_windows_over_bad_spans_are_named(raw):
    raw.annotations.append(2.4, 0.05, "BAD_blink")
    with pytest.raises(LoadError, match="event 1 'house' at 2.5 s overlaps 'BAD_blink'"):
        load_meg(raw, window=(-0.2, 0.5))


def test_nan_samples_are_refused_by_channel_name(raw):
    raw._data[2, 500] = np.nan
    with pytest.raises(LoadError, match=r"NaN or infinite ones in 1 of 4 channels \('Pz'\)"):
        load_continuous(raw)
    with pytest.warns(NeuroalignWarning, match="'Pz'"):
        load_continuous(raw, allow_nan=True)


def test_flat_channels_are_warned_of(raw):
    raw._data[3] = 1e-6
    with pytest.warns(NeuroalignWarning, match=r"1 of 4 channels are flat \('Oz'\)"):
        load_continuous(raw)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_cut_fif_is_refused(fif, share):
    cut(fif, int(share * fif.stat().st_size))
    with pytest.raises(DataCorruptionError, match="x_raw.fif: truncated"):
        load_continuous(fif)


def test_fif_cut_between_two_buffers_is_refused(raw, tmp_path):
    path = tmp_path / "b_raw.fif"
    raw.save(path, buffer_size_sec=1, fmt="double", verbose="error")
    content = path.read_bytes()
    # A buffer of 1 s is a tag (kind 300) of 4 x 200 doubles.
    place = content.index((300).to_bytes(4, "big") + (5).to_bytes(4, "big") + (6400).to_bytes(4))
    cut(path, place + 3 * (16 + 6400))
    with pytest.raises(DataCorruptionError, match="b_raw.fif: truncated.*whole tags"):
        load_continuous(path)


def test_cut_edf_is_refused(raw, tmp_path):
    path = export(raw, tmp_path / "x.edf")
    size = path.stat().st_size
    cut(path, size - 1000)
    with pytest.raises(
        DataCorruptionError, match=f"promises 6 records .{size} bytes.*got {size - 1000}"
    ):
        load_continuous(path)


def test_short_fdt_is_named_with_both_sizes(raw, tmp_path):
    path = write_fdt(raw, tmp_path)
    cut(tmp_path / "x.fdt", 10000)
    with pytest.raises(DataCorruptionError, match=r"x.set needs 0.0192 MB, x.fdt is 0.01 MB"):
        load_continuous(path)


def test_missing_fdt_is_named(raw, tmp_path):
    path = write_fdt(raw, tmp_path)
    (tmp_path / "x.fdt").unlink()
    with pytest.raises(FileNotFoundError, match="expected 'x.fdt' beside it"):
        load_continuous(path)


def write_fdt(raw, folder):
    """An EEGLAB pair as EEGLAB writes it: the samples beside the .set."""
    import scipy.io

    raw.get_data().T.astype("<f4").tofile(folder / "x.fdt")
    path = export(raw, folder / "x.set")
    held = scipy.io.loadmat(path, struct_as_record=True)
    held = {key: value for key, value in held.items() if not key.startswith("__")}
    held["data"] = "x.fdt"
    scipy.io.savemat(path, held, oned_as="row")
    return path


def test_whole_fdt_is_read(raw, tmp_path):
    responses = load_continuous(write_fdt(raw, tmp_path))
    volts = raw.get_data().T * 1e-6
    np.testing.assert_allclose(responses.values, volts, rtol=1e-5)


def test_missing_eeg_is_named(raw, tmp_path):
    path = export(raw, tmp_path / "x.vhdr")
    (tmp_path / "x.eeg").unlink()
    with pytest.raises(FileNotFoundError, match=r"x.vhdr: expected 'x.eeg' beside it"):
        load_continuous(path)


def test_eeg_cut_within_a_sample_is_refused(raw, tmp_path):
    path = export(raw, tmp_path / "x.vhdr")
    cut(tmp_path / "x.eeg", (tmp_path / "x.eeg").stat().st_size - 3)
    with pytest.raises(DataCorruptionError, match="x.eeg: truncated: x.vhdr needs"):
        load_continuous(path)


def test_eeg_cut_before_its_markers_is_refused(raw, tmp_path):
    path = export(raw, tmp_path / "x.vhdr")
    data = tmp_path / "x.eeg"
    cut(data, data.stat().st_size // 2)
    with pytest.raises(DataCorruptionError, match=r"x.vhdr: expected a complete recording"):
        load_meg(path, window=(0, 0.1))


def test_pages_saved_as_recordings_are_refused(tmp_path):
    (tmp_path / "x_raw.fif").write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(DataCorruptionError, match="HTML"):
        load_continuous(tmp_path / "x_raw.fif")


def test_unknown_channels_are_refused_with_those_there(raw):
    with pytest.raises(LoadError, match="picks: expected channel names or types .* got 'C3'"):
        load_continuous(raw, picks=["C3"])


def test_unknown_formats_name_the_file(tmp_path):
    (tmp_path / "x.abc").write_bytes(b"0123456789")
    with pytest.raises(LoadError, match="x.abc: expected content that MNE reads"):
        load_continuous(tmp_path / "x.abc")


def test_codes_that_never_occur_are_refused(raw):
    with pytest.raises(LoadError, match="event_id: expected codes that occur .* got none of 'car'"):
        load_meg(raw, window=(0, 0.1), events=np.array([[200, 0, 1]]), event_id={"car": 9})


def test_an_empty_window_is_refused(raw):
    with pytest.raises(LoadError, match="window: expected .start, stop. in seconds"):
        load_meg(raw, window=(0.5, 0.5))


def test_names_that_never_occur_are_refused(raw):
    with pytest.raises(LoadError, match="event_id: expected annotations that occur .* 'car'"):
        load_meg(raw, window=(0, 0.1), event_id={"car": 9})


def test_absent_event_files_are_named(raw, tmp_path):
    with pytest.raises(FileNotFoundError, match="none.tsv: expected a file, got none"):
        load_meg(raw, window=(0, 0.1), events=tmp_path / "none.tsv")


def test_recordings_without_events_are_refused(raw):
    with pytest.raises(LoadError, match="expected annotations or a stimulus channel, got neither"):
        load_meg(raw.set_annotations(None), window=(0, 0.1))


def test_event_tables_need_onsets_and_names(raw):
    with pytest.raises(LoadError, match="events: expected columns 'onset' .s. and 'stimulus'"):
        load_meg(raw, window=(0, 0.1), events=pd.DataFrame({"onset": [1.0]}))
    table = pd.DataFrame({"onset": [1.0, np.nan], "stimulus": ["a", "b"]})
    with pytest.raises(LoadError, match="events: expected onsets .s., got nan in row 1"):
        load_meg(raw, window=(0, 0.1), events=table)


def test_event_arrays_need_three_columns_of_integers(raw):
    with pytest.raises(LoadError, match=r"events: expected integers \(event, 3\)"):
        load_meg(raw, window=(0, 0.1), events=np.zeros((2, 3)))


def test_two_events_at_one_time_both_stay(raw):
    table = pd.DataFrame({"onset": [1.0, 1.0], "stimulus": ["face", "left"]})
    responses = load_meg(raw, window=(0, 0.1), events=table)
    np.testing.assert_array_equal(responses.values[0], responses.values[1])


def test_a_broken_decimation_is_refused(raw):
    with pytest.raises(LoadError, match="decimate: expected a whole number from 1, got 0"):
        load_meg(raw, window=(0, 0.1), decimate=0)


def test_cut_fif_is_refused_even_without_the_check(fif):
    cut(fif, int(0.7 * fif.stat().st_size))
    with pytest.raises(LoadError, match="x_raw.fif: expected"):
        load_continuous(fif, verify=False)


def test_cut_gzip_is_refused(raw, tmp_path):
    path = tmp_path / "x_raw.fif.gz"
    raw.save(path, verbose="error")
    cut(path, path.stat().st_size // 2)
    with pytest.raises(DataCorruptionError, match="x_raw.fif.gz: expected a whole gzip stream"):
        load_continuous(path)


def test_a_split_recording_needs_its_second_part(rng, tmp_path):
    info = mne.create_info(8, SFREQ, "eeg", verbose="warning")
    long = mne.io.RawArray(rng.standard_normal((8, 60000)) * 1e-5, info, verbose="warning")
    path = tmp_path / "x_raw.fif"
    long.save(path, fmt="double", split_size="2MB", buffer_size_sec=1, verbose="error")
    whole = load_continuous(path, dtype="float64")
    np.testing.assert_array_equal(whole.values, long.get_data().T)
    parts = sorted(tmp_path.glob("x_raw-*.fif"))
    cut(parts[0], parts[0].stat().st_size - 20)
    with pytest.raises(DataCorruptionError, match="x_raw-1.fif"):
        load_continuous(path)
    parts[0].unlink()
    with pytest.raises((LoadError, FileNotFoundError), match="x_raw.fif: expected"):
        load_continuous(path)


def test_an_edf_that_was_not_closed_is_refused(raw, tmp_path):
    path = export(raw, tmp_path / "x.edf")
    content = bytearray(path.read_bytes())
    content[236:244] = b"-1      "
    path.write_bytes(content)
    with pytest.raises(DataCorruptionError, match="x.edf: truncated.*recording was not closed"):
        load_continuous(path)


def test_a_broken_edf_header_is_refused(tmp_path):
    (tmp_path / "x.edf").write_bytes(b"0       " + b"x" * 300)
    with pytest.raises(DataCorruptionError, match="x.edf: expected an EDF or BDF header"):
        load_continuous(tmp_path / "x.edf")


def test_a_broken_vhdr_is_refused(raw, tmp_path):
    path = export(raw, tmp_path / "x.vhdr")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("NumberOfChannels=4", "NumberOfChannels=four"), encoding="utf-8")
    with pytest.raises(LoadError, match="x.vhdr: expected DataFile and whole numbers"):
        load_continuous(path)


def test_a_set_that_is_no_matlab_file_is_refused(tmp_path):
    (tmp_path / "x.set").write_bytes(b"0123456789" * 20)
    with pytest.raises(DataCorruptionError, match="x.set: expected a MATLAB file of EEGLAB"):
        load_continuous(tmp_path / "x.set")


def test_nan_in_epochs_is_refused(raw, tmp_path):
    epochs = make_epochs(raw)
    epochs._data[1, 2, 5] = np.nan
    epochs.save(tmp_path / "x-epo.fif", verbose="error")
    with pytest.raises(LoadError, match=r"x-epo.fif: expected finite samples.*\('Pz'\)"):
        load_epochs(tmp_path / "x-epo.fif")


def test_channels_may_be_chosen_in_epochs(raw, tmp_path):
    make_epochs(raw).save(tmp_path / "x-epo.fif", verbose="error")
    responses = load_epochs(tmp_path / "x-epo.fif", picks=["Pz", "Fz"])
    assert responses["neuroid"].values.tolist() == ["Fz", "Pz"]


def test_projectors_are_applied_and_said(rng):
    info = mne.create_info(["a", "b", "c"], SFREQ, "eeg", verbose="warning")
    raw = mne.io.RawArray(rng.standard_normal((3, 400)) * 1e-5, info, verbose="warning")
    raw.set_eeg_reference("average", projection=True, verbose="error")
    referenced = load_continuous(raw, dtype="float64")
    np.testing.assert_allclose(referenced.values.mean(1), 0, atol=1e-18)
    assert "1 projectors applied" in referenced.attrs["history"]
    np.testing.assert_array_equal(
        load_continuous(raw, projectors=False, dtype="float64").values, raw.get_data().T
    )


def test_eeglab_epochs_come_back(raw, tmp_path):
    epochs = make_epochs(raw).set_annotations(None)
    mne.export.export_epochs(tmp_path / "e.set", epochs, verbose="error")
    responses = load_epochs(tmp_path / "e.set")
    np.testing.assert_allclose(responses.values, epochs.get_data(), rtol=1e-5, atol=1e-11)
    assert responses["stimulus"].values.tolist() == ["face", "house", "face"]


def make_epochs(raw):
    """Three epochs of -0.1 to 0.3 s."""
    events, codes = mne.events_from_annotations(raw, verbose="error")
    return mne.Epochs(raw, events, codes, -0.1, 0.3, baseline=None, preload=True, verbose="error")


def test_fif_epochs_come_back_bit_equal(raw, tmp_path):
    epochs = make_epochs(raw)
    epochs.save(tmp_path / "x-epo.fif", fmt="double", verbose="error")
    responses = load_epochs(tmp_path / "x-epo.fif", dtype="float64", run="run-01")
    np.testing.assert_array_equal(responses.values, epochs.get_data())
    assert responses["repeat"].values.tolist() == [0, 0, 1]


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_cut_epochs_are_refused(raw, tmp_path, share):
    path = tmp_path / "x-epo.fif"
    make_epochs(raw).save(path, verbose="error")
    cut(path, int(share * path.stat().st_size))
    with pytest.raises(DataCorruptionError, match="x-epo.fif: truncated"):
        load_epochs(path)


def test_continuous_files_are_not_epochs(fif):
    with pytest.raises(LoadError, match="x_raw.fif: expected content that MNE reads"):
        load_epochs(fif)


def test_other_endings_are_not_epochs(raw, tmp_path):
    with pytest.raises(LoadError, match="x.edf: expected epochs in one of"):
        load_epochs(export(raw, tmp_path / "x.edf"))


def test_real_word_pairs_show_their_n400(real_data):
    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        responses = load_epochs(path, dtype="float64")
    assert responses.shape == (200, 32, 60)
    pz = responses.values[:, responses["neuroid"].values.tolist().index("Pz")]
    unrelated = responses["stimulus"].values == "unrelated"
    gap = (pz[unrelated].mean(0) - pz[~unrelated].mean(0)) * 1e6
    assert gap.min() == pytest.approx(-7.1, abs=0.06)
    assert responses["time"].values[gap.argmin()] == pytest.approx(0.38)


def test_real_word_pairs_keep_their_statistics_and_metadata(real_data):
    from scipy import stats

    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        responses = load_epochs(path, stimulus="association")
    late = (responses["time"] >= 0.3) & (responses["time"] <= 0.5)
    pz = responses.values[:, responses["neuroid"].values == "Pz"][..., late.values].mean((1, 2))
    related = responses["event_code"].values == 6
    assert stats.ttest_ind(pz[related], pz[~related]).statistic == pytest.approx(4.13, abs=0.01)
    assert stats.spearmanr(pz, responses["FAS"]).statistic == pytest.approx(0.30, abs=0.01)
    assert len(set(responses["stimulus"].values)) == 200


def test_real_recording_with_a_late_first_sample_starts_at_zero(real_data):
    path = real_data / "meg_mne_sample_evoked" / "sample_audvis_trunc_raw_sss.fif"
    responses = load_continuous(path, picks="meg")
    assert responses.sizes["sample"] == 301
    assert responses.sizes["neuroid"] in range(300, 307)
    assert responses["onset"].values[0] == 0
    assert responses.attrs["units"] == "mixed"
    assert set(responses["units"].values) == {"T", "T/m"}
    assert np.isfinite(responses["x"]).all()


def test_real_recording_cut_is_refused(real_data, tmp_path):
    path = real_data / "meg_mne_sample_evoked" / "sample_audvis_trunc_raw_sss.fif"
    (tmp_path / "cut_raw.fif").write_bytes(path.read_bytes()[:3064588])
    with pytest.raises(DataCorruptionError, match="cut_raw.fif: truncated"):
        load_continuous(tmp_path / "cut_raw.fif")


def test_a_stimulus_that_begins_like_an_artifact_is_an_event(raw):
    marks = mne.Annotations(
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [0.1] * 5,
        ["badger", "edges", "BAD_blink", "bad segment", "EDGE boundary"],
    )
    responses = load_meg(raw.copy().set_annotations(marks), window=(-0.1, 0.2))
    assert responses["stimulus"].values.tolist() == ["badger", "edges"]


def test_a_baseline_is_subtracted_though_mne_was_only_just_imported(raw, fif):
    program = (
        "import sys; from neuroalign.loaders import load_meg; "
        "r = load_meg(sys.argv[1], window=(-0.2, 0.5), baseline=(None, 0)); "
        "print(float(abs(r.sel(time=slice(None, 1e-9)).mean('time')).max()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(fif)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-10


@pytest.mark.parametrize("baseline", [(-5.0, -4.0), (0.1, -0.1), (0.0, 0.9), (0.0,)])
def test_a_baseline_outside_the_window_is_refused(raw, baseline):
    with pytest.raises(LoadError, match=r"baseline: expected \(start, stop\) in the window"):
        load_meg(raw, window=(-0.2, 0.5), baseline=baseline)


def test_a_tag_of_no_known_type_names_the_file(fif):
    sfreq = struct.pack(">iIi", 201, 4, 4)
    content = fif.read_bytes()
    assert sfreq in content
    fif.write_bytes(content.replace(sfreq, struct.pack(">iIi", 201, 63, 4)))
    with pytest.raises(LoadError, match=r"x_raw\.fif: expected content that MNE reads"):
        load_continuous(fif)


def test_a_channel_of_no_known_kind_is_refused(raw):
    raw.info["chs"][1]["kind"] = 9999
    with pytest.raises(LoadError, match="expected channels of kinds that MNE knows"):
        load_continuous(raw)


def test_a_set_of_matlab_7_3_is_named(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "x.set", "w", userblock_size=512) as file:
        file["EEG/nbchan"] = 4
    with (tmp_path / "x.set").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    monkeypatch.setattr("neuroalign.loaders._meg_files.find_spec", lambda name: None)
    with pytest.raises(LoadError, match=r"x\.set: .* got version 7\.3 \(HDF5\)"):
        load_continuous(tmp_path / "x.set")


def write_ctf(folder, trials, done=3):
    """A header of 2 channels and 10 samples a trial, and its samples, as CTF lays them out."""
    folder.mkdir()
    head = bytearray(1400)
    struct.pack_into(">ih", head, 1288, 10, 2)
    struct.pack_into(">h", head, 1320, done)
    (folder / f"{folder.stem}.res4").write_bytes(head)
    samples = bytes(int(trials * 80))
    (folder / f"{folder.stem}.meg4").write_bytes(b"MEG41CP\0" + samples)
    return folder


@pytest.mark.parametrize(("trials", "got"), [(2, "counts 3 trials, got 2"), (2.5, "got 2.50")])
def test_a_cut_ctf_recording_is_refused(tmp_path, trials, got):
    with pytest.raises(DataCorruptionError, match=rf"a\.meg4: truncated: .*{got}"):
        load_continuous(write_ctf(tmp_path / "a.ds", trials))


def test_a_ctf_folder_without_its_samples_is_named(tmp_path):
    folder = write_ctf(tmp_path / "a.ds", 3)
    (folder / "a.meg4").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.ds: expected a\.meg4 in it"):
        load_continuous(folder)


def test_a_ctf_folder_with_a_short_header_is_named(tmp_path):
    folder = write_ctf(tmp_path / "a.ds", 3)
    cut(folder / "a.res4", 900)
    with pytest.raises(DataCorruptionError, match=r"a\.res4: truncated"):
        load_continuous(folder)
