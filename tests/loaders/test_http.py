"""Answers that are refused let go of their connection."""

import gc
import warnings
from collections.abc import Iterator

import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders._http import Patience, read_page
from tests.loaders.hostile_server import State, serve

QUICK = Patience(tries=2, wait=0.01, timeout=0.5, stall=0.3, slowest=10_000)


@pytest.fixture(scope="module")
def server() -> Iterator[State]:
    with serve() as state:
        yield state


def refuse(url: str, found: str) -> None:
    """Keep the error in a circle with this frame: only the collector ends what it holds."""
    with pytest.raises(LoadError) as caught:
        read_page(url, patience=QUICK)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("gone", "status 404"),
        ("busy", "status 503"),
        ("to-file", "status 302"),
        ("to-plain", "expected an https address"),
        ("loop", "status 302"),
        ("silent", "timed out"),
        ("cut", "was cut after"),
    ],
)
def test_no_connection_is_left_open(server: State, page: str, found: str) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refuse(f"{server.url}/{page}", found)
        gc.collect()
    assert not [str(one.message) for one in caught]
