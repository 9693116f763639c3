"""Motion from responses: what the brain adds to the first frame, and where it adds nothing."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign._training import TrainingPlan
from neuroalign.decoders import FlowCodebook, MotionDecoder, window_responses
from neuroalign.errors import AlignError, FitError, SchemaError
from neuroalign.schema import check

SHORT = TrainingPlan(epochs=2, batch_size=16)
CODES = np.array([[0, 0], [0, 2], [2, 0], [0, -2], [-2, 0]], dtype=np.float64)


def simulate_motion(seed: int, n: int = 300, *, in_brain: bool = True) -> tuple[Any, Any, Any]:
    """Where things are is in the frame; which way they go is in the brain."""
    rng = np.random.default_rng(seed)
    there = rng.random((n, 4, 4)) < 0.4
    way = rng.integers(1, 5, size=n)
    flow = CODES[way][:, None, None] * there[..., None] + 0.05 * rng.normal(size=(n, 4, 4, 2))
    frames = np.stack([there, *rng.normal(size=(3, n, 4, 4))], axis=-1)
    signal = CODES[way] if in_brain else CODES[rng.integers(1, 5, size=n)]
    responses = signal @ rng.normal(size=(2, 30)) + rng.normal(size=(n, 30))
    return responses, flow, frames


def label(responses: Any, n_runs: int = 4) -> xr.DataArray:
    n = len(responses)
    run = np.array([f"run-{i}" for i in range(n_runs)])[np.arange(n) * n_runs // n]
    return xr.DataArray(
        responses, dims=("sample", "neuroid"),
        coords={"run": ("sample", run), "onset": ("sample", 2.0 * (np.arange(n) % (n // n_runs)))},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_brain_tells_the_way_that_the_frame_does_not(seed: int) -> None:
    responses, flow, frames = simulate_motion(seed)
    plan = TrainingPlan(epochs=25, batch_size=32, learning_rate=2e-3, schedule="cosine")
    decoder = MotionDecoder(n_codes=5, width=48, plan=plan, seed=seed)
    decoder.fit(responses[:220], flow[:220], frames=frames[:220])
    found = decoder.compare(responses[220:], flow[220:], frames=frames[220:])
    error = found["error"].to_series()
    assert error["decoder"] < 0.5 * error[["first frame", "shuffled brain", "mean flow"]].min()
    assert (found["lower"] > 0).all()
    # Without the way, still is the best there is: 0.4 of the places move by 2.
    assert abs(error["first frame"] - 0.8) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_brain_that_knows_nothing_takes_nothing_off(seed: int) -> None:
    responses, flow, frames = simulate_motion(seed, in_brain=False)
    plan = TrainingPlan(epochs=15, batch_size=32, learning_rate=2e-3, schedule="cosine")
    decoder = MotionDecoder(n_codes=5, width=48, plan=plan, seed=seed)
    decoder.fit(responses[:220], flow[:220], frames=frames[:220])
    found = decoder.compare(responses[220:], flow[220:], frames=frames[220:])
    assert float(found["gain"].sel(control="first frame")) < 0.03
    assert abs(float(found["gain"].sel(control="shuffled brain"))) < 0.05


def test_predictions_average_codes_by_their_probability() -> None:
    responses, flow, frames = simulate_motion(0, 60)
    decoder = MotionDecoder(n_codes=5, width=8, plan=SHORT).fit(responses, flow, frames=frames)
    shares = decoder.predict_codes(responses, frames=frames)
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0, atol=1e-6)
    predicted = decoder.predict(responses, frames=frames)
    np.testing.assert_allclose(predicted, np.einsum("nrck,kd->nrcd", shares,
                                                    decoder.codebook_.codes_))  # fmt: skip
    assert isinstance(decoder.codebook_, FlowCodebook)


def test_errors_are_mean_lengths_over_the_places_that_count() -> None:
    responses, flow, frames = simulate_motion(0, 60)
    decoder = MotionDecoder(n_codes=5, width=8, plan=SHORT).fit(responses, flow, frames=frames)
    mask = np.zeros((60, 4, 4), dtype=bool)
    mask[:, 1, 2:] = True
    found = decoder.compare(responses, flow, frames=frames, mask=mask, n_shuffles=2)
    miss = (decoder.predict(responses, frames=frames) - flow)[:, 1, 2:]
    expected = np.sqrt((miss**2).sum(axis=-1)).mean(axis=1)
    np.testing.assert_allclose(found["error_sample"].sel(predictor="decoder"), expected)
    still = np.linalg.norm(decoder.mean_flow_ - flow, axis=-1)[:, 1, 2:].mean()
    assert float(found["error"].sel(predictor="mean flow")) == pytest.approx(still)
    assert check(found).attrs["verdict"].startswith("End-point error: decoder ")


def test_the_baseline_never_sees_the_brain() -> None:
    responses, flow, frames = simulate_motion(0, 60)
    decoder = MotionDecoder(n_codes=5, width=8, plan=SHORT).fit(responses, flow, frames=frames)
    other = responses[::-1].astype(np.float32)
    seen = frames.reshape(60, 16, 4).astype(np.float32)
    plain = [
        decoder._guess(decoder.baseline_modules_, part, seen)
        for part in (responses.astype(np.float32), other)
    ]
    np.testing.assert_array_equal(*plain)
    moved = [decoder.predict(part, frames=frames) for part in (responses, other)]
    assert np.abs(moved[0] - moved[1]).max() > 1e-4


def test_one_seed_gives_one_net_and_a_killed_fit_goes_on(tmp_path: Any) -> None:
    responses, flow, frames = simulate_motion(0, 60)
    made = [
        MotionDecoder(n_codes=5, width=8, plan=SHORT, n_ensemble=2, checkpoint=folder)
        .fit(responses, flow, frames=frames)
        .predict(responses, frames=frames)
        for folder in (None, tmp_path, tmp_path)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])
    other = MotionDecoder(n_codes=5, width=8, plan=SHORT, n_ensemble=2, checkpoint=tmp_path)
    with pytest.raises(FitError, match="checkpoint: expected the state of this run"):
        other.fit(responses, flow, frames=frames[::-1])


def test_labels_stay_and_tokens_are_places() -> None:
    responses, flow, frames = simulate_motion(0, 60)
    labelled = label(responses)
    decoder = MotionDecoder(n_codes=5, width=8, plan=SHORT, validation=0.3)
    predicted = decoder.fit(labelled, flow, frames=frames).predict(labelled, frames=frames)
    assert predicted.dims == ("sample", "row", "column", "component")
    assert predicted["run"].values.tolist() == labelled["run"].values.tolist()
    tokens = decoder.predict(responses, frames=frames.reshape(60, 16, 4))
    np.testing.assert_array_equal(predicted.values, tokens)
    assert len(decoder.history_[0].score) == 2
    assert decoder.compare(labelled, flow, frames=frames, n_shuffles=1).sizes["sample"] == 60


def test_windows_reach_forward_and_not_across_runs(rng: np.random.Generator) -> None:
    labelled = label(rng.normal(size=(12, 3)), 2)
    wide = window_responses(labelled, (-1, 0, 2))
    parts = wide.values.reshape(12, 3, 3)
    np.testing.assert_array_equal(parts[:, 1], labelled.values)
    np.testing.assert_array_equal(parts[1:6, 0], labelled.values[:5])
    np.testing.assert_array_equal(parts[:4, 2], labelled.values[2:6])
    assert (parts[[0, 6], 0] == 0).all()
    assert (parts[[4, 5, 10, 11], 2] == 0).all()
    assert window_responses(labelled).shape == (12, 15)
    with pytest.raises(SchemaError, match="responses: expected dims"):
        window_responses(labelled.rename(neuroid="feature"))


def test_faults_are_named() -> None:
    responses, flow, frames = simulate_motion(0, 20)
    decoder = MotionDecoder(n_codes=3, width=8, plan=SHORT)
    with pytest.raises(SchemaError, match="frames: expected features at the 4 x 4 places"):
        decoder.fit(responses, flow, frames=frames[:, :2])
    with pytest.raises(SchemaError, match="frames: expected 16 tokens, .* got 8"):
        decoder.fit(responses, flow, frames=frames.reshape(20, 8, 8))
    with pytest.raises(SchemaError, match="y: expected 20 samples as X, got 5"):
        decoder.fit(responses, flow[:5], frames=frames)
    with pytest.raises(ValueError, match="frames: expected finite"):
        decoder.fit(responses, flow, frames=np.full_like(frames, np.nan))
    with pytest.raises(ValueError, match="width: expected at least 1"):
        MotionDecoder(width=0).fit(responses, flow, frames=frames)
    with pytest.raises(ValueError, match="validation: expected a share"):
        MotionDecoder(validation=1.0).fit(responses, flow, frames=frames)
    decoder.fit(responses, flow, frames=frames)
    with pytest.raises(ValueError, match="mask: expected a place at least"):
        decoder.compare(responses, flow, frames=frames, mask=np.zeros((20, 4, 4)))
    with pytest.raises(SchemaError, match=r"y: expected flow on \(4, 4\) places"):
        decoder.compare(responses, flow[:, :2], frames=frames)
    labelled = label(responses, 2)
    other = xr.DataArray(frames, dims=("sample", "row", "column", "feature"))
    keys = {key: ("sample", labelled[key].values[::-1]) for key in ("run", "onset")}
    with pytest.raises(AlignError, match="frames: expected the 'run' of X"):
        decoder.predict(labelled, frames=other.assign_coords(keys))
