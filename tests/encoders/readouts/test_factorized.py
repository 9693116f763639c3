"""The factorised readout: its formula, and maps that come back."""

from typing import Any

import numpy as np
import pytest
import torch

from neuroalign.encoders import Ridge
from neuroalign.encoders.readouts import FactorizedReadout, GaussianReadout, TrainingPlan
from neuroalign.encoders.readouts.factorized import FactorizedMap
from neuroalign.errors import NeuroalignWarning
from tests.encoders.readouts.test_gaussian import CENTERS, SPREADS, simulate_fields


@pytest.mark.parametrize(("n_tokens", "n_features"), [(7, 3), (3, 7), (1, 4)])
def test_the_net_computes_its_formula(n_tokens: int, n_features: int) -> None:
    net = FactorizedMap(n_tokens, n_features, 2)
    tokens = torch.randn(5, n_tokens, n_features)
    place = np.maximum(net.place.detach().numpy(), 0)
    maps = place / np.linalg.norm(place, axis=1, keepdims=True)
    weights = net.feature.detach().numpy()
    expected = np.einsum("nkc,vk,vc->nv", tokens.numpy(), maps, weights)
    np.testing.assert_allclose(net(tokens).detach().numpy(), expected, atol=1e-5)
    assert (net.maps() >= 0).all()


def fit_spread(apart: np.ndarray, found: np.ndarray) -> float:
    """The spread of the round Gaussian that a map of unit length resembles most."""
    spreads = np.linspace(0.3, 4, 75)
    blobs = np.exp(-0.5 * (apart**2).sum(axis=0) / spreads[:, None] ** 2)
    blobs /= np.linalg.norm(blobs, axis=1, keepdims=True)
    return float(spreads[np.argmax(blobs @ found)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_places_and_features_come_back(seed: int) -> None:
    tokens, responses = simulate_fields(seed)
    plan = TrainingPlan(epochs=80, learning_rate=0.02, weight_decay=0.01, schedule="cosine")
    readout = FactorizedReadout(plan=plan, seed=seed).fit(tokens, responses)
    maps = readout.maps_**2
    weights = maps / maps.sum("token")
    found = np.stack(
        [(weights * weights[axis]).sum("token").values for axis in ("row", "column")], axis=1
    )
    assert np.abs(found - CENTERS).max() < 1.0
    places = np.stack([weights["row"], weights["column"]])
    found_spreads = [
        fit_spread(places - center[:, None], map_)
        for center, map_ in zip(CENTERS, readout.maps_.values, strict=True)
    ]
    np.testing.assert_allclose(found_spreads, SPREADS, rtol=0.15)
    assert (readout.validation_score_ > readout.baseline_score_).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", [FactorizedReadout, GaussianReadout])
def test_without_a_place_ridge_wins_and_this_is_said(kind: Any, seed: int) -> None:
    """Weights that are no product of place and feature: the constraint costs."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(400, 9, 6))
    weights = rng.normal(size=(54, 5))
    responses = tokens.reshape(400, -1) @ weights
    responses += 0.3 * responses.std(axis=0) * rng.normal(size=responses.shape)
    plan = TrainingPlan(epochs=40, learning_rate=0.02, schedule="cosine")
    with pytest.warns(NeuroalignWarning, match="ridge on the same tokens, got r"):
        readout = kind(plan=plan, seed=seed).fit(tokens, responses)
    assert (readout.baseline_score_ > readout.validation_score_).all()


def test_the_baseline_is_ridge_on_the_same_rows(rng: np.random.Generator) -> None:
    tokens = rng.normal(size=(60, 4, 3)).astype(np.float32)
    responses = tokens[:, 1] @ rng.normal(size=(3, 2)) + rng.normal(size=(60, 2))
    plan = TrainingPlan(epochs=1)
    with pytest.warns(NeuroalignWarning):
        readout = FactorizedReadout(plan=plan, validation=0.3).fit(tokens, responses)
    train, held = readout._hold_out(tokens, 60, None)
    ridge = Ridge(cv=5).fit(tokens[train].reshape(len(train), -1), responses[train])
    guess = ridge.predict(tokens[held].reshape(len(held), -1))
    expected = [np.corrcoef(responses[held, v], guess[:, v])[0, 1] for v in range(2)]
    np.testing.assert_allclose(readout.baseline_score_, expected, atol=1e-4)


def test_repeats_of_a_stimulus_stay_on_one_side(rng: np.random.Generator) -> None:
    readout = FactorizedReadout(validation=0.25)
    groups = np.repeat(np.arange(8), 3)
    train, held = readout._hold_out(np.zeros((24, 1)), 24, groups)
    assert not set(groups[train]) & set(groups[held])
    assert len(held) == 6


def test_faults_of_options_are_named(rng: np.random.Generator) -> None:
    tokens, responses = rng.normal(size=(20, 4, 3)), rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match="loss: .*mse_concordance"):
        FactorizedReadout(loss="l1").fit(tokens, responses)
    with pytest.raises(ValueError, match="n_ensemble: expected at least 1, got 0"):
        FactorizedReadout(n_ensemble=0).fit(tokens, responses)
    with pytest.raises(ValueError, match="plan: expected a TrainingPlan, got dict"):
        FactorizedReadout(plan={"epochs": 3}).fit(tokens, responses)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="validation: expected a share from 0 to below 1, got 1"):
        FactorizedReadout(validation=1.0).fit(tokens, responses)
