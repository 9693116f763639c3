"""Decoding of classes: equal to scikit-learn by hand, at chance without signal, and honest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.model_selection import KFold, LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from neuroalign import schema, storage
from neuroalign.decoders import decode_classes
from neuroalign.decoders._labels import permute_codes, read_task
from neuroalign.errors import LeakageError, SchemaError
from neuroalign.loaders import from_arrays

NAMES = ("logistic", "lda", "svm", "nearest_centroid")


def study(
    rng: np.random.Generator, n: int = 96, p: int = 10, k: int = 3, snr: float = 1.0
) -> xr.DataArray:
    """Trials of ``k`` classes in 4 runs; noise is shared over neuroids."""
    codes = np.arange(n) % k
    mixing = rng.normal(size=(p, p)) / np.sqrt(p) + np.eye(p)
    values = snr * rng.normal(size=(k, p))[codes] + rng.normal(size=(n, p)) @ mixing
    names = np.array([f"class-{code}" for code in range(k)])[codes]
    run = np.repeat([f"run-{r}" for r in range(4)], n // 4)
    return from_arrays(values, stimulus=names, run=run, modality="fmri", dtype="float64")


def peer(name: str, k: int, p: int) -> Any:
    """What scikit-learn's user would write."""
    made = {
        "logistic": LogisticRegression(C=1 / p, class_weight="balanced", max_iter=5000),
        "lda": LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=np.full(k, 1 / k)),
        "svm": LinearSVC(C=1 / p, class_weight="balanced", max_iter=20000, random_state=0),
        "nearest_centroid": NearestCentroid(),
    }
    return make_pipeline(StandardScaler(), made[name])


def by_hand(model: Any, data: xr.DataArray) -> np.ndarray:
    runs, shown = data["run"].values, data["stimulus"].values
    guess = cross_val_predict(model, data.values, shown, groups=runs, cv=LeaveOneGroupOut())
    return np.asarray(guess)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [2, 3])
def test_confusions_equal_scikit_learn_by_hand(rng: np.random.Generator, name: str, k: int) -> None:
    data = study(rng, k=k)
    result = decode_classes(data, classifier=name)
    guess, shown = by_hand(peer(name, k, 10), data), data["stimulus"].values
    np.testing.assert_array_equal(result["confusion"], confusion_matrix(shown, guess))
    expected = balanced_accuracy_score(shown, guess)
    np.testing.assert_allclose(result["balanced_accuracy"], expected)
    held = data["run"].values == result["fold"].values[1]
    expected = balanced_accuracy_score(shown[held], guess[held])
    np.testing.assert_allclose(result["score"][1], expected)


@pytest.mark.parametrize("name", ["logistic", "svm", "nearest_centroid"])
def test_more_neuroids_than_rows_give_the_same_guesses(rng: np.random.Generator, name: str) -> None:
    data = study(rng, n=40, p=120, k=2, snr=0.4)
    result = decode_classes(data, classifier=name)
    expected = confusion_matrix(data["stimulus"], by_hand(peer(name, 2, 120), data))
    np.testing.assert_array_equal(result["confusion"], expected)


def test_a_pipeline_of_ones_own_is_fitted_in_each_fold(rng: np.random.Generator) -> None:
    data = study(rng, n=40, p=400, snr=0.0)
    own = make_pipeline(SelectKBest(k=5), LogisticRegression())
    result = decode_classes(data, classifier=own)
    expected = confusion_matrix(data["stimulus"], by_hand(own, data))
    np.testing.assert_array_equal(result["confusion"], expected)
    # Chosen on all rows, the best of 400 silent neuroids tell much.
    assert float(result["balanced_accuracy"]) < 0.6


