"""What a call left when it was killed goes to one that goes on, and to no two at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from neuroalign import storage
from neuroalign.study._scratch import clear_scratch, hold_scratch

NAME = "course-" + "0" * 32
HOLDER = """
import sys
from pathlib import Path
from neuroalign.study._scratch import hold_scratch
with hold_scratch(Path(sys.argv[1])) as place:
    place.mkdir(exist_ok=True)
    (place / "step").write_text("kept")
    print(place, flush=True)
    sys.stdin.readline()
"""


def start_holder(place: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline().strip() == str(place)
    return process


def test_what_ends_well_leaves_nothing(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with hold_scratch(work / NAME) as place:
        assert place == work / NAME
        place.mkdir()
        (place / "step").touch()
    assert not work.exists()


def test_what_fails_leaves_all_for_the_next(tmp_path: Path) -> None:
    def fail() -> None:
        with hold_scratch(tmp_path / "work" / NAME) as place:
            place.mkdir()
            (place / "step").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with hold_scratch(tmp_path / "work" / NAME) as place:
        assert [one.name for one in place.iterdir()] == ["step"]


def test_a_second_run_works_elsewhere_and_takes_nothing_of_the_first(tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = start_holder(work / NAME)
    try:
        with hold_scratch(work / NAME) as place:
            assert place != work / NAME
            place.mkdir()
        assert not place.exists()
        clear_scratch(work, lambda name: True)
        assert (work / NAME / "step").read_text() == "kept"
    finally:
        first.kill()
        first.communicate()
    # The kill freed it, and what the first one did is there.
    with hold_scratch(work / NAME) as place:
        assert (place / "step").read_text() == "kept"
    assert not work.exists()


def test_only_what_is_over_is_cleared(tmp_path: Path) -> None:
    work = tmp_path / "work"
    dead = f".{NAME}@{storage.name_owner().split('-')[0]}-4194305-x.partial"
    alive = f".{NAME}@{storage.name_owner()}.partial"
    for name in (NAME, "other-" + "1" * 32, dead, alive):
        (work / name).mkdir(parents=True)
    clear_scratch(work, lambda name: name == NAME)
    assert {one.name for one in work.iterdir()} == {"other-" + "1" * 32, alive}
    clear_scratch(tmp_path / "nowhere", lambda name: True)
