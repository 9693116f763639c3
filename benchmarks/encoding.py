"""Encoders against their peers.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.encoding --quick``.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.model_selection import KFold

from benchmarks.harness import Race, main
from neuroalign.encoders import BandedRidge, Ridge

GRID = np.logspace(-1, 5, 20)
N_FOLDS = 5
Inputs = tuple[np.ndarray, np.ndarray]
Banded = tuple[np.ndarray, np.ndarray, int, int]


def simulate_linear(n: int, p: int, t: int) -> Inputs:
    """Features with a decaying spectrum; responses of rank 64 with widely varied noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) / np.sqrt(np.arange(1, p + 1))
    X -= X.mean(axis=0)
    signal = X @ rng.normal(size=(p, 64)) @ rng.normal(size=(64, t)) / 8
    Y = signal + np.exp(rng.uniform(-1.5, 2.5, size=t)) * rng.normal(size=(n, t))
    return X.astype(np.float32), (Y - Y.mean(axis=0)).astype(np.float32)


def simulate_with_torch(n: int, p: int, t: int) -> Inputs:
    """The same, with torch loaded: its import is no part of the job."""
    import torch  # noqa: F401, PLC0415

    return simulate_linear(n, p, t)


def simulate_banded(n: int, p: int, t: int, candidates: int, share: int = 1) -> Banded:
    """Two spaces of p features that each response weighs anew; twice n rows, half held out."""
    rng = np.random.default_rng(1)
    first, Y = simulate_linear(2 * n, p, t)
    second = rng.normal(size=(2 * n, p)) / np.sqrt(np.arange(1, p + 1))
    weights = rng.normal(size=(p, 64)) @ rng.normal(size=(64, t)) / 8
    Y += (second @ weights * rng.uniform(size=t)).astype(np.float32)
    return np.hstack([first, second.astype(np.float32)]), Y, candidates, share


def _fit(inputs: Inputs, **options: Any) -> np.ndarray:
    """One penalty per neuroid; returns log10 of the penalties."""
    X, Y = inputs
    settings = {"alpha_scale": "absolute", "cv": N_FOLDS, **options}
    return np.log10(Ridge(GRID, **settings).fit(X, Y).alpha_)


def fit_exact(inputs: Inputs) -> np.ndarray:
    """Every penalty in full."""
    return _fit(inputs)


def fit_coarse(inputs: Inputs) -> np.ndarray:
    """From few filters, then those near the best in full."""
    return _fit(inputs, search="coarse")


def fit_mixed(inputs: Inputs) -> np.ndarray:
    """In bfloat16, then those near the best in full."""
    return _fit(inputs, search="mixed")


def fit_generalised(inputs: Inputs) -> np.ndarray:
    """Generalised cross-validation."""
    return _fit(inputs, cv="gcv")


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


def _fit_himalaya(inputs: Inputs, **params: Any) -> np.ndarray:
    from himalaya.kernel_ridge import KernelRidgeCV  # noqa: PLC0415

    X, Y = inputs
    model = KernelRidgeCV(alphas=GRID, cv=N_FOLDS, fit_intercept=True, solver_params=params)
    return np.log10(np.asarray(model.fit(X, Y).best_alphas_))


def fit_himalaya(inputs: Inputs) -> np.ndarray:
    """Ridge of himalaya in kernel form as it comes."""
    return _fit_himalaya(inputs)


def fit_himalaya_batched(inputs: Inputs) -> np.ndarray:
    """The same at its best settings: targets in batches."""
    return _fit_himalaya(inputs, n_targets_batch=2000, n_targets_batch_refit=2000)


def _score_banded(inputs: Banded, fit: Callable[[np.ndarray, np.ndarray], Any]) -> np.ndarray:
    """Fit on the first half of the rows; R2 on the second, averaged over targets."""
    X, Y = inputs[:2]
    half = len(X) // 2
    predicted = fit(X[:half], Y[:half]).predict(X[half:])
    left = ((Y[half:] - predicted) ** 2).sum(axis=0)
    total = ((Y[half:] - Y[half:].mean(axis=0)) ** 2).sum(axis=0)
    return np.array([np.mean(1 - left / total)])


def _match_grid(X: np.ndarray) -> np.ndarray:
    """The penalties of the peer, for spaces that we bring to unit summed variance first."""
    return GRID / (X.var(axis=0).sum() / 2)


def _name_spaces(X: np.ndarray) -> list[str]:
    half = X.shape[1] // 2
    return ["first"] * half + ["second"] * half


