"""Suite2p folders without their pickles."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.suite2p import load_suite2p
from neuroalign.storage import load, save


def write_plane(folder: Path, rng: np.random.Generator, n_frames: int = 40) -> Path:
    folder.mkdir(parents=True)
    traces = rng.uniform(100, 200, (3, n_frames)).astype(np.float32)
    np.save(folder / "F.npy", traces)
    np.save(folder / "Fneu.npy", traces / 10)
    np.save(folder / "spks.npy", traces - 100)
    np.save(folder / "iscell.npy", np.array([[1.0, 0.9], [0.0, 0.1], [1.0, 0.6]]))
    for name in ("ops", "stat"):
        (folder / f"{name}.npy").write_bytes(b"a pickle, which nobody opens")
    return folder


@pytest.fixture
def plane(tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_plane(tmp_path / "suite2p" / "plane0", rng)


def test_cells_come_with_the_neuropil_subtracted(plane: Path) -> None:
    responses = load_suite2p(plane, rate=10.0, signal="F")
    expected = np.load(plane / "F.npy")[[0, 2]].T * (1 - 0.07)
    np.testing.assert_allclose(responses.values, expected, rtol=1e-5)
    assert responses["neuroid"].values.tolist() == ["plane0/0000", "plane0/0002"]
    np.testing.assert_allclose(responses["onset"], np.arange(40) / 10)
    assert responses.attrs["modality"] == "calcium"


def test_changes_are_relative_to_the_baseline(plane: Path) -> None:
    responses = load_suite2p(plane, rate=10.0, neuropil=0.0)
    traces = np.load(plane / "F.npy")[[0, 2]].T.astype(float)
    low = np.percentile(traces, 8, axis=0)
    np.testing.assert_allclose(responses.values, (traces - low) / low, rtol=1e-4, atol=1e-6)
    assert responses.attrs["units"] == "dF/F"


def test_deconvolved_events_are_bit_equal(plane: Path) -> None:
    responses = load_suite2p(plane, rate=10.0, signal="spks", cells=False)
    np.testing.assert_array_equal(responses.values, np.load(plane / "spks.npy").T)


def test_unsure_cells_may_be_left_out(plane: Path) -> None:
    responses = load_suite2p(plane, rate=10.0, least_probability=0.7)
    assert responses["neuroid"].values.tolist() == ["plane0/0000"]
    with pytest.raises(LoadError, match="got none of probability 0.95 or more"):
        load_suite2p(plane, rate=10.0, least_probability=0.95)


def test_planes_are_joined_on_neuroid(plane: Path, rng: np.random.Generator) -> None:
    write_plane(plane.parent / "plane10", rng)
    write_plane(plane.parent / "plane2", rng)
    (plane.parent / "combined").mkdir()
    names = load_suite2p(plane.parent, rate=10.0)["neuroid"].values.tolist()
    assert [name[:-5] for name in names[::2]] == ["plane0", "plane2", "plane10"]


def test_planes_of_other_lengths_are_named(plane: Path, rng: np.random.Generator) -> None:
    write_plane(plane.parent / "plane1", rng, n_frames=39)
    with pytest.raises(LoadError, match=r"got \{'plane0': 40, 'plane1': 39\}. Load each plane"):
        load_suite2p(plane.parent, rate=10.0)


def test_events_cut_the_traces_into_trials(plane: Path, tmp_path: Path) -> None:
    events = pd.DataFrame({"onset": [0.5, 2.0], "duration": [1.0, 1.0], "stimulus": ["a", "b"]})
    trials = load_suite2p(plane, rate=10.0, signal="spks", events=events, window=(0.0, 1.0))
    spikes = np.load(plane / "spks.npy")[[0, 2]]
    np.testing.assert_array_equal(trials.values[1], spikes[:, 20:30])
    save(trials, tmp_path / "trials.nc")
    assert load(tmp_path / "trials.nc").identical(trials)


def test_times_may_replace_the_rate(plane: Path) -> None:
    times = 3 + np.arange(40) * 0.1
    assert float(load_suite2p(plane, times=times)["onset"][0]) == 3.0


def test_the_rate_is_asked_for_because_pickles_are_not_read(plane: Path) -> None:
    with pytest.raises(LoadError, match=r"plane0: expected rate= .*ops\.npy is a pickle"):
        load_suite2p(plane)


def test_traces_and_cells_out_of_step_are_named(plane: Path) -> None:
    np.save(plane / "iscell.npy", np.ones((2, 2)))
    with pytest.raises(LoadError, match=r"got F\.npy 3, iscell\.npy 2"):
        load_suite2p(plane, rate=10.0)
    np.save(plane / "iscell.npy", np.ones((3, 3)))
    with pytest.raises(LoadError, match=r"iscell\.npy: expected \(roi, 2\)"):
        load_suite2p(plane, rate=10.0)


def test_neuropil_of_another_shape_is_named(plane: Path) -> None:
    np.save(plane / "Fneu.npy", np.zeros((3, 7), np.float32))
    with pytest.raises(LoadError, match=r"Fneu\.npy: expected shape \(2, 40\) as in F\.npy"):
        load_suite2p(plane, rate=10.0)


def test_baselines_below_zero_are_named(plane: Path) -> None:
    with pytest.raises(LoadError, match=r"F\.npy: expected a baseline above 0 .* roi 0 \(2 of 2\)"):
        load_suite2p(plane, rate=10.0, neuropil=20.0)


def test_wrong_cut_and_missing_files_are_named(plane: Path) -> None:
    np.save(plane / "F.npy", np.zeros(3))
    with pytest.raises(LoadError, match=r"F\.npy: expected floats \(roi, frame\)"):
        load_suite2p(plane, rate=10.0)
    path = plane / "spks.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataCorruptionError, match=r"spks\.npy: expected a whole numpy"):
        load_suite2p(plane, rate=10.0, signal="spks")
    (plane / "F.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"F\.npy: expected a file"):
        load_suite2p(plane, rate=10.0)


def test_folders_and_signals_nobody_knows_are_named(plane: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a suite2p folder, got none"):
        load_suite2p(plane / "gone", rate=10.0)
    with pytest.raises(LoadError, match=r"expected F\.npy, or folders plane0.*got 'suite2p'"):
        load_suite2p(plane.parent.parent, rate=10.0)
    with pytest.raises(ValueError, match="signal: expected one of 'F', 'dff', 'spks'"):
        load_suite2p(plane, rate=10.0, signal="fluo")
