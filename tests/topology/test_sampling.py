"""Landmarks spread over a cloud; the dense core leaves out what lies apart."""

import numpy as np
import pytest
import xarray as xr
from ripser.ripser import get_greedy_perm
from scipy.spatial.distance import cdist

from neuroalign.loaders import from_arrays
from neuroalign.rsa import compute_rdm
from neuroalign.topology import keep_dense, pick_landmarks


def test_each_landmark_is_the_farthest_from_those_before(rng: np.random.Generator) -> None:
    points = rng.normal(size=(40, 2))
    first = int(np.random.default_rng(3).integers(40))
    order = [first, *np.delete(np.arange(40), first)]
    theirs, lambdas, _ = get_greedy_perm(points[order], n_perm=12)
    rows, radius = pick_landmarks(points, 12, seed=3)
    assert rows.tolist() == sorted(np.array(order)[theirs].tolist())
    assert radius == pytest.approx(lambdas[-1], rel=1e-6)


@pytest.mark.parametrize("method", ["maxmin", "random"])
def test_covering_radius_covers(rng: np.random.Generator, method: str) -> None:
    points = rng.normal(size=(50, 3))
    rows, radius = pick_landmarks(points, 10, method=method)
    assert len(set(rows.tolist())) == 10
    assert radius == pytest.approx(cdist(points, points[rows]).min(axis=1).max())


def test_an_rdm_has_the_landmarks_of_its_points(rng: np.random.Generator) -> None:
    names = [f"s{i}" for i in range(20)]
    data = from_arrays(rng.normal(size=(20, 4)), stimulus=names, modality="model", dtype="float64")
    rdm = compute_rdm(data, distance="squared_euclidean")
    rows, radius = pick_landmarks(rdm, 6)
    expected, length = pick_landmarks(data, 6)
    assert rows.tolist() == expected.tolist()
    assert radius * 2 == pytest.approx(length)


def test_the_core_leaves_scatter_out(rng: np.random.Generator) -> None:
    core, scatter = 0.1 * rng.normal(size=(60, 3)), 5 * rng.normal(size=(40, 3))
    kept = keep_dense(np.concatenate([scatter, core]), n_neighbors=5, keep=0.5)
    assert kept.shape == (50, 3)
    assert np.abs(kept).max() < 0.6


def test_the_core_keeps_labels(rng: np.random.Generator) -> None:
    names = [f"s{i}" for i in range(20)]
    data = from_arrays(rng.normal(size=(20, 4)), stimulus=names, modality="model")
    kept = keep_dense(data, n_neighbors=3, keep=0.4)
    assert isinstance(kept, xr.DataArray)
    assert kept.identical(data.isel(sample=np.isin(names, kept["stimulus"].values)))
    assert kept.sizes["sample"] == 8


def test_bad_shares_are_named() -> None:
    points = np.arange(6.0)[:, None]
    with pytest.raises(ValueError, match=r"n_neighbors: expected 1 to 5 .* got 6"):
        keep_dense(points, n_neighbors=6)
    with pytest.raises(ValueError, match=r"keep: expected a share in \(0, 1\], got 30"):
        keep_dense(points, n_neighbors=2, keep=30)
    with pytest.raises(ValueError, match=r"landmarks: expected 2 to 6 .* got 1"):
        pick_landmarks(points, 1)
