"""What latent models ask of their inputs beyond shapes: the clock, units of counts, and labels.

In: what a user passed. Out: nothing, or an error that names the argument and the remedy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, some

Array = npt.NDArray[Any]
# A step from bin to bin may differ by this share of the usual one; bins of a run by more, as
# scanners and clocks drift, but never by half a bin.
UNEVEN, UNEVEN_RUN = 0.01, 0.5
# A bin may differ from what sampling_rate says by this factor; beyond it the unit is another.
OTHER_UNIT = 10.0
RATES = ("hz", "spikes/s", "spikes/sec", "1/s", "s^-1")
AVERAGES = "FactorAnalysis, ProbabilisticPCA"
# Labels that two arrays of the same trials share; numbers are compared within a share of a step.
NAMES, NUMBERS = ("stimulus", "repeat", "run"), ("time", "onset")
CLOSE = 0.01


def check_recording(X: Any) -> None:
    """Refuse what is no recording, and say what to pass.

    Raises
    ------
    SchemaError
    """
    kind = type(X).__name__
    if hasattr(X, "responses") and hasattr(X, "truth"):
        raise SchemaError(f"X: expected a recording, got {kind}. Pass sim.responses.")
    if isinstance(X, Mapping | str | xr.Dataset):
        raise SchemaError(
            f"X: expected one recording (sample, neuroid, time), got {kind}. Pass one entry of it, "
            "or fit a model to each."
        )
    if not isinstance(X, list | tuple):
        kinds = np.asarray(X).dtype
        if kinds.kind not in "biuf":
            raise SchemaError(
                f"X: expected numbers, got dtype {kinds}. Convert with astype(float)."
            )


def check_clock(X: Any) -> None:
    """Refuse bins that do not follow each other at a steady pace: models of time need it.

    Parameters
    ----------
    X : as `LatentModel.fit` takes it
        Without labels there is nothing to check.

    Raises
    ------
    SchemaError
    """
    if not isinstance(X, xr.DataArray):
        return
    if "time" in X.dims:
        if "time" in X.coords and X.sizes["time"] > 1:
            _check_times(np.asarray(X["time"].values, dtype=np.float64), X.attrs)
        return
    if "onset" in X.coords:
        _check_onsets(X)
    elif "run" not in X.coords and "stimulus" in X.coords:
        raise SchemaError(
            "X: expected time, or 'run' and 'onset', got trials without either. Average models: "
            f"{AVERAGES}."
        )


def _check_times(time: Array, attrs: Mapping[str, Any]) -> None:
    steps = np.diff(time)
    usual = float(np.median(steps))
    if not (usual > 0 and np.all(np.abs(steps - usual) <= UNEVEN * usual)):
        at = int(np.argmax(np.abs(steps - usual))) if usual > 0 else int(np.argmin(steps))
        raise SchemaError(
            f"X: expected times that rise by one step, got {time[at + 1]:g} s after {time[at]:g} "
            f"s where the usual step is {usual:g} s. Sort by time, and keep bins that are missing "
            "as NaN."
        )
    rate = attrs.get("sampling_rate")
    told = 1.0 / float(rate) if rate else usual
    if not 1 / OTHER_UNIT < usual / told < OTHER_UNIT:
        raise SchemaError(
            f"X: expected time in seconds, got bins of {usual:g} s where sampling_rate says "
            f"{told:g} s. Convert time to seconds."
        )


def _check_onsets(X: xr.DataArray) -> None:
    onset = np.asarray(X["onset"].values, dtype=np.float64)
    run = X["run"].values if "run" in X.coords else np.zeros(len(onset), dtype=int)
    steps = {name: np.diff(np.sort(onset[run == name])) for name in dict.fromkeys(run.tolist())}
    every = np.concatenate(list(steps.values()))
    if not len(every):
        return
    usual = float(np.median(every))
    for name, each in steps.items():
        bad = np.flatnonzero(np.abs(each - usual) > UNEVEN_RUN * usual)
        if len(bad) or usual <= 0:
            at = int(bad[0]) if len(bad) else 0
            where = f"run '{name}'" if "run" in X.coords else "one run"
            raise SchemaError(
                f"X: expected the bins of {where} {usual:g} s apart, got a step of {each[at]:g} s "
                f"after onset {np.sort(onset[run == name])[at]:g}. Keep dropped bins and set them "
                "to NaN."
            )


def says_rates(X: Any) -> bool:
    """Whether attrs call the values rates in time, so that whole ones are no counts."""
    units = str(X.attrs.get("units", "")) if isinstance(X, xr.DataArray) else ""
    return units.strip().lower() in RATES


def check_count_units(X: Any) -> None:
    """Refuse rates where counts are modelled.

    Raises
    ------
    SchemaError
    """
    if says_rates(X):
        raise SchemaError(
            f"X: expected counts per bin, got units '{X.attrs['units']}'. Multiply by the bin "
            "width."
        )


def read_names(X: Any, dim: str = "neuroid") -> Array | None:
    """Names on a dim, where there are any."""
    if isinstance(X, xr.DataArray) and dim in X.coords:
        return np.asarray(X[dim].values)
    return None


def check_names(known: Array | None, new: Array | None, name: str = "X") -> None:
    """Check that neuroids stand in the order of training, where both are named.

    Raises
    ------
    SchemaError
    """
    if known is not None and new is not None and not np.array_equal(known, new):
        raise SchemaError(
            f"{name}: expected the units of fit in their order ({some(known, 3)}), got "
            f"{some(new, 3)}. Use sel(neuroid=...)."
        )


def check_units(known: Array | None, count: int, X: Any, name: str) -> None:
    """Check that the last dim has the neuroids of training, by number and by name.

    Raises
    ------
    SchemaError
    """
    check_names(known, read_names(X), name)
    n = np.shape(X)[-1] if np.ndim(X) else 0
    if n != count:
        raise SchemaError(
            f"{name}: expected the {count} neuroids of fit, got {n}. Select the same ones."
        )


def check_agreement(one: Any, other: Any, name: str, whose: str, extra: Sequence[str] = ()) -> None:
    """Check that two arrays of the same trials and bins say so, as far as both are labelled.

    Parameters
    ----------
    one, other : DataArray or anything else, which is not checked
    name, whose : str
        What they are called.
    extra : names of further coords to compare

    Raises
    ------
    AlignError
    """
    if not (isinstance(one, xr.DataArray) and isinstance(other, xr.DataArray)):
        return
    for key in (*NAMES, *NUMBERS, *extra):
        if key not in one.coords or key not in other.coords:
            continue
        a, b = one[key].values, other[key].values
        if a.shape == b.shape and (_are_close(a, b) if key in NUMBERS else np.array_equal(a, b)):
            continue
        told = f"the trials of {whose} in their order" if key == "stimulus" else (
            f"the '{key}' of {whose}")  # fmt: skip
        raise AlignError(
            f"{name}: expected {told} ({some(b.ravel(), 3)}), got {some(a.ravel(), 3)}. Select "
            "the same, with isel or sel."
        )


def _are_close(a: Array, b: Array) -> bool:
    steps = np.abs(np.diff(b[np.isfinite(b)].astype(np.float64)))
    steps = steps[steps > 0]
    room = CLOSE * float(steps.min()) if len(steps) else 1e-9
    return bool(np.allclose(a, b, rtol=0, atol=room, equal_nan=True))
