"""MM-GPVAE: posterior and bound by brute force, planted shared latents, missing modality, files."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from neuroalign import storage
from neuroalign.errors import AlignError, LoadError, SchemaError
from neuroalign.latents import MMGPVAE
from neuroalign.latents._behaviour import read_behaviour
from neuroalign.latents._fourier_gp import find_circle, make_basis
from neuroalign.latents._mm_gpvae import Batch, MultimodalNet, Sizes, build_net
from neuroalign.loaders import simulate_gaussian_processes

# Few steps are enough here; models rightly say when they are too few.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(max_iter|epochs). expected to converge:neuroalign.errors.NeuroalignWarning"
)


@cache
def simulate() -> Any:
    return simulate_gaussian_processes(60, 30, 40, 20, length=6.0, seed=2)


@cache
def fit_small() -> MMGPVAE:
    data = simulate()
    model = MMGPVAE(epochs=40, batch_size=10, learning_rate=1e-2, timescale_range=(0.08, 0.2))
    return model.fit(data.responses[:50], data.behaviour[:50])


def explain(found: np.ndarray, known: np.ndarray, train: int) -> float:
    """R2 of a known latent (trial, time) on later trials, regressed on found ones."""
    found = found.reshape(*known.shape, -1)
    full = np.concatenate([found, np.ones((*known.shape, 1))], axis=-1)
    flat = full[:train].reshape(-1, full.shape[-1])
    weights = np.linalg.lstsq(flat, known[:train].ravel(), rcond=None)[0]
    return float(1 - (known - full @ weights)[train:].var() / known[train:].var())


def build_small() -> tuple[MultimodalNet, Batch, Any]:
    """A net in float64 with two trials of both modalities, some of it hidden."""
    rng = np.random.default_rng(0)
    net = build_net(Sizes(1, 1, 1, 5, 4, (8,)), np.zeros(5), np.ones(5), 3.0, (2.0, 5.0), 0)
    counts = torch.as_tensor(rng.poisson(1.0, (2, 9, 5)), dtype=torch.float64)
    behaviour = torch.as_tensor(rng.normal(size=(2, 9, 4)))
    seen = torch.as_tensor(rng.uniform(size=(2, 9, 5)) < 0.8, dtype=torch.float64)
    basis = make_basis(9, find_circle(9, 5.0), 1.0)
    return net.double(), Batch(counts * seen, seen, behaviour, torch.ones_like(behaviour)), basis


def test_the_posterior_is_the_product_of_prior_and_encoders() -> None:
    net, batch, basis = build_small()
    found = net.infer(batch, basis)
    drive, precision = (part.detach().numpy() for part in net._listen(batch))
    waves = net.scale_waves(basis).detach().numpy()
    for latent in range(3):
        K = waves[latent].T @ waves[latent]
        gain = np.diag(precision[0, :, latent])
        covariance = K - K @ gain @ np.linalg.solve(np.eye(9) + K @ gain, K)
        np.testing.assert_allclose(
            found.mean[0, :, latent].detach(), covariance @ drive[0, :, latent], atol=1e-9
        )
        np.testing.assert_allclose(
            found.variance[0, :, latent].detach(), np.diag(covariance), atol=1e-9
        )


def test_the_divergence_is_that_of_two_normals() -> None:
    net, batch, basis = build_small()
    found = net.infer(batch, basis)
    drive, precision = (part.detach().numpy() for part in net._listen(batch))
    waves, total = net.scale_waves(basis).detach().numpy(), 0.0
    for latent in range(3):
        A = np.eye(len(waves[0])) + (waves[latent] * precision[1, :, latent]) @ waves[latent].T
        S = np.linalg.inv(A)
        u = S @ waves[latent] @ drive[1, :, latent]
        total += 0.5 * (np.trace(S) + u @ u - len(u) - np.linalg.slogdet(S)[1])
    assert float(found.divergence[1].detach()) == pytest.approx(total)


def test_expected_counts_agree_with_sampling() -> None:
    net, batch, basis = build_small()
    with torch.no_grad():
        found = net.infer(batch, basis)
        torch.manual_seed(0)
        noise = torch.randn(20_000, *found.root.shape[:3], dtype=torch.float64)
        drawn = torch.einsum("sblf,blft->sbtl", noise, found.root) + found.mean
        rates = torch.exp(drawn[..., :2] @ net.loadings.T + net.offset).mean(0)
        expected = torch.exp(net.expect_log_rate(found))
    np.testing.assert_allclose(rates, expected, rtol=0.1)


def test_precisions_of_modalities_add_and_unseen_bins_say_nothing() -> None:
    net, batch, _ = build_small()
    assert batch.behaviour is not None
    assert batch.shown is not None
    blind = batch._replace(seen=torch.zeros_like(batch.seen))
    both, one, other = (
        net._listen(part)[1] for part in (batch, batch._replace(behaviour=None), blind)
    )
    np.testing.assert_allclose(both.detach(), (one + other).detach())
    assert float(net._listen(blind._replace(behaviour=None))[1].detach().abs().max()) == 0.0


def test_a_small_fit_finds_what_the_modalities_share() -> None:
    data, model = simulate(), fit_small()
    z = model.transform(data.responses, data.behaviour).values
    known = data.truth["latents"].values[..., 0]
    assert model.params_["group"].values.tolist() == ["neural", "shared", "behaviour"]
    assert explain(z[..., 1], known, 50) > 0.9
    assert explain(z, known, 50) > 0.95


def test_private_latents_are_free_of_shared_ones() -> None:
    data, model = simulate(), fit_small()
    z = model.transform(data.responses[:50], data.behaviour[:50]).values.reshape(-1, 3)
    pairs = np.corrcoef(z.T)
    assert np.abs(pairs[1, [0, 2]]).max() < 1e-6


def test_behaviour_is_predicted_from_spikes_beyond_its_mean() -> None:
    data, model = simulate(), fit_small()
    known = data.behaviour.values[50:]
    told = model.predict_behaviour(data.responses[50:])
    better = model.predict_behaviour(data.responses[50:], data.behaviour[50:])
    flat = ((known - known.mean(axis=(0, 2), keepdims=True)) ** 2).sum()
    assert ((known - told) ** 2).sum() < 0.95 * flat
    assert ((known - better) ** 2).sum() < 0.2 * flat


def test_behaviour_adds_to_the_bound_in_its_own_units() -> None:
    data, model = simulate(), fit_small()
    one = model.log_prob(data.responses[50:], data.behaviour[50:])
    shuffled = data.behaviour[50:].copy(data=data.behaviour.values[50:][::-1])
    assert float(one.sum()) > float(model.log_prob(data.responses[50:], shuffled).sum())
    scaled = MMGPVAE(epochs=2).fit(data.responses, data.behaviour * 10)
    same = MMGPVAE(epochs=2).fit(data.responses, data.behaviour)
    gap = same.log_prob(data.responses, data.behaviour) - scaled.log_prob(
        data.responses, data.behaviour * 10
    )
    np.testing.assert_allclose(gap, 20 * 30 * np.log(10), rtol=1e-3)


def test_a_saved_model_predicts_the_same(tmp_path: Path) -> None:
    data, model = simulate(), fit_small()
    back = MMGPVAE.load(model.save(tmp_path / "model.nc"))
    for name in ("transform", "predict_rates", "log_prob", "predict_behaviour"):
        one = getattr(model, name)(data.responses[:4], data.behaviour[:4])
        two = getattr(back, name)(data.responses[:4], data.behaviour[:4])
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    xr.testing.assert_identical(back.params_, model.params_)
    assert back.get_params() == model.get_params()


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = storage.save(simulate().responses, tmp_path / "responses.nc")
    with pytest.raises(LoadError, match=r"responses.nc: expected a saved MMGPVAE"):
        MMGPVAE.load(path)


def test_images_are_flattened_with_a_note(rng: np.random.Generator) -> None:
    X, images = rng.poisson(1.0, size=(4, 5, 9)), rng.normal(size=(4, 9, 3, 2))
    model = MMGPVAE(epochs=1).fit(X, images)
    assert model.warnings_[0] == "y: images of shape (3, 2) were flattened to 6 channels"
    assert model.predict_behaviour(X).shape == (4, 6, 9)
    laid = xr.DataArray(images, dims=("sample", "time", "row", "column"))
    np.testing.assert_array_equal(
        read_behaviour(laid, (4, 9)).values, read_behaviour(images, (4, 9)).values
    )


def test_ragged_lists_of_both_are_fitted(rng: np.random.Generator) -> None:
    X = [rng.poisson(1.0, size=(5, n)) for n in (9, 12, 7)]
    y = [rng.normal(size=(3, n)) for n in (9, 12, 7)]
    model = MMGPVAE(epochs=2).fit(X, y)
    assert [part.shape for part in model.transform(X, y)] == [(9, 3), (12, 3), (7, 3)]
    assert [part.shape for part in model.predict_behaviour(X)] == [(3, 9), (3, 12), (3, 7)]


def test_unseen_behaviour_is_as_none(rng: np.random.Generator) -> None:
    data, model = simulate(), fit_small()
    nothing = data.behaviour[:3].copy(data=np.full((3, 20, 30), np.nan))
    nothing = nothing.assign_coords(valid=(("sample", "time"), np.ones((3, 30), dtype=bool)))
    np.testing.assert_allclose(
        model.transform(data.responses[:3], nothing), model.transform(data.responses[:3])
    )


def test_one_trial_and_constant_stretches_are_fitted(rng: np.random.Generator) -> None:
    X = rng.poisson(1.0, size=(1, 4, 20)).astype(float)
    X[:, :, 5:15] = 0.0
    assert np.isfinite(MMGPVAE(epochs=2).fit(X).predict_rates(X)).all()


def test_other_trials_are_refused(rng: np.random.Generator) -> None:
    data = simulate()
    with pytest.raises(SchemaError, match="y: expected 60 trials of 30 bins as in X, got 60 of 29"):
        MMGPVAE(epochs=1).fit(data.responses.values, data.behaviour.values[:, :, 1:])
    with pytest.raises(AlignError, match="y: expected the trials of X in their order"):
        MMGPVAE(epochs=1).fit(data.responses, data.behaviour[::-1])
    with pytest.raises(ValueError, match="y: expected the 20 channels of fit, got 19"):
        fit_small().transform(data.responses, data.behaviour[:, 1:])
    with pytest.raises(SchemaError, match="y: expected dims sample, time and those of a channel"):
        MMGPVAE(epochs=1).fit(data.responses, data.behaviour.rename(sample="trial"))


def test_constant_behaviour_is_refused() -> None:
    data = simulate()
    with pytest.raises(ValueError, match="y: expected behaviour that varies, got constants"):
        MMGPVAE(epochs=1).fit(data.responses, data.behaviour * 0 + 1)


def test_behaviour_of_a_model_of_spikes_is_refused(rng: np.random.Generator) -> None:
    X = rng.poisson(1.0, size=(3, 4, 9))
    with pytest.raises(ValueError, match="X: expected a model fitted with behaviour"):
        MMGPVAE(epochs=1).fit(X).predict_behaviour(X)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "shared": ({"n_shared": 0}, "n_shared: expected an integer >= 1"),
    "private": ({"n_neural": -1}, "n_neural: expected an integer >= 1"),
    "width": ({"hidden": (0,)}, "hidden: expected an integer >= 1"),
    "weight": ({"modality_weight": 0.0}, "modality_weight: expected a number > 0"),
    "timescale": ({"timescale": -1.0}, "timescale: expected a number > 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_refused(case: str, rng: np.random.Generator) -> None:
    options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        MMGPVAE(**options).fit(rng.poisson(1.0, size=(3, 4, 9)))


def test_signals_and_one_bin_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="X: expected counts, got"):
        MMGPVAE(epochs=1).fit(rng.normal(size=(3, 4, 9)))
    with pytest.raises(ValueError, match="X: expected trials of at least 2 bins, got 1"):
        MMGPVAE(epochs=1).fit(rng.poisson(1.0, size=(3, 4, 1)))


def test_trials_that_need_too_many_waves_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="X: expected trials whose latents need at most 800 waves"):
        MMGPVAE(epochs=1).fit(rng.poisson(1.0, size=(1, 2, 3000)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_modalities_find_the_shared_latent_that_spikes_alone_do_not(seed: int) -> None:
    data = simulate_gaussian_processes(seed=0)
    known = data.truth["latents"].values
    X, y = data.responses, data.behaviour
    assert y is not None
    both = MMGPVAE(seed=seed).fit(X[:120], y[:120]).transform(X, y).values
    alone = MMGPVAE(seed=seed).fit(X[:120]).transform(X).values
    assert explain(both[..., 1], known[..., 0], 120) > 0.95
    assert min(explain(both, known[..., latent], 120) for latent in range(3)) > 0.9
    assert explain(alone, known[..., 0], 120) > 0.9
    # Nothing in spikes tells which of their latents is the shared one: either may bear the name.
    named = [explain(alone[..., latent], known[..., 0], 120) for latent in range(2)]
    assert np.mean(named) < 0.7
