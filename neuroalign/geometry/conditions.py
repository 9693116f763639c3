"""The table of dichotomies: how each division of conditions can be read, and how abstractly."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign.errors import choose
from neuroalign.geometry._cross_grams import MOST_PAIRS, Parallelism, find_best_pairs
from neuroalign.geometry._matrices import Matrix, sign
from neuroalign.geometry._trials import Labels, deal_folds, read_trials
from neuroalign.geometry.dichotomies import (
    Factors,
    list_dichotomies,
    pair_by_factors,
    read_factors,
)
from neuroalign.geometry.generalization import (
    Options,
    check_options,
    compare_null,
    decode,
    generalize,
    list_pairs,
)
from neuroalign.geometry.parallelism import (
    Products,
    measure_pairs,
    multiply_means,
    read_pairs,
    warn_weak,
)
from neuroalign.geometry.spectrum import participation_ratio
from neuroalign.stats.multiple import fdr

Array = npt.NDArray[Any]
# Minutes for small data, hours for large: see the Notes of ``describe_dichotomies``.
MOST_READOUTS = 100_000
WHICH = {"all": True, "factors": False}
ALPHA = 0.05


class _Row(NamedTuple):
    """One line of the table."""

    parallelism: float
    corrected: float
    corrected_error: float
    ccgp: float
    ccgp_null_mean: float
    p_value: float
    decoding: float


def describe_dichotomies(
    responses: Matrix,
    *,
    conditions: Labels = "stimulus",
    factors: Factors | None = None,
    which: str = "all",
    at_most: int = 200,
    fold: Labels | None = None,
    n_folds: int = 5,
    C: float = 1.0,
    standardise: bool = True,
    n_null: int = 100,
    max_readouts: int = MOST_READOUTS,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Parallelism, cross-condition generalisation and decoding of every balanced dichotomy.

    Parameters
    ----------
    responses : array or DataArray (sample, unit)
        Trials of brains, or stimuli of a model whose categories are the conditions. For readouts
        equally many of each condition are drawn.
    conditions : str, or sequence (sample,)
        A coord on sample, or the labels; an even number of conditions, 4 or more.
    factors : mapping of str to collection of str, optional
        Name -> conditions on its positive side. Their dichotomies come first, by their names, with
        conditions paired that differ in one factor alone; others are compared in the pairing that
        gives the largest score, which is biased up. With 4 conditions ``ccgp`` of a factorised code
        is .75: ask `generalize_across_conditions` with ``across`` then.
    which : {"all", "factors"}
    at_most : int
        Dichotomies drawn at random where there are more, besides those of factors.
    fold : str, or sequence (sample,), optional
        Label of trials that share noise ("run"): it stays whole in every split and product.
    n_folds : int
        For decoding, and for generalisation with ``fold``.
    C, standardise, n_null, seed
        Of the linear support vector machines and of the null of generalisation, see
        `generalize_across_conditions`.
    max_readouts : int
        Refuse a table that needs more readouts than this, see Notes.
    progress : bool

    Returns
    -------
    Dataset
        Over ``dichotomy``: ``parallelism``, ``corrected`` (freed of noise) and
        ``corrected_error``, see `parallelism_score`; ``ccgp``, ``ccgp_null_mean``, ``p_value``,
        ``q_value`` (false discovery rate over the table); ``decoding``, accuracy on new trials,
        NaN with one trial a condition; coord ``pairing`` ("factors", "best", or "none" where
        there are too many pairs); (dichotomy, condition): ``positive``. Scalars:
        ``shattering_dimensionality``, the mean decoding over all dichotomies (NaN for
        ``which="factors"``), ``shattering_spread``, their standard deviation, and
        ``participation_ratio`` of the condition means.

    Raises
    ------
    SchemaError
    ValueError
        For unknown options, or more readouts than ``max_readouts``.

    Warns
    -----
    NeuroalignWarning
        When differences are too weak for a corrected parallelism.

    Notes
    -----
    There are C! / (2 (C/2)!^2) balanced dichotomies of C conditions: 3 for 4, 35 for 8, 126 for
    10, 462 for 12, 6435 for 16, 92378 for 20; ``at_most`` of them are drawn. Each takes (C/2)^2
    readouts for generalisation (times ``n_folds`` with ``fold``) and ``n_folds`` for decoding: 735
    in all for 8 conditions, 21,000 for 20 and 200 dichotomies, 424,200 for 92, which is refused.
    Draws of the null reuse them, and cost little: with 100 no p value lies below .0099, so that
    three factors among 35 dichotomies cannot reach q < .05; with 1000 they can. A readout takes
    about 4 ms of 700 trials with 100 units, and 80 ms of 2000 trials with 1000 units, on one core.

    References
    ----------
    Bernardi et al. (2020), Cell 183, doi:10.1016/j.cell.2020.09.031; Rigotti et al. (2013), Nature
    497, doi:10.1038/nature12160; Alleman, Lindsey & Fusi (2024), ICLR, arXiv:2401.13558.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bits = np.array([[i >> 1, i & 1] for i in range(4)])
    >>> names = np.repeat(["00", "01", "10", "11"], 15)
    >>> axes = 5 * np.linalg.qr(rng.normal(size=(30, 2)))[0].T
    >>> X = np.repeat(bits, 15, axis=0) @ axes + 0.3 * rng.normal(size=(60, 30))
    >>> factors = {"first": ["10", "11"], "second": ["01", "11"]}
    >>> table = describe_dichotomies(X, conditions=names, factors=factors)
    >>> table["dichotomy"].values.tolist()
    ['first', 'second', '00+11']
    >>> table["corrected"].values.round(1).tolist()
    [1.0, 1.0, -1.0]
    """
    check_options(C, n_null, n_folds)
    choose(WHICH, which, "which")
    everything = read_trials(responses, conditions, fold)
    names = everything.names
    sides = _name_sides(names, factors or {}, which, at_most, seed)
    _check_cost(len(sides), len(names), n_folds, fold is not None, max_readouts)
    paired = pair_by_factors(names, factors or {})
    products, trials = multiply_means(everything), everything.level(seed)
    folds = deal_folds(trials, n_folds, seed)
    options = Options(C, standardise, seed)
    rows, pairing, n_weak = [], [], 0
    for name, side in tqdm(sides.items(), desc="dichotomies", disable=not progress):
        how, score, corrected, strong = _compare(products, names, side, paired.get(name))
        n_weak += not strong
        inside = folds if fold is not None else []
        made = generalize(trials, side, list_pairs(side), inside, options, n_null)
        ccgp = float(np.nanmean(made.accuracy))
        average = float(made.null.mean()) if n_null else np.nan
        read = decode(trials, side, folds, options)
        p_value = compare_null(ccgp, made.null)
        error = corrected.score_error
        rows.append(_Row(score, corrected.score, error, ccgp, average, p_value, read))
        pairing.append(how)
    if n_weak:
        warn_weak(n_weak, len(sides))
    columns = {
        key: ("dichotomy", np.array(column))
        for key, column in zip(_Row._fields, zip(*rows, strict=True), strict=True)
    }
    decoding = columns["decoding"][1] if WHICH[which] else np.array([np.nan])
    result = xr.Dataset(
        {
            **columns,
            "q_value": ("dichotomy", fdr(columns["p_value"][1])),
            "positive": (("dichotomy", "condition"), np.array(list(sides.values()))),
            "shattering_dimensionality": float(decoding.mean()),
            "shattering_spread": float(decoding.std()),
            "participation_ratio": participation_ratio(everything.means),
        },
        coords={
            "dichotomy": np.array(list(sides)),
            "condition": np.array(names),
            "pairing": ("dichotomy", np.array(pairing)),
        },
    )
    parameters: dict[str, Any] = {"which": which, "C": C, "n_null": n_null, "n_folds": len(folds)}
    parameters |= {
        "standardise": standardise,
        "folds": fold is not None,
        "seed": seed,
        "n": len(everything.codes),
    }
    parameters["n_trials_used"] = len(trials.codes)
    n_passed = int((result["q_value"].values < ALPHA).sum())
    told = f", {n_passed} generalise across conditions (q < {ALPHA:g})" if n_null else ""
    mean = float(result["shattering_dimensionality"])
    told += f"; shattering dimensionality {mean:.2f}" if np.isfinite(mean) else ""
    verdict = f"{len(sides)} dichotomies of {len(names)} conditions{told}."
    inputs = {"responses": responses}
    return sign(result, "dichotomies", inputs, parameters, "ccgp", verdict)


