"""Few filters for many penalties; the two forms of a fold that is factorised."""

from typing import Any

import numpy as np
import pytest

from neuroalign import _filters, _gram, _linalg
from neuroalign._folds import make_folds


def test_few_filters_span_many_penalties(rng: np.random.Generator) -> None:
    values, alphas = np.logspace(-6, 3, 400), np.logspace(-4, 5, 60)
    size = np.sqrt(values)
    for tolerance, most in ((1e-4, 16), (1e-6, 24)):
        mixture = _filters.mix_filters(values, alphas, size, tolerance)
        assert len(mixture.filters) <= most
        table = np.stack([_linalg.shrink(values, alpha) for alpha in alphas])
        gap = np.linalg.norm((mixture.shares @ mixture.filters - table) * size, axis=1)
        assert gap.max() <= 2 * tolerance * np.linalg.norm(table * size, 2)


ALPHAS = np.logspace(-1, 3, 12)


def make_pair(rng: np.random.Generator, **options: Any) -> tuple[Any, Any, np.ndarray]:
    X, Y = rng.normal(size=(60, 90)) + 1.0, rng.normal(size=(60, 7)) + 5.0
    folds = make_folds(60, n_splits=4)
    factors = _gram.factorise_folds(X, folds)
    projected = _filters.Projected(factors, ALPHAS, True, None, 1e-13)
    return projected, _filters.Mapped(factors, ALPHAS, True, None, 1e-13, **options), Y


def test_maps_give_the_errors_of_projections(rng: np.random.Generator) -> None:
    projected, mapped, Y = make_pair(rng)
    (one, null), (other, same) = projected.project(Y), mapped.project(Y)
    np.testing.assert_allclose(mapped.sum_all(other), projected.sum_all(one), rtol=1e-9)
    np.testing.assert_allclose(same, null)


@pytest.mark.parametrize("row", [0, 5, 11])
def test_one_penalty_and_some_targets_equal_their_part_of_all(
    row: int, rng: np.random.Generator
) -> None:
    columns = np.array([4, 1])
    for rule, Y in (lambda p, m, Y: [(p, Y), (m, Y)])(*make_pair(rng, refined=True)):
        state, _ = rule.project(Y)
        part = rule.sum_errors(state, row, columns)
        np.testing.assert_allclose(part, rule.sum_all(state)[row][:, columns], rtol=1e-9)


def test_products_may_be_rough(rng: np.random.Generator) -> None:
    def round_off(operator: np.ndarray) -> Any:
        return lambda chunk: (operator @ chunk).astype("f2").astype("f8")

    projected, mapped, Y = make_pair(rng, product=round_off)
    rough, exact = mapped.sum_all(mapped.project(Y)[0]), projected.sum_all(projected.project(Y)[0])
    assert 0 < np.abs(rough / exact - 1).max() < 1e-2
