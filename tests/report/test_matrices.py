"""RDM figures keep labels, scale and distances."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import pdist, squareform

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report.matrices import compute_mds, to_panels


def to_pairs(rdm: xr.DataArray) -> xr.DataArray:
    rows, columns = np.triu_indices(rdm.sizes["first"], 1)
    names = rdm["first"].values
    coords = {"first": ("pair", names[rows]), "second": ("pair", names[columns])}
    return xr.DataArray(rdm.values[rows, columns], dims="pair", coords=coords, attrs=rdm.attrs)


def test_condensed_and_square_are_the_same_picture(rdm: xr.DataArray) -> None:
    _, panels, names, _ = to_panels(to_pairs(rdm))
    np.testing.assert_array_equal(panels[0], rdm.values)
    assert names == rdm["first"].values.tolist()


def test_stack_becomes_a_gallery_on_one_scale(rdm: xr.DataArray) -> None:
    stack = xr.concat([rdm, rdm * 3], xr.Variable("subject", ["s1", "s2"]))
    axes = report.plot_rdm(stack.assign_attrs(rdm.attrs)).axes
    assert [one.get_title(loc="left") for one in axes[:2]] == ["subject s1", "subject s2"]
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim()


def test_categories_are_separated(rdm: xr.DataArray) -> None:
    lines = report.plot_rdm(rdm).axes[0].lines
    assert sorted({float(line.get_ydata()[0]) for line in lines} - {0.0, 1.0}) == [2.5, 5.5]


def test_scaling_recovers_points_in_a_plane(rdm: xr.DataArray) -> None:
    points, share = compute_mds(rdm.values)
    np.testing.assert_allclose(squareform(pdist(points)), rdm.values, atol=1e-8)
    assert share == pytest.approx(1.0)


def test_plane_shows_each_category(rdm: xr.DataArray) -> None:
    axes = report.plot_mds(rdm).axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["face", "house", "tool"]


def test_messages_name_what_is_missing(rdm: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match="rdm: expected finite dissimilarities"):
        report.plot_rdm((rdm * np.nan).assign_attrs(kind="cross"))
    with pytest.raises(SchemaError, match="expected a complete dissimilarity of at least 3"):
        report.plot_mds(rdm.assign_attrs(kind="cross"))
    with pytest.raises(SchemaError, match="expected coords 'first' and 'second' on 'pair'"):
        report.plot_rdm(to_pairs(rdm).drop_vars("first"))
