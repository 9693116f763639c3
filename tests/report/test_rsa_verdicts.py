"""Sentences on models say who wins, how near the ceiling, and for whom."""

import numpy as np
import xarray as xr

from neuroalign.report.verdicts import state_verdict


def test_one_panel_names_the_winner_its_ceiling_and_its_reach(models: xr.Dataset) -> None:
    said = state_verdict(models)
    assert said.startswith("'late' is the most similar model: rho_a 0.500 ± 0.030")
    assert "above 0: q = 0.004), above 2 of 2 other models" in said
    assert "noise ceiling 0.600 to 0.700, which it stays below (p = 0.020)." in said
    assert said.endswith("The tests generalise to new subjects, for these stimuli.")


def test_a_model_at_the_ceiling_is_not_said_to_reach_it(models: xr.Dataset) -> None:
    near = models.assign(p_ceiling=models["p_ceiling"] * 0 + 0.3)
    assert "from whose lower bound it is not told apart (p = 0.300)" in state_verdict(near)


def test_one_subject_has_no_ceiling_to_speak_of(models: xr.Dataset) -> None:
    models["ceiling_lower"] = xr.DataArray(np.nan)
    assert "ceiling" not in state_verdict(models)


def test_regions_are_counted(models_by_roi: xr.Dataset) -> None:
    said = state_verdict(models_by_roi)
    assert "most similar model in 1 of 2 slices" in said
    assert "'late': rho_a 0.500 (roi V1), noise ceiling there 0.600 to 0.700" in said
    assert "2 of 2 slices hold a model above 0" in said


def test_generalization_names_both_times(generalization: xr.Dataset) -> None:
    said = state_verdict(generalization)
    assert said.startswith("Pearson r peaks at 0.500 in V1, fitted at 0.1 s and tested at 0.2 s;")


def test_fusion_names_the_peak_of_each_region(fusion: xr.Dataset) -> None:
    said = state_verdict(fusion)
    assert said == "fusion (spearman): peaks of V1 at 0.1 s (1.000), V4 at 0.3 s (1.000)."


def test_a_tested_fusion_says_where_it_passes(fusion: xr.Dataset) -> None:
    p = xr.DataArray([[0.01] * 6, [0.2] * 6], dims=("roi", "time"))
    said = state_verdict(fusion.assign(p_cluster=p))
    assert said.endswith("; above 0 at some time in 1 of 2 (corrected p < 0.05).")


def test_undefined_models_give_no_verdict(models: xr.Dataset) -> None:
    undefined = models.assign(mean=models["mean"] * np.nan)
    assert state_verdict(undefined).startswith("No verdict. result: expected finite means")


def test_a_cosine_is_not_said_to_be_above_zero(models: xr.Dataset) -> None:
    cosine = models.assign_attrs(metric="whitened_cosine")
    assert "above 0: q" not in state_verdict(cosine)
    assert "above 0 anyhow: n_permutations asks" in state_verdict(cosine)
    tested = cosine.assign(p_permutation=models["q_value"] * 0 + 0.002)
    assert "(standard error; related to these data: permutation p = 0.002)" in state_verdict(tested)


def test_slices_of_cosines_count_no_model_above_zero(models_by_roi: xr.Dataset) -> None:
    assert "above 0" not in state_verdict(models_by_roi.assign_attrs(metric="cosine"))


def test_few_subjects_are_said_to_have_little_power(models: xr.Dataset) -> None:
    assert "power" not in state_verdict(models.assign_attrs(degrees_of_freedom=11))
    few = state_verdict(models.assign_attrs(degrees_of_freedom=3))
    assert few.endswith("With 3 degrees of freedom their power is low.")


def test_slices_of_cosines_count_models_by_permutations(models_by_roi: xr.Dataset) -> None:
    p = xr.full_like(models_by_roi["mean"], 0.3)
    p[0, 1] = 0.01
    said = state_verdict(models_by_roi.assign(p_permutation=p).assign_attrs(metric="cosine"))
    assert "; 1 of 2 slices hold a model related to the data at permutation p < 0.05" in said
