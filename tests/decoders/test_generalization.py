"""Decoding across time equals MNE's, and shared codes are told from separate ones."""

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from neuroalign import schema, storage
from neuroalign.decoders import decode_across_conditions, decode_across_time, decode_classes
from neuroalign.decoders._confusion import score_auc
from neuroalign.errors import LeakageError, SchemaError
from neuroalign.loaders import from_arrays

TIMES = [0.0, 0.1, 0.2, 0.3]


def make_trials(
    rng: np.random.Generator, codes: np.ndarray, patterns: np.ndarray, noise: float = 1.0
) -> xr.DataArray:
    """Trials in 4 runs of classes with patterns (class, channel, time)."""
    values = patterns[codes] + noise * rng.normal(size=(len(codes), *patterns.shape[1:]))
    return from_arrays(
        values, stimulus=np.array(["a", "b", "c"])[codes], modality="eeg", dtype="float64",
        run=np.repeat([f"r{r}" for r in range(4)], len(codes) // 4), time=TIMES,
    )  # fmt: skip


def pair(rng: np.random.Generator, n: int = 80, p: int = 6, signal: float = 0.5) -> xr.DataArray:
    return make_trials(rng, np.arange(n) % 2, signal * rng.normal(size=(2, p, 4)))


def peer(name: str) -> Any:
    made = {
        "logistic": LogisticRegression(C=1 / 6, class_weight="balanced", max_iter=5000),
        "lda": LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=[0.5, 0.5]),
        "svm": LinearSVC(C=1 / 6, class_weight="balanced", max_iter=20000, random_state=0),
        "nearest_centroid": NearestCentroid(),
    }
    return make_pipeline(StandardScaler(), made[name])


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        *product(["logistic", "lda", "svm"], ["roc_auc", "balanced_accuracy"]),
        # Its scores in scikit-learn are those of another classifier than its guesses.
        ("nearest_centroid", "balanced_accuracy"),
    ],
)
def test_every_pair_of_times_equals_mne(rng: np.random.Generator, name: str, metric: str) -> None:
    decoding: Any = pytest.importorskip("mne.decoding")
    data = pair(rng)
    result = decode_across_time(data, classifier=name, metric=metric)
    codes = (data["stimulus"].values == "b").astype(int)
    splits = LeaveOneGroupOut().split(codes, groups=data["run"].values)
    for fold, (train, test) in enumerate(splits):
        slider = decoding.GeneralizingEstimator(peer(name), scoring=metric, verbose="error")
        slider.fit(data.values[train], codes[train])
        expected = slider.score(data.values[test], codes[test])
        np.testing.assert_allclose(result["score"][fold, 0], expected, atol=1e-12)


def test_the_diagonal_is_decoding_at_each_time(rng: np.random.Generator) -> None:
    data = pair(rng)
    across = decode_across_time(data)["score"].values[:, 0]
    for time in range(4):
        expected = decode_classes(data[:, :, time], classifier="lda")["score"]
        np.testing.assert_allclose(across[:, time, time], expected)


def test_a_stable_code_gives_a_square_and_a_travelling_one_a_diagonal(
    rng: np.random.Generator,
) -> None:
    stable = np.zeros((3, 4, 4))
    stable[:, :3] = 2 * np.eye(3)[:, :, None]
    moving = np.zeros((3, 12, 4))
    for time in range(4):
        moving[:, 3 * time : 3 * time + 3, time] = 2 * np.eye(3)
    codes = np.arange(240) % 3
    square = decode_across_time(make_trials(rng, codes, stable))["mean_score"].values[0]
    diagonal = decode_across_time(make_trials(rng, codes, moving))["mean_score"].values[0]
    assert square.min() > 0.7
    assert np.diag(diagonal).min() > 0.7
    assert diagonal[~np.eye(4, dtype=bool)].max() < 0.45


@pytest.mark.parametrize("classifier", [SVC(), RidgeClassifier()])
def test_a_classifier_of_ones_own_votes(rng: np.random.Generator, classifier: Any) -> None:
    data = make_trials(rng, np.arange(60) % 3, rng.normal(size=(3, 4, 4)))
    result = decode_across_time(data, classifier=classifier)
    held = data["run"].values == "r1"
    own = classifier.fit(data.values[~held, :, 2], data["stimulus"].values[~held])
    guess = own.predict(data.values[held, :, 0])
    expected = balanced_accuracy_score(data["stimulus"].values[held], guess)
    np.testing.assert_allclose(result["score"].values[1, 0, 2, 0], expected)


