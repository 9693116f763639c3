"""Shared responses: planted courses come back, new subjects join, faults are named."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import orthogonal_procrustes
from scipy.stats import multivariate_normal

from neuroalign.errors import AlignError, SchemaError
from neuroalign.latents import Hyperalignment, SharedResponse
from neuroalign.latents.shared_response import solve_probabilistic


def simulate(seed: int, noise: float = 0.3) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    course = rng.normal(size=(200, 3)) * [3, 2, 1]
    bases = [np.linalg.qr(rng.normal(size=(size, 3)))[0] for size in (20, 30, 25, 40)]
    return {
        f"sub-{i}": course @ base.T + noise * rng.normal(size=(200, len(base))) + 5
        for i, base in enumerate(bases)
    }, course


def explain(found: np.ndarray, known: np.ndarray) -> float:
    """R2 of the known from all of the found, on the second half."""
    add = lambda x: np.column_stack([x, np.ones(len(x))])  # noqa: E731
    weights = np.linalg.lstsq(add(found[:100]), known[:100], rcond=None)[0]
    rest = known[100:] - add(found[100:]) @ weights
    return float(1 - np.sum(rest**2) / np.sum((known[100:] - known[100:].mean(axis=0)) ** 2))


@pytest.mark.parametrize("method", ["probabilistic", "deterministic"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_planted_course_is_found(method: str, seed: int) -> None:
    X, course = simulate(seed)
    model = SharedResponse(3, method=method).fit(X)
    assert explain(model.shared_.values, course) > 0.98
    assert model.converged_
    assert all(np.allclose(W.T @ W, np.eye(3)) for W in model.maps_.values())


def test_subjects_agree_on_held_out_samples_in_the_shared_space() -> None:
    X, _ = simulate(1)
    model = SharedResponse(3).fit({name: x[:100] for name, x in X.items()})
    turned = model.transform({name: x[100:] for name, x in X.items()})
    one, other = turned["sub-0"].values, turned["sub-3"].values
    assert min(np.corrcoef(one[:, k], other[:, k])[0, 1] for k in range(3)) > 0.8


@pytest.mark.parametrize("method", ["probabilistic", "deterministic"])
def test_no_iteration_makes_it_worse(method: str) -> None:
    loss = SharedResponse(3, method=method, tol=0).fit(simulate(2, 2.0)[0]).history_["loss"]
    assert np.all(np.diff(loss) < 1e-10)


def test_the_likelihood_equals_the_joint_gaussian() -> None:
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(30, 4)), rng.normal(size=(30, 3))]
    X = [x - x.mean(axis=0) for x in X]
    two = solve_probabilistic(X, 2, 2, 0.0, 0)
    # One step from the same start gives the parameters that the second score belongs to.
    one = solve_probabilistic(X, 2, 1, 0.0, 0)
    prior, noise = rebuild(X, one.maps)
    W = np.concatenate(one.maps)
    full = W @ prior @ W.T + np.diag(np.repeat(noise, [4, 3]))
    joint = multivariate_normal(np.zeros(7), full).logpdf(np.concatenate(X, axis=1))
    assert two.history[1] == pytest.approx(-joint.sum() / (30 * 7), rel=1e-9)


def rebuild(X: list[np.ndarray], maps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The first M-step by the joint Gaussian, from the start that the solver takes."""
    from neuroalign.latents.shared_response import _start

    start = _start(X, 2, 0)
    prior = np.cov(np.mean([x @ W for x, W in zip(X, start, strict=True)], axis=0).T, ddof=0)
    prior = prior + 1e-9 * np.trace(prior) * np.eye(2)
    noise = np.array([x.var() for x in X])
    W = np.concatenate(start)
    back = prior @ W.T @ np.linalg.inv(W @ prior @ W.T + np.diag(np.repeat(noise, [4, 3])))
    course = np.concatenate(X, axis=1) @ back.T
    spread = prior - back @ W @ prior
    second = course.T @ course / 30 + spread
    errors = [
        np.sum((x - course @ V.T) ** 2) + 30 * np.trace(spread)
        for x, V in zip(X, maps, strict=True)
    ]
    return second, np.array(errors) / [30 * 4, 30 * 3]


