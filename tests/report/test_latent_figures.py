"""Paths are drawn where the latents are, and their means and starts with them."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.latents import FactorAnalysis
from neuroalign.loaders import simulate_linear_dynamics
from neuroalign.report._style import PALETTE, to_picture

NAMES = ["left", "right"]


def pick(axes: Axes, gid: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_gid() == gid]


@pytest.fixture
def latents(rng: np.random.Generator) -> xr.DataArray:
    turn = np.linspace(0, 5, 20)
    path = np.stack([np.cos(turn), np.sin(turn), turn / 5], axis=1)
    sides = np.array([1.0, -1.0])[np.arange(6) % 2]
    values = sides[:, None, None] * path + 0.05 * rng.normal(size=(6, 20, 3))
    coords = {"stimulus": ("sample", np.tile(NAMES, 3)), "time": 0.05 * np.arange(20)}
    return xr.DataArray(values, coords, ("sample", "time", "latent"), attrs={"kind": "latents"})


def test_two_latents_are_a_plane_of_trials_and_means(latents: xr.DataArray) -> None:
    plane = report.plot_trajectories(latents[..., :2]).axes[0]
    trials, means = pick(plane, "trial"), pick(plane, "mean")
    np.testing.assert_allclose(trials[0].get_xydata(), latents.values[0, :, :2])
    np.testing.assert_allclose(means[1].get_xydata(), latents.values[1::2, :, :2].mean(axis=0))
    assert [line.get_color() for line in means] == list(PALETTE[:2])
    assert len(trials) == 6
    assert max(line.get_alpha() for line in trials) <= 0.5
    assert (plane.get_xlabel(), plane.get_ylabel()) == ("latent 0", "latent 1")


def test_starts_are_marked_on_the_means(latents: xr.DataArray) -> None:
    plane = report.plot_trajectories(latents[..., :2]).axes[0]
    starts = [line.get_xydata()[0] for line in pick(plane, "start")]
    np.testing.assert_allclose(starts, [latents.values[i::2, 0, :2].mean(axis=0) for i in (0, 1)])


def test_three_latents_are_seen_from_three_sides_on_one_scale(latents: xr.DataArray) -> None:
    figure = report.plot_trajectories(latents)
    planes = figure.axes[:3]
    sides = [(axes.get_xlabel(), axes.get_ylabel()) for axes in planes]
    assert sides == [
        ("latent 0", "latent 1"), ("latent 2", "latent 1"), ("latent 0", "latent 2")
    ]  # fmt: skip
    spans = [np.ptp(axes.get_xlim()) for axes in planes] + [np.ptp(planes[2].get_ylim())]
    np.testing.assert_allclose(spans, spans[0])
    np.testing.assert_allclose(
        pick(planes[1], "trial")[0].get_xydata(), latents.values[0][:, 2:0:-1]
    )
    known = [text.get_text() for text in figure.axes[3].get_legend().get_texts()]
    assert known == [*NAMES, "mean of condition", "single trial", "start"]


def test_scales_may_differ(latents: xr.DataArray) -> None:
    wide = latents * xr.DataArray([1.0, 10.0], dims="latent")[[0, 1, 1]]
    plane = report.plot_trajectories(wide, axes=(0, 1), same_scale=False).axes[0]
    assert np.ptp(plane.get_ylim()) > 4 * np.ptp(plane.get_xlim())


def test_one_latent_is_drawn_over_time(latents: xr.DataArray) -> None:
    axes = report.plot_trajectories(latents, axes=(2,)).axes[0]
    np.testing.assert_allclose(pick(axes, "trial")[0].get_xdata(), latents["time"].values)
    np.testing.assert_allclose(pick(axes, "trial")[0].get_ydata(), latents.values[0, :, 2])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time [s]", "latent 2")


def test_a_mean_ends_where_most_trials_have_ended(latents: xr.DataArray) -> None:
    inside = np.ones((6, 20), dtype=bool)
    inside[:4, 10:] = False
    ragged = latents.assign_coords(valid=(("sample", "time"), inside))
    plane = report.plot_trajectories(ragged, axes=(0, 1)).axes[0]
    mean = np.asarray(pick(plane, "mean")[0].get_ydata())
    np.testing.assert_array_equal(np.isfinite(mean), np.arange(20) < 10)
    assert np.isnan(np.asarray(pick(plane, "trial")[0].get_ydata())[10:]).all()


def test_trials_of_different_stimuli_are_one_condition(latents: xr.DataArray) -> None:
    single = latents.assign_coords(stimulus=("sample", list("abcdef")))
    plane = report.plot_trajectories(single, axes=(0, 1)).axes[0]
    np.testing.assert_allclose(
        pick(plane, "mean")[0].get_xydata(), latents.values[..., :2].mean(axis=0)
    )


def test_conditions_may_be_of_another_coord(latents: xr.DataArray) -> None:
    named = latents.assign_coords(session=("sample", ["s1"] * 5 + ["s2"]))
    plane = report.plot_trajectories(named, axes=(0, 1), by="session").axes[0]
    np.testing.assert_allclose(pick(plane, "mean")[1].get_xydata(), latents.values[5, :, :2])


def test_runs_are_paths_with_gaps_where_volumes_lack(latents: xr.DataArray) -> None:
    onset = np.array([0, 2, 4, 8, 10, 0, 2, 4, 6], dtype=float)
    coords = {"run": ("sample", ["b"] * 5 + ["a"] * 4), "onset": ("sample", onset)}
    flat = xr.DataArray(np.arange(18.0).reshape(9, 2), coords, ("sample", "latent"))
    figure = report.plot_trajectories(flat)
    first, second = (np.asarray(line.get_xdata()) for line in pick(figure.axes[0], "trial"))
    np.testing.assert_array_equal(first, [0, 2, 4, np.nan, 6, 8])
    np.testing.assert_array_equal(second[:4], [10, 12, 14, 16])


def test_latents_of_a_model_are_drawn() -> None:
    made = simulate_linear_dynamics(16, 20, 12, seed=0)
    latents = FactorAnalysis(2).fit(made.responses).transform(made.responses)
    plane = report.plot_trajectories(latents).axes[0]
    np.testing.assert_allclose(pick(plane, "trial")[0].get_xydata(), latents.values[0])


def test_where_a_latent_is_undefined_the_others_are_drawn(latents: xr.DataArray) -> None:
    latents[2] = np.nan
    latents[..., 2] = np.nan
    plane = report.plot_trajectories(latents, axes=(0, 1)).axes[0]
    mean = latents.values[[0, 4], :, :2].mean(axis=0)
    assert len(pick(plane, "trial")) == 6
    np.testing.assert_allclose(pick(plane, "mean")[0].get_xydata(), mean)
    with pytest.raises(SchemaError, match="latents: expected bins in which all latents drawn"):
        report.plot_trajectories(latents)


def test_hostile_names_are_drawn_as_text(latents: xr.DataArray) -> None:
    bad = np.array(["$\\frac{$", "a\u202eb"])
    figure = report.plot_trajectories(latents.assign_coords(stimulus=("sample", np.tile(bad, 3))))
    to_picture(figure, "t", "a")
    shown = [text.get_text() for text in figure.axes[3].get_legend().get_texts()]
    assert shown[0].startswith("\\$")
    assert "\u202e" not in "".join(shown)


def test_messages_on_latents_name_what_is_wrong(latents: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match=r"latents: expected dims \('sample', 'latent'\) with"):
        report.plot_trajectories(latents.rename(latent="unit"))
    with pytest.raises(SchemaError, match="latents: expected finite values, got none"):
        report.plot_trajectories(latents * np.nan)
    with pytest.raises(SchemaError, match="by: expected a coord on 'sample', one of 'stimulus'"):
        report.plot_trajectories(latents, by="run")
    with pytest.raises(ValueError, match="axes: expected one to three numbers from 0 to 2"):
        report.plot_trajectories(latents, axes=(0, 3))
