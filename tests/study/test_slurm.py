"""Studies on SLURM: jobs as submitit sends them, and what is said when one fails."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuroalign.errors import NeuroalignError
from neuroalign.study import executors
from neuroalign.study.checking import verify_study
from neuroalign.study.config import Run, read_study
from neuroalign.study.executors import WorkerError
from neuroalign.study.runner import run_study
from tests.study import fake_slurm
from tests.study.killing import MARK, list_marked, wait_until, write_long_study
from tests.study.test_crashes import SLEEPER

submitit = pytest.importorskip("submitit")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A SLURM whose commands are found, and the folder of its state."""
    environment = fake_slurm.install(tmp_path / "cluster")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(submitit.SlurmJob, "_results_timeout_s", 0.1)
    with fake_slurm.running(environment) as state:
        yield state


def write_study(folder: Path, n_tasks: int, **settings: Any) -> Path:
    run = {"executor": "slurm", "workers": 2, "memory_budget": "1.5GB", "slurm": settings}
    return write_long_study(folder, n_tasks, run)


@pytest.mark.slow
def test_a_study_runs_as_job_arrays_and_leaves_no_pickles(slurm: Path, tmp_path: Path) -> None:
    path = write_study(tmp_path / "a b é", 4, timeout_min=3, mem_gb=3)
    run_study(read_study(path))
    out = path.parent / "results"
    assert set(verify_study(out).values()) == {""}
    assert not list(out.rglob("*.pkl"))
    assert (out / "slurm").stat().st_mode & 0o777 == 0o700
    scripts = "".join(one.read_text() for one in (out / "slurm").glob("*.sh"))
    assert "--time=3" in scripts
    assert "--mem=3GB" in scripts, "what the study asks for goes before what is taken by default"


@pytest.mark.slow
def test_the_batch_script_itself_runs_in_bash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = fake_slurm.install(tmp_path / "cluster")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = write_study(tmp_path / "study", 2)
    with fake_slurm.running(environment, cold=True):
        run_study(read_study(path))
    assert set(verify_study(path.parent / "results").values()) == {""}


@pytest.mark.slow
def test_a_job_that_raises_is_named_with_its_log(slurm: Path, tmp_path: Path) -> None:
    path = write_study(tmp_path / "study", 3)
    content = yaml.safe_load(path.read_text())
    content["rsa"]["rdm00"]["with"]["distance"] = "no such"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(WorkerError, match=r"rdm00: .*got '.*distance: expected one of.*\.err") as e:
        run_study(read_study(path))
    log = Path(str(e.value).split(" See ")[1].split(". Longer jobs")[0])
    assert "in rsa.rdm00" in log.read_text()
    results = path.parent / "results" / "steps"
    assert len(list(results.glob("rdm01-*"))) == 1, "the others are kept"


@pytest.mark.slow
def test_a_job_that_is_always_killed_is_named(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.study import test_crashes
    from tests.study.test_executors import make_job

    monkeypatch.setattr(executors, "run_task", test_crashes.die)
    run = Run(executor="slurm", workers=2)
    with pytest.raises(WorkerError, match=r"a: expected its SLURM job 2 to end well"):
        executors.run_on_slurm([make_job("a")], run, tmp_path / "out", print)
    states = sorted(one.read_text().split()[0] for one in slurm.glob("state-*"))
    assert states == ["FAILED", "FAILED"], "it was tried twice"


@pytest.mark.slow
def test_ctrl_c_cancels_what_was_sent(slurm: Path, tmp_path: Path) -> None:
    script = tmp_path / "sleeper.py"
    root = str(Path(__file__).parents[2])
    script.write_text(SLEEPER.format(root=root, task="compute_long", executor="slurm"))
    (tmp_path / "out").mkdir()
    command = [sys.executable, str(script), str(tmp_path / "out")]
    environment = {**os.environ, MARK: str(tmp_path)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert wait_until(lambda: len(list((tmp_path / "out").glob("[ab]-*"))) == 2, 60)
    started = time.monotonic()
    process.send_signal(2)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert time.monotonic() - started < 5
    assert wait_until(lambda: not list_marked(str(tmp_path)), 5)
    assert not fake_slurm.list_running(slurm)


def test_a_machine_without_slurm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkerError, match=r"run.executor: expected SLURM .* or choose another"):
        executors.run_on_slurm([], Run(executor="slurm"), tmp_path / "out", print)


def test_a_folder_that_another_planted_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "slurm").symlink_to(tmp_path / "theirs")
    with pytest.raises(NeuroalignError, match=r"slurm: expected a folder of yours, got a link"):
        executors.run_on_slurm([], Run(executor="slurm"), tmp_path, print)


def test_a_folder_of_another_user_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    if os.getuid() != 0:
        pytest.skip("only the administrator can give a folder away")
    os.chown(tmp_path / "slurm", 12345, 12345)
    with pytest.raises(NeuroalignError, match="got a link or one of user 12345"):
        executors.run_on_slurm([], Run(executor="slurm"), tmp_path, print)
