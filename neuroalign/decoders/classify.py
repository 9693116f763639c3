"""Which class was shown: honest cross-validation, confusions, a null, and patterns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign._arrays import copy_geometry, describe
from neuroalign.decoders._batched import guess_prepared
from neuroalign.decoders._classifiers import (
    Prepared,
    Sizes,
    fit_prepared,
    is_linear,
    make_classifier,
    name_classifier,
    prepare_fold,
    read_scores,
)
from neuroalign.decoders._confusion import balance, count_confusion
from neuroalign.decoders._labels import Task, check_permutations, permute_codes, read_task
from neuroalign.decoders._patterns import find_patterns
from neuroalign.rsa._chunk_runs import run_chunks
from neuroalign.schema import SCHEMA_VERSION
from neuroalign.stats.intervals import bootstrap_interval
from neuroalign.stats.permutations import count_reached, permutation_p

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Work:
    """What each relabelling needs."""

    task: Task
    folds: list[Prepared]
    classifier: Any
    sizes: Sizes


def decode_classes(
    responses: xr.DataArray,
    target: Any = "stimulus",
    *,
    group: str | None = "run",
    classifier: Any = "logistic",
    n_splits: int | None = None,
    cv: Any = None,
    n_permutations: int = 0,
    patterns: bool = True,
    seed: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
) -> xr.Dataset:
    """Tell classes apart by a linear classifier on responses it was not trained on.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Times are further columns: a pattern in space and time. For the course of decoding see
        `decode_across_time`.
    target : str, or sequence of labels (sample,)
        Coord on ``sample`` that names the classes, or the labels themselves. Every name is a
        class: leave rest out by ``responses[responses["stimulus"] != "rest"]``.
    group : str or None
        Coord whose groups are held out whole. None: trials are independent of each other, and
        are dealt to folds with their classes balanced; repeats of a stimulus stay together where
        each class has several stimuli.
    classifier : {"logistic", "lda", "svm", "nearest_centroid"}, or scikit-learn classifier
        By name: after scaling each neuroid, with rare classes weighted as much as common ones.
        The penalties of ``logistic`` and ``svm`` have C = 1 / columns. ``lda`` shrinks its
        covariance (Ledoit-Wolf) and holds a matrix of neuroids by neuroids.
        Your own, a pipeline for instance, is cloned and fitted in each fold as it is.
    n_splits : int or None
        None: one group a fold up to 12 groups, else 5 folds; 5 folds of trials.
    cv : splitter, or list of (train, test), optional
        Your own folds; they may not divide groups.
    n_permutations : int
        0 skips the test; 1000 is usual. Labels change places within groups (within folds where
        there are none) and everything is fitted anew. Where neighbouring rows share their label
        (volumes of a block), stretches move as a whole.
    patterns : bool
        Give Haufe patterns of a linear classifier.
    seed : int
    n_jobs : int
        Processes for permutations; -1 for all CPUs.
    progress : bool

    Returns
    -------
    Dataset
        ``balanced_accuracy``, from the confusions of all folds, with ``chance``; ``lower`` and
        ``upper``, 95 % bootstrap over folds of their mean; ``score`` (fold) and ``n_test``
        (fold); ``confusion`` (true, predicted), counts; ``recall`` (true). With permutations
        ``null`` (permutation) and ``p_value``. ``patterns`` (class, neuroid[, time]), mean over
        folds: what a unit of a class's score, less the mean of all, does to responses.

    Raises
    ------
    LeakageError
        When a group stands on both sides of a split, or volumes are split without groups.
    SchemaError, ValueError

    Notes
    -----
    Balanced accuracy is the mean of recalls: a classifier that always says the commonest class is
    at chance. Folds share training rows, so the interval is a description, and the permutations
    are the test: ``p = (1 + #{null >= observed}) / (1 + n_permutations)``.

    References
    ----------
    Brodersen et al. (2010), ICPR, doi:10.1109/ICPR.2010.764, on balanced accuracy.
    Ojala & Garriga (2010), J. Mach. Learn. Res. 11, on permutations within groups.
    Haufe et al. (2014), NeuroImage 87, doi:10.1016/j.neuroimage.2013.10.067.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> shown, runs = ["face", "house"] * 20, np.repeat(["r1", "r2", "r3", "r4"], 10)
    >>> values = rng.normal(size=(40, 6)) + np.outer([1, -1] * 20, [1, 0, 0, 0, 0, 1])
    >>> data = from_arrays(values, stimulus=shown, run=runs, modality="fmri")
    >>> result = decode_classes(data)
    >>> float(result["balanced_accuracy"]) > 0.8
    True
    >>> result["patterns"].dims
    ('class', 'neuroid')
    """
    task = read_task(responses, target, group, n_splits, cv, seed)
    check_permutations(task, n_permutations)
    X = np.asarray(responses.values, dtype=np.float64).reshape(len(responses), -1)
    sizes = Sizes(len(task.classes), X.shape[1], seed)
    make_classifier(classifier, sizes)
    folds = [prepare_fold(X, train, test, classifier) for train, test in task.folds]
    confusion, found = _decode(Work(task, folds, classifier, sizes), X if patterns else None)

    result = _tabulate(task, confusion, seed)
    if n_permutations:
        work = Work(task, folds, classifier, sizes)
        null = np.empty(n_permutations)
        options: dict[str, Any] = {"n_jobs": n_jobs, "progress": progress}
        for number, values in run_chunks(_permute, work, list(range(n_permutations)), **options):
            null[number] = values["null"]
        observed = result["balanced_accuracy"].values
        count = count_reached(null, observed)[0]
        result["null"] = ("permutation", null)
        result["p_value"] = ((), permutation_p(count, observed, n_permutations))
    if found is not None:
        template = describe(responses)
        shaped = found.T.reshape(len(task.classes), *responses.shape[1:])
        coords = {**template.coords, "class": task.classes}
        placed = xr.DataArray(shaped, coords, ("class", *responses.dims[1:]))
        result["patterns"] = copy_geometry(responses, placed)
    name = target if isinstance(target, str) else "target"
    result.attrs |= {
        "kind": "estimate",
        "method": "decode_classes",
        "metric": "balanced_accuracy",
        "model": name_classifier(classifier),
        "target": name,
        "group": group or "",
        "chance": task.chance,
        "seed": seed,
        "n_samples": len(responses),
        "n_neuroids": responses.sizes["neuroid"],
        "n_permutations": n_permutations,
        "schema_version": SCHEMA_VERSION,
        "warnings": "\n".join(task.notes),
        "history": str(responses.attrs.get("history", "")),
        "headline": "balanced_accuracy",
        "provenance": provenance.collect(
            {
                "target": name, "group": group or "", "classifier": name_classifier(classifier),
                "n_splits": n_splits or 0, "cv": type(cv).__name__,
                "n_permutations": n_permutations, "seed": seed,
            },
            {
                "responses": provenance.hash_array(responses),
                "labels": provenance.hash_array(task.codes),
            },
        ),
    }  # fmt: skip
    result.attrs["verdict"] = _describe(result)
    return copy_geometry(responses, result)


def _decode(work: Work, X: Array | None) -> tuple[Array, Array | None]:
    """Confusions (fold, true, predicted) and, of linear classifiers, mean patterns (p, class)."""
    n_classes, codes, folds = work.sizes.n_classes, work.task.codes, work.folds
    confusion = np.empty((len(folds), n_classes, n_classes), dtype=np.int64)
    total: Array | None = None
    for number, fold in enumerate(folds):
        model = fit_prepared(fold, codes, work.classifier, work.sizes)
        guess = np.asarray(model.predict(fold.X_test))
        confusion[number] = count_confusion(codes[fold.test], guess, n_classes)
        if X is None or not is_linear(model):
            continue
        scores = read_scores(model, fold.X_train, n_classes)
        if scores is not None:
            found = find_patterns(X[fold.train], scores) / len(folds)
            total = found if total is None else total + found
    return confusion, total


def _permute(work: Work, number: int) -> dict[str, Array]:
    """Balanced accuracy under labels that know nothing."""
    codes, k = permute_codes(work.task, work.sizes.seed, number), work.sizes.n_classes
    confusion = np.zeros((k, k), dtype=np.int64)
    for fold in work.folds:
        guess = guess_prepared(fold, codes, work.classifier, work.sizes)
        confusion += count_confusion(codes[fold.test], guess, k)
    return {"null": balance(confusion)}


def _tabulate(task: Task, confusion: Array, seed: int) -> xr.Dataset:
    """Scores, counts and the interval of one decoding."""
    pooled, by_fold = confusion.sum(axis=0), balance(confusion)
    shown = pooled.sum(axis=1)
    recall = np.where(shown > 0, np.diagonal(pooled) / np.maximum(shown, 1), np.nan)
    lower = upper = np.nan
    if len(by_fold) > 1:
        interval = bootstrap_interval(by_fold, seed=seed)
        lower, upper = float(interval["lower"]), float(interval["upper"])
    return xr.Dataset(
        {
            "balanced_accuracy": ((), balance(pooled)),
            "chance": ((), np.float64(task.chance)),
            "lower": ((), np.float64(lower)),
            "upper": ((), np.float64(upper)),
            "score": ("fold", by_fold),
            "n_test": ("fold", confusion.sum(axis=(1, 2))),
            "confusion": (("true", "predicted"), pooled),
            "recall": ("true", recall),
        },
        {"fold": task.fold_names, "true": task.classes, "predicted": task.classes},
    )


def _describe(result: xr.Dataset) -> str:
    """One sentence: how well, against what, and what is confused most."""
    score, attrs = float(result["balanced_accuracy"]), result.attrs
    text = (
        f"{result.sizes['true']} classes of '{attrs['target']}' are told apart with a balanced "
        f"accuracy of {score:.3f} (chance {attrs['chance']:.3f}; "
        f"{float(result['lower']):.3f} to {float(result['upper']):.3f} over "
        f"{result.sizes['fold']} folds; {attrs['n_samples']} samples, "
        f"{attrs['n_neuroids']} neuroids)"
    )
    if "p_value" in result:
        text += f", p = {float(result['p_value']):.4f} by {attrs['n_permutations']} permutations"
    wrong = result["confusion"].values / np.maximum(
        result["confusion"].values.sum(axis=1, keepdims=True), 1
    )
    np.fill_diagonal(wrong, 0)
    if wrong.max() > 0:
        true, predicted = np.unravel_index(int(wrong.argmax()), wrong.shape)
        names = result["true"].values
        text += (
            f"; most often confused: '{names[true]}' taken for '{names[predicted]}' "
            f"({wrong.max():.0%})"
        )
    return text + "."
