"""RDMs of several people in one stack."""

import numpy as np
import pytest

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.inference import infer
from neuroalign.rsa.joining import average_rdms, stack_rdms
from neuroalign.rsa.labelling import from_matrix
from neuroalign.rsa.models import WeightedModel
from neuroalign.rsa.rdms import to_condensed, to_square


def test_any_order_and_form_are_aligned_by_label(rng) -> None:  # type: ignore[no-untyped-def]
    rdm = from_matrix(rng.random(10), list("ebdca"), distance="correlation")
    turned = to_square(rdm)[::-1, ::-1]
    stack = stack_rdms({"s1": rdm, "s2": turned})
    assert stack.dims == ("subject", "pair")
    np.testing.assert_array_equal(stack.values[0], stack.values[1])
    assert stack["first"].values[0] == "e"
    assert stack.attrs["distance"] == "correlation"


def test_distances_that_differ_are_not_kept_as_one() -> None:
    a, b = (from_matrix([1.0, 2, 3], "abc", distance=name) for name in ("correlation", "cosine"))
    assert stack_rdms({"a": a, "b": b}).attrs["distance"] == "unknown"


def test_the_weighted_mean_is_that_by_hand(rng) -> None:  # type: ignore[no-untyped-def]
    values = rng.random((2, 6))
    people = {name: from_matrix(v, "abcd") for name, v in zip("xy", values, strict=True)}
    mean = average_rdms(people, weights={"x": 1, "y": 3})
    np.testing.assert_allclose(mean.values, 0.25 * values[0] + 0.75 * values[1])
    np.testing.assert_allclose(average_rdms(stack_rdms(people)).values, values.mean(axis=0))


def test_what_does_not_fit_is_refused() -> None:
    abc, abd = (from_matrix([1.0, 2, 3], names) for names in ("abc", "abd"))
    with pytest.raises(AlignError, match=r"rdms\['y'\]: expected the conditions of the first"):
        stack_rdms({"x": abc, "y": abd})
    with pytest.raises(SchemaError, match=r"rdms\['x'\]: expected no dim 'subject'"):
        stack_rdms({"x": stack_rdms({"s": abc})})
    with pytest.raises(SchemaError, match="rdms: expected a mapping"):
        stack_rdms({})
    with pytest.raises(SchemaError, match="Label arrays by rsa.from_matrix"):
        stack_rdms({"x": abc.values})  # type: ignore[dict-item]
    with pytest.raises(AlignError, match="weights: expected one for each"):
        average_rdms({"x": abc}, weights={"z": 1})
    with pytest.raises(ValueError, match="weights: expected numbers of 0 or more"):
        average_rdms({"x": abc}, weights={"x": -1})
    with pytest.raises(SchemaError, match="rdms: expected dim 'subject'"):
        average_rdms(abc)
    with pytest.raises(AlignError, match="expected the leading dims of the first"):
        stack_rdms({"x": abc, "y": stack_rdms({"t": abc}, over="time")})
    with pytest.raises(SchemaError, match="expected RDMs of one kind"):
        stack_rdms({"x": abc, "y": abc.assign_attrs(kind="other")})


def test_patterns_where_rdms_are_meant_are_named() -> None:
    data = from_arrays(np.eye(4), stimulus=list("abcd"), modality="fmri")
    with pytest.raises(SchemaError, match=r"data\['s1'\]: expected an RDM .* rsa.compute_rdm"):
        infer({"m": from_matrix(np.arange(6.0), "abcd")}, {"s1": data, "s2": data})
    with pytest.raises(SchemaError, match=r"rdms\['s1'\]: expected an RDM .* got patterns"):
        stack_rdms({"s1": data})


def test_an_rdm_where_patterns_are_meant_is_named() -> None:
    rdm = from_matrix(np.arange(6.0), "abcd")
    with pytest.raises(SchemaError, match="responses: expected patterns .* got an RDM"):
        compute_rdm(rdm)
    with pytest.raises(SchemaError, match=r"responses\['s1'\]: expected patterns"):
        compute_rdm({"s1": rdm}, over="subject")


def test_too_little_for_a_test_says_what_to_do() -> None:
    rdm, few = from_matrix(np.arange(6.0), "abcd"), from_matrix(np.arange(3.0), "abc")
    with pytest.raises(SchemaError, match="one RDM alone as .* with bootstrap='stimuli'"):
        infer({"m": rdm}, rdm)
    with pytest.raises(SchemaError, match="expected 4 conditions or more, got 3. Add conditions"):
        infer({"m": few}, {"x": few, "y": few})


def test_members_keep_their_conditions_beside_labels_of_their_own() -> None:
    rng = np.random.default_rng(0)
    plain = from_matrix(rng.random(6), list("abcd"))
    one = stack_rdms({"x": plain, "y": plain}).sel(subject="y")
    joined = stack_rdms({"plain": plain, "one of a stack": one})
    assert joined["first"].values.tolist() == to_condensed(plain)["first"].values.tolist()
    model = WeightedModel({"plain": plain, "one of a stack": one}, name="both")
    assert model.labels.tolist() == list("abcd")


def test_models_and_data_the_wrong_way_round_are_told(rng: np.random.Generator) -> None:
    names = [f"c{n}" for n in range(5)]
    people = from_matrix(rng.random((3, 10)), names, lead={"subject": ["a", "b", "c"]})
    candidates = {"one": from_matrix(rng.random(10), names)}
    with pytest.raises(SchemaError, match="the wrong way round"):
        infer(people, candidates)
