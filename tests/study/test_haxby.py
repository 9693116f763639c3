"""Real fMRI from one file to one page: voxels, conditions and faces, told as they are known."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from neuroalign.study.checking import verify_study
from neuroalign.study.config import read_study
from neuroalign.study.results import Results
from neuroalign.study.runner import plan_study, run_study
from neuroalign.study.tasks import list_tasks
from tests.report.browsing import browser, check_pictures, check_sorting, opened

__all__ = ["browser"]

RUNS = "haxby/haxby2001/sub001/BOLD/task001_run*"
STUDY: dict[str, Any] = {
    "title": "Eight categories in one slice",
    "seed": 0,
    "data": {
        "brain": {
            "call": "loaders.load_fmri",
            "with": {
                "bold": {"glob": f"{RUNS}/bold_1slice.nii.gz"},
                "mask": {"path": "haxby/mask.nii.gz"},
                "events": {"glob": f"{RUNS}/bold_events.tsv"},
                "detrend": True,
                "standardize": "zscore",
            },
        },
    },
    "features": {
        "shown": {
            "call": "align.events_to_features",
            "with": {"events": {"events": f"{RUNS}/bold_events.tsv"}},
        },
        "design": {
            "call": "align.convolve_hrf",
            "with": {"features": "@shown", "responses": "@brain"},
        },
    },
    "encoding": {
        "ridge": {
            "call": "evaluate.cross_validate",
            "with": {
                "encoder": {"use": "encoders.Ridge"},
                "features": "@design",
                "responses": "@brain",
                "allow_shared_stimuli": True,
                "ceiling": None,
                "n_permutations": 20,
            },
        },
    },
    "rsa": {
        "categories": {
            "call": "rsa.compute_rdm",
            "with": {"responses": "@brain", "distance": "crossnobis", "fold": "run"},
        },
    },
    "decoding": {
        "classes": {
            "call": "decoders.decode_classes",
            "with": {"responses": "@brain", "classifier": "lda"},
        },
    },
}


@pytest.mark.slow
def test_a_study_of_real_recordings_ends_in_one_page(
    real_data: Path, tmp_path: Path, browser: Any
) -> None:
    (tmp_path / "haxby").symlink_to(real_data / "haxby2001_pymvpa")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    study = read_study(tmp_path / "study.yaml")
    page = run_study(study)
    assert page.stat().st_size < 5_000_000
    with opened(browser, page) as shown:
        check_pictures(shown)
        assert check_sorting(shown) >= 3
        assert shown.locator("h1").inner_text() == STUDY["title"]
    assert verify_study(page.parent) == dict.fromkeys([one.name for one in list_tasks(study)], "")
    assert {step.state for step in plan_study(study)} == {"done"}
    results = {task.name: Results(page.parent).read(task) for task in list_tasks(study)}
    score = results["ridge"]["mean_score"]
    assert float(score.quantile(0.95)) > 0.3
    rdm = results["categories"]
    kinds = rdm["first"].values.tolist()
    assert {"face", "house", "cat"} <= set(kinds)
    # Faces are nearer to cats than to houses, as is known of ventral temporal cortex.
    assert rdm.sel(first="face", second="cat") < rdm.sel(first="face", second="house")
