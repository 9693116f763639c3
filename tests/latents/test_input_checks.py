"""Clocks, units, labels and kinds of input that would give numbers without meaning are refused."""

from typing import Any, cast

import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import PCA

from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.latents import (
    GPFA,
    HMM,
    MMGPVAE,
    DemixedPCA,
    DynamicConnectome,
    DynamicModes,
    FactorAnalysis,
    Hyperalignment,
    KoopmanAutoencoder,
    LinearDynamics,
    PoissonGPFA,
    ReducedRankRegression,
    SharedResponse,
    align_latents,
    correlate_matched,
    cosmooth,
    forecast,
    measure_angles,
    score_latents,
    score_recovery,
    score_states,
)
from neuroalign.loaders import simulate_gaussian_processes
from neuroalign.report import plot_eigenvalues, plot_motifs, plot_rates, plot_score_report


@pytest.fixture(scope="module")
def made() -> Any:
    return simulate_gaussian_processes(12, 30, 16, 3, seed=0)


def lay_bins(onset: np.ndarray, run: str = "run-01") -> xr.DataArray:
    rng = np.random.default_rng(0)
    coords = {"onset": ("sample", onset), "run": ("sample", np.full(len(onset), run))}
    values = rng.poisson(2.0, size=(len(onset), 6)).astype(float)
    return xr.DataArray(values, dims=("sample", "neuroid"), coords=coords)


HOLE = np.delete(0.1 * np.arange(60), np.arange(10, 20))


@pytest.mark.parametrize("model", [GPFA(1), HMM(2), LinearDynamics(1), DynamicModes(2)])
def test_a_hole_between_bins_is_not_joined(model: Any) -> None:
    words = r"X: expected the bins of run 'run-01' 0.1 s apart, got a step of 1.1 s after onset 0.9"
    with pytest.raises(SchemaError, match=words):
        model.fit(lay_bins(HOLE))


def test_models_without_time_take_bins_with_holes_and_clocks_that_drift() -> None:
    assert FactorAnalysis(1, tol=1e-4).fit(lay_bins(HOLE)).converged_
    drift = 0.1 * np.arange(60) * (1 + 1e-3 * np.sin(np.arange(60)))
    assert DynamicModes(2).fit(lay_bins(drift)).time_step_ == pytest.approx(0.1, rel=0.05)


CLOCKS: dict[str, Any] = {
    "gap": lambda X: X.isel(time=np.r_[0:10, 15:30]),
    "reversed": lambda X: X.isel(time=slice(None, None, -1)),
    "permuted": lambda X: X.isel(time=np.random.default_rng(0).permutation(30)),
}


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("model", [GPFA(2), HMM(2), DynamicModes(2)])
def test_times_out_of_step_are_refused(made: Any, clock: str, model: Any) -> None:
    with pytest.raises(SchemaError, match="X: expected times that rise by one step, got .* after"):
        model.fit(CLOCKS[clock](made.responses))


def test_a_fitted_model_refuses_times_out_of_step(made: Any) -> None:
    model = GPFA(2, timescale=0.1).fit(made.responses)
    with pytest.raises(SchemaError, match="X: expected times that rise by one step"):
        model.transform(CLOCKS["reversed"](made.responses))


def test_times_in_milliseconds_are_refused(made: Any) -> None:
    X = made.responses.assign_coords(time=1e3 * made.responses["time"].values)
    X.attrs["sampling_rate"] = 50.0
    with pytest.raises(SchemaError, match="got bins of 20 s where sampling_rate says 0.02 s"):
        GPFA(2).fit(X)


@pytest.mark.parametrize("model", [GPFA(2), HMM(2)])
def test_trials_without_time_are_no_series(made: Any, model: Any) -> None:
    X = made.responses.sum("time")
    with pytest.raises(SchemaError, match="got trials without either. Average models: FactorAn"):
        model.fit(X)
    assert FactorAnalysis(2).fit(X).transform(X).shape == (12, 2)


COUNTERS = [
    PoissonGPFA(2), HMM(2, emission="poisson"), LinearDynamics(2, observations="poisson"),
    MMGPVAE(),
]  # fmt: skip


@pytest.mark.parametrize("model", COUNTERS, ids=lambda one: type(one).__name__)
def test_rates_are_no_counts(made: Any, model: Any) -> None:
    X = (50.0 * made.responses).assign_attrs(units="Hz")
    with pytest.raises(SchemaError, match="expected counts per bin, got units 'Hz'. Multiply"):
        model.fit(X)
    assert not FactorAnalysis(2).fit(X).counts_
    assert cosmooth(FactorAnalysis(2), X, n_splits=2).attrs["metric"] == "variance explained"


