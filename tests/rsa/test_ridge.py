"""The comparison that needs positive definite moments: the way out, everywhere it is taken."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import rsa
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa._geometry import find_definite, riemannian_distance

NAMES = [f"c{k}" for k in range(6)]
CATEGORIES = dict(zip(NAMES, "xxyyzz", strict=True))


def measure(rng: np.random.Generator, p: int) -> xr.DataArray:
    """Six conditions in p channels."""
    return from_arrays(rng.normal(size=(6, p)), stimulus=NAMES, modality="fmri", dtype="float64")


def compute(rng: np.random.Generator, p: int) -> xr.DataArray:
    return rsa.compute_rdm(measure(rng, p), distance="squared_euclidean")


def test_a_ridge_is_equal_independent_noise(rng: np.random.Generator) -> None:
    rdm = rsa.to_condensed(compute(rng, 20)).values[None]
    noisy = rdm + 0.3 * rdm.mean()
    ours = riemannian_distance(rdm, rdm, ridge=0.3)
    np.testing.assert_allclose(ours, riemannian_distance(noisy, noisy), atol=1e-8)
    assert float(ours[0, 0]) == pytest.approx(0, abs=1e-3)


def test_too_few_channels_compare_with_a_ridge(rng: np.random.Generator) -> None:
    low, other = compute(rng, 3), compute(rng, 30)
    with pytest.raises(SchemaError, match=r"b: expected RDMs whose second .* Use ridge=0.1 or mor"):
        rsa.compare_rdms(other, low, method="riemannian")
    own = rsa.compare_rdms(low, low, method="riemannian", ridge=0.1)
    assert float(own) == pytest.approx(0, abs=1e-3)
    assert float(rsa.compare_rdms(other, low, method="riemannian", ridge=0.1)) < -0.1
    scaled = rsa.compare_rdms(low, 3 * low, method="riemannian", ridge=0.1)
    assert float(scaled) == pytest.approx(0, abs=1e-3)


def test_a_ridge_is_refused_where_it_does_nothing(rng: np.random.Generator) -> None:
    rdm = compute(rng, 9)
    with pytest.raises(ValueError, match="ridge: expected 0, or more with method 'riemannian'"):
        rsa.compare_rdms(rdm, rdm, ridge=0.1)
    with pytest.raises(ValueError, match="got -1 with 'riemannian'"):
        rsa.compare_rdms(rdm, rdm, method="riemannian", ridge=-1)


@pytest.mark.parametrize("method", ["riemannian", "bures"])
def test_inference_says_where_shapes_are_compared(method: str, rng: np.random.Generator) -> None:
    people = {name: compute(rng, 9) for name in ("s1", "s2", "s3")}
    with pytest.raises(ValueError, match=f"got '{method}'. Use 'whitened_cosine', or compare_rdms"):
        rsa.infer({"a": people["s1"]}, people, method=method)
    with pytest.raises(ValueError, match="method: expected a comparison with an average RDM"):
        rsa.noise_ceiling(people, method=method)


def make_light(rng: np.random.Generator) -> tuple[xr.DataArray, xr.Dataset]:
    """Voxels in a row, whose balls have 2, 3, ... 9 members at one end."""
    data = measure(rng, 24)
    x = np.where(np.arange(24) < 8, np.arange(24) * 0.5, np.arange(24) * 5.0)
    places = {"x": ("neuroid", x), "y": ("neuroid", 0 * x), "z": ("neuroid", 0 * x)}
    data = data.assign_coords(places)
    return data, rsa.find_neighborhoods(data, 3.0)


def test_a_searchlight_leaves_out_what_is_not_definite(rng: np.random.Generator) -> None:
    data, near = make_light(rng)
    options = {"distance": "squared_euclidean", "method": "riemannian"}
    model = {"m": compute(rng, 30)}
    found = rsa.run_searchlight(data, near, model, **options)  # type: ignore[arg-type]
    rdms = rsa.compute_searchlight_rdms(data, near, distance="squared_euclidean").values
    definite = find_definite(rdms)
    assert 0 < definite.sum() < len(definite)
    np.testing.assert_array_equal(np.isfinite(found["score"].values[0]), definite)
    place = int(np.flatnonzero(definite)[0])
    expected = riemannian_distance(rdms[[place]], rsa.to_condensed(model["m"]).values[None])[0, 0]
    assert float(found["score"][0, place]) == pytest.approx(float(expected))


def test_a_ridge_gives_every_neighbourhood_a_score(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    data, near = make_light(rng)
    options = {"distance": "squared_euclidean", "method": "riemannian", "store": tmp_path / "s"}
    model = {"m": rsa.categorical_rdm(CATEGORIES)}
    with pytest.raises(SchemaError, match=r"models: .* in 'm' \(such as of cat"):
        rsa.run_searchlight(data, near, model, **options)  # type: ignore[arg-type]
    found = rsa.run_searchlight(data, near, model, ridge=0.2, **options)  # type: ignore[arg-type]
    assert np.isfinite(found["score"]).all()
    with pytest.raises(FileExistsError):
        rsa.run_searchlight(data, near, model, ridge=0.4, **options)  # type: ignore[arg-type]


def test_a_searchlight_without_any_definite_place_says_so(rng: np.random.Generator) -> None:
    data = measure(rng, 5)
    model = {"m": compute(rng, 30)}
    near = np.eye(5)
    from scipy.sparse import csr_array

    with pytest.raises(SchemaError, match="neighbors: .* got none .* Use ridge=0.1 or more"):
        rsa.run_searchlight(
            data, csr_array(near), model, distance="squared_euclidean", method="riemannian"
        )
