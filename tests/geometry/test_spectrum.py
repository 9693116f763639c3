"""Numbers of known spectra come out exactly, and say which definition they follow."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.decomposition import PCA

from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.geometry import (
    compute_spectrum,
    describe_spectrum,
    effective_rank,
    fit_power_law,
    participation_ratio,
    subsample_spectrum,
)
from neuroalign.rsa import from_matrix
from neuroalign.schema import check
from neuroalign.storage import load, save

MATRICES = hnp.arrays(np.float64, (12, 5), elements=st.floats(-5, 5, width=32))


def with_spectrum(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """A centred matrix (n, unit) whose covariance has exactly these eigenvalues."""
    noise = rng.normal(size=(n, len(values)))
    basis = np.linalg.qr(noise - noise.mean(axis=0))[0]
    return basis * np.sqrt(n * values)


def test_spectrum_is_that_of_the_covariance(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 7)) + 3
    direct = np.linalg.eigvalsh(np.cov(X.T, ddof=0))[::-1]
    np.testing.assert_allclose(compute_spectrum(X), direct, rtol=1e-10)
    shares = PCA().fit(X).explained_variance_ratio_
    spectrum = compute_spectrum(X)
    np.testing.assert_allclose(spectrum / spectrum.sum(), shares, rtol=1e-10)
    assert len(compute_spectrum(X, max_components=3)) == 3


def test_effective_ranks_of_a_power_law_are_the_closed_ones(rng: np.random.Generator) -> None:
    values = 1 / np.arange(1, 201)
    X = with_spectrum(values, 1000, rng)
    np.testing.assert_allclose(compute_spectrum(X), values, rtol=1e-9)
    for kind, weight in (("eigenvalue", values), ("singular", np.sqrt(values))):
        share = weight / weight.sum()
        truth = np.exp(-(share * np.log(share)).sum())
        np.testing.assert_allclose(effective_rank(X, kind=kind), truth, rtol=1e-9)
    squared = values.sum() ** 2 / (values**2).sum()
    np.testing.assert_allclose(participation_ratio(X), squared, rtol=1e-9)


def test_singular_values_of_one_decay_are_eigenvalues_of_half_of_it(
    rng: np.random.Generator,
) -> None:
    rank = np.arange(1.0, 51)
    one = effective_rank(with_spectrum(rank**-1.4, 200, rng), kind="singular")
    half = effective_rank(with_spectrum(rank**-0.7, 200, rng))
    np.testing.assert_allclose(one, half, rtol=1e-9)


def test_authors_version_of_rankme_adds_without_normalising(rng: np.random.Generator) -> None:
    X = rng.normal(size=(80, 30))
    share = PCA(n_components=20).fit(X).explained_variance_ratio_
    p = share / share.sum() + 1e-7
    truth = np.exp(-(p * np.log(p)).sum())
    np.testing.assert_allclose(effective_rank(X, eps=1e-7, max_components=20), truth, rtol=1e-10)


@given(MATRICES, st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_ranks_know_no_scale_place_or_direction(X: np.ndarray, seed: int) -> None:
    if X.std() < 1e-2:
        return
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    moved = 3.7 * X @ turn + 2
    for measure in (participation_ratio, effective_rank):
        np.testing.assert_allclose(measure(moved), measure(X), rtol=1e-6)
    assert 1 - 1e-9 <= participation_ratio(X) <= effective_rank(X) * (1 + 1e-9) <= 5.001


def test_flat_and_single_spectra_are_the_bounds() -> None:
    assert effective_rank(np.vstack([np.eye(6), -np.eye(6)])) == pytest.approx(6)
    line = np.outer(np.arange(9.0), np.ones(4))
    assert participation_ratio(line) == pytest.approx(1)
    assert np.isnan(effective_rank(np.ones((5, 3))))


def test_power_law_is_a_weighted_line_in_logarithms(rng: np.random.Generator) -> None:
    spectrum = np.sort(np.arange(1, 151) ** -0.8 * rng.uniform(0.8, 1.2, 150))[::-1]
    before = spectrum.copy()
    fitted = fit_power_law(spectrum)
    rank = np.arange(12, 101)
    slope, intercept = np.polyfit(np.log(rank), np.log(spectrum[11:100]), 1, w=rank**-0.5)
    assert fitted.alpha == pytest.approx(-slope, rel=1e-10)
    assert fitted.intercept == pytest.approx(intercept, rel=1e-9)
    assert 0.9 < fitted.r2 < 1
    np.testing.assert_array_equal(spectrum, before)
    assert fit_power_law(spectrum) == fitted


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.3])
def test_exact_power_laws_come_back(alpha: float) -> None:
    fitted = fit_power_law(4 * np.arange(1, 120.0) ** -alpha)
    assert fitted.alpha == pytest.approx(alpha, abs=1e-9)
    assert fitted.r2 == pytest.approx(1)


def test_layers_make_a_table_that_can_be_stored(rng: np.random.Generator, tmp_path) -> None:  # type: ignore[no-untyped-def]
    layers = {"layer1/a": rng.normal(size=(700, 40)), "layer2": rng.normal(size=(700, 20))}
    table = describe_spectrum(layers, ranks=(2, 20))
    assert table["rankme"].dims == ("layer",)
    assert np.isnan(table["spectrum"].sel(layer="layer2", rank=30))
    for layer, X in layers.items():
        row = table.sel(layer=layer)
        assert float(row["rankme"]) == effective_rank(X)
        singular = effective_rank(X, kind="singular", center=False)
        assert float(row["rankme_singular"]) == singular
        assert float(row["alpha"]) == fit_power_law(compute_spectrum(X), ranks=(2, 20)).alpha
    check(table)
    save(table, tmp_path / "table.nc")
    xr.testing.assert_identical(load(tmp_path / "table.nc"), table)


def test_one_matrix_gives_numbers_without_layers(rng: np.random.Generator) -> None:
    X = xr.DataArray(rng.normal(size=(300, 12)), dims=("sample", "feature"))
    table = describe_spectrum(X, ranks=(1, 10))
    assert table["participation_ratio"].dims == ()
    assert table.attrs["n"] == 300
    assert table.attrs["ranks"] == "1-10"


def test_few_samples_are_said(rng: np.random.Generator) -> None:
    with pytest.warns(NeuroalignWarning, match="got fewer in 'deep'"):
        table = describe_spectrum({"deep": rng.normal(size=(60, 80))})
    assert np.isnan(table["alpha"]).all()


def test_subsamples_show_the_bias(rng: np.random.Generator) -> None:
    X = rng.normal(size=(800, 60))
    curve = subsample_spectrum(X, shares=(0.25, 1.0), ranks=(1, 30), n_draws=3, seed=4)
    ranks = curve["rankme"].mean("draw").values
    assert ranks[0] < ranks[1] < 60
    assert float(curve["rankme"][1].std()) < 1e-9
    assert curve["n_samples"].values[:, 0].tolist() == [200, 800]
    again = subsample_spectrum(X, shares=(0.25, 1.0), ranks=(1, 30), n_draws=3, seed=4)
    xr.testing.assert_identical(curve, again)


def test_faults_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 8))
    with pytest.raises(ValueError, match=r"ranks: expected the last of at most 8.*got 100"):
        fit_power_law(compute_spectrum(X))
    with pytest.raises(ValueError, match=r"ranks: expected \(first, last\)"):
        fit_power_law(np.ones(5), ranks=(3, 3))
    with pytest.raises(ValueError, match="spectrum: expected one dim"):
        fit_power_law(X)
    with pytest.raises(ValueError, match=r"kind: expected one of 'eigenvalue', 'singular'"):
        effective_rank(X, kind="entropy")
    with pytest.raises(ValueError, match="max_components: expected 1 or more"):
        compute_spectrum(X, max_components=0)
    with pytest.raises(SchemaError, match=r"X: expected two dims \(sample, unit\)"):
        compute_spectrum(X[:, :, None])
    with pytest.raises(SchemaError, match="X: expected at least 2 samples"):
        participation_ratio(X[:1])
    with pytest.raises(SchemaError, match="X: expected finite values, got 1 missing"):
        effective_rank(np.where(np.arange(8) + np.arange(50)[:, None] == 0, np.nan, X))
    with pytest.raises(ValueError, match="X: expected at least one layer"):
        describe_spectrum({})
    with pytest.raises(ValueError, match="shares: expected numbers above 0"):
        subsample_spectrum(X, shares=(0.0,), ranks=(1, 5))
    with pytest.raises(ValueError, match="n_draws: expected 1 or more"):
        subsample_spectrum(X, n_draws=0, ranks=(1, 5))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_constant_units_have_no_rank_whatever_rounding_leaves(value: float) -> None:
    constant = np.full((10, 3), value)
    assert np.isnan(effective_rank(constant))
    assert np.isnan(participation_ratio(constant))


def test_an_rdm_is_not_taken_for_points(rng: np.random.Generator) -> None:
    X = rng.normal(size=(8, 20))
    bare = 1 - np.corrcoef(X)
    with pytest.raises(SchemaError, match=r"X: expected points \(sample, unit\), got a bare sym"):
        effective_rank(bare)
    with pytest.raises(SchemaError, match=r"X\['one'\]: expected points .* may be an RDM"):
        describe_spectrum({"one": bare}, ranks=(1, 5))
    named = from_matrix(bare, list("abcdefgh"))
    with pytest.raises(SchemaError, match=r"got an RDM \('first', 'second'\). Pass the patterns"):
        effective_rank(named)
    rows = xr.DataArray(bare, dims=("sample", "neuroid"))
    assert 1 < effective_rank(rows) < 8
