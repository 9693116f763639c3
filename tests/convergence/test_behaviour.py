"""Answers decoded from predictors are compared with a subject's, over what its trials allow."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr

from neuroalign import schema, storage
from neuroalign.convergence import compare_behaviour
from neuroalign.convergence._behaviour import DECODERS
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.loaders import from_arrays

FILMS = [f"film-{i:03d}" for i in range(80)]


def _features(values: np.ndarray) -> xr.DataArray:
    coords = {"stimulus": ("sample", FILMS[: len(values)])}
    return xr.DataArray(values.astype("float32"), coords, ("sample", "feature"))


def _target(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, {"stimulus": ("sample", FILMS[: len(values)])}, ("sample",))


def _answer(
    rng: np.random.Generator, mean: np.ndarray, noise: float, repeats: int = 6
) -> xr.DataArray:
    said = np.tile(mean, repeats) + noise * rng.normal(size=len(mean) * repeats)
    names = FILMS[: len(mean)] * repeats
    return from_arrays(said[:, None], stimulus=names, neuroid=["height"], modality="behaviour")


def _plant(rng: np.random.Generator, true_r: float) -> tuple[np.ndarray, np.ndarray]:
    """Right answers, and a subject's that go with them to r."""
    right = rng.normal(size=80)
    free = rng.normal(size=80)
    right -= right.mean()
    free -= free @ right / (right @ right) * right + free.mean()
    return right, true_r * right / right.std() + np.sqrt(1 - true_r**2) * free / free.std()


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_the_true_consistency_comes_back(noise: float, rng: np.random.Generator) -> None:
    right, subject = _plant(rng, 0.8)
    found = [
        compare_behaviour(
            {"knows": _features(right[:, None])}, _target(right), _answer(rng, subject, noise),
            n_resamples=0,
        )["consistency"].item()
        for _ in range(10)
    ]  # fmt: skip
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_an_odd_number_of_trials_is_no_bias(rng: np.random.Generator) -> None:
    right, subject = _plant(rng, 0.8)
    found = [
        compare_behaviour(
            {"knows": _features(right[:, None])}, _target(right),
            _answer(rng, subject, 1.0, repeats=3), n_resamples=0,
        )
        for _ in range(10)
    ]  # fmt: skip
    assert np.mean([one["consistency"].item() for one in found]) == pytest.approx(0.8, abs=0.04)
    assert np.mean([one["reliability"].item() for one in found]) == pytest.approx(0.75, abs=0.04)


def test_the_correction_is_the_root_of_the_reliability(rng: np.random.Generator) -> None:
    right, subject = _plant(rng, 0.6)
    behaviour = _answer(rng, subject, 1.0, repeats=2)
    result = compare_behaviour(
        {"knows": _features(right[:, None])}, _target(right), behaviour, n_resamples=5
    )
    trials = behaviour.values.reshape(2, 80)
    r = pearsonr(right, trials.mean(axis=0))[0]
    assert float(result["raw"][0, 0]) == pytest.approx(r, abs=2e-3)
    expected = result["raw"] / np.sqrt(result["reliability"])
    np.testing.assert_allclose(result["consistency"], expected)
    # Which trial is in which half is drawn for each condition; 1 / (1 + 1/2) on average.
    assert float(result["reliability"][0]) == pytest.approx(2 / 3, abs=0.12)


def test_errors_tell_apart_who_answers_alike(rng: np.random.Generator) -> None:
    right, bias = rng.normal(size=80), 0.3 * rng.normal(size=80)
    subject, other = _answer(rng, right + bias, 0.2), _answer(rng, right + bias, 0.2)
    # Held-out answers of the one are right, those of the other have the subject's bias.
    features = {"right": _features(right[:, None]), "alike": _features((right + bias)[:, None])}
    plain = compare_behaviour(features, _target(right), subject, n_resamples=50)
    errors = compare_behaviour(
        features, _target(right), subject, others={"other": other}, pattern="error", n_resamples=50
    )
    assert (plain["consistency"] > 0.9).all()
    score = errors["consistency"].values[:, 0]
    assert score[1] > 0.8
    assert abs(score[0]) < 0.4
    assert score[2] == pytest.approx(1, abs=0.1)
    assert errors["source"].values.tolist() == ["model", "model", "subject"]
    assert (errors["lower"] < errors["consistency"]).all()


def test_of_courses_the_last_known_frame_is_read(rng: np.random.Generator) -> None:
    right = rng.normal(size=80)
    course = np.stack([rng.normal(size=80), right, np.full(80, np.nan)], axis=1)[:, None]
    course[3, 0] = [0.0, 0.0, right[3]]
    timed = xr.DataArray(
        course.astype("float32"), {"stimulus": ("sample", FILMS)}, ("sample", "feature", "time")
    )
    behaviour = _answer(rng, right, 0.5)
    flat = _features(right[:, None])
    one, two = (
        compare_behaviour({"m": x}, _target(right), behaviour, n_resamples=0) for x in (timed, flat)
    )
    np.testing.assert_allclose(one["consistency"], two["consistency"])
    assert float(one["performance"][0]) > 0.99


