"""The study that the room's docstring shows runs as it stands."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

from neuroalign import storage, study
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.study.config import read_study
from neuroalign.study.results import Results
from neuroalign.study.runner import read_study_folder, run_study


def test_help_finds_the_room_and_its_exit_codes() -> None:
    # A new interpreter, in which nothing of the room was imported.
    code = "import neuroalign, pydoc; print(pydoc.plain(pydoc.render_doc(neuroalign.study)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for shown in ("Exit codes", "130", "select_samples(", "run_study("):
        assert shown in done.stdout


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
    picked = str(study.__doc__).split("::\n")[2].split("\n\nWhat is done")[0]
    picked = picked.replace("run: [run-03, run-07]", "run: run-02").replace("rest", "s3")
    picked = textwrap.indent(textwrap.dedent(picked.strip("\n")), "  ")
    shown = textwrap.dedent(shown).replace("\nfeatures:", f"\n{picked}\nfeatures:", 1)
    text = textwrap.dedent(shown).replace("executor: processes", "executor: serial")
    (tmp_path / "study.yaml").write_text(text)
    page = run_study(read_study(tmp_path / "study.yaml"))
    assert "One layer, one brain" in page.read_text()
    _, tasks = read_study_folder(page.parent)
    made = Results(page.parent).read(next(task for task in tasks if task.name == "task"))
    assert made.sizes["sample"] == 19
