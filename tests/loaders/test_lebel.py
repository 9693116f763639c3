"""Stories in the layout of ds003020."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.lebel import load_lebel, load_lebel_words
from neuroalign.storage import load, save

GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
3
<exists>
2
"IntervalTier" "phone"
0 3 1
0 3 "AH"
"IntervalTier" "word"
0 3 4
0 0.5 "{BR}"
0.5 1 "once"
1 2 "upon"
2 3 "sp"
"""


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    place = tmp_path / "derivative" / "preprocessed_data" / "UTS03"
    place.mkdir(parents=True)
    for story, size in (("alpha", 5), ("beta", 3)):
        with h5py.File(place / f"{story}.hf5", "w") as file:
            file["data"] = rng.normal(size=(size, 4))
    with h5py.File(place / "beta.hf5", "a") as file:
        file["individual_repeats"] = rng.normal(size=(2, 3, 4))
    grids = tmp_path / "derivative" / "TextGrids"
    grids.mkdir()
    (grids / "alpha.TextGrid").write_text(GRID)
    return tmp_path


def read(folder: Path, story: str, name: str = "data") -> np.ndarray:
    place = folder / "derivative" / "preprocessed_data" / "UTS03"
    with h5py.File(place / f"{story}.hf5") as file:
        return file[name][()].astype("f4")


def test_stories_are_runs_on_the_clock_of_their_words(folder: Path, tmp_path: Path) -> None:
    responses = load_lebel(folder, subject="UTS03")
    assert responses.chunks == ((5, 3), (4,))
    np.testing.assert_array_equal(responses[:5].values, read(folder, "alpha"))
    assert responses["run"].values.tolist() == ["alpha"] * 5 + ["beta"] * 3
    assert responses["onset"].values.tolist() == [10, 12, 14, 16, 18, 10, 12, 14]
    assert responses.attrs["sampling_rate"] == 0.5
    assert load(save(responses, tmp_path / "r.zarr")).identical(responses.compute())


def test_stories_are_chosen_in_order_and_repeats_apart(folder: Path) -> None:
    responses = load_lebel(folder, subject="UTS03", stories=["beta", "alpha"], start=0, tr=2.0045)
    assert responses["run"].values[0] == "beta"
    assert responses["onset"].values[1] == 2.0045
    repeats = load_lebel(folder, subject="UTS03", stories=["beta"], repeats=True)
    assert np.unique(repeats["run"].values).tolist() == ["beta_repeat-01", "beta_repeat-02"]
    assert repeats["repeat"].values.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(
        repeats.values.reshape(2, 3, 4), read(folder, "beta", "individual_repeats")
    )


def test_words_come_without_breath_and_noise(folder: Path) -> None:
    words = load_lebel_words(folder)["alpha"]
    assert words["stimulus"].tolist() == ["once", "upon"]
    assert words["onset"].tolist() == [0.5, 1.0]


def test_a_folder_named_derivatives_works_too(folder: Path) -> None:
    (folder / "derivative").rename(folder / "derivatives")
    assert load_lebel(folder, subject="UTS03").shape == (8, 4)


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(LoadError, match=r"UTS03: expected stories.* 'gamma' asked for in vain"):
        load_lebel(folder, subject="UTS03", stories=["alpha", "gamma"])
    with pytest.raises(LoadError, match=r"none or one twice"):
        load_lebel(folder, subject="UTS03", stories=["alpha", "alpha"])
    with pytest.raises(FileNotFoundError, match=r"preprocessed_data.UTS09, got none"):
        load_lebel(folder, subject="UTS09")
    with pytest.raises(LoadError, match=r"alpha\.hf5: expected 'individual_repeats' of \(repeat"):
        load_lebel(folder, subject="UTS03", repeats=True)
    with pytest.raises(LoadError, match=r"tr: expected a TR"):
        load_lebel(folder, subject="UTS03", tr=2000)


def test_files_that_do_not_belong_are_named(folder: Path) -> None:
    place = folder / "derivative" / "preprocessed_data" / "UTS03"
    with h5py.File(place / "beta.hf5", "w") as file:
        file["data"] = np.zeros((3, 5))
    with pytest.raises(LoadError, match=r"beta\.hf5: expected the 4 voxels of alpha, got 5"):
        load_lebel(folder, subject="UTS03")
    (place / "beta.hf5").write_bytes((place / "alpha.hf5").read_bytes()[:1000])
    with pytest.raises(DataCorruptionError, match=r"beta\.hf5: .*whole HDF5 file"):
        load_lebel(folder, subject="UTS03")
    (place / "beta.hf5").write_text("../../.git/annex/objects/xx/MD5E-s1--1.hf5")
    with pytest.raises(DataCorruptionError, match=r"beta\.hf5: .*pointer"):
        load_lebel(folder, subject="UTS03")
