"""Decoding maps: equal to a loop over places, at chance without signal, and never lost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.sparse import block_diag, csr_array
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from neuroalign import schema, storage
from neuroalign.decoders import decode_classes, decode_searchlight
from neuroalign.errors import AlignError, DataCorruptionError, SchemaError
from neuroalign.loaders import adjacency_of, from_arrays, to_nifti
from neuroalign.rsa import find_neighborhoods, infer_group_map, neighbor_matrix

AFFINE = [3.0, 0, 0, 0, 0, 3.0, 0, 0, 0, 0, 3.0, 0, 0, 0, 0, 1.0]


def make_volume(
    rng: np.random.Generator,
    shape: tuple[int, int, int] = (5, 4, 3),
    k: int = 3,
    repeats: int = 4,
    signal: float = 0.0,
) -> xr.DataArray:
    """Trials in 4 runs; a code of the classes within a voxel's step of (1, 2, 1)."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    codes = np.tile(np.arange(k), 4 * repeats)
    inside = np.abs(grid - [1, 2, 1]).sum(axis=1) <= 1
    values = rng.normal(size=(len(codes), len(grid))) + 5 * rng.normal(size=len(grid))
    values += signal * inside * rng.normal(size=(k, len(grid)))[codes]
    data = from_arrays(
        values, stimulus=np.array(list("abcdefgh"))[codes],
        run=np.repeat([f"run-{r}" for r in range(4)], k * repeats), modality="fmri",
        dtype="float64",
    )  # fmt: skip
    places = {axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")}
    data = data.assign_coords(places).assign_attrs(affine=AFFINE, grid_shape=list(shape))
    return data.assign_coords(planted=("neuroid", inside))


def loop(data: xr.DataArray, near: Any, model: Any) -> list[float]:
    """What scikit-learn's user would write."""
    matrix, scores = neighbor_matrix(near), []
    for row in range(matrix.shape[0]):
        own = data.values[:, matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]]
        guess = cross_val_predict(
            model, own, data["stimulus"].values, groups=data["run"].values, cv=LeaveOneGroupOut()
        )
        scores.append(balanced_accuracy_score(data["stimulus"], guess))
    return scores


@pytest.mark.parametrize("name", ["lda", "nearest_centroid"])
@pytest.mark.parametrize("radius", [1, 2])
def test_each_place_equals_scikit_learn(rng: np.random.Generator, name: str, radius: int) -> None:
    data = make_volume(rng, (4, 3, 2), signal=0.7)
    near = find_neighborhoods(data, radius, unit="voxel")
    made = {
        "lda": LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=np.full(3, 1 / 3)),
        "nearest_centroid": NearestCentroid(),
    }
    result = decode_searchlight(data, near, classifier=name, batch=7)
    expected = loop(data, near, make_pipeline(StandardScaler(), made[name]))
    np.testing.assert_allclose(result["score"], expected)
    np.testing.assert_array_equal(result["size"], near["size"])


def test_lda_equals_scikit_learn_in_its_scores(rng: np.random.Generator) -> None:
    from neuroalign.decoders._batched import decide
    from neuroalign.decoders._classifiers import Sizes

    train, tests = rng.normal(size=(3, 40, 6)) * [1, 2, 3, 4, 5, 6.0], rng.normal(size=(3, 9, 6))
    # A column that is constant within a class, as a voxel outside the brain is.
    train[1, :, 2], codes = 4.0, np.arange(40) % 4
    found = decide("lda", train, codes, tests, Sizes(4, 6, 0))
    for own, asked, scores in zip(train, tests, found, strict=True):
        peer = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=np.full(4, 0.25))
        expected = peer.fit(own, codes).decision_function(asked) - np.log(0.25)
        np.testing.assert_allclose(scores, expected, rtol=1e-7, atol=1e-9)


def test_one_neuroid_alone_is_no_special_case(rng: np.random.Generator) -> None:
    data = make_volume(rng, (3, 2, 1), signal=1.0)
    near = csr_array(np.eye(6))
    lda = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=np.full(3, 1 / 3))
    found = decode_searchlight(data, near)["score"]
    np.testing.assert_allclose(found, loop(data, near, make_pipeline(StandardScaler(), lda)))


