"""The table of dichotomies holds what its parts give, for brains and for models."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import NeuroalignWarning
from neuroalign.geometry import (
    describe_dichotomies,
    generalize_across_conditions,
    parallelism_score,
)
from neuroalign.schema import check
from neuroalign.stats import fdr
from neuroalign.storage import load, save

NAMES = ["00", "01", "10", "11"]
FACTORS = {"first": ["10", "11"], "second": ["01", "11"]}


def simulate(rng: np.random.Generator, n: int = 12) -> xr.DataArray:
    """A factorised code of two bits, in four runs."""
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    axes = 4 * np.linalg.qr(rng.normal(size=(30, 2)))[0].T
    X = np.tile(bits @ axes, (n, 1)) + 0.7 * rng.normal(size=(4 * n, 30))
    run = np.repeat([f"run-{i}" for i in range(4)], n)
    coords = {"stimulus": ("sample", np.tile(NAMES, n)), "run": ("sample", run)}
    return xr.DataArray(X, dims=("sample", "neuroid"), coords=coords)


def test_rows_are_what_the_single_measures_give(rng: np.random.Generator) -> None:
    data = simulate(rng)
    table = describe_dichotomies(data, factors=FACTORS, fold="run", n_folds=4, n_null=19)
    assert table["dichotomy"].values.tolist() == ["first", "second", "00+11"]
    assert table["pairing"].values.tolist() == ["factors", "factors", "best"]
    row = table.sel(dichotomy="first")
    pairs = [("10", "00"), ("11", "01")]
    alone = parallelism_score(data, FACTORS["first"], pairs=pairs, fold="run")
    for key, other in (("parallelism", "parallelism"), ("corrected", "corrected")):
        assert float(row[key]) == pytest.approx(float(alone[other]))
    options = {"fold": "run", "n_folds": 4, "n_null": 19}
    made = generalize_across_conditions(data, FACTORS["first"], **options)
    assert float(row["ccgp"]) == float(made["ccgp"])
    assert float(row["p_value"]) == float(made["p_value"])
    np.testing.assert_array_equal(table["q_value"], fdr(table["p_value"].values))
    shattered = float(table["shattering_dimensionality"])
    assert shattered == pytest.approx(float(table["decoding"].mean()))
    assert table["positive"].sel(dichotomy="second", condition="11")


def test_table_can_be_stored(rng: np.random.Generator, tmp_path) -> None:  # type: ignore[no-untyped-def]
    table = describe_dichotomies(simulate(rng), n_null=5)
    check(table)
    save(table, tmp_path / "table.nc")
    xr.testing.assert_identical(load(tmp_path / "table.nc"), table)


def test_factors_alone_have_no_shattering(rng: np.random.Generator) -> None:
    table = describe_dichotomies(simulate(rng), factors=FACTORS, which="factors", n_null=0)
    assert table.sizes["dichotomy"] == 2
    assert np.isnan(table["shattering_dimensionality"])
    assert float(table["corrected"].min()) > 0.9


def test_model_with_one_row_a_condition_has_what_can_be_known(rng: np.random.Generator) -> None:
    names = [f"c{i:02d}" for i in range(14)]
    table = describe_dichotomies(rng.normal(size=(14, 9)), conditions=names, at_most=3, n_null=0)
    assert table.sizes["dichotomy"] == 3
    assert np.isnan(table["decoding"]).all()
    assert set(table["pairing"].values.tolist()) == {"none"}
    assert np.isfinite(table["ccgp"]).all()


def test_faults_are_named(rng: np.random.Generator) -> None:
    data = simulate(rng)
    with pytest.raises(ValueError, match="factors: expected names and sides for which='factors'"):
        describe_dichotomies(data, which="factors")
    with pytest.raises(ValueError, match="which: expected one of 'all', 'factors'"):
        describe_dichotomies(data, which="some")
    with pytest.raises(ValueError, match="n_conditions: expected an even number"):
        describe_dichotomies(data.isel(sample=(data["stimulus"] != "00").values))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_haxby_categories_can_be_divided_in_many_ways(haxby_blocks: xr.DataArray) -> None:
    options = {"fold": "run", "n_folds": 4, "n_null": 0, "at_most": 5}
    table = describe_dichotomies(haxby_blocks, **options)
    # High-dimensional (any division is read) and not abstract (few generalise).
    assert 0.7 < float(table["shattering_dimensionality"]) < 0.9
    assert 0.4 < float(table["ccgp"].mean()) < 0.6
    mixed = haxby_blocks.copy()
    names = haxby_blocks["stimulus"].values.copy()
    rng = np.random.default_rng(1)
    for one in np.unique(mixed["run"]):
        own = mixed["run"].values == one
        names[own] = rng.permutation(names[own])
    null = describe_dichotomies(mixed.assign_coords(stimulus=("sample", names)), **options)
    assert 0.4 < float(null["shattering_dimensionality"]) < 0.6


def test_weak_differences_are_counted(rng: np.random.Generator) -> None:
    noise = xr.DataArray(
        rng.normal(size=(48, 30)),
        dims=("sample", "neuroid"),
        coords={"stimulus": ("sample", np.tile(NAMES, 12))},
    )
    with pytest.warns(NeuroalignWarning, match=r"in \d of 3 dichotomies"):
        table = describe_dichotomies(noise, n_null=0)
    assert np.isnan(table["corrected"]).any()


def test_a_table_that_would_take_too_long_is_refused_with_its_cost(
    rng: np.random.Generator,
) -> None:
    names = [f"c{i:02d}" for i in range(92)]
    X = rng.normal(size=(92, 5))
    with pytest.raises(ValueError, match=r"at most 100000 readouts, got 424200: 200 dichotomies"):
        describe_dichotomies(X, conditions=names)
    with pytest.raises(ValueError, match="max_readouts: expected at most 62 readouts, got 63"):
        describe_dichotomies(X[:8], conditions=names[:8], at_most=3, max_readouts=62)
    few = describe_dichotomies(X[:8], conditions=names[:8], at_most=3, n_null=0, max_readouts=63)
    assert few.sizes["dichotomy"] == 3


def test_the_verdict_counts_what_generalises(rng: np.random.Generator) -> None:
    table = describe_dichotomies(simulate(rng), n_null=0)
    assert table.attrs["headline"] == "ccgp"
    assert table.attrs["verdict"].startswith("3 dichotomies of 4 conditions; shattering dim")
