"""Disks that are full, closed or spoilt, and entries that strangers planted."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, NeuroalignError
from neuroalign.study.checking import verify_study
from neuroalign.study.config import Study, read_study
from neuroalign.study.results import Results
from neuroalign.study.runner import plan_study, run_study
from tests.study.test_crashes import make_array, make_task
from tests.study.test_results import SPOIL

WRITER = """
import resource, sys
from neuroalign import storage
from neuroalign.study.results import Results
from tests.study.test_crashes import make_array, make_task
size = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
array = make_array(2.0).isel(first=[0] * 400, second=[0] * 40)
try:
    if sys.argv[3] == "result":
        Results(sys.argv[1]).write(make_task(), array, {})
    else:
        storage.save(array, sys.argv[1] + "/x" + sys.argv[3], overwrite=True)
except OSError as error:
    print(error)
    sys.exit(1)
"""


def write_limited(folder: Path, size: int, what: str) -> Any:
    command = [sys.executable, "-c", WRITER, str(folder), str(size), what]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["result", ".nc", ".zarr"])
@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, what: str, size: int) -> None:
    if what != "result":
        storage.save(make_array(1.0), tmp_path / f"x{what}")
    done = write_limited(tmp_path, size, what)
    # What the writer writes is larger than some of the limits and smaller than others.
    if done.returncode == 0:
        assert what != ".nc"
        assert size == 5000
        return
    assert done.returncode == 1, done.stderr[-800:]
    assert "expected to be written, got 'File too large'" in done.stdout
    assert "What stood there before is as it was" in done.stdout
    assert not done.stderr
    if what == "result":
        assert Results(tmp_path).find_fault(make_task()) == "absent"
        assert not list((tmp_path / "steps").iterdir())
    else:
        assert float(storage.load(tmp_path / f"x{what}").max()) == 1.0
        assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB, where one may be made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("room", [1, 10, 30, 60])
def test_a_study_on_a_full_disk_ends_cleanly_and_goes_on_with_room(
    write_study: Callable[..., Study], tmp_path: Path, small_disk: Path, room: int
) -> None:
    write_study()
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1024 * (300 - 4 * room)))
    command = [sys.executable, "-m", "neuroalign", "run", str(tmp_path / "study.yaml")]
    command += ["--out", str(small_disk / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "Make room there, or write elsewhere" in done.stderr
    assert "Traceback" not in done.stderr
    whole = [one.name for one in (small_disk / "out" / "steps").glob("*")]
    filler.unlink()
    planned = plan_study(read_study(tmp_path / "study.yaml"), small_disk / "out")
    assert sum(step.state == "done" for step in planned) == len(whole)
    assert not any(step.state == "corrupt" for step in planned)


def test_a_disk_that_takes_no_writes_is_named(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, folder = write_study(), tmp_path / "closed"
    folder.mkdir()
    bind = ["mount", "--bind", str(folder), str(folder)]
    if os.getuid() != 0 or subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        with pytest.raises(OSError, match=r"x\.nc: expected to be written, got 'Read-only file"):
            storage.save(make_array(1.0), folder / "x.nc")
        with pytest.raises(OSError, match=r"closed.*Read-only file system"):
            run_study(study, folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_is_closed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError, match=r"t-0+: expected .* Have its folder made writable"):
        Results(tmp_path).write(make_task(), make_array(1.0), {})


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("mine")
    with pytest.raises(OSError, match=r"t-0+: .* A file stands where a folder should be"):
        Results(tmp_path).write(make_task(), make_array(1.0), {})
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"x\.nc: .* A file stands where a folder should be"):
        storage.save(make_array(1.0), tmp_path / "file" / "x.nc")
    assert (tmp_path / "steps").read_text() == "mine"


@pytest.mark.slow
def test_every_spoilt_file_is_named_and_it_alone_computed_anew(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, out = write_study(), tmp_path / "results"
    run_study(study)
    shutil.copytree(out, tmp_path / "good", symlinks=True)
    files = sorted(path.relative_to(out) for path in out.glob("steps/*/**/*") if path.is_file())
    for number, file in enumerate(files):
        name = file.parts[1].rpartition("-")[0]
        SPOIL[[*SPOIL][number % len(SPOIL)]](out / file)
        faults = verify_study(out)
        assert [one for one, fault in faults.items() if fault] == [name], file
        todo = [step.task.name for step in plan_study(study) if step.state != "done"]
        assert todo == [name], file
        shutil.copy2(tmp_path / "good" / file, out / file)
    assert len(files) > 40
    assert set(verify_study(out).values()) == {""}


def test_what_lies_above_a_spoilt_result_stays(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, said = write_study(), []
    run_study(study)
    before = {path.name: path.stat().st_ino for path in tmp_path.glob("results/steps/*")}
    shutil.rmtree(next(tmp_path.glob("results/steps/brain-*/0000.zarr/*/")))
    run_study(study, say=said.append)
    assert next(line for line in said if "anew" in line).startswith("brain: corrupt, computed anew")
    after = {path.name: path.stat().st_ino for path in tmp_path.glob("results/steps/*")}
    changed = [name for name in before if before[name] != after[name]]
    assert [name.partition("-")[0] for name in changed] == ["brain"]


@pytest.mark.parametrize("how", SPOIL)
def test_a_spoilt_record_of_a_study_is_named(
    write_study: Callable[..., Study], tmp_path: Path, how: str
) -> None:
    run_study(write_study())
    SPOIL[how](tmp_path / "results" / "study.json")
    with pytest.raises(NeuroalignError, match=r"study\.json: expected the record of a finished"):
        verify_study(tmp_path / "results")
    command = [sys.executable, "-m", "neuroalign", "verify", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "study.json" in done.stderr


def test_a_rename_that_is_no_single_step_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network disks copy; a kill in the middle leaves a part under the final name."""
    found, task = Results(tmp_path), make_task()

    def copy_half(self: Path, target: Path) -> None:
        if target != found.place(task):
            os.replace(self, target)
            return
        for number, path in enumerate(sorted(self.rglob("*"))):
            place = target / path.relative_to(self)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                shutil.copy(path, place)
            if number == 3:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", copy_half)
        with pytest.raises(KeyboardInterrupt):
            found.write(task, make_array(1.0), {})
    assert found.find_fault(task) not in (None, "absent")
    found.write(task, make_array(2.0), {})
    assert float(found.read(task).max()) == 2.0


def test_a_disk_without_hard_links_holds_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    path = storage.save(make_array(1.0), tmp_path / "x.nc")
    assert float(storage.load(path).max()) == 1.0
    partial = tmp_path / "late"
    partial.write_text("another")
    with pytest.raises(FileExistsError, match="another process wrote meanwhile"):
        storage._put(partial, path, overwrite=False)
    assert float(storage.load(path).max()) == 1.0


def test_a_store_that_is_spoilt_says_so_without_hashes_too(tmp_path: Path) -> None:
    path = storage.save(make_array(1.0), tmp_path / "x.zarr")
    (path / "zarr.json").write_text("spoilt")
    with pytest.raises(DataCorruptionError, match=r"x\.zarr: expected a whole store, got"):
        storage.load(path, verify=False)
