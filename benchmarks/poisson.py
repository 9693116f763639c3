"""Poisson models of many neurons against one peer model a neuron.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.poisson --quick``.
``equal`` is the largest difference of two weights.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.linear_model import PoissonRegressor

from benchmarks.harness import Race, main
from neuroalign.encoders import PoissonGLM

ALPHA = 1e-3
Inputs = tuple[np.ndarray, np.ndarray]


def simulate_spikes(n: int, p: int, t: int) -> Inputs:
    """Features with neighbours alike, and sparse counts of neurons of unequal rates."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    X[:, 1:] = 0.7 * X[:, 1:] + 0.7 * X[:, :-1]
    B = rng.normal(size=(p, t)) * 0.4 / np.sqrt(p)
    return X, rng.poisson(np.exp(X @ B + rng.uniform(-3.5, -1.0, size=t))).astype(np.float64)


def fit_ours(inputs: Inputs) -> np.ndarray:
    """All neurons at once."""
    return PoissonGLM(ALPHA, alpha_scale="absolute").fit(*inputs).coef_


def _fit_each(inputs: Inputs, **options: Any) -> np.ndarray:
    X, Y = inputs
    settings = {"alpha": ALPHA, "tol": 1e-8, "max_iter": 1000, **options}
    return np.array([PoissonRegressor(**settings).fit(X, y).coef_ for y in Y.T])


def fit_scikit_learn(inputs: Inputs) -> np.ndarray:
    """One model a neuron, as it comes: L-BFGS."""
    return _fit_each(inputs)


def fit_scikit_learn_newton(inputs: Inputs) -> np.ndarray:
    """The same at its best settings: Newton by Cholesky."""
    return _fit_each(inputs, solver="newton-cholesky")


def fit_nemos(inputs: Inputs) -> np.ndarray:
    """All neurons at once, in float64; its penalty is alpha / 2 too."""
    jax, nemos = import_module("jax"), import_module("nemos")
    jax.config.update("jax_enable_x64", True)
    model = nemos.glm.PopulationGLM(
        regularizer="Ridge", regularizer_strength=ALPHA, solver_kwargs={"tol": 1e-10}
    )
    return np.asarray(model.fit(*inputs).coef_).T


def count_flops(n: int, p: int, t: int) -> float:
    """Three curvatures of each neuron, half of each by symmetry: the least Newton needs here."""
    return 3.0 * n * p * p * t


FULL, QUICK = {"n": 20_000, "p": 40, "t": 300}, {"n": 4000, "p": 25, "t": 60}


def _race(theirs: str, name: str = "poisson ridge") -> Race:
    peer = theirs.removeprefix("fit_").replace("_", " ")
    return Race(
        name, "benchmarks.poisson", "simulate_spikes", "fit_ours", peer, theirs, FULL, QUICK,
        "count_flops",
    )  # fmt: skip


RACES = [_race("fit_scikit_learn"), _race("fit_scikit_learn_newton")]
if find_spec("nemos") is not None:
    RACES.append(_race("fit_nemos"))

if __name__ == "__main__":
    main(RACES)
