"""Each variable that has places gets its map."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Cortex, Picture
from neuroalign.report.cortex_maps import (
    list_metrics,
    map_encoding,
    map_estimate,
    map_layers,
    pick_steps,
    thin_steps,
)
from tests.report.test_cortex_block import decode


def test_an_encoding_has_a_map_for_each_of_its_variables(encoding: xr.Dataset) -> None:
    alpha = xr.DataArray(np.full((3, 40), 100.0), dims=("fold", "neuroid"))
    made = map_encoding(encoding.assign(alpha=alpha))
    assert isinstance(made, Cortex)
    names = [metric["name"] for metric in made.payload["metrics"]]
    assert names == [
        "mean Pearson r", "noise ceiling (share of variance)", "p", "q (false discovery rate)",
        "log10 penalty",
    ]  # fmt: skip
    shown = decode(made.payload["metrics"][0]["maps"][0])
    order = np.argsort(encoding["vertex"].values + 10242 * (encoding["hemisphere"] == "right"))
    np.testing.assert_allclose(shown, encoding["score"].mean("fold").values[order], atol=1e-4)
    np.testing.assert_allclose(decode(made.payload["metrics"][4]["maps"][0]), 2.0)


def test_times_are_steps_of_the_slider(timed: xr.Dataset) -> None:
    made = map_encoding(timed)
    assert isinstance(made, Cortex)
    assert made.payload["along"] == "time"
    assert made.payload["steps"][2] == "0.1 s"
    assert made.payload["start"] == 2
    assert len(made.payload["metrics"][0]["maps"]) == 6


def test_many_times_are_thinned(timed: xr.Dataset) -> None:
    long = xr.concat([timed.drop_vars("time")] * 10, "time")
    chosen = pick_steps(long)
    assert chosen is not None
    assert (len(chosen), chosen[0], chosen[-1]) == (24, 0, 59)
    assert list_metrics(long)[0].values.shape == (24, 40)


def test_a_map_brings_its_numbers(encoding: xr.Dataset) -> None:
    made = map_encoding(encoding)
    assert isinstance(made, Cortex)
    table = made.fallback.data
    assert table is not None
    assert table.columns[:4] == ("neuroid", "roi", "hemisphere", "vertex")
    score = table.columns.index("score")
    np.testing.assert_allclose(
        [row[score] for row in table.rows], encoding["score"].mean("fold"), rtol=1e-5
    )


def test_voxels_stay_slices_with_numbers(encoding: xr.Dataset) -> None:
    index = {name: ("neuroid", np.arange(40) % 4) for name in "ijk"}
    made = map_encoding(encoding.drop_vars(["vertex", "hemisphere"]).assign_coords(index))
    assert isinstance(made, Picture)
    assert made.data is not None
    assert {"i", "j", "k", "score"} <= set(made.data.columns)


def test_layers_show_the_score_of_each_layer_where_it_is_stored(layers: xr.Dataset) -> None:
    alone = map_layers(layers)
    assert isinstance(alone, Cortex)
    assert [metric["name"] for metric in alone.payload["metrics"]] == ["best layer"]
    scores = np.linspace(-0.5, 0.5, 120).reshape(3, 40)
    full = layers.assign(neuroid_score=(("layer", "neuroid"), scores))
    made = map_layers(full.assign_coords(region=("neuroid", np.repeat(["V1", "V4"], 20))))
    assert isinstance(made, Cortex)
    assert [len(metric["maps"]) for metric in made.payload["metrics"]] == [3, 1]
    assert made.payload["steps"] == ["conv1", "conv2", "fc"]
    assert made.payload["regions"]["names"] == ["V1", "V4"]


def test_layers_without_their_best_say_so(layers: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="expected 'best_layer_index'"):
        map_layers(layers.drop_vars("best_layer_index"))


def test_an_estimate_turns_and_shows_its_p_values(encoding: xr.Dataset) -> None:
    values = encoding["score"].mean("fold")
    still = Picture("Cortical map", "", "a map", "40 neuroids.")
    made = map_estimate(values, "score, model a", still, p_value=encoding["p_value"], limit=2.0)
    assert isinstance(made, Cortex)
    assert [metric["name"] for metric in made.payload["metrics"]] == ["score, model a", "p"]
    assert (made.payload["metrics"][0]["low"], made.payload["metrics"][0]["high"]) == (-2, 2)
    assert made.title == "Map of score, model a"
    assert made.fallback.data is not None
    assert made.fallback.data.columns[-2:] == ("score, model a", "p")


def test_an_estimate_in_time_has_a_slider(timed: xr.Dataset) -> None:
    values = timed["score"].mean("fold")
    made = map_estimate(values, "score", Picture("Frames of score", "", "maps"))
    assert isinstance(made, Cortex)
    assert (made.title, made.payload["along"]) == ("Frames of score", "time")
    assert len(made.payload["steps"]) == len(made.payload["metrics"][0]["maps"]) == 6
    found = decode(made.payload["metrics"][0]["maps"][2])
    assert np.nanmax(found) == pytest.approx(float(values.max()), abs=1e-4)


def test_steps_keep_both_ends() -> None:
    assert thin_steps(3).tolist() == [0, 1, 2]
    assert (len(thin_steps(100)), thin_steps(100)[-1]) == (24, 99)


def test_scores_that_are_not_below_zero_start_there(encoding: xr.Dataset) -> None:
    for shift, signed in ((0.0, False), (-0.4, True)):
        made = map_encoding(encoding.assign(score=encoding["score"] + shift))
        assert isinstance(made, Cortex)
        scale = made.payload["metrics"][0]
        assert (scale["low"] == -scale["high"]) is signed
        assert signed or scale["low"] == 0


def test_maps_that_share_a_scale_share_its_form(encoding: xr.Dataset) -> None:
    still = Picture("Cortical map", "", "a map", "40 neuroids.")
    values = encoding["score"].mean("fold")
    made = map_estimate(values, "score", still, limit=2.0, form="share")
    assert isinstance(made, Cortex)
    scale = made.payload["metrics"][0]
    assert (scale["low"], scale["high"]) == (0, 2)
