"""The block model: moves against brute force, planted blocks come back, faults are named."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import quad
from scipy.stats import expon, gamma
from sklearn.base import clone
from sklearn.metrics import normalized_mutual_info_score as nmi

from neuroalign import storage
from neuroalign.errors import SchemaError
from neuroalign.latents import BlockModel
from neuroalign.latents._block_model import (
    Graph,
    _Climb,
    climb_merges,
    climb_moves,
    measure_evidence,
)
from neuroalign.latents._edge_evidence import (
    WEIGHTS,
    score_degrees,
    score_edges,
    score_sizes,
)
from neuroalign.loaders import simulate_block_graph


def make_graph(weights: str, corrected: bool, seed: int = 0) -> Graph:
    values = simulate_block_graph(18, 3, seed=seed).graph.values
    seen = ~np.eye(18, dtype=bool)
    seen[2, 5] = seen[5, 2] = False
    edge = seen & (values > 0)
    return Graph.make(edge, seen, WEIGHTS[weights](values, edge), corrected)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("weights", list(WEIGHTS))
def test_each_move_scores_as_the_whole_evidence_recomputed(weights: str, corrected: bool) -> None:
    graph = make_graph(weights, corrected)
    labels = np.arange(18) % 3
    climb = _Climb(graph, labels, 4)
    for i in (0, 5, 11):
        gains = climb.score_moves(i)
        climb.put(i, int(labels[i]))
        brute = [measure_evidence(graph, np.where(np.arange(18) == i, k, labels)) for k in range(4)]
        np.testing.assert_allclose(gains - gains[0], np.array(brute) - brute[0], atol=1e-9)


@pytest.mark.parametrize("corrected", [False, True])
def test_statistics_stay_true_while_nodes_move(corrected: bool) -> None:
    graph = make_graph("lognormal", corrected)
    climb = _Climb(graph, np.arange(18) % 3, 4)
    rng = np.random.default_rng(0)
    for i in rng.integers(18, size=40):
        climb.score_moves(int(i))
        climb.put(int(i), int(rng.integers(4)))
    fresh = _Climb(graph, climb.labels, 4)
    np.testing.assert_allclose(climb.sums, fresh.sums, atol=1e-9)
    np.testing.assert_allclose(climb.degrees, fresh.degrees)


def test_merges_score_as_the_whole_evidence_and_never_lose() -> None:
    graph = make_graph("exponential", True)
    labels = np.arange(18) % 9
    merged, done = climb_merges(graph, labels)
    assert done
    assert measure_evidence(graph, merged) > measure_evidence(graph, labels)
    names = np.unique(merged)
    best = measure_evidence(graph, merged)
    for at, a in enumerate(names):
        for b in names[at + 1 :]:
            joined = np.where(merged == b, a, merged)
            assert measure_evidence(graph, joined) <= best + 1e-6


def test_moves_never_lose() -> None:
    graph = make_graph("exponential", False)
    start = np.random.default_rng(1).integers(3, size=18)
    labels = climb_moves(graph, start, 4, np.random.default_rng(0), 20, fixed=False)
    assert measure_evidence(graph, labels) >= measure_evidence(graph, start)


def test_exponential_evidence_is_the_integral_over_rates() -> None:
    weights = np.array([0.5, 1.7, 0.2])
    integral = quad(lambda r: np.prod(expon.pdf(weights, scale=1 / r)) * gamma.pdf(r, 1), 0, 60)[0]
    edge = np.ones(1, dtype=bool)
    score = WEIGHTS["exponential"](np.ones(1), edge).score
    found = score(np.array(3.0), np.array([weights.sum()]))
    assert float(found) == pytest.approx(np.log(integral), abs=1e-6)


def test_lognormal_evidence_is_that_of_its_predictive_students() -> None:
    from scipy.stats import t as student

    logs, kappa, mean, shape, rate, total = np.array([0.3, -1.2, 0.8]), 1.0, 0.0, 1.0, 0.5, 0.0
    for one in logs:
        scale = np.sqrt(rate * (kappa + 1) / (shape * kappa))
        total += student.logpdf(one, 2 * shape, loc=mean, scale=scale)
        rate += kappa * (one - mean) ** 2 / (2 * (kappa + 1))
        mean, kappa, shape = (kappa * mean + one) / (kappa + 1), kappa + 1, shape + 0.5
    score = WEIGHTS["lognormal"](np.array([1.0, 2.0]), np.ones(2, dtype=bool)).score
    found = score(np.array(3.0), np.array([logs.sum(), (logs**2).sum()]))
    assert float(found) == pytest.approx(total, abs=1e-10)


def test_evidence_of_edges_sizes_and_degrees_sums_to_one() -> None:
    from itertools import pairwise, product
    from math import comb, lgamma

    edges = [comb(5, m) * np.exp(score_edges(np.array(5.0), np.array(float(m)))) for m in range(6)]
    assert sum(edges) == pytest.approx(1.0)
    sizes = [np.bincount(x, minlength=3) for x in product(range(3), repeat=4)]
    # Labels that use the first blocks alone: others are the same partition under other names.
    used = [x for x in sizes if not any(b and not a for a, b in pairwise(x))]
    total = sum(np.exp(float(score_sizes(x.astype(float)))) for x in used)
    four = np.exp(float(score_sizes(np.ones(4)))) * 24
    assert total + four == pytest.approx(1.0)
    size, degree, ways = 3, 4, 0.0
    for d in (x for x in product(range(5), repeat=size) if sum(x) == degree):
        own = sum(lgamma(one + 1) for one in d)
        base = lgamma(degree + 1) - own - degree * np.log(size)
        share = score_degrees(np.array(float(size)), np.array(float(degree)))
        ways += np.exp(base + float(share) + own)
    assert ways == pytest.approx(1.0)


def louvain(graph: np.ndarray) -> np.ndarray:
    networkx = pytest.importorskip("networkx")
    labels = np.zeros(len(graph), dtype=int)
    found = networkx.community.louvain_communities(networkx.from_numpy_array(graph), seed=0)
    for number, members in enumerate(found):
        labels[list(members)] = number
    return labels


@pytest.mark.slow
def test_planted_blocks_come_back_where_louvain_loses_them() -> None:
    ours, peer = [], []
    for seed in range(6):
        planted = simulate_block_graph(seed=seed)
        assert planted.oracle["detectability"] > 1
        model = BlockModel(degree_corrected="no").fit(planted.graph)
        assert model.n_blocks_ == 5
        ours.append(nmi(planted.truth["block"], model.labels_))
        peer.append(nmi(planted.truth["block"], louvain(planted.graph.values)))
        # Even with all else known, neuroids are not told apart without fault.
        assert ours[-1] > 0.93 * planted.oracle["nmi"]
    assert np.mean(ours) > 0.9
    assert np.mean(peer) < 0.75


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clear_blocks_are_found_and_counted(seed: int) -> None:
    planted = simulate_block_graph(60, 4, p_in=0.6, p_out=0.1, seed=seed)
    model = BlockModel(n_inits=1, n_kicks=2).fit(planted.graph)
    assert model.n_blocks_ == 4
    assert not model.degree_corrected_
    assert nmi(planted.truth["block"], model.labels_) > 0.9


def test_weights_tell_blocks_that_edges_do_not() -> None:
    planted = simulate_block_graph(60, 2, p_in=0.3, p_out=0.3, mean_in=3.0, mean_out=0.5)
    options: dict[str, Any] = {"degree_corrected": "no", "n_kicks": 2}
    model = BlockModel(**options).fit(planted.graph)
    assert nmi(planted.truth["block"], model.labels_) > 0.9
    assert BlockModel(weights="binary", **options).fit(planted.graph).n_blocks_ == 1


@pytest.mark.slow
def test_unequal_degrees_are_corrected_for() -> None:
    scores: dict[str, list[float]] = {"yes": [], "no": []}
    for seed in range(3):
        planted = simulate_block_graph(
            90, 2, p_in=0.2, p_out=0.03, mean_out=1.0, degree_spread=0.8, seed=seed
        )
        for name, found in scores.items():
            model = BlockModel(degree_corrected=name, max_blocks=6).fit(planted.graph)
            found.append(nmi(planted.truth["block"], model.labels_))
    assert np.mean(scores["yes"]) > 0.1 + np.mean(scores["no"])


def test_evidence_of_the_truth_sees_unequal_degrees_where_there_are() -> None:
    gains = []
    for spread in (0.0, 0.8):
        planted = simulate_block_graph(90, 2, p_in=0.2, p_out=0.03, degree_spread=spread)
        values, labels = planted.graph.values, planted.truth["block"].values
        edge, seen = values > 0, ~np.eye(90, dtype=bool)
        family = WEIGHTS["exponential"](values, edge)
        plain, corrected = (Graph.make(edge, seen, family, one) for one in (False, True))
        gains.append(measure_evidence(corrected, labels) - measure_evidence(plain, labels))
    assert gains[0] < -20
    assert gains[1] > 20


@pytest.mark.parametrize("weights", ["exponential", "lognormal"])
def test_evidence_prefers_the_true_kind_of_weights(weights: str) -> None:
    planted = simulate_block_graph(60, 2, p_in=0.6, weights=weights)
    kinds = ("exponential", "lognormal")
    scores = {
        kind: BlockModel(2, weights=kind, degree_corrected="no").fit(planted.graph).evidence_
        for kind in kinds
    }
    assert max(scores, key=lambda kind: scores[kind]) == weights


def test_a_graph_without_blocks_has_one() -> None:
    planted = simulate_block_graph(50, 1, p_in=0.3)
    assert BlockModel(n_inits=1, n_kicks=2).fit(planted.graph).n_blocks_ == 1


def test_units_of_the_weights_do_not_matter() -> None:
    graph = simulate_block_graph(40, 2).graph
    one, other = (BlockModel(n_inits=1, n_kicks=1).fit(x) for x in (graph, 1000 * graph))
    np.testing.assert_array_equal(one.labels_.values, other.labels_.values)
    n_edges = int((graph.values > 0).sum()) // 2
    assert one.evidence_ - other.evidence_ == pytest.approx(n_edges * np.log(1000))


def test_a_given_number_of_blocks_is_kept_and_described(tmp_path: Any) -> None:
    planted = simulate_block_graph(40, 2, p_in=0.8, p_out=0.1)
    model = BlockModel(3, n_kicks=1).fit(planted.graph)
    assert model.n_blocks_ == 3
    assert np.all(np.diff(model.blocks_["size"].values) <= 0)
    assert int(model.blocks_["n_pairs"].values[np.triu_indices(3)].sum()) == 40 * 39 // 2
    storage.save(model.blocks_, tmp_path / "blocks.nc")
    assert storage.load(tmp_path / "blocks.nc").identical(model.blocks_)


def test_pairs_not_seen_say_nothing_and_labels_keep_their_names() -> None:
    planted = simulate_block_graph(40, 2, p_in=0.8, p_out=0.1)
    values = planted.graph.values.copy()
    lost = np.triu(np.random.default_rng(0).uniform(size=values.shape) < 0.2, 1)
    values[lost | lost.T] = np.nan
    model = clone(BlockModel(n_inits=1, n_kicks=1)).fit(planted.graph.copy(data=values))
    assert nmi(planted.truth["block"], model.labels_) == pytest.approx(1.0)
    assert model.labels_["neuroid"].values.tolist() == planted.graph["neuroid"].values.tolist()
    assert isinstance(BlockModel(2, n_kicks=0).fit_predict(planted.graph.values), np.ndarray)


def change(at: Any, value: float) -> np.ndarray:
    graph = np.ones((4, 4))
    graph[at] = value
    return graph


FAULTS: list[tuple[Any, str]] = [
    (np.ones((3, 4)), "expected a square matrix"),
    (change((1, 2), -1.0), "expected weights >= 0 and finite, got -1 in row 1, column 2"),
    (change((1, 2), np.inf), "expected weights >= 0 and finite, got inf in row 1"),
    (change((1, 2), 5.0), "expected symmetric weights, got 5 in row 1, column 2 and 1"),
    (np.zeros((4, 4)), "expected a graph with edges"),
]


@pytest.mark.parametrize(("graph", "message"), FAULTS)
def test_what_is_no_graph_is_refused(graph: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        BlockModel().fit(graph)


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"weights": "poisson"}, "weights: expected one of 'exponential'"),
    ({"degree_corrected": True}, "degree_corrected: expected one of 'yes'"),
    ({"n_blocks": 9}, "n_blocks: expected an integer from 1 to 4"),
    ({"max_blocks": 0}, "max_blocks: expected an integer >= 1"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_unknown_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlockModel(**options).fit(np.ones((4, 4)))


def test_dataarrays_of_other_dims_are_labelled_by_neuroid() -> None:
    graph = xr.DataArray(np.ones((4, 4)), dims=("roi", "roi_other"), coords={"roi": list("abcd")})
    assert BlockModel().fit(graph).labels_["neuroid"].values.tolist() == list("abcd")
