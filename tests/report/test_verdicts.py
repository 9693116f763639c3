"""The verdict says what the numbers say."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.report.verdicts import state_verdict
from neuroalign.rsa import from_matrix


def test_encoding_states_score_ceiling_and_null(encoding: xr.Dataset) -> None:
    said = state_verdict(encoding)
    assert said.startswith(f"Pearson r {float(encoding['score'].mean()):.3f} on average over 40")
    assert "ceiling 0.800, 20 of 40 with q < 0.05." in said


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
