"""How well any model could do: the share of variance that repeats of a stimulus agree on.

In: responses with repeated stimuli. Out: a Dataset with ``ceiling`` (bounds r2), its root
``ceiling_r`` (bounds r), and a 95 % interval. To add one: a function here.
"""

import numpy as np
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.schema import check_responses
from neuroalign.scores import pearson


def _half_means(
    values: np.ndarray, codes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Average random halves of the repeats of each stimulus (in its odd count one is left out)."""
    order = np.lexsort((rng.random(len(codes)), codes))
    sorted_codes = codes[order]
    place = np.arange(len(codes)) - np.searchsorted(sorted_codes, sorted_codes)
    counts = np.bincount(codes)
    kept = place < counts[sorted_codes] // 2 * 2
    repeated = np.flatnonzero(counts >= 2)
    halves = []
    for half in (0, 1):
        rows, labels = order[kept & (place % 2 == half)], sorted_codes[kept & (place % 2 == half)]
        total = np.zeros((len(counts), *values.shape[1:]))
        np.add.at(total, labels, values[rows])
        share = (counts[repeated] // 2).reshape(-1, *[1] * (values.ndim - 1))
        halves.append(total[repeated] / share)
    return halves[0], halves[1]


def split_half(responses: xr.DataArray, *, n_splits: int = 20, seed: int = 0) -> xr.Dataset:
    """Reliability of the average over repeats, from random halves.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Stimuli shown once are left out.
    n_splits : int
        Random halves; the result is the mean over them.
    seed : int

    Returns
    -------
    Dataset
        Over (neuroid[, time]): ``ceiling``, the reliability rho = 2 r / (1 + r) of the average
        (bounds r2; 0 where halves disagree); ``ceiling_r``, its root (bounds r); ``lower`` and
        ``upper``, the 2.5 and 97.5 percentiles over splits.

    Raises
    ------
    SchemaError
        When no stimulus is repeated.

    References
    ----------
    Spearman (1910) and Brown (1910), British Journal of Psychology 3, the prophecy formula.
    """
    check_responses(responses)
    if "stimulus" not in responses.coords:
        raise SchemaError("responses: expected coord 'stimulus', got none. Name what was repeated.")
    codes = np.unique(responses["stimulus"].values, return_inverse=True)[1]
    if np.bincount(codes).max(initial=0) < 2:
        raise SchemaError(
            f"responses: expected repeated stimuli, got {len(codes)} shown once each. "
            "Pass ceiling=None."
        )
    rng = np.random.default_rng(seed)
    values = responses.values.astype(np.float64)
    half = np.stack([pearson(*_half_means(values, codes, rng)) for _ in range(n_splits)])
    half = np.clip(half, 0.0, 1.0)
    rho = 2 * half / (1 + half)
    template = responses.isel(sample=0, drop=True)
    coords = {name: coord for name, coord in template.coords.items() if coord.ndim}
    dims = template.dims
    quantiles = np.quantile(rho, [0.025, 0.975], axis=0)
    ceiling = rho.mean(axis=0)
    return xr.Dataset(
        {
            "ceiling": (dims, ceiling),
            "ceiling_r": (dims, np.sqrt(ceiling)),
            "lower": (dims, quantiles[0]),
            "upper": (dims, quantiles[1]),
        },
        coords=coords,
        attrs={
            "formula": "rho = 2 r / (1 + r), r between random halves of the repeats",
            "n_splits": n_splits,
            "seed": seed,
        },
    )
