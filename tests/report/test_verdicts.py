"""The verdict says what the numbers say."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.encoders import Ridge
from neuroalign.evaluate import compare_models, cross_validate
from neuroalign.loaders import simulate_linear
from neuroalign.report.verdicts import state_verdict
from neuroalign.rsa import from_matrix
from tests.report.coarse import make_coarse


def test_encoding_states_score_ceiling_and_null(encoding: xr.Dataset) -> None:
    said = state_verdict(encoding)
    assert said.startswith(f"Pearson r {float(encoding['score'].mean()):.3f} on average over 40")
    assert "ceiling 0.800, 20 of 40 with q < 0.05." in said


def test_few_permutations_are_named_beside_what_passes(encoding: xr.Dataset) -> None:
    coarse = state_verdict(encoding.assign_attrs(n_permutations=20))
    assert coarse.endswith("20 of 40 with q < 0.05 (least p they can give: 0.048).")
    assert "least p" not in state_verdict(encoding.assign_attrs(n_permutations=99))


def compared(over: str, n_neuroids: int = 20) -> xr.Dataset:
    """A comparison in which the first model is better in the first neuroids."""
    data = simulate_linear(n_samples=60, n_features=5, n_neuroids=n_neuroids)
    whole, part = (
        cross_validate(Ridge(1.0), x, data.responses, ceiling=None, progress=False)
        for x in (data.features, data.features[:, :2])
    )
    return compare_models(whole, part, over=over, n_permutations=200, n_resamples=20)


def test_a_comparison_states_the_difference_its_direction_and_who_passes() -> None:
    found = compared("fold")
    mean = float(found["difference"].mean())
    said = state_verdict(found)
    start = f"Mean difference {mean:+.3f} in Pearson r (model a minus model b) over 20 neuroids: "
    assert said.startswith(f"{start}model a predicts better on average; q < 0.05 for a in 0.0%")
    assert "(least p they can give: 0.12)" in said
    sure = found.assign(q_value=found["q_value"] * 0).assign_attrs(n_permutations=999)
    share = float((found["difference"] < 0).mean())
    assert state_verdict(sure).endswith(f"for a in {1 - share:.1%}, for b in {share:.1%}.")
    turned = state_verdict(sure.assign(difference=-sure["difference"]))
    assert f"{-mean:+.3f} in Pearson r" in turned
    assert ": model b predicts better" in turned


def test_a_comparison_over_neuroids_states_one_test() -> None:
    found = compared("neuroid")
    assert found.attrs["headline"] == "difference"
    low, high = float(found["lower"]), float(found["upper"])
    said = state_verdict(found.assign_attrs(model_b="Lasso()"))
    assert f": model a predicts better on average [{low:.3f}, {high:.3f}], p = 0.005" in said
    assert said.endswith("; b: Lasso().")
    assert "upper" not in said


def test_layers_state_recovery_or_the_best(layers: xr.Dataset) -> None:
    assert "recovered in 1 of 2 regions (not in V4)" in state_verdict(layers)
    alone = layers.drop_vars("planted_layer")
    assert state_verdict(alone) == "Best layers: conv1 in V1, conv2 in V4."
    assert state_verdict(alone.drop_vars("best_layer")) == "3 layers compared in 2 regions."


def test_rdm_counts_conditions(rdm: xr.DataArray) -> None:
    assert state_verdict(rdm) == "1 RDM of 9 conditions (euclidean)."


def test_undefined_scores_give_no_verdict(encoding: xr.Dataset) -> None:
    undefined = encoding.assign(score=encoding["score"] * np.nan)
    assert state_verdict(undefined).startswith("No verdict. score: expected finite scores")


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"result.attrs\['kind'\]: expected one of 'encoding'"):
        state_verdict(xr.DataArray([1.0], attrs={"kind": "encodings"}))


def test_an_estimate_may_say_its_own_verdict_or_headline() -> None:
    held = xr.Dataset({"first": 1.0, "chosen": 2.0}, attrs={"kind": "estimate", "method": "m"})
    assert state_verdict(held.assign_attrs(headline="chosen")) == "m: chosen 2.000."
    assert state_verdict(held.assign_attrs(verdict="fine", meaning="all is.")) == "fine: all is."
    assert "expected one of 'first', 'chosen'" in state_verdict(held.assign_attrs(headline="x"))


def test_condensed_rdms_are_counted_in_conditions() -> None:
    said = state_verdict(from_matrix(np.arange(6.0), "abcd"))
    assert said == "1 RDM of 4 conditions, 6 pairs (distance not named)."


def test_a_result_in_time_is_told_by_its_peak(timed: xr.Dataset) -> None:
    peak = float(timed["score"].mean(("fold", "neuroid"))[2])
    said = state_verdict(timed)
    assert said.startswith(f"Pearson r peaks at {peak:.3f} at 0.1 s, mean over 40 neuroids [")
    with_ceiling = timed.assign(ceiling=("neuroid", np.full(40, 0.64)))
    assert state_verdict(with_ceiling).endswith("95 % over neuroids], ceiling there 0.800.")
    assert "No verdict" in state_verdict(timed.assign(score=timed["score"] * np.nan))


def test_too_few_permutations_for_so_many_tests_are_said(timed: xr.Dataset) -> None:
    coarse = make_coarse(timed)
    assert state_verdict(coarse).endswith(
        ", 0 of 240 tests (neuroids by times) with q < 0.05 (q cannot fall below 0.12 with 99 "
        "permutations and 240 tests: take 500), 20 with p < 0.05 by the max statistic."
    )
    fine = coarse.assign(q_value=coarse["q_value"] * 0.1)
    assert "cannot fall" not in state_verdict(fine)
    above = coarse.assign(p_value=coarse["p_value"] + 0.01)
    assert "cannot fall" not in state_verdict(above)
