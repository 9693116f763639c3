"""Brain-Score assemblies: real files, dims in any order, the traps of merging, the way back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError
from neuroalign.loaders.arrays import from_arrays
from neuroalign.loaders.brainio import load_brainio, read_brainio_spikes, to_brainio
from neuroalign.storage import load, save

IDS = ["n0", "n1", "n1", "n0"]


def assembly(dims: tuple[str, ...] = ("presentation", "neuroid", "time_bin")) -> xr.DataArray:
    values = np.arange(24.0).reshape(4, 2, 3)
    array = xr.DataArray(
        values,
        {
            "stimulus_id": ("presentation", IDS),
            "repetition": ("presentation", [0, 0, 1, 1]),
            "neuroid_id": ("neuroid", ["a-1", "a-2"]),
            "region": ("neuroid", ["V4", "IT"]),
            "hemisphere": ("neuroid", ["left", "R"]),
            "time_bin_start": ("time_bin", [70, 80, 90]),
            "time_bin_end": ("time_bin", [90, 100, 110]),
        },
        ("presentation", "neuroid", "time_bin"),
    )
    return array.transpose(*dims)


def write(array: xr.DataArray, path: Path, **attrs: str) -> Path:
    content = array.to_dataset(name="data")
    content.attrs = {"identifier": "lab.Study2020", "stimulus_set_identifier": "lab.set", **attrs}
    content.to_netcdf(path, engine="h5netcdf")
    return path


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_real_toy_assembly_loads_with_its_values(real_data: Path) -> None:
    responses = load_brainio(real_data / "brainio_assemblies" / "assy_test_TestMe.nc")
    assert responses.dims == ("sample", "neuroid")
    assert responses.dtype == np.float32
    assert responses["neuroid"].values.tolist() == ["alpha", "beta", "gamma"]
    assert responses["stimulus"].values.tolist()[:5] == ["n0", "n1", "n1", "n0", "n4"]
    assert responses["repeat"].values.tolist()[:5] == [1, 1, 2, 1, 1]
    assert responses["foo"].values.tolist() == [1, 2, 5]
    assert responses.values.ravel()[:4].tolist() == [1, 2, 3, 4]


def test_the_real_spikes_are_counted_around_events(real_data: Path) -> None:
    path = real_data / "brainio_assemblies" / "assy_test_package_assembly_extras.nc"
    trains, units = read_brainio_spikes(path)
    assert sum(map(len, trains.values())) == 1000
    assert units.loc["A-019", "region"] == "V4"
    low, high = (f(np.concatenate(list(trains.values()))) for f in (np.min, np.max))
    span = float(np.ceil(high - low + 1))
    events = pd.DataFrame({"onset": [low], "duration": [span], "stimulus": ["all"]})
    responses = load_brainio(path, events=events, window=(0.0, span), bin_width=span / 10)
    assert float(responses.sum()) == 1000
    assert sorted(responses["roi"].values.tolist()) == ["IT", "V4"]
    assert responses["array"].values.tolist()[0] == "6250-002416"
    assert responses["electrode"].values.tolist()[0] == "019"


def test_spikes_without_events_say_what_is_needed(real_data: Path) -> None:
    path = real_data / "brainio_assemblies" / "assy_test_package_assembly_extras.nc"
    with pytest.raises(LoadError, match=r"extras\.nc: expected events= and bin_width= .* 1000 sp"):
        load_brainio(path)


@pytest.mark.parametrize(
    "dims",
    [
        ("presentation", "neuroid", "time_bin"),
        ("neuroid", "time_bin", "presentation"),
        ("time_bin", "presentation", "neuroid"),
    ],
)
def test_dims_may_come_in_any_order(tmp_path: Path, dims: tuple[str, ...]) -> None:
    responses = load_brainio(write(assembly(dims), tmp_path / "a.nc"))
    assert responses.dims == ("sample", "neuroid", "time")
    np.testing.assert_array_equal(responses.values, assembly().values)
    np.testing.assert_allclose(responses["time"].values, [0.08, 0.09, 0.1])


def test_bins_labels_and_attrs_come_in_our_words(tmp_path: Path) -> None:
    responses = load_brainio(write(assembly(), tmp_path / "a.nc"))
    assert responses.attrs["window"] == [0.07, 0.11]
    assert responses.attrs["bin_width"] == pytest.approx(0.02)
    assert responses.attrs["sampling_rate"] == pytest.approx(100)
    assert responses.attrs["identifier"] == "lab.Study2020"
    assert responses.attrs["modality"] == "spikes"
    assert responses["hemisphere"].values.tolist() == ["L", "R"]
    assert responses["roi"].values.tolist() == responses["region"].values.tolist() == ["V4", "IT"]
    assert "sample" not in responses.indexes


def test_bins_out_of_order_are_sorted(tmp_path: Path) -> None:
    shuffled = assembly().isel(time_bin=[2, 0, 1])
    responses = load_brainio(write(shuffled, tmp_path / "a.nc"))
    np.testing.assert_array_equal(responses.values, assembly().values)


def test_a_squeezed_bin_stays_as_attrs(tmp_path: Path) -> None:
    responses = load_brainio(write(assembly().isel(time_bin=0), tmp_path / "a.nc"))
    assert responses.dims == ("sample", "neuroid")
    assert (responses.attrs["time_start"], responses.attrs["time_stop"]) == (0.07, 0.09)


def test_old_image_ids_and_whole_numbers_become_stimulus_text(tmp_path: Path) -> None:
    old = assembly().rename(stimulus_id="image_id")
    assert load_brainio(write(old, tmp_path / "o.nc"))["stimulus"].values.tolist() == IDS
    numbered = assembly().assign_coords(stimulus_id=("presentation", [7.0, 8.0, 8.0, 7.0]))
    responses = load_brainio(write(numbered, tmp_path / "n.nc"))
    assert responses["stimulus"].values.tolist() == ["7", "8", "8", "7"]


def test_dates_become_text(tmp_path: Path) -> None:
    dated = assembly().assign_coords(
        datetime=("presentation", np.array(["2021-02-16T11:41:55"] * 4, "datetime64[ns]"))
    )
    responses = load_brainio(write(dated, tmp_path / "d.nc"))
    assert str(responses["datetime"].values[0]).startswith("2021-02-16T11:41:55")


def test_a_stimulus_set_brings_its_columns(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "s.csv", "stimulus_id,filename,size,code\nn1,b.png,2.5,001\n"
                      "n0,a.png,1,002\nn9,c.png,3,003\n")  # fmt: skip
    responses = load_brainio(write(assembly(), tmp_path / "a.nc"), stimulus_set=table)
    assert responses["filename"].values.tolist() == ["a.png", "b.png", "b.png", "a.png"]
    assert responses["size"].values.tolist() == [1, 2.5, 2.5, 1]
    assert responses["code"].values.tolist() == ["002", "001", "001", "002"]
    assert "stimulus set merged: s.csv" in responses.attrs["history"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stimulus_id,x\nn0,1\n", r"s\.csv: expected every stimulus .* none for 1 \('n1'\)"),
        ("stimulus_id,x\nn0,1\nn1,2\nn1,3\n", r"s\.csv: expected each stimulus_id once.*'n1'"),
        ("name,x\nn0,1\n", r"s\.csv: expected column 'stimulus_id', got 'name'"),
        ("stimulus_id,repeat\nn0,1\nn1,7\n", r"s\.csv: expected column 'repeat' to agree"),
        ("stimulus_id,time\nn0,1\nn1,7\n", r"s\.csv: expected column 'time' to agree"),
    ],
)
def test_a_stimulus_set_that_would_harm_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(assembly(), tmp_path / "a.nc")
    with pytest.raises(LoadError, match=message):
        load_brainio(path, stimulus_set=write_csv(tmp_path / "s.csv", text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.rename(presentation="trial"), r"a\.nc: expected dims presentation"),
        (lambda a: a.drop_vars("stimulus_id"), r"a\.nc: expected coord 'stimulus_id'"),
        (lambda a: a.drop_vars("neuroid_id"), r"a\.nc: expected coord 'neuroid_id'"),
        (lambda a: a.drop_vars("time_bin_end"), r"a\.nc: expected coords time_bin_start and"),
        (
            lambda a: a.assign_coords(neuroid_id=("neuroid", ["a", "a"])),
            r"a\.nc: .*expected unique 'neuroid', got 1 repeated",
        ),
        (
            lambda a: a.assign_coords(stimulus_id=("presentation", ["", *IDS[1:]])),
            r"a\.nc: .*missing value",
        ),
        (
            lambda a: a.assign_coords(stimulus_id=("presentation", [0.5, 1, 2, 3])),
            r"a\.nc: expected stimulus as text or whole numbers, got 0\.5",
        ),
        (
            lambda a: a.assign_coords(repetition=("presentation", [0.5, 1, 2, 3])),
            r"a\.nc: expected repetition as whole numbers",
        ),
        (
            lambda a: a.assign_coords(time_bin_end=("time_bin", [60, 100, 110])),
            r"a\.nc: expected time bins that end after they start",
        ),
    ],
)
def test_what_is_no_assembly_is_named(tmp_path: Path, change: object, message: str) -> None:
    path = write(change(assembly()), tmp_path / "a.nc")  # type: ignore[operator]
    with pytest.raises(LoadError, match=message):
        load_brainio(path)


def test_two_data_variables_and_events_for_no_spikes_are_refused(tmp_path: Path) -> None:
    array = assembly()
    two = xr.Dataset({"data": array, "more": array})
    two.to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    with pytest.raises(LoadError, match=r"two\.nc: expected one data variable, got 2"):
        load_brainio(tmp_path / "two.nc")
    path = write(array, tmp_path / "a.nc")
    with pytest.raises(LoadError, match=r"a\.nc: expected spikes over dim 'event'"):
        load_brainio(path, bin_width=0.1)
    with pytest.raises(LoadError, match=r"a\.nc: expected spikes over dim 'event'"):
        read_brainio_spikes(path)


def test_damage_is_named(tmp_path: Path) -> None:
    path = write(assembly(), tmp_path / "a.nc")
    cut = tmp_path / "cut.nc"
    cut.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(DataCorruptionError, match=r"cut\.nc: .*expected a whole HDF5 file"):
        load_brainio(cut)
    page = write_csv(tmp_path / "page.nc", "<!DOCTYPE html><html>no</html>")
    with pytest.raises(DataCorruptionError, match=r"page\.nc: .*HTML"):
        load_brainio(page)
    with pytest.raises(FileNotFoundError, match=r"gone\.nc: expected a file"):
        load_brainio(tmp_path / "gone.nc")


def test_responses_survive_brainio_and_the_store(tmp_path: Path) -> None:
    once = load_brainio(write(assembly(), tmp_path / "a.nc"))
    path = to_brainio(
        once, tmp_path / "b.nc", identifier="lab.Study2020", stimulus_set_identifier="lab.set"
    )
    again = load_brainio(path)
    assert once.drop_attrs().identical(again.drop_attrs())
    stored = load(save(once, tmp_path / "c.nc"))
    assert stored.identical(once)


def test_what_is_written_is_what_brainio_reads(tmp_path: Path) -> None:
    responses = load_brainio(write(assembly(), tmp_path / "a.nc"))
    path = to_brainio(responses, tmp_path / "b.nc", identifier="x", stimulus_set_identifier="y")
    with xr.open_dataset(path, engine="h5netcdf") as written:
        assert list(written.data_vars) == ["data"]
        assert written["data"].dims == ("presentation", "neuroid", "time_bin")
        assert (written.attrs["identifier"], written.attrs["stimulus_set_identifier"]) == ("x", "y")
        assert written["time_bin_start"].values.tolist() == [70, 80, 90]
        assert written["time_bin_start"].dtype == np.int64
        assert {"stimulus_id", "repetition", "neuroid_id", "region"} <= set(written.coords)
        assert not {"roi", "time", "time_start"} & set(written.coords)


def test_bins_are_made_from_the_step_where_no_edges_are_known(tmp_path: Path) -> None:
    responses = from_arrays(
        np.zeros((2, 1, 3)), modality="eeg", stimulus=["a", "b"], time=[0.005, 0.015, 0.025]
    )
    path = to_brainio(responses, tmp_path / "b.nc", identifier="x", stimulus_set_identifier="y")
    with xr.open_dataset(path, engine="h5netcdf") as written:
        assert written["time_bin_start"].values.tolist() == [0, 10, 20]
    assert load_brainio(path).attrs["modality"] == "eeg"


def test_what_brainio_cannot_hold_is_refused(tmp_path: Path) -> None:
    names = {"identifier": "x", "stimulus_set_identifier": "y"}
    responses = from_arrays(np.zeros((2, 1, 1)), modality="eeg", stimulus=["a", "b"], time=[0.0])
    with pytest.raises(SchemaError, match=r"responses: expected attrs\['sampling_rate'\]"):
        to_brainio(responses, tmp_path / "b.nc", **names)
    with pytest.raises(SchemaError, match="identifier: expected a name"):
        to_brainio(responses, tmp_path / "b.nc", identifier="", stimulus_set_identifier="y")
    with pytest.raises(ValueError, match=r"path ending: expected one of '\.nc'"):
        to_brainio(responses, tmp_path / "b.zarr", **names)
    runs = from_arrays(np.zeros((2, 1)), modality="eeg", run=["r"] * 2, onset=[0, 1])
    with pytest.raises(SchemaError, match="responses: expected coord 'stimulus'"):
        to_brainio(runs, tmp_path / "b.nc", **names)
