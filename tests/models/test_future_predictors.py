"""Nets foretell latents, imagine what is hidden, and say what they cannot read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

torch = pytest.importorskip("torch")

from neuroalign import storage  # noqa: E402
from neuroalign._training import TrainingPlan  # noqa: E402
from neuroalign.errors import AlignError, SchemaError  # noqa: E402
from neuroalign.models import FuturePredictor, future_predictors  # noqa: E402
from neuroalign.models._recurrent import CTRNNCells, build_predictor  # noqa: E402

QUICK = TrainingPlan(epochs=2, batch_size=32)


def _spin(n: int = 12, length: int = 20, seed: int = 0) -> xr.DataArray:
    """Points that go round: the next place follows from two, and from no single one's shadow."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (n, 1)) + 0.3 * np.arange(length)
    return xr.DataArray(
        np.stack([np.cos(angle), np.sin(angle)], axis=1).astype("float32"),
        dims=("sample", "feature", "time"),
        coords={
            "stimulus": ("sample", [f"film-{i}" for i in range(n)]),
            "feature": ["x", "y"],
            "time": np.arange(length) / 20,
        },
    )


@pytest.mark.parametrize(("kind", "rate"), [("lstm", 1e-2), ("ctrnn", 2e-2)])
def test_a_trained_net_foretells_a_rotation(kind: str, rate: float) -> None:
    plan = TrainingPlan(epochs=30, batch_size=64, learning_rate=rate, schedule="cosine")
    net = FuturePredictor(kind, n_units=32, n_context=5, n_ahead=5, tau=2.0, plan=plan)
    net.fit(_spin(30, seed=1))
    assert net.history_.loss[-1] < 0.05 * net.history_.loss[0]
    assert net.score(_spin(seed=2), 8) > 0.8
    assert FuturePredictor("identity").fit(_spin()).score(_spin(seed=2), 8) < 0


def test_identity_holds_what_was_seen_last() -> None:
    films = _spin()
    found = FuturePredictor("identity").fit(films).simulate(films, 8)
    seen = films.values
    np.testing.assert_allclose(found["simulated"].values[..., :8], seen[..., :8], atol=1e-6)
    held = np.repeat(seen[..., 7:8], 12, axis=2)
    np.testing.assert_allclose(found["simulated"].values[..., 8:], held, atol=1e-6)
    xr.testing.assert_identical(found["dynamics"].drop_attrs(), found["simulated"].drop_attrs())


def test_ctrnn_steps_are_those_of_the_equation() -> None:
    net = build_predictor(CTRNNCells, 3, 5, 1.0, 4.0, seed=3)
    x, r = torch.randn(2, 3), torch.rand(2, 5)
    weights = {name: one.detach().numpy() for name, one in net.cells.named_parameters()}
    drive = x.numpy() @ weights["enter.weight"].T + weights["enter.bias"]
    drive = np.maximum(np.tanh(drive + r.numpy() @ weights["recur.weight"].T), 0)
    expected = r.numpy() + (drive - r.numpy()) / 4
    np.testing.assert_allclose(net.cells(x, (r,))[0].detach().numpy(), expected, atol=1e-6)


def test_simulation_is_a_plain_loop_over_frames() -> None:
    films = _spin(3)
    net = FuturePredictor("lstm", n_units=4, n_context=3, plan=QUICK).fit(films)
    found, module = net.simulate(films, 6), net.net_
    assert module is not None
    z = torch.tensor((films.values.transpose(0, 2, 1) - net.mean_) / net.scale_).float()
    state = module.cells.start(z[:, 0])
    for t in (3, 4, 5):
        state = module.cells(z[:, t], state)
    states = found["dynamics"].values
    np.testing.assert_allclose(states[..., 5], state[0].detach().numpy(), atol=1e-6)
    for t in (6, 7, 8):
        guess = module.read(state[0])
        state = module.cells(guess, state)
        shown = guess.detach().numpy() * net.scale_ + net.mean_
        np.testing.assert_allclose(found["simulated"].values[..., t], shown, atol=1e-5)
        np.testing.assert_allclose(states[..., t], state[0].detach().numpy(), atol=1e-6)


def test_batches_do_not_change_what_is_imagined(monkeypatch: pytest.MonkeyPatch) -> None:
    films = _spin(5)
    starts = np.array([3, 9, 20, 1, 9])
    net = FuturePredictor("lstm", n_units=4, n_context=3, plan=QUICK).fit(films)
    whole = net.simulate(films, starts)
    monkeypatch.setattr(future_predictors, "BATCH", 4)
    for name, one in net.simulate(films, starts).items():
        np.testing.assert_allclose(one.values, whole[name].values, atol=1e-6)


def test_nothing_is_read_beyond_the_occlusion() -> None:
    films = _spin()
    net = FuturePredictor("ctrnn", n_units=8, plan=QUICK).fit(films)
    changed = films.copy(data=np.where(np.arange(20) >= 9, 7.0, films.values).astype("float32"))
    for name in ("simulated", "dynamics"):
        one, two = (net.simulate(array, 9)[name] for array in (films, changed))
        np.testing.assert_array_equal(one.values, two.values)


