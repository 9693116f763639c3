"""Tables behind figures hold the values, and say when they were cut."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report.figure_data import MOST_VALUES, lay_out, tabulate_variables, to_cell


def test_each_value_has_its_row_and_labels(encoding: xr.Dataset) -> None:
    table = lay_out("Scores", {"score": encoding["score"], "ceiling": encoding["ceiling"]})
    assert len(table.rows) == 120
    assert table.columns == ("fold", "neuroid", "roi", "hemisphere", "vertex", "score", "ceiling")
    row = table.rows[41]
    assert row[:5] == (1, "n1", "V1", "right", 200)
    assert row[5] == pytest.approx(float(encoding["score"][1, 1]), rel=1e-5)
    assert row[6] == pytest.approx(0.64)


def test_pairs_are_named_by_both_conditions() -> None:
    coords = {"first": ("pair", ["a", "a"]), "second": ("pair", ["b", "c"])}
    table = lay_out("RDM", {"d": xr.DataArray([1.0, np.nan], dims="pair", coords=coords)})
    assert table.rows == ((0, "a", "b", 1.0), (1, "a", "c", None))


def test_long_tables_are_cut_and_say_so() -> None:
    table = lay_out("Long", {"x": xr.DataArray(np.zeros((3000, 2)), dims=("a", "b"))}, "All.")
    assert len(table.rows) == MOST_VALUES
    assert table.caption == "All. The first 5000 of 6000 rows."


def test_scalars_and_empty_arrays_pass() -> None:
    assert lay_out("One", {"x": xr.DataArray(0.5)}).rows == ((0.5,),)
    assert lay_out("None", {"x": xr.DataArray(np.zeros(0), dims="a")}).rows == ()


def test_variables_over_the_dims_of_the_largest_are_joined(encoding: xr.Dataset) -> None:
    other = encoding.assign(weights=("feature", np.ones(3)))
    table = tabulate_variables("All", other, "ceiling", "weights", "score", "absent")
    assert table.columns[-2:] == ("ceiling", "score")
    assert len(table.rows) == 120
    with pytest.raises(SchemaError, match="expected one of 'absent', got 'score'"):
        tabulate_variables("None", encoding, "absent")


@pytest.mark.parametrize(
    ("value", "cell"),
    [(np.float32(0.1), 0.1), (np.inf, None), (True, 1), (np.int64(3), 3), (np.str_("a"), "a")],
)
def test_cells(value: object, cell: object) -> None:
    assert to_cell(value) == cell
