"""Traces: continuous, around events, and from NWB files."""

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
from neuroalign.loaders.calcium import from_traces, load_nwb_traces
from neuroalign.loaders.nwb import describe_nwb


def make_events(onset: list[float], duration: float = 1.0) -> pd.DataFrame:
    names = ["a", "b"] * len(onset)
    return pd.DataFrame({"onset": onset, "duration": duration, "stimulus": names[: len(onset)]})


def ramp(n: int = 100) -> np.ndarray:
    return np.column_stack([np.arange(n), -np.arange(n)]).astype(float)


def test_continuous_traces_keep_their_clock() -> None:
    responses = from_traces(ramp(), rate=10, start=4.2)
    assert responses.dims == ("sample", "neuroid")
    assert responses.attrs["sampling_rate"] == 10
    assert np.allclose(responses["onset"].values, 4.2 + np.arange(100) / 10)
    assert responses.attrs["modality"] == "calcium"


@pytest.mark.parametrize(("how", "shift"), [("nearest", 0.0), ("linear", 0.4)])
def test_events_between_frames_take_the_nearest_or_a_line(how: str, shift: float) -> None:
    events = make_events([1.04, 3.04])
    responses = from_traces(ramp(), rate=10, events=events, window=(-0.2, 0.3), how=how)
    expected = np.array([[8, 9, 10, 11, 12], [28, 29, 30, 31, 32]]) + shift
    assert np.allclose(responses.values[:, 0], expected, atol=1e-4)
    assert np.allclose(responses["time"].values, [-0.2, -0.1, 0, 0.1, 0.2])
    assert "valid" not in responses.coords


def test_trials_last_to_their_end() -> None:
    events = make_events([1.0, 3.0]).assign(duration=[0.3, 0.5])
    responses = from_traces(ramp(), rate=10, events=events)
    assert responses["valid"].values.sum(axis=1).tolist() == [3, 5]
    assert np.array_equal(np.isnan(responses.values[:, 1]), ~responses["valid"].values)


@pytest.mark.parametrize("how", ["nearest", "linear"])
def test_times_without_frames_are_nan(how: str) -> None:
    clock = np.concatenate([np.arange(10), np.arange(20, 30)]) / 10
    events = make_events([0.0, 0.7, 2.8])
    responses = from_traces(ramp(20), times=clock, events=events, window=(0, 0.5), how=how)
    assert responses["valid"].values.sum(axis=1).tolist() == [5, 3, 2]
    assert np.array_equal(np.isnan(responses.values[:, 0]), ~responses["valid"].values)


def test_a_frame_that_is_nan_does_not_spread() -> None:
    traces = ramp()
    traces[11] = np.nan
    responses = from_traces(
        traces, rate=10, events=make_events([1.0]), window=(0, 0.3), how="linear"
    )
    assert np.isnan(responses.values[0, 0]).tolist() == [False, True, False]
    assert "valid" not in responses.coords


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "times, rate: expected one of them, got none"),
        ({"rate": 10, "times": np.arange(100)}, "got both"),
        ({"rate": 0.0}, "rate: expected Hz above 0"),
        ({"times": np.arange(2)}, r"times: expected 100 values"),
        ({"times": np.r_[np.arange(99), 5]}, "increasing seconds, got 5.0 in row 99"),
        ({"rate": 10, "events": make_events([500.0])}, "inside the recording"),
        ({"rate": 10, "events": make_events([1.0]), "window": (0, 0.01)}, "one period"),
    ],
)
def test_faults_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LoadError, match=words):
        from_traces(ramp(), **changes)


def test_traces_of_other_shapes_and_samplings_are_refused() -> None:
    with pytest.raises(LoadError, match=r"traces: expected numbers \(time, roi\)"):
        from_traces(np.zeros(10), rate=10)
    with pytest.raises(ValueError, match="how: expected one of 'nearest', 'linear'"):
        from_traces(ramp(), rate=10, how="cubic")


