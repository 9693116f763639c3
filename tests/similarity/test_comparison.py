"""One door to all measures: labels, tables, correction for noise, nulls."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from threadpoolctl import threadpool_limits

from neuroalign import storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays, load_rdms
from neuroalign.rsa.comparisons import compare_rdms
from neuroalign.schema import check
from neuroalign.similarity._tables import multiply
from neuroalign.similarity.comparison import SIMILARITIES, compare

OWN = [
    "cka",
    "cka_debiased",
    "rv",
    "rv_adjusted",
    "distance_correlation",
    "distance_correlation_debiased",
    "hsic",
    "hsic_debiased",
    "mutual_neighbors",
    "cknna",
    "rsa",
]
# Of absolute size, or of z-scored units: not blind to scale, or to rotation.
SCALED = {"hsic", "hsic_debiased"}
TURNED = {"rv_adjusted", "rsa"}
NAMES = [f"image-{n:03d}" for n in range(60)]


def label(values: np.ndarray, names: list[str] | None = None) -> xr.DataArray:
    return from_arrays(values, stimulus=names or NAMES[: len(values)], modality="fmri")


def turn(rng: np.random.Generator, p: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(p, p)))[0]


@pytest.mark.parametrize("method", OWN)
def test_a_measure_prepares_itself_alike_in_pairs_tables_and_other_orders(method, rng) -> None:  # type: ignore[no-untyped-def]
    measure = SIMILARITIES[method]
    prepared = [measure.prepare(rng.normal(size=(20, p))) for p in (4, 7, 9)]
    every = multiply(measure, prepared, prepared[:2])
    single = [[measure.pair(one, other) for other in prepared[:2]] for one in prepared]
    np.testing.assert_allclose(every, single, atol=1e-12)
    X, order = rng.normal(size=(20, 5)), rng.permutation(20)
    moved = measure.permute(measure.prepare(X), order)
    again = measure.prepare(X[order])
    np.testing.assert_allclose(
        measure.pair(moved, prepared[0]), measure.pair(again, prepared[0]), atol=1e-12
    )


@pytest.mark.parametrize("method", OWN)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_rotation_scale_and_offset_do_not_matter(method: str, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(25, 6)), rng.normal(size=(25, 9))
    # RSA of correlations sees the mean of a pattern; of Euclidean distances it does not.
    params = {"distance": "squared_euclidean"} if method == "rsa" else {}
    params |= {"nearness": "euclidean"} if method == "mutual_neighbors" else {}
    moved = y if method == "rv_adjusted" else y @ turn(rng, 9)
    moved = scale * moved + rng.normal(size=9)
    before, after = (compare(x, other, method, params=params) for other in (y, moved))
    assert after == pytest.approx(before, abs=1e-8)


@pytest.mark.parametrize("method", OWN)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_units_and_of_arguments_do_not_matter(method: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(25, 6)), rng.normal(size=(25, 9))
    value = compare(x, y, method)
    assert compare(x, y[:, rng.permutation(9)], method) == pytest.approx(value, abs=1e-10)
    assert compare(y, x, method) == pytest.approx(value, abs=1e-10)
    low, high = SIMILARITIES[method].bounds
    assert low - 1e-12 <= value <= high + 1e-12


@pytest.mark.parametrize("method", sorted(set(OWN) - SCALED))
def test_a_representation_is_wholly_like_itself(method, rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(30, 8))
    assert compare(x, x, method) == pytest.approx(1.0)


def test_rows_meet_by_label_in_any_order(rng) -> None:  # type: ignore[no-untyped-def]
    values, order = rng.normal(size=(40, 5)), rng.permutation(40)
    features = features_from_arrays(values, stimulus=NAMES[:40])
    moved = label(values[order], [NAMES[i] for i in order])
    assert compare(features, moved) == pytest.approx(1.0, abs=1e-6)
    assert compare(features, moved.values) < 0.5


def test_repeats_are_averaged_by_label(rng) -> None:  # type: ignore[no-untyped-def]
    values, noise = rng.normal(size=(30, 5)), rng.normal(size=(30, 5))
    repeated = label(np.concatenate([values + noise, values - noise]), NAMES[:30] * 2)
    assert compare(label(values), repeated) == pytest.approx(1.0, abs=1e-6)


def test_shared_stimuli_are_compared_when_asked(rng) -> None:  # type: ignore[no-untyped-def]
    values = rng.normal(size=(40, 5))
    one, other = label(values[:30]), label(values[10:], NAMES[10:40])
    with pytest.raises(AlignError, match="expected the stimuli that the others have, missing 10"):
        compare({"layer": one}, other)
    assert compare(one, other, how="inner") == pytest.approx(1.0, abs=1e-6)


def test_a_table_finds_the_layer_of_each_region(rng, tmp_path) -> None:  # type: ignore[no-untyped-def]
    layers = {f"layer{i}": label(rng.normal(size=(60, 20))) for i in range(3)}
    parts = [layers[f"layer{i}"].values @ rng.normal(size=(20, 10)) for i in (2, 0)]
    brain = label(np.hstack(parts)).assign_coords(roi=("neuroid", ["V1"] * 10 + ["IT"] * 10))
    found = compare(layers, brain, n_permutations=99)
    assert found["best_layer"].values.tolist() == ["layer2", "layer0"]
    assert found["score"].dims == ("layer", "roi")
    assert float(found["p_value"].sel(layer="layer2", roi="V1")) == 0.01
    assert float(found["p_fwer"].sel(layer="layer1", roi="V1")) > 0.05
    check(found)
    storage.save(found, tmp_path / "found.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "found.nc"), found)


def test_layers_with_each_other_are_symmetric(rng) -> None:  # type: ignore[no-untyped-def]
    layers = {f"layer{i}": rng.normal(size=(20, 5 + i)) for i in range(4)}
    found = compare(layers)
    assert found["score"].dims == ("layer", "layer_other")
    np.testing.assert_allclose(np.diag(found["score"]), 1.0)
    np.testing.assert_allclose(found["score"], found["score"].values.T)
    assert check(found).attrs["kind"] == "estimate"
    both = compare(layers, {"other": features_from_arrays(layers["layer1"], stimulus=NAMES[:20])})
    assert both["score"].dims == ("layer", "layer_other")


def test_neuroids_without_region_are_left_out(rng) -> None:  # type: ignore[no-untyped-def]
    brain = label(rng.normal(size=(20, 4))).assign_coords(roi=("neuroid", ["V1", "V1", "", "IT"]))
    layers = {"layer": label(rng.normal(size=(20, 4)))}
    assert compare(layers, brain)["roi"].values.tolist() == ["V1", "IT"]
    assert compare(layers, brain, over=None)["roi"].values.tolist() == ["all"]


def simulate_noisy(rng: np.random.Generator, noise: float) -> tuple[np.ndarray, xr.DataArray]:
    signal = rng.normal(size=(200, 10)) @ rng.normal(size=(10, 40))
    repeats = [signal + noise * rng.normal(size=signal.shape) for _ in range(4)]
    return signal, label(np.concatenate(repeats), [f"image-{n}" for n in range(200)] * 4)


CORRECTABLE = [name for name, row in SIMILARITIES.items() if row.correctable is not None]


@pytest.mark.parametrize("method", CORRECTABLE)
def test_correction_recovers_identity_below_noise(method, rng) -> None:  # type: ignore[no-untyped-def]
    signal, noisy = simulate_noisy(rng, 8.0)
    layer = label(signal, [f"image-{n}" for n in range(200)])
    raw = compare(layer, noisy, method)
    corrected = compare(layer, noisy, method, correct=True, n_splits=5)
    assert raw < 0.9
    assert corrected == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("cka_debiased", {}),
        ("rv_adjusted", {}),
        ("rsa", {}),
        ("rsa", {"distance": "cosine"}),
        ("rsa", {"distance": "squared_euclidean"}),
    ],
)
def test_correction_recovers_a_partial_similarity(method, params, rng) -> None:  # type: ignore[no-untyped-def]
    causes = [rng.normal(size=(200, 10)) for _ in range(3)]
    x, y = (np.hstack([causes[0], own]) @ rng.normal(size=(20, 40)) for own in causes[1:])

    def repeat(signal: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(signal + 5 * rng.normal(size=signal.shape) for _ in range(2))

    true = compare(x, y, method, params=params)
    draws = [(repeat(x), repeat(y)) for _ in range(6)]
    raw = [compare(*pair, method, params=params) for pair in draws]
    corrected = [compare(*pair, method, params=params, correct=True) for pair in draws]
    assert np.mean(raw) < 0.75 * true
    assert np.mean(corrected) == pytest.approx(true, abs=0.05)


def test_given_halves_are_prepared_once(rng, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    seen: list[int] = []
    row = SIMILARITIES["cka_debiased"]

    def prepare(X: np.ndarray) -> np.ndarray:
        seen.append(len(X))
        return row.prepare(X)

    monkeypatch.setitem(SIMILARITIES, "cka_debiased", row._replace(prepare=prepare, correctable={}))
    halves = tuple(rng.normal(size=(2, 20, 5)))
    compare(halves, halves[0], correct=True, n_splits=20)
    # Both means, both halves of the one, and the other.
    assert len(seen) == 5


def test_threads_change_nothing(rng) -> None:  # type: ignore[no-untyped-def]
    layers = {str(i): rng.normal(size=(30, 9)).astype(np.float32) for i in range(5)}
    with threadpool_limits(1):
        alone = compare(layers)
    with threadpool_limits(2):
        together = compare(layers)
    np.testing.assert_allclose(alone["score"], together["score"], atol=1e-12)
    assert alone.attrs["provenance"] == together.attrs["provenance"]


def test_correction_of_both_sides_and_of_given_halves(rng) -> None:  # type: ignore[no-untyped-def]
    signal = simulate_noisy(rng, 6.0)[0]
    halves = tuple(signal + 6 * rng.normal(size=signal.shape) for _ in range(2))
    found = compare({"V1": halves}, {"IT": (halves[0][::-1], halves[1][::-1])}, correct=True)
    assert abs(float(found["score"][0, 0])) < 0.1
    assert float(found["roi_reliability"][0]) == pytest.approx(float(found["layer_reliability"][0]))
    both = compare({"V1": halves, "signal": signal}, correct=True)
    np.testing.assert_allclose(both["score"], 1.0, atol=0.06)
    assert float(both["score_raw"][0, 0]) < 0.9


def test_what_has_no_signal_has_no_corrected_score(rng) -> None:  # type: ignore[no-untyped-def]
    signal = rng.normal(size=(40, 5))
    halves = (signal, -signal @ turn(rng, 5))
    opposite = (signal, rng.permutation(signal))
    found = compare({"layer": signal}, {"odd": opposite, "even": halves}, correct=True)
    reliable = found["roi_reliability"].values > 0
    assert np.isfinite(found["score"].values[0]).tolist() == reliable.tolist()


def test_permutation_p_is_uniform_without_relation() -> None:
    rng = np.random.default_rng(5)
    p = [
        float(
            compare(
                {"layer": rng.normal(size=(15, 3))},
                {"roi": rng.normal(size=(15, 3))},
                n_permutations=39,
                seed=seed,
            )["p_value"][0, 0]
        )
        for seed in range(120)
    ]
    # Discrete on 1/40 .. 1: compared with the uniform distribution less half a step.
    assert stats.kstest(np.array(p) - 1 / 80, "uniform").pvalue > 0.01
    assert min(p) >= 1 / 40


def test_the_maximum_holds_the_family_and_seeds_repeat(rng) -> None:  # type: ignore[no-untyped-def]
    layers = {f"layer{i}": rng.normal(size=(20, 4)) for i in range(4)}
    one, other = (
        compare(layers, {"V1": layers["layer0"]}, n_permutations=30, seed=3) for _ in "ab"
    )
    xr.testing.assert_identical(one, other)
    assert (one["p_fwer"] >= one["p_value"]).all()


def test_rdms_are_compared_by_name_of_condition(real_data: Path) -> None:
    images = [f"image {n}" for n in range(92)]
    folder = real_data / "rsa_92images"
    models = load_rdms(folder / "92_modelRDMs.mat", labels=images)
    brains = load_rdms(folder / "92_brainRDMs.mat", labels=images)
    lead = [dim for dim in brains.dims if dim not in ("first", "second", "pair")]
    brain = brains.mean(lead, keep_attrs=True)
    dim = models.dims[0]
    named = {str(i): models.isel({dim: i}) for i in range(models.sizes[dim])}
    for comparison in ("pearson", "spearman", "cosine", "rho_a", "whitened_cosine"):
        found = compare(named, {"IT": brain}, "rsa", params={"comparison": comparison})
        known = compare_rdms(models, brain, method=comparison)
        np.testing.assert_allclose(found["score"].values.ravel(), known.values.ravel(), atol=1e-6)


def test_haxby_halves_correct_upward(real_data: Path) -> None:
    nib = pytest.importorskip("nibabel")
    folder = real_data / "haxby2001_pymvpa"
    bold = nib.load(folder / "bold.nii.gz").get_fdata()
    volumes = bold[nib.load(folder / "mask.nii.gz").get_fdata().squeeze() > 0].reshape(-1, 1452).T
    names, run = np.loadtxt(folder / "attributes_literal.txt", dtype=str, unpack=True)
    slope = np.stack([np.ones(121), np.linspace(-1, 1, 121)], axis=1)
    for one in np.unique(run):
        rows = run == one
        volumes[rows] -= slope @ np.linalg.lstsq(slope, volumes[rows], rcond=None)[0]
        volumes[rows] /= volumes[rows].std(axis=0)
    halves = []
    for odd in (0, 1):
        rows = (names != "rest") & (run.astype(int) % 2 == odd)
        halves.append(from_arrays(volumes[rows], stimulus=names[rows], modality="fmri"))
    # Eight categories only: a biased measure says 0.92.
    assert compare(halves[0], halves[1]) == pytest.approx(0.52, abs=0.01)
    assert compare(halves[0], halves[1], "cka") == pytest.approx(0.92, abs=0.01)
    assert compare(halves[0], halves[1], "rsa") == pytest.approx(0.69, abs=0.01)
    parts = [tuple(half.isel(neuroid=slice(k, None, 2)) for half in halves) for k in (0, 1)]
    found = compare({"even voxels": parts[0]}, {"odd voxels": parts[1]}, correct=True)
    assert 0.5 < float(found["score_raw"][0, 0]) < float(found["score"][0, 0])


def test_the_other_rsa_comparisons_are_named() -> None:
    with pytest.raises(ValueError, match="params\\['comparison'\\]: expected one of 'pearson'"):
        compare(np.eye(5), np.eye(5), "rsa", params={"comparison": "tau_a"})


FAULTS = {
    "method: expected one of .*Did you mean 'cka'": {"method": "ckaa"},
    "params: expected some of 'kernel'.*got 'kernle'": {"params": {"kernle": "rbf"}},
    "correct: expected a method that noise leaves unbiased, got 'cka'": {
        "method": "cka",
        "correct": True,
    },
    "correct: expected kernel 'linear' for method 'cka_debiased', got 'rbf'": {
        "params": {"kernel": "rbf"},
        "correct": True,
    },
    "correct: expected comparison 'pearson' for method 'rsa', got 'spearman'": {
        "method": "rsa",
        "params": {"comparison": "spearman"},
        "correct": True,
    },
    "n_permutations: expected 0 for two single": {"n_permutations": 10},
    "n_splits, n_permutations: expected at least 1 and 0, got 0": {"n_splits": 0},
    "correct: expected repeats of stimuli on a side": {"correct": True},
    "how: expected one of": {"how": "outer"},
}


@pytest.mark.parametrize("message", FAULTS)
def test_wrong_options_say_what_is_right(message, rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(10, 3))
    with pytest.raises(ValueError, match=message):
        compare(x, x, **FAULTS[message])


def test_inputs_that_do_not_fit_are_refused(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(10, 3))
    with pytest.raises(AlignError, match="a, b: expected the same stimuli as rows"):
        compare(x, x[:8])
    with pytest.raises(SchemaError, match=r"a\['x'\]: expected finite values, got 1 of 30"):
        compare({"x": np.where(np.arange(30).reshape(10, 3) == 4, np.nan, x)})
    with pytest.raises(
        SchemaError, match=r"expected numbers \(sample, unit\), got float64 \(10,\)"
    ):
        compare(x[:, 0], x)
    with pytest.raises(SchemaError, match="expected one representation or more, got none"):
        compare({}, x)
    with pytest.raises(SchemaError, match="expected two halves in the tuple, got 3"):
        compare({"V1": (x, x, x)}, {"V2": x})
    with pytest.raises(SchemaError, match="expected halves of one shape"):
        compare({"V1": (x, x[:, :2])}, {"V2": x})
    with pytest.raises(AlignError, match="expected 3 or more stimuli that all share, got 0"):
        compare(label(x), label(x, NAMES[20:30]), how="inner")


def test_faults_of_labels_and_rdms_are_named(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(10, 3))
    with pytest.raises(SchemaError, match="expected coord 'stimulus' on 'sample'"):
        compare(label(x), label(x).drop_vars("stimulus"))
    rdm = xr.DataArray(
        np.ones((5, 5)) - np.eye(5),
        {"first": NAMES[:5], "second": NAMES[:5]},
        ("first", "second"),
        attrs={"kind": "dissimilarity"},
    )
    with pytest.raises(SchemaError, match="expected features or responses, got an RDM"):
        compare(rdm, rdm)
    with pytest.raises(SchemaError, match="expected one RDM, got leading dims"):
        compare(rdm.expand_dims("subject"), rdm, "rsa")
    with pytest.raises(SchemaError, match="expected halves of responses, got RDMs"):
        compare((rdm, rdm), rdm, "rsa")


def test_volumes_named_by_condition_have_no_random_halves(rng) -> None:  # type: ignore[no-untyped-def]
    names, run = ["a"] * 6 + ["b"] * 6 + ["c"] * 6 + ["d"] * 6, ["1"] * 24
    volumes = from_arrays(
        rng.normal(size=(24, 3)),
        stimulus=names,
        run=run,
        onset=2.0 * np.arange(24),
        modality="fmri",
    )
    with pytest.raises(SchemaError, match="expected presentations, got volumes named by condition"):
        compare(volumes, volumes, correct=True)
    once = label(rng.normal(size=(11, 3)), [*NAMES[:5], *NAMES[:6]])
    with pytest.raises(SchemaError, match="expected every stimulus twice or more, got 1 shown"):
        compare(once, once, correct=True)
