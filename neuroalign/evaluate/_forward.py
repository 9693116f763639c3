"""A null without refits: each fold is predicted from the folds before it.

Scores of k-fold cross-validation are correlated, because each response is test in one fold and
training in the others; permuting test rows under fixed predictions misses that. Here fold ``f`` is
predicted from folds ``1 ... f - 1`` only. Given those, its predictions are fixed and its rows may
change places, so the rank of its score among permuted ones is uniform *whatever the earlier folds
held*; ranks of successive folds are therefore independent, and a weighted sum of their normal
scores has a null that the same sum over permuted ranks gives exactly.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import ndtri
from scipy.stats import rankdata
from tqdm import tqdm

from neuroalign._folds import Folds
from neuroalign.evaluate._fitting import fit_fold
from neuroalign.evaluate._nulls import gather_labels
from neuroalign.scores import METRICS
from neuroalign.stats.multiple import fdr
from neuroalign.stats.permutations import count_reached, permutation_p, permute_rows

Array = npt.NDArray[Any]
Fixed = tuple[Array, Array, float]
# Permuted scores are held for so many numbers at once.
CHUNK = 8_000_000


def test_forward(
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
    """Rank each fold's score among those of its permuted rows, and join the ranks."""
    rng = np.random.default_rng(seed)
    values = responses.values.reshape(len(responses), -1)
    kept = gather_labels(responses, folds)
    drawn = [
        permute_rows(len(values), scheme, rng, **kept)
        for _ in tqdm(range(n_permutations), desc="permutations", disable=not progress)
    ]
    orders = np.stack([np.arange(len(values)), *drawn])
    fixed = _predict_forward(encoder, features, responses, folds, inner, orders, progress)
    step = max(1, CHUNK // len(orders))
    reached = np.zeros(values.shape[1])
    joined, top = np.zeros(values.shape[1]), np.full(n_permutations, -np.inf)
    for start in range(0, values.shape[1], step):
        chunk = slice(start, start + step)
        total = _join(values[:, chunk], [(o, g[:, chunk], w) for o, g, w in fixed], metric)
        joined[chunk] = total[0]
        reached[chunk] = count_reached(total[1:], total[0])[0]
        top = np.fmax(top, np.nanmax(total[1:], axis=1, initial=-np.inf))
    reached_max = n_permutations - np.searchsorted(np.sort(top), joined, side="left")
    shape = observed.shape
    scored = np.where(np.isfinite(joined).reshape(shape), observed.values, np.nan)
    p_value = permutation_p(reached.reshape(shape), scored, n_permutations)
    p_fwer = permutation_p(reached_max.reshape(shape), scored, n_permutations)
    found = {"p_value": p_value, "q_value": fdr(p_value), "p_fwer": p_fwer}
    return {name: observed.copy(data=column).drop_attrs() for name, column in found.items()}


def _predict_forward(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    folds: Folds,
    inner: Array | None,
    orders: Array,
    progress: bool,
) -> list[Fixed]:
    """Predict each fold but the first: permuted rows, predictions and weight."""
    fixed = []
    seen = folds[0][1]
    with warnings.catch_warnings():
        # The fits of the scores said already what there is to say.
        warnings.simplefilter("ignore")
        for train, test in tqdm(folds[1:], desc="forward folds", disable=not progress):
            # A gap that the fold keeps from its training rows holds here too.
            earlier = np.intersect1d(train, seen)
            seen = np.union1d(seen, test)
            try:
                model = fit_fold(encoder, features, responses, earlier, inner)
            except ValueError as error:
                error.add_note(
                    f"refit=False trains on the folds before each, here on {len(earlier)} rows"
                )
                raise
            guess = np.asarray(model.predict(features[test])).reshape(len(test), -1)
            # Later folds are predicted better; a weight fixed beforehand keeps p exact.
            fixed.append((orders[:, test], guess, float(len(earlier) * len(test)) ** 0.5))
    return fixed


def _join(values: Array, fixed: list[Fixed], metric: str) -> Array:
    """Sum the weighted normal scores of ranks: (1 + permutation, target)."""
    total: Any = 0.0
    for orders, guess, weight in fixed:
        null = np.stack([METRICS[metric](values[order], guess) for order in orders])
        ranks = rankdata(null, axis=0, method="min", nan_policy="propagate")
        total = total + weight * ndtri((ranks - 0.5) / len(orders))
    # Sums of the same ranks in another order differ in the last bits: they are ties.
    return np.round(np.asarray(total), 9)
