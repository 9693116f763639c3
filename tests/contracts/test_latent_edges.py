"""Little or nothing to learn from, for every latent estimator: a clear error, or finite numbers."""

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import latents
from neuroalign.errors import NeuroalignError
from neuroalign.latents._base import LatentModel
from neuroalign.loaders import simulate_linear_dynamics

ESTIMATORS = [
    thing for thing in map(latents.__getattr__, latents.__all__) if isinstance(thing, type)
]
MODELS = [thing for thing in ESTIMATORS if issubclass(thing, LatentModel)]
# Enough to meet every branch; the default takes many times longer.
BRIEF: dict[str, dict[str, Any]] = {
    "SwitchingLinearDynamics": {"n_init": 1, "max_iter": 10},
    "KoopmanAutoencoder": {"epochs": 5},
    "MMGPVAE": {"epochs": 5},
    "LinearDynamics": {"max_iter": 20},
    "GPFA": {"max_iter": 20},
    "PoissonGPFA": {"n_latents": 2, "max_iter": 20},
    "FactorAnalysis": {"max_iter": 300},
}
# Some stop before they converge on so little data, which they rightly say.
pytestmark = pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
# Ours name the argument, what was expected and what came.
CLEAR = re.compile(r"^\S+: expected .+, got .+\.", re.DOTALL)


def lay_rows(X: np.ndarray) -> np.ndarray:
    return np.swapaxes(X, 1, 2).reshape(-1, X.shape[1])


def as_graph(X: np.ndarray) -> np.ndarray:
    """Products summed over bins: a silent unit has no edge."""
    graph = np.asarray(lay_rows(X).T @ lay_rows(X))
    np.fill_diagonal(graph, 0.0)
    return graph


def as_trials(X: np.ndarray, coord: str) -> xr.DataArray:
    names = np.array([f"{coord}-{i % 2}" for i in range(len(X))])
    if coord == "subject":
        names = np.array([f"subject-{i:02d}" for i in range(len(X))])
    time = np.arange(X.shape[2]) * 0.25
    coords = {coord: ("sample", names), "time": time, "neuroid": list("abcdefgh")[: X.shape[1]]}
    return xr.DataArray(X, dims=("sample", "neuroid", "time"), coords=coords)


def as_subjects(X: np.ndarray) -> dict[str, np.ndarray]:
    return {"first": lay_rows(X[:, :4]), "second": lay_rows(X[:, 4:])}


# How estimators that are no `LatentModel` take trials (sample, neuroid, time).
FITS: dict[str, Any] = {
    "BlockModel": lambda X: latents.BlockModel(max_blocks=3).fit(as_graph(X)),
    "DemixedPCA": lambda X: latents.DemixedPCA().fit(as_trials(X, "stimulus")),
    "DynamicConnectome": lambda X: latents.DynamicConnectome(
        2, window=0.75, span=0.75, n_inits=2, block_model=latents.BlockModel(max_blocks=2)
    ).fit(as_trials(X, "subject")),
    "DynamicModes": lambda X: latents.DynamicModes(3).fit(X),
    "ExtendedDynamicModes": lambda X: latents.ExtendedDynamicModes().fit(X),
    "Hyperalignment": lambda X: latents.Hyperalignment().fit(as_subjects(X)),
    "ReducedRankRegression": lambda X: latents.ReducedRankRegression(2).fit(
        lay_rows(X[:, :4]), lay_rows(X[:, 4:])
    ),
    "SharedResponse": lambda X: latents.SharedResponse(2).fit(as_subjects(X)),
}


def fit(estimator: Any, X: np.ndarray) -> Any:
    name = estimator.__name__
    return FITS[name](X) if name in FITS else estimator(**BRIEF.get(name, {})).fit(X)


@cache
def draw() -> np.ndarray:
    return np.asarray(simulate_linear_dynamics(8, 20, 8, seed=3).responses.values, dtype=float)


def silence(X: np.ndarray) -> np.ndarray:
    X[:, 2] = 0.0
    return X


def hold_still(X: np.ndarray) -> np.ndarray:
    """Whole trials, and a stretch of the others, without any change."""
    X[:3], X[:, :, 8:16] = X[:3, :, :1], X[:, :, 8:9]
    return X


EDGES: dict[str, Any] = {
    "a silent unit": silence,
    "constant stretches": hold_still,
    "one trial": lambda X: X[:1],
    "one bin": lambda X: X[:, :, :1],
    "one trial of one bin": lambda X: X[:1, :, :1],
    "nothing but silence": lambda X: 0.0 * X,
    "units twice": lambda X: np.repeat(X[:, :4], 2, axis=1),
    "large counts": lambda X: X * 1e5 + 1e7,
}
# NaN by design, said in the docstring: pairs never seen; the rate of a mode that is gone at once.
HOLES = {"DynamicConnectome": ("affinity",), "ExtendedDynamicModes": ("rates_",)}


