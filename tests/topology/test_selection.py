"""Model selection: nested folds by brute force, planted sources, and nothing found in noise."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.rsa import to_square
from neuroalign.storage import load, save
from neuroalign.topology import select_source, threshold_grid, transform_rdm
from neuroalign.topology._selection import add_up, choose_settings, leave_one_out, multiply


def make(values: np.ndarray, n: int) -> xr.DataArray:
    """Condensed RDMs (subject, pair)."""
    first, second = np.triu_indices(n, 1)
    names = np.array([f"c{i:02d}" for i in range(n)])
    coords = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    dims = ("subject", "pair")[-values.ndim :]
    return xr.DataArray(values, coords, dims, attrs={"kind": "dissimilarity"})


def stack(values: np.ndarray, n: int) -> xr.DataArray:
    """Label (subject, roi, pair)."""
    flat = make(values.reshape(-1, values.shape[-1]), n)
    coords = {key: coord for key, coord in flat.coords.items() if coord.dims == ("pair",)}
    coords["roi"] = xr.Variable("roi", [f"r{i}" for i in range(values.shape[1])])
    coords["subject"] = xr.Variable("subject", [f"s{i}" for i in range(values.shape[0])])
    return xr.DataArray(values, coords, ("subject", "roi", "pair"), attrs=flat.attrs)


def plant(
    rng: np.random.Generator, subjects: int, sources: int, n: int, noise: float
) -> xr.DataArray:
    pairs = n * (n - 1) // 2
    truth = rng.random((1, sources, pairs))
    return stack(truth + noise * rng.random((subjects, sources, pairs)), n)


def tell(vectors: np.ndarray, held: int, train: list[int]) -> float:
    """Share of sources of one subject nearest to their own centroid, one by one."""
    centroids = vectors[train].mean(axis=0)
    right = 0
    for source, vector in enumerate(vectors[held]):
        right += int(np.argmin(np.linalg.norm(centroids - vector, axis=1)) == source)
    return float(right / vectors.shape[1])


def test_surface_and_nested_choice_equal_loops_over_subjects(rng: np.random.Generator) -> None:
    rdms = plant(rng, 5, 4, 9, 3.0)
    result = select_source(rdms, step=0.25, bootstrap="none")
    lower, upper = threshold_grid(0.25, equal=True)
    made = transform_rdm(rdms, lower, upper).values
    everyone = list(range(5))
    nested = []
    for s in everyone:
        others = [t for t in everyone if t != s]
        inner = np.array(
            [np.mean([tell(v, t, [u for u in others if u != t]) for t in others]) for v in made]
        )
        best = np.flatnonzero(inner >= inner.max() - 1e-9)
        chosen = best[np.argmin((lower - upper)[best])]
        assert float(result["selected_lower"][s]) == lower[chosen]
        assert float(result["selected_upper"][s]) == upper[chosen]
        nested.append(tell(made[chosen], s, others))
    varied = upper > lower
    for setting in np.flatnonzero(varied):
        each = [tell(made[setting], s, [t for t in everyone if t != s]) for s in everyone]
        assert float(result["accuracy"][setting]) == pytest.approx(np.mean(each))
    np.testing.assert_allclose(result["score"].sel(representation="nested"), nested)
    raw = [tell(rdms.values, s, [t for t in everyone if t != s]) for s in everyone]
    np.testing.assert_allclose(result["score"].sel(representation="raw"), raw)


def test_copies_of_a_subject_are_left_out_together(rng: np.random.Generator) -> None:
    vectors = rng.random((2, 4, 3, 20))
    copied = vectors[:, [0, 0, 1, 2, 3, 3, 3]]
    weights = np.array([2.0, 1.0, 1.0, 3.0])
    found = leave_one_out(add_up(multiply(vectors), weights))
    for s, copies in enumerate(([0, 1], [2], [3], [4, 5, 6])):
        rest = [t for t in range(7) if t not in copies]
        centroids = copied[:, rest].mean(axis=1)
        gaps = np.square(vectors[:, s, :, None] - centroids[:, None]).sum(axis=-1)
        own = np.square(vectors[:, s]).sum(axis=-1)[..., None]
        np.testing.assert_allclose(found[:, s] + own, gaps, atol=1e-12)


def test_planted_sources_are_found(rng: np.random.Generator, tmp_path: Path) -> None:
    result = select_source(plant(rng, 6, 4, 12, 0.5), n_bootstrap=20, n_permutations=19)
    assert (result["mean"] == 1).all()
    assert (result["p_value"] == 0.05).all()
    np.testing.assert_allclose(result["confusion"], np.eye(4), atol=1e-12)
    assert float(result["standard_error"].max()) == 0
    assert load(save(result, tmp_path / "t.nc")).identical(result)


def planted_thresholds(rng: np.random.Generator) -> xr.DataArray:
    """Sources differ in their near pairs only; far pairs differ between subjects instead."""
    subjects, sources, pairs = 8, 4, 190
    rank = np.tile(np.linspace(0, 1, pairs), (subjects, sources, 1))
    near = pairs // 5
    orders = [rng.permutation(near) for _ in range(sources)]
    for s in range(subjects):
        # One order a subject for all its sources, so that far pairs tell subjects, not sources.
        far = near + rng.permutation(pairs - near)
        for source in range(sources):
            rank[s, source, :near] = orders[source] / pairs
            rank[s, source, near:] = rng.permutation(far) / pairs
    return stack(rank, 20)


def test_thresholds_that_carry_the_source_are_chosen_within_the_folds(
    rng: np.random.Generator,
) -> None:
    result = select_source(planted_thresholds(rng), bootstrap="none")
    mean = result["mean"]
    assert float(mean.sel(representation="nested")) == 1
    assert float(mean.sel(representation="nested")) > float(mean.sel(representation="rank")) + 0.1
    # Far pairs, which only add noise, are cut off.
    assert (result["selected_upper"] < 0.6).all()
    assert float(result["category_accuracy"].sel(kind="local")) > 0.85
    assert float(result["category_accuracy"].sel(kind="global")) < 0.5


def test_noise_is_at_chance_where_the_best_in_sample_is_not(rng: np.random.Generator) -> None:
    nested, best = [], []
    for seed in range(30):
        rdms = stack(rng.random((6, 4, 66)), 12)
        result = select_source(rdms, step=0.2, bootstrap="none", seed=seed)
        nested.append(float(result["mean"].sel(representation="nested")))
        best.append(float(result["best_in_sample"]))
    # 720 answers: 0.25 +- 0.016, somewhat more as folds share subjects.
    assert np.mean(nested) == pytest.approx(0.25, abs=0.05)
    assert np.mean(best) > 0.33


def test_the_held_out_subject_has_no_part_in_its_thresholds(rng: np.random.Generator) -> None:
    rdms = plant(rng, 6, 4, 12, 4.0)
    lower, upper = threshold_grid(0.2, equal=True)
    vectors = transform_rdm(rdms, lower, upper).values
    changed = vectors.copy()
    changed[:, 2] = rng.random(changed[:, 2].shape)
    chosen = [
        choose_settings(add_up(multiply(v), np.ones(6)), lower - upper) for v in (vectors, changed)
    ]
    assert chosen[0][2] == chosen[1][2]
    assert (chosen[0] != chosen[1]).any()


def test_p_values_of_noise_are_even(rng: np.random.Generator) -> None:
    p = []
    for seed in range(40):
        rdms = stack(rng.random((4, 3, 28)), 8)
        options = {"step": 0.5, "bootstrap": "none", "n_permutations": 19, "seed": seed}
        p.append(select_source(rdms, **options)["p_value"].values)  # type: ignore[arg-type]
    # Binomial(40, 0.1): 4 +- 1.9.
    assert (np.sum(np.array(p) <= 0.1 + 1e-9, axis=0) <= 10).all()


def test_identical_rdms_score_chance_not_the_first_name() -> None:
    result = select_source(stack(np.ones((4, 5, 28)), 8), n_bootstrap=5)
    np.testing.assert_allclose(result["accuracy"], 0.2)
    np.testing.assert_allclose(result["mean"], 0.2)


def test_standard_errors_tell_how_accuracies_vary(rng: np.random.Generator) -> None:
    truth = rng.random((1, 4, 66))
    means, errors = [], []
    for seed in range(15):
        rdms = stack(truth + 2.5 * rng.random((8, 4, 66)), 12)
        result = select_source(rdms, step=0.5, bootstrap="subjects", n_bootstrap=40, seed=seed)
        means.append(result["accuracy"].values)
        errors.append(result["accuracy_error"].values)
    varied = np.std(means, axis=0, ddof=1) > 0
    ratio = np.mean(errors, axis=0)[varied] / np.std(means, axis=0, ddof=1)[varied]
    assert 0.5 < np.median(ratio) < 2
    both = select_source(rdms, step=0.5, bootstrap="both", n_bootstrap=10)
    assert {"accuracy_error", "standard_error", "difference_error"} <= set(both)


def test_dims_may_come_in_any_order_and_seeds_repeat(rng: np.random.Generator) -> None:
    rdms = plant(rng, 5, 3, 9, 3.0)
    first = select_source(rdms, step=0.5, n_bootstrap=10)
    assert select_source(rdms, step=0.5, n_bootstrap=10).identical(first)
    turned = to_square(rdms).transpose("roi", "subject", ...).rename(roi="layer", subject="seed")
    second = select_source(turned, source="layer", over="seed", step=0.5, n_bootstrap=10)
    np.testing.assert_array_equal(second["accuracy"], first["accuracy"])
    assert second["selected_lower"].dims == ("seed",)


def test_paths_find_planted_sources_too(rng: np.random.Generator) -> None:
    rdms = plant(rng, 4, 3, 12, 0.3)
    result = select_source(rdms, transform="geodesic", step=0.2, bootstrap="none")
    assert float(result["best_in_sample"]) > 0.9


def test_brains_and_judgements_of_92_images_are_told_apart(real_data: Path) -> None:
    from neuroalign.loaders import load_rdms

    folder, images = real_data / "rsa_92images", [f"image {n}" for n in range(92)]
    sessions = load_rdms(folder / "92_brainRDMs.mat", labels=images).values
    judged = load_rdms(folder / "92_behavRDMs.mat", labels=images).values
    values = np.stack([sessions.reshape(4, 2, -1).mean(axis=1), judged[:4]], axis=1)
    result = select_source(stack(values, 92), bootstrap="none")
    # 8 answers: raw dissimilarities tell the two by their scale alone.
    assert float(result["mean"].sel(representation="raw")) == 1
    assert float(result["mean"].sel(representation="nested")) == 0.875


def test_mistakes_are_named(rng: np.random.Generator) -> None:
    rdms = plant(rng, 4, 3, 9, 1.0)
    with pytest.raises(SchemaError, match="rdms: expected leading dims 'subject' and 'layer'"):
        select_source(rdms, source="layer")
    with pytest.raises(SchemaError, match="expected 3 of 'subject' and 2 of 'roi' or more, got 2"):
        select_source(rdms[:2])
    holed = rdms.copy(deep=True)
    holed.values[0, 0] = np.nan
    with pytest.raises(SchemaError, match="got 36 missing of 432"):
        select_source(holed)
    with pytest.raises(ValueError, match="transform: expected one of 'geo_topological'"):
        select_source(rdms, transform="rgtm")
    with pytest.raises(ValueError, match="bootstrap: expected one of"):
        select_source(rdms, bootstrap="rows")
    with pytest.raises(ValueError, match="n_bootstrap, n_permutations: expected 2 or more"):
        select_source(rdms, n_bootstrap=1)
