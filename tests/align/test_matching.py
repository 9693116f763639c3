"""Features meet responses by label, never by position."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.align import match
from neuroalign.errors import AlignError
from neuroalign.loaders import features_from_arrays, from_arrays


def features_of(labels: list[str]) -> xr.DataArray:
    values = np.arange(len(labels))[:, None] * np.ones((1, 2))
    return features_from_arrays(values, stimulus=labels)


def responses_of(labels: list[str]) -> xr.DataArray:
    return from_arrays(np.arange(len(labels))[:, None], stimulus=labels, modality="eeg")


def test_order_and_repeats_of_responses_are_kept() -> None:
    matched = match(features_of(["a", "b", "c"]), responses_of(["c", "a", "c"]))
    assert matched["features"].values[:, 0].tolist() == [2, 0, 2]
    assert matched["responses"].values[:, 0].tolist() == [0, 1, 2]
    assert matched["stimulus"].values.tolist() == ["c", "a", "c"]


def test_the_order_of_features_does_not_matter(rng: np.random.Generator) -> None:
    labels = [f"s{row}" for row in range(20)]
    features, responses = features_of(labels), responses_of(labels[::-1] + labels[:5])
    shuffled = features.isel(sample=rng.permutation(20))
    xr.testing.assert_identical(match(features, responses), match(shuffled, responses))


@pytest.mark.parametrize(
    ("known", "wanted", "hint"),
    [
        (["001", "002"], ["1", "2"], "without leading zeros"),
        (["a", "b"], ["a", "rest"], "between events are named 'rest'"),
        (["a.png", "b.png"], ["a.jpg", "b.jpg"], "without file endings"),
        (["A", "B"], ["a", "b"], "in lower case"),
        (["a", "x"], ["a", "b"], "missing 1: 'b'. Features hold 'a', 'x'"),
    ],
)
def test_missing_labels_are_shown_with_their_likely_cause(
    known: list[str], wanted: list[str], hint: str
) -> None:
    with pytest.raises(AlignError, match=hint):
        match(features_of(known), responses_of(wanted))


def test_inner_drops_and_counts() -> None:
    matched = match(features_of(["a"]), responses_of(["b", "a", "b"]), how="inner")
    assert matched["stimulus"].values.tolist() == ["a"]
    assert matched.attrs["n_dropped"] == 2
    assert "dropped 2 samples" in matched["responses"].attrs["history"]
    with pytest.raises(AlignError, match="missing 1"):
        match(features_of(["a"]), responses_of(["b"]), how="inner")


def test_repeated_features_are_refused() -> None:
    with pytest.raises(AlignError, match="expected each stimulus once, got 1 repeated"):
        match(features_of(["a", "a"]), responses_of(["a"]))


def test_continuous_rows_meet_by_run_and_onset() -> None:
    run, onset = ["r1", "r1", "r2", "r2"], np.array([0.0, 2.0, 0.0, 2.0])
    features = features_from_arrays(np.arange(4)[:, None], run=run, onset=onset)
    responses = from_arrays(np.zeros((4, 1)), run=run[::-1], onset=onset + 1e-9, modality="fmri")
    matched = match(features, responses, on=("run", "onset"))
    assert matched["features"].values[:, 0].tolist() == [2, 3, 0, 1]
    late = responses.assign_coords(onset=("sample", onset + 0.5))
    with pytest.raises(AlignError, match="missing 4"):
        match(features, late, on=("run", "onset"))
    assert match(features, late, on=("run", "onset"), tolerance=0.6).sizes["sample"] == 4
    with pytest.raises(AlignError, match="features: expected coords 'run' and 'onset'"):
        match(features_of(["a"]), responses, on=("run", "onset"))


def test_on_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="on: expected 'stimulus'"):
        match(features_of(["a"]), responses_of(["a"]), on=("run", "time"))


@pytest.mark.parametrize(
    ("given", "message"),
    [({"layer1": 0, "layer2": 0}, "got a mapping of 'layer1', 'layer2'"), (np.ones(3), "ndarray")],
)
def test_what_is_no_array_of_features_is_named(given: object, message: str) -> None:
    with pytest.raises(AlignError, match=f"features: expected .*{message}"):
        match(given, xr.DataArray())
