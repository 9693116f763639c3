"""Real recordings through several models each: held-out scores, beside those of shuffled bins."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr
from sklearn.base import clone

from neuroalign.latents import (
    GPFA,
    HMM,
    DynamicModes,
    FactorAnalysis,
    LinearDynamics,
    ProbabilisticPCA,
    score_latents,
)
from neuroalign.loaders import bin_continuous, load_epochs, load_nwb

# On real and shuffled bins some fits are cut short, which they rightly say.
pytestmark = pytest.mark.filterwarnings(
    "ignore:max_iter. expected to converge:neuroalign.errors.NeuroalignWarning"
)
# Regions of the table, after three tissues.
REGIONS = slice(3, None)


def cut(rows: np.ndarray, n_trials: int = 20) -> np.ndarray:
    """Rows (time, unit) as stretches (trial, unit, time) of one length."""
    length = len(rows) // n_trials
    return np.swapaxes(rows[: n_trials * length].reshape(n_trials, length, -1), 1, 2)


def shuffle(X: np.ndarray) -> np.ndarray:
    """Deal the bins of each unit anew over trials and times."""
    rows = np.swapaxes(X, 0, 1).reshape(X.shape[1], -1)
    dealt = np.random.default_rng(0).permuted(rows, axis=1)
    return np.swapaxes(dealt.reshape(X.shape[1], len(X), -1), 0, 1)


def tell_first_unit(model: Any, X: np.ndarray) -> float:
    """Share of the first unit's variance told by the others, in the trials not fitted."""
    train, test = X[::2], X[1::2]
    hidden = np.arange(X.shape[1]) == 0
    guess = clone(model).fit(train).predict_rates(test, mask=hidden)[:, 0]
    y, mean = test[:, 0], train[:, 0].mean()
    return float(1 - ((y - guess) ** 2).sum() / ((y - mean) ** 2).sum())


def forecast_next(model: Any, X: np.ndarray) -> float:
    return float(clone(model).fit(X[::2]).score(X[1::2]))


def read_receptor(folder: Path, cell: int, width: int = 5) -> np.ndarray:
    """Spikes and the level of the sound [dB, standardised] in bins of 5 ms: stretches."""
    times = np.loadtxt(folder / f"grasshopper_spike_times{cell}.txt") / 1e6
    spikes = {"receptor": times}
    counts = bin_continuous(spikes, start=0.0, stop=10.0, bin_width=width / 1e3, run="run-01")
    with gzip.open(folder / f"grasshopper_stimulus{cell}.txt.gz", "rt") as file:
        volts = np.array([float(line.split()[1]) for line in file if line[0] not in "#\n"])
    level = 20 * np.log10(volts / 2e-5).reshape(len(counts), -1).mean(axis=1)
    level = (level - level.mean()) / level.std()
    return cut(np.column_stack([counts.values[:, 0], level]))


# Shuffled bins have no states to settle in.
@pytest.mark.filterwarnings("ignore:(max_iter|n_states):neuroalign.errors.NeuroalignWarning")
@pytest.mark.parametrize("cell", [1, 2])
@pytest.mark.parametrize("model", [LinearDynamics(2), HMM(4)], ids=["dynamics", "states"])
def test_the_sound_tells_when_a_receptor_fires(model: Any, cell: int, real_data: Path) -> None:
    X = read_receptor(real_data / "nitime_grasshopper", cell)
    assert X[:, 0].sum() == {1: 929, 2: 868}[cell]
    assert tell_first_unit(model, X) > 0.05
    assert tell_first_unit(model, shuffle(X)) < 0.01


def read_place_cell(folder: Path, width: float = 0.1) -> np.ndarray:
    """Spikes, the place on the track as an angle, and the step to the next place: stretches."""
    file = scipy.io.loadmat(folder / "spikes-1.mat", squeeze_me=True)
    start, n = file["t"][0], int((file["t"][-1] - file["t"][0]) / width)
    spikes = {"rat": file["spiketimes"]}
    counts = bin_continuous(
        spikes, start=start, stop=start + n * width, bin_width=width, run="run-01"
    )
    place = file["X"][: n * round(1000 * width)].reshape(n, -1).mean(axis=1)
    angle = 2 * np.pi * place / 100
    step = np.append(np.diff(place), 0.0)
    rows = np.column_stack([counts.values[:, 0], np.cos(angle), np.sin(angle), step])
    return cut(rows / rows.std(axis=0))


