"""Neurons that follow a hidden ball are told by nets that imagine it, not by what was seen last."""

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("torch")

from neuroalign._training import TrainingPlan
from neuroalign.convergence import compare_behaviour, compare_futures
from neuroalign.loaders import simulate_scenes
from neuroalign.loaders.scene_simulations import SceneSimulation
from neuroalign.models import FuturePredictor

NETS = {
    "lstm": TrainingPlan(epochs=8, batch_size=64, learning_rate=3e-3, schedule="cosine"),
    "ctrnn": TrainingPlan(epochs=20, batch_size=64, learning_rate=1e-2, schedule="cosine"),
}


@pytest.fixture(scope="module")
def scenes() -> SceneSimulation:
    return simulate_scenes(50, snr=1.0, seed=2)


@pytest.fixture(scope="module")
def predictors(scenes: SceneSimulation) -> dict[str, xr.DataArray]:
    """Hidden states of nets that were trained on films without an occluder."""
    films = simulate_scenes(120, 2, occluder=None, n_repeats=1, n_subjects=1, seed=1).encoder
    nets = {"identity": FuturePredictor("identity").fit(films)}
    for kind, plan in NETS.items():
        nets[kind] = FuturePredictor(kind, n_units=64, n_ahead=8, tau=4.0, plan=plan).fit(films)
    hidden = scenes.truth["occluded"]
    return {name: net.simulate(scenes.encoder, hidden)["dynamics"] for name, net in nets.items()}


def test_nets_predict_what_happens_behind_the_occluder(
    scenes: SceneSimulation, predictors: dict[str, xr.DataArray]
) -> None:
    result = compare_futures(
        predictors, scenes.responses["sub-01"], n_halves=4,
        others={"sub-02": scenes.responses["sub-02"]},
        windows={"hidden": scenes.truth["occluded"]},
    ).sel(window="hidden")  # fmt: skip
    ahead = result["difference_lower"].sel(predictor_other="identity")
    for kind in NETS:
        assert float(ahead.sel(predictor=kind)) > 0
        assert float(result["median"].sel(predictor=kind)) > 0.55
    assert float(result["median"].sel(predictor="identity")) < 0.5
    assert float(result["median"].sel(predictor="sub-02")) == pytest.approx(1, abs=0.03)
    follows = result["roi"] == "position"
    assert float(result["corrected"].sel(predictor="lstm")[follows].median()) > 0.8


def test_nets_answer_as_subjects_do(
    scenes: SceneSimulation, predictors: dict[str, xr.DataArray]
) -> None:
    result = compare_behaviour(
        predictors, scenes.truth["ends_at"], scenes.behaviour["sub-01"],
        others={"sub-02": scenes.behaviour["sub-02"]}, n_resamples=200,
    )  # fmt: skip
    score = dict(zip(result["predictor"].values, result["consistency"].values[:, 0], strict=True))
    assert min(score["lstm"], score["ctrnn"]) > score["identity"] + 0.15
    assert score["sub-02"] == pytest.approx(1, abs=0.03)
    assert np.nanmax(result["performance"].values[1:]) > 0.7
