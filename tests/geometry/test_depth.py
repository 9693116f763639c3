"""Steps are compared as by hand, and their path described."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry import (
    compare_steps,
    estimate_modes,
    segment_steps,
    stream_steps,
    trace_dynamics,
)


def test_comparisons_equal_loops_over_samples(rng: np.random.Generator) -> None:
    X = rng.normal(size=(4, 7, 5))
    found = compare_steps(X)
    by_hand = np.array(
        [
            [
                one @ other / np.linalg.norm(one) / np.linalg.norm(other)
                for one, other in zip(X[1], X[3], strict=True)
            ]
        ]
    )
    cell = found["dissimilarity"].values[1, 3]
    assert cell == pytest.approx(1 - by_hand.mean())
    error = by_hand.std(ddof=1) / np.sqrt(7)
    assert found["standard_error"].values[1, 3] == pytest.approx(error)
    squared = compare_steps(X, measure="squared")["dissimilarity"].values
    assert squared[0, 2] == pytest.approx(np.square(X[0] - X[2]).mean())


def test_cka_equals_the_hsic_of_centred_kernels(rng: np.random.Generator) -> None:
    steps = {"narrow": rng.normal(size=(12, 3)), "wide": rng.normal(size=(12, 40))}
    found = compare_steps(steps, measure="cka")["dissimilarity"].values
    H = np.eye(12) - 1 / 12
    K, L = (H @ X @ X.T @ H for X in steps.values())
    expected = (K * L).sum() / np.linalg.norm(K) / np.linalg.norm(L)
    assert found[0, 1] == pytest.approx(1 - expected)
    tall = {name: X[:, :3] for name, X in steps.items()}
    K, L = (H @ X @ X.T @ H for X in tall.values())
    expected = (K * L).sum() / np.linalg.norm(K) / np.linalg.norm(L)
    assert compare_steps(tall, measure="cka")["dissimilarity"].values[0, 1] == pytest.approx(
        1 - expected
    )


def test_scale_and_rotation_change_no_cosine(rng: np.random.Generator) -> None:
    X = rng.normal(size=(4, 9, 6))
    turned = 3.0 * X @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    for measure in ("cosine", "cka"):
        one, other = (compare_steps(x, measure=measure)["dissimilarity"] for x in (X, turned))
        np.testing.assert_allclose(one, other, atol=1e-12)
    kept = X.copy()
    compare_steps(X, center=True)
    np.testing.assert_array_equal(X, kept)


def test_layers_times_and_tokens_are_read_by_name(rng: np.random.Generator) -> None:
    X = rng.normal(size=(3, 8, 5))
    times = xr.DataArray(
        np.moveaxis(X, 0, 2), {"time": [0.0, 0.1, 0.2]}, ("sample", "neuroid", "time")
    )
    plain = compare_steps(X)["dissimilarity"].values
    found = compare_steps(times, over="time")
    np.testing.assert_allclose(found["dissimilarity"], plain)
    assert found["time_other"].values.tolist() == [0.0, 0.1, 0.2]
    tokens = compare_steps(X.reshape(3, 4, 2, 5))
    np.testing.assert_allclose(tokens["dissimilarity"], plain)
    recording = xr.DataArray(X[0], dims=("sample", "neuroid"))
    one = compare_steps(recording, over="sample")
    assert one["dissimilarity"].shape == (8, 8)
    assert np.isnan(one["standard_error"]).all()


def test_results_are_estimates_that_can_be_stored(rng: np.random.Generator, tmp_path: Path) -> None:
    X = rng.normal(size=(5, 8, 4))
    results = [compare_steps(X), trace_dynamics(X), estimate_modes(X[0], X[1])]
    for number, found in enumerate(results):
        assert schema.check(found).attrs["kind"] == "estimate"
        again = storage.load(storage.save(found, tmp_path / f"{number}.nc"))
        xr.testing.assert_identical(again.compute(), found)


def test_a_turning_pattern_has_its_angle_as_speed() -> None:
    angle = np.array([0.0, 0.2, 0.5, 0.9])
    turn = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    path = np.stack([turn, 2 * turn], axis=1)
    found = trace_dynamics(path)
    np.testing.assert_allclose(found["speed"], [0.2, 0.3, 0.4])
    np.testing.assert_allclose(found["convergence"], np.cos(0.9 - angle))
    np.testing.assert_allclose(found["coherence"], 1.0)
    np.testing.assert_allclose(found["step_norm"], 1.5 * 2 * np.sin(np.array([0.1, 0.15, 0.2])))
    assert found["end"].values.tolist() == [1, 2, 3]


def test_modes_equal_the_eigenvalues_of_the_map(rng: np.random.Generator) -> None:
    A = rng.normal(size=(6, 6)) / 3
    X = rng.normal(size=(40, 6))
    found = estimate_modes(X, X @ A.T)
    values = found["real"].values + 1j * found["imaginary"].values
    expected = np.linalg.eigvals(A)
    assert np.abs(values[:, None] - expected[None, :]).min(axis=1).max() < 1e-9
    assert estimate_modes(X, X @ A.T, rank=2).sizes["mode"] == 2


def test_wrong_steps_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(3, 6, 4))
    with pytest.raises(ValueError, match="measure: expected one of 'cosine', 'squared', 'cka'"):
        compare_steps(X, measure="cos")
    with pytest.raises(SchemaError, match="expected steps of one width, got \\[2, 4\\] units"):
        compare_steps({"a": X[0], "b": X[1, :, :2]})
    with pytest.raises(AlignError, match="the same samples in every step, got \\[5, 6\\] rows"):
        compare_steps({"a": X[0], "b": X[1, :5]})
    with pytest.raises(SchemaError, match="expected at least 2 steps, got 1"):
        compare_steps(X[:1])
    with pytest.raises(SchemaError, match="expected dim 'layer', got \\('sample', 'neuroid'\\)"):
        compare_steps(xr.DataArray(X[0], dims=("sample", "neuroid")))
    with pytest.raises(SchemaError, match="activations: expected \\(step, sample, unit\\)"):
        compare_steps(X[0])
    with pytest.raises(SchemaError, match="activations\\[1\\]: expected finite values, got 4"):
        compare_steps(np.where(np.arange(72).reshape(3, 6, 4) // 4 == 7, np.nan, X))
    with pytest.raises(SchemaError, match="expected rows with a direction, got 6 of zeros"):
        compare_steps(X * np.array([1, 0, 1])[:, None, None])
    with pytest.raises(SchemaError, match="expected at least 3 samples for 'cka', got 2"):
        compare_steps(X[:, :2], measure="cka")
    with pytest.raises(ValueError, match="rank: expected 1 to 4, the rank of before, got 9"):
        estimate_modes(X[0], X[1], rank=9)
    parts = {
        name: xr.DataArray(X[0], {"stimulus": ("sample", list(order))}, ("sample", "feature"))
        for name, order in {"a": "uvwxyz", "b": "zyxwvu"}.items()
    }
    with pytest.raises(AlignError, match="activations\\[b\\]: expected the stimuli of 'a'"):
        compare_steps(parts)


def test_words_evoke_states_of_the_brain_in_time(real_data: Path) -> None:
    mne = pytest.importorskip("mne")
    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    epochs = mne.read_epochs(path, verbose="error").pick("eeg")
    responses = xr.DataArray(
        epochs.get_data(copy=False) * 1e6,
        {"time": epochs.times},
        ("sample", "neuroid", "time"),
    )
    compared = compare_steps(responses, over="time", center=True)
    found = segment_steps(compared, n_surrogates=39)
    # Before words appear and at the N400 the brain is in different states, beyond steady drift.
    assert float(found["p_value"]) <= 0.05
    first = found["phase"].sel(time=[-0.1, 0.4], method="nearest").values
    assert first[0] != first[1]


def test_a_map_to_nothing_is_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(20, 3))
    with pytest.raises(SchemaError, match="after: expected values, got zeros throughout"):
        estimate_modes(X, 0 * X)


@pytest.mark.parametrize("measure", ["cosine", "squared"])
def test_batches_add_up_to_all_samples(rng: np.random.Generator, measure: str) -> None:
    X = rng.normal(size=(4, 50, 6))
    batches = (
        {f"l{k}": one[rows] for k, one in enumerate(X)} for rows in np.split(np.arange(50), [7, 30])
    )
    found = stream_steps(batches, measure=measure)
    whole = compare_steps({f"l{k}": one for k, one in enumerate(X)}, measure=measure)
    for name in ("dissimilarity", "standard_error"):
        np.testing.assert_allclose(found[name], whole[name], atol=1e-12)
    assert found.attrs["n"] == whole.attrs["n"] == 50
    assert segment_steps(found, n_surrogates=0)["phase"].equals(
        segment_steps(whole, n_surrogates=0)["phase"]
    )


def test_faults_of_batches_are_named(rng: np.random.Generator) -> None:
    X = rng.normal(size=(3, 10, 4))
    with pytest.raises(SchemaError, match="batches: expected one batch or more, got none"):
        stream_steps([])
    with pytest.raises(SchemaError, match=r"batches\[1\]: expected the steps 'a', 'b', got 'b'"):
        stream_steps([{"a": X[0], "b": X[1]}, {"b": X[1], "a": X[0]}])
    with pytest.raises(ValueError, match="measure: expected one of 'cosine', 'squared', got 'cka'"):
        stream_steps([X], measure="cka")
    empty = np.where(np.arange(10)[:, None] == 3, 0.0, X)
    with pytest.raises(
        SchemaError, match=r"batches\[1\]: expected rows with a direction, got 3 of"
    ):
        stream_steps([X, empty])
