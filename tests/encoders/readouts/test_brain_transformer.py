"""The brain transformer: its algebra, queries by label, and planted routing that comes back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.io import loadmat
from scipy.spatial.distance import squareform

from neuroalign import evaluate
from neuroalign.encoders.readouts import BrainTransformer, FactorizedReadout, TrainingPlan
from neuroalign.encoders.readouts._attention import (
    CrossAttention,
    DecoderLayer,
    QueryDecoder,
    encode_positions,
)
from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.features import extract, gabor_features
from neuroalign.models import SmallConvNet

SHORT = TrainingPlan(epochs=2, batch_size=16)
LONG = TrainingPlan(epochs=60, learning_rate=5e-3, schedule="cosine")
SIDE = 4


def simulate_routing(seed: int, n: int = 600) -> tuple[xr.DataArray, xr.DataArray, np.ndarray]:
    """Two regions that read the token which carries their cue, wherever it lies."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(n, SIDE**2, 6))
    cued = rng.integers(SIDE**2, size=(n, 2))
    tokens[:, :, :2] *= 0.3
    read = []
    for region in range(2):
        tokens[np.arange(n), cued[:, region], region] += 3
        read.append(tokens[np.arange(n), cued[:, region], 2:] @ rng.normal(size=(4, 3)))
    clean = np.concatenate(read, axis=1)
    noisy = clean + 0.3 * clean.std(axis=0) * rng.normal(size=clean.shape)
    row, column = (place.ravel() for place in np.indices((SIDE, SIDE)))
    places = {"row": ("token", row), "column": ("token", column)}
    labels = {"roi": ("neuroid", ["V4"] * 3 + ["FFA"] * 3)}
    features = xr.DataArray(tokens, places, ("sample", "token", "feature"))
    return features, xr.DataArray(noisy, labels, ("sample", "neuroid")), cued