def make_file(tmp_path: Path, data: np.ndarray, second: bool = False) -> Path:
    file = pynwb.NWBFile("a session", "id-1", datetime(2020, 1, 1, tzinfo=UTC), session_id="s1")
    device = file.create_device("microscope")
    channel = pynwb.ophys.OpticalChannel(name="green", description="GCaMP", emission_lambda=510.0)
    plane = file.create_imaging_plane(
        optical_channel=channel,
        description="a plane",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP6f",
        location="V1",
        name="plane",
    )
    table = pynwb.ophys.PlaneSegmentation(description="cells", imaging_plane=plane, name="rois")
    table.add_column(name="accepted", description="by hand")
    for number in (3, 5, 8):
        table.add_roi(id=number, pixel_mask=[(0, 0, 1.0)], accepted=int(number != 5))
    module = file.create_processing_module(name="ophys", description="two-photon")
    module.add(pynwb.ophys.ImageSegmentation(plane_segmentations=[table]))
    rois = table.create_roi_table_region(description="all", region=[0, 1, 2])
    container = pynwb.ophys.DfOverF()
    module.add(container)
    for number, name in enumerate(["one", "two"] if second else ["one"]):
        container.create_roi_response_series(
            name=name, data=data * (number + 1), unit="dF/F", rois=rois, rate=10.0
        )
    file.add_trial_column("picture", "shown")
    file.add_trial(1.0, 2.0, picture="dog")
    with pynwb.NWBHDF5IO(tmp_path / "mouse.nwb", "w") as out:
        out.write(file)
    return tmp_path / "mouse.nwb"


def test_traces_of_an_nwb_file_are_read(tmp_path: Path, rng: np.random.Generator) -> None:
    data = rng.normal(size=(50, 3)).astype(np.float32)
    responses = load_nwb_traces(make_file(tmp_path, data), roi_filter="accepted == 1")
    assert np.array_equal(responses.values, data[:, [0, 2]])
    assert responses["neuroid"].values.tolist() == ["3", "8"]
    assert set(responses["region"].values) == {"V1"}
    assert responses.attrs["units"] == "dF/F"
    storage.save(responses, tmp_path / "traces.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "traces.nc"), responses)


def test_traces_of_an_nwb_file_are_cut_around_trials(tmp_path: Path) -> None:
    data = np.arange(150.0).reshape(50, 3)
    responses = load_nwb_traces(
        make_file(tmp_path, data), intervals="trials", stimulus="picture", window=(0, 0.5)
    )
    assert responses["stimulus"].values.tolist() == ["dog"]
    assert np.array_equal(responses.values[0], data[10:15].T)


def test_one_of_several_series_is_named(tmp_path: Path) -> None:
    path = make_file(tmp_path, np.ones((50, 3)), second=True)
    with pytest.raises(LoadError, match=r"got 2; the file holds '.*DfOverF/one', '.*two'"):
        load_nwb_traces(path)
    assert float(load_nwb_traces(path, series="DfOverF/two").max()) == 2


def test_a_file_without_traces_says_so(real_data: Path) -> None:
    with pytest.raises(LoadError, match="got 0; the file holds none"):
        load_nwb_traces(real_data / "nwb_pynapple_A8604/A8604-211122.nwb")


@pytest.mark.filterwarnings("ignore:RoiResponseSeries")
def test_transposed_traces_are_refused(tmp_path: Path) -> None:
    path = make_file(tmp_path, np.ones((3, 50)))
    with pytest.raises(LoadError, match=r"mouse\.nwb: .*with 3 rois, got \(3, 50\)"):
        load_nwb_traces(path)


def test_rois_that_are_not_there_are_damaged(tmp_path: Path) -> None:
    path = make_file(tmp_path, np.ones((50, 3)))
    with h5py.File(path, "a") as file:
        file["processing/ophys/DfOverF/one/rois"][:] = 7
    with pytest.raises(DataCorruptionError, match=r"rows of 3 rois .* got row 7"):
        load_nwb_traces(path)


def test_traces_without_their_rois_are_refused(tmp_path: Path) -> None:
    path = make_file(tmp_path, np.ones((50, 3)))
    with h5py.File(path, "a") as file:
        del file["processing/ophys/DfOverF/one/rois"]
    with pytest.raises(LoadError, match=r"mouse\.nwb: expected 'rois'"):
        load_nwb_traces(path)


def test_a_description_names_the_traces(tmp_path: Path) -> None:
    lines = describe_nwb(make_file(tmp_path, np.ones((50, 3))))
    assert "traces: processing/ophys/DfOverF/one" in lines
    assert not any(line.startswith("wrong") for line in lines)
