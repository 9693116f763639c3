"""Whether a predictor finds the same conditions hard, or answers them alike, as a subject does."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign.ceilings._repeats import predict_reliability
from neuroalign.convergence._behaviour import DECODERS, METRIC_OF
from neuroalign.convergence._correlation import (
    correlate_weighted,
    draw_weights,
    find_bounds,
    state,
)
from neuroalign.convergence._trials import check_counts, find_rows, name_conditions
from neuroalign.errors import AlignError, SchemaError, choose
from neuroalign.evaluate._halves import (
    average_repeats,
    describe_unreliable,
    divide,
    draw_halves,
    measure_growth,
    warn_unreliable,
)

Array = npt.NDArray[Any]


def _keep(values: Array, right: Array) -> Array:
    return values


def _miss(values: Array, right: Array) -> Array:
    return values - right


ANSWERS = ("sample", "neuroid")
FEATURES = (("sample", "feature"), ("sample", "feature", "time"))
# What is compared over conditions, of answers and the right ones.
PATTERNS: dict[str, Callable[[Array, Array], Array]] = {"answer": _keep, "error": _miss}


def compare_behaviour(
    features: Mapping[str, xr.DataArray],
    target: xr.DataArray,
    behaviour: xr.DataArray,
    *,
    others: Mapping[str, xr.DataArray] | None = None,
    pattern: str = "answer",
    n_splits: int = 5,
    n_halves: int = 20,
    min_consistency: float = 0.1,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Decode a task from each predictor, and compare its answers with a subject's by condition.

    Parameters
    ----------
    features : mapping of str to DataArray (sample, feature) or (sample, feature, time)
        Predictor -> features, one condition a sample, named by ``stimulus``. Of courses the last
        frame that is known is read.
    target : DataArray (sample,)
        The right answer of each condition, with ``stimulus``: numbers, or names of classes.
    behaviour : DataArray (sample, neuroid)
        Single trials named by ``stimulus``, each condition twice or more: what was answered, in
        the unit of ``target``; for classes 1 where the answer was right and 0 where it was not.
    others : mapping of str to DataArray (sample, neuroid), optional
        Other subject -> trials, with as many answers: the consistency between subjects.
    pattern : {"answer", "error"}
        Compare answers, or (numbers only) how far they are off. Two who both do the task well give
        the same answers; only the same errors tell that they do it alike.
    n_splits : int
        Folds of conditions; classes are balanced over them.
    n_halves : int
        Random halves of the trials for the reliability.
    min_consistency : float
        Answers less reliable have no corrected score, and neither have those whose reliability
        may be 0 by its interval over conditions.
    n_resamples : int
        Bootstrap draws of conditions.
    level : float
    seed : int

    Returns
    -------
    Dataset
        ``performance`` (predictor) on the task: accuracy, or r with the right numbers, which
        is NaN, as is consistency, for a predictor whose answers are the same in all conditions.
        ``consistency`` (predictor, neuroid), corrected, with ``lower`` and ``upper``; ``raw``;
        ``reliability`` (neuroid). attrs: ``n_not_estimable``, ``performance_metric``.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Warns
    -----
    NeuroalignWarning
        When answers are not reliable enough to be compared, or a predictor gives the same to all
        conditions; says which.

    Notes
    -----
    consistency = corr(m, b) / sqrt(SB[corr(b1, b2)]) over conditions, with b the mean over trials,
    b1 and b2 those of halves and m the predictor's held-out answer, which has no trials and no
    noise; another subject's is divided by the root of its reliability too. Classes are decoded by
    logistic regression on z-scored features with C from 1e-8 to 1e8, and m is the probability of
    the right class; numbers by ridge, less what each fold says of average features, without
    which the mean of its training conditions would make a predictor that knows nothing negative.

    References
    ----------
    Nayebi, Rajalingham, Jazayeri & Yang (2023), NeurIPS 36, arXiv:2305.11772: the decoder.
    Rajalingham et al. (2018), J. Neurosci. 38, 7255-7269: consistency of behaviour, corrected for
    noise. Spearman (1904), Am. J. Psychol. 15, 72-101: correction by the root of the reliability.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_scenes
    >>> scenes = simulate_scenes(n_conditions=30, n_neuroids=2, n_repeats=4)
    >>> end = scenes.truth["ends_at"]
    >>> known = end.expand_dims("feature", 1).astype("float32")
    >>> found = compare_behaviour({"truth": known}, end, scenes.behaviour["sub-01"])
    >>> bool(found["consistency"].sel(predictor="truth", neuroid="height") > 0.9)
    True
    """
    shape = choose(PATTERNS, pattern, "pattern")
    if not isinstance(features, Mapping):
        raise SchemaError(
            f"features: expected a mapping of name to DataArray, got {type(features).__name__}. "
            "Pass {'model': features}."
        )
    check_counts(n_splits, n_halves, min_consistency)
    names, codes = _read_trials(behaviour, "behaviour", max(n_splits, 4))
    right, kind = _read_target(target, names, pattern, n_splits)
    rng = np.random.default_rng(seed)
    known = right if kind == "numbers" else np.zeros(len(names))
    own = _Answers(behaviour, names, codes, n_halves, rng, lambda one: shape(one, known[:, None]))
    given = dict(others or {})
    guesses, performance = [], []
    for name, one in features.items():
        X = _take_last(one, names, f"features['{name}']")
        guess, good = DECODERS[kind](X, right, n_splits, seed)
        guesses.append(np.repeat(shape(guess, known)[:, None], own.mean.shape[1], axis=1))
        performance.append(good)
    rivals = []
    for name, one in given.items():
        label = f"others['{name}']"
        others_names, numbers = _read_trials(one, label, 1)
        if not np.array_equal(others_names, names) or one.shape[1:] != behaviour.shape[1:]:
            raise AlignError(
                f"{label}: expected the {len(names)} conditions and {own.mean.shape[1]} answers of "
                f"behaviour, got {len(others_names)} and {one.sizes['neuroid']}. Drop what differs."
            )
        if np.array_equal(one.values, behaviour.values):
            raise AlignError(
                f"{label}: expected trials of another subject, got those of behaviour. Leave it "
                "out: nobody is a ceiling for itself."
            )
        rivals.append(
            _Answers(one, names, numbers, n_halves, rng, lambda one: shape(one, known[:, None]))
        )
    settings = {
        "pattern": pattern, "performance_metric": METRIC_OF[kind], "n_splits": n_splits,
        "n_halves": n_halves, "min_consistency": min_consistency, "n_resamples": n_resamples,
        "level": level, "seed": seed, "n_conditions": len(names),
    }  # fmt: skip
    columns, reliability = _correct(guesses, rivals, own, settings, rng)
    blind = [name for name, one in zip(features, guesses, strict=True) if np.isnan(one).all()]
    return _tabulate(
        columns, blind, np.array([*performance, *[np.nan] * len(rivals)]), reliability, behaviour,
        {
            "predictor": [*features, *given],
            "source": ("predictor", ["model"] * len(guesses) + ["subject"] * len(rivals)),
        },
        settings,
        {name: provenance.hash_array(one) for name, one in {**features, **given}.items()},
    )  # fmt: skip


