"""What signals did around spikes."""

from pathlib import Path

import numpy as np
import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders.spike_triggered import spike_triggered_average, spike_triggered_windows


def test_the_average_is_the_mean_of_the_windows(rng: np.random.Generator) -> None:
    signal, times = rng.normal(size=(1000, 3)), rng.uniform(4397, 4407, 50)
    windows = spike_triggered_windows(times, signal, 100, (-0.1, 0.05), start=4397)
    average = spike_triggered_average(times, signal, 100, (-0.1, 0.05), start=4397)
    assert windows.dims == ("spike", "lag", "channel")
    assert windows.sizes["lag"] == 16
    assert np.allclose(average.values, windows.mean("spike").values)
    assert average.attrs["n_spikes"] == windows.sizes["spike"] <= 50


def test_the_window_holds_what_surrounds_the_spike() -> None:
    windows = spike_triggered_windows([0.3, 0.99], np.arange(10.0), 10, (-0.1, 0.1))
    assert windows.values.tolist() == [[2, 3, 4]]
    assert windows["lag"].values.tolist() == [-0.1, 0, 0.1]


@pytest.mark.parametrize(
    ("times", "signal", "window", "words"),
    [
        ([np.nan], np.zeros(10), (-0.1, 0), "times: expected finite"),
        ([0.5], np.full(10, np.nan), (-0.1, 0), "signal: expected finite"),
        ([0.5], np.zeros(10), (0, -0.1), "window: expected"),
        ([500.0], np.zeros(10), (-0.1, 0), "none of 1. Check the time units"),
    ],
)
def test_faults_are_named(
    times: list[float], signal: np.ndarray, window: tuple[float, float], words: str
) -> None:
    with pytest.raises(LoadError, match=words):
        spike_triggered_average(times, signal, 10, window)


@pytest.mark.parametrize(("cell", "lag", "height"), [(1, 6, 5.5), (2, 7, 3.5)])
def test_grasshopper_receptors_follow_the_envelope(
    real_data: Path, cell: int, lag: int, height: float
) -> None:
    folder = real_data / "nitime_grasshopper"
    times = np.loadtxt(folder / f"grasshopper_spike_times{cell}.txt") / 1e6
    voltage = np.loadtxt(folder / f"grasshopper_stimulus{cell}.txt.gz")[:, 1]
    level = 20 * np.log10(voltage / 2e-5).reshape(-1, 20).mean(axis=1)
    average = spike_triggered_average(times, level - level.mean(), 1000, (-0.02, 0))
    assert abs(-1000 * float(average["lag"][average.values.argmax()]) - lag) <= 1
    assert float(average.max()) == pytest.approx(height, abs=0.6)
