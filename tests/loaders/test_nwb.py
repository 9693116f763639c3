"""NWB files, written by pynwb and recorded in brains, and their faults."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.nwb import describe_nwb, load_nwb
from neuroalign.loaders.spikes import bin_trials, compute_psth

TRAINS = {4: [0.35, 0.1, 2.3], 17: [], 90: [1.95, 2.0, 3.1]}
SPANS = [[[0.0, 4.0]], [[0.0, 4.0]], [[1.0, 2.5], [2.5, 4.0]]]


def new_file() -> Any:
    file = pynwb.NWBFile("a session", "id-1", datetime(1900, 1, 1, tzinfo=UTC), session_id="s1")
    file.subject = pynwb.file.Subject(subject_id="rat", species="Rattus norvegicus", age="P90D")
    return file


def add_electrodes(file: Any) -> None:
    device = file.create_device("probe")
    group = file.create_electrode_group("shank", "a shank", "CA1", device)
    for place in ("CA1", "CA3", "DG"):
        file.add_electrode(x=1.0, y=2.0, z=3.0, location=place, group=group)


def add_units(file: Any, trains: dict[int, list[float]] = TRAINS) -> None:
    add_electrodes(file)
    file.add_unit_column("quality", "by hand")
    for row, (number, times) in enumerate(trains.items()):
        file.add_unit(
            id=number,
            spike_times=np.array(times, dtype=float),
            quality="good" if row != 1 else "mua",
            electrodes=[row, 0],
            obs_intervals=np.array(SPANS[row]),
        )


def add_trials(file: Any) -> None:
    file.add_trial_column("picture", "shown")
    file.add_trial_column("grade", "a number")
    file.add_trial_column("cue", "time of the cue")
    for row, name in enumerate(["dog", "cat", "dog"]):
        begin = float(row + row // 2)
        cue = begin + 0.1 if row else np.nan
        file.add_trial(begin, begin + 1, picture=name, grade=1.0 + row / 2, cue=cue)


def write(file: Any, path: Path) -> Path:
    with pynwb.NWBHDF5IO(path, "w") as out:
        out.write(file)
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A file of three units and three trials."""
    file = new_file()
    add_units(file)
    add_trials(file)
    return write(file, tmp_path / "rat.nwb")


def change(path: Path, edit: Callable[[h5py.File], None]) -> Path:
    with h5py.File(path, "a") as file:
        edit(file)
    return path


def test_counts_equal_those_of_the_trains_given(recorded: Path) -> None:
    counts = load_nwb(recorded, stimulus="picture", window=(0, 1), bin_width=0.1)
    events = pd.DataFrame({"onset": [0.0, 1, 3], "stimulus": ["dog", "cat", "dog"]})
    spans = {str(n): np.array(s) for n, s in zip(TRAINS, SPANS, strict=True)}
    trains = {str(n): np.array(t) for n, t in TRAINS.items()}
    same = bin_trials(trains, events, window=(0, 1), bin_width=0.1, observed=spans)
    assert np.array_equal(counts.values, same.values, equal_nan=True)
    assert np.isnan(counts.values[0, 2]).all()
    assert counts.values[0, 0].sum() == 2


def test_labels_come_from_the_file_and_survive_storage(recorded: Path, tmp_path: Path) -> None:
    counts = load_nwb(recorded, stimulus="picture", window=(0, 1), bin_width=0.5)
    assert counts["neuroid"].values.tolist() == ["4", "17", "90"]
    assert counts["region"].values.tolist() == ["CA1", "CA3", "DG"]
    assert counts["quality"].values.tolist() == ["good", "mua", "good"]
    assert counts["n_electrodes"].values.tolist() == [2, 2, 2]
    assert counts["stimulus"].values.tolist() == ["dog", "cat", "dog"]
    assert set(counts["session"].values) == {"s1"}
    assert set(counts["subject"].values) == {"rat"}
    assert counts.attrs["source"] == "rat.nwb"
    storage.save(counts, tmp_path / "counts.zarr")
    xr.testing.assert_identical(storage.load(tmp_path / "counts.zarr").compute(), counts)


def test_filters_choose_units_and_trials(recorded: Path) -> None:
    counts = load_nwb(
        recorded,
        align="cue",
        stimulus="grade",
        window=(0, 0.5),
        bin_width=0.1,
        unit_filter="quality == 'good' and region == 'DG'",
        interval_filter="cue == cue",
    )
    assert counts["neuroid"].values.tolist() == ["90"]
    assert counts["stimulus"].values.tolist() == ["1.5", "2"]
    assert counts["onset"].values.tolist() == [1.1, 3.1]
    assert "1 of 3 units" in counts.attrs["history"]


