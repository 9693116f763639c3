"""Parallelism follows its formulas; its correction is the mean over all halvings of the data."""

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.geometry import parallelism_score
from neuroalign.schema import check

NAMES = list("abcdefgh")
PAIRS = list(zip("abcd", "efgh", strict=True))


def simulate(rng: np.random.Generator, n: int, noise: float = 1.0) -> tuple[Any, Any]:
    """Trials (8 n, 40) whose differences share .8 of their direction."""
    common = rng.normal(size=40)
    base = rng.normal(size=(4, 40))
    means = np.vstack([base + common + 0.7 * rng.normal(size=(4, 40)), base])
    labels = np.repeat(NAMES, n)
    return np.repeat(means, n, axis=0) + noise * rng.normal(size=(8 * n, 40)), labels


def differences(X: Any, labels: Any, pairs: Any = PAIRS) -> np.ndarray:
    mean = {name: X[labels == name].mean(axis=0) for name in NAMES}
    return np.array([mean[one] - mean[other] for one, other in pairs])


def mean_of_pairs(products: np.ndarray) -> float:
    return float(products[~np.eye(len(products), dtype=bool)].mean())


def test_plain_score_is_the_mean_cosine(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 5)
    v = differences(X, labels)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    found = parallelism_score(X, list("abcd"), conditions=labels, pairs=PAIRS)
    assert float(found["parallelism"]) == pytest.approx(mean_of_pairs(v @ v.T), rel=1e-10)


def test_best_pairing_is_found_by_brute_force(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 5)
    scores = []
    for order in permutations("efgh"):
        v = differences(X, labels, list(zip("abcd", order, strict=True)))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        scores.append(mean_of_pairs(v @ v.T))
    found = parallelism_score(X, list("abcd"), conditions=labels)
    assert float(found["parallelism"]) == pytest.approx(max(scores), rel=1e-10)
    assert found.attrs["pairing"] == "best"


def test_correction_is_the_mean_over_all_halvings(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 4)
    trials = X.reshape(8, 4, 40)
    halves = [np.isin(np.arange(4), one) for one in combinations(range(4), 2)]
    # Products are linear in each condition: halves of one do not depend on those of another.
    own = np.mean([trials[:, h].mean(1) * trials[:, ~h].mean(1) for h in halves], axis=0).sum(1)
    means = trials.mean(axis=1)
    gram = means @ means.T
    gram[np.diag_indices(8)] = own
    sign = np.hstack([np.eye(4), -np.eye(4)])
    products = sign @ gram @ sign.T
    found = parallelism_score(X, list("abcd"), conditions=labels, pairs=PAIRS)
    assert float(found["signal"]) == pytest.approx(np.trace(products) / 4, rel=1e-10)
    truth = mean_of_pairs(products) / (np.trace(products) / 4)
    assert float(found["corrected"]) == pytest.approx(truth, rel=1e-10)


def test_random_halves_of_the_specification_agree(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 20)
    across, within = [], []
    for _ in range(400):
        half = np.concatenate([rng.permutation(20) < 10 for _ in NAMES])
        a, b = (differences(X[own], labels[own]) for own in (half, ~half))
        products = (a @ b.T + b @ a.T) / 2
        across.append(mean_of_pairs(products))
        within.append(np.trace(products) / 4)
    found = parallelism_score(X, list("abcd"), conditions=labels, pairs=PAIRS)
    assert float(found["corrected"]) == pytest.approx(np.mean(across) / np.mean(within), abs=0.01)


def test_folds_multiply_different_folds_only(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 6)
    run = np.tile(np.repeat(["r1", "r2", "r3"], 2), 8)
    v = {one: differences(X[run == one], labels[run == one]) for one in np.unique(run)}
    products = np.mean([v[f] @ v[g].T for f, g in permutations(v, 2)], axis=0)
    found = parallelism_score(X, list("abcd"), conditions=labels, pairs=PAIRS, fold=run)
    assert float(found["signal"]) == pytest.approx(np.trace(products) / 4, rel=1e-10)
    truth = mean_of_pairs(products) / (np.trace(products) / 4)
    assert float(found["corrected"]) == pytest.approx(truth, rel=1e-10)


@pytest.mark.parametrize("folded", [False, True])
def test_jackknife_leaves_units_out_by_hand(rng: np.random.Generator, folded: bool) -> None:
    X, labels = simulate(rng, 5)
    unit = np.tile(np.arange(5), 8)
    fold = unit.astype(str) if folded else None

    def measure(kept: Any) -> float:
        options = {"conditions": labels[kept], "pairs": PAIRS}
        runs = None if fold is None else fold[kept]
        return float(parallelism_score(X[kept], list("abcd"), fold=runs, **options)["signal"])

    groups = [unit == u for u in range(5)] if folded else list(np.eye(40, dtype=bool))
    without = np.array([measure(~group) for group in groups]).reshape(-1, 5)
    spread = 4 / 5 * ((without - without.mean(axis=1, keepdims=True)) ** 2).sum()
    options = {"conditions": labels, "pairs": PAIRS, "fold": fold}
    found = parallelism_score(X, list("abcd"), **options)
    assert float(found["signal_error"]) == pytest.approx(np.sqrt(spread), rel=1e-8)


