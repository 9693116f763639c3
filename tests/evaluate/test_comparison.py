"""Models are compared by paired signs, and the result says what it generalises to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema
from neuroalign.encoders import Ridge
from neuroalign.errors import AlignError, SchemaError
from neuroalign.evaluate import compare_models, cross_validate

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]


def _halves(rng: np.random.Generator, study: Study, **options: Any) -> tuple[xr.Dataset, ...]:
    """Two models that see different halves of equally strong features, and the responses."""
    features, responses = study(rng, n=160, p=12, t=200)
    W = rng.normal(size=(2, 6, 200))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    values = features.values @ W.reshape(12, 200) + rng.normal(size=responses.shape)
    responses = responses.copy(data=values)
    kept = {"keep": ("prediction",), "ceiling": None} | options
    one, two = (
        cross_validate(Ridge(0.01), features[:, half], responses, **kept)
        for half in (slice(0, 6), slice(6, 12))
    )
    return one, two, responses


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_equal_models_differ_as_often_as_they_should(
    metric: str, rng: np.random.Generator, study: Study
) -> None:
    passed, covered = [], []
    for _ in range(3):
        one, two, responses = _halves(rng, study, metric=metric)
        found = compare_models(one, two, responses=responses, n_permutations=199, n_resamples=99)
        passed.append(float((found["p_value"] <= 0.05).mean()))
        covered.append(float(((found["lower"] <= 0) & (found["upper"] >= 0)).mean()))
    assert 0.02 <= np.mean(passed) <= 0.09
    assert 0.88 <= np.mean(covered) <= 0.98


def test_the_difference_is_that_of_the_mean_scores(rng: np.random.Generator, study: Study) -> None:
    one, two, responses = _halves(rng, study)
    expected = (one["mean_score"] - two["mean_score"]).values
    for over in ("stimulus", "fold"):
        found = compare_models(one, two, over=over, responses=responses, n_permutations=9)
        np.testing.assert_allclose(found["difference"], expected, atol=1e-12)
    over_all = compare_models(one, two, over="neuroid", n_permutations=9)
    assert float(over_all["difference"]) == pytest.approx(expected.mean())


def test_a_better_model_is_found(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng, signal=1.5)
    kept: dict[str, Any] = {"keep": ("prediction",), "ceiling": None}
    good = cross_validate(Ridge(1.0), features, responses, **kept)
    poor = cross_validate(Ridge(1.0), features[:, :2], responses, **kept)
    found = compare_models(good, poor, responses=responses)
    schema.check(found)
    assert (found["p_fwer"] < 0.05).mean() > 0.8
    assert (found["q_value"] >= found["p_value"]).all()
    assert (found["lower"] > 0).mean() > 0.8
    assert found.attrs["generalises_to"] == "new units of 'stimulus', for the models as fitted"


def test_all_flips_of_few_subjects_are_listed(rng: np.random.Generator, study: Study) -> None:
    names = np.repeat([f"p{i}" for i in range(8)], 3)
    features, responses = study(rng, t=24, signal=3.0)
    good, poor = (
        cross_validate(Ridge(1.0), seen, responses, ceiling=None).assign_coords(
            subject=("neuroid", names)
        )
        for seen in (features, features[:, :2])
    )
    found = compare_models(good, poor, over="subject")
    assert found["p_value"].shape == ()
    assert float(found["p_value"]) == pytest.approx(2 / 2**8)
    assert found.attrs["n_units"] == 8


def test_what_cannot_be_compared_is_refused(rng: np.random.Generator, study: Study) -> None:
    features, responses = study(rng)
    one = cross_validate(Ridge(1.0), features, responses, ceiling=None)
    kept = cross_validate(Ridge(1.0), features, responses, ceiling=None, keep=("prediction",))
    other = cross_validate(Ridge(1.0), features, responses, ceiling=None, metric="r2")
    with pytest.raises(AlignError, match="result_b: expected metric 'pearson'"):
        compare_models(one, other, over="fold")
    with pytest.raises(AlignError, match="expected the 'fold' of result_a"):
        compare_models(one, one.assign_coords(fold=list("abcd")), over="fold")
    with pytest.raises(ValueError, match="responses: expected the responses"):
        compare_models(one, one)
    with pytest.raises(SchemaError, match="result_a: expected 'prediction' of one split"):
        compare_models(one, one, responses=responses)
    with pytest.raises(AlignError, match="got another in row 0"):
        compare_models(kept, kept, responses=responses[::-1])
    with pytest.raises(AlignError, match="by: expected a coord on 'sample'.*got 'trial'"):
        compare_models(kept, kept, responses=responses, by="trial")
    with pytest.raises(SchemaError, match="expected coord 'subject' on 'neuroid'"):
        compare_models(one, one, over="subject")
    with pytest.raises(ValueError, match="over: expected one of 'stimulus'"):
        compare_models(one, one, over="voxel")
    with pytest.raises(SchemaError, match="result_b: expected a result of kind 'encoding'"):
        compare_models(one, xr.Dataset(), over="fold")
    with pytest.raises(ValueError, match="n_permutations: expected at least 1"):
        compare_models(one, one, over="fold", n_permutations=0)


def test_results_by_name_are_refused() -> None:
    with pytest.raises(SchemaError, match="result_a: expected a Dataset .*got dict"):
        compare_models({"a": xr.Dataset()}, xr.Dataset())  # type: ignore[arg-type]
