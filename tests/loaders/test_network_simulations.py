"""Simulated networks hold what their truth says, and the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from neuroalign import schema, storage
from neuroalign.loaders import simulate_block_graph, simulate_communities


def test_recordings_follow_the_schema_the_seed_and_the_file(tmp_path: Path) -> None:
    one, again, other = (simulate_communities(4, 60, 20, seed=seed) for seed in (1, 1, 2))
    schema.check(one.responses)
    assert one.responses.identical(again.responses)
    assert one.truth.identical(again.truth)
    assert not np.array_equal(one.responses.values, other.responses.values)
    storage.save(one.responses, tmp_path / "responses.nc")
    storage.save(one.truth, tmp_path / "truth.nc")
    assert storage.load(tmp_path / "responses.nc").identical(one.responses)
    assert storage.load(tmp_path / "truth.nc").identical(one.truth)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_members_move_together_while_the_motif_lasts_and_only_then(seed: int) -> None:
    planted = simulate_communities(9, 400, 40, n_motifs=1, seed=seed)
    truth = planted.truth
    group = np.flatnonzero(truth["community"].values[0] == 1)
    on = truth["time_course"].values[:, 0] > 0
    upper = np.triu_indices(len(group), 1)
    inside, outside = [], []
    for moves, share in zip(
        truth["derivatives"].values[:, group], truth["subject_share"].values[:, 0], strict=True
    ):
        inside += [np.corrcoef(moves[:, on])[upper].mean()] if share else []
        outside.append(np.corrcoef(moves[:, ~on])[upper].mean())
    assert np.mean(inside) == pytest.approx(0.81, abs=0.03)
    assert np.mean(outside) == pytest.approx(0.0, abs=0.03)
    assert planted.oracle["shared_r2"] == pytest.approx(0.81, abs=0.03)
    assert len(inside) == 6


def test_traces_are_the_sums_of_their_derivatives_and_lost_ones_are_nan() -> None:
    planted = simulate_communities(5, 50, 20, missing=0.3, sampling_rate=2.0)
    steps = np.diff(planted.responses.values, axis=2) * 2.0
    lost = np.isnan(planted.responses.values).all(axis=2)
    known = planted.truth["derivatives"].values[..., 1:]
    np.testing.assert_allclose(steps[~lost], known[~lost], atol=1e-4)
    assert 0.1 < lost.mean() < 0.5


def test_graphs_hold_their_chances_and_means(tmp_path: Path) -> None:
    planted = simulate_block_graph(400, 2, seed=3)
    again = simulate_block_graph(400, 2, seed=3)
    graph, block = planted.graph.values, planted.truth["block"].values
    assert planted.graph.identical(again.graph)
    assert np.array_equal(graph, graph.T)
    assert not np.diag(graph).any()
    within = (block[:, None] == block) & ~np.eye(400, dtype=bool)
    assert (graph[within] > 0).mean() == pytest.approx(0.45, abs=0.01)
    assert graph[~within][graph[~within] > 0].mean() == pytest.approx(0.6, abs=0.02)
    storage.save(planted.truth, tmp_path / "truth.nc")
    assert storage.load(tmp_path / "truth.nc").identical(planted.truth)


def test_lognormal_weights_and_unequal_degrees() -> None:
    planted = simulate_block_graph(400, 1, p_in=0.1, weights="lognormal", degree_spread=0.7)
    logs = np.log(planted.graph.values[planted.graph.values > 0])
    assert logs.std() == pytest.approx(0.5, abs=0.01)
    assert np.exp(logs).mean() == pytest.approx(1.0, abs=0.02)
    degree = (planted.graph.values > 0).sum(axis=1)
    assert np.corrcoef(degree, planted.truth["propensity"].values)[0, 1] > 0.9


def test_the_oracle_knows_what_can_be_told() -> None:
    clear = simulate_block_graph(60, 3, p_in=0.8, p_out=0.1)
    vague = simulate_block_graph(60, 3, p_in=0.2, p_out=0.2, mean_in=1.0, mean_out=1.0)
    assert clear.oracle["nmi"] == pytest.approx(1.0)
    assert clear.oracle["detectability"] > 1
    assert vague.oracle["nmi"] < 0.3
    assert vague.oracle["detectability"] == pytest.approx(0.0, abs=1e-12)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="community_size: expected 1 to 5"):
        simulate_communities(n_neuroids=10)
    with pytest.raises(ValueError, match="correlation: expected 0 to 1, got 2"):
        simulate_communities(correlation=2)
    with pytest.raises(ValueError, match="p_in: expected 0 to 1, got 2"):
        simulate_block_graph(p_in=2)
    with pytest.raises(ValueError, match="weights: expected one of 'exponential'"):
        simulate_block_graph(weights="normal")
