"""GPFA: the joint Gaussian by brute force, planted latents, ragged trials, elephant, real data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

from neuroalign.errors import FitError, SchemaError
from neuroalign.latents import GPFA, FactorAnalysis
from neuroalign.latents._factors import Factors
from neuroalign.latents._gaussian_process import invert_large, make_prior
from neuroalign.loaders import load_epochs, load_nwb
from neuroalign.storage import load, save

# Few steps are enough here; models rightly say when they are too few.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(max_iter|epochs). expected to converge:neuroalign.errors.NeuroalignWarning"
)


def simulate(
    seed: int, n_trials: int = 40, n_units: int = 20, n_bins: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """Trials (trial, unit, time) and latents (trial, time, 2) of 4 and 12 bins."""
    rng = np.random.default_rng(seed)
    roots = [np.linalg.cholesky(make_prior(tau, n_bins)[0]) for tau in (4.0, 12.0)]
    Z = np.stack([(root @ rng.normal(size=(n_bins, n_trials))).T for root in roots], axis=-1)
    Y = Z @ rng.normal(size=(2, n_units)) + 0.6 * rng.normal(size=(n_trials, n_bins, n_units)) + 2
    return np.swapaxes(Y, 1, 2), Z


def explain(found: np.ndarray, known: np.ndarray) -> float:
    """Worst affine R2 of a known latent from all found, fitted on the first half of the trials."""
    half = len(known) // 2 * known.shape[1]
    known, found = known.reshape(-1, 2), found.reshape(-1, 2)
    full = np.column_stack([found, np.ones(len(found))])
    weights = np.linalg.lstsq(full[:half], known[:half], rcond=None)[0]
    rest = known[half:] - full[half:] @ weights
    return float((1 - rest.var(axis=0) / known[half:].var(axis=0)).min())


def join(model: GPFA, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a whole trial (unit-major), term by term."""
    p = {key: model.params_[key].values for key in model.params_}
    total = np.kron(np.diag(p["noise"]), np.eye(n_bins))
    for column, tau in zip(p["loadings"].T, p["timescale"], strict=True):
        total += np.kron(np.outer(column, column), make_prior(float(tau), n_bins)[0])
    return np.repeat(p["offset"], n_bins), total


def test_the_likelihood_equals_the_joint_gaussian() -> None:
    X, _ = simulate(0, n_trials=12, n_units=5, n_bins=8)
    model = GPFA(2, max_iter=10).fit(X)
    known = multivariate_normal(*join(model, 8)).logpdf(X.reshape(12, -1))
    np.testing.assert_allclose(np.asarray(model.log_prob(X)), known, rtol=1e-9)


def test_hidden_entries_are_predicted_as_by_the_joint_gaussian() -> None:
    X, _ = simulate(1, n_trials=12, n_units=5, n_bins=8)
    model = GPFA(2, max_iter=10).fit(X)
    hidden = np.zeros(X.shape, bool)
    hidden[:, 2], hidden[3, :, 4:6], hidden[5, :, 6:] = True, True, True
    mean, total = join(model, 8)
    rates, scores = model.predict_rates(X, mask=hidden), model.log_prob(X, mask=hidden)
    for trial in (0, 3, 5):
        away, values = hidden[trial].ravel(), X[trial].ravel()
        inner = total[np.ix_(~away, ~away)]
        known = mean[away] + total[np.ix_(away, ~away)] @ np.linalg.solve(
            inner, values[~away] - mean[~away]
        )
        np.testing.assert_allclose(rates[trial].ravel()[away], known, atol=1e-8)
        exact = multivariate_normal(mean[~away], inner).logpdf(values[~away])
        assert float(scores[trial]) == pytest.approx(exact)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_latents_and_timescales_come_back(seed: int) -> None:
    X, Z = simulate(seed)
    model = GPFA(2, max_iter=100).fit(X)
    assert explain(model.transform(X), Z) > 0.95
    np.testing.assert_allclose(np.sort(model.params_["timescale"]), [4, 12], rtol=0.25)
    assert np.min(np.diff(model.history_["objective"])) > -1e-6


def test_ragged_trials_are_fitted_and_end_where_they_end() -> None:
    X, Z = simulate(3)
    X[::2, :, 25:] = np.nan
    model = GPFA(2, max_iter=60).fit(X)
    found = model.transform(X)
    assert np.isnan(found[0, 25:]).all()
    assert np.isfinite(found[1]).all()
    assert explain(found[:, :25], Z[:, :25]) > 0.93


