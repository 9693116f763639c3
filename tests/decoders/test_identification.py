"""Retrieval among candidates: brute force, its expectation, chance, and faults."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.decoders import identify
from neuroalign.decoders._identification import compare_rows, expect_hits, find_beaten
from neuroalign.errors import AlignError, SchemaError
from neuroalign.schema import check


def make_pair(rng: np.random.Generator, n: int = 60, noise: float = 2.0) -> tuple[Any, Any]:
    true = rng.normal(size=(n, 12))
    return true + noise * rng.normal(size=true.shape), true


def test_retrieval_among_all_equals_a_naive_loop(rng: np.random.Generator) -> None:
    predicted, true = make_pair(rng)
    found = identify(predicted, true, n_candidates=60, top=(1, 5))
    pairs = {"to_embedding": (predicted, true), "to_brain": (true, predicted)}
    for way, (given, wanted) in pairs.items():
        hits = {1: 0, 5: 0}
        for i in range(60):
            cosine = [g @ given[i] / np.linalg.norm(g) for g in wanted]
            place = sorted(range(60), key=lambda j: -cosine[j]).index(i)
            hits = {k: count + (place < k) for k, count in hits.items()}
        for k, count in hits.items():
            got = found["retrieval"].sel(direction=way, candidates=60, top=k)
            assert float(got) == pytest.approx(count / 60)
    np.testing.assert_allclose(found["retrieval"], found["expected"], atol=1e-12)
    assert (found["retrieval_draw"].std("draw") < 1e-12).all()


def test_the_mean_over_draws_tends_to_its_expectation(rng: np.random.Generator) -> None:
    predicted, true = make_pair(rng)
    found = identify(predicted, true, n_candidates=(10, 40), n_draws=2000)
    np.testing.assert_allclose(found["retrieval"], found["expected"], atol=0.01)
    assert (found["expected"].sel(candidates=10) > found["expected"].sel(candidates=40)).all()


def test_the_expectation_counts_all_draws_of_a_tiny_case(rng: np.random.Generator) -> None:
    from itertools import combinations

    ahead = find_beaten(rng.normal(size=(6, 6)), rng)
    got = expect_hits(ahead, 3, np.array([1, 2]))
    for item in range(6):
        others = [j for j in range(6) if j != item]
        ranks = [sum(ahead[item, j] for j in pair) for pair in combinations(others, 2)]
        want = [np.mean(np.array(ranks) < k) for k in (1, 2)]
        np.testing.assert_allclose(got[item], want, atol=1e-12)


def test_two_way_identification_is_the_share_of_others_less_alike(rng: np.random.Generator) -> None:
    predicted, true = make_pair(rng, 20)
    found = identify(predicted, true, metric="correlation", top=1)
    table = np.corrcoef(predicted, true)[:20, 20:]
    wins = [(table[i] < table[i, i]).sum() / 19 for i in range(20)]
    assert float(found["two_way"].sel(direction="to_embedding")) == pytest.approx(np.mean(wins))


def test_noise_and_constant_predictions_are_at_chance(rng: np.random.Generator) -> None:
    true = rng.normal(size=(400, 10))
    for guess in (rng.normal(size=true.shape), np.ones_like(true), np.zeros_like(true)):
        found = identify(guess, true, n_candidates=50, top=(1, 10))
        assert (abs(found["retrieval"] - found["chance"]) < 0.06).all()
        assert (abs(found["two_way"] - 0.5) < 0.05).all()
    assert found["chance"].values.tolist() == [[0.02, 0.2]]


def test_the_interval_holds_the_truth_about_as_often_as_it_says(rng: np.random.Generator) -> None:
    many = identify(*make_pair(rng, 4000), n_candidates=50, n_draws=1, top=1, n_resamples=10)
    truth = float(many["expected"][0, 0, 0])
    inside = 0
    for seed in range(60):
        pair = make_pair(np.random.default_rng(seed), 150)
        one = identify(*pair, n_candidates=50, n_draws=1, top=1, n_resamples=200)
        inside += float(one["lower"][0, 0, 0]) <= truth <= float(one["upper"][0, 0, 0])
    assert inside >= 50


def test_usual_numbers_of_candidates_are_those_that_fit(rng: np.random.Generator) -> None:
    for n, sizes in ((40, [40]), (350, [300]), (1001, [300, 1000])):
        found = identify(*make_pair(rng, n), n_draws=1, n_resamples=10)
        assert found["candidates"].values.tolist() == sizes


def test_the_mean_of_training_is_taken_from_both(rng: np.random.Generator) -> None:
    predicted, true = make_pair(rng)
    middle = 5 * rng.normal(size=12)
    plain = identify(predicted, true, seed=3)
    moved = identify(predicted + middle, true + middle, center=middle, seed=3)
    xr.testing.assert_allclose(plain, moved)


def test_tokens_are_joined_and_the_result_can_be_reported(rng: np.random.Generator) -> None:
    predicted, true = make_pair(rng)
    flat = identify(predicted, true)
    tokens = identify(predicted.reshape(60, 4, 3), true.reshape(60, 4, 3))
    xr.testing.assert_equal(flat, tokens)
    assert check(flat).attrs["verdict"].startswith("Top-1 retrieval among 60 is 0.")


def test_a_row_without_length_resembles_nothing() -> None:
    table = compare_rows(np.array([[0.0, 0.0], [1.0, 1.0]]), np.eye(2), "cosine")
    np.testing.assert_allclose(table, [[0, 0], [0.5**0.5] * 2])
    assert compare_rows(np.array([[3.0, 3.0]]), np.eye(2), "correlation").tolist() == [[0.0, 0.0]]


def test_faults_are_named(rng: np.random.Generator) -> None:
    predicted, true = make_pair(rng)
    with pytest.raises(SchemaError, match=r"predicted: expected .* as true \(60, 12\)"):
        identify(predicted[:, :5], true)
    with pytest.raises(ValueError, match="n_candidates: expected .* to the 60 items, got 300"):
        identify(predicted, true, n_candidates=300)
    with pytest.raises(ValueError, match="top: expected .* below 10 candidates"):
        identify(predicted, true, n_candidates=10, top=10)
    with pytest.raises(ValueError, match="n_draws: expected at least 1"):
        identify(predicted, true, n_draws=0)
    with pytest.raises(SchemaError, match=r"center: expected one embedding \(12,\)"):
        identify(predicted, true, center=np.zeros(3))
    with pytest.raises(ValueError, match=r"true: expected finite .* 1 rows \(first: 2\)"):
        identify(predicted, np.where(np.arange(60)[:, None] == 2, np.nan, true))
    with pytest.raises(ValueError, match="metric: expected one of 'cosine'"):
        identify(predicted, true, metric="euclid")


def test_labels_must_agree_and_name_each_stimulus_once(rng: np.random.Generator) -> None:
    predicted, true = (
        xr.DataArray(part, dims=("sample", "feature"), coords={"stimulus": ("sample", [*"abcdef"])})
        for part in make_pair(rng, 6)
    )
    with pytest.raises(AlignError, match="true: expected the 'stimulus' of predicted"):
        identify(predicted, true[::-1])
    double = predicted.assign_coords(stimulus=("sample", [*"aacdef"]))
    with pytest.raises(SchemaError, match="expected each stimulus once, got 'a' 2 times"):
        identify(double, true.assign_coords(stimulus=double["stimulus"]))
