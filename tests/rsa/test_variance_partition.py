"""Parts of variance: against regressions one by one, and by planted truth."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from neuroalign.rsa._stacks import fold
from neuroalign.rsa.models import WeightedModel
from neuroalign.rsa.variance_partition import partition_variance

LABELS = np.array([f"c{k:02d}" for k in range(14)])


def test_parts_equal_differences_of_regressions(rng: np.random.Generator) -> None:
    rows = rng.random((3, 91))
    rows[1] += rows[0]
    data = rows.sum(axis=0) + rng.random(91)
    known = {name: fold(row, LABELS) for name, row in zip("abc", rows, strict=True)}
    found = partition_variance(known, fold(data, LABELS), transform="values")

    def r2(*chosen: int) -> float:
        design = rows[list(chosen)].T
        return float(LinearRegression().fit(design, data).score(design, data))

    assert float(found["r2"].sel(subset="a + b")) == pytest.approx(r2(0, 1))
    assert float(found["unique"].sel(model="c")) == pytest.approx(r2(0, 1, 2) - r2(0, 1))
    both = r2(0, 2) + r2(1, 2) - r2(2) - r2(0, 1, 2)
    assert float(found["shared"].sel(subset="a + b")) == pytest.approx(both)
    assert float(found["shared"].sum()) == pytest.approx(r2(0, 1, 2))


def test_a_copy_of_a_model_leaves_nothing_unique(rng: np.random.Generator) -> None:
    row = rng.random(91)
    data = fold(row + 0.1 * rng.random((2, 91)), LABELS, ("subject",))
    known = {"a": fold(row, LABELS), "b": fold(2 * row, LABELS)}
    for weights in ("free", "non_negative"):
        found = partition_variance(known, data, weights=weights)
        np.testing.assert_allclose(found["unique"], 0, atol=1e-10)
        assert (found["shared"].sel(subset="a + b") > 0.9).all()


def test_a_model_of_several_rdms_enters_with_all(rng: np.random.Generator) -> None:
    rows = rng.random((3, 91))
    group = WeightedModel(fold(rows[:2], LABELS, ("rdm",)), name="two")
    single = WeightedModel(fold(rows[2:], LABELS, ("rdm",)), name="one")
    data = fold(rows[0] - rows[1], LABELS)
    found = partition_variance([group, single], data, transform="values")
    assert float(found["r2"].sel(subset="two")) == pytest.approx(1)


def test_faults_are_named(rng: np.random.Generator) -> None:
    rdm = fold(rng.random(91), LABELS)
    with pytest.raises(ValueError, match="models: expected 2 to 6, got 1"):
        partition_variance({"a": rdm}, rdm)
    with pytest.raises(ValueError, match="transform: expected one of"):
        partition_variance({"a": rdm, "b": rdm}, rdm, transform="log")
