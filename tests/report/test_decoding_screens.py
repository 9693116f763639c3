"""A page of a decoding: confusions, and maps of patterns where there are places."""

from typing import Any

import numpy as np
import xarray as xr

from neuroalign.report.decoding_screens import list_decoding_parts
from tests.report.test_decoding_figures import decoding as decoding


def name_parts(result: xr.Dataset) -> list[str]:
    return [title for title, _ in list_decoding_parts(result)]


def test_other_estimates_have_no_part(decoding: xr.Dataset) -> None:
    assert name_parts(decoding.drop_vars("confusion")) == []
    # Of sources, as a selection of thresholds has them.
    assert name_parts(decoding.rename(true="source")) == []


def test_patterns_are_mapped_where_there_are_places(decoding: xr.Dataset) -> None:
    assert name_parts(decoding) == ["Confusions"]
    values = xr.DataArray(
        np.random.default_rng(0).normal(size=(3, 8)),
        dims=("class", "neuroid"),
        coords={"class": decoding["true"].values},
    )
    places = zip("ijk", np.indices((2, 2, 2)).reshape(3, 8), strict=True)
    placed = values.assign_coords({key: ("neuroid", place) for key, place in places})
    assert name_parts(decoding.assign(patterns=values)) == ["Confusions"]
    parts = list_decoding_parts(decoding.assign(patterns=placed))
    names = [title.removeprefix("Pattern of ") for title, _ in parts]
    assert names[1:] == ["face", "house", "cat"]
    made: Any = [make() for _, make in parts]
    assert [one.title for one in made] == [title for title, _ in parts]
