"""Labels come off and go back on."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import _arrays
from neuroalign._arrays import is_continuous, is_time_series, names_conditions
from neuroalign.errors import AlignError, SchemaError


def _responses() -> xr.DataArray:
    return xr.DataArray(
        np.arange(24.0).reshape(4, 3, 2),
        dims=("sample", "neuroid", "time"),
        coords={
            "stimulus": ("sample", list("abcd")),
            "neuroid": ["u", "v", "w"],
            "roi": ("neuroid", ["V1", "V1", "IT"]),
            "time": [0.1, 0.2],
        },
    )


def test_a_template_holds_labels_and_no_data() -> None:
    values, template = _arrays.unwrap(_responses())
    assert values.shape == (4, 3, 2)
    assert template is not None
    assert template.shape == (0, 3, 2)
    assert set(template.coords) == {"neuroid", "roi", "time"}


def test_bare_arrays_pass_untouched() -> None:
    bare = np.ones((2, 2))
    values, template = _arrays.unwrap(bare)
    assert values is bare
    assert template is None


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 2)])
def test_targets_flatten_and_come_back(shape: tuple[int, ...]) -> None:
    targets = np.random.default_rng(0).normal(size=shape)
    flat, rest = _arrays.flatten_targets(targets)
    assert flat.ndim == min(len(shape), 2)
    np.testing.assert_array_equal(flat.reshape(4, *rest), targets)


def test_four_dims_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"responses: expected \(sample,\).*got 4 dims\. Reshape"):
        _arrays.flatten_targets(np.ones((2, 2, 2, 2)), "responses")


def test_predictions_wear_the_labels_of_inputs_and_targets() -> None:
    responses = _responses()
    _, template = _arrays.unwrap(responses)
    inputs = xr.DataArray(
        np.ones((2, 5)), dims=("sample", "feature"), coords={"stimulus": ("sample", ["p", "q"])}
    )
    wrapped = _arrays.wrap_samples(np.zeros((2, 3, 2)), inputs, template)
    assert wrapped.dims == responses.dims
    assert wrapped["stimulus"].values.tolist() == ["p", "q"]
    assert wrapped["roi"].values.tolist() == ["V1", "V1", "IT"]


def test_weights_wear_the_labels_of_features_and_targets() -> None:
    features = xr.DataArray(
        np.ones((4, 2)), dims=("sample", "feature"), coords={"space": ("feature", ["a", "b"])}
    )
    weights = _arrays.wrap_weights(
        np.zeros((2, 3, 2)), _arrays.describe(features), _arrays.describe(_responses())
    )
    assert weights.dims == ("feature", "neuroid", "time")
    assert weights["space"].values.tolist() == ["a", "b"]


def test_weights_without_labels_still_have_dims() -> None:
    assert _arrays.wrap_weights(np.zeros((2, 3)), None, None).dims == ("feature", "neuroid")


def timed(onset: list[float], run: list[str] | None = None, **coords: list[str]) -> xr.DataArray:
    named = {"onset": onset, "run": run or ["a"] * len(onset), **coords}
    values = np.zeros((len(onset), 2))
    return xr.DataArray(values, {k: ("sample", v) for k, v in named.items()}, ("sample", "neuroid"))


def test_volumes_are_told_from_trials_in_any_order_and_with_gaps() -> None:
    assert is_continuous(timed([0, 2, 4, 6, 8]))
    assert is_continuous(timed([6, 0, 4, 2, 8]))
    assert is_continuous(timed([0, 2, 4, 8, 10, 12, 14]))
    assert not is_continuous(timed([0, 2.3, 7.1, 9.8, 15.2]))
    assert not is_continuous(timed([0, 0, 2, 4]))
    assert not is_continuous(timed([0, 2], ["a", "b"]))


def test_names_of_conditions_are_told_from_names_of_trials() -> None:
    onset = [float(n) for n in range(12)]
    assert names_conditions(timed(onset, stimulus=list("aaabbbcccaaa")))
    assert not names_conditions(timed(onset, stimulus=list("abcdefabcdef")))
    assert not names_conditions(timed(onset, stimulus=list("abcddefabcef")))


def test_trials_at_a_steady_pace_are_no_time_series() -> None:
    onset, runs = [0.0, 2, 4, 6] * 2, ["a"] * 4 + ["b"] * 4
    assert is_time_series(timed(onset, runs))
    assert is_time_series(timed(onset, runs, stimulus=list("abcdefgh")))
    assert is_time_series(timed(onset, runs, stimulus=list("abcdabcd"))), "a film shown twice"
    assert is_time_series(timed(onset, runs, stimulus=list("aabbaabb"))), "blocks"
    assert not is_time_series(timed(onset, runs, stimulus=list("abcdbdac"))), "trials"
    assert not is_time_series(timed([0, 1.3, 5, 5.5], stimulus=list("abcd")))


def labelled(**coords: object) -> xr.DataArray:
    return xr.DataArray(np.zeros((3, 2)), coords, ("sample", "feature"))


def test_rows_that_name_other_stimuli_are_refused_by_the_first() -> None:
    X = labelled(stimulus=("sample", list("abc")))
    y = labelled(stimulus=("sample", list("acb")))
    with pytest.raises(
        AlignError, match="y: expected the 'stimulus' of X .* 'c' against 'b' in row 1"
    ):
        _arrays.check_same_rows(X, y)
    _arrays.check_same_rows(X, X)
    _arrays.check_same_rows(X.values, y)
    _arrays.check_same_rows(X, y.drop_vars("stimulus"))


def test_rows_without_stimuli_are_compared_on_run_and_onset() -> None:
    run = ("sample", list("aab"))
    X = labelled(run=run, onset=("sample", [0.0, 0.1 + 0.2, 0.0]))
    _arrays.check_same_rows(X, labelled(run=run, onset=("sample", [0.0, 0.3, 0.0])))
    with pytest.raises(AlignError, match="'onset' of X .* in row 2"):
        _arrays.check_same_rows(X, labelled(run=run, onset=("sample", [0.0, 0.3, 1.0])))


def test_features_in_another_order_are_refused() -> None:
    known, other = labelled(space=("feature", ["a", "b"])), labelled(space=("feature", ["b", "a"]))
    with pytest.raises(AlignError, match="X: expected the 'space' of training .* in column 0"):
        _arrays.check_same_features(known, other)
    _arrays.check_same_features(known, known)
    _arrays.check_same_features(known, labelled())
    _arrays.check_same_features(None, other)
