"""The demo finds the truth that it planted, and is a study like any other."""

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

pytest.importorskip("torch")

from neuroalign.errors import LoadError, NeuroalignError
from neuroalign.storage import load
from neuroalign.study.checking import reproduce_study, verify_study
from neuroalign.study.config import read_study
from neuroalign.study.demo import PLANTED, describe_demo, run_demo
from neuroalign.study.runner import plan_study
from neuroalign.study.writing import write_study
from tests.report.browsing import (
    browser,
    check_pictures,
    check_sorting,
    opened,
    take_picture,
    unfold,
)

__all__ = ["browser"]

SMALL: dict[str, Any] = {"n_images": 36, "n_neuroids_per_roi": 6, "n_permutations": 2}


@pytest.mark.slow
def test_the_demo_recovers_every_planted_layer(tmp_path: Path) -> None:
    summary, page = run_demo(tmp_path, n_neuroids_per_roi=40, n_permutations=50, progress=False)
    assert summary["best_layer"].values.tolist() == list(PLANTED.values())
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    xr.testing.assert_identical(load(tmp_path / "layers.nc").compute(), summary)


@pytest.mark.slow
def test_the_demo_is_a_study_that_is_kept_verified_and_reproduced(tmp_path: Path) -> None:
    said: list[str] = []
    summary, page = run_demo(tmp_path / "demo", **SMALL, say=said.append)
    assert said[0] == "8 of 8 tasks to do (serial)"
    text = page.read_text(encoding="utf-8")
    places = [text.index(name) for name in ("layers", *PLANTED.values())]
    assert all(place > 0 for place in places)
    said.clear()
    again, _ = run_demo(tmp_path / "demo", **SMALL, say=said.append)
    assert said == ["0 of 8 tasks to do (serial)"]
    xr.testing.assert_identical(again, summary)
    study = read_study(tmp_path / "demo" / "study.yaml")
    assert {step.state for step in plan_study(study)} == {"done"}
    assert not any(verify_study(tmp_path / "demo").values())
    assert set(reproduce_study(tmp_path / "demo").values()) == {0.0}


@pytest.mark.slow
def test_the_page_of_the_demo_moves_and_is_quiet(tmp_path: Path, browser: Any) -> None:
    _, page = run_demo(tmp_path, **SMALL, progress=False)
    assert page.stat().st_size < 5_000_000
    with opened(browser, page) as shown:
        check_pictures(shown)
        assert unfold(shown) == len(PLANTED) - 1, "all encodings but the first"
        assert check_sorting(shown) >= 6
        maps = shown.locator("figure.cortex", has=shown.locator("canvas"))
        assert maps.count() == 1 + len(PLANTED), "that of the layers, and that of each encoding"
        folded = maps.last.locator("canvas")
        blank = folded.evaluate(
            "one => { const it = document.createElement('canvas'); it.width = one.width; "
            "it.height = one.height; return it.toDataURL(); }"
        )
        assert take_picture(folded) != blank, "what was folded is drawn once it is open"
        canvas, slider = maps.first.locator("canvas"), maps.first.locator("input[type=range]").first
        seen = set()
        for number, layer in enumerate(PLANTED.values()):
            slider.fill(str(number))
            assert slider.get_attribute("aria-valuetext") == layer
            seen.add(take_picture(canvas))
        assert len(seen) == len(PLANTED)
        cells = shown.locator(".cx-cells td button")
        marked = [text for text in cells.all_inner_texts() if "●" in text]
        assert len(marked) == len(PLANTED), "a dot at each planted layer"
        cells.first.click()
        detail = shown.locator(".cx-detail").text_content()
        assert "95 % over 6 neuroids" in detail
        assert "folds:" in detail
        assert "noise ceiling:" in detail


def test_the_demo_can_be_written_and_read(tmp_path: Path) -> None:
    study = write_study(describe_demo(**SMALL, seed=3), tmp_path)
    assert study.seed == 3
    assert list(study.encoding) == ["ceiling", "encoding", "layers"]
    assert study.features["activity"].options["model"] == {
        "use": "models.SmallConvNet",
        "seed": 3,
    }
    with pytest.raises(NeuroalignError, match="seed: 3 -> 0"):
        run_demo(tmp_path, **SMALL, progress=False)


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / "s1.py").write_text("mine")
    with pytest.raises(LoadError, match=r"s1\.py: expected a folder for results"):
        run_demo(tmp_path / "s1.py", progress=False)
