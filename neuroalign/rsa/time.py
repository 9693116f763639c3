"""RDMs along time: windows, noise of each time, and whether a geometry lasts or returns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose
from neuroalign.rsa._cells import NoiseLike
from neuroalign.rsa._couples import average_couples
from neuroalign.rsa._sentences import describe_generalization
from neuroalign.rsa._stacks import unfold
from neuroalign.rsa.comparisons import COMPARISONS
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.joining import gather_rdms, split_samples, stack_rdms
from neuroalign.rsa.noise import estimate_noise
from neuroalign.rsa.rdms import to_square
from neuroalign.schema import add_history, check_responses

Array = npt.NDArray[Any]
# Windows end between samples, whatever the last digits of their times.
EDGE = 1e-6


def _average(part: xr.DataArray, starts: Array, length: int) -> xr.DataArray:
    """Average the samples of each window; a missing one makes the window missing."""
    values = part.values.astype(np.float64)
    total = np.concatenate([np.zeros((*values.shape[:2], 1)), np.nancumsum(values, 2)], axis=2)
    lost = np.concatenate(
        [np.zeros((*values.shape[:2], 1)), np.cumsum(np.isnan(values), axis=2)], axis=2
    )
    stops = starts + length
    means = (total[..., stops] - total[..., starts]) / length
    means[(lost[..., stops] - lost[..., starts]) > 0] = np.nan
    kept = {key: c for key, c in part.coords.items() if "time" not in c.dims}
    return xr.DataArray(means.astype(part.dtype), kept, part.dims)


def _join(part: xr.DataArray, starts: Array, length: int) -> xr.DataArray:
    """Count each sample of a window as a channel of its own."""
    index = starts + np.arange(length)[:, None]
    values = part.values[:, :, index].reshape(part.sizes["sample"], -1, len(starts))
    kept = {key: c for key, c in part.coords.items() if c.dims == ("sample",)}
    place = np.repeat(np.arange(part.sizes["neuroid"]), length)
    lag = np.tile(np.arange(length), part.sizes["neuroid"])
    for key, coord in part.coords.items():
        if coord.dims == ("neuroid",):
            kept[key] = ("neuroid", coord.values[place])
    names = [f"{name}+{k}" for name, k in zip(part["neuroid"].values[place], lag, strict=True)]
    kept |= {"neuroid": ("neuroid", np.array(names)), "lag": ("neuroid", lag)}
    return xr.DataArray(values, kept, part.dims)


PATTERNS = {"mean": _average, "joined": _join}


def bin_time(
    responses: xr.DataArray, *, window: float, step: float | None = None, pattern: str = "mean"
) -> xr.DataArray:
    """Take windows of time, side by side or sliding.

    Parameters
    ----------
    responses : DataArray (sample, neuroid, time)
        Evenly sampled.
    window : float
        Length [s]; rounded to whole samples, at least one.
    step : float, optional
        From window to window [s], rounded too; the window when not given.
    pattern : {"mean", "joined"}
        ``mean``: average the samples of a window. ``joined``: keep them as channels of their own
        (neuroid ``Pz+0``, ``Pz+1``, ... with coord ``lag``), so that distances see courses in it.

    Returns
    -------
    DataArray (sample, neuroid, time)
        Whole windows only, from the first sample on. ``time`` is the middle of the samples of a
        window; coords ``time_first`` and ``time_last`` are its first and last sample [s]. A window
        with a missing value is missing, and not ``valid``.

    Raises
    ------
    SchemaError, ValueError

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> values = np.arange(12.0).reshape(2, 1, 6)
    >>> data = from_arrays(values, modality="eeg", stimulus=["a", "b"], time=np.arange(6) / 10)
    >>> bin_time(data, window=0.2)["time"].values.round(2).tolist()
    [0.05, 0.25, 0.45]
    """
    take = choose(PATTERNS, pattern, "pattern")
    times = _read_times(responses)
    spacing = float(np.diff(times).mean())
    for name, value in (("window", window), ("step", step)):
        if value is not None and not value > 0:
            raise ValueError(f"{name}: expected seconds above 0, got {value}.")
    length = max(1, round(window / spacing))
    stride = length if step is None else max(1, round(step / spacing))
    if length > len(times):
        raise ValueError(
            f"window: expected at most {len(times) * spacing:g} s, which responses have, got "
            f"{window:g}. Shorten it, and give seconds, not ms."
        )
    starts = np.arange(0, len(times) - length + 1, stride)
    binned = take(responses, starts, length)
    stops = starts + length - 1
    ends: dict[str, Any] = {
        "time_first": ("time", times[starts]),
        "time_last": ("time", times[stops]),
    }
    binned = binned.assign_coords(time=(times[starts] + times[stops]) / 2, **ends)
    if "valid" in responses.coords and responses["valid"].dims == ("sample", "time"):
        whole = responses["valid"].values[:, starts + np.arange(length)[:, None]].all(axis=1)
        binned = binned.assign_coords(valid=(("sample", "time"), whole))
    attrs = dict(responses.attrs)
    if "sampling_rate" in attrs:
        attrs["sampling_rate"] = 1 / (stride * spacing)
    said = f"bin_time window={length * spacing:g} s step={stride * spacing:g} s ({pattern})"
    return add_history(binned.assign_attrs(attrs), said)


def _read_times(responses: xr.DataArray) -> Array:
    check_responses(responses)
    if "time" not in responses.dims or "time" not in responses.coords:
        raise SchemaError(
            f"responses: expected dim and coord 'time' [s], got dims {responses.dims}. "
            "Load epochs, or assign times."
        )
    times = np.asarray(responses["time"].values, dtype=np.float64)
    steps = np.diff(times)
    # Files keep times in single precision.
    if len(steps) and np.ptp(steps) > 1e-3 * steps.mean() + EDGE:
        raise SchemaError(
            f"responses: expected evenly spaced times, got steps of {steps.min():g} to "
            f"{steps.max():g} s. Resample them."
        )
    if not len(steps):
        raise SchemaError("responses: expected 2 times or more, got 1. Compute one RDM.")
    return times


def compute_time_rdms(
    responses: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    by: str = "stimulus",
    distance: str = "correlation",
    fold: str | None = None,
    noise: NoiseLike = None,
    noise_from: str | tuple[float, float] = "each",
    window: float | None = None,
    step: float | None = None,
    pattern: str = "mean",
    over: str | Sequence[str] = (),
    form: str = "condensed",
) -> xr.DataArray:
    """Compute an RDM for each time, or each window of time.

    Parameters
    ----------
    responses : DataArray (sample, neuroid, time), or mapping of name to DataArray
        With a mapping the first name in ``over`` is its dim, such as "subject".
    by, distance, fold, form
        As in `compute_rdm`.
    noise : str, DataArray or None
        A method of `estimate_noise`, or what it returned.
    noise_from : {"each", "all"} or (float, float)
        Where a named noise is estimated, always from what repeats leave: at each time (or window)
        by itself, over all times together, or in a stretch [s] such as the baseline, there of
        each subject by itself.
    window, step, pattern
        As in `bin_time`; every sample by itself when no window is given.
    over : str or sequence of str
        More leading dims: "subject", "roi".
    form : {"condensed", "square"}

    Returns
    -------
    DataArray (..., time, pair) or (..., time, first, second)

    Raises
    ------
    SchemaError, AlignError, ValueError

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> values = np.random.default_rng(0).normal(size=(12, 4, 10))
    >>> runs, times = ["1"] * 6 + ["2"] * 6, np.arange(10) / 100
    >>> data = from_arrays(
    ...     values, stimulus=["a", "b", "c"] * 4, run=runs, time=times, modality="meg"
    ... )
    >>> rdms = compute_time_rdms(
    ...     data, distance="crossnobis", fold="run", noise="shrinkage", window=0.05, step=0.01
    ... )
    >>> dict(rdms.sizes)
    {'time': 6, 'pair': 3}
    """
    names = (over,) if isinstance(over, str) else tuple(over)
    several = not isinstance(responses, xr.DataArray)
    parts = dict(responses) if isinstance(responses, Mapping) else {"": responses}
    for part in parts.values():
        _read_times(part)
    if window is not None:
        parts = {
            key: bin_time(one, window=window, step=step, pattern=pattern)
            for key, one in parts.items()
        }
    elif step is not None or pattern != "mean":
        raise ValueError("window: expected seconds with step or pattern, got None. Name a window.")
    dims = (*names, "time")

    def compute(given: dict[str, xr.DataArray], used: NoiseLike) -> xr.DataArray:
        return compute_rdm(
            given if several else given[""],
            by=by, distance=distance, fold=fold, noise=used, over=dims, form=form,
        )  # fmt: skip

    if not isinstance(noise, str):
        return compute(parts, noise)
    if not isinstance(noise_from, str):
        if distance == "decoding_accuracy":
            raise ValueError(
                f"noise_from: expected 'each' or 'all' for {distance}, got {noise_from}. "
                "Noise of a stretch would be learnt from the tested trials too."
            )
        mixed = [
            n
            for n in names
            for one in parts.values()
            if n in one.coords and one[n].dims == ("sample",)
        ]
        if several or mixed:
            key = names[0] if several else mixed[0]
            people = parts if several else split_samples(parts[""], key)
            stack = stack_rdms(
                {
                    name: compute_time_rdms(
                        one, by=by, distance=distance, fold=fold, noise=noise,
                        noise_from=noise_from, over=[n for n in names if n != key],
                    )
                    for name, one in people.items()
                },
                over=key,
            ).transpose(*dims, "pair")  # fmt: skip
            square = choose({"condensed": False, "square": True}, form, "form")
            return to_square(stack) if square else stack
        return compute(parts, _estimate_stretch(parts[""], by, fold, noise, noise_from))
    if not choose({"each": True, "all": False}, noise_from, "noise_from"):
        return compute(parts, noise)
    times = next(iter(parts.values()))["time"].values
    slices = [
        compute({key: one.isel(time=[t]) for key, one in parts.items()}, noise)
        for t in range(len(times))
    ]
    joined = xr.concat(slices, "time", join="exact", coords="minimal", compat="override")
    return joined.transpose(*slices[0].dims).assign_attrs(slices[0].attrs)


def _estimate_stretch(
    first: xr.DataArray, by: str, fold: str | None, method: str, stretch: tuple[float, float]
) -> xr.DataArray:
    """Noise covariance in a stretch of time of one recording."""
    times = first["time"].values
    inside = np.flatnonzero((times >= stretch[0] - EDGE) & (times <= stretch[1] + EDGE))
    if not len(inside):
        raise ValueError(
            f"noise_from: expected times from {times[0]:g} to {times[-1]:g} s, got {stretch}."
        )
    repeated = False
    if fold is not None:
        cells = np.stack([first[key].values.astype(str) for key in (by, fold)], axis=1)
        repeated = len(np.unique(cells, axis=0)) < len(cells)
    part = first.isel(time=inside)
    return estimate_noise(part, by=by, fold=fold if repeated else None, method=method)


def generalize_rdms(
    rdms: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    over: str = "subject",
    method: str = "spearman",
) -> xr.Dataset:
    """Compare the RDM of each time with that of every other time, in independent data.

    RDMs of one recording share their noise over neighbouring times, which looks like a geometry
    that lasts. Between subjects, halves or sessions noise is not shared.

    Parameters
    ----------
    rdms : DataArray (..., time, pair) or (..., time, first, second)
        With a dim of independent data of two or more: subjects, or split halves; or a mapping
        of their names to RDMs.
    over : str
        The name of that dim.
    method : str
        A name in ``COMPARISONS``.

    Returns
    -------
    Dataset
        Of kind ``estimate``, over the other leading dims. ``score`` (..., time, time_other), the
        mean over all couples of different units, the same both ways; ``within`` (..., time,
        time_other), the mean inside units, which shared noise raises; ``reliability`` (..., time),
        the diagonal of ``score``; ``corrected`` (..., time, time_other) = score over the root of
        both reliabilities, about 1 where the geometry is the same and NaN where one is 0 or less;
        ``standard_error`` of the score by leaving out units, with three or more.

    Raises
    ------
    SchemaError, ValueError

    References
    ----------
    King & Dehaene (2014), Trends in Cognitive Sciences 18, 203-210; Spearman (1904), American
    Journal of Psychology 15, 72-101 (correction for attenuation).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> early, late = rng.random((2, 45))
    >>> values = np.stack([early, early, late]) + rng.normal(0, 0.05, (5, 3, 45))
    >>> from neuroalign.rsa import from_matrix
    >>> lead = {"subject": list("vwxyz"), "time": [0.1, 0.2, 0.3]}
    >>> rdms = from_matrix(values, list("abcdefghij"), lead=lead)
    >>> generalize_rdms(rdms)["score"].values.round(0).tolist()[0]
    [1.0, 1.0, 0.0]
    """
    choose(COMPARISONS, method, "method")
    rdms = gather_rdms(rdms, "rdms", over)
    stack = unfold(rdms, "rdms")
    absent = [dim for dim in ("time", over) if dim not in stack.lead]
    if absent:
        raise SchemaError(
            f"rdms: expected leading dims 'time' and '{over}', got {stack.lead}. "
            f"Compute RDMs with over='{absent[0]}', or name another in over=."
        )
    n_units, n_times = rdms.sizes[over], rdms.sizes["time"]
    if n_units < 2:
        raise SchemaError(
            f"rdms: expected 2 or more along '{over}', got {n_units}. "
            "Split the data in halves first (rsa.split_rdms)."
        )
    lead = tuple(dim for dim in stack.lead if dim not in (over, "time"))
    order = [stack.lead.index(dim) for dim in (*lead, over, "time")]
    values = np.transpose(stack.values, (*order, stack.values.ndim - 1))
    shape = values.shape[: len(lead)]
    found = [
        average_couples(one, stack.labels, method)
        for one in values.reshape(-1, n_units, n_times, values.shape[-1])
    ]
    joined = {key: np.stack([one[key] for one in found]) for key in found[0]}
    across = ("time", "time_other")
    columns = {
        key: ((*lead, *across[: value.ndim - 1]), value.reshape(*shape, *value.shape[1:]))
        for key, value in joined.items()
    }
    coords = {key: c for key, c in stack.coords.items() if over not in c.dims}
    if "time" in rdms.coords:
        coords["time_other"] = ("time_other", rdms["time"].values)
    attrs = {"kind": "estimate", "method": f"generalisation of RDMs over time ({method})",
             "metric": method, "over": over, "n_units": n_units}  # fmt: skip
    made = xr.Dataset(columns, coords=coords, attrs=attrs)
    return made.assign_attrs(headline="reliability", verdict=describe_generalization(made))
