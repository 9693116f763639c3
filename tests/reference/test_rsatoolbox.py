"""Every number of the rsa room against rsatoolbox 0.3.2, where that is right.

Scales: our ``squared_euclidean`` is its ``euclidean`` (both mean over channels), ``mahalanobis``,
``crossnobis``, ``correlation`` and ``poisson`` are alike, ``tau_b`` is its ``kendall``, whitened
methods its ``*_cov``. It sorts conditions by name, so names here are sorted.
"""

import numpy as np
import pytest
import xarray as xr
from rsatoolbox.data import Dataset, TemporalDataset
from rsatoolbox.data.noise import cov_from_residuals
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.model import ModelInterpolate, ModelWeighted
from rsatoolbox.model.fitter import fit_interpolate, fit_regress
from rsatoolbox.rdm import RDMs, calc_rdm, calc_rdm_movie, compare

from neuroalign.loaders import from_arrays
from neuroalign.rsa import (
    InterpolatedModel,
    WeightedModel,
    compare_rdms,
    compute_rdm,
    estimate_noise,
    noise_ceiling,
)
from neuroalign.rsa._engine import Plan, average, evaluate_whole
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.models import as_models

N, RUNS, P = 9, 4, 12
NAMES = [f"c{i}" for i in range(N)] * RUNS
FOLDS = np.repeat([f"r{i}" for i in range(RUNS)], N)
COMPARISONS = {
    "cosine": "cosine",
    "pearson": "corr",
    "spearman": "spearman",
    "rho_a": "rho-a",
    "tau_a": "tau-a",
    "tau_b": "kendall",
    "whitened_cosine": "cosine_cov",
    "whitened_correlation": "corr_cov",
    "bures": "bures",
}


def both(values: np.ndarray) -> tuple[xr.DataArray, Dataset]:
    """The same responses for us and for the peer."""
    ours = from_arrays(values, stimulus=NAMES, run=FOLDS, modality="fmri", dtype="float64")
    return ours, Dataset(values, obs_descriptors={"names": NAMES, "runs": FOLDS})


def wrap(rows: np.ndarray, dim: str = "subject") -> xr.DataArray:
    n = (1 + round((1 + 8 * rows.shape[-1]) ** 0.5)) // 2
    labels = np.array([f"c{i:03d}" for i in range(n)])
    return fold(rows, labels, (dim,), {dim: np.array([f"{dim}{i}" for i in range(len(rows))])})


def condensed(responses: xr.DataArray, distance: str, **options: object) -> np.ndarray:
    return compute_rdm(responses, distance=distance, form="condensed", **options).values  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "theirs"), [("squared_euclidean", "euclidean"), ("correlation", "correlation")]
)
def test_plain_distances(rng: np.random.Generator, ours: str, theirs: str) -> None:
    mine, peer = both(rng.normal(size=(N * RUNS, P)))
    expected = calc_rdm(peer, theirs, "names").dissimilarities[0]
    np.testing.assert_allclose(condensed(mine, ours), expected, atol=1e-10)


def test_poisson(rng: np.random.Generator) -> None:
    mine, peer = both(rng.poisson(3.0, size=(N * RUNS, P)).astype(float))
    expected = calc_rdm(peer, "poisson", "names").dissimilarities[0]
    np.testing.assert_allclose(condensed(mine, "poisson"), expected, atol=1e-10)


@pytest.mark.parametrize("distance", ["mahalanobis", "crossnobis"])
def test_whitened_distances(rng: np.random.Generator, distance: str) -> None:
    mine, peer = both(rng.normal(size=(N * RUNS, P)))
    noise = estimate_noise(mine, output="precision")
    cv = {"cv_descriptor": "runs"} if distance == "crossnobis" else {}
    expected = calc_rdm(peer, distance, "names", noise=noise.values, **cv).dissimilarities[0]
    folds = {"fold": "run"} if distance == "crossnobis" else {}
    found = condensed(mine, distance, noise=noise, **folds)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_crossnobis_without_noise(rng: np.random.Generator) -> None:
    mine, peer = both(rng.normal(size=(N * RUNS, P)))
    expected = calc_rdm(peer, "crossnobis", "names", cv_descriptor="runs").dissimilarities[0]
    np.testing.assert_allclose(condensed(mine, "crossnobis", fold="run"), expected, atol=1e-12)


