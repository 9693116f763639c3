"""RDMs of RDMs, and how well a plane keeps distances."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from neuroalign.errors import SchemaError
from neuroalign.report.second_order_figures import (
    correlate_rdms,
    list_second_order_parts,
    list_shepard_pairs,
    plot_second_order,
    plot_shepard,
    tabulate_plane,
)


@pytest.fixture
def stack(rdm: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    noise = rng.normal(0, 0.5, rdm.shape)
    other = abs(rdm + noise + noise.T) * (1 - np.eye(9))
    both = xr.concat([rdm, 2 * rdm, other], "roi").assign_coords(roi=["V1", "V2", "IT"])
    return both.assign_attrs(rdm.attrs)


def test_correlations_are_those_of_upper_triangles(stack: xr.DataArray) -> None:
    found = correlate_rdms(stack)
    upper = np.triu_indices(9, 1)
    wanted = stats.spearmanr(stack.values[0][upper], stack.values[2][upper]).statistic
    assert float(found[0, 2]) == pytest.approx(wanted)
    assert float(found[0, 1]) == pytest.approx(1)
    assert found["rdm"].values.tolist() == ["roi V1", "roi V2", "roi IT"]


def test_missing_pairs_are_left_out_of_each_couple(stack: xr.DataArray) -> None:
    holes = stack.copy()
    holes[2, 0, 1] = holes[2, 1, 0] = np.nan
    upper = np.triu_indices(9, 1)
    one, other = stack.values[0][upper][1:], stack.values[2][upper][1:]
    wanted = stats.spearmanr(one, other).statistic
    assert float(correlate_rdms(holes)[0, 2]) == pytest.approx(wanted)


def test_heat_map_holds_one_minus_the_correlation(stack: xr.DataArray) -> None:
    axes = plot_second_order(stack).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown, 1 - correlate_rdms(stack).values)
    assert len(axes.texts) == 9


def test_a_plane_of_points_in_a_plane_keeps_every_distance(rdm: xr.DataArray) -> None:
    pairs = list_shepard_pairs(rdm)
    assert pairs.attrs["stress"] < 1e-3
    np.testing.assert_allclose(pairs["distance"], pairs["length"], atol=0.01)
    assert pairs["first"].values[0] == "face-0"
    axes = plot_shepard(rdm).axes[0]
    points = next(line for line in axes.lines if line.get_gid() == "pairs")
    np.testing.assert_allclose(points.get_xdata(), rdm.values[np.triu_indices(9, 1)])
    assert "ρ 1.00" in axes.get_title(loc="left")


def test_places_of_conditions_can_be_taken(rdm: xr.DataArray) -> None:
    table = tabulate_plane(rdm)
    assert table.rows[4][:2] == ("house-1", "house")
    points = np.array([row[2:] for row in table.rows], dtype=float)
    apart = np.linalg.norm(points[0] - points[5])
    assert apart == pytest.approx(float(rdm[0, 5]), abs=0.01)


def test_screens_compare_only_stacks_of_dissimilarities(
    rdm: xr.DataArray, stack: xr.DataArray
) -> None:
    assert [title for title, _ in list_second_order_parts(rdm)] == ["Shepard plot"]
    parts = list_second_order_parts(stack)
    assert [title for title, _ in parts] == ["Shepard plot", "RDM of RDMs"]
    blocks = [make() for _, make in parts]
    assert [len(block.data.rows) for block in blocks] == [36, 9]  # type: ignore[union-attr]
    assert list_second_order_parts(rdm.assign_attrs(kind="cross")) == []


def test_messages(rdm: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match="expected a stack of two or more dissimilarities, got 1"):
        correlate_rdms(rdm)
