"""Scores, resamples, ceilings and tests of RSA: brute force, the 92 images, planted truth."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import load_rdms
from neuroalign.rsa._bootstrap import ARMS, correct_both, draw_all, remove_fold_variance
from neuroalign.rsa._engine import Plan, average, evaluate_whole
from neuroalign.rsa._pairs import square_up
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.inference import infer, noise_ceiling
from neuroalign.rsa.models import FixedModel, SelectionModel, WeightedModel, as_models
from neuroalign.storage import load, save

IMAGES = [f"image {n}" for n in range(92)]
METHODS = [
    "cosine",
    "pearson",
    "whitened_cosine",
    "whitened_correlation",
    "spearman",
    "rho_a",
    "tau_a",
    "tau_b",
]


def name(n: int) -> np.ndarray:
    return np.array([f"c{k:02d}" for k in range(n)])


def subjects(values: np.ndarray) -> xr.DataArray:
    n = (1 + round((1 + 8 * values.shape[-1]) ** 0.5)) // 2
    ids = np.array([f"s{k}" for k in range(len(values))])
    return fold(values, name(n), ("subject",), {"subject": ids})


def models(values: np.ndarray) -> xr.DataArray:
    n = (1 + round((1 + 8 * values.shape[-1]) ** 0.5)) // 2
    ids = np.array([f"m{k}" for k in range(len(values))])
    return fold(values, name(n), ("model",), {"model": ids})


def copy_conditions(rows: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copy conditions for real; give the pairs of different ones, and V of those pairs."""
    chosen = np.repeat(np.arange(len(counts)), counts.astype(int))
    first, second = np.triu_indices(len(chosen), 1)
    kept = chosen[first] != chosen[second]
    first, second = first[kept], second[kept]
    contrast = np.zeros((len(first), len(chosen)))
    contrast[np.arange(len(first)), first] = 1
    contrast[np.arange(len(first)), second] = -1
    squares = square_up(rows)
    return squares[:, chosen[first], chosen[second]], (contrast @ contrast.T) ** 2


def count_concordance(x: np.ndarray, y: np.ndarray) -> float:
    """Concordant less discordant couples."""
    total = 0.0
    for i in range(len(x)):
        total += float((np.sign(x[i] - x[i + 1 :]) * np.sign(y[i] - y[i + 1 :])).sum())
    return total


def rank(x: np.ndarray) -> np.ndarray:
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x])


def compare(method: str, x: np.ndarray, y: np.ndarray, V: np.ndarray) -> float:
    """One similarity, straight from its definition."""
    inverse = np.linalg.inv(V) if "whitened" in method else np.eye(len(x))
    if method in ("spearman", "rho_a"):
        x, y = rank(x), rank(y)
    if method == "rho_a":
        n = len(x)
        return float(12 * x @ y / (n**3 - n) - 3 * (n + 1) / (n - 1))
    if method.startswith("tau"):
        sizes = [count_concordance(v, v) for v in (x, y)]
        n = len(x)
        size = np.sqrt(sizes[0] * sizes[1]) if method == "tau_b" else n * (n - 1) / 2
        return count_concordance(x, y) / float(size)
    if method in ("pearson", "spearman", "whitened_correlation"):
        one = inverse.sum(axis=1) / inverse.sum()
        x, y = x - one @ x, y - one @ y
    return float(x @ inverse @ y / np.sqrt((x @ inverse @ x) * (y @ inverse @ y)))


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_a_resample_equal_copied_conditions(
    rng: np.random.Generator, method: str
) -> None:
    values = rng.integers(1, 12, size=(5, 28)).astype(float)
    counts = np.array([2.0, 0, 1, 3, 1, 0, 1, 1])
    plan = Plan(
        [FixedModel(m, name=str(k)) for k, m in enumerate(models(values[:2]))],
        [values[:1], values[1:2]],
        values[2:],
        method,
    )
    for drawn in (np.ones(8), counts):
        found = evaluate_whole(plan, drawn, np.ones(3)).scores
        copied, V = copy_conditions(values, drawn)
        expected = [[compare(method, m, s, V) for s in copied[2:]] for m in copied[:2]]
        np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_ceilings_equal_loops_over_pooled_subjects(rng: np.random.Generator, method: str) -> None:
    values = rng.random((4, 28)) + rng.random(28)
    one, V = np.ones(8), copy_conditions(values, np.ones(8))[1]

    def normalise(x: np.ndarray) -> np.ndarray:
        if method in ("spearman", "rho_a", "tau_a", "tau_b"):
            return rank(x)
        if method in ("pearson", "whitened_correlation"):
            x = x - x.mean()
        inverse = np.linalg.inv(V) if "whitened" in method else np.eye(len(x))
        return x / np.sqrt(x @ inverse @ x)

    unit = np.array([normalise(x) for x in values])
    lower = [compare(method, values[s], np.delete(unit, s, 0).mean(0), V) for s in range(4)]
    upper = [compare(method, values[s], unit.mean(0), V) for s in range(4)]
    found = noise_ceiling(subjects(values), method=method)
    assert float(found["ceiling_lower"]) == pytest.approx(np.mean(lower), abs=1e-10)
    assert float(found["ceiling_upper"]) == pytest.approx(np.mean(upper), abs=1e-10)
    assert one.sum() == 8


