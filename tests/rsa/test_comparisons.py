"""Comparisons equal closed forms, brute force and scipy; labels come first."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.io import loadmat
from scipy.spatial.distance import squareform

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import load_rdms
from neuroalign.rsa import COMPARISONS, compare_rdms, fisher_z, regress_rdms, to_square
from neuroalign.rsa import _comparison_kernels as kernels
from neuroalign.rsa._pairs import square_up
from neuroalign.rsa.labelling import from_matrix
from neuroalign.rsa.rdms import wrap_condensed

LABELS = np.array(list("abcdefgh"))


def label(rows: np.ndarray, names: np.ndarray = LABELS) -> xr.DataArray:
    """Name pairs; a single row becomes one RDM without leading dim."""
    rows = np.asarray(rows)
    lead = ("subject",) if rows.ndim == 2 and len(rows) > 1 else ()
    rdm = wrap_condensed(rows if lead else rows.ravel(), names, lead, {})
    return rdm.assign_attrs(kind="dissimilarity")


def embed(rng: np.random.Generator, n_rdms: int, n: int = 8) -> np.ndarray:
    X = rng.normal(size=(n_rdms, n, 12))
    d = ((X[:, :, None] - X[:, None]) ** 2).sum(axis=3) / 12
    return d[:, *np.triu_indices(n, 1)]


def pair_covariance(sigma: np.ndarray) -> np.ndarray:
    n = len(sigma)
    C = np.zeros((n * (n - 1) // 2, n))
    for row, (i, j) in enumerate(zip(*np.triu_indices(n, 1), strict=True)):
        C[row, i], C[row, j] = 1, -1
    return (C @ sigma @ C.T) ** 2


@pytest.mark.parametrize(
    ("method", "reference"),
    [
        ("pearson", stats.pearsonr),
        ("spearman", stats.spearmanr),
        ("tau_b", stats.kendalltau),
    ],
)
def test_equals_scipy(rng: np.random.Generator, method: str, reference: object) -> None:
    A, B = rng.integers(0, 9, (3, 28)) * 1.0, rng.random((2, 28))
    ours = compare_rdms(label(A), label(B), method=method)
    theirs = [[reference(a, b)[0] for b in B] for a in A]  # type: ignore[operator]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert ours.dims == ("subject", "subject_other")


def test_rank_measures_do_not_reward_ties(rng: np.random.Generator) -> None:
    data = rng.random(28)
    tied = (data + rng.normal(size=28) > 0.5) * 1.0
    broken = tied + 1e-6 * rng.random((4000, 28))
    for method in ("rho_a", "tau_a"):
        ours = float(compare_rdms(label(tied), label(data), method=method))
        jittered = compare_rdms(label(broken), label(data), method=method)
        assert ours == pytest.approx(float(jittered.mean()), abs=0.005)
    assert float(compare_rdms(label(tied), label(data), method="spearman")) > ours


def test_tau_a_equals_counting(rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 5, 28), rng.integers(0, 5, 28)
    signs = np.sign(a[:, None] - a) * np.sign(b[:, None] - b)
    expected = signs.sum() / (28 * 27)
    ours = compare_rdms(label(a * 1.0), label(b * 1.0), method="tau_a")
    assert float(ours) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("method", ["whitened_cosine", "whitened_correlation"])
@pytest.mark.parametrize("given", ["none", "diagonal", "full"])
def test_whitening_equals_the_dense_inverse(
    rng: np.random.Generator, method: str, given: str
) -> None:
    A, B = rng.random((2, 28)), rng.random((3, 28))
    root = rng.normal(size=(8, 8))
    sigma = {"none": np.eye(8), "diagonal": np.diag(rng.random(8) + 0.2)}.get(
        given, root @ root.T + np.eye(8)
    )
    inverse = np.linalg.inv(pair_covariance(sigma))
    one = np.ones(28)
    if method == "whitened_correlation":
        mean = (one @ inverse) / (one @ inverse @ one)
        A0, B0 = (X - (X @ mean)[:, None] for X in (A, B))
    else:
        A0, B0 = A, B
    norms = [np.sqrt(np.einsum("ip,pq,iq->i", X, inverse, X)) for X in (A0, B0)]
    expected = A0 @ inverse @ B0.T / np.outer(*norms)
    named = xr.DataArray(sigma, {"first": LABELS, "second": LABELS}, ("first", "second"))
    named = named.isel(first=slice(None, None, -1), second=slice(None, None, -1))
    ours = compare_rdms(label(A), label(B), method=method, sigma=None if given == "none" else named)
    np.testing.assert_allclose(ours, expected, atol=1e-10)


def test_signal_dependent_noise_equals_its_covariance_by_simulation() -> None:
    rng = np.random.default_rng(3)
    n, n_folds, p = 4, 3, 40
    U = rng.normal(size=(n, p))
    B = U[:, None] + rng.normal(size=(20000, n, n_folds, p))
    S = B.sum(axis=2)
    gram = S @ S.transpose(0, 2, 1) - np.einsum("simp,sjmp->sij", B, B)
    gram /= n_folds * (n_folds - 1) * p
    i, j = np.triu_indices(n, 1)
    d = gram[:, i, i] + gram[:, j, j] - 2 * gram[:, i, j]
    true = ((U[i] - U[j]) ** 2).sum(axis=1) / p
    V = kernels.covary_distances(n, np.eye(n), true, n_folds) / p
    np.testing.assert_allclose(np.cov(d.T), V, atol=0.06 * V.max())


def test_signal_dependent_comparison_equals_the_dense_inverse(rng: np.random.Generator) -> None:
    A, B = embed(rng, 2), embed(rng, 1)
    V = kernels.covary_distances(8, np.eye(8), B[0], 4)
    inverse = np.linalg.inv(V)
    expected = A @ inverse @ B.T
    expected /= np.sqrt(np.einsum("ip,pq,iq->i", A, inverse, A))[:, None]
    expected /= np.sqrt(np.einsum("ip,pq,iq->i", B, inverse, B))
    ours = compare_rdms(label(A), label(B), method="whitened_cosine", signal=label(B), n_folds=4)
    np.testing.assert_allclose(ours, expected[:, 0], atol=1e-10)


def test_whitened_cosine_is_linear_cka(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(8, 5)), rng.normal(size=(8, 30))
    H = np.eye(8) - 1 / 8
    K, L = H @ X @ X.T @ H, H @ Y @ Y.T @ H
    cka = (K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum())
    d = [((Z[:, None] - Z) ** 2).sum(axis=2)[np.triu_indices(8, 1)] for Z in (X, Y)]
    ours = compare_rdms(label(d[0]), label(d[1]), method="whitened_cosine")
    assert float(ours) == pytest.approx(cka, abs=1e-12)


def test_whitening_scales_to_a_thousand_conditions(rng: np.random.Generator) -> None:
    names = np.array([f"c{i}" for i in range(1000)])
    rdm = label(rng.random(499500), names)
    sigma = xr.DataArray(np.eye(1000), {"first": names, "second": names}, ("first", "second"))
    ours = compare_rdms(rdm, rdm, method="whitened_cosine", sigma=sigma)
    assert float(ours) == pytest.approx(1.0)


def test_missing_pairs_restrict_the_covariance(rng: np.random.Generator) -> None:
    A, B = rng.random((2, 28)), rng.random((2, 28))
    A[0, 3], B[1, 10] = np.nan, np.nan
    keep = ~np.isin(np.arange(28), [3, 10])
    inverse = np.linalg.inv(pair_covariance(np.eye(8))[np.ix_(keep, keep)])
    a, b = A[:, keep], B[:, keep]
    norms = [np.sqrt(np.einsum("ip,pq,iq->i", X, inverse, X)) for X in (a, b)]
    expected = a @ inverse @ b.T / np.outer(*norms)
    ours = compare_rdms(label(A), label(B), method="whitened_cosine", nan="omit")
    np.testing.assert_allclose(ours, expected, atol=1e-10)
    pearson = compare_rdms(label(A), label(B), nan="omit")
    np.testing.assert_allclose(pearson, np.corrcoef(a, b)[:2, 2:], atol=1e-12)
    with pytest.raises(SchemaError, match="got 2 of 28 pairs missing in some RDM"):
        compare_rdms(label(A), label(B))


@pytest.mark.parametrize("method", kernels.KERNELS)
def test_multiplicities_equal_copied_conditions(rng: np.random.Generator, method: str) -> None:
    A, B = embed(rng, 2, 6), embed(rng, 3, 6)
    counts = np.array([2, 0, 1, 3, 1, 1])
    drawn = np.repeat(np.arange(6), counts)
    first, second = np.triu_indices(len(drawn), 1)
    apart = drawn[first] != drawn[second]
    copied = [square_up(X)[:, drawn[first], drawn[second]] for X in (A, B)]
    brute = kernels.weigh(copied[0].shape[1], observed=apart)
    ours = kernels.KERNELS[method](A, B, kernels.weigh(15, counts=counts))
    if "whitened" in method:
        expected = kernels.KERNELS[method](*copied, brute)
    else:
        plain = kernels.Weights(np.ones(1), np.ones(apart.sum()))
        expected = kernels.KERNELS[method](*(X[:, apart] for X in copied), plain)
    np.testing.assert_allclose(ours, expected, atol=1e-6 if "tau" in method else 1e-10)


@pytest.mark.parametrize("method", COMPARISONS)
def test_reordered_rdm_compares_to_one(rng: np.random.Generator, method: str) -> None:
    rdm = to_square(label(embed(rng, 1)))
    order = rng.permutation(8)
    same = float(compare_rdms(rdm, rdm.isel(first=order, second=order), method=method))
    assert same == pytest.approx(0.0 if method == "riemannian" else 1.0, abs=1e-3)


def test_disjoint_labels_raise(rng: np.random.Generator) -> None:
    a, b = embed(rng, 2)
    with pytest.raises(AlignError, match="expected the conditions of a, got 16 in one only"):
        compare_rdms(label(a), label(b, np.array(list("ijklmnop"))))


@pytest.mark.parametrize("method", sorted(set(COMPARISONS) - {"riemannian"}))
def test_a_constant_rdm_compares_as_zero(rng: np.random.Generator, method: str) -> None:
    cosines = {"cosine", "whitened_cosine", "bures"}
    flat = np.zeros(28) if method in cosines else np.full(28, 0.3)
    ours = compare_rdms(label(flat), label(embed(rng, 2)), method=method)
    np.testing.assert_allclose(ours, 0.0, atol=1e-9)


def test_comparisons_never_change_their_arguments(rng: np.random.Generator) -> None:
    a, b = label(embed(rng, 2)), label(embed(rng, 2))
    kept = a.copy(deep=True), b.copy(deep=True)
    for method in COMPARISONS:
        compare_rdms(a, b, method=method)
    xr.testing.assert_identical(a, kept[0])
    xr.testing.assert_identical(b, kept[1])


def test_partial_correlation_equals_regression(rng: np.random.Generator) -> None:
    A, B, C = rng.random((2, 28)), rng.random((2, 28)), rng.random((2, 28))
    design = np.column_stack([np.ones(28), C.T])

    def rest(X: np.ndarray) -> np.ndarray:
        return X - (design @ np.linalg.lstsq(design, X.T, rcond=None)[0]).T

    cases = {"both": (rest(A), rest(B)), "a": (rest(A), B), "b": (A, rest(B))}
    for side, (x, y) in cases.items():
        ours = compare_rdms(label(A), label(B), controls=label(C), remove_from=side)
        np.testing.assert_allclose(ours, np.corrcoef(x, y)[:2, 2:], atol=1e-12)
    np.testing.assert_allclose(regress_rdms(label(A), label(C)), rest(A), atol=1e-12)
    itself = compare_rdms(label(A), label(B), controls=label(A))
    np.testing.assert_array_equal(itself, 0.0)


def test_bures_equals_procrustes(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(8, 5)), rng.normal(size=(8, 6))
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    d = [((Z[:, None] - Z) ** 2).sum(axis=2)[np.triu_indices(8, 1)] for Z in (X, Y)]
    expected = np.linalg.norm(X.T @ Y, "nuc") / np.linalg.norm(X) / np.linalg.norm(Y)
    ours = compare_rdms(label(d[0]), label(d[1]), method="bures")
    assert float(ours) == pytest.approx(expected, abs=1e-7)


def test_riemannian_ignores_scale_and_equal_noise(rng: np.random.Generator) -> None:
    a = embed(rng, 1)
    noisy = 2 * a + 0.5
    ours = compare_rdms(label(a), label(noisy), method="riemannian")
    assert float(ours) == pytest.approx(0.0, abs=1e-3)
    assert float(compare_rdms(label(a), label(embed(rng, 1)), method="riemannian")) < -0.5


def test_fisher_z_is_atanh() -> None:
    r = xr.DataArray([-1.0, 0.0, 0.5])
    np.testing.assert_allclose(fisher_z(r), [-np.inf, 0, np.arctanh(0.5)])
    with pytest.raises(ValueError, match="expected correlations from -1 to 1, got 2"):
        fisher_z(xr.DataArray([2.0]))


def test_faults_of_options_are_named(rng: np.random.Generator) -> None:
    a = label(embed(rng, 1))
    sigma = xr.DataArray(-np.eye(8), {"first": LABELS, "second": LABELS}, ("first", "second"))
    with pytest.raises(ValueError, match="method: expected one of"):
        compare_rdms(a, a, method="kendall")
    with pytest.raises(ValueError, match="sigma, signal: expected None with method 'pearson'"):
        compare_rdms(a, a, sigma=sigma)
    with pytest.raises(ValueError, match="expected a symmetric positive definite covariance"):
        compare_rdms(a, a, method="whitened_cosine", sigma=sigma)
    short = sigma.isel(first=slice(7), second=slice(7))
    with pytest.raises(AlignError, match="sigma: expected every condition of a, missing 'h'"):
        compare_rdms(a, a, method="whitened_cosine", sigma=short)
    with pytest.raises(SchemaError, match="sigma: expected a DataArray"):
        compare_rdms(a, a, method="whitened_cosine", sigma=np.eye(8))  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="signal: expected one RDM, got 2"):
        compare_rdms(a, a, method="whitened_cosine", signal=label(embed(rng, 2)))
    with pytest.raises(ValueError, match="controls: expected method 'pearson' or 'spearman'"):
        compare_rdms(a, a, method="cosine", controls=a)
    with pytest.raises(ValueError, match="n_folds: expected 2 or more"):
        compare_rdms(a, a, n_folds=1)
    hole = a.where(a > a.min())
    for method in ("bures", "riemannian"):
        with pytest.raises(SchemaError, match="expected complete RDMs for this method"):
            compare_rdms(hole, a, method=method, nan="omit")
    with pytest.raises(SchemaError, match="sigma: expected complete RDMs"):
        compare_rdms(hole, a, method="whitened_cosine", nan="omit", sigma=-sigma)
    with pytest.raises(SchemaError, match="expected 3 or more pairs that no RDM lacks"):
        compare_rdms(a.where(a > 99), a, nan="omit")


def test_human_and_monkey_it_agree_as_published(real_data) -> None:  # type: ignore[no-untyped-def]
    folder = real_data / "rsa_92images"
    path = folder / "Kriegeskorte_Neuron2008_supplementalData.mat"
    keys = [key for key in loadmat(path) if key.startswith("RDMs")]
    rdms = load_rdms(path, key=keys[0])
    expected = {"pearson": 0.4912, "spearman": 0.4389, "tau_b": 0.304}
    for method, value in expected.items():
        similarity = compare_rdms(rdms, rdms, method=method)
        assert float(similarity[0, 1]) == pytest.approx(value, abs=5e-4)
    assert squareform(to_square(rdms).values[0]).shape == (4186,)


def test_riemannian_refuses_what_has_no_definite_moments() -> None:
    flat = from_matrix([1.0, 1.0, 4.0], "abc")
    with pytest.raises(SchemaError, match="a: expected RDMs whose second moments are positive"):
        compare_rdms(flat, flat, method="riemannian")
