"""Rates are drawn over the data, in their unit, with what was held out."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from neuroalign import report
from neuroalign.errors import AlignError, SchemaError
from neuroalign.report._style import to_picture
from neuroalign.report._summaries import compute_interval

NAMES = ["left", "right"]


def pick(axes: Axes, gid: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_gid() == gid]


@pytest.fixture
def counts(rng: np.random.Generator) -> xr.DataArray:
    level = np.linspace(0.5, 4, 16)[:, None] * (1 + np.sin(np.linspace(0, 6, 12)))
    coords = {
        "stimulus": ("sample", np.tile(NAMES, 10)),
        "neuroid": [f"n{number:02d}" for number in range(16)],
        "time": 0.02 * np.arange(12),
    }
    attrs = {"kind": "responses", "modality": "spikes", "units": "count"}
    values = rng.poisson(np.tile(level, (20, 1, 1))).astype("float32")
    return xr.DataArray(values, coords, ("sample", "neuroid", "time"), attrs=attrs)


def test_data_are_means_with_intervals_in_spikes_per_second(counts: xr.DataArray) -> None:
    figure = report.plot_rates(counts * 0 + 1.5, counts.drop_vars("stimulus"), neuroids=["n03"])
    axes = figure.axes[0]
    expected = [compute_interval(column) for column in counts.values[:, 3].T / 0.02]
    np.testing.assert_allclose(pick(axes, "data")[0].get_ydata(), [one.mean for one in expected])
    np.testing.assert_allclose(pick(axes, "model")[0].get_ydata(), 75.0)
    band = axes.collections[0].get_paths()[0].vertices
    at = np.isclose(band[:, 0], counts["time"].values[4])
    assert (band[at, 1].min(), band[at, 1].max()) == pytest.approx(expected[4][1:3])
    assert figure.get_supylabel() == "rate [spikes/s]"
    assert axes.get_xlabel() == "time [s]"


def test_each_condition_has_its_course(counts: xr.DataArray) -> None:
    axes = report.plot_rates(counts, counts, neuroids=["n05"]).axes[0]
    data, model = pick(axes, "data"), pick(axes, "model")
    for row in (0, 1):
        expected = counts.values[row::2, 5].mean(axis=0) / 0.02
        np.testing.assert_allclose(data[row].get_ydata(), expected, rtol=1e-6)
        np.testing.assert_allclose(model[row].get_ydata(), expected, rtol=1e-6)
    assert axes.texts[0].get_text() == "R² 1.00"
    assert model[0].get_linestyle() != data[0].get_linestyle()


def test_fit_is_that_of_the_means(counts: xr.DataArray, rng: np.random.Generator) -> None:
    guess = counts.copy(data=rng.gamma(2.0, size=counts.shape))
    mean, predicted = counts.values[:, 2].mean(axis=0), guess.values[:, 2].mean(axis=0)
    expected = 1 - ((mean - predicted) ** 2).sum() / ((mean - mean.mean()) ** 2).sum()
    pair = [one.drop_vars("stimulus") for one in (guess, counts)]
    axes = report.plot_rates(*pair, neuroids=["n02"]).axes[0]
    assert axes.texts[0].get_text() == f"R² {expected:.2f}"


def test_held_out_neuroids_come_first_framed_and_named(counts: xr.DataArray) -> None:
    hidden = np.zeros(16, dtype=int)
    hidden[[0, 1]] = 1
    axes = report.plot_rates(counts, counts, held_out=hidden).axes
    titles = [one.get_title(loc="left") for one in axes[:12]]
    assert titles[:3] == ["n01, held out", "n00, held out", "n15"]
    frames = [one.spines["left"].get_edgecolor() for one in axes[:3]]
    assert frames[0] == frames[1] != frames[2]


def test_what_is_missing_in_one_is_left_out_of_both_means(counts: xr.DataArray) -> None:
    inside = np.ones((20, 12), dtype=bool)
    inside[5:, 8:] = False
    ragged = counts.drop_vars("stimulus").assign_coords(valid=(("sample", "time"), inside))
    guess = counts.drop_vars("stimulus").copy(data=counts.values)
    guess[5:, :, 8:] = 1e6
    axes = report.plot_rates(guess, ragged, neuroids=["n07"]).axes[0]
    shown = np.asarray(pick(axes, "model")[0].get_ydata())
    np.testing.assert_allclose(shown[8:], counts.values[:5, 7, 8:].mean(axis=0) / 0.02, rtol=1e-6)


def test_other_units_stay(counts: xr.DataArray) -> None:
    signal = counts.assign_attrs(units="uV")
    figure = report.plot_rates(signal, signal, neuroids=["n00"])
    assert figure.get_supylabel() == "response [uV]"
    unknown = counts.drop_vars("time")
    assert report.plot_rates(unknown, unknown).get_supylabel() == "spikes per bin"


def test_a_neuroid_without_data_is_an_empty_panel(counts: xr.DataArray) -> None:
    unseen = counts.copy()
    unseen[:, 0] = np.nan
    axes = report.plot_rates(counts, unseen, neuroids=["n00", "n01"]).axes
    assert axes[0].texts[0].get_text() == "R² undefined"
    assert np.isfinite(np.asarray(pick(axes[1], "data")[0].get_ydata())).all()


def test_hostile_names_are_drawn_as_text(counts: xr.DataArray) -> None:
    hostile = counts.assign_coords(neuroid=[f"$\\frac{{{n}" for n in range(16)])
    bad = np.array(["$\\frac{$", "a\u202eb"])
    hostile = hostile.assign_coords(stimulus=("sample", np.tile(bad, 10)))
    figure = report.plot_rates(hostile, hostile)
    to_picture(figure, "t", "a")
    assert figure.axes[0].get_title(loc="left").startswith("\\$")


def test_messages_on_rates_name_what_is_wrong(counts: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match="rates: expected dims"):
        report.plot_rates(counts.mean("time"), counts)
    with pytest.raises(AlignError, match="rates: expected shape"):
        report.plot_rates(counts[1:], counts)
    with pytest.raises(AlignError, match="rates: expected the neuroid labels of responses"):
        report.plot_rates(counts[:, ::-1], counts)
    with pytest.raises(SchemaError, match="rates: expected finite values where responses are"):
        report.plot_rates(counts * np.nan, counts)
    with pytest.raises(ValueError, match="held_out: expected one truth value for each of 16"):
        report.plot_rates(counts, counts, held_out=[True])
    with pytest.raises(ValueError, match="neuroids: expected 1 to 12 of the labels"):
        report.plot_rates(counts, counts, neuroids=["x"])
