"""Decoding across time and across conditions: what a code learnt in one place says in another."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign._arrays import copy_geometry
from neuroalign.decoders._batched import decide, guess_prepared
from neuroalign.decoders._classifiers import (
    Prepared,
    Sizes,
    make_classifier,
    name_classifier,
    prepare_fold,
)
from neuroalign.decoders._confusion import balance, count_confusion, score_accuracy, score_auc
from neuroalign.decoders._labels import (
    Task,
    check_permutations,
    check_time,
    permute_codes,
    read_labels,
    read_task,
)
from neuroalign.errors import choose, some
from neuroalign.rsa._chunk_runs import run_chunks
from neuroalign.schema import SCHEMA_VERSION
from neuroalign.stats.multiple import fdr
from neuroalign.stats.permutations import count_reached, max_statistic, permutation_p

Array = npt.NDArray[Any]
# Of (labels, scores of classes), and the value of scores that know nothing (None: 1 / classes).
METRICS: dict[str, tuple[Any, float | None]] = {
    "balanced_accuracy": (score_accuracy, None),
    "roc_auc": (score_auc, 0.5),
}
# Bytes of scores held at once: a stretch of training times against all test times.
HELD = 1 << 26
WHOLE = "all neuroids"


@dataclass(frozen=True)
class Work:
    """What each relabelling needs: rows (sample, neuroid, time), or folds by condition; labels."""

    X: Array
    task: Task
    classifier: Any
    sizes: Sizes
    metric: str = "balanced_accuracy"
    conditions: Array | None = None
    prepared: tuple[tuple[Prepared, ...], ...] = ()


def decode_across_time(
    responses: xr.DataArray,
    target: Any = "stimulus",
    *,
    group: str | None = "run",
    classifier: Any = "lda",
    metric: str = "balanced_accuracy",
    n_splits: int | None = None,
    cv: Any = None,
    n_permutations: int = 0,
    seed: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
) -> xr.Dataset:
    """Fit a classifier at each time, and ask it at every time of trials it was not trained on.

    A code that stays the same gives a square, one that moves on a diagonal.

    Parameters
    ----------
    responses : DataArray (sample, neuroid, time)
    target, group, n_splits, cv, n_permutations, seed, n_jobs, progress
        As in `decode_classes`. All times share folds and permuted labels.
    classifier : {"lda", "nearest_centroid", "logistic", "svm"}, or scikit-learn classifier
        The first two are solved for all times at once.
    metric : {"balanced_accuracy", "roc_auc"}
        The area needs two classes; it does not ask where the border of the classes lies, which
        drifts from time to time.

    Returns
    -------
    Dataset
        Of kind ``generalisation``: ``score`` (fold, neuroid, train_time, time), with one
        ``neuroid`` for all of them, and ``mean_score`` (neuroid, train_time, time). Where the two
        times agree it is the course of decoding. With permutations ``p_value``, ``q_value``
        (false discovery rate) and ``p_fwer`` (max statistic), of the same dims. For clusters over
        subjects see `infer_across_time`.

    Raises
    ------
    LeakageError, SchemaError, ValueError

    References
    ----------
    King & Dehaene (2014), Trends Cogn. Sci. 18(4), doi:10.1016/j.tics.2014.01.002.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(size=(60, 5, 3))
    >>> values[::2, :2, 1:] += 1.5
    >>> data = from_arrays(values, stimulus=["a", "b"] * 30, modality="eeg", time=[0, 0.1, 0.2])
    >>> score = decode_across_time(data, group=None)["mean_score"][0]
    >>> bool(score.sel(train_time=0.1, time=0.2) > 0.7 > score.sel(train_time=0.0, time=0.0))
    True
    """
    task = read_task(responses, target, group, n_splits, cv, seed)
    check_time(responses, wanted=True)
    check_permutations(task, n_permutations)
    _, level = choose(METRICS, metric, "metric")
    sizes = Sizes(len(task.classes), responses.sizes["neuroid"], seed)
    make_classifier(classifier, sizes)
    if metric == "roc_auc" and len(task.classes) != 2:
        raise ValueError(
            f"metric: expected 'balanced_accuracy' for {len(task.classes)} classes, got "
            "'roc_auc', which needs two. Select two classes, or change the metric."
        )
    X = np.asarray(responses.values, dtype=np.float64)
    work = Work(X, task, classifier, sizes, metric)
    scores = _score_times(work)
    mean = _average(scores)
    dims = ("neuroid", "train_time", "time")
    columns = {"mean_score": mean} | _test(work, mean, n_permutations, n_jobs, progress)
    result = xr.Dataset(
        {"score": (("fold", *dims), scores[:, None])}
        | {name: (dims, column[None]) for name, column in columns.items()},
        {"fold": task.fold_names, "neuroid": [WHOLE]},
    )
    if "time" in responses.coords:
        times = responses["time"].values
        result = result.assign_coords(time=times, train_time=times)
    chance = task.chance if level is None else level
    result.attrs = _record(responses, work, target, group, n_permutations) | {
        "kind": "generalisation",
        "method": "decode_across_time",
        "chance": chance,
    }
    return schema.check_generalization(result)


def _score_times(work: Work) -> Array:
    """Scores (fold, train_time, time)."""
    X, codes, n_times = work.X, work.task.codes, work.X.shape[2]
    function, _ = METRICS[work.metric]
    found = np.empty((len(work.task.folds), n_times, n_times))
    for number, (train, test) in enumerate(work.task.folds):
        known = np.ascontiguousarray(X[train].transpose(2, 0, 1))
        asked = X[test].transpose(2, 0, 1).reshape(-1, X.shape[1])
        per_time = 8 * len(asked) * work.sizes.n_classes
        step = max(1, HELD // per_time)
        for begin in range(0, n_times, step):
            part = slice(begin, begin + step)
            scores = decide(
                work.classifier, known[part], codes[train], asked, work.sizes,
                scored=work.metric == "roc_auc",
            )  # fmt: skip
            apart = scores.reshape(len(scores), n_times, len(test), -1)
            found[number, part] = function(codes[test], apart)
    return found


def _average(scores: Array) -> Array:
    """Mean over folds, of those that have a score."""
    known = np.isfinite(scores)
    total = np.where(known, scores, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _permute_times(work: Work, number: int) -> dict[str, Array]:
    """Mean scores under labels that know nothing."""
    codes = permute_codes(work.task, work.sizes.seed, number)
    return {"null": _average(_score_times(replace(work, task=work.task._replace(codes=codes))))}


def _test(
    work: Work, observed: Array, n_permutations: int, n_jobs: int, progress: bool
) -> dict[str, Array]:
    """p values of scores by permuted labels, each by itself and for all at once."""
    if not n_permutations:
        return {}
    null = np.empty((n_permutations, *observed.shape))
    job = _permute_times if work.conditions is None else _permute_conditions
    numbers = list(range(n_permutations))
    for number, values in run_chunks(job, work, numbers, n_jobs=n_jobs, progress=progress):
        null[number] = values["null"]
    p_value = permutation_p(count_reached(null, observed)[0], observed, n_permutations)
    return {"p_value": p_value, "q_value": fdr(p_value), "p_fwer": max_statistic(observed, null)}


def decode_across_conditions(
    responses: xr.DataArray,
    target: Any,
    across: str,
    *,
    group: str | None = "run",
    classifier: Any = "logistic",
    n_splits: int | None = None,
    cv: Any = None,
    n_permutations: int = 0,
    seed: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
) -> xr.Dataset:
    """Train on one condition, and decode the same classes in each other.

    A code that is shared survives the change of condition: words and pictures, left and right,
    seen and imagined.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
    target : str, or sequence of labels (sample,)
        Classes, all of which occur in each condition.
    across : str
        Coord on ``sample`` that names the conditions.
    group, classifier, n_splits, cv, seed, n_jobs, progress
        As in `decode_classes`. Test rows are always of held-out groups, also in other conditions:
        trials of one run share noise whatever their condition.
    n_permutations : int
        Labels change places within groups and conditions.

    Returns
    -------
    Dataset
        ``mean_score`` (train_condition, condition), balanced accuracy over all folds; ``score``
        (fold, train_condition, condition), NaN where a fold tests none; ``confusion``
        (train_condition, condition, true, predicted); ``chance``. With permutations ``p_value``,
        ``q_value`` and ``p_fwer`` (train_condition, condition).

    Raises
    ------
    LeakageError, SchemaError, ValueError

    References
    ----------
    Kaplan, Man & Greening (2015), Front. Hum. Neurosci. 9:151, doi:10.3389/fnhum.2015.00151.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(size=(80, 4))
    >>> values[::2, 0] += 2
    >>> data = from_arrays(values, stimulus=["face", "house"] * 40, modality="fmri",
    ...                    run=np.repeat(["r1", "r2"], 40))
    >>> data = data.assign_coords(task=("sample", ["see", "see", "recall", "recall"] * 20))
    >>> result = decode_across_conditions(data, "stimulus", across="task")
    >>> float(result["mean_score"].sel(train_condition="see", condition="recall")) > 0.7
    True
    """
    task = read_task(responses, target, group, n_splits, cv, seed)
    labels, _ = read_labels(responses, across)
    names, conditions = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"across: expected at least 2 conditions in '{across}', got {some(names)}. Use "
            "decode_classes within one."
        )
    _check_conditions(task, conditions, names)
    # Labels stay in their group and their condition.
    own = np.unique(task.within, return_inverse=True)[1] * len(names) + conditions
    task = task._replace(within=own)
    check_permutations(task, n_permutations)
    X = np.asarray(responses.values, dtype=np.float64).reshape(len(responses), -1)
    sizes = Sizes(len(task.classes), X.shape[1], seed)
    make_classifier(classifier, sizes)
    prepared = tuple(
        tuple(
            prepare_fold(X, train[conditions[train] == own], test, classifier)
            for own in range(len(names))
        )
        for train, test in task.folds
    )
    # Processes get what is prepared, not the responses.
    work = Work(np.empty(0), task, classifier, sizes, conditions=conditions, prepared=prepared)
    confusion = _confuse_conditions(work)
    pooled = confusion.sum(axis=0)
    mean = _balance_known(pooled)
    dims = ("train_condition", "condition")
    columns = {"mean_score": mean} | _test(work, mean, n_permutations, n_jobs, progress)
    result = xr.Dataset(
        {name: (dims, column) for name, column in columns.items()}
        | {
            "score": (("fold", *dims), _balance_known(confusion)),
            "confusion": ((*dims, "true", "predicted"), pooled),
            "chance": ((), np.float64(task.chance)),
        },
        {
            "fold": task.fold_names, "train_condition": names, "condition": names,
            "true": task.classes, "predicted": task.classes,
        },
    )  # fmt: skip
    result.attrs = _record(responses, work, target, group, n_permutations) | {
        "kind": "estimate",
        "method": "decode_across_conditions",
        "across": across,
        "chance": task.chance,
        "headline": "mean_score",
    }
    result.attrs["verdict"] = _describe_conditions(result)
    return copy_geometry(responses, result)


def _check_conditions(task: Task, conditions: Array, names: Array) -> None:
    for name, (train, _) in zip(task.fold_names, task.folds, strict=True):
        for number, condition in enumerate(names):
            held = task.codes[train][conditions[train] == number]
            missing = np.setdiff1d(np.arange(len(task.classes)), held)
            if len(missing):
                raise ValueError(
                    f"target: expected all classes in the training rows of condition "
                    f"'{condition}', got none of {some(task.classes[missing])} in fold '{name}'. "
                    "Leave those classes or that condition out."
                )


def _confuse_conditions(work: Work) -> Array:
    """Confusions (fold, train_condition, condition, true, predicted)."""
    conditions = np.asarray(work.conditions)
    n, k, codes = int(conditions.max()) + 1, work.sizes.n_classes, work.task.codes
    found = np.zeros((len(work.prepared), n, n, k, k), dtype=np.int64)
    for number, folds in enumerate(work.prepared):
        for own, fold in enumerate(folds):
            guess = guess_prepared(fold, codes, work.classifier, work.sizes)
            for other in range(n):
                rows = conditions[fold.test] == other
                shown = codes[fold.test][rows]
                found[number, own, other] = count_confusion(shown, guess[rows], k)
    return found


def _balance_known(confusion: Array) -> Array:
    """Balanced accuracy, NaN where nothing was tested."""
    return np.where(confusion.sum(axis=(-2, -1)) > 0, balance(confusion), np.nan)


def _permute_conditions(work: Work, number: int) -> dict[str, Array]:
    codes = permute_codes(work.task, work.sizes.seed, number)
    confusion = _confuse_conditions(replace(work, task=work.task._replace(codes=codes)))
    return {"null": _balance_known(confusion.sum(axis=0))}


def _record(
    responses: xr.DataArray, work: Work, target: Any, group: str | None, n_permutations: int
) -> dict[str, Any]:
    """What both results say of themselves."""
    name = target if isinstance(target, str) else "target"
    model, seed = name_classifier(work.classifier), work.sizes.seed
    inputs = {
        "responses": provenance.hash_array(responses),
        "labels": provenance.hash_array(work.task.codes),
    }
    return {
        "metric": work.metric,
        "model": model,
        "target": name,
        "group": group or "",
        "seed": seed,
        "n_samples": len(responses),
        "n_neuroids": responses.sizes["neuroid"],
        "n_permutations": n_permutations,
        "schema_version": SCHEMA_VERSION,
        "warnings": "\n".join(work.task.notes),
        "history": str(responses.attrs.get("history", "")),
        "provenance": provenance.collect(
            {
                "target": name, "group": group or "", "classifier": model,
                "metric": work.metric, "n_permutations": n_permutations, "seed": seed,
                "n_folds": len(work.task.folds),
            },
            inputs,
        ),
    }  # fmt: skip


def _describe_conditions(result: xr.Dataset) -> str:
    """One sentence: within conditions, and across them."""
    mean = result["mean_score"].values
    same = np.eye(len(mean), dtype=bool)
    text = (
        f"'{result.attrs['target']}' is decoded with a balanced accuracy of "
        f"{np.nanmean(mean[same]):.3f} within and {np.nanmean(mean[~same]):.3f} across the "
        f"{len(mean)} conditions of '{result.attrs['across']}' (chance "
        f"{result.attrs['chance']:.3f})"
    )
    if "p_fwer" in result:
        passed = int((result["p_fwer"].values[~same] < 0.05).sum())
        text += f"; {passed} of {int((~same).sum())} directions pass p < 0.05 corrected"
    return text + "."