class _Answers:
    """Mean answers (condition, neuroid) of a subject, and those of random halves of the trials."""

    def __init__(
        self, trials: xr.DataArray, names: Array, codes: Array, n_halves: int,
        rng: np.random.Generator, shape: Callable[[Array], Array],
    ) -> None:  # fmt: skip
        every = np.ones(len(codes), dtype=bool)
        self.mean = shape(average_repeats(trials, codes, every, names).values)
        pairs = [draw_halves(trials, codes, names, rng) for _ in range(n_halves)]
        self.halves = [(shape(one.values), shape(two.values)) for one, two in pairs]
        self.growth = measure_growth(codes)

    def relate_halves(self, weights: Array) -> Array:
        """Reliability of the mean (draw, neuroid)."""
        halves = [_correlate(one, two, weights) for one, two in self.halves]
        return predict_reliability(np.mean(halves, axis=0), self.growth)


def _correlate(one: Array, two: Array, weights: Array) -> Array:
    """Correlate columns (condition, neuroid) under each row of weights: (draw, neuroid)."""
    pairs = zip(one.T, two.T, strict=True)
    return np.stack([correlate_weighted(x, y, weights) for x, y in pairs], axis=1)


def _correct(
    guesses: list[Array], rivals: list[_Answers], own: _Answers, settings: dict[str, Any],
    rng: np.random.Generator,
) -> tuple[dict[str, Array], Array]:  # fmt: skip
    """Correlate with the subject's answers and divide: (predictor, neuroid) each; reliability."""
    n, level, n_resamples = len(own.mean), settings["level"], settings["n_resamples"]
    weights = np.concatenate([np.ones((1, n)), draw_weights(n, n_resamples, rng)])
    ours = own.relate_halves(weights)
    reliability = ours[0].copy()
    if n_resamples:
        # A reliability that other conditions would not have shown is chance.
        bounds = np.array([find_bounds(draws, level)[0] for draws in ours[1:].T])
        ours[:, ~(bounds > 0)] = np.nan
    means = [*guesses, *(rival.mean for rival in rivals)]
    theirs = [np.ones_like(ours)] * len(guesses) + [one.relate_halves(weights) for one in rivals]
    raw = np.array([_correlate(mean, own.mean, weights) for mean in means])
    score = divide(raw, np.array(theirs), ours, settings["min_consistency"])
    low, high = np.moveaxis(
        np.array([[find_bounds(draws, level) for draws in one.T] for one in score[:, 1:]]), 2, 0
    )
    columns = {"consistency": score[:, 0], "lower": low, "upper": high, "raw": raw[:, 0]}
    return columns, reliability


