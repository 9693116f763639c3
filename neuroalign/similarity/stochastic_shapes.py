"""Shape metrics of noisy representations: each stimulus is a cloud of responses, not a point.

In: repeated responses, or their conditional means and covariances. Out: a distance and the move
of units that attains it. Two systems with equal mean responses and different noise differ here.

Finding the best move is not convex: the algorithms never go uphill, start several times, and may
still end above the minimum. The distance is an upper bound of the metric.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.similarity._pairs import read_units
from neuroalign.similarity._shapes import GROUPS, pad_units
from neuroalign.similarity.bures import sum_singular, take_root

Array = npt.NDArray[Any]


class Conditionals(NamedTuple):
    """Gaussians, one a stimulus.

    ``means`` (stimulus, unit), ``covariances`` (stimulus, unit, unit), ``stimuli`` (stimulus,),
    their names.

    Examples
    --------
    >>> from neuroalign.similarity import estimate_conditionals
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> trials = from_arrays(rng.normal(size=(40, 3)), modality="spikes", stimulus=[*"abcd"] * 10)
    >>> estimate_conditionals(trials).means.shape
    (4, 3)
    """

    means: Array
    covariances: Array
    stimuli: Array


class StochasticShape(NamedTuple):
    """A distance, the map (unit, unit) of units of Y that attains it, and whether it settled."""

    distance: float
    transform: Array
    converged: bool


def read_repeats(responses: Any, name: str) -> tuple[Array, Array]:
    """Give repeats as float64 (stimulus, repeat, unit) and the names of the stimuli."""
    if isinstance(responses, xr.DataArray):
        if responses.dims != ("sample", "neuroid") or "stimulus" not in responses.coords:
            raise SchemaError(
                f"{name}: expected responses (sample, neuroid) with coord 'stimulus', got "
                f"{responses.dims} with {some(responses.coords)}. Name what was repeated."
            )
        labels, codes, counts = np.unique(
            responses["stimulus"].values, return_inverse=True, return_counts=True
        )
        if len(set(counts.tolist())) > 1:
            raise SchemaError(
                f"{name}: expected every stimulus equally often, got {counts.min()} to "
                f"{counts.max()} repeats. Keep the first repeats of each."
            )
        rows = np.argsort(codes, kind="stable")
        table = read_units(responses.values[rows], name).reshape(len(labels), counts[0], -1)
    else:
        table = np.asarray(responses, dtype=np.float64)
        labels = np.array([str(number) for number in range(len(table))])
    if table.ndim != 3 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise SchemaError(
            f"{name}: expected finite (stimulus, repeat, unit) with 2 repeats or more, got shape "
            f"{table.shape}. Pass single presentations, not their average."
        )
    return table, labels


def estimate_conditionals(responses: Any, *, shrinkage: float = 0.0) -> Conditionals:
    """Estimate the Gaussian of each stimulus from its repeats.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) with ``stimulus``, or array (stimulus, repeat, unit)
        Every stimulus equally often.
    shrinkage : float
        Share of the covariance averaged over stimuli in each covariance, 0 to 1: with fewer
        repeats than units those of single stimuli are poor.

    Returns
    -------
    Conditionals
        Covariances divide by repeats less one. Stimuli of a DataArray are sorted by name.

    Raises
    ------
    SchemaError
        When nothing is repeated, or stimuli are not equally often.
    ValueError

    Examples
    --------
    >>> found = estimate_conditionals(np.random.default_rng(0).normal(size=(5, 40, 3)))
    >>> found.covariances.shape
    (5, 3, 3)
    """
    if not 0 <= shrinkage <= 1:
        raise ValueError(
            f"shrinkage: expected a share from 0 to 1, got {shrinkage}. 0 does not shrink."
        )
    table, labels = read_repeats(responses, "responses")
    means = table.mean(axis=1)
    rest = table - means[:, None]
    covariances = np.swapaxes(rest, 1, 2) @ rest / (table.shape[1] - 1)
    pooled = covariances.mean(axis=0)
    return Conditionals(means, (1 - shrinkage) * covariances + shrinkage * pooled, labels)


def _check_pair(one: Array, other: Array) -> None:
    if not np.array_equal(one, other):
        raise AlignError(
            f"Y: expected the {len(one)} stimuli of X, got {len(other)} ({some(other)}). "
            "Keep the stimuli that both were shown."
        )


def _check_search(n_starts: int, n_iterations: int) -> None:
    for name, number in (("n_starts", n_starts), ("n_iterations", n_iterations)):
        if number < 1:
            raise ValueError(f"{name}: expected 1 or more, got {number}.")


def _draw_starts(first: Array, n_starts: int, group: str, seed: int) -> list[Array]:
    """Give the alignment of means, the identity, and random moves."""
    p, rng = len(first), np.random.default_rng(seed)
    drawn = [GROUPS[group](rng.normal(size=(p, p))) for _ in range(n_starts - 2)]
    return [first, np.eye(p), *drawn][:n_starts]


def stochastic_shape_distance(
    X: Conditionals,
    Y: Conditionals,
    *,
    alpha: float = 1.0,
    group: str = "orthogonal",
    n_starts: int = 4,
    n_iterations: int = 500,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> StochasticShape:
    """Distance of Gaussian responses up to rotations or permutations of units.

    Parameters
    ----------
    X, Y : Conditionals
        Of the same stimuli, see `estimate_conditionals`; the smaller number of units is padded.
        Means are centred over stimuli.
    alpha : float
        0 compares covariances alone, 1 is the 2-Wasserstein distance, 2 compares means alone.
    group : {"orthogonal", "permutation"}
    n_starts : int
        Searches: from the best move of the means, from none, and from random moves.
    n_iterations : int
    tolerance : float
        A search ends when the squared distance falls by less than this share.
    seed : int

    Returns
    -------
    StochasticShape
        ``distance``: root of the mean over stimuli of ``alpha |m - n Q|^2 + (2 - alpha) B^2``,
        with B the Bures distance of the covariances; the smallest over starts.

    Raises
    ------
    AlignError
        When stimuli differ.
    SchemaError
        When shapes of means and covariances do not fit.
    ValueError

    References
    ----------
    Duong, Zhou, Nassar, Berman, Olieslagers & Williams (2023), ICLR, arXiv:2211.11665, on
    metrics between Gaussian responses and the alternating search.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> quiet = estimate_conditionals(rng.normal(size=(6, 50, 2)))
    >>> loud = Conditionals(quiet.means, 4 * quiet.covariances, quiet.stimuli)
    >>> bool(stochastic_shape_distance(quiet, loud).distance > 1)
    True
    """
    if not 0 <= alpha <= 2:
        raise ValueError(f"alpha: expected 0 (noise) to 2 (means), got {alpha}. 1 is usual.")
    choose(GROUPS, group, "group")
    _check_search(n_starts, n_iterations)
    one, other = _read_conditionals(X, "X"), _read_conditionals(Y, "Y")
    _check_pair(one.stimuli, other.stimuli)
    n_units = max(one.means.shape[1], other.means.shape[1])
    (M, A), (N, B) = (_root(side, n_units, alpha) for side in (one, other))
    total = sum((side**2).sum() for side in (M, A, N, B))
    start = GROUPS[group](N.T @ M)
    best = StochasticShape(np.inf, np.eye(n_units), False)
    for move in _draw_starts(start, n_starts, group, seed):
        previous, converged = np.inf, False
        for _ in range(n_iterations):
            # Each covariance has a free rotation of its root: the nearest, given the move.
            left, _, right = np.linalg.svd(A @ move.T @ B)
            products = N.T @ M + np.einsum("nij,njk->ik", B @ np.swapaxes(left @ right, 1, 2), A)
            move = GROUPS[group](products)
            overlap = (move * (N.T @ M)).sum() + sum_singular(A @ move.T @ B).sum()
            squared = max(float(total - 2 * overlap), 0.0)
            converged = previous - squared <= tolerance * float(total)
            if converged:
                break
            previous = squared
        distance = float(np.sqrt(squared / len(M)))
        if distance < best.distance:
            best = StochasticShape(distance, move, converged)
    return best


def _read_conditionals(values: Conditionals, name: str) -> Conditionals:
    means = read_units(values.means, f"{name}.means")
    covariances = np.asarray(values.covariances, dtype=np.float64)
    n, p = means.shape
    if covariances.shape != (n, p, p) or not np.isfinite(covariances).all():
        raise SchemaError(
            f"{name}.covariances: expected finite {(n, p, p)} as the means, got shape "
            f"{covariances.shape}. Use estimate_conditionals."
        )
    return Conditionals(means, covariances, np.asarray(values.stimuli))


def _root(side: Conditionals, n_units: int, alpha: float) -> tuple[Array, Array]:
    """Give centred means and roots of covariances, weighted so that squares just add up."""
    means = pad_units(side.means - side.means.mean(axis=0), n_units)
    short = n_units - side.means.shape[1]
    roots = np.pad(take_root(side.covariances), [(0, 0), (0, short), (0, short)])
    return np.sqrt(alpha) * means, np.sqrt(2 - alpha) * roots


def energy_shape_distance(
    X: Any,
    Y: Any,
    *,
    group: str = "orthogonal",
    n_starts: int = 4,
    n_iterations: int = 200,
    tolerance: float = 1e-7,
    seed: int = 0,
) -> StochasticShape:
    """Distance of responses of any distribution, up to rotations or permutations of units.

    Parameters
    ----------
    X, Y : DataArray (sample, neuroid) with ``stimulus``, or array (stimulus, repeat, unit)
        The same stimuli, any number of repeats. Unit means over everything are subtracted.
    group : {"orthogonal", "permutation"}
    n_starts, n_iterations, tolerance, seed
        As in `stochastic_shape_distance`.

    Returns
    -------
    StochasticShape
        ``distance``: root of the mean over stimuli of the energy distance
        ``2 E|x - y Q| - E|x - x'| - E|y - y'|`` over all pairs of repeats.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    Memory grows with stimuli times repeats of X times repeats of Y. Each round solves a Procrustes
    problem with pairs weighted by the inverse of their distance.

    References
    ----------
    Duong et al. (2023), ICLR, arXiv:2211.11665, on energy distances; Székely & Rizzo (2013),
    J. Stat. Plan. Inference 143(8), on them in general.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(6, 10, 2))
    >>> round(energy_shape_distance(X, X[:, :, ::-1]).distance, 6)
    0.0
    """
    choose(GROUPS, group, "group")
    _check_search(n_starts, n_iterations)
    (one, first), (other, second) = read_repeats(X, "X"), read_repeats(Y, "Y")
    _check_pair(first, second)
    one, other = (side - side.mean(axis=(0, 1)) for side in (one, other))
    n_units = max(one.shape[2], other.shape[2])
    one, other = (
        np.pad(side, [(0, 0), (0, 0), (0, n_units - side.shape[2])]) for side in (one, other)
    )
    within = (_spread(one, one).mean(axis=(1, 2)) + _spread(other, other).mean(axis=(1, 2))).mean()
    start = GROUPS[group](other.mean(axis=1).T @ one.mean(axis=1))
    best = StochasticShape(np.inf, start, False)
    for move in _draw_starts(start, n_starts, group, seed):
        gaps = _spread(one, other @ move)
        converged = False
        for _ in range(n_iterations):
            # Pairs that coincide would weigh infinitely; the floor is far below any spread.
            weights = 1 / np.maximum(gaps, 1e-9 * (within + gaps.mean()) + np.finfo(float).tiny)
            moved = GROUPS[group](np.einsum("nsi,nrs,nrj->ij", other, weights, one, optimize=True))
            now = _spread(one, other @ moved)
            converged = bool(gaps.mean() - now.mean() <= tolerance * gaps.mean())
            if now.mean() < gaps.mean():
                move, gaps = moved, now
            if converged:
                break
        distance = float(np.sqrt(max(2 * gaps.mean() - within, 0.0)))
        if distance < best.distance:
            best = StochasticShape(distance, move, converged)
    return best


def _spread(one: Array, other: Array) -> Array:
    """Distances between repeats of each stimulus: (stimulus, repeat, repeat)."""
    # Differences, not expanded squares, which lose what lies near 0.
    gaps: Array = np.sqrt(
        sum((one[:, :, None, unit] - other[:, None, :, unit]) ** 2 for unit in range(one.shape[2]))
    )
    return gaps
