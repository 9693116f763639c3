"""The null of a cross-validation: the same fits on responses whose rows changed places."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import scores
from neuroalign._folds import Folds
from neuroalign.evaluate._fitting import fit_fold
from neuroalign.stats.multiple import fdr
from neuroalign.stats.permutations import count_reached, permutation_p, permute_rows

Array = npt.NDArray[Any]
# Permuted copies are fitted side by side up to this many targets.
STACKED_TARGETS = 40_000


def test_scores(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    observed: xr.DataArray,
    folds: Folds,
    inner: Array | None,
    metric: str,
    scheme: str,
    n_permutations: int,
    seed: int,
    progress: bool,
) -> dict[str, xr.DataArray]:
    """Count how often permuted responses are predicted as well; correct for many neuroids."""
    rng = np.random.default_rng(seed)
    n = responses.sizes["sample"]
    kept = gather_labels(responses, folds)
    last = encoder[-1] if hasattr(encoder, "steps") else encoder
    # Copies are more targets of one factorisation, where targets do not touch each other.
    alone = getattr(last, "alpha_per", None) == "neuroid"
    batch = max(1, STACKED_TARGETS // observed.size) if alone else 1
    reached, reached_max = np.zeros(observed.shape), np.zeros(observed.shape)
    orders: list[Array] = []
    for number in tqdm(range(n_permutations), desc="permutations", disable=not progress):
        orders.append(permute_rows(n, scheme, rng, **kept))
        if len(orders) == batch or number == n_permutations - 1:
            null = _score_permuted(encoder, features, responses, folds, inner, metric, orders)
            counts = count_reached(null, observed.values)
            reached, reached_max = reached + counts[0], reached_max + counts[1]
            orders = []
    p_value = permutation_p(reached, observed.values, n_permutations)
    p_fwer = permutation_p(reached_max, observed.values, n_permutations)
    found = {"p_value": p_value, "q_value": fdr(p_value), "p_fwer": p_fwer}
    return {name: observed.copy(data=values).drop_attrs() for name, values in found.items()}


def gather_labels(responses: xr.DataArray, folds: Folds) -> dict[str, Array]:
    """Say what rows must keep when they change places: fold, run, stimulus, time."""
    held_out = np.zeros(responses.sizes["sample"], dtype=np.intp)
    times = np.zeros_like(held_out)
    for number, (_, test) in enumerate(folds):
        held_out[test] = number
        times[test] += 1
    kept = {}
    # Rows of repeated splits have no fold of their own; shifts stay in their run by themselves.
    if times.max() == 1:
        kept["within"] = held_out
    if "onset" in responses.coords:
        kept["time"] = responses["onset"].values
    for option, coord in (("blocks", "stimulus"), ("run", "run")):
        if coord in responses.coords:
            kept[option] = responses[coord].values
    return kept


def _score_permuted(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    folds: Folds,
    inner: Array | None,
    metric: str,
    orders: list[Array],
) -> Array:
    """Refit and score permuted responses: (permutation, neuroid[, time])."""
    values = np.concatenate([responses.values[order] for order in orders], axis=1)
    neuroids = [str(number) for number in range(values.shape[1])]
    stacked = xr.DataArray(values, dims=responses.dims, coords={"neuroid": neuroids})
    total = np.zeros(values.shape[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for train, test in folds:
            model = fit_fold(encoder, features, stacked, train, inner)
            guess = stacked[test].copy(data=np.asarray(model.predict(features[test])))
            total += scores.score(stacked[test], guess, metric=metric).values
    return (total / len(folds)).reshape(len(orders), *responses.shape[1:])
