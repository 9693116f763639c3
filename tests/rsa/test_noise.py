"""Noise covariance: right degrees of freedom, known shrinkage, whitening."""

import numpy as np
import pytest
import xarray as xr
from sklearn.covariance import ledoit_wolf

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa import estimate_noise, whiten


def make(rng: np.random.Generator, k: int = 20, r: int = 2, p: int = 30) -> xr.DataArray:
    values = np.repeat(rng.normal(size=(k, p)), r, axis=0) * 3 + rng.normal(size=(k * r, p))
    runs = np.tile([f"run-{i}" for i in range(r)], k)
    stimulus = np.repeat([f"c{i:02d}" for i in range(k)], r)
    return from_arrays(values, stimulus=stimulus, run=runs, modality="fmri", dtype="float64")


@pytest.mark.parametrize("method", ["full", "diagonal", "ledoit_wolf", "schaefer_strimmer"])
def test_two_repeats_give_unit_variance_not_half(rng: np.random.Generator, method: str) -> None:
    noise = estimate_noise(make(rng, p=200), method=method)
    assert noise.attrs["dof"] == 20.0
    assert np.trace(noise) / 200 == pytest.approx(1.0, abs=0.05)


def test_ledoit_wolf_equals_scikit_learn(rng: np.random.Generator) -> None:
    E = rng.normal(size=(40, 25)) * np.linspace(0.5, 2, 25)
    data = from_arrays(E, stimulus=["a"] * 40, modality="fmri", dtype="float64")
    ours = estimate_noise(data, method="ledoit_wolf", from_="residuals", dof=40)
    theirs, share = ledoit_wolf(E, assume_centered=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert ours.attrs["shrinkage"] == pytest.approx(share)


def test_schaefer_strimmer_equals_its_formula_row_by_row(rng: np.random.Generator) -> None:
    E = rng.normal(size=(15, 6)) @ rng.normal(size=(6, 6))
    E -= E.mean(axis=0)
    Z = E / E.std(axis=0, ddof=1)
    w = np.array([np.outer(z, z) for z in Z])
    r = w.sum(axis=0) / 14
    variance = 15 / 14**3 * ((w - w.mean(axis=0)) ** 2).sum(axis=0)
    off = ~np.eye(6, dtype=bool)
    share = variance[off].sum() / (r[off] ** 2).sum()
    expected = np.cov(E.T) * np.where(off, 1 - share, 1.0)
    data = from_arrays(E, stimulus=["a"] * 15, modality="fmri", dtype="float64")
    noise = estimate_noise(data, from_="residuals")
    assert noise.attrs["shrinkage"] == pytest.approx(share)
    np.testing.assert_allclose(noise, expected, atol=1e-12)


def test_full_from_repeats_in_runs_equals_brute_force(rng: np.random.Generator) -> None:
    values = rng.normal(size=(12, 3))
    stimulus, run = ["a", "a", "b", "b"] * 3, np.repeat(["1", "2", "3"], 4)
    data = from_arrays(values, stimulus=stimulus, run=run, modality="fmri", dtype="float64")
    steps = (values[0::2] - values[1::2]) / np.sqrt(2)
    noise = estimate_noise(data, method="full", fold="run")
    np.testing.assert_allclose(noise, steps.T @ steps / 6, atol=1e-12)
    assert noise.attrs["dof"] == 6.0


def test_precision_inverts_the_covariance_and_each_run_has_its_own(
    rng: np.random.Generator,
) -> None:
    data = make(rng, k=10, r=6, p=4)
    data["run"] = ("sample", np.tile(np.repeat(["1", "2"], 3), 10))
    both = [estimate_noise(data, over="run", output=o) for o in ("covariance", "precision")]
    assert both[0].dims == ("run", "neuroid", "neuroid_other")
    np.testing.assert_allclose(both[0].values @ both[1].values, [np.eye(4)] * 2, atol=1e-10)


def test_whitened_residuals_are_white(rng: np.random.Generator) -> None:
    data = make(rng, k=20, r=5, p=6)
    mixed = data.copy(data=data.values @ rng.normal(size=(6, 6)))
    for output in ("covariance", "precision"):
        noise = estimate_noise(mixed, method="full", output=output)
        again = estimate_noise(whiten(mixed, noise), method="full")
        np.testing.assert_allclose(again, np.eye(6), atol=1e-8)
    turned = noise.isel(neuroid=slice(None, None, -1), neuroid_other=slice(None, None, -1))
    np.testing.assert_allclose(whiten(mixed, turned), whiten(mixed, noise))


def test_channels_left_out_of_a_precision_are_integrated_out(rng: np.random.Generator) -> None:
    data = make(rng, p=5)
    part = data.isel(neuroid=[0, 2, 3])
    by = [estimate_noise(data, output=o) for o in ("covariance", "precision")]
    np.testing.assert_allclose(
        np.cov(whiten(part, by[0]).values.T), np.cov(whiten(part, by[1]).values.T), rtol=0.2
    )
    inner = np.linalg.inv(by[0].values[np.ix_([0, 2, 3], [0, 2, 3])])
    ours = whiten(part, by[1]).values
    expected = np.einsum("ip,pq,iq->i", part.values, inner, part.values)
    np.testing.assert_allclose((ours**2).sum(axis=1), expected, rtol=1e-8)


def test_time_points_pool_or_stand_alone(rng: np.random.Generator) -> None:
    values = rng.normal(size=(40, 3, 4)) * np.array([1.0, 2, 3, 4])
    data = from_arrays(
        values, stimulus=["a", "b"] * 20, time=np.arange(4.0), modality="meg", dtype="float64"
    )
    alone = estimate_noise(data, over="time", method="diagonal")
    pooled = estimate_noise(data, method="diagonal")
    np.testing.assert_allclose(alone.mean("time"), pooled, atol=1e-12)


def test_faults_of_noise_are_named(rng: np.random.Generator) -> None:
    data = make(rng)
    with pytest.raises(SchemaError, match="expected repeats of each stimulus within run"):
        estimate_noise(data, fold="run")
    with pytest.raises(SchemaError, match="expected finite values"):
        estimate_noise(data.where(data > -1))
    with pytest.raises(ValueError, match="expected a positive definite matrix"):
        whiten(data, estimate_noise(data, method="full"))
    short = estimate_noise(data).isel(neuroid=slice(1, None), neuroid_other=slice(1, None))
    with pytest.raises(AlignError, match="missing 1"):
        whiten(data, short)
    with pytest.raises(SchemaError, match="expected a DataArray \\(neuroid, neuroid_other\\)"):
        whiten(data, np.eye(30))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="method: expected one of"):
        estimate_noise(data, method="oas")
    with pytest.raises(SchemaError, match="expected coord 'block' on 'sample'"):
        estimate_noise(data, by="block")


def test_sensors_of_different_units_are_not_singular(rng: np.random.Generator) -> None:
    data = make(rng, r=6, p=4)
    scaled = data * np.array([1e-13, 1e-6, 1.0, 1e3])
    a, b = (whiten(x, estimate_noise(x, method="full")).values for x in (data, scaled))
    np.testing.assert_allclose((a**2).sum(axis=1), (b**2).sum(axis=1), rtol=1e-6)


def test_noise_needs_a_degree_of_freedom(rng: np.random.Generator) -> None:
    data = from_arrays(rng.normal(size=(1, 3)), stimulus=["a"], modality="fmri")
    with pytest.raises(ValueError, match="dof: expected more than 0 degrees of freedom, got 0"):
        estimate_noise(data, from_="residuals")


def test_whitening_does_not_spread_missing_values(rng: np.random.Generator) -> None:
    values = rng.normal(size=(8, 3))
    data = from_arrays(values, stimulus=list("abababab"), modality="fmri")
    noise = estimate_noise(data, method="shrinkage")
    broken = data.copy()
    broken[0, 0] = np.nan
    with pytest.raises(SchemaError, match="responses: expected finite values, got 1 missing"):
        whiten(broken, noise)
