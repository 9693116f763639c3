"""Dissimilarities, comparisons and bootstraps of RDMs against rsatoolbox.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.rsa --quick``. Where a name
says so, the peer did one part in ``share`` of the work, and its seconds are multiplied.

``limit_fraction`` is the share of the seconds that an exact method needs: for its operations in
double precision, or for reading its input and writing its result once, whichever takes longer;
``bound`` (in the file) says which of both it is.

Jobs run in forks of one process: most last milliseconds, and to import both sides 72 times would
take minutes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from rsatoolbox.data import Dataset, TemporalDataset
from rsatoolbox.data.noise import prec_from_measurements
from rsatoolbox.inference import eval_dual_bootstrap
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs, calc_rdm, calc_rdm_movie, compare

from benchmarks import _rows_searchlight
from benchmarks._limits_rsa import (
    BYTES,
    N_SAMPLES,
    count_bootstrap,
    count_crossnobis,
    count_precision,
    count_whitening,
    measure_bytes_per_second,
)
from benchmarks.harness import Race, measure_flops_per_second, read_options, run_race, show
from neuroalign.loaders import from_arrays
from neuroalign.rsa import compare_rdms, compute_rdm, estimate_noise, infer

MODULE = "benchmarks.rsa"


def simulate_patterns(n: int, runs: int, p: int, times: int = 1) -> dict[str, Any]:
    """Responses of n conditions in each run."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(runs * n, p, times)).astype(np.float32)
    values += rng.normal(size=(1, p, 1)).astype(np.float32)
    names = [f"c{i:04d}" for i in range(n)] * runs
    return {"values": values, "names": names, "runs": np.repeat(np.arange(runs), n).astype(str)}


def label(made: dict[str, Any]) -> xr.DataArray:
    """Our responses."""
    values, timed = made["values"], made["values"].shape[2] > 1
    return from_arrays(
        values if timed else values[:, :, 0],
        modality="fmri",
        stimulus=made["names"],
        run=made["runs"],
        time=np.arange(values.shape[2]) / 100 if timed else None,
    )


def describe(made: dict[str, Any]) -> Any:
    """The peer's data set."""
    values = made["values"].astype(np.float64)
    rows = {"names": made["names"], "runs": made["runs"]}
    if values.shape[2] == 1:
        return Dataset(values[:, :, 0], obs_descriptors=rows)
    times = {"time": np.arange(values.shape[2])}
    return TemporalDataset(values, obs_descriptors=rows, time_descriptors=times)