def list_numbers(fitted: Any) -> dict[str, np.ndarray]:
    """Every number that a fit left behind."""
    found = {k: v for k, v in vars(fitted).items() if k.endswith("_") and isinstance(v, np.ndarray)}
    kept = getattr(fitted, "params_", None)
    if isinstance(kept, xr.Dataset):
        found |= {str(key): value.values for key, value in kept.data_vars.items()}
    known = HOLES.get(type(fitted).__name__, ())
    return {k: v for k, v in found.items() if v.dtype.kind in "fc" and k not in known}


def find_fault(estimator: Any, X: np.ndarray) -> str | None:
    """What is wrong with what a fit leaves, or with the error that it raises; None when sound."""
    try:
        fitted = fit(estimator, X)
    except (ValueError, NeuroalignError) as error:
        own = CLEAR.match(str(error)) or "minimum of 2 is required" in str(error)
        return None if own else f"unclear: {error}"
    bad = [key for key, value in list_numbers(fitted).items() if not np.isfinite(value).all()]
    return f"not finite: {bad}" if bad else None


SLOW = ("units twice", "large counts")


@pytest.mark.parametrize(
    "edge", [pytest.param(one, marks=pytest.mark.slow if one in SLOW else ()) for one in EDGES]
)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_little_to_learn_from_is_refused_clearly_or_leaves_finite_numbers(
    estimator: Any, edge: str
) -> None:
    assert find_fault(estimator, EDGES[edge](draw().copy())) is None


@pytest.mark.parametrize("edge", ["a silent unit", "constant stretches", "one trial"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_fits_and_predicts_where_something_varies(model: Any, edge: str) -> None:
    X = EDGES[edge](draw().copy())
    fitted = fit(model, X)
    for method in (fitted.transform, fitted.predict_rates, fitted.log_prob):
        assert np.isfinite(np.asarray(method(X))).all()


@pytest.mark.parametrize("model", MODELS)
def test_nothing_but_silence_is_refused_by_every_model(model: Any) -> None:
    with pytest.raises(ValueError, match="X: expected units that vary, got 8 that are constant"):
        fit(model, 0.0 * draw())


def hide(X: np.ndarray) -> np.ndarray:
    """Most entries of every other trial; autoregression needs bins that are whole."""
    mask = np.random.default_rng(0).uniform(size=X.shape) < 0.6
    mask[::2] = False
    return mask


@pytest.mark.parametrize("model", MODELS)
def test_hidden_training_entries_are_not_read_even_when_enormous(model: Any) -> None:
    X, mask = draw(), hide(draw())
    options = BRIEF.get(model.__name__, {})
    one = model(**options).fit(X, mask=mask)
    other = model(**options).fit(np.where(mask, 1e6, X), mask=mask)
    xr.testing.assert_identical(one.params_, other.params_)


@pytest.mark.parametrize("model", MODELS)
def test_hidden_entries_are_integrated_out_and_not_read_as_zeros(model: Any) -> None:
    X, mask = draw() + 5.0, hide(draw())
    options = BRIEF.get(model.__name__, {})
    if "epochs" in options:
        options = {"epochs": 40}
    found = model(**options).fit(X, mask=mask).predict_rates(X, mask=mask)
    # Read as zeros, they would lower it by 0.3.
    assert found.mean() == pytest.approx(X.mean(), rel=0.1)
    assert found[mask].mean() == pytest.approx(X[mask].mean(), rel=0.15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda X: latents.FactorAnalysis().fit(X[:, :1]),
            "X: expected more units for n_latents=3",
        ),
        (
            lambda X: latents.SharedResponse(2).fit(as_subjects(X * (np.arange(8) < 4)[:, None])),
            "X: expected samples that differ in every subject, got constants in 'second'",
        ),
        (
            lambda X: latents.DemixedPCA().fit(as_trials(0.0 * X, "stimulus")),
            "X: expected averages that vary over levels or time",
        ),
        (
            lambda X: latents.PoissonGPFA().fit(1e8 * X + 1e12),
            "PoissonGPFA: expected positive covariances, got none",
        ),
    ],
    ids=["one unit", "a constant subject", "constant averages", "counts beyond precision"],
)
def test_what_cannot_be_fitted_is_named(make: Any, message: str) -> None:
    with pytest.raises((ValueError, NeuroalignError), match=message):
        make(draw())


def test_a_path_of_states_says_what_it_is() -> None:
    X = as_trials(draw(), "stimulus")
    for model in (latents.HMM(2), latents.SwitchingLinearDynamics(2, 2, n_init=1, max_iter=5)):
        states = model.fit(X).predict_states(X)
        assert states.dims == ("sample", "time")
        assert states.attrs == {"kind": "states"}
