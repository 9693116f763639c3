"""Phy folders: samples to seconds, labels kept, params.py never run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.phy import load_phy
from neuroalign.storage import load, save

EVENTS = pd.DataFrame({"onset": [0.0, 1.0], "duration": [1.0, 1.0], "stimulus": ["a", "b"]})
WINDOW = {"window": (0.0, 1.0), "bin_width": 0.1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sorted"
    path.mkdir()
    np.save(path / "spike_times.npy", np.array([[300], [600], [1000], [1300], [1950]], np.uint64))
    np.save(path / "spike_clusters.npy", np.array([[4], [9], [4], [4], [2]], np.int32))
    path.joinpath("params.py").write_text("dat_path = 'x'\nsample_rate = 1000.  # Hz\n")
    rows = "cluster_id\tgroup\n2\tnoise\n4\tgood\n9\tmua\n12\tgood\n"
    path.joinpath("cluster_group.tsv").write_text(rows)
    return path


def test_good_clusters_are_counted_in_seconds(folder: Path) -> None:
    counts = load_phy(folder, EVENTS, **WINDOW)
    assert counts["neuroid"].values.tolist() == ["4", "12"]
    assert np.argwhere(counts.values[:, 0]).tolist() == [[0, 3], [1, 0], [1, 3]]
    assert counts.values[:, 1].sum() == 0
    assert counts["quality"].values.tolist() == ["good", "good"]
    assert counts.attrs["source"] == "sorted"


def test_counts_survive_storage(folder: Path, tmp_path: Path) -> None:
    counts = load_phy(folder, EVENTS, **WINDOW)
    save(counts, tmp_path / "counts.nc")
    assert load(tmp_path / "counts.nc").identical(counts)


@pytest.mark.parametrize(("keep", "n"), [(None, 4), ("mua", 1), (["good", "mua"], 3)])
def test_labels_choose_the_clusters(folder: Path, keep: object, n: int) -> None:
    assert load_phy(folder, EVENTS, keep=keep, **WINDOW).sizes["neuroid"] == n


def test_cluster_info_gives_channels_and_kilosorts_labels(folder: Path) -> None:
    rows = "cluster_id\tKSLabel\tch\tgroup\n2\tgood\t7\t\n4\tmua\t3\tgood\n9\tgood\t1\tmua\n"
    (folder / "cluster_info.tsv").write_text(rows)
    counts = load_phy(folder, EVENTS, keep="good", label="KSLabel", **WINDOW)
    assert counts["neuroid"].values.tolist() == ["2", "9"]
    assert counts["electrode"].values.tolist() == ["7", "1"]
    assert load_phy(folder, EVENTS, keep="unsorted", **WINDOW).sizes["neuroid"] == 1


def test_folders_without_curation_use_the_templates(folder: Path) -> None:
    (folder / "spike_clusters.npy").rename(folder / "spike_templates.npy")
    (folder / "cluster_group.tsv").unlink()
    assert load_phy(folder, EVENTS, keep=None, **WINDOW).sizes["neuroid"] == 3
    with pytest.raises(LoadError, match=r"expected cluster_info\.tsv or cluster_group\.tsv"):
        load_phy(folder, EVENTS, **WINDOW)


def test_the_clock_may_be_given(folder: Path) -> None:
    (folder / "params.py").unlink()
    counts = load_phy(folder, EVENTS, sampling_rate=500.0, offset=-0.5, **WINDOW)
    assert np.argwhere(counts.values[:, 0]).tolist() == [[0, 1], [1, 5]]


def test_params_are_never_run(folder: Path, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\nsample_rate = 1e3\n"
    (folder / "params.py").write_text(code)
    load_phy(folder, EVENTS, **WINDOW)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample_rate = float('3')", "expected 'sample_rate = <number>'"),
        ("rate = 3", "expected 'sample_rate = <number>', got none. Pass sampling_rate="),
        ("sample_rate = 'fast'", "got fast"),
        ("sample_rate = = 3", "expected 'sample_rate = <number>', got 'invalid syntax"),
        ("sample_rate = 0", "expected a sampling rate above 0 Hz, got 0"),
    ],
)
def test_bad_params_are_named(folder: Path, text: str, message: str) -> None:
    (folder / "params.py").write_text(text)
    with pytest.raises(LoadError, match=message):
        load_phy(folder, EVENTS, **WINDOW)


def test_files_out_of_step_are_named(folder: Path) -> None:
    np.save(folder / "spike_clusters.npy", np.zeros(3, int))
    with pytest.raises(LoadError, match=r"got spike_times\.npy 5, spike_clusters\.npy 3"):
        load_phy(folder, EVENTS, **WINDOW)


def test_seconds_in_place_of_samples_are_refused(folder: Path) -> None:
    np.save(folder / "spike_times.npy", np.arange(5) * 0.1)
    with pytest.raises(LoadError, match=r"spike_times\.npy: expected whole samples, got float64"):
        load_phy(folder, EVENTS, **WINDOW)


def test_labels_nobody_has_are_answered_with_those_there_are(folder: Path) -> None:
    with pytest.raises(LoadError, match=r"labelled 'best', got 'good \(2\)', 'mua \(1\)'"):
        load_phy(folder, EVENTS, keep="best", **WINDOW)


def test_repeated_clusters_are_named(folder: Path) -> None:
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n4\tgood\n4\tmua\n")
    with pytest.raises(LoadError, match=r"cluster_group\.tsv: expected each cluster_id once"):
        load_phy(folder, EVENTS, **WINDOW)


def test_cut_missing_and_pickled_arrays_are_named(folder: Path) -> None:
    path = folder / "spike_times.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataCorruptionError, match=r"spike_times\.npy: expected a whole numpy"):
        load_phy(folder, EVENTS, **WINDOW)
    path.write_bytes(b"0123456789")
    with pytest.raises(DataCorruptionError, match="expected a numpy array, got bytes"):
        load_phy(folder, EVENTS, **WINDOW)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(LoadError, match="got pickled objects, which are not read"):
        load_phy(folder, EVENTS, **WINDOW)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"spike_times\.npy: expected a file"):
        load_phy(folder, EVENTS, **WINDOW)
