"""Geodesic dissimilarities: graphs by brute force, edges of no length, shapes that are known."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata, spearmanr

from neuroalign.errors import SchemaError
from neuroalign.rsa import to_condensed, to_square
from neuroalign.storage import load, save
from neuroalign.topology import geodesic_rdm, transform_rdm


def make(values: np.ndarray, n: int) -> xr.DataArray:
    """Condensed RDMs (subject, pair)."""
    first, second = np.triu_indices(n, 1)
    names = np.array([f"c{i:02d}" for i in range(n)])
    coords = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    dims = ("subject", "pair")[-values.ndim :]
    return xr.DataArray(values, coords, dims, attrs={"kind": "dissimilarity"})


def unit_ranks(vector: np.ndarray) -> np.ndarray:
    ranks = rankdata(vector)
    return np.asarray((ranks - ranks.min()) / (ranks.max() - ranks.min()))


def floyd(square: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """All shortest paths, three loops as in the textbook; NaN where there is none."""
    n = len(square)
    best = np.where(kept, square, np.inf)
    np.fill_diagonal(best, 0)
    for k in range(n):
        for i in range(n):
            for j in range(n):
                best[i, j] = min(best[i, j], best[i, k] + best[k, j])
    return np.where(np.isinf(best), np.nan, best)[np.triu_indices(n, 1)]


def nearest(square: np.ndarray, k: int) -> np.ndarray:
    near = np.zeros(square.shape, dtype=bool)
    for i, row in enumerate(square):
        others = [j for j in np.argsort(row, kind="stable") if j != i]
        near[i, others[:k]] = True
    return near


def measure_paths(rdm: xr.DataArray, **options: object) -> np.ndarray:
    made = geodesic_rdm(rdm, rank_result=False, disconnected="nan", **options)  # type: ignore[arg-type]
    return np.asarray(made.values)


def test_p_shortest_equals_textbook_paths(rng: np.random.Generator) -> None:
    vector = rng.random(66)
    r = unit_ranks(vector)
    square = squareform(r)
    for share in (0.05, 0.3, 1.0):
        expected = floyd(square, square <= np.quantile(r, share))
        made = measure_paths(make(vector, 12), share=share)
        np.testing.assert_allclose(made, expected, atol=1e-12)


@pytest.mark.parametrize("neighbors", ["either", "mutual", "one_sided"])
def test_nearest_neighbours_equal_textbook_paths(rng: np.random.Generator, neighbors: str) -> None:
    vector = rng.random(66)
    square = squareform(unit_ranks(vector))
    near = nearest(square, 2)
    upper = np.triu(near, 1)
    kept = {"either": near | near.T, "mutual": near & near.T, "one_sided": upper | upper.T}
    expected = floyd(square, kept[neighbors])
    for options in ({"graph": "k_nearest", "k": 2}, {"graph": "p_nearest", "share": 0.2}):
        made = measure_paths(make(vector, 12), neighbors=neighbors, **options)
        np.testing.assert_allclose(made, expected, atol=1e-12)


def test_two_steps_equal_textbook_paths(rng: np.random.Generator) -> None:
    vector = rng.random(66)
    for low, high in ((0.0, 0.1), (0.2, 0.5)):
        square = squareform(transform_rdm(make(vector, 12), low, high).values)
        expected = floyd(square, square < 1)
        made = measure_paths(make(vector, 12), graph="two_step", lower=low, upper=high)
        np.testing.assert_allclose(made, expected, atol=1e-12)


def test_edges_of_length_zero_join() -> None:
    # Five points on a line: the transform calls the first four pairs of neighbours identical.
    # Dropped as missing, they made the closest pairs 1.97 apart.
    rdm = make(pdist(np.arange(5.0)[:, None]), 5)
    made = geodesic_rdm(rdm, graph="two_step", lower=0.5, upper=0.9, rank_result=False)
    assert (made.values[rdm.values == 1] == 0).all()
    assert made.attrs["n_disconnected"] == 0


def test_the_closest_pair_stays_closest_where_rsatoolbox_parts_it(
    rng: np.random.Generator,
) -> None:
    peer = pytest.importorskip("rsatoolbox.rdm")
    values = 1 + rng.random(45)
    options = {"lower": 0.0, "upper": 1.0, "rank": False, "rank_result": False}
    made = geodesic_rdm(make(values, 10), graph="two_step", **options)  # type: ignore[arg-type]
    theirs = peer.geodesic_transform(peer.RDMs(values[None].copy())).dissimilarities[0]
    closest = np.argmin(values)
    assert made.values[closest] == 0
    assert theirs[closest] > 0
    assert (made.values <= theirs + 1e-12).all()


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_many_zero_edges_survive_sparse_and_dense_graphs(
    rng: np.random.Generator, share: float
) -> None:
    vector = np.where(rng.random(1225) < 0.1, 0.0, rng.random(1225))
    square = squareform(unit_ranks(vector))
    kept = square <= np.quantile(squareform(square), share)
    best = np.where(kept, square, np.inf)
    np.fill_diagonal(best, 0)
    for k in range(50):
        best = np.minimum(best, best[:, k, None] + best[None, k])
    expected = np.where(np.isinf(best), np.nan, best)[np.triu_indices(50, 1)]
    made = measure_paths(make(vector, 50), share=share)
    np.testing.assert_allclose(made, expected, atol=1e-12)


def test_ties_among_neighbours_do_not_depend_on_the_order_of_conditions(
    rng: np.random.Generator,
) -> None:
    square = to_square(make(rng.integers(1, 4, 66).astype(float), 12))
    order = rng.permutation(12)
    made = geodesic_rdm(square, graph="k_nearest", k=2)
    moved = geodesic_rdm(square.isel(first=order, second=order), graph="k_nearest", k=2)
    np.testing.assert_array_equal(moved, made.isel(first=order, second=order))


def test_parts_that_no_path_joins_are_farthest_or_missing() -> None:
    points = np.array([0.0, 1.0, 2.0, 100.0, 101.0, 102.0])[:, None]
    rdm = make(pdist(points), 6)
    apart = rdm.values > 50
    for ranked in (True, False):
        far = geodesic_rdm(rdm, graph="k_nearest", k=1, rank_result=ranked)
        assert np.isfinite(far).all()
        assert far.attrs["n_disconnected"] == 9
        assert far.values[apart].min() == far.values[apart].max() > far.values[~apart].max()
        missing = geodesic_rdm(rdm, graph="k_nearest", k=1, rank_result=ranked, disconnected="nan")
        np.testing.assert_array_equal(np.isnan(missing), apart)


def test_a_missing_pair_has_no_edge_but_may_have_a_path() -> None:
    rdm = make(pdist(np.arange(4.0)[:, None]), 4)
    rdm.values[0] = np.nan
    made = geodesic_rdm(rdm, share=1.0, rank=False, rank_result=False)
    # Scaled from 1 ... 3 to 0 ... 1: from 0 by 2 back to 1.
    assert made.values[0] == pytest.approx(0.5)


def ring(n: int) -> tuple[np.ndarray, np.ndarray]:
    angle = 2 * np.pi * np.arange(n) / n
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.stack([np.cos(angle), np.sin(angle)], 1), np.minimum(steps, n - steps)


def eight(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A twisted 8 whose strands pass over each other: one loop of even steps."""
    t = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    curve = np.stack([np.sin(t), np.sin(2 * t) / 2, 0.3 * np.cos(t)], 1)
    length = np.cumsum(np.linalg.norm(np.diff(curve, axis=0, append=curve[:1]), axis=1))
    points = curve[np.searchsorted(length, length[-1] * np.arange(n) / n)]
    return points, ring(n)[1]


