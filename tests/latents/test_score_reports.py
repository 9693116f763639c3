"""A report of scores stands beside its controls and its oracle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import SchemaError
from neuroalign.latents import FactorAnalysis, score_latents
from neuroalign.loaders import simulate_gaussian_processes, simulate_linear_dynamics


@pytest.fixture(scope="module")
def made() -> Any:
    return simulate_gaussian_processes(60, 30, 32, 10, seed=0)


@pytest.fixture(scope="module")
def report(made: Any) -> xr.Dataset:
    return score_latents(
        FactorAnalysis(2), made.responses, made.behaviour, truth=made.truth, n_splits=3, n_ahead=5
    )


def test_the_report_follows_the_schema_and_comes_back_from_a_file(
    report: xr.Dataset, tmp_path: Path
) -> None:
    schema.check(report)
    storage.save(report, tmp_path / "report.nc")
    assert storage.load(tmp_path / "report.nc").identical(report)
    assert report["co_smoothing"].dims == ("fold", "split")


def test_shuffled_data_score_nothing_and_true_ones_near_the_oracle(report: xr.Dataset) -> None:
    assert report["co_smoothing_shuffled"].mean() == pytest.approx(0.0, abs=0.02)
    assert 0.6 < report.attrs["oracle_fraction"] < 1.0
    assert report["oracle"].mean() > report["co_smoothing"].mean()


def test_latents_tell_behaviour_and_shuffled_behaviour_cannot_be_told(report: xr.Dataset) -> None:
    assert report["behaviour"].mean() > 0.1
    assert (report["behaviour_shuffled"] < 0.02).all()


class Told(FactorAnalysis):
    """Its one latent is what it was told, in the trials it was told of: decodable by design."""

    supervised_ = True

    def _fit_with(self, Y: Any, observed: Any, labels: Any, y: Any) -> None:
        super()._fit_arrays(Y, observed, labels)
        self._memory = {
            trial.tobytes(): told[0] for trial, told in zip(Y, np.asarray(y), strict=True)
        }

    def _infer_arrays(self, Y: Any, observed: Any) -> Any:
        guess = super()._infer_arrays(Y, observed)[..., :1]
        known = [self._memory.get(trial.tobytes()) for trial in Y]
        return np.stack([g if k is None else k[:, None] for g, k in zip(guess, known, strict=True)])


def test_a_supervised_model_is_also_fitted_to_shuffled_behaviour(made: Any) -> None:
    told: list[np.ndarray] = []

    class Spy(Told):
        def _fit_with(self, Y: Any, observed: Any, labels: Any, y: Any) -> None:
            told.append(np.asarray(y))
            super()._fit_with(Y, observed, labels, y)

    found = score_latents(Spy(1), made.responses, made.behaviour, n_splits=2, readout="model")
    first, control = told[-2:]
    assert not np.array_equal(first, control)
    np.testing.assert_array_equal(np.sort(first, axis=0), np.sort(control, axis=0))
    assert (found["behaviour_shuffled"] < 0.05).all()


def test_true_latents_of_the_spikes_are_recovered_and_that_of_behaviour_is_not(
    report: xr.Dataset,
) -> None:
    shared, neural, alone = report["recovery"].mean("fold").values
    assert min(shared, neural) > 0.6
    assert alone < 0.1


def test_rates_predict_the_means_of_other_trials_where_stimuli_repeat(
    rng: np.random.Generator,
) -> None:
    made = simulate_linear_dynamics(48, 30, 16, noise=0.005, seed=1)
    found = score_latents(FactorAnalysis(2), made.responses, n_splits=3)
    assert found["psth"].mean() > 0.15
    dealt = rng.permutation(made.responses["stimulus"].values)
    turned = made.responses.assign_coords(stimulus=("sample", dealt))
    worse = score_latents(FactorAnalysis(2), turned, n_splits=3)
    assert worse["psth"].mean() < found["psth"].mean()


def test_two_reports_are_the_same(made: Any, report: xr.Dataset) -> None:
    again = score_latents(
        FactorAnalysis(2), made.responses, made.behaviour, truth=made.truth, n_splits=3, n_ahead=5
    )
    xr.testing.assert_identical(again, report)


def test_other_trials_or_bins_are_refused(made: Any) -> None:
    with pytest.raises(SchemaError, match=r"behaviour: expected the 60 trials and 30 bins"):
        score_latents(FactorAnalysis(2), made.responses, made.behaviour[:9])
    with pytest.raises(SchemaError, match=r"truth\['rates'\]: expected the 60 trials"):
        score_latents(FactorAnalysis(2), made.responses, truth=made.truth.isel(time=slice(9)))


def test_a_continuous_run_is_scored_in_stretches(made: Any) -> None:
    bins = made.responses.values.transpose(0, 2, 1).reshape(-1, 32)
    found = score_latents(FactorAnalysis(2), bins, n_splits=3, gap=10, n_ahead=5)
    assert found["co_smoothing"].mean() > 0.2
    assert found.sizes["fold"] == 3