def _read_trials(trials: xr.DataArray, name: str, least: int) -> tuple[Array, Array]:
    found = name_conditions(trials, name, ANSWERS, least)
    if not np.isfinite(trials.values).all():
        raise SchemaError(f"{name}: expected an answer in every trial, got NaN. Drop those trials.")
    return found


def _read_target(
    target: xr.DataArray, names: Array, pattern: str, n_splits: int
) -> tuple[Array, str]:
    rows = find_rows(target, names, "target", (("sample",),))
    right = np.asarray(target.values[rows])
    if right.dtype.kind in "iuf":
        return right.astype(np.float64), "numbers"
    if pattern != "answer":
        raise ValueError(
            f"pattern: expected 'answer' where the target names classes, got '{pattern}'. Whether "
            "an answer was right already says its error."
        )
    classes, counts = np.unique(right, return_counts=True)
    if len(classes) < 2 or counts.min() < n_splits:
        raise ValueError(
            f"target: expected two classes or more, each in {n_splits} conditions, got "
            f"{len(classes)}, the rarest in {int(counts.min())}. Lower n_splits."
        )
    return right, "classes"


def _take_last(one: xr.DataArray, names: Array, label: str) -> Array:
    """Features (condition, feature); of courses, at the last frame known."""
    rows = find_rows(one, names, label, FEATURES)
    schema.check_features(one, label)
    values = one.values[rows].astype(np.float64)
    if one.dims == ("sample", "feature", "time"):
        known = np.asarray(np.isfinite(values).all(axis=1))
        last = known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
        values = values[np.arange(len(values)), :, last]
    if not np.isfinite(values).all():
        raise SchemaError(
            f"{label}: expected finite features of every condition, got NaN throughout in some. "
            "Drop those conditions."
        )
    return values


def _tabulate(
    columns: dict[str, Array], blind: list[str], performance: Array, reliability: Array,
    behaviour: xr.DataArray, labels: dict[str, Any], settings: dict[str, Any],
    hashes: dict[str, str],
) -> xr.Dataset:  # fmt: skip
    score = columns["consistency"]
    lines = [
        describe_unreliable(
            row, behaviour["neuroid"].values, settings["min_consistency"], f"answers by '{name}'"
        )
        for name, row in zip(labels["predictor"], score, strict=True)
        if name not in blind
    ]
    lines += [
        f"features['{name}']: expected held-out answers that change with the condition, got the "
        "same in all. It tells nothing of target: its consistency is NaN."
        for name in blind
    ]
    said = "\n".join(line for line in lines if line)
    answer = xr.Dataset(
        {name: (("predictor", "neuroid"), values) for name, values in columns.items()}
        | {"performance": ("predictor", performance), "reliability": ("neuroid", reliability)},
        coords={**labels, "neuroid": behaviour["neuroid"].values},
        attrs={
            "kind": "estimate",
            "method": "compare_behaviour",
            "headline": "consistency",
            "verdict": "behaviour consistency: "
            + "; ".join(
                state(name, *(columns[key][row, 0] for key in ("consistency", "lower", "upper")))
                for row, name in enumerate(labels["predictor"])
            ),
            "n_not_estimable": int(np.isnan(score).sum()),
            **settings,
            **({"warnings": said} if said else {}),
            "provenance": provenance.collect(
                settings, {**hashes, "behaviour": provenance.hash_array(behaviour)}
            ),
        },
    )
    warn_unreliable(said, depth=4)
    return schema.check_estimate(answer)
