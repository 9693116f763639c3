"""Decoding embeddings by contrast: against ridge both ways, repeats, seeds, and labels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.model_selection import GroupKFold
from torch import nn

from neuroalign._training import TrainingPlan
from neuroalign.align import average_repeats
from neuroalign.decoders import EmbeddingDecoder, RidgeDecoder, identify
from neuroalign.decoders._backbone import split_decay
from neuroalign.decoders._repeats import Repeats, number_repeats
from neuroalign.encoders import Ridge
from neuroalign.encoders.readouts._members import hold_out
from neuroalign.errors import AlignError, FitError, NeuroalignWarning, SchemaError

SHORT = TrainingPlan(epochs=3, batch_size=16)
SMALL: dict[str, Any] = {"hidden": 16, "n_blocks": 1, "projection": 16, "plan": SHORT}
LONG = TrainingPlan(
    epochs=30, batch_size=64, learning_rate=1e-3, weight_decay=1e-2, schedule="cosine", warmup=50
)


def simulate_linear(seed: int, n: int = 2000, c: int = 128, v: int = 500, snr: float = 0.5) -> Any:
    """Responses linear in embeddings, three repeats, the last fifth of the stimuli new."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, c))
    signal = y @ rng.normal(size=(c, v)) / c**0.5
    return _repeat(rng, signal, y, snr**-0.5)


