"""Disturbances shrink and grow as the map says, and samples are counted alike."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema
from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry import trace_perturbation

Array = np.ndarray


def run(x: Array, A: Array, n_steps: int) -> Array:
    steps = [x]
    for _ in range(n_steps - 1):
        steps.append(steps[-1] @ A.T)
    return np.stack(steps)


def test_a_contraction_returns_at_its_rate(rng: np.random.Generator) -> None:
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    x, d = rng.normal(size=(2, 30, 6))
    path = run(x, 0.7 * turn, 5)
    found = trace_perturbation(path, run(x + 0.01 * d, 0.7 * turn, 5))
    np.testing.assert_allclose(found["ratio"], 0.7 ** np.arange(5))
    # Clean activations shrink as much, so that relative to them nothing returns.
    np.testing.assert_allclose(found["relative"], np.ones(5))
    np.testing.assert_allclose(found["ratio_se"], np.zeros(5), atol=1e-12)


def test_a_fixed_point_draws_disturbances_in(rng: np.random.Generator) -> None:
    goal, x, d = rng.normal(size=8), *rng.normal(size=(2, 40, 8))
    rates = np.repeat([0.3, 0.9], 4)
    powers = np.arange(6)[:, None, None]
    paths = [goal + rates**powers * (start - goal) for start in (x, x + 1e-3 * d)]
    found = trace_perturbation(*paths)
    size = np.linalg.norm(rates**powers * d, axis=2) / np.linalg.norm(d, axis=1)
    np.testing.assert_allclose(found["ratio"], size.mean(axis=1))
    np.testing.assert_allclose(found["ratio_se"][1:], size.std(axis=1, ddof=1)[1:] / np.sqrt(40))
    assert (np.diff(found["ratio"]) < 0).all()
    assert found.attrs["verdict"].startswith("Of a disturbance 0.")


def test_steps_are_read_by_name(rng: np.random.Generator) -> None:
    X = xr.DataArray(
        rng.normal(size=(10, 4, 3)),
        {"layer": ["a", "b", "c"]},
        ("sample", "feature", "layer"),
    )
    found = schema.check(trace_perturbation(X, X + 0.1))
    np.testing.assert_allclose(found["ratio"], np.ones(3))
    assert found["layer"].values.tolist() == ["a", "b", "c"]


def test_faults_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(3, 10, 4))
    with pytest.raises(AlignError, match=r"perturbed: expected the steps.* got \(3, 9, 4\)"):
        trace_perturbation(X, X[:, :9])
    with pytest.raises(SchemaError, match="got 10 without a disturbance and 0 of zeros"):
        trace_perturbation(X, X)


@pytest.mark.parametrize("form", ["array", "mapping"])
def test_labelled_samples_in_another_order_are_refused(form: str, rng: np.random.Generator) -> None:
    rows = {"stimulus": ("sample", list("abcdefgh"))}
    clean = xr.DataArray(rng.normal(size=(3, 8, 4)), rows, ("layer", "sample", "feature"))
    moved = (clean + 0.1).isel(sample=slice(None, None, -1))
    one, other = clean, moved
    if form == "mapping":
        one, other = ({name: x[k] for k, name in enumerate("xyz")} for x in (clean, moved))
    with pytest.raises(AlignError, match="perturbed: expected the stimuli of 'clean' in the same"):
        trace_perturbation(one, other)
