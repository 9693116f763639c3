"""How the rows of responses are split: by a coord, by time, with gaps, again and again."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import is_continuous
from neuroalign._folds import Folds, cut_contiguous, find_repeated, make_folds, purge_folds
from neuroalign.errors import some

Array = npt.NDArray[Any]
# The group that is no coord: stretches of each recording.
BY_TIME = "time"


def split_rows(
    responses: xr.DataArray,
    group: str | None,
    n_splits: int | None,
    gap: float,
    n_repeats: int,
    seed: int,
) -> tuple[Folds, list[str]]:
    """Give the folds, one repeat after the other, and their names."""
    folds, names = [], []
    for repeat in range(n_repeats):
        once = _split_once(responses, group, n_splits, seed + repeat, n_repeats > 1)
        prefix = f"repeat-{repeat} " if n_repeats > 1 else ""
        folds += once
        names += [prefix + name for name in _name_folds(responses, once, group)]
    check_sizes(folds, "group" if n_splits is None else "n_splits")
    if gap:
        folds = purge_folds(folds, gap, read_run(responses), read(responses, "onset"))
    return folds, names


def check_sizes(folds: Folds, name: str) -> None:
    """Check that every fold can be scored.

    Raises
    ------
    ValueError
        When one tests a single row; names the argument that made it.
    """
    short = sum(len(test) < 2 for _, test in folds)
    if short:
        raise ValueError(
            f"{name}: expected at least 2 test rows in every fold, got 1 in {short} of "
            f"{len(folds)} folds. One row has no correlation and no variance to explain: use fewer "
            "and larger folds."
        )


def find_inner(responses: xr.DataArray, group: str | None) -> Array | None:
    """Give the labels that inner folds keep whole; unique stimuli have nothing to keep."""
    if group is None:
        return find_repeated(read(responses, "stimulus"))
    return None if group == BY_TIME else np.asarray(responses[group].values)


def read(responses: xr.DataArray, coord: str) -> Array | None:
    return np.asarray(responses[coord].values) if coord in responses.coords else None


def read_run(responses: xr.DataArray) -> Array:
    run = read(responses, "run")
    return np.zeros(responses.sizes["sample"], dtype=np.intp) if run is None else run


def _split_once(
    responses: xr.DataArray, group: str | None, n_splits: int | None, seed: int, again: bool
) -> Folds:
    n = responses.sizes["sample"]
    if group == BY_TIME:
        _refuse_repeats(again, "stretches of time have one arrangement")
        return cut_contiguous(n_splits or 5, read_run(responses), read(responses, "onset"))
    if group is None:
        stimulus = read(responses, "stimulus")
        _check_count(stimulus, n, n_splits)
        if again and (stimulus is None or is_continuous(responses)):
            _refuse_repeats(again, "neighbours in time are not shuffled")
        if again:
            return make_folds(
                n, groups=stimulus, n_splits=n_splits or 5, seed=seed, shuffle_groups=True
            )
        return make_folds(n, n_splits=n_splits, stimulus=stimulus, seed=seed)
    if group not in responses.coords or responses[group].dims != ("sample",):
        known = [name for name, coord in responses.coords.items() if coord.dims == ("sample",)]
        raise ValueError(
            f"group: expected a coord on 'sample' of responses, got '{group}' "
            f"(there are {some(known)}). Use group=None to split by stimulus."
        )
    labels = responses[group].values
    n_groups = len(np.unique(labels))
    if n_groups < 2:
        raise ValueError(
            f"group: expected at least 2 different '{group}' to hold one out, got "
            f"{some(np.unique(labels))}. Load more, use group=None to split by stimulus, or "
            "group='time' with a gap= to split a recording."
        )
    if n_splits is not None and n_splits > n_groups:
        raise ValueError(
            f"n_splits: expected at most {n_groups}, as many as there are '{group}' "
            f"({some(np.unique(labels))}), got {n_splits}. Use None to leave one out, or another "
            "group."
        )
    if again and (n_splits is None or n_splits >= n_groups):
        _refuse_repeats(again, f"each of {n_groups} '{group}' is held out by itself")
    return make_folds(n, groups=labels, n_splits=n_splits, seed=seed, shuffle_groups=again)


def _check_count(stimulus: Array | None, n: int, n_splits: int | None) -> None:
    """Refuse more folds than there are stimuli to hold out."""
    labels = find_repeated(stimulus)
    n_units = n if labels is None else len(np.unique(labels))
    if n_splits is not None and n_splits > n_units > 1:
        raise ValueError(
            f"n_splits: expected at most {n_units}, as many as there are different stimuli, got "
            f"{n_splits}. Use fewer folds."
        )


def _refuse_repeats(again: bool, cause: str) -> None:
    if again:
        raise ValueError(
            f"n_repeats: expected 1 where every repeat makes the same folds ({cause}), got more. "
            "Drop it, or set n_splits below the number of groups."
        )


def _name_folds(responses: xr.DataArray, folds: Folds, group: str | None) -> list[str]:
    """Name each fold by the groups it holds out, or by its number."""
    labels = None if group in (None, BY_TIME) else responses[group].values
    names = []
    for number, (_, test) in enumerate(folds):
        held = set() if labels is None else set(labels[test].astype(str).tolist())
        names.append("+".join(sorted(held)) if 0 < len(held) <= 3 else f"fold-{number}")
    return names