def simulate_nonlinear(seed: int, n: int = 2000, c: int = 64, v: int = 200) -> Any:
    """Responses linear in four numbers, of which the embeddings are a random net."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    y = np.tanh(2 * z @ rng.normal(size=(4, 80)) + rng.normal(size=80)) @ rng.normal(size=(80, c))
    return _repeat(rng, z @ rng.normal(size=(4, v)) / 2, y / 9, 0.5)


def _repeat(rng: np.random.Generator, signal: Any, y: Any, noise: float) -> Any:
    n = len(y)
    x = np.concatenate([signal + noise * rng.normal(size=signal.shape) for _ in range(3)])
    new = np.tile(np.arange(n) >= 0.8 * n, 3)
    x, y = x.astype(np.float32), np.tile(y, (3, 1)).astype(np.float32)
    return x[~new], y[~new], x[new], y[new]


def make_small(rng: np.random.Generator, n: int = 40, n_repeats: int = 1) -> tuple[Any, Any]:
    y = rng.normal(size=(n, 6))
    x = np.tile(y @ rng.normal(size=(6, 10)), (n_repeats, 1))
    names = np.tile([f"image-{i}" for i in range(n)], n_repeats)
    responses = xr.DataArray(
        (x + 0.3 * rng.normal(size=x.shape)).astype(np.float32), dims=("sample", "neuroid"),
        coords={"stimulus": ("sample", names), "neuroid": [f"v{i}" for i in range(10)]},
    )  # fmt: skip
    embeddings = xr.DataArray(
        np.tile(y, (n_repeats, 1)).astype(np.float32), dims=("sample", "feature"),
        coords={"stimulus": ("sample", names), "feature": [f"f{i}" for i in range(6)]},
    )  # fmt: skip
    return responses, embeddings


def retrieve(found: xr.Dataset, size: int = 300) -> Any:
    return found["retrieval"].sel(candidates=size, top=1).mean("direction").to_series()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_a_linear_map_it_comes_near_ridge(seed: int) -> None:
    x, y, new_x, new_y = simulate_linear(seed)
    decoder = EmbeddingDecoder(hidden=256, projection=256, plan=LONG, seed=seed).fit(x, y)
    found = decoder.identify(new_x, new_y)
    score = retrieve(found)
    assert score["contrastive"] >= 0.9 * score["ridge"]
    assert score["ridge"] > 0.95
    assert (found["lower"].sel(top=1) > 50 / 300).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_a_nonlinear_map_it_beats_ridge(seed: int) -> None:
    x, y, new_x, new_y = simulate_nonlinear(seed)
    decoder = EmbeddingDecoder(hidden=256, projection=256, plan=LONG, seed=seed).fit(x, y)
    found = decoder.identify(new_x, new_y)
    first = found.sel(direction="to_embedding", candidates=300, top=1)
    lower, upper = first["lower"].sel(decoder="contrastive"), first["upper"].sel(decoder="ridge")
    assert float(lower) > float(upper)
    assert decoder.validation_score_ > decoder.baseline_score_


@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_ridge_beside_is_ridge_on_averages_of_the_same_stimuli(rng: np.random.Generator) -> None:
    responses, embeddings = make_small(rng, 60, 2)
    decoder = EmbeddingDecoder(validation=0.25, **SMALL).fit(responses, embeddings)
    means = average_repeats(responses)
    train, held = hold_out(np.arange(60), None, 0.25, 0)
    ridge = Ridge().fit(means.values[train], embeddings.values[:60][train])
    np.testing.assert_allclose(decoder.baseline_.coef_, ridge.coef_, atol=1e-5)
    guess = ridge.predict(means.values[held]) - decoder.mean_
    other = embeddings.values[:60][held] - decoder.mean_
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (guess, other)]
    table = unit[0] @ unit[1].T
    ranks = [(way > np.diag(table)[:, None]).sum(axis=1) + 1 for way in (table, table.T)]
    assert decoder.baseline_score_ == pytest.approx(np.mean(1 / np.array(ranks)))


def test_a_net_that_is_worse_than_ridge_says_so(rng: np.random.Generator) -> None:
    responses, embeddings = make_small(rng, 80)
    poor = EmbeddingDecoder(**{**SMALL, "plan": TrainingPlan(epochs=1, learning_rate=1e-6)})
    with pytest.warns(NeuroalignWarning, match="as well as ridge and cosine, got a reciprocal"):
        poor.fit(responses, embeddings)


def test_repeats_are_drawn_one_at_a_time_and_averaged_at_test(rng: np.random.Generator) -> None:
    codes = np.array([0, 1, 0, 2, 1, 0])
    repeats = Repeats(codes)
    drawn = np.array([repeats.draw(np.array([2, 0, 1])) for _ in range(200)])
    assert (codes[drawn] == [2, 0, 1]).all()
    assert [len(np.unique(column)) for column in drawn.T] == [1, 3, 2]
    assert repeats.first.tolist() == [0, 1, 3]
    np.testing.assert_allclose(repeats.average(np.arange(6.0)[:, None]).ravel(), [7 / 3, 2.5, 3])
    responses, embeddings = make_small(rng, 30, 3)
    decoder = EmbeddingDecoder(validation=0.0, **SMALL).fit(responses, embeddings)
    found = decoder.identify(responses, embeddings, seed=4)
    means = decoder.project(average_repeats(responses))
    alone = identify(means.values, embeddings.values[:30], center=decoder.mean_, seed=4)
    net = found.sel(decoder="contrastive", drop=True)
    np.testing.assert_allclose(net["expected"], alone["expected"])
    assert found.attrs["n_items"] == 30
    assert "ridge: Top-1" in found.attrs["verdict"]


def test_stimuli_are_told_by_name_or_by_what_they_are(rng: np.random.Generator) -> None:
    y = np.array([[1.0], [0.0], [1.0]])
    assert number_repeats(None, y).tolist() == [0, 1, 0]
    assert number_repeats(np.array(["b", "a", "c"]), y).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"y: expected one target .* 'b' in row 1"):
        number_repeats(np.array(["b", "b", "c"]), y)


def test_stimuli_that_meet_in_a_group_stay_on_one_side() -> None:
    codes = np.arange(30).repeat(2)
    groups = np.arange(60) // 4
    for seed in range(5):
        train, held = hold_out(codes, groups, 0.3, seed)
        assert not set(groups[np.isin(codes, train)]) & set(groups[np.isin(codes, held)])
        assert len(held) == 8
    assert len(hold_out(codes, np.zeros(60), 0.3, 0)[1]) == 0


def test_offsets_and_norms_do_not_decay() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    matrices, rest = split_decay(net, 0.1)
    assert {part.ndim for part in matrices["params"]} == {2}
    assert len(matrices["params"]) == 2
    assert len(rest["params"]) == 4
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)


def test_labels_and_tokens_come_back(rng: np.random.Generator) -> None:
    responses, embeddings = make_small(rng)
    tokens = embeddings.values.reshape(40, 2, 3)
    labelled = xr.DataArray(tokens, dims=("sample", "token", "feature"),
                            coords={"stimulus": embeddings["stimulus"]})  # fmt: skip
    decoder = EmbeddingDecoder(validation=0.0, **SMALL).fit(responses, labelled)
    for made in (decoder.predict(responses[:5]), decoder.project(responses[:5])):
        assert made.dims == ("sample", "token", "feature")
        assert made["stimulus"].values[2] == "image-2"
    bare = EmbeddingDecoder(validation=0.0, **SMALL).fit(responses.values, tokens)
    np.testing.assert_array_equal(decoder.predict(responses).values, bare.predict(responses.values))
    assert decoder.mean_.shape == (2, 3)
    length = np.linalg.norm(decoder.project(responses).values - decoder.mean_, axis=(1, 2))
    np.testing.assert_allclose(length, length[0], rtol=1e-4)


@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_one_seed_gives_one_net_and_a_killed_fit_goes_on(
    rng: np.random.Generator, tmp_path: Any, monkeypatch: Any
) -> None:
    responses, embeddings = make_small(rng, 40, 2)
    torch.manual_seed(1)
    whole = EmbeddingDecoder(n_ensemble=2, **SMALL).fit(responses, embeddings).project(responses)
    steps, step = iter(range(100)), torch.optim.AdamW.step

    def break_off(self: Any, *arguments: Any) -> Any:
        if next(steps) == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)

    options = {**SMALL, "n_ensemble": 2, "checkpoint": tmp_path}
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", break_off)
        with pytest.raises(KeyboardInterrupt):
            EmbeddingDecoder(**options).fit(responses, embeddings)
    again = EmbeddingDecoder(**options).fit(responses, embeddings).project(responses)
    np.testing.assert_array_equal(whole.values, again.values)
    with pytest.raises(FitError, match="checkpoint: expected the state of this run"):
        EmbeddingDecoder(**options, temperature=0.1).fit(responses, embeddings)
    other = EmbeddingDecoder(seed=1, **SMALL).fit(responses, embeddings).project(responses)
    assert np.abs(other.values - whole.values).max() > 1e-3


@pytest.mark.slow
def test_it_keeps_the_scikit_learn_contract(broken_checks: Callable[..., list[str]]) -> None:
    plan = TrainingPlan(epochs=30, batch_size=None, learning_rate=0.02)
    decoder = EmbeddingDecoder(
        hidden=16, n_blocks=1, projection=8, plan=plan, baseline=False, validation=0.0,
        dropout=(0.0, 0.0),
    )  # fmt: skip
    assert broken_checks(decoder) == []


def test_faults_are_named(rng: np.random.Generator) -> None:
    responses, embeddings = make_small(rng)
    with pytest.raises(ValueError, match="temperature: expected positive numbers, got 0"):
        EmbeddingDecoder(temperature=0).fit(responses, embeddings)
    with pytest.raises(ValueError, match="mixing: expected a share from 0 to 1, got 2"):
        EmbeddingDecoder(mixing=2).fit(responses, embeddings)
    with pytest.raises(ValueError, match="hidden: expected at least 1, got 0"):
        EmbeddingDecoder(hidden=0).fit(responses, embeddings)
    with pytest.raises(ValueError, match="validation: expected a share .* got 1"):
        EmbeddingDecoder(validation=1).fit(responses, embeddings)
    with pytest.raises(AlignError, match="y: expected the 'stimulus' of X in every row"):
        EmbeddingDecoder().fit(responses, embeddings[::-1])
    fitted = EmbeddingDecoder(validation=0.0, **SMALL).fit(responses, embeddings)
    with pytest.raises(AlignError, match="X: expected the 'feature' of training"):
        fitted.predict(responses[:, ::-1])
    with pytest.raises(SchemaError, match="X: expected dims"):
        fitted.predict(responses.T)


# Is an animal, a face, a place, held in a hand, its size, a thing, worn.
MEANINGS = {
    "bottle": (0, 0, 0, 1, 0, 1, 0), "cat": (1, 1, 0, 0, 0, 1, 0), "chair": (0, 0, 0, 0, 1, 1, 0),
    "face": (1, 2, 0, 0, 0, 1, 0), "house": (0, 0, 1, 0, 2, 1, 0), "shoe": (0, 0, 0, 0, 0, 1, 1),
    "scissors": (0, 0, 0, 2, 0, 1, 0), "scrambledpix": (0, 0, 0, 0, 0, 0, 0),
}  # fmt: skip


def retrieve_by_run(make: Any, blocks: xr.DataArray) -> float:
    """Retrieve the categories of each run among its eight by decoders of other runs."""
    shown, runs = blocks["stimulus"].values, blocks["run"].values
    meanings = xr.DataArray(
        np.array([MEANINGS[name] for name in shown], dtype=np.float64),
        dims=("sample", "feature"), coords={"stimulus": ("sample", shown)},
    )  # fmt: skip
    found = []
    for train, test in GroupKFold(4).split(shown, groups=runs):
        assert not set(runs[train]) & set(runs[test])
        decoder = make().fit(blocks[train], meanings[train])
        guess = getattr(decoder, "project", decoder.predict)(blocks[test]).values
        center = meanings[train].values.mean(axis=0)
        for run in np.unique(runs[test]):
            rows = runs[test] == run
            true = meanings[test].values[rows]
            result = identify(
                guess[rows], true, n_candidates=8, top=1, n_draws=1, center=center
            )  # fmt: skip
            found.append(float(result["expected"].mean()))
    return float(np.mean(found))


def make_contrastive() -> EmbeddingDecoder:
    plan = TrainingPlan(epochs=150, batch_size=None, learning_rate=2e-3, weight_decay=1e-2)
    return EmbeddingDecoder(
        hidden=64, n_blocks=1, projection=32, plan=plan, validation=0.0, baseline=False
    )


@pytest.mark.parametrize(
    ("make", "least"),
    [(RidgeDecoder, 0.55), pytest.param(make_contrastive, 0.35, marks=pytest.mark.slow)],
)
def test_haxby_voxels_are_decoded_into_what_categories_mean(
    make: Any, least: float, haxby_blocks: xr.DataArray
) -> None:
    assert retrieve_by_run(make, haxby_blocks) > least
    rng, runs = np.random.default_rng(0), haxby_blocks["run"].values
    dealt = haxby_blocks["stimulus"].values.copy()
    for run in np.unique(runs):
        dealt[runs == run] = rng.permutation(dealt[runs == run])
    nothing = haxby_blocks.assign_coords(stimulus=("sample", dealt))
    assert retrieve_by_run(make, nothing) == pytest.approx(1 / 8, abs=0.1)
