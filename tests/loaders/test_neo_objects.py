"""Neo's trains and events in their units of time become counts."""

from pathlib import Path
from typing import Any

import neo
import numpy as np
import pandas as pd
import pytest
import quantities as pq

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.neo_objects import events_from_neo, from_neo, read_neo
from neuroalign.storage import load, save

WINDOW = {"window": (0.0, 1.0), "bin_width": 0.1}


def make_block(**names: Any) -> neo.Block:
    segment = neo.Segment(name="s")
    for times, unit, note in (([300, 1300], "ms", "V1"), ([0.65], "s", "V4")):
        train = neo.SpikeTrain(
            times * getattr(pq, unit), t_start=0 * pq.s, t_stop=1.75 * pq.s, units=unit
        )
        train.name = names.get(note)
        train.annotate(region=note)
        segment.spiketrains.append(train)
    epoch = neo.Epoch([1000, 0] * pq.ms, [500, 500] * pq.ms, ["b", "a"], name="trials")
    segment.epochs.append(epoch)
    block = neo.Block(name="recording")
    block.segments.append(segment)
    return block


def test_trains_are_counted_in_seconds() -> None:
    block = make_block(V1="one", V4="two")
    counts = from_neo(block, events_from_neo(block), **WINDOW)
    assert counts["neuroid"].values.tolist() == ["one", "two"]
    assert counts["region"].values.tolist() == ["V1", "V4"]
    assert np.argwhere(counts.values > 0).tolist() == [[0, 0, 3], [0, 1, 6], [1, 0, 3]]
    assert counts.attrs["source"] == "recording"


def test_bins_outside_the_recording_are_missing(tmp_path: Path) -> None:
    block = make_block()
    counts = from_neo(block.segments[0], events_from_neo(block), **WINDOW)
    assert counts["valid"].values.sum(axis=1).tolist() == [10, 7]
    assert np.isnan(counts.values[1, :, 7:]).all()
    save(counts, tmp_path / "counts.nc")
    assert load(tmp_path / "counts.nc").identical(counts)


def test_trains_without_their_own_names_are_numbered() -> None:
    block = make_block(V1="same", V4="same")
    counts = from_neo(block, events_from_neo(block), **WINDOW)
    assert counts["neuroid"].values.tolist() == ["unit-0000", "unit-0001"]


def test_epochs_and_events_become_a_sorted_table() -> None:
    block = make_block()
    assert events_from_neo(block).to_numpy().tolist() == [[0.0, 0.5, "a"], [1.0, 0.5, "b"]]
    block.segments[0].events.append(neo.Event([2] * pq.s, labels=["go"], name="cue"))
    assert events_from_neo(block, name="cue").to_numpy().tolist() == [[2.0, 0.0, "go"]]
    with pytest.raises(LoadError, match=r"epochs and events \('trials', 'cue'\), got None"):
        events_from_neo(block)


def test_events_without_labels_are_refused() -> None:
    segment = neo.Segment()
    segment.events.append(neo.Event([1, 2] * pq.s, labels=["a", ""], name="cue"))
    with pytest.raises(LoadError, match="cue: expected a label for each of 2 events, got 1"):
        events_from_neo(segment)


def test_matlab_files_that_neo_wrote_give_the_same_counts(tmp_path: Path) -> None:
    path, block = tmp_path / "block.mat", make_block(V1="one", V4="two")
    neo.io.NeoMatlabIO(str(path)).write_block(block)
    events = events_from_neo(block)
    counts = from_neo(read_neo(path, reader="NeoMatlabIO"), events, **WINDOW)
    np.testing.assert_array_equal(counts.values, from_neo(block, events, **WINDOW).values)
    assert counts.attrs["source"] == "block.mat"


def test_a_block_of_several_segments_asks_which() -> None:
    block = make_block()
    block.segments.append(make_block().segments[0])
    with pytest.raises(LoadError, match="segment: expected 0 to 1, got None"):
        events_from_neo(block)
    assert len(events_from_neo(block, segment=1)) == 2


def test_other_objects_and_empty_segments_are_refused() -> None:
    events = pd.DataFrame({"onset": [0.0], "stimulus": ["a"]})
    with pytest.raises(LoadError, match="expected a neo Block or Segment, got list"):
        from_neo([], events, **WINDOW)
    with pytest.raises(LoadError, match="expected spike trains in the segment, got none"):
        from_neo(neo.Segment(), events, **WINDOW)


def test_files_that_neo_cannot_read_are_named(tmp_path: Path, real_data: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.nwb"):
        read_neo(tmp_path / "gone.nwb", reader="NWBIO")
    path = real_data / "nwb_pynapple_A8604" / "A8604-211122.nwb"
    with pytest.raises(DataCorruptionError, match=r"A8604-211122\.nwb: expected what neo's NWBIO"):
        read_neo(path, reader="NWBIO")


@pytest.mark.parametrize("reader", ["PickleIO", "ElphyIO"])
def test_readers_that_can_run_code_are_not_offered(tmp_path: Path, reader: str) -> None:
    with pytest.raises(ValueError, match=rf"reader: expected one of .* got '{reader}'"):
        read_neo(tmp_path / "x.pkl", reader=reader)
