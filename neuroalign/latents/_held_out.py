"""Held-out trials and hidden units: who trains, who tests, and fits to some of the trials.

In: recordings as latent models take them. Out: trials (sample, neuroid, time), folds, units.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone

from neuroalign._folds import Folds, make_folds
from neuroalign.errors import NeuroalignWarning, SchemaError, choose
from neuroalign.latents._base import LatentModel
from neuroalign.latents._input_checks import says_rates
from neuroalign.latents._trials import Trials, read_trials

Array = npt.NDArray[Any]
# A unit with fewer training spikes is not scored.
FEWEST_SPIKES = 10


class Recording(NamedTuple):
    """Trials as (sample, neuroid, time), NaN where hidden, and whether all are counts."""

    X: xr.DataArray
    counts: bool


def check_model(model: Any) -> None:
    """Check that a model is an instance of one of ours.

    Raises
    ------
    ValueError
    """
    kind = model.__name__ if isinstance(model, type) else type(model).__name__
    if isinstance(model, type) or not isinstance(model, LatentModel):
        got = f"the class {kind}" if isinstance(model, type) else kind
        made = isinstance(model, type) and issubclass(model, LatentModel)
        remedy = f"Pass {kind}(...)" if made else "Pass the model first, then X: GPFA(3), say"
        raise ValueError(f"model: expected a LatentModel, got {got}. {remedy}.")


@contextmanager
def say_once(known: set[str] | None = None) -> Iterator[None]:
    """Issue what many fits warn of once, numbers aside; ``known`` is what was said before."""
    known = set() if known is None else known
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        core = re.sub(r"\d+", "#", str(one.message))
        if core not in known:
            known.add(core)
            # Past the context manager and its caller, to who called that.
            warnings.warn(str(one.message), one.category, stacklevel=4)


def split_trials(
    model: Any, X: Any, mask: Any, n_splits: int, group: str | None, gap: int
) -> tuple[Recording, Folds]:
    """Lay out trials and deal them to folds; cut a single run into stretches."""
    check_model(model)
    # Laid out, trials have a clock of their own.
    model._check_input(X)
    trials = read_trials(X, mask)
    if trials.rows is not None and len(trials.rows) == 1:
        trials = _cut_stretches(trials, n_splits, gap)
    laid = trials.to_array()
    groups = None
    if group is not None:
        if not _name_groups(laid):
            raise ValueError(
                f"group: expected None for runs, each of which is a fold already, got '{group}'. "
                "Trials (sample, neuroid, time) are grouped by a coord on sample."
            )
        choose(dict.fromkeys(_name_groups(laid)), group, "group")
        groups = laid[group].values
    if laid.sizes["sample"] < 2:
        raise ValueError(
            "X: expected at least 2 trials or a longer run, got 1 trial. Give more trials, or a "
            "run as (sample, neuroid)."
        )
    folds = make_folds(laid.sizes["sample"], groups=groups, n_splits=n_splits)
    # Runs and groups are folds as they come; trials are asked for by number.
    if len(folds) < n_splits and group is None and trials.rows is None:
        warnings.warn(
            f"n_splits: expected at most the {len(folds)} trials, got {n_splits}. There are "
            f"{len(folds)} folds.", NeuroalignWarning, stacklevel=3,
        )  # fmt: skip
    values = trials.Y[trials.observed]
    whole = bool((values >= 0).all() and (values == np.rint(values)).all())
    counts = whole and not says_rates(X)
    return Recording(laid, counts), folds


def _name_groups(laid: xr.DataArray) -> list[str]:
    return [str(name) for name, coord in laid.coords.items() if coord.dims == ("sample",)]


def _cut_stretches(trials: Trials, n_splits: int, gap: int) -> Trials:
    """Make stretches of one run trials, with bins dropped before each but the first."""
    Y = np.where(trials.observed[0], trials.Y[0], np.nan)
    parts = [part[gap if i else 0 :] for i, part in enumerate(np.array_split(Y, n_splits))]
    if min(map(len, parts)) < 2:
        raise ValueError(
            f"n_splits: expected stretches of at least 2 bins, got {len(Y)} bins for {n_splits} "
            f"stretches with a gap of {gap}. Use fewer."
        )
    cut = read_trials([part.T for part in parts])
    return Trials(cut.Y, cut.observed, cut.inside, trials.labels, cut.source)


def split_units(
    values: Array, folds: Folds, held_out: float, n_splits: int, counts: bool, seed: int
) -> list[Array]:
    """Choose units to hide, as alike in rate to the others as can be."""
    if not 0 < held_out < 1 or n_splits < 1:
        raise ValueError(
            f"held_out: expected a share between 0 and 1 and n_neuron_splits >= 1, got {held_out} "
            f"and {n_splits}. A quarter is usual."
        )
    total = np.nansum(values, axis=(0, 2))
    fit_for = np.nanmax(values, axis=(0, 2), initial=-np.inf) > np.nanmin(
        values, axis=(0, 2), initial=np.inf
    )
    if counts:
        least = np.min([np.nansum(values[train], axis=(0, 2)) for train, _ in folds], axis=0)
        fit_for &= least >= FEWEST_SPIKES
    able = np.flatnonzero(fit_for)
    block = max(2, round(1 / held_out))
    if len(able) < block:
        raise ValueError(
            f"X: expected at least {block} units with {FEWEST_SPIKES} training spikes or more in "
            f"each fold, got {len(able)}. Use more trials, or a larger held_out."
        )
    able = able[np.argsort(total[able], kind="stable")]
    rng = np.random.default_rng(seed)
    splits: list[list[int]] = [[] for _ in range(n_splits)]
    for start in range(0, len(able) - block + 1, block):
        units = able[start : start + block]
        order: Array = np.concatenate(
            [rng.permutation(units) for _ in range(-(-n_splits // block))]
        )
        for j in range(n_splits):
            splits[j].append(int(order[j]))
    return [np.array(sorted(one)) for one in splits]


def fit_rows(model: Any, X: xr.DataArray, y: Any, rows: Array) -> Any:
    """Fit a clone to some trials, and to y of the same where the model is supervised."""
    if not model.supervised_ or y is None:
        return clone(model).fit(X.isel(sample=rows))
    if len(y) != X.sizes["sample"]:
        raise SchemaError(
            f"y: expected one entry for each of {X.sizes['sample']} trials, got {len(y)}. "
            "Trials come first."
        )
    part = y.isel(sample=rows) if isinstance(y, xr.DataArray) else np.asarray(y)[rows]
    return clone(model).fit(X.isel(sample=rows), part)
