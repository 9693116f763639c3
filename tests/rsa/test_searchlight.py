"""Searchlight maps equal an RDM for each center, find what was planted, and go on after a kill."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.sparse import csr_array, eye_array

from neuroalign import storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa import (
    WeightedModel,
    _chunk_runs,
    _searchlight,
    categorical_rdm,
    compare_rdms,
    compute_rdm,
    compute_searchlight_rdms,
    estimate_noise,
    find_neighborhoods,
    neighbor_matrix,
    run_searchlight,
)
from neuroalign.rsa.rdms import to_condensed, to_square
from neuroalign.schema import check

AFFINE = [3.0, 0, 0, 0, 0, 3.0, 0, 0, 0, 0, 3.0, 0, 0, 0, 0, 1.0]
CATEGORIES = {f"c{i}": "face" if i < 3 else "house" for i in range(6)}
PLAIN = ["squared_euclidean", "euclidean", "correlation", "cosine", "city_block", "poisson"]


def make_volume(
    rng: np.random.Generator,
    shape: tuple[int, int, int] = (5, 4, 3),
    n: int = 6,
    n_runs: int = 3,
    repeats: int = 1,
) -> xr.DataArray:
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    names = np.tile(np.repeat([f"c{i}" for i in range(n)], repeats), n_runs)
    runs = np.repeat([f"run-{r}" for r in range(n_runs)], n * repeats)
    values = rng.gamma(2.0, size=(len(names), len(grid))) + rng.normal(size=len(grid)) ** 2
    data = from_arrays(values, stimulus=names, run=runs, modality="fmri", dtype="float64")
    places = {axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")}
    places |= {axis: ("neuroid", 3.0 * grid[:, d]) for d, axis in enumerate("xyz")}
    return data.assign_coords(places).assign_attrs(affine=AFFINE, grid_shape=list(shape))


def brute(data: xr.DataArray, neighbors: xr.Dataset, **options: object) -> np.ndarray:
    matrix = neighbor_matrix(neighbors)
    made = []
    for row in range(matrix.shape[0]):
        own = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        made.append(compute_rdm(data.isel(neuroid=own), form="condensed", **options).values)  # type: ignore[arg-type]
    return np.stack(made)


def planted(rng: np.random.Generator, shape: tuple[int, int, int] = (9, 9, 5)) -> xr.DataArray:
    """A category code within 4.5 mm of voxel (2, 6, 2), noise elsewhere."""
    data = make_volume(rng, shape, n_runs=6)
    noise = rng.normal(size=data.shape)
    grid = np.stack([data[axis].values for axis in "ijk"], axis=1)
    inside = np.linalg.norm(grid - [2, 6, 2], axis=1) <= 1.5
    code = np.where(np.isin(data["stimulus"].values, ["c0", "c1", "c2"]), 1.0, -1.0)
    noise += 1.5 * np.outer(code, inside * rng.choice([-1, 1], size=len(grid)))
    return data.copy(data=noise).assign_coords(planted=("neuroid", inside))


@pytest.mark.parametrize("distance", PLAIN)
def test_each_rdm_is_that_of_its_neighbourhood(rng: np.random.Generator, distance: str) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 6)
    rdms = compute_searchlight_rdms(data, near, distance=distance, batch=17)
    np.testing.assert_allclose(rdms, brute(data, near, distance=distance), atol=1e-10)
    np.testing.assert_array_equal(rdms["n_channels"], near["size"])


@pytest.mark.parametrize("distance", ["crossnobis", "poisson_cv", "decoding_accuracy"])
def test_each_cross_validated_rdm_is_that_of_its_neighbourhood(
    rng: np.random.Generator, distance: str
) -> None:
    data = make_volume(rng, (4, 3, 2))
    near = find_neighborhoods(data, 3)
    rdms = compute_searchlight_rdms(data, near, distance=distance, fold="run")
    expected = brute(data, near, distance=distance, fold="run")
    np.testing.assert_allclose(rdms, expected, atol=1e-10)


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("distance", ["squared_euclidean", "euclidean", "crossnobis"])
def test_both_roads_give_the_same(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, distance: str, sums: bool
) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 6)
    fold = "run" if distance == "crossnobis" else None
    monkeypatch.setattr(_searchlight, "prefer_sums", lambda *_: sums)
    rdms = compute_searchlight_rdms(data, near, distance=distance, fold=fold)
    expected = brute(data, near, distance=distance, fold=fold)
    np.testing.assert_allclose(rdms, expected, atol=1e-10)


def test_few_pairs_are_summed_and_many_multiplied(rng: np.random.Generator) -> None:
    from neuroalign.rsa._searchlight import Light, prefer_sums
    from neuroalign.rsa.distances import DISTANCES

    def choice(name: str, n: int, n_folds: int) -> bool:
        cells, present = np.ones((1, n_folds, n)), np.ones((n, n_folds), dtype=bool)
        at = np.zeros(1, dtype=int)
        return prefer_sums(Light(cells, present, at, at, name, DISTANCES[name]), 100.0)

    assert choice("crossnobis", 6, 10)
    assert not choice("squared_euclidean", 60, 1)
    assert not choice("correlation", 6, 1)


def test_absent_cells_count_where_both_conditions_have_them(rng: np.random.Generator) -> None:
    data = make_volume(rng).isel(sample=np.r_[1:13, 14:18])
    near = find_neighborhoods(data, 3)
    for distance in ("crossnobis", "poisson_cv"):
        rdms = compute_searchlight_rdms(data, near, distance=distance, fold="run")
        expected = brute(data, near, distance=distance, fold="run")
        np.testing.assert_allclose(rdms, expected, atol=1e-10)


@pytest.mark.parametrize("noise", ["diagonal", "ledoit_wolf", "shrinkage"])
@pytest.mark.parametrize("fold", [None, "run"])
def test_noise_is_that_of_each_neighbourhood(
    rng: np.random.Generator, noise: str, fold: str | None
) -> None:
    data = make_volume(rng, (4, 3, 2), repeats=2)
    near = find_neighborhoods(data, 3)
    distance = "mahalanobis" if fold is None else "crossnobis"
    options = {"distance": distance, "fold": fold, "noise": noise}
    rdms = compute_searchlight_rdms(data, near, **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(rdms, brute(data, near, **options), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("over", [None, "run"])
def test_given_noise_is_cut_to_each_neighbourhood(
    rng: np.random.Generator, over: str | None
) -> None:
    data = make_volume(rng, (3, 3, 2), n=2, n_runs=4, repeats=9)
    noise = estimate_noise(data, over=over, output="precision" if over is None else "covariance")
    near = find_neighborhoods(data, 3)
    options = {"distance": "crossnobis", "fold": "run", "noise": noise}
    rdms = compute_searchlight_rdms(data, near, **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(rdms, brute(data, near, **options), rtol=1e-9, atol=1e-10)


def test_noise_for_correlation_and_means_removed(rng: np.random.Generator) -> None:
    data = make_volume(rng, (4, 3, 2), repeats=2)
    near = find_neighborhoods(data, 3)
    options = {"distance": "correlation", "noise": "shrinkage", "remove_mean": True}
    rdms = compute_searchlight_rdms(data, near, **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(rdms, brute(data, near, **options), rtol=1e-9, atol=1e-10)


def test_a_function_of_patterns_is_a_distance(rng: np.random.Generator) -> None:
    def largest(X: np.ndarray) -> np.ndarray:
        return np.abs(X[:, None] - X[None]).max(axis=2)

    data = make_volume(rng, (3, 3, 2))
    near = find_neighborhoods(data, 3)
    rdms = compute_searchlight_rdms(data, near, distance=largest)
    np.testing.assert_allclose(rdms, brute(data, near, distance=largest), atol=1e-12)
    assert rdms.attrs["distance"] == "largest"
    largest.__name__ = "cosine"
    again = compute_searchlight_rdms(data, near, distance=largest)
    np.testing.assert_array_equal(again, rdms)


@pytest.mark.parametrize("method", ["cosine", "pearson", "spearman", "tau_a", "whitened_cosine"])
def test_scores_are_comparisons_of_those_rdms(rng: np.random.Generator, method: str) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 6)
    models = {"kind": categorical_rdm(CATEGORIES), "own": compute_rdm(data)[::-1, ::-1]}
    result = run_searchlight(data, near, models, method=method, batch=17)
    rdms = compute_searchlight_rdms(data, near)
    for name, model in models.items():
        expected = compare_rdms(rdms, model, method=method)
        np.testing.assert_allclose(result["score"].sel(model=name), expected, atol=1e-10)
    assert result["score"].dims == ("model", "neuroid")


def test_a_planted_code_is_found_and_nothing_else(rng: np.random.Generator) -> None:
    data = planted(rng)
    near = find_neighborhoods(data, 4.5)
    model = {"category": categorical_rdm(CATEGORIES)}
    result = run_searchlight(
        data, near, model, distance="crossnobis", fold="run", method="whitened_cosine"
    )
    score = result["score"].values[0]
    matrix = neighbor_matrix(near)
    touched = (matrix.astype(float) @ data["planted"].values.astype(float)) > 0
    assert data["planted"].values[score.argmax()]
    assert score[data["planted"].values].min() > 0.9
    assert abs(score[~touched].mean()) < 0.1
    assert np.quantile(score[~touched], 0.95) < 0.6


def test_missing_voxels_spoil_their_neighbourhoods_or_are_left_out(
    rng: np.random.Generator,
) -> None:
    data = make_volume(rng)
    data[4, 30] = np.nan
    near = find_neighborhoods(data, 3)
    touched = neighbor_matrix(near).toarray()[:, 30]
    model = {"category": categorical_rdm(CATEGORIES)}
    score = run_searchlight(data, near, model)["score"].values[0]
    np.testing.assert_array_equal(np.isnan(score), touched)
    result = run_searchlight(data, near, model, nan="omit")
    assert np.isfinite(result["score"]).all()
    np.testing.assert_array_equal(result["size"], near["size"] - touched)
    omitted = compute_searchlight_rdms(data, near, nan="omit")
    expected = brute(data, near, nan="omit")
    np.testing.assert_allclose(omitted, expected, atol=1e-10)
    with pytest.raises(SchemaError, match="finite values, got 1 neuroids with missing"):
        run_searchlight(data, near, model, nan="raise")


def test_constant_patterns_and_singular_noise_are_nan_not_an_end(rng: np.random.Generator) -> None:
    data = make_volume(rng, (6, 2, 2), repeats=2)
    data[:, :8] = 5.0
    near = find_neighborhoods(data, 3)
    model = {"category": categorical_rdm(CATEGORIES)}
    for options in ({}, {"distance": "mahalanobis", "noise": "full"}):
        score = run_searchlight(data, near, model, **options)["score"].values[0]  # type: ignore[arg-type]
        assert np.isnan(score[:4]).all()
        assert np.isfinite(score[-4:]).all()


def test_a_shift_of_millions_costs_no_digits(rng: np.random.Generator) -> None:
    data = make_volume(rng, (4, 3, 2))
    near = find_neighborhoods(data, 3)
    for distance in ("squared_euclidean", "correlation"):
        plain = compute_searchlight_rdms(data, near, distance=distance)
        shifted = compute_searchlight_rdms(data + 1e6, near, distance=distance)
        np.testing.assert_allclose(shifted, plain, atol=1e-7)


def test_left_out_centers_are_nan(rng: np.random.Generator) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 3, min_neuroids=6)
    score = run_searchlight(data, near, {"m": categorical_rdm(CATEGORIES)})["score"].values[0]
    np.testing.assert_array_equal(np.isfinite(score), near["n_found"] >= 6)


@pytest.mark.slow
def test_processes_give_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    data = make_volume(rng)
    near = find_neighborhoods(data, 6)
    model = {"category": categorical_rdm(CATEGORIES)}
    alone = run_searchlight(data, near, model, batch=13)
    shared = run_searchlight(data, near, model, batch=13, n_jobs=2, store=tmp_path / "map")
    xr.testing.assert_identical(alone, shared)


@pytest.mark.slow
def test_dask_workers_of_which_one_dies_give_the_same_bits(rng: np.random.Generator) -> None:
    distributed = pytest.importorskip("distributed")
    data = make_volume(rng, (9, 9, 9), n_runs=6, repeats=4)
    near = find_neighborhoods(data, 9)
    model = {"category": categorical_rdm(CATEGORIES)}
    noisy = {"distance": "crossnobis", "fold": "run", "noise": "ledoit_wolf", "batch": 40}
    alone = run_searchlight(data, near, model, **noisy)  # type: ignore[arg-type]
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        first = next(iter(cluster.workers.values()))
        timer = threading.Timer(0.4, os.kill, (first.pid, signal.SIGKILL))
        timer.start()
        shared = run_searchlight(data, near, model, client=client, **noisy)  # type: ignore[arg-type]
        timer.join()
    xr.testing.assert_identical(alone, shared)


def test_an_interrupted_run_computes_the_rest_alone(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = make_volume(rng), {"category": categorical_rdm(CATEGORIES)}
    near = find_neighborhoods(data, 6)
    whole = run_searchlight(data, near, model, batch=13)
    done = []
    run_one = _chunk_runs._run_one

    def count(work, shared, number):  # type: ignore[no-untyped-def]
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(number)
        return run_one(work, shared, number)

    monkeypatch.setattr(_chunk_runs, "_run_one", count)
    with pytest.raises(KeyboardInterrupt):
        run_searchlight(data, near, model, batch=13, store=tmp_path / "map")
    done[:] = ["later"]
    with pytest.raises(FileExistsError, match="expected the same request to resume"):
        run_searchlight(data, near, model, batch=13, method="pearson", store=tmp_path / "map")
    monkeypatch.setattr(_chunk_runs, "_run_one", lambda *a: (done.append(a[2]), run_one(*a))[1])
    again = run_searchlight(data, near, model, batch=13, store=tmp_path / "map")
    assert done == ["later", 2, 3, 4]
    xr.testing.assert_identical(again, whole)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import numpy as np
from test_searchlight import *
from neuroalign._chunks import ChunkedFolder
write = ChunkedFolder.write
def die(self, number, values):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, number, values)
ChunkedFolder.write = die
data = make_volume(np.random.default_rng(1))
near = find_neighborhoods(data, 6)
run_searchlight(data, near, {"m": categorical_rdm(CATEGORIES)}, batch=13, store=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    arguments = [str(tmp_path / "map"), str(Path(__file__).parent)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    data, model = make_volume(np.random.default_rng(1)), {"m": categorical_rdm(CATEGORIES)}
    near = find_neighborhoods(data, 6)
    again = run_searchlight(data, near, model, batch=13, store=tmp_path / "map")
    xr.testing.assert_identical(again, run_searchlight(data, near, model, batch=13))


def test_infinite_voxels_are_missing_ones(rng: np.random.Generator) -> None:
    data = make_volume(rng, (3, 3, 2))
    data[2, 5] = np.inf
    near = find_neighborhoods(data, 3)
    touched = neighbor_matrix(near).toarray()[:, 5]
    for distance, fold in (("squared_euclidean", None), ("crossnobis", "run")):
        rdms = compute_searchlight_rdms(data, near, distance=distance, fold=fold)
        np.testing.assert_array_equal(np.isnan(rdms).any("pair"), touched)


def test_maps_and_rdms_are_saved_and_read_back(rng: np.random.Generator, tmp_path: Path) -> None:
    data = make_volume(rng, (3, 3, 2))
    near = find_neighborhoods(data, 3)
    result = run_searchlight(data, near, {"m": categorical_rdm(CATEGORIES)})
    rdms = compute_searchlight_rdms(data, near, distance="crossnobis", fold="run")
    for name, one in {"map.nc": result, "rdms.zarr": rdms}.items():
        again = storage.load(storage.save(check(one), tmp_path / name)).compute()
        xr.testing.assert_identical(again, one)
    assert result["score"].attrs["grid_shape"] == [3, 3, 2]


def test_chance_gives_no_similarity(rng: np.random.Generator) -> None:
    data = make_volume(rng, (6, 6, 4), n_runs=4)
    data = data.copy(data=rng.normal(size=data.shape))
    near = find_neighborhoods(data, 3)
    result = run_searchlight(
        data, near, {"m": categorical_rdm(CATEGORIES)}, distance="crossnobis", fold="run"
    )
    assert abs(float(result["score"].mean())) < 0.1


def test_faults_are_named(rng: np.random.Generator) -> None:
    data, model = make_volume(rng, (3, 2, 2)), {"category": categorical_rdm(CATEGORIES)}
    near = find_neighborhoods(data, 3)
    with pytest.raises(AlignError, match="neighbors: expected the 11 neuroids of responses"):
        run_searchlight(data[:, 1:], near, model)
    with pytest.raises(AlignError, match="neighbors: expected the 12 neuroids"):
        run_searchlight(data, eye_array(3), model)
    with pytest.raises(SchemaError, match="neighbors: expected what find_neighborhoods returns"):
        run_searchlight(data, [[0, 1]], model)
    with pytest.raises(ValueError, match="distance: expected one of"):
        run_searchlight(data, near, model, distance="corelation")
    with pytest.raises(ValueError, match="method: expected one of"):
        run_searchlight(data, near, model, method="cos")
    with pytest.raises(ValueError, match="fold: expected the name of a coord"):
        run_searchlight(data, near, model, distance="crossnobis")
    with pytest.raises(ValueError, match="n_jobs: expected 1 or more"):
        run_searchlight(data, near, model, n_jobs=0)
    with pytest.raises(SchemaError, match="expected repeats of each stimulus"):
        run_searchlight(data[:6], near, model, distance="mahalanobis", noise="shrinkage")
    with pytest.raises(SchemaError, match=r"expected \(sample, neuroid\), got"):
        run_searchlight(data.expand_dims(time=[0.0, 1.0], axis=2), near, model)
    weighted = WeightedModel(
        to_condensed(model["category"]).expand_dims("rdm").assign_coords(rdm=["a"]), name="w"
    )
    with pytest.raises(ValueError, match="models: expected fixed RDMs"):
        run_searchlight(data, near, [weighted])
    with pytest.raises(MemoryError, match="memory: expected at least 1,440 bytes"):
        compute_searchlight_rdms(data, near, memory=100)


def test_sparse_neighbours_and_stacks_are_labelled(rng: np.random.Generator) -> None:
    data = make_volume(rng, (3, 2, 2))
    rdms = compute_searchlight_rdms(data, csr_array(np.ones((12, 12))))
    np.testing.assert_allclose(rdms[3], to_condensed(compute_rdm(data)), atol=1e-12)
    assert to_square(rdms).sizes["first"] == 6
    np.testing.assert_array_equal(rdms["center"], data["neuroid"])


def test_a_surface_map_is_written_to_its_vertices(rng: np.random.Generator, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    from neuroalign.loaders import to_gifti

    x, y = np.meshgrid(np.arange(5.0), np.arange(5.0), indexing="ij")
    corner = (np.arange(4)[:, None] * 5 + np.arange(4)).ravel()
    faces = np.concatenate([corner[:, None] + [0, 1, 5], corner[:, None] + [1, 6, 5]])
    mesh = np.stack([x, y, 0 * x], -1).reshape(-1, 3), faces
    data = make_volume(rng, (4, 5, 1)).drop_vars(list("ijkxyz")).drop_attrs()
    places = {"vertex": ("neuroid", np.arange(3, 23)), "hemisphere": ("neuroid", ["L"] * 20)}
    data = data.assign_coords(places).assign_attrs(n_vertices=[25, 0])
    near = find_neighborhoods(data, 2, shape="surface", mesh=mesh, min_neuroids=4)
    score = run_searchlight(data, near, {"m": categorical_rdm(CATEGORIES)})["score"][0]
    path = tmp_path / "map_hemi-L.func.gii"
    to_gifti(score, left_path=path)
    values = nib.load(path).darrays[0].data
    np.testing.assert_allclose(values[3:23], score.values, rtol=1e-6)
    assert np.isnan(values[[0, 1, 2, 23, 24]]).all()


def haxby(folder: Path) -> xr.DataArray:
    """Volumes of 8 categories in 12 runs of one slice, each run detrended and standardised."""
    from neuroalign.loaders import load_fmri

    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    series = load_fmri(
        [run / "bold_1slice.nii.gz" for run in runs],
        mask=folder / "mask.nii.gz",
        events=[run / "bold_events.tsv" for run in runs],
        detrend=True,
        standardize="zscore",
    ).compute()
    return series.isel(sample=np.flatnonzero(series["stimulus"].values != "rest"))


def test_haxby_slice_tells_houses_where_single_voxels_do(real_data: Path, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    from neuroalign.loaders import to_nifti

    data = haxby(real_data / "haxby2001_pymvpa")
    near = find_neighborhoods(data, 8)
    names = set(data["stimulus"].values.tolist())
    model = {"house": categorical_rdm({name: str(name == "house") for name in names})}

    def light(one: xr.DataArray) -> xr.DataArray:
        options = {"distance": "crossnobis", "fold": "run", "method": "whitened_cosine"}
        return run_searchlight(one, near, model, **options)["score"][0]  # type: ignore[arg-type]

    score = light(data)
    assert score.shape == (530,)
    assert score.values.max() > 0.9
    runs = np.unique(data["run"].values)
    halves = [light(data.isel(sample=np.isin(data["run"], runs[k::2]))) for k in (0, 1)]
    assert np.corrcoef(*halves)[0, 1] > 0.7
    # Where the first half peaks, independent runs show houses apart too.
    assert halves[1].values[np.argsort(halves[0].values)[-10:]].min() > 0.6
    house = (data["stimulus"] == "house").values
    contrast = np.stack(
        [
            data.values[house & own].mean(axis=0) - data.values[~house & own].mean(axis=0)
            for own in (data["run"].values == run for run in runs)
        ]
    )
    t = np.abs(contrast.mean(axis=0) / contrast.std(axis=0, ddof=1))
    best = np.isin(np.arange(530), np.argsort(t)[-26:])
    touched = neighbor_matrix(near).astype(float) @ best.astype(float)
    assert (touched[np.argsort(score.values)[-10:]] > 0).all()
    image = nib.load(to_nifti(score, tmp_path / "map.nii.gz"))
    place = tuple(data[axis].values for axis in "ijk")
    np.testing.assert_allclose(image.get_fdata()[place], score.values, atol=1e-6)
    assert np.isnan(image.get_fdata()).sum() == 800 - 530
