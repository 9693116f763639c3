"""How well a model predicts units it does not see, and times that have not come.

In: an unfitted latent model and trials. Out: scores (fold, split), on trials that were not fitted:
bits per spike beyond a constant rate for counts, shares of variance for other signals. To add a
readout: a function in ``READOUTS``.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._folds import Folds
from neuroalign.encoders.poisson_glm import PoissonGLM
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import NeuroalignWarning, choose
from neuroalign.latents._base import score_entries
from neuroalign.latents._held_out import fit_rows, say_once, split_trials, split_units

Array = npt.NDArray[Any]
# Penalties of the regressions, in shares of the mean curvature of each unit.
ALPHAS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Job(NamedTuple):
    """One fit: trials as (sample, neuroid, time), who trains, and which units are hidden.

    ``y`` (sample, ...) is for supervised models.
    """

    model: Any
    X: xr.DataArray
    y: Any
    train: Array
    test: Array
    held: Array
    counts: bool
    few: Array


def cosmooth(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    mask: Any = None,
    n_splits: int = 5,
    group: str | None = None,
    held_out: float = 0.25,
    n_neuron_splits: int = 1,
    readout: str = "glm",
    readout_trials: int | None = None,
    null: str = "train",
    gap: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Predict hidden units of held-out trials from the other units.

    Parameters
    ----------
    model : LatentModel
        Is cloned for each fit.
    X : DataArray (sample, neuroid, time) or (sample, neuroid), array alike, or list of arrays
        As in ``LatentModel.fit``. Continuous runs are folds when there are several; a single run
        is cut into ``n_splits`` stretches.
    y : array alike (sample, ...), optional
        What models that are ``supervised_`` are fitted to, for trials as they are counted in X:
        that of the training trials. Others ignore it.
    mask : bool, shape of X or (neuroid,), optional
        Hidden entries neither train nor test.
    n_splits : int
        Folds of trials.
    group : str, optional
        Coord on ``sample`` whose values stay together in a fold. None: contiguous trials.
    held_out : float
        Share of the units hidden in each split. Splits are stratified by rate, and share no unit
        as long as ``n_neuron_splits * held_out <= 1``.
    n_neuron_splits : int
    readout : {"glm", "model"}
        ``glm``: fitted on the held-in units alone; a Poisson regression (ridge where values are
        not counts) then goes from latents to each held-out unit, with test latents clipped to
        the range of the training ones, beyond which its exponential explodes.
        ``model``: fitted on all units of training trials; at test the held-out ones are masked.
        For models whose rates cannot be negative: a Gaussian one pays dearly for rates near 0.
    readout_trials : int, optional
        With ``readout="glm"``: fit the regression on this many training trials only. A model whose
        latents carry dynamics of their own needs more.
    null : {"train", "eval"}
        The constant prediction: the mean over training trials, or over the test entries
        themselves as in the Neural Latents Benchmark, which lowers scores a little.
    gap : int
        Bins dropped between stretches of a single run.
    seed : int
        Of the split of units, and of the choice of readout trials.

    Returns
    -------
    Dataset
        ``score`` (fold, split), for counts ``n_spikes`` (fold, split), and ``held_out`` (split,
        neuroid). attrs ``mean``, ``standard_error`` over folds and splits, ``metric``, ``null``,
        ``n_splits`` (the folds there are).

    Raises
    ------
    ValueError
        On unknown options, what is no model, fewer than two trials, or too few units that fire.
    SchemaError
        When y has other trials.

    Warns
    -----
    NeuroalignWarning
        When there are fewer folds than asked for; and what fits warn of, each once.

    Notes
    -----
    With counts y, predictions r and the null r0: ``sum[y ln(r/r0) - (r - r0)] / (sum(y) ln 2)``
    over test trials, bins and held-out units together; rates under 1e-9 count as 1e-9.

    References
    ----------
    Pei et al. (2021), NeurIPS Datasets and Benchmarks, arXiv:2109.04463, section 3 (co-smoothing);
    Dabholkar & Barak (2024), arXiv:2405.14425 (few-shot co-smoothing).

    Examples
    --------
    >>> from neuroalign.latents import FactorAnalysis, cosmooth
    >>> from neuroalign.loaders import simulate_gaussian_processes
    >>> counts = simulate_gaussian_processes(n_trials=20, n_bins=20, n_neuroids=16).responses
    >>> cosmooth(FactorAnalysis(2), counts, n_splits=2)["score"].shape
    (2, 1)
    """
    read = choose(READOUTS, readout, "readout")
    choose(NULLS, null, "null")
    if readout_trials is not None and (readout != "glm" or readout_trials < 1):
        raise ValueError(
            f"readout_trials: expected readout='glm' and a number >= 1, got '{readout}' and "
            f"{readout_trials}. Only a readout that is fitted apart can have few trials."
        )
    trials, folds = split_trials(model, X, mask, n_splits, group, gap)
    values = trials.X.values
    splits = split_units(values, folds, held_out, n_neuron_splits, trials.counts, seed)
    rng = np.random.default_rng(seed)
    score = np.full((len(folds), len(splits)), np.nan)
    spikes = np.zeros(score.shape)
    with say_once():
        for (i, (train, test)), (j, held) in _cross(folds, splits):
            few = train if readout_trials is None else rng.permutation(train)[:readout_trials]
            job = Job(model, trials.X, y, train, test, held, trials.counts, np.sort(few))
            hit = values[test][:, held].transpose(0, 2, 1)
            flat = NULLS[null](values[train][:, held], values[test][:, held])
            score[i, j] = score_entries(hit, read(job), flat, counts=trials.counts)
            spikes[i, j] = np.nansum(hit)
    hidden = np.zeros((len(splits), values.shape[1]), dtype=np.int8)
    for j, held in enumerate(splits):
        hidden[j, held] = 1
    known = score[np.isfinite(score)]
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return xr.Dataset(
        {
            "score": (("fold", "split"), score),
            "held_out": (("split", "neuroid"), hidden),
            **({"n_spikes": (("fold", "split"), spikes)} if trials.counts else {}),
        },
        coords={
            "fold": np.array([f"fold-{i:02d}" for i in range(len(folds))]),
            "split": np.array([f"split-{j:02d}" for j in range(len(splits))]),
            "neuroid": trials.X["neuroid"].values,
        },
        attrs={
            "kind": "estimate", "method": "co-smoothing", "model": type(model).__name__,
            "metric": "bits per spike" if trials.counts else "variance explained", "null": null,
            "readout": readout, "seed": seed, "n_splits": len(folds),
            "mean": float(known.mean()) if len(known) else np.nan, "standard_error": float(error),
        },
    )  # fmt: skip


