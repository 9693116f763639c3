"""How many components a dynamic connectome holds: stability over starts, and affinities held out.

In: affinities (time, subject, pair). Out: a Dataset over ranks, and the rank chosen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.latents._factors import check_count
from neuroalign.latents._masked_factors import (
    DIMS,
    fit_starts,
    hide_slabs,
    measure_congruence,
    read_tensor,
    rebuild,
)

Array = npt.NDArray[Any]


def select_rank(
    X: Any,
    ranks: Sequence[int] = (1, 2, 3, 4, 5, 6),
    *,
    n_inits: int = 4,
    n_folds: int = 5,
    block: float | None = None,
    stable: float = 0.9,
    max_iter: int = 300,
    tol: float = 1e-5,
    random_state: int = 0,
) -> xr.Dataset:
    """Choose the number of components by stability over starts and by affinities held out.

    Parameters
    ----------
    X : DataArray (time, subject, pair)
        From `compute_affinity`.
    ranks : sequence of int
    n_inits : int
        Starts of each rank, at least 2.
    n_folds : int
        Held out in turn: stretches of time of one subject with all its pairs (of one pair, where
        there is but one subject), which the model must predict from other subjects and times.
    block : float, optional
        Length of a stretch [s]; a tenth of the recording when not given. At least as long as
        affinities were averaged.
    stable : float
        Least mean congruence of the starts with the best one.
    max_iter, tol
        As in `DynamicConnectome`.
    random_state : int

    Returns
    -------
    Dataset
        ``stability`` (rank), ``error`` (rank), ``held_out_error`` (rank, fold), both relative; and
        attrs ``rank``: of the stable ranks whose mean held-out error lies within one standard error
        of the best stable one's, the smallest. Rank 1 where none is stable.

    Raises
    ------
    SchemaError, ValueError, FitError

    References
    ----------
    Williams et al. (2018), Neuron 98, doi:10.1016/j.neuron.2018.05.015 (both criteria). Hastie,
    Tibshirani & Friedman (2009), section 7.10 (one standard error).

    Examples
    --------
    >>> from neuroalign.latents import compute_affinity, select_rank
    >>> from neuroalign.loaders import simulate_communities
    >>> planted = simulate_communities(3, 80, 12, n_motifs=1, community_size=4)
    >>> tensor = compute_affinity(planted.responses, window=0.75, span=2.25)
    >>> select_rank(tensor, (1, 2), n_inits=2, n_folds=3)["held_out_error"].dims
    ('rank', 'fold')
    """
    if not isinstance(X, xr.DataArray) or X.dims != DIMS:
        raise SchemaError(
            f"X: expected affinities with dims {DIMS}, got {getattr(X, 'dims', type(X).__name__)}. "
            "Call compute_affinity first."
        )
    sizes = [check_count(rank, "ranks") for rank in ranks]
    if check_count(n_inits, "n_inits") < 2 or not sizes or check_count(n_folds, "n_folds") < 2:
        raise ValueError(
            f"n_inits, n_folds: expected at least 2 each, and a rank, got {n_inits}, {n_folds} and "
            f"{len(sizes)} ranks. Stability compares starts; raise them."
        )
    values, seen = read_tensor(X)
    rate = float(X.attrs.get("sampling_rate", 1.0))
    length = max(1, len(values) // 10 if block is None else round(block * rate))
    stability, error, held_out = [], [], []
    for rank in sizes:
        fits = fit_starts(values, seen, rank, n_inits, max_iter, tol, random_state)
        best = min(fits, key=lambda one: one.error)
        agreed = [measure_congruence(best, one).mean() for one in fits if one is not best]
        stability.append(float(np.mean(agreed)))
        error.append(best.error)
        held_out.append([
            _hold_out(values, seen, hide_slabs(values.shape, fold, n_folds, length), rank,
                      max_iter, tol, random_state)
            for fold in range(n_folds)
        ])  # fmt: skip
    losses = np.array(held_out)
    good = np.flatnonzero(np.array(stability) > stable)
    chosen = min(sizes)
    if len(good):
        best_row = good[losses[good].mean(axis=1).argmin()]
        # Folds differ far more from each other than ranks do: compare within folds.
        gap = losses[good] - losses[best_row]
        noise = gap.std(axis=1, ddof=1) / np.sqrt(n_folds)
        chosen = min(sizes[row] for row, near in zip(good, gap.mean(axis=1) <= noise, strict=True)
                     if near)  # fmt: skip
    return xr.Dataset(
        {
            "stability": ("rank", stability),
            "error": ("rank", error),
            "held_out_error": (("rank", "fold"), losses),
        },
        coords={"rank": sizes, "fold": np.arange(n_folds)},
        attrs={"rank": chosen, "stable": stable},
    )


def _hold_out(
    values: Array, seen: Array | None, held: Array, rank: int, max_iter: int, tol: float, seed: int
) -> float:
    """Relative error on affinities that were seen but held out, from the first start."""
    known = np.ones(values.shape, dtype=bool) if seen is None else seen
    (found,) = fit_starts(values, known & ~held, rank, 1, max_iter, tol, seed)
    model = rebuild((found.modes[0] * found.weights, *found.modes[1:]))
    test = known & held
    return float(np.linalg.norm((values - model)[test]) / np.linalg.norm(values[test]))
