"""The convergence of a network in a study: from checkpoint files to half-times, kills included."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

pytest.importorskip("torch")

import torch

from neuroalign import models, storage
from neuroalign.cli import app
from neuroalign.convergence import trace
from neuroalign.encoders import Ridge
from neuroalign.features import extract
from neuroalign.loaders import from_arrays
from neuroalign.study.config import Study, read_study
from neuroalign.study.results import Results
from neuroalign.study.runner import plan_study, run_study

STIMULI = [f"s{i:02d}" for i in range(12)]
TRACE: dict[str, Any] = {
    "layers": ["stages.stage1", "stages.stage2"],
    "by": None,
    "ceiling": None,
    "control": False,
    "pool": "mean",
    "n_resamples": 5,
}
pytestmark = pytest.mark.usefixtures("plain_page")


@pytest.fixture
def study(tmp_path: Path, rng: np.random.Generator) -> Study:
    """Three checkpoints of a network, images, and responses."""
    (tmp_path / "ckpt").mkdir()
    for step in (100, 0, 10):
        net = models.SmallConvNet((2, 2, 2, 2), seed=step)
        torch.save(net.state_dict(), tmp_path / "ckpt" / f"step-{step}.pt")
    values = rng.normal(size=(12, 3))
    runs = ["a"] * 6 + ["b"] * 6
    brain = from_arrays(values, stimulus=STIMULI, run=runs, modality="fmri")
    images = xr.DataArray(
        rng.random((12, 3, 16, 16), dtype=np.float32),
        dims=("sample", "channel", "row", "column"),
        coords={"stimulus": ("sample", np.array(STIMULI))},
    )
    storage.save(brain, tmp_path / "brain.nc")
    storage.save(images, tmp_path / "images.nc")
    net_options = {"use": "models.SmallConvNet", "channels": [2, 2, 2, 2]}
    checkpoints = {"checkpoints": "ckpt/step-*.pt", "model": net_options}
    options: dict[str, Any] = {
        "checkpoints": checkpoints,
        "stimuli": "@images",
        "responses": "@brain",
    }
    options["encoder"] = {"use": "encoders.Ridge", "alphas": 1.0}
    content: dict[str, Any] = {
        "data": {"brain": {"call": "storage.load", "with": {"path": {"path": "brain.nc"}}}},
        "features": {"images": {"call": "storage.load", "with": {"path": {"path": "images.nc"}}}},
        "rsa": {"rdm": {"call": "rsa.compute_rdm", "with": {"responses": "@brain"}}},
        "convergence": {"course": {"call": "convergence.trace", "with": options | TRACE}},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return read_study(tmp_path / "study.yaml")


def read_course(study: Study) -> xr.Dataset:
    task = next(step.task for step in plan_study(study) if step.task.name == "course")
    found: xr.Dataset = Results(study.folder / "results").read(task)
    return found.compute()


def test_files_become_a_course_and_a_second_run_does_nothing(study: Study) -> None:
    said: list[str] = []
    run_study(study, section="convergence", say=said.append)
    assert said[0] == "3 of 3 tasks to do (serial)"
    course = read_course(study)
    assert course["step"].values.tolist() == [0, 10, 100]
    nets: dict[float, Any] = {
        step: models.SmallConvNet((2, 2, 2, 2), seed=step) for step in (0, 10, 100)
    }
    images, brain = (storage.load(study.folder / f"{name}.nc") for name in ("images", "brain"))
    expected = trace(nets, images, brain, encoder=Ridge(1.0), **TRACE)
    np.testing.assert_allclose(course["mean_score"], expected["mean_score"], atol=1e-6)
    said.clear()
    run_study(study, section="convergence", say=said.append)
    assert said == ["0 of 3 tasks to do (serial)"]
    assert not (study.folder / "results" / "work").exists()


def test_a_kill_between_checkpoints_costs_one(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def kill_third(*arguments: Any, **options: Any) -> Any:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return extract(*arguments, **options)

    monkeypatch.setattr("neuroalign.features.extract", kill_third)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, section="convergence")
    work = study.folder / "results" / "work"
    assert len([*work.glob("course-*/*.nc")]) == 2
    # Another part of the study says nothing of this one.
    run_study(study, section="rsa")
    run_study(study, section="convergence")
    # Two of three were there: the third alone was computed again.
    assert len(seen) == 4
    assert not work.exists()
    assert read_course(study)["step"].values.tolist() == [0, 10, 100]


def test_the_command_runs_the_section_and_what_it_needs(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["converge", str(study.folder / "study.yaml"), "--quiet"], standalone_mode=False)
    capsys.readouterr()
    assert read_course(study)["step"].values.tolist() == [0, 10, 100]
    left = {step.task.name for step in plan_study(study) if step.state != "done"}
    assert left == {"rdm"}


def test_other_weights_are_another_result(study: Study) -> None:
    keys = {step.task.name: step.task.key for step in plan_study(study)}
    other = models.SmallConvNet((2, 2, 2, 2), seed=5)
    torch.save(other.state_dict(), study.folder / "ckpt" / "step-10.pt")
    after = {step.task.name: step.task.key for step in plan_study(study)}
    assert [name for name in keys if keys[name] != after[name]] == ["course"]


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "workers"), [("processes", 2), ("dask", 1)])
def test_checkpoints_go_where_the_study_runs(study: Study, executor: str, workers: int) -> None:
    run_study(study, section="convergence", out=study.folder / "here")
    run = study.run.model_copy(update={"executor": executor, "workers": workers})
    there = study.model_copy(update={"run": run})
    run_study(there, section="convergence")
    here = study.model_copy(update={"out": "here"})
    task = next(step.task for step in plan_study(here) if step.task.name == "course")
    expected = Results(study.folder / "here").read(task)
    np.testing.assert_allclose(read_course(there)["mean_score"], expected["mean_score"], atol=1e-5)
