"""Forms and order of RDMs."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import squareform

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa import align_rdms, compute_rdm, to_condensed, to_square
from neuroalign.rsa.rdms import find_conditions


def make(rng: np.random.Generator, labels: str = "abcd", n: int = 2) -> xr.DataArray:
    pairs = len(labels) * (len(labels) - 1) // 2
    squares = np.stack([squareform(rng.random(pairs)) for _ in range(n)])
    names = np.array(list(labels))
    coords = {"subject": [f"s{i}" for i in range(n)], "first": names, "second": names}
    dims = ("subject", "first", "second")
    return xr.DataArray(squares, coords, dims, attrs={"kind": "dissimilarity"})


def test_condensed_follows_scipy_and_comes_back(rng: np.random.Generator) -> None:
    rdm = make(rng).assign_coords(first_category=("first", list("xxyy")))
    condensed = to_condensed(rdm)
    np.testing.assert_array_equal(condensed[1], squareform(rdm.values[1]))
    assert condensed["first_category"].values.tolist() == list("xxxxxy")
    xr.testing.assert_identical(
        to_square(condensed).drop_vars(["first_category", "second_category"]),
        rdm.drop_vars("first_category"),
    )


def test_pairs_in_any_order_are_read_by_label(rng: np.random.Generator) -> None:
    rdm = make(rng)
    shuffled = to_condensed(rdm).isel(pair=rng.permutation(6))
    square = to_square(shuffled).sel(first=rdm["first"].values, second=rdm["second"].values)
    np.testing.assert_array_equal(square, rdm)


def test_getters_never_return_views(rng: np.random.Generator) -> None:
    rdm = make(rng)
    kept = rdm.copy(deep=True)
    condensed = to_condensed(rdm)
    for made in (to_square(rdm), condensed, to_condensed(condensed), to_square(condensed)):
        made.values[:] = -1.0
    xr.testing.assert_identical(rdm, kept)


def test_missing_and_double_pairs_raise(rng: np.random.Generator) -> None:
    condensed = to_condensed(make(rng))
    with pytest.raises(SchemaError, match="expected each of the 6 pairs of 4 conditions once"):
        to_square(condensed.isel(pair=[0, 1, 2, 3, 4, 4]))
    with pytest.raises(SchemaError, match="missing \\['first'\\]"):
        to_square(condensed.drop_vars("first"))


def test_cross_rdms_have_no_condensed_form(rng: np.random.Generator) -> None:
    rdm = make(rng).assign_attrs(kind="cross")
    with pytest.raises(SchemaError, match="expected kind 'dissimilarity', got 'cross'"):
        to_condensed(rdm)


def test_align_by_label(rng: np.random.Generator) -> None:
    rdm = make(rng)
    turned = rdm.isel(first=[2, 0, 3, 1], second=[2, 0, 3, 1])
    a, b = align_rdms(rdm, turned)
    np.testing.assert_array_equal(a, b)
    short = rdm.isel(first=slice(3), second=slice(3))
    assert align_rdms(rdm, short, how="inner")[0].sizes["pair"] == 3
    with pytest.raises(AlignError, match="got 1 in one only \\('d'\\)"):
        align_rdms(rdm, short)
    with pytest.raises(AlignError, match="expected 3 or more conditions of a, got 0 shared"):
        align_rdms(rdm, make(rng, "wxyz"), how="inner")
    with pytest.raises(AlignError, match="expected names that the RDM has, got 'q'"):
        to_condensed(rdm, ["a", "q"])
    with pytest.raises(ValueError, match="how: expected one of 'strict', 'inner'"):
        align_rdms(rdm, rdm, how="outer")


def test_pairs_in_the_usual_order_and_in_any_other_are_named_alike(
    rng: np.random.Generator,
) -> None:
    rdm = to_condensed(make(rng))
    order = rng.permutation(rdm.sizes["pair"])
    mixed = rdm.isel(pair=order)
    swapped = mixed.assign_coords(
        first=("pair", mixed["second"].values), second=("pair", mixed["first"].values)
    )
    for one in (mixed, swapped):
        xr.testing.assert_identical(to_condensed(one, find_conditions(rdm)), rdm)


def test_conditions_named_twice_are_refused(rng: np.random.Generator) -> None:
    names = ["a", "b", "c", "a"]
    with pytest.raises(AlignError, match="conditions: expected each name once, got 4 names of 3"):
        to_condensed(make(rng), names)


def test_an_asymmetric_rdm_without_kind_is_refused(rng: np.random.Generator) -> None:
    lopsided = make(rng).copy(data=rng.random((2, 4, 4))).drop_attrs()
    with pytest.raises(SchemaError, match="expected a symmetric RDM, got two triangles"):
        to_condensed(lopsided)


def test_what_a_condition_is_stays_known(rng: np.random.Generator) -> None:
    data = from_arrays(
        rng.normal(size=(6, 4)),
        modality="fmri",
        stimulus=["cat", "hut", "dog"] * 2,
        run=[*"aaabbb"],
    )
    data = data.assign_coords(
        category=("sample", ["animal", "place", "animal"] * 2),
        rating=("sample", [1.0, np.nan, 3.0] * 2),
        mood=("sample", [*"xyzzyx"]),
    )
    rdm = compute_rdm(data)
    assert rdm["first_category"].values.tolist() == ["animal", "place", "animal"]
    assert np.array_equal(rdm["second_rating"], [1.0, np.nan, 3.0], equal_nan=True)
    assert not {"first_mood", "first_run", "first_repeat"} & set(rdm.coords)
    pairs = compute_rdm(data, form="condensed")
    assert pairs["second_category"].values.tolist() == ["place", "animal", "animal"]


def test_subjects_keep_what_they_agree_on(rng: np.random.Generator) -> None:
    one = from_arrays(rng.normal(size=(3, 4)), modality="fmri", stimulus=["cat", "hut", "dog"])
    kinds = one.assign_coords(category=("sample", ["animal", "place", "animal"]))
    other = kinds.isel(sample=[2, 0, 1]).assign_coords(mood=("sample", [*"xyz"]))
    both = compute_rdm({"s1": kinds, "s2": other}, over="subject")
    assert both["first_category"].values.tolist() == ["animal", "place", "animal"]
    assert "first_mood" not in both.coords
    assert "first_category" not in compute_rdm({"s1": one, "s2": kinds}, over="subject").coords
