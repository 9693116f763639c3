"""Layers by layers."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report import plot_similarities
from neuroalign.report._blocks import Picture
from neuroalign.report.screens import show_estimate
from neuroalign.similarity import compare


@pytest.fixture
def layers(rng: np.random.Generator) -> dict[str, Any]:
    X = rng.normal(size=(40, 5))
    return {"a": X, "b": X + 0.1 * rng.normal(size=X.shape), "c": rng.normal(size=X.shape)}


def test_the_heat_map_holds_the_scores_and_marks_what_passes(layers: dict[str, Any]) -> None:
    found = compare(layers, method="cka_debiased", n_permutations=99)
    axes = plot_similarities(found).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), found["score"].values)
    assert len(axes.texts) == 9
    marked = [line for line in axes.lines if line.get_gid() == "passed"]
    assert len(marked) == int((found["p_fwer"] < 0.05).sum()) >= 5
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]


def test_many_layers_are_drawn_without_numbers(rng: np.random.Generator) -> None:
    many = {f"layer-{n:02d}": rng.normal(size=(9, 3)) for n in range(13)}
    axes = plot_similarities(compare(many)).axes[0]
    assert not axes.texts
    assert not axes.lines


def test_a_page_shows_it(layers: dict[str, Any]) -> None:
    found = compare(layers, n_permutations=19)
    blocks = show_estimate(found)
    pictures = [block for block in blocks if isinstance(block, Picture)]
    assert [picture.title for picture in pictures] == ["Layers by layers"]
    assert "p < 0.05 among orders of the stimuli" in pictures[0].caption


def test_other_results_are_refused() -> None:
    with pytest.raises(SchemaError, match="expected 'score', got none of 'score'. Take it from"):
        plot_similarities(xr.Dataset())


def test_a_bar_names_the_measure_and_its_unit(rng: np.random.Generator) -> None:
    layers = {"a": rng.normal(size=(9, 4)), "b": rng.normal(size=(9, 4))}
    found = compare(layers, method="procrustes_angle")
    assert plot_similarities(found).axes[1].get_ylabel() == "Procrustes angle [rad]"
