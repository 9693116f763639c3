"""Similarities of RDMs of different times, within units and between them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.rsa._comparison_kernels import NORMALISERS
from neuroalign.rsa._label_permutations import normalise_rows
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.comparisons import compare_rdms

Array = npt.NDArray[Any]


def _correlate_times(values: Array, labels: Array, method: str) -> Iterator[tuple[Array, Array]]:
    """Similarities (time, time) of each unit with itself, and summed over the other units."""
    if method in NORMALISERS:
        # Similarities are products, so that those with all units are one with their sum.
        Z = normalise_rows(values, method, None)
        every = Z.sum(axis=0)
        for one in Z:
            own = one @ one.T
            yield own, one @ every.T - own
        return
    rdms = fold(values, labels, ("unit", "time"))
    for unit in range(len(values)):
        similarity = compare_rdms(rdms.isel(unit=unit), rdms, method=method).values
        yield similarity[:, unit], similarity.sum(axis=1) - similarity[:, unit]


def average_couples(values: Array, labels: Array, method: str) -> dict[str, Array]:
    """Mean similarity (time, time) over couples of different units, and inside units."""
    n = len(values)
    each = list(_correlate_times(values, labels, method))
    inside, own = (np.stack(part) for part in zip(*each, strict=True))
    total = own.sum(axis=0)
    score = (total + total.T) / (2 * n * (n - 1))
    reliability = np.diagonal(score).copy()
    known = np.sqrt(np.where(reliability > 0, reliability, np.nan))
    found = {
        "score": score,
        "within": inside.mean(axis=0),
        "reliability": reliability,
        "corrected": score / np.outer(known, known),
    }
    if n > 2:
        left = (total - own - np.swapaxes(own, 1, 2)) / ((n - 1) * (n - 2))
        spread = np.square(left - left.mean(axis=0)).sum(axis=0)
        found["standard_error"] = np.sqrt((n - 1) / n * spread)
    return found
