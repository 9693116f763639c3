"""Alignment with a target is the centred cosine of two kernels."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from scipy.spatial.distance import squareform

from neuroalign.errors import SchemaError
from neuroalign.geometry import participation_ratio, target_alignment

BITS = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])


def test_it_is_the_formula_on_features(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(50, 6)), rng.normal(size=(50, 3))
    Z, W = X - X.mean(axis=0), Y - Y.mean(axis=0)
    norms = np.linalg.norm(Z.T @ Z) * np.linalg.norm(W.T @ W)
    assert target_alignment(X, Y) == pytest.approx(np.linalg.norm(Z.T @ W) ** 2 / norms)


def test_debiased_form_is_the_formula_on_kernels(rng: np.random.Generator) -> None:
    X, Y, n = rng.normal(size=(20, 6)), rng.normal(size=(20, 3)), 20

    def hsic(K: np.ndarray, L: np.ndarray) -> float:
        K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
        both = K.sum() * L.sum() / ((n - 1) * (n - 2)) - 2 * (K @ L).sum() / (n - 2)
        return float((np.trace(K @ L) + both) / (n * (n - 3)))

    K, L = X @ X.T, Y @ Y.T
    truth = hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))
    assert target_alignment(X, Y, debias=True) == pytest.approx(truth)


def test_chance_is_taken_out(rng: np.random.Generator) -> None:
    draws = [(rng.normal(size=(30, 300)), rng.choice([-1, 1], 30)) for _ in range(40)]
    assert np.mean([target_alignment(X, y) for X, y in draws]) > 0.15
    assert abs(np.mean([target_alignment(X, y, debias=True) for X, y in draws])) < 0.03


def test_labels_are_equal_or_not() -> None:
    names = np.array(["cat", "dog", "cat", "cup"])
    one_hot = (names[:, None] == np.array(["cat", "cup", "dog"])).astype(float)
    X = np.random.default_rng(0).normal(size=(4, 5))
    assert target_alignment(X, names) == pytest.approx(target_alignment(X, one_hot))
    assert target_alignment(one_hot, names) == pytest.approx(1)


def test_nothing_to_align_is_not_a_number() -> None:
    assert np.isnan(target_alignment(np.ones((5, 2)), np.arange(5)))
    assert np.isnan(target_alignment(np.eye(5), np.ones(5)))


def test_faults_are_named() -> None:
    with pytest.raises(SchemaError, match="targets: expected one row for each of 8 samples"):
        target_alignment(BITS, np.ones(7))
    with pytest.raises(SchemaError, match=r"targets: expected labels \(sample,\), got two dims"):
        target_alignment(BITS, BITS.astype(str))


def test_inferior_temporal_cortex_is_organised_by_animacy(real_data: Path) -> None:
    folder = real_data / "rsa_92images"
    options = {"squeeze_me": True, "struct_as_record": False}
    held = loadmat(folder / "Kriegeskorte_Neuron2008_supplementalData.mat", **options)
    animate = np.array([int(one.animal) for one in held["stimuli_92objs"]])
    animate |= np.array([int(one.human) for one in held["stimuli_92objs"]])
    found, wide = {}, {}
    for one in np.ravel(held["RDMs_mIT_hIT_fig1"]):
        # 1 - r is half a squared distance of standardised patterns: its kernel has these points.
        kernel = 1 - squareform(np.ravel(one.RDM)) if np.ndim(one.RDM) == 1 else 1 - one.RDM
        values, vectors = np.linalg.eigh(kernel)
        points = vectors * np.sqrt(np.maximum(values, 0))
        found[one.name] = target_alignment(points, animate, debias=True)
        wide[one.name] = participation_ratio(points)
        shuffled = np.random.default_rng(0).permutation(animate)
        assert abs(target_alignment(points, shuffled, debias=True)) < 0.05
    assert len(found) == 2
    assert min(found.values()) > 0.2
    assert all(2 < one < 80 for one in wide.values()), wide
