"""Numbers that cannot be fitted or tested: refused by name, or scored as not known."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.exceptions import NotFittedError

from neuroalign import evaluate
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, LeakageError, NeuroalignWarning, SchemaError
from tests.trust.makers import make_features, make_responses
from tests.trust.messages import Bad, assert_message, check_refused


def put(array: xr.DataArray, value: float) -> xr.DataArray:
    """Put one number into a copy: row 5, column 1."""
    spoilt = array.copy(deep=True)
    spoilt[5, 1] = value
    return spoilt


def score(features: xr.DataArray, responses: xr.DataArray, **options: Any) -> xr.Dataset:
    """Cross-validate by run without a ceiling."""
    encoder = options.pop("encoder", Ridge(alphas=1.0))
    return evaluate.cross_validate(
        encoder, features, responses, **{"group": "run", "ceiling": None, **options}
    )


def predict_renamed(_: Path) -> Any:
    features = make_features().assign_coords(feature=["a", "b", "c", "d"])
    encoder = Ridge().fit(features, make_responses())
    return encoder.predict(features.assign_coords(feature=["a", "b", "d", "c"]))


def fit_repeats_apart(_: Path) -> Any:
    names = [f"stim-{k // 2:02d}" for k in range(24)]
    features = make_features(24, stimuli=names)
    return score(features, make_responses(24, stimuli=names, n_runs=2))


BAD: dict[str, Bad] = {
    "rows that are not as many": Bad(
        lambda _: score(make_features(20), make_responses(24)),
        AlignError,
        "features",
        "expected 24 samples as in responses, got 20",
        r"align\.match",
    ),
    "a feature that is NaN": Bad(
        lambda _: score(put(make_features(), np.nan), make_responses()),
        ValueError,
        "features",
        "got 1 NaN or infinite in 1 samples .*row 5",
        "Drop or mask",
    ),
    "a response that is infinite": Bad(
        lambda _: score(make_features(), put(make_responses(), np.inf)),
        ValueError,
        "responses",
        "got 1 NaN or infinite in 1 samples .*row 5",
        "Drop or mask",
    ),
    "a feature that is NaN, fitted": Bad(
        lambda _: Ridge().fit(put(make_features(), np.nan), make_responses()),
        ValueError,
        "X",
        "got NaN in 1 rows .*first: 5",
        "Drop or fill",
    ),
    "a response that is NaN, fitted": Bad(
        lambda _: Ridge().fit(make_features(), put(make_responses(), np.nan)),
        ValueError,
        "y",
        "got NaN in 1 rows .*first: 5",
        "Drop or fill",
    ),
    "one run to split by run": Bad(
        lambda _: score(make_features(), make_responses(n_runs=1)),
        ValueError,
        "group",
        "different 'run' .* got 'run-0'",
        "Load more, use group=None",
    ),
    "fewer rows than folds ask for": Bad(
        lambda _: score(make_features(1), make_responses(1), group=None, n_splits=5),
        ValueError,
        "n_splits",
        "got 1",
        r"\w",
    ),
    "one stimulus in train and test": Bad(
        fit_repeats_apart, LeakageError, "folds", "stim-0", "group"
    ),
    "a penalty below 0": Bad(
        lambda _: Ridge(alphas=-1.0).fit(make_features(), make_responses()),
        ValueError,
        "alphas",
        "got -1",
        "logspace",
    ),
    "other features than in training": Bad(
        predict_renamed, AlignError, "X", "'d' against 'c' in column 2", "order of training"
    ),
    "features of another recording": Bad(
        lambda _: score(make_features().transpose("feature", "sample"), make_responses()),
        SchemaError,
        "features",
        r"got \('feature', 'sample'\)",
        r"\w",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_fitted_is_refused(name: str, tmp_path: Path) -> None:
    check_refused(BAD[name], tmp_path)


def test_a_constant_response_scores_nan_and_is_counted() -> None:
    responses = make_responses()
    responses[:, 1] = 3.0
    result = score(make_features(), responses)
    assert np.isnan(result["mean_score"].values).tolist() == [False, True, False]
    assert result.attrs["n_constant"] == 1


def test_a_constant_feature_changes_nothing() -> None:
    features, responses = make_features(), make_responses()
    still = features.copy(deep=True)
    still[:, 0] = 5.0
    result = score(still, responses)
    expected = score(features.isel(feature=slice(1, None)), responses)
    # The penalty is relative to the number of features, so only finite scores are promised.
    assert np.isfinite(result["mean_score"].values).all()
    assert result["mean_score"].shape == expected["mean_score"].shape


def test_a_grid_that_is_too_short_for_many_is_told() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    Y = X @ rng.normal(size=(5, 8))
    with pytest.warns(NeuroalignWarning, match="got the smallest for .* Extend the grid"):
        Ridge(alphas=[1e3, 1e4]).fit(X, Y)


def test_prediction_before_the_fit_is_refused() -> None:
    with pytest.raises(NotFittedError, match="Ridge"):
        Ridge().predict(make_features())


def test_another_number_of_features_is_refused() -> None:
    encoder = Ridge().fit(make_features(), make_responses())
    with pytest.raises(ValueError, match="3 features, but Ridge is expecting 4"):
        encoder.predict(make_features(24, 3))


def test_a_processor_that_is_not_here_is_named_with_those_that_are() -> None:
    device = pytest.importorskip("neuroalign._device")
    absent = "cuda:63"
    with pytest.raises(ValueError, match="device") as caught:
        device.resolve_device(absent)
    assert_message(
        caught.value, names="device", found="expected one of 'auto', 'cpu'", advice="got 'cuda:63'"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert device.resolve_device("auto").type in ("cpu", "cuda", "mps")
