"""Receptive fields in time against explicit lagged matrices, MNE and planted truth."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import xarray as xr
from mne.decoding import ReceptiveField, TimeDelayingRidge

from neuroalign.encoders import Ridge, TemporalReceptiveField
from neuroalign.encoders._lagged import gather_moments, make_normal
from neuroalign.errors import AlignError, NeuroalignWarning
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import load_epochs

RATE = 100.0


def lag_columns(x: np.ndarray, runs: np.ndarray, lags: Any) -> np.ndarray:
    """The matrix itself: (sample, feature, lag), zero-filled within each run."""
    lagged = np.zeros((*x.shape, len(lags)))
    for run in np.unique(runs):
        rows = np.flatnonzero(runs == run)
        for place, lag in enumerate(lags):
            for here, row in enumerate(rows):
                if 0 <= here - lag < len(rows):
                    lagged[row, :, place] = x[rows[here - lag]]
    return lagged


def solve(
    x: np.ndarray, y: np.ndarray, runs: np.ndarray, lags: Any, alpha: float, center: bool = True
) -> np.ndarray:
    """Brute force: weights (target, feature, lag)."""
    x_mean, y_mean = x.mean(axis=0) * center, y.mean(axis=0) * center
    flat = lag_columns(x - x_mean, runs, lags).reshape(len(x), -1)
    weights = np.linalg.solve(flat.T @ flat + alpha * np.eye(flat.shape[1]), flat.T @ (y - y_mean))
    return weights.T.reshape(y.shape[1], x.shape[1], -1)


def make_runs(
    rng: np.random.Generator, lengths: tuple[int, ...] = (90, 70, 110), p: int = 3, t: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = sum(lengths)
    runs = np.repeat([f"r{i}" for i in range(len(lengths))], lengths)
    return rng.normal(size=(n, p)) + 2.0, rng.normal(size=(n, t)) - 1.0, runs


def label(
    x: np.ndarray, y: np.ndarray, runs: np.ndarray, rate: float = RATE
) -> tuple[xr.DataArray, xr.DataArray]:
    onset = np.concatenate([np.arange((runs == run).sum()) / rate for run in np.unique(runs)])
    coords = {"run": ("sample", runs), "onset": ("sample", onset)}
    features = xr.DataArray(
        x,
        coords | {"word": ("feature", [f"f{i}" for i in range(x.shape[1])])},
        ("sample", "feature"),
    )
    names = [f"E{i}" for i in range(y.shape[1])]
    return features, xr.DataArray(y, coords | {"neuroid": names}, ("sample", "neuroid"))


def fixed(lags: Any, alpha: float = 3.0, **options: Any) -> TemporalReceptiveField:
    return TemporalReceptiveField(lags, alpha, alpha_scale="absolute", **options)


@pytest.mark.parametrize("lags", [(0, 0), (0, 5), (-4, 6), (2, 9), (-9, -3), (0, 40), (-30, 80)])
@pytest.mark.parametrize("center", [True, False])
def test_weights_equal_those_of_the_lagged_matrix(
    rng: np.random.Generator, lags: tuple[int, int], center: bool
) -> None:
    x, y, runs = make_runs(rng)
    fitted = fixed(lags, fit_intercept=center).fit(x, y, groups=runs)
    expected = solve(x, y, runs, np.arange(lags[0], lags[1] + 1), 3.0, center)
    np.testing.assert_allclose(fitted.coef_, expected, atol=1e-8, rtol=0)


def test_long_runs_go_through_many_blocks(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng, (2000, 37, 1), p=2)
    fitted = fixed((-3, 20)).fit(x, y, groups=runs)
    expected = solve(x, y, runs, np.arange(-3, 21), 3.0)
    np.testing.assert_allclose(fitted.coef_, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("lags", [(-3, 7), (-10, 14)])
def test_the_mean_is_taken_out_before_lagging_in_each_fold(
    rng: np.random.Generator, lags: tuple[int, int]
) -> None:
    x, y, runs = make_runs(rng)
    count = np.arange(lags[0], lags[1] + 1)
    rows = [np.flatnonzero(runs == run) for run in np.unique(runs)]
    moments = gather_moments(x, y, rows, *lags)
    x_mean, y_mean = rng.normal(size=3), rng.normal(size=2)
    normal = make_normal(moments, x_mean, y_mean)
    flat = lag_columns(x - x_mean, runs, count).transpose(0, 2, 1).reshape(len(x), -1)
    np.testing.assert_allclose(normal.gram, flat.T @ flat, atol=1e-9, rtol=0)
    np.testing.assert_allclose(normal.cross, flat.T @ (y - y_mean), atol=1e-9, rtol=0)
    np.testing.assert_allclose(normal.square, ((y - y_mean) ** 2).sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize("by_run", [True, False])
def test_penalties_are_those_of_a_plain_search_over_runs(
    rng: np.random.Generator, by_run: bool
) -> None:
    x, y, runs = make_runs(rng, (80, 80, 80, 80, 80))
    runs = runs if by_run else np.repeat("one", 400)
    y[:, 0] += 0.4 * np.roll(x[:, 0], 2)
    grid, lags = np.logspace(-1, 5, 7), np.arange(0, 5)
    fitted = TemporalReceptiveField((0, 4), grid, alpha_scale="absolute", fit_intercept=True)
    fitted.fit(x, y, groups=runs if by_run else None)
    losses = np.zeros((7, 2))
    # Within one run the pieces before and after the held-out stretch are lagged alone.
    piece = np.repeat(np.arange(5), 80)
    for fold in range(5):
        train, test = piece != fold, piece == fold
        x_mean, y_mean = x[train].mean(axis=0), y[train].mean(axis=0)
        held = lag_columns(x[test] - x_mean, piece[test], lags)
        for row, alpha in enumerate(grid):
            weights = solve(x[train], y[train], piece[train], lags, alpha)
            guess = np.einsum("nfl,tfl->nt", held, weights) + y_mean
            losses[row] += ((y[test] - guess) ** 2).sum(axis=0) / 400
    np.testing.assert_allclose(fitted.alpha_, grid[losses.argmin(axis=0)])
    np.testing.assert_allclose(fitted.cv_mse_, losses.min(axis=0), rtol=1e-9)
    expected = [solve(x, y, runs, lags, a)[i] for i, a in enumerate(fitted.alpha_)]
    np.testing.assert_allclose(fitted.coef_, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("lags", [(0.0, 0.2), (-0.1, 0.3), (0.05, 0.15), (-0.3, -0.1)])
@pytest.mark.parametrize("intercept", [True, False])
def test_weights_equal_those_of_mne(
    rng: np.random.Generator, lags: tuple[float, float], intercept: bool
) -> None:
    x, y, _ = make_runs(rng, (600,))
    with mne.use_log_level("error"):
        peer = ReceptiveField(*lags, RATE, estimator=5.0, fit_intercept=intercept).fit(x, y)
    ours = fixed(lags, 5.0, sampling_rate=RATE, fit_intercept=intercept).fit(x, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-8, rtol=0)
    np.testing.assert_allclose(ours.intercept_, peer.estimator_.intercept_, atol=1e-8)
    inside = slice(40, -40)
    np.testing.assert_allclose(ours.predict(x)[inside], peer.predict(x)[inside], atol=1e-8)


def test_weights_of_several_runs_equal_those_of_epochs_in_mne(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng, (120, 120, 120))
    epochs = [array.reshape(3, 120, -1).swapaxes(0, 1) for array in (x, y)]
    with mne.use_log_level("error"):
        peer = ReceptiveField(-0.05, 0.2, RATE, estimator=2.0).fit(*epochs)
    ours = fixed((-0.05, 0.2), 2.0, sampling_rate=RATE).fit(x, y, groups=runs)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-8, rtol=0)


def test_smooth_weights_equal_those_of_mne(rng: np.random.Generator) -> None:
    x, y, _ = make_runs(rng, (500,))
    ridge = TimeDelayingRidge(0.0, 0.2, RATE, 40.0, reg_type=["laplacian", "ridge"])
    with mne.use_log_level("error"):
        peer = ReceptiveField(0.0, 0.2, RATE, estimator=ridge).fit(x, y)
    ours = fixed((0.0, 0.2), 40.0, sampling_rate=RATE, regularization="laplacian").fit(x, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-8, rtol=0)


def test_without_lags_it_is_ridge(rng: np.random.Generator) -> None:
    x, y, _ = make_runs(rng)
    ours, ridge = TemporalReceptiveField().fit(x, y), Ridge().fit(x, y)
    np.testing.assert_allclose(ours.alpha_, ridge.alpha_)
    np.testing.assert_allclose(ours.coef_[..., 0], ridge.coef_, atol=1e-10)


def test_a_planted_field_comes_back(rng: np.random.Generator) -> None:
    x, _, runs = make_runs(rng, (1000, 1000, 1000), p=2)
    planted = np.stack([np.hanning(21), -0.5 * np.hanning(21)])
    clean = np.einsum("nfl,fl->n", lag_columns(x, runs, np.arange(21)), planted)
    features, responses = label(x, (clean + rng.normal(size=3000))[:, None], runs)
    fitted = TemporalReceptiveField((0.0, 0.2)).fit(features, responses)
    assert fitted.coef_.dims == ("neuroid", "feature", "lag")
    np.testing.assert_allclose(fitted.coef_["lag"], np.arange(21) / 100)
    assert fitted.coef_["word"].values.tolist() == ["f0", "f1"]
    np.testing.assert_allclose(fitted.coef_.values[0], planted, atol=0.1)
    assert fitted.score(features, responses) > 0.6


def test_the_stimulus_is_decoded_from_sensors_that_follow_it(rng: np.random.Generator) -> None:
    x, _, runs = make_runs(rng, (800, 800), p=1)
    x -= x.mean()
    forward = lag_columns(x, runs, [3])[:, 0] @ np.array([[1.0, 0.5, 0.0]])
    features, responses = label(x, forward + 0.5 * rng.normal(size=(1600, 3)), runs)
    model = TemporalReceptiveField((0.0, 0.06), direction="decoding").fit(responses, features)
    assert model.coef_.dims == ("feature", "neuroid", "lag")
    assert model.coef_["neuroid"].values.tolist() == ["E0", "E1", "E2"]
    assert abs(model.coef_).argmax("lag").values[0, :2].tolist() == [3, 3]
    assert model.score(responses, features) > 0.75
    # The third sensor carries nothing, whatever its weight; the others 1 to 0.5.
    pattern = model.patterns_.values[0, :, 3]
    np.testing.assert_allclose(pattern / pattern[0], [1.0, 0.5, 0.0], atol=0.1)


def test_decoding_equals_mne_and_patterns_equal_their_formula(rng: np.random.Generator) -> None:
    x, y, _ = make_runs(rng, (500,), p=4, t=2)
    with mne.use_log_level("error"):
        peer = ReceptiveField(-0.1, 0.0, RATE, estimator=2.0).fit(x, y)
    ours = fixed((0.0, 0.1), 2.0, sampling_rate=RATE, direction="decoding").fit(x, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_[..., ::-1], atol=1e-8, rtol=0)
    lagged = lag_columns(x - x.mean(axis=0), np.zeros(500), -np.arange(11)).reshape(500, -1)
    weights = ours.coef_.reshape(2, -1).T
    guess = lagged @ weights
    expected = lagged.T @ guess @ np.linalg.inv(guess.T @ guess)
    np.testing.assert_allclose(ours.patterns_.reshape(2, -1).T, expected, atol=1e-8)
    assert not hasattr(fixed((0, 1)).fit(x, y), "patterns_")


def test_predictions_are_those_of_the_lagged_matrix_in_each_run(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng)
    fitted = fixed((-2, 5)).fit(x, y, groups=runs)
    lagged = lag_columns(x - x.mean(axis=0), runs, np.arange(-2, 6))
    expected = np.einsum("nfl,tfl->nt", lagged, fitted.coef_) + y.mean(axis=0)
    np.testing.assert_allclose(fitted.predict(x, groups=runs), expected, atol=1e-10)


def test_runs_never_bleed(rng: np.random.Generator) -> None:
    features, responses = label(*make_runs(rng))
    fitted = fixed((-0.05, 0.1)).fit(features, responses)
    loud = features.copy(deep=True)
    loud[features["run"].values == "r1"] += 1e6
    for run in ("r0", "r2"):
        rows = features["run"].values == run
        np.testing.assert_array_equal(fitted.predict(loud)[rows], fitted.predict(features)[rows])


def test_a_gap_in_time_ends_a_stretch(rng: np.random.Generator) -> None:
    features, responses = label(*make_runs(rng, (200,)))
    kept = np.r_[0:80, 120:200]
    split = np.repeat(["a", "b"], 80)
    fitted = fixed((0.0, 0.1)).fit(features[kept], responses[kept])
    expected = solve(features.values[kept], responses.values[kept], split, np.arange(11), 3.0)
    np.testing.assert_allclose(fitted.coef_.values, expected, atol=1e-8)


def test_the_sampling_rate_is_read_where_there_are_no_onsets(rng: np.random.Generator) -> None:
    features, responses = label(*make_runs(rng))
    bare = features.drop_vars("onset").assign_attrs(sampling_rate=RATE)
    fitted = fixed((0.0, 0.1)).fit(bare, responses)
    assert fitted.sampling_rate_ == RATE
    expected = fixed((0.0, 0.1)).fit(features, responses)
    np.testing.assert_allclose(fitted.coef_.values, expected.coef_.values, atol=1e-12)


def test_a_target_that_never_varies_is_its_own_prediction(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng)
    y[:, 1] = 4.0
    fitted = TemporalReceptiveField((0, 3)).fit(x, y, groups=runs)
    assert not fitted.coef_[1].any()
    np.testing.assert_allclose(fitted.predict(x, groups=runs)[:, 1], 4.0)
    assert np.isnan(fitted.cv_r2_[1])


def test_the_order_of_rows_does_not_matter(rng: np.random.Generator) -> None:
    features, responses = label(*make_runs(rng))
    order = rng.permutation(len(features))
    ours, mixed = (
        fixed((0.0, 0.1)).fit(features[rows], responses[rows]) for rows in (slice(None), order)
    )
    np.testing.assert_allclose(mixed.coef_.values, ours.coef_.values, atol=1e-10)
    np.testing.assert_allclose(
        mixed.predict(features[order]), ours.predict(features)[order], atol=1e-10
    )


def test_it_is_cross_validated_over_runs_with_its_weights(rng: np.random.Generator) -> None:
    x, _, runs = make_runs(rng, (300, 300, 300))
    y = lag_columns(x, runs, [4])[:, :2, 0] + rng.normal(size=(900, 2))
    features, responses = label(x, y, runs)
    model = TemporalReceptiveField((0.0, 0.08))
    result = cross_validate(model, features, responses, ceiling=None, keep=["weights"])
    assert (result["mean_score"] > 0.5).all()
    peak = result["weights"].mean("fold").argmax("lag")
    assert [int(peak[i, i]) for i in range(2)] == [4, 4]


def test_trials_in_time_are_targets_too(rng: np.random.Generator) -> None:
    x, y, _ = make_runs(rng, t=4)
    flat, cube = (fixed((0, 3)).fit(x, target) for target in (y, y.reshape(-1, 2, 2)))
    assert cube.coef_.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(cube.predict(x).reshape(y.shape), flat.predict(x))
    assert cube.weights_.dims == ("feature", "lag", "neuroid", "time")


def test_float32_stays_and_agrees(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng)
    wide = fixed((0, 20)).fit(x, y, groups=runs)
    small = fixed((0, 20)).fit(x.astype("float32"), y.astype("float32"), groups=runs)
    assert small.coef_.dtype == small.predict(x.astype("float32")).dtype == np.float32
    np.testing.assert_allclose(small.coef_, wide.coef_, atol=1e-5)


def test_collinear_signals_without_penalty_give_the_shortest_weights(
    rng: np.random.Generator,
) -> None:
    x, y, runs = make_runs(rng, p=1)
    twice = fixed((0, 2), 0.0).fit(np.hstack([x, x]), y, groups=runs)
    once = fixed((0, 2), 0.0).fit(x, y, groups=runs)
    np.testing.assert_allclose(twice.coef_, np.repeat(once.coef_ / 2, 2, axis=1), atol=1e-8)


def test_faults_are_named(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng)
    features, responses = label(x, y, runs)
    for lags in [(0.3, 0.1), (0.1,), "wide", (0.0, np.inf)]:
        with pytest.raises(ValueError, match="lags: expected the first and the last lag"):
            fixed(lags).fit(features, responses)
    with pytest.raises(ValueError, match="sampling_rate: expected a number of Hz for lags"):
        fixed((0.0, 0.4)).fit(x, y)
    with pytest.raises(ValueError, match="sampling_rate: expected a number of Hz above 0, got -1"):
        fixed((0, 4), sampling_rate=-1).fit(x, y)
    with pytest.raises(AlignError, match=r"onsets every 0.02 s, got a step of 0.01 s"):
        fixed((0, 0.1), sampling_rate=50).fit(features, responses)
    with pytest.raises(AlignError, match=r"onsets every 0.005 s, got a step of 0.01 s at 0 s"):
        fixed((0, 0.1), sampling_rate=200).fit(features, responses)
    with pytest.raises(AlignError, match=r"onsets every 0.01 s, got a step of 0.02 s"):
        fixed((0, 0.1)).fit(features, responses).predict(features[::2])
    with pytest.raises(ValueError, match="groups: expected 270 labels"):
        fixed((0, 4)).fit(x, y, groups=runs[:5])
    for name in ("direction", "regularization", "alpha_scale"):
        options: dict[str, Any] = {name: "none"}
        with pytest.raises(ValueError, match=f"{name}: expected one of"):
            TemporalReceptiveField((0, 4), 1.0, **options).fit(x, y)


def test_a_grid_that_is_too_short_is_said(rng: np.random.Generator) -> None:
    x, _, runs = make_runs(rng)
    y = lag_columns(x, runs, [1])[:, :2, 0]
    with pytest.warns(NeuroalignWarning, match="got the smallest for 100%"):
        TemporalReceptiveField((0, 3), [10.0, 100.0]).fit(x, y, groups=runs)


def test_memory_does_not_grow_with_samples_times_lags(rng: np.random.Generator) -> None:
    import tracemalloc

    peaks = []
    for n in (20_000, 40_000):
        x, y = rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
        tracemalloc.start()
        fixed((0, 99)).fit(x, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    grown = [after - before for before, after in pairwise(peaks)]
    # A lagged matrix would add 20,000 x 400 numbers, 64 MB; inputs and their copies add 10.
    assert grown[0] < 16e6


def test_impulses_give_the_event_related_potential_of_real_words(real_data: Path) -> None:
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        epochs = load_epochs(real_data / "eeg_n400_wordpairs" / "subject04-epo.fif")
    n, time = epochs.sizes["sample"], epochs["time"].values
    related = epochs["event_code"].values == 6
    coords = {
        "run": ("sample", np.repeat([f"trial-{i:03d}" for i in range(n)], len(time))),
        "onset": ("sample", np.tile(time, n)),
    }
    shown = np.zeros((n, len(time), 2))
    shown[related, np.abs(time).argmin(), 0] = shown[~related, np.abs(time).argmin(), 1] = 1.0
    features = xr.DataArray(shown.reshape(-1, 2), coords, ("sample", "feature"))
    values = epochs.values.transpose(0, 2, 1).reshape(n * len(time), -1)
    responses = xr.DataArray(
        values, coords | {"neuroid": epochs["neuroid"].values}, ("sample", "neuroid")
    )
    field = fixed((0.0, 0.8), 0.0, fit_intercept=False).fit(features, responses).coef_
    after = epochs.sel(time=field["lag"].values, method="nearest").values
    expected = np.stack([after[kind].mean(axis=0) for kind in (related, ~related)], axis=1)
    np.testing.assert_allclose(field.values, expected, atol=1e-10)
    difference = (field[:, 1] - field[:, 0]).sel(neuroid="Pz")
    assert float(difference["lag"][int(difference.argmin("lag"))]) == pytest.approx(0.38)
    assert float(difference.min()) == pytest.approx(-7.1e-6, abs=0.05e-6)


def test_lags_longer_than_every_run_are_refused(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng)
    features, responses = label(x, y, runs)
    with pytest.raises(ValueError, match=r"longest run \(1.1 s\), got \(0, 400\).*not millisec"):
        fixed((0, 400)).fit(features, responses)
    with pytest.raises(ValueError, match=r"longest run \(110 samples\), got \(-110, 0\)"):
        fixed((-110, 0)).fit(x, y, groups=runs)
    assert len(fixed((0, 109)).fit(x, y, groups=runs).lags_) == 110


def test_matrices_beyond_memory_are_refused_before_they_are_made() -> None:
    x = np.zeros((50_000, 8))
    with pytest.raises(MemoryError, match=r"lags: .* got 40001 lags of 8 features, which take"):
        fixed((0, 40_000)).fit(x, x)


def test_onsets_that_come_twice_ask_for_runs(rng: np.random.Generator) -> None:
    features, responses = (array.drop_vars("run") for array in label(*make_runs(rng)))
    with pytest.raises(ValueError, match=r"onsets that do not tell: X has no 'run'"):
        fixed((0, 0.05)).fit(features, responses)


def test_lags_between_samples_are_rounded(rng: np.random.Generator) -> None:
    x, y, runs = make_runs(rng)
    fitted = fixed((0.004, 0.046), sampling_rate=RATE).fit(x, y, groups=runs)
    np.testing.assert_allclose(fitted.lags_, np.arange(6) / RATE)