def test_no_step_away_from_the_fit_is_likelier_with_entries_missing(
    rng: np.random.Generator,
) -> None:
    """The gradient by differences, of a likelihood known to be exact, vanishes at the end."""
    X, _ = simulate(2, n_trials=20, n_units=8, n_bins=20)
    X[::2, :, 14:] = np.nan
    X[3, 2, 4:9] = np.nan
    model = GPFA(2, max_iter=400, tol=1e-10).fit(X)
    factors, timescales = model._factors, model._timescales
    peak = float(np.sum(model.log_prob(X)))
    assert peak == pytest.approx(model.history_["objective"][-1])
    for _ in range(10):
        step = [0.02 * rng.normal(size=part.shape) for part in (*factors, timescales)]
        sides = []
        for sign in (1, -1):
            C, d, noise, logs = (sign * one for one in step)
            model._factors = type(factors)(
                factors.loadings + C, factors.mean + d, factors.noise * np.exp(noise)
            )
            model._timescales = timescales * np.exp(logs)
            sides.append(float(np.sum(model.log_prob(X))))
        assert max(sides) < peak


def test_passes_are_few_and_the_likelihood_never_falls() -> None:
    for seed in range(3):
        model = GPFA(2, max_iter=300, tol=1e-8).fit(simulate(seed)[0])
        history = np.array(model.history_["objective"])
        assert model.converged_
        assert len(history) < 100
        assert (np.diff(history) >= 0).all()


@pytest.mark.parametrize(("counts", "scale"), [(True, "sqrt"), (False, "none")])
def test_counts_are_rooted_unless_told_otherwise(counts: bool, scale: str) -> None:
    X = np.random.default_rng(0).poisson(3.0, size=(6, 5, 12)) + (0.0 if counts else 0.5)
    one, other = (GPFA(1, scale=s, max_iter=3).fit(X) for s in ("auto", scale))
    assert one.scale_ == scale
    assert one.history_ == other.history_
    assert GPFA(1, scale="none", max_iter=3).fit(X).scale_ == "none"


def test_order_of_trials_does_not_matter() -> None:
    X, _ = simulate(0, n_trials=10)
    X[3, :, 30:] = np.nan
    one, other = (GPFA(2, max_iter=5).fit(x).params_["noise"] for x in (X, X[::-1]))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_times_give_timescales_in_seconds() -> None:
    X, _ = simulate(0)
    times = xr.DataArray(
        X, dims=("sample", "neuroid", "time"), coords={"time": 0.02 * np.arange(40)}
    )
    bins, seconds = (GPFA(2, max_iter=8).fit(x).params_["timescale"] for x in (X, times))
    np.testing.assert_allclose(seconds.values, 0.02 * bins.values, rtol=1e-9)


def test_roots_of_counts_give_counts_back() -> None:
    rng = np.random.default_rng(0)
    _, Z = simulate(4)
    rates = np.exp(0.5 * Z @ rng.normal(size=(2, 20)) + 1)
    counts = np.swapaxes(rng.poisson(rates), 1, 2).astype(float)
    model = GPFA(2, scale="sqrt", max_iter=40).fit(counts)
    found = np.swapaxes(model.predict_rates(counts), 1, 2)
    assert np.corrcoef(found.ravel(), rates.ravel())[0, 1] > 0.9
    assert found.mean() == pytest.approx(counts.mean(), rel=0.03)
    assert model.score(counts) > 0.1


def test_orthonormal_latents_rebuild_the_same_responses() -> None:
    X, _ = simulate(5)
    labelled = xr.DataArray(X, dims=("sample", "neuroid", "time"))
    model = GPFA(2, max_iter=10).fit(labelled)
    latents = model.transform(labelled)
    turned = model.orthonormalize(latents).values.reshape(-1, 2)
    signal = latents.values.reshape(-1, 2) @ model.params_["loadings"].values.T
    basis = np.linalg.svd(model.params_["loadings"].values, full_matrices=False)[0]
    np.testing.assert_allclose(turned @ basis.T, signal, atol=1e-9)


