"""One trace wherever its checkpoints are encoded, and whoever is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.convergence import list_checkpoints, trace
from neuroalign.errors import NeuroalignError
from neuroalign.loaders import features_from_arrays, from_arrays

# Workers import this module: what needs torch imports it where it is used.
OPTIONS: dict[str, Any] = {"ceiling": None, "n_resamples": 5, "by": None}
STEPS = (0, 1, 10, 100)
NAMES = [f"image-{row:02d}" for row in range(60)]
PIXELS = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")


def make_net(seed: int) -> Any:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.Tanh(), torch.nn.Linear(9, 4))


def make_layers(step: int) -> dict[str, xr.DataArray]:
    rng = np.random.default_rng(step)
    return {
        name: features_from_arrays(np.tanh(PIXELS @ rng.normal(size=(6, 5))), stimulus=NAMES)
        for name in ("early", "late")
    }


def record() -> xr.DataArray:
    rng = np.random.default_rng(1)
    values = np.tanh(PIXELS @ rng.normal(size=(6, 8))) + 0.3 * rng.normal(size=(60, 8))
    runs = [f"run-{row % 4}" for row in range(60)]
    return from_arrays(values, stimulus=NAMES, run=runs, modality="fmri")


class KilledTwice:
    """A checkpoint that costs two workers their life."""

    def __init__(self, marks: Path) -> None:
        self.marks = marks

    def __call__(self) -> Any:
        died = len(list(self.marks.iterdir()))
        if died < 2:
            (self.marks / str(died)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return make_layers(10)


class Slow:
    """A checkpoint that takes its time, so that a call can be killed at it."""

    def __init__(self, step: int, seconds: float) -> None:
        self.step, self.seconds = step, seconds

    def __call__(self) -> Any:
        time.sleep(self.seconds)
        return make_layers(self.step)


def run(checkpoints: Any, **more: Any) -> xr.Dataset:
    return trace(checkpoints, None, record(), **OPTIONS, **more)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_all_executors_give_the_same_bits(executor: str, tmp_path: Path) -> None:
    import torch

    for step in STEPS:
        torch.save(make_net(step).state_dict(), tmp_path / f"step-{step}.pt")
    checkpoints: dict[Any, Any] = {step: make_net(step) for step in STEPS}
    if executor == "processes":
        checkpoints = dict(list_checkpoints(f"{tmp_path}/*.pt", make_net(3)))
    shown = xr.DataArray(PIXELS, {"stimulus": ("sample", NAMES)}, ("sample", "pixel"))
    options = OPTIONS | {"stimuli": shown, "responses": record()}
    here = trace(checkpoints, **options)
    kept = tmp_path / "kept"
    there = trace(checkpoints, **options, executor=executor, folder=kept)
    xr.testing.assert_identical(there, here)
    names = [f"step-{step}.nc" for step in STEPS] + ["control.nc"]
    assert sorted(path.name for path in kept.iterdir()) == sorted(names)
    # What workers wrote is what a call in this process takes up.
    xr.testing.assert_identical(trace(checkpoints, **options, folder=kept), here)


@pytest.mark.slow
def test_a_killed_worker_costs_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    layers = {step: make_layers(step) for step in STEPS}
    killed = layers | {10: KilledTwice(tmp_path / "marks")}
    kept = tmp_path / "kept"
    with pytest.raises(NeuroalignError, match="^step-10: expected its worker to live"):
        run(killed, executor="processes", folder=kept)
    assert not (kept / "step-10.nc").exists()
    found = run(killed, executor="processes", folder=kept)
    np.testing.assert_array_equal(found["mean_score"], run(layers)["mean_score"])


def find_children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]


def start_call(kept: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Trace in a process of its own, which two workers serve."""
    code = (
        "import signal, sys; sys.path.insert(0, '.')\n"
        # A shell that starts tests in the background hands down that interrupts are ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "if __name__ == '__main__':\n"
        "    from pathlib import Path\n"
        "    from tests.convergence import test_trace_executors as own\n"
        f"    slow = {{step: own.Slow(step, {seconds} * (step > 1)) for step in own.STEPS}}\n"
        f"    own.run(slow, control=False, executor='processes', folder=Path({str(kept)!r}))\n"
    )
    script = kept.with_suffix(".py")
    script.write_text(code)
    return subprocess.Popen(
        [sys.executable, str(script)], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
    )


def wait_until(condition: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_call_is_taken_up_and_leaves_no_process(
    kind: signal.Signals, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    call = start_call(kept, 2.0)
    wait_until(lambda: len(list(kept.glob("step-*.nc"))) >= 2)
    children = find_children(call.pid)
    call.send_signal(kind)
    assert call.wait(timeout=60) != 0
    wait_until(lambda: not any(map(is_alive, children)))
    slow = {step: Slow(step, 0.0) for step in STEPS}
    found = run(slow, control=False, folder=kept)
    wanted = run({step: make_layers(step) for step in STEPS}, control=False)
    np.testing.assert_array_equal(found["mean_score"], wanted["mean_score"])


def test_functions_that_cannot_travel_are_told_what_to_do() -> None:
    lazy = {step: lambda step=step: make_layers(step) for step in STEPS}
    with pytest.raises(TypeError, match=r"step-0: expected what can be sent.*list_checkpoints"):
        run(lazy, executor="processes")
