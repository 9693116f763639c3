"""p values of cross-validation are uniform without signal, with refits and without."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter
from scipy.stats import chisquare

from neuroalign.encoders import Ridge
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import from_arrays

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]
B = 19


def _test_uniform(p_value: np.ndarray) -> float:
    """Chi-square over the B + 1 levels that p can take."""
    levels = np.rint(p_value.ravel() * (B + 1)).astype(int)
    return float(chisquare(np.bincount(levels, minlength=B + 2)[1:]).pvalue)


@pytest.mark.slow
@pytest.mark.parametrize("refit", [True, False])
def test_p_values_are_uniform_over_their_levels(
    refit: bool, rng: np.random.Generator, study: Study
) -> None:
    found = []
    for seed in range(8):
        features, responses = study(rng, n=200, p=10, t=300, runs=5, signal=0.0)
        options: dict[str, Any] = {"refit": refit, "seed": seed, "n_permutations": B}
        result = cross_validate(Ridge(1.0), features, responses, ceiling=None, **options)
        found.append(result["p_value"].values)
    assert _test_uniform(np.array(found)) > 0.001
    assert 0.035 < (np.array(found) <= 0.05).mean() < 0.065


@pytest.mark.slow
@pytest.mark.parametrize("refit", [True, False])
def test_shifted_time_series_are_uniform_too(refit: bool, rng: np.random.Generator) -> None:
    found = []
    for seed in range(6):
        series = lfilter([1], [1, -0.9], rng.normal(size=(300, 4, 310)), axis=0)[200:]
        values = series.transpose(1, 0, 2).reshape(400, 310)
        run, onset = np.repeat(list("abcd"), 100), np.tile(np.arange(100.0), 4)
        coords = {"run": ("sample", run), "onset": ("sample", onset)}
        features = xr.DataArray(values[:, :10], dims=("sample", "feature"), coords=coords)
        names = {"neuroid": [f"v{i}" for i in range(300)]}
        responses = xr.DataArray(values[:, 10:], dims=("sample", "neuroid"), coords=coords | names)
        result = cross_validate(
            Ridge(1.0), features, responses, n_permutations=B, refit=refit, seed=seed, ceiling=None
        )
        found.append(result["p_value"].values)
    assert _test_uniform(np.array(found)) > 0.001


def test_signal_is_found_without_refits(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng, t=8, signal=2.0)
    responses[:, 4:] = rng.normal(size=(120, 4))
    responses[:, 7] = 1.0
    result = cross_validate(Ridge(), features, responses, n_permutations=199, refit=False)
    assert (result["p_value"][:4] == 1 / 200).all()
    assert (result["p_fwer"][:4] <= 0.05).all()
    assert (result["p_fwer"][4:7] > 0.05).all()
    assert (result["p_fwer"][:7] >= result["p_value"][:7]).all()
    assert np.isnan(result["p_value"][7])
    assert result.attrs["permutation_refit"] == 0


def test_a_single_held_out_fold_is_a_plain_permutation_test(
    rng: np.random.Generator, study: Study
) -> None:
    features, responses = study(rng, n=60, t=3, runs=2, signal=0.4)
    result = cross_validate(Ridge(1.0), features, responses, n_permutations=999, refit=False)
    model = Ridge(1.0).fit(features[:30], responses[:30])
    guess, held = np.asarray(model.predict(features[30:])), responses.values[30:]
    for target in range(3):
        r = np.corrcoef(guess[:, target], held[:, target])[0, 1]
        null = [
            np.corrcoef(guess[:, target], rng.permutation(held[:, target]))[0, 1]
            for _ in range(2000)
        ]
        expected = (1 + np.sum(np.array(null) >= r)) / 2001
        assert float(result["p_value"][target]) == pytest.approx(expected, abs=0.06)


def test_trials_at_a_steady_pace_keep_their_repeats_together() -> None:
    rng = np.random.default_rng(3)
    shown = np.concatenate([rng.permutation(24) for _ in range(4)])
    signal = rng.normal(size=(24, 120))
    responses = from_arrays(
        signal[shown] + rng.normal(size=(96, 120)),
        modality="spikes",
        stimulus=[f"s{n:02d}" for n in shown],
        run=np.repeat(["a", "b", "c", "d"], 24).tolist(),
        onset=np.tile(np.arange(24) * 2.0, 4),
    )
    noise = rng.normal(size=(24, 10))
    features = responses[:, :10].copy(data=noise[shown].astype("f4")).rename(neuroid="feature")
    features = features.drop_vars("feature").drop_attrs()
    options = {"group": None, "ceiling": None, "n_permutations": 60, "seed": 1}
    result = cross_validate(Ridge(10.0), features, responses, **options)
    assert result.attrs["permutation_scheme"] == "block"
    assert float((result["p_value"] <= 0.05).mean()) < 0.12
