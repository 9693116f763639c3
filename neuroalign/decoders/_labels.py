"""What is decoded, which rows train and test, and which labels may change places.

In: responses and what the caller asked for. Out: a ``Task`` on bare arrays, checked: every fold
trains on all classes, and no group stands on both sides of a split.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from neuroalign import schema
from neuroalign._folds import Folds, make_folds, read_folds
from neuroalign.errors import LeakageError, SchemaError, some
from neuroalign.stats.permutations import permute_rows

Array = npt.NDArray[Any]
# By how much more often than chance neighbours must share their label to count as blocks.
BLOCKED = 0.25


class Task(NamedTuple):
    """Labels as numbers (sample), their names, folds with names, and what permutations keep."""

    codes: Array
    classes: Array
    folds: Folds
    fold_names: list[str]
    within: Array
    blocks: Array | None
    notes: list[str]

    @property
    def chance(self) -> float:
        """Balanced accuracy of guesses that know nothing."""
        return 1.0 / len(self.classes)


def read_task(
    responses: xr.DataArray,
    target: Any,
    group: str | None,
    n_splits: int | None,
    cv: Any,
    seed: int,
) -> Task:
    """Check everything about labels and folds.

    Raises
    ------
    SchemaError, LeakageError, ValueError
    """
    schema.check_responses(responses)
    if not np.isfinite(responses.values.sum(dtype=np.float64)):
        lost = ~np.isfinite(responses.values).reshape(len(responses), -1).all(axis=1)
        if lost.any():
            raise ValueError(
                f"responses: expected finite numbers, got NaN or infinity in {int(lost.sum())} "
                f"rows (first: {int(np.argmax(lost))}). Drop or fill those first."
            )
    labels, name = read_labels(responses, target)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"target: expected at least 2 classes, got {some(classes)}. Name another coord."
        )
    groups = None if group is None else read_group(responses, group)
    stretches = _find_stretches(responses, codes)
    if groups is None and cv is None and stretches is not None:
        raise LeakageError(
            "group: expected whole runs to be held out where neighbouring rows share their "
            f"'{name}' (volumes or blocks), got None. Use group='run'."
        )
    stimulus = _find_stimuli(responses, codes)
    if cv is not None:
        folds = read_folds(cv, responses.values, codes, groups)
        _check_groups(folds, stretches if groups is None else groups, group or "stretch")
    elif groups is not None:
        folds = make_folds(len(codes), groups=groups, n_splits=n_splits)
    else:
        folds = _split_trials(codes, classes, stimulus, n_splits or 5, seed)
    names = _name_folds(folds, groups)
    _check_classes(folds, names, codes, classes)
    tested = np.concatenate([test for _, test in folds])
    within = np.zeros(len(codes), dtype=np.intp) if groups is None else groups
    if groups is None and len(np.unique(tested)) == len(tested) == len(codes):
        for number, (_, test) in enumerate(folds):
            within[test] = number
    blocks = stretches if stretches is not None else (stimulus if groups is None else None)
    return Task(
        codes, classes, folds, names, within, blocks, _note_shared(responses, folds, codes, name)
    )


def read_labels(responses: xr.DataArray, target: Any) -> tuple[Array, str]:
    """Give the label of each sample, and what it is called.

    Raises
    ------
    SchemaError
        When there is no such coord.
    ValueError
        When labels do not fit the samples, or are measured and not named.
    """
    if isinstance(target, str):
        if target not in responses.coords or responses[target].dims != ("sample",):
            known = [key for key, c in responses.coords.items() if c.dims == ("sample",)]
            raise SchemaError(
                f"target: expected a coord on 'sample' of responses, got '{target}' (there are "
                f"{some(known)}). Assign it, or pass the labels."
            )
        labels, name = responses[target].values, target
    else:
        labels, name = np.asarray(target), str(getattr(target, "name", None) or "target")
    if labels.shape != (len(responses),):
        raise ValueError(
            f"target: expected {len(responses)} labels, got shape {labels.shape}. Label each "
            "sample."
        )
    if labels.dtype.kind not in "UTOSiub":
        raise ValueError(
            f"target: expected names, whole numbers or booleans, got {labels.dtype}. Use "
            "RidgeDecoder for measured targets, or cut them into classes."
        )
    return labels.astype(str), name


def read_group(responses: xr.DataArray, group: str) -> Array:
    """Give the group of each sample.

    Raises
    ------
    ValueError
        When there is no such coord, or a single group.
    """
    if group not in responses.coords or responses[group].dims != ("sample",):
        known = [key for key, c in responses.coords.items() if c.dims == ("sample",)]
        raise ValueError(
            f"group: expected a coord on 'sample' of responses, got '{group}' (there are "
            f"{some(known)}). Use group=None for independent trials."
        )
    groups = np.asarray(responses[group].values)
    if len(np.unique(groups)) < 2:
        raise ValueError(
            f"group: expected at least 2 different '{group}' to hold one out, got "
            f"{some(np.unique(groups))}. Load more, or use group=None for independent trials."
        )
    return groups


def _find_stretches(responses: xr.DataArray, codes: Array) -> Array | None:
    """Number stretches of one label where neighbours in time share theirs; None for trials."""
    if not {"run", "onset"} <= set(responses.coords):
        return None
    run = np.unique(responses["run"].values, return_inverse=True)[1]
    order = np.lexsort([responses["onset"].values, run])
    same_run = run[order][1:] == run[order][:-1]
    alike = codes[order][1:] == codes[order][:-1]
    if not same_run.any():
        return None
    expected = float(((np.bincount(codes) / len(codes)) ** 2).sum())
    if alike[same_run].mean() <= expected + BLOCKED * (1 - expected):
        return None
    stretches = np.empty(len(codes), dtype=np.intp)
    stretches[order] = np.concatenate([[0], np.cumsum(~(same_run & alike))])
    return stretches


def _find_stimuli(responses: xr.DataArray, codes: Array) -> Array | None:
    """Give the stimuli when they repeat and each class has several; None otherwise."""
    if "stimulus" not in responses.coords:
        return None
    stimulus = np.unique(responses["stimulus"].values, return_inverse=True)[1]
    pairs = np.unique(np.stack([stimulus, codes]), axis=1)
    nested = pairs.shape[1] == stimulus.max() + 1
    several = bool((np.bincount(pairs[1]) > 1).all())
    return stimulus if nested and several and len(codes) > stimulus.max() + 1 else None


def _split_trials(
    codes: Array, classes: Array, stimulus: Array | None, n_splits: int, seed: int
) -> Folds:
    """Deal independent trials to folds of alike classes; repeats of a stimulus stay together."""
    units = codes
    if stimulus is not None:
        units = codes[np.unique(stimulus, return_index=True)[1]]
    counts = np.bincount(units)
    if n_splits < 2 or counts.min() < n_splits:
        raise ValueError(
            f"n_splits: expected 2 to {counts.min()}, the rows (or stimuli) of "
            f"'{classes[counts.argmin()]}', got {n_splits}. Use fewer folds, or leave rare classes "
            "out."
        )
    options: dict[str, Any] = {"n_splits": n_splits, "shuffle": True, "random_state": seed}
    rows = np.empty((len(codes), 0))
    if stimulus is None:
        return list(StratifiedKFold(**options).split(rows, codes))
    return list(StratifiedGroupKFold(**options).split(rows, codes, stimulus))


def _check_groups(folds: Folds, groups: Array | None, group: str) -> None:
    """Refuse folds that test a group, or a stretch of one label, that they train on."""
    if groups is None:
        return
    for number, (train, test) in enumerate(folds):
        shared = np.intersect1d(groups[train], groups[test])
        if len(shared):
            raise LeakageError(
                f"cv: expected test rows of a '{group}' unseen in training, got {len(shared)} "
                f"shared in fold {number} ({some(shared)}). Rows of one {group} share noise: "
                "use a splitter of whole groups, or drop cv."
            )


def _check_classes(folds: Folds, names: list[str], codes: Array, classes: Array) -> None:
    for name, (train, _) in zip(names, folds, strict=True):
        missing = np.setdiff1d(np.arange(len(classes)), codes[train])
        if len(missing):
            raise ValueError(
                f"target: expected all classes in the training rows of every fold, got none of "
                f"{some(classes[missing])} in fold '{name}'. Hold out something that the classes "
                "share, or leave those classes out."
            )


def _name_folds(folds: Folds, groups: Array | None) -> list[str]:
    """Name each fold by up to three groups that it holds out, or by its number."""
    names = []
    for number, (_, test) in enumerate(folds):
        held = [] if groups is None else np.unique(groups[test].astype(str)).tolist()
        names.append("+".join(held) if 0 < len(held) <= 3 else f"fold-{number}")
    return names


def _note_shared(responses: xr.DataArray, folds: Folds, codes: Array, name: str) -> list[str]:
    """Say when a class could be told by stimuli that were seen in training."""
    if "stimulus" not in responses.coords or name == "stimulus":
        return []
    stimulus = np.unique(responses["stimulus"].values, return_inverse=True)[1]
    if stimulus.max() + 1 <= codes.max() + 1:
        return []
    if not any(np.isin(stimulus[test], stimulus[train]).any() for train, test in folds):
        return []
    return [
        f"Stimuli come in training and test rows: '{name}' may be told by single stimuli, not by "
        "what its stimuli share. Hold stimuli out to ask for that."
    ]


def permute_codes(task: Task, seed: int, number: int) -> Array:
    """Draw labels that know nothing: permuted within groups, stretches and stimuli kept whole."""
    rng = np.random.default_rng([seed, number])
    n = len(task.codes)
    order = permute_rows(n, "block", rng, blocks=task.blocks, within=task.within)
    return task.codes[order]


def check_permutations(task: Task, n_permutations: int) -> None:
    """Check that labels can be permuted at all.

    Raises
    ------
    ValueError
    """
    if n_permutations < 0:
        raise ValueError(
            f"n_permutations: expected 0 or more, got {n_permutations}. 1000 is usual."
        )
    if n_permutations and all(
        (permute_codes(task, 0, number) == task.codes).all() for number in range(20)
    ):
        raise ValueError(
            "n_permutations: expected labels that can change places within a group, got one "
            "label, or one stretch of each size, in every group. Use 0, or another group."
        )


def check_time(responses: xr.DataArray, *, wanted: bool) -> None:
    """Check that responses have times, or that they have none.

    Raises
    ------
    SchemaError
    """
    if wanted and "time" not in responses.dims:
        raise SchemaError(
            f"responses: expected dims ('sample', 'neuroid', 'time'), got {responses.dims}. "
            "Use decode_classes where there is one time."
        )
    if not wanted and "time" in responses.dims:
        raise SchemaError(
            f"responses: expected dims ('sample', 'neuroid'), got {responses.dims}. Average a "
            "window of time first."
        )