@pytest.mark.parametrize(
    ("model", "least"),
    [(HMM(8), 0.3), (LinearDynamics(3, tol=1e-3), 0.2), (GPFA(2), 0.15), (FactorAnalysis(2), 0.2)],
    ids=["states", "dynamics", "processes", "factors"],
)
def test_the_way_on_the_track_tells_when_a_place_cell_fires(
    model: Any, least: float, real_data: Path
) -> None:
    X = read_place_cell(real_data / "place_cell_kramer_eden")
    assert tell_first_unit(model, X) > least
    assert tell_first_unit(model, shuffle(X)) < 0.01


@pytest.mark.parametrize("model", [HMM(2, emission="poisson"), HMM(3, emission="poisson")])
def test_visits_to_the_place_are_states_of_the_cell_alone(model: Any, real_data: Path) -> None:
    X = read_place_cell(real_data / "place_cell_kramer_eden")[:, :1]
    counts = np.rint(X / X[X > 0].min())
    real, null = (
        float(np.sum(clone(model).fit(x[::2]).log_prob(x[1::2]))) for x in (counts, shuffle(counts))
    )
    assert counts.sum() == 220
    assert real > null + 40


def read_eeg(folder: Path) -> xr.DataArray:
    """Sixty trials, every third channel, standardised, the word's time at 12.5 Hz."""
    with pytest.warns(UserWarning, match="expected sensors within 0.3 m"):
        epochs = load_epochs(folder / "eeg_n400_wordpairs" / "subject04-epo.fif")
    X = epochs[:60, ::3].sel(time=slice(0, 0.8)).coarsen(time=4, boundary="trim").mean()
    values = X.values.astype(float)
    return X.copy(data=values / values.std(axis=(0, 2), keepdims=True))


@pytest.mark.parametrize(
    ("model", "least"),
    [
        (FactorAnalysis(3), 0.5), (ProbabilisticPCA(3), 0.5), (GPFA(3), 0.5),
        (LinearDynamics(3, tol=1e-3), 0.5), (HMM(6, max_iter=30, tol=1e-3), 0.2),
    ],
    ids=["factors", "components", "processes", "dynamics", "states"],
)  # fmt: skip
def test_channels_of_the_n400_tell_hidden_ones(model: Any, least: float, real_data: Path) -> None:
    found = score_latents(model, read_eeg(real_data), n_splits=2)
    assert (found["co_smoothing"] > least).all()
    assert (found["co_smoothing_shuffled"] < 0.02).all()


def read_regions(folder: Path) -> np.ndarray:
    """Standardised courses (time, region) at rest."""
    table = pd.read_csv(folder / "nitime_fmri" / "fmri_timeseries.csv")
    rows = table.iloc[:, REGIONS].to_numpy(float)
    assert rows.shape == (250, 28)
    return np.asarray((rows - rows.mean(axis=0)) / rows.std(axis=0))


@pytest.mark.parametrize(
    ("model", "least"),
    [
        (FactorAnalysis(4), 0.15), (ProbabilisticPCA(4), 0.15), (GPFA(4, max_iter=60), 0.1),
        (LinearDynamics(4, tol=1e-2), 0.15),
    ],
    ids=["factors", "components", "processes", "dynamics"],
)  # fmt: skip
def test_regions_at_rest_tell_hidden_ones(model: Any, least: float, real_data: Path) -> None:
    found = score_latents(model, read_regions(real_data), n_splits=3, gap=5)
    assert found["co_smoothing"].mean() > least
    assert found["co_smoothing_shuffled"].mean() < 0.02


def test_modes_forecast_regions_at_rest(real_data: Path) -> None:
    X = cut(read_regions(real_data), 5)
    real, null = (forecast_next(DynamicModes(5), x) for x in (X, shuffle(X)))
    assert real > 0.1 > null


def read_cells(folder: Path) -> np.ndarray:
    """Counts of three postsubicular cells in bins of 0.5 s: forty stretches of 25 s."""
    path = folder / "nwb_pynapple_A8604" / "A8604-211122.nwb"
    counts = load_nwb(path, intervals="epochs", window=(0, 1000), bin_width=0.5).values[0]
    assert counts.shape == (3, 2000)
    return cut(counts.T.astype(float), 40)


@pytest.mark.parametrize(
    ("model", "readout"),
    [
        (HMM(4, emission="poisson", n_restarts=2, tol=1e-4), "model"),
        (GPFA(1), "glm"),
        (FactorAnalysis(1), "glm"),
        (LinearDynamics(1, observations="poisson", tol=1e-2), "glm"),
    ],
    ids=["states", "processes", "factors", "dynamics"],
)  # fmt: skip
def test_two_cells_tell_a_third(model: Any, readout: str, real_data: Path) -> None:
    found = score_latents(
        model, read_cells(real_data), n_splits=2, held_out=0.34, n_neuron_splits=3, readout=readout
    )
    real, null = (found[key].mean() for key in ("co_smoothing", "co_smoothing_shuffled"))
    assert real > 0.005 > null