@pytest.mark.parametrize("distance", ["squared_euclidean", "correlation", "crossnobis"])
def test_movies(rng: np.random.Generator, distance: str) -> None:
    values, times = rng.normal(size=(N * RUNS, P, 5)), np.arange(5) / 10
    mine = from_arrays(
        values, stimulus=NAMES, run=FOLDS, time=times, modality="meg", dtype="float64"
    )
    rows = {"names": NAMES, "runs": FOLDS}
    peer = TemporalDataset(values, obs_descriptors=rows, time_descriptors={"time": times})
    folded = distance == "crossnobis"
    method = distance.removeprefix("squared_")
    cv = {"cv_descriptor": "runs"} if folded else {}
    expected = calc_rdm_movie(peer, method, "names", **cv).dissimilarities
    options = {"fold": "run"} if folded else {}
    np.testing.assert_allclose(
        condensed(mine, distance, over="time", **options), expected, atol=1e-10
    )


@pytest.mark.parametrize(("ours", "theirs"), COMPARISONS.items())
def test_comparisons(rng: np.random.Generator, ours: str, theirs: str) -> None:
    A, B = (squares(rng, k) for k in (3, 4))
    expected = compare(RDMs(A), RDMs(B), method=theirs)
    found = compare_rdms(wrap(A, "model"), wrap(B), method=ours).values
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize(("ours", "theirs"), list(COMPARISONS.items())[:8])
def test_comparisons_of_rdms_with_ties(rng: np.random.Generator, ours: str, theirs: str) -> None:
    A, B = (np.round(squares(rng, k)) for k in (3, 4))
    expected = compare(RDMs(A), RDMs(B), method=theirs)
    found = compare_rdms(wrap(A, "model"), wrap(B), method=ours).values
    np.testing.assert_allclose(found, expected, atol=1e-10)


def squares(rng: np.random.Generator, k: int, n: int = 8) -> np.ndarray:
    """Squared distances of points."""
    first, second = np.triu_indices(n, 1)
    points = rng.normal(size=(k, n, 10))
    return np.square(points[:, first] - points[:, second]).sum(axis=2)


def test_the_whitened_cosine_with_a_full_covariance_equals_its_iterations(
    rng: np.random.Generator,
) -> None:
    A, B = squares(rng, 2), squares(rng, 3)
    root = rng.normal(size=(8, 8))
    sigma = root @ root.T + 2 * np.eye(8)
    labels = np.array([f"c{i:03d}" for i in range(8)])
    table = xr.DataArray(sigma, {"first": labels, "second": labels}, ("first", "second"))
    expected = compare(RDMs(A), RDMs(B), method="cosine_cov", sigma_k=sigma)
    found = compare_rdms(wrap(A, "model"), wrap(B), method="whitened_cosine", sigma=table)
    np.testing.assert_allclose(found.values, expected, atol=1e-4)