def test_shared_noise_of_runs_is_no_parallelism(rng: np.random.Generator) -> None:
    labels, run = np.tile(NAMES, 60), np.repeat([f"r{i}" for i in range(12)], 40)
    means = 3 * rng.normal(size=(8, 40))
    # A run adds one direction to all conditions of a side, the same for its five trials.
    drift = (
        np.repeat(rng.normal(size=(12, 40)), 40, axis=0) * np.isin(labels, list("abcd"))[:, None]
    )
    X = np.tile(means, (60, 1)) + 4 * drift + rng.normal(size=(480, 40))
    options = {"conditions": labels, "pairs": PAIRS}
    plain = parallelism_score(X, list("abcd"), **options)
    whole = parallelism_score(X, list("abcd"), fold=run, **options)
    truth = differences(np.tile(means, (2, 1)), np.tile(NAMES, 2))
    products = truth @ truth.T
    true = mean_of_pairs(products) / np.diag(products).mean()
    assert abs(float(whole["corrected"]) - true) < abs(float(plain["corrected"]) - true)
    assert abs(float(whole["corrected"]) - true) < 3 * float(whole["corrected_error"])


def test_weak_signal_is_refused(rng: np.random.Generator) -> None:
    X, labels = rng.normal(size=(40, 30)), np.repeat(NAMES, 5)
    with pytest.warns(NeuroalignWarning, match="got less in 1 of 1 dichotomies"):
        found = parallelism_score(X, list("abcd"), conditions=labels, pairs=PAIRS)
    assert np.isnan(found["corrected"])
    assert np.isfinite(found["parallelism"])


def test_one_trial_a_condition_gives_the_plain_score(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 1, noise=0)
    found = parallelism_score(X, list("abcd"), conditions=labels, pairs=PAIRS)
    assert np.isfinite(found["parallelism"])
    assert np.isnan(found["corrected"])


def test_labelled_trials_give_the_same(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 5)
    data = xr.DataArray(X, dims=("sample", "neuroid"), coords={"stimulus": ("sample", labels)})
    shuffled = data.isel(sample=rng.permutation(40))
    found = parallelism_score(shuffled, list("abcd"), pairs=PAIRS)
    bare = parallelism_score(X, list("abcd"), conditions=labels, pairs=PAIRS)
    xr.testing.assert_allclose(found, bare, rtol=1e-10)
    check(found)


def test_faults_are_named(rng: np.random.Generator) -> None:
    X, labels = simulate(rng, 3)
    side = list("abcd")
    with pytest.raises(ValueError, match="pairs: expected every positive condition once"):
        parallelism_score(X, side, conditions=labels, pairs=PAIRS[:3])
    with pytest.raises(SchemaError, match="conditions: expected a coord of responses, got 'what'"):
        parallelism_score(X, side, conditions="what")
    with pytest.raises(SchemaError, match="conditions: expected 24 labels, one a sample"):
        parallelism_score(X, side, conditions=labels[:3])
    with pytest.raises(ValueError, match=r"factors\['positive'\]: expected half"):
        parallelism_score(X, ["a"], conditions=labels)
    with pytest.raises(SchemaError, match="fold: expected two labels or more, got one"):
        parallelism_score(X, side, conditions=labels, fold=["one"] * 24)
    with pytest.raises(SchemaError, match="fold: expected every condition in two folds or more"):
        parallelism_score(X, side, conditions=labels, fold=labels)
    with pytest.raises(SchemaError, match="conditions: expected two or more"):
        parallelism_score(X, side, conditions=["a"] * 24)
    many = [f"c{i:02d}" for i in range(14)]
    with pytest.raises(ValueError, match="pairs: expected a list of pairs for more than 6"):
        parallelism_score(rng.normal(size=(14, 5)), many[:7], conditions=many)


def test_haxby_faces_and_houses_stand_above_noise(haxby_blocks: xr.DataArray) -> None:
    shown = np.isin(haxby_blocks["stimulus"], ["face", "cat", "house", "chair"])
    data = haxby_blocks.isel(sample=shown)
    pairs = [("face", "house"), ("cat", "chair")]
    found = parallelism_score(data, ["face", "cat"], pairs=pairs, fold="run")
    assert float(found["signal"]) > 4 * float(found["signal_error"])
    assert -0.4 < float(found["corrected"]) < 0.8
    few = data.isel(sample=np.isin(data["run"], np.unique(data["run"])[:4]))
    with pytest.warns(NeuroalignWarning, match="corrected parallelism is NaN"):
        parallelism_score(few, ["face", "cat"], pairs=pairs, fold="run")
