"""Phases are read from curves as by eye, and curves from activations."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import SchemaError
from neuroalign.geometry import effective_rank, label_phases, trace_spectra

CURVE = [50, 40, 30, 60, 90, 120, 100, 80]


def test_turning_points_end_their_phase() -> None:
    found = label_phases(range(8), CURVE, window=1)
    names = ["warmup"] * 3 + ["entropy-seeking"] * 3 + ["compression-seeking"] * 2
    assert found["phase"].values.tolist() == names
    assert found["first"].values.tolist() == [0, 2, 5]
    assert found["last"].values.tolist() == [2, 5, 7]
    np.testing.assert_allclose(found["change"], [-0.4, 3.0, -1 / 3])
    assert np.isnan(found["z"]).all()
    assert np.isnan(found["opposed"]).all()


def test_a_flat_curve_has_no_phase() -> None:
    found = label_phases(range(6), [50, 50.1, 50, 49.9, 50, 50.1])
    assert set(found["phase"].values.tolist()) == {""}
    assert found.sizes["segment"] == 0


def test_a_rise_from_the_start_has_no_warmup() -> None:
    found = label_phases(range(4), [10, 20, 30, 40], window=1)
    assert found["name"].values.tolist() == ["entropy-seeking"]


def test_scale_changes_no_label() -> None:
    one, other = (label_phases(range(8), np.array(CURVE) * k)["phase"] for k in (1, 0.01))
    np.testing.assert_array_equal(one, other)


def test_turns_within_their_error_are_none() -> None:
    curve = [50, 60, 70, 66, 80, 90]
    sharp = label_phases(range(6), curve, window=1)
    blurred = label_phases(range(6), curve, window=1, error=[3.0] * 6)
    assert sharp.sizes["segment"] == 3
    assert blurred["name"].values.tolist() == ["entropy-seeking"]
    np.testing.assert_allclose(blurred["z"], 40 / np.hypot(3, 3))


def test_alpha_that_moves_along_is_told() -> None:
    found = label_phases(range(8), CURVE, window=1, alpha=[1, 2, 3, 2, 1, 0, -1, -2])
    assert found["opposed"].values.tolist() == [1, 1, 0]
    np.testing.assert_allclose(found["alpha_change"], [2, -3, -2])


def test_spectra_are_those_of_each_checkpoint(rng: np.random.Generator, tmp_path: Path) -> None:
    X = {step: rng.normal(size=(60, 8)) * np.arange(1, 9) ** -(step / 9) for step in (9, 0, 3)}
    found = trace_spectra(X, ranks=(1, 6))
    assert found["step"].values.tolist() == [0, 3, 9]
    expected = [effective_rank(X[step]) for step in (0, 3, 9)]
    np.testing.assert_allclose(found["rankme"], expected)
    assert (found["rankme_error"] > 0).all()
    assert np.isnan(trace_spectra(X)["alpha"]).all()
    labels = label_phases(found["step"], found["rankme"], window=1)
    for number, one in enumerate((found, labels)):
        schema.check(one)
        again = storage.load(storage.save(one, tmp_path / f"{number}.nc")).compute()
        xr.testing.assert_identical(again, one)


def test_wrong_curves_are_named(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="rank: expected one number a step, 3 or more"):
        label_phases([0, 1], [1, 2])
    with pytest.raises(ValueError, match="steps: expected rising steps and ranks above 0"):
        label_phases([0, 2, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="window: expected an odd number from 1, got 2"):
        label_phases(range(8), CURVE, window=2)
    with pytest.raises(ValueError, match="error: expected 8 finite numbers, one a step"):
        label_phases(range(8), CURVE, error=[1, 2])
    X = rng.normal(size=(20, 4))
    with pytest.raises(ValueError, match="checkpoints: expected at least one, got none"):
        trace_spectra({})
    with pytest.raises(SchemaError, match="checkpoints: expected the same samples in each"):
        trace_spectra({0: X, 1: X[:9]})
    with pytest.raises(ValueError, match="n_blocks: expected 2 to 10 blocks, got 1"):
        trace_spectra({0: X}, n_blocks=1)
