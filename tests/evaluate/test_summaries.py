"""Scores by region, layer and subject."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import bootstrap

from neuroalign import schema, storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.evaluate import summarise


def _result(rng: np.random.Generator, subjects: int = 6, each: int = 8) -> xr.Dataset:
    """Scores that differ by region, and by subject."""
    n = subjects * each
    subject = np.repeat([f"p{i}" for i in range(subjects)], each)
    roi = np.tile(np.repeat(["V1", "V4"], each // 2), subjects)
    shift = np.repeat(rng.normal(size=subjects), each)
    score = np.where(roi == "V1", 0.5, 0.2) + 0.1 * shift + 0.01 * rng.normal(size=n)
    coords = {
        "neuroid": [f"v{i}" for i in range(n)],
        "subject": ("neuroid", subject),
        "roi": ("neuroid", roi),
    }
    return xr.Dataset({"mean_score": ("neuroid", score)}, coords=coords)


def test_regions_have_their_mean_and_interval(rng: np.random.Generator) -> None:
    result = _result(rng)
    found = schema.check(summarise(result))
    own = result["mean_score"].values[result["roi"].values == "V1"]
    peer = bootstrap((own,), np.mean, n_resamples=2000, rng=np.random.default_rng(0))
    first = found.sel(roi="V1")
    assert float(first["estimate"]) == pytest.approx(own.mean())
    assert float(first["lower"]) == pytest.approx(peer.confidence_interval.low, abs=1e-6)
    assert found["n_neuroids"].values.tolist() == [24, 24]


def test_subjects_are_the_units_of_the_group(rng: np.random.Generator) -> None:
    result = _result(rng)
    group = summarise(result, over="subject")
    means = result["mean_score"][result["roi"] == "V1"].groupby("subject").mean()
    assert float(group["estimate"][0]) == pytest.approx(float(means.mean()))
    assert group["n_units"].values.tolist() == [6, 6]
    plain = summarise(result)
    wide = (group["upper"] - group["lower"]) / (plain["upper"] - plain["lower"])
    assert (wide > 1.4).all()
    assert group.attrs["generalises_to"] == "new subjects"


def test_layers_stand_in_their_order(rng: np.random.Generator, tmp_path: object) -> None:
    one = _result(rng)
    found = summarise({"conv5": one, "conv1": one}, statistic="median", n_resamples=100)
    assert found["estimate"].dims == ("layer", "roi")
    assert found["layer"].values.tolist() == ["conv5", "conv1"]
    path = f"{tmp_path}/summary.nc"
    storage.save(found, path)
    xr.testing.assert_identical(storage.load(path), found)


def test_unscored_and_unnamed_neuroids_are_left_out(rng: np.random.Generator) -> None:
    result = _result(rng, subjects=1)
    result["mean_score"][0] = np.nan
    names = result["roi"].values.astype(object)
    names[-4:] = ""
    result = result.assign_coords(roi=("neuroid", names.astype(str)))
    found = summarise(result, n_resamples=100)
    assert found["roi"].values.tolist() == ["V1"]
    assert found["n_neuroids"].values.tolist() == [3]
    alone = summarise(result, over="subject")
    assert np.isnan(alone["lower"]).all()
    assert np.isfinite(alone["estimate"]).all()


def test_times_stay_and_all_go_together(rng: np.random.Generator) -> None:
    result = _result(rng)
    cube = result["mean_score"].expand_dims(time=[0.1, 0.2], axis=1)
    found = summarise(result.assign(mean_score=cube), by=None, n_resamples=100)
    assert found["estimate"].dims == ("group", "time")
    assert found["group"].values.tolist() == ["all"]


def test_faults_are_named(rng: np.random.Generator) -> None:
    result = _result(rng)
    with pytest.raises(SchemaError, match="by: expected a coord on 'neuroid', got 'area'"):
        summarise(result, by="area")
    with pytest.raises(SchemaError, match="value: expected a variable over 'neuroid', got 'score'"):
        summarise(result, value="score")
    with pytest.raises(ValueError, match="over: expected one of 'subject', 'neuroid'"):
        summarise(result, over="fold")
    with pytest.raises(ValueError, match="statistic: expected one of 'mean', 'median'"):
        summarise(result, statistic="mode")
    with pytest.raises(ValueError, match="result: expected at least one layer"):
        summarise({})
    with pytest.raises(AlignError, match=r"result\['b'\]: expected the 'roi' of the first layer"):
        summarise({"a": result, "b": result[{"neuroid": slice(0, 4)}]}, n_resamples=9)
    with pytest.raises(SchemaError, match="expected a label in 'roi', got empty ones"):
        summarise(result.assign_coords(roi=("neuroid", [""] * 48)))


def test_a_list_of_results_is_refused() -> None:
    with pytest.raises(SchemaError, match="result: expected a Dataset or a dict of them, got list"):
        summarise([xr.Dataset()])  # type: ignore[arg-type]