def fit_banded(inputs: Banded) -> np.ndarray:
    """Candidates screened by generalised cross-validation, the best five judged on folds."""
    grid, spaces = _match_grid(inputs[0]), _name_spaces(inputs[0])
    model = BandedRidge(grid, spaces=spaces, cv=N_FOLDS, n_candidates=inputs[2])
    return _score_banded(inputs, model.fit)


def fit_banded_unscreened(inputs: Banded) -> np.ndarray:
    """Every candidate judged on folds for every target, as the peer does."""
    n = inputs[2]
    grid, spaces = _match_grid(inputs[0]), _name_spaces(inputs[0])
    model = BandedRidge(grid, spaces=spaces, cv=N_FOLDS, n_candidates=n, n_best=n)
    return _score_banded(inputs, model.fit)


def fit_himalaya_banded(inputs: Banded) -> np.ndarray:
    """Random search of himalaya in batches of targets, on its share of the candidates."""
    from himalaya.ridge import GroupRidgeCV  # noqa: PLC0415

    spaces = np.unique(_name_spaces(inputs[0]), return_inverse=True)[1]
    params = {"n_iter": inputs[2] // inputs[3], "alphas": GRID, "progress_bar": False}
    params |= {"n_targets_batch": 2000, "n_targets_batch_refit": 2000}
    model = GroupRidgeCV(
        groups=spaces, solver_params=params, cv=N_FOLDS, fit_intercept=True, random_state=0
    )
    return _score_banded(inputs, model.fit)


def count_flops(n: int, p: int, t: int) -> float:
    """Products of exact k-fold selection: predict, project, refit (no factorisation)."""
    n_train = n * (1 - 1 / N_FOLDS)
    select = 2.0 * min(n_train, p) * t * (len(GRID) * n + N_FOLDS * n_train)
    return select + 2.0 * (n + p) * min(n, p) * t


def count_flops_generalised(n: int, p: int, t: int) -> float:
    """Projection and refit."""
    return 2.0 * (n + p) * min(n, p) * t


def count_flops_banded(n: int, p: int, t: int, candidates: int, share: int = 1) -> float:
    """Screening projects every target once a candidate; one refit."""
    return 2.0 * n * min(n, 2 * p) * t * (candidates + 2)


SIZES: dict[str, Any] = {
    "full": {"n": 1000, "p": 1000, "t": 20_000},
    "quick": {"n": 300, "p": 300, "t": 2000},
}
WIDE: dict[str, Any] = {
    "full": {"n": 3000, "p": 5000, "t": 20_000},
    "quick": {"n": 400, "p": 700, "t": 1000},
}

BANDED: dict[str, Any] = {
    "full": {"n": 1000, "p": 500, "t": 20_000, "candidates": 100, "share": 50},
    "quick": {"n": 300, "p": 150, "t": 2000, "candidates": 40, "share": 8},
}


def _race(name: str, ours: str, theirs: str, sizes: dict[str, Any], **options: str) -> Race:
    peer = theirs.removeprefix("fit_").replace("_", " ")
    settings = {"flops": "count_flops", "module": "benchmarks.encoding", "setup": "simulate_linear"}
    return Race(name, ours=ours, peer=peer, theirs=theirs, **{**settings, **sizes, **options})


RACES = [_race("ridge exact", "fit_exact", "fit_scikit_learn", SIZES)]
if find_spec("himalaya") is not None:
    RACES += [
        _race("ridge exact", "fit_exact", "fit_himalaya", SIZES),
        _race("ridge exact", "fit_exact", "fit_himalaya_batched", SIZES),
        _race("ridge coarse", "fit_coarse", "fit_himalaya", SIZES),
        _race(
            "ridge gcv", "fit_generalised", "fit_himalaya", SIZES, flops="count_flops_generalised"
        ),
        _race("ridge exact, wide", "fit_exact", "fit_himalaya_batched", WIDE),
    ]
    RACES += [
        _race(
            name, ours, "fit_himalaya_banded", BANDED, flops="count_flops_banded",
            setup="simulate_banded",
        )
        for name, ours in (
            ("banded, peer on a share of the candidates", "fit_banded"),
            ("banded without screening, peer on a share", "fit_banded_unscreened"),
        )
    ]  # fmt: skip
    if find_spec("torch") is not None:
        RACES.append(
            _race("ridge mixed", "fit_mixed", "fit_himalaya", SIZES, setup="simulate_with_torch")
        )

if __name__ == "__main__":
    main(RACES)
