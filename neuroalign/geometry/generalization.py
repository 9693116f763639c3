"""Linear readouts of conditions: of new trials, and of conditions that they never saw."""

import warnings
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from neuroalign._folds import Folds
from neuroalign.errors import SchemaError
from neuroalign.geometry._matrices import Matrix, sign
from neuroalign.geometry._trials import Labels, Trials, deal_folds, read_side, read_trials

Array = npt.NDArray[Any]


class Readout(NamedTuple):
    """A linear classifier of standardised units: weights (unit,), bias, and the scaling."""

    weights: Array
    bias: float
    center: Array
    scale: Array

    def standardise(self, values: Array) -> Array:
        """Scale units as in training."""
        return np.asarray((values - self.center) / self.scale)


class Split(NamedTuple):
    """Masks (condition,): what trains, what tests; the left-out pair or level by number."""

    train: Array
    test: Array
    label: tuple[int, int]


class Generalization(NamedTuple):
    """Accuracy of each split, and of the null draws of their mean."""

    accuracy: Array
    null: Array


class Options(NamedTuple):
    """What every readout is fitted with."""

    C: float
    standardise: bool
    seed: int


def fit_readout(values: Array, labels: Array, options: Options) -> Readout:
    """Fit a linear support vector machine to centred, and standardised, units."""
    center, scale = values.mean(axis=0), values.std(axis=0)
    if not options.standardise:
        scale = np.ones_like(scale)
    scale = np.where(scale > 1e-12 * (np.abs(center) + scale.max()), scale, 1.0)
    machine = LinearSVC(C=options.C, dual="auto", random_state=options.seed, max_iter=5000)
    with warnings.catch_warnings():
        # Where the classes cannot be told apart the last digits of weights do not matter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit((values - center) / scale, labels)
    return Readout(machine.coef_[0], float(machine.intercept_[0]), center, scale)


def _balance(hits: Array, labels: Array) -> Array:
    """Mean accuracy of the two sides, over rows: (row, ...) to (...)."""
    return np.asarray((hits[labels].mean(axis=0) + hits[~labels].mean(axis=0)) / 2)


def list_pairs(positive: Array) -> list[Split]:
    """Leave one condition of each side out, in all ways."""
    return [
        _leave_out(positive, [int(one), int(other)])
        for one in np.flatnonzero(positive)
        for other in np.flatnonzero(~positive)
    ]


def list_levels(positive: Array, level: Array) -> list[Split]:
    """Train on one level of another factor and test on the other, both ways.

    Raises
    ------
    ValueError
        When a level lacks conditions of one side.
    """
    if any(len(np.unique(positive[own])) < 2 for own in (level, ~level)):
        raise ValueError(
            "across: expected conditions of both sides at both levels, got a level with one side. "
            "Name a factor that is crossed with the dichotomy."
        )
    return [Split(level, ~level, (0, 1)), Split(~level, level, (1, 0))]


def _leave_out(positive: Array, left: list[int]) -> Split:
    test = np.zeros(len(positive), dtype=bool)
    test[left] = True
    return Split(~test, test, (left[0], left[1]))


def generalize(
    trials: Trials,
    positive: Array,
    splits: list[Split],
    folds: Folds,
    options: Options,
    n_null: int,
) -> Generalization:
    """Accuracy on conditions left out, and its null of conditions with unrelated places.

    A null draw puts the units of the trials left out in another order, one order for all splits:
    the sides are as easy to tell apart as before, but not along the axis of the others.
    """
    n_rows, n_units = trials.values.shape
    labels, every = positive[trials.codes], np.arange(n_rows)
    rng = np.random.default_rng(options.seed)
    orders = [rng.permutation(n_units) for _ in range(n_null)]
    found, drawn = [], []
    for split in splits:
        scores = []
        for train, test in folds or [(every, every)]:
            train = train[split.train[trials.codes[train]]]
            test = test[split.test[trials.codes[test]]]
            if len(np.unique(labels[train])) < 2 or len(np.unique(labels[test])) < 2:
                continue
            readout = fit_readout(trials.values[train], labels[train], options)
            scaled = readout.standardise(trials.values[test])
            weights = np.array([readout.weights] + [readout.weights[order] for order in orders])
            said = scaled @ weights.T + readout.bias > 0
            scores.append(_balance(said == labels[test][:, None], labels[test]))
        mean = np.mean(scores, axis=0) if scores else np.full(1 + n_null, np.nan)
        found.append(mean[0])
        drawn.append(mean[1:])
    if np.isnan([row.sum() for row in found]).all():
        raise SchemaError(
            "fold: expected a fold that holds both sides of conditions left out, got none. Use "
            "folds with more conditions, or fold=None."
        )
    return Generalization(np.array(found), np.nanmean(drawn, axis=0))


def decode(trials: Trials, positive: Array, folds: Folds, options: Options) -> float:
    """Accuracy on new trials of the same conditions; NaN without folds."""
    labels, scores = positive[trials.codes], []
    for train, test in folds:
        if len(np.unique(labels[train])) < 2 or len(np.unique(labels[test])) < 2:
            continue
        readout = fit_readout(trials.values[train], labels[train], options)
        said = readout.standardise(trials.values[test]) @ readout.weights + readout.bias > 0
        scores.append(float(_balance(said == labels[test], labels[test])))
    return float(np.mean(scores)) if scores else float("nan")


