"""Smooth Gaussian processes by few Fourier coefficients on a circle longer than the trial.

In: bins, the shortest and longest length of the kernel. Out: a real orthonormal basis and the prior
variance of its coefficients. The circle has room for four longest lengths beyond the trial, so that
its ends do not meet: with too little room the prior ties the last bin to the first.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Lengths of the kernel between the end of a trial and its start, around the circle.
ROOM = 4.0
# Ratio of the largest to the least prior variance that is kept.
CONDITION = 1e8


class FourierBasis(NamedTuple):
    """Rows (frequency, time) of waves over the bins of a trial.

    ``frequency`` (frequency,) counts cycles per ``circle`` bins, negative for sines.
    """

    rows: Array
    frequency: Array
    circle: int

    @property
    def longest(self) -> float:
        """Greatest length that the room beyond the trial allows, in bins."""
        return float((self.circle - self.rows.shape[1]) / ROOM)


def find_circle(n_bins: int, longest: float) -> int:
    """Bins of the circle that holds a trial and the room for the longest length."""
    return n_bins + int(np.ceil(ROOM * longest))


def count_waves(circle: int, shortest: float, condition: float = CONDITION) -> int:
    """Highest frequency whose prior variance is not negligible for the shortest length."""
    highest = int(circle / (np.pi * shortest) * np.sqrt(0.5 * np.log(condition)))
    return min(highest, circle // 2)


def make_basis(
    n_bins: int, circle: int, shortest: float, condition: float = CONDITION
) -> FourierBasis:
    """Build the waves, sines first, lowest frequencies in the middle.

    Parameters
    ----------
    n_bins : int
        Bins of a trial.
    circle : int
        From `find_circle`.
    shortest : float
        Least length of the kernel in bins: it decides how many waves are needed.
    condition : float
        Waves whose prior variance is less than the largest over this are left out.

    Returns
    -------
    FourierBasis
        Orthonormal over the whole circle.
    """
    highest = count_waves(circle, shortest, condition)
    # On an even circle the sine of the highest frequency is zero at every bin.
    sines = np.arange(-min(highest, (circle - 1) // 2), 0)
    frequency = np.concatenate([sines, np.arange(highest + 1)])
    angle = 2 * np.pi * np.abs(frequency)[:, None] * np.arange(n_bins) / circle
    rows = np.where(frequency[:, None] < 0, np.sin(angle), np.cos(angle)) / np.sqrt(circle / 2)
    alone = (frequency == 0) | (2 * frequency == circle)
    rows[alone] /= np.sqrt(2)
    return FourierBasis(rows, frequency, circle)


def find_spectrum(basis: FourierBasis, length: float) -> Array:
    """Prior variance (frequency,) of the coefficients for a process of variance 1.

    Of the squared exponential kernel ``exp(-lag^2 / (2 length^2))``.

    Raises
    ------
    ValueError
        When the circle has too little room for the length.
    """
    if not 0 < length <= basis.longest * (1 + 1e-9):
        raise ValueError(
            f"timescale: expected a length above 0 and up to {basis.longest:g} bins, for which "
            f"the basis has room, got {length:g}. Raise the upper end of timescale_range."
        )
    variance: Array = np.exp(-0.5 * (2 * np.pi * basis.frequency / basis.circle * length) ** 2)
    return np.asarray(np.sqrt(2 * np.pi) * length * variance)


def read_timescale(
    timescale: float | None,
    timescale_range: tuple[float, float] | None,
    step: float,
    usual: tuple[float, tuple[float, float]],
    n_bins: int,
) -> tuple[float, tuple[float, float]]:
    """Read where kernels begin and how far they may go, in bins.

    Parameters
    ----------
    timescale, timescale_range : as of the models
    step : float
        Width of a bin in their unit.
    usual : (float, (float, float))
        Bins at the start, and the range as multiples of the start, where None is given.
    n_bins : int
        Of the longest trial.

    Raises
    ------
    ValueError
        Unless half a bin <= shortest <= start <= longest, and for a start of more than two trials.
    """
    begin = usual[0] if timescale is None else timescale / step
    if not 0 < begin < np.inf:
        raise ValueError(f"timescale: expected a number > 0, got {timescale}. Pass 0.1, say.")
    if timescale is not None and begin > 2 * n_bins:
        raise ValueError(
            f"timescale: expected at most twice the longest trial ({2 * n_bins * step:g}), got "
            f"{timescale:g}. It is in seconds, or in bins where X has no time."
        )
    if timescale_range is None:
        return begin, (max(0.5, begin * usual[1][0]), begin * usual[1][1])
    shortest, longest = (float(value) / step for value in timescale_range)
    if not 0.5 <= shortest <= begin <= longest or not shortest < longest < np.inf:
        raise ValueError(
            "timescale_range: expected (shortest, longest) around the timescale at the start and "
            f"of at least half a bin, got ({shortest:g}, {longest:g}) bins around {begin:g}. "
            "Widen it, or change timescale."
        )
    return begin, (shortest, longest)
