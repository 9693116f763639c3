"""Spaces are chosen where they are not scored."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, SchemaError
from neuroalign.evaluate import cross_validate, select_features

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]


def _spaces(rng: np.random.Generator, features: xr.DataArray, n: int) -> dict[str, xr.DataArray]:
    return {f"noise{i}": features.copy(data=rng.normal(size=features.shape)) for i in range(n)}


def test_each_neuroid_finds_its_own_space(rng: np.random.Generator, study: Study) -> None:
    first, responses = study(rng, t=8, signal=3.0)
    second = first.copy(data=rng.normal(size=first.shape))
    responses[:, 4:] = second.values @ rng.normal(size=(8, 4)) + 0.3 * rng.normal(size=(120, 4))
    result = select_features(Ridge(1.0), {"one": first, "two": second}, responses)
    schema.check(result)
    assert (result["choice"][:, :4] == "one").all()
    assert (result["choice"][:, 4:] == "two").all()
    assert result["choice"].dims == ("fold", "neuroid")
    assert result.attrs["n_unstable"] == 0
    alone = cross_validate(Ridge(1.0), first, responses)["score"][:, :4]
    np.testing.assert_allclose(result["score"][:, :4], alone, rtol=1e-9)
    space = result["space_score"].sel(space="one")[:, :4]
    np.testing.assert_allclose(space, alone, rtol=1e-9)


def test_the_choice_among_noise_is_not_rewarded(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng, t=60, signal=0.0)
    result = select_features(Ridge(1.0), _spaces(rng, features, 6), responses, n_inner=3)
    picked = float(result["mean_score"].mean())
    best = float(result["space_score"].mean("fold").max("space").mean())
    assert abs(picked) < 0.03
    assert best > 0.08


def test_regions_and_everyone_choose_together(rng: np.random.Generator, study: Study) -> None:
    roi = ("neuroid", ["V1"] * 3 + ["V2"] * 3)
    features, responses = study(rng, roi=roi)
    spaces = _spaces(rng, features, 2) | {"true": features}
    by_roi = select_features(Ridge(1.0), spaces, responses, per="roi")["choice"].values
    assert all(len(set(row[:3])) == len(set(row[3:])) == 1 for row in by_roi)
    everyone = select_features(Ridge(1.0), spaces, responses, per="global")["choice"]
    assert (everyone == "true").all()


def test_times_of_a_neuroid_choose_together(rng: np.random.Generator, study: Study) -> None:
    features, flat = study(rng, signal=3.0)
    cube = xr.DataArray(
        flat.values.reshape(120, 3, 2),
        dims=("sample", "neuroid", "time"),
        coords={"stimulus": flat["stimulus"], "run": flat["run"], "neuroid": list("abc")},
    )
    result = select_features(Ridge(1.0), _spaces(rng, features, 1) | {"x": features}, cube)
    assert result["score"].dims == ("fold", "neuroid", "time")
    assert (result["choice"] == "x").all()


def test_a_constant_neuroid_chooses_nothing(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    responses[:, 2] = 1.0
    result = select_features(Ridge(1.0), _spaces(rng, features, 2), responses)
    assert (result["choice"][:, 2] == "").all()
    assert np.isnan(result["mean_score"][2])


def test_time_series_keep_their_gap(rng: np.random.Generator, drifting: Study) -> None:
    features, responses = drifting(rng, n=200, p=50, t=20)
    spaces = {"a": features, "b": features[:, ::-1]}
    result = select_features(
        Ridge(1.0), spaces, responses, group="time", gap=20.0, n_inner=3, ceiling=None
    )
    assert abs(float(result["mean_score"].mean())) < 0.12
    counted = responses.drop_vars("onset").assign_coords(
        stimulus=("sample", list(map(str, range(200))))
    )
    named = {
        name: space.assign_coords(stimulus=counted["stimulus"]) for name, space in spaces.items()
    }
    again = select_features(
        Ridge(1.0), named, counted, group="time", gap=10.0, n_inner=3, ceiling=None
    )
    np.testing.assert_allclose(again["score"], result["score"], rtol=1e-6)


def test_faults_are_named(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    pair = {"a": features, "b": features}
    with pytest.raises(ValueError, match="features: expected at least 2 named spaces"):
        select_features(Ridge(1.0), {"a": features}, responses)
    with pytest.raises(ValueError, match="per: expected one of 'neuroid', 'roi', 'global'"):
        select_features(Ridge(1.0), pair, responses, per="voxel")
    with pytest.raises(SchemaError, match="expected coord 'roi' to choose per 'roi'"):
        select_features(Ridge(1.0), pair, responses.drop_vars("roi", errors="ignore"), per="roi")
    with pytest.raises(ValueError, match="n_inner: expected at least 2"):
        select_features(Ridge(1.0), pair, responses, n_inner=1)
    with pytest.raises(AlignError, match="expected the 'stimulus' of responses"):
        select_features(Ridge(1.0), pair | {"c": features[::-1]}, responses)


def test_choices_survive_saving(rng: np.random.Generator, study: Study, tmp_path: Path) -> None:
    features, responses = study(rng)
    chosen = select_features(Ridge(1.0), _spaces(rng, features, 2), responses)
    scored = cross_validate(Ridge(1.0), features, responses, keep=("prediction",), gap=1.0)
    for name, result in (("chosen", chosen), ("scored", scored)):
        storage.save(result, tmp_path / f"{name}.nc")
        xr.testing.assert_identical(storage.load(tmp_path / f"{name}.nc"), result)
