"""The lag of events is found where it was planted, and on a real recording."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroalign.align import (
    convolve_hrf,
    delay_features,
    estimate_lag,
    events_to_features,
    resample,
)
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, NeuroalignWarning
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import from_arrays, load_events, load_fmri
from neuroalign.schema import check


def simulate(
    planted: float, snr: float, rng: np.random.Generator
) -> tuple[xr.DataArray, xr.DataArray]:
    """Events of four runs, and 30 voxels of which 10 answer them after the lag."""
    n, runs = 100, 4
    tables = [
        pd.DataFrame(
            {
                "onset": np.arange(10) * 18.0 + rng.uniform(0, 4, 10) + 6,
                "duration": 6.0,
                "stimulus": rng.permutation(list("abcde") * 2),
            }
        )
        for _ in range(runs)
    ]
    events = events_to_features(tables)
    responses = from_arrays(
        np.zeros((n * runs, 30), np.float32),
        run=np.repeat([f"run-{r + 1:02d}" for r in range(runs)], n),
        onset=np.tile(np.arange(n) * 2.0, runs),
        modality="fmri",
    )
    course = convolve_hrf(events, responses, lag=planted).values
    weights = rng.normal(size=(5, 30)) * (np.arange(30) < 10)
    noise = rng.normal(size=(n * runs, 30)) * 0.3
    return events, responses.copy(data=snr * course @ weights + noise)


@pytest.mark.parametrize("planted", [-4.0, 0.0, 6.0])
def test_the_planted_lag_comes_back(planted: float, rng: np.random.Generator) -> None:
    events, responses = simulate(planted, 1.0, rng)
    curve = estimate_lag(events, responses, n_best=5)
    assert curve.attrs["lag"] == planted
    check(curve)
    np.testing.assert_array_equal(curve["fold_lag"], planted)
    assert curve["lag"].values.tolist() == np.arange(-10, 11, 2.0).tolist()


def test_a_lag_at_the_end_of_those_tried_is_a_warning(rng: np.random.Generator) -> None:
    events, responses = simulate(6.0, 1.0, rng)
    with pytest.warns(NeuroalignWarning, match="between -4 and 4 s, got 4 s at the end"):
        estimate_lag(events, responses, lags=[-4, -2, 0, 2, 4], n_best=5)
    assert estimate_lag(events, responses, lags=[6], n_best=5).attrs["lag"] == 6.0


def test_runs_that_disagree_on_the_lag_are_a_warning(rng: np.random.Generator) -> None:
    events, responses = simulate(0.0, 0.0, rng)
    with pytest.warns(NeuroalignWarning, match="expected runs to agree on the lag, got -6 to 10 s"):
        estimate_lag(events, responses, n_best=10)


def test_faults_are_named() -> None:
    table = pd.DataFrame({"onset": [0.0], "duration": [2.0], "stimulus": ["a"]})
    responses = from_arrays(
        np.zeros((5, 1), np.float32), run=["run-01"] * 5, onset=np.arange(5) * 2.0, modality="fmri"
    )
    with pytest.raises(AlignError, match="expected two or more runs to hold one out, got 1"):
        estimate_lag(events_to_features(table), responses)


def best_on_training_runs(
    features: xr.DataArray, responses: xr.DataArray, n_best: int = 50
) -> float:
    """Score held-out runs on the voxels that cross-validation inside the other runs ranks first."""
    options = {"group": "run", "allow_shared_stimuli": True, "ceiling": None}
    outer = cross_validate(Ridge(), features, responses, **options)
    scores = []
    for run in outer["fold"].values:
        train = responses["run"].values != run
        inner = cross_validate(Ridge(), features[train], responses[train], **options)
        best = np.argsort(inner["mean_score"].values)[-n_best:]
        scores.append(float(outer["score"].sel(fold=run)[best].mean()))
    return float(np.mean(scores))


@pytest.mark.slow
def test_haxby_needs_its_lag(real_data: Path) -> None:
    folder = real_data / "haxby2001_pymvpa"
    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    responses = load_fmri(
        [run / "bold_1slice.nii.gz" for run in runs],
        mask=folder / "mask.nii.gz",
        events=[run / "bold_events.tsv" for run in runs],
        detrend=True,
        standardize="zscore",
    ).compute()
    events = events_to_features([load_events(run / "bold_events.tsv") for run in runs])

    training = responses[responses["run"].values != "run-12"]
    lag = estimate_lag(events, training).attrs["lag"]
    assert lag == pytest.approx(-5, abs=2.5)

    shifted = best_on_training_runs(convolve_hrf(events, responses, lag=lag), responses)
    unshifted = best_on_training_runs(convolve_hrf(events, responses), responses)
    assert shifted >= 0.55
    assert unshifted <= 0.40
    learnt = delay_features(resample(events, responses), [0, 1, 2, 3, 4])
    assert best_on_training_runs(learnt, responses) >= shifted - 0.03
