"""A study that is killed at any time, again and again, ends as if it had never been."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neuroalign.study.checking import compare
from neuroalign.study.config import Study
from neuroalign.study.results import Results
from neuroalign.study.runner import run_study
from neuroalign.study.tasks import list_tasks


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_kills_change_nothing(
    write_study: Callable[..., Study], tmp_path: Path, executor: str
) -> None:
    study = write_study(run={"executor": executor, "workers": 2})
    command = [sys.executable, "-m", "neuroalign", "run", str(tmp_path / "study.yaml"), "--quiet"]
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True)
    lasts = time.perf_counter() - started
    killed = 0
    for share in rng.uniform(0.2, 0.95, size=10):
        process = subprocess.Popen(command, start_new_session=True)
        time.sleep(share * lasts)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 3
    run_study(study)
    assert not list((tmp_path / "results" / "steps").glob(".*.partial"))
    for task in list_tasks(study):
        one, other = (Results(tmp_path / name).read(task) for name in ("whole", "results"))
        assert compare(one, other) == 0
