"""Hemisphere pairs: values, places, labels, partners, and the way back."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError
from neuroalign.loaders.gifti import load_gifti, to_gifti
from neuroalign.storage import load, save

TASK = Path(nib.__file__).parent / "gifti/tests/data/task.func.gii"
ANATOMY = {"L": "CortexLeft", "R": "CortexRight"}


def write(path: Path, values: np.ndarray, side: str | None = None) -> Path:
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": ANATOMY[side]} if side else {})
    arrays = [nib.gifti.GiftiDataArray(row, datatype="float32") for row in values]
    nib.save(nib.gifti.GiftiImage(meta=meta, darrays=arrays), path)
    return path


@pytest.fixture
def pair(rng: np.random.Generator, tmp_path: Path) -> tuple[Path, Path]:
    values = rng.normal(size=(2, 6, 9)).astype("float32")
    values[0, 2, 3], values[1, 0, 0] = np.nan, -0.0
    names = (f"sub-1_hemi-{side}_space-fsaverage5_bold.func.gii" for side in "LR")
    left, right = (
        write(tmp_path / name, value, side)
        for name, value, side in zip(names, values, "LR", strict=True)
    )
    return left, right


def read(path: Path) -> np.ndarray:
    return np.stack([array.data for array in nib.load(path).darrays])


def test_values_and_places_equal_the_files(pair: tuple[Path, Path]) -> None:
    responses = load_gifti(*pair, tr=2.0)
    np.testing.assert_array_equal(responses.values, np.hstack([read(path) for path in pair]))
    assert responses["neuroid"].values[[0, 9]].tolist() == ["L-0", "R-0"]
    assert responses["vertex"].values.tolist() == [*range(9), *range(9)]
    assert responses["onset"].values.tolist() == [0, 2, 4, 6, 8, 10]
    assert responses.attrs["n_vertices"] == [9, 9]
    assert responses.attrs["space"] == "fsaverage5"


def test_nibabels_own_file_has_its_known_size() -> None:
    responses = load_gifti(TASK, tr=2.0)
    assert responses.shape == (10, 642)
    assert responses.attrs["n_vertices"] == [642, 0]
    np.testing.assert_array_equal(responses.values, nib.load(TASK).agg_data().T)


def test_one_array_of_all_times_is_read_too(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(9, 4)).astype("float32")
    array = nib.gifti.GiftiDataArray(values, datatype="float32")
    nib.save(nib.gifti.GiftiImage(darrays=[array]), tmp_path / "x.func.gii")
    np.testing.assert_array_equal(load_gifti(tmp_path / "x.func.gii", tr=1.0).values, values.T)


def test_values_go_back_bit_equal(pair: tuple[Path, Path], tmp_path: Path) -> None:
    responses = load_gifti(*pair, tr=2.0)
    back = to_gifti(responses, tmp_path / "l.func.gii", tmp_path / "r.func.gii")
    for old, new in zip(pair, back, strict=True):
        assert read(old).tobytes() == read(new).tobytes()


def test_what_was_stored_goes_back_too(pair: tuple[Path, Path], tmp_path: Path) -> None:
    save(load_gifti(*pair, tr=2.0), tmp_path / "r.nc")
    stored = load(tmp_path / "r.nc")
    xr.testing.assert_identical(stored, load_gifti(*pair, tr=2.0))
    back = to_gifti(stored, tmp_path / "l.func.gii", tmp_path / "r.func.gii")
    assert read(back[1]).tobytes() == read(pair[1]).tobytes()


def test_selected_vertices_go_back_with_nan_elsewhere(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    scores = load_gifti(*pair, tr=2.0).isel(sample=0, neuroid=[4, 9])
    left, _ = to_gifti(scores, tmp_path / "l.func.gii", tmp_path / "r.func.gii")
    surface = read(left)
    assert surface.shape == (1, 9)
    assert np.flatnonzero(~np.isnan(surface[0])).tolist() == [4]
    assert nib.load(left).meta["AnatomicalStructurePrimary"] == "CortexLeft"


def test_one_hemisphere_alone_is_enough(pair: tuple[Path, Path], tmp_path: Path) -> None:
    responses = load_gifti(right=pair[1], tr=2.0)
    assert set(responses["hemisphere"].values) == {"R"}
    assert responses.attrs["n_vertices"] == [0, 9]
    assert to_gifti(responses, right_path=tmp_path / "r.func.gii")[0].exists()


def test_runs_follow_each_other_with_their_labels(pair: tuple[Path, Path]) -> None:
    table = pd.DataFrame({"onset": [2.0], "duration": [4.0], "trial_type": ["face"]})
    both = [[path, path] for path in pair]
    responses = load_gifti(*both, tr=2.0, events=[table, table], runs=["a", "b"], subject="1")
    assert responses["run"].values[[0, 6]].tolist() == ["a", "b"]
    assert responses["stimulus"].values[6:10].tolist() == ["rest", "face", "face", "rest"]
    given = load_gifti(pair[0], tr=2.0, labels=[list("abcdef")])
    assert given["stimulus"].values.tolist() == list("abcdef")


def test_the_tr_stands_in_the_json_beside_the_file(pair: tuple[Path, Path]) -> None:
    with pytest.raises(LoadError, match=r"expected its TR as RepetitionTime in .*bold\.json"):
        load_gifti(*pair)
    sidecar = pair[0].with_name(pair[0].name.replace(".func.gii", ".json"))
    sidecar.write_text(json.dumps({"RepetitionTime": 1.5}))
    assert load_gifti(*pair)["duration"].values[0] == 1.5
    sidecar.write_text("{")
    with pytest.raises(DataCorruptionError, match="expected a JSON object"):
        load_gifti(*pair)
    with pytest.raises(LoadError, match="expected a TR of 0.2 to 20 s|0.2 to 20.0 s"):
        load_gifti(*pair, tr=2000)


def test_partners_with_other_vertices_or_samples_are_refused(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    more = write(tmp_path / "more.func.gii", np.zeros((6, 12), "float32"))
    with pytest.raises(LoadError, match="expected the 9 vertices of hemi-L .* got 12 in hemi-R"):
        load_gifti(pair[0], more, tr=2.0)
    assert load_gifti(pair[0], more, tr=2.0, space="fsnative").attrs["n_vertices"] == [9, 12]
    short = write(tmp_path / "short.func.gii", np.zeros((5, 9), "float32"))
    with pytest.raises(LoadError, match="expected the 6 samples of hemi-L .* got 5"):
        load_gifti(pair[0], short, tr=2.0)


def test_a_left_file_given_as_right_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="expected CortexLeft as the left hemisphere, got Cort"):
        load_gifti(pair[1], pair[0], tr=2.0)
    plain = write(tmp_path / "x.func.gii", np.zeros((6, 9), "float32"), "R")
    with pytest.raises(LoadError, match=r"x\.func\.gii: .* by its metadata\. Swap"):
        load_gifti(plain, tr=2.0)
    named = write(tmp_path / "lh.func.gii", np.zeros((6, 9), "float32"))
    with pytest.raises(LoadError, match="by its name"):
        load_gifti(right=named, tr=2.0)


def test_missing_partners_are_named(pair: tuple[Path, Path]) -> None:
    absent = pair[1].with_name("sub-2_hemi-R_bold.func.gii")
    with pytest.raises(FileNotFoundError, match=r"sub-2_hemi-R_bold\.func\.gii: expected a file"):
        load_gifti(pair[0], absent, tr=2.0)
    with pytest.raises(LoadError, match="right: expected 2 runs as in left, got 1"):
        load_gifti([pair[0]] * 2, pair[1], tr=2.0)
    with pytest.raises(LoadError, match="left, right: expected files"):
        load_gifti(tr=2.0)


def test_a_run_on_another_mesh_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = write(tmp_path / "other.func.gii", np.zeros((6, 12), "float32"))
    with pytest.raises(LoadError, match=r"other\.func\.gii: expected the 9 vertices"):
        load_gifti([pair[0], other], tr=2.0)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_cut_files_are_named(pair: tuple[Path, Path], part: float) -> None:
    content = pair[0].read_bytes()
    pair[0].write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DataCorruptionError, match="hemi-L.*expected a whole GIFTI file"):
        load_gifti(*pair, tr=2.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty one"),
        (b"<!DOCTYPE html><html>504</html>", "got an HTML or XML page"),
        (b"../.git/annex/objects/x", "got a pointer to it"),
        (b"\0" * 600, "expected a whole GIFTI file"),
        (b"<?xml version='1.0'?><other/>", "expected a whole GIFTI file"),
    ],
)
def test_other_content_under_the_name_is_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.func.gii"
    path.write_bytes(content)
    with pytest.raises(DataCorruptionError, match=rf"x\.func\.gii: .*{message}"):
        load_gifti(path, tr=2.0)


def test_labels_and_empty_files_are_not_values(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="expected values on vertices, got labels"):
        load_gifti(TASK.with_name("label.gii"), tr=2.0)
    with pytest.raises(LoadError, match="got no data"):
        load_gifti(write(tmp_path / "no.func.gii", np.empty((0, 0))), tr=2.0)


def test_labels_must_fit_the_samples(pair: tuple[Path, Path]) -> None:
    with pytest.raises(LoadError, match="labels of run-01: expected 6 .* got 2"):
        load_gifti(*pair, tr=2.0, labels=[["a", "b"]])
    with pytest.raises(LoadError, match="runs: expected 1 unique names"):
        load_gifti(*pair, tr=2.0, runs=["a", "b"])


def test_values_without_a_place_to_go_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    responses = load_gifti(*pair, tr=2.0)
    with pytest.raises(SchemaError, match="right_path: expected a path, got none"):
        to_gifti(responses, tmp_path / "l.func.gii")
    with pytest.raises(SchemaError, match=r"expected vertices, missing \['vertex'\]"):
        to_gifti(responses.drop_vars("vertex"), tmp_path / "l.func.gii")
    lost = responses.assign_coords(vertex=("neuroid", np.full(18, -1)))
    with pytest.raises(SchemaError, match="expected vertices only"):
        to_gifti(lost, tmp_path / "l.func.gii", tmp_path / "r.func.gii")


def test_one_file_for_both_hemispheres_is_refused(tmp_path: Path) -> None:
    coords = {"neuroid": ["a", "b"], "hemisphere": ("neuroid", ["L", "R"])}
    values = xr.DataArray(
        np.zeros(2), coords | {"vertex": ("neuroid", [0, 0])}, ("neuroid",),
        attrs={"n_vertices": [1, 1]},
    )  # fmt: skip
    path = tmp_path / "both.func.gii"
    with pytest.raises(SchemaError, match="right_path: expected a file of its own"):
        to_gifti(values, path, path)
