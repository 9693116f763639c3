"""Geometries of subjects: correlations and Mantel tests by hand, planted and absent relations."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom, pearsonr, spearmanr

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa._label_permutations import draw_orders
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.intersubject import (
    SUBJECT_MODELS,
    compute_subject_rdm,
    model_subjects,
    relate_subjects,
)
from neuroalign.rsa.rdms import to_condensed
from neuroalign.storage import load, save

MOMENTS = np.array([f"moment-{k:03d}" for k in range(120)])


def name(n: int) -> list[str]:
    return [f"sub-{k:02d}" for k in range(n)]


def film(values: np.ndarray) -> xr.DataArray:
    """Responses (moment, neuroid) of one subject, two regions."""
    n = values.shape[1]
    return from_arrays(
        values, modality="fmri", stimulus=MOMENTS[: len(values)], dtype="float64",
        roi=["V1"] * (n // 2) + ["PCC"] * (n - n // 2), neuroid=[f"n{k}" for k in range(n)],
    )  # fmt: skip


def watch(rng: np.random.Generator, traits: np.ndarray, model: str) -> dict[str, xr.DataArray]:
    """PCC follows the trait: near traits share a course, or high ones share more of it."""
    course = rng.normal(size=(3, 120))
    made = {}
    for one, trait in zip(name(len(traits)), traits, strict=True):
        angle = trait * np.pi / 2
        near = np.cos(angle) * course[0] + np.sin(angle) * course[1]
        pcc = near if model == "nearest_neighbor" else 2 * trait * course[0]
        values = np.stack([course[2]] * 3 + [pcc] * 3, axis=1)
        own = rng.normal(size=(120, 2)).repeat(3, axis=1)
        made[one] = film(values + 0.7 * own + 0.3 * rng.normal(size=values.shape))
    return made


def test_distances_are_one_minus_the_correlation(rng: np.random.Generator) -> None:
    data = {one: film(rng.normal(size=(20, 6))) for one in name(4)}
    found = compute_subject_rdm(data, over="roi")
    assert found.dims == ("roi", "first", "second")
    for r, part in enumerate((slice(0, 3), slice(3, 6))):
        courses = [one.values[:, part].mean(axis=1) for one in data.values()]
        np.testing.assert_allclose(found.values[r], 1 - np.corrcoef(courses), atol=1e-12)
    patterns = [one.values.ravel() for one in data.values()]
    np.testing.assert_allclose(
        compute_subject_rdm(data, summary="pattern"), 1 - np.corrcoef(patterns), atol=1e-12
    )


def test_each_neuroid_and_each_time_counts(rng: np.random.Generator) -> None:
    values = rng.normal(size=(3, 5, 4, 7))
    data = {
        one: from_arrays(v, modality="eeg", stimulus=MOMENTS[:5], time=range(7), dtype="float64")
        for one, v in zip(name(3), values, strict=True)
    }
    found = compute_subject_rdm(data, over="neuroid")
    expected = 1 - pearsonr(values[0, :, 2].ravel(), values[2, :, 2].ravel()).statistic
    np.testing.assert_allclose(found.values[2, 0, 2], expected)


def test_rows_are_matched_by_label(rng: np.random.Generator) -> None:
    data = {one: film(rng.normal(size=(20, 6))) for one in name(4)}
    expected = compute_subject_rdm(data)
    data["sub-02"] = data["sub-02"].isel(sample=rng.permutation(20))
    xr.testing.assert_allclose(compute_subject_rdm(data), expected)


def test_rows_are_matched_by_run_and_onset(rng: np.random.Generator) -> None:
    def record(values: np.ndarray) -> xr.DataArray:
        runs, onset = np.repeat(["run-1", "run-2"], 10), np.tile(np.arange(10) * 2.0, 2)
        return from_arrays(values, modality="fmri", run=runs, onset=onset, dtype="float64")

    values = rng.normal(size=(3, 20, 4))
    data = {one: record(v) for one, v in zip(name(3), values, strict=True)}
    data["sub-01"] = data["sub-01"].isel(sample=np.arange(20)[::-1])
    expected = 1 - np.corrcoef(values.mean(axis=2))
    np.testing.assert_allclose(compute_subject_rdm(data, on="onset"), expected, atol=1e-12)


def test_a_flat_subject_is_nan(rng: np.random.Generator) -> None:
    data = {one: film(rng.normal(size=(20, 6))) for one in name(4)}
    data["sub-03"] = data["sub-03"] * 0
    found = compute_subject_rdm(data)
    assert np.isnan(found.values[3, :3]).all()
    assert np.isfinite(found.values[:3, :3]).all()
    with pytest.raises(SchemaError, match="neural: expected finite dissimilarities, got 3"):
        relate_subjects(found, found)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("nearest_neighbor", [1, 3, 2]),
        ("anna_karenina", [1.5, 0.5, 0]),
        ("anna_karenina_low", [0, 1, 1.5]),
        ("minimum", [1, 1, 0]),
        ("maximum", [0, 2, 2]),
    ],
)
def test_models_have_their_formula(model: str, expected: list[float]) -> None:
    rdm = model_subjects({"a": 1, "b": 2, "c": 4}, model=model, transform="values")
    np.testing.assert_allclose(to_condensed(rdm), expected)
    assert set(SUBJECT_MODELS) >= {model}


def test_ranks_do_not_depend_on_the_scale() -> None:
    for model in SUBJECT_MODELS:
        one = model_subjects({"a": 1, "b": 2, "c": 4, "d": 5}, model=model)
        other = model_subjects({"a": 1, "b": 9, "c": 10, "d": 400}, model=model)
        xr.testing.assert_allclose(one, other)


def test_the_test_is_that_of_subjects_permuted_by_hand(rng: np.random.Generator) -> None:
    neural = fold(rng.random((2, 28)), np.array(name(8)), ("roi",), {"roi": ["V1", "PCC"]})
    behavior = model_subjects(dict(zip(name(8), rng.normal(size=8), strict=True)))
    found = relate_subjects(neural, behavior, n_permutations=60, seed=2)
    upper, null = np.triu_indices(8, 1), []
    for order in draw_orders(8, 60, 2):
        moved = behavior.values[np.ix_(order, order)][upper]
        null.append([spearmanr(row, moved).statistic for row in neural.values])
    score = [spearmanr(row, behavior.values[upper]).statistic for row in neural.values]
    np.testing.assert_allclose(found["score"], score, atol=1e-12)
    reached = (np.array(null) >= np.array(score) - 1e-12).sum(axis=0)
    np.testing.assert_allclose(found["p_value"], (1 + reached) / 61)
    np.testing.assert_allclose(found["null_sd"], np.std(null, axis=0), atol=1e-12)
    assert (found["p_fwer"] >= found["p_value"]).all()


def test_the_null_is_that_of_all_orders(rng: np.random.Generator) -> None:
    neural = fold(rng.random(10), np.array(name(5)))
    behavior = model_subjects(dict(zip(name(5), [3, 1, 4, 1, 5], strict=True)))
    score = float(relate_subjects(neural, behavior, method="pearson", n_permutations=1)["score"])
    upper = np.triu_indices(5, 1)
    every = [
        pearsonr(neural, behavior.values[np.ix_(order, order)][upper]).statistic
        for order in permutations(range(5))
    ]
    sampled = relate_subjects(neural, behavior, method="pearson", n_permutations=20_000)
    exact = np.mean(np.array(every) >= score - 1e-12)
    np.testing.assert_allclose(sampled["p_value"], exact, atol=0.015)
    np.testing.assert_allclose(sampled["null_mean"], np.mean(every), atol=0.01)


def test_tails_look_to_their_side(rng: np.random.Generator) -> None:
    behavior = model_subjects(dict(zip(name(10), rng.normal(size=10), strict=True)))
    opposite = behavior.copy(data=(behavior.max().item() - behavior.values) * (1 - np.eye(10)))
    p = {
        tail: float(relate_subjects(opposite, behavior, tail=tail, n_permutations=99)["p_value"])
        for tail in ("greater", "less", "two-sided")
    }
    assert p["greater"] > 0.9
    assert max(p["less"], p["two-sided"]) <= 0.02


@pytest.mark.parametrize("planted", ["nearest_neighbor", "anna_karenina"])
def test_a_planted_relation_is_found_where_it_is(rng: np.random.Generator, planted: str) -> None:
    traits = rng.permutation(np.linspace(0.05, 1, 18))
    neural = compute_subject_rdm(watch(rng, traits, planted), over="roi")
    scores = dict(zip(name(18), traits, strict=True))
    found = {
        model: relate_subjects(neural, model_subjects(scores, model=model), n_permutations=999)
        for model in ("nearest_neighbor", "anna_karenina")
    }
    best = max(found, key=lambda model: float(found[model]["score"].sel(roi="PCC")))
    assert best == planted
    assert float(found[planted]["p_fwer"].sel(roi="PCC")) < 0.01
    assert float(found[planted]["p_value"].sel(roi="V1")) > 0.05


def test_a_control_takes_its_part_away(rng: np.random.Generator) -> None:
    age = dict(zip(name(16), rng.normal(size=16), strict=True))
    trait = {one: value + 0.2 * rng.normal() for one, value in age.items()}
    control = model_subjects(age)
    noise = fold(rng.normal(0, 1, 120), control["first"].values)
    neural = to_condensed(control).copy(data=to_condensed(control).values + noise.values)
    behavior = model_subjects(trait)
    assert float(relate_subjects(neural, behavior, n_permutations=499)["p_value"]) < 0.01
    partial = relate_subjects(neural, behavior, controls=control, n_permutations=499)
    assert float(partial["p_value"]) > 0.05
    assert partial.attrs["partial"] == 1


def test_a_result_is_stored_and_read_again(rng: np.random.Generator, tmp_path: Path) -> None:
    neural = fold(rng.random((2, 28)), np.array(name(8)), ("roi",), {"roi": ["V1", "PCC"]})
    behavior = model_subjects(dict(zip(name(8), rng.normal(size=8), strict=True)))
    found = relate_subjects(neural, behavior, n_permutations=9)
    save(found, tmp_path / "subjects.nc")
    xr.testing.assert_identical(load(tmp_path / "subjects.nc"), found)


def test_wrong_responses_are_named(rng: np.random.Generator) -> None:
    data = {one: film(rng.normal(size=(20, 6))) for one in name(4)}
    with pytest.raises(SchemaError, match="responses: expected 3 subjects or more, got 1"):
        compute_subject_rdm({"a": data["sub-00"]})
    with pytest.raises(ValueError, match="summary: expected one of"):
        compute_subject_rdm(data, summary="median")
    with pytest.raises(SchemaError, match="over: expected a coord on 'neuroid'"):
        compute_subject_rdm(data, over="region")
    with pytest.raises(SchemaError, match="the first subject: expected coord 'onset'"):
        compute_subject_rdm(data, on="onset")
    short = {**data, "sub-03": data["sub-03"].isel(sample=slice(19))}
    with pytest.raises(AlignError, match=r"sub-03'\]: expected the rows of the first subject"):
        compute_subject_rdm(short)
    twice = {**data, "sub-03": data["sub-03"].isel(sample=[0, *range(20)])}
    with pytest.raises(AlignError, match="expected each 'stimulus' once, got 1 repeats"):
        compute_subject_rdm(twice)
    lost = {**data, "sub-03": data["sub-03"].isel(neuroid=slice(3))}
    with pytest.raises(AlignError, match="expected neuroids of roi 'PCC', got none"):
        compute_subject_rdm(lost, over="roi")
    with pytest.raises(AlignError, match="expected the neuroids of the first subject"):
        compute_subject_rdm(lost, summary="pattern")
    gap = {**data, "sub-03": data["sub-03"].where(data["sub-03"] > -1)}
    with pytest.raises(SchemaError, match="expected finite responses, got"):
        compute_subject_rdm(gap)


def test_wrong_subjects_are_named(rng: np.random.Generator) -> None:
    neural = fold(rng.random(28), np.array(name(8)))
    behavior = model_subjects(dict(zip(name(9), range(9), strict=True)))
    with pytest.raises(AlignError, match="behavior: expected the subjects of neural, got 1 more"):
        relate_subjects(neural, behavior)
    with pytest.raises(AlignError, match="behavior: expected the conditions of the data"):
        relate_subjects(fold(rng.random(45), np.array(name(10))), behavior)
    stack = fold(rng.random((2, 28)), np.array(name(8)), ("model",))
    with pytest.raises(SchemaError, match="behavior: expected one RDM, got leading dims"):
        relate_subjects(neural, stack)
    with pytest.raises(ValueError, match="tail: expected one of"):
        relate_subjects(neural, neural, tail="upper")
    with pytest.raises(SchemaError, match="scores: expected finite scores of 3 subjects"):
        model_subjects({"a": 1, "b": np.nan, "c": 2})
    with pytest.raises(ValueError, match="model: expected one of"):
        model_subjects({"a": 1, "b": 3, "c": 2}, model="tolstoy")


@pytest.mark.slow
@pytest.mark.parametrize("controlled", [False, True])
def test_noise_is_found_as_rarely_as_promised(controlled: bool) -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for seed in range(400):
        age = rng.normal(size=10)
        control = model_subjects(dict(zip(name(10), age, strict=True)))
        trait = rng.normal(size=10) + controlled * age
        courses = rng.normal(size=(10, 20)) + controlled * age[:, None]
        neural = 1 - np.corrcoef(courses)[np.triu_indices(10, 1)]
        found = relate_subjects(
            fold(neural, np.array(name(10))),
            model_subjects(dict(zip(name(10), trait, strict=True))),
            controls=control if controlled else None, n_permutations=99, seed=seed,
        )  # fmt: skip
        hits += float(found["p_value"]) <= 0.05
    assert binom.ppf(0.001, 400, 0.05) <= hits <= binom.ppf(0.999, 400, 0.05)