def compare_null(accuracy: float, null: Array) -> float:
    """Share of null draws that reach the accuracy, which is one of them itself; NaN without."""
    if not len(null):
        return float("nan")
    return float((1 + np.count_nonzero(null >= accuracy - 1e-12)) / (1 + len(null)))


def check_options(C: float, n_null: int, n_folds: int) -> None:
    """Check what all readouts are asked with.

    Raises
    ------
    ValueError
    """
    if not C > 0:
        raise ValueError(f"C: expected a number above 0, got {C}. 1 is usual.")
    if n_null < 0:
        raise ValueError(f"n_null: expected 0 or more draws, got {n_null}. 100 is usual.")
    if n_folds < 2:
        raise ValueError(f"n_folds: expected 2 or more, got {n_folds}. 5 is usual.")


def generalize_across_conditions(
    responses: Matrix,
    positive: Collection[str],
    *,
    conditions: Labels = "stimulus",
    across: Collection[str] | None = None,
    fold: Labels | None = None,
    n_folds: int = 5,
    C: float = 1.0,
    standardise: bool = True,
    n_null: int = 100,
    seed: int = 0,
) -> xr.Dataset:
    """Cross-condition generalisation performance (CCGP) of one dichotomy.

    Parameters
    ----------
    responses : array or DataArray (sample, unit)
        Trials; equally many of each condition are drawn.
    positive : collection of str
        The conditions on one side, half of them.
    conditions : str, or sequence (sample,)
        A coord on sample, or the labels.
    across : collection of str, optional
        The conditions at one level of another factor: train there and test at the other level,
        both ways. None: leave one condition of each side out, in all ways. Name it when there are
        4 conditions: half of those ways then train on two that differ in both factors, and a
        perfectly factorised code gives .75.
    fold : str, or sequence (sample,), optional
        Label of trials that share noise ("run"): what tests then shares no fold with what trains.
    n_folds : int
        Of whole groups, with ``fold``.
    C : float
        Of the support vector machine.
    standardise : bool
        Scale units by the training trials, and not just center them.
    n_null, seed : int

    Returns
    -------
    Dataset
        ``ccgp``, mean accuracy on conditions left out, both sides alike; ``p_value``, by
        ``ccgp_null`` (permutation), the accuracy when the conditions left out lie elsewhere, as
        easy to tell apart; over ``split``: ``accuracy``, with coords ``left_out`` (two names, or
        the level).

    Raises
    ------
    SchemaError, ValueError

    Notes
    -----
    .5 is not the accuracy of every geometry without an abstract code: the parity of a factorised
    code generalises far below it. Compare with the null. Simulated unrelated conditions reach
    p <= .05 in 6 % of cases with 8 conditions and in 10 % with 4.

    References
    ----------
    Bernardi et al. (2020), Cell 183, doi:10.1016/j.cell.2020.09.031.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> names = np.repeat(["a1", "a2", "b1", "b2"], 20)
    >>> bits = np.array([[name[0] == "a", name[1] == "1"] for name in names])
    >>> axes = 5 * np.linalg.qr(rng.normal(size=(30, 2)))[0].T
    >>> X = bits @ axes + 0.3 * rng.normal(size=(80, 30))
    >>> found = generalize_across_conditions(
    ...     X, ["a1", "a2"], conditions=names, across=["a1", "b1"]
    ... )
    >>> float(found["ccgp"])
    1.0
    """
    check_options(C, n_null, n_folds)
    trials = read_trials(responses, conditions, fold).level(seed)
    side = read_side(trials.names, positive)
    if across is None:
        splits = list_pairs(side)
        left = [f"{trials.names[i]}, {trials.names[j]}" for i, j in (s.label for s in splits)]
    else:
        splits = list_levels(side, np.isin(trials.names, list(across)))
        left = ["outside across", "across"]
    folds = deal_folds(trials, n_folds, seed) if fold is not None else []
    made = generalize(trials, side, splits, folds, Options(C, standardise, seed), n_null)
    ccgp = float(np.nanmean(made.accuracy))
    result = xr.Dataset(
        {
            "ccgp": ccgp,
            "p_value": compare_null(ccgp, made.null),
            "ccgp_null": ("permutation", made.null),
            "accuracy": ("split", made.accuracy),
        },
        coords={"left_out": ("split", left)},
    )
    names = [trials.names[i] for i in np.flatnonzero(side)]
    parameters: dict[str, Any] = {"positive": names, "C": C, "n_null": n_null, "seed": seed}
    parameters |= {"standardise": standardise, "folds": len(folds), "n": len(trials.codes)}
    told = ""
    if n_null:
        told = f", null {made.null.mean():.3f}, p = {float(result['p_value']):.3g}"
    verdict = f"Accuracy on conditions left out (CCGP) {ccgp:.3f}{told}."
    return sign(result, "ccgp", {"responses": responses}, parameters, "ccgp", verdict)
