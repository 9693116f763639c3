"""Fixtures that every room shares."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20260)


@pytest.fixture
def real_data() -> Path:
    """The folder of real recordings, or a skip when none is named."""
    folder = os.environ.get("NEUROALIGN_TEST_DATA")
    if not folder:
        pytest.skip("NEUROALIGN_TEST_DATA is not set")
    path = Path(folder)
    assert path.is_dir(), f"NEUROALIGN_TEST_DATA={folder}: expected a folder"
    return path
