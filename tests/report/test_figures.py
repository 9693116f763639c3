"""Figures of scores hold the numbers they were given."""

import base64

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report._style import to_picture, write_label


def test_bars_are_means_over_neuroids(encoding: xr.Dataset) -> None:
    bars = report.plot_roi_bars(encoding).axes[0].patches
    means = encoding["score"].mean("fold").groupby("roi").mean().values
    np.testing.assert_allclose([bar.get_width() for bar in bars], means, rtol=1e-5)


def test_interval_is_the_t_interval(encoding: xr.Dataset) -> None:
    axes = report.plot_roi_bars(encoding).axes[0]
    values = encoding["score"].mean("fold").values[:20].astype(float)
    half = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    drawn = axes.collections[0].get_segments()[0][:, 0]
    np.testing.assert_allclose(drawn, half, rtol=1e-4)


def test_ceiling_of_a_correlation_is_the_root_of_its_variance_share(encoding: xr.Dataset) -> None:
    axes = report.plot_roi_bars(encoding).axes[0]
    np.testing.assert_allclose(axes.collections[-1].get_offsets()[:, 0], 0.8)
    shares = report.plot_roi_bars(encoding.assign_attrs(metric="r2")).axes[0]
    np.testing.assert_allclose(shares.collections[-1].get_offsets()[:, 0], 0.64)


def test_histogram_counts_every_finite_neuroid(encoding: xr.Dataset) -> None:
    encoding["score"][:, 0] = np.nan
    axes = report.plot_score_histogram(encoding).axes[0]
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert sum(heights) == 39


def test_heat_map_frames_the_best_and_writes_numbers(layers: xr.Dataset) -> None:
    axes = report.plot_layer_roi(layers["score"], layers["planted_layer"]).axes[0]
    frames = [round(patch.get_y() + 0.46) for patch in axes.patches]
    assert frames == [0, 1]
    assert [text.get_text() for text in axes.texts][:2] == ["0.50", "0.20"]


def test_time_course_peaks_where_planted(timed: xr.Dataset) -> None:
    lines = report.plot_time_course(timed).axes[0].lines[:2]
    assert [line.get_label() for line in lines] == ["V1", "V4"]
    assert all(
        line.get_xdata()[np.argmax(line.get_ydata())] == pytest.approx(0.1) for line in lines
    )


def test_dollars_are_not_mathematics(layers: xr.Dataset) -> None:
    broken = layers.assign_coords(roi=["$\\frac{$", "a\\$b$c$"])
    to_picture(report.plot_layer_roi(broken["score"]), "t", "a")
    assert write_label("a\nb $x$\x1b") == "a b \\$x\\$\ufffd"


def test_letters_without_glyphs_do_not_stop_the_page(layers: xr.Dataset) -> None:
    named = layers.assign_coords(roi=["視覚野", "𓀀"])["score"]
    picture = to_picture(report.plot_layer_roi(named), "t", "a")
    assert base64.b64decode(picture.png).startswith(b"\x89PNG")


def test_no_figure_enters_the_global_state(encoding: xr.Dataset) -> None:
    report.plot_score_histogram(encoding)
    assert plt.get_fignums() == []


def test_messages_name_what_is_missing(encoding: xr.Dataset, layers: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="expected coord 'roi' on 'neuroid'"):
        report.plot_roi_bars(encoding.drop_vars("roi"))
    with pytest.raises(SchemaError, match="expected finite scores, got none in 40 neuroids"):
        report.plot_score_histogram(encoding.assign(score=encoding["score"] * np.nan))
    with pytest.raises(SchemaError, match=r"expected dims \('layer', 'roi'\)"):
        report.plot_layer_roi(layers["score"].T)
    with pytest.raises(SchemaError, match="scores: expected finite scores"):
        report.plot_layer_roi(layers["score"] * np.nan)
    with pytest.raises(SchemaError, match="expected dim 'time'"):
        report.plot_time_course(encoding)
    with pytest.raises(SchemaError, match="expected dim 'neuroid'"):
        report.plot_score_histogram(encoding.rename(neuroid="voxel"))


def test_planted_layers_are_marked_by_the_names_of_regions(layers: xr.Dataset) -> None:
    def find_dots(planted: xr.DataArray) -> list[float]:
        axes = report.plot_layer_roi(layers["score"], planted).axes[0]
        return [line.get_ydata()[0] for line in axes.lines]

    planted = layers["planted_layer"]
    assert find_dots(planted[::-1]) == find_dots(planted)
    with pytest.raises(SchemaError, match="planted: expected a layer for every region, got none"):
        find_dots(planted.assign_coords(roi=["V1", "IT"]))
    with pytest.raises(SchemaError, match="planted: expected one layer for each of 2 regions"):
        find_dots(planted[:1])


def test_a_figure_shows_itself_in_a_notebook(layers: xr.Dataset) -> None:
    figure = report.plot_layer_roi(layers["score"])
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_neuroids_are_counted_in_whole_numbers(encoding: xr.Dataset) -> None:
    axes = report.plot_score_histogram(encoding.isel(neuroid=slice(0, 3))).axes[0]
    assert all(float(tick).is_integer() for tick in axes.get_yticks())


def test_the_bar_of_layers_is_named(layers: xr.Dataset) -> None:
    figure = report.plot_layer_roi(layers["score"], label="mean Pearson r")
    assert figure.axes[-1].get_ylabel() == "mean Pearson r"
