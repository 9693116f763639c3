"""Reliability of RDMs: halves by hand, the known share of signal, the N400."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import kendalltau, pearsonr, spearmanr

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays, load_epochs
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.joining import stack_rdms
from neuroalign.rsa.labelling import from_matrix
from neuroalign.rsa.reliability import SPLITS, estimate_reliability, split_rdms
from neuroalign.rsa.time import bin_time, generalize_rdms
from neuroalign.storage import load, save


def name(n: int) -> list[str]:
    return [f"c{k:02d}" for k in range(n)]


def measure(
    rng: np.random.Generator, *, n: int = 10, n_runs: int = 4, noise: float = 1.0, p: int = 30
) -> xr.DataArray:
    """Patterns of n conditions in each run with independent noise."""
    values = np.tile(rng.normal(size=(n, p)), (n_runs, 1)) + noise * rng.normal(
        size=(n * n_runs, p)
    )
    return from_arrays(
        values, modality="fmri", stimulus=name(n) * n_runs, dtype="float64",
        run=np.repeat([f"run-{k}" for k in range(n_runs)], n), roi=["V1"] * 10 + ["IT"] * (p - 10),
    )  # fmt: skip


def halve(data: xr.DataArray, rows: np.ndarray, **options: object) -> np.ndarray:
    """RDM of some rows, pairs by name."""
    rdm = compute_rdm(data.isel(sample=rows), **options).sortby("first").sortby("second")
    return np.asarray(rdm.values[np.triu_indices(rdm.sizes["first"], 1)])


def test_odd_and_even_runs_are_the_halves(rng: np.random.Generator) -> None:
    data = measure(rng)
    found = split_rdms(data, distance="crossnobis", fold="run")
    assert found["half"].values.tolist() == ["first", "second"]
    for k in (0, 1):
        rows = np.flatnonzero(np.isin(data["run"], [f"run-{k}", f"run-{k + 2}"]))
        expected = halve(data, rows, distance="crossnobis", fold="run")
        np.testing.assert_allclose(found[k], expected, atol=1e-12)


def test_random_halves_are_of_equal_size_and_differ_by_seed(rng: np.random.Generator) -> None:
    data = measure(rng, n_runs=6)
    made = [split_rdms(data, split="random", seed=seed).values for seed in range(6)]
    assert len({one.tobytes() for one in made}) > 3
    np.testing.assert_array_equal(made[2], split_rdms(data, split="random", seed=2))
    assert set(SPLITS) == {"random", "odd_even"}


def test_presentations_are_dealt_within_each_condition(rng: np.random.Generator) -> None:
    data = measure(rng, n_runs=3)
    shuffled = data.isel(sample=rng.permutation(30))
    found = split_rdms(shuffled, unit=None)
    seen = dict.fromkeys(name(10), 0)
    half = []
    for one in shuffled["stimulus"].values.tolist():
        half.append(seen[one] % 2)
        seen[one] += 1
    for k in (0, 1):
        expected = halve(shuffled, np.flatnonzero(np.array(half) == k))
        labels = sorted(zip(found["first"].values, found["second"].values, strict=True))
        assert len(labels) == 45
        np.testing.assert_allclose(np.sort(found[k]), np.sort(expected), atol=1e-12)


@pytest.mark.parametrize(
    ("method", "peer"),
    [("pearson", pearsonr), ("spearman", spearmanr), ("tau_b", kendalltau)],
)
def test_halves_correlate_as_in_scipy(rng: np.random.Generator, method, peer) -> None:  # type: ignore[no-untyped-def]
    data = measure(rng)
    halves = split_rdms(data)
    found = estimate_reliability(data, split="odd_even", method=method, n_bootstrap=0)
    expected = peer(halves[0], halves[1]).statistic
    np.testing.assert_allclose(found["half"], expected, atol=1e-12)
    np.testing.assert_allclose(found["reliability"], 2 * expected / (1 + expected), atol=1e-12)


def test_random_splits_are_averaged(rng: np.random.Generator) -> None:
    data = measure(rng, n_runs=6)
    found = estimate_reliability(data, n_splits=5, n_bootstrap=0, seed=10)
    each = []
    for seed in range(10, 15):
        halves = split_rdms(data, split="random", seed=seed)
        each.append(pearsonr(halves[0], halves[1]).statistic)
    np.testing.assert_allclose(found["half"], np.mean(each), atol=1e-12)
    np.testing.assert_allclose(found["split_sd"], np.std(each, ddof=1), atol=1e-12)


def test_conditions_are_resampled_with_their_weights(rng: np.random.Generator) -> None:
    """A condition drawn twice counts its pairs twice: as in RDMs with copies but no copy pairs."""
    data = measure(rng, n=6)
    found = estimate_reliability(data, split="odd_even", n_bootstrap=400, seed=4)
    halves = split_rdms(data).values
    square = np.zeros((2, 6, 6))
    square[:, *np.triu_indices(6, 1)] = halves
    square += square.transpose(0, 2, 1)
    draws, generator = [], np.random.default_rng([4, 5])
    while len(draws) < 400:
        counts = np.bincount(generator.integers(6, size=6), minlength=6)
        if np.count_nonzero(counts) < 4:
            continue
        chosen = np.repeat(np.arange(6), counts)
        a, b = np.triu_indices(6, 1)
        kept = chosen[a] != chosen[b]
        one, other = (half[chosen[a], chosen[b]][kept] for half in square)
        r = pearsonr(one, other).statistic
        draws.append(max(2 * r / (1 + r), -1) if r > -0.999 else -1)
    expected = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose([found["lower"], found["upper"]], expected, atol=1e-9)


def test_reliability_is_the_share_of_variance_that_repeats() -> None:
    """The similarity of two full data sets is what the halves of one predict."""
    predicted, actual = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = measure(rng, n=14, n_runs=16, noise=1.5, p=60)
        first, second = split_rdms(data, distance="crossnobis", fold="run")
        actual.append(pearsonr(first, second).statistic)
        part = data.isel(sample=slice(8 * 14))
        found = estimate_reliability(
            part, distance="crossnobis", fold="run", n_splits=8, n_bootstrap=0
        )
        predicted.append(float(found["reliability"]))
    assert 0.3 < np.mean(actual) < 0.9
    np.testing.assert_allclose(np.mean(predicted), np.mean(actual), atol=0.1)


def test_noise_is_not_reliable() -> None:
    found = [
        float(
            estimate_reliability(
                measure(np.random.default_rng(seed), noise=1e6), split="odd_even", n_bootstrap=0
            )["half"]
        )
        for seed in range(40)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(40)


def test_subjects_regions_and_times_have_one_value_each(rng: np.random.Generator) -> None:
    parts = []
    for k, subject in enumerate(("s1", "s2")):
        values = rng.normal(size=(40, 6, 4)) + np.tile(rng.normal(size=(10, 6, 1)), (4, 1, 1))
        parts.append(from_arrays(
            values, modality="meg", stimulus=name(10) * 4, subject=[subject] * 40,
            run=np.repeat([f"{subject}_run-{j}" for j in range(4)], 10), dtype="float64",
            roi=["V1", "IT"] * 3, time=np.arange(4) / 10,
        ))  # fmt: skip
        assert parts[k].sizes["sample"] == 40
    data = xr.concat(parts, "sample").isel(sample=rng.permutation(80))
    found = estimate_reliability(data, over=("subject", "roi", "time"), n_bootstrap=20, n_splits=3)
    assert found["reliability"].dims == ("subject", "roi", "time")
    assert (found["lower"] <= found["upper"]).all()
    halves = split_rdms(data, over=("subject", "time"))
    assert generalize_rdms(halves, over="half")["score"].dims == ("subject", "time", "time_other")


def test_a_result_is_stored_and_read_again(rng: np.random.Generator, tmp_path: Path) -> None:
    found = estimate_reliability(measure(rng), over="roi", n_splits=2, n_bootstrap=9)
    save(found, tmp_path / "reliability.nc")
    xr.testing.assert_identical(load(tmp_path / "reliability.nc"), found)


def test_rdms_of_word_pairs_repeat_in_the_n400(real_data) -> None:  # type: ignore[no-untyped-def]
    """Three thirds of each kind of pair: the kinds differ from 0.3 to 0.5 s, thirds do not."""
    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        epochs = load_epochs(path, stimulus="association")
    kind = np.where(epochs["event_code"].values == 6, "related", "unrelated")
    order = [(kind[:k] == kind[k]).sum() % 3 for k in range(len(kind))]
    names = [f"{one} {k}" for one, k in zip(kind, order, strict=True)]
    found = estimate_reliability(
        bin_time(epochs.assign_coords(condition=("sample", names)), window=0.1),
        by="condition", unit=None, distance="squared_euclidean", over="time", n_bootstrap=50,
    )  # fmt: skip
    best = int(found["reliability"].values.argmax())
    assert 0.3 <= float(found["time"][best]) <= 0.5
    assert float(found["reliability"][best]) > 0.2
    baseline = found["reliability"].where(found["time"] < 0, drop=True)
    assert float(baseline.max()) < float(found["reliability"][best])


def test_wrong_halves_are_named(rng: np.random.Generator) -> None:
    data = measure(rng)
    with pytest.raises(ValueError, match="split: expected one of 'odd_even', 'random'"):
        split_rdms(data, split="thirds")
    with pytest.raises(SchemaError, match="responses: expected coord 'session' on 'sample'"):
        split_rdms(data, unit="session")
    with pytest.raises(SchemaError, match="responses: expected 2 or more 'run', got 1"):
        split_rdms(data.isel(sample=slice(10)))
    with pytest.raises(SchemaError, match="expected 2 or more presentations of each condition"):
        split_rdms(data.isel(sample=slice(10)), unit=None)
    with pytest.raises(SchemaError, match="every condition in both halves, got a second half"):
        split_rdms(data.isel(sample=slice(19)))
    with pytest.raises(SchemaError, match="expected 2 or more different 'run', got 1"):
        split_rdms(data.isel(sample=slice(20)), distance="crossnobis", fold="run")


def test_wrong_options_are_named(rng: np.random.Generator) -> None:
    data = measure(rng)
    with pytest.raises(ValueError, match="method: expected one of"):
        estimate_reliability(data, method="bures")
    with pytest.raises(ValueError, match="n_splits, n_bootstrap, level: expected 1 or more"):
        estimate_reliability(data, n_splits=0)
    three = data.isel(sample=np.flatnonzero(np.isin(data["stimulus"], name(3))))
    with pytest.raises(SchemaError, match="4 conditions or more to resample, got 3"):
        estimate_reliability(three)


def test_rdms_of_runs_are_dealt_and_averaged(rng: np.random.Generator) -> None:
    names = name(9)
    runs = {f"r{k}": from_matrix(rng.random(36), names) for k in range(5)}
    found = split_rdms(runs)
    rows = np.stack([one.values for one in runs.values()])
    np.testing.assert_allclose(found[0], rows[::2].mean(0))
    np.testing.assert_allclose(found[1], rows[1::2].mean(0))
    xr.testing.assert_identical(found, split_rdms(stack_rdms(runs, over="run")))


def test_reliability_of_rdms_is_that_of_their_mean(rng: np.random.Generator) -> None:
    names, base = name(12), rng.random(66)
    rows = base + 0.3 * rng.normal(size=(2000, 66))
    stack = from_matrix(rows, names, lead={"session": [f"s{k}" for k in range(2000)]})
    found = estimate_reliability(stack, unit="session", n_splits=4, n_bootstrap=20)
    signal, noise = base.var(), 0.09 / 2000
    assert float(found["reliability"]) == pytest.approx(signal / (signal + noise), abs=1e-3)
    assert found.attrs["verdict"].startswith("Reliability of the RDM 0.999 (95 % interval over")


def test_subjects_by_name_are_the_subjects_of_one_array(rng: np.random.Generator) -> None:
    people = {f"s{k}": measure(rng) for k in range(3)}
    found = estimate_reliability(people, over="subject", split="odd_even", n_bootstrap=0)
    for key, one in people.items():
        alone = estimate_reliability(one, split="odd_even", n_bootstrap=0)
        assert float(found["half"].sel(subject=key)) == pytest.approx(float(alone["half"]))
    assert "at the median of 3" in found.attrs["verdict"]


def test_rdms_that_cannot_be_halved_are_named(rng: np.random.Generator) -> None:
    runs = {f"r{k}": from_matrix(rng.random(36), name(9)) for k in range(3)}
    with pytest.raises(SchemaError, match="expected RDMs of 2 or more 'run', got 1"):
        split_rdms({"r0": runs["r0"]})
    with pytest.raises(SchemaError, match="expected RDMs with a leading dim 'session', got"):
        split_rdms(stack_rdms(runs, over="run"), unit="session")
    with pytest.raises(ValueError, match="fold, noise, over: expected none of them for RDMs"):
        split_rdms(runs, fold="run")
    with pytest.raises(ValueError, match="over: expected the name of the dim for 1 arrays first"):
        split_rdms({"s1": measure(rng)})
    other = measure(rng, n=11)
    with pytest.raises(AlignError, match=r"responses\['b'\]: expected the conditions and slices"):
        split_rdms({"a": measure(rng), "b": other}, over="subject")


@pytest.mark.parametrize("form", ["mapping", "stack"])
def test_given_rdms_keep_the_name_of_their_distance(form: str, rng: np.random.Generator) -> None:
    runs = {f"r{k}": from_matrix(rng.random(36), name(9), distance="crossnobis") for k in range(4)}
    given = runs if form == "mapping" else stack_rdms(runs, over="run")
    assert split_rdms(given).attrs["distance"] == "crossnobis"
    found = estimate_reliability(given, n_bootstrap=0)
    assert (found.attrs["distance"], found.attrs["by"]) == ("crossnobis", "")
