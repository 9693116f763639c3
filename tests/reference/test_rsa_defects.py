"""Faults known of RSA software, each as a test that this room passes.

The peer's number is computed where it is quick, so that the tests tell when it is mended.
"""

import numpy as np
import pytest
import xarray as xr
from rsatoolbox.data import Dataset
from rsatoolbox.data.noise import cov_from_measurements
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, compare
from scipy.stats import t

from neuroalign.loaders import from_arrays
from neuroalign.rsa import compare_rdms, compute_rdm, estimate_noise, infer, noise_ceiling
from neuroalign.rsa._stacks import fold


def wrap(rows: np.ndarray, dim: str = "subject") -> xr.DataArray:
    n = (1 + round((1 + 8 * rows.shape[-1]) ** 0.5)) // 2
    labels = np.array([f"c{i:03d}" for i in range(n)])
    return fold(rows, labels, (dim,), {dim: np.array([f"{dim}{i}" for i in range(len(rows))])})


def respond(values: np.ndarray, n: int, **options: object) -> xr.DataArray:
    runs = len(values) // n
    names = [f"c{i:02d}" for i in range(n)] * runs
    folds = np.repeat([f"r{i}" for i in range(runs)], n)
    return from_arrays(values, stimulus=names, run=folds, modality="fmri", **options)  # type: ignore[arg-type]


def test_degrees_of_freedom_count_the_condition_means(rng: np.random.Generator) -> None:
    values = rng.normal(size=(40, 30))
    peer = Dataset(values, obs_descriptors={"names": list(range(20)) * 2})
    assert np.trace(cov_from_measurements(peer, "names", method="full")) / 30 < 0.6
    found = estimate_noise(respond(values, 20), method="full").values
    assert np.trace(found) / 30 == pytest.approx(1.0, abs=0.15)


def test_poisson_cv_uses_every_fold_not_the_last(rng: np.random.Generator) -> None:
    values = rng.poisson(4.0, size=(12, 20)).astype(float)
    data = respond(values, 4, dtype="float64")
    orders = [data.isel(sample=np.roll(np.arange(12), 4 * k)) for k in range(3)]
    found = [compute_rdm(one, distance="poisson_cv", fold="run").values for one in orders]
    names = [data["run"].values, np.roll(data["run"].values, 4)]
    renamed = data.assign_coords(run=("sample", names[1]))
    found.append(compute_rdm(renamed, distance="poisson_cv", fold="run").values)
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], atol=1e-12)


def test_pools_of_whitened_rdms_are_whitened(rng: np.random.Generator) -> None:
    rows = rng.random((5, 45)) + rng.random(45)
    theirs = boot_noise_ceiling(RDMs(rows), method="cosine_cov")[1]
    found = noise_ceiling(wrap(rows), method="whitened_cosine")["ceiling_upper"].item()
    assert found > theirs
    trials = rows.mean(axis=0) + 0.05 * rng.normal(size=(300, 45))
    reached = compare_rdms(wrap(trials, "model"), wrap(rows), method="whitened_cosine")
    assert reached.mean("subject").max().item() <= found + 1e-12


def test_a_diagonal_covariance_of_conditions_is_centred_by_its_weights(
    rng: np.random.Generator,
) -> None:
    A, B, sizes = rng.random((1, 28)), rng.random((1, 28)), rng.uniform(0.5, 3, 8)
    labels = np.array([f"c{i:03d}" for i in range(8)])
    table = xr.DataArray(np.diag(sizes), {"first": labels, "second": labels}, ("first", "second"))
    found = compare_rdms(wrap(A, "model"), wrap(B), method="whitened_cosine", sigma=table).item()
    dense = compare(RDMs(A), RDMs(B), method="cosine_cov", sigma_k=np.diag(sizes))[0, 0]
    wrong = compare(RDMs(A), RDMs(B), method="cosine_cov", sigma_k=sizes)[0, 0]
    assert found == pytest.approx(dense, abs=1e-4)
    assert abs(found - wrong) > 1e-3


def test_a_condition_may_lack_in_a_fold(rng: np.random.Generator) -> None:
    data = respond(rng.normal(size=(12, 20)), 4).isel(sample=slice(1, None))
    rdm = compute_rdm(data, distance="crossnobis", fold="run")
    assert np.isfinite(rdm.values).all()


def test_missing_values_at_odd_places_are_left_out_of_both(rng: np.random.Generator) -> None:
    rows = rng.random((2, 28))
    holed = rows.copy()
    holed[0, 3], holed[1, 20] = np.nan, np.nan
    found = compare_rdms(wrap(holed[:1], "model"), wrap(holed[1:]), nan="omit").item()
    kept = np.isfinite(holed).all(axis=0)
    assert found == pytest.approx(np.corrcoef(rows[:, kept])[0, 1], abs=1e-12)


def test_channels_with_missing_values_leave_a_precision_whole(rng: np.random.Generator) -> None:
    values = rng.normal(size=(12, 6)) @ rng.normal(size=(6, 6))
    noise = estimate_noise(respond(values, 4), output="precision")
    holed = values.copy()
    holed[2, 5] = np.nan
    found = compute_rdm(respond(holed, 4), distance="mahalanobis", noise=noise, nan="omit")
    cut = noise.copy(data=np.linalg.inv(noise.values)).assign_attrs(measure="covariance")
    cut = cut.isel(neuroid=slice(5), neuroid_other=slice(5))
    expected = compute_rdm(respond(values[:, :5], 4), distance="mahalanobis", noise=cut)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_offsets_of_channels_cost_no_digits(rng: np.random.Generator, dtype: str) -> None:
    offset = {"float32": 1e3, "float64": 1e6}[dtype]
    values = (rng.normal(size=(8, 30)) + offset).astype(dtype)
    exact = values.astype(np.longdouble) - offset
    for distance, options in (("squared_euclidean", {}), ("crossnobis", {"fold": "run"})):
        found = compute_rdm(respond(values, 4, dtype=dtype), distance=distance, **options)
        expected = compute_rdm(
            respond(exact.astype(np.float64), 4, dtype="float64"), distance=distance, **options
        )
        np.testing.assert_allclose(found.values, expected.values, atol=1e-8)


