"""Demixed components: parts that sum, brute force, and planted mixtures taken apart."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize

from neuroalign.errors import SchemaError
from neuroalign.latents import DemixedPCA
from neuroalign.latents.demixed_pca import marginalize, solve_demixing


def simulate(seed: int, repeats: int = 4, noise: float = 0.5) -> tuple[xr.DataArray, np.ndarray]:
    """Twenty units mixing the course of a stimulus, of a choice, and of time alone."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 25)
    axes = rng.normal(size=(3, 20))
    courses = np.stack([np.sin(3 * t), t * (1 - t) * 4, np.cos(9 * t)])
    rows, stimuli, choices = [], [], []
    for s, c, _ in product(range(4), range(2), range(repeats)):
        signal = np.stack([(s - 1.5) * courses[0], (2 * c - 1) * courses[1], 2 * courses[2]])
        rows.append(axes.T @ signal + noise * rng.normal(size=(20, 25)))
        stimuli.append(f"s{s}")
        choices.append(f"c{c}")
    coords = {"stimulus": ("sample", stimuli), "choice": ("sample", choices), "time": t}
    return xr.DataArray(np.stack(rows), dims=("sample", "neuroid", "time"), coords=coords), axes


def test_parts_sum_to_the_centred_means_and_do_not_overlap(rng: np.random.Generator) -> None:
    means = rng.normal(size=(3, 4, 2, 6))
    parts = list(marginalize(means).values())
    centered = (means - means.mean(axis=(1, 2, 3), keepdims=True)).reshape(3, -1)
    np.testing.assert_allclose(np.sum(parts, axis=0), centered, atol=1e-12)
    assert all(abs(np.sum(a * b)) < 1e-10 for i, a in enumerate(parts) for b in parts[:i])


def test_one_direction_equals_a_search_by_brute_force(rng: np.random.Generator) -> None:
    total, part = rng.normal(size=(2, 3, 30))
    D, F = solve_demixing(total, part, 0.7, 1)

    def lose(at: Any) -> float:
        A = np.outer(at[:3], at[3:])
        return float(np.sum((part - A @ total) ** 2) + 0.7 * np.sum(A**2))

    found = min(minimize(lose, rng.normal(size=6)).fun for _ in range(5))
    assert lose(np.concatenate([F[:, 0], D[0]])) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_mixture_is_taken_apart(seed: int) -> None:
    X, axes = simulate(seed)
    model = DemixedPCA(("stimulus", "choice"), 1).fit(X)
    for name, axis in zip(["stimulus", "choice", "time"], axes, strict=True):
        encoder = model.encoders_[name][:, 0]
        assert abs(encoder @ axis) / np.linalg.norm(axis) > 0.95
        column = list(model.decoders_).index(name)
        assert model.marginal_variance_[name][0, column] > 0.95


def test_latents_of_new_trials_tell_their_factor() -> None:
    X, _ = simulate(3)
    model = DemixedPCA(("stimulus", "choice"), 1, penalty=1e-3).fit(X[::2])
    latents = model.transform(X[1::2])
    choice = latents[..., latents["marginalisation"].values == "choice"].mean("time").values[:, 0]
    truth = X["choice"].values[1::2] == "c1"
    assert abs(np.corrcoef(choice, truth)[0, 1]) > 0.95
    assert latents.dims == ("sample", "time", "latent")


def test_noise_asks_for_a_larger_penalty() -> None:
    quiet, loud = (DemixedPCA(("stimulus",), 1).fit(simulate(0, noise=n)[0]) for n in (0.01, 5.0))
    assert quiet.penalty_ < loud.penalty_


def test_without_other_factors_time_components_equal_principal_ones(
    rng: np.random.Generator,
) -> None:
    total = rng.normal(size=(5, 40))
    total -= total.mean(axis=1, keepdims=True)
    D, F = solve_demixing(total, total, 0.0, 2)
    U, _, _ = np.linalg.svd(total, full_matrices=False)
    np.testing.assert_allclose(F @ D, U[:, :2] @ U[:, :2].T, atol=1e-8)


def test_wrong_inputs_are_named() -> None:
    X, _ = simulate(0)
    with pytest.raises(SchemaError, match=r"X: expected a DataArray \(sample, neuroid, time\)"):
        DemixedPCA().fit(X.values)
    with pytest.raises(SchemaError, match="factors: expected coords of the samples, got 'reward'"):
        DemixedPCA(("reward",)).fit(X)
    with pytest.raises(SchemaError, match="X: expected finite values, got NaN"):
        DemixedPCA().fit(X.where(X["time"] < 0.5))
    with pytest.raises(SchemaError, match="X: expected at least 2 trials of every combination"):
        DemixedPCA(("stimulus", "choice")).fit(X[::4])
    with pytest.raises(ValueError, match=r"n_components: expected 1 to 20 \(neuroids\), got 21"):
        DemixedPCA(n_components=21).fit(X)
    with pytest.raises(ValueError, match="penalty: expected a number >= 0, got -1"):
        DemixedPCA(penalty=-1).fit(X)
    with pytest.raises(SchemaError, match=r"X: expected \(sample, 20 neuroids, time\)"):
        DemixedPCA(penalty=0.1).fit(X).transform(X[:, :3])
