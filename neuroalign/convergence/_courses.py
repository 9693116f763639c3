"""Courses by condition: (condition, time, column), with NaN where a film has ended.

In: labelled trials and features. Out: bare arrays over the same conditions and times.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import schema
from neuroalign.convergence._trials import find_rows
from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.evaluate._halves import average_repeats, draw_halves, measure_growth

Array = npt.NDArray[Any]
COURSES = ("sample", "neuroid", "time")


class Courses(NamedTuple):
    """Average ``full`` (condition, time, column) and its ``halves``: pairs of the same shape.

    ``growth`` says how many times longer the whole is than they are. A model, which has no noise,
    has no halves: it is the same in both.
    """

    full: Array
    halves: list[tuple[Array, Array]]
    growth: float = 2.0


class Frames(NamedTuple):
    """The frames that count: ``condition`` and ``time`` of each row."""

    condition: Array
    time: Array

    def take(self, course: Array) -> Array:
        """Rows (row, ...) of a course (condition, time, ...)."""
        rows: Array = course[self.condition, self.time]
        return rows


def find_frames(courses: Sequence[Courses]) -> Frames:
    """Frames at which everything is known, in every source, neuroid and half."""
    known = np.ones(courses[0].full.shape[:2], dtype=bool)
    for one in courses:
        for part in (one.full, *(half for pair in one.halves for half in pair)):
            known &= np.isfinite(part).all(axis=2)
    return Frames(*np.nonzero(known))


def _turn(course: xr.DataArray) -> Array:
    return np.asarray(course.values, dtype=np.float64).transpose(0, 2, 1)


def average_trials(
    responses: xr.DataArray, names: Array, codes: Array, n_halves: int, rng: np.random.Generator
) -> Courses:
    """Average all trials of each condition, and random halves of them."""
    every = np.ones(len(codes), dtype=bool)
    full = average_repeats(responses, codes, every, names)
    pairs = [draw_halves(responses, codes, names, rng) for _ in range(n_halves)]
    halves = [(_turn(one), _turn(two)) for one, two in pairs]
    return Courses(_turn(full), halves, measure_growth(codes))


def check_times(array: xr.DataArray, responses: xr.DataArray, label: str) -> None:
    """Check that an array has the times of the responses.

    Raises
    ------
    AlignError
    """
    same = array.sizes["time"] == responses.sizes["time"]
    if same and all("time" in one.coords for one in (array, responses)):
        same = bool(np.allclose(array["time"].values, responses["time"].values))
    if not same:
        raise AlignError(
            f"{label}: expected the times of responses, got {array.sizes['time']} against "
            f"{responses.sizes['time']}, or others. Interpolate it: .interp(time=responses.time)."
        )


def read_course(one: Any, names: Array, label: str, responses: xr.DataArray) -> Array:
    """Features of the conditions in their order: (condition, time, feature).

    Parameters
    ----------
    one : DataArray (sample, feature, time), or (sample, feature) with ``run`` and ``onset``
        One sample a condition, or one a frame, its ``run`` the condition.
    names : array of str (condition,)
    label : str
        Argument named in messages.
    responses : DataArray (sample, neuroid, time)

    Returns
    -------
    array (condition, time, feature)
        NaN at times without a frame.

    Raises
    ------
    AlignError, SchemaError
    """
    framed = getattr(one, "dims", ()) == ("sample", "feature") and "run" in one.coords
    if framed and "onset" in one.coords:
        return _lay_out(schema.check_features(one, label), names, label, responses)
    rows = find_rows(one, names, label, (("sample", "feature", "time"),))
    schema.check_features(one, label)
    check_times(one, responses, label)
    return _turn(one)[rows]


def _lay_out(one: xr.DataArray, names: Array, label: str, responses: xr.DataArray) -> Array:
    """Put frames (frame, feature) where their run and onset say."""
    run, onset = one["run"].values, np.asarray(one["onset"].values, dtype=np.float64)
    missing = names[~np.isin(names, run)]
    if len(missing):
        raise AlignError(
            f"{label}: expected every condition of the trials as a 'run', got {len(missing)} that "
            f"are missing ({some(missing)}). Name films as stimuli are named."
        )
    time = np.asarray(responses["time"].values, dtype=np.float64)
    place = np.abs(onset[:, None] - time).argmin(axis=1)
    step = float(np.diff(time).min()) if len(time) > 1 else np.inf
    near = np.abs(onset - time[place]) < 0.25 * step
    wanted = np.isin(run, names)
    if not near[wanted].all():
        raise AlignError(
            f"{label}: expected onsets that are times of responses, got "
            f"{int((~near[wanted]).sum())} frames beside them (first: "
            f"{onset[wanted][~near[wanted]][0]:g} s). Compute features at the rate of responses."
        )
    course = np.full((len(names), len(time), one.shape[1]), np.nan)
    course[np.searchsorted(names, run[wanted]), place[wanted]] = one.values[wanted]
    return course


def read_window(one: Any, names: Array, label: str, responses: xr.DataArray) -> Array:
    """Frames marked of each condition: bool (condition, time).

    Raises
    ------
    AlignError, SchemaError
    """
    rows = find_rows(one, names, label, (("sample", "time"),))
    if one.dtype != bool:
        raise SchemaError(
            f"{label}: expected bool, True at frames to be scored, got {one.dtype}. Compare it."
        )
    check_times(one, responses, label)
    return np.asarray(one.values[rows])
