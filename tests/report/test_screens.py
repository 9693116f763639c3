"""Every kind has a screen; what is missing becomes a note, never a crash."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema
from neuroalign.report.screens import SCREENS, show_encoding, show_layers, show_rdm
from neuroalign.report.verdicts import VERDICTS
from neuroalign.similarity import compare


def list_notes(blocks: list) -> str:  # type: ignore[type-arg]
    return "\n".join(block.text for block in blocks if block.shape == "note")


def test_every_kind_has_a_screen_and_a_verdict() -> None:
    assert set(SCREENS) == set(VERDICTS) == set(schema.CHECKS)


def test_whole_result_leaves_nothing_out(encoding: xr.Dataset, layers: xr.Dataset) -> None:
    blocks = [*show_encoding(encoding), *show_layers(layers)]
    assert "left out" not in list_notes(blocks)
    titles = [block.title for block in blocks if block.shape != "note"]
    assert titles.count("Cortical map") == 2


def test_time_adds_its_course(timed: xr.Dataset) -> None:
    assert "Time course" in [b.title for b in show_encoding(timed) if b.shape != "note"]


def test_half_a_place_becomes_a_note(encoding: xr.Dataset) -> None:
    assert "'hemisphere'" in list_notes(show_encoding(encoding.drop_vars("hemisphere")))


def test_a_study_without_regions_and_places_is_no_defect(encoding: xr.Dataset) -> None:
    blocks = show_encoding(encoding.drop_vars(["roi", "hemisphere", "vertex"]))
    assert "left out" not in list_notes(blocks)
    titles = [block.title for block in blocks if block.shape != "note"]
    assert "Distribution of scores" in titles
    assert not {"Scores by region", "Cortical map"} & set(titles)


def test_all_undefined_scores_become_notes(encoding: xr.Dataset) -> None:
    blocks = show_encoding(encoding.assign(score=encoding["score"] * np.nan))
    assert list_notes(blocks).count("left out") == 4


@pytest.mark.parametrize("part", ["best_layer", "best_layer_index", "planted_layer"])
def test_missing_parts_of_layers_are_said(layers: xr.Dataset, part: str) -> None:
    notes = list_notes(show_layers(layers.drop_vars(part)))
    assert (f"'{part}'" in notes) == (part != "planted_layer")


def test_voxels_give_a_volume(encoding: xr.Dataset) -> None:
    index = {name: ("neuroid", np.arange(40) % 4) for name in "ijk"}
    voxels = encoding.drop_vars(["vertex", "hemisphere"]).assign_coords(index)
    assert "Volume map" in [b.title for b in show_encoding(voxels) if b.shape != "note"]


def test_cross_rdm_has_no_plane(rdm: xr.DataArray) -> None:
    notes = list_notes(show_rdm(rdm.assign_attrs(kind="cross")))
    assert "Conditions in a plane left out." in notes


def test_a_comparison_without_places_misses_no_map(rng: np.random.Generator) -> None:
    X = rng.normal(size=(12, 4))
    assert "Map" not in list_notes(show_layers(compare({"conv": X}, {"IT": X})))
