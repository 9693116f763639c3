"""Results of convergence bring their figures to the page."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import convergence
from neuroalign.convergence import find_half_times
from neuroalign.report._blocks import Picture
from neuroalign.report._method_table import ESTIMATES
from neuroalign.report.convergence_screens import (
    CONVERGENCE,
    _average_layers,
    list_convergence_parts,
)

COURSES = xr.DataArray(
    np.linspace(0, 1, 12).reshape(3, 4),
    dims=("step", "neuroid"),
    coords={"step": [0, 1, 2], "roi": ("neuroid", list("aabb"))},
)


def make() -> xr.Dataset:
    return find_half_times(COURSES)


def test_half_times_bring_one_figure() -> None:
    parts = list_convergence_parts(make())
    assert [title for title, _ in parts] == ["Half-times"]
    assert parts[0][1]() is not None


def test_captions_say_the_level_of_the_intervals() -> None:
    score = xr.DataArray([[[0.4]]], dims=("distance", "rule", "unit"))
    spatial = xr.Dataset(
        {"score": score, "lower": score - 0.1, "upper": score + 0.1, "p_spin": score},
        {"distance": ["geodesic"], "rule": ["best"], "unit": ["roi"]},
        {"method": "spatial_score", "level": 0.9, "resampled": "neuroids"},
    )
    for result in (find_half_times(COURSES, level=0.9), spatial):
        block = list_convergence_parts(result)[0][1]()
        assert isinstance(block, Picture)
        assert "90 %" in block.caption
    assert "over neuroids" in block.caption


@pytest.mark.parametrize("roi", [None, list("bab")])
def test_layers_bring_their_means_over_regions(roi: list[str] | None) -> None:
    scores = xr.DataArray([[0.1, 0.3, 0.5], [0.2, 0.2, 0.2]], dims=("layer", "neuroid"))
    result = xr.Dataset(
        {"mean_score": scores}, {"layer": ["l0", "l1"], "depth": ("layer", [0.0, 1.0])},
        {"method": "encode_layers"},
    )  # fmt: skip
    if roi is not None:
        result = result.assign_coords(roi=("neuroid", roi))
    means = _average_layers(result)
    wanted = [[0.3], [0.2]] if roi is None else [[0.3, 0.3], [0.2, 0.2]]
    np.testing.assert_allclose(means, wanted)
    assert isinstance(list_convergence_parts(result)[0][1](), Picture)


def test_every_method_of_the_room_is_named_in_words() -> None:
    folder = Path(str(convergence.__file__)).parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    methods = set(re.findall(r'"method": "(\w+)"', code))
    assert len(methods) > 15
    assert methods <= set(ESTIMATES)


def test_every_method_has_parts_of_its_own() -> None:
    for method in CONVERGENCE:
        assert list_convergence_parts(make().assign_attrs(method=method))


def test_other_estimates_bring_none() -> None:
    assert list_convergence_parts(make().assign_attrs(method="split_half")) == []