def test_parameters_survive_storage(tmp_path: Path) -> None:
    model = GPFA(2, max_iter=3).fit(simulate(0)[0])
    save(model.params_, tmp_path / "gpfa.nc")
    assert load(tmp_path / "gpfa.nc")["timescale"].equals(model.params_["timescale"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_latents": 20}, "n_latents: expected an integer from 1 to 19, got 20"),
        ({"scale": "log"}, "scale: expected one of 'auto', 'none', 'sqrt', got 'log'"),
        ({"timescale": 0}, "timescale: expected a number > 0, got 0"),
        ({"max_iter": 0}, "max_iter: expected an integer >= 1, got 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPFA(**{"n_latents": 2, **options}).fit(simulate(0)[0])


def test_wrong_inputs_are_named(rng: np.random.Generator) -> None:
    with pytest.raises(SchemaError, match="X: expected counts >= 0 for scale='sqrt', got -"):
        GPFA(2, scale="sqrt").fit(simulate(0)[0])
    with pytest.raises(ValueError, match="X: expected latents x bins of the longest trial up to"):
        GPFA(2).fit(rng.normal(size=(5000, 4)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_unsound_fit_is_never_kept() -> None:
    X = 1e200 * simulate(0, n_trials=4)[0]
    with pytest.raises(FitError, match="GPFA: expected a finite"):
        GPFA(2).fit(X)
    with pytest.raises(FitError, match="GPFA: expected finite, positive definite covariances"):
        invert_large(np.diag([1.0, -1.0]))


def test_inverses_and_determinants_are_those_of_numpy(rng: np.random.Generator) -> None:
    root = rng.normal(size=(6, 9))
    inverse, logdet = invert_large(root @ root.T)
    np.testing.assert_allclose(inverse, np.linalg.inv(root @ root.T), rtol=1e-9)
    assert logdet == pytest.approx(np.linalg.slogdet(root @ root.T)[1])


def test_the_likelihood_is_that_of_elephant_and_ends_no_lower() -> None:
    core = pytest.importorskip("elephant.gpfa.gpfa_core")
    X, _ = simulate(6, n_trials=15)
    rows = [(number, 40, trial) for number, trial in enumerate(X)]
    sequences = np.array(rows, dtype=[("trialId", int), ("T", int), ("y", "O")])
    start = {"bin_width": 20.0, "min_var_frac": 0.001, "em_max_iters": 50, "verbose": False}
    theirs = core.fit(sequences, 2, **start)[0]
    found, peer = core.exact_inference_with_ll(sequences, theirs)
    model = GPFA(2, max_iter=50).fit(X)
    assert model.history_["objective"][-1] > peer
    latents = np.stack([one.T for one in found["latent_variable"]])
    assert explain(model.transform(X), latents) > 0.98
    model._factors = Factors(theirs["C"], theirs["d"], np.diag(theirs["R"]))
    model._timescales = theirs["gamma"] ** -0.5
    assert float(np.sum(model.log_prob(X))) == pytest.approx(peer, rel=1e-9)
    np.testing.assert_allclose(model.transform(X), latents, atol=1e-7)


def test_smooth_latents_of_the_n400_predict_hidden_channels(real_data: Path) -> None:
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        epochs = load_epochs(real_data / "eeg_n400_wordpairs" / "subject04-epo.fif")
    X = epochs[:60, ::3].sel(time=slice(0, 0.8)).coarsen(time=8, boundary="trim").mean()
    values = X.values.astype(float)
    X = X.copy(data=values / values.std(axis=(0, 2), keepdims=True))
    rng = np.random.default_rng(0)
    flat = rng.permuted(np.swapaxes(X.values, 1, 2).reshape(-1, X.shape[1]), axis=0)
    shuffled = X.copy(data=np.swapaxes(flat.reshape(60, -1, X.shape[1]), 1, 2))
    real, null = (GPFA(3, max_iter=20).fit(x[:40]).score(x[40:]) for x in (X, shuffled))
    assert real > 0.4
    assert null < 0.05


def test_one_course_tells_a_hidden_cell_from_two_others(real_data: Path) -> None:
    path = real_data / "nwb_pynapple_A8604" / "A8604-211122.nwb"
    counts = load_nwb(path, intervals="epochs", window=(0, 1000), bin_width=0.5).values[0]
    shuffled = np.random.default_rng(0).permuted(counts, axis=1)
    real, null = (
        GPFA(1, scale="sqrt", max_iter=40).fit(x[:28]).score(x[28:])
        for x in (one.reshape(3, 40, 50).swapaxes(0, 1) for one in (counts, shuffled))
    )
    assert real > 0.015
    assert null < 0.005


def test_the_default_start_is_as_good_as_the_best_of_its_own() -> None:
    rng = np.random.default_rng(4)
    courses = np.stack([make_prior(0.9, 60)[0]] * 2)
    Z = np.linalg.cholesky(courses) @ rng.normal(size=(2, 60, 30))
    Y = np.einsum("ktn,ku->nut", Z, rng.normal(size=(2, 12)))
    X = Y + 2.0 * rng.normal(size=Y.shape)
    slow, short, found = (GPFA(2, timescale=t).fit(X) for t in (5.0, 1.0, None))
    scores = [one.history_["objective"][-1] for one in (slow, short, found)]
    assert scores[2] > max(scores[:2]) - 0.5
    np.testing.assert_allclose(found.params_["timescale"], 0.9, rtol=0.2)
    assert (np.diff(found.history_["objective"]) >= -1e-6).all()
    assert found.n_iter_ <= 200


def test_default_processes_of_human_units_beat_factors(real_data: Path) -> None:
    """Processes of no width are factors: they can never be worse."""
    path = real_data / "nwb_human_mtl_zheng2022" / "sub-4_ses-4_ecephys+image.nwb"
    X = load_nwb(path, intervals="encoding_table", window=(0, 4), bin_width=0.1)
    found = GPFA(3, scale="none").fit(X)
    assert found.converged_
    slow, factors = GPFA(3, scale="none", timescale=0.5).fit(X), FactorAnalysis(3).fit(X)
    assert found.history_["objective"][-1] > slow.history_["objective"][-1] + 50
    assert float(found.log_prob(X).sum()) > float(factors.log_prob(X).sum())
