"""Layers by neuroids: all layers at once against one cross-validation a layer.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.convergence --quick``.
Rows differ in what layers can share. Where layers are wider than there are stimuli, or stimuli are
repeated, most of the work is; where they are narrower and nothing is repeated, what remains is the
product of each layer's filters with the targets, and the ratio says how little is left to share.
The peer does one layer of all, and its seconds are multiplied by their number. Names tell the
full sizes. Rows that begin with "cost" change one size alone: layers, neuroids or checkpoints;
``ours_s`` down such rows is the cost against that size (``--only cost``).
"""

import numpy as np
import xarray as xr

from benchmarks.harness import Race, main
from neuroalign.convergence import encode_layers, trace
from neuroalign.encoders import Ridge
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import features_from_arrays, from_arrays

N_RUNS = 6
Inputs = tuple[dict[str, xr.DataArray], xr.DataArray]
Traced = tuple[dict[float, dict[str, xr.DataArray]], xr.DataArray]


def simulate(n: int, p: int, t: int, layers: int, repeats: int = 1, share: int = 1) -> Inputs:
    """Layers with decaying spectra; neuroids of rank 64 that read the first, widely noisy."""
    rng = np.random.default_rng(0)
    rows = np.tile(np.arange(n), repeats)
    stimulus = [f"image-{row:05d}" for row in rows]
    run = [f"run-{row * N_RUNS // n}" for row in rows]
    scale = 1 / np.sqrt(np.arange(1, p + 1))
    bare = [(rng.normal(size=(n, p)) * scale).astype(np.float32) for _ in range(layers)]
    mixed = bare[0] @ rng.normal(size=(p, 64)) @ rng.normal(size=(64, t)) / 8
    noise = np.exp(rng.uniform(-1.5, 2.5, size=t))
    values = mixed[rows] + noise * rng.normal(size=(len(rows), t))
    responses = from_arrays(values, stimulus=stimulus, run=run, modality="fmri")
    named = {
        f"layer{number:02d}": features_from_arrays(one[rows], stimulus=stimulus)
        for number, one in enumerate(bare)
    }
    return named, responses


def encode_together(inputs: Inputs) -> np.ndarray:
    """All layers at once; gives the scores of the first."""
    return encode_layers(*inputs)["mean_score"].values[0]


def encode_apart(inputs: Inputs) -> np.ndarray:
    """One cross-validation, of the first layer."""
    layers, responses = inputs
    return cross_validate(Ridge(), layers["layer00"], responses)["mean_score"].values


def simulate_checkpoints(n: int, p: int, t: int, layers: int, steps: int, share: int = 1) -> Traced:
    """The same layers at each step, mixed with ever less noise."""
    named, responses = simulate(n, p, t, layers)
    rng = np.random.default_rng(1)
    grown = {}
    for step in range(steps):
        part = (step + 1) / steps
        grown[float(step)] = {
            name: one * part + (1 - part) * rng.normal(size=one.shape).astype(np.float32)
            for name, one in named.items()
        }
    return grown, responses


def trace_all(inputs: Traced) -> np.ndarray:
    """Every checkpoint, its scores and half-times."""
    grown, responses = inputs
    traced = trace(grown, None, responses, by=None, n_resamples=100)
    return traced["mean_score"].values[-1, 0]


def trace_apart(inputs: Traced) -> np.ndarray:
    """One layer of the last checkpoint."""
    grown, responses = inputs
    layer = grown[max(grown)]["layer00"]
    return cross_validate(Ridge(), layer, responses)["mean_score"].values


def _race(
    name: str,
    full: dict[str, int],
    quick: dict[str, int],
    peer: str = "cross_validate a layer",
    setup: str = "simulate",
    jobs: tuple[str, str] = ("encode_together", "encode_apart"),
) -> Race:
    ours, theirs = jobs
    return Race(name, __name__, setup, ours, peer, theirs, full, quick)


def _sized(n: int, p: int, t: int, layers: int, repeats: int = 1) -> dict[str, int]:
    return {"n": n, "p": p, "t": t, "layers": layers, "repeats": repeats, "share": layers}


TRACED = ("trace_all", "trace_apart")


def _cost(label: str, full: dict[str, int], quick: dict[str, int]) -> Race:
    """One row of a cost table."""
    return _race(f"cost: {label}", full, quick)


def _trace_cost(steps: int) -> Race:
    full = {"n": 300, "p": 1000, "t": 2000, "layers": 3, "steps": steps, "share": 3 * steps}
    quick = {"n": 80, "p": 300, "t": 300, "layers": 2, "steps": steps, "share": 2 * steps}
    return _race(
        f"cost: {steps} checkpoints", full, quick, setup="simulate_checkpoints", jobs=TRACED
    )


RACES = (
    _race(
        "12 layers of 8,000 features, 500 stimuli",
        _sized(500, 8000, 20000, 12), _sized(150, 2400, 1000, 4),
    ),
    _race(
        "12 layers of 1,000 features, 500 stimuli shown 3 times",
        _sized(500, 1000, 20000, 12, 3), _sized(120, 300, 1000, 4, 3),
    ),
    _race(
        "12 layers of 300 features, 500 stimuli",
        _sized(500, 300, 20000, 12), _sized(150, 90, 1000, 4),
    ),
    _race(
        "3 layers, else as the first",
        _sized(500, 8000, 20000, 3), _sized(150, 2400, 1000, 2),
    ),
    _race(
        "5,000 neuroids, else as the first",
        _sized(500, 8000, 5000, 12), _sized(150, 2400, 250, 4),
    ),
    _race(
        "2 checkpoints of 4 layers of 2,000 features",
        {"n": 300, "p": 2000, "t": 5000, "layers": 4, "steps": 2, "share": 8},
        {"n": 100, "p": 800, "t": 500, "layers": 2, "steps": 2, "share": 4},
        setup="simulate_checkpoints", jobs=TRACED,
    ),
    _race(
        "6 checkpoints of 4 layers of 2,000 features",
        {"n": 300, "p": 2000, "t": 5000, "layers": 4, "steps": 6, "share": 24},
        {"n": 100, "p": 800, "t": 500, "layers": 2, "steps": 4, "share": 8},
        setup="simulate_checkpoints", jobs=TRACED,
    ),
    *(
        _cost(f"{layers} layers", _sized(300, 2000, 5000, layers), _sized(100, 800, 500, layers))
        for layers in (3, 6, 12)
    ),
    *(
        _cost(
            f"{t:,} neuroids of 3 layers",
            _sized(300, 2000, t, 3), _sized(100, 800, t // 20, 2),
        )
        for t in (1000, 5000, 10000, 20000)
    ),
    # `trace` takes two checkpoints or more: 2, 4 and 8 give the cost of one.
    *map(_trace_cost, (2, 4, 8)),
)  # fmt: skip


if __name__ == "__main__":
    main(RACES, method="fork")
