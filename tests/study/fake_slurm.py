"""A SLURM of one machine: ``sbatch``, ``srun``, ``sacct`` and ``scancel`` as submitit calls them.

`install` writes the commands into a folder that goes first on PATH; `control` runs in a process of
its own, takes what ``sbatch`` queued and starts at most two jobs at once. Jobs are forked from it,
with all that they import loaded, unless ``cold`` asks for the batch script to be run by bash.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

AT_ONCE = 2
SBATCH = """
import json, os, pathlib, sys
folder = pathlib.Path(os.environ["FAKE_SLURM"])
text = pathlib.Path(sys.argv[1]).read_text()
number = 1
while True:
    try:
        os.mkdir(folder / f"job-{number}")
        break
    except FileExistsError:
        number += 1
flags = [line[8:] for line in text.splitlines() if line.startswith("#SBATCH --")]
lines = dict(flag.split("=", 1) for flag in flags if "=" in flag)
first, _, rest = lines.get("--array", "").partition("-")
last = rest.partition("%")[0]
tasks = list(range(int(first), int(last) + 1)) if last else [None]
job = {"id": number, "script": text, "tasks": tasks, "cwd": os.getcwd(), "env": dict(os.environ)}
whole = folder / f"job-{number}" / "job.json"
whole.with_suffix(".new").write_text(json.dumps(job))
os.replace(whole.with_suffix(".new"), whole)
print(f"Submitted batch job {number}")
"""
SACCT = """
import os, pathlib, sys
folder = pathlib.Path(os.environ["FAKE_SLURM"])
print("JobID|State|NodeList")
for path in sorted(folder.glob("state-*")):
    print(path.name[6:] + "|" + path.read_text().split()[0] + "|here")
"""
SCANCEL = """
import os, pathlib, signal, sys
folder = pathlib.Path(os.environ["FAKE_SLURM"])
for path in [folder / f"state-{sys.argv[1]}"]:
    words = path.read_text().split() if path.exists() else []
    if words and words[0] in ("PENDING", "RUNNING"):
        (folder / f"cancel-{sys.argv[1]}").touch()
"""
SRUN = """
import os, sys
rest = sys.argv[1:]
while rest[0].startswith("--"):
    rest = rest[1:] if rest[0] == "--unbuffered" or "=" in rest[0] else rest[2:]
os.execvp(rest[0], rest)
"""
COMMANDS = {"sbatch": SBATCH, "sacct": SACCT, "scancel": SCANCEL, "srun": SRUN}


def install(folder: Path, *, only: tuple[str, ...] = tuple(COMMANDS)) -> dict[str, str]:
    """Write the commands; give the environment in which they are found."""
    tools, state = folder / "slurm-tools", folder / "slurm-state"
    tools.mkdir(parents=True)
    state.mkdir()
    for name in only:
        (tools / name).write_text(f"#!{sys.executable} -IS\n{COMMANDS[name]}")
        (tools / name).chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "FAKE_SLURM": str(state)}


@contextmanager
def running(environment: dict[str, str], *, cold: bool = False) -> Iterator[Path]:
    """Have the controller run; the folder of its state."""
    code = f"from tests.study.fake_slurm import control; control({cold})"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **environment})
    state = Path(environment["FAKE_SLURM"])
    try:
        while not (state / "ready").exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield state
    finally:
        process.kill()
        process.wait()
        cut_power(state)


def list_running(state: Path) -> list[int]:
    """Process groups of the jobs that run."""
    words = [path.read_text().split() for path in state.glob("state-*")]
    return [int(one[1]) for one in words if one and one[0] == "RUNNING"]


def cut_power(state: Path) -> None:
    """Kill every job, and forget those that wait."""
    for path in state.glob("job-*/job.json"):
        path.unlink(missing_ok=True)
    (state / "forget").touch()
    for group in list_running(state):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _write_state(state: Path, job: str, text: str) -> None:
    path = state / f"new-{job}"
    path.write_text(text)
    os.replace(path, state / f"state-{job}")


def control(cold: bool) -> None:
    """Start queued jobs until killed."""
    from submitit.core import _submit

    import neuroalign.study.worker

    assert neuroalign.study.worker
    assert _submit
    state = Path(os.environ["FAKE_SLURM"])
    (state / "ready").touch()
    queue: list[tuple[str, dict, int | None]] = []
    alive: dict[int, str] = {}
    while True:
        for path in sorted(state.glob("job-*/job.json")):
            with suppress(FileNotFoundError):
                job = json.loads(path.read_text())
                path.unlink()
                for task in job["tasks"]:
                    name = str(job["id"]) if task is None else f"{job['id']}_{task}"
                    _write_state(state, name, "PENDING 0")
                    queue.append((name, job, task))
        if (state / "forget").exists():
            for name, *_ in queue:
                _write_state(state, name, "NODE_FAIL 0")
            queue.clear()
            (state / "forget").unlink()
        for path in state.glob("cancel-*"):
            _cancel(state, path, queue, alive)
        while queue and len(alive) < AT_ONCE:
            name, job, task = queue.pop(0)
            process = _start(name, job, task, cold)
            alive[process] = name
            _write_state(state, name, f"RUNNING {process}")
        for process in list(alive):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                verdict = "COMPLETED" if status == 0 else "FAILED"
                _write_state(state, alive.pop(process), f"{verdict} {process}")
        time.sleep(0.01)


def _cancel(state: Path, path: Path, queue: list, alive: dict[int, str]) -> None:
    path.unlink()
    job = path.name.removeprefix("cancel-")
    queue[:] = [one for one in queue if one[0] != job]
    for process, name in alive.items():
        if name == job:
            os.killpg(process, signal.SIGKILL)
            return
    _write_state(state, job, "CANCELLED 0")


def _start(name: str, job: dict, task: int | None, cold: bool) -> int:
    """Fork; in the child, become the job."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    os.environ.update(SLURM_JOB_ID=name, SLURM_PROCID="0", SLURM_NTASKS="1", SLURM_NODEID="0")
    if task is not None:
        os.environ.update(SLURM_ARRAY_JOB_ID=str(job["id"]), SLURM_ARRAY_TASK_ID=str(task))
    for flag, number in (("output", 1), ("error", 2)):
        pattern = shlex.split(re.search(rf"--{flag}=(.*)", job["script"])[1])[0]
        pattern = pattern.replace("%A", str(job["id"])).replace("%a", str(task))
        file = os.open(pattern.replace("%j", name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
    if cold:
        os.execvp("bash", ["bash", "-c", job["script"]])
    line = next(one for one in job["script"].splitlines() if one.startswith("srun "))
    code = 1
    try:
        from submitit.core._submit import submitit_main

        os.environ["SUBMITIT_EXECUTOR"] = "slurm"
        sys.argv = ["_submit", shlex.split(line)[-1]]
        submitit_main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  # a job that raises tells its log, as Python does
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
