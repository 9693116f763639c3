"""A plan foresees what a fit does."""

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut

from neuroalign.encoders import Ridge, plan_fit


def test_what_a_search_keeps_is_foreseen() -> None:
    X, Y = np.zeros((600, 700), "f4"), np.zeros((600, 20_000), "f4")
    exact, coarse = (plan_fit(Ridge(search=s), X, Y).bytes_held for s in ("exact", "coarse"))
    # The map of each of 19 penalties from training to test rows, beside those of the filters.
    assert coarse - exact == 19 * 5 * (120 * 480) * 4


def test_groups_make_the_folds_of_a_plan() -> None:
    X, Y = np.zeros((600, 700), "f4"), np.zeros((600, 20_000), "f4")
    held = [
        plan_fit(Ridge(search="coarse", cv=LeaveOneGroupOut()), X, Y, groups=groups).bytes_held
        for groups in (np.repeat(np.arange(2), 300), np.repeat(np.arange(6), 100))
    ]
    assert held[0] != held[1]


def test_a_plan_says_bytes_memory_and_time() -> None:
    X, Y = np.zeros((60, 12), "f4"), np.zeros((60, 2500), "f4")
    large = plan_fit(Ridge(), X, Y)
    assert (large.n_chunks, large.chunk, large.bytes_read) == (1, 2500, 4 * Y.size)
    per_target = 4 * (3 * 60 + 2 * 12)
    least = large.bytes_held - 1500 * per_target
    plan = plan_fit(Ridge(), X, Y, memory=least)
    assert (plan.n_chunks, plan.chunk, plan.bytes_held) == (3, 1000, least)
    assert plan.bytes_written == 4 * 2500 * (12 + 4)
    wide = plan_fit(Ridge(), X.astype("f8"), Y.astype("i2"))
    assert (wide.bytes_read, wide.bytes_written) == (2 * Y.size, 8 * 2500 * (12 + 4))
    assert plan.seconds > 0
    assert "3 chunks of 1,000 neuroids" in str(plan)
    with pytest.raises(MemoryError, match="memory: expected at least"):
        plan_fit(Ridge(), X, Y, memory=1000)
