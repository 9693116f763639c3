"""Hidden Markov models against brute force, a peer, planted states and real recordings."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from scipy.optimize import linear_sum_assignment
from scipy.stats import multivariate_normal
from sklearn.base import clone

from neuroalign.errors import FitError, NeuroalignWarning
from neuroalign.latents._chain_fit import Options, fit_chain, take_bins
from neuroalign.latents._emissions import EMISSIONS, FullGaussian, Poisson
from neuroalign.latents._hmm import find_path, smooth, smooth_log
from neuroalign.latents.hmm import HMM
from neuroalign.loaders import load_epochs

FAMILIES = list(EMISSIONS)


def plant(emission: str, seed: int, n: int = 6, length: int = 300, units: int = 10) -> Any:
    """Four sticky states; trials (trial, unit, time) and the states (trial, time)."""
    rng = np.random.default_rng(seed)
    z = np.zeros((n, length), dtype=int)
    for t in range(length):
        jump = rng.uniform(size=n) < (0.05 if t else 1.0)
        z[:, t] = np.where(jump, rng.integers(4, size=n), z[:, t - 1])
    shape = (n, length, units)
    draw = {
        "gaussian": lambda: 1.5 * rng.normal(size=(4, units))[z] + rng.normal(size=shape),
        "poisson": lambda: rng.poisson(rng.gamma(1, 1, size=(4, units))[z]),
        "bernoulli": lambda: rng.uniform(size=shape) < rng.uniform(0.1, 0.9, size=(4, units))[z],
        "categorical": lambda: (
            rng.uniform(size=shape)[..., None]
            > rng.dirichlet(np.ones(3), size=(4, units)).cumsum(axis=2)[z][..., :-1]
        ).sum(axis=-1),
    }
    draw["gaussian_full"] = draw["gaussian"]
    return np.asarray(draw[emission](), dtype=np.float64).transpose(0, 2, 1), z


def measure_accuracy(truth: np.ndarray, found: np.ndarray) -> float:
    """Share of bins in the right state, states matched."""
    table = np.zeros((truth.max() + 1, int(found.max()) + 1))
    np.add.at(table, (truth.ravel(), found.ravel().astype(int)), 1)
    return float(table[linear_sum_assignment(-table)].sum() / truth.size)


def make_chain(rng: np.random.Generator, k: int, stay: float = 0.5) -> tuple[Any, Any]:
    return rng.dirichlet(np.ones(k)), (1 - stay) * rng.dirichlet(np.ones(k), k) + stay * np.eye(k)


def enumerate_paths(log_b: Any, start: Any, transition: Any) -> tuple[Any, Any]:
    """Every path and its log-probability with the data."""
    paths = np.array(list(itertools.product(range(len(start)), repeat=len(log_b))))
    weight = np.log(start[paths[:, 0]]) + log_b[np.arange(len(log_b)), paths].sum(axis=1)
    return paths, weight + np.log(transition[paths[:, :-1], paths[:, 1:]]).sum(axis=1)


def test_likelihood_and_posterior_equal_a_sum_over_all_paths(rng: Any) -> None:
    start, transition = make_chain(rng, 3)
    log_b = 3 * rng.normal(size=(1, 6, 3))
    paths, weight = enumerate_paths(log_b[0], start, transition)
    total = np.logaddexp.reduce(weight)
    share = np.exp(weight - total)
    posterior = np.stack([(share[:, None] * (paths == state)).sum(0) for state in range(3)], 1)
    found = smooth(log_b, start, transition, np.array([6]))
    assert found.log_prob[0] == pytest.approx(total, abs=1e-10)
    np.testing.assert_allclose(found.posterior[0], posterior, atol=1e-10)
    pair = [[(share * ((paths[:, :-1] == i) & (paths[:, 1:] == j)).sum(1)).sum() for j in range(3)]
            for i in range(3)]  # fmt: skip
    np.testing.assert_allclose(found.pairs, pair, atol=1e-10)


def test_the_best_path_is_the_best_of_all(rng: Any) -> None:
    start, transition = make_chain(rng, 3)
    log_b = 3 * rng.normal(size=(4, 6, 3))
    for row, found in zip(log_b, find_path(log_b, start, transition), strict=True):
        paths, weight = enumerate_paths(row, start, transition)
        np.testing.assert_array_equal(found, paths[weight.argmax()])


@pytest.mark.parametrize("stay", [0.0, 0.99, 1.0])
def test_blocks_of_a_long_trial_give_what_logarithms_give(rng: Any, stay: float) -> None:
    start, transition = make_chain(rng, 4, stay)
    log_b = 2 * rng.normal(size=(2, 1111, 4))
    log_b[1, 700:] = 0
    lengths = np.array([1111, 700])
    ours, logs = (f(log_b, start, transition, lengths) for f in (smooth, smooth_log))
    np.testing.assert_allclose(ours.log_prob, logs.log_prob, rtol=1e-12)
    np.testing.assert_allclose(ours.posterior, logs.posterior, atol=1e-8)
    np.testing.assert_allclose(ours.pairs, logs.pairs, atol=1e-7)


def test_likelihoods_that_underflow_are_found_in_logarithms(rng: Any) -> None:
    log_b = np.array([[[0.0, -2000.0], [-2000.0, 0.0], [0.0, -3000.0]]])
    found = smooth(log_b, np.array([1.0, 0.0]), np.eye(2), np.array([3]))
    assert found.log_prob[0] == pytest.approx(-2000.0)
    assert np.isfinite(found.posterior).all()


def test_passes_agree_with_hmmlearn(rng: Any) -> None:
    peer = pytest.importorskip("hmmlearn.hmm").GaussianHMM(3, covariance_type="diag")
    peer.startprob_, peer.transmat_ = make_chain(rng, 3)
    peer.means_, peer.covars_ = rng.normal(size=(3, 2)), rng.uniform(0.5, 1, size=(3, 2))
    X = rng.normal(size=(500, 2))
    log_b = peer._compute_log_likelihood(X)[None]
    found = smooth(log_b, peer.startprob_, peer.transmat_, np.array([500]))
    value, posterior = peer.score_samples(X)
    assert found.log_prob[0] == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(found.posterior[0], posterior, atol=1e-8)
    path = find_path(log_b, peer.startprob_, peer.transmat_)
    np.testing.assert_array_equal(path[0], peer.decode(X)[1])


@pytest.mark.parametrize("emission", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_states_come_back(emission: str, seed: int) -> None:
    X, z = plant(emission, seed)
    model = HMM(4, emission=emission, seed=seed).fit(X)
    assert model.converged_
    accuracy = measure_accuracy(z, model.predict_states(X))
    assert accuracy > (0.9 if emission == "bernoulli" else 0.97)
    stays = np.diag(model.params_["transition"].values)
    assert stays.mean() == pytest.approx(np.mean(z[:, 1:] == z[:, :-1]), abs=0.02)


@pytest.mark.parametrize("emission", FAMILIES)
def test_each_step_raises_the_objective(emission: str) -> None:
    X, _ = plant(emission, 3, n=3, length=100)
    X[0, 2, 10:40] = np.nan
    X[1, :, 50:60] = np.nan
    bins = take_bins(np.nan_to_num(X).transpose(0, 2, 1), np.isfinite(X).transpose(0, 2, 1))
    family = EMISSIONS[emission]()
    family.setup(bins.Y, bins.seen, 0.1)
    chain = fit_chain(bins, family, Options(4, 1.5, 2.0, 1, 40, 0.0), 0)
    gains = np.diff(chain.objective)
    assert gains.min() > -1e-6
    assert chain.rescued == 0


def test_units_that_lack_are_integrated_out(rng: Any) -> None:
    root = rng.normal(size=(3, 3))
    params = {"mean": rng.normal(size=(1, 3)), "covariance": (root @ root.T + np.eye(3))[None]}
    Y, seen = rng.normal(size=(1, 3)), np.array([[1.0, 0.0, 1.0]])
    kept = [0, 2]
    reference = multivariate_normal(
        params["mean"][0, kept], params["covariance"][0][np.ix_(kept, kept)]
    )
    found = FullGaussian().log_likelihood(Y * seen, seen, params)
    assert found[0, 0] == pytest.approx(reference.logpdf(Y[0, kept]))


def test_ragged_trials_and_missing_bins_do_not_count() -> None:
    X, z = plant("poisson", 0)
    X[0, :, 200:] = np.nan
    X[1, :, 50:70] = np.nan
    model = HMM(4, emission="poisson").fit(X)
    short = [one[:, :200] if i == 0 else one for i, one in enumerate(X)]
    np.testing.assert_allclose(model.log_prob(short), model.log_prob(X))
    assert np.isnan(model.transform(X)[0, 200:]).all()
    assert np.isfinite(model.transform(X)[1]).all()
    assert measure_accuracy(z[2:], model.predict_states(X)[2:]) > 0.97


def test_hidden_units_are_predicted_from_the_others() -> None:
    X, _ = plant("poisson", 1)
    model = HMM(4, emission="poisson").fit(X[:4])
    assert model.score(X[4:]) > 0.1
    hidden = np.arange(10) == 3
    changed = X.copy()
    changed[:, 3] = 9
    rates = (model.predict_rates(one, mask=hidden) for one in (X, changed))
    np.testing.assert_array_equal(*rates)


def test_a_silent_unit_is_left_out_and_said() -> None:
    X, _ = plant("poisson", 0)
    X[:, 4] = 0
    with pytest.warns(NeuroalignWarning, match="constant"):
        model = HMM(4, emission="poisson").fit(X)
    assert model.params_.sizes["neuroid"] == 9


def test_constant_stretches_keep_variances_above_zero() -> None:
    X, _ = plant("gaussian", 0)
    X[0, :, 50:250] = 0.0
    model = HMM(5).fit(X)
    assert model.converged_
    assert float(model.params_["variance"].min()) > 0


def test_a_rate_is_never_zero(rng: Any) -> None:
    Y = np.zeros((40, 2))
    Y[:20, 0] = 3
    family = Poisson()
    family.setup(Y, np.ones_like(Y), 0.0)
    weights = np.repeat(np.eye(2), 20, axis=0)
    rate = family.estimate(Y, np.ones_like(Y), weights, None)["rate"]
    assert (rate > 0).all()


def test_states_that_die_are_started_anew_and_said() -> None:
    X = np.tile([0.0, 1.0], 60).reshape(1, 1, 120)
    with pytest.warns(NeuroalignWarning, match="states that are visited"):
        model = HMM(12, prior=0.0, n_restarts=1).fit(X - 0.5)
    assert np.isfinite(model.params_["mean"].values).all()
    assert model.warnings_


def test_stickiness_lengthens_stays(rng: Any) -> None:
    X = rng.normal(size=(2, 3, 200))
    with_, without = (HMM(3, stickiness=one, max_iter=20, tol=1e-2).fit(X) for one in (500.0, 0.0))
    stays = [np.trace(model.params_["transition"].values) for model in (with_, without)]
    assert stays[0] > stays[1]


def test_a_draw_has_the_states_of_the_model() -> None:
    X, _ = plant("gaussian_full", 0)
    model = HMM(4, emission="gaussian_full").fit(X)
    values, latents = model.sample(5, 200, seed=1)
    assert measure_accuracy(latents.values.argmax(2), model.predict_states(values).values) > 0.95


@pytest.mark.parametrize("emission", FAMILIES)
def test_a_draw_can_be_fitted_again(emission: str) -> None:
    model = HMM(4, emission=emission).fit(plant(emission, 0)[0])
    values, _ = model.sample(6, 300)
    assert clone(model).fit(values).converged_


def test_the_same_seed_gives_the_same_model() -> None:
    X, _ = plant("poisson", 2)
    one, two = (HMM(4, emission="poisson").fit(X).params_ for _ in range(2))
    assert one.identical(two)


def test_one_trial_suffices_and_one_bin_does_not() -> None:
    X, _ = plant("gaussian", 0)
    assert HMM(4).fit(X[:1]).converged_
    with pytest.raises(ValueError, match=re.escape("X: expected trials of at least 2 bins, got 1")):
        HMM(2).fit(X[:, :, :1])


def test_too_few_steps_are_said() -> None:
    X, _ = plant("bernoulli", 0)
    with pytest.warns(NeuroalignWarning, match="max_iter: expected to converge"):
        assert not HMM(4, emission="bernoulli", max_iter=2).fit(X).converged_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_states": 0}, "n_states: expected an integer >= 1"),
        ({"emission": "poison"}, "emission: expected one of"),
        ({"stickiness": -1.0}, "stickiness: expected at least 0"),
        ({"concentration": 0.5}, "concentration: expected at least 1"),
        ({"n_states": 5000}, "X: expected at least as many observed bins"),
        ({"emission": "poisson"}, "X: expected counts"),
        ({"emission": "bernoulli"}, "X: expected 0 or 1"),
    ],
)
def test_bad_settings_are_named(options: dict[str, Any], message: str) -> None:
    X, _ = plant("gaussian", 0, n=2, length=50)
    with pytest.raises(ValueError, match=message):
        HMM(**options).fit(X)


def test_values_that_were_not_fitted_are_refused() -> None:
    X, _ = plant("poisson", 0)
    model = HMM(4, emission="poisson").fit(X)
    with pytest.raises(ValueError, match="X: expected counts"):
        model.log_prob(X + 0.5)


def test_planning_spikes_have_more_than_one_state(real_data: Path) -> None:
    file = scipy.io.loadmat(real_data / "place_cell_kramer_eden/10_spikes-1.mat", squeeze_me=True)
    X = file["train"].reshape(50, 1, 100, 20).sum(axis=3).astype(float)
    fits = (HMM(k, emission="poisson").fit(X[::2]).log_prob(X[1::2]).sum() for k in (2, 1))
    two, one = fits
    assert two > one + 20


@pytest.mark.parametrize("half", [slice(0, 125), slice(125, None)])
def test_resting_regions_have_states_in_held_out_volumes(real_data: Path, half: slice) -> None:
    """With a prior of 20 volumes: with little, 28 variances a state overfit so few of them."""
    table = pd.read_csv(real_data / "nitime_fmri" / "fmri_timeseries.csv")
    rows = table.iloc[:, 3:].to_numpy()
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    test = np.delete(rows, np.arange(250)[half], axis=0)
    fits = (HMM(k, prior=20.0).fit(rows[half]).log_prob(test).sum() for k in (3, 1))
    three, one = fits
    assert three > one + 20


def test_states_of_the_eeg_hold_in_held_out_trials(real_data: Path) -> None:
    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        X = load_epochs(path).values[:, ::4].astype(float) * 1e6
    fits = [HMM(k, max_iter=40, tol=1e-3).fit(X[:100]).log_prob(X[100:]).sum() for k in (6, 1)]
    assert fits[0] > fits[1] + 1000


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_unsound_fit_is_never_kept(rng: Any) -> None:
    X = 1e200 * rng.normal(size=(3, 4, 60))
    with pytest.raises(FitError, match="HMM: expected positive covariances"):
        HMM(2, emission="gaussian_full").fit(X)
    with pytest.raises(FitError, match="HMM: expected a finite 'objective'"):
        HMM(2).fit(X)
