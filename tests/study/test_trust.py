"""Who may have written what is read: on shared disks, in records, in names."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuroalign import _formats
from neuroalign.errors import DataCorruptionError, SchemaError
from neuroalign.study import _seals, _trust, results
from neuroalign.study.calls import find
from neuroalign.study.checking import verify_study
from neuroalign.study.config import Study
from neuroalign.study.results import Results
from neuroalign.study.runner import plan_study, run_study
from tests.study.conftest import describe_study
from tests.study.test_crashes import make_array, make_task


def write_result(folder: Path) -> Results:
    found = Results(folder)
    found.write(make_task(), make_array(1.0), {})
    return found


def replace_by_link(place: Path) -> None:
    place.rename(place.parent.parent / "elsewhere")
    place.symlink_to(place.parent.parent / "elsewhere")


def link_a_file(place: Path) -> None:
    chunk = next(place.rglob("c/0/0"))
    copy = place.parent.parent / "chunk"
    chunk.rename(copy)
    chunk.symlink_to(copy)


def open_to_all(place: Path) -> None:
    next(place.rglob("c/0/0")).chmod(0o666)


def give_away(place: Path) -> None:
    os.chown(place, 12345, 12345)


PLANTED: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (replace_by_link, "got a link or a device"),
    "linked file": (link_a_file, "got a link or a device"),
    "open": (open_to_all, "got one that anyone may"),
    "foreign": (give_away, "got one of user 12345"),
}


@pytest.mark.parametrize("how", PLANTED)
def test_planted_entries_are_refused_and_computed_anew(tmp_path: Path, how: str) -> None:
    found, task = write_result(tmp_path / "out"), make_task()
    plant, said = PLANTED[how]
    if how == "foreign" and os.getuid() != 0:
        pytest.skip("only the administrator can give a folder away")
    plant(found.place(task))
    assert said in str(found.find_fault(task))
    with pytest.raises(DataCorruptionError, match=said):
        found.read(task)
    found.write(task, make_array(2.0), {})
    assert float(found.read(task).max()) == 2.0
    assert not found.place(task).is_symlink()


def test_results_of_the_owner_and_of_the_group_of_a_folder_are_taken(tmp_path: Path) -> None:
    found, task = write_result(tmp_path / "out"), make_task()
    if os.getuid() != 0:
        pytest.skip("only the administrator can give a folder away")
    for path in found.place(task).rglob("*"):
        os.chown(path, 12345, 54321)
    os.chown(found.place(task), 12345, 54321)
    assert "user 12345" in str(found.find_fault(task))
    os.chown(found.steps, 12345, -1)
    assert found.find_fault(task) is None, "it is the owner's folder"
    os.chown(found.steps, 0, 54321)
    found.steps.chmod(0o2775)
    assert found.find_fault(task) is None, "the group shares the folder"
    found.steps.chmod(0o2777)
    assert "user 12345" in str(found.find_fault(task)), "anyone may write there"


def test_results_follow_the_umask_but_are_never_open_to_all(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        found = write_result(tmp_path / "lax")
        os.umask(0o022)
        shared = write_result(tmp_path / "shared")
    finally:
        os.umask(before)
    for one in (found, shared):
        place = one.place(make_task())
        modes = [path.stat().st_mode for path in (place, *place.rglob("*"))]
        assert not any(mode & stat.S_IWOTH for mode in modes)
        assert all(mode & stat.S_IROTH for mode in modes), "colleagues may read"
        assert one.find_fault(make_task()) is None


def test_a_disk_without_modes_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write_result(tmp_path / "out")
    next(found.steps.rglob("c/0/0")).chmod(0o666)
    assert _trust.has_modes(found.steps)
    assert found.find_fault(make_task()) is not None
    monkeypatch.setattr(Path, "chmod", lambda self, mode: os.chmod(self, 0o777))
    assert not _trust.has_modes(found.steps)
    assert found.find_fault(make_task()) is None


def test_a_planted_record_reaches_no_other_place(tmp_path: Path) -> None:
    found, task = write_result(tmp_path / "out"), make_task()
    path = found.place(task) / "manifest.json"
    record = json.loads(path.read_text())
    store = found.place(task) / "0000.zarr"
    store.rename(tmp_path / "0000.zarr")
    record["parts"]["result"]["file"] = "../../../0000.zarr"
    path.write_text(_seals.to_text(record))
    assert "expected the part 'result' as it was written" in str(found.find_fault(task))


def test_secrets_and_the_home_folder_are_not_recorded(
    write_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "sesame-open")
    run = {"address": "tls://ada:lovelace@host:8786", "slurm": {"account_token": "sesame-open"}}
    changes = describe_study()["rsa"]
    changes["rdm"]["with"]["distance"] = "euclidean"
    run_study(write_study(rsa=changes, run=run))
    text = "".join(
        path.read_text(errors="ignore")
        for path in (tmp_path / "results").rglob("*")
        if path.is_file()
    )
    assert all(secret not in text for secret in ("sesame-open", "lovelace", str(tmp_path)))
    assert set(verify_study(tmp_path / "results").values()) == {""}


def test_records_without_what_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    said = _seals.redact(
        {
            "path": "/home/ada/data/x.nc",
            "other": "/home/adam/x.nc",
            "url": "see https://ada:key@host/x and s3://bucket/y",
            "hf_token": "abc",
            "tokenizer": "bpe",
            "n_tokens": 3,
            "list": ["/home/ada"],
        }
    )
    assert said == {
        "path": "~/data/x.nc",
        "other": "/home/adam/x.nc",
        "url": "see https://***@host/x and s3://bucket/y",
        "hf_token": "***",
        "tokenizer": "bpe",
        "n_tokens": 3,
        "list": ["~"],
    }
    assert _seals.bring_home(said)["path"] == "/home/ada/data/x.nc"


def test_a_study_in_the_home_folder_is_read_back_from_any_home(
    write_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuroalign.study.runner import read_study_folder

    monkeypatch.setenv("HOME", str(tmp_path))
    path = {"path": str(tmp_path / "responses.nc")}
    study = write_study(data={"brain": {"call": "storage.load", "with": {"path": path}}})
    run_study(study)
    assert str(tmp_path) not in (tmp_path / "results" / "study.json").read_text()
    again, tasks = read_study_folder(tmp_path / "results")
    assert again.data == study.data
    assert [step.state for step in plan_study(again, tmp_path / "results")] == ["done"] * 4
    assert len(tasks) == 4


def test_names_of_no_room_import_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("evil.x", "rsa..evil", "rsa.evil", "rsa.os.system", "os.system", "rsa.__class__"):
        with pytest.raises(SchemaError, match="here: expected a"):
            find(name, ("rsa",), "here")
    assert "evil" not in sys.modules


def test_only_the_rooms_of_a_study_are_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from neuroalign.study.calls import find\n"
        "find('rsa.compute_rdm', ('rsa',), 'here')\n"
        "print([m for m in ('torch', 'neuroalign.latents', 'neuroalign.features') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_result_is_hashed_once_while_it_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, task, hashed = write_result(tmp_path / "out"), make_task(), []
    monkeypatch.setattr(_trust, "TICK", -60.0)
    check = _formats.check_zarr
    monkeypatch.setattr(results, "check_zarr", lambda path: (hashed.append(path), check(path)))
    for _ in range(3):
        assert found.find_fault(task) is None
        found.read(task)
    assert len(hashed) == 1
    assert found.find_fault(task, fresh=True) is None
    assert len(hashed) == 2
    os.utime(next(found.place(task).rglob("c/0/0")))
    found.read(task)
    assert len(hashed) == 3


def test_what_was_written_just_now_is_hashed_again(tmp_path: Path) -> None:
    found, task = write_result(tmp_path / "out"), make_task()
    assert found.find_fault(task) is None
    chunk = next(found.place(task).rglob("c/0/0"))
    state = chunk.stat()
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(content)
    os.utime(chunk, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert "c/0/0" in str(found.find_fault(task))


def spoil_version(place: Path, text: str) -> None:
    path = place / "0000.zarr" / "neuroalign.json"
    content: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"schema_version": text}))
    record = json.loads((place / "manifest.json").read_text())
    record["parts"]["result"]["sha256"] = _formats.hash_file(path)
    (place / "manifest.json").write_text(_seals.to_text(record))


@pytest.mark.parametrize("version", ["0", "999"])
def test_results_of_other_versions_are_refused_with_the_version(
    tmp_path: Path, version: str
) -> None:
    found, task = write_result(tmp_path / "out"), make_task()
    spoil_version(found.place(task), version)
    assert f"got '{version}'. Read it with the version" in str(found.find_fault(task))
