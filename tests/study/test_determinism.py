"""Wherever and in whatever circumstances a study runs, the same numbers come out."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from neuroalign import storage
from neuroalign.loaders import from_arrays
from neuroalign.study.checking import compare
from neuroalign.study.config import Study
from neuroalign.study.results import Results
from neuroalign.study.runner import run_study
from neuroalign.study.tasks import list_tasks
from tests.study.conftest import describe_study, write_inputs
from tests.study.killing import read_hashes

# None takes a variable away. What a folder is called, and what the system says of time and words.
PLACES: dict[str, tuple[str, dict[str, str | None]]] = {
    "plain": ("plain", {}),
    "far east, Turkish": ("I i ı İ", {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8"}),
    "C, without a home": ("ein Fluß, 脳", {"LC_ALL": "C", "HOME": None, "TZ": "UTC+12"}),
    "closed home": ("a  b", {"HOME": "/proc/1/nowhere", "LC_ALL": "de_DE.UTF-8"}),
}


def run_in(folder: Path, environment: dict[str, str | None]) -> dict[str, Any]:
    """Run the small study in a folder, as a user does; give the hashes of its results."""
    folder.mkdir()
    write_inputs(folder)
    (folder / "study.yaml").write_text(yaml.safe_dump(describe_study(), sort_keys=False))
    changed = {**os.environ, **{key: value or "" for key, value in environment.items()}}
    kept = {key: value for key, value in changed.items() if environment.get(key, value)}
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "neuroalign", "run", str(folder / "study.yaml"), "--quiet"]
    done = subprocess.run(
        command, env=kept | {"PYTHONPATH": root}, cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return read_hashes(folder / "results")


@pytest.mark.slow
def test_places_words_and_clocks_change_nothing(tmp_path: Path) -> None:
    hashes = {
        what: run_in(tmp_path / name, environment) for what, (name, environment) in PLACES.items()
    }
    assert len(hashes["plain"]) == 4
    for what, found in hashes.items():
        assert found == hashes["plain"], what


@pytest.mark.slow
def test_workers_and_executors_change_no_split_and_no_score(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    runs = {
        "serial": {"executor": "serial"},
        **{f"{n} processes": {"executor": "processes", "workers": n} for n in (1, 2, 4)},
        "again": {"executor": "processes", "workers": 2},
        "dask": {"executor": "dask", "workers": 2},
    }
    for name, run in runs.items():
        study = write_study(run=run)
        run_study(study, tmp_path / name)
    tasks = {task.name: task for task in list_tasks(study)}
    first = Results(tmp_path / "serial")
    for name in runs:
        other = Results(tmp_path / name)
        # Labels, folds among them, count as infinitely far apart.
        assert max(compare(first.read(one), other.read(one)) for one in tasks.values()) <= 1e-5
    assert read_hashes(tmp_path / "again") == read_hashes(tmp_path / "2 processes")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["neuroalign", "run", sys.argv[2]]
from neuroalign.cli import main
main()
"""


@pytest.mark.slow
def test_too_little_memory_ends_in_words(tmp_path: Path) -> None:
    n = 30_000
    values = np.random.default_rng(0).normal(size=(n, 4))
    labels = [f"s{i}" for i in range(n)]
    array = from_arrays(values, modality="fmri", stimulus=labels)
    storage.save(array, tmp_path / "responses.nc")
    path = tmp_path / "study.yaml"
    data = describe_study()["data"]
    call = {"call": "rsa.compute_rdm", "with": {"responses": "@brain", "distance": "euclidean"}}
    path.write_text(yaml.safe_dump({"data": data, "rsa": {"rdm": call}}))
    command = [sys.executable, "-c", LIMITED, str(3 * 2**30), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, (done.returncode, done.stderr[-500:])
    assert "error: " in done.stderr
    assert "Unable to allocate" in done.stderr
    assert "(in rsa.rdm)" in done.stderr
    assert "Traceback" not in done.stderr
    (kept,) = (tmp_path / "results" / "steps").iterdir()
    assert kept.name.startswith("brain-")
