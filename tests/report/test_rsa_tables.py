"""Tables of models hold the tests that mean something, and no others."""

import numpy as np
import xarray as xr

from neuroalign import report


def test_one_slice_needs_no_column_for_its_place(
    models: xr.Dataset, models_by_roi: xr.Dataset
) -> None:
    one, many = report.tabulate_models(models), report.tabulate_models(models_by_roi)
    assert (one.columns[0], one.rows[0][0]) == ("model", "late")
    assert (many.columns[:2], many.rows[0][:2]) == (("where", "model"), ("roi V1", "late"))
    assert len(many.columns) == len(many.rows[0]) == len(one.columns) + 1
    assert {"p > 0", "q > 0", "p vs ceiling"} <= set(one.columns)
    assert "p, permuted conditions" not in one.columns


def test_cosines_are_not_tested_against_zero(models: xr.Dataset) -> None:
    cosine = models.assign_attrs(metric="whitened_cosine")
    table = report.tabulate_models(cosine)
    assert not {"p > 0", "q > 0", "p, permuted conditions"} & set(table.columns)
    assert table.caption.startswith("No test against 0")
    tested = report.tabulate_models(cosine.assign(p_permutation=("model", [0.0002, 0.62, 0.04])))
    column = tested.columns.index("p, permuted conditions")
    assert [row[column] for row in tested.rows] == ["< .001", 0.62, 0.04]
    assert "orders of condition labels" in tested.caption


def test_permutations_stand_beside_other_tests(models: xr.Dataset) -> None:
    table = report.tabulate_models(models.assign(p_permutation=("model", np.full(3, 0.02))))
    assert {"p > 0", "p, permuted conditions"} <= set(table.columns)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_latencies_without_regions_are_an_empty_table(fusion: xr.Dataset) -> None:
    assert report.tabulate_latencies(fusion.drop_vars("roi")).rows == ()
