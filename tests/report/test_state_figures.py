"""States keep their colours, trials their rows and their ends."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.latents import HMM
from neuroalign.loaders import simulate_hidden_states
from neuroalign.report._latent_rows import color_states


@pytest.fixture
def path() -> xr.DataArray:
    states = np.array([[0, 0, 1, 1], [2, 2, 2, np.nan], [1, 0, np.nan, np.nan]])
    return xr.DataArray(states, {"time": 0.1 * np.arange(4)}, ("sample", "time"))


def test_rows_are_trials_in_the_colours_of_their_states(path: xr.DataArray) -> None:
    figure = report.plot_states(path)
    image = figure.axes[0].images[0]
    painted, colors = np.asarray(image.get_array()), color_states(3)
    np.testing.assert_allclose(painted[0, :, :3], colors[[0, 0, 1, 1]])
    np.testing.assert_array_equal(painted[..., 3], np.isfinite(path.values))
    assert image.get_extent() == pytest.approx([-0.05, 0.35, 3.5, 0.5])
    assert figure.axes[1].get_xlabel() == "time [s]"
    assert figure.axes[1].get_ylabel() == "share of trials"


def test_a_state_has_the_same_colour_whoever_else_is_there(path: xr.DataArray) -> None:
    alone = xr.DataArray([[2.0, 2.0]], dims=("sample", "time"))
    one = report.plot_states(alone).axes[0].images[0].get_array()
    other = report.plot_states(path).axes[0].images[0].get_array()
    np.testing.assert_array_equal(one[0, 0], other[1, 0])


def test_shares_count_only_trials_that_go_on(path: xr.DataArray) -> None:
    below = report.plot_states(path).axes[1]
    heights = np.linspace(0.01, 0.99, 99)

    def measure(time: float) -> list[float]:
        at = np.column_stack([np.full(99, time), heights])
        inside = [
            sum(path.contains_points(at) for path in one.get_paths()) for one in below.collections
        ]
        return [float(np.mean(one)) for one in inside]

    assert measure(0.1) == pytest.approx([2 / 3, 0, 1 / 3], abs=0.02)
    assert measure(0.34) == pytest.approx([0, 1, 0], abs=0.02)


def test_probabilities_are_pale_where_they_are_uncertain() -> None:
    weights = np.array([[[0.5, 0.5], [0.75, 0.25], [0.0, 1.0]]])
    axes = report.plot_states(xr.DataArray(weights, dims=("sample", "time", "latent"))).axes
    painted = np.asarray(axes[0].images[0].get_array())
    assert painted[0, :, 3] == pytest.approx([0.15, 0.575, 1.0])
    np.testing.assert_allclose(painted[0, 2, :3], color_states(2)[1])
    assert axes[1].get_ylabel() == "probability"


def test_bins_that_are_not_valid_stay_white(path: xr.DataArray) -> None:
    inside = np.array([[True] * 2 + [False] * 2] * 3)
    known = path.assign_coords(valid=(("sample", "time"), inside))
    painted = np.asarray(report.plot_states(known).axes[0].images[0].get_array())
    assert (painted[:, 2:, 3] == 0).all()


def test_trials_of_a_condition_stand_together(path: xr.DataArray) -> None:
    named = path.assign_coords(stimulus=("sample", ["a", "b", "a"]))
    top = report.plot_states(named, sort_by="stimulus").axes[0]
    painted = np.asarray(top.images[0].get_array())
    np.testing.assert_allclose(painted[:, 0, :3], color_states(3)[[0, 1, 2]])
    assert [text.get_text() for text in top.get_yticklabels()] == ["a", "b"]
    borders = [line.get_ydata()[0] for line in top.lines if line.get_gid() == "border"]
    assert borders == [2.5]


def test_a_single_run_is_one_row() -> None:
    run = xr.DataArray([0.0, 1.0, 1.0], {"run": ("sample", ["r"] * 3)}, ("sample",))
    top = report.plot_states(run).axes[0]
    assert np.asarray(top.images[0].get_array()).shape == (1, 3, 4)
    assert top.get_ylabel() == "run"


def test_legend_names_states(path: xr.DataArray) -> None:
    texts = report.plot_states(path).legends[0].get_texts()
    assert [text.get_text() for text in texts] == ["state-00", "state-01", "state-02"]


def test_states_of_a_fitted_chain_are_drawn() -> None:
    made = simulate_hidden_states(6, 60, 10, n_states=3, seed=0)
    model = HMM(3, emission="poisson", n_restarts=1).fit(made.responses)
    path = model.predict_states(made.responses)
    painted = np.asarray(report.plot_states(path).axes[0].images[0].get_array())
    expected = color_states(3)[path.values.astype(int)]
    np.testing.assert_allclose(painted[..., :3], expected)
    soft = report.plot_states(model.transform(made.responses)).axes[0].images[0].get_array()
    assert (np.asarray(soft)[..., :3] == painted[..., :3]).all(axis=2).mean() > 0.95


def test_colours_are_all_different() -> None:
    assert len(np.unique(color_states(24).round(3), axis=0)) == 24


def test_messages_name_what_is_wrong(path: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match=r"states: expected dims \('sample'\) with or without"):
        report.plot_states(path.rename(sample="trial"))
    with pytest.raises(SchemaError, match="states: expected numbers of states 0, 1, ..., got 0.5"):
        report.plot_states(path + 0.5)
    with pytest.raises(SchemaError, match="states: expected at most 24 of them, got 41"):
        report.plot_states(path * 20)
    with pytest.raises(SchemaError, match="states: expected probabilities that add up to 1"):
        report.plot_states(path.fillna(0).rename(time="latent"))
