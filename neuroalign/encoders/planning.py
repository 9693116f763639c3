"""What a fit from disk to disk will read, write, hold and take, before it starts."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from neuroalign._chunks import size_chunk
from neuroalign._gram import USUAL_FILTERS, choose_form
from neuroalign.encoders._engine import CHUNK, SEARCHES
from neuroalign.encoders.ridge import Ridge

# What is written of each neuroid beside its weights.
ROWS = ("intercept", "alpha", "cv_mse", "cv_r2")


@dataclass(frozen=True)
class FitPlan:
    """What a fit will read, write, hold and take; ``print`` it."""

    n_chunks: int
    chunk: int
    bytes_read: int
    bytes_written: int
    bytes_held: int
    flops: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.n_chunks} chunks of {self.chunk:,} neuroids: reads {self.bytes_read / 1e9:.2f} "
            f"GB, writes {self.bytes_written / 1e9:.2f} GB, holds about "
            f"{self.bytes_held / 1e9:.2f} GB, takes about {self.seconds:.0f} s "
            f"({self.flops / 1e12:.2f} Tflop)"
        )


def plan_fit(
    encoder: Ridge, X: Any, y: Any, *, groups: Any = None, memory: int = 1 << 30
) -> FitPlan:
    """Foresee the bytes and the time of `fit_to_store`.

    Parameters
    ----------
    encoder : Ridge
    X : array or DataArray (sample, feature)
    y : array or DataArray (sample, neuroid); nothing is read
    groups : sequence (sample,), optional
        Rows of one group stay together in the inner folds.
    memory : int
        Budget in bytes for what is held beside the interpreter.

    Returns
    -------
    FitPlan

    Raises
    ------
    MemoryError
        When the budget does not hold one chunk.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=60, n_neuroids=100)
    >>> plan_fit(Ridge(), data.features, data.responses, memory=10**8).n_chunks
    1
    """
    (n, p), t = np.shape(X), int(np.shape(y)[1])
    size = 4 if np.dtype(getattr(X, "dtype", np.float64)) == np.float32 else 8
    rank, n_alphas = min(n, p), len(encoder._check_options())
    folds = encoder._make_folds(np.empty((n, 1)), np.empty((n, 1)), groups, n_alphas)
    kept = 0.0
    if isinstance(folds, list) and folds:
        search = SEARCHES[encoder.search]
        _, kept = choose_form(
            (n, p), size, folds, n_alphas, t, refined=search.margin > 0, form=search.form
        )
    # The Gram matrices while they are made, the folds, and the maps to weights.
    fixed = 8 * (3 * rank**2 + 2 * n * p) + int(kept) + size * (n * rank + p * rank)
    # The responses as read and as cut into folds, predictions of a chunk, and the weights.
    chunk = size_chunk(t, fixed, size * (3 * n + 2 * p), memory, CHUNK)
    filters = min(n_alphas, USUAL_FILTERS)
    flops = 2.0 * n * rank * t * (filters + 4) + 2.0 * rank * p * t
    held = fixed + chunk * size * (3 * n + 2 * p)
    written = size * t * (p + len(ROWS))
    read = n * t * np.dtype(getattr(y, "dtype", np.float64)).itemsize
    n_chunks = -(-t // chunk)
    seconds = flops / _measure_speed()
    return FitPlan(n_chunks, chunk, read, written, held, flops, seconds)


def _measure_speed() -> float:
    """Speed of a large product [flop/s], best of three."""
    A = np.ones((1000, 1000), dtype=np.float32)
    best = np.inf
    for _ in range(3):
        start = perf_counter()
        A @ A
        best = min(best, perf_counter() - start)
    return 2e9 / best