def test_a_new_subject_joins_the_course() -> None:
    X, _ = simulate(0)
    new = X.pop("sub-2")
    model = SharedResponse(3).fit(X).add_subject("sub-2", new)
    turned = model.transform({"sub-2": new})["sub-2"].values
    assert explain(turned, model.shared_.values) > 0.9


def test_rotated_copies_are_aligned_exactly(rng: np.random.Generator) -> None:
    values = rng.normal(size=(50, 6))
    turns = [np.linalg.qr(rng.normal(size=(6, 6)))[0] for _ in range(4)]
    X = {str(i): values @ turn for i, turn in enumerate(turns)}
    model = Hyperalignment().fit(X)
    turned = [one.values for one in model.transform(X).values()]
    np.testing.assert_allclose(turned, np.broadcast_to(turned[0], (4, 50, 6)), atol=1e-9)
    assert model.disagreement_[-1] < 1e-12


def test_each_map_is_that_of_scipy(rng: np.random.Generator) -> None:
    X = {name: rng.normal(size=(40, 5)) for name in "abc"}
    model = Hyperalignment(1).fit(X)
    centered = {name: x - x.mean(axis=0) for name, x in X.items()}
    template = centered["a"]
    for count, name in enumerate("bc", start=1):
        turned = centered[name] @ orthogonal_procrustes(centered[name], template)[0]
        template = (count * template + turned) / (count + 1)
    known = orthogonal_procrustes(centered["b"], template)[0]
    np.testing.assert_allclose(model.maps_["b"], known, atol=1e-9)


def test_labels_of_samples_are_kept() -> None:
    values, _ = simulate(0)
    names = ("sample", [f"image-{i}" for i in range(200)])
    X = {
        key: xr.DataArray(v, dims=("sample", "neuroid"), coords={"stimulus": names})
        for key, v in values.items()
    }
    model = SharedResponse(2).fit(X)
    assert model.shared_["stimulus"].values[3] == "image-3"
    with pytest.raises(AlignError, match="X: expected the same stimuli in the same order"):
        SharedResponse(2).fit({**X, "sub-0": X["sub-0"][::-1]})


@pytest.mark.parametrize("model", [SharedResponse(2), Hyperalignment()])
def test_wrong_inputs_are_named(model: Any) -> None:
    with pytest.raises(SchemaError, match="X: expected a dict of at least two subjects"):
        model.fit(np.eye(3))
    with pytest.raises(AlignError, match="X: expected the same samples in every subject"):
        model.fit({"a": np.eye(3), "b": np.eye(4)})
    with pytest.raises(SchemaError, match=r"b: expected finite values \(sample, neuroid\)"):
        model.fit({"a": np.eye(3), "b": np.full((3, 3), np.nan)})
    model.fit({"a": np.eye(3), "b": np.eye(3)})
    with pytest.raises(SchemaError, match="X: expected the subjects of the training, got 'c'"):
        model.transform({"c": np.eye(3)})


def test_wrong_options_are_named() -> None:
    X, _ = simulate(0)
    with pytest.raises(
        ValueError, match=r"n_latents: expected 1 to 20 \(smallest subject\), got 21"
    ):
        SharedResponse(21).fit(X)
    with pytest.raises(ValueError, match="method: expected one of 'probabilistic'"):
        SharedResponse(2, method="best").fit(X)
    with pytest.raises(ValueError, match="n_rounds: expected an integer >= 1, got 0"):
        Hyperalignment(0).fit(X)
    with pytest.raises(AlignError, match="new: expected the 200 samples of the training, got 3"):
        SharedResponse(2).fit(X).add_subject("new", np.eye(3))
