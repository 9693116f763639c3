"""Nulls by permutation: which rows may change places, and what the null says about each score."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, choose
from neuroalign.scores import choose_metric, score
from neuroalign.stats.multiple import fdr

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]
Move = tuple[Rows, Rows]


def _block(rows: Rows, blocks: Array, _run: Array, rng: np.random.Generator) -> Move:
    """Let blocks of equal size change places."""
    _, inverse, counts = np.unique(blocks[rows], return_inverse=True, return_counts=True)
    parts = np.split(rows[np.argsort(inverse, kind="stable")], np.cumsum(counts)[:-1])
    target, source = [], []
    for count in np.unique(counts):
        same = np.flatnonzero(counts == count)
        target += [parts[place] for place in same]
        source += [parts[place] for place in rng.permutation(same)]
    return np.concatenate(target), np.concatenate(source)


def _circular(rows: Rows, _blocks: Array, run: Array, rng: np.random.Generator) -> Move:
    """Shift each run in time, its end coming to its front."""
    parts = [rows[run[rows] == one] for one in np.unique(run[rows])]
    shifted = [np.roll(part, rng.integers(len(part))) for part in parts]
    return np.concatenate(parts), np.concatenate(shifted)


SCHEMES: dict[str, Callable[[Rows, Array, Array, np.random.Generator], Move]] = {
    "block": _block,
    "circular": _circular,
}


def permute_rows(
    n: int,
    scheme: str,
    rng: np.random.Generator,
    *,
    blocks: npt.NDArray[Any] | None = None,
    run: npt.NDArray[Any] | None = None,
    within: npt.NDArray[Any] | None = None,
    time: npt.NDArray[Any] | None = None,
) -> Rows:
    """Draw a row order that keeps together what depends on each other.

    Parameters
    ----------
    n : int
        Number of rows.
    scheme : {"block", "circular"}
        ``block``: blocks of equal size change places with all their rows. ``circular``: each run
        is shifted in time, its end coming to its front, which keeps its autocorrelation.
    rng : Generator
    blocks : array (n,), optional
        Label of the block of each row: the stimulus, so that repeats move together, or
        `cut_blocks`. Every row alone when not given.
    run : array (n,), optional
        One run when not given.
    within : array (n,), optional
        Rows stay within rows of the same label, a fold for example.
    time : array (n,), optional
        What rows are in order of, within a run; as they stand when not given.

    Returns
    -------
    array (n,)
        Row to be put in each place.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> sorted(permute_rows(5, "circular", rng).tolist())
    [0, 1, 2, 3, 4]
    """
    move = choose(SCHEMES, scheme, "scheme")
    order = np.arange(n)
    labels = order if blocks is None else np.asarray(blocks)
    run = np.zeros(n) if run is None else np.asarray(run)
    within = np.zeros(n) if within is None else np.asarray(within)
    time = np.zeros(n) if time is None else np.asarray(time)
    for name, values in (("blocks", labels), ("run", run), ("within", within), ("time", time)):
        if values.shape != (n,):
            raise ValueError(f"{name}: expected {n} labels, got shape {values.shape}.")
    for one in np.unique(within):
        rows = np.flatnonzero(within == one)
        target, source = move(rows[np.argsort(time[rows], kind="stable")], labels, run, rng)
        order[target] = source
    return order


def cut_blocks(run: npt.NDArray[Any], length: int) -> npt.NDArray[np.intp]:
    """Cut each run into contiguous blocks.

    Parameters
    ----------
    run : array (n,)
    length : int
        Rows of a block, two to three times the autocorrelation time at least. What is left at the
        end of a run is a shorter block, and changes places with others of its size only.

    Returns
    -------
    array (n,)
        Number of the block of each row.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> import numpy as np
    >>> cut_blocks(np.array(["a", "a", "a", "b", "b"]), 2).tolist()
    [0, 0, 1, 2, 2]
    """
    if length < 1:
        raise ValueError(f"length: expected at least 1 row, got {length}.")
    run = np.asarray(run)
    blocks, start = np.zeros(len(run), dtype=np.intp), 0
    for one in np.unique(run):
        rows = np.flatnonzero(run == one)
        blocks[rows] = start + np.arange(len(rows)) // length
        start += -(-len(rows) // length)
    return blocks


def count_reached(null: npt.NDArray[Any], observed: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Count null scores, and null maxima over all targets, that reach the observed ones.

    Parameters
    ----------
    null : array (permutation, ...)
    observed : array (...)
        NaN reaches nothing and is reached by nothing.

    Returns
    -------
    tuple of array (...)
        Counts by target, and counts by the maximum.
    """
    top = np.nanmax(null.reshape(len(null), -1), axis=1, initial=-np.inf)
    maxima = np.searchsorted(np.sort(top), observed.ravel(), side="left")
    return (null >= observed).sum(axis=0), (len(top) - maxima).reshape(observed.shape)


def permutation_p(count: npt.NDArray[Any], observed: npt.NDArray[Any], n: int) -> Array:
    """p = (1 + count) / (1 + n); NaN where nothing was observed.

    Parameters
    ----------
    count, observed : array (...)
    n : int
        Number of permutations.

    Returns
    -------
    array (...)

    References
    ----------
    Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9(1), doi:10.2202/1544-6115.1585.
    """
    return np.where(np.isfinite(observed), (1 + count) / (1 + n), np.nan)


