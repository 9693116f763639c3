"""Shapes of time, and causal convolution with them."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.align import convolve_basis, make_basis
from neuroalign.align.temporal_bases import BASES
from neuroalign.errors import AlignError


@pytest.mark.parametrize("kind", BASES)
def test_every_basis_is_finite_and_of_full_rank(kind: str) -> None:
    basis = make_basis(kind, 5, window=0.05, step=0.001)
    assert basis.shape == (50, 5)
    assert np.linalg.matrix_rank(basis.values) == 5
    np.testing.assert_allclose(basis["lag"][[0, -1]], [0.0, 0.049])


@pytest.mark.parametrize("kind", ["raised_cosine_log", "raised_cosine_linear"])
def test_raised_cosines_peak_at_one_and_add_up_to_two_in_between(kind: str) -> None:
    basis = make_basis(kind, 6, window=400).values
    assert basis.max() <= 1.0
    peaks = basis.argmax(axis=0)
    assert (np.diff(peaks) > 0).all()
    np.testing.assert_allclose(basis.sum(axis=1)[peaks[1] + 1 : peaks[-2]], 2.0, atol=1e-12)
    np.testing.assert_allclose(basis[-1], 0.0, atol=1e-12)


def test_log_cosines_are_finer_near_the_spike() -> None:
    peaks = make_basis("raised_cosine_log", 6, window=400).values.argmax(axis=0)
    assert (np.diff(np.diff(peaks)) > 0).all()


def test_splines_add_up_to_one() -> None:
    np.testing.assert_allclose(make_basis("bspline", 7, window=40).values.sum(axis=1), 1.0)


def test_laguerre_functions_are_orthonormal() -> None:
    basis = make_basis("laguerre", 4, window=400, shape=0.5).values
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-10)
    assert np.abs(make_basis("laguerre", 4, window=100).values[-1]).max() < 1e-2


def test_fir_of_one_shape_a_lag_is_the_identity() -> None:
    np.testing.assert_array_equal(make_basis("fir", window=6), np.eye(6))


@pytest.mark.parametrize("past", [False, True])
def test_convolution_equals_a_plain_loop(past: bool, rng: np.random.Generator) -> None:
    signal, basis = rng.normal(size=(30, 2)), rng.normal(size=(5, 3))
    found = convolve_basis(signal, basis, strictly_past=past)
    for n in (0, 3, 17):
        for channel in range(2):
            expected = sum(
                basis[lag] * signal[n - lag - past, channel]
                for lag in range(5)
                if n - lag - past >= 0
            )
            own = found[n, channel * 3 : channel * 3 + 3]
            np.testing.assert_allclose(own, np.zeros(3) + expected, atol=1e-12)


def test_nothing_crosses_from_run_to_run(rng: np.random.Generator) -> None:
    signal, basis = rng.normal(size=40), make_basis("fir", window=4)
    run = np.repeat(["a", "b"], 20)
    found = convolve_basis(signal, basis, run=run)
    np.testing.assert_array_equal(found[20:], convolve_basis(signal[20:], basis))
    unknown = convolve_basis(signal, basis, run=run, edge="nan")
    assert np.isnan(unknown[[0, 2, 20, 22]]).all()
    assert np.isfinite(unknown[[3, 19, 23]]).all()


def test_trials_are_convolved_along_their_time(rng: np.random.Generator) -> None:
    trials = xr.DataArray(
        rng.normal(size=(3, 2, 25)), dims=("sample", "neuroid", "time"),
        coords={"neuroid": ["a", "b"], "time": np.arange(25.0)},
    )  # fmt: skip
    basis = make_basis("raised_cosine_log", 3, window=8)
    found = convolve_basis(trials, basis, strictly_past=True)
    assert found.dims == ("sample", "feature", "time")
    assert found["channel"].values.tolist() == ["a"] * 3 + ["b"] * 3
    alone = convolve_basis(trials.values[1].T, basis, strictly_past=True)
    np.testing.assert_allclose(found.values[1].T, alone, atol=1e-12)


def test_strictly_past_never_sees_its_own_bin() -> None:
    spike = np.zeros(10)
    spike[4] = 1.0
    found = convolve_basis(spike, make_basis("fir", window=3), strictly_past=True)
    assert not found[:5].any()
    np.testing.assert_array_equal(found[5:8], np.eye(3))


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="kind: expected one of 'raised_cosine_log'"):
        make_basis("raised_cosine_logs", 3)
    with pytest.raises(ValueError, match="window: expected at least one step of 1, got 0"):
        make_basis("fir", window=0)
    with pytest.raises(ValueError, match="n_basis: expected 1 to 5 shapes"):
        make_basis("fir", 9, window=5)
    with pytest.raises(ValueError, match="n_basis: expected more than the degree"):
        make_basis("bspline", 3, window=20)
    with pytest.raises(ValueError, match="shape: expected an offset above 0"):
        make_basis("raised_cosine_log", 3, shape=0.0)
    with pytest.raises(ValueError, match="shape: expected a decay between 0 and 1"):
        make_basis("laguerre", 3, shape=2.0)
    with pytest.raises(ValueError, match="edge: expected one of 'zero', 'nan'"):
        convolve_basis([1.0], [[1.0]], edge="wrap")
    with pytest.raises(ValueError, match="signal: expected"):
        convolve_basis([1.0], [1.0])
    with pytest.raises(ValueError, match="run: expected one for each of 2 samples"):
        convolve_basis([1.0, 2.0], [[1.0]], run=["a"])


def test_missing_or_repeated_bins_are_refused() -> None:
    coords = {"run": ("sample", ["a"] * 4), "onset": ("sample", [0.0, 1.0, 2.0, 4.0])}
    signal = xr.DataArray(np.ones(4), dims="sample", coords=coords)
    with pytest.raises(AlignError, match="every 1 s, got a step of 2 s in run 'a' after row 2"):
        convolve_basis(signal, [[1.0]])
    with pytest.raises(AlignError, match="got a step of 0 s in run 'a' after row 1"):
        convolve_basis(signal[[0, 1, 1, 2]], [[1.0]])


def test_the_order_of_bins_does_not_matter(rng: np.random.Generator) -> None:
    coords = {"run": ("sample", list("aaaabbbb")), "onset": ("sample", np.tile(np.arange(4.0), 2))}
    signal = xr.DataArray(rng.normal(size=8), dims="sample", coords=coords)
    order, basis = rng.permutation(8), make_basis("fir", window=3)
    expected = convolve_basis(signal, basis)[order]
    np.testing.assert_array_equal(convolve_basis(signal[order], basis), expected)
