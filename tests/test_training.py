"""The training loop: against a loop written out, killed and resumed, stopped early."""

import copy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neuroalign._training import (
    SCHEDULES,
    TrainingPlan,
    cut_batches,
    fit_module,
    order_samples,
)
from neuroalign.errors import FitError, NeuroalignWarning

N = 40


def make_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))


def make_data():
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(N, 5, generator=generator)
    return X, torch.tanh(X[:, :3]) + 0.1 * torch.randn(N, 3, generator=generator)


def read_from(data):
    return lambda indices: tuple(part[torch.from_numpy(indices)] for part in data)


def squared_error(module, batch):
    return nn.functional.mse_loss(module(batch[0]), batch[1])


def fit(module, plan, **options):
    arguments = {"read": read_from(make_data()), "seed": 3, **options}
    return fit_module(module, squared_error, n_samples=N, plan=plan, **arguments)


def weights(module):
    return torch.cat([value.detach().reshape(-1) for value in module.parameters()])


def test_the_loop_equals_one_written_out():
    plan = TrainingPlan(epochs=3, batch_size=16, weight_decay=0.1, clip=0.5, warmup=4)
    ours, theirs = make_net(), make_net()
    history = fit(ours, plan)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=0.1)
    step, losses = 0, []
    for epoch in range(3):
        torch.manual_seed(int(np.random.SeedSequence((3, epoch)).generate_state(1)[0]))
        order = np.random.default_rng((3, epoch)).permutation(N)
        losses.append(0.0)
        for start in range(0, N, 16):
            step += 1
            optimizer.param_groups[0]["lr"] = 1e-3 * min(1, step / 4)
            picked = order[start : start + 16]
            loss = squared_error(theirs, read_from(make_data())(picked))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
            optimizer.step()
            losses[-1] += loss.item() * len(picked) / N
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=0, atol=0)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-6)
    assert history.best_epoch == 3


@given(st.integers(1, 300), st.one_of(st.none(), st.integers(1, 40)), st.integers(0, 9))
def test_an_order_holds_each_sample_once(n_samples, block, epoch):
    order = order_samples(n_samples, block, 0, epoch)
    assert sorted(order.tolist()) == list(range(n_samples))


