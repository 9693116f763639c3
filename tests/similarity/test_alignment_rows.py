"""The rows of the table that move, match or predict units, through the one door."""

import numpy as np
import pytest

from neuroalign.similarity import compare
from neuroalign.similarity._alignment_rows import ALIGNMENTS


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_row_keeps_its_promises(name: str, rng: np.random.Generator) -> None:
    row = ALIGNMENTS[name]
    X = rng.normal(size=(40, 5)).astype("float32")
    near = X[:, [3, 1, 0, 4, 2, 2]] + 0.1 * rng.normal(size=(40, 6))
    far = rng.normal(size=(40, 6))
    one, other, distant = map(row.prepare, (X, near, far))
    low, high = row.bounds
    values = [row.pair(one, other), row.pair(one, distant), row.pair(distant, other)]
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)
    assert (values[0] < values[1]) is row.distance
    if row.symmetric:
        assert row.pair(other, one) == pytest.approx(values[0], abs=1e-9)
    assert row.pair(one, one) == pytest.approx(low if row.distance else 1.0, abs=1e-3)


@pytest.mark.parametrize("name", ["cca_held_out", "procrustes_angle", "soft_matching"])
def test_a_table_of_layers_and_regions_finds_the_layer(name: str, rng: np.random.Generator) -> None:
    X, other = rng.normal(size=(2, 40, 5))
    found = compare({"early": X, "late": other}, {"V1": X[:, ::-1] + 0.2 * other}, name)
    assert found["best_layer"].values.tolist() == ["early"]


def test_parameters_reach_the_row(rng: np.random.Generator) -> None:
    X = rng.normal(size=(40, 5))
    mixed = X @ (rng.normal(size=(5, 5)) + 2 * np.eye(5))
    assert compare(X, mixed, "procrustes", params={"alpha": 0.0}) == pytest.approx(1)
    assert compare(X, mixed, "procrustes") < 0.99