def test_many_times_are_scored_in_stretches(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuroalign.decoders import generalization

    data = pair(rng)
    whole = decode_across_time(data)
    monkeypatch.setattr(generalization, "HELD", 1)
    xr.testing.assert_identical(decode_across_time(data), whole)


def test_areas_equal_scikit_learn_and_ties_count_half(rng: np.random.Generator) -> None:
    codes, scores = np.arange(30) % 2, rng.integers(0, 4, size=(5, 30)).astype(float)
    found = score_auc(codes, np.stack([-scores, scores], axis=-1))
    np.testing.assert_allclose(found, [roc_auc_score(codes, one) for one in scores])
    assert np.isnan(score_auc(np.zeros(30), np.stack([scores, scores], axis=-1))).all()


def test_permutations_find_the_code_and_nothing_else(rng: np.random.Generator) -> None:
    patterns = np.zeros((2, 5, 4))
    patterns[1, :2, 2:] = 1.5
    data = make_trials(rng, np.arange(80) % 2, patterns)
    result = decode_across_time(data, n_permutations=99)
    passed = result["p_fwer"].values[0] < 0.05
    assert passed[2:, 2:].all()
    assert not passed[:2].any()
    assert not passed[:, :2].any()
    assert (result["q_value"] >= result["p_value"]).all()


@pytest.mark.slow
def test_processes_give_the_same_p_values(rng: np.random.Generator) -> None:
    data = pair(rng)
    one = decode_across_time(data, n_permutations=6)
    xr.testing.assert_identical(one, decode_across_time(data, n_permutations=6, n_jobs=2))


def test_the_result_is_stored_and_reported(rng: np.random.Generator, tmp_path: Path) -> None:
    from neuroalign.report.rsa_screens import show_generalization
    from neuroalign.report.verdicts import state_verdict

    result = decode_across_time(pair(rng), metric="roc_auc", n_permutations=3)
    assert schema.check(result).attrs["kind"] == "generalisation"
    assert result.attrs["chance"] == 0.5
    storage.save(result, tmp_path / "result.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "result.nc").compute(), result)
    assert "roc_auc peaks at" in state_verdict(result)
    titles = {getattr(block, "title", "") for block in show_generalization(result)}
    assert "Generalisation in time" in titles


def test_faults_are_named(rng: np.random.Generator) -> None:
    data = pair(rng)
    with pytest.raises(SchemaError, match=r"expected dims \('sample', 'neuroid', 'time'\)"):
        decode_across_time(data[:, :, 0])
    with pytest.raises(ValueError, match="metric: expected one of 'balanced_accuracy', 'roc_auc'"):
        decode_across_time(data, metric="auc")
    three = make_trials(rng, np.arange(60) % 3, np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match="metric: expected 'balanced_accuracy' for 3 classes"):
        decode_across_time(three, metric="roc_auc")

    class Mute(RidgeClassifier):  # type: ignore[misc]
        decision_function = property()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="classifier: expected one with decision_function"):
            decode_across_time(data, classifier=Mute(), metric="roc_auc")


def test_word_pairs_are_told_apart_in_the_n400(wordpairs: xr.DataArray) -> None:
    options: dict[str, Any] = {"group": None, "classifier": "nearest_centroid"}
    result = decode_across_time(wordpairs, "relation", metric="roc_auc", **options)
    score, time = result["mean_score"][0], result["time"].values
    late, early = slice(0.3, 0.5), slice(-0.2, 0.0)
    # Single trials say little: an area of .61 is known of this recording.
    assert float(score.sel(train_time=late, time=late).mean()) > 0.55
    assert abs(float(score.sel(train_time=late, time=early).mean()) - 0.5) < 0.03
    course = np.diagonal(score)
    assert 0.3 <= time[course.argmax()] <= 0.5
    assert course.max() > 0.6
    assert abs(course[time <= 0.0].mean() - 0.5) < 0.06


def test_the_window_of_the_n400_passes_its_permutations(wordpairs: xr.DataArray) -> None:
    window = wordpairs.sel(time=slice(0.3, 0.5)).mean("time", keep_attrs=True)
    options: dict[str, Any] = {"group": None, "classifier": "nearest_centroid"}
    result = decode_classes(window, "relation", n_permutations=99, **options)
    assert float(result["balanced_accuracy"]) == pytest.approx(0.61, abs=0.03)
    assert float(result["p_value"]) < 0.03
    # Negative where unrelated words are: largest over the back of the head.
    pattern = result["patterns"].sel({"class": "unrelated"})
    assert float(pattern.sel(neuroid="Pz")) < 0
    assert float(pattern.sel(neuroid="Pz")) < float(pattern.sel(neuroid="Fp1"))


def make_tasks(rng: np.random.Generator, shared: float, n: int = 160) -> xr.DataArray:
    """Two classes in two tasks, whose codes agree by ``shared``: 1 wholly, -1 turned around."""
    codes, tasks = np.arange(n) % 2, np.arange(n) // 2 % 2
    code = np.where(tasks == 1, shared, 1.0) * np.where(codes == 1, 1.0, -1.0)
    values = rng.normal(size=(n, 8)) + np.outer(code, [1, 1, 0, 0, 0, 0, 0, 0])
    # A mean difference of the tasks, which no class knows.
    values += np.outer(tasks, rng.normal(size=8))
    data = from_arrays(
        values, stimulus=np.array(["face", "house"])[codes], modality="fmri", dtype="float64",
        run=np.repeat([f"r{r}" for r in range(4)], n // 4),
    )  # fmt: skip
    return data.assign_coords(task=("sample", np.array(["see", "recall"])[tasks]))


def test_conditions_equal_a_plain_loop(rng: np.random.Generator) -> None:
    data = make_tasks(rng, 0.5)
    own = LogisticRegression(C=0.3)
    result = decode_across_conditions(data, "stimulus", "task", classifier=own)
    shown, task, run = (data[name].values for name in ("stimulus", "task", "run"))
    guess = np.empty(len(shown), dtype=shown.dtype)
    for held in np.unique(run):
        train, test = (run != held) & (task == "see"), (run == held) & (task == "recall")
        guess[test] = own.fit(data.values[train], shown[train]).predict(data.values[test])
    recall = task == "recall"
    expected = balanced_accuracy_score(shown[recall], guess[recall])
    found = result["mean_score"].sel(train_condition="see", condition="recall")
    np.testing.assert_allclose(found, expected)
    assert int(result["confusion"].sum()) == 2 * len(shown)


def test_shared_codes_survive_the_change_and_others_do_not(rng: np.random.Generator) -> None:
    found = {
        shared: decode_across_conditions(make_tasks(rng, shared), "stimulus", "task")["mean_score"]
        for shared in (1.0, 0.0, -1.0)
    }
    crossed = {k: float(v.sel(train_condition="see", condition="recall")) for k, v in found.items()}
    assert crossed[1.0] > 0.7
    assert abs(crossed[0.0] - 0.5) < 0.12
    assert crossed[-1.0] < 0.3
    assert float(found[-1.0].sel(train_condition="see", condition="see")) > 0.7


def test_permutations_stay_within_runs_and_conditions(rng: np.random.Generator) -> None:
    result = decode_across_conditions(
        make_tasks(rng, 0.0), "stimulus", "task", classifier="nearest_centroid", n_permutations=99
    )
    p = result["p_fwer"]
    assert float(p.sel(train_condition="see", condition="see")) < 0.05
    assert float(p.sel(train_condition="see", condition="recall")) > 0.05
    assert result.attrs["verdict"].startswith("'stimulus' is decoded with a balanced accuracy of")


def test_haxby_faces_survive_the_change_of_the_other_category(haxby_blocks: xr.DataArray) -> None:
    kept = np.isin(haxby_blocks["stimulus"].values, ["face", "house", "cat", "chair"])
    data = haxby_blocks.isel(sample=kept)
    names = data["stimulus"].values
    # Living against not: learnt on faces and houses, asked of cats and chairs.
    data = data.assign_coords(
        living=("sample", np.isin(names, ["face", "cat"])),
        couple=("sample", np.where(np.isin(names, ["face", "house"]), "first", "second")),
    )
    score = decode_across_conditions(data, "living", "couple", classifier="lda")["mean_score"]
    assert float(score.sel(train_condition="first", condition="first")) > 0.9
    assert float(score.sel(train_condition="second", condition="first")) > 0.6


def test_faults_of_conditions_are_named(rng: np.random.Generator) -> None:
    data = make_tasks(rng, 1.0)
    with pytest.raises(ValueError, match="across: expected at least 2 conditions in 'task'"):
        decode_across_conditions(data[data["task"].values == "see"], "stimulus", "task")
    gone = ~((data["task"].values == "see") & (data["stimulus"].values == "face"))
    with pytest.raises(ValueError, match="training rows of condition 'see', got none of 'face'"):
        decode_across_conditions(data[gone], "stimulus", "task")
    with pytest.raises(SchemaError, match="target: expected a coord on 'sample'"):
        decode_across_conditions(data, "stimulus", "colour")
    folds = [(np.arange(100), np.arange(100, 160))]
    with pytest.raises(LeakageError, match="cv: expected test rows of a 'run' unseen"):
        decode_across_conditions(data, "stimulus", "task", cv=folds)
