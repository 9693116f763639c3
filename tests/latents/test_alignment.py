"""Alignment undoes what a model leaves open, and no more."""

from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import special_ortho_group

from neuroalign.errors import SchemaError
from neuroalign.latents import (
    align_latents,
    correlate_matched,
    measure_angles,
    score_recovery,
    score_states,
)


@pytest.fixture
def truth(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(8, 30, 3)) * [1.0, 2.0, 0.5]


MOVES = {
    "affine": lambda z: z @ np.array([[1.0, 2, 0], [0, 1, 1], [1, 0, 3]]) + [1.0, 2, 3],
    "rotation": lambda z: z @ special_ortho_group.rvs(3, random_state=0) + 4.0,
    "permutation_sign": lambda z: z[..., [2, 0, 1]] * [-1.0, 1, -1],
    "permutation": lambda z: z[..., [1, 2, 0]],
}


@pytest.mark.parametrize("allowed", list(MOVES))
def test_each_freedom_undoes_its_own_move(allowed: str, truth: np.ndarray) -> None:
    moved = MOVES[allowed](truth)
    np.testing.assert_allclose(align_latents(moved, truth, allowed=allowed), truth, atol=1e-10)


def test_a_rotation_does_not_undo_a_scale(truth: np.ndarray) -> None:
    aligned = align_latents(3.0 * truth, truth, allowed="rotation")
    np.testing.assert_allclose(aligned - aligned.mean((0, 1)), 3 * (truth - truth.mean((0, 1))))


def test_a_permutation_does_not_undo_a_sign(truth: np.ndarray) -> None:
    aligned = align_latents(-truth, truth, allowed="permutation")
    assert np.corrcoef(aligned[..., 0].ravel(), truth[..., 0].ravel())[0, 1] < 0.5


def test_alignment_keeps_labels_and_takes_the_names_of_the_reference(truth: np.ndarray) -> None:
    dims, names = ("sample", "time", "latent"), {"latent": ["a", "b", "c"]}
    fitted = xr.DataArray(truth[..., ::-1], dims=dims, coords={"time": np.arange(30.0)})
    found = align_latents(fitted, xr.DataArray(truth, dims=dims, coords=names))
    assert found["latent"].values.tolist() == ["a", "b", "c"]
    assert "time" in found.coords


def test_more_fitted_latents_than_true_ones_can_be_turned(truth: np.ndarray) -> None:
    turned = truth @ special_ortho_group.rvs(3, random_state=1)
    wide = np.concatenate([turned, np.zeros((8, 30, 1))], axis=2)
    np.testing.assert_allclose(align_latents(wide, truth, allowed="rotation"), truth, atol=1e-10)


def test_recovery_of_noise_is_not_above_zero_on_test_trials(
    rng: np.random.Generator, truth: np.ndarray
) -> None:
    noise = rng.normal(size=(8, 30, 20))
    assert (score_recovery(noise, truth, range(4), range(4, 8)) < 0.1).all()
    assert (score_recovery(noise, truth, range(8), range(8)) > 0.02).all()


def test_matched_recovery_uses_one_latent_only(truth: np.ndarray) -> None:
    mixed = truth @ np.array([[1.0, 1, 0], [-1, 1, 0], [0, 0, 1]])
    rows = np.arange(4), np.arange(4, 8)
    assert (score_recovery(mixed, truth, *rows) > 0.999).all()
    own = score_recovery(mixed, truth, *rows, matched=True)
    assert own[2] > 0.999
    assert own[0] < 0.6


def test_matched_correlation_equals_the_best_of_all_pairings(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 50, 4))
    table = np.abs(np.corrcoef(a.T, b.T)[:4, 4:])
    best = max(table[range(4), order].mean() for order in permutations(range(4)))
    assert correlate_matched(a, b) == pytest.approx(best)


def test_angles_equal_those_planted() -> None:
    first = np.eye(6)[:, :2]
    angle = np.radians([10.0, 70.0])
    second = np.zeros((6, 2))
    second[[0, 1], [0, 1]], second[[2, 3], [0, 1]] = np.cos(angle), np.sin(angle)
    np.testing.assert_allclose(measure_angles(first, second @ [[1, 2], [0, 1]]), [10, 70])


def test_state_accuracy_equals_the_best_of_all_renamings(rng: np.random.Generator) -> None:
    a, b = rng.integers(4, size=(2, 60))
    best = max((np.array(order)[a] == b).mean() for order in permutations(range(4)))
    assert score_states(a, b)[0] == pytest.approx(best)


def test_bins_without_a_state_do_not_count() -> None:
    assert score_states([0, 0, -1, 1], [1, 1, 0, 0])[0] == 1.0


def test_faults_are_named(truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"allowed: expected one of 'affine'"):
        align_latents(truth, truth, allowed="afine")
    with pytest.raises(SchemaError, match=r"fitted: expected the trials and bins"):
        align_latents(truth[:3], truth)
    with pytest.raises(SchemaError, match=r"fitted: expected bins where all are finite"):
        align_latents(truth * np.nan, truth)
    with pytest.raises(ValueError, match=r"matched: expected allowed='affine'"):
        score_recovery(truth, truth, [0], [1], allowed="rotation", matched=True)
    with pytest.raises(SchemaError, match=r"second: expected \(neuroid, latent\)"):
        measure_angles(np.eye(3), np.eye(4))
    with pytest.raises(SchemaError, match=r"fitted: expected the shape"):
        score_states([0, 1], [0])
    with pytest.raises(SchemaError, match=r"fitted: expected bins with states"):
        score_states([-1], [0])
