"""Distances between times: products of differences by hand, codes that last, move and turn."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa.crosstime import generalize_distances
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.noise import estimate_noise, whiten


def record(values: np.ndarray, n: int = 3) -> xr.DataArray:
    """Responses (fold * condition, channel, time)."""
    n_runs = len(values) // n
    return from_arrays(
        values, modality="meg", stimulus=[f"c{k}" for k in range(n)] * n_runs, dtype="float64",
        run=np.repeat([f"run-{k}" for k in range(n_runs)], n), time=np.arange(values.shape[2]) / 10,
    )  # fmt: skip


def test_it_is_the_product_of_differences_in_different_folds(rng: np.random.Generator) -> None:
    data = record(rng.normal(size=(12, 5, 3)))
    found = generalize_distances(data)
    B = data.values.reshape(4, 3, 5, 3)
    for t, u in np.ndindex(3, 3):
        for pair, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
            difference = B[:, i] - B[:, j]
            products = difference[..., t] @ difference[..., u].T / 5
            expected = (products.sum() - np.trace(products)) / 12
            np.testing.assert_allclose(found.values[t, u, pair], expected, atol=1e-12)


def test_equal_times_give_the_crossnobis_distance(rng: np.random.Generator) -> None:
    data = record(rng.normal(size=(24, 5, 3)))
    noise = estimate_noise(data)
    found = generalize_distances(data, noise=noise)
    expected = compute_rdm(data, distance="crossnobis", fold="run", noise=noise, over="time",
                           form="condensed")  # fmt: skip
    np.testing.assert_allclose(np.diagonal(found).T, expected, atol=1e-12)
    plain = generalize_distances(whiten(data, noise))
    np.testing.assert_allclose(found, plain, atol=1e-10)
    named = generalize_distances(data, noise="schaefer_strimmer")
    np.testing.assert_allclose(named, found, atol=1e-12)


def test_without_folds_it_is_the_plain_product(rng: np.random.Generator) -> None:
    data = record(rng.normal(size=(12, 5, 2)))
    found = generalize_distances(data, distance="squared_euclidean", fold=None)
    mean = data.values.reshape(4, 3, 5, 2).mean(axis=0)
    difference = mean[0] - mean[2]
    np.testing.assert_allclose(found.values[0, 1, 1], difference[:, 0] @ difference[:, 1] / 5)


def test_codes_that_last_move_and_turn_are_told_apart(rng: np.random.Generator) -> None:
    code, other = rng.normal(size=(2, 6, 80))
    courses = np.stack([code, code, other, -code], axis=-1)
    slow = rng.normal(size=(48, 80, 1))
    values = np.tile(courses, (8, 1, 1)) + slow + rng.normal(size=(48, 80, 4))
    found = generalize_distances(record(values, 6)).mean("pair").values
    np.testing.assert_allclose(found[0], [2, 2, 0, -2], atol=0.3)
    np.testing.assert_allclose(found, found.T, atol=1e-12)


def test_noise_that_lasts_is_no_distance(rng: np.random.Generator) -> None:
    values = np.tile(rng.normal(size=(96, 400, 1)), (1, 1, 3))
    found = generalize_distances(record(values, 6)).mean("pair")
    assert float(np.abs(found).max()) < 0.02
    biased = generalize_distances(record(values, 6), distance="squared_euclidean", fold=None)
    assert float(biased.mean()) == pytest.approx(2 / 16, abs=0.02)


def test_wrong_arguments_are_named(rng: np.random.Generator) -> None:
    data = record(rng.normal(size=(24, 5, 3)))
    with pytest.raises(ValueError, match="distance: expected one of 'crossnobis'"):
        generalize_distances(data, distance="correlation")
    with pytest.raises(SchemaError, match=r"responses: expected dims \('sample', 'neuroid', 'ti"):
        generalize_distances(data.isel(time=0))
    with pytest.raises(SchemaError, match="noise: expected .* give one covariance for all times"):
        generalize_distances(data, noise=estimate_noise(data, over="time"))