def test_resampled_subjects_keep_the_pools_and_leave_themselves_out(
    rng: np.random.Generator,
) -> None:
    values = rng.random((3, 28))
    plan, people = Plan([], [], values, "cosine"), np.array([2.0, 1, 0])
    found = evaluate_whole(plan, np.ones(8), people)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    others = unit.sum(axis=0) - unit
    lower = (unit * others).sum(axis=1) / np.linalg.norm(others, axis=1)
    np.testing.assert_allclose(found.lower, lower)
    assert average(found, people)[0] == pytest.approx((2 * lower[0] + lower[1]) / 3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bootstrap", ["subjects", "stimuli", "both"])
def test_fixed_models_are_scored_once_for_all_arms(
    rng: np.random.Generator, method: str, bootstrap: str
) -> None:
    """As when each resample of subjects and of stimuli is evaluated on its own."""
    known, data = plant(rng, n_subjects=4)
    found = infer(known, data, method=method, bootstrap=bootstrap, n_bootstrap=6, seed=3)
    plan = Plan(as_models(known), [m.basis for m in as_models(known)], data.values, method)
    over = ARMS[bootstrap][-1]
    for row, (counts, people) in zip(found["draws"], draw_all(20, 4, 6, 3), strict=True):
        one = [c if use else np.ones(len(c)) for c, use in zip((counts, people), over, strict=True)]
        loop = average(evaluate_whole(plan, *one), one[1])[:-2]
        np.testing.assert_allclose(row, loop, atol=1e-10)


def test_the_error_of_a_ceiling_is_that_of_paired_subjects(rng: np.random.Generator) -> None:
    """Resamples of subjects tell what a paired t test of the same subjects does."""
    truth = rng.random(66)
    data = subjects(truth + 0.5 * rng.random((12, 66)))
    known = {"m": data[0].drop_vars("subject")}
    drawn = infer(known, data, bootstrap="subjects", n_bootstrap=4000)["p_ceiling"].item()
    paired = infer(known, data, bootstrap="none")["p_ceiling"].item()
    assert np.log(drawn) == pytest.approx(np.log(paired), abs=0.5)


def test_resamples_lose_no_copied_condition() -> None:
    for counts, people in draw_all(10, 5, 200, 3):
        assert counts.sum() == 10
        assert people.sum() == 5
        assert np.count_nonzero(counts) >= 4


def load_subjects(folder: Path) -> xr.DataArray:
    sessions = load_rdms(folder / "rsa_92images/92_brainRDMs.mat", labels=IMAGES)
    mean = sessions.values.reshape(2, 4, -1).mean(axis=0)
    pairs = {key: sessions[key] for key in ("first", "second")}
    coords = {"subject": ["BE", "KO", "SN", "TI"], **pairs}
    return xr.DataArray(mean, coords, ("subject", "pair"), attrs={"kind": "dissimilarity"})


@pytest.mark.parametrize(
    ("method", "lower", "upper"),
    [
        ("pearson", 0.394, 0.680),
        ("rho_a", 0.372, 0.666),
        ("tau_a", 0.254, 0.477),
        ("cosine", 0.988, 0.993),
        # Peers pool without whitening: .665 .817 and .430 .696, below the bound that holds.
        ("whitened_cosine", 0.6652, 0.8177),
        ("whitened_correlation", 0.4284, 0.6966),
    ],
)
def test_ceilings_of_the_92_images_are_the_known_ones(
    real_data: Path, method: str, lower: float, upper: float
) -> None:
    found = noise_ceiling(load_subjects(real_data), method=method)
    assert float(found["ceiling_lower"]) == pytest.approx(lower, abs=5.1e-4)
    assert float(found["ceiling_upper"]) == pytest.approx(upper, abs=5.1e-4)


MODEL_FITS = {
    "rho_a": [0.334, 0.205, 0.296, 0.245, 0.160, 0.027, 0.097, 0.038],
    "tau_a": [0.223, 0.137, 0.201, 0.166, 0.107, 0.018, 0.065, 0.026],
}


@pytest.mark.parametrize("method", list(MODEL_FITS))
def test_model_fits_of_the_92_images_are_the_known_ones(real_data: Path, method: str) -> None:
    known = load_rdms(real_data / "rsa_92images/92_modelRDMs.mat", labels=IMAGES)
    result = infer(known, load_subjects(real_data), method=method, bootstrap="none")
    np.testing.assert_allclose(result["mean"].values, MODEL_FITS[method], atol=6e-4)


def test_models_and_the_human_rdm_correlate_as_known(real_data: Path) -> None:
    known = load_rdms(real_data / "rsa_92images/92_modelRDMs.mat", labels=IMAGES)
    data = (
        load_subjects(real_data)
        .mean("subject", keep_attrs=True)
        .expand_dims("subject")
        .assign_coords(subject=np.array(["all"]))
    )
    result = infer(known, data, method="pearson", bootstrap="stimuli", n_bootstrap=10)
    expected = [0.577, 0.418, 0.491, 0.373, 0.216, 0.042, 0.162, 0.055]
    np.testing.assert_allclose(result["mean"].values, expected, atol=6e-4)
    assert float(result["mean"][2]) == pytest.approx(0.4912, abs=1e-4)
    assert np.isnan(result["p_ceiling"]).all()


def plant(rng: np.random.Generator, n_subjects: int = 10, noise: float = 0.5) -> tuple:
    """Three models of 20 conditions; data come from the second."""
    known = models(rng.random((3, 190)))
    values = known.values[1] + noise * rng.normal(size=(n_subjects, 190))
    return known, subjects(values)


@pytest.mark.parametrize("bootstrap", ["none", "subjects", "stimuli", "both"])
def test_the_model_that_made_the_data_wins(rng: np.random.Generator, bootstrap: str) -> None:
    known, data = plant(rng)
    result = infer(known, data, method="pearson", bootstrap=bootstrap, n_bootstrap=150)
    assert int(result["mean"].values.argmax()) == 1
    assert float(result["p_value"][1]) < 0.001
    assert float(result["p_value"][0]) > 0.01
    assert float(result["pairwise_p"][1, 0]) < 0.01
    assert float(result["mean"][1]) <= float(result["ceiling_upper"])
    assert float(result["p_ceiling"][0]) < 0.01
    assert float(result["difference"][1, 0]) > 0
    assert result.attrs["generalises_to"].startswith("new stimuli") == (bootstrap == "stimuli")


def test_the_result_says_what_it_generalises_to_and_is_stored(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    known, data = plant(rng)
    result = infer(known, data, n_bootstrap=20)
    assert result.attrs["generalises_to"] == "new subjects and new stimuli"
    assert result["score"].dims == ("model", "subject")
    assert load(save(result, tmp_path / "r.nc")).identical(result)
    xr.testing.assert_identical(infer(known, data, n_bootstrap=20), result)
    assert result["draws"].shape == (20, 3)


def test_shuffled_pairs_and_models_give_the_same_result(rng: np.random.Generator) -> None:
    known, data = plant(rng)
    moved = known.isel(pair=rng.permutation(190))
    xr.testing.assert_allclose(
        infer(moved, data, n_bootstrap=5), infer(known, data, n_bootstrap=5), atol=1e-10
    )


def test_times_are_tested_one_by_one(rng: np.random.Generator) -> None:
    known, data = plant(rng)
    later = xr.concat([data, data[::-1].assign_coords(subject=data["subject"]) * 2], "time")
    later = later.assign_coords(time=[0.1, 0.2]).assign_attrs(data.attrs)
    result = infer(known, later, n_bootstrap=10)
    assert result["pairwise_p"].dims == ("model", "model_other", "time")
    alone = infer(known, data, n_bootstrap=10)
    np.testing.assert_allclose(result["standard_error"].isel(time=0), alone["standard_error"])
    np.testing.assert_allclose(result["mean"].isel(time=1), alone["mean"])


def test_cross_validation_does_not_reward_useless_weights(rng: np.random.Generator) -> None:
    values = rng.random((40, 300))
    basis = fold(values, name(25), ("rdm",))
    data = subjects(rng.random((6, 300)))
    flexible = [WeightedModel(basis, name="w", non_negative=False)]
    inside = infer(flexible, data, method="pearson", cross_validate="none", bootstrap="none")
    both = infer(
        flexible, data, method="pearson", bootstrap="none", cross_validate="both", n_folds=3
    )
    assert float(inside["mean"][0]) > 0.1
    assert abs(float(both["mean"][0])) < 0.1
    assert inside.attrs["fitted_without_cross_validation"] == 1
    assert both.attrs["fitted_without_cross_validation"] == 0


def test_fitted_models_are_held_out_as_the_bootstrap_draws(rng: np.random.Generator) -> None:
    known, data = plant(rng)
    chosen = SelectionModel(known, name="chosen")
    fixed = FixedModel(known[1], name="true")
    result = infer([chosen, fixed], data, method="pearson", n_bootstrap=20, n_folds=2)
    assert result.attrs["cross_validate"] == "both"
    np.testing.assert_allclose(result["mean"][0], result["mean"][1])
    assert float(result["standard_error"][0]) > 0


def test_label_permutations_find_the_planted_model_only(rng: np.random.Generator) -> None:
    known, data = plant(rng)
    result = infer(known, data, bootstrap="none", n_permutations=99, method="rho_a")
    p = result["p_permutation"].values
    assert p[1] == pytest.approx(0.01)
    assert (p[[0, 2]] > 0.01).all()


def test_the_two_factor_variance_is_the_published_one() -> None:
    one, other, both = np.array([1.0]), np.array([2.0]), np.array([4.0])
    raw = 4 / 3 * 1 + 10 / 9 * 2 - 4 / 3 * 10 / 9 * (4 - 1 - 2)
    assert correct_both(one, other, both, 4, 10) == pytest.approx(max(min(raw, 4), 20 / 9))
    # With nothing but noise of cells the sum falls below its parts, and is held there.
    assert correct_both(one, one, np.array([9.0]), 4, 10) == pytest.approx(4 / 3)


def test_the_variance_of_folds_is_taken_out(rng: np.random.Generator) -> None:
    resample = rng.normal(size=(4000, 1, 1))
    draws = resample + 2 * rng.normal(size=(4000, 2, 1))
    assert remove_fold_variance(draws)[0] == pytest.approx(1.0, abs=0.2)


def test_a_constant_rdm_scores_zero(rng: np.random.Generator) -> None:
    data = subjects(rng.random((3, 28)))
    flat = {"flat": fold(np.full(28, 3.7), name(8))}
    for method in ("pearson", "whitened_correlation", "spearman", "rho_a", "tau_a", "tau_b"):
        result = infer(flat, data, method=method, bootstrap="none")
        np.testing.assert_allclose(result["score"], 0.0, atol=1e-12)


def test_tests_against_the_ceiling_work_for_every_bootstrap(rng: np.random.Generator) -> None:
    known, data = plant(rng)
    for bootstrap in ("subjects", "stimuli", "both"):
        result = infer(known, data, bootstrap=bootstrap, n_bootstrap=20)
        assert np.isfinite(result["p_ceiling"]).all()


def test_more_than_a_hundred_conditions_are_resampled_when_whitened(
    rng: np.random.Generator,
) -> None:
    data = subjects(rng.random((3, 120 * 119 // 2)))
    result = infer(models(data.values[:1]), data, method="whitened_cosine", n_bootstrap=3)
    assert np.isfinite(result["standard_error"]).all()


def test_faults_are_named(rng: np.random.Generator) -> None:
    known, data = plant(rng)
    with pytest.raises(SchemaError, match="data: expected a leading dim 'subject'"):
        infer(known, data[0].drop_vars("subject"))
    with pytest.raises(SchemaError, match="data: expected 2 subjects or more for bootstrap='both'"):
        infer(known, data[:1])
    with pytest.raises(SchemaError, match="data: expected 4 conditions or more, got 3"):
        infer(models(np.ones((1, 3))), subjects(rng.random((2, 3))))
    with pytest.raises(ValueError, match="n_bootstrap: expected 1 or more, got 0"):
        infer(known, data, n_bootstrap=0)
    with pytest.raises(ValueError, match="bootstrap: expected one of 'none'"):
        infer(known, data, bootstrap="pattern")
    with pytest.raises(ValueError, match="cross_validate: expected one of 'none'"):
        infer(known, data, cross_validate="loo")
    with pytest.raises(ValueError, match="n_folds: expected 2 or more, got 1"):
        infer(known, data, cross_validate="both", n_folds=1)
    with pytest.raises(SchemaError, match="data: expected 24 conditions or more for 4 folds"):
        infer(known, data, cross_validate="stimuli")
    with pytest.raises(SchemaError, match="data: expected 2 subjects or more to hold some out"):
        infer(known, data[:1], cross_validate="subjects", bootstrap="stimuli")
    other = data.assign_coords(first=data["first"].str.upper(), second=data["second"].str.upper())
    with pytest.raises(AlignError, match="model 'm0': expected the conditions of the data"):
        infer(known, other)


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", ["subjects", "stimuli", "both"])
def test_false_positives_stay_below_the_binomial_bound(bootstrap: str) -> None:
    """N = 300 studies of 12 subjects and 16 conditions, models and data unrelated."""
    n, rejected = 300, 0
    for seed in range(n):
        rng = np.random.default_rng(seed)
        patterns = rng.normal(size=(16, 6))
        first, second = np.triu_indices(16, 1)
        truth = np.square(patterns[first] - patterns[second]).sum(axis=1)
        data = subjects(truth + 3 * rng.normal(size=(12, 120)))
        guess = rng.normal(size=(16, 6))
        model = models(np.square(guess[first] - guess[second]).sum(axis=1)[None])
        if bootstrap == "subjects":
            # For these stimuli the null is no relation to the signal, not a new model.
            data = subjects(3 * rng.normal(size=(12, 120)))
        result = infer(model, data, method="pearson", bootstrap=bootstrap, n_bootstrap=100)
        rejected += float(result["p_value"][0]) < 0.05
    bound = 0.05 * n + 2.576 * np.sqrt(n * 0.05 * 0.95)
    assert rejected <= bound, rejected / n


def test_names_of_rsatoolbox_point_to_ours(rng: np.random.Generator) -> None:
    data = subjects(rng.normal(size=(3, 15)) ** 2)
    with pytest.raises(ValueError, match="got 'cosine_cov'. Did you mean 'whitened_cosine'"):
        infer({"own": data[0].drop_vars("subject")}, data, method="cosine_cov")


def test_what_was_drawn_is_named(rng: np.random.Generator) -> None:
    data = subjects(rng.normal(size=(4, 28)) ** 2)
    model = {"own": data[0].drop_vars("subject")}
    found = infer(model, data.rename(subject="session"), over="session", n_bootstrap=20)
    assert found.attrs["generalises_to"] == "new entries of 'session' and new stimuli"
