"""Verdicts of the audit on codes whose computation is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import AlignError
from neuroalign.geometry import audit_similarity
from neuroalign.rsa import compare_rdms, compute_rdm


def code(rng: np.random.Generator, easy: float, hard: float, features: Any) -> np.ndarray:
    """A random linear code of 30 units with these weights, and little noise."""
    columns = np.stack([easy * features["easy"], hard * features["hard"]], axis=1).astype(float)
    return columns @ np.linalg.qr(rng.normal(size=(30, 2)))[0].T + 0.05 * rng.normal(size=(80, 30))


@pytest.fixture
def features(rng: np.random.Generator) -> dict[str, Any]:
    return {name: rng.permutation(80) % 2 == 0 for name in ("easy", "hard")}


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ((1, 1), (1, 1), "consistent"),
        ((3, 1), (3, 1), "biased"),
        ((1, 1), (6, 1), "dissociated"),
        ((1, 1), (1, 0), "incomplete"),
    ],
)
def test_verdicts_follow_the_planted_codes(
    first: tuple[float, float],
    second: tuple[float, float],
    verdict: str,
    features: dict[str, Any],
    rng: np.random.Generator,
) -> None:
    a, b = code(rng, *first, features), code(rng, *second, features)
    found = audit_similarity(a, b, features, distance="euclidean", n_bootstrap=200)
    assert found.attrs["verdict"] == verdict
    assert len(found.attrs["meaning"]) > 20


def test_rsa_is_that_of_the_rsa_room(features: dict[str, Any], rng: np.random.Generator) -> None:
    a, b = code(rng, 2, 1, features), code(rng, 1, 2, features)
    found = audit_similarity(a, b, features, n_halves=20, n_bootstrap=50)
    rdms = []
    for values in (a, b):
        names = [f"s{k}" for k in range(80)]
        rows = xr.DataArray(values, {"stimulus": ("sample", names)}, ("sample", "feature"))
        rdms.append(compute_rdm(rows))
    assert float(found["rsa"]) == pytest.approx(float(compare_rdms(*rdms, method="spearman")))
    H = np.eye(80) - 1 / 80
    K, L = (H @ X @ X.T @ H for X in (a, b))
    cka = (K * L).sum() / np.linalg.norm(K) / np.linalg.norm(L)
    assert float(found["cka"]) == pytest.approx(cka)


def test_equal_features_bring_the_shared_computation_back(
    features: dict[str, Any], rng: np.random.Generator
) -> None:
    a, b = code(rng, 1, 1, features), code(rng, 6, 1, features)
    found = audit_similarity(a, b, features, distance="euclidean")
    assert found["rsa_equalized"] > found["rsa"]
    # Noise alone orders the pairs of items that share all features.
    assert found["rsa_equalized"] > 0.8
    assert found["rsa_within"] > 0.7
    assert found.attrs["dominant"] == "easy"


def test_a_reference_that_holds_everything_is_no_evidence(
    features: dict[str, Any], rng: np.random.Generator
) -> None:
    a, b = code(rng, 1, 1, features), code(rng, 4, 1, features)
    found = audit_similarity(a, b, features, references={"a itself": a}, distance="euclidean")
    assert found["shortfall_lower"].sel(representation="a") > 0
    assert found.attrs["verdict"] != "dissociated"


@pytest.mark.slow
def test_the_interval_of_a_shortfall_is_as_wide_as_new_items_make_it() -> None:
    observed, widths = [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        X, mix = rng.normal(size=(60, 12)), np.random.default_rng(99).normal(size=(12, 12))
        features = {"x": X[:, 0] > 0, "y": X[:, 1] > 0}
        found = audit_similarity(X, X @ mix, features, n_halves=40, n_bootstrap=10)
        observed.append(float(found["shortfall"][0, 0]))
        widths.append(float((found["shortfall_upper"] - found["shortfall_lower"])[0, 0]))
    assert 0.5 < np.mean(widths) / (2 * 1.96 * np.std(observed, ddof=1)) < 1.8


def test_numbers_are_read_out_by_r2_and_results_can_be_stored(
    features: dict[str, Any], rng: np.random.Generator, tmp_path: Path
) -> None:
    size = rng.normal(size=80)
    a = np.column_stack([code(rng, 1, 1, features), 3 * size])
    found = audit_similarity(a, a, {"size": size, **features}, n_halves=5)
    assert found["measure"].values.tolist() == ["r2", "balanced accuracy", "balanced accuracy"]
    assert np.isnan(found["rsa_within"])
    assert float(found["rsa"]) == pytest.approx(1.0)
    schema.check(found)
    again = storage.load(storage.save(found, tmp_path / "audit.nc")).compute()
    xr.testing.assert_identical(again, found)


def test_wrong_rows_and_options_are_named(
    features: dict[str, Any], rng: np.random.Generator
) -> None:
    a = code(rng, 1, 1, features)
    with pytest.raises(AlignError, match="b: expected 80 rows as in a, got 79"):
        audit_similarity(a, a[1:], features)
    with pytest.raises(AlignError, match="references\\['net'\\]: expected 80 rows"):
        audit_similarity(a, a, features, references={"net": a[1:]})
    with pytest.raises(ValueError, match="n_halves: expected at least 2, got 1"):
        audit_similarity(a, a, features, n_halves=1)
    with pytest.raises(ValueError, match="comparison: expected one of"):
        audit_similarity(a, a, features, comparison="kendall")


def test_labelled_rows_in_another_order_are_refused(
    features: dict[str, Any], rng: np.random.Generator
) -> None:
    rows = {"stimulus": ("sample", [f"s{k:02d}" for k in range(80)])}
    a = xr.DataArray(code(rng, 1, 1, features), rows, ("sample", "feature"))
    with pytest.raises(AlignError, match="b: expected the stimuli of 'a' in the same order"):
        audit_similarity(a, a[::-1], features)
    with pytest.raises(AlignError, match="references\\['net'\\]: expected the stimuli of 'a'"):
        audit_similarity(a, a, features, references={"net": a[::-1]})
