"""Kernel ridge against scikit-learn and himalaya; sums of kernels; kernels that are none."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge as PeerKernelRidge
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

from neuroalign.encoders import BandedRidge, KernelRidge
from neuroalign.encoders._spaces import take_kernel_root

GRID = np.logspace(-3, 3, 13)


def _data(rng: np.random.Generator, n: int = 60, t: int = 5) -> tuple[np.ndarray, np.ndarray]:
    X = rng.normal(size=(n, 6))
    Y = np.sin(X[:, :3]) @ rng.normal(size=(3, t)) + 0.3 * rng.normal(size=(n, t)) + 3
    return X, Y


@pytest.mark.parametrize(
    ("kernel", "peer"), [("linear", "linear"), ("rbf", "rbf"), ("polynomial", "poly")]
)
def test_each_kernel_predicts_as_scikit_learn_does(
    kernel: str, peer: str, rng: np.random.Generator
) -> None:
    X, Y = _data(rng)
    Y = Y - Y.mean(axis=0)
    options = {"kernel": kernel, "gamma": 0.2, "degree": 2, "fit_intercept": False}
    ours = KernelRidge(0.5, **options).fit(X[:40], Y[:40])
    table = {"linear": X @ X.T, "rbf": rbf_kernel(X, gamma=0.2),
             "polynomial": polynomial_kernel(X, degree=2, gamma=0.2)}  # fmt: skip
    alpha = 0.5 * np.trace(table[kernel][:40, :40]) / 40
    theirs = PeerKernelRidge(alpha=alpha, kernel=peer, gamma=0.2, degree=2).fit(X[:40], Y[:40])
    np.testing.assert_allclose(ours.predict(X[40:]), theirs.predict(X[40:]), rtol=1e-7, atol=1e-8)


def test_a_linear_kernel_is_linear_ridge(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    spaces = list("aaabbb")
    one = KernelRidge(GRID, spaces=spaces, n_candidates=8).fit(X[:40], Y[:40])
    two = BandedRidge(GRID, spaces=spaces, n_candidates=8).fit(X[:40], Y[:40])
    np.testing.assert_allclose(one.predict(X[40:]), two.predict(X[40:]), rtol=1e-6)
    np.testing.assert_allclose(one.space_weights_, two.space_weights_)


@pytest.mark.parametrize("intercept", [True, False])
def test_a_precomputed_kernel_gives_the_same_numbers(
    intercept: bool, rng: np.random.Generator
) -> None:
    X, Y = _data(rng)
    kernel = rbf_kernel(X, gamma=0.2)
    options = {"fit_intercept": intercept}
    whole = KernelRidge(0.1, kernel="rbf", gamma=0.2, **options).fit(X[:40], Y[:40])
    given = KernelRidge(0.1, kernel="precomputed", **options).fit(kernel[:40, :40], Y[:40])
    np.testing.assert_allclose(given.predict(kernel[40:, :40]), whole.predict(X[40:]), rtol=1e-7)


def test_several_precomputed_kernels_stand_side_by_side(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    kernels = [rbf_kernel(X[:, :3], gamma=0.3), X[:, 3:] @ X[:, 3:].T]
    train = np.concatenate([one[:40, :40] for one in kernels], axis=1)
    test = np.concatenate([one[40:, :40] for one in kernels], axis=1)
    labels = ["a"] * 40 + ["b"] * 40
    given = KernelRidge(GRID, kernel="precomputed", spaces=labels, n_candidates=8).fit(
        train, Y[:40]
    )
    mixed = {"a": "rbf", "b": "linear"}
    whole = KernelRidge(GRID, kernel=mixed, gamma=0.3, spaces=list("aaabbb"), n_candidates=8)
    expected = whole.fit(X[:40], Y[:40]).predict(X[40:])
    np.testing.assert_allclose(given.predict(test), expected, rtol=1e-6)


def test_a_curved_response_needs_a_curved_kernel(rng: np.random.Generator) -> None:
    X = rng.uniform(-2, 2, size=(300, 2))
    y = X[:, 0] ** 2 + 0.1 * rng.normal(size=300)
    fits = {
        name: KernelRidge(kernel=name).fit(X[:200], y[:200]).score(X[200:], y[200:])
        for name in ("linear", "rbf", "polynomial")
    }
    assert fits["linear"] < 0.2
    assert min(fits["rbf"], fits["polynomial"]) > 0.98


@pytest.mark.parametrize("seed", range(4))
def test_a_smooth_kernel_predicts_as_its_normal_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(300, 2))
    y = X[:, 0] ** 2 + 0.1 * rng.normal(size=300)
    model = KernelRidge(kernel="rbf", gamma=0.4).fit(X[:200], y[:200])
    known, new = rbf_kernel(X[:200], gamma=0.4), rbf_kernel(X[200:], X[:200], gamma=0.4)
    centre = np.eye(200) - 1 / 200
    kernel = centre @ known @ centre
    alpha = float(model.alpha_) * np.trace(kernel) / 200
    dual = np.linalg.solve(kernel + alpha * np.eye(200), y[:200] - y[:200].mean())
    expected = (new - known.mean(axis=0)) @ centre @ dual + y[:200].mean()
    np.testing.assert_allclose(model.predict(X[200:]), expected, atol=5e-3)


def test_himalaya_predicts_the_same_from_the_same_kernel(rng: np.random.Generator) -> None:
    himalaya = pytest.importorskip("himalaya.kernel_ridge")
    X, Y = _data(rng)
    X, Y = X - X[:40].mean(0), Y - Y[:40].mean(0)
    scale = (X[:40] ** 2).sum() / 40
    ours = KernelRidge(GRID, fit_intercept=False).fit(X[:40], Y[:40])
    peer = himalaya.KernelRidgeCV(alphas=GRID * scale, kernel="linear", warn=False).fit(
        X[:40], Y[:40]
    )
    np.testing.assert_allclose(ours.predict(X[40:]), peer.predict(X[40:]), rtol=1e-5, atol=1e-6)


def test_penalties_do_not_depend_on_their_order_where_those_of_himalaya_do(
    rng: np.random.Generator,
) -> None:
    X, Y = _data(rng)
    kernel = X[:, :2] @ X[:, :2].T
    kernel -= 1e-9 * np.eye(60)
    grid = np.logspace(-10, 2, 13)
    fits = [
        KernelRidge(one, kernel="precomputed").fit(kernel, Y).predict(kernel)
        for one in (grid, grid[::-1], np.concatenate([grid, grid]))
    ]
    np.testing.assert_array_equal(fits[0], fits[1])
    np.testing.assert_array_equal(fits[0], fits[2])
    assert np.abs(fits[0]).max() < 10 * np.abs(Y).max()


def test_a_kernel_with_negative_eigenvalues_is_refused(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    with pytest.raises(ValueError, match="kernel of space 'all': expected a kernel without neg"):
        KernelRidge(kernel="precomputed", fit_intercept=False).fit(-X @ X.T, Y)


def test_a_kernel_that_is_not_symmetric_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="kernel: expected a symmetric kernel"):
        take_kernel_root(rng.normal(size=(5, 5)), np.float64, center=True)


def test_a_precomputed_kernel_of_another_width_is_refused(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    with pytest.raises(ValueError, match="X: expected a kernel of 60 columns for space 'all'"):
        KernelRidge(kernel="precomputed").fit(X, Y)


def test_an_unknown_kernel_is_named(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    with pytest.raises(ValueError, match="kernel: expected one of 'linear', 'rbf'"):
        KernelRidge(kernel="rfb").fit(X, Y)


def test_a_space_without_a_kernel_is_named(rng: np.random.Generator) -> None:
    X, Y = _data(rng)
    spaces = ["a"] + ["b"] * (X.shape[1] - 1)
    with pytest.raises(ValueError, match="kernel: expected one for each space, got none for 'b'"):
        KernelRidge(kernel={"a": "linear"}, spaces=spaces).fit(X, Y)