def test_without_a_window_trials_last_to_their_end(recorded: Path) -> None:
    counts = load_nwb(recorded, bin_width=0.25)
    assert counts.sizes["time"] == 4
    assert "stimulus" not in counts.coords
    assert set(counts["run"].values) == {"rat"}


def test_the_file_is_closed_after_reading(recorded: Path) -> None:
    counts = load_nwb(recorded, window=(0, 1), bin_width=0.5)
    recorded.unlink()
    assert float(counts.sum()) > 0
    left_open = h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    assert bytes(recorded) not in [one.name for one in left_open]


def test_bytes_are_decoded(recorded: Path) -> None:
    def to_bytes(file: h5py.File) -> None:
        attrs = dict(file["intervals/trials/picture"].attrs)
        del file["intervals/trials/picture"]
        file["intervals/trials/picture"] = np.array([b"dog", b"cat", b"dog"])
        file["intervals/trials/picture"].attrs.update(attrs)

    counts = load_nwb(change(recorded, to_bytes), stimulus="picture", window=(0, 1))
    assert counts["stimulus"].values.tolist() == ["dog", "cat", "dog"]


def test_a_description_says_what_the_file_holds(recorded: Path) -> None:
    text = "\n".join(describe_nwb(recorded))
    assert "session s1, subject rat" in text
    assert "units: 3; spikes: 6 from 0.1 to 3.1 s" in text
    assert "intervals 'trials': 3 rows" in text
    assert "picture" in text
    assert "wrong: unit 4: spike times not sorted" in text
    assert "wrong: unit 17: no spikes" in text


def test_a_description_tells_times_that_are_wrong(tmp_path: Path) -> None:
    file = new_file()
    add_units(file, {1: [-1.0, np.nan, 2.0]})
    text = "\n".join(describe_nwb(write(file, tmp_path / "odd.nwb")))
    assert "wrong: unit 1: 1 spike times not finite" in text
    assert "wrong: unit 1: 1 spikes before time 0" in text
    assert "wrong: no interval tables" in text


def test_a_spike_that_is_nan_names_file_and_unit(tmp_path: Path) -> None:
    file = new_file()
    add_units(file, {8: [0.1, np.nan]})
    add_trials(file)
    with pytest.raises(LoadError, match=r"odd\.nwb: trains\['8'\]: expected finite"):
        load_nwb(write(file, tmp_path / "odd.nwb"), window=(0, 1))


def test_negative_times_are_kept_and_said(tmp_path: Path) -> None:
    file = new_file()
    add_units(file, {8: [-0.2, 0.1]})
    add_trials(file)
    counts = load_nwb(write(file, tmp_path / "odd.nwb"), window=(0, 1))
    assert "1 spikes before the reference time kept" in counts.attrs["history"]


def test_a_file_without_units_says_what_it_holds(tmp_path: Path) -> None:
    file = new_file()
    file.add_acquisition(pynwb.TimeSeries(name="events", data=[1.0], unit="V", rate=1.0))
    path = write(file, tmp_path / "bare.nwb")
    with pytest.raises(LoadError, match=r"bare\.nwb: .*acquisition: events; processing: none"):
        load_nwb(path)
    assert "wrong: no units table" in describe_nwb(path)


def test_units_without_spike_times_are_refused(tmp_path: Path) -> None:
    file = new_file()
    file.add_unit_column("quality", "by hand")
    file.add_unit(id=1, quality="good")
    with pytest.raises(LoadError, match=r"expected spike_times .* 'quality'"):
        load_nwb(write(file, tmp_path / "bare.nwb"))


def test_an_absent_trial_table_names_the_choices(real_data: Path) -> None:
    path = real_data / "nwb_human_mtl_zheng2022/sub-4_ses-4_ecephys+image.nwb"
    words = (
        "trial table 'trials' absent, choose one of: encoding_table, recognition_table, "
        "timediscrimination_table"
    )
    with pytest.raises(LoadError, match=words):
        load_nwb(path)


def test_an_absent_column_names_the_others(recorded: Path) -> None:
    with pytest.raises(LoadError, match="column 'image' in 'trials', got .*'picture'"):
        load_nwb(recorded, stimulus="image")


