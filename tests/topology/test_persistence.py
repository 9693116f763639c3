"""Diagrams count components, loops and voids, and are those of the libraries and of theory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from gudhi import bottleneck_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from ripser import ripser
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform

from neuroalign import storage
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays, load_fmri, load_rdms
from neuroalign.rsa import compute_rdm, from_matrix, to_condensed, to_square
from neuroalign.schema import check
from neuroalign.topology import compute_persistence, take_bars

Array = np.ndarray[Any, Any]
IMAGES = [f"image-{i:02d}" for i in range(92)]


def circle(n: int, rng: np.random.Generator, noise: float = 0.05) -> Array:
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([np.cos(angle), np.sin(angle)]) + noise * rng.normal(size=(n, 2))


def eight(n: int, rng: np.random.Generator) -> Array:
    return np.concatenate([circle(n, rng) + side for side in ([-1, 0], [1, 0])])


def torus(n: int, rng: np.random.Generator) -> Array:
    return np.hstack([circle(n, rng, 0.0), circle(n, rng, 0.0)])


def sphere(n: int, rng: np.random.Generator) -> Array:
    points = rng.normal(size=(n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def long_bars(diagrams: xr.Dataset, dimension: int, length: float) -> int:
    bars = take_bars(diagrams, dimension)
    return int((bars[:, 1] - bars[:, 0] > length).sum())


@pytest.mark.parametrize(
    ("shape", "n", "landmarks", "betti", "length"),
    [
        (circle, 100, None, [1], 0.8),
        (eight, 80, None, [2], 0.8),
        (torus, 2000, 150, [2, 1], 0.35),
        (sphere, 500, 60, [0, 1], 0.6),
    ],
)
def test_shapes_have_their_betti_numbers(
    rng: np.random.Generator, shape: Any, n: int, landmarks: int, betti: list[int], length: float
) -> None:
    diagrams = compute_persistence(shape(n, rng), max_dim=len(betti), landmarks=landmarks)
    assert long_bars(diagrams, 0, 1.0) == 1
    assert [long_bars(diagrams, k + 1, length) for k in range(len(betti))] == betti


@pytest.mark.parametrize("backend", ["ripser", "gudhi"])
def test_components_merge_as_in_single_linkage(rng: np.random.Generator, backend: str) -> None:
    points = rng.normal(size=(40, 3))
    deaths = take_bars(compute_persistence(points, max_dim=0, backend=backend), 0)[:, 1]
    merges = linkage(points, "single")[:, 2]
    np.testing.assert_allclose(np.sort(deaths)[:-1], merges, rtol=1e-6)
    assert deaths.max() == np.inf


@pytest.mark.parametrize("threshold", [np.inf, 1.2])
@pytest.mark.parametrize("coefficients", [2, 3])
def test_both_backends_agree(rng: np.random.Generator, threshold: float, coefficients: int) -> None:
    points = rng.normal(size=(40, 3))
    options: dict[str, Any] = {"threshold": threshold, "coefficients": coefficients, "max_dim": 2}
    ours, theirs = (
        compute_persistence(points, backend=backend, **options) for backend in ("ripser", "gudhi")
    )
    for k in range(3):
        pair = take_bars(ours, k), take_bars(theirs, k)
        assert len(pair[0]) == len(pair[1])
        assert bottleneck_distance(*pair) < 1e-6


@pytest.mark.parametrize("backend", ["ripser", "gudhi"])
def test_a_square_below_its_diagonal_keeps_its_loop(backend: str) -> None:
    square = [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    diagrams = compute_persistence(square, threshold=1.2, backend=backend)
    assert take_bars(diagrams, 1).tolist() == [[1.0, np.inf]]


def test_equals_ripser_itself(rng: np.random.Generator) -> None:
    points = rng.normal(size=(60, 4))
    theirs = ripser(squareform(pdist(points)), distance_matrix=True)["dgms"]
    diagrams = compute_persistence(points)
    for k in (0, 1):
        ours = take_bars(diagrams, k)
        np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(theirs[k], axis=0), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.0, 0.5))
def test_diagrams_move_no_more_than_the_points(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(20, 2))
    step = scale * rng.uniform(-1, 1, size=points.shape)
    most = np.linalg.norm(step, axis=1).max()
    before, after = compute_persistence(points), compute_persistence(points + step)
    for k in (0, 1):
        moved = bottleneck_distance(take_bars(before, k), take_bars(after, k))
        assert moved <= 2 * most + 1e-5


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_landmarks_change_diagrams_by_twice_their_covering_radius(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(60, 2))
    full, part = compute_persistence(points), compute_persistence(points, landmarks=20, seed=seed)
    for k in (0, 1):
        moved = bottleneck_distance(take_bars(full, k), take_bars(part, k))
        assert moved <= 2 * part.attrs["covering_radius"] + 1e-5


@pytest.mark.parametrize(
    ("metric", "name"),
    [("euclidean", "euclidean"), ("city_block", "cityblock")],
)
def test_points_far_from_the_origin_keep_their_diagram(
    rng: np.random.Generator, metric: str, name: str
) -> None:
    points = rng.normal(size=(30, 3)) + 1e5
    deaths = take_bars(compute_persistence(points, metric=metric), 0)[1:, 1]
    expected = linkage(pdist(points, name), "single")[::-1, 2]
    np.testing.assert_allclose(deaths, expected, rtol=1e-5)


@pytest.mark.parametrize("metric", ["correlation", "cosine"])
def test_correlations_become_chords(rng: np.random.Generator, metric: str) -> None:
    points = rng.normal(size=(30, 8))
    deaths = take_bars(compute_persistence(points, metric=metric), 0)[1:, 1]
    expected = linkage(np.sqrt(2 * pdist(points, metric)), "single")[::-1, 2]
    np.testing.assert_allclose(deaths, expected, rtol=1e-5)


def make_responses(rng: np.random.Generator) -> xr.DataArray:
    names = [f"s{i}" for i in range(30)]
    values = circle(30, rng, 0.02) @ rng.normal(size=(2, 6))
    return from_arrays(values, stimulus=names, modality="model", dtype="float64")


def test_an_rdm_has_the_diagram_of_its_points(rng: np.random.Generator) -> None:
    data = make_responses(rng)
    rdm = compute_rdm(data, distance="squared_euclidean")
    from_rdm, from_points = compute_persistence(rdm), compute_persistence(data)
    # RDMs are means over units.
    bars = take_bars(from_rdm, 1) * np.sqrt(6)
    np.testing.assert_allclose(bars, take_bars(from_points, 1), atol=1e-5)
    assert from_rdm.attrs["preprocessing"] == "RDM (squared_euclidean): sqrt(max(d, 0))"
    square = compute_persistence(to_square(rdm))
    assert square["death"].equals(from_rdm["death"])


def test_a_metric_rdm_is_used_as_it_stands(rng: np.random.Generator) -> None:
    data = make_responses(rng)
    plain = compute_persistence(compute_rdm(data, distance="euclidean"))
    squared = compute_persistence(compute_rdm(data, distance="squared_euclidean"))
    np.testing.assert_allclose(take_bars(plain, 0), take_bars(squared, 0), rtol=1e-5)
    assert "max(d, 0)" in plain.attrs["preprocessing"]


def test_ranks_do_not_depend_on_scale(rng: np.random.Generator) -> None:
    rdm = compute_rdm(make_responses(rng), distance="squared_euclidean")
    curved = (rdm**3).assign_attrs(rdm.attrs)
    one, two = (compute_persistence(x, rdm_transform="ranks") for x in (rdm, curved))
    assert one["death"].equals(two["death"])
    assert float(one["death"].values[1:].max()) <= 1


@pytest.mark.parametrize("landmarks", [None, 20])
@pytest.mark.parametrize("square", [False, True])
def test_a_stack_has_the_diagram_of_each_rdm(
    rng: np.random.Generator, landmarks: int | None, square: bool, tmp_path: Path
) -> None:
    rows = [compute_rdm(make_responses(rng), distance="squared_euclidean") for _ in range(4)]
    names = {"subject": np.array(["a", "b"]), "session": np.array(["one", "two"])}
    values = np.stack([row.values for row in rows]).reshape(2, 2, *rows[0].shape)
    dims = ("subject", "session", *rows[0].dims)
    stack = xr.DataArray(values, {**rows[0].coords, **names}, dims, attrs=rows[0].attrs)
    found = compute_persistence(to_square(stack) if square else stack, landmarks=landmarks)
    assert found["birth"].dims == ("subject", "session", "pair_id")
    for place, row in zip(np.ndindex(2, 2), rows, strict=True):
        one = found.isel(subject=place[0], session=place[1])
        alone = compute_persistence(row, landmarks=landmarks)
        for k in (0, 1):
            np.testing.assert_array_equal(take_bars(one, k), take_bars(alone, k))
    assert found["subject"].values.tolist() == ["a", "b"]
    storage.save(check(found), tmp_path / "stack.nc")
    assert storage.load(tmp_path / "stack.nc").identical(found)


def test_negative_distances_are_counted(rng: np.random.Generator) -> None:
    rdm = to_condensed(compute_rdm(make_responses(rng), distance="squared_euclidean"))
    rdm.values[:5] = -0.1
    assert compute_persistence(rdm).attrs["n_negative"] == 5


def test_survives_storage(rng: np.random.Generator, tmp_path: Path) -> None:
    diagrams = compute_persistence(make_responses(rng), landmarks=12)
    check(diagrams)
    storage.save(diagrams, tmp_path / "diagrams.nc")
    assert storage.load(tmp_path / "diagrams.nc").identical(diagrams)


def test_same_seed_same_landmarks(rng: np.random.Generator) -> None:
    points = rng.normal(size=(50, 3))
    one, two, other = (compute_persistence(points, landmarks=15, seed=s) for s in (1, 1, 2))
    assert one.identical(two)
    assert not one["landmark_row"].equals(other["landmark_row"])
    assert one.attrs["n_used"] == 15


def test_too_many_points_are_refused_with_their_price() -> None:
    points = np.zeros((5000, 2))
    message = r"at most 4000 points for max_dim=1, got 5000: .* 0.7 GB, .* 2.1e\+10 triangles"
    with pytest.raises(ValueError, match=message):
        compute_persistence(points)
    with pytest.raises(ValueError, match="Pass landmarks=10 or fewer"):
        compute_persistence(np.zeros((11, 2)), max_points=10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_dim": 3}, "max_dim: expected one of '0', '1', '2', got '3'"),
        ({"backend": "gudi"}, "backend: expected one of .* Did you mean 'gudhi'"),
        ({"metric": "manhattan"}, "metric: expected one of 'euclidean'"),
        ({"rdm_transform": "square"}, "rdm_transform: expected one of 'auto'"),
        ({"coefficients": 4}, "coefficients: expected a prime, got 4"),
        ({"threshold": 0.0}, "threshold: expected a distance above 0, got 0.0"),
        ({"landmarks": 99}, "landmarks: expected 2 to 30 .* got 99"),
        ({"landmarks": 9, "landmark_method": "even"}, "landmark_method: expected one of 'maxmin'"),
    ],
)
def test_bad_options_are_named(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compute_persistence(circle(30, rng), **options)


def test_bad_data_are_named(rng: np.random.Generator) -> None:
    rdm = compute_rdm(make_responses(rng))
    with pytest.raises(SchemaError, match="data: expected finite distances, got 435 that are not"):
        compute_persistence(rdm * np.nan)
    with pytest.raises(SchemaError, match="expected finite values, got NaN or infinity in 1 of 3"):
        compute_persistence([[0.0], [1.0], [np.nan]])
    with pytest.raises(SchemaError, match=r"or an RDM, got shape \(2, 3, 4\)"):
        compute_persistence(np.zeros((2, 3, 4)))
    with pytest.raises(SchemaError, match="points that have a direction, got 1 without"):
        compute_persistence([[0.0, 0.0], [1.0, 2.0]], metric="cosine")
    with pytest.raises(SchemaError, match="diagrams: expected a Dataset with 'dimension'"):
        take_bars(xr.Dataset({"score": 1.0}), 0)
    with pytest.raises(SchemaError, match="diagrams of dimension 2, got 0 to 1"):
        take_bars(compute_persistence(circle(9, rng)), 2)
    stack = compute_persistence(rdm.expand_dims(subject=np.array(["a", "b"])))
    with pytest.raises(SchemaError, match="diagrams: expected one diagram, got a stack over .*sub"):
        take_bars(stack, 1)


def test_rdms_of_92_images_pass_through(real_data: Path) -> None:
    rdms = load_rdms(real_data / "rsa_92images/92_brainRDMs.mat", labels=IMAGES)
    diagrams = compute_persistence(rdms.mean("rdm", keep_attrs=True))
    merges = linkage(np.sqrt(rdms.values.mean(axis=0)), "single")[::-1, 2]
    np.testing.assert_allclose(take_bars(diagrams, 0)[1:, 1], merges, rtol=1e-5)
    assert diagrams.attrs["n_points"] == 92
    assert diagrams.attrs["preprocessing"] == "RDM (unknown): sqrt(max(d, 0))"


def test_haxby_rdm_passes_through(real_data: Path) -> None:
    folder = real_data / "haxby2001_pymvpa"
    bold = folder / "haxby2001/sub001/BOLD/task001_run001/bold_1slice.nii.gz"
    data = load_fmri([bold], mask=folder / "mask.nii.gz")
    names = [f"volume-{i:03d}" for i in range(data.sizes["sample"])]
    rdm = compute_rdm(data.assign_coords(stimulus=("sample", names)), distance="correlation")
    diagrams = compute_persistence(rdm)
    merges = linkage(np.sqrt(pdist(data.values, "correlation")), "single")[::-1, 2]
    np.testing.assert_allclose(take_bars(diagrams, 0)[1:, 1], merges, rtol=1e-3)
    same = compute_persistence(data, metric="correlation")
    moved = bottleneck_distance(take_bars(diagrams, 1) * np.sqrt(2), take_bars(same, 1))
    assert moved < 1e-3 * float(same["death"].values[1])


def test_a_bare_matrix_that_may_be_an_rdm_is_refused_until_named(rng: np.random.Generator) -> None:
    points = circle(20, rng)
    square = squareform(pdist(points))
    with pytest.raises(SchemaError, match=r"data: expected points .* rsa.from_matrix\(matrix, con"):
        compute_persistence(square)
    names = [f"p{n:02d}" for n in range(20)]
    named = from_matrix(square, names, distance="euclidean")
    one, two = (compute_persistence(each)["death"] for each in (named, points))
    np.testing.assert_allclose(one, two, rtol=1e-6)
    rows = xr.DataArray(square, dims=("sample", "neuroid"))
    assert compute_persistence(rows).attrs["metric"] == "euclidean"


def test_the_verdict_says_how_far_the_longest_loop_stands_out(rng: np.random.Generator) -> None:
    found = compute_persistence(circle(40, rng, 0.3))
    lengths = np.sort(np.diff(take_bars(found, 1), axis=1)[:, 0])[::-1]
    assert found.attrs["headline"] == "death"
    assert f"{lengths[0] / lengths[1]:.2f} times the next" in found.attrs["verdict"]
    assert compute_persistence([[0.0], [1.0]]).attrs["verdict"] == (
        "2 points: H0 has 1 bars that die, of 1; H1 has 0 bars that die."
    )
