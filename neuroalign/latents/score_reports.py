"""One table of scores for a latent model, with what a model of nothing would get.

In: an unfitted latent model, trials, and where there are such behaviour and truth. Out: a Dataset
(fold, split) in which each score stands beside its shuffled control and its oracle.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._folds import Folds, find_repeated
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import SchemaError
from neuroalign.latents._base import score_entries
from neuroalign.latents._held_out import fit_rows, say_once, split_trials
from neuroalign.latents._input_checks import check_agreement
from neuroalign.latents.alignment import score_recovery
from neuroalign.latents.co_smoothing import NULLS, cosmooth, fit_regression, forecast

Array = npt.NDArray[Any]


def score_latents(
    model: Any,
    X: Any,
    behaviour: Any = None,
    *,
    truth: xr.Dataset | None = None,
    n_splits: int = 5,
    group: str | None = None,
    held_out: float = 0.25,
    n_neuron_splits: int = 1,
    readout: str = "glm",
    null: str = "train",
    n_ahead: int | None = None,
    gap: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Score a latent model on held-out trials in every way the data allow.

    Parameters
    ----------
    model : LatentModel
        Is cloned for each fit.
    X : DataArray (sample, neuroid, time), array alike, list of arrays, or bins (sample, neuroid)
        As in `cosmooth`.
    behaviour : DataArray or array (sample, channel, time), optional
        Of the same trials and bins; NaN is left out. Models that are ``supervised_`` are fitted to
        it, too.
    truth : Dataset, optional
        ``rates`` (sample, neuroid, time) and ``latents`` (sample, time, latent) of simulations.
    n_splits, group, held_out, n_neuron_splits, readout, null, gap, seed : as in `cosmooth`
    n_ahead : int, optional
        Bins of the forward prediction; none when not given.

    Returns
    -------
    Dataset
        ``co_smoothing`` (fold, split) and ``co_smoothing_shuffled``, from data in which the bins of
        each unit are dealt anew, so that nothing is shared and 0 is the best in reach. Further, by
        what is given: ``forward`` (fold); ``psth`` (fold), where stimuli repeat: R2 of predicted
        rates, averaged by stimulus over test trials, for mean training responses to the same;
        ``behaviour`` (fold) and ``behaviour_shuffled``, in which the training trials of the
        behaviour are dealt anew, to the regression and to a new fit of a supervised model: R2 of
        a ridge regression; ``oracle`` (fold, split), the
        co-smoothing of true rates, with attrs ``oracle_fraction``; ``recovery`` (fold, latent),
        the affine R2 of `score_recovery`.

    Raises
    ------
    SchemaError
        When behaviour or truth have other trials or bins than X.
    AlignError
        When their labels say so.
    ValueError
        As `cosmooth`.

    Notes
    -----
    A model that is told about behaviour can be decoded even when trained on shuffled data: read
    ``behaviour`` only beside its control. In ``co_smoothing_shuffled`` such a model keeps the
    behaviour of its trials.

    References
    ----------
    Pei et al. (2021), NeurIPS Datasets and Benchmarks, arXiv:2109.04463, section 3.

    Examples
    --------
    >>> from neuroalign.latents import FactorAnalysis, score_latents
    >>> from neuroalign.loaders import simulate_gaussian_processes
    >>> made = simulate_gaussian_processes(n_trials=20, n_bins=20, n_neuroids=16)
    >>> found = score_latents(FactorAnalysis(2), made.responses, truth=made.truth, n_splits=2)
    >>> sorted(found.data_vars)
    ['co_smoothing', 'co_smoothing_shuffled', 'oracle', 'recovery']
    """
    recording, folds = split_trials(model, X, None, n_splits, group, gap)
    laid = recording.X
    _check_beside(X, laid.shape, behaviour, truth)
    shared: dict[str, Any] = {
        "n_splits": n_splits, "group": group, "held_out": held_out, "readout": readout,
        "n_neuron_splits": n_neuron_splits, "null": null, "seed": seed,
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    main = cosmooth(model, laid, behaviour, **shared)
    dealt = laid.copy(data=_shuffle_bins(laid.values, rng))
    control = cosmooth(model, dealt, behaviour, **shared)
    found: dict[str, Any] = {
        "co_smoothing": main["score"],
        "co_smoothing_shuffled": (("fold", "split"), control["score"].values),
    }
    attrs: dict[str, Any] = {"mean": main.attrs["mean"]}
    if n_ahead is not None:
        ahead = forecast(model, laid, behaviour, n_ahead=n_ahead, n_splits=n_splits, group=group)
        found["forward"] = ahead["score"]
    if truth is not None:
        oracle = _score_oracle(truth["rates"].values, laid.values, main, folds, recording.counts)
        found["oracle"] = (("fold", "split"), oracle)
        attrs["oracle_fraction"] = float(main.attrs["mean"] / oracle.mean())
    found |= _score_fits(model, laid, folds, behaviour, truth, rng)
    kept = ("model", "metric", "null", "readout", "seed")
    attrs |= {"kind": "estimate", "method": "latent scores"}
    return xr.Dataset(found, attrs=attrs | {key: main.attrs[key] for key in kept})


def _check_beside(X: Any, shape: tuple[int, ...], behaviour: Any, truth: Any) -> None:
    """Check that what stands beside X is of its trials, bins and, for rates, neuroids."""
    if behaviour is not None:
        _check_same(np.shape(behaviour), shape, "behaviour")
    check_agreement(behaviour, X, "behaviour", "X")
    if truth is None:
        return
    if not isinstance(truth, Mapping) or not {"rates", "latents"} <= set(truth):
        raise SchemaError(
            f"truth: expected a Dataset with rates and latents, got {type(truth).__name__}. "
            "Pass sim.truth."
        )
    _check_same(truth["rates"].shape, shape, "truth['rates']")
    check_agreement(truth["rates"], X, "truth['rates']", "X", ("neuroid",))
    check_agreement(truth["latents"], X, "truth['latents']", "X")


def _check_same(shape: tuple[int, ...], wanted: tuple[int, ...], name: str) -> None:
    if len(shape) != 3 or (shape[0], shape[-1]) != (wanted[0], wanted[-1]):
        raise SchemaError(
            f"{name}: expected the {wanted[0]} trials and {wanted[-1]} bins of X, got shape "
            f"{shape}. Give it as (sample, ..., time)."
        )


def _shuffle_bins(values: Array, rng: np.random.Generator) -> Array:
    """Deal the known bins of each unit anew over trials and times."""
    out = values.copy()
    for unit in range(values.shape[1]):
        known = np.isfinite(values[:, unit])
        out[:, unit][known] = rng.permutation(values[:, unit][known])
    return out


def _score_oracle(
    rates: Array, values: Array, main: xr.Dataset, folds: Folds, counts: bool
) -> Array:
    """Score true rates on the very entries that `cosmooth` hid."""
    hidden = main["held_out"].values.astype(bool)
    out = np.empty((len(folds), len(hidden)))
    for i, (train, test) in enumerate(folds):
        for j, held in enumerate(hidden):
            y, r = (one[test][:, held].transpose(0, 2, 1) for one in (values, rates))
            flat = NULLS[main.attrs["null"]](values[train][:, held], values[test][:, held])
            out[i, j] = score_entries(y, r, flat, counts=counts)
    return out


def _score_fits(
    model: Any,
    laid: xr.DataArray,
    folds: Folds,
    behaviour: Any,
    truth: xr.Dataset | None,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Scores of models fitted to all units of the training trials."""
    repeated = "stimulus" in laid.coords and find_repeated(laid["stimulus"].values) is not None
    if behaviour is None and truth is None and not repeated:
        return {}
    moves = None if behaviour is None else np.asarray(behaviour, np.float64)
    if moves is not None:
        moves = moves.transpose(0, 2, 1)
    rows: dict[str, list[Any]] = {}
    known: set[str] = set()
    for train, test in folds:
        with say_once(known):
            fitted = fit_rows(model, laid, behaviour, train)
        latents = fitted.transform(laid).values
        scores: dict[str, Any] = {}
        if repeated:
            rates = fitted.predict_rates(laid.isel(sample=test)).values
            scores["psth"] = _score_psth(rates, laid, train, test)
        if moves is not None:
            order = np.arange(len(moves))
            order[train] = rng.permutation(train)
            if model.supervised_:
                told: Any = np.asarray(behaviour)[order]
                if isinstance(behaviour, xr.DataArray):
                    told = behaviour.copy(data=told)
                control = fit_rows(model, laid, told, train).transform(laid).values
            else:
                control = latents
            scores["behaviour"] = _decode(latents, moves, moves[train], train, test)
            dealt = moves[order[train]]
            scores["behaviour_shuffled"] = _decode(control, moves, dealt, train, test)
        if truth is not None:
            scores["recovery"] = score_recovery(latents, truth["latents"].values, train, test)
        for key, value in scores.items():
            rows.setdefault(key, []).append(value)
    found: dict[str, Any] = {
        key: (("fold", "true_latent")[: np.ndim(value)], np.array(value))
        for key, value in rows.items()
    }
    return found


def _score_psth(rates: Array, laid: xr.DataArray, train: Array, test: Array) -> float:
    """R2 over stimuli, units and times; the observed means come from other trials."""
    names = laid["stimulus"].values
    seen = np.intersect1d(names[train], names[test])
    if not len(seen):
        return float("nan")
    guess, mean = [], []
    for name in seen:
        guess.append(_average(rates[names[test] == name]))
        mean.append(_average(laid.values[train][names[train] == name]))
    y, r = np.stack(mean), np.stack(guess)
    flat = np.nanmean(laid.values[train], axis=(0, 2))[None, :, None]
    known = np.isfinite(y) & np.isfinite(r)
    left = ((y - r) ** 2)[known].sum()
    return float(1.0 - left / ((y - flat) ** 2)[known].sum())


def _average(values: Array) -> Array:
    """Mean over the first axis; NaN where nothing is known."""
    known = np.isfinite(values)
    n = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _decode(latents: Array, moves: Array, dealt: Array, train: Array, test: Array) -> float:
    """R2 on test bins of a ridge regression from latents, over all channels together."""
    trial = np.repeat(np.arange(len(train)), latents.shape[1])
    Z, B = latents[train].reshape(-1, latents.shape[2]), dealt.reshape(-1, dealt.shape[2])
    known = np.isfinite(Z).all(axis=1) & np.isfinite(B).all(axis=1)
    regression = Ridge(cv=min(5, len(train)) if len(train) > 1 else 5)
    fit_regression(regression, Z[known], B[known], trial[known])
    Z, B = latents[test].reshape(-1, latents.shape[2]), moves[test].reshape(-1, moves.shape[2])
    known = np.isfinite(Z).all(axis=1) & np.isfinite(B).all(axis=1)
    left = ((B[known] - regression.predict(Z[known])) ** 2).sum()
    mean = dealt.reshape(-1, dealt.shape[2])
    return float(1.0 - left / ((B[known] - np.nanmean(mean, axis=0)) ** 2).sum())
