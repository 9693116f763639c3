"""Smooth shapes of time, few in number, in which filters of neurons are written.

In: a signal that runs along time. Out: its causal convolution with each shape, one feature each.
To add a shape: a function of ``(n_lags, n_basis, shape)`` and its row in ``BASES``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.interpolate import BSpline

from neuroalign.align._runs import find_runs
from neuroalign.align.resampling import check_timed
from neuroalign.errors import choose

Array = npt.NDArray[Any]
# What stands where the window reaches before the first sample of a run or trial.
EDGES = {"zero": 0.0, "nan": np.nan}


def _raise_cosines(place: Array, n_basis: int) -> Array:
    """Bumps that reach 0 two spacings from their peak; four overlap, and add up to 2."""
    spacing = (place[-1] - place[0]) / (n_basis + 1) or 1.0
    peaks = place[0] + spacing * np.arange(n_basis)
    phase = np.clip((place[:, None] - peaks) * np.pi / (2 * spacing), -np.pi, np.pi)
    bumps: Array = (1 + np.cos(phase)) / 2
    return bumps


def _raise_cosines_log(n_lags: int, n_basis: int, shape: float | None) -> Array:
    offset = 1.0 if shape is None else shape
    if offset <= 0:
        raise ValueError(f"shape: expected an offset above 0 lags, got {shape}. 1 is usual.")
    return _raise_cosines(np.log(np.arange(n_lags) + offset), n_basis)


def _raise_cosines_linear(n_lags: int, n_basis: int, shape: float | None) -> Array:
    del shape
    return _raise_cosines(np.arange(n_lags, dtype=np.float64), n_basis)


def _join_splines(n_lags: int, n_basis: int, shape: float | None) -> Array:
    degree = 3 if shape is None else int(shape)
    if degree < 0 or n_basis <= degree:
        raise ValueError(
            f"n_basis: expected more than the degree of the splines ({degree}), got {n_basis}. "
            "Ask for more, or give a lower degree as shape."
        )
    inner = np.linspace(0.0, n_lags - 1, n_basis - degree + 1)
    knots = np.concatenate([[inner[0]] * degree, inner, [inner[-1]] * degree])
    lags = np.arange(n_lags, dtype=np.float64)
    splines: Array = BSpline.design_matrix(lags, knots, degree).toarray()
    return splines


def _stack_boxes(n_lags: int, n_basis: int, shape: float | None) -> Array:
    del shape
    box = np.arange(n_lags) * n_basis // n_lags
    boxes: Array = (box[:, None] == np.arange(n_basis)).astype(np.float64)
    return boxes


def _recur_laguerre(n_lags: int, n_basis: int, shape: float | None) -> Array:
    # The last function of order j is spent after about 4 j (1 + sqrt d) / (1 - sqrt d) lags.
    root = np.sqrt(shape) if shape else max(0.1, (n_lags - 4 * n_basis) / (n_lags + 4 * n_basis))
    if not 0 < root < 1:
        raise ValueError(f"shape: expected a decay between 0 and 1, got {shape}. Try 0.5.")
    lags = np.arange(n_lags)
    functions = np.zeros((n_lags, n_basis))
    functions[:, 0] = np.sqrt(1 - root**2) * root**lags
    for order in range(1, n_basis):
        # Each order is the one before, passed through (z^-1 - root) / (1 - root z^-1).
        value = 0.0
        for lag in range(n_lags):
            before = functions[lag - 1, order - 1] if lag else 0.0
            value = root * value + before - root * functions[lag, order - 1]
            functions[lag, order] = value
    return functions


BASES: dict[str, Callable[[int, int, float | None], Array]] = {
    "raised_cosine_log": _raise_cosines_log,
    "raised_cosine_linear": _raise_cosines_linear,
    "bspline": _join_splines,
    "fir": _stack_boxes,
    "laguerre": _recur_laguerre,
}


def make_basis(
    kind: str,
    n_basis: int | None = None,
    window: float = 20.0,
    *,
    step: float = 1.0,
    shape: float | None = None,
) -> xr.DataArray:
    """Make shapes of time to write filters in.

    Parameters
    ----------
    kind : {"raised_cosine_log", "raised_cosine_linear", "bspline", "fir", "laguerre"}
    n_basis : int, optional
        How many shapes; by default one a lag, which only ``"fir"`` should take.
    window : float
        How far back filters reach, in the unit of ``step``.
    step : float
        Width of a bin, in seconds, say; 1 counts in bins.
    shape : float, optional
        What is left to choose: the offset of the logarithm [lags] for ``"raised_cosine_log"``
        (1; larger is more even), the degree of ``"bspline"`` (3), the share of squared height
        that ``"laguerre"`` keeps from lag to lag (by default so that the last is spent at the end
        of the window).

    Returns
    -------
    DataArray (lag, basis)
        With coord ``lag`` [unit of ``step``], from 0. attrs: ``kind`` of the basis and ``step``.

    Raises
    ------
    ValueError
        On an unknown kind, a window shorter than a step, or more shapes than lags.

    References
    ----------
    Pillow et al. (2008), Nature 454, 995-999, supplement: raised cosines in log time.
    Marmarelis (1993), Annals of Biomedical Engineering 21, 573-589: discrete Laguerre functions.

    Examples
    --------
    >>> from neuroalign.align import make_basis
    >>> basis = make_basis("raised_cosine_log", 5, window=0.1, step=0.001)
    >>> dict(basis.sizes)
    {'lag': 100, 'basis': 5}
    """
    function = choose(BASES, kind, "kind")
    if not (np.isfinite(window) and step > 0 and round(window / step) >= 1):
        raise ValueError(
            f"window: expected at least one step of {step:g}, got {window:g}. "
            "Give both in the same unit."
        )
    n_lags = round(window / step)
    n_basis = n_lags if n_basis is None else n_basis
    if not 1 <= n_basis <= n_lags:
        raise ValueError(
            f"n_basis: expected 1 to {n_lags} shapes, the lags in the window, got {n_basis}. "
            "Lengthen the window or ask for fewer."
        )
    return xr.DataArray(
        function(n_lags, n_basis, shape),
        dims=("lag", "basis"),
        coords={"lag": np.arange(n_lags) * step},
        attrs={"kind": kind, "step": float(step)},
    )


def convolve_basis(
    signal: Any,
    basis: Any,
    *,
    run: Any = None,
    strictly_past: bool = False,
    edge: str = "zero",
) -> Any:
    """Convolve a signal with each shape of a basis, looking back only, inside each run.

    Parameters
    ----------
    signal : DataArray or array (sample,), (sample, channel) or (sample, channel, time)
        With ``time`` every sample is a trial and the convolution goes along ``time``. Else samples
        are bins, in order of ``onset`` (or as they stand); runs are told by the coord ``run`` (or
        by ``run``).
    basis : DataArray or array (lag, basis)
        See `make_basis`.
    run : sequence (sample,), optional
        For a signal without the coord ``run``; nothing crosses from run to run.
    strictly_past : bool
        Start one bin back, so that a bin never sees itself: for history and coupling.
    edge : {"zero", "nan"}
        What was before the first bin: nothing happened, or unknown.

    Returns
    -------
    DataArray or array (sample, feature) or (sample, feature, time)
        float64, channel by channel; a DataArray when the signal is one, with coords ``channel``
        (str) and ``basis`` (int) on ``feature``.

    Raises
    ------
    ValueError
        On an unknown edge, or a signal or basis with other dims.
    AlignError
        When onsets within a run are not evenly spaced.

    Examples
    --------
    >>> from neuroalign.align import convolve_basis, make_basis
    >>> convolve_basis([0.0, 1.0, 0.0, 0.0], make_basis("fir", window=2), strictly_past=True)
    array([[0., 0.],
           [0., 0.],
           [1., 0.],
           [0., 1.]])
    """
    fill = choose(EDGES, edge, "edge")
    values, shapes = np.asarray(signal, np.float64), np.asarray(basis, np.float64)
    if values.ndim not in (1, 2, 3) or shapes.ndim != 2:
        raise ValueError(
            "signal: expected (sample,), (sample, channel) or (sample, channel, time) and a basis "
            f"(lag, basis), got {values.ndim} and {shapes.ndim} dims. Reshape them."
        )
    if strictly_past:
        shapes = np.vstack([np.zeros((1, shapes.shape[1])), shapes])
    if values.ndim == 3:
        trials, n_channels, n_times = values.shape
        flat = np.moveaxis(values, 2, 0).reshape(n_times, -1)
        made = _convolve(flat, shapes, fill).reshape(n_times, trials, -1)
        found = np.moveaxis(made, 0, 2)
    else:
        values = values.reshape(len(values), -1)
        n_channels = values.shape[1]
        found = np.empty((len(values), n_channels * shapes.shape[1]))
        for rows in read_runs(signal, run, len(values)):
            found[rows] = _convolve(values[rows], shapes, fill)
    if not isinstance(signal, xr.DataArray):
        return found
    return _label(found, signal, n_channels, shapes.shape[1])


def read_runs(signal: Any, run: Any, n: int) -> list[Array]:
    """Give the rows of each run, in order of time, of a signal that may tell its runs.

    Raises
    ------
    ValueError, AlignError
    """
    onset = None
    if isinstance(signal, xr.DataArray):
        if "run" in signal.coords:
            run = signal["run"].values if run is None else run
            if "onset" in signal.coords:
                check_timed(signal, "signal", ("onset",))
        if "onset" in signal.coords:
            onset = np.asarray(signal["onset"].values, np.float64)
    labels = np.zeros(n) if run is None else np.asarray(run)
    if labels.shape != (n,):
        raise ValueError(
            f"run: expected one for each of {n} samples, got shape {labels.shape}. Label each."
        )
    return find_runs(labels, onset, "signal", "Fill in the missing bins, or name their runs.")[0]


def _convolve(values: Array, shapes: Array, fill: float) -> Array:
    """Causal convolution (n, channel) with (lag, basis): (n, channel * basis)."""
    n, n_lags = len(values), len(shapes)
    past = np.vstack([np.zeros((n_lags - 1, values.shape[1])), values])
    windows = np.lib.stride_tricks.sliding_window_view(past, n_lags, axis=0)
    found: Array = (windows @ shapes[::-1]).reshape(n, -1)
    if fill != 0.0:
        found[: n_lags - 1] = fill
    return found


def _label(found: Array, signal: xr.DataArray, n_channels: int, n_basis: int) -> xr.DataArray:
    first = signal.dims[0]
    coords: dict[Any, Any] = {
        name: coord for name, coord in signal.coords.items() if coord.dims == (first,)
    }
    names = np.arange(n_channels).astype(str)
    if signal.ndim > 1 and signal.dims[1] in signal.coords:
        names = signal[signal.dims[1]].values.astype(str)
    coords["channel"] = ("feature", np.repeat(names, n_basis))
    coords["basis"] = ("feature", np.tile(np.arange(n_basis), n_channels))
    if signal.ndim == 3 and "time" in signal.coords:
        coords["time"] = signal["time"]
    dims = ("sample", "feature", "time")[: found.ndim]
    coords = {
        name: ("sample", coord.values) if getattr(coord, "dims", None) == (first,) else coord
        for name, coord in coords.items()
    }
    return xr.DataArray(found, dims=dims, coords=coords)