def shift(X: xr.DataArray) -> xr.DataArray:
    return X.assign_coords(time=X["time"].values + 5.0)


def test_latents_of_other_trials_or_times_are_not_compared(made: Any) -> None:
    z = made.truth["latents"]
    for other in (z.isel(sample=slice(None, None, -1)), shift(z)):
        for compare in (align_latents, correlate_matched):
            with pytest.raises(AlignError, match="fitted: expected the (trials|'time') of refer"):
                compare(other, z)
        with pytest.raises(AlignError, match="fitted: expected the (trials|'time') of reference"):
            score_recovery(other, z, slice(6), slice(6, 12))


def test_loadings_of_other_neuroids_are_not_compared() -> None:
    first = xr.DataArray(
        np.eye(4)[:, :2], dims=("neuroid", "latent"), coords={"neuroid": [*"abcd"]}
    )
    with pytest.raises(SchemaError, match="second: expected the units of fit in their order"):
        measure_angles(first, first.isel(neuroid=[1, 0, 2, 3]))
    assert measure_angles(first, first).max() == pytest.approx(0.0, abs=1e-5)


def test_scores_stand_beside_behaviour_and_truth_of_the_same_trials(made: Any) -> None:
    X, model = made.responses, FactorAnalysis(2)
    turned = made.truth.isel(neuroid=slice(None, None, -1))
    with pytest.raises(AlignError, match="behaviour: expected the 'time' of X"):
        score_latents(model, X, shift(made.behaviour), n_splits=2)
    with pytest.raises(AlignError, match=r"truth\['rates'\]: expected the 'neuroid' of X"):
        score_latents(model, X, truth=turned, n_splits=2)
    with pytest.raises(SchemaError, match=r"truth: expected a Dataset .*Pass sim.truth"):
        score_latents(model, X, truth=made, n_splits=2)


def lay_trials(names: str) -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(40, len(names)))
    return xr.DataArray(values, dims=("sample", "neuroid"), coords={"neuroid": [*names]})


@pytest.mark.parametrize("model", [SharedResponse(2), Hyperalignment()])
def test_maps_of_subjects_know_their_neuroids(model: Any) -> None:
    X = {"a": lay_trials("abcd"), "b": lay_trials("abcd")}
    model.fit(X)
    with pytest.raises(SchemaError, match="b: expected the units of fit in their order"):
        model.transform({"b": X["b"].isel(neuroid=[1, 0, 2, 3])})
    with pytest.raises(SchemaError, match="b: expected the 4 neuroids of fit, got 3"):
        model.transform({"b": X["b"].values[:, :3]})


def test_decoders_modes_and_maps_know_their_neuroids(made: Any) -> None:
    X = made.responses.assign_coords(stimulus=("sample", np.repeat(["a", "b"], 6)))
    turned = X.isel(neuroid=slice(None, None, -1))
    words = "X: expected the units of fit in their order"
    with pytest.raises(SchemaError, match=words):
        DemixedPCA(["stimulus"], 1, penalty=0.1).fit(X).transform(turned)
    with pytest.raises(SchemaError, match=words):
        DynamicModes(2).fit(X).predict(turned)
    area = lay_trials("abcd")
    with pytest.raises(SchemaError, match=words):
        ReducedRankRegression(1).fit(area, area).predict(area.isel(neuroid=[1, 0, 2, 3]))


def test_states_are_whole_numbers() -> None:
    with pytest.raises(SchemaError, match=r"fitted: expected whole numbers, got 0.4. Of probab"):
        score_states([0.4, 0.6, 1.5], [0, 1, 1])
    assert score_states([0.0, 1.0, np.nan], [1, 0, 0]) == (1.0, {0: 1, 1: 0})


def test_levels_that_are_too_few_and_ranks_that_are_too_high_are_told(made: Any) -> None:
    X = made.responses.assign_coords(a=("sample", np.full(12, "x")))
    with pytest.raises(SchemaError, match="factors: expected at least 2 levels, got 1 of 'a'"):
        DemixedPCA(["a"]).fit(X)
    with pytest.raises(SchemaError, match=r"factors: .* got 'stimulus'. Pass \['stimulus'\]"):
        DemixedPCA("stimulus").fit(X)
    with pytest.warns(NeuroalignWarning, match="rank: expected at most the 16 modes .* got 99"):
        DynamicModes(99).fit(X)
    area = lay_trials("abcd")
    with pytest.warns(NeuroalignWarning, match="rank: expected at most 4 .* got 9. rank_ is 4"):
        ReducedRankRegression(9).fit(area, area)