def simulate_captions(seed: int, n: int = 500) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """Captions of 3 to 8 words; the response reads the word after which the first feature is."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 9, size=n)
    words = rng.normal(size=(n, 8, 5))
    words[:, :, 0] *= 0.3
    cued = (rng.uniform(size=n) * lengths).astype(int)
    words[np.arange(n), cued, 0] += 3
    response = words[np.arange(n), cued, 1:] @ rng.normal(size=(4, 3))
    valid = np.arange(8) < lengths[:, None]
    words[~valid] = np.nan
    coords = {
        "row": ("token", np.zeros(8)),
        "column": ("token", np.arange(8)),
        "valid": (("sample", "token"), valid),
        "stimulus": ("sample", [f"caption-{i}" for i in range(n)]),
    }
    return xr.DataArray(words, coords, ("sample", "token", "feature")), response, cued


def attend_by_torch(own: CrossAttention, *inputs: Any, valid: Any) -> tuple[Any, Any]:
    """The same weights in the attention of torch."""
    peer = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    parts = (own.to_query, own.to_key, own.to_value)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        bias = [own.to_query.bias, torch.zeros(8), own.to_value.bias]
        peer.in_proj_bias.copy_(torch.cat(bias))
        peer.out_proj.load_state_dict(own.to_output.state_dict())
    queries, tokens, places = inputs
    found: tuple[Any, Any] = peer(
        queries.expand(len(tokens), -1, -1),
        tokens + places,
        tokens,
        key_padding_mask=None if valid is None else ~valid,
        average_attn_weights=False,
    )
    return found


@pytest.mark.parametrize("n_queries", [2, 11])
@pytest.mark.parametrize("ragged", [False, True])
def test_attention_is_that_of_torch_in_either_order_of_products(
    n_queries: int, ragged: bool
) -> None:
    torch.manual_seed(0)
    own = CrossAttention(8, 2, 0.0)
    torch.nn.init.normal_(own.to_query.bias)
    torch.nn.init.normal_(own.to_value.bias)
    queries, tokens, places = (
        torch.randn(1, n_queries, 8),
        torch.randn(3, 7, 8),
        torch.randn(7, 8),
    )
    valid = torch.arange(7) < torch.tensor([[7], [4], [1]]) if ragged else None
    expected, weights = attend_by_torch(own, queries, tokens, places, valid=valid)
    torch.testing.assert_close(own(queries, tokens, places, valid), expected)
    torch.testing.assert_close(own.weigh(queries, tokens, places, valid), weights)


def test_places_are_told_apart_and_a_class_token_has_none() -> None:
    row, column = (place.ravel() for place in np.indices((5, 5)))
    positions = np.stack([column, row], axis=1) / 2 - 1
    code = encode_positions(np.vstack([[np.nan, np.nan], positions]), 16).numpy()
    assert (code[0] == 0).all()
    apart = np.linalg.norm(code[1:, None] - code[None, 1:], axis=2) + 9 * np.eye(25)
    assert apart.min() > 0.5
    np.testing.assert_allclose(code[1, :8], [0, 0, 0, 0, 1, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(code[1 + 5 * 2, 0], np.sin(2.0), atol=1e-6)


def make_decoder(member: list[int]) -> QueryDecoder:
    torch.manual_seed(0)
    return QueryDecoder(
        torch.randn(5, 8), 3, torch.tensor(member), project=True, n_layers=2, n_heads=2, hidden=6,
        dropout=0.0,
    )  # fmt: skip


@pytest.mark.parametrize("member", [[1, 0, 0, 2, 1, 0], [2, 0, 1, 0, 2, 1]])
def test_a_neuroid_reads_its_own_query_alone(member: list[int]) -> None:
    """The published form: every map on every query, masked by membership, summed over queries."""
    net = make_decoder(member)
    taken = torch.randn(4, 3, 8)
    weight = torch.empty_like(net.weight)
    weight[net.order] = net.weight.detach()
    every = torch.einsum("nqd,vd->nqv", taken, weight)
    mask = torch.nn.functional.one_hot(torch.tensor(member), 3).T
    torch.testing.assert_close(net._read_out(taken), (every * mask).sum(dim=1))


def test_a_layer_adds_attention_then_a_net_and_starts_from_nothing() -> None:
    torch.manual_seed(0)
    layer = DecoderLayer(8, 2, 6, 0.0)
    queries, tokens, places = torch.randn(1, 3, 8), torch.randn(2, 5, 8), torch.randn(5, 8)
    state = layer(torch.zeros(1, 3, 8), queries, tokens, places, None)
    first = layer.attention(queries, tokens, places)
    torch.testing.assert_close(state, first + layer.forward_net(first))


@pytest.mark.parametrize(
    ("queries", "names"),
    [("roi", ["L V1", "R V1", "R"]), ("hemisphere", ["L", "R"]), ("neuroid", list("abcd"))],
)
def test_labels_of_the_responses_make_the_queries(queries: str, names: list[str]) -> None:
    features, responses, _ = simulate_routing(0, 30)
    labelled = responses[:, :4].assign_coords(
        roi=("neuroid", ["V1", "V1", "", "V1"]),
        hemisphere=("neuroid", ["L", "R", "R", "L"]),
        neuroid=list("abcd"),
    )
    readout = BrainTransformer(queries=queries, plan=SHORT, baseline=False)
    route = readout.fit(features, labelled).route(features[:4])
    assert route.dims == ("sample", "query", "token")
    assert route["query"].values.tolist() == names
    assert route["column"].values[:5].tolist() == [0, 1, 2, 3, 0]
    np.testing.assert_allclose(route.sum("token"), 1, atol=1e-5)
    np.testing.assert_allclose(readout.routing_, readout.route(features).mean("sample"), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_routing_comes_back_and_beats_factorised_and_ridge(seed: int) -> None:
    features, responses, cued = simulate_routing(seed)
    readout = BrainTransformer(width=32, n_heads=2, plan=LONG, seed=seed)
    readout.fit(features, responses)
    fixed = FactorizedReadout(plan=LONG, seed=seed, baseline=False).fit(features, responses)
    scores = np.array([readout.validation_score_, readout.baseline_score_, fixed.validation_score_])
    assert scores[0].mean() > 0.9
    assert scores[1:].mean(axis=1).max() < 0.5
    route = readout.route(features)
    assert route["query"].values.tolist() == ["V4", "FFA"]
    assert (route.argmax("token").values == cued).mean() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_routing_ridge_wins_and_this_is_said(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(400, 9, 6))
    responses = tokens.reshape(400, -1) @ rng.normal(size=(54, 5))
    responses += 0.3 * responses.std(axis=0) * rng.normal(size=responses.shape)
    readout = BrainTransformer(width=32, n_heads=2, plan=LONG, seed=seed)
    with pytest.warns(NeuroalignWarning, match="BrainTransformer: .* ridge on the same tokens"):
        readout.fit(tokens, responses)
    assert (readout.baseline_score_ > readout.validation_score_).all()


@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_padding_of_captions_has_no_say() -> None:
    captions, response, _ = simulate_captions(0, 40)
    readout = BrainTransformer(width=16, plan=SHORT, seed=1).fit(captions, response)
    other = BrainTransformer(width=16, plan=SHORT, seed=1).fit(captions.fillna(1e3), response)
    np.testing.assert_array_equal(readout.predict(captions), other.predict(captions.fillna(-7.0)))
    route = readout.route(captions).values
    assert (route[:, 0][~captions["valid"].values] == 0).all()
    np.testing.assert_array_equal(readout.baseline_score_, other.baseline_score_)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_word_that_matters_is_found_in_captions_of_any_length(seed: int) -> None:
    captions, response, cued = simulate_captions(seed)
    readout = BrainTransformer(width=32, n_heads=2, plan=LONG, seed=seed).fit(captions, response)
    assert readout.validation_score_.mean() > 0.9 > 0.6 > readout.baseline_score_.mean()
    assert (readout.route(captions).values[:, 0].argmax(axis=1) == cued).mean() > 0.95


@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_captions_go_through_cross_validation() -> None:
    captions, response, _ = simulate_captions(0, 40)
    padded = [captions.fillna(0.0), captions.fillna(9.0)]
    coords = {"stimulus": captions["stimulus"], "neuroid": list("abc")}
    responses = xr.DataArray(response, coords, ("sample", "neuroid"), attrs={"kind": "responses"})
    readout = BrainTransformer(width=16, plan=SHORT, baseline=False)
    first, other = (
        evaluate.cross_validate(readout, one, responses, group=None, n_splits=2, ceiling=None)
        for one in padded
    )
    assert np.isfinite(first["score"].values).all()
    np.testing.assert_array_equal(first["score"], other["score"])


def test_faults_of_padding_are_named() -> None:
    captions, response, _ = simulate_captions(0, 20)
    readout = BrainTransformer(plan=SHORT, baseline=False)
    with pytest.raises(SchemaError, match="'valid' as bool of .*, got int64 of"):
        readout.fit(captions.assign_coords(valid=captions["valid"].astype(int)), response)
    empty = captions["valid"].copy(data=captions["valid"].values & (np.arange(20) != 3)[:, None])
    with pytest.raises(SchemaError, match=r"at least one valid token in each row, .*\(first: 3\)"):
        readout.fit(captions.assign_coords(valid=empty), response)
    broken = captions.copy(deep=True)
    broken[5, 0, 2] = np.inf
    with pytest.raises(ValueError, match=r"X: expected finite .* 1 rows \(first: 5\)"):
        BrainTransformer(plan=SHORT, validation=0.0).fit(broken, response)


def test_faults_of_options_are_named(rng: np.random.Generator) -> None:
    tokens, responses = rng.normal(size=(20, 4, 6)), rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match="queries: .*hemisphere"):
        BrainTransformer(queries="voxel").fit(tokens, responses)
    with pytest.raises(ValueError, match="n_heads: expected a divisor of the width 6, got 4"):
        BrainTransformer(width=None).fit(tokens, responses)
    with pytest.raises(ValueError, match="n_layers: expected at least 1, got 0"):
        BrainTransformer(n_layers=0).fit(tokens, responses)


def read_images(folder: Path) -> tuple[dict[str, np.ndarray], xr.DataArray]:
    """The 92 images, and where human IT places each on the main axes of its dissimilarities."""
    held = loadmat(
        folder / "rsa_92images/Kriegeskorte_Neuron2008_supplementalData.mat",
        squeeze_me=True,
        struct_as_record=False,
    )
    images = {
        f"image-{number}": np.asarray(one.image)
        for number, one in enumerate(held["stimuli_92objs"])
    }
    human = next(one for one in np.ravel(held["RDMs_mIT_hIT_fig1"]) if one.name.startswith("hIT"))
    centring = np.eye(92) - 1 / 92
    # Correlation distance is half the squared distance of z-scored patterns.
    values, vectors = np.linalg.eigh(-centring @ squareform(human.RDM) @ centring)
    axes = (vectors * np.sqrt(values.clip(min=0)))[:, :-3:-1]
    coords = {"stimulus": ("sample", list(images)), "neuroid": ["axis-1", "axis-2"]}
    responses = xr.DataArray(axes.astype(np.float32), coords, ("sample", "neuroid"))
    return images, responses.assign_attrs(kind="responses", modality="fmri", units="a.u.")


def make_gabor_tokens(images: dict[str, np.ndarray]) -> xr.DataArray:
    """Contrast in each orientation and scale, one token for each cell of the grid."""
    energy = gabor_features(images, n_orientations=4, n_scales=3)
    values = np.sqrt(energy.values).reshape(len(images), -1, 16).swapaxes(1, 2)
    coords = {key: ("token", energy[key].values[:16]) for key in ("row", "column")}
    coords["stimulus"] = ("sample", energy["stimulus"].values)
    return xr.DataArray(values, coords, ("sample", "token", "feature"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_human_it_of_real_images_is_predicted_from_tokens(real_data: Path) -> None:
    images, responses = read_images(real_data)
    net = SmallConvNet(seed=0)
    layers = extract(net, images, ["stages.stage4"], pool="tokens", progress=False)
    plan = TrainingPlan(epochs=30, learning_rate=3e-3, weight_decay=0.1, batch_size=16)
    for tokens in (layers["stages.stage4"], make_gabor_tokens(images)):
        readout = BrainTransformer(plan=plan, validation=0.0)
        result = evaluate.cross_validate(
            readout, tokens, responses, group=None, n_splits=5, ceiling=None
        )
        assert float(result["score"].mean()) > 0.1
    route = readout.fit(tokens, responses).route(tokens)
    assert route["stimulus"].values[91] == "image-91"
    assert dict(route.sizes) == {"sample": 92, "query": 1, "token": 16}
