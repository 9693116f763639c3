"""Phases of a learning curve of effective rank: warmup, entropy-seeking, compression-seeking."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.geometry._matrices import as_matrix, sign, sort_steps
from neuroalign.geometry.spectrum import (
    ROUNDING,
    compute_spectrum,
    effective_rank,
    fit_power_law,
)

Array = npt.NDArray[Any]


def label_phases(
    steps: Sequence[float] | Array,
    rank: Sequence[float] | Array,
    *,
    min_change: float = 0.02,
    window: int = 3,
    alpha: Sequence[float] | Array | None = None,
    error: Sequence[float] | Array | None = None,
) -> xr.Dataset:
    """Name the phase that each checkpoint of training lies in.

    Parameters
    ----------
    steps : array (step,)
        Rising.
    rank : array (step,)
        Effective rank (RankMe) at each, always by one definition and from equally many samples.
    min_change : float
        A turn counts when the curve, after it, moves by more than this share of its largest value.
    window : int
        Checkpoints in the running median that removes single outliers; odd, 1 for none.
    alpha : array (step,), optional
        Decay of the spectrum, which is expected to move the other way.
    error : array (step,), optional
        Standard error of the rank, see ``trace_spectra``. A turn then also has to exceed two
        standard errors of the difference.

    Returns
    -------
    Dataset
        Over ``step``: coord ``phase`` ("warmup" for the first fall, "entropy-seeking" for a rise,
        "compression-seeking" for a later fall, "" while nothing has moved by ``min_change``), and
        ``smoothed``. Over ``segment``, the phases in their order: coord ``name``, ``first`` and
        ``last`` (steps; the first is the turning point it starts from), ``change`` of the rank
        relative to its start, ``z`` = change over its standard error (NaN without ``error``),
        ``alpha_change`` and ``opposed``, 1 where alpha moves the other way (NaN without
        ``alpha``).

    Raises
    ------
    ValueError

    References
    ----------
    Li et al. (2025), arXiv:2509.23024.

    Examples
    --------
    >>> curve = [50, 40, 30, 60, 90, 120, 100, 80]
    >>> phases = label_phases(range(8), curve, window=1)["phase"].values.tolist()
    >>> phases[2], phases[5], phases[7]
    ('warmup', 'entropy-seeking', 'compression-seeking')
    """
    step, values = np.asarray(steps, dtype=np.float64), np.asarray(rank, dtype=np.float64)
    if step.shape != values.shape or step.ndim != 1 or len(step) < 3:
        raise ValueError(
            f"rank: expected one number a step, 3 or more, got shapes {step.shape} and "
            f"{values.shape}. Pass two sequences of one length."
        )
    if not (np.diff(step) > 0).all() or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError("steps: expected rising steps and ranks above 0, got others. Sort them.")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window: expected an odd number from 1, got {window}. 3 is usual.")
    noise = np.zeros(len(step)) if error is None else _read(error, "error", len(step))
    slope = np.full(len(step), np.nan) if alpha is None else _read(alpha, "alpha", len(step))
    padded = np.pad(values, window // 2, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)
    signs = _follow(smooth, min_change * smooth.max(), noise)
    phase = np.full(len(signs), "", dtype="<U19")
    phase[signs > 0] = "entropy-seeking"
    # Only a fall before any rise is warmup.
    risen = np.cumsum(signs > 0) > 0
    phase[(signs < 0) & ~risen] = "warmup"
    phase[(signs < 0) & risen] = "compression-seeking"
    # As narrow as its longest label, which is how files give it back.
    phase = np.array(phase.tolist())
    cuts = np.flatnonzero(np.diff(signs)) + 1
    starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(step)]]) - 1
    kept = signs[starts] != 0
    last = ends[kept]
    first = np.maximum(starts[kept] - 1, 0)
    difference, spread = smooth[last] - smooth[first], np.hypot(noise[last], noise[first])
    z = np.divide(difference, spread, out=np.full(len(last), np.nan), where=spread > 0)
    moved = slope[last] - slope[first]
    opposed = np.where(np.isnan(moved), np.nan, np.sign(moved) == -np.sign(difference))
    result = xr.Dataset(
        {
            "smoothed": ("step", smooth),
            "first": ("segment", step[first]),
            "last": ("segment", step[last]),
            "change": ("segment", difference / smooth[first]),
            "z": ("segment", z),
            "alpha_change": ("segment", moved),
            "opposed": ("segment", opposed),
        },
        coords={
            "step": step,
            "phase": ("step", phase),
            "name": ("segment", phase[last]),
        },
    )
    parameters: dict[str, Any] = {"min_change": min_change, "window": window, "n": len(step)}
    parameters["seed"] = 0
    rows = zip(phase[last].tolist(), step[first].tolist(), step[last].tolist(), strict=True)
    told = ", ".join(f"{name} from {start:g} to {end:g}" for name, start, end in rows)
    verdict = f"Phases: {told or 'none, the rank keeps still'}."
    return sign(result, "phases", {"rank": values}, parameters, "change", verdict)


def trace_spectra(
    checkpoints: Mapping[float, Any],
    *,
    ranks: tuple[int, int] = (12, 100),
    n_blocks: int = 10,
    seed: int = 0,
) -> xr.Dataset:
    """Measure the spectrum at each checkpoint, with the error that the choice of samples makes.

    Parameters
    ----------
    checkpoints : mapping of training step to array (sample, unit)
        The same stimuli at each, in the same order.
    ranks : (first, last)
        Fitted by a power law, see ``fit_power_law``.
    n_blocks : int
        Random blocks of samples, left out in turn for the errors.
    seed : int

    Returns
    -------
    Dataset
        Over ``step``, rising: ``rankme`` (entropy of eigenvalues, centred), ``alpha`` (NaN where
        the spectrum is shorter than the range), and their jackknife errors ``rankme_error`` and
        ``alpha_error``. All go into ``label_phases``.

    Raises
    ------
    SchemaError, ValueError

    Notes
    -----
    Checkpoints share their samples, so that the error of a difference is less than that of
    independent ones.

    References
    ----------
    Li et al. (2025), arXiv:2509.23024; Efron & Stein (1981), Annals of Statistics 9, 586-596.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 20))
    >>> course = trace_spectra({0: X[:, :5] @ X[:5], 100: X}, ranks=(1, 5))
    >>> course["rankme"].round(0).values.tolist()
    [4.0, 19.0]
    """
    if not checkpoints:
        raise ValueError("checkpoints: expected at least one, got none. Name some by their step.")
    order = sort_steps(checkpoints)
    matrices = [as_matrix(checkpoints[step], f"checkpoints[{step}]") for step in order]
    counts = sorted({len(matrix) for matrix in matrices})
    if len(counts) > 1:
        raise SchemaError(
            f"checkpoints: expected the same samples in each, got {counts} rows. "
            "Use the same stimuli."
        )
    n = counts[0]
    if not 2 <= n_blocks <= n // 2:
        raise ValueError(f"n_blocks: expected 2 to {n // 2} blocks, got {n_blocks}. 10 is usual.")
    blocks = np.array_split(np.random.default_rng(seed).permutation(n), n_blocks)
    found = np.array([_measure(matrix, ranks) for matrix in matrices])
    left = np.array(
        [[_measure(np.delete(one, block, axis=0), ranks) for block in blocks] for one in matrices]
    )
    error = np.sqrt((n_blocks - 1) * left.var(axis=1))
    result = xr.Dataset(
        {
            "rankme": ("step", found[:, 0]),
            "alpha": ("step", found[:, 1]),
            "rankme_error": ("step", error[:, 0]),
            "alpha_error": ("step", error[:, 1]),
        },
        coords={"step": np.array(order)},
    )
    inputs = {str(step): matrix for step, matrix in zip(order, matrices, strict=True)}
    parameters: dict[str, Any] = {"ranks": f"{ranks[0]}-{ranks[1]}", "n_blocks": n_blocks}
    parameters |= {"n": n, "seed": seed}
    return sign(result, "trace_spectra", inputs, parameters, "rankme")


def _measure(matrix: Array, ranks: tuple[int, int]) -> tuple[float, float]:
    spectrum = compute_spectrum(matrix)
    real = int(np.count_nonzero(spectrum > ROUNDING * spectrum[0]))
    alpha = fit_power_law(spectrum, ranks=ranks).alpha if real >= ranks[1] else np.nan
    return effective_rank(matrix), alpha


def _read(values: Any, name: str, n: int) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,) or not np.isfinite(array).all():
        raise ValueError(
            f"{name}: expected {n} finite numbers, one a step, got shape {array.shape}. "
            "Drop the steps that lack one."
        )
    return array


def _follow(values: Array, threshold: float, noise: Array) -> Array:
    """Direction in which a curve moves at each point: turns smaller than the threshold are none.

    A direction holds from the turning point, which is known only once the curve has left it.
    """
    signs = np.zeros(len(values), dtype=np.intp)
    direction, low, high, start = 0, 0, 0, 0
    for here in range(1, len(values)):

        def reach(turn: int, here: int = here) -> float:
            return float(max(threshold, 2.0 * np.hypot(noise[turn], noise[here])))

        low = here if values[here] < values[low] else low
        high = here if values[here] > values[high] else high
        if direction <= 0 and values[here] - values[low] > reach(low):
            signs[start : low + 1] = direction
            start = low + 1 if low else 0
            direction, high = 1, here
        elif direction >= 0 and values[high] - values[here] > reach(high):
            signs[start : high + 1] = direction
            start = high + 1 if high else 0
            direction, low = -1, here
    signs[start:] = direction
    return signs
