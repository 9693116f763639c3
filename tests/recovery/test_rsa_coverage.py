"""Intervals over stimuli, in studies that each draw their stimuli anew from one population.

Where the same stimuli come back in every study, what varies between studies is less than what the
bootstrap foresees, and the same intervals cover nearly always.
"""

import numpy as np
import pytest
import xarray as xr

from neuroalign.rsa import infer
from neuroalign.rsa._stacks import fold

N_STUDIES, N, SUBJECTS = 500, 30, 12
LABELS = np.array([f"c{i:02d}" for i in range(N)])
FIRST, SECOND = np.triu_indices(N, 1)


def measure(points: np.ndarray) -> np.ndarray:
    return np.asarray(np.square(points[FIRST] - points[SECOND]).sum(axis=1))


def wrap(rows: np.ndarray, dim: str) -> xr.DataArray:
    return fold(rows, LABELS, (dim,), {dim: np.array([f"{dim}{i}" for i in range(len(rows))])})


def draw_study(seed: int, people_differ: bool) -> tuple[xr.DataArray, xr.DataArray]:
    """Six dims that the model has, six that it lacks, noise, and six dims of each person's own."""
    rng = np.random.default_rng([seed, 21])
    known, unknown = rng.normal(size=(2, N, 6))
    rows = []
    for _ in range(SUBJECTS):
        own = 0.7 * people_differ * rng.normal(size=(N, 6))
        noise = 4 * rng.normal(size=len(FIRST))
        rows.append(np.abs(measure(known) + measure(unknown) + measure(own) + noise))
    return wrap(measure(known)[None], "model"), wrap(np.array(rows), "subject")


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", ["stimuli", "both"])
def test_intervals_cover_the_mean_over_studies_of_new_stimuli(bootstrap: str) -> None:
    scores, lower, upper = [], [], []
    for seed in range(N_STUDIES):
        result = infer(
            *draw_study(seed, bootstrap == "both"),
            method="pearson", bootstrap=bootstrap, n_bootstrap=200, seed=seed,
        )  # fmt: skip
        scores.append(float(result["mean"][0]))
        lower.append(float(result["interval_lower"][0]))
        upper.append(float(result["interval_upper"][0]))
    truth = np.mean(scores)
    rate = float(np.mean((np.array(lower) <= truth) & (truth <= np.array(upper))))
    assert 0.93 <= rate <= 0.97, rate
