"""Models from categories and magnitudes, by hand."""

import numpy as np
import pytest

from neuroalign.rsa.categories import categorical_rdm, magnitude_rdm


def test_categories_are_kept_with_their_pairs() -> None:
    rdm = categorical_rdm({"a": "x", "b": "y", "c": "x"})
    assert rdm.values.tolist() == [1, 0, 1]
    assert rdm["first_category"].values.tolist() == ["x", "x", "y"]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("linear", [2.0, 1.0, 1.0]),
        ("log", [np.log(3), np.log(2), np.log(1.5)]),
        ("reference_log", [0.0, np.log(2), np.log(2)]),
        ("signed_reference_log", [2 * np.log(2), np.log(2), np.log(2)]),
    ],
)
def test_each_scale_equals_its_formula(scale: str, expected: list[float]) -> None:
    rdm = magnitude_rdm({"a": 1.0, "b": 3.0, "c": 2.0}, scale=scale, reference=2.0)
    np.testing.assert_allclose(rdm.values, expected, atol=1e-12)


def test_the_reference_is_the_mean_by_default() -> None:
    rdm = magnitude_rdm({"a": 1.0, "b": 3.0, "c": 2.0}, scale="reference_log")
    assert rdm.values[0] == 0


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="categories: expected two or more, got 1"):
        categorical_rdm({"a": "x", "b": "x", "c": "x"})
    with pytest.raises(ValueError, match="values: expected positive numbers for scale 'log'"):
        magnitude_rdm({"a": 0.0, "b": 1.0, "c": 2.0}, scale="log")
    with pytest.raises(ValueError, match="values: expected finite numbers, got nan for 'b'"):
        magnitude_rdm({"a": 0.0, "b": np.nan, "c": 2.0})
    with pytest.raises(ValueError, match="scale: expected one of 'linear'"):
        magnitude_rdm({"a": 0.0, "b": 1.0, "c": 2.0}, scale="lin")
    with pytest.raises(ValueError, match="reference: expected a finite number or None, got nan"):
        magnitude_rdm({"a": 0.0, "b": 1.0}, scale="reference_log", reference=np.nan)
