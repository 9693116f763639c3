"""BIDS recordings: no event is lost in silence."""

import warnings

import mne
import mne_bids
import numpy as np
import pytest

from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignWarning
from neuroalign.loaders.meg_bids import load_meg_bids, read_bids_events


def write_dataset(root, rng, session=None, run=None, datatype="eeg"):
    """One recording of 4 s with three events, written by mne_bids."""
    kind = {"ieeg": "seeg", "eeg": "eeg"}[datatype]
    info = mne.create_info(["Fz", "Cz"], 100.0, kind, verbose="warning")
    info["line_freq"] = 50
    raw = mne.io.RawArray(rng.standard_normal((2, 400)) * 1e-5, info, verbose="warning")
    raw.set_annotations(mne.Annotations([0.5, 1.5, 2.5], 0.2, ["face", "house", "face"]))
    path = mne_bids.BIDSPath(
        root=root, subject="01", session=session, run=run, task="see", datatype=datatype
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mne_bids.write_raw_bids(
            raw, path, format="BrainVision", allow_preload=True, overwrite=True, verbose="error"
        )
    return raw


@pytest.fixture
def dataset(tmp_path, rng):
    """A dataset of one subject, and its recording."""
    return tmp_path, write_dataset(tmp_path, rng)


def load(root, **options):
    """Load the one recording; mne_bids says which side files are missing."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "(?s).*(electrodes|participants|ontage|frame|locations|Fiducial)"
        )
        return load_meg_bids(root, subject="01", task="see", **options)


def edit_events(root, row, text):
    """Replace the onset of a row of events.tsv."""
    path = next(root.rglob("*_events.tsv"))
    lines = path.read_text().splitlines()
    cells = lines[row + 1].split("\t")
    lines[row + 1] = "\t".join([text, *cells[1:]])
    path.write_text("\n".join(lines) + "\n")


def test_windows_hold_the_samples_that_were_written(dataset):
    root, raw = dataset
    responses = load(root, window=(0, 0.3))
    expected = raw.get_data()[:, 150:181]
    np.testing.assert_allclose(responses.values[1], expected, atol=1e-7)
    assert responses["stimulus"].values.tolist() == ["face", "house", "face"]
    assert responses["subject"].values[0] == "sub-01"
    assert responses["run"].values[0] == "run-01"


def test_sessions_and_runs_name_the_run(tmp_path, rng):
    write_dataset(tmp_path, rng, session="02", run="03")
    responses = load(tmp_path, session="02", run="03", window=(0, 0.3))
    assert responses["run"].values[0] == "ses-02_run-03"
    assert responses["session"].values[0] == "ses-02"


def test_the_whole_recording_without_a_window(dataset):
    assert load(dataset[0]).dims == ("sample", "neuroid")


def test_intracranial_recordings_are_found(tmp_path, rng):
    write_dataset(tmp_path, rng, datatype="ieeg")
    assert load(tmp_path, window=(0, 0.3)).attrs["modality"] == "ieeg"


def test_a_first_sample_and_a_date_do_not_move_events(tmp_path, rng):
    info = mne.create_info(["M1", "M2"], 100.0, "mag", verbose="warning")
    info["line_freq"] = 50
    raw = mne.io.RawArray(rng.standard_normal((2, 500)) * 1e-13, info, verbose="warning")
    raw.set_meas_date(1e9).crop(1.0)
    marks = mne.Annotations([2.0], 0.1, "face", orig_time=raw.info["meas_date"])
    raw.set_annotations(marks)
    raw.save(tmp_path / "in_raw.fif", verbose="error")
    source = mne.io.read_raw(tmp_path / "in_raw.fif", verbose="error")
    path = mne_bids.BIDSPath(root=tmp_path / "b", subject="01", task="see", datatype="meg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mne_bids.write_raw_bids(source, path, verbose="error")
    responses = load(tmp_path / "b", window=(0, 0.3), dtype="float64")
    assert source.first_samp == 100
    assert responses["onset"].values.tolist() == [1.0]
    np.testing.assert_array_equal(responses.values[0], source.get_data()[:, 100:131])


def test_an_empty_events_file_is_refused(tmp_path):
    (tmp_path / "events.tsv").write_text("")
    with pytest.raises(LoadError, match="events.tsv: expected a tab-separated table"):
        read_bids_events(tmp_path / "events.tsv", duration=5)


def test_late_events_are_counted_and_named(dataset):
    edit_events(dataset[0], 0, "999")
    with pytest.raises(LoadError, match="events.tsv has 3 rows, 2 usable: row 0 onset 999 s > 4 s"):
        load(dataset[0], window=(0, 0.3))


def test_missing_onsets_are_counted_and_named(dataset):
    edit_events(dataset[0], 1, "n/a")
    with pytest.raises(LoadError, match="events.tsv has 3 rows, 2 usable: row 1 onset 'n/a'"):
        load(dataset[0], window=(0, 0.3))


def test_lost_events_are_allowed_only_with_a_warning(dataset):
    edit_events(dataset[0], 0, "999")
    with pytest.warns(NeuroalignWarning, match="3 rows, 2 usable"):
        responses = load(dataset[0], window=(0, 0.3), allow_dropped=True)
    assert responses["stimulus"].values.tolist() == ["house", "face"]
    assert responses.attrs["n_dropped_events"] == 1


def test_an_absent_events_file_is_said(dataset):
    next(dataset[0].rglob("*_events.tsv")).unlink()
    with pytest.raises(LoadError, match="expected an events.tsv beside it, got none"):
        load(dataset[0], window=(0, 0.3))


def test_an_absent_column_is_said(dataset):
    with pytest.raises(LoadError, match=r"expected columns \['stim_file'\]"):
        load(dataset[0], window=(0, 0.3), stimulus="stim_file")


def test_a_cut_recording_is_refused(dataset):
    data = next(dataset[0].rglob("*.eeg"))
    data.write_bytes(data.read_bytes()[:-3])
    with pytest.raises(DataCorruptionError, match="truncated"):
        load(dataset[0], window=(0, 0.3))


def test_an_absent_subject_or_root_is_said(dataset):
    with pytest.raises(LoadError, match="sub-09: expected one of .*got none"):
        load_meg_bids(dataset[0], subject="09", task="see")
    with pytest.raises(FileNotFoundError, match="expected the folder of a BIDS dataset"):
        load_meg_bids(dataset[0] / "none", subject="01", task="see")


def test_several_runs_ask_for_one(tmp_path, rng):
    for run in ("01", "02"):
        write_dataset(tmp_path, rng, run=run)
    with pytest.raises(LoadError, match="expected one recording of task 'see', got .*run-01"):
        load(tmp_path)


def test_artifact_rows_are_no_events(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text("onset\tduration\ttrial_type\n1\tn/a\tface\n2\t1\tBAD_jump\n")
    events, dropped = read_bids_events(path, duration=5)
    assert events["stimulus"].tolist() == ["face"]
    assert events["duration"].tolist() == [0.0]
    assert dropped == 0


def test_a_badger_in_the_events_is_an_event(tmp_path):
    path = tmp_path / "x_events.tsv"
    rows = ["1\t0\tbadger", "2\t0\tBAD_blink", "3\t0\tedge boundary", "4\t0\tedges"]
    path.write_text("\n".join(["onset\tduration\ttrial_type", *rows]) + "\n")
    events, lost = read_bids_events(path, duration=9)
    assert (events["stimulus"].tolist(), lost) == (["badger", "edges"], 0)
