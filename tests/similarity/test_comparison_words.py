"""What `compare` says of its input and of its answer."""

import numpy as np
import pytest

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import features_from_arrays
from neuroalign.similarity import compare


def test_a_list_of_layers_is_no_representation(rng: np.random.Generator) -> None:
    layers = list(rng.normal(size=(6, 9, 3)))
    with pytest.raises(SchemaError, match=r"a: expected one .* a list of 6 arrays. Name them"):
        compare(layers, layers)  # type: ignore[call-overload]
    assert compare(layers[0].tolist(), layers[0]) == pytest.approx(1.0)


def test_one_representation_alone_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="b: expected a second representation, got one ndarray"):
        compare(rng.normal(size=(9, 3)))


def test_messages_name_the_arguments_as_they_were_given(rng: np.random.Generator) -> None:
    X = rng.normal(size=(9, 3))
    with pytest.raises(AlignError, match="rows of all, got 9 in a, 8 in b. Label them"):
        compare(X, X[:8])
    with pytest.raises(AlignError, match=r"got 9 in a\['conv'\], 8 in b"):
        compare({"conv": X}, X[:8])
    one, other = (
        features_from_arrays(X, stimulus=[f"{letter}{n}" for n in range(9)]) for letter in "xy"
    )
    with pytest.raises(AlignError, match="^a: expected the stimuli that the others have, missing"):
        compare(one, other)


@pytest.mark.parametrize(("method", "best"), [("cka", "a and b"), ("procrustes", "a and b")])
def test_the_verdict_leaves_out_a_layer_with_itself(
    rng: np.random.Generator, method: str, best: str
) -> None:
    X = rng.normal(size=(40, 5))
    layers = {"a": X, "b": X + 0.1 * rng.normal(size=X.shape), "c": rng.normal(size=X.shape)}
    said = compare(layers, method=method).attrs["verdict"]
    assert said.startswith(f"3 layers ({method}): most alike {best} (")
    assert "c (" in said.split("least")[1]
