"""Every bad row of an events table is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.events import check_events, label_times, load_events

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


def frame(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"onset": [0.0, 4.0], "duration": [2.0, 2.0], **columns})


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (frame(stimulus=["a", None]), "expected a stimulus in every row, got 'nan' in row 1"),
        (frame(stimulus=[1, 2]), "expected strings, got 1"),
        (frame(trial_type=["a", "nan"]), "expected strings, got a missing value"),
        (frame(stimulus=["a", "b"], onset=[0.0, np.nan]), "expected onset in seconds, got 'nan'"),
        (frame(stimulus=["a", "b"], onset=[0.0, 999.0]), "expected events inside the run"),
        (frame(), "expected column 'trial_type'"),
    ],
)
def test_a_table_in_memory_is_held_to_the_same(events: pd.DataFrame, message: str) -> None:
    with pytest.raises(LoadError, match=f"events of run-01: .*{message}"):
        check_events(events, "events of run-01", run_duration=20.0)


def test_a_table_in_memory_is_sorted() -> None:
    events = check_events(frame(stimulus=["b", "a"], onset=[8.0, 1.0]), "events")
    assert events["stimulus"].tolist() == ["a", "b"]


def test_a_block_goes_on_after_a_target_inside_it() -> None:
    events = pd.DataFrame(
        {"onset": [0.0, 4.0], "duration": [20.0, 2.0], "stimulus": ["block", "target"]}
    )
    named = label_times(events, np.arange(0.0, 24.0, 2.0))
    assert named.tolist() == ["block"] * 2 + ["target"] + ["block"] * 7 + ["rest"] * 2


def test_a_folder_and_a_page_are_no_events(tmp_path: Path) -> None:
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(LoadError, match="folder.tsv: .*got a folder"):
        load_events(tmp_path / "folder.tsv")
    page = tmp_path / "page.tsv"
    page.write_text("<!DOCTYPE html><html>log in</html>")
    with pytest.raises(DataCorruptionError, match="page.tsv: .*HTML.*download it again"):
        load_events(page)