def test_a_silent_neuroid_is_at_chance(rng: np.random.Generator) -> None:
    data = make_volume(rng, (3, 2, 1), signal=1.0)
    data[:, 2] = 7.0
    found = decode_searchlight(data, csr_array(np.eye(6)))["score"].values
    np.testing.assert_allclose(found[2], 1 / 3)
    alone = decode_searchlight(data[:, :2], csr_array(np.eye(2)))["score"].values
    np.testing.assert_allclose(found[:2], alone)


@pytest.mark.parametrize("classifier", ["svm", "logistic", SVC()])
def test_other_classifiers_are_fitted_one_by_one(rng: np.random.Generator, classifier: Any) -> None:
    data = make_volume(rng, (3, 2, 2), signal=0.7)
    near = find_neighborhoods(data, 1, unit="voxel")
    matrix = neighbor_matrix(near)
    found = decode_searchlight(data, near, classifier=classifier)["score"].values
    for center in (0, 7):
        own = data.isel(neuroid=matrix.indices[matrix.indptr[center] : matrix.indptr[center + 1]])
        expected = decode_classes(own, classifier=classifier, patterns=False)
        np.testing.assert_allclose(found[center], expected["balanced_accuracy"])


def test_the_planted_place_is_found(rng: np.random.Generator) -> None:
    data = make_volume(rng, (7, 7, 4), signal=1.0)
    near = find_neighborhoods(data, 1, unit="voxel")
    result = decode_searchlight(data, near, n_permutations=99)
    passed = result["p_fwer"].values < 0.05
    assert passed[np.flatnonzero(data["i"].values * 100 + data["j"] * 10 + data["k"] == 121)]
    touched = neighbor_matrix(near).astype(float) @ data["planted"].values.astype(float) > 0
    assert not passed[~touched].any()
    assert (result["q_value"] >= result["p_value"]).all()
    assert float(result["null_mean"].mean()) == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("classifier", ["lda", "nearest_centroid"])
@pytest.mark.parametrize("labels", ["aaabbb", "aaaaab", "aaabbc"])
def test_noise_is_at_chance_and_its_p_values_hold(classifier: str, labels: str) -> None:
    # Places without a common neuroid are 200 recordings of the same design.
    rng, shown = np.random.default_rng(7), np.array(list(labels) * 9)
    data = from_arrays(
        rng.normal(size=(54, 800)), stimulus=shown, run=np.repeat(["r0", "r1", "r2"], 18),
        modality="fmri",
    )  # fmt: skip
    apart = csr_array(block_diag([np.ones((4, 4))] * 200))
    one_each = csr_array(apart.multiply((np.arange(800) % 4 == 0)[:, None]))
    result = decode_searchlight(data, one_each, classifier=classifier, n_permutations=39).isel(
        neuroid=slice(None, None, 4)
    )
    score, p = result["score"].values, result["p_value"].values
    standard_error = score.std() / np.sqrt(200)
    assert abs(score.mean() - 1 / len(set(labels))) < 3.5 * standard_error
    # Ties make p conservative; 3.5 standard errors of a share of 0.05 in 200 are 0.054.
    assert (p <= 0.05).mean() < 0.05 + 0.054


def test_an_interrupted_map_goes_on_to_the_same_bits(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuroalign.decoders import searchlight

    data = make_volume(rng, signal=0.7)
    near = find_neighborhoods(data, 1, unit="voxel")
    options: dict[str, Any] = {"batch": 16, "n_permutations": 2}
    whole = decode_searchlight(data, near, **options)
    work = searchlight._work
    done: list[int] = []
    resumed: list[int] = []

    def stop(light: Any, number: int) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(number)
        return work(light, number)

    monkeypatch.setattr(searchlight, "_work", stop)
    with pytest.raises(KeyboardInterrupt):
        decode_searchlight(data, near, store=tmp_path / "map", **options)

    def go_on(light: Any, number: int) -> Any:
        resumed.append(number)
        return work(light, number)

    monkeypatch.setattr(searchlight, "_work", go_on)
    again = decode_searchlight(data, near, store=tmp_path / "map", **options)
    assert (done, resumed) == ([0, 1], [2, 3])
    xr.testing.assert_identical(again, whole)
    record = json.loads((tmp_path / "map" / "journal.json").read_text())
    assert record["n_chunks"] == 4
    with pytest.raises(FileExistsError, match="expected the same request to resume"):
        decode_searchlight(data, near, store=tmp_path / "map", seed=1, **options)


def test_a_damaged_chunk_is_made_anew(rng: np.random.Generator, tmp_path: Path) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 1, unit="voxel")
    first = decode_searchlight(data, near, store=tmp_path / "map", batch=20)
    chunk = next((tmp_path / "map" / "score" / "c").rglob("1"))
    chunk.write_bytes(b"\0" + chunk.read_bytes()[1:])
    again = decode_searchlight(data, near, store=tmp_path / "map", batch=20)
    xr.testing.assert_identical(again, first)
    (tmp_path / "map" / "journal.json").write_text("no record")
    with pytest.raises(DataCorruptionError, match="expected a record of chunks"):
        decode_searchlight(data, near, store=tmp_path / "map", batch=20)