@pytest.mark.parametrize("shape", [ring, eight])
@pytest.mark.parametrize(
    "options",
    [{"share": 0.05}, {"graph": "k_nearest", "k": 2}, {"graph": "two_step", "upper": 0.05}],
)
def test_shapes_recover_the_order_along_their_curve(shape, options) -> None:  # type: ignore[no-untyped-def]
    points, steps = shape(50)
    truth = steps[np.triu_indices(50, 1)]
    rdm = make(pdist(points), 50)
    made = geodesic_rdm(rdm, **options)
    along = spearmanr(made, truth)[0]
    assert along > 0.97
    if shape is eight:
        assert along > spearmanr(rdm, truth)[0] + 0.1


def test_forms_types_and_leading_dims_are_kept(rng: np.random.Generator, tmp_path: Path) -> None:
    rdm = to_square(make(rng.random((3, 66)), 12)).astype("float32")
    kept = rdm.copy(deep=True)
    made = geodesic_rdm(rdm)
    assert (made.dims, made.dtype) == (rdm.dims, rdm.dtype)
    xr.testing.assert_identical(rdm, kept)
    alone = geodesic_rdm(rdm.isel(subject=1))
    np.testing.assert_array_equal(made.isel(subject=1), alone)
    np.testing.assert_array_equal(to_condensed(made), geodesic_rdm(to_condensed(rdm)))
    assert load(save(made, tmp_path / "t.nc")).identical(made)


def test_the_92_images_have_paths(real_data: Path) -> None:
    from neuroalign.loaders import load_rdms

    rdms = load_rdms(real_data / "rsa_92images" / "92_brainRDMs.mat")
    for graph in ("p_shortest", "p_nearest", "k_nearest", "two_step"):
        made = geodesic_rdm(rdms, graph=graph, share=0.1)
        assert np.isfinite(made).all()
        for row, old in zip(made.values, rdms.values, strict=True):
            assert 0.2 < spearmanr(row, old)[0] <= 1


def test_mistakes_are_named(rng: np.random.Generator) -> None:
    rdm = make(rng.random(45), 10)
    with pytest.raises(ValueError, match="graph: expected one of 'p_shortest'"):
        geodesic_rdm(rdm, graph="shortest")
    with pytest.raises(ValueError, match="neighbors: expected one of"):
        geodesic_rdm(rdm, graph="k_nearest", neighbors="both")
    with pytest.raises(ValueError, match="disconnected: expected one of 'farthest', 'nan'"):
        geodesic_rdm(rdm, disconnected="inf")
    with pytest.raises(ValueError, match="share: expected 0 to 1, got 5"):
        geodesic_rdm(rdm, share=5)
    with pytest.raises(ValueError, match="expected 1 to 9 neighbours of 10 conditions, got 0"):
        geodesic_rdm(rdm, graph="p_nearest", share=0.05)
    with pytest.raises(SchemaError, match="cross"):
        geodesic_rdm(to_square(rdm).assign_attrs(kind="cross"))
