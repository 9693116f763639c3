"""What a notebook shows is small and escaped."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.rsa import compare_rdms, from_matrix


def test_encoding_shows_its_regions(encoding: xr.Dataset) -> None:
    shown = report.show(encoding)._repr_html_()
    assert shown.count("<tr>") == 3
    assert "Pearson r" in shown


def test_labels_are_escaped(encoding: xr.Dataset) -> None:
    rois = np.full(40, '<script>alert("1")</script>\u202e')
    shown = report.show(encoding.assign_coords(roi=("neuroid", rois)))._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;alert(&quot;1&quot;)" in shown
    assert "\u202e" not in shown


def test_other_kinds_show_their_sizes(rdm: xr.DataArray, layers: xr.Dataset) -> None:
    assert "<td>first</td><td>9</td>" in report.show(rdm)._repr_html_()
    assert "conv2" in report.show(layers)._repr_html_()
    assert repr(report.show(rdm)) == "1 RDM of 9 conditions (euclidean)."


def test_undefined_scores_are_said_not_raised(encoding: xr.Dataset) -> None:
    shown = report.show(encoding.assign(score=encoding["score"] * np.nan))
    assert "expected finite scores" in shown._repr_html_()


def test_long_tables_are_cut(encoding: xr.Dataset) -> None:
    rois = np.array([f"roi-{number}" for number in range(40)])
    shown = report.show(encoding.assign_coords(roi=("neuroid", rois)))._repr_html_()
    assert "and 20 more rows" in shown


def test_an_estimate_shows_its_numbers() -> None:
    estimate = xr.Dataset(
        {"alpha": ("feature", [1.0, 2.0, 9.0])}, attrs={"kind": "estimate", "method": "spectrum"}
    )
    page = report.show(estimate)._repr_html_()
    assert "alpha" in page
    assert "2.0" in page


def test_what_is_no_result_is_named() -> None:
    rdm = from_matrix(np.arange(6.0), "abcd")
    theirs = SimpleNamespace(dissimilarities=np.zeros((1, 6)))
    for thing, match in (
        ({"a": rdm}, "got a mapping of 1. Show each by itself"),
        (0.5, "got the number 0.5, which says itself"),
        (theirs, "got SimpleNamespace. Convert it by rsa.from_rsatoolbox"),
        (compare_rdms(rdm, rdm), "got a DataArray .* A table of numbers, as of rsa.compare_rdms"),
    ):
        with pytest.raises(SchemaError, match=match):
            report.show(thing)  # type: ignore[arg-type]


def test_a_comparison_is_shown_as_the_message_says() -> None:
    rdm = from_matrix(np.arange(6.0), "abcd")
    attrs = {"kind": "estimate", "method": "my comparison"}
    made = xr.Dataset({"score": compare_rdms({"x": rdm, "y": rdm}, rdm)}, attrs=attrs)
    assert "my comparison: score 1.000" in repr(report.show(made))
