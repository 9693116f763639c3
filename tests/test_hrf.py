"""The closed-form responses equal nilearn's on a fine grid, and brute-force integrals."""

import numpy as np
import pytest
from nilearn.glm.first_level import compute_regressor, glover_hrf, spm_hrf
from scipy.integrate import quad

from neuroalign._hrf import HRFS, impulse_response, step_response, weigh_events

PEERS = {"glover": glover_hrf, "spm": spm_hrf}


@pytest.mark.parametrize("name", HRFS)
def test_impulse_response_equals_nilearn(name: str) -> None:
    fine = PEERS[name](t_r=1.0, oversampling=1000, time_length=32.0)
    step = 1 / 1000
    times = np.linspace(0, 32, len(fine)) - step
    np.testing.assert_allclose(impulse_response(times, HRFS[name]), fine / step, atol=2e-4)


@pytest.mark.parametrize("name", HRFS)
def test_step_response_is_the_integral_of_the_impulse_response(name: str) -> None:
    for stop in (-1.0, 0.0, 2.5, 6.0, 11.0, 40.0):
        area = quad(lambda t: float(impulse_response(np.array(t), HRFS[name])), 0, max(stop, 0))[0]
        assert float(step_response(np.array(stop), HRFS[name])) == pytest.approx(area, abs=1e-8)
    assert float(step_response(np.array(100.0), HRFS[name])) == pytest.approx(1, abs=1e-9)


def test_boxcars_equal_nilearns_regressor() -> None:
    onset, duration, height = np.array([3.3, 21.0, 40.5]), np.array([5.0, 12.0, 1.0]), [1.0, 2, -1]
    times = np.arange(60) * 2.0
    expected = compute_regressor(
        (onset, duration, height), "glover", times, oversampling=400, min_onset=-20
    )[0][:, 0]
    ours = weigh_events(times, onset, duration, HRFS["glover"]) @ np.array(height)
    np.testing.assert_allclose(ours, expected, atol=0.01)
    assert np.corrcoef(ours, expected)[0, 1] > 0.9999


def test_short_events_converge_to_the_impulse() -> None:
    times = np.arange(20) * 1.5
    impulse = weigh_events(times, np.array([2.0]), np.array([0.0]), HRFS["glover"])
    short = weigh_events(times, np.array([2.0]), np.array([1e-4]), HRFS["glover"]) / 1e-4
    np.testing.assert_allclose(short, impulse, atol=1e-4)
