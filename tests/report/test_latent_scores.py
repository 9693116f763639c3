"""Bars are means over folds, beside the control and the oracle."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report.latent_scores import list_scores, measure_folds


@pytest.fixture
def scored() -> xr.Dataset:
    parts: dict[str, Any] = {
        "co_smoothing": (("fold", "split"), [[0.2, 0.3], [0.4, 0.5], [0.3, 0.1]]),
        "co_smoothing_shuffled": (("fold", "split"), [[0.0, 0.02], [-0.02, 0.0], [0.0, 0.0]]),
        "oracle": (("fold", "split"), np.full((3, 2), 0.5)),
        "forward": ("fold", [0.1, 0.2, 0.3]),
        "psth": ("fold", [0.8, np.nan, 0.6]),
        "behaviour": ("fold", [0.5, 0.6, 0.7]),
        "behaviour_shuffled": ("fold", [-0.1, 0.0, 0.1]),
        "recovery": (("fold", "true_latent"), np.full((3, 2), 0.9)),
    }
    attrs = {"kind": "estimate", "method": "latent scores", "model": "GPFA", "null": "train"}
    return xr.Dataset(parts, attrs={**attrs, "metric": "bits per spike"})


def list_bars(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


def test_bars_are_means_over_folds_and_splits(scored: xr.Dataset) -> None:
    top, below = report.plot_score_report(scored).axes
    np.testing.assert_allclose(list_bars(top), [0.3, 0.0, 0.2], atol=1e-12)
    np.testing.assert_allclose(list_bars(below), [0.7, 0.6, 0.0, 0.9, 0.9], atol=1e-12)
    names = [text.get_text() for text in below.get_yticklabels()]
    assert names == ["PSTH", "behaviour", "recovery, latent 0", "recovery, latent 1"]
    assert (top.get_xlabel(), below.get_xlabel()) == ("bits per spike", "R²")


def test_the_oracle_is_marked_and_the_control_lies_beside(scored: xr.Dataset) -> None:
    figure = report.plot_score_report(scored)
    top = figure.axes[0]
    (oracle,) = [line for line in top.lines if line.get_gid() == "oracle"]
    assert oracle.get_xdata()[0] == pytest.approx(0.5)
    main, control, alone = top.patches
    assert main.get_y() + main.get_height() <= control.get_y()
    assert main.get_facecolor() != control.get_facecolor()
    known = [text.get_text() for text in figure.legends[0].get_texts()]
    assert known == ["mean over folds", "fold", "shuffled", "oracle"]
    assert alone.get_height() > main.get_height()


def test_dots_are_folds_and_whiskers_standard_errors(scored: xr.Dataset) -> None:
    top = report.plot_score_report(scored).axes[0]
    dots = top.collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(np.sort(dots), [0.2, 0.25, 0.45])
    (segment,) = top.containers[1].lines[2][0].get_segments()
    error = np.std([0.2, 0.25, 0.45], ddof=1) / np.sqrt(3)
    assert np.ptp(segment[:, 0]) == pytest.approx(2 * error)


def test_bare_scores_have_one_panel(scored: xr.Dataset) -> None:
    figure = report.plot_score_report(scored[["co_smoothing"]])
    assert len(figure.axes) == 1
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["mean over folds", "fold"]


def test_folds_without_a_score_are_left_out(scored: xr.Dataset) -> None:
    psth = next(score for score in list_scores(scored) if score.name == "PSTH")
    assert measure_folds(psth.folds) == pytest.approx((0.7, 0.1))
    assert np.isnan(measure_folds(np.array([np.nan]))).all()


def test_messages_name_what_is_wrong(scored: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match=r"result: expected 'co_smoothing' \(fold, split\)"):
        report.plot_score_report(scored[["forward"]])
    with pytest.raises(SchemaError, match=r"result\['co_smoothing'\]: expected finite scores"):
        report.plot_score_report(scored.assign(co_smoothing=scored["co_smoothing"] * np.nan))
