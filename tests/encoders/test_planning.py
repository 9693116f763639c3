"""A plan foresees what a fit does."""

import numpy as np
import pytest

from neuroalign.encoders import Ridge, plan_fit


def test_more_folds_take_more_memory() -> None:
    X, Y = np.zeros((600, 300), "f4"), np.zeros((600, 2500), "f4")
    few, many = (plan_fit(Ridge(cv=k), X, Y).bytes_held for k in (5, 60))
    assert many - few > 30 * X.nbytes


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