def test_classes_are_decoded_and_hard_conditions_are_the_same(rng: np.random.Generator) -> None:
    code = np.repeat([-1.0, 1.0], 20)
    evidence = code * rng.uniform(-0.3, 2, size=40)
    chance = 1 / (1 + np.exp(-2 * code * evidence))
    right = (rng.uniform(size=(60, 40)) < chance).astype("float32")
    behaviour = from_arrays(
        right.reshape(-1, 1), stimulus=FILMS[:40] * 60, neuroid=["right"], modality="behaviour"
    )
    target = _target(np.where(code > 0, "hit", "miss"))
    features = {
        "evidence": _features(evidence[:, None]), "noise": _features(rng.normal(size=(40, 1))),
    }  # fmt: skip
    result = compare_behaviour(features, target, behaviour, n_splits=3, n_resamples=20)
    assert result.attrs["performance_metric"] == "accuracy"
    assert result["performance"].values[0] > 0.8 > result["performance"].values[1]
    # Probabilities of a net that knows the task are steeper than those of a subject.
    assert result["consistency"].values[0, 0] > 0.65
    assert abs(result["consistency"].values[1, 0]) < 0.5
    with pytest.raises(ValueError, match="pattern: expected 'answer' where the target names cl"):
        compare_behaviour(features, target, behaviour, pattern="error")
    with pytest.raises(ValueError, match="target: expected two classes or more, each in 5"):
        compare_behaviour(features, _target(np.array(["a"] * 39 + ["b"])), behaviour)


def test_answers_at_random_have_no_consistency(tmp_path: Path, rng: np.random.Generator) -> None:
    right = rng.normal(size=80)
    behaviour = _answer(rng, np.zeros(80), 1.0)
    with pytest.warns(NeuroalignWarning, match=r"answers by 'm': .* got 1 of 1 without \('height'"):
        result = compare_behaviour({"m": _features(right[:, None])}, _target(right), behaviour)
    assert np.isnan(result["consistency"].item())
    assert result.attrs["n_not_estimable"] == 1
    schema.check(result)
    storage.save(result, tmp_path / "behaviour.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "behaviour.nc"), result)


def test_faults_are_named(rng: np.random.Generator) -> None:
    right = rng.normal(size=80)
    features, target = {"m": _features(right[:, None])}, _target(right)
    behaviour = _answer(rng, right, 1.0)
    with pytest.raises(ValueError, match="pattern: expected one of 'answer', 'error', got 'x'"):
        compare_behaviour(features, target, behaviour, pattern="x")
    with pytest.raises(ValueError, match="min_consistency: expected 0 to below 1, got 1"):
        compare_behaviour(features, target, behaviour, min_consistency=1)
    with pytest.raises(SchemaError, match="behaviour: expected an answer in every trial, got NaN"):
        compare_behaviour(features, target, behaviour.where(behaviour > 0))
    with pytest.raises(SchemaError, match="behaviour: expected 5 conditions or more, got 1"):
        compare_behaviour(features, target, behaviour[::80])
    with pytest.raises(SchemaError, match="target: expected a DataArray"):
        compare_behaviour(features, right, behaviour)  # type: ignore[arg-type]
    with pytest.raises(AlignError, match=r"others\['o'\]: expected the 80 conditions and 1 answe"):
        compare_behaviour(features, target, behaviour, others={"o": _answer(rng, right[:9], 1.0)})
    with pytest.raises(SchemaError, match=r"features\['m'\]: expected finite features of every"):
        compare_behaviour({"m": features["m"] * np.nan}, target, behaviour)


def test_who_knows_nothing_is_not_consistent_the_other_way_round(rng: np.random.Generator) -> None:
    found = [
        DECODERS["numbers"](rng.normal(size=(25, 2)), rng.normal(size=25), 5, seed)[1]
        for seed in range(30)
    ]
    # -0.3, were the means of training conditions left in.
    assert abs(np.nanmean(found)) < 0.12


def test_an_answer_that_is_always_the_same_is_named(rng: np.random.Generator) -> None:
    right = rng.normal(size=40)
    features = {"blind": _features(np.ones((40, 3))), "knows": _features(right[:, None])}
    with pytest.warns(NeuroalignWarning, match=r"features\['blind'\]: expected held-out answers"):
        result = compare_behaviour(
            features, _target(right), _answer(rng, right, 0.5), n_resamples=9
        )
    assert np.isnan(result["performance"].values).tolist() == [True, False]
    assert np.isnan(result["consistency"].values[:, 0]).tolist() == [True, False]
    assert "'blind'" in result.attrs["warnings"]
    assert "split halves" not in result.attrs["warnings"]


def test_a_subject_is_no_ceiling_for_itself(rng: np.random.Generator) -> None:
    right = rng.normal(size=40)
    own = _answer(rng, right, 0.5)
    with pytest.raises(AlignError, match=r"others\['me'\]: expected trials of another subject"):
        compare_behaviour(
            {"knows": _features(right[:, None])}, _target(right), own, others={"me": own}
        )


def test_classes_from_features_that_never_vary_have_no_consistency() -> None:
    guess, right = DECODERS["classes"](np.ones((30, 2)), np.array(["a", "b"] * 15), 3, 0)
    assert np.isnan(guess).all()
    assert right == pytest.approx(0.5)
