"""The spectrum of what repeats is free of noise, and is refused where noise is all there is."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.geometry import compute_spectrum, cross_validate_spectrum
from neuroalign.loaders import from_arrays
from neuroalign.schema import check


def repeat(rng: np.random.Generator, noise: float, n: int = 300, units: int = 40) -> np.ndarray:
    """Two repeats (repeat, stimulus, neuroid) of responses with a 1/rank spectrum."""
    signal = rng.normal(size=(n, units)) * np.arange(1, units + 1) ** -0.5
    return signal + noise * rng.normal(size=(2, n, units))


def label(cube: np.ndarray) -> xr.DataArray:
    names = np.tile([f"image-{i:03d}" for i in range(cube.shape[1])], len(cube))
    run = np.repeat([f"run-{i:02d}" for i in range(len(cube))], cube.shape[1])
    values = cube.reshape(-1, cube.shape[2])
    return from_arrays(values, stimulus=names, run=run, modality="fmri", dtype="float64")


def test_two_repeats_give_the_plain_formula(rng: np.random.Generator) -> None:
    cube = repeat(rng, 0.3)
    found = cross_validate_spectrum(label(cube), fold="run", ranks=(2, 20), n_splits=1)
    one, two = (part - part.mean(axis=0) for part in cube)
    truth = np.zeros(40)
    for left, right in ((one, two), (two, one)):
        axes = np.linalg.eigh(left.T @ left)[1][:, ::-1]
        truth += ((left @ axes) * (right @ axes)).sum(axis=0) / 300 / 2
    np.testing.assert_allclose(found["spectrum"], truth, rtol=1e-8, atol=1e-12)


def test_without_noise_it_is_the_spectrum(rng: np.random.Generator) -> None:
    cube = repeat(rng, 0.0)
    found = cross_validate_spectrum(cube, ranks=(2, 20))
    np.testing.assert_allclose(found["spectrum"], compute_spectrum(cube[0]), rtol=1e-8)
    assert float(found["reliability"]) == pytest.approx(1)
    assert float(found["alpha"]) == pytest.approx(float(found["plain_alpha"]))


def test_arrays_and_labelled_rows_agree_in_kind(rng: np.random.Generator) -> None:
    cube = repeat(rng, 0.3)
    bare = cross_validate_spectrum(cube, ranks=(2, 20), seed=3)
    rows = label(cube)
    shuffled = rows.isel(sample=rng.permutation(rows.sizes["sample"]))
    named = cross_validate_spectrum(shuffled, ranks=(2, 20), seed=3)
    assert float(named["alpha"]) == pytest.approx(float(bare["alpha"]), abs=0.02)
    check(named)
    assert named.attrs["seed"] == 3
    assert named.attrs["n"] == 300


def test_sum_over_components_is_the_shared_variance(rng: np.random.Generator) -> None:
    cube = repeat(rng, 0.5)
    found = cross_validate_spectrum(label(cube), fold="run", ranks=(2, 20), n_splits=1)
    one, two = (part - part.mean(axis=0) for part in cube)
    assert float(found["spectrum"].sum()) == pytest.approx((one * two).sum() / 300)


def test_noise_of_a_run_is_signal_unless_runs_stay_whole(rng: np.random.Generator) -> None:
    shared = np.tile(rng.normal(size=(8, 60, 15)), (1, 2, 1))
    values = (shared + rng.normal(size=shared.shape)).reshape(-1, 15)
    run = np.repeat([f"run-{i:02d}" for i in range(8)], 120)
    names = [f"image-{i:03d}" for i in range(60)] * 16
    data = from_arrays(values, stimulus=names, run=run, modality="meg", dtype="float64")
    free = cross_validate_spectrum(data, ranks=(1, 10), n_splits=10)
    assert float(free["reliability"]) > 0.12
    with pytest.warns(NeuroalignWarning, match="expected a spectrum above 0"):
        whole = cross_validate_spectrum(data, fold="run", ranks=(2, 14), n_splits=10)
    assert abs(float(whole["reliability"])) < 0.06


def test_pure_noise_is_refused(rng: np.random.Generator) -> None:
    with pytest.warns(NeuroalignWarning, match=r"got \d+%. alpha is not defined"):
        found = cross_validate_spectrum(rng.normal(size=(2, 150, 60)), ranks=(12, 50))
    assert np.isnan(found["alpha"])
    assert np.isnan(found["alpha_sd"])
    assert abs(float(found["reliability"])) < 0.1


def test_faults_are_named(rng: np.random.Generator) -> None:
    cube = repeat(rng, 0.3, n=30, units=10)
    data = label(cube)
    with pytest.raises(ValueError, match="ranks: expected the last of at most 10"):
        cross_validate_spectrum(cube)
    with pytest.raises(SchemaError, match=r"expected \(repeat, stimulus, neuroid\)"):
        cross_validate_spectrum(cube[0])
    with pytest.raises(SchemaError, match="with coords 'stimulus', 'session'"):
        cross_validate_spectrum(data, fold="session")
    with pytest.raises(SchemaError, match="expected repeats of each stimulus"):
        cross_validate_spectrum(data[:30], ranks=(1, 5))
    with pytest.raises(SchemaError, match="expected two values of 'run'"):
        cross_validate_spectrum(data[:30], fold="run", ranks=(1, 5))
    with pytest.raises(SchemaError, match="expected finite values"):
        cross_validate_spectrum(cube * np.nan, ranks=(1, 5))
    with pytest.raises(SchemaError, match="expected 3 stimuli or more in both halves"):
        cross_validate_spectrum(cube[:, :2], ranks=(1, 2))
    with pytest.raises(ValueError, match="n_splits: expected 1 or more"):
        cross_validate_spectrum(cube, n_splits=0)


def test_haxby_categories_repeat_in_a_few_directions(haxby_blocks: xr.DataArray) -> None:
    found = cross_validate_spectrum(haxby_blocks, fold="run", ranks=(1, 7), n_splits=10)
    spectrum, plain = found["spectrum"].values, found["plain_spectrum"].values
    assert (spectrum > 0).all()
    assert (spectrum < plain).all()
    assert 0.25 < float(found["reliability"]) < 0.5
    # Noise flattens: what repeats falls faster than what is measured.
    assert float(found["alpha"]) > float(found["plain_alpha"]) + 0.1


def test_stimuli_without_differences_are_named() -> None:
    with pytest.raises(SchemaError, match="responses: expected stimuli that differ, got equal"):
        cross_validate_spectrum(np.ones((2, 200, 120)))
