"""A study that is killed at any time, again and again, ends as if it had never been."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.study import fake_slurm
from tests.study.killing import (
    Runner,
    is_alive,
    kill,
    list_children,
    list_done,
    prepared,
    read_hashes,
    wait_until,
    write_long_study,
)

N_TASKS, N_KILLS = 32, 20
Victim = Callable[[int, np.random.Generator], None]


def kill_all(process: int, rng: np.random.Generator) -> None:
    """As when the power fails."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def kill_parent(process: int, rng: np.random.Generator) -> None:
    kill(process)


def kill_child(process: int, rng: np.random.Generator) -> None:
    children = list_children(process)
    if children:
        kill(int(rng.choice(children)))


def run_and_kill(
    runner: Runner, out: Path, victims: Sequence[Victim], longest: float, seed: int
) -> list[int]:
    """Kill while work is under way; how many results were there each time."""
    rng, hits = np.random.default_rng(seed), []
    process, kept = 0, list_done(out)
    for number, victim in enumerate(rng.permutation(np.array(victims, dtype=object))):
        if not is_alive(process):
            process = runner.start(out)
        n_before = len(list_done(out))
        # One kill in four falls on the planning, or on the start of workers.
        if number % 4:
            wait_until(lambda n=n_before: len(list_done(out)) > n, 20)
        time.sleep(rng.uniform(0, longest))
        done = list_done(out)
        if is_alive(process) and len(done) < N_TASKS:
            hits.append(len(done))
        victim(process, rng)
        wait_until(lambda p=process: not is_alive(p), 0.2)
        done = list_done(out)
        assert {name: done.get(name) for name in kept} == kept, "what was whole stays"
        kept = done
    if is_alive(process):
        kill_all(process, rng)
    return hits


def check_study(folder: Path, runner: Runner, hits: list[int]) -> None:
    """Resume to the end, and hold the results against those of a run that nobody killed."""
    out = folder / "killed"
    assert len(hits) >= 0.7 * N_KILLS, f"kills fell on work: {hits}"
    assert len(set(hits)) >= 8, f"at different times: {hits}"
    kept = list_done(out)
    runner.start(out)
    assert runner.wait_last() == 0, (folder / "runs.log").read_text()[-2000:]
    done = list_done(out)
    assert {name: done[name] for name in kept} == kept, "only what lacked was computed"
    assert len(done) == N_TASKS
    hashes = read_hashes(out)
    assert hashes == read_hashes(folder / "whole"), "the same bits"
    assert not list(out.glob("**/.*.partial*"))
    assert wait_until(lambda: not runner.list_processes(), 10), runner.list_processes()


def run_whole(runner: Runner, out: Path) -> float:
    """Run to the end; give half the seconds that a task takes."""
    runner.start(out)
    wait_until(lambda: list_done(out), 60)
    started = time.perf_counter()
    assert runner.wait_last() == 0
    return min(0.15, (time.perf_counter() - started) / N_TASKS / 2)


@pytest.mark.slow
def test_kills_of_a_serial_run_change_nothing(tmp_path: Path) -> None:
    study = write_long_study(tmp_path, N_TASKS, {"executor": "serial"})
    with prepared(study, {}) as runner:
        pause = run_whole(runner, tmp_path / "whole")
        hits = run_and_kill(runner, tmp_path / "killed", [kill_all] * N_KILLS, pause, 1)
        check_study(tmp_path, runner, hits)


@pytest.mark.slow
def test_kills_of_processes_change_nothing(tmp_path: Path) -> None:
    study = write_long_study(tmp_path, N_TASKS, {"executor": "processes", "workers": 2})
    victims = [kill_all] * 6 + [kill_parent] * 5 + [kill_child] * 9
    with prepared(study, {}) as runner:
        pause = run_whole(runner, tmp_path / "whole")
        hits = run_and_kill(runner, tmp_path / "killed", victims, pause, 2)
        check_study(tmp_path, runner, hits)


@pytest.mark.slow
def test_kills_of_dask_change_nothing(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    study = write_long_study(tmp_path, N_TASKS, {"executor": "dask", "workers": 2})
    victims = [kill_all] * 4 + [kill_parent] * 4 + [kill_child] * 12
    with prepared(study, {}, "import distributed") as runner:
        pause = run_whole(runner, tmp_path / "whole")
        hits = run_and_kill(runner, tmp_path / "killed", victims, pause, 3)
        check_study(tmp_path, runner, hits)


# Submitit looks once a second and waits for slow disks; here its clock goes twenty times as fast.
SHORT = """
import time, types, submitit
submitit.SlurmJob._results_timeout_s = 1
submitit.core.core._time = types.SimpleNamespace(
    time=lambda: 20 * time.time(), sleep=lambda seconds: time.sleep(seconds / 20)
)
"""


@pytest.mark.slow
def test_kills_on_slurm_change_nothing(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    study = write_long_study(tmp_path, N_TASKS, {"executor": "slurm", "workers": 2})
    environment = fake_slurm.install(tmp_path)

    def kill_job(process: int, rng: np.random.Generator) -> None:
        jobs = fake_slurm.list_running(state)
        if jobs:
            kill_all(int(rng.choice(jobs)), rng)

    def fail_power(process: int, rng: np.random.Generator) -> None:
        kill_all(process, rng)
        fake_slurm.cut_power(state)

    with (
        fake_slurm.running(environment) as state,
        prepared(study, environment, SHORT) as runner,
    ):
        pause = run_whole(runner, tmp_path / "whole")
        victims = [kill_job] * 8 + [kill_parent] * 2 + [fail_power] * 10
        hits = run_and_kill(runner, tmp_path / "killed", victims, pause, 4)
        fake_slurm.cut_power(state)
        check_study(tmp_path, runner, hits)
