"""Courses in time: means, ceilings, marks, onsets."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report.course_figures import (
    find_first,
    summarise_courses,
    tabulate_courses,
    tabulate_onsets,
)


@pytest.fixture
def with_tests(timed: xr.Dataset) -> xr.Dataset:
    q = xr.full_like(timed["score"].isel(fold=0, drop=True), 0.5)
    q[:20, 2] = 0.01
    # One of twenty: too few.
    q[20, 3] = 0.01
    ceiling = xr.DataArray(np.repeat([0.64, 0.36], 20), dims="neuroid")
    return timed.assign(q_value=q, ceiling=ceiling)


def test_ceilings_of_regions_are_roots_of_variance_shares(with_tests: xr.Dataset) -> None:
    lines = report.plot_time_course(with_tests).axes[0].lines
    drawn = [line.get_ydata() for line in lines if line.get_gid() == "ceiling"]
    np.testing.assert_allclose(drawn, np.repeat([[0.8], [0.6]], 6, axis=1))


def test_squares_stand_where_enough_neuroids_pass(with_tests: xr.Dataset) -> None:
    lines = report.plot_time_course(with_tests).axes[0].lines
    marks = [line.get_xdata() for line in lines if line.get_gid() == "passed"]
    np.testing.assert_allclose(marks[0], [0.1])
    assert len(marks[1]) == 0


def test_table_holds_what_is_drawn(with_tests: xr.Dataset) -> None:
    table = tabulate_courses(with_tests)
    assert len(table.rows) == 12
    region, time, mean, _, _, ceiling, passes = table.rows[2]
    assert (region, time, ceiling, passes) == ("V1", pytest.approx(0.1), 0.8, 1)
    course = summarise_courses(with_tests)[0]
    assert mean == pytest.approx(course.bounds[2, 0], rel=1e-5)


def test_onset_and_peak_come_back(rng: np.random.Generator, timed: xr.Dataset) -> None:
    time = np.linspace(-0.1, 0.5, 61)
    rise = np.where(time >= 0.095, np.exp(-((time - 0.2) ** 2) / 0.01), 0)
    score = 0.5 * rise + rng.normal(0, 0.02, (3, 40, 61))
    result = xr.Dataset(
        {"score": (("fold", "neuroid", "time"), score)}, {"time": time}, timed.attrs
    )
    ((region, onset, peak, low, high, best),) = tabulate_onsets(result).rows
    assert region == "all neuroids"
    assert onset == pytest.approx(0.1, abs=0.011)
    assert peak == pytest.approx(0.2, abs=0.011)
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low <= 0.2 + 0.011
    assert high >= 0.2 - 0.011
    assert best == pytest.approx(0.5, abs=0.02)


def test_no_onset_is_a_dash(timed: xr.Dataset) -> None:
    assert find_first(np.array([[0.1, -0.1, 0.3], [0.2, 0.1, 0.3], [0.1, -0.1, 0.2]])) is None
    empty = timed.assign(score=timed["score"].where(timed["roi"] == "V1"))
    assert tabulate_onsets(empty).rows[1] == ("V4", None, None, None, None, None)


def test_courses_need_time(encoding: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="expected dim 'time'"):
        summarise_courses(encoding)
