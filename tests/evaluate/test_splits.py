"""Folds of time, gaps and repeats, as cross_validate uses them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.encoders import Ridge
from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.evaluate import cross_validate

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]


def test_shuffled_time_invents_scores_and_a_gap_does_not(
    rng: np.random.Generator, drifting: Study
) -> None:
    features, responses = drifting(rng)
    model = Ridge(50.0, alpha_scale="absolute")
    kinds: dict[str, dict[str, Any]] = {
        "shuffled": {"group": "mixed"},
        "contiguous": {"group": "time"},
        "purged": {"group": "time", "gap": 20.0},
    }
    usual: dict[str, Any] = {"n_splits": 5, "on": ("run", "onset"), "ceiling": None}
    with pytest.warns(NeuroalignWarning, match="folds: expected stretches of a time series"):
        found = {
            kind: float(
                cross_validate(model, features, responses, **usual, **options)["mean_score"].mean()
            )
            for kind, options in kinds.items()
        }
    assert found["shuffled"] > 0.8
    assert 0.02 < found["contiguous"] < 0.15
    assert abs(found["purged"]) < 0.025


def test_a_gap_is_in_seconds_between_onsets(rng: np.random.Generator, drifting: Study) -> None:
    features, responses = drifting(rng, n=60, p=3, t=2)
    options: dict[str, Any] = {"group": "time", "n_splits": 2, "ceiling": None}
    result = cross_validate(Ridge(1.0), features, responses, gap=6.0, **options)
    train = np.arange(33, 60)
    peer = Ridge(1.0).fit(features.values[train], responses.values[train])
    expected = np.corrcoef(peer.predict(features.values[:30])[:, 0], responses.values[:30, 0])[0, 1]
    assert float(result["score"][0, 0]) == pytest.approx(expected, rel=1e-6)
    assert result.attrs["gap"] == 6.0
    with pytest.raises(ValueError, match="gap: expected training rows farther than 60"):
        cross_validate(Ridge(1.0), features, responses, gap=60.0, **options)


def test_one_subject_is_left_out_at_a_time(rng: np.random.Generator, study: Study) -> None:
    names = np.repeat([f"p{i:02d}" for i in range(15)], 8)
    features, responses = study(rng, subject=("sample", names), run=("sample", names))
    result = cross_validate(Ridge(1.0), features, responses, group="subject", n_splits=15)
    assert result["fold"].values.tolist() == np.unique(names).tolist()


def test_repeated_splits_are_seeded_and_named(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    options: dict[str, Any] = {"group": None, "n_splits": 3, "n_repeats": 4, "ceiling": None}
    result = cross_validate(Ridge(1.0), features, responses, keep=("prediction",), **options)
    assert result.sizes["fold"] == 12
    assert result["fold"].values[3] == "repeat-1 fold-0"
    assert np.isfinite(result["prediction"]).all()
    assert "held_out_in" not in result.coords
    again = cross_validate(Ridge(1.0), features, responses, **options)
    other = cross_validate(Ridge(1.0), features, responses, seed=9, **options)
    np.testing.assert_array_equal(result["score"], again["score"])
    assert (result["score"] != other["score"]).any()


def test_repeats_that_would_change_nothing_are_refused(
    rng: np.random.Generator, study: Study, drifting: Study
) -> None:
    features, responses = study(rng)
    with pytest.raises(ValueError, match="n_repeats: expected 1 .*each of 4 'run' is held out"):
        cross_validate(Ridge(1.0), features, responses, n_repeats=2)
    with pytest.raises(ValueError, match="n_repeats: expected 1 .*stretches of time"):
        cross_validate(Ridge(1.0), features, responses, n_repeats=2, group="time")
    with pytest.raises(ValueError, match="n_repeats: expected 1 .*neighbours in time"):
        cross_validate(Ridge(1.0), *drifting(rng, n=50, p=2, t=2), group=None, n_repeats=2)
    with pytest.raises(ValueError, match="n_repeats: expected a whole number >= 1, got 0"):
        cross_validate(Ridge(1.0), features, responses, n_repeats=0)


def test_repeated_splits_are_tested_too(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng, t=40, signal=0.0)
    options: dict[str, Any] = {"group": "run", "n_splits": 2, "n_repeats": 2}
    result = cross_validate(Ridge(1.0), features, responses, n_permutations=39, **options)
    assert 0.35 < float(result["p_value"].mean()) < 0.65
    with pytest.raises(ValueError, match="refit: expected True with repeated splits"):
        cross_validate(Ridge(1.0), features, responses, n_permutations=9, refit=False, **options)


def test_more_splits_than_runs_are_refused(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    with pytest.raises(ValueError, match=r"n_splits: expected at most 4, .*'run' \('r0', .*got 9"):
        cross_validate(Ridge(1.0), features, responses, n_splits=9)
    assert cross_validate(Ridge(1.0), features, responses, n_splits=4).sizes["fold"] == 4


def test_decoding_is_told_how_to_name_its_sides(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    with pytest.raises(SchemaError, match="To decode, make features of the recording by"):
        cross_validate(Ridge(1.0), responses, features)
