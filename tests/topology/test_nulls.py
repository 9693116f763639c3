"""Surrogates keep what they promise; rings pass the test, clouds without shape do not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa import compute_rdm
from neuroalign.topology import NULLS, assess_topology, draw_surrogate

Array = np.ndarray[Any, Any]


def ring(rng: np.random.Generator, n: int = 60) -> Array:
    angle = rng.uniform(0, 2 * np.pi, n)
    waves = np.column_stack([np.cos(angle), np.sin(angle)])
    return waves @ rng.normal(size=(2, 6)) + 0.05 * rng.normal(size=(n, 6))


@pytest.mark.parametrize("null", list(NULLS))
def test_surrogates_are_as_many_and_move(rng: np.random.Generator, null: str) -> None:
    points = ring(rng)
    drawn = draw_surrogate(points, null, seed=1)
    assert drawn.shape == points.shape
    assert np.abs(drawn - points).max() > 0.1
    assert np.array_equal(drawn, draw_surrogate(points, null, seed=1))


@pytest.mark.parametrize("null", ["shuffle", "shift"])
def test_each_unit_keeps_its_values(rng: np.random.Generator, null: str) -> None:
    points = ring(rng)
    np.testing.assert_array_equal(
        np.sort(draw_surrogate(points, null), axis=0), np.sort(points, axis=0)
    )


def test_shifts_keep_neighbours_in_time(rng: np.random.Generator) -> None:
    points = ring(rng)
    drawn = draw_surrogate(points, "shift")
    for k in range(6):
        start = int(np.flatnonzero(drawn[:, k] == points[0, k])[0])
        np.testing.assert_array_equal(np.roll(drawn[:, k], -start), points[:, k])


def test_gaussian_keeps_mean_and_covariance(rng: np.random.Generator) -> None:
    points = ring(rng, 4000) + 3
    drawn = draw_surrogate(points, "gaussian")
    np.testing.assert_allclose(drawn.mean(axis=0), points.mean(axis=0), atol=0.15)
    expected = np.cov(points.T)
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.1 * np.abs(expected).max())


def test_sphere_keeps_span_and_radius(rng: np.random.Generator) -> None:
    points = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 8)) + 2
    moved = draw_surrogate(points, "sphere") - points.mean(axis=0)
    radius = np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean())
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), radius)
    assert np.linalg.matrix_rank(np.vstack([moved, points - points.mean(axis=0)]), 1e-8) == 3


@pytest.mark.parametrize("n", [50, 51])
def test_phases_keep_spectra_and_cross_spectra(rng: np.random.Generator, n: int) -> None:
    points = ring(rng, n)
    spectra = [np.fft.rfft(x, axis=0) for x in (points, draw_surrogate(points, "phase"))]
    crossed = [np.einsum("fi,fj->fij", x, x.conj()) for x in spectra]
    np.testing.assert_allclose(crossed[1], crossed[0], atol=1e-9)


def test_labels_are_kept(rng: np.random.Generator) -> None:
    data = from_arrays(ring(rng), stimulus=[f"s{i}" for i in range(60)], modality="model")
    drawn = draw_surrogate(data, "shuffle")
    assert isinstance(drawn, xr.DataArray)
    assert drawn["stimulus"].equals(data["stimulus"])


@pytest.mark.parametrize("null", ["shuffle", "gaussian", "sphere"])
def test_a_ring_passes(rng: np.random.Generator, null: str) -> None:
    result = assess_topology(ring(rng), null=null, n_nulls=39)
    assert float(result["p_value"].sel(dimension=1)) == 1 / 40
    assert float(result["observed"].sel(dimension=1)) > float(result["null"][:, 1].max())


@pytest.mark.slow
def test_clouds_without_a_ring_pass_as_often_as_they_should(rng: np.random.Generator) -> None:
    found = [
        float(assess_topology(rng.normal(size=(25, 3)), n_nulls=19, seed=k)["p_value"][1])
        for k in range(100)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.12
    assert 0.4 < np.mean(found) < 0.65


def test_all_go_through_the_same_steps(rng: np.random.Generator, tmp_path: Path) -> None:
    result = assess_topology(
        np.concatenate([ring(rng, 90), 3 * rng.normal(size=(10, 6))]),
        n_components=3, n_neighbors=5, keep=0.6, landmarks=30, n_nulls=9,
    )  # fmt: skip
    assert result.attrs["preprocessing"] == (
        "3 principal components; the 60% densest points by neighbour 5; euclidean distances; "
        "30 maxmin points"
    )
    assert (result.attrs["n_points"], result.attrs["n_used"]) == (100, 30)
    assert result["null"].shape == (9, 2)
    storage.save(result, tmp_path / "null.nc")
    assert storage.load(tmp_path / "null.nc").identical(result)


def test_p_counts_nulls_that_reach_the_observed(rng: np.random.Generator) -> None:
    result = assess_topology(rng.normal(size=(20, 2)), n_nulls=19, statistic="longest_bar")
    reached = (result["null"] >= result["observed"]).sum("permutation")
    np.testing.assert_allclose(result["p_value"], (1 + reached) / 20)


def test_nothing_observed_has_no_p() -> None:
    result = assess_topology([[0.0], [1.0], [3.0]], n_nulls=3)
    assert np.isnan(float(result["p_value"].sel(dimension=1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"null": "phases"}, "null: expected one of .* Did you mean 'phase'"),
        ({"statistic": "betti"}, "statistic: expected one of 'n_bars'"),
        ({"n_nulls": 0}, "n_nulls: expected at least 1, got 0"),
        ({"n_components": 9}, "n_components: expected 1 to 6, got 9"),
        ({"max_points": 10}, "data: expected at most 10 points .* got 60"),
        ({"n_neighbors": 5, "keep": 2.0}, r"keep: expected a share in \(0, 1\], got 2.0"),
    ],
)
def test_bad_options_are_named(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        assess_topology(ring(rng), **options)


def test_rdms_have_no_points(rng: np.random.Generator) -> None:
    data = from_arrays(ring(rng), stimulus=[f"s{i}" for i in range(60)], modality="model")
    with pytest.raises(SchemaError, match="data: expected points .* got an RDM"):
        assess_topology(compute_rdm(data))
