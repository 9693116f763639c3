"""What is printed is safe, laid out, and one object where JSON is asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.study import terminal
from neuroalign.study._numbers import pick_numbers
from neuroalign.study.config import Study


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert terminal.printable("a\x1b[31mb\nc\r\x07") == "a\\x1b[31mb\nc\\r\\x07"


def test_tables_stand_under_their_names() -> None:
    rows = [{"task": "a", "state": "done"}, {"task": "long\nname", "state": ""}]
    assert terminal.lay_out(rows).splitlines() == [
        "task       state",
        "a          done",
        "long name",
    ]
    assert terminal.lay_out([]) == "nothing"


def test_errors_are_one_line() -> None:
    ours = SchemaError("x: expected y,\ngot z.")
    ours.add_note("in rsa.r")
    ours.add_note("Traceback\n  of a worker")
    assert terminal.describe_error(ours) == "x: expected y, got z. (in rsa.r)"
    assert terminal.describe_error(KeyError("x")) == "KeyError: 'x'"


def test_the_doctor_is_laid_out() -> None:
    found = {"python": "3", "libraries": {"numpy": "2"}, "extras": {"meg": False, "fmri": True}}
    assert terminal.list_notes(found).splitlines() == [
        "python: 3",
        "libraries: numpy 2",
        "extra meg: pip install 'neuroalign[meg]'",
        "extra fmri: there",
    ]


def test_a_study_is_planned_run_and_told(
    write_study: Callable[..., Study], tmp_path: Path, capsys: Any
) -> None:
    study = write_study()
    terminal.run_and_tell(study, dry_run=True)
    assert capsys.readouterr().out.count("to do") == 4
    assert not (tmp_path / "results").exists()
    terminal.run_and_tell(study)
    found = capsys.readouterr()
    progress, lines = found.err.splitlines(), found.out.splitlines()
    assert progress[0] == "4 of 4 tasks to do (serial)"
    assert progress[3].startswith("ridge: done in ")
    assert progress[3].endswith(" s (3 of 4)")
    assert lines[0].startswith("ridge: Pearson r ")
    assert lines[-1] == f"report: {tmp_path / 'results' / 'report.html'}"
    terminal.run_and_tell(study, quiet=True)
    assert len(capsys.readouterr().out.splitlines()) == 1
    terminal.run_and_tell(study, as_json=True, resume=False)
    told = json.loads(capsys.readouterr().out)
    assert told["report"].endswith("report.html")
    assert f"ridge: {told['results']['ridge']['verdict']}" == lines[0]
    assert told["results"]["ridge"]["numbers"]["score_mean"] == pytest.approx(
        float(lines[0].split("Pearson r ")[1].split()[0]), abs=6e-4
    )


def test_numbers_are_picked_as_json_holds_them() -> None:
    made = xr.Dataset(
        {
            "d": 0.5,
            "p": np.nan,
            "score": (("fold", "neuroid"), [[1.0, 3.0], [np.nan, 2.0]]),
            "weight": ("roi", [1.0, 2.0]),
            "curve": ("lag", [0.5, np.inf]),
            "long": ("t", np.zeros(99)),
            "q_value": ("neuroid", [0.1, 0.2]),
            "ceiling": ("neuroid", [0.25, 0.75]),
            "name": ("roi", ["a", "b"]),
        },
        {"roi": ["V1", "V2"]},
    )
    assert pick_numbers(made) == {
        **{"d": 0.5, "p": None, "score_mean": 2.0, "ceiling_mean": 0.5},
        **{"weight": {"V1": 1.0, "V2": 2.0}, "curve": [0.5, None]},
    }
    assert pick_numbers(made["weight"]) == {}


@pytest.mark.usefixtures("plain_page")
def test_a_study_without_a_page_says_so(write_study: Callable[..., Study], capsys: Any) -> None:
    terminal.run_and_tell(write_study(encoding={}, rsa={}))
    assert capsys.readouterr().out.splitlines()[-1] == terminal.NO_PAGE


@pytest.mark.usefixtures("plain_page")
def test_what_begins_is_said_on_a_terminal_alone(
    write_study: Callable[..., Study], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study()
    terminal.run_and_tell(study)
    assert "begun" not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    terminal.run_and_tell(study, resume=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "brain: begun (1 of 4)"
    assert lines[2].startswith("brain: done in ")
    assert lines[5] == "ridge: begun (3 of 4)"
