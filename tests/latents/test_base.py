"""What the shared base of latent models reads, refuses and reports."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import FitError, NeuroalignWarning, SchemaError
from neuroalign.latents._base import LatentModel, score_entries
from neuroalign.latents._trials import read_trials
from neuroalign.loaders import simulate_linear_dynamics


class Mean(LatentModel):
    """The mean of what is seen, as one latent; ``last`` is the last value of its objective."""

    def __init__(self, last: float = 0.0, weight: float = 1.0) -> None:
        self.last = last
        self.weight = weight

    def _fit_arrays(self, Y: Any, observed: Any, labels: Any) -> None:
        self.params_ = xr.Dataset({"weight": ("latent", [self.weight])})
        self.history_ = {"objective": [0.0, self.last]}
        self.converged_, self.n_iter_ = True, 2
        self.seen_ = labels

    def _infer_arrays(self, Y: Any, observed: Any) -> Any:
        return (Y.sum(2) / np.maximum(observed.sum(2), 1))[..., None]

    def _rates_arrays(self, Y: Any, observed: Any) -> Any:
        return np.repeat(self._infer_arrays(Y, observed), Y.shape[2], axis=2)

    def _log_prob_arrays(self, Y: Any, observed: Any) -> Any:
        return -observed.sum(axis=(1, 2))

    def _sample_arrays(self, n_trials: int, n_bins: int, rng: Any) -> Any:
        n = int(self.kept_.sum())
        return rng.poisson(1.0, (n_trials, n_bins, n)), np.zeros((n_trials, n_bins, 1))


@pytest.fixture
def trials() -> xr.DataArray:
    return simulate_linear_dynamics(6, 20, 8).responses


def test_the_hooks_see_what_was_observed_and_zero_elsewhere(trials: xr.DataArray) -> None:
    X = trials.copy()
    X[0, 0, 3] = np.nan
    mask = np.arange(8) == 2
    read = read_trials(X, mask)
    assert not read.observed[0, 3, 0]
    assert not read.observed[..., 2].any()
    assert (read.Y[~read.observed] == 0).all()
    assert read.labels.bin_size == pytest.approx(0.02)


def test_bins_outside_valid_are_not_observed_and_come_back_as_nan(trials: xr.DataArray) -> None:
    valid = np.ones((6, 20), dtype=bool)
    valid[1, 15:] = False
    X = trials.assign_coords(valid=(("sample", "time"), valid))
    found = Mean().fit(X).transform(X)
    np.testing.assert_array_equal(np.isfinite(found.values[..., 0]), valid)
    assert "valid" in found.coords


def test_bins_of_a_run_are_taken_in_order_of_onset(rng: np.random.Generator) -> None:
    order = rng.permutation(12)
    coords = {"run": ("sample", np.repeat(["a", "b"], 6)[order]),
              "onset": ("sample", np.tile(np.arange(6.0), 2)[order])}  # fmt: skip
    values = np.arange(24.0).reshape(12, 2)[order]
    X = xr.DataArray(values, dims=("sample", "neuroid"), coords=coords)
    read = read_trials(X)
    assert (np.diff(read.Y, axis=1) > 0).all()
    np.testing.assert_array_equal(Mean().fit(X).predict_rates(X)[:, 0], values.mean(axis=1))
    assert sorted(Mean().fit(X).log_prob(X)["run"].values) == ["a", "b"]


def test_constant_units_are_named_left_out_and_given_their_mean(trials: xr.DataArray) -> None:
    X = trials.copy()
    X[:, 3] = 2.0
    with pytest.warns(NeuroalignWarning, match=r"X: expected units that vary, got 1 .*neuron-003"):
        model = Mean().fit(X)
    assert model.seen_.neuroid.tolist() == [f"neuron-{i:03d}" for i in (0, 1, 2, 4, 5, 6, 7)]
    assert (model.predict_rates(X)[:, 3] == 2.0).all()
    assert (model.sample(2, 5)[0][:, 3] == 2.0).all()
    assert len(model.warnings_) == 1


def test_a_fit_that_is_not_finite_is_refused(trials: xr.DataArray) -> None:
    with pytest.raises(FitError, match=r"Mean: expected a finite 'objective', got nan"):
        Mean(last=np.nan).fit(trials)
    with pytest.raises(FitError, match=r"Mean: expected finite parameters, got NaN"):
        Mean(weight=np.inf).fit(trials)


def test_score_hides_a_quarter_and_is_in_bits_for_counts(trials: xr.DataArray) -> None:
    counts = Mean().fit(trials)
    signals = Mean().fit(trials - 0.5)
    assert counts.counts_
    assert not signals.counts_
    assert counts.score(trials) != signals.score(trials - 0.5)
    assert counts.score(trials) == counts.score(trials)


def test_one_trial_is_enough(trials: xr.DataArray) -> None:
    assert Mean().fit(trials[:1]).transform(trials[:1]).sizes["sample"] == 1


def test_bits_are_the_formula_by_hand(rng: np.random.Generator) -> None:
    y, r, null = rng.poisson(2.0, (30, 4)), rng.gamma(2.0, 1.0, (30, 4)), np.array([1.0, 2, 3, 4])
    gain = (y * np.log(r / null) - r + null).sum() / y.sum() / np.log(2)
    assert score_entries(y.astype(float), r, null, counts=True) == pytest.approx(gain)


def test_faults_of_reading_are_named(trials: xr.DataArray) -> None:
    model = Mean().fit(trials)
    faults: list[tuple[Any, Any, str]] = [
        (trials.transpose("sample", "time", "neuroid"), None, r"X: expected dims"),
        (np.zeros(4), None, r"X: expected \(sample, neuroid, time\)"),
        (trials.where(trials > 0, np.inf), None, r"X: expected finite values or NaN"),
        (trials, np.zeros(3, bool), r"mask: expected bool of shape"),
        (trials, np.zeros(8), r"mask: expected bool of shape"),
        ([], None, r"X: expected a list of arrays"),
        ([np.ones((2, 3)), np.ones((3, 3))], None, r"X: expected the same neuroids in each"),
        ([np.ones((8, 3))], [None, None], r"mask: expected one mask for each of 1"),
        (trials[:, :5], None, r"X: expected the 8 units of fit, got 5"),
        (trials[:, ::-1], None, r"X: expected the units of fit in their order"),
        (trials[:, :, ::2], None, r"X: expected bins of 0.02 s as in fit, got 0.04"),
    ]
    for X, mask, message in faults:
        with pytest.raises(SchemaError, match=message):
            model.transform(X, mask=mask)


def test_nothing_to_fit_is_refused(trials: xr.DataArray) -> None:
    with pytest.raises(ValueError, match=r"X: expected units that vary, got 8"):
        Mean().fit(xr.ones_like(trials))
    with pytest.raises(ValueError, match=r"X: expected trials of at least 2 bins, got 1"):
        Mean().fit(trials[:, :, :1])
