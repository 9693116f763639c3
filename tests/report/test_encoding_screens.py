"""Encodings and layers: what the page shows, each figure with its numbers."""

import pytest
import xarray as xr

from neuroalign.report._blocks import Cortex, Picture
from neuroalign.report.encoding_screens import show_encoding, show_layers


@pytest.mark.slow
def test_every_figure_of_an_encoding_brings_its_numbers(
    encoding: xr.Dataset, timed: xr.Dataset
) -> None:
    for result in (encoding.assign_attrs(n_permutations=99), timed):
        for block in show_encoding(result):
            if isinstance(block, Picture):
                assert block.data is not None, block.title
                assert block.data.rows, block.title
            if isinstance(block, Cortex):
                assert block.fallback.data is not None


def test_order_of_reading(encoding: xr.Dataset) -> None:
    blocks = show_encoding(encoding.assign_attrs(n_permutations=99))
    assert [block.title for block in blocks if block.shape != "note"] == [
        "Regions", "Scores by region", "Cortical map", "Distribution of scores",
        "Scores under the noise ceiling", "Null", "Table of the null", "Folds", "Provenance",
    ]  # fmt: skip


def test_times_bring_courses_and_onsets(timed: xr.Dataset) -> None:
    titles = [block.title for block in show_encoding(timed) if block.shape != "note"]
    assert titles[4:6] == ["Time course", "Onsets and peaks"]


def test_layers_open_and_turn(layers: xr.Dataset) -> None:
    shown = [block for block in show_layers(layers) if isinstance(block, Cortex)]
    assert [block.payload["form"] for block in shown] == ["cells", "maps"]
