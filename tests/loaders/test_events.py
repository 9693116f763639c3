"""Every bad row of an events table is named."""

from pathlib import Path

import numpy as np
import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders.events import label_times, load_events

HEAD = "onset\tduration\ttrial_type\n"


def table(tmp_path: Path, rows: str, head: str = HEAD) -> Path:
    path = tmp_path / "events.tsv"
    path.write_text(head + rows, encoding="utf-8")
    return path


def test_rows_are_sorted_and_labels_stay_text(tmp_path: Path) -> None:
    events = load_events(table(tmp_path, "4\t2\t001\n0\t2\tNA\n"))
    assert events["stimulus"].tolist() == ["NA", "001"]
    assert events["onset"].tolist() == [0.0, 4.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("n/a\t1\tface\n", "expected onset in seconds, got 'n/a' in row 0"),
        ("0\t-1\tface\n", "expected duration >= 0 s, got -1 in row 0"),
        ("0\t1\tn/a\n", "expected a trial_type in every row, got 'n/a' in row 0"),
        ("9\t1\tcat\n99\t1\tface\n", "got 1 of 2 that end later: first onset 99 'face'"),
        ("1\t1\tcat\n1\t1\tcat\n", "got 'cat' at 1 s again in row 1"),
    ],
)
def test_each_bad_row_is_named(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(LoadError, match=rf"events\.tsv: .*{message}"):
        load_events(table(tmp_path, rows), run_duration=50)


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="expected column 'trial_type'"):
        load_events(table(tmp_path, "1\t2\n", "onset\tduration\n"))
    with pytest.raises(FileNotFoundError, match=r"gone\.tsv"):
        load_events(tmp_path / "gone.tsv")


def test_times_take_the_event_that_is_on(tmp_path: Path) -> None:
    events = load_events(table(tmp_path, "2\t3\ta\n5\t1\tb\n"))
    names = label_times(events, np.array([0.0, 2.0, 4.9, 5.0, 6.0]))
    assert names.tolist() == ["rest", "a", "a", "b", "rest"]
