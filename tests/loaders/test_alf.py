"""ALF folders in the dialects of IBL and Steinmetz."""

from pathlib import Path

import numpy as np
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.alf import load_alf, load_alf_events, load_alf_series
from neuroalign.storage import load, save

WINDOW = {"window": (0.0, 1.0), "bin_width": 0.1}
TRIALS = {"onset": "stimOn_times", "stimulus": "contrastLeft"}


@pytest.fixture
def ibl(tmp_path: Path) -> Path:
    folder = tmp_path / "probe00"
    folder.mkdir()
    arrays = {
        "spikes.times": np.array([10.3, 10.6, 11.0, 11.35]),
        "spikes.clusters": np.array([0, 2, 0, 0], np.uint16),
        "clusters.channels": np.array([1, 0, 1]),
        "channels.mlapdv": np.array([[1000, 2000, -3000], [500, 0, 0]]),
        "channels.brainLocationAcronyms_ccf_2017": np.array(["VISp", "CA1"]),
        "_ibl_trials.stimOn_times": np.array([10.0, 11.0, np.nan]),
        "_ibl_trials.intervals": np.array([[9.9, 10.8], [10.9, 12.0], [12.0, 13.0]]),
        "_ibl_trials.contrastLeft": np.array([0.25, np.nan, 1.0]),
        "_ibl_trials.choice": np.array([-1, 1, 1]),
        "_ibl_wheel.position": np.array([0.0, 1.0, 4.0]),
        "_ibl_wheel.timestamps": np.array([1.0, 2.0, 3.5]),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "clusters.metrics.csv").write_text("cluster_id,label\n0,1.0\n2,0.33\n")
    return folder


