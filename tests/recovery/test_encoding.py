"""Planted weights and penalties come back."""

import numpy as np

from neuroalign.encoders import Ridge


def test_planted_weights_are_recovered(rng: np.random.Generator) -> None:
    X, weights = rng.normal(size=(400, 12)), rng.normal(size=(12, 30))
    Y = X @ weights + 0.3 * rng.normal(size=(400, 30))
    model = Ridge(np.logspace(-6, 3, 19)).fit(X, Y)
    assert np.corrcoef(model.weights_.values.ravel(), weights.ravel())[0, 1] > 0.999


def test_penalties_follow_the_planted_noise(rng: np.random.Generator) -> None:
    X, weights = rng.normal(size=(300, 60)), rng.normal(size=(60, 120)) / np.sqrt(60)
    noise = np.repeat([0.3, 1.0, 3.0], 40)
    Y = X @ weights + noise * rng.normal(size=(300, 120))
    model = Ridge().fit(X, Y)
    found = [np.median(model.alpha_[noise == level]) for level in (0.3, 1.0, 3.0)]
    # The relative unit is the noise-to-signal variance ratio.
    relative = np.array(found) / (model.alphas_[0] / 1e-4)
    assert np.abs(np.log10(relative / [0.09, 1.0, 9.0])).max() <= 0.5


def test_a_penalty_for_each_neuroid_beats_one_for_all(rng: np.random.Generator) -> None:
    X, weights = rng.normal(size=(500, 80)), rng.normal(size=(80, 60)) / np.sqrt(80)
    noise = np.repeat([0.1, 6.0], 30)
    Y = X @ weights + noise * rng.normal(size=(500, 60))
    train, test = slice(0, 120), slice(120, 500)
    each = Ridge().fit(X[train], Y[train])
    one = Ridge(alpha_per="global").fit(X[train], Y[train])
    assert each.score(X[test], Y[test]) > one.score(X[test], Y[test])
