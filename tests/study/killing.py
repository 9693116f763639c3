"""Studies that are killed while they run, again and again: how, and what is to come of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from tests.study.conftest import write_inputs

MARK = "NEUROALIGN_TEST_MARK"
DISTANCES = ("correlation", "euclidean", "cosine", "squared_euclidean")
# Loads all that a run imports once; each line on its input forks a run, whose number it prints.
ZYGOTE = """
import os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
import neuroalign.rsa, neuroalign.evaluate, neuroalign.encoders, neuroalign.study.worker
from neuroalign.study.config import read_study
from neuroalign.study.runner import run_study
{preamble}
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.stdin.close()
        os.setsid()
        code = 1
        try:
            run_study(read_study({study!r}), line.strip())
            code = 0
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
        os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def write_long_study(folder: Path, n_tasks: int, run: dict[str, Any]) -> Path:
    """Write a study of many small tasks."""
    folder.mkdir(parents=True, exist_ok=True)
    write_inputs(folder)
    load = {"call": "storage.load", "with": {"path": {"path": "responses.nc"}}}
    call = {"call": "rsa.compute_rdm", "report": False}
    rdms = {
        f"rdm{n:02d}": call
        | {"with": {"responses": "@brain", "distance": DISTANCES[n % len(DISTANCES)]}}
        for n in range(n_tasks - 1)
    }
    study = {"title": "long", "seed": 1, "data": {"brain": load}, "rsa": rdms, "run": run}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


class Runner:
    """Starts runs of one study, each as the leader of its own group of processes."""

    def __init__(self, study: Path, environment: dict[str, str], preamble: str = "") -> None:
        self.mark = f"{study}-{os.getpid()}"
        self.started = False
        root = str(Path(__file__).parents[2])
        code = ZYGOTE.format(root=root, study=str(study), preamble=preamble)
        self.log = (study.parent / "runs.log").open("w")
        threads = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
        self.zygote = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env={**os.environ, **threads, **environment, MARK: self.mark},
        )  # fmt: skip

    def start(self, out: Path) -> int:
        """Start a run; the number of its process and group."""
        assert self.zygote.stdin
        assert self.zygote.stdout
        self.wait_last()
        self.zygote.stdin.write(f"{out}\n")
        self.zygote.stdin.flush()
        self.started = True
        return int(self.zygote.stdout.readline())

    def wait_last(self) -> int:
        """Wait for the run that was started last; its exit code, negative when killed."""
        assert self.zygote.stdout
        if not self.started:
            return 0
        self.started = False
        return int(self.zygote.stdout.readline())

    def list_processes(self) -> list[int]:
        """Processes that came from runs and still live."""
        return [one for one in list_marked(self.mark) if one != self.zygote.pid]

    def close(self) -> None:
        assert self.zygote.stdin
        self.zygote.stdin.close()
        self.zygote.wait()
        self.log.close()
        if self.zygote.stdout:
            self.zygote.stdout.close()


@contextmanager
def prepared(study: Path, environment: dict[str, str], preamble: str = "") -> Iterator[Runner]:
    runner = Runner(study, environment, preamble)
    try:
        yield runner
    finally:
        for process in runner.list_processes():
            kill(process)
        runner.close()


def list_marked(mark: str) -> list[int]:
    """Processes whose environment bears a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def list_children(process: int) -> list[int]:
    """Processes that a process started, without the tracker of its semaphores."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_bytes()
            if parent == process and b"resource_tracker" not in command:
                found.append(int(path.parent.name))
    return found


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def is_alive(process: int) -> bool:
    return process > 0 and Path(f"/proc/{process}").exists()


def list_done(out: Path) -> dict[str, tuple[int, int]]:
    """Results that are there, and the mark that their writing left on the disk."""
    found = {}
    for path in (out / "steps").glob("[!.]*/manifest.json"):
        with suppress(OSError):
            found[path.parent.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def read_hashes(out: Path) -> dict[str, Any]:
    """The hash of every part of every result."""
    return {
        path.parent.name: json.loads(path.read_text())["parts"]
        for path in (out / "steps").glob("[!.]*/manifest.json")
    }


def wait_until(condition: Any, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())
