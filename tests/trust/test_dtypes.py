"""Numbers of any kind and size: finite results of the same, or an error that names them."""

from typing import Any

import numpy as np
import pytest

from neuroalign import evaluate
from neuroalign.encoders import PLS, BandedRidge, FractionalRidge, KernelRidge, Ridge
from neuroalign.errors import SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.rsa import compute_rdm
from neuroalign.schema import check_responses
from neuroalign.similarity import compare
from tests.trust.makers import make_features, make_responses
from tests.trust.messages import assert_message

ENCODERS = {
    "ridge": Ridge(),
    "kernel": KernelRidge(),
    "banded": BandedRidge(),
    "fractional": FractionalRidge(),
    "pls": PLS(2),
}
# Fields in tesla and counts of photons lie between.
SIZES = [1e-15, 1e-12, 1e12, 1e15]
BEYOND = [1e-38, 1e-30, 1e20, 1e37]


def make_pair() -> tuple[np.ndarray, np.ndarray]:
    """Features and responses that follow from them, float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 5))
    Y = X @ rng.standard_normal((5, 3)) + 0.5 * rng.standard_normal((40, 3))
    return X.astype("float32"), Y.astype("float32")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ENCODERS)
def test_units_do_not_change_what_is_predicted(name: str, size: float) -> None:
    X, Y = make_pair()
    unit = np.float32(size)
    expected = ENCODERS[name].fit(X, Y).predict(X)
    for x, y, back in ((X * unit, Y, 1), (X, Y * unit, unit)):
        predicted = ENCODERS[name].fit(x, y).predict(x) / back
        np.testing.assert_allclose(predicted, expected, atol=0.01)


@pytest.mark.parametrize("size", BEYOND)
@pytest.mark.parametrize("name", ENCODERS)
def test_numbers_whose_squares_are_lost_are_refused(name: str, size: float) -> None:
    X, Y = make_pair()
    X[:, 2] *= 5
    for spoilt, argument in (((X * np.float32(size), Y), "X"), ((X, Y * np.float32(size)), "y")):
        with pytest.raises(ValueError, match="square") as caught:
            ENCODERS[name].fit(*spoilt)
        assert_message(
            caught.value, names=argument, found=r"got .*e[+-]\d+ \(column", advice="Rescale them"
        )


def test_the_same_numbers_pass_in_float64() -> None:
    X, Y = (part.astype("float64") for part in make_pair())
    expected = Ridge().fit(X, Y).predict(X)
    np.testing.assert_allclose(Ridge().fit(X * 1e30, Y).predict(X * 1e30), expected, 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "int64", "bool", ">f4", ">i2"])
def test_any_real_numbers_become_features_and_responses(dtype: str) -> None:
    values = (np.arange(12).reshape(6, 2) % 3).astype(dtype)
    names = [f"stim-{k}" for k in range(6)]
    for array in (
        from_arrays(values, modality="eeg", stimulus=names),
        features_from_arrays(values, stimulus=names),
    ):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array.values, values.astype("float32"))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.ones((3, 2)) * 1j, "complex128"),
        (np.array([["a", "b"]] * 3), "<U1"),
        (np.array([[1, None]] * 3, dtype=object), "object"),
        (np.array([["2020-01-01", "2020-01-02"]] * 3, dtype="datetime64[D]"), "datetime64"),
        (np.full((3, 2), 1e300), "1e\\+300|infin"),
    ],
)
def test_what_is_no_real_number_is_refused(values: Any, found: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        from_arrays(values, modality="eeg", stimulus=["a", "b", "c"])
    assert_message(caught.value, names="values|responses", found=found, advice=r"\w")


@pytest.mark.parametrize("kind", ["complex64", "object", "<U3"])
def test_arrays_made_by_hand_are_held_to_the_same(kind: str) -> None:
    responses = make_responses()
    with pytest.raises(SchemaError, match="responses") as caught:
        check_responses(responses.copy(data=np.ones(responses.shape).astype(kind)))
    assert_message(caught.value, names="responses", found="got", advice=r"\w")


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_responses_that_are_no_floats_are_not_evaluated(dtype: str) -> None:
    with pytest.raises(SchemaError, match="responses") as caught:
        evaluate.cross_validate(Ridge(), make_features(), make_responses().astype(dtype))
    assert_message(caught.value, names="responses", found=f"got {dtype}", advice="astype")


@pytest.mark.parametrize("distance", ["correlation", "cosine", "euclidean"])
@pytest.mark.parametrize("size", [1e-30, 1e-15, 1e15, 1e30])
def test_distances_keep_their_units(size: float, distance: str) -> None:
    responses = make_responses(8, 6)
    unit = size if distance == "euclidean" else 1.0
    rdm = compute_rdm(responses * np.float32(size), distance=distance) / unit
    np.testing.assert_allclose(rdm, compute_rdm(responses, distance=distance), atol=1e-4)


@pytest.mark.parametrize("method", ["cka", "cka_debiased", "rsa", "procrustes", "cca"])
def test_similarities_do_not_depend_on_units_or_refuse_them(method: str) -> None:
    responses = make_responses(24, 3)
    expected = compare(responses, responses, method)
    for size in (1e-15, 1e15):
        found = compare(responses * np.float32(size), responses, method)
        assert float(found) == pytest.approx(float(expected), abs=1e-3)
    for size in (1e-30, 1e30):
        with pytest.raises(ValueError, match="square") as caught:
            compare(responses, responses * np.float32(size), method)
        assert_message(caught.value, names="b", found="got", advice="Rescale them")
