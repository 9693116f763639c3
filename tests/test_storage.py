"""What is saved comes back to the bit, or does not open."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, LoadError, SchemaError
from neuroalign.loaders import from_arrays, simulate_linear
from neuroalign.storage import MANIFEST, load, save

SUFFIXES = [".nc", ".zarr"]


@pytest.fixture
def responses(rng: np.random.Generator) -> xr.DataArray:
    values = rng.normal(size=(6, 4, 3))
    values[1, 2] = np.nan
    array = from_arrays(
        values,
        stimulus=["a", "bb", "a", "ü", "bb", "c"],
        time=[0.1, 0.2, 0.30000000000000004],
        roi=["V1", "V1", "V4", "V4"],
        modality="meg",
        attrs={"affine": [1.0, 0.5], "history": "one\ntwo"},
    )
    return array.assign_coords(valid=("sample", np.arange(6) % 2 == 0))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_arrays_come_back_bit_equal(responses: xr.DataArray, tmp_path: Path, suffix: str) -> None:
    again = load(save(responses, tmp_path / f"r{suffix}")).compute()
    xr.testing.assert_identical(again, responses)
    assert again.values.tobytes() == responses.values.tobytes()
    for name, coord in responses.coords.items():
        assert again[name].dtype.kind == coord.dtype.kind, name
    assert {key: type(value) for key, value in again.attrs.items()} == {
        key: type(value) for key, value in responses.attrs.items()
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_datasets_come_back_bit_equal(tmp_path: Path, suffix: str) -> None:
    planted = simulate_linear(n_samples=10, n_features=3, n_neuroids=2)
    again = load(save(planted, tmp_path / f"d{suffix}")).compute()
    xr.testing.assert_identical(again, planted)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_name_is_kept_unless_told(
    responses: xr.DataArray, tmp_path: Path, suffix: str
) -> None:
    path = save(responses, tmp_path / f"r{suffix}")
    with pytest.raises(FileExistsError, match="Pass overwrite=True"):
        save(responses, path)
    save(responses * 2, path, overwrite=True)
    np.testing.assert_array_equal(load(path).values, (responses * 2).values)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flipped_byte_is_found(responses: xr.DataArray, tmp_path: Path, suffix: str) -> None:
    path = save(responses, tmp_path / f"r{suffix}")
    data = responses.values.tobytes()
    files = [path] if path.is_file() else [f for f in path.rglob("c/*/*/*") if f.is_file()]
    content = bytearray(files[0].read_bytes())
    place = content.find(data[:16]) if path.is_file() else len(content) // 2
    assert place >= 0
    content[place + 3] ^= 0x10
    files[0].write_bytes(bytes(content))
    with pytest.raises(DataCorruptionError, match=path.name):
        load(path)


def test_a_cut_or_foreign_netcdf_is_named(responses: xr.DataArray, tmp_path: Path) -> None:
    path = save(responses, tmp_path / "r.nc")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataCorruptionError, match=r"r\.nc: expected a whole netCDF file"):
        load(path)
    path.write_bytes(b"<!DOCTYPE html><html>")
    with pytest.raises(DataCorruptionError, match=r"r\.nc"):
        load(path)


def test_a_missing_chunk_or_manifest_is_named(responses: xr.DataArray, tmp_path: Path) -> None:
    path = save(responses, tmp_path / "r.zarr")
    chunk = next(file for file in path.rglob("c/*/*/*") if file.is_file())
    chunk.unlink()
    with pytest.raises(DataCorruptionError, match="a file that is missing"):
        load(path)
    (path / "neuroalign.json").unlink()
    with pytest.raises(DataCorruptionError, match="expected a finished store"):
        load(path)


def test_a_damaged_manifest_is_named(responses: xr.DataArray, tmp_path: Path) -> None:
    path = save(responses, tmp_path / "r.zarr")
    for content in ("{", "[]", '{"files": 3}', "{}"):
        (path / MANIFEST).write_text(content, encoding="utf-8")
        with pytest.raises(DataCorruptionError, match=rf"{MANIFEST}: expected the hash"):
            load(path)


@pytest.mark.parametrize("kind", ["external", "soft", "virtual", "raw"])
def test_content_in_other_files_is_refused(
    kind: str, responses: xr.DataArray, tmp_path: Path
) -> None:
    path = save(responses, tmp_path / "r.nc")
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["values"] = np.arange(5.0)
    with h5py.File(path, "a") as file:
        if kind == "external":
            file["more"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/values")
        elif kind == "soft":
            file["more"] = h5py.SoftLink("/elsewhere")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(5,), dtype="f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "values", shape=(5,))
            file.create_virtual_dataset("more", layout)
        else:
            file.create_dataset("more", (5,), "f8", external=[(str(tmp_path / "secret.h5"), 0, 40)])
    with pytest.raises(DataCorruptionError, match=r"r\.nc: expected all content inside.*'/more'"):
        load(path)


def test_groups_that_lead_back_to_themselves_end(responses: xr.DataArray, tmp_path: Path) -> None:
    path = save(responses, tmp_path / "r.nc")
    with h5py.File(path, "a") as file:
        inner = file.create_group("circle")
        inner["again"] = inner
        file["circle/links"] = inner
    assert load(path).identical(responses)


def test_paths_are_checked(responses: xr.DataArray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"r\.mat: expected one of '\.nc', '\.zarr'"):
        save(responses, tmp_path / "r.mat")
    save(responses, tmp_path / "here.nc")
    with pytest.raises(FileNotFoundError, match=r"gone\.nc.*here\.nc"):
        load(tmp_path / "gone.nc")


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_lists_of_one_and_foreign_byte_orders_come_back(ending: str, tmp_path: Path) -> None:
    values = np.arange(6, dtype=">f4").reshape(3, 2)
    coords = {"onset": ("sample", np.arange(3.0), {"window": [2.5]})}
    array = xr.DataArray(values, coords, ("sample", "neuroid"), attrs={"shape": [4]})
    back = load(save(array, tmp_path / f"big{ending}")).compute()
    assert back.attrs == {"shape": [4]}
    assert back["onset"].attrs == {"window": [2.5]}
    assert np.array_equal(back.values, values)
    assert back.dtype.isnative


def test_runs_of_different_length_are_stored_lazily(tmp_path: Path) -> None:
    values = da.concatenate([da.ones((n, 4), chunks=(n, 4)) * n for n in (13, 20, 17)])
    lazy = xr.DataArray(values, dims=("sample", "neuroid"))
    back = load(save(lazy, tmp_path / "runs.zarr"))
    assert np.array_equal(back.values, values.compute())


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_of_two_writers_the_second_is_refused(
    responses: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path, write = tmp_path / f"r{ending}", storage.WRITERS[ending]

    def overtaken(packed: xr.Dataset, partial: Path) -> None:
        write(packed, partial)
        monkeypatch.setitem(storage.WRITERS, ending, write)
        save(responses * 2, path)

    monkeypatch.setitem(storage.WRITERS, ending, overtaken)
    with pytest.raises(FileExistsError, match="another process wrote meanwhile"):
        save(responses, path)
    np.testing.assert_array_equal(load(path).values, responses.values * 2)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_failed_swap_puts_the_old_store_back(
    responses: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(responses, tmp_path / "r.zarr")

    def fail(*names: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(storage.os, "replace", fail)
    with pytest.raises(OSError, match="disk gone"):
        save(responses * 2, path, overwrite=True)
    np.testing.assert_array_equal(load(path).values, responses.values)


def test_a_kill_between_the_two_renames_is_told(responses: xr.DataArray, tmp_path: Path) -> None:
    path = save(responses, tmp_path / "r.zarr")
    path.rename(tmp_path / f"r.zarr.1234{storage.OLD}")
    with pytest.raises(FileNotFoundError, match=r"interrupted overwrite set aside: r\.zarr\.1234"):
        load(path)


def test_a_folder_that_is_no_store_is_never_replaced(
    responses: xr.DataArray, tmp_path: Path
) -> None:
    folder = tmp_path / "mine.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match=r"mine\.zarr.*a folder that is none"):
        save(responses, folder, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "all of it"


def test_a_foreign_netcdf_is_not_taken_for_ours(tmp_path: Path) -> None:
    path = tmp_path / "plain.nc"
    xr.DataArray(np.zeros(3), dims="x", name="v").to_netcdf(path, engine="h5netcdf")
    with pytest.raises(DataCorruptionError, match=r"plain\.nc: expected a file that neuroalign"):
        load(path)
    assert load(path, verify=False)["v"].shape == (3,)


def test_a_folder_of_features_is_pointed_at_its_door(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(LoadError, match=r"store: expected .nc or .zarr.*open_store"):
        load(tmp_path / "store")


def test_nothing_is_left_of_a_failed_write(responses: xr.DataArray, tmp_path: Path) -> None:
    path = save(responses, tmp_path / "r.zarr")
    with pytest.raises(SchemaError, match="flat numeric list"):
        save(responses.assign_attrs(bad={"a": 1}), path, overwrite=True)
    xr.testing.assert_identical(load(path).compute(), responses)
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.zarr"]


WRITER = """
import sys
import numpy as np
from neuroalign.loaders import from_arrays
from neuroalign.storage import save
values = np.random.default_rng(1).normal(size=(400, 4000))
array = from_arrays(values, stimulus=[f"s{i}" for i in range(400)], modality="eeg")
print("ready", flush=True)
save(array.chunk(sample=10, neuroid=100), sys.argv[1], overwrite=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.05, 0.3, 0.8])
def test_a_killed_writer_never_leaves_a_store_that_opens(
    responses: xr.DataArray, tmp_path: Path, delay: float
) -> None:
    path = save(responses, tmp_path / "r.zarr")
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
    if path.exists():
        again = load(path).compute()
        assert again.shape in ((6, 4, 3), (400, 4000)), "the old store or the new, whole"
        assert np.isfinite(again.values).mean() > 0.9


