"""Traces of NWB files, written by pynwb, and their faults."""

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.nwb import describe_nwb
from neuroalign.loaders.nwb_traces import load_nwb_traces


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


def test_times_that_link_to_another_series_are_followed(tmp_path: Path) -> None:
    path, clock = make_file(tmp_path, np.ones((50, 3)), second=True), np.arange(50) / 7
    with h5py.File(path, "a") as file:
        one, two = (file[f"processing/ophys/DfOverF/{name}"] for name in ("one", "two"))
        for series in (one, two):
            del series["starting_time"]
        one["timestamps"] = clock
        one["timestamps"].attrs.update({"unit": "seconds", "interval": 1})
        two["timestamps"] = h5py.SoftLink("/processing/ophys/DfOverF/one/timestamps")
    responses = load_nwb_traces(path, series="two")
    assert np.array_equal(responses["onset"].values, clock)


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
    with pytest.raises(LoadError, match=r"mouse\.nwb: expected NWB that pynwb.*'rois'"):
        load_nwb_traces(path)


def test_a_description_names_the_traces(tmp_path: Path) -> None:
    lines = describe_nwb(make_file(tmp_path, np.ones((50, 3))))
    assert "traces: processing/ophys/DfOverF/one" in lines
    assert not any(line.startswith("wrong") for line in lines)
