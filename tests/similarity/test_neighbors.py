"""Local alignment against counts of neighbours."""

import numpy as np
import pytest

from neuroalign.errors import SchemaError
from neuroalign.similarity.comparison import SIMILARITIES, compare
from neuroalign.similarity.neighbors import find_neighbors


def nearest(x: np.ndarray, k: int) -> list[set[int]]:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit.T), axis=1)
    return [set([int(j) for j in row if j != i][:k]) for i, row in enumerate(order)]


def test_mutual_neighbors_are_counted(rng) -> None:  # type: ignore[no-untyped-def]
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    y[:, :2] = x[:, :2]
    shared = [len(a & b) for a, b in zip(nearest(x, 5), nearest(y, 5), strict=True)]
    known = np.mean(shared) / 5
    assert compare(x, y, "mutual_neighbors", params={"k": 5}) == pytest.approx(known)


def test_chance_is_k_over_the_others() -> None:
    rng = np.random.default_rng(1)
    found = [
        compare(rng.normal(size=(41, 6)), rng.normal(size=(41, 6)), "mutual_neighbors")
        for _ in range(50)
    ]
    assert np.mean(found) == pytest.approx(10 / 40, abs=0.02)


def test_local_alignment_is_a_sum_over_neighbours_in_both(rng) -> None:  # type: ignore[no-untyped-def]
    x, y = (rng.normal(size=(15, p)) for p in (3, 5))
    kernels = []
    for each in (x, y):
        centred = each - each.mean(axis=0)
        kernels.append(centred @ centred.T)
    near = [find_neighbors(K, 4) for K in kernels]

    def align(i: int, j: int) -> float:
        both = near[i] & near[j]
        return float((kernels[i] * kernels[j])[both].sum())

    known = align(0, 1) / np.sqrt(align(0, 0) * align(1, 1))
    assert compare(x, y, "cknna", params={"k": 4}) == pytest.approx(known)


def test_all_neighbours_make_it_alignment_off_the_diagonal(rng) -> None:  # type: ignore[no-untyped-def]
    x, y = (rng.normal(size=(15, p)) for p in (3, 5))
    K, L = ((c := each - each.mean(axis=0)) @ c.T for each in (x, y))
    off = ~np.eye(15, dtype=bool)
    known = (K * L)[off].sum() / np.sqrt((K**2)[off].sum() * (L**2)[off].sum())
    assert compare(x, y, "cknna", params={"k": 14}) == pytest.approx(known)


def test_local_structure_is_found_where_the_whole_is_torn(rng) -> None:  # type: ignore[no-untyped-def]
    # Clusters keep their members, but stand elsewhere.
    inside = 0.1 * rng.normal(size=(60, 3))
    cluster = np.repeat(np.arange(6), 10)
    x, y = (inside + 5 * rng.normal(size=(6, 3))[cluster] for _ in range(2))
    params = {"k": 9, "nearness": "euclidean"}
    assert compare(x, y, "mutual_neighbors", params=params) > 0.9
    assert compare(x, y) < 0.7


def hsic(K: np.ndarray, L: np.ndarray) -> float:
    """Song et al. (2012), equation 5, as it stands there."""
    n, one = len(K), np.ones(len(K))
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    ends = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return float((np.trace(K @ L) + ends - 2 / (n - 2) * one @ K @ L @ one) / (n * (n - 3)))


@pytest.mark.parametrize("k", [5, 14])
def test_the_published_code_masks_before_it_centres(k: int, rng) -> None:  # type: ignore[no-untyped-def]
    x, y = (rng.normal(size=(15, p)) for p in (3, 5))
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    y[:, :3] += x
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    sides = []
    for side in (x, y):
        near = np.zeros((15, 15))
        for i, others in enumerate(nearest(side, k)):
            near[i, list(others)] = 1
        sides.append((side @ side.T, near))
    (K, a), (L, b) = sides
    known = hsic(a * b * K, a * b * L) / np.sqrt(hsic(a * K, a * K) * hsic(b * L, b * L))
    params = {"k": k}
    assert compare(x, y, "cknna_published", params=params) == pytest.approx(known)
    if k == 14:
        debiased = compare(x, y, params={"kernel": "cosine"})
        assert known == pytest.approx(debiased)


def test_published_local_alignment_moves_with_the_stimuli(rng) -> None:  # type: ignore[no-untyped-def]
    x, y, order = rng.normal(size=(20, 4)), rng.normal(size=(20, 6)), rng.permutation(20)
    row = SIMILARITIES["cknna_published"]
    moved = row.permute(row.prepare(y), order)
    assert row.pair(row.prepare(x), moved) == pytest.approx(
        compare(x, y[order], "cknna_published"), abs=1e-12
    )
    assert compare(x, 2 * x @ np.eye(4)[::-1], "cknna_published") == pytest.approx(1.0)
    table = compare({"a": x}, {"b": y}, "cknna_published", n_permutations=19)
    assert float(table["score"][0, 0]) == pytest.approx(compare(x, y, "cknna_published"))


def test_published_local_alignment_needs_four_stimuli(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(3, 2))
    with pytest.raises(SchemaError, match="expected 4 or more stimuli for an unbiased measure"):
        compare(x, x, "cknna_published", params={"k": 1})
    assert np.isnan(compare(np.zeros((6, 2)), np.eye(6), "cknna_published", params={"k": 2}))


@pytest.mark.parametrize("k", [0, 5])
def test_neighbours_that_are_not_there_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 4 neighbours of 5 stimuli"):
        find_neighbors(np.eye(5), k)


def test_of_equally_near_ones_the_earlier_counts() -> None:
    found = find_neighbors(np.zeros((4, 4)), 1)
    assert found.argmax(axis=1).tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match="params\\['nearness'\\]: expected one of 'cosine'"):
        compare(np.eye(12), np.eye(12), "mutual_neighbors", params={"nearness": "far"})
