"""What studies left is said by 'info': stored responses, and the folders of results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders import from_arrays
from neuroalign.storage import save
from neuroalign.study import _describe_stored
from neuroalign.study.config import Study
from neuroalign.study.description import (
    FILES,
    FOLDERS,
    KINDS,
    describe_file,
    list_findings,
    pick_faults,
)
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


def test_a_folder_of_several_things_lists_them_with_the_command(real_data: Path) -> None:
    folder = real_data / "haxby2001_pymvpa"
    lines = list_findings(folder)
    assert lines[0] == "haxby2001_pymvpa: folder of several things, 4 of them known"
    assert lines[1] == f"bold.nii.gz: NIfTI image: neuroalign info {folder}/bold.nii.gz"
    assert lines[2].startswith("ds000105_bids_events: BIDS dataset: neuroalign info ")
    assert pick_faults(lines) == []
    # What is named can be asked for in turn.
    assert "folder of several things" in describe_file(folder / "haxby2001")


def test_hidden_files_and_folders_of_nothing_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme").write_text("no format")
    (tmp_path / ".hidden.nii").write_text("")
    with pytest.raises(LoadError, match=r"or files that 'neuroalign info' knows, got '\.hidden"):
        list_findings(tmp_path)
    (tmp_path / "my data").mkdir()
    np.save(tmp_path / "my data/values.npy", np.zeros(3))
    assert list_findings(tmp_path)[1].endswith(f"neuroalign info '{tmp_path}/my data'")


def test_matlab_files_say_their_variables_and_who_reads_them(real_data: Path) -> None:
    lines = list_findings(real_data / "rsa_92images/92_brainRDMs.mat")
    assert lines[:2] == [
        "92_brainRDMs.mat: MATLAB file of 1 variables, whole",
        "RDMs: 8 items, the first: struct with RDM (92, 92), name, color (1, 3)",
    ]
    assert "shaped like RDMs: RDMs: loaders.load_rdms(path)" in lines
    spikes = describe_file(real_data / "place_cell_kramer_eden/10_spikes-1.mat")
    assert "train: array (50, 2000), uint8" in spikes
    assert "load_rdms" not in spikes


def test_all_that_matlab_keeps_is_said(tmp_path: Path) -> None:
    pair = {"a": np.zeros((3, 3)), "b": np.zeros((4, 4)), "text": "hello", "plain": {"x": "y"}}
    savemat(tmp_path / "x.mat", pair | {"cells": np.array([], dtype=object)})
    text = describe_file(tmp_path / "x.mat")
    assert "text: text of 5 characters" in text
    assert "plain: struct with x" in text
    assert "cells: 0 items, the first: nothing" in text
    assert "shaped like RDMs: a, b: loaders.load_rdms(path, key='a')" in text
    (tmp_path / "x.mat").write_bytes((tmp_path / "x.mat").read_bytes()[:200])
    with pytest.raises(DataCorruptionError, match=r"x\.mat"):
        describe_file(tmp_path / "x.mat")


def test_a_plain_table_says_what_columns_would_make_it_known(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("person,rating\na,3\n")
    lines = list_findings(path)
    assert lines[:2] == [
        "ratings.csv: table of 1 rows, of no kind that is known",
        "columns: 'person', 'rating'",
    ]
    for word in ("events have the columns onset, duration", "words have the", "confounds have"):
        assert any(line.startswith(word) for line in lines)
    assert pick_faults(lines) == []


def test_a_study_file_says_its_entries_and_what_shows_its_plan(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    write_study()
    lines = list_findings(tmp_path / "study.yaml")
    assert lines[0] == "study.yaml: the study 'small' of 4 entries"
    assert lines[1:5] == ["data: 1", "features: 1", "encoding: 1", "rsa: 1"]
    assert f"neuroalign run {tmp_path / 'study.yaml'} --dry-run shows its plan" in lines[-1]


def test_every_kind_has_a_name() -> None:
    rows = {*FILES.values(), *FOLDERS.values()}
    assert {row.rpartition(".")[2] for row in rows} == set(KINDS)
