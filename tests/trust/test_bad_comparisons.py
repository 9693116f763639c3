"""Conditions, distances, comparisons and shapes that say nothing: refused, with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import rsa, topology
from neuroalign.errors import AlignError, SchemaError
from neuroalign.stats import max_statistic
from tests.trust.makers import make_responses
from tests.trust.messages import Bad, check_refused

NAMES = ["a", "b", "c", "d"]


def make_rdm(names: list[str] | None = None, seed: int = 0) -> xr.DataArray:
    """Make an RDM of a few conditions."""
    labels = names or NAMES
    return rsa.compute_rdm(make_responses(len(labels), 6, stimuli=labels, seed=seed))


def square(values: Any) -> xr.DataArray:
    """Label a matrix as an RDM, whatever it holds."""
    values = np.asarray(values, dtype=float)
    rows, columns = (NAMES[:size] for size in values.shape)
    coords = {"first": rows, "second": columns}
    attrs = {"kind": "dissimilarity", "distance": "euclidean"}
    return xr.DataArray(values, coords, ("first", "second"), attrs=attrs)


def with_nan() -> xr.DataArray:
    """Make patterns with one value missing."""
    responses = make_responses(4, 6)
    responses[1, 2] = np.nan
    return responses


def with_constant() -> xr.DataArray:
    """Make patterns of which two do not vary."""
    responses = make_responses(4, 6, stimuli=NAMES)
    responses[1], responses[3] = 2.0, 0.0
    return responses


LOPSIDED = [[0, 1, 2], [9, 0, 3], [2, 3, 0]]
BAD: dict[str, Bad] = {
    "a pattern with a value missing": Bad(
        lambda _: rsa.compute_rdm(with_nan()),
        SchemaError,
        "responses",
        "got 1 missing of 24",
        "nan='omit'",
    ),
    "patterns that do not vary": Bad(
        lambda _: rsa.compare_rdms(rsa.compute_rdm(with_constant()), make_rdm()),
        SchemaError,
        "a, b",
        "got 5 of 6 pairs missing",
        "nan='omit'",
    ),
    "fewer than three conditions": Bad(
        lambda _: rsa.compare_rdms(make_rdm(["a", "b"]), make_rdm(["a", "b"])),
        AlignError,
        "b",
        "got 2 shared",
        "Name conditions alike",
    ),
    "conditions of other names": Bad(
        lambda _: rsa.compare_rdms(make_rdm(), make_rdm(["e", "f", "g", "h"])),
        AlignError,
        "a|b",
        "'[a-h]', '[a-h]'",
        r"\w",
    ),
    "an RDM that is not square": Bad(
        lambda _: rsa.compare_rdms(square(np.ones((3, 4))), make_rdm()),
        SchemaError,
        "rdm",
        r"got .*3.*4",
        "conditions",
    ),
    "an RDM whose triangles differ": Bad(
        lambda _: rsa.compare_rdms(square(LOPSIDED), square(LOPSIDED)),
        SchemaError,
        "a|rdm",
        "symmetric|differ",
        r"\w",
    ),
    "a distance across runs from one run": Bad(
        lambda _: rsa.compute_rdm(
            make_responses(4, 6, n_runs=1), distance="crossnobis", fold="run"
        ),
        ValueError,
        "fold|responses",
        "run",
        r"\w",
    ),
    "a distance that is not known": Bad(
        lambda _: rsa.compute_rdm(make_responses(4, 6), distance="cosin"),
        ValueError,
        "distance",
        "got 'cosin'",
        "Did you mean 'cosine'",
    ),
    "a comparison that is not known": Bad(
        lambda _: rsa.compare_rdms(make_rdm(), make_rdm(), method="kendal"),
        ValueError,
        "method",
        "expected one of .* 'tau_a', 'tau_b'",
        "got 'kendal'",
    ),
    "more points than fit": Bad(
        lambda _: topology.compute_persistence(np.zeros((20_000, 2), dtype="float32"), max_dim=2),
        ValueError,
        "data",
        "got 20000",
        "landmarks=",
    ),
    "points that are not finite": Bad(
        lambda _: topology.compute_persistence(np.array([[0.0, 1.0], [np.nan, 2.0]])),
        SchemaError,
        "data",
        "got NaN or infinity in 1 of 2",
        r"\w",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_says_nothing_is_refused(name: str, tmp_path: Path) -> None:
    check_refused(BAD[name], tmp_path)


def test_rdms_in_another_order_are_compared_by_name() -> None:
    rdm = make_rdm()
    turned = rdm.isel(first=[2, 0, 3, 1], second=[2, 0, 3, 1])
    assert float(rsa.compare_rdms(rdm, turned, method="pearson")) == pytest.approx(1)


def test_no_p_value_is_smaller_than_the_permutations_allow() -> None:
    null = np.random.default_rng(0).standard_normal((19, 3))
    found = max_statistic(np.full(3, 1e9), null)
    np.testing.assert_allclose(found, 1 / 20)