@pytest.mark.slow
def test_processes_give_the_same_bits(rng: np.random.Generator) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 1, unit="voxel")
    one = decode_searchlight(data, near, batch=16)
    xr.testing.assert_identical(one, decode_searchlight(data, near, batch=16, n_jobs=2))


def test_places_without_neighbours_are_nan_and_mapped(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    pytest.importorskip("nibabel")
    data = make_volume(rng)
    near = find_neighborhoods(data, 1, unit="voxel", min_neuroids=6)
    result = decode_searchlight(data, near)
    np.testing.assert_array_equal(np.isnan(result["score"]), near["size"] == 0)
    assert to_nifti(result["score"], tmp_path / "map.nii.gz").exists()
    assert schema.check(result) is result
    storage.save(result, tmp_path / "map.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "map.nc").compute(), result)


def test_maps_of_subjects_are_tested_together(rng: np.random.Generator) -> None:
    pytest.importorskip("mne")
    maps = {}
    for subject in range(7):
        data = make_volume(rng, signal=1.2)
        near = find_neighborhoods(data, 1, unit="voxel")
        result = decode_searchlight(data, near, classifier="nearest_centroid")
        maps[f"sub-{subject}"] = result["score"]
    tested = infer_group_map(maps, adjacency_of(data), chance=result.attrs["chance"])
    assert (tested["p_value"].values[data["planted"].values] < 0.05).all()


def test_faults_are_named(rng: np.random.Generator) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 1, unit="voxel")
    with pytest.raises(AlignError, match="neighbors: expected the 30 neuroids of responses"):
        decode_searchlight(data[:, :30], near)
    with pytest.raises(SchemaError, match="Average a window of time first"):
        decode_searchlight(data.expand_dims(time=[0.0, 0.1], axis=2), near)
    with pytest.raises(ValueError, match="classifier: expected one of 'logistic', 'lda'"):
        decode_searchlight(data, near, classifier="tree")
    with pytest.raises(MemoryError, match="memory: expected at least"):
        decode_searchlight(data, near, memory=1000)


def test_the_report_draws_the_map(rng: np.random.Generator) -> None:
    from neuroalign.report.screens import show_estimate

    data = make_volume(rng, signal=1.0)
    result = decode_searchlight(data, find_neighborhoods(data, 1, unit="voxel"), n_permutations=30)
    blocks = show_estimate(result)
    assert "Volume map" in {getattr(block, "title", "") for block in blocks}
    assert result.attrs["verdict"].startswith("Balanced accuracy of 'stimulus' peaks at")


def test_houses_are_found_in_the_same_place_by_halves_of_the_runs(haxby: xr.DataArray) -> None:
    data = haxby.isel(sample=np.isin(haxby["stimulus"].values, ["face", "house"]))
    near = find_neighborhoods(data, 8)
    runs = np.unique(data["run"].values)
    halves = [
        decode_searchlight(data.isel(sample=np.isin(data["run"], runs[k::2])), near)["score"]
        for k in (0, 1)
    ]
    assert halves[0].sizes == {"neuroid": 530}
    assert min(float(half.max()) for half in halves) > 0.85
    assert np.corrcoef(halves[0], halves[1])[0, 1] > 0.6
    assert float(halves[1].values[np.argsort(halves[0].values)[-10:]].min()) > 0.7
