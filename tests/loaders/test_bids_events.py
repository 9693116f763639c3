"""Each run meets its own events, however files are padded and sorted."""

from pathlib import Path

import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders import find_bids_events

TABLE = "onset\tduration\ttrial_type\n0\t1\ta\n"


def write_runs(root: Path, labels: list[str], task: str = "look") -> None:
    place = root / "sub-01" / "func"
    place.mkdir(parents=True, exist_ok=True)
    for label in labels:
        for ending in ("bold.nii.gz", "events.tsv"):
            (place / f"sub-01_task-{task}_run-{label}_{ending}").write_text(TABLE)


@pytest.mark.parametrize("pad", [1, 2])
def test_twelve_runs_meet_their_own_tables(pad: int, tmp_path: Path) -> None:
    write_runs(tmp_path, [f"{number:0{pad}d}" for number in range(1, 13)])
    write_runs(tmp_path, ["1"], task="looktwice")
    found = find_bids_events(tmp_path, subject="sub-01", task="look")
    assert list(found) == [f"run-{number:02d}" for number in range(1, 13)]
    for number, path in enumerate(found.values(), start=1):
        assert path.name == f"sub-01_task-look_run-{number:0{pad}d}_events.tsv"


def test_runs_without_events_are_named(tmp_path: Path) -> None:
    write_runs(tmp_path, ["1", "2"])
    tables = sorted(tmp_path.rglob("*events.tsv"))
    tables[1].unlink()
    with pytest.raises(LoadError, match=r"got none for 'run-02'"):
        find_bids_events(tmp_path, subject="01", task="look")
    tables[0].unlink()
    with pytest.raises(LoadError, match=r"events\.tsv beside the runs of task 'look', got none"):
        find_bids_events(tmp_path, subject="01", task="look")
