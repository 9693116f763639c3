"""Nulls are drawn as they were stored, with their resolution."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from neuroalign.decoders import decode_classes
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.report.null_figures import (
    list_null_parts,
    plot_null,
    plot_p_values,
    tabulate_null,
)
from tests.report.coarse import make_coarse


@pytest.fixture
def permuted(rng: np.random.Generator) -> xr.Dataset:
    null = rng.normal(size=(99, 2))
    return xr.Dataset(
        {
            "observed": ("dimension", [10.0, null[:, 1].min() - 1]),
            "null": (("permutation", "dimension"), null),
        }
    )


def test_histogram_holds_all_permutations_and_the_observed_line(permuted: xr.Dataset) -> None:
    axes = plot_null(permuted).axes
    for panel, observed in zip(axes, permuted["observed"].values, strict=True):
        assert sum(bar.get_height() for bar in panel.patches) == 99
        assert panel.lines[0].get_xdata()[0] == observed


def test_p_and_its_steps_are_written(permuted: xr.Dataset) -> None:
    said = [
        [t.get_text() for t in axes.get_legend().get_texts()] for axes in plot_null(permuted).axes
    ]
    assert "p = 0.01 in steps of 0.01" in said[0]
    assert "p = 1 in steps of 0.01" in said[1]
    stored = permuted.assign(p_value=("dimension", [0.2, 0.3]))
    words = [t.get_text() for t in plot_null(stored).axes[0].get_legend().get_texts()]
    assert "p = 0.2 in steps of 0.01" in words


def test_quantiles_of_chance_lie_in_their_band(
    rng: np.random.Generator, encoding: xr.Dataset
) -> None:
    p = (1 + rng.integers(0, 1000, 40)) / 1001
    result = encoding.assign(p_value=("neuroid", p)).assign_attrs(n_permutations=1000)
    left, right = plot_p_values(result).axes
    assert sum(bar.get_height() for bar in left.patches) == 40
    points = next(line for line in right.lines if line.get_gid() == "qq")
    np.testing.assert_allclose(10.0 ** -np.asarray(points.get_ydata()), np.sort(p))
    rank = np.arange(1, 41)
    np.testing.assert_allclose(10.0 ** -np.asarray(points.get_xdata()), (rank - 0.5) / 40)
    low, high = (stats.beta.ppf(q, rank, 41 - rank) for q in (0.025, 0.975))
    band = 10.0 ** -right.collections[0].get_paths()[0].vertices[:, 1]
    for ends in (low, high):
        assert np.abs(band[:, None] - ends).min(axis=0).max() < 1e-9
    assert right.lines[-1].get_ydata()[0] == pytest.approx(np.log10(1001))


def test_table_says_what_was_exchanged_and_how_fine_p_is(encoding: xr.Dataset) -> None:
    attrs = {"n_permutations": 1000, "permutation_scheme": "block", "permutation_refit": 1}
    rows = dict(tabulate_null(encoding.assign_attrs(attrs)).rows)
    assert rows["permutations"] == 1000
    assert rows["resolution of p, 1 / (permutations + 1)"] == pytest.approx(1 / 1001, rel=1e-5)
    assert rows["what is exchanged"] == "block: all rows of one stimulus move together"
    assert rows["fits"] == "the encoder is refitted each time"
    assert rows["tests"] == 40
    assert rows["q < 0.05 (false discovery rate)"] == 20
    assert rows["p < 0.05"] == int((encoding["p_value"] < 0.05).sum())


def test_a_list_of_all_sign_flips_has_its_own_least_p(encoding: xr.Dataset) -> None:
    listed = encoding.assign_attrs(n_permutations=64, n_units=6)
    assert ("resolution of p, all sign flips, 2 / flips", 0.03125) in tabulate_null(listed).rows
    right = plot_p_values(listed).axes[1]
    assert right.lines[-1].get_ydata()[0] == pytest.approx(np.log10(32))
    assert "p = 1/32" in [text.get_text() for text in right.get_legend().get_texts()]


def test_a_decoding_with_permutations_shows_its_null(rng: np.random.Generator) -> None:
    shown, runs = ["face", "house"] * 20, np.repeat(["r1", "r2", "r3", "r4"], 10)
    values = rng.normal(size=(40, 6)) + np.outer([1, -1] * 20, [1, 0, 0, 0, 0, 1])
    data = from_arrays(values, stimulus=shown, run=runs, modality="fmri")
    found = decode_classes(data, n_permutations=19)
    ((title, make),) = list_null_parts(found)
    assert title == "Null distribution"
    block = make()
    assert block.shape == "picture"
    assert block.data is not None
    np.testing.assert_allclose([row[1] for row in block.data.rows], found["null"], rtol=1e-5)


def test_parts_come_only_with_permutations(encoding: xr.Dataset) -> None:
    assert list_null_parts(encoding) == []
    titles = [title for title, _ in list_null_parts(encoding.assign_attrs(n_permutations=100))]
    assert titles == ["Null", "Table of the null"]


def test_messages(encoding: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="expected a null over 'permutation'"):
        plot_null(encoding)
    with pytest.raises(SchemaError, match="expected 'p_value', got none"):
        plot_p_values(encoding.drop_vars("p_value"))
    with pytest.raises(SchemaError, match="p_value: expected finite values"):
        tabulate_null(encoding.assign(p_value=encoding["p_value"] * np.nan))


def test_the_table_says_when_no_q_can_pass(timed: xr.Dataset) -> None:
    table = tabulate_null(make_coarse(timed))
    assert dict(table.rows)["smallest q"] == 0.12
    assert "No q can pass: q cannot fall below 0.12" in table.caption
    assert "smallest q" not in dict(tabulate_null(make_coarse(timed, 120)).rows)
