"""Figures of dynamic scenes show what was found, and where nothing could be."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report.convergence_screens import list_convergence_parts
from neuroalign.report.futures_figures import plot_behaviour, plot_futures, plot_motion_shares


def _futures(n: int = 5) -> xr.Dataset:
    rng = np.random.default_rng(0)
    dims, names = ("predictor", "window"), ["identity", "lstm", "sub-02"]
    middle = np.array([[0.2, 0.1], [0.7, np.nan], [1.0, 0.9]])
    return xr.Dataset(
        {
            "corrected": ((*dims, "neuroid"), middle[..., None] + 0.1 * rng.normal(size=(3, 2, n))),
            "median": (dims, middle), "lower": (dims, middle - 0.1), "upper": (dims, middle + 0.1),
            "n_estimated": (dims, [[5, 5], [5, 1], [5, 5]]),
        },
        coords={
            "predictor": names, "window": ["all", "hidden $x$"],
            "source": ("predictor", ["model", "model", "subject"]),
        },
        attrs={"kind": "estimate", "method": "compare_futures"},
    )  # fmt: skip


def _behaviour() -> xr.Dataset:
    dims = ("predictor", "neuroid")
    return xr.Dataset(
        {
            "consistency": (dims, [[0.5], [np.nan]]), "lower": (dims, [[0.4], [np.nan]]),
            "upper": (dims, [[0.6], [np.nan]]), "performance": ("predictor", [0.9, np.nan]),
        },
        coords={"predictor": ["lstm", "s"], "source": ("predictor", ["model", "subject"])},
        attrs={"kind": "estimate", "method": "compare_behaviour", "pattern": "error"},
    )  # fmt: skip


def _shares() -> xr.Dataset:
    share = xr.DataArray(
        [[0.3, 0.0, np.nan], [0.1, 0.6, np.nan], [0.2, 0.0, np.nan]],
        dims=("part", "neuroid"),
        coords={"part": ["static", "motion", "both"], "roi": ("neuroid", ["V1", "MT", "MT"])},
    )
    attrs = {"kind": "estimate", "method": "compare_motion"}
    return xr.Dataset({"normalized_share": share}, attrs=attrs)


def test_models_come_best_first_and_animals_below() -> None:
    figure = plot_futures(_futures())
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["lstm", "identity", "sub-02"]
    lines: list[Any] = list(figure.axes[0].lines)
    drawn = [line.get_xdata()[0] for line in lines if line.get_gid() == "middle"]
    assert drawn == [0.7, 0.2, 1.0]
    assert [axes.get_title() for axes in figure.axes] == ["all frames", r"hidden \$x\$"]


def test_what_cannot_be_estimated_is_written() -> None:
    texts = [text for text in plot_futures(_futures()).axes[1].texts if text.get_gid() == "missing"]
    assert [(text.get_text(), text.get_position()[1]) for text in texts] == [
        ("cannot be estimated", 0)
    ]
    counts = [text.get_text() for text in plot_futures(_futures()).axes[1].texts]
    assert " 1/5" in counts


def test_behaviour_names_the_pattern_and_the_task() -> None:
    axes = plot_behaviour(_behaviour()).axes[0]
    assert "of errors" in axes.get_xlabel()
    assert " task 0.90" in [text.get_text() for text in axes.texts]


def test_neuroids_without_a_share_are_left_out() -> None:
    axes = plot_motion_shares(_shares()).axes[0]
    dots: list[Any] = [line for line in axes.lines if line.get_gid() == "shares"]
    assert sorted(line.get_label() for line in dots) == ["MT", "V1"]
    assert sum(len(line.get_xdata()) for line in dots) == 2
    with pytest.raises(SchemaError, match="expected a normalised share of some neuroid, got none"):
        plot_motion_shares(_shares() * np.nan)


@pytest.mark.parametrize("make", [_futures, _behaviour, _shares])
def test_each_brings_one_figure_to_the_page(make: object) -> None:
    parts = list_convergence_parts(make())  # type: ignore[operator]
    assert len(parts) == 1
    assert parts[0][1]() is not None


@pytest.mark.parametrize("plot", [plot_futures, plot_behaviour, plot_motion_shares])
def test_other_results_are_refused(plot: object) -> None:
    with pytest.raises(SchemaError, match="Take it from convergence.compare_"):
        plot(xr.Dataset())  # type: ignore[operator]