def warm(made: dict[str, Any], *jobs: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Run each job on little data, so that no first call is timed, and give the data."""
    timed = made["values"].shape[2] > 1
    small = simulate_patterns(5, 3, 8, 3 if timed else 1)
    for job in jobs:
        job(small)
    return made


def find_crossnobis(made: dict[str, Any]) -> np.ndarray:
    return compute_rdm(label(made), distance="crossnobis", fold="run", form="condensed").values


def find_crossnobis_of_peer(made: dict[str, Any]) -> np.ndarray:
    data = describe(made)
    return calc_rdm(data, "crossnobis", "names", cv_descriptor="runs").dissimilarities[0]


def find_movie(made: dict[str, Any]) -> np.ndarray:
    rdm = compute_rdm(label(made), distance="crossnobis", fold="run", over="time", form="condensed")
    return rdm.values


def find_movie_of_peer(made: dict[str, Any]) -> np.ndarray:
    data = describe(made)
    return calc_rdm_movie(data, "crossnobis", "names", cv_descriptor="runs").dissimilarities


def find_precision(made: dict[str, Any]) -> np.ndarray:
    precision = estimate_noise(label(made), output="precision").values
    return precision[:50] / np.trace(precision)


def find_precision_of_peer(made: dict[str, Any]) -> np.ndarray:
    """Up to the peer's degrees of freedom, which trace and shrinkage show in ``equal``."""
    precision = prec_from_measurements(describe(made), "names", method="shrinkage_diag")
    return precision[:50] / np.trace(precision)


def prepare_crossnobis(**size: int) -> dict[str, Any]:
    return warm(simulate_patterns(**size), find_crossnobis, find_crossnobis_of_peer)


def prepare_movie(**size: int) -> dict[str, Any]:
    return warm(simulate_patterns(**size), find_movie, find_movie_of_peer)


def prepare_precision(**size: int) -> dict[str, Any]:
    return warm(simulate_patterns(**size), find_precision, find_precision_of_peer)


def simulate_rdms(n: int, n_models: int, n_subjects: int, share: int = 1) -> dict[str, Any]:
    """Models, and subjects that are noisy mixtures of the first two; a noise covariance."""
    rng = np.random.default_rng(1)
    first, second = np.triu_indices(n, 1)
    patterns = rng.normal(size=(n_models, n, 6))
    rows = np.square(patterns[:, first] - patterns[:, second]).sum(axis=2)
    data = rows[:2].mean(axis=0) + 4 * rng.normal(size=(n_subjects, len(first)))
    root = rng.normal(size=(n, n)) / np.sqrt(n)
    sigma = root @ root.T + 0.5 * np.eye(n)
    return {"models": rows, "data": np.abs(data), "sigma": sigma, "n": n, "share": share}


def wrap_rows(rows: np.ndarray, n: int, dim: str) -> xr.DataArray:
    names = np.array([f"c{i:04d}" for i in range(n)])
    first, second = np.triu_indices(n, 1)
    ends = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    coords = {dim: np.array([f"{dim}{i}" for i in range(len(rows))]), **ends}
    return xr.DataArray(rows, coords, (dim, "pair"), attrs={"kind": "dissimilarity"})


def wrap_sigma(sigma: np.ndarray) -> xr.DataArray:
    names = np.array([f"c{i:04d}" for i in range(len(sigma))])
    return xr.DataArray(sigma, {"first": names, "second": names}, ("first", "second"))


def compare_whitened(made: dict[str, Any]) -> np.ndarray:
    a, b = (wrap_rows(made[key], made["n"], key) for key in ("models", "data"))
    sigma = wrap_sigma(made["sigma"])
    found = compare_rdms(a, b, method="whitened_cosine", sigma=sigma).values
    return found[: len(found) // made["share"], : found.shape[1] // made["share"]]


def compare_whitened_of_peer(made: dict[str, Any]) -> np.ndarray:
    """The time grows with the number of RDMs: the peer takes its share of both stacks."""
    a, b = (RDMs(made[key][: len(made[key]) // made["share"]]) for key in ("models", "data"))
    return compare(a, b, method="cosine_cov", sigma_k=made["sigma"])


def compare_equal_noise(made: dict[str, Any]) -> np.ndarray:
    """The general way, with a covariance under which the peer's simple way is right."""
    return compare_whitened({**made, "sigma": 2 * np.eye(made["n"])})


def compare_equal_noise_of_peer(made: dict[str, Any]) -> np.ndarray:
    return compare(RDMs(made["models"]), RDMs(made["data"]), method="cosine_cov")


def prepare_comparison(**size: int) -> dict[str, Any]:
    small = simulate_rdms(6, 2, 2)
    for job in (compare_whitened, compare_whitened_of_peer, compare_equal_noise_of_peer):
        job(small)
    return simulate_rdms(**size)


def resample(method: str, made: dict[str, Any]) -> np.ndarray:
    known, data = wrap_rows(made["models"], made["n"], "model"), made["data"]
    result = infer(
        known, wrap_rows(data, made["n"], "subject"), method=method, n_bootstrap=N_SAMPLES
    )
    return result["mean"].values


def resample_of_peer(method: str, made: dict[str, Any]) -> np.ndarray:
    known = [ModelFixed(f"m{i}", RDMs(row[None])) for i, row in enumerate(made["models"])]
    data = RDMs(made["data"])
    eval_dual_bootstrap(known, data, method=method, N=N_SAMPLES // made["share"])
    return compare(RDMs(made["models"]), data, method=method).mean(axis=1)


def resample_cosine(made: dict[str, Any]) -> np.ndarray:
    return resample("cosine", made)


def resample_cosine_of_peer(made: dict[str, Any]) -> np.ndarray:
    return resample_of_peer("cosine", made)


def resample_whitened(made: dict[str, Any]) -> np.ndarray:
    return resample("whitened_cosine", made)


def resample_whitened_of_peer(made: dict[str, Any]) -> np.ndarray:
    return resample_of_peer("cosine_cov", made)


def resample_ranks(made: dict[str, Any]) -> np.ndarray:
    return resample("rho_a", made)


def resample_ranks_of_peer(made: dict[str, Any]) -> np.ndarray:
    return resample_of_peer("rho-a", made)


def prepare_bootstrap(**size: int) -> dict[str, Any]:
    small = simulate_rdms(8, 2, 3, N_SAMPLES // 2)
    for job in (resample_cosine, resample_whitened, resample_ranks, resample_cosine_of_peer):
        job(small)
    return simulate_rdms(**size)


PATTERNS: dict[str, Any] = {"n": 200, "runs": 8, "p": 2000}
WIDE: dict[str, Any] = {"n": 200, "runs": 8, "p": 10_000}
MOVIE: dict[str, Any] = {"n": 60, "runs": 6, "p": 300, "times": 100}
SMALL: dict[str, Any] = {"n": 60, "runs": 4, "p": 300}
PAIRS: dict[str, Any] = {"n": 60, "n_models": 20, "n_subjects": 100, "share": 10}
MANY: dict[str, Any] = {"n": 1000, "n_models": 2, "n_subjects": 4}
BOOT: dict[str, Any] = {"n": 92, "n_models": 8, "n_subjects": 20}
PEER = "rsatoolbox"


def race_bootstrap(title: str, name: str, draws: int) -> Race:
    """The peer draws few samples."""
    share = N_SAMPLES // draws
    return Race(
        f"dual bootstrap, {title}, peer scaled from {draws} of {N_SAMPLES} samples",
        MODULE,
        "prepare_bootstrap",
        f"resample_{name}",
        PEER,
        f"resample_{name}_of_peer",
        {**BOOT, "share": share},
        {"n": 40, "n_models": 4, "n_subjects": 8, "share": share},
        count_bootstrap.__name__,
    )


def race_patterns(name: str, what: str, full: dict[str, int], quick: dict[str, int]) -> Race:
    count = (count_precision if what == "precision" else count_crossnobis).__name__
    jobs = f"prepare_{what}", f"find_{what}", PEER, f"find_{what}_of_peer"
    return Race(name, MODULE, *jobs, full, quick, count)


RACES = [
    race_patterns("crossnobis", "crossnobis", PATTERNS, SMALL),
    race_patterns("crossnobis, 10,000 channels", "crossnobis", WIDE, {**SMALL, "p": 1000}),
    race_patterns("crossnobis movie", "movie", MOVIE, {**MOVIE, "n": 20, "p": 100, "times": 30}),
    race_patterns("shrinkage precision", "precision", PATTERNS, SMALL),
    Race(
        "whitened comparison, full covariance, peer scaled from 1 of 10 of both stacks",
        MODULE,
        "prepare_comparison",
        "compare_whitened",
        PEER,
        "compare_whitened_of_peer",
        PAIRS,
        {**PAIRS, "n": 30},
        count_whitening.__name__,
    ),
    Race(
        "whitened comparison, full covariance, many conditions (peer: equal noise only)",
        MODULE,
        "prepare_comparison",
        "compare_equal_noise",
        PEER,
        "compare_equal_noise_of_peer",
        MANY,
        {**MANY, "n": 200},
        count_whitening.__name__,
    ),
    race_bootstrap("cosine", "cosine", 20),
    race_bootstrap("whitened cosine", "whitened", 4),
    race_bootstrap("rho-a", "ranks", 4),
]


def bound(row: dict[str, Any], race: Race, *, quick: bool, bandwidth: float) -> dict[str, Any]:
    """Hold the row against the bandwidth too, and name which of both bounds it."""
    needed = BYTES[str(race.flops)](**(race.quick if quick else race.full)) / bandwidth
    share = needed / row["ours_s"]
    by = "bandwidth" if share > row["limit_fraction"] else "operations"
    return {**row, "limit_fraction": max(share, row["limit_fraction"]), "bound": by}


def main() -> None:
    """Run all races from the command line."""
    options = read_options()
    speed, bandwidth = measure_flops_per_second(), measure_bytes_per_second()
    rows = []
    for race in (*RACES, *_rows_searchlight.RACES):
        if race.name.startswith(options.only):
            row = run_race(
                race, quick=options.quick, repeats=options.repeats, speed=speed, method="fork"
            )
            rows.append(bound(row, race, quick=options.quick, bandwidth=bandwidth))
    show(rows, options.json)


if __name__ == "__main__":
    main()