def test_a_batch_touches_few_blocks_of_a_store():
    order = order_samples(10_000, 50, 0, 0)
    assert max(len(set(batch // 50)) for batch in np.split(order, 100)) <= 16
    assert len(set(order[:400] // 50)) == 8
    assert not np.array_equal(order, order_samples(10_000, 50, 0, 1))


@given(st.integers(1, 100), st.one_of(st.none(), st.integers(1, 20)))
def test_batches_keep_the_order_and_leave_no_sample_alone(n_samples, size):
    batches = list(cut_batches(np.arange(n_samples), size))
    assert np.concatenate(batches).tolist() == list(range(n_samples))
    assert n_samples == 1 or size == 1 or min(map(len, batches)) > 1


def test_schedules_start_whole_and_fall():
    assert [scale(0.0) for scale in SCHEDULES.values()] == [1.0, 1.0, 1.0]
    assert SCHEDULES["cosine"](0.5) == pytest.approx(0.5)
    assert SCHEDULES["cosine"](1.0) == pytest.approx(0.0)
    assert [SCHEDULES["step"](x) for x in (0.49, 0.5, 0.75)] == pytest.approx([1, 0.1, 0.01])


def test_a_net_learns_and_the_best_weights_come_back():
    scores = iter([0.1, 0.9, 0.5, 0.4, 0.3, 0.2])
    kept = []

    def validate(module):
        kept.append(weights(module).clone())
        return next(scores)

    module = make_net()
    history = fit(module, TrainingPlan(epochs=30, patience=3), validate=validate)
    assert history.stopped_early
    assert (history.best_epoch, len(history.loss)) == (2, 5)
    assert torch.equal(weights(module), kept[1])
    assert not module.training


def test_the_loss_falls_on_data_with_structure():
    history = fit(make_net(), TrainingPlan(epochs=200, learning_rate=1e-2, schedule="cosine"))
    assert history.loss[-1] < 0.3 * history.loss[0]


def test_checks_see_the_net_in_evaluation_mode_without_gradients():
    seen = []

    def validate(module):
        seen.append((module.training, torch.is_grad_enabled()))
        return 0.0

    fit(make_net(), TrainingPlan(epochs=4, check_every=2), validate=validate)
    assert seen == [(False, False)] * 2


def test_a_run_that_was_stopped_continues_to_the_same_weights(tmp_path):
    plan = TrainingPlan(epochs=6, batch_size=8, schedule="cosine")
    whole = make_net()
    expected = fit(whole, plan, validate=lambda m: -float(weights(m).norm()))
    calls = iter(range(100))

    def read_and_break(indices):
        if next(calls) == 17:
            raise KeyboardInterrupt
        return read_from(make_data())(indices)

    options = {"validate": lambda m: -float(weights(m).norm()), "checkpoint": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        fit(make_net(), plan, read=read_and_break, **options)
    resumed = make_net()
    history = fit(resumed, plan, **options)
    assert torch.equal(weights(whole), weights(resumed))
    assert history == expected


def test_a_finished_run_is_not_trained_again(tmp_path):
    plan = TrainingPlan(epochs=2)
    first, second = make_net(), make_net()
    fit(first, plan, checkpoint=tmp_path)

    def read_nothing(indices):
        raise AssertionError("trained again")

    fit(second, plan, checkpoint=tmp_path, read=read_nothing)
    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"data_key": "other"},
        {"parameter_groups": lambda module: [{"params": list(module.parameters()), "lr": 0.1}]},
    ],
)
def test_the_state_of_another_run_is_refused(tmp_path, change):
    fit(make_net(), TrainingPlan(epochs=1), checkpoint=tmp_path)
    with pytest.raises(FitError, match="got one of another net, data, plan or seed"):
        fit(make_net(), TrainingPlan(epochs=1), checkpoint=tmp_path, **change)


def test_a_corrupt_state_is_replaced_and_said(tmp_path):
    plan = TrainingPlan(epochs=2)
    expected = make_net()
    fit(expected, plan, checkpoint=tmp_path)
    path = tmp_path / "training.pt"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    module = make_net()
    with pytest.warns(NeuroalignWarning, match="hash does not fit"):
        fit(module, plan, checkpoint=tmp_path)
    assert torch.equal(weights(module), weights(expected))


def test_groups_keep_their_own_rates():
    module = make_net()
    before = copy.deepcopy(module)
    fit(
        module,
        TrainingPlan(epochs=1, schedule="cosine"),
        parameter_groups=lambda m: [
            {"params": m[0].parameters(), "lr": 0.0},
            {"params": m[3].parameters()},
        ],
    )
    assert torch.equal(weights(module[0]), weights(before[0]))
    assert not torch.equal(weights(module[3]), weights(before[3]))


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(FitError, match="loss: expected finite values, got nan in epoch 1"):
        fit(
            make_net(),
            TrainingPlan(epochs=1),
            read=read_from([part * np.nan for part in make_data()]),
        )


def test_a_score_that_is_not_finite_is_an_error():
    with pytest.raises(FitError, match="validate: expected a finite score"):
        fit(make_net(), TrainingPlan(epochs=1), validate=lambda m: float("nan"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"schedule": "linear"}, "schedule: .*cosine"),
        ({"precision": "half"}, "precision: .*bfloat16"),
        ({"learning_rate": -1.0}, "learning_rate: expected a positive number, got -1.0"),
        ({"patience": 2}, "patience: expected a validation score"),
    ],
)
def test_plans_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit(make_net(), TrainingPlan(**change))


def test_half_precision_reaches_nearly_the_same_loss():
    plan = TrainingPlan(epochs=20, learning_rate=1e-2)
    exact = fit(make_net(), plan).loss[-1]
    half = fit(make_net(), TrainingPlan(epochs=20, learning_rate=1e-2, precision="bfloat16")).loss[
        -1
    ]
    assert half == pytest.approx(exact, rel=0.05)
    assert half != exact


def test_the_global_generator_is_left_alone():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fit(make_net(), TrainingPlan(epochs=1))
    assert torch.equal(torch.rand(3), expected)


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from test_training import *
def read(indices):
    time.sleep(0.02)
    return read_from(make_data())(indices)
module = make_net()
fit(module, TrainingPlan(epochs=40, batch_size=8), read=read, checkpoint={folder!r})
np.save({out!r}, weights(module).numpy())
"""


@pytest.mark.slow
def test_a_run_that_was_killed_continues_to_the_same_weights(tmp_path):
    out = tmp_path / "weights.npy"
    tests = str(Path(__file__).parent)
    script = SCRIPT.format(tests=tests, folder=str(tmp_path / "state"), out=str(out))
    killed = subprocess.Popen([sys.executable, "-c", script])
    while not (tmp_path / "state" / "training.pt").exists():
        assert killed.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    subprocess.run([sys.executable, "-c", script], check=True)
    expected = make_net()
    fit(expected, TrainingPlan(epochs=40, batch_size=8))
    assert np.array_equal(np.load(out), weights(expected).numpy())
