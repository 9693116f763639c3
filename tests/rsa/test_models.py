"""Models of RDMs: fits against search and closed forms, labels, and every error."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.categories import categorical_rdm
from neuroalign.rsa.models import (
    FeatureReweightedModel,
    FixedModel,
    InterpolatedModel,
    SelectionModel,
    WeightedModel,
    as_models,
)

LABELS = np.array([f"c{n:02d}" for n in range(12)])


def stack(rng: np.random.Generator, n: int) -> xr.DataArray:
    return fold(rng.random((n, 66)), LABELS, ("rdm",))


def shuffle(rdms: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Move pairs, and swap the two ends of some."""
    moved = rdms.isel(pair=rng.permutation(rdms.sizes["pair"]))
    swap = rng.random(moved.sizes["pair"]) < 0.5
    first, second = moved["first"].values, moved["second"].values
    return moved.assign_coords(
        first=("pair", np.where(swap, second, first)),
        second=("pair", np.where(swap, first, second)),
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_planted_weights_come_back_from_shuffled_data(rng: np.random.Generator) -> None:
    basis = stack(rng, 3)
    theta = np.array([1.0, 0.0, 3.0])
    data = shuffle(fold(theta @ basis.values, LABELS), rng)
    for method in ("cosine", "whitened_cosine", "pearson", "whitened_correlation"):
        for sign in (True, False):
            model = WeightedModel(basis, name="w", non_negative=sign)
            found = model.fit(data, method)
            np.testing.assert_allclose(found / found.sum(), theta / 4, atol=1e-6)


def test_weights_beat_every_searched_combination(rng: np.random.Generator) -> None:
    basis, data = stack(rng, 2), stack(rng, 5)
    model = WeightedModel(basis, name="w")
    best = model.fit(data) @ basis.values
    scores = [
        np.mean([cosine(t * basis.values[0] + (1 - t) * basis.values[1], r) for r in data.values])
        for t in np.linspace(0, 1, 201)
    ]
    assert np.mean([cosine(best, r) for r in data.values]) >= max(scores) - 1e-12


def test_non_negative_weights_are_not_negative(rng: np.random.Generator) -> None:
    basis = stack(rng, 3)
    data = fold(basis.values[0] - 0.5 * basis.values[1], LABELS)
    assert (WeightedModel(basis, name="w").fit(data, "pearson") >= 0).all()
    free = WeightedModel(basis, name="w", non_negative=False).fit(data, "pearson")
    assert free[1] < 0


def test_interpolation_finds_the_best_point_of_the_line(rng: np.random.Generator) -> None:
    basis, data = stack(rng, 3), stack(rng, 4)
    theta = InterpolatedModel(basis, name="i").fit(data)
    assert theta.sum() == pytest.approx(1)
    assert (theta > 0).sum() <= 2
    grid = [
        np.mean(
            [cosine((1 - t) * basis.values[k] + t * basis.values[k + 1], r) for r in data.values]
        )
        for k in range(2)
        for t in np.linspace(0, 1, 301)
    ]
    found = np.mean([cosine(theta @ basis.values, r) for r in data.values])
    assert max(grid) - 1e-12 <= found <= max(grid) + 1e-4


@pytest.mark.parametrize("method", ["cosine", "rho_a", "tau_a", "whitened_correlation"])
def test_selection_takes_the_rdm_that_made_the_data(rng: np.random.Generator, method: str) -> None:
    basis = stack(rng, 4)
    data = fold(basis.values[2] + 0.1 * rng.random((3, 66)), LABELS, ("subject",))
    theta = SelectionModel(basis, name="s").fit(data, method)
    assert theta.tolist() == [0, 0, 1, 0]


def test_features_that_matter_get_weight(rng: np.random.Generator) -> None:
    values = rng.normal(size=(30, 6))
    features = from_arrays(values, modality="model", stimulus=[f"s{n}" for n in range(30)])
    features = features.rename(neuroid="feature")
    model = FeatureReweightedModel(features, name="f")
    data = model.predict(np.array([4.0, 0, 1, 0, 0, 0]))
    weights = model.fit(data)
    assert weights.argmax() == 0
    assert weights[2] / weights[0] == pytest.approx(0.25, abs=0.05)
    assert weights[[1, 3, 4, 5]].max() < 0.05 * weights[0]


def test_the_penalty_is_chosen_by_held_out_conditions(rng: np.random.Generator) -> None:
    n = 30
    basis = fold(
        rng.random((60, n * (n - 1) // 2)), np.array([f"s{k}" for k in range(n)]), ("rdm",)
    )
    noisy = basis.mean("rdm") + 0.5 * rng.random(basis.sizes["pair"])
    data = basis.isel(rdm=0).copy(data=noisy.values)
    strong = WeightedModel(basis, name="w", penalties=(10.0,)).fit(data)
    chosen = WeightedModel(basis, name="w", penalties=(0.0, 10.0)).fit(data)
    np.testing.assert_allclose(chosen, strong)


def test_prediction_does_not_share_memory_with_the_model(rng: np.random.Generator) -> None:
    model = FixedModel(stack(rng, 1), name="m")
    before = model.basis.copy()
    model.predict().values[:] = 0
    model.predict([1.0]).values[:] = 0
    np.testing.assert_array_equal(model.basis, before)


def test_square_and_condensed_models_agree(rng: np.random.Generator) -> None:
    square = np.zeros((4, 4))
    square[np.triu_indices(4, 1)] = rng.random(6)
    names = list("abcd")
    rdm = xr.DataArray(
        square + square.T,
        {"first": names, "second": names},
        ("first", "second"),
        attrs={"kind": "dissimilarity"},
    )
    np.testing.assert_array_equal(
        FixedModel(rdm, name="m").predict().values, square[np.triu_indices(4, 1)]
    )


def test_models_come_from_stacks_and_mappings(rng: np.random.Generator) -> None:
    rdms = stack(rng, 2).assign_coords(rdm=["one", "two"])
    assert [m.name for m in as_models(rdms)] == ["one", "two"]
    assert [m.name for m in as_models({"a": rdms[0]})] == ["a"]
    assert [m.name for m in as_models(FixedModel(rdms[0], name="z"))] == ["z"]


def test_faults_of_models_are_named(rng: np.random.Generator) -> None:
    rdms = stack(rng, 2)
    with pytest.raises(SchemaError, match="model 'm': expected one RDM, got 2"):
        FixedModel(rdms, name="m")
    with pytest.raises(ValueError, match=r"theta: expected 2 weights, got shape \(3,\)"):
        WeightedModel(rdms, name="m").predict([1, 2, 3])
    with pytest.raises(ValueError, match="penalties: expected numbers of 0 or more"):
        WeightedModel(rdms, name="m", penalties=(-1.0,))
    with pytest.raises(SchemaError, match="models: expected one leading dim with names"):
        as_models(rdms)
    with pytest.raises(SchemaError, match="models: expected unique names"):
        as_models([FixedModel(rdms[0], name="a"), FixedModel(rdms[1], name="a")])
    with pytest.raises(ValueError, match="method: expected one of 'cosine'"):
        WeightedModel(rdms, name="m").fit(rdms, "cosin")
    with pytest.raises(SchemaError, match="model 'm': expected each of the 66 pairs"):
        FixedModel(rdms[0, 1:], name="m")
    with pytest.raises(SchemaError, match="model 'm': expected finite dissimilarities, got 1"):
        FixedModel(rdms[0].where(np.arange(66) > 0), name="m")


def test_disjoint_labels_raise(rng: np.random.Generator) -> None:
    model = FixedModel(categorical_rdm({"x": "1", "y": "2", "z": "2"}), name="m")
    with pytest.raises(AlignError, match="model 'm': expected the conditions of the data, missing"):
        model.fit(stack(rng, 1))


def test_features_without_unique_names_raise(rng: np.random.Generator) -> None:
    features = from_arrays(rng.normal(size=(4, 2)), modality="model", stimulus=["a", "a", "b", "c"])
    with pytest.raises(SchemaError, match="unique 'stimulus'"):
        FeatureReweightedModel(features.rename(neuroid="feature"), name="f")


def test_features_without_the_named_coord_raise(rng: np.random.Generator) -> None:
    features = from_arrays(rng.normal(size=(3, 2)), modality="model", stimulus=["a", "b", "c"])
    with pytest.raises(SchemaError, match="model 'f': expected coord 'word' on 'sample'"):
        FeatureReweightedModel(features.rename(neuroid="feature"), name="f", by="word")
