"""Sentences say the score, its null, its control and its share of the oracle."""

import numpy as np
import xarray as xr

from neuroalign.latents import HMM, FactorAnalysis, LinearDynamics, score_latents
from neuroalign.loaders import (
    simulate_gaussian_processes,
    simulate_hidden_states,
    simulate_linear_dynamics,
)
from neuroalign.report.latent_verdicts import holds_states, judge_fit, judge_latents
from neuroalign.report.verdicts import state_verdict


def make_scores(**changed: object) -> xr.Dataset:
    parts = {
        "co_smoothing": (("fold", "split"), [[0.2], [0.4]]),
        "co_smoothing_shuffled": (("fold", "split"), [[0.0], [0.0]]),
        "oracle": (("fold", "split"), [[0.6], [0.6]]),
        "behaviour": ("fold", [0.1, 0.3]),
        "behaviour_shuffled": ("fold", [0.2, 0.4]),
    }
    attrs = {"kind": "estimate", "method": "latent scores", "model": "GPFA", "null": "train"}
    made = xr.Dataset(parts, attrs={**attrs, "metric": "bits per spike"})
    return made.assign_attrs(changed)


def test_scores_name_null_control_and_oracle() -> None:
    said = state_verdict(make_scores())
    assert said == (
        "GPFA: co-smoothing 0.300 ± 0.100 bits per spike beyond the mean of the training trials, "
        "above its shuffled control 0.000 in 2 of 2 folds, 50 % of the oracle 0.600; behaviour "
        "R² 0.200 (not above its shuffled control 0.300)."
    )


def test_without_control_and_oracle_the_sentence_says_so() -> None:
    said = state_verdict(make_scores(null="eval")[["co_smoothing"]])
    assert "beyond the mean of the test entries themselves, without a shuffled control." in said
    assert "oracle" not in said


def test_a_report_of_a_model_is_judged() -> None:
    made = simulate_gaussian_processes(20, 20, 16, seed=0)
    found = score_latents(FactorAnalysis(2), made.responses, truth=made.truth, n_splits=2)
    said = state_verdict(found)
    assert said.startswith(f"FactorAnalysis: co-smoothing {found.attrs['mean']:.3f}")
    assert f"{100 * found.attrs['oracle_fraction']:.0f} % of the oracle" in said
    assert "3 true latents recovered" in said


def test_rhythms_are_named_from_the_most_lasting() -> None:
    time = np.array([0.99, 0.9]) * np.exp(2j * np.pi * np.array([0.05, 0.2]))
    values = np.concatenate([time, time.conj(), [1.0]])
    parts = {"eigenvalue_real": ("mode", values.real), "eigenvalue_imag": ("mode", values.imag)}
    result = xr.Dataset(parts, attrs={"kind": "estimate", "method": "M", "time_step": 0.01})
    assert judge_fit(result) == (
        "M: 5 modes, the most lasting rhythms 5 Hz (decays in 0.995 s), 20 Hz (decays in "
        "0.0949 s); 1 modes do not decay."
    )


def test_parameters_of_fitted_models_are_judged() -> None:
    made = simulate_linear_dynamics(10, 30, 8, emission="gaussian", seed=0)
    model = LinearDynamics(2, max_iter=3, tol=1e9).fit(made.responses)
    assert state_verdict(model.params_).startswith("LinearDynamics: 2 modes")
    made = simulate_hidden_states(4, 60, 8, n_states=2, seed=0)
    model = HMM(2, emission="poisson", n_restarts=1).fit(made.responses)
    assert state_verdict(model.params_).startswith("HMM: 2 states that last ")


def test_states_are_told_from_other_latents() -> None:
    weights = np.array([[[0.9, 0.1], [0.7, 0.3], [np.nan, np.nan]]])
    states = xr.DataArray(weights, dims=("sample", "time", "latent"), attrs={"kind": "latents"})
    assert holds_states(states)
    assert not holds_states(states * 2)
    assert not holds_states(states - 1)
    assert state_verdict(states) == (
        "2 states (1 sample × 3 time × 2 latent): state-00 is the most frequent, 80 %."
    )
    assert judge_latents(states * 2) == "latents: 1 sample × 3 time × 2 latent."


def test_motifs_are_counted() -> None:
    parts = {
        "time_course": (("time", "component"), np.ones((5, 2))),
        "affinity": (("component", "neuroid", "neuroid_other"), np.ones((2, 3, 3))),
        "communities": (("component", "neuroid"), [[0, 0, 1], [0, -1, -1]]),
    }
    said = judge_fit(xr.Dataset(parts, attrs={"method": "connectome"}))
    assert said == "connectome: 2 motifs over 5 times, 3 neuroids; communities by motif: 2, 1."


def test_other_estimates_are_not_judged_here() -> None:
    assert judge_fit(xr.Dataset({"value": 1.0})) is None