def test_times_that_are_missing_name_their_row(recorded: Path) -> None:
    with pytest.raises(LoadError, match="trials: expected cue as numbers .* got 'nan' in row 0"):
        load_nwb(recorded, align="cue", window=(0, 1))


def test_stimuli_that_are_missing_name_their_row(recorded: Path) -> None:
    with pytest.raises(LoadError, match=r"trials\.cue: expected a name .* row 0"):
        load_nwb(recorded, stimulus="cue", window=(0, 1))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("isi > 3", "over the columns .*'quality'"),
        ("quality ==", "over the columns"),
        ("quality == 'best'", "got none"),
        ("x + 1", "true or false"),
        ("@pd.io", "over columns, got '@pd.io'"),
        ("quality.__class__", "over columns"),
    ],
)
def test_filters_that_do_not_work_are_named(recorded: Path, query: str, words: str) -> None:
    with pytest.raises(LoadError, match=f"unit_filter: expected .*{words}"):
        load_nwb(recorded, unit_filter=query)


def test_a_window_that_does_not_fit_names_the_file(recorded: Path) -> None:
    with pytest.raises(LoadError, match=r"rat\.nwb: window: expected a multiple"):
        load_nwb(recorded, window=(0, 1), bin_width=0.3)


@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_file_is_damaged(recorded: Path, part: float) -> None:
    whole = recorded.read_bytes()
    recorded.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(DataCorruptionError, match=r"rat\.nwb: truncated: .*Download it again"):
        load_nwb(recorded)


def test_content_that_is_not_hdf5_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "noise.nwb"
    path.write_bytes(b"noise" * 1000)
    with pytest.raises(DataCorruptionError, match=r"noise\.nwb: damaged"):
        load_nwb(path)


def test_plain_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.nwb"
    with h5py.File(path, "w") as file:
        file["spikes"] = [1.0]
    with pytest.raises(LoadError, match="got HDF5 without an NWB version"):
        load_nwb(path)


def test_a_web_page_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.nwb"
    page.write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(DataCorruptionError, match="HTML or XML page"):
        load_nwb(page)
    with pytest.raises(FileNotFoundError, match=r"page\.nwb"):
        load_nwb(tmp_path / "other.nwb")


def test_a_link_to_another_file_is_refused(recorded: Path, tmp_path: Path) -> None:
    def link(file: h5py.File) -> None:
        del file["units/spike_times"]
        file["units/spike_times"] = h5py.ExternalLink("secret.h5", "/spikes")

    with pytest.raises(LoadError, match=r"link to 'secret\.h5' at '/units/spike_times'"):
        load_nwb(change(recorded, link))


def test_a_soft_link_that_leaves_the_file_is_refused(recorded: Path) -> None:
    def link(file: h5py.File) -> None:
        del file["units/spike_times"]
        file["away"] = h5py.ExternalLink("secret.h5", "/")
        file["units/spike_times"] = h5py.SoftLink("/away/spikes")

    with pytest.raises(LoadError, match=r"link to 'secret\.h5'"):
        load_nwb(change(recorded, link))


def test_values_stored_elsewhere_are_refused(recorded: Path, tmp_path: Path) -> None:
    def store(file: h5py.File) -> None:
        del file["units/spike_times"]
        outside = [(str(tmp_path / "raw.bin"), 0, 48)]
        file["units"].create_dataset("spike_times", (6,), "f8", external=outside)

    with pytest.raises(LoadError, match="'/units/spike_times' stored in another"):
        load_nwb(change(recorded, store))


def test_what_pynwb_does_not_read_is_refused_with_its_cause(recorded: Path) -> None:
    def link(file: h5py.File) -> None:
        file.move("units/spike_times", "scratch_spikes")
        file["units/spike_times"] = h5py.SoftLink("/scratch_spikes")

    with pytest.raises(LoadError, match=r"rat\.nwb: expected NWB that pynwb .* reads, got: .*Link"):
        load_nwb(change(recorded, link), window=(0, 1))


def test_a_link_anywhere_in_the_file_is_refused_before_it_is_followed(recorded: Path) -> None:
    def link(file: h5py.File) -> None:
        file["processing/deep/away"] = h5py.ExternalLink("secret.h5", "/")

    with pytest.raises(LoadError, match=r"rat\.nwb: .*'secret\.h5' at '/processing/deep/away'"):
        load_nwb(change(recorded, link), window=(0, 1))


