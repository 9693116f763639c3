"""Tables hold the numbers, and warnings come first-class."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report.tables import list_warnings, tabulate_estimate
from tests.report.coarse import make_coarse


def test_rows_hold_mean_ceiling_and_share(encoding: xr.Dataset) -> None:
    table = report.tabulate_rois(encoding)
    first, second = table.rows
    mean = float(encoding["score"][:, :20].mean())
    assert first[:3] == ("V1", 20, pytest.approx(mean, abs=6e-4))
    assert first[5:] == (0.8, pytest.approx(mean / 0.8, abs=1e-3), 1.0)
    assert second[-1] == 0.0


def test_undefined_neuroids_are_left_out_of_n(encoding: xr.Dataset) -> None:
    encoding["score"][:, :5] = np.nan
    assert report.tabulate_rois(encoding).rows[0][1] == 15


def test_what_is_not_there_is_none(encoding: xr.Dataset) -> None:
    bare = encoding.drop_vars(["roi", "ceiling", "q_value"])
    (row,) = report.tabulate_rois(bare).rows
    assert (row[0], row[5:]) == ("all", (None, None, None))


def test_times_are_averaged(timed: xr.Dataset) -> None:
    mean = float(timed["score"][:, :20].mean())
    assert report.tabulate_rois(timed).rows[0][2] == pytest.approx(mean, abs=6e-4)


def test_recovery_is_held_against_the_truth(layers: xr.Dataset) -> None:
    rows = report.tabulate_recovery(layers).rows
    assert rows == (
        ("V1", "conv1", "conv1", "yes", 0.5, 0.2),
        ("V4", "conv2", "fc", "no", 0.4, 0.1),
    )
    alone = report.tabulate_recovery(layers.drop_vars("planted_layer"))
    assert alone.columns == ("region", "recovered layer", "best score", "lead")


def test_recovery_needs_the_best_layer(layers: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="expected 'best_layer'"):
        report.tabulate_recovery(layers.drop_vars("best_layer"))


def test_provenance_is_flattened(encoding: xr.Dataset) -> None:
    rows = dict(report.tabulate_provenance(encoding).rows)
    assert rows["versions.numpy"] == "2.1"
    assert (rows["step 1"], rows["step 2"]) == ("loaded", "matched")
    assert "warnings" not in rows


@pytest.mark.parametrize("text", ["not json", "[1, 2]", "3", "[" * 100_000, '{"a": {"b": null}}'])
def test_odd_provenance_is_shown_as_it_stands(encoding: xr.Dataset, text: str) -> None:
    rows = dict(report.tabulate_provenance(encoding.assign_attrs(provenance=text)).rows)
    assert rows.get("provenance", rows.get("a.b")) in (text, "null")


def test_warnings_are_listed_one_a_line(encoding: xr.Dataset) -> None:
    assert list_warnings(encoding) == ["alpha sits on the edge of its grid"]


def test_numbers_give_warnings_too(encoding: xr.Dataset) -> None:
    encoding["score"][:, :5] = np.nan
    bare = encoding.drop_vars(["ceiling", "q_value"]).assign_attrs(n_constant=2)
    said = "\n".join(list_warnings(bare))
    for part in ("2 neuroids never vary", "5 of 40 neuroids", "No noise ceiling", "No permutation"):
        assert part in said


def test_text_of_an_estimate_is_told_by_its_commonest_value() -> None:
    estimate = xr.Dataset(
        {"alpha": ("feature", [1.0, 2.0, 9.0]), "phase": ("time", ["late", "early", "late"])},
        attrs={"kind": "estimate"},
    )
    rows = tabulate_estimate(estimate).rows
    assert rows[0][:3] == ("alpha", 3, 2.0)
    assert rows[1] == ("phase", 3, "late", "and 1 other values", "")


def test_what_the_page_says_elsewhere_is_not_told_twice() -> None:
    attrs = {"kind": "estimate", "method": "m", "model": "", "seed": 0, "provenance": "{}"}
    estimate = xr.Dataset({"alpha": 1.0}, attrs={**attrs, "verdict": "One.", "affine": [1.0]})
    assert tabulate_estimate(estimate).caption == "method m; seed 0"


def test_provenance_does_not_open_with_ends_of_the_grid(encoding: xr.Dataset) -> None:
    first = {"edge_low": [0.1, 0.2], **encoding.attrs}
    result = encoding.copy()
    result.attrs = first
    rows = report.tabulate_provenance(result).rows
    assert rows[0] == ("kind", "encoding")
    told = "share of neuroids at the smallest penalty of the grid, by fold (edge_low)"
    assert (told, "0.1, 0.2") in rows


def test_a_table_over_times_says_so(encoding: xr.Dataset, timed: xr.Dataset) -> None:
    assert report.tabulate_rois(timed).caption.endswith("means over all times.")
    assert "times" not in report.tabulate_rois(encoding).caption


def test_permutations_that_let_no_test_pass_are_a_warning(timed: xr.Dataset) -> None:
    assert any("q cannot fall below 0.12" in line for line in list_warnings(make_coarse(timed)))
