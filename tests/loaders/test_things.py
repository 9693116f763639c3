"""THINGS-fMRI tables come in without PyTables, turned to (sample, neuroid)."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders import load_things_fmri

N_VOXELS, N_TRIALS = 13, 20


def write_fixed(path: Path, blocks: list[tuple[np.ndarray, list[str] | None]]) -> None:
    """As DataFrame.to_hdf(key="ResponseData") does it; None stands for pickled names."""
    n_rows = len(blocks[0][0])
    with h5py.File(path, "w") as file:
        group = file.create_group("ResponseData")
        group.attrs["pandas_type"] = np.bytes_("frame")
        group.attrs["ndim"], group.attrs["nblocks"] = 2, len(blocks)
        group["axis1"] = np.arange(n_rows)
        group["axis1"].attrs["kind"] = np.bytes_("integer")
        write_names(group, "axis0", None if blocks[0][1] is None else sum_names(blocks))
        for number, (values, names) in enumerate(blocks):
            write_names(group, f"block{number}_items", names)
            group[f"block{number}_values"] = values
            group[f"block{number}_values"].attrs["transposed"] = True


def sum_names(blocks: list[tuple[np.ndarray, list[str] | None]]) -> list[str]:
    return [name for _, names in blocks for name in names or []]


def write_names(group: Any, key: str, names: list[str] | None) -> None:
    if names is None:
        group.create_dataset(key, shape=(1,), dtype=h5py.vlen_dtype(np.uint8))
        group[key].attrs["kind"] = np.bytes_("object")
    else:
        group[key] = np.array(names, dtype="S")
        group[key].attrs["kind"] = np.bytes_("string")


def write_study(folder: Path, *, pickled: bool = False, numbered: bool = True) -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(N_VOXELS, N_TRIALS))
    names = None if pickled else [str(n) for n in range(N_TRIALS)]
    blocks: list[Any] = [(values, names)]
    if numbered:
        blocks.append((np.arange(N_VOXELS)[:, None], None if pickled else ["voxel_id"]))
    write_fixed(folder / "sub-01_ResponseData.h5", blocks)
    voxels = pd.DataFrame({"subject_id": "01", "voxel_id": np.arange(N_VOXELS)})
    for n, axis in enumerate("xyz"):
        voxels[f"voxel_{axis}"] = np.arange(N_VOXELS) + n
    voxels["nc_singletrial"] = np.linspace(0, 50, N_VOXELS)
    voxels["prf-eccentricity"] = np.where(np.arange(N_VOXELS) < 2, np.nan, 1.5)
    voxels["V1"] = (np.arange(N_VOXELS) < 4) * 1
    voxels["rFFA"] = ((np.arange(N_VOXELS) > 2) & (np.arange(N_VOXELS) < 7)) * 1.0
    voxels["glasser-V1"] = (np.arange(N_VOXELS) < 6) * 1
    voxels.to_csv(folder / "sub-01_VoxelMetadata.csv", index=False)
    order = np.arange(N_TRIALS)
    trials = pd.DataFrame({"trial_type": np.where(order % 5, "train", "test")})
    trials = trials.assign(session=order // 10 + 1, run=order // 5 % 2 + 1, subject_id=1)
    names = [f"cat_{n:02d}s.jpg" if n % 5 else "dog_01b.jpg" for n in order]
    trials = trials.assign(trial_id=order, stimulus=names, concept="cat")
    trials.to_csv(folder / "sub-01_StimulusMetadata.csv", index=False)
    return values


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("numbered", [False, True])
def test_voxels_by_trials_become_trials_by_voxels(
    tmp_path: Path, pickled: bool, numbered: bool
) -> None:
    values = write_study(tmp_path, pickled=pickled, numbered=numbered)
    responses = load_things_fmri(tmp_path, subject="sub-01")
    assert responses.chunks is not None
    np.testing.assert_allclose(responses.values, values.T.astype(np.float32))
    np.testing.assert_allclose(responses[3:9:2, 4], values[4, 3:9:2].astype(np.float32))
    np.testing.assert_allclose(responses[2], values[:, 2].astype(np.float32))
    storage.save(responses.compute(), tmp_path / "responses.nc")
    back = storage.load(tmp_path / "responses.nc").compute()
    xr.testing.assert_identical(back, responses.compute())


def test_chunks_are_rows_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = write_study(tmp_path)
    monkeypatch.setattr("neuroalign.loaders.things.BLOCK", 4 * N_TRIALS * 5)
    responses = load_things_fmri(tmp_path, subject="sub-01")
    assert responses.chunks == ((N_TRIALS,), (5, 5, 3))
    np.testing.assert_allclose(responses.values, values.T.astype(np.float32))


def test_labels_come_from_the_two_tables(tmp_path: Path) -> None:
    write_study(tmp_path)
    responses = load_things_fmri(tmp_path, subject="sub-01")
    assert responses["stimulus"].values[[0, 1, 5]].tolist() == [
        "dog_01b.jpg",
        "cat_01s.jpg",
        "dog_01b.jpg",
    ]
    assert responses["repeat"].values[[0, 1, 5, 10, 15]].tolist() == [0, 0, 1, 2, 3]
    assert responses["run"].values[[0, 19]].tolist() == ["ses-01_run-01", "ses-02_run-02"]
    assert responses["roi"].values.tolist() == ["V1"] * 4 + ["rFFA"] * 3 + [""] * 6
    assert responses["glasser"].values.tolist() == ["V1"] * 6 + [""] * 7
    assert float(responses["nc_singletrial"][-1]) == 50
    assert int(responses["prf-eccentricity"].isnull().sum()) == 2
    assert int(responses["k"][0]) == 2
    faces = load_things_fmri(tmp_path, subject="sub-01", roi=["rFFA"])
    assert faces["roi"].values.tolist() == [""] * 3 + ["rFFA"] * 4 + [""] * 6
    with pytest.raises(LoadError, match="roi: expected columns of 0 and 1 of .*got 'V9'"):
        load_things_fmri(tmp_path, subject="sub-01", roi=["V9"])


@pytest.mark.parametrize("name", ["VoxelMetadata", "StimulusMetadata"])
def test_tables_of_another_length_are_named(tmp_path: Path, name: str) -> None:
    write_study(tmp_path)
    path = tmp_path / f"sub-01_{name}.csv"
    pd.read_csv(path).iloc[1:].to_csv(path, index=False)
    with pytest.raises(LoadError, match=rf"sub-01_{name}.csv: expected \d+ rows .*got \d+"):
        load_things_fmri(tmp_path, subject="sub-01")


def test_voxels_in_another_order_are_named(tmp_path: Path) -> None:
    write_study(tmp_path)
    path = tmp_path / "sub-01_VoxelMetadata.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    with pytest.raises(LoadError, match=r"got 'voxel-0' for 'voxel-12' in row 0 \(12 differ\)"):
        load_things_fmri(tmp_path, subject="sub-01")


def test_a_table_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    write_study(tmp_path)
    path = tmp_path / "sub-01_StimulusMetadata.csv"
    pd.read_csv(path).drop(columns="concept").to_csv(path, index=False)
    with pytest.raises(LoadError, match=r"StimulusMetadata.csv: .*missing \['concept'\]"):
        load_things_fmri(tmp_path, subject="sub-01")


def test_other_layouts_links_and_damage_are_refused(tmp_path: Path) -> None:
    write_study(tmp_path)
    path = tmp_path / "sub-01_ResponseData.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataCorruptionError, match="expected a whole HDF5 file"):
        load_things_fmri(tmp_path, subject="sub-01")
    with h5py.File(path, "w") as file:
        file.create_group("ResponseData")["table"] = np.zeros(3)
    with pytest.raises(LoadError, match="'fixed' layout, got one in pandas' 'table' layout"):
        load_things_fmri(tmp_path, subject="sub-01")
    write_fixed(path, [(np.zeros((N_VOXELS, 2)), ["a", "b"])])
    with h5py.File(path, "a") as file:
        del file["ResponseData/block0_values"]
        file["ResponseData/block0_values"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(LoadError, match="expected a matrix 'block0_values', got none"):
        load_things_fmri(tmp_path, subject="sub-01")


def test_responses_must_be_one_matrix(tmp_path: Path) -> None:
    write_study(tmp_path)
    path = tmp_path / "sub-01_ResponseData.h5"
    write_fixed(path, [(np.zeros((13, 2)), ["a", "b"]), (np.zeros((13, 2), "f4"), ["c", "d"])])
    with pytest.raises(LoadError, match="expected one matrix of responses and at most one column"):
        load_things_fmri(tmp_path, subject="sub-01")
    write_fixed(path, [(np.zeros((13, 2)), ["1", "voxel_id"])])
    with pytest.raises(LoadError, match="expected voxel_id as whole numbers, got it among"):
        load_things_fmri(tmp_path, subject="sub-01")


@pytest.mark.parametrize("ids", ["same", "reversed", "others"])
def test_trials_in_another_order_than_the_columns_are_refused(tmp_path: Path, ids: str) -> None:
    write_study(tmp_path)
    path = tmp_path / "sub-01_StimulusMetadata.csv"
    trials = pd.read_csv(path)
    order = trials["trial_id"].to_numpy()
    trials["trial_id"] = {"same": order, "reversed": order[::-1], "others": order + 7}[ids]
    trials.to_csv(path, index=False)
    if ids == "reversed":
        with pytest.raises(LoadError, match="in the order of trial_id.*got '0' for '19' in column"):
            load_things_fmri(tmp_path, subject="sub-01")
    else:
        loaded = load_things_fmri(tmp_path, subject="sub-01")
        assert loaded["trial_id"].values.tolist() == trials["trial_id"].astype(str).tolist()
