"""Group maps equal the statistics they call, find what was planted, and keep the geometry."""

import numpy as np
import pytest
import xarray as xr
from scipy.sparse import csr_array, diags_array
from scipy.stats import ttest_1samp

from neuroalign.errors import AlignError, SchemaError
from neuroalign.rsa import find_neighborhoods, fisher_z, infer_group_map

N = 30


def line(n: int = N) -> csr_array:
    return csr_array(diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1], shape=(n, n)))


def make_maps(rng: np.random.Generator, n_subjects: int = 12) -> dict[str, xr.Dataset]:
    """Model 'a' explains places 10 to 17; model 'b' nothing."""
    maps = {}
    for subject in range(n_subjects):
        score = 0.1 * rng.normal(size=(2, N))
        score[0, 10:18] += 0.3
        coords = {"model": ["a", "b"], "neuroid": [f"v{i}" for i in range(N)]}
        score_map = xr.DataArray(np.clip(score, -0.9, 0.9), coords, ("model", "neuroid"))
        score_map = score_map.assign_coords(i=("neuroid", np.arange(N)))
        score_map = score_map.assign_attrs(grid_shape=[N, 1, 1])
        maps[f"sub-{subject:02d}"] = xr.Dataset({"score": score_map})
    return maps


@pytest.mark.parametrize("statistic", ["tfce", "cluster"])
def test_the_planted_stretch_is_found_in_its_model(
    rng: np.random.Generator, statistic: str
) -> None:
    found = infer_group_map(make_maps(rng), line(), statistic=statistic, n_permutations=200)
    sure = found["p_value"] < 0.05
    assert sure.sel(model="a")[10:18].all()
    assert int(sure.sel(model="a").sum()) <= 10
    assert not sure.sel(model="b").any()
    assert found["mean"].attrs["grid_shape"] == [N, 1, 1]
    np.testing.assert_array_equal(found["i"], np.arange(N))


def test_t_is_that_of_scipy_after_chance_and_fisher(rng: np.random.Generator) -> None:
    maps = make_maps(rng)
    values = np.stack([one["score"].values for one in maps.values()])
    options = {"statistic": "cluster", "n_permutations": 20}
    found = infer_group_map(maps, line(), chance=0.05, **options)  # type: ignore[arg-type]
    expected = ttest_1samp(values, 0.05, axis=0).statistic
    np.testing.assert_allclose(found["statistic"], expected, rtol=1e-9)
    np.testing.assert_allclose(found["mean"], values.mean(axis=0) - 0.05, rtol=1e-12)
    found = infer_group_map(maps, line(), fisher=True, **options)  # type: ignore[arg-type]
    expected = ttest_1samp(np.arctanh(values), 0.0, axis=0).statistic
    np.testing.assert_allclose(found["statistic"], expected, rtol=1e-9)


def test_a_stack_and_a_mapping_give_the_same(rng: np.random.Generator) -> None:
    maps = {name: one["score"].sel(model="a", drop=True) for name, one in make_maps(rng).items()}
    stack = xr.concat(list(maps.values()), xr.Variable("subject", list(maps)))
    ours = infer_group_map(maps, line(), n_permutations=50)
    xr.testing.assert_identical(ours, infer_group_map(stack, line(), n_permutations=50))
    assert ours["p_value"].dims == ("neuroid",)


def test_places_that_one_subject_lacks_are_nan(rng: np.random.Generator) -> None:
    maps = make_maps(rng)
    maps["sub-03"]["score"][:, :4] = np.nan
    found = infer_group_map(maps, line(), n_permutations=50)
    assert found["p_value"][:, :4].isnull().all()
    assert found["p_value"][:, 4:].notnull().all()
    assert not found["cluster"][:, :4].any()


def test_faults_are_named(rng: np.random.Generator) -> None:
    maps = make_maps(rng, 4)
    with pytest.raises(AlignError, match="adjacency: expected shape"):
        infer_group_map(maps, line(5))
    other = {**maps, "sub-09": maps["sub-00"].isel(neuroid=slice(None, None, -1))}
    with pytest.raises(AlignError, match=r"maps\['sub-09'\]: expected the neuroids"):
        infer_group_map(other, line())
    with pytest.raises(SchemaError, match="maps: expected a mapping of subject to map"):
        infer_group_map({}, line())
    with pytest.raises(SchemaError, match="maps: expected dims"):
        infer_group_map(xr.DataArray(np.ones((3, N)), dims=("fold", "neuroid")), line())
    empty = {name: one * np.nan for name, one in maps.items()}
    with pytest.raises(ValueError, match="expected places where all 4 subjects"):
        infer_group_map(empty, line())
    one = {name: one * 0 + 1.0 for name, one in maps.items()}
    assert np.isinf(fisher_z(one["sub-00"]["score"])).all()
    with pytest.raises(ValueError, match="within -1 and 1 for fisher=True"):
        infer_group_map(one, line(), fisher=True)


def test_too_few_or_equal_maps_are_told_apart() -> None:
    score = xr.DataArray(np.arange(8.0), {"neuroid": list("abcdefgh")}, ("neuroid",))
    near = csr_array(np.eye(8))
    with pytest.raises(ValueError, match="expected 2 subjects or more, got 1"):
        infer_group_map({"sub-01": score}, near)
    with pytest.raises(ValueError, match="expected subjects whose scores differ, got 3 equal maps"):
        infer_group_map({f"sub-{n}": score for n in range(3)}, near)


def test_neighbourhoods_serve_as_adjacency(rng: np.random.Generator) -> None:
    maps = make_maps(rng)
    first = maps["sub-00"]["score"]
    near = find_neighborhoods(first.assign_coords(j=("neuroid", np.zeros(N, int)),
                              k=("neuroid", np.zeros(N, int))), 1, unit="voxel")  # fmt: skip
    found = infer_group_map(maps, near, n_permutations=50)
    xr.testing.assert_allclose(found, infer_group_map(maps, line(), n_permutations=50))
    other = near.assign_coords(neuroid=[f"w{i}" for i in range(N)])
    with pytest.raises(AlignError, match=f"neighbors: expected the {N} neuroids of responses"):
        infer_group_map(maps, other)


@pytest.mark.parametrize("given", [np.eye(N), None, [[0, 1]]])
def test_other_adjacency_is_refused(given: object, rng: np.random.Generator) -> None:
    with pytest.raises(SchemaError, match="adjacency: expected a scipy sparse array"):
        infer_group_map(make_maps(rng), given)  # type: ignore[arg-type]
