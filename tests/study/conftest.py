"""A small study on files that the test makes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from neuroalign import storage
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.study.config import Study, read_study


def write_inputs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    stimuli = [f"s{i:02d}" for i in range(24)]
    runs = [f"run-{i % 4 + 1:02d}" for i in range(24)]
    X = rng.normal(size=(24, 5))
    Y = X @ rng.normal(size=(5, 6)) + rng.normal(size=(24, 6))
    options: dict[str, Any] = {"stimulus": stimuli, "run": runs}
    storage.save(from_arrays(Y, modality="fmri", **options), folder / "responses.nc")
    storage.save(features_from_arrays(X, stimulus=stimuli), folder / "features.nc")


def describe_study() -> dict[str, Any]:
    """Two encoders, an RDM and a similarity, from two files."""
    return {
        "title": "small",
        "seed": 3,
        "data": {"brain": {"call": "storage.load", "with": {"path": {"path": "responses.nc"}}}},
        "features": {"net": {"call": "storage.load", "with": {"path": {"path": "features.nc"}}}},
        "encoding": {
            "ridge": {
                "call": "evaluate.cross_validate",
                "with": {
                    "encoder": {"use": "encoders.Ridge", "alphas": 1.0},
                    "features": "@net",
                    "responses": "@brain",
                    "ceiling": None,
                },
            }
        },
        "rsa": {
            "rdm": {"call": "rsa.compute_rdm", "with": {"responses": "@brain"}},
        },
    }


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Study]:
    """Write the small study with changes, sections replaced whole, and read it."""
    write_inputs(tmp_path)

    def write(**changes: Any) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(describe_study() | changes, sort_keys=False))
        return read_study(path)

    return write


@pytest.fixture
def plain_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a word in the place of the report, where a test is about something else."""

    def write(results: Any, path: Path, *, title: str, study: str) -> Path:
        path.write_text(f"<!doctype html>\n{study}\n{title}: {', '.join(results)}")
        return path

    monkeypatch.setattr("neuroalign.report.write_html", write)
