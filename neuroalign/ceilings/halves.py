"""The ceiling of split halves."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.ceilings._repeats import (
    Repeats,
    covary,
    draw_counts,
    in_chunks,
    predict_reliability,
)
from neuroalign.scores import pearson

Array = npt.NDArray[Any]


def split_half(
    responses: xr.DataArray,
    *,
    by: str = "stimulus",
    n_averaged: int | None = None,
    n_splits: int = 20,
    n_bootstrap: int = 1000,
    block: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Ceiling from the correlation of random halves of the repeats.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Single presentations. Stimuli shown once are left out.
    by : str
        Coord on sample that names what was repeated.
    n_averaged : int or None
        Repeats averaged in the responses to be bounded; all when None.
    n_splits : int
        Random halves; r is the mean over them.
    n_bootstrap : int
        Resamples of stimuli for the interval.
    block : int
        Neighbouring stimuli drawn together: more than 1 for the moments of a film.
    seed : int

    Returns
    -------
    Dataset
        ``ceiling`` = rho = 2 r / (1 + r) for all repeats; ``ceiling_r``, ``lower``, ``upper``.
        Negative values become 0 and are counted in ``attrs['n_clipped']``.

    Raises
    ------
    SchemaError
        When nothing is repeated.

    References
    ----------
    Spearman (1910) and Brown (1910), British Journal of Psychology 3, the prophecy formula.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal, stimulus = rng.normal(size=(50, 3)), [f"image-{n}" for n in range(50)]
    >>> noisy = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
    >>> found = split_half(from_arrays(noisy, modality="fmri", stimulus=stimulus * 4))
    >>> bool((abs(found["ceiling"] - 0.8) < 0.1).all())
    True
    """
    if n_splits < 1:
        raise ValueError(f"n_splits: expected at least 1 random split, got {n_splits}. Use 100.")
    data = Repeats(responses, by)
    rng = np.random.default_rng(seed)
    repeated = np.flatnonzero(data.counts >= 2)
    counts = draw_counts(len(repeated), n_bootstrap, block, seed)
    place = np.arange(len(data.codes)) - data.start[data.codes]
    pairs = [_half_means(data, place, repeated, rng) for _ in range(n_splits)]
    means = np.stack([np.stack(pair, axis=1) for pair in pairs], axis=2)

    def correlate(part: Array) -> tuple[Array]:
        """Average r over splits: (draw, target) from (stimulus, half, split, target)."""
        total = np.zeros((len(counts), part.shape[-1]))
        for split in range(n_splits):
            x, y = part[:, 0, split], part[:, 1, split]
            with np.errstate(invalid="ignore", divide="ignore"):
                spread = np.sqrt(covary(counts, x, x) * covary(counts, y, y))
                r = covary(counts, x, y) / spread
                r[0] = pearson(x, y)
                # What never varies is infinite of both signs in some halves.
                total += r
        return (total / n_splits,)

    (r,) = in_chunks(means, counts, correlate)
    # Unequal counts enter by their harmonic mean; of odd ones a half leaves one repeat out.
    per_half = 1 / float(np.mean(1 / (data.counts[repeated] // 2)))
    every = 1 / float(np.mean(1 / data.counts[repeated]))
    n = every if n_averaged is None else n_averaged
    return data.wrap(
        predict_reliability(r, n / per_half),
        {},
        {
            "method": "split_half",
            "formula": "rho = k r / (1 + (k - 1) r), r between random halves of the repeats, "
            "k = repeats averaged / repeats in a half",
            "n_splits": n_splits,
            "n_averaged": float(n),
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
    )


def _half_means(
    data: Repeats, place: Array, repeated: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Average random halves of the repeats of each stimulus (of odd counts one is left out)."""
    order = np.lexsort((rng.random(len(data.codes)), data.codes))
    kept = place < data.counts[data.codes] // 2 * 2
    halves = []
    for half in (0, 1):
        rows = kept & (place % 2 == half)
        starts = np.searchsorted(data.codes[rows], repeated)
        total = np.add.reduceat(data.values[order[rows]], starts, axis=0)
        halves.append(total / (data.counts[repeated] // 2)[:, None])
    return halves[0], halves[1]
