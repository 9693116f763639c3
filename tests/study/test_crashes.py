"""What dies in the middle leaves the old or the new, and no process behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign._formats import is_running
from neuroalign.study import executors
from neuroalign.study.config import Run
from neuroalign.study.executors import WorkerError
from neuroalign.study.results import Results
from neuroalign.study.tasks import Task
from tests.study.killing import MARK, kill, list_children, list_marked, wait_until
from tests.study.test_executors import make_job

# Kills itself at the n-th call that changes a name or makes sure that bytes are on the disk.
WRITER = """
import os, shutil, signal, sys
from pathlib import Path
from tests.study.test_crashes import make_array, make_task
from neuroalign import storage
from neuroalign.study.results import Results
out, left = sys.argv[1], int(sys.argv[2])
def fail(call):
    def counted(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        made = call(*arguments, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return made
    return counted
for owner, name in ((os, "replace"), (os, "fsync"), (os, "rename"), (Path, "rename"),
                    (Path, "mkdir"), (Path, "write_text"), (shutil, "rmtree"), (os, "link")):
    setattr(owner, name, fail(getattr(owner, name)))
{body}
print("ended", flush=True)
"""
RESULT = "Results(out).write(make_task(), make_array(2.0), {})"
NETCDF = "storage.save(make_array(2.0), out + '/x.nc', overwrite=True)"
ZARR = "storage.save(make_array(2.0), out + '/x.zarr', overwrite=True)"


def make_array(value: float) -> xr.DataArray:
    return xr.DataArray(np.full((3, 2), value), dims=("first", "second"), name="x")


def make_task(name: str = "t") -> Task:
    return Task(name, "rsa", "rsa.compute_rdm", {}, (), (), "0" * 32, "", 0)


def fork_killed(body: str, out: Path, at: int) -> bool:
    """Run code that kills itself at a call, in a fork of this process; whether it did."""
    child = os.fork()
    if child == 0:
        sys.argv = ["writer", str(out), str(at)]
        code = 1
        # Threads that an earlier test started do not survive a fork; dask would wait for them.
        dask.config.set(scheduler="synchronous")
        try:
            exec(compile(WRITER.format(body=body), "writer", "exec"), {})
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def kill_at_every_call(body: str, out: Path, check: Any) -> int:
    at = 1
    while fork_killed(body, out, at):
        check()
        at += 1
    return at - 1


@pytest.mark.slow
def test_a_result_is_whole_or_absent_wherever_its_writer_dies(tmp_path: Path) -> None:
    results, task, seen = Results(tmp_path), make_task(), []

    def check() -> None:
        fault = results.find_fault(task)
        seen.append(fault)
        assert fault in (None, "absent")
        gone = results.clear_remnants()
        assert (fault is None) or len(gone) <= 1
        assert [path.name for path in results.steps.glob(".*")] == []
        results.remove(task)

    assert kill_at_every_call(RESULT, tmp_path, check) >= 10
    assert {None, "absent"} == set(seen), "before the rename and after it"


@pytest.mark.slow
def test_a_corrupt_result_is_replaced_or_stays_wherever_its_writer_dies(tmp_path: Path) -> None:
    results, task = Results(tmp_path), make_task()

    def spoil() -> None:
        results.remove(task)
        results.write(task, make_array(1.0), {})
        next(results.place(task).rglob("c/0/0")).write_bytes(b"spoilt")

    def check() -> None:
        fault = results.find_fault(task)
        assert fault in (None, "absent") or "c/0/0" in fault
        results.clear_remnants()
        assert list(results.steps.glob(".*")) == []
        spoil()

    spoil()
    assert kill_at_every_call(RESULT, tmp_path, check) >= 10
    assert results.find_fault(task) is None


@pytest.mark.parametrize(("body", "name"), [(NETCDF, "x.nc"), (ZARR, "x.zarr")])
def test_a_file_is_old_or_new_wherever_its_writer_dies(
    tmp_path: Path, body: str, name: str
) -> None:
    path = storage.save(make_array(1.0), tmp_path / name)

    def check() -> None:
        kept = path if path.exists() else next(tmp_path.glob(f"{name}.*.old.partial"))
        if kept != path:
            with pytest.raises(FileNotFoundError, match=r"set aside: .*old\.partial\. Rename it"):
                storage.load(path)
            kept.rename(path)
        assert float(storage.load(path).max()) in (1.0, 2.0)

    assert kill_at_every_call(body, tmp_path, check) >= 4
    assert float(storage.load(path).max()) == 2.0


# A shell that starts tests in the background hands down that interrupts are ignored.
SLEEPER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {root!r})
from pathlib import Path
from neuroalign.study import executors
from neuroalign.study.config import Run
from tests.study import test_crashes
from tests.study.test_executors import make_job
executors.run_task = test_crashes.{task}
jobs = [make_job("a"), make_job("b")]
run = Run(executor={executor!r}, workers=2)
if __name__ == "__main__":
    import typer
    from neuroalign import cli
    cli.app = typer.Typer(pretty_exceptions_enable=False)
    @cli.app.command()
    def run_jobs(out: Path) -> None:
        executors.EXECUTORS[{executor!r}](jobs, run, out, print)
    cli.main()
"""


def compute_long(description: dict[str, Any], others: Any, out: str, threads: int) -> str:
    """Compute for a minute, in steps that hold the interpreter."""
    (Path(out) / f"{description['name']}-{os.getpid()}").touch()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        sum(range(1_000_000))
    return str(description["name"])


def die(description: dict[str, Any], others: Any, out: str, threads: int) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def list_left(before: set[str]) -> list[str]:
    """Shared memory that came since and that no living process, of another test, owns."""

    def has_owner(name: str) -> bool:
        return any(part.isdigit() and is_running(int(part)) for part in name.split("-"))

    return [name for name in set(os.listdir("/dev/shm")) - before if not has_owner(name)]


def start_sleeper(folder: Path, executor: str) -> Any:
    code = SLEEPER.format(
        root=str(Path(__file__).parents[2]), task="compute_long", executor=executor
    )
    script = folder / "sleeper.py"
    script.write_text(code)
    (folder / "out").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder / "out")],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, MARK: str(folder)},
    )  # fmt: skip
    at_once = 1 if executor == "serial" else 2
    assert wait_until(lambda: len(list((folder / "out").glob("[ab]-*"))) == at_once, 60)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path, executor: str) -> None:
    before = set(os.listdir("/dev/shm"))
    process = start_sleeper(tmp_path, executor)
    assert len(list_marked(str(tmp_path))) >= 3
    kill(process.pid)
    process.communicate()
    assert wait_until(lambda: not list_marked(str(tmp_path)), 5), "no orphans"
    assert wait_until(lambda: not list_left(before), 20)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "processes", "dask"])
def test_ctrl_c_ends_all_within_seconds(tmp_path: Path, executor: str) -> None:
    before = set(os.listdir("/dev/shm"))
    process = start_sleeper(tmp_path, executor)
    started = time.monotonic()
    # As a terminal does: to all processes of the group.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert wait_until(lambda: not list_marked(str(tmp_path)), 1)
    assert wait_until(lambda: not list_left(before), 20)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_who_always_kills_its_worker_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    monkeypatch.setattr(executors, "run_task", die)
    run = Run.model_validate({"executor": executor, "workers": 2})
    with pytest.raises(WorkerError, match=r"a: expected its worker to live.*run out of memory"):
        executors.EXECUTORS[executor]([make_job("a")], run, tmp_path, print)
    assert not list_children(os.getpid())
