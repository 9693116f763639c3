"""Affinities: which pairs of neuroids move together, at each moment.

In: recordings of subjects. Out: a non-negative tensor (time, subject, pair), NaN where a neuroid
was not seen. To add a kind of affinity: a function in ``METHODS``.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.signal import savgol_filter

from neuroalign.errors import NeuroalignWarning, choose, some
from neuroalign.latents._factors import check_count
from neuroalign.latents._recordings import read_recordings

Array = npt.NDArray[Any]
ORDER = 2
BINS = 5
NORMAL_MAD = 1.4826


def _average(values: Array, n: int) -> Array:
    """Mean of the values seen in a window of n bins around each; NaN where one is itself unseen."""
    if n == 1:
        return values
    seen = np.isfinite(values)
    half = n // 2
    size = values.shape[-1]
    low = np.maximum(np.arange(size) - half, 0)
    high = np.minimum(np.arange(size) + half + 1, size)
    pad = [(0, 0)] * (values.ndim - 1) + [(1, 0)]
    total = np.pad(np.where(seen, values, 0.0), pad).cumsum(axis=-1)
    count = np.pad(seen, pad).cumsum(axis=-1)
    sums = total[..., high] - total[..., low]
    return np.where(seen, sums / np.maximum(count[..., high] - count[..., low], 1), np.nan)


def _same_sign(a: Array, b: Array, n: int) -> Array:
    return _average(np.sqrt(np.maximum(a * b, 0.0)), n)


def _either_sign(a: Array, b: Array, n: int) -> Array:
    return _average(np.sqrt(np.abs(a * b)), n)


def _correlate(a: Array, b: Array, n: int) -> Array:
    """Correlation in the window, 0 where it is negative or where one does not move."""
    seen = np.isfinite(a * b)
    a, b = np.where(seen, a, np.nan), np.where(seen, b, np.nan)
    mean_a, mean_b = _average(a, n), _average(b, n)
    together = _average(a * b, n) - mean_a * mean_b
    spread = (_average(a**2, n) - mean_a**2) * (_average(b**2, n) - mean_b**2)
    moves = spread > 1e-12
    found = np.where(moves, together / np.sqrt(np.where(moves, spread, 1.0)), 0.0)
    return np.where(seen, np.clip(found, 0.0, 1.0), np.nan)


METHODS: dict[str, Callable[[Array, Array, int], Array]] = {
    "same_sign": _same_sign,
    "abs": _either_sign,
    "correlation_window": _correlate,
}


def compute_affinity(
    X: Any,
    *,
    method: str = "same_sign",
    window: float | None = None,
    span: float | None = None,
    threshold: float = 0.0,
    decimate: int = 1,
    by: str = "subject",
) -> xr.DataArray:
    """Measure how much each pair of neuroids moves together at each moment.

    Parameters
    ----------
    X : dict of str -> DataArray, DataArray, or array (subject, neuroid, time)
        Subjects with responses (sample, neuroid, time), or (sample, neuroid) of one run. Neuroids
        of one name are one across subjects. NaN: not seen. A bin of a bare array lasts 1 s.
    method : {"same_sign", "abs", "correlation_window"}
        Of the derivatives, scaled by their robust deviation: root of the product where it is
        positive; root of its magnitude, which counts movement apart too; or the positive part of
        the correlation within ``span``.
    window : float, optional
        Of the derivative [s]: about the rise of a calcium transient. Default five bins.
    span : float, optional
        Over which affinities are averaged, or correlations taken [s]. Default one bin, which
        correlations do not allow.
    threshold : float
        Derivatives below it (in robust deviations) count as rest.
    decimate : int
        Keep every so many bins, after averaging: pairs take memory as neuroids squared.
    by : str
        Coord on ``sample`` that names the subjects of a single DataArray.

    Returns
    -------
    DataArray (time, subject, pair), float32
        With coords ``first`` and ``second`` on ``pair``. Trials of one subject are averaged.

    Raises
    ------
    AlignError
        When subjects differ in times, or share no neuroid.
    SchemaError, ValueError

    Warns
    -----
    NeuroalignWarning
        When a neuroid never moves: its pairs are NaN.

    Notes
    -----
    The published description leaves the formula open; this is our reading of it: momentary, from
    derivatives, symmetric, non-negative. Common drive moves neuroids together as connection does.

    References
    ----------
    Dyballa et al. (2024), ICLR, arXiv:2402.14102, section 3. Savitzky & Golay (1964), Anal. Chem.
    36, 1627-1639.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.latents import compute_affinity
    >>> wave = np.sin(np.linspace(0, 6, 40))
    >>> tensor = compute_affinity(np.array([[wave, 2 * wave, -wave]]))
    >>> tensor.dims, (tensor.mean(["time", "subject"]).values > 0.1).tolist()
    (('time', 'subject', 'pair'), [True, False, False])
    """
    join = choose(METHODS, method, "method")
    check_count(decimate, "decimate")
    if not threshold >= 0:
        raise ValueError(f"threshold: expected a number >= 0, got {threshold}. Pass 1, say.")
    known = read_recordings(X, by)
    n_slope = _count_bins(window, known.step, BINS, "window", ORDER + 1, len(known.time))
    least = 3 if method == "correlation_window" else 1
    n_span = _count_bins(span, known.step, 1, "span", least, len(known.time))
    n, kept = len(known.neuroid), slice(None, None, decimate)
    first, second = np.triu_indices(n, 1)
    time = known.time[kept]
    tensor = np.empty((len(time), len(known.subject), len(first)), dtype=np.float32)
    for row, trials in enumerate(known.values):
        slopes = _scale(_differentiate(trials, n_slope, known.step), known, row)
        slopes = np.where(np.abs(slopes) < threshold, 0.0, slopes)
        end = 0
        for i in range(n - 1):
            start, end = end, end + n - 1 - i
            joined = join(slopes[:, i : i + 1], slopes[:, i + 1 :], n_span)
            tensor[:, row, start:end] = _mean_seen(joined)[:, kept].T
    coords = {
        "time": time, "subject": known.subject,
        "first": ("pair", known.neuroid[first]), "second": ("pair", known.neuroid[second]),
    }  # fmt: skip
    attrs = {"affinity": method, "sampling_rate": 1.0 / (known.step * decimate)}
    return xr.DataArray(tensor, dims=("time", "subject", "pair"), coords=coords, attrs=attrs)


def _count_bins(
    seconds: float | None, step: float, default: int, name: str, least: int, most: int
) -> int:
    """Odd number of bins nearest to a duration."""
    n = default if seconds is None else 2 * round((seconds / step - 1) / 2) + 1
    if not least <= n <= most:
        raise ValueError(
            f"{name}: expected {least} to {most} bins ({least * step:g} to {most * step:g} s), got "
            f"{n} ({n * step:g} s). Change it."
        )
    return n


def _differentiate(values: Array, n: int, step: float) -> Array:
    """Derivatives along the last axis within stretches without NaN; shorter ones stay NaN."""
    rows = values.reshape(-1, values.shape[-1])
    found = np.full(rows.shape, np.nan)
    whole = np.isfinite(rows).all(axis=1)
    if whole.any():
        found[whole] = savgol_filter(rows[whole], n, ORDER, deriv=1, delta=step)
    for row in np.flatnonzero(~whole):
        edges = np.diff(np.pad(np.isfinite(rows[row]).astype(np.int8), 1))
        for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
            if end - start >= n:
                stretch = rows[row, start:end]
                found[row, start:end] = savgol_filter(stretch, n, ORDER, deriv=1, delta=step)
    return found.reshape(values.shape)


def _scale(slopes: Array, known: Any, row: int) -> Array:
    """Divide (trial, neuroid, time) by each neuroid's robust deviation; NaN where one is still."""
    # Filters leave rounding where a trace is constant.
    size = np.abs(np.nan_to_num(known.values[row])).max(axis=(0, 2))
    floor = 1e-12 * size / known.step
    together = slopes.swapaxes(0, 1).reshape(slopes.shape[1], -1)
    seen = np.isfinite(together).any(axis=1)
    center = np.nanmedian(together[seen], axis=1, keepdims=True)
    deviation = np.full(len(together), np.nan)
    deviation[seen] = NORMAL_MAD * np.nanmedian(np.abs(together[seen] - center), axis=1)
    # A neuroid at rest most of the time has no median deviation, but moves.
    rests = seen & ~(deviation > floor)
    deviation[rests] = np.sqrt(np.nanmean(together[rests] ** 2, axis=1))
    still = seen & ~(deviation > floor)
    if still.any():
        warnings.warn(
            f"X: expected neuroids that move, got {int(still.sum())} constant ones in "
            f"'{known.subject[row]}' ({some(known.neuroid[still])}). Their pairs are NaN.",
            NeuroalignWarning,
            stacklevel=3,
        )
    return slopes / np.where(deviation > floor, deviation, np.nan)[:, None]


def _mean_seen(values: Array) -> Array:
    """Mean over the first axis of what is not NaN."""
    if len(values) == 1:
        return np.asarray(values[0])
    count = np.isfinite(values).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)