def test_an_empty_cell_is_named_by_its_levels(made: Any) -> None:
    a, b = np.repeat(["x", "y"], 6), np.r_[np.repeat(["u", "v"], 3), np.full(6, "u")]
    X = made.responses.assign_coords(a=("sample", a), b=("sample", b))
    with pytest.raises(SchemaError, match=r"got fewer of a='y', b='v'\. Drop levels\.$"):
        DemixedPCA(["a", "b"]).fit(X)


def test_labelled_masks_have_the_labels_of_the_recording(made: Any) -> None:
    X = made.responses
    mask = X.copy(data=np.zeros(X.shape, bool))
    with pytest.raises(AlignError, match="mask: expected the 'neuroid' of X"):
        FactorAnalysis(2).fit(X, mask=mask.isel(neuroid=slice(None, None, -1)))
    with pytest.raises(SchemaError, match=r"mask: expected dims .*got \('time', 'neuroid', 'sam"):
        FactorAnalysis(2).fit(X, mask=mask.T)
    assert FactorAnalysis(2).fit(X, mask=mask).converged_


INPUTS: dict[str, Any] = {
    "simulation": (lambda made: made, "got LatentSimulation. Pass sim.responses"),
    "dict": (lambda made: {"a": made.responses}, "X: expected one recording .* got dict"),
    "objects": (lambda made: np.array([[None, 1], [2, 3]]), "X: expected numbers, got dtype obj"),
    "spike times": (lambda made: [np.arange(3.0), np.arange(4.0)], "Spike times. Bin them: loader"),
    "nothing seen": (lambda made: np.full((3, 4, 5), np.nan), "got no observed value"),
}


@pytest.mark.parametrize("case", INPUTS)
def test_what_is_no_recording_is_refused_with_a_remedy(made: Any, case: str) -> None:
    make, words = INPUTS[case]
    with pytest.raises(ValueError, match=words):
        FactorAnalysis(2).fit(make(made))