def max_statistic(observed: npt.NDArray[Any], null: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """p values that hold for all targets at once (family-wise error rate).

    Parameters
    ----------
    observed : array (...)
        Larger is better.
    null : array (permutation, ...)
        The same permutation for all targets in each row.

    Returns
    -------
    array (...)
        Share of permutations whose largest target reaches the observed one.

    Raises
    ------
    ValueError

    References
    ----------
    Nichols & Holmes (2002), Human Brain Mapping 15, 1-25, doi:10.1002/hbm.1058.

    Examples
    --------
    >>> import numpy as np
    >>> null = np.random.default_rng(0).normal(size=(999, 3))
    >>> max_statistic(np.array([0.0, 1.0, 6.0]), null)[2].item()
    0.001
    """
    observed, null = np.asarray(observed, np.float64), np.asarray(null, np.float64)
    if null.ndim != observed.ndim + 1 or null.shape[1:] != observed.shape or not len(null):
        raise ValueError(
            f"null: expected shape (permutation, {', '.join(map(str, observed.shape))}), got "
            f"{null.shape}. Compute all targets in each permutation."
        )
    return permutation_p(count_reached(null, observed)[1], observed, len(null))


def permutation_test(
    observed: xr.DataArray,
    predicted: xr.DataArray,
    *,
    metric: str = "pearson",
    scheme: str = "circular",
    block_length: int | None = None,
    n_permutations: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Test predictions that were made without the observed responses.

    For predictions of an encoder fitted on other recordings, or on a training set that these rows
    never entered. Scores of cross-validation need refits: use ``evaluate.cross_validate``.

    Parameters
    ----------
    observed, predicted : DataArray (sample, neuroid) or (sample, neuroid, time)
        Same rows. ``run`` keeps shifts and blocks inside runs; ``stimulus`` keeps repeats together
        under ``scheme="block"``.
    metric : str
        A name in ``scores.METRICS``.
    scheme : {"circular", "block"}
        See `permute_rows`. Time series need ``circular``, or ``block`` with a block length.
    block_length : int, optional
        [samples] of contiguous blocks, for time series under ``scheme="block"``.
    n_permutations : int
    seed : int

    Returns
    -------
    Dataset
        Over (neuroid[, time]): ``score``, ``p_value``, ``q_value`` (false discovery rate),
        ``p_fwer`` (max statistic), ``null_mean`` and ``null_sd``.

    Raises
    ------
    AlignError, ValueError

    References
    ----------
    Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9(1), doi:10.2202/1544-6115.1585: p values
    count the observed order.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> clock = {"run": ["run-01"] * 100, "onset": 2.0 * np.arange(100)}
    >>> signal = rng.normal(size=(100, 2))
    >>> observed = from_arrays(signal, modality="fmri", **clock)
    >>> predicted = observed.copy(data=np.c_[signal[:, 0], rng.normal(size=100)])
    >>> found = permutation_test(observed, predicted, n_permutations=199)
    >>> (found["p_value"] < 0.05).values.tolist()
    [True, False]
    """
    function = choose_metric(metric)
    choose(SCHEMES, scheme, "scheme")
    if block_length is not None and scheme != "block":
        raise ValueError(
            f"block_length: expected None under scheme '{scheme}', got {block_length}."
        )
    if n_permutations < 1:
        raise ValueError(f"n_permutations: expected at least 1, got {n_permutations}.")
    actual = score(observed, predicted, metric)
    n = observed.sizes["sample"]
    run = observed["run"].values if "run" in observed.coords else np.zeros(n)
    blocks = observed["stimulus"].values if "stimulus" in observed.coords else None
    if block_length is not None:
        blocks = cut_blocks(run, block_length)
    if scheme == "block" and blocks is not None and len(np.unique(blocks)) < 2:
        raise AlignError("observed: expected two or more blocks to exchange, got one.")
    rng, values, guess = np.random.default_rng(seed), observed.values, predicted.values
    count = np.zeros(actual.shape)
    count_max, total, squares = count.copy(), count.copy(), count.copy()
    for _ in range(n_permutations):
        # Blocks of a time series stay in their run; stimuli may change places between runs.
        order = permute_rows(
            n, scheme, rng, blocks=blocks, run=run, within=None if block_length is None else run
        )
        null = function(values[order], guess)
        reached, reached_max = count_reached(null[None], actual.values)
        count, count_max = count + reached, count_max + reached_max
        total, squares = total + null, squares + null**2
    mean = total / n_permutations
    p_value = permutation_p(count, actual.values, n_permutations)
    columns = {
        "p_value": p_value,
        "q_value": fdr(p_value),
        "p_fwer": permutation_p(count_max, actual.values, n_permutations),
        "null_mean": mean,
        "null_sd": np.sqrt(np.maximum(squares / n_permutations - mean**2, 0)),
    }
    result = xr.Dataset({"score": actual.drop_attrs()})
    for name, column in columns.items():
        result[name] = actual.copy(data=column).drop_attrs()
    return result.assign_attrs(
        kind="estimate",
        method="permutation_test",
        metric=metric,
        scheme=scheme,
        block_length=block_length or 0,
        n_permutations=n_permutations,
        seed=seed,
    )
