"""What every decoder of features promises: scikit-learn's contract, and labels in, labels out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

from neuroalign import decoders
from neuroalign.decoders.linear import LinearDecoder, RidgeDecoder
from neuroalign.errors import AlignError, SchemaError

DECODERS: list[Any] = [RidgeDecoder, LinearDecoder]


def test_the_decoders_of_the_room_are_all_here() -> None:
    things = [getattr(decoders, name) for name in decoders.__all__]
    found = [thing for thing in things if isinstance(thing, type) and hasattr(thing, "patterns_")]
    assert set(found) == set(DECODERS)


@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
@pytest.mark.parametrize("decoder", DECODERS)
def test_decoder_keeps_the_scikit_learn_contract(
    decoder: Any, broken_checks: Callable[..., list[str]]
) -> None:
    assert broken_checks(decoder()) == []


def _pair(rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    stimuli = [f"image-{i}" for i in range(40)]
    features = rng.normal(size=(40, 3))
    responses = np.einsum("sf,fnt->snt", features, rng.normal(size=(3, 4, 2)))
    responses += rng.normal(size=responses.shape)
    labelled = {"stimulus": ("sample", stimuli)}
    return (
        xr.DataArray(
            responses, dims=("sample", "neuroid", "time"),
            coords={**labelled, "neuroid": list("abcd"), "time": [0.1, 0.2]},
        ),
        xr.DataArray(
            features, dims=("sample", "feature"), coords={**labelled, "feature": list("xyz")}
        ),
    )  # fmt: skip


@pytest.mark.parametrize("decoder", DECODERS)
def test_labelled_responses_give_labelled_targets(decoder: Any, rng: np.random.Generator) -> None:
    responses, features = _pair(rng)
    model = decoder().fit(responses, features)
    predicted = model.predict(responses[:7])
    assert predicted.dims == ("sample", "feature")
    assert predicted["feature"].values.tolist() == list("xyz")
    assert predicted["stimulus"].values.tolist() == responses["stimulus"].values[:7].tolist()
    assert model.patterns_.dims == model.weights_.dims == ("feature", "neuroid", "time")
    assert model.patterns_["neuroid"].values.tolist() == list("abcd")


@pytest.mark.parametrize("decoder", DECODERS)
def test_labels_do_not_change_the_numbers(decoder: Any, rng: np.random.Generator) -> None:
    responses, features = _pair(rng)
    labelled = decoder().fit(responses, features)
    bare = decoder().fit(responses.values, features.values)
    np.testing.assert_array_equal(
        labelled.predict(responses).values, bare.predict(responses.values)
    )
    flat = labelled.patterns_.values.reshape(3, -1)
    np.testing.assert_array_equal(flat, bare.patterns_.values)
    assert bare.patterns_.dims == ("target", "neuroid")


@pytest.mark.parametrize("decoder", DECODERS)
def test_fit_leaves_its_inputs_and_parameters_alone(decoder: Any, rng: np.random.Generator) -> None:
    responses, features = _pair(rng)
    before = responses.copy(deep=True), features.copy(deep=True)
    model = decoder()
    asked = clone(model).get_params()
    model.fit(responses, features)
    assert responses.identical(before[0])
    assert features.identical(before[1])
    assert str(model.get_params()) == str(asked)


@pytest.mark.parametrize("decoder", DECODERS)
def test_faults_are_named(decoder: Any, rng: np.random.Generator) -> None:
    responses, features = _pair(rng)
    with pytest.raises(AlignError, match="'image-39' against 'image-0' in row 0"):
        decoder().fit(responses, features[::-1])
    with pytest.raises(SchemaError, match=r"X: expected dims \('sample', 'neuroid'"):
        decoder().fit(responses.T, features)
    model = decoder().fit(responses, features)
    with pytest.raises(AlignError, match="X: expected the 'feature' of training"):
        model.predict(responses[:, ::-1])
    holed = responses.where(responses["stimulus"] != "image-3")
    with pytest.raises(ValueError, match=r"X: expected finite .* NaN in 1 rows \(first: 3\)"):
        decoder().fit(holed, features)
