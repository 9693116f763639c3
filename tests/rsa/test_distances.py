"""Distances equal scipy and brute force; cross-validated ones are unbiased."""

from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

from neuroalign import storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.rsa import (
    CROSS_DISTANCES,
    DISTANCES,
    compare_rdms,
    compute_cross_rdm,
    compute_rdm,
    estimate_noise,
    to_square,
    whiten,
)
from neuroalign.schema import check


def make(
    rng: np.random.Generator, k: int = 5, m: int = 3, p: int = 12, r: int = 1, signal: float = 1.0
) -> xr.DataArray:
    names = np.array([f"c{i}" for i in range(k)])
    values = signal * rng.normal(size=(k, 1, 1, p)) + rng.normal(size=(k, m, r, p))
    values = np.exp(values / 2)
    runs = np.broadcast_to(np.arange(m)[None, :, None], (k, m, r)).ravel().astype(str)
    stimulus = np.repeat(names, m * r)
    roi = np.where(np.arange(p) < p // 2, "V1", "IT")
    data = from_arrays(
        values.reshape(-1, p), stimulus=stimulus, run=runs, modality="fmri", dtype="float64"
    )
    return data.assign_coords(roi=("neuroid", roi))


def patterns(data: xr.DataArray) -> np.ndarray:
    return np.stack(
        [
            data.values[data["stimulus"] == c].mean(0)
            for c in dict.fromkeys(data["stimulus"].values.tolist())
        ]
    )


@pytest.mark.parametrize(
    ("distance", "metric", "scale"),
    [
        ("squared_euclidean", "sqeuclidean", 12),
        ("euclidean", "euclidean", np.sqrt(12)),
        ("correlation", "correlation", 1),
        ("cosine", "cosine", 1),
        ("city_block", "cityblock", 12),
    ],
)
def test_equals_scipy(rng: np.random.Generator, distance: str, metric: str, scale: float) -> None:
    data = make(rng)
    X = patterns(data)
    ours = compute_rdm(data, distance=distance)
    np.testing.assert_allclose(ours, cdist(X, X, metric) / scale, atol=1e-7)
    check(ours)
    assert ours.attrs["n_channels"] == 12


def test_mahalanobis_equals_scipy(rng: np.random.Generator) -> None:
    data = make(rng, r=8)
    X = patterns(data)
    noise = estimate_noise(data, fold="run")
    VI = np.linalg.inv(noise.values)
    expected = cdist(X, X, "mahalanobis", VI=VI) ** 2 / 12
    precision = estimate_noise(data, fold="run", output="precision")
    for given in (noise, precision, "shrinkage"):
        ours = compute_rdm(data, distance="mahalanobis", noise=given)
        tolerance = 1e-9 if not isinstance(given, str) else 0.3 * expected.max()
        np.testing.assert_allclose(ours, expected, atol=tolerance)


def brute_crossnobis(data: xr.DataArray) -> np.ndarray:
    """All couples of folds that hold both conditions, one by one."""
    names = list(dict.fromkeys(data["stimulus"].values.tolist()))
    runs = sorted(set(data["run"].values.tolist()))
    mean = {}
    for c in names:
        for run in runs:
            rows = (data["stimulus"].values == c) & (data["run"].values == run)
            if rows.any():
                mean[c, run] = data.values[rows].mean(axis=0)
    out = np.zeros((len(names), len(names)))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            held = [run for run in runs if (a, run) in mean and (b, run) in mean]
            delta = {run: mean[a, run] - mean[b, run] for run in held}
            products = [delta[m] @ delta[n] for m, n in permutations(held, 2)]
            out[i, j] = np.mean(products) / data.sizes["neuroid"] if products else np.nan
    np.fill_diagonal(out, 0.0)
    return out


def test_crossnobis_equals_brute_force(rng: np.random.Generator) -> None:
    data = make(rng, r=2)
    ours = compute_rdm(data, distance="crossnobis", fold="run")
    np.testing.assert_allclose(ours, brute_crossnobis(data), atol=1e-12)
    turned = data.isel(sample=rng.permutation(data.sizes["sample"]))
    again = compute_rdm(turned, distance="crossnobis", fold="run")
    assert float(compare_rdms(ours, again)) == pytest.approx(1.0, abs=1e-12)


def test_crossnobis_with_missing_cells_and_unequal_counts(rng: np.random.Generator) -> None:
    data = make(rng, m=4, r=2)
    kept = np.flatnonzero(rng.random(data.sizes["sample"]) < 0.55)
    part = data.isel(sample=kept)
    ours = compute_rdm(part, distance="crossnobis", fold="run")
    expected = brute_crossnobis(part)
    assert ours.sizes["first"] == 5
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_pairs_without_two_common_folds_are_nan(rng: np.random.Generator) -> None:
    data = make(rng, m=2)
    drop = (data["stimulus"] == "c0") & (data["run"] == "1")
    part = data.isel(sample=np.flatnonzero(~drop))
    ours = compute_rdm(part, distance="crossnobis", fold="run")
    assert np.isnan(ours.sel(first="c0")[1:]).all()
    assert np.isfinite(ours.isel(first=slice(1, None), second=slice(1, None))).all()


def test_crossnobis_of_equal_conditions_is_zero_on_average(rng: np.random.Generator) -> None:
    values = rng.normal(size=(2000, 12, 10))
    draws = [
        compute_rdm(
            from_arrays(
                one,
                stimulus=["a", "b", "c"] * 4,
                run=np.repeat(list("1234"), 3),
                modality="fmri",
                dtype="float64",
            ),
            distance="crossnobis",
            fold="run",
            form="condensed",
        ).values
        for one in values[:300]
    ]
    error = np.std(draws) / np.sqrt(len(draws))
    assert np.abs(np.mean(draws, axis=0)).max() < 4 * error
    assert np.min(draws) < 0, "negative estimates keep their sign"


def test_plain_distance_has_the_known_bias(rng: np.random.Generator) -> None:
    values = rng.normal(size=(8, 20000))
    data = from_arrays(values, stimulus=["a", "b"] * 4, modality="fmri", dtype="float64")
    ours = compute_rdm(data, distance="squared_euclidean")
    assert float(ours[0, 1]) == pytest.approx(2 / 4, abs=0.02)


def test_noise_of_each_fold_whitens_that_fold(rng: np.random.Generator) -> None:
    data = make(rng, r=8, p=4)
    noise = estimate_noise(data, over="run")
    parts = []
    for run in noise["run"].values:
        part = data.isel(sample=np.flatnonzero(data["run"].values == run))
        parts.append(whiten(part, noise.sel(run=run)))
    whitened = xr.concat(parts, "sample")
    shared = estimate_noise(data)
    ours = compute_rdm(data, distance="crossnobis", fold="run", noise=shared)
    other = compute_rdm(whiten(data, shared), distance="crossnobis", fold="run")
    np.testing.assert_allclose(ours, other, atol=1e-10)
    own = compute_rdm(data, distance="crossnobis", fold="run", noise=noise)
    expected = compute_rdm(whitened, distance="crossnobis", fold="run")
    np.testing.assert_allclose(own, expected, atol=1e-10)


def test_poisson_equals_its_formula(rng: np.random.Generator) -> None:
    data = make(rng)
    rates = (patterns(data) + 0.1) / 1.1
    delta = rates[:, None] - rates[None], np.log(rates)[:, None] - np.log(rates)[None]
    ours = compute_rdm(data, distance="poisson")
    np.testing.assert_allclose(ours, (delta[0] * delta[1]).mean(axis=2), atol=1e-12)


@pytest.mark.parametrize("share", [1.1, 0.6])
def test_poisson_cv_averages_all_folds(rng: np.random.Generator, share: float) -> None:
    data = make(rng, m=4)
    kept = np.flatnonzero(rng.random(20) < share)
    kept = np.union1d(kept, [0, 4, 8, 12, 16, 1, 5, 9, 13, 17])
    data = data.isel(sample=kept)
    value = {
        (c, run): v
        for c, run, v in zip(
            data["stimulus"].values.tolist(), data["run"].values.tolist(), data.values, strict=True
        )
    }
    names = [f"c{i}" for i in range(5)]

    def rate(v: np.ndarray) -> np.ndarray:
        return (v + 0.1) / 1.1

    expected = np.zeros((5, 5))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            found = []
            for run in "0123":
                if (a, run) in value and (b, run) in value:
                    train = [
                        rate(
                            np.mean(
                                [value[c, o] for o in "0123" if o != run and (c, o) in value], 0
                            )
                        )
                        for c in (a, b)
                    ]
                    test = [rate(value[c, run]) for c in (a, b)]
                    found.append(
                        ((test[0] - test[1]) * (np.log(train[0]) - np.log(train[1]))).mean()
                    )
            expected[i, j] = np.mean(found)
    ours = compute_rdm(data, distance="poisson_cv", fold="run")
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_decoding_equals_trial_by_trial(rng: np.random.Generator) -> None:
    data = make(rng, r=3, signal=0.3)
    ours = compute_rdm(data, distance="decoding_accuracy", fold="run")
    runs, names = data["run"].values, data["stimulus"].values
    for a, b in [("c0", "c1"), ("c2", "c4")]:
        shares = []
        for c, other in ((a, b), (b, a)):
            right = []
            for row in np.flatnonzero(names == c):
                near, far = (
                    data.values[(names == z) & (runs != runs[row])].mean(axis=0) for z in (c, other)
                )
                x = data.values[row]
                right.append(((x - near) ** 2).sum() < ((x - far) ** 2).sum())
            shares.append(np.mean(right))
        assert float(ours.sel(first=a, second=b)) == pytest.approx(np.mean(shares))


def test_decoding_is_at_chance_without_signal_even_with_its_own_noise() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40 * 8 * 4, 10))
    stimulus = np.tile([f"c{i:02d}" for i in range(40)], 32)
    run = np.repeat(list("1234"), 320)
    data = from_arrays(values, stimulus=stimulus, run=run, modality="fmri")
    rdm = compute_rdm(
        data, distance="decoding_accuracy", fold="run", noise="shrinkage", form="condensed"
    )
    assert float(rdm.mean()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("distance", CROSS_DISTANCES)
def test_cross_rdms_are_asymmetric_and_keep_their_diagonal(
    rng: np.random.Generator, distance: str
) -> None:
    data = make(rng, m=2, r=6)
    noise = estimate_noise(data) if distance == "mahalanobis" else None
    ours = compute_cross_rdm(data, fold="run", distance=distance, noise=noise)
    check(ours)
    assert ours.attrs["kind"] == "cross"
    assert not np.allclose(ours, ours.T)
    assert (np.diagonal(ours) > 0).all()


def test_cross_correlation_equals_scipy(rng: np.random.Generator) -> None:
    data = make(rng, m=3)
    B = data.values.reshape(5, 3, 12)
    expected = np.mean(
        [cdist(B[:, i], B[:, j], "correlation") for i, j in [(0, 1), (0, 2), (1, 2)]], 0
    )
    np.testing.assert_allclose(compute_cross_rdm(data, fold="run"), expected, atol=1e-12)


def test_a_function_of_patterns_is_a_distance(rng: np.random.Generator) -> None:
    def chebyshev(X: np.ndarray) -> np.ndarray:
        return cdist(X, X, "chebyshev")

    data = make(rng)
    ours = compute_rdm(data, distance=chebyshev)
    np.testing.assert_allclose(ours, chebyshev(patterns(data)))
    assert ours.attrs["distance"] == "chebyshev"
    with pytest.raises(
        ValueError, match="expected the function to return \\(5, 5\\), got \\(12,\\)"
    ):
        compute_rdm(data, distance=lambda X: X[0])


def options(distance: str) -> dict[str, str]:
    row = DISTANCES[distance]
    return ({"fold": "run"} if row.folds else {}) | (
        {"noise": "diagonal"} if row.noise == "required" else {}
    )


@pytest.mark.parametrize("distance", DISTANCES)
def test_stacks_equal_one_by_one(rng: np.random.Generator, distance: str) -> None:
    data = make(rng, r=2)
    times = np.exp(0.3 * rng.normal(size=(*data.shape, 3))) * data.values[:, :, None]
    movie = xr.DataArray(times, data.coords, ("sample", "neuroid", "time"), attrs=data.attrs)
    movie = movie.assign_coords(time=[0.0, 0.1, 0.2])
    named = options(distance)
    stack = compute_rdm(movie, distance=distance, over=["roi", "time"], **named)
    assert stack.dims == ("roi", "time", "first", "second")
    check(stack)
    if "noise" in named:
        named["noise"] = estimate_noise(movie, method="diagonal", fold=named.get("fold"))
        stack = compute_rdm(movie, distance=distance, over=["roi", "time"], **named)
    one = movie.isel(neuroid=np.flatnonzero(movie["roi"] == "IT"), time=1)
    single = compute_rdm(one, distance=distance, **named)
    np.testing.assert_allclose(stack.sel(roi="IT").isel(time=1), single, atol=1e-10)
    long = compute_rdm(movie, distance=distance, **named)
    assert long.dims == ("first", "second")
    mapped = compute_rdm(
        {"s1": data, "s2": 2 * data}, distance=distance, over="subject", **options(distance)
    )
    np.testing.assert_allclose(
        mapped.sel(subject="s1"),
        compute_rdm(data, distance=distance, **options(distance)),
        atol=1e-12,
    )


def test_noise_of_each_time_point(rng: np.random.Generator) -> None:
    data = make(rng, r=6, p=4)
    movie = xr.concat([data, 3 * data], "time").transpose("sample", "neuroid", "time")
    noise = estimate_noise(movie, over="time", method="full")
    ours = compute_rdm(movie, distance="crossnobis", fold="run", noise=noise, over="time")
    np.testing.assert_allclose(ours[0], ours[1], atol=1e-9)


def test_features_become_layer_stacks_and_arguments_stay(rng: np.random.Generator) -> None:
    layers = {
        name: features_from_arrays(rng.normal(size=(4, 7)), stimulus=list("abcd"))
        for name in ("conv1", "conv2")
    }
    kept = layers["conv1"].copy(deep=True)
    ours = compute_rdm(layers, over="layer", form="condensed")
    assert ours.sel(layer="conv2").dims == ("pair",)
    xr.testing.assert_identical(layers["conv1"], kept)


def test_conditions_keep_their_order_of_appearance(rng: np.random.Generator) -> None:
    values = rng.normal(size=(6, 4))
    data = from_arrays(values, stimulus=list("zayzay"), run=list("111222"), modality="fmri")
    for distance in ("correlation", "crossnobis"):
        rdm = compute_rdm(data, distance=distance, fold="run" if distance == "crossnobis" else None)
        assert rdm["first"].values.tolist() == ["z", "a", "y"]


def test_a_large_common_offset_costs_no_digits(rng: np.random.Generator) -> None:
    data = make(rng, m=2)
    for distance, fold in (("squared_euclidean", None), ("crossnobis", "run")):
        plain = compute_rdm(data, distance=distance, fold=fold)
        moved = compute_rdm(data + 1e6, distance=distance, fold=fold)
        np.testing.assert_allclose(plain, moved, atol=1e-7)


def test_flat_patterns_have_no_correlation_distance(rng: np.random.Generator) -> None:
    data = make(rng, m=1)
    data.values[2] = 0.0
    for distance in ("correlation", "cosine"):
        rdm = compute_rdm(data, distance=distance, form="condensed")
        assert int(np.isnan(rdm).sum()) == 4


def test_missing_values_raise_drop_channels_or_propagate(rng: np.random.Generator) -> None:
    data = make(rng, r=2)
    data.values[3, 1] = np.nan
    with pytest.raises(SchemaError, match="got 1 missing of 360. Use nan='omit'"):
        compute_rdm(data)
    for distance in ("crossnobis", "linear_discriminant_contrast"):
        named = options(distance)
        ours = compute_rdm(data, distance=distance, nan="omit", **{"fold": "run"} | named)
        clean = data.isel(neuroid=[0, *range(2, 12)])
        np.testing.assert_allclose(ours, compute_rdm(clean, distance=distance, **named))
        assert ours.attrs["n_channels"] == 11
    stack = compute_rdm(data, over="roi", nan="propagate")
    assert np.isnan(stack.sel(roi="V1")).all()
    assert np.isfinite(stack.sel(roi="IT")).all()
    assert compute_rdm(data, over="roi", nan="omit")["n_channels"].values.tolist() == [5, 6]


def test_an_absent_condition_is_nan_in_its_stack(rng: np.random.Generator) -> None:
    data = make(rng).assign_coords(subject=("sample", ["s1"] * 9 + ["s2"] * 6))
    data = data.drop_vars("run")
    stack = compute_rdm(data, over="subject")
    assert np.isnan(stack.sel(subject="s2", first="c0")[1:]).all()
    assert np.isfinite(stack.sel(subject="s1", first="c0", second="c1"))


def test_rdms_survive_the_disk(rng: np.random.Generator, tmp_path) -> None:  # type: ignore[no-untyped-def]
    rdm = compute_rdm(make(rng), distance="crossnobis", fold="run", over="roi")
    storage.save(rdm, tmp_path / "rdm.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "rdm.nc"), rdm)


def test_faults_of_options_are_named(rng: np.random.Generator) -> None:
    data = make(rng)
    cases = [
        ({"distance": "crosnobis"}, "Did you mean 'crossnobis'"),
        ({"distance": "crossnobis"}, "fold: expected the name of a coord such as 'run'"),
        ({"fold": "run"}, "fold: expected None for distance 'correlation', got 'run'"),
        ({"distance": "mahalanobis"}, "noise: expected a covariance for distance 'mahalanobis'"),
        ({"distance": "poisson", "noise": "full"}, "noise: expected None for distance 'poisson'"),
        ({"by": "category"}, "expected coord 'category' on 'sample'"),
        (
            {"over": "layer"},
            "over: expected 'time' or a coord on 'sample' or 'neuroid', got 'layer'",
        ),
        ({"form": "vector"}, "form: expected one of 'square', 'condensed'"),
        ({"nan": "skip"}, "nan: expected one of 'raise', 'omit', 'propagate'"),
        ({"by": "run", "distance": "crossnobis", "fold": "session"}, "expected coord 'session'"),
    ]
    for named, message in cases:
        with pytest.raises(ValueError, match=message):
            compute_rdm(data, **named)
    with pytest.raises(ValueError, match="expected counts or rates of 0 or more"):
        compute_rdm(data - 5, distance="poisson")
    with pytest.raises(SchemaError, match="expected 2 or more different 'run', got 1"):
        compute_rdm(make(rng, m=1), distance="crossnobis", fold="run")
    with pytest.raises(SchemaError, match="expected 2 conditions or more in 'stimulus', got 1"):
        compute_rdm(make(rng, k=1))
    with pytest.raises(
        AlignError, match="responses\\['b'\\]: expected the conditions of the first"
    ):
        compute_rdm({"a": data, "b": make(rng, k=4)}, over="subject")
    with pytest.raises(ValueError, match="over: expected the name of the dim for 1 arrays first"):
        compute_rdm({"a": data})
    with pytest.raises(SchemaError, match="alone or for each fold or time point"):
        compute_rdm(data, noise=estimate_noise(make(rng, r=3), over="run"))
    short = estimate_noise(make(rng, m=2, r=3), over="run")
    with pytest.raises(SchemaError, match="noise: expected every run of responses, missing '2'"):
        compute_rdm(data, distance="crossnobis", fold="run", noise=short)
    tokens = xr.DataArray(
        np.ones((2, 1, 3)), {"stimulus": ("sample", ["a", "b"])}, ("sample", "token", "feature")
    )
    with pytest.raises(SchemaError, match="got tokens. Pool them first"):
        compute_rdm(tokens)


def test_haxby_categories_stand_apart_across_runs(real_data) -> None:  # type: ignore[no-untyped-def]
    nib = pytest.importorskip("nibabel")
    folder = real_data / "haxby2001_pymvpa"
    bold = nib.load(folder / "bold.nii.gz").get_fdata()
    volumes = bold[nib.load(folder / "mask.nii.gz").get_fdata().squeeze() > 0].reshape(-1, 1452)
    names, run = np.loadtxt(folder / "attributes_literal.txt", dtype=str, unpack=True)
    values = volumes.T
    for one in np.unique(run):
        values[run == one] -= values[(run == one) & (names == "rest")].mean(axis=0)
    shown = names != "rest"
    data = from_arrays(
        values[shown], stimulus=names[shown], run=run[shown], modality="fmri", dtype="float64"
    )
    data = data.isel(neuroid=np.flatnonzero(data.values.std(axis=0) > 0))
    rdm = compute_rdm(data, distance="crossnobis", fold="run", noise="shrinkage")
    assert rdm.sizes["first"] == 8
    pairs = to_square(rdm).values[np.triu_indices(8, 1)]
    assert (pairs > 0).sum() >= 25
    halves = [
        compute_rdm(
            data.isel(sample=np.flatnonzero(data["run"].values.astype(int) % 2 == odd)),
            distance="crossnobis",
            fold="run",
            noise="shrinkage",
        )
        for odd in (0, 1)
    ]
    assert float(compare_rdms(*halves, method="spearman")) > 0.4
    cross = compute_cross_rdm(data, fold="run")
    off = cross.values[~np.eye(8, dtype=bool)]
    assert np.diagonal(cross).mean() < off.mean()


def test_flat_patterns_have_no_correlation_across_runs(rng: np.random.Generator) -> None:
    """0.1 less the mean of many 0.1 leaves rounding, which must not be correlated."""
    values = rng.normal(size=(8, 30))
    values[1] = 0.1
    names, runs = list("abcd") * 2, np.repeat(["r1", "r2"], 4)
    data = from_arrays(values, stimulus=names, run=runs, modality="fmri", dtype="float64")
    made = compute_cross_rdm(data, fold="run", distance="correlation").values
    assert np.isnan(made[1]).all()
    assert np.isfinite(made[[0, 2, 3]]).all()


def test_decoding_says_that_noise_of_each_fold_has_no_place(rng: np.random.Generator) -> None:
    names, runs = list("ab") * 8, np.repeat(["r1", "r2"], 8)
    data = from_arrays(rng.normal(size=(16, 3)), stimulus=names, run=runs, modality="fmri")
    noise = estimate_noise(data, over="run")
    with pytest.raises(SchemaError, match=r"noise: expected .* got dims \('run', 'neuroid'"):
        compute_rdm(data, distance="decoding_accuracy", fold="run", noise=noise)


def test_conditions_without_common_folds_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SchemaError, match="measured in two or more 'stimulus', got none"):
        compute_rdm(make(rng), distance="crossnobis", fold="stimulus")
