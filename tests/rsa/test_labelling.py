"""Bare matrices as labelled RDMs."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from neuroalign.errors import SchemaError
from neuroalign.rsa.labelling import from_matrix
from neuroalign.rsa.rdms import to_square


def test_square_and_condensed_are_the_same_rdm(rng) -> None:  # type: ignore[no-untyped-def]
    pairs = pdist(rng.normal(size=(5, 7)))
    held = from_matrix(pairs, "abcde", distance="euclidean")
    np.testing.assert_array_equal(to_square(held).values, squareform(pairs))
    assert to_square(held).identical(from_matrix(squareform(pairs), "abcde", distance="euclidean"))


def test_three_rdms_of_three_conditions_are_read_as_the_lead_says(rng) -> None:  # type: ignore[no-untyped-def]
    made = from_matrix(rng.random((3, 3)), "abc", lead={"subject": ["x", "y", "z"]})
    assert made.dims == ("subject", "pair")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"expected shape \(4, 4\) or \(6,\)"):
        from_matrix(np.zeros(5), "abcd")
    with pytest.raises(SchemaError, match="expected each name once"):
        from_matrix(np.zeros(3), "aab")
    with pytest.raises(SchemaError, match="values: expected numbers"):
        from_matrix(["x", "y", "z"], "abc")
    with pytest.raises(SchemaError, match="expected a symmetric RDM"):
        from_matrix(np.triu(np.ones((3, 3)), 1), "abc")
    with pytest.raises(ValueError, match="kind: expected one of"):
        from_matrix(np.zeros(3), "abc", kind="similarity")


def test_what_rounding_leaves_on_the_diagonal_is_no_fault(rng: np.random.Generator) -> None:
    for dtype in (np.float64, np.float32):
        values = (1 - np.corrcoef(rng.normal(size=(40, 7)))).astype(dtype)
        values[3, 3] = 3 * np.finfo(dtype).eps
        made = from_matrix(values, [f"c{n}" for n in range(40)])
        assert not np.diagonal(made).any()
        assert values[3, 3] > 0


def test_similarities_and_copies_are_told_apart_from_distances(rng: np.random.Generator) -> None:
    with pytest.raises(SchemaError, match=r"zero diagonal, got 1 on it. Turn similarities"):
        from_matrix(np.corrcoef(rng.normal(size=(4, 7))), "abcd")
    with pytest.raises(SchemaError, match="got entries that differ by 1 from their mirror image"):
        from_matrix(np.triu(np.ones((3, 3)), 1), "abc")
    with pytest.raises(SchemaError, match="got copies of 'a'. Number them"):
        from_matrix(np.zeros(3), "aab")
