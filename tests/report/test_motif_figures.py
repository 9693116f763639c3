"""Motifs are drawn when, in whom and between which neuroids they are, by community."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError


@pytest.fixture
def atlas(rng: np.random.Generator) -> xr.Dataset:
    community = np.tile([0, 1, -1], 4)
    joined = (community[:, None] == community) & (community >= 0)
    pairs = np.stack([joined * 1.0, joined * 2.0]) + 0.01 * np.arange(12)
    parts: dict[str, Any] = {
        "time_course": (("time", "component"), rng.uniform(size=(7, 2))),
        "subject_share": (("subject", "component"), rng.uniform(size=(3, 2))),
        "affinity": (("component", "neuroid", "neuroid_other"), pairs),
        "communities": (("component", "neuroid"), np.stack([community] * 2)),
    }
    coords = {"time": 2.0 * np.arange(7), "subject": ["s1", "s2", "s3"]}
    return xr.Dataset(parts, coords, {"kind": "estimate", "method": "connectome"})


def test_motifs_show_when_whom_and_between_which(atlas: xr.Dataset) -> None:
    figure = report.plot_motifs(atlas)
    grid = np.array(figure.axes[:6]).reshape(2, 3)
    for row in (0, 1):
        (course,) = [line for line in grid[row, 0].lines if line.get_gid() == "course"]
        np.testing.assert_allclose(course.get_xdata(), atlas["time"])
        np.testing.assert_allclose(course.get_ydata(), atlas["time_course"][:, row])
        bars = [bar.get_height() for bar in grid[row, 1].patches]
        np.testing.assert_allclose(bars, atlas["subject_share"][:, row])
    assert grid[1, 0].get_xlabel() == "time [s]"
    assert [t.get_text() for t in grid[1, 1].get_xticklabels()] == ["s1", "s2", "s3"]


def test_pairs_are_ordered_by_community_and_those_in_none_come_last(atlas: xr.Dataset) -> None:
    bare = atlas.drop_vars("communities")
    axes = report.plot_motifs(bare, atlas["communities"]).axes[2]
    order = np.r_[0:12:3, 1:12:3, 2:12:3]
    expected = atlas["affinity"].values[0][np.ix_(order, order)]
    apart = ~np.eye(12, dtype=bool)
    shown = axes.images[0].get_array()
    np.testing.assert_allclose(shown[apart], expected[apart])
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), ~apart)
    borders = sorted({float(np.max(one.get_ydata())) for one in axes.lines if one.get_gid()})
    assert borders[1:] == [3.5, 7.5]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "1", "none"]
    assert axes.images[0].get_clim() == (0.0, expected[apart].max())


def test_an_atlas_without_subjects_and_communities_is_drawn_as_it_is(atlas: xr.Dataset) -> None:
    bare = atlas.drop_vars(["subject_share", "communities", "subject"])
    axes = report.plot_motifs(bare).axes
    apart = ~np.eye(12, dtype=bool)
    shown = axes[1].images[0].get_array()
    np.testing.assert_allclose(shown[apart], atlas["affinity"].values[0][apart])
    assert axes[1].get_yticks().size == 0


def test_a_factor_without_values_is_an_empty_row(atlas: xr.Dataset) -> None:
    atlas["time_course"][:, 0] = atlas["affinity"][0] = np.nan
    axes = report.plot_motifs(atlas).axes
    assert axes[2].images[0].get_clim() == (0.0, 1.0)
    np.testing.assert_allclose(axes[3].lines[0].get_ydata(), atlas["time_course"][:, 1])


def test_at_most_six_factors_are_drawn(atlas: xr.Dataset) -> None:
    many = xr.concat([atlas] * 4, "component", data_vars="minimal")
    images = [axes for axes in report.plot_motifs(many).axes if axes.images]
    assert len(images) == 6


def test_messages_name_what_is_wrong(atlas: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match=r"atlas: expected 'time_course' \('component', 'time'\)"):
        report.plot_motifs(atlas[["affinity"]])
    with pytest.raises(SchemaError, match=r"atlas\['affinity'\]: expected dims"):
        report.plot_motifs(atlas.isel(neuroid_other=0))
    with pytest.raises(SchemaError, match=r"atlas\['affinity'\]: expected finite values"):
        report.plot_motifs(atlas * np.nan)