def test_films_that_end_early_stay_ended() -> None:
    films = _spin()
    films[2, :, 15:] = np.nan
    net = FuturePredictor("lstm", n_units=8, n_ahead=2, plan=QUICK).fit(films)
    assert net.n_windows_ == 11 * 12 + 7
    found = net.simulate(films, 9)
    for one in found.values():
        assert np.isnan(one.values[2, :, 15:]).all()
        assert np.isfinite(np.delete(one.values, 2, axis=0)).all()


def test_occlusion_may_be_marked_by_frame_and_start_anywhere() -> None:
    films = _spin(3)
    net = FuturePredictor("lstm", n_units=4, plan=QUICK).fit(films)
    starts = np.array([5, 9, 20])
    marked = xr.DataArray(np.arange(20) >= starts[:, None], dims=("sample", "time"))
    one, two = (net.simulate(films, begin)["dynamics"] for begin in (starts, marked))
    np.testing.assert_array_equal(one.values, two.values)
    whole = net.simulate(films, marked)["simulated"].values[2]
    np.testing.assert_allclose(whole, films.values[2], atol=1e-6)


def test_latents_are_read_as_features_are() -> None:
    films = _spin()
    latents = films.transpose("sample", "time", "feature").rename(feature="latent")
    one, two = (FuturePredictor("lstm", n_units=4, plan=QUICK).fit(x) for x in (films, latents))
    found = two.simulate(latents, 8)["simulated"]
    np.testing.assert_array_equal(found.values, one.simulate(films, 8)["simulated"].values)
    assert found.dims == films.dims


def test_a_seed_gives_the_same_net_and_leaves_torch_alone() -> None:
    films, before = _spin(), torch.get_rng_state()
    first, again, other = (
        FuturePredictor("ctrnn", n_units=4, plan=QUICK, seed=seed).fit(films) for seed in (1, 1, 2)
    )
    a, b, c = (one.simulate(films, 8)["dynamics"].values for one in (first, again, other))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_that_was_stopped_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = TrainingPlan(epochs=4, batch_size=32)
    whole = FuturePredictor("lstm", n_units=4, plan=plan).fit(_spin())
    halted = FuturePredictor("lstm", n_units=4, plan=plan, checkpoint=tmp_path)
    from neuroalign import _training

    run_epoch, count = _training._run_epoch, iter(range(9))

    def stop(*args: Any) -> None:
        if next(count) == 2:
            raise KeyboardInterrupt
        run_epoch(*args)

    monkeypatch.setattr(_training, "_run_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        halted.fit(_spin())
    resumed = clone(halted).fit(_spin())
    assert len(resumed.history_.loss) == 4
    one, two = (net.simulate(_spin(), 8)["dynamics"].values for net in (whole, resumed))
    np.testing.assert_array_equal(one, two)


def test_states_survive_storage(tmp_path: Path) -> None:
    films = _spin()
    found = FuturePredictor("lstm", n_units=4, plan=QUICK).fit(films).simulate(films, 8)
    for name, one in found.items():
        storage.save(one, tmp_path / f"{name}.nc")
        xr.testing.assert_identical(storage.load(tmp_path / f"{name}.nc"), one)


def _break(films: xr.DataArray) -> xr.DataArray:
    holed = films.copy()
    holed[1, :, 4] = np.nan
    return holed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gru"}, "kind: expected one of 'lstm', 'ctrnn', 'identity', got 'gru'"),
        ({"n_units": 0}, "n_units: expected at least 1, got 0"),
        ({"dt": 20.0}, "dt: expected above 0 and up to tau = 10.0, got 20.0"),
        ({"n_context": 30}, "X: expected films of 31 frames or more"),
    ],
)
def test_impossible_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FuturePredictor(**options).fit(_spin())


def test_films_that_cannot_be_read_are_named() -> None:
    net = FuturePredictor("identity").fit(_spin())
    with pytest.raises(SchemaError, match="X: expected a DataArray"):
        net.fit(np.zeros((2, 2, 9)))  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"X: expected dims \('sample', 'feature', 'time'\)"):
        net.fit(_spin().transpose("time", "feature", "sample"))
    with pytest.raises(SchemaError, match=r"got NaN within or throughout in 1 films \(rows '1'\)"):
        net.fit(_break(_spin()))
    with pytest.raises(AlignError, match="X: expected 2 features as in training, got 1"):
        net.simulate(_spin()[:, :1], 5)


def test_starts_that_cannot_be_are_named() -> None:
    net = FuturePredictor("identity").fit(_spin())
    with pytest.raises(ValueError, match="start: expected 1 to 20, got '0'"):
        net.simulate(_spin(), 0)
    with pytest.raises(ValueError, match="start: expected a frame, 12 frames, or bool"):
        net.simulate(_spin(), np.zeros(5))
