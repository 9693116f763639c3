"""Permutations keep together what depends on each other, and their p values are honest."""

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter
from scipy.stats import permutation_test as scipy_test

from neuroalign.errors import AlignError
from neuroalign.loaders import from_arrays
from neuroalign.stats import cut_blocks, max_statistic, permutation_test, permute_rows


def timed(values: np.ndarray, runs: int = 1) -> xr.DataArray:
    n = len(values) // runs
    return from_arrays(
        values,
        run=np.repeat([f"r{i}" for i in range(runs)], n),
        onset=np.tile(np.arange(n) * 2.0, runs),
        modality="fmri",
    )


def test_blocks_move_whole_stimuli_within_their_fold(rng: np.random.Generator) -> None:
    stimulus = np.repeat([f"s{i}" for i in range(12)], 2)
    fold = np.repeat([0, 1, 2], 8)
    order = permute_rows(24, "block", rng, blocks=stimulus, within=fold)
    assert sorted(order.tolist()) == list(range(24))
    assert (stimulus[order][::2] == stimulus[order][1::2]).all()
    np.testing.assert_array_equal(fold[order], fold)
    assert (order != np.arange(24)).any()


def test_circular_shifts_keep_the_order_of_time(rng: np.random.Generator) -> None:
    run = np.repeat(["a", "b", "c", "d"], 10)
    order = permute_rows(40, "circular", rng, run=run, within=np.repeat([0, 1], 20))
    for one in "abcd":
        rows = order[run == one]
        assert (run[rows] == one).all()
        assert (np.diff(rows) % 10 == 1).all()


def test_blocks_are_contiguous_and_never_cross_runs() -> None:
    run = np.repeat(["a", "b"], [7, 5])
    assert cut_blocks(run, 3).tolist() == [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4]
    with pytest.raises(ValueError, match="length: expected at least 1 row, got 0"):
        cut_blocks(run, 0)


def test_max_statistic_equals_brute_force(rng: np.random.Generator) -> None:
    observed, null = rng.normal(size=(3, 4)), rng.normal(size=(99, 3, 4))
    observed[0, 0] = np.nan
    expected = np.array(
        [
            [(1 + sum(np.max(one) >= value for one in null)) / 100 for value in row]
            for row in observed
        ]
    )
    expected[0, 0] = np.nan
    np.testing.assert_allclose(max_statistic(observed, null), expected)
    with pytest.raises(ValueError, match=r"null: expected shape \(permutation, 3, 4\), got"):
        max_statistic(observed, null[:, 0])


def test_p_values_agree_with_scipy(rng: np.random.Generator) -> None:
    signal = rng.normal(size=60)
    observed = np.stack([0.3 * signal + rng.normal(size=60), rng.normal(size=60)], axis=1)
    responses = from_arrays(observed, stimulus=[f"s{i}" for i in range(60)], modality="eeg")
    predicted = responses.copy(data=np.repeat(signal[:, None], 2, axis=1))
    ours = permutation_test(responses, predicted, scheme="block", n_permutations=4000, seed=1)
    for target in range(2):
        peer = scipy_test(
            (observed[:, target],),
            lambda x: np.corrcoef(x, signal)[0, 1],
            permutation_type="pairings",
            vectorized=False,
            n_resamples=4000,
            alternative="greater",
            rng=np.random.default_rng(2),
        )
        assert float(ours["score"][target]) == pytest.approx(peer.statistic)
        spread = np.sqrt(peer.pvalue * (1 - peer.pvalue) / 4000)
        assert float(ours["p_value"][target]) == pytest.approx(peer.pvalue, abs=4 * spread + 1e-3)
    np.testing.assert_allclose(ours["null_mean"], 0, atol=0.01)
    np.testing.assert_allclose(ours["null_sd"], 1 / np.sqrt(59), rtol=0.05)


@pytest.mark.parametrize(
    ("scheme", "block_length", "low", "high"),
    [("circular", None, 0.02, 0.08), ("block", 30, 0.02, 0.10), ("block", None, 0.15, 0.8)],
)
def test_autocorrelated_nulls_pass_at_their_level(
    scheme: str, block_length: int | None, low: float, high: float, rng: np.random.Generator
) -> None:
    # Exchanging single rows of AR(1) series is the classic mistake: it must fail here.
    n, targets = 300, 400
    series = lfilter([1], [1, -0.9], rng.normal(size=(2, n + 100, targets)), axis=1)[:, 100:]
    observed, predicted = timed(series[0]), timed(series[1])
    result = permutation_test(
        observed,
        predicted,
        scheme=scheme,
        block_length=block_length,
        n_permutations=199,
        seed=3,
    )
    passed = float((result["p_value"] <= 0.05).mean())
    assert low <= passed <= high


def test_planted_signal_is_found_and_the_family_is_controlled(rng: np.random.Generator) -> None:
    signal = rng.normal(size=(200, 40))
    noise = rng.normal(size=(200, 40))
    observed = timed(np.where(np.arange(40) < 10, signal, 0) + noise, runs=4)
    result = permutation_test(observed, timed(signal, runs=4), n_permutations=500)
    assert (result["p_fwer"][:10] <= 0.05).all()
    assert (result["p_fwer"][10:] > 0.05).all()
    assert (result["p_fwer"] >= result["p_value"]).all()
    assert (result["q_value"] >= result["p_value"] - 1e-12).all()


def test_faults_are_named(rng: np.random.Generator) -> None:
    one = timed(rng.normal(size=(10, 2)))
    with pytest.raises(ValueError, match="scheme: expected one of 'block', 'circular', got 'iid'"):
        permutation_test(one, one, scheme="iid")
    with pytest.raises(ValueError, match="block_length: expected None under scheme 'circular'"):
        permutation_test(one, one, block_length=3)
    with pytest.raises(ValueError, match="n_permutations: expected at least 1"):
        permutation_test(one, one, n_permutations=0)
    with pytest.raises(AlignError, match="two or more blocks"):
        permutation_test(one, one, scheme="block", block_length=10)
    with pytest.raises(ValueError, match=r"blocks: expected 4 labels, got shape \(3,\)"):
        permute_rows(4, "block", rng, blocks=np.zeros(3))


def test_runs_are_shifted_in_time_not_in_rows() -> None:
    time = np.array([3, 0, 2, 1])
    order = permute_rows(4, "circular", np.random.default_rng(3), time=time)
    steps = (time[order] - time) % 4
    assert len(set(steps.tolist())) == 1
