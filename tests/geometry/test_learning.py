"""Alignments and changes of weights equal their formulas; networks are compared whole."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry import (
    align_kernels,
    align_representations,
    compare_weights,
    measure_laziness,
)


def test_alignment_equals_the_cosine_of_kernels(rng: np.random.Generator) -> None:
    for width in (4, 40):
        X, Y = rng.normal(size=(20, width)) + 1, rng.normal(size=(20, 5))
        K, L = X @ X.T, Y @ Y.T
        expected = np.trace(K @ L) / np.linalg.norm(K) / np.linalg.norm(L)
        assert align_representations(X, Y) == pytest.approx(expected)
        assert align_kernels(K, L) == pytest.approx(expected)
        H = np.eye(20) - 1 / 20
        centred = align_kernels(H @ K @ H, H @ L @ H)
        assert align_representations(X, Y, center=True) == pytest.approx(centred)


def test_rotation_and_scale_change_no_alignment(rng: np.random.Generator) -> None:
    X = rng.normal(size=(15, 6))
    turned = 7 * X @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert align_representations(X, turned) == pytest.approx(1.0)
    assert np.isnan(align_kernels(np.zeros((2, 2)), np.eye(2)))


def test_known_changes_of_weights_come_back(rng: np.random.Generator) -> None:
    W = rng.normal(size=(30, 20))
    added = np.outer(rng.normal(size=30), rng.normal(size=20))
    found = compare_weights({"W": W, "b": np.ones(5)}, {"W": W + added, "b": -np.ones(5)})
    assert float(found["change"][0]) == pytest.approx(np.linalg.norm(added))
    relative = np.linalg.norm(added) / np.linalg.norm(W)
    assert float(found["relative_change"][0]) == pytest.approx(relative)
    assert float(found["rank_change"][0]) == pytest.approx(1.0)
    assert np.isnan(found["rank_before"][1])
    assert found["sign_similarity"].values[1] == 0
    same = (np.sign(W) == np.sign(W + added)).mean()
    assert float(found["sign_similarity"][0]) == pytest.approx(same)
    assert float(found["total_change"]) == pytest.approx(np.hypot(np.linalg.norm(added), 20**0.5))


def test_a_network_that_stays_is_as_lazy_as_can_be(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.Tanh(), torch.nn.Linear(9, 2))
    moved = deepcopy(net)
    with torch.no_grad():
        moved[0].weight[0] += 5.0
    probe = torch.randn(12, 6)
    still = measure_laziness(net, deepcopy(net), probe, layer="1")
    found = measure_laziness(net, moved, probe, layer="1", target=np.arange(12) % 2)
    for name in ("representation_alignment", "tangent_alignment", "total_sign_similarity"):
        assert float(still[name]) == pytest.approx(1.0)
        assert float(found[name]) < 0.999
    assert float(still["total_change"]) == 0
    assert float(found["change"].sel(parameter="0.weight")) == pytest.approx(5 * 6**0.5, rel=1e-6)
    assert 0 <= float(found["target_before"]) <= 1
    only = measure_laziness(net, moved, probe, parameters=["2.weight"])
    assert float(only["tangent_alignment"]) != pytest.approx(float(found["tangent_alignment"]))
    schema.check(found)
    again = storage.load(storage.save(found, tmp_path / "lazy.nc")).compute()
    xr.testing.assert_identical(again, found)


def test_laziness_is_said_in_a_sentence() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 2)
    said = measure_laziness(net, deepcopy(net), np.eye(3)).attrs["verdict"]
    assert said == (
        "Tangent kernels before and after align by 1.000, representations by 1.000 (1: lazy); "
        "weights moved by 0.000 of their norm."
    )


def test_wrong_pairs_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(5, 3))
    with pytest.raises(AlignError, match="after: expected 5 samples as before, got 4"):
        align_representations(X, X[:4])
    with pytest.raises(AlignError, match="after: expected square kernels of one shape"):
        align_kernels(np.eye(3), np.eye(4))
    with pytest.raises(AlignError, match="after: expected the weights 'w', got 'v'"):
        compare_weights({"w": X}, {"v": X})
    with pytest.raises(AlignError, match="after\\['w'\\]: expected shape \\(5, 3\\)"):
        compare_weights({"w": X}, {"w": X.T})
    with pytest.raises(SchemaError, match="after\\['w'\\]: expected finite weights"):
        compare_weights({"w": X}, {"w": X * np.nan})


def test_kernels_with_holes_are_named() -> None:
    with pytest.raises(SchemaError, match="before, after: expected finite kernels, got missing"):
        align_kernels(np.full((3, 3), np.nan), np.eye(3))


def test_labelled_rows_in_another_order_are_refused(rng: np.random.Generator) -> None:
    rows = {"stimulus": ("sample", list("abcdefgh"))}
    before = xr.DataArray(rng.normal(size=(8, 5)), rows, ("sample", "feature"))
    assert align_representations(before, before) == pytest.approx(1.0)
    with pytest.raises(AlignError, match="after: expected the stimuli of 'before' in the same"):
        align_representations(before, before[::-1])
