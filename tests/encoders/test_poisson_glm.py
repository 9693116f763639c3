"""Poisson models: against scikit-learn, conditions of a minimum, planted truth, real neurons."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.io import loadmat
from scipy.optimize import minimize
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import KFold

from neuroalign.align import convolve_basis, make_basis, make_spike_design, mark_refractory
from neuroalign.encoders import PoissonGLM, Ridge, bits_per_spike, simulate_glm
from neuroalign.errors import NeuroalignWarning
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import features_from_arrays, from_arrays

Pair = tuple[np.ndarray, np.ndarray]
SPACES = ["a"] * 3 + ["b"] * 3 + ["c"] * 2


@pytest.fixture
def pair(rng: np.random.Generator) -> Pair:
    """Features of unequal scale, and counts of five neurons of which space b tells nothing."""
    X = rng.normal(size=(400, 8)) * np.linspace(0.5, 2.0, 8) + 0.3
    B = 0.25 * rng.normal(size=(8, 5))
    B[3:6] = 0.0
    return X, rng.poisson(np.exp(X @ B - 1.0)).astype(float)


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.1, 3.0])
def test_weights_equal_scikit_learn_at_the_same_alpha(alpha: float, pair: Pair) -> None:
    # With alpha_scale="absolute" both minimise mean(mu - y log mu) + alpha / 2 ||b||^2.
    X, Y = pair
    ours = PoissonGLM(alpha, alpha_scale="absolute").fit(X, Y)
    for column in range(5):
        peer = PoissonRegressor(alpha=alpha, solver="newton-cholesky", tol=1e-10, max_iter=500)
        peer.fit(X, Y[:, column])
        np.testing.assert_allclose(ours.coef_[column], peer.coef_, atol=1e-7)
        assert ours.intercept_[column] == pytest.approx(peer.intercept_, abs=1e-7)
    assert ours.converged_.all()


def test_exposure_equals_scikit_learn_on_rates_weighted_by_exposure(
    pair: Pair, rng: np.random.Generator
) -> None:
    X, Y = pair
    exposure = rng.uniform(0.2, 3.0, size=400)
    ours = PoissonGLM(0.0).fit(X, Y[:, 0], exposure=exposure)
    peer = PoissonRegressor(alpha=0.0, solver="newton-cholesky", tol=1e-10)
    peer.fit(X, Y[:, 0] / exposure, sample_weight=exposure)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-7)
    expected = peer.predict(X) * exposure
    np.testing.assert_allclose(ours.predict(X, exposure), expected, rtol=1e-6)


@pytest.mark.parametrize("link", ["exp", "softplus"])
def test_no_general_optimiser_finds_a_lower_loss(link: str, pair: Pair) -> None:
    X, Y = pair
    model = PoissonGLM(0.01, alpha_scale="absolute", link=link).fit(X, Y)

    def lose(b: np.ndarray, y: np.ndarray) -> float:
        eta = X @ b[1:] + b[0]
        mu = np.exp(eta) if link == "exp" else np.logaddexp(0, eta)
        return float(np.mean(mu - y * np.log(mu)) + 0.005 * (b[1:] ** 2).sum())

    for column in range(2):
        start = np.r_[-1.0, np.zeros(8)]
        found = minimize(lose, start, args=(Y[:, column],), method="BFGS", tol=1e-9)
        own = np.r_[model.intercept_[column], model.coef_[column]]
        assert lose(own, Y[:, column]) <= found.fun + 1e-12
        np.testing.assert_allclose(own, found.x, atol=1e-4)


@pytest.mark.parametrize("link", ["exp", "softplus"])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
def test_the_group_lasso_meets_its_conditions(link: str, share: float, pair: Pair) -> None:
    X, Y = pair
    model = PoissonGLM(share, penalty="group", spaces=SPACES, link=link).fit(X, Y)
    eta = X @ model.coef_.T + model.intercept_
    error = np.exp(eta) - Y
    if link == "softplus":
        gate = 1 / (1 + np.exp(-eta))
        error = gate * (1 - Y / np.logaddexp(0, eta))
    slope = error.T @ X / len(X)
    np.testing.assert_allclose(error.mean(axis=0), 0.0, atol=1e-7)
    for name in "abc":
        own = np.array(SPACES) == name
        pull = model.alpha_ * np.sqrt(own.sum())
        norm = np.linalg.norm(model.coef_[:, own], axis=1, keepdims=True)
        alive = norm[:, 0] > 0
        inward = pull[:, None] * model.coef_[:, own] / np.where(norm > 0, norm, 1.0)
        np.testing.assert_allclose((slope[:, own] + inward)[alive], 0.0, atol=1e-6)
        assert (np.linalg.norm(slope[:, own], axis=1) <= pull * (1 + 1e-6))[~alive].all()


def test_the_strongest_group_penalty_is_the_null_model_and_just_below_is_not(pair: Pair) -> None:
    X, Y = pair
    null = PoissonGLM(1.0, penalty="group", spaces=SPACES).fit(X, Y)
    assert not null.coef_.any()
    np.testing.assert_allclose(null.predict(X[:1])[0], Y.mean(axis=0))
    less = PoissonGLM(0.97, penalty="group", spaces=SPACES).fit(X, Y)
    assert less.coef_.any(axis=1).all()


def test_penalties_are_those_of_a_plain_cross_validation(pair: Pair) -> None:
    X, Y = pair
    grid = np.logspace(-2, 1, 6).tolist()
    model = PoissonGLM(grid, alpha_scale="absolute", cv=KFold(4)).fit(X, Y)
    loss, null = np.zeros((6, 5)), np.zeros(5)
    for train, test in KFold(4).split(X):
        for row, alpha in enumerate(grid):
            mu = PoissonGLM(alpha, alpha_scale="absolute").fit(X[train], Y[train]).predict(X[test])
            loss[row] += (mu - Y[test] * np.log(mu)).sum(axis=0)
        mean = Y[train].mean(axis=0)
        null += (mean - Y[test] * np.log(mean)).sum(axis=0)
    np.testing.assert_allclose(model.alpha_, np.array(grid)[loss.argmin(axis=0)])
    bits = (null - loss.min(axis=0)) / Y.sum(axis=0) / np.log(2)
    np.testing.assert_allclose(model.cv_bits_, bits, atol=1e-5)


def test_weights_count_as_repeats_and_missing_bins_as_no_bins(
    pair: Pair, rng: np.random.Generator
) -> None:
    X, Y = pair
    times = rng.integers(0, 3, size=400)
    weighted = PoissonGLM(0.1).fit(X, Y, sample_weight=times)
    again = PoissonGLM(0.1).fit(np.repeat(X, times, axis=0), np.repeat(Y, times, axis=0))
    np.testing.assert_allclose(weighted.coef_, again.coef_, atol=1e-7)
    lost = Y.copy()
    lost[:50, 1] = np.nan
    dropped = PoissonGLM(0.1, missing="drop").fit(X, lost)
    alone = PoissonGLM(0.1).fit(X[50:], Y[50:, 1])
    np.testing.assert_allclose(dropped.coef_[1], alone.coef_, atol=1e-7)
    with pytest.raises(ValueError, match="NaN"):
        PoissonGLM(0.1).fit(X, lost)


def test_a_neuron_that_never_fires_is_named_and_harms_no_other(pair: Pair) -> None:
    X, Y = pair
    silent = Y.copy()
    silent[:, 2] = 0.0
    labelled = xr.DataArray(silent, dims=("sample", "neuroid"), coords={"neuroid": list("vwxyz")})
    with pytest.warns(NeuroalignWarning, match="y: expected .* got no spikes for 'x'"):
        model = PoissonGLM().fit(X, labelled)
    assert model.silent_.tolist() == [False, False, True, False, False]
    assert (model.predict(X)[:, 2] == 0).all()
    rest = PoissonGLM().fit(X, Y)
    np.testing.assert_allclose(model.coef_[[0, 1, 3, 4]], rest.coef_[[0, 1, 3, 4]], atol=1e-7)


def test_a_separated_neuron_is_named_and_given_its_mean_rate(pair: Pair) -> None:
    X, Y = pair
    X = np.hstack([X, (Y[:, [0]] == 0) & (X[:, [0]] > 0)])
    with pytest.warns(NeuroalignWarning, match="alphas: .* got weights without end for '0'"):
        model = PoissonGLM(0.0).fit(X, Y)
    assert model.separated_.tolist() == [True, False, False, False, False]
    np.testing.assert_allclose(model.predict(X)[:, 0], Y[:, 0].mean())
    assert not PoissonGLM(1e-3).fit(X, Y).separated_.any()


def test_all_targets_of_three_dims_and_labels(pair: Pair) -> None:
    X, Y = pair
    cube = np.stack([Y, Y[::-1]], axis=2)
    model = PoissonGLM(0.1).fit(X, cube)
    assert model.coef_.shape == (5, 2, 8)
    assert model.predict(X).shape == (400, 5, 2)
    flat = PoissonGLM(0.1).fit(X, Y)
    np.testing.assert_allclose(model.coef_[:, 0], flat.coef_, atol=1e-8)
    assert model.weights_.dims == ("feature", "neuroid", "time")


def test_faults_are_named(pair: Pair) -> None:
    X, Y = pair
    with pytest.raises(ValueError, match="y: expected counts >= 0, got -1, .* neuroid '0'"):
        PoissonGLM().fit(X, Y - 1.0)
    with pytest.raises(ValueError, match="exposure: expected no spike where it is 0"):
        PoissonGLM().fit(X, Y, exposure=np.zeros(400))
    with pytest.raises(ValueError, match=r"exposure: expected shape \(400,\)"):
        PoissonGLM().fit(X, Y, exposure=np.ones(3))
    with pytest.raises(ValueError, match="exposure: expected finite numbers >= 0, got -1"):
        PoissonGLM().fit(X, Y, exposure=-np.ones(400))
    with pytest.raises(ValueError, match="penalty: expected one of 'ridge', 'group'"):
        PoissonGLM(penalty="lasso").fit(X, Y)
    with pytest.raises(ValueError, match="link: expected one of 'exp', 'softplus'"):
        PoissonGLM(link="log").fit(X, Y)
    with pytest.warns(NeuroalignWarning, match="max_iter: .* no convergence for '0', '1'"):
        PoissonGLM(0.0, max_iter=1).fit(X, Y)


def _plant_network(n: int) -> tuple[xr.DataArray, np.ndarray, dict[str, np.ndarray]]:
    """Three neurons: all inhibit themselves, the first excites the second, nothing else."""
    rng = np.random.default_rng(5)
    stimulus = rng.normal(size=n)
    shapes = make_basis("raised_cosine_log", 4, window=15).values
    seen = make_basis("raised_cosine_linear", 5, window=10).values
    truth = {
        "stimulus": seen @ np.array([0.0, 0.5, 0.4, -0.3, 0.0]),
        "history": shapes @ np.array([-2.0, -0.8, -0.3, 0.0]),
        "coupling": shapes @ np.array([0.2, 0.6, 0.2, 0.0]),
    }
    filters = np.zeros((15, 3, 3))
    filters[:, [0, 1, 2], [0, 1, 2]] = truth["history"][:, None]
    filters[:, 0, 1] = truth["coupling"]
    drive = convolve_basis(stimulus, truth["stimulus"][:, None]) - 2.0
    spikes = simulate_glm(np.repeat(drive, 3, axis=1), filters, step=0.001, seed=3)
    return spikes, stimulus, truth


def test_planted_filters_come_back_and_absent_couplings_are_zero() -> None:
    spikes, stimulus, truth = _plant_network(20_000)
    basis = make_basis("raised_cosine_log", 4, window=15)
    seen = make_basis("raised_cosine_linear", 5, window=10)
    design = make_spike_design(spikes, stimulus, stimulus_basis=seen, history=basis, coupling=basis)
    model = PoissonGLM(penalty="group", conservative=True).fit(design, spikes)
    names, space = spikes["neuroid"].values, design["space"].values
    sizes = {
        (source, target): np.abs(model.coef_[column, space == f"coupling:{source}"]).max()
        for source in names
        for column, target in enumerate(names)
    }
    assert sizes.pop((names[0], names[1])) > 0.2
    assert set(sizes.values()) == {0.0}
    free = PoissonGLM(0.0).fit(design, spikes)
    for column, name in enumerate(names):
        own = free.coef_[column]
        assert not own[[s.startswith("history:") and s != f"history:{name}" for s in space]].any()
        found = seen.values @ own[space == "stimulus"]
        assert np.abs(found - truth["stimulus"]).max() < 0.1
        past = basis.values @ own[space == f"history:{name}"]
        # Spikes soon after a spike are rare, so that the depth there is known roughly.
        assert np.corrcoef(past, truth["history"])[0, 1] > 0.98
    coupling = basis.values @ free.coef_[1, space == f"coupling:{names[0]}"]
    assert np.abs(coupling - truth["coupling"]).max() < 0.15


def test_refractory_bins_are_taken_out_and_predicted_empty() -> None:
    drive = np.full((20_000, 1), np.log(0.2))
    spikes = simulate_glm(drive, refractory=2, seed=2)
    exposure = mark_refractory(spikes, 2)
    blank = np.zeros((20_000, 1))
    model = PoissonGLM(0.1).fit(blank, spikes, exposure=exposure)
    # At most one spike falls in a bin: the mean is the chance of at least one, 1 - exp(-0.2).
    assert model.mean_rate_[0] == pytest.approx(-np.expm1(-0.2), rel=0.03)
    rate = model.predict(blank, exposure)
    assert (rate[exposure.values == 0] == 0).all()
    assert rate.sum() == pytest.approx(float(spikes.sum()), rel=1e-6)
    naive = PoissonGLM(0.1).fit(blank, spikes)
    assert naive.mean_rate_[0] < 0.8 * model.mean_rate_[0]


def test_evaluate_takes_it_like_any_encoder(pair: Pair) -> None:
    X, Y = pair
    labels = {"stimulus": ("sample", [f"s{row}" for row in range(400)])}
    features = xr.DataArray(X, dims=("sample", "feature"), coords=labels)
    responses = xr.DataArray(
        Y.astype("float32"), dims=("sample", "neuroid"), coords={**labels, "neuroid": list("abcde")}
    )
    model = PoissonGLM(0.1)
    result = cross_validate(model, features, responses, group=None, ceiling=None)
    assert float(result["mean_score"].max()) > 0.2


def _hold_out(X: np.ndarray, y: np.ndarray, alpha: float) -> float:
    """Bits per spike over five contiguous folds, against the mean rate of the training bins."""
    rate, null = np.zeros(len(y)), np.zeros(len(y))
    for train, test in KFold(5).split(X):
        model = PoissonGLM(alpha).fit(X[train], y[train])
        rate[test], null[test] = model.predict(X[test]), model.mean_rate_
    return float(bits_per_spike(y, rate, null))


@pytest.mark.parametrize(("cell", "bits"), [(1, 0.78), (2, 0.53)])
def test_grasshopper_receptors_follow_the_sound(cell: int, bits: float, real_data: Path) -> None:
    # Counts in 1 ms bins from the sound level [dB] of the last 20 ms, averaged in 1 ms bins.
    folder = real_data / "nitime_grasshopper"
    times = np.loadtxt(folder / f"grasshopper_spike_times{cell}.txt") / 1e6
    with gzip.open(folder / f"grasshopper_stimulus{cell}.txt.gz", "rt") as file:
        volts = np.array([float(line.split()[1]) for line in file if line[0] not in "#\n"])
    level = 20 * np.log10(volts / 2e-5).reshape(10_000, 20).mean(axis=1)
    counts = np.histogram(times, bins=np.arange(10_001) / 1000)[0].astype(float)
    lags = convolve_basis(level - level.mean(), make_basis("fir", window=20))
    assert _hold_out(lags, counts, 1e-4) == pytest.approx(bits, abs=0.03)


def test_a_place_cell_tells_its_place(real_data: Path) -> None:
    # One rate for each tenth of the track, on all rows: the information of a place map,
    # sum_i p_i (r_i / r) log2(r_i / r), which is the bits per spike of a saturated Poisson model.
    file = loadmat(real_data / "place_cell_kramer_eden" / "spikes-1.mat")
    t, place = file["t"].ravel(), file["X"].ravel()
    edges = np.append(t - 0.0005, t[-1] + 0.0005)
    counts = np.histogram(file["spiketimes"].ravel(), bins=edges)[0].astype(float)
    assert counts.sum() == 220
    tenth = np.eye(10)[np.clip((place / 10).astype(int), 0, 9)]
    # A tenth without any spike has no finite weight: a penalty of next to nothing gives it one.
    model = PoissonGLM(1e-5).fit(tenth, counts)
    assert bits_per_spike(counts, model.predict(tenth)) == pytest.approx(2.46, abs=0.01)
    rates = 1000 * model.predict(np.eye(10))
    assert rates.argmax() == 6
    assert rates[6] == pytest.approx(14.4, abs=0.1)
    z = (place[:, None] - 50) / 30
    rising = np.append(np.diff(place), 0.0)[:, None] > 0
    assert _hold_out(np.hstack([z, z**2, rising]), counts, 1e-6) > 2.8


def test_the_usual_grid_reaches_features_of_unequal_scale(rng: np.random.Generator) -> None:
    # The penalty is one for all features, and that of the small one must be small.
    X = rng.normal(size=(5000, 2)) * [1e-2, 10.0]
    Y = rng.poisson(0.1 * np.exp(np.outer(X[:, 0] * 100, [0.8, 1.0])))
    model = PoissonGLM().fit(X, Y)
    np.testing.assert_allclose(model.coef_[:, 0] / 100, [0.8, 1.0], atol=0.1)
    with pytest.warns(NeuroalignWarning, match="the smallest for 100% of neuroids") as caught:
        PoissonGLM(np.logspace(-5, 2, 8)).fit(X, Y)
    assert caught[0].filename == __file__


def test_cross_validation_scores_in_bits_per_spike(rng: np.random.Generator) -> None:
    n = 600
    coords = {"run": np.repeat(["a", "b", "c"], 200), "onset": np.tile(np.arange(200.0), 3)}
    X = rng.normal(size=(n, 2))
    counts = rng.poisson(np.exp(X @ rng.normal(size=(2, 3)) - 1.0))
    features = features_from_arrays(X, **coords)
    responses = from_arrays(counts, modality="spikes", dtype="float64", **coords)
    options = {"metric": "bits_per_spike", "ceiling": None, "keep": ("prediction",)}
    result = cross_validate(PoissonGLM(0.01), features, responses, **options)
    held = coords["run"] == "b"
    expected = bits_per_spike(counts[held], result["prediction"].values[held])
    np.testing.assert_allclose(result["score"].sel(fold="b"), expected, rtol=1e-6)
    shares = cross_validate(PoissonGLM(0.01), features, responses, metric="pseudo_r2")
    assert bool((shares["mean_score"] > 0).all())
    with pytest.raises(ValueError, match="predicted: expected .*Predict rates per bin, as Poisson"):
        cross_validate(Ridge(1.0), features, responses, **options)
