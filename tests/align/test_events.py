"""Tables of events become features, by run and by label."""

import numpy as np
import pandas as pd
import pytest

from neuroalign.align import events_to_features
from neuroalign.errors import AlignError
from neuroalign.loaders import features_from_arrays

TABLE = pd.DataFrame({"onset": [0.0, 4.0], "duration": [2.0, 1.0], "stimulus": ["b", "a"]})


def test_one_column_a_stimulus() -> None:
    result = events_to_features({"x": TABLE, "y": TABLE[:1]})
    assert result["condition"].values.tolist() == ["a", "b"]
    np.testing.assert_array_equal(result.values, [[0, 1], [1, 0], [0, 1]])
    assert result["run"].values.tolist() == ["x", "x", "y"]
    assert result["onset"].values.tolist() == [0, 4, 0]


def test_sequences_take_the_names_of_loaded_runs() -> None:
    assert events_to_features([TABLE, TABLE])["run"].values[-1] == "run-02"
    assert events_to_features(TABLE)["run"].values[0] == "run-01"


def test_faults_are_named() -> None:
    with pytest.raises(AlignError, match="events of run-01: expected columns onset, duration"):
        events_to_features(TABLE.rename(columns={"stimulus": "trial_type"}))
    with pytest.raises(AlignError, match=r"events: expected tables.*got str"):
        events_to_features(["events.tsv"])  # type: ignore[list-item]
    features = features_from_arrays(np.eye(2), stimulus=["a", "c"])
    with pytest.raises(AlignError, match="all 2 labels of events, missing 1: 'b'"):
        events_to_features(TABLE, features)
