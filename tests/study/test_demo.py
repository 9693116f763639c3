"""The demo finds the truth that it planted."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("torch")

from neuroalign.errors import LoadError
from neuroalign.storage import load
from neuroalign.study.demo import PLANTED, run_demo, summarise_layers


def test_the_best_layer_of_a_region_is_chosen_by_its_mean_score() -> None:
    def result(scores: list[float]) -> xr.Dataset:
        score = (("fold", "neuroid"), np.array([scores], dtype="float32"))
        coords = {"roi": ("neuroid", np.array(["A", "A", "B"]))}
        return xr.Dataset({"score": score}, coords, {"metric": "pearson", "seed": 0})

    results = {"low": result([0.5, 0.4, 0.1]), "high": result([0.6, 0.1, 0.3])}
    summary = summarise_layers(results, {"A": "low", "B": "high"})
    assert summary["best_layer"].values.tolist() == ["low", "high"]
    np.testing.assert_allclose(summary["score"].sel(roi="A"), [0.45, 0.35], rtol=1e-6)
    assert summary["best_layer_index"].values.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.slow
def test_the_demo_recovers_every_planted_layer(tmp_path: Path) -> None:
    summary, page = run_demo(tmp_path, n_neuroids_per_roi=40, n_permutations=50, progress=False)
    assert summary["best_layer"].values.tolist() == list(PLANTED.values())
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    xr.testing.assert_identical(load(tmp_path / "layers.nc").compute(), summary)


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / "s1.py").write_text("mine")
    with pytest.raises(LoadError, match=r"s1\.py: expected a folder for results"):
        run_demo(tmp_path / "s1.py", progress=False)
