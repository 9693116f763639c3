"""The study that the room's docstring shows runs as it stands."""

import textwrap
from pathlib import Path

import numpy as np

from neuroalign import storage, study
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.study.config import read_study
from neuroalign.study.runner import run_study


def test_the_shown_study_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stimuli = [f"s{i}" for i in range(20)]
    features = features_from_arrays(rng.normal(size=(20, 4)), stimulus=stimuli)
    values = np.tile(features.values @ rng.normal(size=(4, 6)), (2, 1)) + rng.normal(size=(40, 6))
    runs = ["run-01"] * 20 + ["run-02"] * 20
    responses = from_arrays(values, stimulus=stimuli * 2, run=runs, modality="fmri")
    storage.save(features[::-1], tmp_path / "layer4.zarr")
    storage.save(responses, tmp_path / "responses.zarr")
    shown = str(study.__doc__).split("::\n")[1].split("\n``call``")[0]
    text = textwrap.dedent(shown).replace("executor: processes", "executor: serial")
    (tmp_path / "study.yaml").write_text(text)
    page = run_study(read_study(tmp_path / "study.yaml"))
    assert "One layer, one brain" in page.read_text()
