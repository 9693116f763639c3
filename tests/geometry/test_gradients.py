"""Gradients order items as they lie, equal the definition, and those of a human connectome."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import eig, eigh
from scipy.stats import spearmanr

from neuroalign import storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry import find_gradients
from neuroalign.loaders import from_arrays, load_rdms
from neuroalign.rsa import compute_rdm, to_square
from neuroalign.schema import check

Array = np.ndarray[Any, Any]


def make_line(rng: np.random.Generator, n: int = 80) -> tuple[Array, Array]:
    """Similarities of places on a line, in no order, and the places."""
    place = rng.uniform(size=n)
    return np.exp(-np.abs(place[:, None] - place[None, :]) / 0.3), place


def read_connectome(real_data: Path) -> tuple[Array, list[Array]]:
    folder = real_data / "hcp_connectome_brainspace"
    connectivity = np.loadtxt(
        folder / "schaefer_400_mean_connectivity_matrix.csv.gz", delimiter=","
    )
    parcels = np.loadtxt(folder / "schaefer_400_conte69.csv.gz").astype(int)
    stored = []
    for k in (0, 1):
        values = np.loadtxt(folder / f"conte69_32k_fc_gradient{k}.csv.gz")
        stored.append(np.array([np.nanmean(values[parcels == p]) for p in range(1, 401)]))
    return connectivity, stored


def test_a_human_connectome_has_its_published_gradients(real_data: Path) -> None:
    # Cosines of the largest values of each row, alpha of a half. A tenth of vertices was kept; of
    # regions, which are 146 vertices each, 45 of 400 come closest.
    connectivity, stored = read_connectome(real_data)
    found = find_gradients(connectivity, sparsity=0.89)["gradient"].values
    r = [abs(np.corrcoef(found[:, k], stored[k])[0, 1]) for k in (0, 1)]
    assert min(r) > 0.97
    np.testing.assert_allclose(r, [0.990, 0.973], atol=1e-3)


def test_the_second_gradient_is_met_best_near_a_tenth_of_each_row(real_data: Path) -> None:
    # Exactly a tenth of regions gives .967, the .97 that is known of this recipe. Other shares lie
    # on one smooth curve with its top at 11 %: no lucky value was picked.
    connectivity, stored = read_connectome(real_data)
    sparsity = [0.82, 0.86, 0.88, 0.89, 0.90, 0.92, 0.94]
    r = []
    for share in sparsity:
        second = find_gradients(connectivity, sparsity=share, n_gradients=2)["gradient"][:, 1]
        r.append(abs(np.corrcoef(second, stored[1])[0, 1]))
    np.testing.assert_allclose(r, [0.817, 0.950, 0.971, 0.973, 0.967, 0.950, 0.928], atol=1e-3)
    assert (np.diff(r[:4]) > 0).all()
    assert (np.diff(r[3:]) < 0).all()


def test_angles_turn_the_axes_of_the_connectome_that_a_rotation_brings_back(
    real_data: Path,
) -> None:
    connectivity, stored = read_connectome(real_data)
    found = find_gradients(
        connectivity,
        affinity="normalized_angle",
        n_gradients=2,
        reference=np.stack(stored, axis=1),
    )
    plain, aligned = (found[key].values for key in ("gradient", "aligned"))
    r = [[abs(np.corrcoef(x[:, k], stored[k])[0, 1]) for k in (0, 1)] for x in (plain, aligned)]
    assert r[0][0] < 0.95 < 0.98 < r[1][0]
    assert r[0][1] < 0.91 < 0.94 < r[1][1]


@pytest.mark.parametrize("embedding", ["diffusion_map", "laplacian"])
@pytest.mark.parametrize("affinity", ["normalized_angle", "cosine", "none"])
def test_places_on_a_line_come_back_in_their_order(
    rng: np.random.Generator, embedding: str, affinity: str
) -> None:
    similarity, place = make_line(rng)
    found = find_gradients(similarity, embedding=embedding, affinity=affinity, sparsity=0.5)
    assert abs(spearmanr(found["gradient"][:, 0], place)[0]) > 0.95


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("time", [0.0, 1.0, 3.0])
def test_diffusion_maps_equal_their_definition(
    rng: np.random.Generator, alpha: float, time: float
) -> None:
    W, _ = make_line(rng, 30)
    found = find_gradients(W, affinity="none", sparsity=0.0, alpha=alpha, time=time, n_gradients=4)
    q = W.sum(axis=1) ** alpha
    K = W / np.outer(q, q)
    values, vectors = eig(K / K.sum(axis=1, keepdims=True))
    order = np.argsort(-values.real)[:5]
    values, vectors = values.real[order], vectors.real[:, order]
    scale = values[1:] / (1 - values[1:]) if time == 0 else values[1:] ** time
    stationary = K.sum(axis=1) / K.sum()
    unit = vectors[:, 1:] / np.sqrt(stationary @ vectors[:, 1:] ** 2)
    np.testing.assert_allclose(found["eigenvalue"], values[1:], atol=1e-10)
    np.testing.assert_allclose(np.abs(found["gradient"]), np.abs(unit * scale), atol=1e-8)


def test_laplacian_eigenmaps_solve_their_problem(rng: np.random.Generator) -> None:
    W, _ = make_line(rng, 30)
    found = find_gradients(W, affinity="none", sparsity=0.0, embedding="laplacian")
    degree = np.diag(W.sum(axis=1))
    values, _ = eigh(degree - W, degree)
    np.testing.assert_allclose(1 - found["eigenvalue"], values[1:6], atol=1e-10)
    vectors = found["gradient"].values
    left = (degree - W) @ vectors
    np.testing.assert_allclose(left, degree @ vectors * (1 - found["eigenvalue"].values), atol=1e-9)


def test_a_ring_has_two_gradients_of_one_speed() -> None:
    angle = np.arange(40) * 2 * np.pi / 40
    W = np.exp(2 * np.cos(angle[:, None] - angle[None, :]))
    found = find_gradients(W, affinity="none", sparsity=0.0, n_gradients=3)
    first, second, third = found["eigenvalue"].values
    assert first == pytest.approx(second)
    assert third < 0.9 * second
    radius = np.hypot(*found["gradient"].values[:, :2].T)
    np.testing.assert_allclose(radius, radius.mean())


def test_order_of_items_does_not_matter(rng: np.random.Generator) -> None:
    similarity, _ = make_line(rng)
    order = rng.permutation(80)
    one, two = (find_gradients(x) for x in (similarity, similarity[np.ix_(order, order)]))
    np.testing.assert_allclose(two["gradient"], one["gradient"][order], atol=1e-8)


def test_subjects_are_rotated_onto_a_reference(rng: np.random.Generator) -> None:
    similarity, _ = make_line(rng)
    group = find_gradients(similarity, n_gradients=3)
    noisy = similarity + 0.02 * rng.normal(size=similarity.shape)
    turned = group["gradient"].values @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    back = find_gradients(similarity, n_gradients=3, reference=turned)
    np.testing.assert_allclose(back["aligned"], turned, atol=1e-8)
    rotation = back["rotation"].values
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-10)
    near = find_gradients(noisy, n_gradients=3, reference=group)["aligned"]
    assert np.corrcoef(near[:, 0], group["gradient"][:, 0])[0, 1] > 0.95


def make_responses(rng: np.random.Generator) -> tuple[xr.DataArray, Array]:
    place = np.sort(rng.uniform(size=40))
    tuned = np.exp(-((place[:, None] - np.linspace(0, 1, 25)) ** 2) / 0.1)
    names = [f"s{i:02d}" for i in range(40)]
    return from_arrays(tuned, stimulus=names, modality="model", dtype="float64"), place


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "correlation"])
def test_an_rdm_gives_the_order_of_its_conditions(
    rng: np.random.Generator, distance: str, tmp_path: Path
) -> None:
    data, place = make_responses(rng)
    rdm = compute_rdm(data, distance=distance)
    found = find_gradients(rdm, sparsity=0.6)
    assert abs(spearmanr(found["gradient"][:, 0], place)[0]) > 0.99
    assert found["stimulus"].values.tolist() == data["stimulus"].values.tolist()
    assert find_gradients(to_square(rdm), sparsity=0.6)["gradient"].equals(found["gradient"])
    storage.save(check(found), tmp_path / "gradients.nc")
    assert storage.load(tmp_path / "gradients.nc").identical(found)


def test_lengths_and_their_squares_give_one_kernel(rng: np.random.Generator) -> None:
    data, _ = make_responses(rng)
    one, two = (
        find_gradients(compute_rdm(data, distance=name), sparsity=0.5)["gradient"]
        for name in ("euclidean", "squared_euclidean")
    )
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_labels_of_regions_are_kept(rng: np.random.Generator) -> None:
    similarity, _ = make_line(rng, 20)
    names = [f"parcel {i}" for i in range(20)]
    labelled = xr.DataArray(similarity, {"region": names}, ("region", "region_other"))
    found = find_gradients(labelled, sparsity=0.5)
    assert found["region"].values.tolist() == names
    with pytest.raises(AlignError, match="reference: expected the 'region' of data in its order"):
        find_gradients(labelled, sparsity=0.5, reference=found.isel(region=slice(None, None, -1)))


def test_the_92_images_have_gradients(real_data: Path) -> None:
    names = [f"image-{i:02d}" for i in range(92)]
    rdms = load_rdms(real_data / "rsa_92images/92_brainRDMs.mat", labels=names)
    found = find_gradients(rdms.mean("rdm", keep_attrs=True), sparsity=0.5)
    # The first 48 images are animate, and that is the main axis of human IT.
    assert abs(spearmanr(found["gradient"][:, 0], np.arange(92) < 48)[0]) > 0.6


def test_parts_without_a_path_are_named() -> None:
    apart = np.kron(np.eye(2), np.ones((5, 5)))
    with pytest.raises(ValueError, match="sparsity: expected an affinity .* 2 parts, .* of 5"):
        find_gradients(apart, affinity="none", sparsity=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"affinity": "angle"}, "affinity: expected one of 'cosine'"),
        ({"embedding": "pca"}, "embedding: expected one of 'diffusion_map'"),
        ({"sparsity": 90}, "sparsity: expected a share from 0 to below 1, got 90"),
        ({"alpha": 2.0}, "alpha, time: expected 0 to 1, and 0 or more, got 2.0 and 0.0"),
        ({"n_gradients": 80}, "n_gradients: expected 1 to 79 for 80 items, got 80"),
        ({"reference": np.zeros((80, 2))}, r"reference: expected shape \(80, 5\)"),
    ],
)
def test_bad_options_are_named(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_gradients(make_line(rng)[0], **options)


def test_bad_data_are_named(rng: np.random.Generator) -> None:
    with pytest.raises(SchemaError, match="data: expected finite values, got 25 missing"):
        find_gradients(np.full((5, 5), np.nan))
    with pytest.raises(SchemaError, match="data: expected rows that hold something, got 1 of"):
        find_gradients(np.diag([1.0, 2.0, 0.0]), n_gradients=1)
    with pytest.raises(SchemaError, match=r"expected a square matrix of similarities .* \(9, 4\)"):
        find_gradients(rng.uniform(size=(9, 4)), affinity="none")
    rdm = compute_rdm(make_responses(rng)[0])
    with pytest.raises(SchemaError, match="data: expected dissimilarities above 0, got half"):
        find_gradients(rdm * 0)
    with pytest.raises(SchemaError, match="data: expected one RDM, got dims .*subject"):
        find_gradients(xr.concat([rdm, rdm], "subject"))


def test_profiles_need_not_be_square(rng: np.random.Generator) -> None:
    data, place = make_responses(rng)
    found = find_gradients(data, sparsity=0.5, affinity="cosine")
    assert abs(spearmanr(found["gradient"][:, 0], place)[0]) > 0.99
    assert found["stimulus"].dims == ("sample",)


def test_negative_eigenvalues_do_not_turn_gradients() -> None:
    # Two sides that are joined across alone: the walk comes back every second step.
    W = 0.01 + np.kron([[0.0, 1.0], [1.0, 0.0]], np.ones((4, 4)))
    for time in (0.0, 0.5):
        found = find_gradients(W, affinity="none", sparsity=0.0, n_gradients=7, time=time)
        assert float(found["eigenvalue"][-1]) < -0.9
        last = found["gradient"][:, -1].values
        assert np.isfinite(last).all()
        assert np.abs(last).max() > 0.1
