"""Linear decoders: equal to scikit-learn, and patterns that find what weights hide."""

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.model_selection import cross_val_score

from neuroalign.decoders import LinearDecoder, RidgeDecoder
from neuroalign.loaders import from_arrays, to_nifti

AFFINE = [3.0, 0, 0, -9, 0, 3.0, 0, -6, 0, 0, 3.0, 5, 0, 0, 0, 1.0]


def study(
    rng: np.random.Generator, n: int = 300, p: int = 12, t: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, their planted patterns, and responses whose noise is shared by all neuroids."""
    targets = rng.normal(size=(n, t))
    planted = rng.normal(size=(t, p)) * (rng.uniform(size=(t, p)) < 0.5)
    shared = rng.normal(size=(n, 4)) @ rng.normal(size=(4, p)) * 2
    return targets, planted, targets @ planted + shared + 0.3 * rng.normal(size=(n, p))


def test_least_squares_equal_those_of_scikit_learn(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng)
    ours, peer = LinearDecoder().fit(responses, targets), LinearRegression().fit(responses, targets)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-9)
    np.testing.assert_allclose(ours.predict(responses), peer.predict(responses), atol=1e-9)


def test_fewer_rows_than_neuroids_give_the_smallest_weights(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng, n=10, p=40)
    ours, peer = LinearDecoder().fit(responses, targets), LinearRegression().fit(responses, targets)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-7)


def test_one_penalty_equals_scikit_learn(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng)
    ours = RidgeDecoder(3.0, alpha_scale="absolute").fit(responses, targets)
    peer = PeerRidge(3.0).fit(responses, targets)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-10)


def test_each_target_has_its_own_penalty(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng)
    targets[:, 2] += 20 * rng.normal(size=300)
    own = RidgeDecoder().fit(responses, targets)
    assert own.alpha_[2] > own.alpha_[0]
    shared = RidgeDecoder(alpha_per="global").fit(responses, targets)
    assert len(np.unique(shared.alpha_)) == 1
    with pytest.raises(ValueError, match="alpha_per: expected one of 'target', 'global'"):
        RidgeDecoder(alpha_per="neuroid").fit(responses, targets)


@pytest.mark.parametrize("n", [300, 8])
def test_patterns_follow_the_closed_form(rng: np.random.Generator, n: int) -> None:
    targets, _, responses = study(rng, n=n)
    model = RidgeDecoder(1.0).fit(responses, targets)
    covariance, W = np.cov(responses.T), model.coef_.T
    expected = covariance @ W @ np.linalg.inv(W.T @ covariance @ W)
    np.testing.assert_allclose(model.patterns_.values, expected.T, rtol=1e-6, atol=1e-9)


def test_a_single_target_has_the_covariance_as_its_pattern(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng)
    model = RidgeDecoder(1.0).fit(responses, targets[:, 0])
    score = model.predict(responses)
    expected = [np.cov(one, score)[0, 1] / score.var(ddof=1) for one in responses.T]
    np.testing.assert_allclose(model.patterns_, expected, rtol=1e-8)
    assert model.patterns_.dims == ("neuroid",)


@pytest.mark.parametrize("seed", range(3))
def test_planted_patterns_come_back_and_raw_weights_do_not_show_them(seed: int) -> None:
    targets, planted, responses = study(np.random.default_rng(seed), n=2000)
    model = LinearDecoder().fit(responses, targets)
    by_pattern = np.corrcoef(model.patterns_.values.ravel(), planted.ravel())[0, 1]
    by_weight = np.corrcoef(model.weights_.values.ravel(), planted.ravel())[0, 1]
    assert by_pattern > 0.97
    assert by_weight < 0.75


def test_a_neuroid_of_noise_alone_has_weight_but_no_pattern(rng: np.random.Generator) -> None:
    signal, noise = rng.normal(size=(2, 5000))
    responses = np.stack([signal + noise, noise], axis=1)
    model = LinearDecoder().fit(responses, signal)
    np.testing.assert_allclose(model.weights_.values, [1, -1], atol=1e-9)
    np.testing.assert_allclose(model.patterns_.values, [1, 0], atol=0.05)


def test_patterns_can_be_mapped(rng: np.random.Generator, tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("nibabel")
    targets, _, values = study(rng, p=8)
    names = [f"s{i}" for i in range(300)]
    responses = from_arrays(values, stimulus=names, modality="fmri")
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
    responses = responses.assign_coords(
        {axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")}
    ).assign_attrs(affine=AFFINE, grid_shape=[2, 2, 2])
    patterns = RidgeDecoder().fit(responses, targets).patterns_
    assert patterns.attrs["affine"] == AFFINE
    assert to_nifti(patterns.isel(target=0), tmp_path / "pattern.nii.gz").exists()


def test_neuroids_can_be_decoded_from_neuroids(rng: np.random.Generator) -> None:
    targets, _, values = study(rng)
    names = [f"s{i}" for i in range(300)]
    one = from_arrays(values, stimulus=names, modality="meg", dtype="float64")
    other = from_arrays(targets, stimulus=names, modality="meg", dtype="float64")
    patterns = RidgeDecoder().fit(one, other).patterns_
    assert patterns.dims == ("target_neuroid", "neuroid")
    assert patterns["target_neuroid"].values.tolist() == other["neuroid"].values.tolist()


def test_tokens_of_features_keep_their_shape(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng, t=6)
    tokens = xr.DataArray(targets.reshape(300, 2, 3), dims=("sample", "token", "feature"))
    model = RidgeDecoder().fit(xr.DataArray(responses, dims=("sample", "neuroid")), tokens)
    assert model.predict(responses).shape == (300, 2, 3)
    assert model.patterns_.dims == ("token", "feature", "neuroid")


def test_a_constant_target_has_no_pattern(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng)
    targets[:, 1] = 4.0
    patterns = RidgeDecoder().fit(responses, targets).patterns_.values
    assert (patterns[1] == 0).all()
    assert np.isfinite(patterns).all()


def test_patterns_can_be_left_out(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng)
    model = RidgeDecoder(patterns=False).fit(responses, targets)
    assert not hasattr(model, "patterns_")
    with pytest.raises(AttributeError, match="patterns_: expected patterns=True at fit"):
        model.patterns_  # noqa: B018


def test_scikit_learn_can_cross_validate_it(rng: np.random.Generator) -> None:
    targets, _, responses = study(rng)
    assert cross_val_score(RidgeDecoder(), responses, targets).mean() > 0.5
