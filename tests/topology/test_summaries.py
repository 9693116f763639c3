"""Summaries obey closed forms; distances of diagrams are those of gudhi and persim."""

from typing import Any

import numpy as np
import persim
import pytest
import xarray as xr
from gudhi.hera import wasserstein_distance
from gudhi.representations import Entropy

from neuroalign.schema import check
from neuroalign.topology import (
    DIAGRAM_DISTANCES,
    SUMMARIES,
    compute_persistence,
    diagram_distance,
    longest_bar_ratio,
    summarize_diagrams,
    take_bars,
)

BARS = np.array([[0.0, 4.0], [1.0, 3.0], [0.5, 1.5], [2.0, 3.0]])


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[xr.Dataset, xr.Dataset]:
    return compute_persistence(rng.normal(size=(40, 3))), compute_persistence(
        rng.normal(size=(40, 3))
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("n_bars", 4),
        ("longest_bar", 4),
        ("longest_bar_ratio", 2),
        ("total_persistence", 8),
        ("persistence_entropy", np.log(2) / 2 + np.log(4) / 4 + np.log(8) / 4),
    ],
)
def test_summaries_in_closed_form(name: str, expected: float) -> None:
    assert SUMMARIES[name](BARS) == pytest.approx(expected)


def test_ratio_of_lower_ranks() -> None:
    assert longest_bar_ratio(BARS, rank=2) == 2
    assert longest_bar_ratio(BARS, rank=4) == np.inf
    assert np.isnan(longest_bar_ratio(BARS, rank=5))


def test_entropy_equals_gudhi(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    bars = take_bars(pair[0], 1)
    assert SUMMARIES["persistence_entropy"](bars) == pytest.approx(float(Entropy()(bars)[0]))


def test_a_stack_gives_the_table_of_each_rdm(rng: np.random.Generator) -> None:
    names = [f"s{i}" for i in range(12)]
    first, second = np.triu_indices(12, 1)
    coords = {
        "first": ("pair", np.array(names)[first]),
        "second": ("pair", np.array(names)[second]),
    }
    rdms = xr.DataArray(
        rng.uniform(1, 2, size=(3, 66)),
        coords,
        ("subject", "pair"),
        attrs={"kind": "dissimilarity"},
    )
    table = summarize_diagrams(compute_persistence(rdms))
    assert table["n_bars"].dims == ("subject", "dimension")
    for k in range(3):
        alone = summarize_diagrams(compute_persistence(rdms[k]))
        for name in SUMMARIES:
            np.testing.assert_array_equal(table[name][k], alone[name])


def test_a_table_of_all_dimensions(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    table = summarize_diagrams(pair[0])
    check(table)
    assert table["n_bars"].values.tolist() == [39, len(take_bars(pair[0], 1))]
    assert table.attrs["preprocessing"] == "euclidean distances"


def test_no_bars_have_no_ratio() -> None:
    table = summarize_diagrams(compute_persistence([[0.0], [1.0]]))
    assert np.isnan(table["longest_bar_ratio"].values[1])
    assert table["longest_bar"].values.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("dimension", [0, 1])
def test_bottleneck_equals_persim(pair: tuple[xr.Dataset, xr.Dataset], dimension: int) -> None:
    bars = [take_bars(one, dimension) for one in pair]
    finite = [one[np.isfinite(one[:, 1])] for one in bars]
    ours = diagram_distance(*pair, dimension=dimension)
    assert ours == pytest.approx(persim.bottleneck(*finite), abs=1e-9)


def test_wasserstein_equals_persim(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    theirs = persim.wasserstein(*(take_bars(one, 1) for one in pair))
    assert diagram_distance(*pair, distance="wasserstein") == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_wasserstein_equals_hera(pair: tuple[xr.Dataset, xr.Dataset], order: float) -> None:
    bars = [take_bars(one, 0) for one in pair]
    theirs = wasserstein_distance(*bars, order=order, internal_p=2, delta=1e-4)
    ours = diagram_distance(*pair, dimension=0, distance="wasserstein", order=order)
    assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("distance", list(DIAGRAM_DISTANCES))
def test_distances_are_symmetric_and_zero_to_itself(
    pair: tuple[xr.Dataset, xr.Dataset], distance: str
) -> None:
    a, b = pair
    assert diagram_distance(a, a, distance=distance) == pytest.approx(0, abs=1e-9)
    there, back = (
        diagram_distance(a, b, distance=distance),
        diagram_distance(b, a, distance=distance),
    )
    assert there == pytest.approx(back, rel=1e-6)
    assert there > 0.01


@pytest.mark.parametrize("distance", list(DIAGRAM_DISTANCES))
def test_diagrams_without_bars_have_distances(distance: str) -> None:
    line = compute_persistence([[0.0], [1.0]])
    square = compute_persistence([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    assert diagram_distance(line, line, distance=distance) == 0
    assert diagram_distance(line, square, distance=distance) > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance": "bottelneck"}, "distance: expected one of .* Did you mean 'bottleneck'"),
        ({"order": 0.5}, "order: expected 1 or more, got 0.5"),
        ({"dimension": 2}, "a: expected diagrams of dimension 2, got 0 to 1"),
    ],
)
def test_bad_options_are_named(
    pair: tuple[xr.Dataset, xr.Dataset], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        diagram_distance(*pair, **options)


def test_unknown_summaries_are_named(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    with pytest.raises(ValueError, match="summaries: expected one of 'n_bars'"):
        summarize_diagrams(pair[0], ["entropy"])