STRANGERS: dict[str, Any] = {
    "modes": (
        DynamicModes(2),
        "model: expected a LatentModel, got DynamicModes. Pass the model fi",
    ),
    "library": (PCA(2), "model: expected a LatentModel, got PCA"),
    "class": (GPFA, r"model: expected a LatentModel, got the class GPFA. Pass GPFA\(...\)"),
    "swapped": (np.zeros((3, 4, 5)), "model: expected a LatentModel, got ndarray. Pass the model"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_what_is_no_model_cannot_be_scored(made: Any, case: str) -> None:
    model, words = STRANGERS[case]
    with pytest.raises(ValueError, match=words):
        cosmooth(model, made.responses)
    with pytest.raises(ValueError, match=words):
        forecast(model, made.responses, n_ahead=3)


def test_a_group_that_is_absent_names_those_of_samples(made: Any) -> None:
    with pytest.raises(
        ValueError, match="group: expected one of 'stimulus', 'repeat', got 'session'"
    ):
        cosmooth(FactorAnalysis(2), made.responses, group="session")


def test_gaussian_states_of_small_counts_are_advised_against() -> None:
    counts = np.random.default_rng(0).poisson(1.0, size=(4, 5, 30))
    with pytest.warns(NeuroalignWarning, match="emission: .* got small counts.*'poisson'"):
        HMM(1).fit(counts)
    assert HMM(1).fit(counts + 0.5).warnings_ == []
    assert HMM(1).fit(1000 * counts).warnings_ == []


def test_predictions_are_not_drawn_as_data(made: Any) -> None:
    rates = FactorAnalysis(2).fit(made.responses).predict_rates(made.responses)
    with pytest.raises(SchemaError, match="responses: expected what was recorded, got predicted"):
        plot_rates(made.responses, rates)
    assert plot_rates(rates, made.responses).axes


def test_every_model_says_that_it_stopped_early(made: Any) -> None:
    X = made.responses
    brief = [GPFA(2, max_iter=2), PoissonGPFA(2, max_iter=2), FactorAnalysis(2, max_iter=2)]
    for model in [*brief, HMM(2, emission="poisson", max_iter=2), LinearDynamics(2, max_iter=2)]:
        with pytest.warns(NeuroalignWarning, match="max_iter: expected to converge, got a gain ab"):
            model.fit(X)
        assert any("max_iter: expected to converge" in line for line in model.warnings_)
    with pytest.warns(NeuroalignWarning, match="epochs: expected to converge, got a gain above"):
        MMGPVAE(epochs=2, tol=0.0).fit(X)


def test_warnings_of_folds_are_said_once(made: Any) -> None:
    model = FactorAnalysis(2, max_iter=2)
    with pytest.warns(NeuroalignWarning, match="max_iter: expected to converge") as said:
        cosmooth(model, made.responses, n_splits=3)
    assert len(said) == 1
    with pytest.warns(NeuroalignWarning, match="max_iter: expected to converge") as said:
        forecast(model, made.responses, n_ahead=3, n_splits=3)
    assert len(said) == 1


def test_folds_that_cannot_be_made_are_told_and_counted(made: Any) -> None:
    with pytest.warns(NeuroalignWarning, match="n_splits: expected at most the 12 trials, got 100"):
        found = cosmooth(FactorAnalysis(2), made.responses, n_splits=100)
    assert found.attrs["n_splits"] == found.sizes["fold"] == 12
    with pytest.raises(ValueError, match="X: expected at least 2 trials or a longer run, got 1 t"):
        cosmooth(FactorAnalysis(2), made.responses[:1], n_splits=3)


def test_signals_have_no_number_of_spikes(made: Any) -> None:
    found = cosmooth(FactorAnalysis(2), made.responses + 0.5, n_splits=2)
    assert "n_spikes" not in found
    assert cosmooth(FactorAnalysis(2), made.responses, n_splits=2)["n_spikes"].sum() > 0


def test_long_trials_of_processes_are_told_to_be_slow(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuroalign.latents.gpfa.LONG", 50)
    with pytest.warns(NeuroalignWarning, match="X: expected latents x bins .* up to 50, got 60"):
        GPFA(2).fit(made.responses)


def test_constant_subjects_are_named() -> None:
    X = {"a": lay_trials("abcd").values, "b": np.ones((40, 4))}
    with pytest.raises(SchemaError, match="X: expected samples that differ .* constants in 'b'"):
        SharedResponse(2).fit(X)


def test_figures_of_models_say_what_to_pass() -> None:
    with pytest.raises(SchemaError, match="atlas: .* got DynamicConnectome. Pass model.factors_"):
        plot_motifs(DynamicConnectome())
    with pytest.raises(SchemaError, match=r"eigenvalues: .* got DynamicModes, a model. Pass model"):
        plot_eigenvalues(DynamicModes(2))
    with pytest.raises(SchemaError, match="result: expected a Dataset, got dict. Pass what l"):
        plot_score_report(cast(Any, {}))


def test_a_subject_without_samples_is_told_to_keep_them(made: Any) -> None:
    X = made.responses.assign_coords(neuroid=[f"cell-{i}" for i in range(16)])
    with pytest.raises(SchemaError, match=r"X\['a'\]: expected dims .*Keep sample: X\[\[0\]\]"):
        DynamicConnectome().fit({"a": X[0], "b": X[1]})


def test_parameters_name_latents_as_transform_does(made: Any) -> None:
    for model in (FactorAnalysis(2), GPFA(2), PoissonGPFA(2, timescale=0.1)):
        fitted = model.fit(made.responses)
        names = fitted.transform(made.responses)["latent"].values.tolist()
        assert fitted.params_["latent"].values.tolist() == names


def test_latents_of_two_modalities_bear_their_groups(made: Any) -> None:
    model = MMGPVAE(epochs=2, tol=10.0).fit(made.responses, made.behaviour)
    found = model.transform(made.responses)["group"].values.tolist()
    assert found == ["neural", "shared", "behaviour"]


def test_windows_and_rates_that_do_not_fit_are_told(made: Any) -> None:
    brief: dict[str, Any] = {"hidden": (8,), "epochs": 5}
    with pytest.warns(NeuroalignWarning) as said:
        KoopmanAutoencoder(2, window=50, neighbours=40, learning_rate=100.0, **brief).fit(
            made.responses
        )
    lines = " ".join(str(one.message) for one in said)
    assert "window: expected at most the 30 bins of the longest trial, got 50" in lines
    assert "neighbours: expected fewer than the 30 bins of a window, got 40" in lines
    assert "learning_rate: expected the loss to fall, got one that rose" in lines
    assert "Raise epochs" not in lines
