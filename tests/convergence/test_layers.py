"""Layers by neuroids: the numbers of separate cross-validations, for less work."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.convergence import encode_layers
from neuroalign.encoders import BandedRidge, Ridge
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import features_from_arrays, from_arrays


def simulate(
    n_stimuli: int = 60, n_repeats: int = 1, widths: tuple[int, ...] = (5, 200), n_neuroids: int = 7
) -> tuple[dict[str, xr.DataArray], xr.DataArray]:
    """Layers, and neuroids that read the last; all repeats of a stimulus fall in one run."""
    rng = np.random.default_rng(3)
    rows = np.tile(np.arange(n_stimuli), n_repeats)
    stimulus = [f"s{row:03d}" for row in rows]
    run = [f"run-{row % 6}" for row in rows]
    bare = [rng.normal(size=(n_stimuli, p)).astype("float32") for p in widths]
    signal = bare[-1][:, :3] @ rng.normal(size=(3, n_neuroids))
    values = signal[rows] + rng.normal(size=(len(rows), n_neuroids))
    values[:, -1] = 1.0
    responses = from_arrays(values, stimulus=stimulus, run=run, modality="model")
    layers = {
        f"layer{i}": features_from_arrays(one[rows], stimulus=stimulus)
        for i, one in enumerate(bare)
    }
    # Where penalties are large, predictions of float32 vary by little more than its last digits.
    return {name: one.astype("float64") for name, one in layers.items()}, responses.astype(
        "float64"
    )


@pytest.mark.parametrize("n_repeats", [1, 3])
@pytest.mark.parametrize("group", ["run", None])
def test_scores_and_penalties_are_those_of_separate_cross_validations(
    n_repeats: int, group: str | None
) -> None:
    layers, responses = simulate(n_repeats=n_repeats)
    result = encode_layers(layers, responses, group=group, ceiling=None)
    for name, layer in layers.items():
        alone = cross_validate(Ridge(), layer, responses, group=group, ceiling=None)
        ours = result.sel(layer=name)
        np.testing.assert_allclose(ours["score"], alone["score"], atol=1e-7)
        np.testing.assert_allclose(ours["alpha"][:, :-1], alone["alpha"][:, :-1], rtol=1e-9)
        np.testing.assert_allclose(ours["mean_score"], alone["mean_score"], atol=1e-7)
        np.testing.assert_array_equal(ours["fold"], alone["fold"])


@pytest.mark.parametrize(
    "options",
    [
        {"cv": "loo"},
        {"cv": "gcv"},
        {"fit_intercept": False},
        {"alphas": 3.0},
        {"alpha_scale": "absolute", "solver": "dual"},
        {"search": "coarse"},
        {"conservative": True},
    ],
    ids=str,
)
def test_every_way_of_choosing_penalties_gives_the_same_numbers(options: dict[str, Any]) -> None:
    layers, responses = simulate(n_repeats=2)
    encoder = Ridge(**options)
    result = encode_layers(layers, responses, encoder, ceiling=None)
    for name, layer in layers.items():
        alone = cross_validate(encoder, layer, responses, ceiling=None)
        np.testing.assert_allclose(result["score"].sel(layer=name), alone["score"], atol=1e-7)


def test_in_single_precision_scores_agree_where_there_is_signal() -> None:
    layers, responses = simulate(n_repeats=3)
    layers = {name: one.astype("float32") for name, one in layers.items()}
    result = encode_layers(layers, responses.astype("float32"), ceiling=None)["mean_score"]
    alone = cross_validate(Ridge(), layers["layer1"], responses.astype("float32"), ceiling=None)
    clear = alone["mean_score"].values > 0.3
    assert clear.sum() > 2
    difference = (result.sel(layer="layer1") - alone["mean_score"]).values
    np.testing.assert_allclose(difference[clear], 0, atol=1e-4)


def test_time_resolved_responses_keep_their_dims() -> None:
    layers, responses = simulate(n_neuroids=6)
    cube = from_arrays(
        responses.values[:, :6].reshape(60, 2, 3),
        stimulus=responses["stimulus"].values,
        run=responses["run"].values,
        time=[0.0, 0.1, 0.2],
        modality="meg",
    ).astype("float64")
    result = encode_layers(layers, cube, ceiling=None)
    assert result["score"].dims == ("layer", "fold", "neuroid", "time")
    alone = cross_validate(Ridge(), layers["layer1"], cube, ceiling=None)
    np.testing.assert_allclose(result["score"].sel(layer="layer1"), alone["score"], atol=1e-7)


def test_gaps_between_folds_are_kept() -> None:
    layers, responses = simulate()
    onset = np.arange(60.0)
    responses = responses.assign_coords(onset=("sample", onset), run=("sample", ["r"] * 60))
    options: dict[str, Any] = {"group": "time", "gap": 3.0, "ceiling": None}
    result = encode_layers(layers, responses, **options)
    alone = cross_validate(Ridge(), layers["layer0"], responses, **options)
    np.testing.assert_allclose(result["score"].sel(layer="layer0"), alone["score"], atol=1e-7)


def test_repeats_are_fitted_as_one_row_and_ceilings_computed() -> None:
    layers, responses = simulate(n_repeats=3)
    result = encode_layers(layers, responses)
    assert result.attrs["n_fitted_rows"] == 60
    alone = cross_validate(Ridge(), layers["layer0"], responses)
    np.testing.assert_allclose(result["ceiling"], alone["ceiling"])


def test_rows_of_one_name_with_other_features_stay_apart() -> None:
    layers, responses = simulate(n_repeats=2)
    layers["layer0"] = layers["layer0"] + np.arange(120)[:, None].astype("float32")
    result = encode_layers(layers, responses, ceiling=None)
    assert result.attrs["n_fitted_rows"] == 120


def test_other_encoders_are_cross_validated_layer_by_layer() -> None:
    layers, responses = simulate()
    encoder = Ridge(alpha_per="global")
    result = encode_layers(layers, responses, encoder, ceiling=None)
    alone = cross_validate(encoder, layers["layer1"], responses, ceiling=None)
    np.testing.assert_array_equal(result["score"].sel(layer="layer1"), alone["score"])


def test_the_result_is_stored_bit_equal(tmp_path: Any) -> None:
    layers, responses = simulate()
    result = encode_layers(layers, responses)
    storage.save(result, tmp_path / "layers.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "layers.nc"), result)


def test_depth_runs_from_zero_to_one() -> None:
    layers, responses = simulate(widths=(4, 4, 4))
    result = encode_layers(layers, responses, ceiling=None)
    np.testing.assert_allclose(result["depth"], [0, 0.5, 1])


def test_a_short_grid_is_said_once() -> None:
    layers, responses = simulate()
    with pytest.warns(UserWarning, match="alphas: expected the best penalty inside the grid"):
        result = encode_layers(layers, responses, Ridge(alphas=[1e-9, 1e-8]), ceiling=None)
    assert "alphas: expected" in result.attrs["warnings"]


@pytest.mark.parametrize(
    ("features", "match"), [({}, "an empty one"), ([1], "got list"), ({"a": 1}, r"features\['a'\]")]
)
def test_features_must_be_a_mapping_of_arrays(features: Any, match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        encode_layers(features, simulate()[1])


def test_other_rows_are_refused() -> None:
    layers, responses = simulate()
    with pytest.raises(AlignError, match="stimulus"):
        encode_layers({"a": layers["layer0"][::-1]}, responses)


def test_banded_features_run_through_their_own_encoder() -> None:
    layers, responses = simulate(n_stimuli=36, widths=(4,), n_neuroids=3)
    banded = layers["layer0"].assign_coords(space=("feature", ["a", "a", "b", "b"]))
    result = encode_layers(
        {"a": banded}, responses[:, :2], BandedRidge(n_candidates=3), ceiling=None
    )
    assert np.isfinite(result["score"]).all()


def test_layers_against_the_order_of_the_network_are_named() -> None:
    layers, responses = simulate(n_stimuli=36, widths=(4, 4), n_neuroids=3)
    marked = {
        name: one.assign_attrs(model="net", layer_order=place)
        for place, (name, one) in enumerate(layers.items())
    }
    turned = dict(reversed(marked.items()))
    with pytest.warns(NeuroalignWarning, match="got 'layer1' before 'layer0', which the network"):
        result = encode_layers(turned, responses, ceiling=None)
    assert "in order of depth" in result.attrs["warnings"]
    said = encode_layers(marked, responses, ceiling=None).attrs["warnings"]
    assert "in order of depth" not in said
