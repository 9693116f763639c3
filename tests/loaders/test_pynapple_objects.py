"""Pynapple's groups and intervals become counts and events."""

from pathlib import Path

import numpy as np
import pandas as pd
import pynapple as nap
import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders.pynapple_objects import events_from_pynapple, from_pynapple
from neuroalign.storage import load, save

WINDOW = {"window": (0.0, 1.0), "bin_width": 0.1}


@pytest.fixture
def group() -> nap.TsGroup:
    trains = {3: nap.Ts(np.array([0.3, 2.1])), 11: nap.Ts(np.array([0.6, 2.35]))}
    support = nap.IntervalSet([0.0, 2.0], [1.0, 2.5])
    return nap.TsGroup(trains, time_support=support, metadata={"location": ["adn", "ca1"]})


@pytest.fixture
def events() -> pd.DataFrame:
    epochs = nap.IntervalSet([0.0, 2.0], [1.0, 2.2], metadata={"odour": ["a", "b"]})
    return events_from_pynapple(epochs, stimulus="odour")


def test_intervals_become_events(events: pd.DataFrame) -> None:
    assert events["onset"].tolist() == [0.0, 2.0]
    np.testing.assert_allclose(events["duration"], [1.0, 0.2])
    assert events["stimulus"].tolist() == ["a", "b"]


def test_groups_become_counts_with_their_metadata(
    group: nap.TsGroup, events: pd.DataFrame, tmp_path: Path
) -> None:
    counts = from_pynapple(group, events, **WINDOW)
    assert counts["neuroid"].values.tolist() == ["3", "11"]
    assert counts["region"].values.tolist() == ["adn", "ca1"]
    assert np.argwhere(counts.values > 0).tolist() == [[0, 0, 3], [0, 1, 6], [1, 0, 1], [1, 1, 3]]
    save(counts, tmp_path / "counts.nc")
    assert load(tmp_path / "counts.nc").identical(counts)


def test_bins_outside_the_time_support_are_missing(
    group: nap.TsGroup, events: pd.DataFrame
) -> None:
    counts = from_pynapple(group, events, **WINDOW)
    assert counts["valid"].values.sum(axis=1).tolist() == [10, 5]
    assert np.isnan(counts.values[1, :, 5:]).all()


def test_trials_may_end_with_their_intervals(group: nap.TsGroup, events: pd.DataFrame) -> None:
    counts = from_pynapple(group, events, window=None, bin_width=0.1)
    assert counts["valid"].values.sum(axis=1).tolist() == [10, 2]


def test_counts_agree_with_pynapples_own(group: nap.TsGroup, events: pd.DataFrame) -> None:
    ours = from_pynapple(group, events.iloc[:1], **WINDOW)
    theirs = group.count(0.1, nap.IntervalSet(0.0, 1.0)).values.T
    np.testing.assert_array_equal(ours.values[0], theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The 'manufacturer' field:DeprecationWarning")
def test_a_real_recording_has_its_known_counts(real_data: Path) -> None:
    file = nap.load_file(str(real_data / "nwb_pynapple_A8604" / "A8604-211122.nwb"))
    # Bins that are not wholly inside the time support are missing: let one bin hold all of it.
    wide = nap.IntervalSet(-1.0, 1100.0)
    group = nap.TsGroup({k: nap.Ts(ts.t) for k, ts in file["units"].items()}, time_support=wide)
    events = pd.DataFrame({"onset": [0.0], "stimulus": ["all"]})
    counts = from_pynapple(group, events, window=(0.0, 1090.0), bin_width=1090.0)
    assert counts.values.ravel().tolist() == [11020, 4690, 5644]
    file.close()


def test_other_objects_and_columns_are_refused(group: nap.TsGroup, events: pd.DataFrame) -> None:
    with pytest.raises(LoadError, match="expected a pynapple TsGroup, got Ts"):
        from_pynapple(group[3], events, **WINDOW)
    with pytest.raises(LoadError, match="expected a pynapple IntervalSet, got TsGroup"):
        events_from_pynapple(group, stimulus="odour")
    epochs = nap.IntervalSet([0.0], [1.0])
    with pytest.raises(LoadError, match="expected metadata column 'odour', got none"):
        events_from_pynapple(epochs, stimulus="odour")