@pytest.mark.parametrize("k", [2, 3])
def test_patterns_are_those_of_haufe(rng: np.random.Generator, k: int) -> None:
    data, total = study(rng, k=k), np.zeros((k, 10))
    own = LogisticRegression(C=0.5)
    for train, _ in LeaveOneGroupOut().split(data.values, groups=data["run"].values):
        X = data.values[train]
        W = clone(own).fit(X, data["stimulus"].values[train]).coef_.T
        W = np.hstack([-W, W]) / 2 if k == 2 else W - W.mean(axis=1, keepdims=True)
        covariance = np.cov(X.T)
        total += (covariance @ W @ np.linalg.pinv(W.T @ covariance @ W)).T / 4
    found = decode_classes(data, classifier=own)["patterns"]
    assert found.dims == ("class", "neuroid")
    np.testing.assert_allclose(found, total, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_patterns_show_the_planted_difference(rng: np.random.Generator, name: str) -> None:
    # The second neuroid holds the noise of the first alone: it has a weight and no pattern.
    planted = np.array([1.0, 0.0, 0.0, 0.0])
    codes = np.arange(1200) % 2
    shared = rng.normal(size=(1200, 1)) @ np.array([[3.0, 1.0, 0.0, 0.0]])
    values = np.outer(codes - 0.5, planted) + shared + 0.2 * rng.normal(size=(1200, 4))
    data = from_arrays(
        values, stimulus=np.array(["a", "b"])[codes], run=np.repeat(["r0", "r1"], 600),
        modality="meg", dtype="float64",
    )  # fmt: skip
    pattern = decode_classes(data, classifier=name)["patterns"].sel({"class": "b"}).values
    if name != "nearest_centroid":
        assert np.corrcoef(pattern, planted)[0, 1] > 0.95
        weights = LogisticRegression().fit(values, codes).coef_[0]
        assert np.corrcoef(weights, planted)[0, 1] < 0.8
    np.testing.assert_allclose(
        pattern, -decode_classes(data, classifier=name)["patterns"].sel({"class": "a"}).values
    )


def test_patterns_stay_out_where_they_mean_nothing(rng: np.random.Generator) -> None:
    data = study(rng)
    assert "patterns" not in decode_classes(data, classifier=KNeighborsClassifier(3))
    assert "patterns" not in decode_classes(data, patterns=False)


def test_times_are_columns_and_come_back_in_patterns(rng: np.random.Generator) -> None:
    flat = study(rng, p=12)
    cube = from_arrays(
        flat.values.reshape(96, 4, 3), stimulus=flat["stimulus"].values, run=flat["run"].values,
        modality="meg", time=[0.0, 0.1, 0.2], dtype="float64",
    )  # fmt: skip
    ours, expected = decode_classes(cube), decode_classes(flat)
    np.testing.assert_array_equal(ours["confusion"], expected["confusion"])
    assert ours["patterns"].dims == ("class", "neuroid", "time")


def test_always_saying_the_commonest_class_is_chance(rng: np.random.Generator) -> None:
    from sklearn.dummy import DummyClassifier

    data = study(rng, k=2)
    rare = np.where(rng.uniform(size=96) < 0.1, "rare", "common")
    result = decode_classes(data, rare, classifier=DummyClassifier())
    assert float(result["balanced_accuracy"]) == 0.5


def test_labels_are_permuted_within_runs(rng: np.random.Generator) -> None:
    data = study(rng)
    task = read_task(data, "stimulus", "run", None, None, 0)
    moved = permute_codes(task, 0, 1)
    assert (moved != task.codes).any()
    for run in np.unique(task.within):
        own = task.within == run
        np.testing.assert_array_equal(np.bincount(moved[own]), np.bincount(task.codes[own]))


def test_volumes_of_a_block_are_permuted_together(haxby: xr.DataArray) -> None:
    task = read_task(haxby, "stimulus", "run", None, None, 0)
    assert task.blocks is not None
    assert len(np.unique(task.blocks)) == 96
    moved = permute_codes(task, 0, 1)
    assert all(len(np.unique(moved[task.blocks == block])) == 1 for block in range(96))


@pytest.mark.parametrize("name", ["nearest_centroid", "lda"])
@pytest.mark.parametrize("p", [10, 90])
def test_the_null_is_that_of_a_plain_loop(rng: np.random.Generator, name: str, p: int) -> None:
    data = study(rng, k=2, p=p)
    result = decode_classes(data, classifier=name, n_permutations=4, seed=3)
    task = read_task(data, "stimulus", "run", None, None, 3)
    expected = []
    for number in range(4):
        relabelled = data.assign_coords(
            stimulus=("sample", task.classes[permute_codes(task, 3, number)])
        )
        guess = by_hand(peer(name, 2, p), relabelled)
        expected.append(balanced_accuracy_score(relabelled["stimulus"], guess))
    np.testing.assert_allclose(result["null"], expected)
    reached = (np.array(expected) >= float(result["balanced_accuracy"])).sum()
    assert float(result["p_value"]) == (1 + reached) / 5


@pytest.mark.slow
def test_processes_give_the_same_null(rng: np.random.Generator) -> None:
    data = study(rng)
    one = decode_classes(data, n_permutations=8)
    xr.testing.assert_identical(one, decode_classes(data, n_permutations=8, n_jobs=2))


def test_trials_are_dealt_with_balanced_classes(rng: np.random.Generator) -> None:
    task = read_task(study(rng), "stimulus", None, None, None, 0)
    assert len(task.folds) == 5
    assert all(np.ptp(np.bincount(task.codes[test])) <= 1 for _, test in task.folds)


def test_repeats_of_a_stimulus_stay_together(rng: np.random.Generator) -> None:
    data = study(rng)
    images = np.array([f"image-{i:02d}" for i in range(24)] * 4)
    data = data.assign_coords(
        stimulus=("sample", images), category=("sample", np.array(["a", "b"] * 48))
    )
    task = read_task(data, "category", None, 4, None, 0)
    for train, test in task.folds:
        assert not set(images[train]) & set(images[test])
    noted = decode_classes(data, "category", classifier="nearest_centroid")
    assert "may be told by single stimuli" in noted.attrs["warnings"]


def test_leaks_are_refused(rng: np.random.Generator) -> None:
    data = study(rng)
    with pytest.raises(LeakageError, match=r"cv: expected test rows of a 'run' unseen in train"):
        decode_classes(data, cv=list(KFold(5).split(data.values)))
    blocks = np.repeat(["a", "b", "a", "b"] * 4, 6)
    volumes = data.assign_coords(
        onset=("sample", np.tile(2.0 * np.arange(24), 4)), block=("sample", blocks)
    )
    with pytest.raises(LeakageError, match="group: expected whole runs to be held out"):
        decode_classes(volumes, "block", group=None)
    with pytest.raises(LeakageError, match="cv: expected test rows of a 'stretch' unseen"):
        decode_classes(volumes, "block", group=None, cv=KFold(5, shuffle=True, random_state=0))


def test_faults_are_named(rng: np.random.Generator) -> None:
    data = study(rng)
    with pytest.raises(SchemaError, match="target: expected a coord on 'sample' of responses, got"):
        decode_classes(data, "category")
    with pytest.raises(ValueError, match="target: expected at least 2 classes, got 'a'"):
        decode_classes(data, np.full(96, "a"))
    with pytest.raises(ValueError, match="target: expected 96 labels, got shape"):
        decode_classes(data, ["a", "b"])
    with pytest.raises(ValueError, match="Use RidgeDecoder for measured targets"):
        decode_classes(data, rng.normal(size=96))
    with pytest.raises(ValueError, match="classifier: expected one of 'logistic'.*'ldaa'.*'lda'"):
        decode_classes(data, classifier="ldaa")
    with pytest.raises(ValueError, match="classifier: expected one of .* got function"):
        decode_classes(data, classifier=study)
    with pytest.raises(ValueError, match="group: expected a coord on 'sample' of responses, got"):
        decode_classes(data, group="session")
    with pytest.raises(ValueError, match="group: expected at least 2 different 'run'"):
        decode_classes(data[:24])
    with pytest.raises(ValueError, match="none of 'run-0' in fold 'run-0'"):
        decode_classes(data, "run")
    with pytest.raises(ValueError, match="n_splits: expected 2 to 32, the rows .* got 40"):
        decode_classes(data, group=None, n_splits=40)
    with pytest.raises(ValueError, match="n_permutations: expected 0 or more, got -1"):
        decode_classes(data, n_permutations=-1)
    one_each = np.where(np.isin(data["run"], ["run-0", "run-1"]), "x", "y")
    with pytest.raises(ValueError, match="n_permutations: expected labels that can change places"):
        decode_classes(data, one_each, n_permutations=5)
    data[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 rows \(first: 3\)"):
        decode_classes(data)


def test_the_result_is_stored_and_reported(rng: np.random.Generator, tmp_path: Path) -> None:
    from neuroalign.report.screens import show_estimate
    from neuroalign.report.verdicts import state_verdict

    result = decode_classes(study(rng), n_permutations=5)
    assert schema.check(result).attrs["kind"] == "estimate"
    storage.save(result, tmp_path / "result.zarr")
    xr.testing.assert_identical(storage.load(tmp_path / "result.zarr").compute(), result)
    assert state_verdict(result).startswith("3 classes of 'stimulus' are told apart with a balanc")
    assert show_estimate(result)


def test_haxby_blocks_are_told_apart(haxby_blocks: xr.DataArray) -> None:
    known = LogisticRegression(C=0.01, max_iter=5000)
    result = decode_classes(haxby_blocks, classifier=known)
    assert float(result["balanced_accuracy"]) == pytest.approx(0.72, abs=0.04)
    assert result.sizes["fold"] == 12
    assert (result["confusion"].sum("predicted") == 12).all()
    guess = by_hand(known, haxby_blocks)
    expected = confusion_matrix(haxby_blocks["stimulus"], guess)
    np.testing.assert_array_equal(result["confusion"], expected)
    assert float(decode_classes(haxby_blocks, classifier="lda")["balanced_accuracy"]) > 0.85


def test_haxby_tells_faces_from_houses_and_maps_them(haxby_blocks: xr.DataArray) -> None:
    pair = haxby_blocks.isel(sample=np.isin(haxby_blocks["stimulus"].values, ["face", "house"]))
    result = decode_classes(pair, classifier="svm", n_permutations=20)
    assert float(result["balanced_accuracy"]) > 0.9
    assert float(result["p_value"]) == pytest.approx(1 / 21)
    assert float(result["null"].mean()) == pytest.approx(0.5, abs=0.1)
    pattern = result["patterns"].sel({"class": "house"})
    assert pattern.attrs["affine"] == haxby_blocks.attrs["affine"]
    means = [pair.values[pair["stimulus"].values == name].mean(0) for name in ("house", "face")]
    assert np.corrcoef(pattern, means[0] - means[1])[0, 1] > 0.9
