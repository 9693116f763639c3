"""What studies left is said by 'info': stored responses, and the folders of results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroalign.loaders import from_arrays
from neuroalign.storage import save
from neuroalign.study import _describe_stored
from neuroalign.study.config import Study
from neuroalign.study.description import describe_file, list_findings, pick_faults
from neuroalign.study.runner import run_study

pytestmark = pytest.mark.usefixtures("plain_page")


def save_responses(folder: Path) -> Path:
    values = np.ones((6, 3))
    values[0, :2] = np.nan
    labels: dict[str, Any] = {
        "stimulus": ["a", "b", "c", "a", "b", "a"],
        "run": ["1"] * 3 + ["2"] * 3,
    }
    return save(from_arrays(values, modality="fmri", **labels), folder / "responses.nc")


def test_labels_and_missing_values_of_stored_responses_are_counted(tmp_path: Path) -> None:
    lines = list_findings(save_responses(tmp_path))
    assert "stimuli: 3, each in 1 to 3 samples" in lines
    assert "runs: 2, each in 3 samples" in lines
    assert "missing values: 2 of 18" in lines
    assert pick_faults(lines) == []


def test_large_responses_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_describe_stored, "MOST_BYTES", 10)
    assert "missing values: not counted in 72 bytes" in describe_file(save_responses(tmp_path))


def test_a_folder_of_results_says_whose_it_is(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    run_study(write_study())
    assert list_findings(tmp_path / "results") == [
        "results: results of the study 'small', whole",
        "tasks: 4 (1 data, 1 features, 1 encoding, 1 rsa)",
        "names: 'brain', 'net', 'ridge', 'rdm'",
        "seed: 3",
        "page: report.html",
    ]
    # The folder of the study file tells the same of its results.
    assert list_findings(tmp_path)[1:] == list_findings(tmp_path / "results")
    next(tmp_path.glob("results/steps/ridge-*/0000.zarr/score/c/0/0")).write_bytes(b"spoilt")
    lines = list_findings(tmp_path / "results")
    assert lines[0].endswith("1 of 4 results damaged")
    assert pick_faults(lines)[0].startswith("wrong: ridge: ")


def test_a_study_that_did_not_end_is_told(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = write_study(rsa={"rdm": {"call": "rsa.compute_rdm", "with": {"responses": "@net"}}})
    assert list_findings(tmp_path) == [
        f"{tmp_path.name}: the study 'small' of 4 tasks, not run",
        "run it: neuroalign run study.yaml",
    ]
    # No such condition.
    options = {"responses": "@brain", "by": "nosuch"}
    study = write_study(rsa={"rdm": {"call": "rsa.compute_rdm", "with": options}})
    with pytest.raises(ValueError, match="nosuch"):
        run_study(study)
    lines = list_findings(tmp_path / "results")
    assert lines[:2] == ["results: results of the study 'small', not finished", "done: 3 tasks"]
    assert "Run it again" in pick_faults(lines)[0]
