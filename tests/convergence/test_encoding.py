"""The encoding score and what is optimistic about it."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema
from neuroalign.convergence import encode_layers, encoding_score
from neuroalign.errors import AlignError
from neuroalign.loaders import simulate_linear

Planted = tuple[xr.Dataset, xr.DataArray]


def make(scores: np.ndarray) -> xr.Dataset:
    """A result with scores (layer, fold, neuroid)."""
    return xr.Dataset(
        {
            "score": (("layer", "fold", "neuroid"), scores),
            "mean_score": (("layer", "neuroid"), scores.mean(axis=1)),
        },
        coords={
            "layer": [f"l{i}" for i in range(len(scores))],
            "depth": ("layer", np.linspace(0, 1, len(scores))),
            "neuroid": [f"n{i}" for i in range(scores.shape[2])],
        },
        attrs={"metric": "pearson"},
    )


def test_choosing_layers_by_other_folds_is_not_optimistic(rng: np.random.Generator) -> None:
    result = make(rng.normal(scale=0.1, size=(20, 5, 2000)))
    found = encoding_score(result)
    assert float(result["mean_score"].max("layer").mean()) > 0.05
    assert (np.abs(found["score"]) < 0.01).all()
    assert (found["lower"] < 0).all()
    assert (found["upper"] > 0).all()


def test_statistics_are_those_computed_by_hand() -> None:
    scores = np.array([[[0.1, 0.4], [0.3, 0.2]], [[0.2, 0.0], [0.2, 0.0]]])
    found = encoding_score(make(scores), n_resamples=10)["score"]
    assert float(found.sel(statistic="mean")) == pytest.approx(scores.mean())
    assert float(found.sel(statistic="best_of_mean")) == pytest.approx((0.25 + 0.25) / 2)
    # Neuroid 0: fold 0 takes layer 0 (fold 1 says so), fold 1 takes layer 1; neuroid 1 layer 0.
    assert float(found.sel(statistic="mean_of_best")) == pytest.approx((0.15 + 0.3) / 2)


def test_other_repeats_of_the_split_choose_no_layer(rng: np.random.Generator) -> None:
    """They test the same rows again: chosen by them, the best layer of noise would score."""
    once = rng.normal(scale=0.1, size=(20, 5, 400))
    names = [f"repeat-{repeat} fold-{fold}" for repeat in range(3) for fold in range(5)]
    again = make(np.tile(once, (1, 3, 1))).assign_coords(fold=names)
    score = encoding_score(again, n_resamples=5)["score"]
    np.testing.assert_allclose(score, encoding_score(make(once), n_resamples=5)["score"])
    assert (np.abs(score) < 0.02).all()


def test_each_neuroid_at_its_own_layer_beats_one_layer_for_all(planted: Planted) -> None:
    found = encoding_score(planted[0])
    score = found["score"]
    assert score.sel(statistic="mean_of_best") > score.sel(statistic="best_of_mean") + 0.1
    schema.check(found)


def test_ceilings_divide_by_their_root(planted: Planted) -> None:
    result = planted[0]
    found = encoding_score(result, min_ceiling=0.0).sel(statistic="mean")
    wanted = result["mean_score"].mean("layer") / np.sqrt(result["ceiling"])
    assert float(found["normalized"]) == pytest.approx(float(wanted.mean()), rel=1e-5)


def test_only_kept_neuroids_count(planted: Planted) -> None:
    result = planted[0]
    kept = (result["roi"] == "V1").reset_coords(drop=True)
    found = encoding_score(result, kept=kept)
    assert found.attrs["n_neuroids"] == 24
    assert str(found["layer"].values[found["by_layer"].values.argmax()]) == "layer0"


def test_kept_must_name_the_neuroids(planted: Planted) -> None:
    kept = (planted[0]["roi"] == "V1").isel(neuroid=slice(3))
    with pytest.raises(AlignError, match="kept: expected the neuroids"):
        encoding_score(planted[0], kept=kept)


def test_no_neuroid_kept_is_an_error_and_those_without_a_ceiling_are_counted() -> None:
    data = simulate_linear(n_neuroids=4)
    layers = {"early": data.features[:, :9], "late": data.features}
    result = encode_layers(layers, data.responses, ceiling=None)
    assert encoding_score(result, n_resamples=5).attrs["n_without_ceiling"] == 4
    kept = xr.zeros_like(result["mean_score"][0], dtype=bool)
    with pytest.raises(AlignError, match="kept: expected True for a neuroid or more, got none of"):
        encoding_score(result, kept=kept)