def test_large_tables_of_single_precision_lose_nothing_that_was_measured(
    rng: np.random.Generator,
) -> None:
    """The sampling error of these distances is 1e-2; a stored value is good to 6e-8 of itself."""
    values = rng.normal(size=(4 * 150, 1800)).astype(np.float32)
    values[:150] += 100.0
    single = compute_rdm(respond(values, 4, dtype="float32"), distance="crossnobis", fold="run")
    double = compute_rdm(
        respond(values.astype(np.float64), 4, dtype="float64"), distance="crossnobis", fold="run"
    )
    assert 0 < np.abs(single.values - double.values).max() < 1e-6


def test_conditions_keep_one_order_for_every_distance(rng: np.random.Generator) -> None:
    data = respond(rng.normal(size=(8, 6)), 4)[::-1]
    rdms = [
        compute_rdm(data, distance="correlation"),
        compute_rdm(data, distance="crossnobis", fold="run"),
    ]
    for rdm in rdms:
        assert rdm["first"].values.tolist() == ["c03", "c02", "c01", "c00"]


@pytest.mark.parametrize("bootstrap", ["stimuli", "both"])
def test_few_stimuli_have_p_values(rng: np.random.Generator, bootstrap: str) -> None:
    data = wrap(rng.random((5, 10)))
    result = infer(wrap(rng.random((2, 10)), "model"), data, bootstrap=bootstrap, n_bootstrap=50)
    assert np.isfinite(result["p_value"].values).all()
    assert np.isfinite(result["pairwise_p"].values[0, 1])


def test_more_than_a_hundred_conditions_are_resampled_whitened(rng: np.random.Generator) -> None:
    data = wrap(rng.random((3, 5460)))
    result = infer(data[:1].rename(subject="model"), data, method="whitened_cosine", n_bootstrap=3)
    assert np.isfinite(result["standard_error"].values).all()


def test_tests_against_the_ceiling_know_how_it_varies_with_the_scores(
    rng: np.random.Generator,
) -> None:
    """The error is that of differences, not of scores with a ceiling that is taken as fixed."""
    truth = rng.random(66)
    data = wrap(truth + 0.3 * rng.random((12, 66)) * rng.uniform(0.1, 3, (12, 1)))
    result = infer(wrap(truth[None], "model"), data, bootstrap="subjects", n_bootstrap=500)
    p, alone = float(result["p_ceiling"][0]), float(result["standard_error"][0])
    distance = abs(float(result["mean"][0] - result["ceiling_lower"]))
    assert p < 2 * t.sf(distance / alone, 11)


def test_nothing_is_changed_and_nothing_is_shared(rng: np.random.Generator) -> None:
    data = respond(rng.normal(size=(8, 6)), 4)
    before = data.copy(deep=True)
    rdm = compute_rdm(data, distance="crossnobis", fold="run", form="condensed")
    kept = rdm.copy(deep=True)
    for method in ("cosine", "rho_a", "whitened_correlation", "bures"):
        compare_rdms(rdm, rdm, method=method)
    rdms = wrap(rng.random((3, 10)))
    held = rdms.copy(deep=True)
    infer(rdms[:1].rename(subject="model"), rdms, n_bootstrap=5)
    for one, other in ((data, before), (rdm, kept), (rdms, held)):
        xr.testing.assert_identical(one, other)


def test_the_global_generator_is_left_alone(rng: np.random.Generator) -> None:
    rdms = wrap(rng.random((4, 10)))
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    a, b = (infer(rdms[:1].rename(subject="model"), rdms, n_bootstrap=9) for _ in range(2))
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(a["draws"].values, b["draws"].values)


def test_unequal_repeats_do_not_bias_crossnobis() -> None:
    rng = np.random.default_rng(1)
    found, plain = [], []
    keep = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 4, 8])
    for _ in range(300):
        rows = rng.normal(size=(15, 20))
        names = np.array([f"c{i % 4}" for i in keep])
        folds = np.array([f"r{i // 4}" for i in keep])
        data = from_arrays(rows, stimulus=names, run=folds, modality="fmri")
        found.append(compute_rdm(data, distance="crossnobis", fold="run", form="condensed").values)
        plain.append(compute_rdm(data, distance="squared_euclidean", form="condensed").values)
    assert abs(np.mean(found)) < 0.01
    assert np.mean(plain) > 0.4


def test_flat_patterns_and_constant_rdms(rng: np.random.Generator) -> None:
    values = rng.normal(size=(4, 6))
    values[1] = 0.0
    rdm = compute_rdm(respond(values, 4, dtype="float64"), distance="correlation").values
    assert np.isnan(rdm[1, [0, 2, 3]]).all()
    assert np.isfinite(rdm[0, 2:]).all()
    constant = wrap(np.ones((1, 10)), "model")
    assert compare_rdms(constant, wrap(rng.random((1, 10))), method="pearson").item() == 0.0
