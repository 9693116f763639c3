"""What every encoder promises: scikit-learn's contract, and labels in, labels out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.utils import get_tags

from neuroalign import encoders
from neuroalign.errors import AlignError, SchemaError

ENCODERS = [
    thing for thing in map(encoders.__getattr__, encoders.__all__) if isinstance(thing, type)
]
# Name of the encoder -> {check: cause}; at most two each.
_NULL = "a null model, which explains nothing by its nature"
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "MeanResponse": {"check_regressors_train": _NULL},
    "PoissonGLM": {"check_regressor_multioutput": "its responses are below 0, counts are not"},
}


@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoder_keeps_the_scikit_learn_contract(
    encoder: Any, broken_checks: Callable[..., list[str]]
) -> None:
    assert broken_checks(encoder(), EXPECTED_FAILURES.get(encoder.__name__)) == []


def _pair(rng: np.random.Generator, encoder: Any) -> tuple[xr.DataArray, xr.DataArray]:
    stimuli = [f"image-{i}" for i in range(40)]
    X = rng.normal(size=(40, 4))
    Y = X @ rng.normal(size=(4, 3)) + rng.normal(size=(40, 3))
    if get_tags(encoder()).target_tags.positive_only:
        Y = np.abs(Y)
    features = xr.DataArray(X, dims=("sample", "feature"), coords={"stimulus": ("sample", stimuli)})
    responses = xr.DataArray(
        Y,
        dims=("sample", "neuroid"),
        coords={"stimulus": ("sample", stimuli), "neuroid": ["a", "b", "c"]},
    )
    return features, responses


@pytest.mark.parametrize("encoder", ENCODERS)
def test_labelled_arrays_give_labelled_predictions(encoder: Any, rng: np.random.Generator) -> None:
    features, responses = _pair(rng, encoder)
    predicted = encoder().fit(features, responses).predict(features[:7])
    assert predicted.dims == ("sample", "neuroid")
    assert predicted["neuroid"].values.tolist() == ["a", "b", "c"]
    assert predicted["stimulus"].values.tolist() == features["stimulus"].values[:7].tolist()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_labels_do_not_change_the_numbers(encoder: Any, rng: np.random.Generator) -> None:
    features, responses = _pair(rng, encoder)
    labelled = encoder().fit(features, responses).predict(features)
    bare = encoder().fit(features.values, responses.values).predict(features.values)
    np.testing.assert_array_equal(labelled.values, bare)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_fit_leaves_its_inputs_and_parameters_alone(encoder: Any, rng: np.random.Generator) -> None:
    features, responses = _pair(rng, encoder)
    before = features.copy(deep=True), responses.copy(deep=True)
    model = encoder()
    asked = clone(model).get_params()
    model.fit(features, responses)
    assert features.identical(before[0])
    assert responses.identical(before[1])
    assert str(model.get_params()) == str(asked)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_parts_of_the_targets_are_fitted_as_if_alone(
    encoder: Any, rng: np.random.Generator
) -> None:
    features, responses = _pair(rng, encoder)
    together = encoder().fit(features, responses).predict(features)
    alone = encoder().fit(features, responses[:, 1:2]).predict(features)
    np.testing.assert_allclose(together.values[:, 1:2], alone.values, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_rows_of_another_stimulus_are_refused(encoder: Any, rng: np.random.Generator) -> None:
    features, responses = _pair(rng, encoder)
    with pytest.raises(AlignError, match="'image-39' against 'image-0' in row 0"):
        encoder().fit(features, responses[::-1])
    model = encoder().fit(features, responses)
    with pytest.raises(AlignError, match="Run neuroalign.align.match first"):
        model.score(features, responses[::-1])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_features_in_another_order_are_refused(encoder: Any, rng: np.random.Generator) -> None:
    features, responses = _pair(rng, encoder)
    features = features.assign_coords(feature=["a", "b", "c", "d"])
    model = encoder().fit(features, responses)
    with pytest.raises(AlignError, match="X: expected the 'feature' of training"):
        model.predict(features[:, ::-1])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_holes_and_turned_arrays_are_named(encoder: Any, rng: np.random.Generator) -> None:
    features, responses = _pair(rng, encoder)
    with pytest.raises(SchemaError, match=r"X: expected dims \('sample', 'feature'\)"):
        encoder().fit(features.T, responses)
    holed = features.where(features["stimulus"] != "image-3")
    with pytest.raises(ValueError, match=r"X: expected finite .* NaN in 1 rows \(first: 3\)"):
        encoder().fit(holed, responses)
    holed = responses.where(responses["stimulus"] != "image-3")
    with pytest.raises(ValueError, match=r"y: expected finite .* NaN in 1 rows \(first: 3\)"):
        encoder().fit(features, holed)