@pytest.mark.parametrize("by", ["neuroid", "sample"])
def test_chunks_are_turned_and_values_stay(by: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 33)).astype("f4")
    lazy = da.concatenate(
        [da.from_array(values[:13], (13, 33)), da.from_array(values[13:], (37, 33))]
    )
    array = from_arrays(values, modality="fmri", stimulus=[f"s{n}" for n in range(50)])
    turned = storage.rechunk(array.copy(data=lazy), tmp_path / "t.zarr", by=by, memory=8000)
    assert turned.identical(array)
    cut, whole = (1, 0) if by == "neuroid" else (0, 1)
    assert len(turned.chunks[cut]) > 2
    assert len(turned.chunks[whole]) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.zarr"]


@pytest.mark.slow
def test_turning_chunks_holds_little_memory(tmp_path: Path) -> None:
    program = """
import sys, dask.array as da, xarray as xr
from neuroalign import storage
def read(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1e3
values = da.random.default_rng(0).normal(size=(1000, 50_000), chunks=(50, 50_000)).astype("f4")
array = xr.DataArray(values, dims=("sample", "neuroid"))
storage.rechunk(array[:100, :100], sys.argv[1] + "/small.zarr")
before = read("VmRSS")
storage.rechunk(array, sys.argv[1] + "/large.zarr", memory=40_000_000)
print(read("VmHWM") - before)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 120, "of an array of 200 MB"


def test_a_folder_is_no_name_of_a_file(tmp_path: Path) -> None:
    with (
        pytest.raises(LoadError, match="expected the name of a file, got a folder"),
        storage.write_whole(tmp_path),
    ):
        pass


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_wide_labels_come_back(ending: str, tmp_path: Path) -> None:
    names = np.array(["one", "two"], dtype="<U19")
    result = xr.Dataset(
        {"score": ("layer", [1.0, 2.0])}, {"layer": names}, {"kind": "estimate", "method": "test"}
    )
    storage.save(result, tmp_path / f"result.{ending}")
    assert storage.load(tmp_path / f"result.{ending}")["layer"].values.tolist() == ["one", "two"]
