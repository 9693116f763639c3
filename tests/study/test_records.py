"""A folder belongs to the study that filled it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from neuroalign.errors import NeuroalignError
from neuroalign.study import records
from neuroalign.study.config import Study, read_study
from neuroalign.study.runner import read_study_folder, run_study
from tests.study.conftest import describe_study

pytestmark = pytest.mark.usefixtures("plain_page")


def test_differences_are_told_by_their_place() -> None:
    old = {"title": "a", "run": {"workers": 2}, "rsa": {"r": {"with": {"x": 1, "y": [1]}}}}
    new = {"title": "b", "run": {"workers": 3}, "rsa": {"r": {"with": {"x": 2, "y": [1]}}}}
    assert records.list_differences(old, new) == ["title: 'a' -> 'b'", "rsa.r.with.x: 1 -> 2"]
    more = {**old, "data": {"d": {"call": "c" * 99}}, "encoding": {}}
    (line,) = records.list_differences(old, more)
    assert line.startswith("data: none -> ")
    assert len(line) < 90
    assert records.list_differences({**old, "data": {}}, more, partial=True) == []


def read_record(out: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads((out / "study.json").read_text())
    return content


def test_an_edit_is_told_and_the_old_record_kept(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    run_study(write_study())
    out = tmp_path / "results"
    before = read_record(out)
    other = describe_study()["rsa"]
    other["rdm"]["with"]["distance"] = "cosine"
    said: list[str] = []
    run_study(write_study(rsa=other), say=said.append)
    (kept,) = out.glob("study-*.json")
    assert json.loads(kept.read_text()) == before
    assert said[0] == (
        "the study changed since it ran here (rsa.rdm.with.distance: none -> 'cosine'); the old "
        f"record is {kept.name}"
    )
    assert not (out / "begun.json").exists()
    said.clear()
    run_study(write_study(rsa=other, run={"memory_budget": "1GB"}), say=said.append)
    assert said == ["0 of 4 tasks to do (serial)"]


def test_another_file_is_refused_with_what_differs(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study()
    run_study(study)
    before = read_record(tmp_path / "results")
    text = yaml.safe_dump(describe_study() | {"seed": 9})
    (tmp_path / "other.yaml").write_text(text)
    other = read_study(tmp_path / "other.yaml")
    with pytest.raises(NeuroalignError, match=r"got another .*other.yaml.*Differences: seed: 3 ->"):
        run_study(other)
    assert read_record(tmp_path / "results") == before
    assert read_study_folder(tmp_path / "results")[0] == study
    run_study(other, update=True)
    assert len([*(tmp_path / "results").glob("study-*.json")]) == 1


def test_the_same_study_under_another_name_is_no_other(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    write_study()
    (tmp_path / "study.yaml").rename(tmp_path / "renamed.yaml")
    study = read_study(tmp_path / "renamed.yaml")
    out = tmp_path / "out"
    out.mkdir()
    records.claim_folder(write_study(), out)
    assert records.claim_folder(study, out) == []


def test_a_study_that_shares_no_entry_or_lies_elsewhere_is_refused(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    study = write_study()
    # Begun is enough: what was done is there to be lost.
    records.claim_folder(study, out)
    renamed = write_study(data={}, features={}, rsa={}, encoding={})
    with pytest.raises(NeuroalignError, match="--update if this study is to replace that one"):
        records.check_folder(renamed, out)
    moved = study.model_copy(update={"folder": tmp_path / "elsewhere", "seed": 5})
    with pytest.raises(NeuroalignError, match=r"expected the study that filled this folder"):
        records.check_folder(moved, out)
    assert records.check_folder(moved, out, update=True) == ["seed: 3 -> 5"]


def test_a_record_that_cannot_be_read_refuses_nothing(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    for text in ("", "[]", '{"config": 3}'):
        (tmp_path / "study.json").write_text(text)
        assert records.check_folder(write_study(), tmp_path) == []
