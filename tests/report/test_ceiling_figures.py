"""Scores under their ceiling."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.evaluate import normalize_scores
from neuroalign.report.ceiling_figures import (
    compare_to_ceiling,
    get_least_ceiling,
    list_ceiling_parts,
    plot_ceiling_bars,
    tabulate_levels,
)


def test_normalised_is_the_mean_of_ratios(encoding: xr.Dataset) -> None:
    levels = compare_to_ceiling(encoding)
    wanted = (encoding["score"].mean("fold") / 0.8).groupby("roi").mean().values
    np.testing.assert_allclose([level.normalised.mean for level in levels], wanted, rtol=1e-5)
    assert [level.ceiling.mean for level in levels] == pytest.approx([0.8, 0.8])


def test_it_agrees_with_normalised_scores(encoding: xr.Dataset, rng: np.random.Generator) -> None:
    ceiling = xr.DataArray(rng.uniform(0, 0.9, 40), dims="neuroid")
    result = encoding.assign(ceiling=ceiling)
    known = normalize_scores(result)["mean_normalized_score"]
    levels = compare_to_ceiling(result)
    for level, inside in zip(levels, (slice(20), slice(20, 40)), strict=True):
        assert level.normalised.mean == pytest.approx(float(known[inside].mean()), rel=1e-5)
        assert level.normalised.n == int(known[inside].notnull().sum())


def test_low_ceilings_have_no_ratio(encoding: xr.Dataset) -> None:
    low = encoding.assign(ceiling=("neuroid", np.repeat([0.64, 0.09], 20)))
    assert [level.normalised.n for level in compare_to_ceiling(low)] == [20, 0]
    loose = low.assign_attrs(min_ceiling=0.05)
    assert get_least_ceiling(loose) == 0.05
    assert [level.normalised.n for level in compare_to_ceiling(loose)] == [20, 20]


def test_both_panels_hold_their_numbers(encoding: xr.Dataset) -> None:
    left, right = plot_ceiling_bars(encoding).axes
    levels = compare_to_ceiling(encoding)
    assert [bar.get_height() for bar in left.patches] == [level.score.mean for level in levels]
    assert [bar.get_height() for bar in right.patches] == [
        level.normalised.mean for level in levels
    ]
    lines = [line.get_ydata()[0] for line in left.lines if line.get_gid() == "ceiling"]
    np.testing.assert_allclose(lines, 0.8)


def test_the_formula_is_shown_and_numbers_can_be_taken(encoding: xr.Dataset) -> None:
    ((_, make),) = list_ceiling_parts(encoding)
    block = make()
    assert block.shape == "picture"
    assert "ceiling of r = √(share of variance that repeats)" in block.caption
    assert block.data == tabulate_levels(encoding)
    ((_, of_shares),) = list_ceiling_parts(encoding.assign_attrs(metric="r2"))
    assert "normalised = R² / ceiling" in of_shares().caption  # type: ignore[union-attr]


def test_without_a_ceiling_there_is_nothing_to_draw(encoding: xr.Dataset) -> None:
    bare = encoding.drop_vars("ceiling")
    assert list_ceiling_parts(bare) == []
    with pytest.raises(SchemaError, match="expected a finite 'ceiling'"):
        plot_ceiling_bars(bare)