def forecast(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    n_ahead: int,
    mask: Any = None,
    n_splits: int = 5,
    group: str | None = None,
    gap: int = 0,
) -> xr.Dataset:
    """Predict the last bins of held-out trials from the bins before them.

    Parameters
    ----------
    model : LatentModel
        Is cloned for each fold, and fitted on whole training trials.
    X, y : as in `cosmooth`
    n_ahead : int
        Bins at the end of each trial that are hidden, of all units; trials of no more bins than
        that are not scored.
    mask, n_splits, group, gap : as in `cosmooth`

    Returns
    -------
    Dataset
        ``score`` (fold), about the training mean; attrs ``mean``, ``metric``, ``n_ahead``.

    Raises
    ------
    ValueError
        When no trial is longer than ``n_ahead``, or with fewer than two trials.

    References
    ----------
    Pei et al. (2021), NeurIPS Datasets and Benchmarks, arXiv:2109.04463: forward prediction.

    Examples
    --------
    >>> from neuroalign.latents import GPFA, forecast
    >>> from neuroalign.loaders import simulate_gaussian_processes
    >>> counts = simulate_gaussian_processes(n_trials=10, n_bins=20, n_neuroids=16).responses
    >>> forecast(GPFA(2, tol=1e-3), counts, n_ahead=4, n_splits=2)["score"].shape
    (2,)
    """
    trials, folds = split_trials(model, X, mask, n_splits, group, gap)
    inside = trials.X["valid"].values
    left = inside.sum(axis=1)[:, None] - np.cumsum(inside, axis=1)
    ahead = inside & (left < n_ahead) & (inside.sum(axis=1)[:, None] > n_ahead)
    if n_ahead < 1 or not ahead.any():
        raise ValueError(
            f"n_ahead: expected 1 to {int(inside.sum(axis=1).max()) - 1}, fewer bins than a trial "
            f"has, got {n_ahead}. Hide less."
        )
    values, score = trials.X.values, np.full(len(folds), np.nan)
    known: set[str] = set()
    for i, (train, test) in enumerate(folds):
        with say_once(known):
            fitted = fit_rows(model, trials.X, y, train)
        hidden = np.broadcast_to(ahead[test][:, None], values[test].shape)
        guess = fitted.predict_rates(trials.X.isel(sample=test), mask=hidden)
        hit = np.where(hidden, values[test], np.nan).transpose(0, 2, 1)
        flat = NULLS["train"](values[train], values[test])
        rates = guess.values.transpose(0, 2, 1)
        score[i] = score_entries(hit, rates, flat, counts=trials.counts)
    return xr.Dataset(
        {"score": (("fold",), score)},
        coords={"fold": np.array([f"fold-{i:02d}" for i in range(len(folds))])},
        attrs={
            "kind": "estimate", "method": "forward prediction", "model": type(model).__name__,
            "metric": "bits per spike" if trials.counts else "variance explained",
            "n_ahead": n_ahead, "mean": float(np.nanmean(score)), "n_splits": len(folds),
        },
    )  # fmt: skip


