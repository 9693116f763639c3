"""CKA against its formulas, rsatoolbox, and its own minibatches."""

import numpy as np
import pytest

from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa.comparisons import compare_rdms
from neuroalign.rsa.distances import compute_rdm
from neuroalign.similarity.comparison import compare
from neuroalign.similarity.kernel_alignment import compute_kernel, prepare_debiased, stream_cka


def unbiased_hsic(K: np.ndarray, L: np.ndarray) -> float:
    """Song et al. (2012), equation 5, as it is written."""
    n = len(K)
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    one = np.ones(n)
    middle = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return (np.trace(K @ L) + middle - 2 / (n - 2) * one @ K @ L @ one) / (n * (n - 3))


def test_biased_linear_alignment_is_its_feature_form(rng) -> None:  # type: ignore[no-untyped-def]
    x, y = rng.normal(size=(30, 5)) + 3, rng.normal(size=(30, 8)) - 2
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    known = np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)
    assert compare(x, y, "cka") == pytest.approx(known, rel=1e-12)


@pytest.mark.parametrize("kernel", ["linear", "cosine", "rbf", "polynomial"])
def test_debiased_alignment_is_the_ratio_of_unbiased_hsic(kernel, rng) -> None:  # type: ignore[no-untyped-def]
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 40))
    K, L = (compute_kernel(each, kernel) for each in (x, y))
    known = unbiased_hsic(K, L) / np.sqrt(unbiased_hsic(K, K) * unbiased_hsic(L, L))
    found = compare(x, y, "cka_debiased", params={"kernel": kernel})
    assert found == pytest.approx(known, rel=1e-10)


@pytest.mark.parametrize("kernel", ["linear", "cosine", "rbf", "polynomial"])
def test_kernels_are_their_formulas(kernel, rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(6, 4)) + 1
    centred = x - x.mean(axis=0)
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    width = 0.5 * np.median(distance[np.triu_indices(6, 1)])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    known = {
        "linear": centred @ centred.T,
        "cosine": unit @ unit.T,
        "rbf": np.exp(-(distance**2) / (2 * width**2)),
        "polynomial": (centred @ centred.T / 4 + 1) ** 2,
    }
    found = compute_kernel(x, kernel, bandwidth=0.5, degree=2)
    np.testing.assert_allclose(found, known[kernel], atol=1e-12)


def test_without_relation_only_the_debiased_one_is_nothing() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(92, 5000)), rng.normal(size=(92, 5000))) for _ in range(5)]
    assert abs(np.mean([compare(x, y) for x, y in pairs])) < 0.01
    assert np.mean([compare(x, y, "cka") for x, y in pairs]) == pytest.approx(0.98, abs=0.01)


def test_biased_alignment_is_the_whitened_cosine_of_squared_distances(rng) -> None:  # type: ignore[no-untyped-def]
    x, y = (rng.normal(size=(25, p)) for p in (10, 30))
    names = [f"image-{n}" for n in range(25)]
    rdms = [
        compute_rdm(
            from_arrays(each, stimulus=names, modality="fmri", dtype="float64"),
            distance="squared_euclidean",
        )
        for each in (x, y)
    ]
    whitened = float(compare_rdms(*rdms, method="whitened_cosine"))
    assert compare(x, y, "cka") == pytest.approx(whitened, abs=1e-10)


def test_biased_alignment_is_cosine_cov_of_rsatoolbox(rng) -> None:  # type: ignore[no-untyped-def]
    rsatoolbox = pytest.importorskip("rsatoolbox")
    x, y = (rng.normal(size=(15, p)) for p in (6, 12))
    rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(each)) for each in (x, y)]
    known = rsatoolbox.rdm.compare(*rdms, method="cosine_cov")[0, 0]
    assert compare(x, y, "cka") == pytest.approx(known, abs=1e-10)


def test_single_precision_with_a_large_mean_stays_exact(rng) -> None:  # type: ignore[no-untyped-def]
    x, y = rng.normal(size=(50, 40)), rng.normal(size=(50, 30))
    offset = compare((x + 1000).astype(np.float32), y.astype(np.float32))
    assert offset == pytest.approx(compare(x, y), abs=1e-4)


def test_one_batch_is_the_whole_and_many_come_near(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(400, 10))
    one, other = {"a": x, "b": x[:, :4]}, {"c": x @ rng.normal(size=(10, 6))}
    whole = compare(one, other)["score"].values
    at_once = stream_cka([(one, other)])
    np.testing.assert_allclose(at_once, whole, atol=1e-12)
    batches = [
        tuple({name: X[i : i + 40] for name, X in side.items()} for side in (one, other))
        for i in range(0, 400, 40)
    ]
    np.testing.assert_allclose(stream_cka(batches), whole, atol=0.05)


def test_batches_that_do_not_fit_are_refused(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(10, 3))
    with pytest.raises(SchemaError, match="batches: expected one batch or more, got none"):
        stream_cka([])
    with pytest.raises(SchemaError, match="batches: expected the layers"):
        stream_cka([({"a": x}, {"a": x}), ({"b": x}, {"a": x})])
    with pytest.raises(SchemaError, match="batches: expected the same stimuli in all layers"):
        stream_cka([({"a": x}, {"a": x[:5]})])


def test_wrong_kernels_and_too_few_stimuli_are_refused(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(10, 3))
    with pytest.raises(ValueError, match="kernel: expected one of 'linear'"):
        compute_kernel(x, "gaussian")
    with pytest.raises(ValueError, match="bandwidth: expected a positive share"):
        compute_kernel(x, "rbf", bandwidth=0)
    with pytest.raises(ValueError, match="degree: expected 1 or more, got 0"):
        compute_kernel(x, "polynomial", degree=0)
    with pytest.raises(SchemaError, match="expected 4 or more stimuli for an unbiased measure"):
        prepare_debiased(x[:3])


def test_what_does_not_vary_compares_as_nothing(rng) -> None:  # type: ignore[no-untyped-def]
    flat = np.ones((10, 3))
    assert compare(flat, rng.normal(size=(10, 3)), "cka") == 0.0
    assert compare(flat, rng.normal(size=(10, 3)), params={"kernel": "rbf"}) == 0.0


@pytest.mark.parametrize("method", ["cka_debiased", "rsa"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_single_precision_is_enough(method: str, offset: float, rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(200, 500)) + offset
    y = x[:, :200] + rng.normal(size=(200, 200))
    single = [side.astype(np.float32) for side in (x, y)]
    exact = compare(*(side.astype(np.float64) for side in single), method)
    assert compare(*single, method) == pytest.approx(exact, abs=2e-6)


def test_the_angle_of_cka_is_a_metric(rng) -> None:  # type: ignore[no-untyped-def]
    sets = {name: rng.normal(size=(15, n)) for name, n in (("a", 4), ("b", 9), ("c", 2))}
    sets["d"] = 3 * sets["a"] @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    angle = compare(sets, method="cka_angle")["score"].values
    np.testing.assert_allclose(np.cos(angle), compare(sets, method="cka")["score"], atol=1e-12)
    # Rounding of a cosine near 1 is of the order of a root in its angle.
    assert angle[0, 3] < 1e-6
    assert (angle[:, None] <= angle[:, :, None] + angle[None] + 1e-9).all()


def test_what_does_not_vary_has_no_angle(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(10, 3))
    assert np.isnan(compare(x, np.ones((10, 2)), "cka_angle"))
