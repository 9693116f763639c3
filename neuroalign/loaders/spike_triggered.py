"""What a signal did around each spike: windows, and their average."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import LoadError

Array = npt.NDArray[Any]


def _place(
    times: Any, signal: Any, rate: float, window: tuple[float, float], start: float
) -> tuple[Array, Array, Array]:
    """Sample of each spike whose window lies inside the signal, the lags, the signal."""
    trace = np.asarray(signal, dtype=np.float64)
    spikes = np.asarray(times, dtype=np.float64).ravel()
    if trace.ndim not in (1, 2) or not np.isfinite(trace).all():
        raise LoadError(
            f"signal: expected finite values (time,) or (time, channel), got shape {trace.shape} "
            f"with {int((~np.isfinite(trace)).sum())} not finite. Fill or cut them."
        )
    if not np.isfinite(spikes).all():
        raise LoadError(
            f"times: expected finite spike times [s], got {int((~np.isfinite(spikes)).sum())} "
            f"others of {len(spikes)}. Drop them."
        )
    if not rate > 0 or not window[1] >= window[0]:
        raise LoadError(
            f"window: expected (start, stop) [s] with stop >= start and a rate above 0 Hz, got "
            f"{window} at {rate} Hz. Swap or correct them."
        )
    lags = np.arange(round(window[0] * rate), round(window[1] * rate) + 1)
    place = np.floor((spikes - start) * rate + 1e-6).astype(np.int64)
    inside = (place + lags[0] >= 0) & (place + lags[-1] < len(trace))
    if not inside.any():
        raise LoadError(
            f"times: expected spikes whose window lies inside the signal ({start:g} to "
            f"{start + len(trace) / rate:g} s), got none of {len(spikes)}. Check the time units."
        )
    return place[inside], lags, trace


def _wrap(values: Array, dims: tuple[str, ...], lags: Array, rate: float, n: int) -> xr.DataArray:
    names = dims + (("channel",) if values.ndim > len(dims) else ())
    attrs = {"sampling_rate": float(rate), "n_spikes": int(n)}
    return xr.DataArray(values, {"lag": lags / rate}, names, attrs=attrs)


def spike_triggered_windows(
    times: Any, signal: Any, rate: float, window: tuple[float, float], *, start: float = 0.0
) -> xr.DataArray:
    """Cut the signal around each spike.

    Parameters
    ----------
    times : array (spike,)
        [s]
    signal : array (time,) or (time, channel)
    rate : float
        [Hz] of the signal.
    window : (float, float)
        First and last lag [s] from the spike, both included; what came before is negative.
    start : float
        Time [s] of the first sample of the signal, on the clock of the spikes.

    Returns
    -------
    DataArray (spike, lag) or (spike, lag, channel)
        float64, with coord ``lag`` [s]. Spikes whose window leaves the signal are left out.

    Raises
    ------
    LoadError
        When values are not finite, or no window lies inside the signal.

    Examples
    --------
    >>> import numpy as np
    >>> windows = spike_triggered_windows([0.10, 0.50], np.arange(100.0), 100.0, (-0.01, 0.01))
    >>> windows.values.tolist()
    [[9.0, 10.0, 11.0], [49.0, 50.0, 51.0]]
    """
    place, lags, trace = _place(times, signal, rate, window, start)
    return _wrap(trace[place[:, None] + lags], ("spike", "lag"), lags, rate, len(place))


def spike_triggered_average(
    times: Any, signal: Any, rate: float, window: tuple[float, float], *, start: float = 0.0
) -> xr.DataArray:
    """Average the signal around spikes, without holding the windows.

    Parameters
    ----------
    times, signal, rate, window, start
        As in `spike_triggered_windows`.

    Returns
    -------
    DataArray (lag,) or (lag, channel)
        float64, with coord ``lag`` [s]; attrs ``n_spikes`` counts the spikes averaged.

    Raises
    ------
    LoadError
        When values are not finite, or no window lies inside the signal.

    Examples
    --------
    >>> import numpy as np
    >>> signal = np.zeros(100)
    >>> signal[[12, 52]] = 1.0  # two samples after each spike
    >>> average = spike_triggered_average([0.10, 0.50], signal, 100.0, (-0.02, 0.03))
    >>> average["lag"][average.argmax("lag")].item(), average.attrs["n_spikes"]
    (0.02, 2)
    """
    place, lags, trace = _place(times, signal, rate, window, start)
    mean = np.stack([trace[place + lag].mean(axis=0) for lag in lags])
    return _wrap(mean, ("lag",), lags, rate, len(place))
