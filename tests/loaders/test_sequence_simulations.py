"""Simulated sequences hold what their truth says, and the same for the same seed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroalign import schema, storage
from neuroalign.latents import HMM
from neuroalign.loaders import simulate_spike_motifs, simulate_symbol_sequences

GENERATORS: list[Any] = [simulate_spike_motifs, simulate_symbol_sequences]


@pytest.mark.parametrize("simulate", GENERATORS)
def test_responses_follow_the_schema_the_seed_and_the_file(simulate: Any, tmp_path: Path) -> None:
    one, again, other = (simulate(6, 80, seed=seed) for seed in (1, 1, 2))
    schema.check(one.responses)
    assert one.responses.identical(again.responses)
    assert one.truth.identical(again.truth)
    assert not np.array_equal(one.responses.values, other.responses.values)
    storage.save(one.responses, tmp_path / "responses.nc")
    storage.save(one.truth, tmp_path / "truth.nc")
    assert storage.load(tmp_path / "responses.nc").identical(one.responses)
    assert storage.load(tmp_path / "truth.nc").identical(one.truth)


@pytest.mark.parametrize("topology", ["chain", "cycle", "full"])
def test_states_and_symbols_have_the_frequencies_of_the_truth(topology: str) -> None:
    planted = simulate_symbol_sequences(200, 200, 4, topology=topology)
    states = planted.truth["states"].values
    transition = planted.truth["transition"].values
    np.testing.assert_allclose(transition.sum(axis=1), 1.0)
    counts = np.zeros((4, 4))
    np.add.at(counts, (states[:, :-1].ravel(), states[:, 1:].ravel()), 1)
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), transition, atol=0.01)
    shown = planted.responses.values.transpose(0, 2, 1)
    means = np.stack([shown[states == state].mean(axis=0) for state in range(4)])
    np.testing.assert_allclose(means, planted.truth["emission"].values, atol=0.02)


def test_topologies_link_what_they_say() -> None:
    links = {
        name: simulate_symbol_sequences(1, 5, 4, topology=name).truth["transition"].values > 0
        for name in ("chain", "cycle", "full")
    }
    assert links["full"].all()
    assert np.flatnonzero(links["chain"][0]).tolist() == [0, 1]
    assert np.flatnonzero(links["chain"][1]).tolist() == [0, 1, 2]
    assert np.flatnonzero(links["cycle"][3]).tolist() == [0, 3]


def test_the_oracle_of_states_is_what_brute_force_gives() -> None:
    from itertools import pairwise, product

    planted = simulate_symbol_sequences(4, 5, 2, stay=0.7)
    truth, shown = planted.truth, planted.responses.values.argmax(axis=1)
    transition, emission = truth["transition"].values, truth["emission"].values
    right = []
    for symbols, states in zip(shown, truth["states"].values, strict=True):
        marginal = np.zeros((5, 2))
        for path in product(range(2), repeat=5):
            p = np.prod([emission[s, x] for s, x in zip(path, symbols, strict=True)])
            p *= np.prod([transition[a, b] for a, b in pairwise(path)])
            marginal[np.arange(5), path] += p
        right.append(marginal.argmax(axis=1) == states)
    assert planted.oracle["accuracy"] == pytest.approx(np.mean(right))


def test_a_hidden_markov_model_reaches_the_oracle() -> None:
    planted = simulate_symbol_sequences(60, 60, 2, stay=0.95)
    assert planted.oracle["accuracy"] > 0.95
    model = HMM(2, emission="bernoulli").fit(planted.responses)
    found = model.transform(planted.responses).values.argmax(axis=2)
    same = (found == planted.truth["states"].values).mean()
    assert max(same, 1 - same) > 0.98 * planted.oracle["accuracy"]


def test_motifs_stand_where_the_truth_says() -> None:
    planted = simulate_spike_motifs(200, 120, participation=0.8, background=0.02)
    motif, onset = planted.truth["motif"].values, planted.truth["onset"].values
    assert motif.sum() == 12
    assert (onset.sum(axis=1) == 2).all()
    windows = np.stack([
        planted.responses.values[trial, :, start : start + 15]
        for trial, start in np.argwhere(onset > 0)
    ])  # fmt: skip
    rate = windows.mean(axis=0)
    assert rate[motif > 0].mean() == pytest.approx(0.8 + 0.2 * 0.02, abs=0.02)
    assert rate[motif == 0].mean() == pytest.approx(0.02, abs=0.005)


def test_the_oracle_of_motifs_falls_with_their_spikes() -> None:
    clear = simulate_spike_motifs().oracle["auc"]
    hard = simulate_spike_motifs(n_spikes=4, participation=0.5, jitter=1).oracle["auc"]
    assert clear > 0.999
    assert 0.5 < hard < 0.95


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="n_states: expected an integer >= 2"):
        simulate_symbol_sequences(n_states=1)
    with pytest.raises(ValueError, match="topology: expected one of 'chain'"):
        simulate_symbol_sequences(topology="star")
    with pytest.raises(ValueError, match="n_bins: expected more than 30"):
        simulate_spike_motifs(n_bins=30)
    with pytest.raises(ValueError, match="n_spikes: expected 1 to 300"):
        simulate_spike_motifs(n_spikes=0)
