"""Designs with a free shape against nilearn, and shapes that come back."""

import numpy as np
import pytest
import xarray as xr
from nilearn.glm.first_level import compute_regressor
from nilearn.glm.first_level.hemodynamic_models import orthogonalize

from neuroalign._hrf import HRFS, weigh_events
from neuroalign.align import convolve_hrf, design_fir, design_hrf
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError
from neuroalign.loaders import features_from_arrays, from_arrays

TR = 2.0
ONSET = np.array([3.3, 21.0, 40.5, 77.7])
DURATION = np.array([5.0, 12.0, 1.0, 3.0])
HEIGHT = np.array([1.0, 2.0, -1.0, 0.5])


def make_events(
    values: np.ndarray = HEIGHT[:, None], onset: np.ndarray = ONSET, duration: np.ndarray = DURATION
) -> xr.DataArray:
    return features_from_arrays(
        values, run=["run-01"] * len(values), onset=onset, duration=duration, dtype="float64"
    )


def make_volumes(n: int = 60) -> xr.DataArray:
    return from_arrays(
        np.zeros((n, 1)), modality="fmri", run=["run-01"] * n, onset=np.arange(n) * TR,
        duration=[TR] * n,
    )  # fmt: skip


@pytest.mark.parametrize("hrf", ["glover", "spm"])
def test_basis_equals_nilearn_once_it_is_made_orthogonal(hrf: str) -> None:
    ours = design_hrf(make_events(), make_volumes(), hrf=hrf)
    peer, names = compute_regressor(
        (ONSET, DURATION, HEIGHT), f"{hrf} + derivative + dispersion", np.arange(60) * TR,
        oversampling=200,
    )  # fmt: skip
    assert len(names) == 3
    found = orthogonalize(ours.values.copy())
    for column in range(3):
        assert np.corrcoef(found[:, column], peer[:, column])[0, 1] > 0.999
        size = np.abs(peer[:, column]).max()
        np.testing.assert_allclose(found[:, column], peer[:, column], atol=0.03 * size)


def test_the_canonical_column_is_convolve_hrf() -> None:
    events, volumes = make_events(np.eye(4)[:, :2]), make_volumes()
    ours = design_hrf(events, volumes, lag=0.5)
    np.testing.assert_array_equal(ours.values[:, :2], convolve_hrf(events, volumes, lag=0.5))
    assert ours["basis"].values.tolist() == ["canonical"] * 2 + ["time"] * 2 + ["dispersion"] * 2
    assert ours.attrs["hrf"] == "glover"
    assert "design_hrf: glover canonical + time + dispersion" in ours.attrs["history"]


def test_a_late_response_takes_a_negative_weight_of_the_derivative() -> None:
    events, volumes = make_events(), make_volumes()
    late = weigh_events(np.arange(60) * TR, ONSET + 0.6, DURATION, HRFS["glover"]) @ HEIGHT
    design = design_hrf(events, volumes, ("canonical", "time")).values
    weights = np.linalg.lstsq(design, late, rcond=None)[0]
    np.testing.assert_allclose(weights, [1.0, -0.6], atol=0.06)


def test_fir_equals_nilearn() -> None:
    delays = np.arange(6)
    ours = design_fir(make_events(), make_volumes(), delays * TR)
    peer, _ = compute_regressor(
        (ONSET, DURATION, HEIGHT), "fir", np.arange(60) * TR, fir_delays=delays, oversampling=200
    )
    np.testing.assert_allclose(ours.values, peer, atol=0.02)
    assert ours["delay"].values.tolist() == (delays * TR).tolist()


def test_fir_gives_back_a_planted_shape(rng: np.random.Generator) -> None:
    onset = np.cumsum(rng.integers(2, 7, size=60) * TR)
    events = make_events(np.ones((60, 1)), onset, np.full(60, TR))
    design = design_fir(events, make_volumes(320), np.arange(8) * TR)
    planted = np.array([0.0, 0.5, 1.0, 0.8, 0.3, -0.1, -0.2, 0.0])
    response = design.values @ planted + 0.1 * rng.normal(size=320)
    weights = Ridge().fit(design, response[:, None]).weights_
    np.testing.assert_allclose(weights.values[:, 0], planted, atol=0.1)


def test_nothing_crosses_from_run_to_run() -> None:
    events = make_events(onset=np.array([3.3, 21.0, 2.0, 5.0]))
    events = events.assign_coords(run=("sample", ["run-01", "run-01", "run-02", "run-02"]))
    volumes = make_volumes().assign_coords(
        run=("sample", np.repeat(["run-01", "run-02"], 30)),
        onset=("sample", np.tile(np.arange(30) * TR, 2)),
    )
    loud = events * np.array([1e6, 1e6, 1.0, 1.0])[:, None]
    loud.attrs = events.attrs
    for make in (design_hrf, lambda x, y: design_fir(x, y, [0.0, 2.0])):
        np.testing.assert_array_equal(make(loud, volumes)[30:], make(events, volumes)[30:])


def test_faults_are_named() -> None:
    events, volumes = make_events(), make_volumes()
    with pytest.raises(ValueError, match="basis: expected one of 'canonical', 'time'"):
        design_hrf(events, volumes, ["width"])
    with pytest.raises(ValueError, match="hrf: expected one of"):
        design_hrf(events, volumes, hrf="boynton")
    with pytest.raises(ValueError, match="basis: expected a sequence, each once, got 'time'"):
        design_hrf(events, volumes, "time")
    with pytest.raises(ValueError, match="delays: expected a sequence, each once"):
        design_fir(events, volumes, [1.0, 1.0])
    with pytest.raises(ValueError, match="delays: expected numbers of seconds"):
        design_fir(events, volumes, [np.nan])
    with pytest.raises(AlignError, match="expected coord 'duration'"):
        design_fir(events, volumes.drop_vars("duration"), [0.0])
