"""Fixtures that every room shares."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20260)


@pytest.fixture
def broken_checks() -> Callable[..., list[str]]:
    """What scikit-learn's checks find wrong with an estimator, as sentences.

    A check that is expected to fail and passes is wrong too: its excuse is out of date.
    """
    from sklearn.utils.estimator_checks import check_estimator

    def find(estimator: Any, expected: dict[str, str] | None = None) -> list[str]:
        results = check_estimator(
            estimator, expected_failed_checks=expected, on_skip=None, on_fail=None
        )
        assert results, f"no check knows {estimator}"
        wrong = [one for one in results if one["status"] == "failed"]
        wrong += [one for one in results if one["expected_to_fail"] and one["status"] != "xfail"]
        return [f"{one['check_name']}: {one['status']}, {one['exception']!r}" for one in wrong]

    return find


@pytest.fixture
def real_data() -> Path:
    """The folder of real recordings, or a skip when none is named."""
    folder = os.environ.get("NEUROALIGN_TEST_DATA")
    if not folder:
        pytest.skip("NEUROALIGN_TEST_DATA is not set")
    path = Path(folder)
    assert path.is_dir(), f"NEUROALIGN_TEST_DATA={folder}: expected a folder"
    return path