def _cross(folds: Folds, splits: list[Array]) -> list[Any]:
    return [(fold, split) for fold in enumerate(folds) for split in enumerate(splits)]


def _read_model(job: Job) -> Array:
    """Rates (trial, time, unit) of the held-out units from the model itself."""
    fitted = fit_rows(job.model, job.X, job.y, job.train)
    hidden = np.zeros(job.X.sizes["neuroid"], dtype=bool)
    hidden[job.held] = True
    rates = fitted.predict_rates(job.X.isel(sample=job.test), mask=hidden)
    return np.asarray(rates.values[:, job.held].transpose(0, 2, 1))


def _read_regression(job: Job) -> Array:
    """Rates (trial, time, unit) by regression from latents of the held-in units."""
    held_in = np.setdiff1d(np.arange(job.X.sizes["neuroid"]), job.held)
    inputs = job.X.isel(neuroid=held_in)
    fitted = fit_rows(job.model, inputs, job.y, job.train)
    latents = fitted.transform(inputs.isel(sample=job.few)).values
    y = job.X.values[job.few][:, job.held].transpose(0, 2, 1)
    # Bins after a trial's end have no latents.
    known = np.isfinite(latents).all(axis=2)
    Z, Y = latents[known], y[known]
    center, scale = Z.mean(axis=0), Z.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    trial = np.repeat(np.arange(len(job.few)), latents.shape[1])[known.ravel()]
    regression = REGRESSIONS[job.counts](len(np.unique(trial)))
    fit_regression(regression, (Z - center) / scale, Y, trial)
    ahead = fitted.transform(inputs.isel(sample=job.test)).values
    if job.counts:
        # Beyond the latents it knows, an exponential says more than data can.
        ahead = np.clip(ahead, Z.min(axis=0), Z.max(axis=0))
    rates = np.full((*ahead.shape[:2], len(job.held)), np.nan)
    inside = np.isfinite(ahead).all(axis=2)
    rates[inside] = regression.predict((ahead[inside] - center) / scale)
    return rates


def fit_regression(regression: Any, Z: Array, Y: Array, trial: Array) -> None:
    """Fit with whole trials in the inner folds, silent on a grid that is not the user's."""
    groups = trial if len(np.unique(trial)) > 1 else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "alphas: ", NeuroalignWarning)
        regression.fit(Z, Y, groups=groups)


REGRESSIONS: dict[bool, Callable[[int], Any]] = {
    True: lambda n: PoissonGLM(ALPHAS, cv=min(5, n) if n > 1 else 5, missing="drop"),
    False: lambda n: Ridge(cv=min(5, n) if n > 1 else 5, missing="drop"),
}
READOUTS: dict[str, Callable[[Job], Array]] = {"model": _read_model, "glm": _read_regression}


def _average(values: Array) -> Array:
    return np.asarray(np.nanmean(values, axis=(0, 2)))


NULLS: dict[str, Callable[[Array, Array], Array]] = {
    "train": lambda train, test: _average(train),
    "eval": lambda train, test: _average(test),
}
