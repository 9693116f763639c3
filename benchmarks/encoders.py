"""Encoders against their peers.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.encoders --quick``.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.model_selection import KFold

from benchmarks.harness import Race, main
from neuroalign.encoders import Ridge

GRID = np.logspace(-1, 5, 20)
N_FOLDS = 5
Inputs = tuple[np.ndarray, np.ndarray]


def simulate_linear(n: int, p: int, t: int) -> Inputs:
    """Features with a decaying spectrum; responses of rank 64 with widely varied noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) / np.sqrt(np.arange(1, p + 1))
    X -= X.mean(axis=0)
    signal = X @ rng.normal(size=(p, 64)) @ rng.normal(size=(64, t)) / 8
    Y = signal + np.exp(rng.uniform(-1.5, 2.5, size=t)) * rng.normal(size=(n, t))
    return X.astype(np.float32), (Y - Y.mean(axis=0)).astype(np.float32)


def fit_ours(inputs: Inputs) -> np.ndarray:
    """One penalty per neuroid; returns log10 of the penalties."""
    X, Y = inputs
    return np.log10(Ridge(GRID, alpha_scale="absolute", cv=N_FOLDS).fit(X, Y).alpha_)


def fit_scikit_learn(inputs: Inputs) -> np.ndarray:
    """The grid written with scikit-learn: refit each fold and penalty, then each used penalty."""
    X, Y = inputs
    losses = np.zeros((len(GRID), Y.shape[1]))
    for train, test in KFold(N_FOLDS).split(X):
        for row, alpha in enumerate(GRID):
            predicted = PeerRidge(alpha=alpha).fit(X[train], Y[train]).predict(X[test])
            losses[row] += ((Y[test] - predicted) ** 2).sum(axis=0)
    best = losses.argmin(axis=0)
    weights = np.empty((Y.shape[1], X.shape[1]), dtype=np.float32)
    for row in np.unique(best):
        chosen = best == row
        weights[chosen] = PeerRidge(alpha=GRID[row]).fit(X, Y[:, chosen]).coef_
    return np.log10(GRID[best])


def fit_himalaya(inputs: Inputs) -> np.ndarray:
    """Ridge of himalaya at its best settings: kernel form, targets in batches."""
    from himalaya.kernel_ridge import KernelRidgeCV  # noqa: PLC0415

    X, Y = inputs
    params: dict[str, Any] = {"n_targets_batch": 2000, "n_targets_batch_refit": 2000}
    model = KernelRidgeCV(alphas=GRID, cv=N_FOLDS, fit_intercept=True, solver_params=params)
    return np.log10(np.asarray(model.fit(X, Y).best_alphas_))


def count_flops(n: int, p: int, t: int) -> float:
    """Products of exact k-fold selection: predict, project, refit (no factorisation)."""
    n_train = n * (1 - 1 / N_FOLDS)
    select = 2.0 * min(n_train, p) * t * (len(GRID) * n + N_FOLDS * n_train)
    return select + 2.0 * (n + p) * min(n, p) * t


FULL = {"n": 1000, "p": 1000, "t": 20_000}
QUICK = {"n": 300, "p": 300, "t": 2000}
COMMON: dict[str, Any] = {
    "module": "benchmarks.encoders",
    "setup": "simulate_linear",
    "ours": "fit_ours",
    "flops": "count_flops",
    "full": FULL,
    "quick": QUICK,
}
RACES = [Race("ridge exact", peer="scikit-learn", theirs="fit_scikit_learn", **COMMON)]
if find_spec("himalaya") is not None:
    RACES.append(Race("ridge exact", peer="himalaya", theirs="fit_himalaya", **COMMON))

if __name__ == "__main__":
    main(RACES)
