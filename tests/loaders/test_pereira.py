"""One MATLAB file an experiment, in the layout that readers of Pereira et al. share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from neuroalign.errors import LoadError, NeuroalignWarning
from neuroalign.loaders.pereira import load_pereira
from neuroalign.storage import load, save

VALUES = np.arange(180 * 4.0).reshape(180, 4)


def cells(*items: Any) -> np.ndarray:
    held = np.empty(len(items), object)
    held[:] = items
    return held[None]


def column(*items: str) -> np.ndarray:
    return cells(*items).T


def make_content() -> dict[str, Any]:
    meta = {
        "dimensions": np.array([[88, 125, 85]]),
        "colToCoord": np.array([[1, 2, 3], [1, 2, 4], [5, 5, 5], [88, 125, 85]]),
        "atlases": cells("gordon", "languageLH"),
        "rois": cells(column("V1", "V2"), column("LIFG")),
        "roiColumns": cells(cells(np.array([[1], [3]]), np.array([[4]])).T, cells([[2]])),
    }
    words = column(*(f"word{n}" for n in range(180)))
    return {"examples": VALUES, "keyConcept": words, "meta": meta}


def write(folder: Path, content: dict[str, Any], experiment: str) -> Path:
    place = folder / "P01"
    place.mkdir(exist_ok=True)
    scipy.io.savemat(place / f"data_{experiment}.mat", content)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return write(tmp_path, make_content(), "180concepts_sentences")


def test_concepts_load_with_their_voxels(place: Path, tmp_path: Path) -> None:
    responses = load_pereira(place, experiment="180concepts_sentences")
    np.testing.assert_array_equal(responses.values, VALUES.astype("f4"))
    assert responses["stimulus"].values[[0, 179]].tolist() == ["word0", "word179"]
    assert responses["neuroid"].values[0] == "0-1-2"
    assert responses["k"].values.tolist() == [2, 3, 4, 84]
    assert responses.attrs["grid_shape"] == [88, 125, 85]
    assert responses["subject"].values[0] == "P01"
    assert "roi" not in responses.coords
    assert load(save(responses, tmp_path / "r.nc")).identical(responses)


def test_an_atlas_names_its_regions(place: Path) -> None:
    where = {"experiment": "180concepts_sentences", "subject": "P01"}
    responses = load_pereira(place.parent, atlas="gordon", **where)
    assert responses["roi"].values.tolist() == ["V1", "", "V1", "V2"]
    other = load_pereira(place.parent, atlas="languageLH", **where)
    assert other["roi"].values.tolist() == ["", "LIFG", "", ""]
    with pytest.raises(ValueError, match=r"atlas: expected one of 'gordon', 'languageLH'"):
        load_pereira(place.parent, atlas="aal", **where)


def test_sentences_bear_their_passages(tmp_path: Path) -> None:
    content = make_content()
    del content["examples"], content["keyConcept"]
    content["examples_passagesentences"] = np.ones((243, 4))
    content["keySentences"] = column(*(f"Sentence {n}. " for n in range(243)))
    content["labelsPassageForEachSentence"] = np.repeat(np.arange(1, 82), 3)[:, None]
    place = write(tmp_path, content, "243sentences")
    responses = load_pereira(place, experiment="243sentences")
    assert responses["stimulus"].values[2] == "Sentence 2."
    assert responses["passage"].values[[0, 3]].tolist() == ["passage-001", "passage-002"]
    content["labelsPassageForEachSentence"] = np.ones((5, 1))
    write(tmp_path, content, "243sentences")
    with pytest.raises(LoadError, match=r"expected 243 values of 'labelsPassage.*, got 5"):
        load_pereira(place, experiment="243sentences")


def test_missing_voxels_are_said(tmp_path: Path) -> None:
    content = make_content()
    content["examples"] = VALUES.copy()
    content["examples"][3, 1] = np.nan
    place = write(tmp_path, content, "180concepts_pictures")
    with pytest.warns(NeuroalignWarning, match=r"pictures\.mat: .*NaN in 1 of 4 voxels"):
        load_pereira(place, experiment="180concepts_pictures")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": VALUES[:170]}, r"sentences\.mat: expected 180 stimuli, got 170 rows"),
        ({"keyConcept": column("a")}, r"got 180 rows of 'examples' and 1 of 'keyConcept'"),
        ({"examples": None}, r"sentences\.mat: expected variable 'examples', got 'keyConcept'"),
        ({"examples": VALUES[:, :3]}, r"expected meta\.colToCoord of \(3, 3\) .* shape \(4, 3\)"),
        ({"meta": np.ones(3)}, r"expected a matrix 'examples' and a struct 'meta'"),
        ({"meta": {"colToCoord": np.zeros((4, 3))}}, r"indices from 1, .* least 0"),
        (
            {"keyConcept": np.arange(180.0)[:, None]},
            r"expected text in every cell of 'keyConcept', got float in row 0",
        ),
    ],
)
def test_files_that_differ_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {**make_content(), **change}
    content = {name: value for name, value in content.items() if value is not None}
    place = write(tmp_path, content, "180concepts_sentences")
    with pytest.raises(LoadError, match=message):
        load_pereira(place, experiment="180concepts_sentences")


def test_atlases_that_do_not_belong_are_named(tmp_path: Path) -> None:
    content = make_content()
    content["meta"]["roiColumns"] = cells(cells([[1]], [[9]]).T, cells([[2]]))
    place = write(tmp_path, content, "180concepts_sentences")
    with pytest.raises(LoadError, match=r"expected columns 1 to 4 for region 'V2', got up to 9"):
        load_pereira(place, experiment="180concepts_sentences", atlas="gordon")
    del content["meta"]["roiColumns"]
    write(tmp_path, content, "180concepts_sentences")
    with pytest.raises(LoadError, match=r"expected meta\.roiColumns for atlas='gordon'"):
        load_pereira(place, experiment="180concepts_sentences", atlas="gordon")


def test_unknown_places_are_named(place: Path) -> None:
    with pytest.raises(ValueError, match="experiment: expected one of '180concepts_sentences'"):
        load_pereira(place, experiment="sentences")
    with pytest.raises(FileNotFoundError, match=r"data_384sentences\.mat: expected a file"):
        load_pereira(place, experiment="384sentences")
    (place.parent / "M02.tar").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"M02: .*Unpack 'M02\.tar' first"):
        load_pereira(place.parent, experiment="384sentences", subject="M02")
