"""Studies written for people come back as they were written."""

from pathlib import Path
from typing import Any

import pytest

from neuroalign.errors import NeuroalignError
from neuroalign.study.config import read_study
from neuroalign.study.writing import write_study
from tests.study.conftest import describe_study, write_inputs


def describe(**changes: Any) -> dict[str, Any]:
    return describe_study() | {"out": "."} | changes


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    shared = {"use": "encoders.Ridge", "alphas": 1e-3}
    content = describe()
    content["encoding"]["ridge"]["with"]["encoder"] = shared
    content["encoding"]["other"] = content["encoding"]["ridge"]
    study = write_study(content, tmp_path)
    assert read_study(tmp_path / "study.yaml") == study
    text = (tmp_path / "study.yaml").read_text()
    assert text.startswith("# A study: edit it")
    assert "&" not in text
    assert write_study(content, tmp_path) == study


def test_a_study_edited_by_hand_is_not_overwritten(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    write_study(describe(), tmp_path)
    path = tmp_path / "study.yaml"
    edited = path.read_text().replace("alphas: 1.0", "alphas: 9.0")
    path.write_text(edited)
    with pytest.raises(NeuroalignError, match=r"encoder.alphas: 9.0 -> 1.0\. Run it as it stands"):
        write_study(describe(), tmp_path)
    assert path.read_text() == edited
    write_study(describe(), tmp_path, update=True)
    (kept,) = tmp_path.glob("study-*.yaml")
    assert kept.read_text() == edited


def test_where_it_runs_may_be_edited(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    write_study(describe(), tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(path.read_text() + "run: {executor: processes}\n")
    assert write_study(describe(), tmp_path).run.executor == "processes"
