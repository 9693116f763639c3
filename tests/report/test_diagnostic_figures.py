"""Diagnostics: penalties, folds, parts of variance."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.encoders import Ridge, partition_variance
from neuroalign.errors import SchemaError
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import simulate_linear
from neuroalign.report.diagnostic_figures import (
    average_folds,
    find_edge_shares,
    judge_penalties,
    list_diagnostic_parts,
    list_partition_parts,
    plot_folds,
    plot_partition,
    plot_penalties,
    tabulate_penalties,
)


@pytest.fixture
def penalised(encoding: xr.Dataset) -> xr.Dataset:
    alpha = np.tile(np.repeat([0.1, 10.0, 1000.0], [4, 12, 24]), (3, 1))
    attrs = {"edge_low": [0.1, 0.1, 0.1], "edge_high": [0.5, 0.6, 0.7]}
    return encoding.assign(alpha=(("fold", "neuroid"), alpha)).assign_attrs(attrs)


def test_bars_are_shares_of_fits(penalised: xr.Dataset) -> None:
    axes = plot_penalties(penalised).axes[0]
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], [0.1, 0.3, 0.6])
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    np.testing.assert_allclose(middles, [-1, 1, 3])
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == [
        "0.1 of neuroids at the smallest of the grid", "0.6 of neuroids at the largest of the grid",
    ]  # fmt: skip


def test_grids_that_folds_scale_apart_are_counted_by_half_decades(penalised: xr.Dataset) -> None:
    scaled = penalised.assign(alpha=penalised["alpha"] * xr.DataArray([1.0, 1.5, 0.8], dims="fold"))
    table = tabulate_penalties(scaled)
    places, counts, shares = np.array(table.rows).T
    np.testing.assert_array_equal(places, [-1, 1, 3])
    np.testing.assert_array_equal(counts, [12, 36, 72])
    assert shares.sum() == pytest.approx(1)
    heights = [bar.get_height() for bar in plot_penalties(scaled).axes[0].patches]
    np.testing.assert_allclose(heights, shares)


def test_many_penalties_at_an_end_are_a_warning(penalised: xr.Dataset) -> None:
    note = judge_penalties(penalised)
    assert note.shape == "note"
    assert note.tone == "warning"
    assert "60% at the largest" in note.text
    few = judge_penalties(penalised.assign_attrs(edge_low=[0.0], edge_high=[0.1]))
    assert few.shape == "note"
    assert few.tone == "good"


def test_a_real_encoding_has_its_diagnostics() -> None:
    data = simulate_linear(n_neuroids=4, snr=2.0)
    result = cross_validate(Ridge(), data.features, data.responses, ceiling=None)
    assert set(find_edge_shares(result)) == {"smallest", "largest"}
    titles = [title for title, _ in list_diagnostic_parts(result)]
    assert titles == ["Folds", "Ends of the grid", "Penalties"]
    assert all(make().shape in ("picture", "note") for _, make in list_diagnostic_parts(result))


def test_folds_are_means_over_the_neuroids_of_a_region(encoding: xr.Dataset) -> None:
    axes = plot_folds(encoding).axes[0]
    drawn = [line.get_ydata() for line in axes.lines[:2]]
    wanted = encoding["score"].astype("float64").groupby("roi").mean().transpose("roi", "fold")
    np.testing.assert_allclose(drawn, wanted, rtol=1e-6)
    spread = wanted.std("fold", ddof=1).values
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"V1, SD {spread[0]:.3f}", f"V4, SD {spread[1]:.3f}"]
    np.testing.assert_allclose(average_folds(encoding), wanted, rtol=1e-6)


def test_parts_are_means_with_their_interval() -> None:
    share = np.array([[0.2, 0.3], [0.1, 0.1], [0.0, 0.1]])
    result = xr.Dataset(
        {"share": (("part", "neuroid"), share)}, {"part": ["a", "b", "a&b"]}, {"kind": "estimate"}
    )
    widths = [bar.get_width() for bar in plot_partition(result).axes[0].patches]
    np.testing.assert_allclose(widths, [0.25, 0.1, 0.05])
    ((_, make),) = list_partition_parts(result)
    block = make()
    assert block.shape == "picture"
    assert block.data is not None
    assert block.data.rows[0] == ("a", 0, 0.2)


def test_one_neuroid_has_its_bootstrap_interval(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 4))
    y = X[:, 0] + 0.5 * X[:, 2] + rng.normal(0, 0.3, 60)
    spaces = {"a": [0, 1], "b": [2, 3]}
    found = partition_variance(X, y, spaces=spaces, n_bootstrap=20)
    axes = plot_partition(found).axes[0]
    drawn = np.array([segment[:, 0] for segment in axes.collections[0].get_segments()])
    # Bars reach from the lower to the upper bound where the estimate lies between.
    np.testing.assert_allclose(drawn[0], [found["share_low"][0], found["share_high"][0]], rtol=1e-6)


def test_messages(encoding: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="expected 'alpha'"):
        plot_penalties(encoding)
    with pytest.raises(SchemaError, match="expected two or more folds, got 1"):
        plot_folds(encoding.isel(fold=[0]))
    with pytest.raises(SchemaError, match="share: expected finite shares"):
        plot_partition(encoding)
    assert list_partition_parts(encoding) == []


def test_an_end_that_nobody_chose_is_written_but_not_drawn(penalised: xr.Dataset) -> None:
    axes = plot_penalties(penalised.assign_attrs(edge_low=[0.0, 0.0, 0.0])).axes[0]
    drawn = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert drawn == [3]
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words[0] == "0 of neuroids at the smallest of the grid"
