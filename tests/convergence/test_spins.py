"""Spins of the cortex as a null of correlated maps."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom, kstest

from neuroalign.convergence import spin_test
from neuroalign.convergence._correlation import (
    correlate_maps,
    count_two_sided,
    naive_p,
)
from neuroalign.convergence.spins import draw_spins
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import load_cortical_maps
from neuroalign.loaders.surface import MESHES

EVERY = slice(None, None, 40)


@pytest.fixture(scope="module")
def maps() -> xr.Dataset:
    return load_cortical_maps()


def draw_field(rng: np.random.Generator, points: np.ndarray, wavelength: float) -> np.ndarray:
    """A smooth random field on the sphere: plane waves of random direction and phase."""
    directions = rng.normal(size=(12, 3))
    directions *= 2 * np.pi / wavelength / np.linalg.norm(directions, axis=1, keepdims=True)
    phase = rng.uniform(0, 2 * np.pi, size=12)
    return np.cos(points @ directions.T + phase) @ rng.normal(size=12)


def test_spins_hold_the_level_where_the_naive_test_does_not() -> None:
    spheres = [one[0] for one in MESHES["fsaverage5"]("sphere") if one is not None]
    places = np.arange(0, 20484, 40)
    spins, rng = draw_spins(places, 99, seed=1), np.random.default_rng(7)
    false = {"spin": 0, "naive": 0}
    n = 300
    for _ in range(n):
        one, other = (
            np.concatenate([draw_field(rng, sphere, 120.0) for sphere in spheres]) for _ in range(2)
        )
        null = correlate_maps(one[places][None], other[spins])[:, 0]
        r = np.corrcoef(one[places], other[places])[0, 1]
        false["spin"] += count_two_sided(r, null) <= 0.05
        false["naive"] += naive_p(one[places], other[places]) <= 0.05
    assert binom.ppf(0.001, n, 0.05) <= false["spin"] <= binom.ppf(0.995, n, 0.05)
    assert false["naive"] > 6 * binom.ppf(0.995, n, 0.05)


def test_spins_hold_the_level_with_a_medial_wall_turned_into_the_data(maps: xr.Dataset) -> None:
    wall = np.isnan(maps["thickness"].values)
    spheres = [one[0] for one in MESHES["fsaverage5"]("sphere") if one is not None]
    rng, n, passed = np.random.default_rng(8), 60, []
    shown = maps["thickness"].drop_vars("thickness", errors="ignore")
    places = np.flatnonzero(~wall)[::60]
    for _ in range(6):
        fields = [
            np.concatenate([draw_field(rng, sphere, 120.0) for sphere in spheres])
            for _ in range(1 + n // 6)
        ]
        turned = shown.copy(data=np.where(wall, np.nan, fields[0]))
        stack = xr.concat([shown.copy(data=one)[places] for one in fields[1:]], "map")
        found = spin_test(stack, turned, n_spins=99, seed=2)
        passed += (found["p_value"].values <= 0.05).tolist()
        assert (np.abs(found["null_mean"]) < 0.15).all()
    # Maps tested against one other depend on each other: hence a wider bound than binomial.
    assert np.mean(passed) <= 0.15


def test_rotations_are_uniform_and_hemispheres_mirror_each_other() -> None:
    sphere = MESHES["fsaverage5"]("sphere")[0][0]  # type: ignore[index]
    places = np.array([5, 10242 + 5])
    spins = draw_spins(places, 400, seed=0)
    assert (spins[:, 0] < 10242).all()
    assert (spins[:, 1] >= 10242).all()
    # The height of a uniform point on the sphere is uniform (Archimedes).
    assert kstest(sphere[spins[:, 0], 2] / 200 + 0.5, "uniform").pvalue > 0.01
    pole = draw_spins(np.array([0, 10242]), 50, seed=3)
    left, right = sphere[pole[:, 0]], sphere[pole[:, 1] - 10242]
    # Vertex 0 lies in the plane of the mirror, so its images are mirror images of each other.
    assert np.linalg.norm(left - right * [-1, 1, 1], axis=1).max() < 8


def test_known_maps_correlate_as_numpy_says(maps: xr.Dataset) -> None:
    known = maps["thickness"][EVERY].dropna("neuroid")
    found = spin_test(known, maps["curvature"], n_spins=9)
    other = maps["curvature"].sel(neuroid=known["neuroid"].values)
    assert float(found["score"]) == pytest.approx(np.corrcoef(known, other)[0, 1], abs=1e-6)


def test_a_map_with_itself_is_beyond_all_spins(maps: xr.Dataset) -> None:
    known = maps["sulcal_depth"][EVERY].dropna("neuroid")
    found = spin_test(known, maps["sulcal_depth"], n_spins=99)
    assert float(found["score"]) == pytest.approx(1)
    assert float(found["p_value"]) == pytest.approx(0.01)
    assert abs(float(found["null_mean"])) < 0.1


def test_several_maps_are_tested_at_once(maps: xr.Dataset) -> None:
    known = maps.isel(neuroid=EVERY).dropna("neuroid")
    stack = xr.concat([known["thickness"], known["area"]], "map").assign_coords(map=["t", "a"])
    both = spin_test(stack, maps["curvature"], n_spins=19)
    alone = spin_test(known["area"], maps["curvature"], n_spins=19)
    np.testing.assert_allclose(both.sel(map="a")["score"], alone["score"], atol=1e-6)
    np.testing.assert_allclose(both.sel(map="a")["p_value"], alone["p_value"])


def test_the_same_seed_gives_the_same_spins() -> None:
    places = np.arange(50)
    np.testing.assert_array_equal(draw_spins(places, 3, 1), draw_spins(places, 3, 1))
    assert (draw_spins(places, 3, 1) != draw_spins(places, 3, 2)).any()


def test_values_must_be_finite(maps: xr.Dataset) -> None:
    with pytest.raises(AlignError, match="values: expected finite"):
        spin_test(maps["thickness"], maps["area"], n_spins=1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda one: one.drop_vars("vertex"), "expected coords 'hemisphere' and 'vertex'"),
        (lambda one: one.assign_coords(vertex=one["vertex"] + 99999), "expected vertices 0 to"),
    ],
)
def test_values_must_be_vertices(maps: xr.Dataset, change, match: str) -> None:
    known = maps["area"].dropna("neuroid")[:5]
    with pytest.raises(SchemaError, match=match):
        spin_test(change(known), maps["area"], n_spins=1)


def test_dims_and_counts_are_checked(maps: xr.Dataset) -> None:
    known = maps["area"].dropna("neuroid")[:5]
    with pytest.raises(SchemaError, match="expected dims"):
        spin_test(known.rename(neuroid="place"), maps["area"])
    with pytest.raises(SchemaError, match="brain_map: expected a DataArray .*, got Dataset"):
        spin_test(known, maps)
    with pytest.raises(ValueError, match="n_spins: expected at least 1"):
        spin_test(known, maps["area"], n_spins=0)