@pytest.fixture
def steinmetz(tmp_path: Path) -> Path:
    folder = tmp_path / "session"
    folder.mkdir()
    arrays = {
        "spikes.times": np.array([[0.3], [1.2]]),
        "spikes.clusters": np.array([[1], [0]], np.uint32),
        "clusters.peakChannel": np.array([[1.0], [2.0]]),
        "clusters._phy_annotation": np.array([[2], [3]]),
        "trials.visualStim_times": np.array([[0.0], [1.0]]),
        "trials.visualStim_contrastLeft": np.array([[0.5], [1.0]]),
        "wheel.position": np.arange(5.0)[:, None],
        "wheel.timestamps": np.array([[0.0, 10.0], [4.0, 12.0]]),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    rows = "ccf_ap\tccf_dv\tccf_lr\tallen_ontology\n1000\t2000\t3000\tMOs\n0\t0\t500\troot\n"
    (folder / "channels.brainLocation.tsv").write_text(rows)
    return folder


def test_ibl_spikes_are_counted_with_their_places(ibl: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    counts = load_alf(ibl, events, **WINDOW)
    assert counts["neuroid"].values.tolist() == ["0", "1", "2"]
    assert np.argwhere(counts.values).tolist() == [[0, 0, 3], [0, 2, 6], [1, 0, 0], [1, 0, 3]]
    assert counts["region"].values.tolist() == ["CA1", "VISp", "CA1"]
    assert counts["quality"].values.tolist() == ["1.0", "unknown", "0.33"]
    assert counts["x"].values.tolist() == [0.5, 1.0, 0.5]
    assert counts["stimulus"].values.tolist() == ["0.25", "none"]


def test_counts_survive_storage(ibl: Path, tmp_path: Path) -> None:
    counts = load_alf(ibl, load_alf_events(ibl, **TRIALS, drop_missing=True), **WINDOW)
    save(counts, tmp_path / "counts.nc")
    assert load(tmp_path / "counts.nc").identical(counts)


def test_steinmetz_spikes_are_counted_with_their_places(steinmetz: Path) -> None:
    names = {"onset": "visualStim_times", "stimulus": "visualStim_contrastLeft"}
    events = load_alf_events(steinmetz, **names)
    counts = load_alf(steinmetz, events, keep="good", channels_from=1, **WINDOW)
    assert counts["region"].values.tolist() == ["MOs"]
    assert [float(counts[axis].values[0]) for axis in "xyz"] == [3.0, 1.0, 2.0]
    assert np.argwhere(counts.values).tolist() == [[1, 0, 2]]
    assert events["duration"].tolist() == [0.0, 0.0]


def test_trials_end_with_their_intervals_or_as_told(ibl: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    np.testing.assert_allclose(events["duration"], [0.8, 1.0])
    np.save(ibl / "_ibl_trials.stimOff_times.npy", np.array([10.5, 11.5, 12.5]))
    events = load_alf_events(ibl, **TRIALS, stop="stimOff_times", drop_missing=True)
    np.testing.assert_allclose(events["duration"], [0.5, 0.5])


def test_several_attributes_make_one_label(ibl: Path) -> None:
    events = load_alf_events(
        ibl, onset="stimOn_times", stimulus=["contrastLeft", "choice"], drop_missing=True
    )
    assert events["stimulus"].tolist() == [
        "contrastLeft=0.25,choice=-1",
        "contrastLeft=none,choice=1",
    ]


def test_timestamps_are_read_or_interpolated(ibl: Path, steinmetz: Path) -> None:
    assert load_alf_series(ibl, "wheel", "position")["time"].values.tolist() == [1, 2, 3.5]
    times = load_alf_series(steinmetz, "wheel", "position")["time"].values
    assert times.tolist() == [10.0, 10.5, 11.0, 11.5, 12.0]


def test_folders_without_clusters_name_those_that_fired(ibl: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    for path in [*ibl.glob("clusters.*"), *ibl.glob("channels.*")]:
        path.unlink()
    assert load_alf(ibl, events, **WINDOW)["neuroid"].values.tolist() == ["0", "2"]
    with pytest.raises(LoadError, match=r"expected clusters\._phy_annotation\.npy, or 'label'"):
        load_alf(ibl, events, keep="good", **WINDOW)


def test_missing_times_are_counted(ibl: Path) -> None:
    with pytest.raises(LoadError, match=r"got none in 1 of 3 \(first row 2\)"):
        load_alf_events(ibl, **TRIALS)


def test_trials_that_end_before_they_start_are_counted(ibl: Path) -> None:
    np.save(ibl / "_ibl_trials.bad_times.npy", np.zeros(3))
    with pytest.raises(LoadError, match="end after they start, got 2 of 2"):
        load_alf_events(ibl, **TRIALS, stop="bad_times", drop_missing=True)


def test_tables_out_of_step_are_named(ibl: Path) -> None:
    np.save(ibl / "spikes.amps.npy", np.zeros(3))
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    with pytest.raises(LoadError, match=r"spikes\.amps\.npy 3, spikes\.clusters\.npy 4"):
        load_alf(ibl, events, **WINDOW)


def test_absent_attributes_are_answered_with_the_files(ibl: Path) -> None:
    with pytest.raises(LoadError, match=r"expected trials\.gone\.npy, got '_ibl_trials\.choice"):
        load_alf_events(ibl, onset="gone", stimulus="choice")
    with pytest.raises(LoadError, match=r"expected licks\.times\.npy, got no files of licks"):
        load_alf_events(ibl, onset="times", stimulus="choice", table="licks")


def test_one_attribute_in_two_files_is_refused(ibl: Path) -> None:
    np.save(ibl / "trials.choice.npy", np.zeros(3))
    with pytest.raises(LoadError, match=r"expected one file of trials\.choice"):
        load_alf_events(ibl, **TRIALS)


def test_samples_in_place_of_seconds_are_refused(ibl: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    np.save(ibl / "spikes.times.npy", np.arange(4))
    with pytest.raises(LoadError, match=r"spikes\.times\.npy: expected seconds as floats, got int"):
        load_alf(ibl, events, **WINDOW)


def test_clusters_and_channels_beyond_their_tables_are_named(ibl: Path, steinmetz: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    np.save(ibl / "spikes.clusters.npy", np.array([0, 1, 2, 3]))
    with pytest.raises(LoadError, match="expected clusters 0 to 2 .*got 1 spikes of others"):
        load_alf(ibl, events, **WINDOW)
    with pytest.raises(
        LoadError, match=r"among 2 of channels\.\*, got channels 1 to 2. Pass channels_from=1"
    ):
        load_alf(steinmetz, events, **WINDOW)


def test_timestamps_that_miss_samples_are_named(steinmetz: Path) -> None:
    np.save(steinmetz / "wheel.timestamps.npy", np.array([[0.0, 10.0], [2.0, 12.0]]))
    with pytest.raises(LoadError, match="expected samples 0 to 4, got 0 to 2"):
        load_alf_series(steinmetz, "wheel", "position")


def test_cut_files_and_missing_folders_are_named(ibl: Path) -> None:
    path = ibl / "spikes.times.npy"
    path.write_bytes(path.read_bytes()[:-8])
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    with pytest.raises(DataCorruptionError, match=r"spikes\.times\.npy: expected a whole"):
        load_alf(ibl, events, **WINDOW)
    with pytest.raises(FileNotFoundError, match="expected an ALF folder, got none"):
        load_alf(ibl / "gone", events, **WINDOW)


def test_spikes_in_any_order_and_byte_order_are_counted(ibl: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    expected = load_alf(ibl, events, **WINDOW)
    for name, kind in (("times", ">f8"), ("clusters", ">u2")):
        path = ibl / f"spikes.{name}.npy"
        np.save(path, np.load(path)[::-1].astype(kind))
    np.testing.assert_array_equal(load_alf(ibl, events, **WINDOW).values, expected.values)


def test_spikes_without_a_time_are_counted(ibl: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    np.save(ibl / "spikes.times.npy", np.array([10.0, np.nan, 11.0, np.inf]))
    with pytest.raises(LoadError, match=r"spikes\.times\.npy: .* got nan for 2 of 4 spikes"):
        load_alf(ibl, events, **WINDOW)


def test_metrics_that_name_a_cluster_twice_are_refused(ibl: Path) -> None:
    events = load_alf_events(ibl, **TRIALS, drop_missing=True)
    (ibl / "clusters.metrics.csv").write_text("cluster_id,label\n0,1.0\n0,0.33\n")
    with pytest.raises(LoadError, match=r"metrics\.csv: expected each cluster_id once"):
        load_alf(ibl, events, **WINDOW)
    (ibl / "clusters.metrics.csv").write_text("cluster_id,label\nx,1.0\n")
    with pytest.raises(LoadError, match=r"metrics\.csv: expected cluster_id .* got 'x' in row 0"):
        load_alf(ibl, events, **WINDOW)
