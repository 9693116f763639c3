"""What studies may call beside the rooms."""

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import encoders, latents
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.study import pieces
from neuroalign.study.images import cut_natural_images


def test_images_are_one_array_named_by_stimulus() -> None:
    found = pieces.cut_images(5, 32, seed=1)
    images = cut_natural_images(5, 32, seed=1)
    assert found["stimulus"].values.tolist() == list(images)
    np.testing.assert_array_equal(found[2], list(images.values())[2])


def test_steps_become_one_estimator() -> None:
    made = pieces.chain([encoders.MeanResponse(), encoders.Ridge(1.0)])
    assert [type(step).__name__ for step in made] == ["MeanResponse", "Ridge"]
    wrong: Any
    for wrong in ([], "Ridge"):
        with pytest.raises(SchemaError, match="steps: expected a list of estimators, got"):
            pieces.chain(wrong)


def test_latents_are_those_of_the_fitted_model(rng: np.random.Generator) -> None:
    values = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 8)) + rng.normal(size=(40, 8))
    responses = from_arrays(
        values, stimulus=[f"s{i}" for i in range(40)], run=["a"] * 40, modality="meg"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pieces.fit_latents(latents.FactorAnalysis(2), responses)
        expected = latents.FactorAnalysis(2).fit(responses).transform(responses)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (str(found.dtype), found.attrs["model"]) == ("float32", "FactorAnalysis")


def test_models_of_several_populations_are_refused() -> None:
    class Several:
        def fit(self, X: object) -> "Several":
            return self

        def transform(self, X: object) -> dict[str, int]:
            return {}

    with pytest.raises(SchemaError, match="model: expected one that gives the latents of one"):
        pieces.fit_latents(Several(), xr.DataArray(np.zeros(2)))


def make_runs() -> xr.DataArray:
    """Six samples: face, house and rest in each of two runs."""
    return from_arrays(
        np.arange(12.0).reshape(6, 2),
        stimulus=["face", "rest", "house"] * 2,
        run=["01"] * 3 + ["02"] * 3,
        modality="fmri",
    )


def test_conditions_and_runs_are_left_out() -> None:
    responses = make_runs()
    found = pieces.select_samples(responses, drop={"stimulus": "rest", "run": ["02"]})
    np.testing.assert_array_equal(found, responses[[0, 2]])
    assert found.attrs["history"].endswith(
        "select_samples: drop {'stimulus': 'rest', 'run': ['02']}"
    )
    kept = pieces.select_samples(
        responses, keep={"stimulus": ["face", "house"]}, drop={"run": "01"}
    )
    assert kept["stimulus"].values.tolist() == ["face", "house"]
    assert kept["run"].values.tolist() == ["02", "02"]
    numbered = responses.assign_coords(repeat=("sample", [0, 0, 0, 1, 1, 1]))
    for one in (1, "1"):
        assert pieces.select_samples(numbered, keep={"repeat": one}).sizes["sample"] == 3
    lazy = pieces.select_samples(responses.chunk(), drop={"stimulus": "rest"})
    assert lazy.chunks is not None
    both = pieces.select_samples(xr.Dataset({"responses": responses}), keep={"run": "01"})
    assert both.sizes["sample"] == 3


@pytest.mark.parametrize(
    ("keep", "drop", "message"),
    [
        (None, None, "keep, drop: expected labels to keep or to drop, got none"),
        ({"stimulis": "face"}, None, "keep.stimulis: .*Did you mean 'stimulus'.*There are: .*run"),
        (None, {"stimulus": "rset"}, "drop.stimulus: .*got 'rset'. Did you mean 'rest'.*'face'"),
        (None, "rest", "drop: expected a mapping of coords to labels, got 'rest'. Write drop: {s"),
        (None, {"run": ["01", "02"]}, "expected samples to be left, got none of 6"),
    ],
)
def test_labels_that_are_not_there_are_named(keep: Any, drop: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        pieces.select_samples(make_runs(), keep=keep, drop=drop)


def make_result(scores: list[float], p: list[float] | None = None) -> xr.Dataset:
    """Two folds that differ by 0.2 around the scores of three neuroids in two regions."""
    values = np.array([scores, scores], dtype="float32") + np.array([[-0.1], [0.1]], "float32")
    coords = {"roi": ("neuroid", np.array(["A", "A", "B"]))}
    made = xr.Dataset(
        {"score": (("fold", "neuroid"), values)}, coords, {"metric": "pearson", "seed": 0}
    )
    return made if p is None else made.assign(ceiling=("neuroid", [0.5, 0.6, 0.7]),
                                              p_fwer=("neuroid", p))  # fmt: skip


def test_the_best_layer_of_a_region_is_chosen_by_its_mean_score() -> None:
    results = {"low": make_result([0.5, 0.4, 0.1]), "high": make_result([0.6, 0.1, 0.3])}
    summary = pieces.summarise_layers(results, {"A": "low", "B": "high"})
    assert summary["best_layer"].values.tolist() == ["low", "high"]
    np.testing.assert_allclose(summary["score"].sel(roi="A"), [0.45, 0.35], rtol=1e-6)
    assert summary["best_layer_index"].values.tolist() == [1.0, 0.0, 1.0]
    assert not {"p_fwer", "ceiling"} & set(summary)


def test_what_stands_behind_each_mean_comes_along() -> None:
    low, high = (
        make_result([0.5, 0.4, 0.1], [0.01, 0.2, 0.4]),
        make_result([0.6, 0.1, 0.3], [1.0] * 3),
    )
    summary = pieces.summarise_layers({"low": low, "high": high}, {"B": "high", "A": "low"})
    assert summary["roi"].values.tolist() == ["B", "A"]
    assert summary["region"].values.tolist() == ["A", "A", "B"]
    np.testing.assert_allclose(
        summary["neuroid_score"].sel(layer="high"), [0.6, 0.1, 0.3], rtol=1e-6
    )
    folds = summary["fold_score"].sel(layer="low", roi="A")
    np.testing.assert_allclose(folds, [0.35, 0.55], rtol=1e-6)
    np.testing.assert_allclose(summary["ceiling"], [0.5, 0.6, 0.7], rtol=1e-6)
    # The least of the region, for each of two layers that were looked at.
    np.testing.assert_allclose(summary["p_fwer"], [[0.8, 0.02], [1.0, 1.0]])


def test_a_planted_region_without_neuroids_is_named() -> None:
    with pytest.raises(SchemaError, match=r"planted: expected regions.*'C'.*They have: 'A', 'B'"):
        pieces.summarise_layers({"low": make_result([0.5, 0.4, 0.1])}, {"A": "low", "C": "low"})
