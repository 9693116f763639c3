"""Fusion and generalisation figures peak where it was planted, in the right unit."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report._summaries import compute_interval


def test_fusion_curves_are_means_with_dots_at_peaks(fusion: xr.Dataset) -> None:
    axes = report.plot_fusion(fusion).axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 6]
    np.testing.assert_allclose(
        [curve.get_ydata() for curve in curves], fusion["score"].mean("subject").values
    )
    peaks = [float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
    assert peaks == pytest.approx([0.1, 0.3])


def test_fusion_band_is_the_interval_over_subjects(fusion: xr.Dataset) -> None:
    band = report.plot_fusion(fusion).axes[0].collections[0].get_paths()[0].vertices
    at = np.isclose(band[:, 0], 0.1)
    expected = compute_interval(fusion["score"].values[0, 1])
    assert (band[at, 1].min(), band[at, 1].max()) == pytest.approx((expected.low, expected.high))


def test_fusion_rows_are_regions_on_a_scale_around_zero(fusion: xr.Dataset) -> None:
    below = report.plot_fusion(fusion).axes[1]
    mesh = below.collections[0]
    np.testing.assert_allclose(mesh.get_array(), fusion["score"].mean("subject").values)
    assert mesh.get_clim()[0] == -mesh.get_clim()[1]
    assert [text.get_text() for text in below.get_yticklabels()] == ["V1", "V4"]
    assert below.get_xlabel() == "time from onset [s]"


def test_squares_mark_what_passes_the_corrected_test(fusion: xr.Dataset) -> None:
    p = xr.DataArray(np.where(fusion["score"][..., 0] > 0.3, 0.01, 0.9), dims=("roi", "time"))
    axes = report.plot_fusion(fusion.assign(p_cluster=p, p_fwer=p * 0)).axes[0]
    marks = [line for line in axes.lines if line.get_gid() == "passed"]
    assert [np.asarray(line.get_xdata()).tolist() for line in marks] == [
        fusion["time"].values[row].tolist() for row in p.values < 0.05
    ]
    assert min(marks[1].get_ydata()) > axes.get_ylim()[0]


def test_cells_of_uneven_times_lie_around_them(fusion: xr.Dataset) -> None:
    uneven = fusion.assign_coords(time=[0.0, 0.1, 0.2, 0.4, 0.8, 1.6])
    edges = report.plot_fusion(uneven).axes[1].collections[0].get_coordinates()[0, :, 0]
    assert ((edges[:-1] < uneven["time"].values) & (uneven["time"].values < edges[1:])).all()


def test_generalization_shows_each_region_around_chance(generalization: xr.Dataset) -> None:
    axes = report.plot_generalization(generalization.assign_attrs(chance=0.1)).axes
    assert [one.get_title(loc="left") for one in axes[:2]] == ["V1", "V4"]
    image = axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), generalization["score"].values[0, 0])
    assert np.mean(image.get_clim()) == pytest.approx(0.1)
    assert image.get_clim() == axes[1].images[0].get_clim()


def test_generalization_marks_equal_times_and_names_both_axes(generalization: xr.Dataset) -> None:
    axes = report.plot_generalization(generalization.drop_vars("roi")).axes[0]
    (line,) = [line for line in axes.lines if line.get_gid() == "diagonal"]
    np.testing.assert_allclose(line.get_xdata(), line.get_ydata())
    assert axes.images[0].get_extent() == pytest.approx([-0.15, 0.45, -0.15, 0.45])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("tested at [s]", "fitted at [s]")


def test_messages_name_what_is_wrong(fusion: xr.Dataset, generalization: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match=r"score: expected dims \('roi', 'time'\[, 'subject'\]"):
        report.plot_fusion(fusion.rename(roi="layer"))
    with pytest.raises(SchemaError, match="score: expected finite scores, got none"):
        report.plot_fusion(fusion.assign(score=fusion["score"] * np.nan))
    with pytest.raises(SchemaError, match=r"result.score: expected dims"):
        report.plot_generalization(generalization.rename(train_time="t"))
    with pytest.raises(SchemaError, match="score: expected finite scores, got none"):
        report.plot_generalization(generalization.assign(score=generalization["score"] * np.nan))
