"""RV, distance correlation and HSIC against their definitions."""

import numpy as np
import pytest

from neuroalign.errors import SchemaError
from neuroalign.similarity.comparison import compare
from neuroalign.similarity.dependence import prepare_adjusted_rv


def distances(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[:, None] - x, axis=2)


def center(a: np.ndarray) -> np.ndarray:
    return a - a.mean(axis=0) - a.mean(axis=1)[:, None] + a.mean()


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two of quadratic relation, which has no linear one."""
    x = rng.normal(size=(60, 2))
    return x, x**2 + 0.1 * rng.normal(size=(60, 2))


def test_rv_is_linear_alignment(pair) -> None:  # type: ignore[no-untyped-def]
    assert compare(*pair, "rv") == pytest.approx(compare(*pair, "cka"), rel=1e-10)


def test_adjusted_rv_sums_adjusted_squared_correlations(pair) -> None:  # type: ignore[no-untyped-def]
    x, y = pair
    n = len(x)

    def total(a: np.ndarray, b: np.ndarray) -> float:
        r = np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]
        return float((1 - (n - 1) / (n - 2) * (1 - r**2)).sum())

    known = total(x, y) / np.sqrt(total(x, x) * total(y, y))
    assert compare(x, y, "rv_adjusted") == pytest.approx(known, rel=1e-10)


def test_adjusted_rv_of_chance_is_nothing() -> None:
    rng = np.random.default_rng(2)
    pairs = [(rng.normal(size=(30, 40)), rng.normal(size=(30, 40))) for _ in range(40)]
    assert np.mean([compare(*each, "rv_adjusted") for each in pairs]) == pytest.approx(0, abs=0.02)
    assert np.mean([compare(*each, "rv") for each in pairs]) > 0.5


def test_adjusted_rv_leaves_out_what_does_not_vary(pair) -> None:  # type: ignore[no-untyped-def]
    x, y = pair
    padded = np.hstack([x, np.ones((60, 3))])
    assert compare(padded, y, "rv_adjusted") == pytest.approx(compare(x, y, "rv_adjusted"))
    assert compare(np.ones((60, 2)), y, "rv_adjusted") == 0.0
    with pytest.raises(SchemaError, match="expected 3 or more stimuli, got 2"):
        prepare_adjusted_rv(x[:2])


def test_distance_correlation_is_its_definition(pair) -> None:  # type: ignore[no-untyped-def]
    A, B = (center(distances(each)) for each in pair)
    known = np.sqrt((A * B).sum() / np.sqrt((A**2).sum() * (B**2).sum()))
    assert compare(*pair, "distance_correlation") == pytest.approx(known, rel=1e-10)


def test_debiased_distance_correlation_is_its_definition(pair) -> None:  # type: ignore[no-untyped-def]
    n = len(pair[0])

    def u_center(a: np.ndarray) -> np.ndarray:
        rows = a.sum(axis=0) / (n - 2)
        return (a - rows - rows[:, None] + a.sum() / ((n - 1) * (n - 2))) * (1 - np.eye(n))

    A, B = (u_center(distances(each)) for each in pair)
    known = (A * B).sum() / np.sqrt((A**2).sum() * (B**2).sum())
    assert compare(*pair, "distance_correlation_debiased") == pytest.approx(known, rel=1e-10)


def test_nonlinear_dependence_is_seen_by_distances_only(pair) -> None:  # type: ignore[no-untyped-def]
    assert compare(*pair, "distance_correlation_debiased") > 0.12
    assert abs(compare(*pair, "cka_debiased")) < 0.1


def test_hsic_is_its_definition(pair) -> None:  # type: ignore[no-untyped-def]
    n = len(pair[0])
    H = np.eye(n) - 1 / n
    kernels = []
    for each in pair:
        squares = distances(each) ** 2
        kernels.append(np.exp(-squares / (2 * np.median(squares[np.triu_indices(n, 1)]))))
    known = np.trace(kernels[0] @ H @ kernels[1] @ H) / (n - 1) ** 2
    assert compare(*pair, "hsic") == pytest.approx(known, rel=1e-10)


def test_debiased_hsic_averages_to_the_covariance_of_kernels() -> None:
    # Over all quadruples of different stimuli: the U-statistic of Song et al. (2012), equation 2.
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(7, 2))
    K, L = ((each - each.mean(axis=0)) @ (each - each.mean(axis=0)).T for each in (x, y))
    terms = [
        K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q])
        for i in range(7) for j in range(7) for q in range(7) for r in range(7)
        if len({i, j, q, r}) == 4
    ]  # fmt: skip
    found = compare(x, y, "hsic_debiased", params={"kernel": "linear"})
    assert found == pytest.approx(np.mean(terms), rel=1e-9)
