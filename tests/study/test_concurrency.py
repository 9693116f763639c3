"""Several runs into one folder at once: nothing lost, nothing half, no run waits for another."""

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import yaml

from neuroalign import storage
from neuroalign.errors import DataCorruptionError
from neuroalign.study.checking import verify_study
from neuroalign.study.config import read_study
from neuroalign.study.results import Results
from neuroalign.study.runner import run_study
from tests.study.killing import list_done, read_hashes, write_long_study
from tests.study.test_crashes import make_array, make_task

N_RUNS = 8


def run_at_once(calls: list[Callable[[], Any]], folder: Path) -> list[str]:
    """Run each call in a fork of this process, all at once; what each raised.

    Threads do not survive a fork, and dask would wait for those that an earlier test started.
    """
    start, children = folder / "start", []
    for number, call in enumerate(calls):
        child = os.fork()
        if child == 0:
            text = ""
            try:
                dask.config.set(scheduler="synchronous")
                while not start.exists():
                    os.sched_yield()
                call()
            except BaseException as error:  # noqa: BLE001  # all go back to the parent
                text = f"{type(error).__name__}: {error}"
            finally:
                (folder / f"said-{number}").write_text(text)
                os._exit(0)
        children.append(child)
    start.touch()
    for child in children:
        os.waitpid(child, 0)
    start.unlink()
    return [(folder / f"said-{number}").read_text() for number in range(len(calls))]


@pytest.mark.slow
def test_eight_runs_of_one_study_end_in_the_same_results(tmp_path: Path) -> None:
    path = write_long_study(tmp_path / "study", 6, {"executor": "serial"})
    assert run_at_once([lambda: run_study(read_study(path), tmp_path / "alone")], tmp_path) == [""]
    out = tmp_path / "together"
    said = run_at_once([lambda: run_study(read_study(path), out)] * N_RUNS, tmp_path)
    assert said == [""] * N_RUNS
    assert read_hashes(out) == read_hashes(tmp_path / "alone")
    assert set(verify_study(out).values()) == {""}
    assert not list(out.glob("**/.*.partial*"))


@pytest.mark.slow
def test_eight_runs_mend_one_corrupt_folder(tmp_path: Path) -> None:
    path = write_long_study(tmp_path / "study", 4, {"executor": "serial"})
    out = tmp_path / "together"
    assert run_at_once([lambda: run_study(read_study(path), out)], tmp_path) == [""]
    hashes = read_hashes(out)
    for place in out.glob("steps/*"):
        next(place.rglob("zarr.json")).write_text("spoilt")
    said = run_at_once([lambda: run_study(read_study(path), out)] * N_RUNS, tmp_path)
    assert said == [""] * N_RUNS
    assert read_hashes(out) == hashes
    assert not list(out.glob("**/.*.partial*"))


@pytest.mark.slow
def test_edits_of_one_study_share_what_they_have_in_common(tmp_path: Path) -> None:
    """Eight versions of a study file, each with entries of its own, fill one folder at once."""
    path = write_long_study(tmp_path / "study", 4, {"executor": "serial"})
    content = yaml.safe_load(path.read_text())
    studies = []
    for number in range(N_RUNS):
        own = {f"own{number}": copy.deepcopy(content["rsa"]["rdm00"])}
        path.write_text(yaml.safe_dump(content | {"rsa": content["rsa"] | own}, sort_keys=False))
        studies.append(read_study(path))
    out = tmp_path / "out"
    calls = [lambda one=one: run_study(one, out) for one in studies]
    assert run_at_once(calls, tmp_path) == [""] * N_RUNS
    assert len(list_done(out)) == 4 + N_RUNS
    assert set(verify_study(out).values()) == {""}


def test_many_writers_of_one_result_leave_one(tmp_path: Path) -> None:
    results, task = Results(tmp_path / "out"), make_task()
    calls = [lambda n=n: results.write(task, make_array(float(n)), {}) for n in range(N_RUNS)]
    assert run_at_once(calls, tmp_path) == [""] * N_RUNS
    values = results.read(task).values
    assert float(values[0, 0]) in range(N_RUNS)
    assert np.ptp(values) == 0, "of one writer"
    assert [path.name for path in results.steps.iterdir()] == [results.place(task).name]


def test_many_writers_replace_a_corrupt_result_by_a_whole_one(tmp_path: Path) -> None:
    results, task = Results(tmp_path / "out"), make_task()
    results.write(task, make_array(-1.0), {})
    next(results.place(task).rglob("c/0/0")).write_bytes(b"spoilt")
    calls = [lambda n=n: results.write(task, make_array(float(n)), {}) for n in range(N_RUNS)]
    assert run_at_once(calls, tmp_path) == [""] * N_RUNS
    assert results.find_fault(task) is None
    assert [path.name for path in results.steps.iterdir()] == [results.place(task).name]


def test_a_reader_waits_for_a_result_that_another_is_replacing(tmp_path: Path) -> None:
    results, task = Results(tmp_path / "out"), make_task()
    results.write(task, make_array(1.0), {})
    aside = tmp_path / "aside"
    results.place(task).rename(aside)
    child = os.fork()
    if child == 0:
        os.sched_yield()
        shutil.move(aside, results.place(task))
        os._exit(0)
    xr.testing.assert_identical(results.read(task), make_array(1.0))
    os.waitpid(child, 0)


def test_a_reader_does_not_wait_for_ever(tmp_path: Path) -> None:
    results, task = Results(tmp_path / "out"), make_task()
    with pytest.raises(DataCorruptionError, match=r"t-0+: expected the result .*'No such"):
        results.read(task)


def test_many_writers_of_one_store_leave_one(tmp_path: Path) -> None:
    for name in ("x.nc", "x.zarr"):
        calls = [
            lambda n=n, name=name: storage.save(make_array(float(n)), tmp_path / name)
            for n in range(N_RUNS)
        ]
        said = run_at_once(calls, tmp_path)
        assert said.count("") == 1
        assert all("free name" in one for one in said if one)
        assert np.ptp(storage.load(tmp_path / name).values) == 0