def test_spikes_are_read_once(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, names = h5py.Dataset.__getitem__, []

    def count(dataset: h5py.Dataset, *args: Any, **more: Any) -> Any:
        names.append(dataset.name)
        return read(dataset, *args, **more)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", count)
    load_nwb(recorded, window=(0, 1))
    assert names.count("/units/spike_times") == 1
    assert names.count("/units/spike_times_index") == 1


def test_groups_that_hold_themselves_end(recorded: Path) -> None:
    def circle(file: h5py.File) -> None:
        file["analysis/again"] = file["analysis"]

    change(recorded, circle)
    with pytest.raises(LoadError, match=r"rat\.nwb: expected NWB that pynwb"):
        load_nwb(recorded, window=(0, 1))


@pytest.mark.parametrize("ends", [[3, 2, 6], [3, 3, 5], [3, 3, 9]])
def test_an_index_that_does_not_fit_is_damaged(recorded: Path, ends: list[int]) -> None:
    def spoil(file: h5py.File) -> None:
        file["units/spike_times_index"][:] = ends

    with pytest.raises(DataCorruptionError, match="spike_times_index to rise to 6"):
        load_nwb(change(recorded, spoil))


def test_ids_used_twice_are_damaged(recorded: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file["units/id"][:] = [4, 4, 90]

    with pytest.raises(DataCorruptionError, match="one unique id"):
        load_nwb(change(recorded, spoil))


def test_electrodes_that_are_not_there_are_damaged(recorded: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file["units/electrodes"][:] = 50

    with pytest.raises(DataCorruptionError, match="rows of 3 electrodes, got row 50"):
        load_nwb(change(recorded, spoil))


@pytest.mark.parametrize(
    ("table", "rows", "stimulus"),
    [
        ("encoding_table", 90, "stimCategory"),
        ("recognition_table", 180, "old_new"),
        ("timediscrimination_table", 180, "frameName"),
    ],
)
def test_human_units_are_counted_in_every_table(
    real_data: Path, table: str, rows: int, stimulus: str
) -> None:
    path = real_data / "nwb_human_mtl_zheng2022/sub-4_ses-4_ecephys+image.nwb"
    counts = load_nwb(path, intervals=table, stimulus=stimulus, window=(0, 1), bin_width=0.1)
    assert counts.shape == (rows, 35, 10)
    assert set(counts["region"].values) == {"hippocampus_right", "amygdala_right"}
    assert not any(str(name).startswith("b'") for name in counts["stimulus"].values)


def test_human_boundaries_come_thirty_each(real_data: Path) -> None:
    path = real_data / "nwb_human_mtl_zheng2022/sub-4_ses-4_ecephys+image.nwb"
    counts = load_nwb(path, intervals="encoding_table", stimulus="stimCategory", bin_width=0.5)
    psth = compute_psth(counts)
    assert sorted(psth["stimulus"].values.tolist()) == ["0", "1", "2"]
    assert psth["n_trials"].values.tolist() == [30, 30, 30]
    assert any("spikes: 214278" in line for line in describe_nwb(path))


def test_human_counts_equal_a_count_without_bins(real_data: Path) -> None:
    path = real_data / "nwb_human_mtl_zheng2022/sub-4_ses-4_ecephys+image.nwb"
    counts = load_nwb(path, intervals="encoding_table", window=(0, 8), bin_width=8)
    with h5py.File(path) as file:
        ends = file["units/spike_times_index"][:].astype(int)
        trains = np.split(file["units/spike_times"][:], ends[:-1])
        onset = file["intervals/encoding_table/start_time"][:]
    low, high = (np.array([np.searchsorted(t, onset + d) for t in trains]) for d in (0, 8))
    assert np.array_equal(counts.values[:, :, 0], (high - low).T)


def test_a_mouse_session_has_its_spikes(real_data: Path) -> None:
    path = real_data / "nwb_pynapple_A8604/A8604-211122.nwb"
    counts = load_nwb(path, intervals="epochs", window=(0, 1100), bin_width=1100)
    assert counts["neuroid"].values.tolist() == ["6", "191", "206"]
    assert counts.values[0, :, 0].tolist() == [11020, 4690, 5644]


def test_an_object_that_cannot_be_opened_is_damage(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = h5py.Group.__getitem__

    def fail(group: h5py.Group, name: str) -> Any:
        if name == "units":
            raise KeyError(f"Unable to synchronously open object {name}")
        return read(group, name)

    monkeypatch.setattr(h5py.Group, "__getitem__", fail)
    with pytest.raises(DataCorruptionError, match=r"rat\.nwb: damaged: .*Unable to synchronously"):
        load_nwb(recorded, window=(0, 1))