def test_the_riemannian_distance_is_not_longer_than_its_search_finds(
    rng: np.random.Generator,
) -> None:
    A, B = squares(rng, 2, 5), squares(rng, 2, 5)
    expected = compare(RDMs(A), RDMs(B), method="neg_riem_dist")
    found = compare_rdms(wrap(A, "model"), wrap(B), method="riemannian").values
    assert (found >= expected - 1e-4).all()
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize(
    ("ours", "theirs", "dof"),
    [
        ("full", "full", N * RUNS - 1),
        ("diagonal", "diag", N * RUNS - 1),
        # Its share of shrinkage takes n for the degrees of freedom.
        ("ledoit_wolf", "shrinkage_eye", N * RUNS),
    ],
)
def test_noise_of_residuals(rng: np.random.Generator, ours: str, theirs: str, dof: int) -> None:
    residuals = rng.normal(size=(N * RUNS, P)) @ rng.normal(size=(P, P))
    residuals -= residuals.mean(axis=0)
    mine, _ = both(residuals)
    expected = cov_from_residuals(residuals, dof=dof, method=theirs)
    found = estimate_noise(mine, from_="residuals", method=ours, dof=dof).values
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_shrinkage_toward_the_diagonal_differs_by_its_mean_over_n_less_1(
    rng: np.random.Generator,
) -> None:
    """It divides the squared sum of products by (n - 1)^2, the paper by n (n - 1)."""
    residuals = rng.normal(size=(400, P)) @ rng.normal(size=(P, P))
    residuals -= residuals.mean(axis=0)
    mine = from_arrays(residuals, stimulus=["a"] * 400, modality="fmri", dtype="float64")
    expected = cov_from_residuals(residuals, method="shrinkage_diag")
    found = estimate_noise(mine, from_="residuals").values
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(np.diagonal(found), np.diagonal(expected), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Noise ceiling for tau based on averaged ranks")
@pytest.mark.parametrize("name", ["cosine", "pearson", "spearman", "rho_a", "tau_a"])
def test_noise_ceilings(rng: np.random.Generator, name: str) -> None:
    rows = squares(rng, 1) + 3 * rng.random((6, 28))
    expected = boot_noise_ceiling(RDMs(rows), method=COMPARISONS[name])
    found = noise_ceiling(wrap(rows), method=name)
    bounds = float(found["ceiling_lower"]), float(found["ceiling_upper"])
    np.testing.assert_allclose(bounds, expected, atol=1e-10)


@pytest.mark.parametrize("name", ["cosine", "pearson", "whitened_cosine", "spearman", "rho_a"])
def test_a_resample_of_conditions_equals_its_copies_without_pairs_of_copies(
    rng: np.random.Generator, name: str
) -> None:
    models, data = squares(rng, 2, 12), squares(rng, 5, 12)
    drawn = rng.integers(12, size=12)
    peers = [RDMs(rows).subsample_pattern("index", drawn) for rows in (models, data)]
    expected = compare(*peers, method=COMPARISONS[name])
    counts = np.bincount(drawn, minlength=12).astype(float)
    plan = make_plan(models, data, name)
    found = evaluate_whole(plan, counts, np.ones(5)).scores
    np.testing.assert_allclose(found, expected, atol=1e-10)


def make_plan(models: np.ndarray, data: np.ndarray, name: str) -> Plan:
    known = as_models(wrap(models, "model"))
    return Plan(known, [model.basis for model in known], data, name)


@pytest.mark.parametrize("name", ["cosine", "pearson", "rho_a"])
def test_ceilings_of_subjects(rng: np.random.Generator, name: str) -> None:
    rows = squares(rng, 1) + 3 * rng.random((6, 28))
    expected = boot_noise_ceiling(RDMs(rows), method=COMPARISONS[name])
    found = average(evaluate_whole(Plan([], [], rows, name), np.ones(8), np.ones(6)), np.ones(6))
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("method", ["cosine", "whitened_cosine"])
def test_weights_of_models(rng: np.random.Generator, method: str) -> None:
    """Of either sign: its solver of non-negative weights does not always end."""
    basis, data = squares(rng, 3), squares(rng, 1) + rng.random((5, 28))
    expected = fit_regress(ModelWeighted("m", RDMs(basis)), RDMs(data), method=COMPARISONS[method])
    model = WeightedModel(wrap(basis, "rdm"), name="m", non_negative=False)
    found = model.fit(wrap(data), method)
    sizes = np.linalg.norm(found), np.linalg.norm(expected)
    np.testing.assert_allclose(found / sizes[0], expected / sizes[1], atol=1e-5)


def test_interpolated_models(rng: np.random.Generator) -> None:
    basis = squares(rng, 3)
    data = 0.3 * basis[1] + 0.7 * basis[2] + rng.random((4, 28))
    peer = ModelInterpolate("m", RDMs(basis))
    expected = fit_interpolate(peer, RDMs(data), method="cosine")
    found = InterpolatedModel(wrap(basis, "rdm"), name="m").fit(wrap(data), "cosine")
    np.testing.assert_allclose(found, expected, atol=1e-4)
