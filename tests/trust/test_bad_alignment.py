"""Labels that do not meet: refused with both styles shown; what is the same is found by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroalign import align, evaluate
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays
from tests.trust.makers import make_features, make_responses
from tests.trust.messages import Bad, check_refused


def seat(ours: list[Any], theirs: list[Any], **options: Any) -> Any:
    """Match features of ``ours`` with responses to ``theirs``."""
    features = features_from_arrays(np.eye(len(ours)), stimulus=ours)
    responses = from_arrays(np.eye(len(theirs)), modality="eeg", stimulus=theirs)
    return align.match(features, responses, **options)


def swap(_: Path) -> Any:
    return align.match(make_features(), make_responses().transpose("neuroid", "sample"))


def seat_numbers(_: Path) -> Any:
    features = make_features(3, stimuli=["1", "2", "3"])
    responses = make_responses(3).assign_coords(stimulus=("sample", [1, 2, 3]))
    return align.match(features, responses)


def fit_reordered(_: Path) -> Any:
    features, responses = make_features(), make_responses()
    return Ridge().fit(features.isel(sample=slice(None, None, -1)), responses)


def evaluate_reordered(_: Path) -> Any:
    features, responses = make_features(), make_responses()
    return evaluate.cross_validate(
        Ridge(), features.isel(sample=slice(None, None, -1)), responses, ceiling=None
    )


BAD: dict[str, Bad] = {
    "labels that never meet": Bad(
        lambda _: seat(list("abcdefg"), list("tuvwxyz")),
        AlignError,
        "features",
        "missing 7: 't', 'u', 'v', 'w', 'x' and 2 more",
        "Features hold 'a', 'b', 'c', 'd', 'e' and 2 more",
    ),
    "one image as png and as jpg": Bad(
        lambda _: seat(["cat.png", "dog.png"], ["cat.jpg", "dog.jpg"]),
        AlignError,
        "features",
        r"missing 2: 'cat\.jpg', 'dog\.jpg'",
        "They meet without file endings",
    ),
    "labels that meet in part": Bad(
        lambda _: seat(["a", "b"], ["a", "b", "c"]),
        AlignError,
        "features",
        "expected all 3 labels of responses, missing 1: 'c'",
        "how='inner'",
    ),
    "features of one stimulus twice": Bad(
        lambda _: seat(["a", "a", "b"], ["a", "b"]),
        AlignError,
        "features",
        r"got 1 repeated \('a'\)",
        "Average or drop the copies",
    ),
    "numbers written with and without zeros": Bad(
        lambda _: seat(["001", "002"], ["1", "2"]),
        AlignError,
        "features",
        "missing 2: '1', '2'",
        "leading zeros",
    ),
    "labels that are numbers": Bad(
        seat_numbers, SchemaError, "responses", "'stimulus' as strings, got int64", "'001' and 1"
    ),
    "labels given as numbers": Bad(
        lambda _: seat([1, 2], ["1", "2"]),
        SchemaError,
        "stimulus",
        r"got 1 \(int\) in row 0",
        r"astype\(str\)",
    ),
    "dims that were swapped": Bad(
        swap, SchemaError, "responses", r"got \('neuroid', 'sample'\)", "transpose"
    ),
    "rows in another order, fitted": Bad(
        fit_reordered, AlignError, "y", r"24 rows differ", r"align\.match first"
    ),
    "rows in another order, evaluated": Bad(
        evaluate_reordered, AlignError, "features", "24 rows differ", r"align\.match"
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_meet_is_refused(name: str, tmp_path: Path) -> None:
    check_refused(BAD[name], tmp_path)


def test_labels_in_another_order_meet_by_name() -> None:
    data = seat(["a", "b", "c"], ["c", "a", "b"])
    assert data["features"].values.argmax(axis=1).tolist() == [2, 0, 1]


def test_part_of_the_labels_is_taken_when_asked_for_and_counted() -> None:
    data = seat(["a", "b"], ["a", "b", "c"], how="inner")
    assert data["responses"]["stimulus"].values.tolist() == ["a", "b"]
    assert data.attrs["n_dropped"] == 1


def test_repeated_responses_each_get_the_features_of_their_stimulus() -> None:
    data = seat(["a", "b"], ["b", "a", "b"])
    assert data["features"].values.argmax(axis=1).tolist() == [1, 0, 1]
