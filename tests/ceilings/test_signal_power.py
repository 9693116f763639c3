"""Signal power and the normalised correlation equal their definitions, and find the truth."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from neuroalign.ceilings import normalized_correlation, signal_power
from neuroalign.errors import AlignError
from neuroalign.loaders import from_arrays

Make = Callable[..., xr.DataArray]


def predict(responses: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    names = list(dict.fromkeys(responses["stimulus"].values.tolist()))
    array = from_arrays(values, stimulus=names, modality="model")
    return array.assign_coords(neuroid=responses["neuroid"])


def test_signal_power_equals_the_definition(repeated: Make) -> None:
    responses = repeated(60)
    table = responses.values.reshape(60, 4, 5).astype(float)
    power = (table.sum(axis=1).var(axis=0, ddof=1) - table.var(axis=0, ddof=1).sum(axis=0)) / 12
    result = signal_power(responses, n_bootstrap=200)
    np.testing.assert_allclose(result["signal_power"], power)
    ceiling = power / table.mean(axis=1).var(axis=0, ddof=1)
    np.testing.assert_allclose(result["ceiling"], np.clip(ceiling, 0, 1))
    assert (result["signal_power_se"] > 0).all()


def test_normalised_correlation_equals_the_definition(
    repeated: Make, rng: np.random.Generator
) -> None:
    responses = repeated(60)
    mean = responses.values.reshape(60, 4, 5).mean(axis=1)
    guess = mean + rng.normal(size=mean.shape)
    result = normalized_correlation(responses, predict(responses, guess), min_signal=0)
    power = signal_power(responses, n_bootstrap=0)["signal_power"].values
    for n in range(5):
        cov = np.cov(guess[:, n], mean[:, n])
        if power[n] > 0:
            expected = cov[0, 1] / np.sqrt(cov[0, 0] * power[n])
            assert float(result["cc_norm"][n]) == pytest.approx(expected)
        assert float(result["cc_abs"][n]) == pytest.approx(
            cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
        )
    np.testing.assert_allclose(
        result["cc_norm"][:3] * result["cc_max"][:3], result["cc_abs"][:3], rtol=1e-6
    )


def test_the_correlation_with_the_signal_comes_back_and_noise_is_declared(
    rng: np.random.Generator,
) -> None:
    # The model shares half of the variance of the signal: its correlation is sqrt(1/2).
    signal = rng.normal(size=(400, 6))
    repeats = signal[:, None] + np.array([0.5, 1, 1.5, 2, 2.5, 0]) * rng.normal(size=(400, 5, 6))
    repeats[..., 5] = rng.normal(size=(400, 5))
    responses = from_arrays(
        repeats.reshape(2000, 6),
        stimulus=np.repeat([f"s{i}" for i in range(400)], 5),
        modality="spikes",
    )
    guess = predict(responses, signal + rng.normal(size=signal.shape))
    result = normalized_correlation(responses, guess[rng.permutation(400)], min_signal=4)
    np.testing.assert_allclose(result["cc_norm"][:5], np.sqrt(0.5), atol=0.15)
    assert (result["lower"][:5] <= np.sqrt(0.5)).all()
    assert (result["upper"][:5] >= np.sqrt(0.5)).all()
    assert np.isnan(result["cc_norm"][5])
    assert result.attrs["n_unreliable"] == 1
    assert (result["cc_abs"][:5] < result["cc_norm"][:5]).all()


def test_faults_are_named(repeated: Make) -> None:
    responses = repeated(10)
    guess = predict(responses, np.zeros((10, 5)))
    with pytest.raises(AlignError, match=r"missing 1 \('s9'\)"):
        normalized_correlation(responses, guess[:9])
    with pytest.raises(AlignError, match="each 'stimulus' once"):
        normalized_correlation(responses, xr.concat([guess, guess], "sample"))
    with pytest.raises(AlignError, match="expected the neuroids of responses"):
        normalized_correlation(responses, guess[:, ::-1])