def _check_cost(
    n_sides: int, n_conditions: int, n_folds: int, folded: bool, max_readouts: int
) -> None:
    n_pairs = (n_conditions // 2) ** 2
    needed = n_sides * (n_pairs * (n_folds if folded else 1) + n_folds)
    if needed > max_readouts:
        raise ValueError(
            f"max_readouts: expected at most {max_readouts} readouts, got {needed}: {n_sides} "
            f"dichotomies of {n_conditions} conditions, {n_pairs} pairs left out in each. Lower "
            "at_most, use which='factors', join conditions, or raise max_readouts."
        )


def _name_sides(
    names: list[str], factors: Factors, which: str, at_most: int, seed: int
) -> dict[str, Array]:
    """Masks by name: factors by theirs, others by the conditions on the side of the first."""
    sides: dict[str, Array] = dict(read_factors(names, factors))
    if not WHICH[which]:
        if not sides:
            raise ValueError(
                "factors: expected names and sides for which='factors', got none. Use which='all'."
            )
        return sides
    known = {tuple((side ^ side[-1]).tolist()) for side in sides.values()}
    for side in list_dichotomies(len(names), at_most=at_most, seed=seed):
        if tuple(side.tolist()) not in known:
            own = side if side[0] else ~side
            sides["+".join(names[i] for i in np.flatnonzero(own))] = own
    return sides


def _compare(
    products: Products, names: list[str], side: Array, pairs: list[tuple[str, str]] | None
) -> tuple[str, float, Parallelism, bool]:
    """How conditions were paired, and the parallelism of that pairing."""
    if pairs is not None:
        return "factors", *measure_pairs(products, *read_pairs(names, side, pairs))
    if side.sum() > MOST_PAIRS:
        return "none", np.nan, Parallelism(np.nan, np.nan, np.nan, np.nan), True
    return "best", *measure_pairs(products, *find_best_pairs(products.plain, side))
