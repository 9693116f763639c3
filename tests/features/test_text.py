"""Features of words: context, sharing, pooling, labels and messages."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from neuroalign import schema, storage  # noqa: E402
from neuroalign.errors import LoadError, SchemaError  # noqa: E402
from neuroalign.features import extract_text  # noqa: E402
from neuroalign.loaders import load_transcript  # noqa: E402


@pytest.fixture
def gpt(tiny_gpt2: Any, byte_pairs: Any) -> Any:
    def read(words: Any, layers: Any = "all", **options: Any) -> Any:
        return extract_text(
            tiny_gpt2, words, layers, tokenizer=byte_pairs, progress=False, **options
        )

    return read


@pytest.fixture
def bert(tiny_bert: Any, word_pieces: Any) -> Any:
    def read(words: Any, layers: Any = "all", **options: Any) -> Any:
        return extract_text(
            tiny_bert, words, layers, tokenizer=word_pieces, progress=False, **options
        )

    return read


def windows_by_hand(words: list[str], starts: list[int], tokenizer: Any) -> list[Any]:
    """The tokens of each word's window, and those of the word, from the tokens of each word."""
    spaced = [word if row == 0 else f" {word}" for row, word in enumerate(words)]
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in spaced]
    return [([*chain(*ids[start : row + 1])], ids[row]) for row, start in enumerate(starts)]


def states_by_hand(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states


# --- values


@pytest.mark.parametrize(("context", "stride"), [(4, 1), (7, 3), (5, 6), (0, 1), (None, 1)])
def test_causal_features_equal_one_window_for_each_word(
    context: int | None, stride: int, gpt: Any, tiny_gpt2: Any, byte_pairs: Any, story: list[str]
) -> None:
    found = gpt(story, context=context, stride=stride)
    size = len(story) if context is None else context
    starts = [max(0, -(-(row - size) // stride) * stride) for row in range(len(story))]
    for row, (ids, _) in enumerate(windows_by_hand(story, starts, byte_pairs)):
        states = states_by_hand(tiny_gpt2, ids)
        for index, layer in enumerate(["embedding", "layer.1", "layer.2"]):
            np.testing.assert_allclose(found[layer][row], states[index][0, -1], atol=1e-5)


def test_masked_features_equal_one_window_for_each_word(
    bert: Any, tiny_bert: Any, word_pieces: Any, story: list[str]
) -> None:
    found = bert(story, -1, context=3, pool="mean")["layer.2"]
    starts = [max(0, row - 3) for row in range(len(story))]
    for row, (ids, own) in enumerate(windows_by_hand(story, starts, word_pieces)):
        state = states_by_hand(tiny_bert, [2, *ids, 3])[-1][0, -1 - len(own) : -1]
        np.testing.assert_allclose(found[row], state.mean(0), atol=1e-5)


@pytest.mark.parametrize("pool", ["last", "first", "mean"])
def test_pooling_equals_the_tokens_of_the_word(
    pool: str, gpt: Any, tiny_gpt2: Any, byte_pairs: Any, story: list[str]
) -> None:
    row = story.index("unbelievably")
    ids, own = windows_by_hand(story, [0] * len(story), byte_pairs)[row]
    assert len(own) > 2
    state = states_by_hand(tiny_gpt2, ids)[2][0, -len(own) :]
    expected = {"last": state[-1], "first": state[0], "mean": state.mean(0)}[pool]
    found = gpt(story, "layer.2", context=None, pool=pool)["layer.2"]
    np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_a_context_in_tokens_is_cut_inside_words(
    gpt: Any, tiny_gpt2: Any, byte_pairs: Any, story: list[str]
) -> None:
    found = gpt(story, -1, context=5, unit="tokens")["layer.2"]
    ids, own = windows_by_hand(story, [0] * len(story), byte_pairs)[-1]
    state = states_by_hand(tiny_gpt2, ids[-len(own) - 5 :])[-1][0, -1]
    np.testing.assert_allclose(found[-1], state, atol=1e-5)


def test_modules_give_what_hooks_see(gpt: Any, story: list[str]) -> None:
    found = gpt(story, ["transformer.h.0", "layer.1", "transformer.h.*.mlp"])
    np.testing.assert_array_equal(found["transformer.h.0"], found["layer.1"])
    assert list(found)[2:] == ["transformer.h.0.mlp", "transformer.h.1.mlp"]


# --- what a word sees


@pytest.mark.parametrize("reader", ["gpt", "bert"])
def test_a_later_word_changes_nothing_earlier(
    reader: str, story: list[str], request: pytest.FixtureRequest
) -> None:
    read = request.getfixturevalue(reader)
    changed = [*story[:20], "lighthouse", *story[21:]]
    before, after = (read(words, -1, context=6)["layer.2"].values for words in (story, changed))
    np.testing.assert_allclose(after[:20], before[:20], atol=1e-6)
    assert np.abs(after[20:27] - before[20:27]).max(axis=1).min() > 1e-4


@pytest.mark.parametrize("reader", ["gpt", "bert"])
def test_words_behind_the_window_change_nothing(
    reader: str, story: list[str], request: pytest.FixtureRequest
) -> None:
    read = request.getfixturevalue(reader)
    changed = [*story[:10], "people", *story[11:]]
    before, after = (read(words, -1, context=4)["layer.2"].values for words in (story, changed))
    moved = np.abs(after - before).max(axis=1) > 1e-5
    assert np.flatnonzero(moved).tolist() == [10, 11, 12, 13, 14]


def test_future_words_are_seen_only_when_asked_for(bert: Any, story: list[str]) -> None:
    changed = [*story[:20], "lighthouse", *story[21:]]
    found = [bert(words, -1, context=2, future=2)["layer.2"].values for words in (story, changed)]
    moved = np.abs(found[1] - found[0]).max(axis=1) > 1e-5
    assert np.flatnonzero(moved).tolist() == [18, 19, 20, 21, 22]


@pytest.mark.parametrize("wall", ["run", "segment"])
def test_runs_and_segments_share_no_context(wall: str, gpt: Any, story: list[str]) -> None:
    table = pd.DataFrame({"word": story, wall: ["a"] * 15 + ["b"] * (len(story) - 15)})
    found = gpt(table, -1)["layer.2"].values
    alone = [gpt(part, -1)["layer.2"].values for part in (story[:15], story[15:])]
    np.testing.assert_allclose(found, np.concatenate(alone), atol=1e-5)


@pytest.mark.parametrize("reader", ["gpt", "bert"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_size_changes_nothing(
    batch_size: int, reader: str, story: list[str], request: pytest.FixtureRequest
) -> None:
    read = request.getfixturevalue(reader)
    expected, found = read(story, -1, batch_size=8), read(story, -1, batch_size=batch_size)
    np.testing.assert_allclose(found["layer.2"], expected["layer.2"], atol=1e-5)


def test_sharing_saves_passes(gpt: Any, tiny_gpt2: Any, story: list[str]) -> None:
    rows: list[int] = []
    hook = tiny_gpt2.transformer.register_forward_hook(
        lambda module, inputs, output: rows.append(len(output[0]))
    )
    for options in ({"context": 9}, {"context": 9, "stride": 5}, {"context": None}):
        gpt(story, -1, **options)
    hook.remove()
    probes, n_words = 2, len(story)
    assert sum(rows) == 3 * probes + (n_words - 9) + 1 + -(-(n_words - 10) // 5) + 1


# --- tokenizers


def test_slow_tokenizers_read_word_by_word(tiny_gpt2: Any, byte_pairs: Any, gpt: Any) -> None:
    class Slow:
        is_fast, model_max_length, pad_token_id = False, 10**30, None

        def __call__(self, text: str, add_special_tokens: bool = True) -> Any:
            return byte_pairs(text, add_special_tokens=add_special_tokens)

    words = ["the", "wandering", "ships"]
    found = extract_text(tiny_gpt2, words, -1, tokenizer=Slow(), progress=False)
    np.testing.assert_allclose(found["layer.2"], gpt(words, -1)["layer.2"], atol=1e-6)


@pytest.mark.parametrize("text", ["don't", "“quoted”", "naïve", "日本", "😀", "two words"])
def test_unusual_words_keep_their_row(text: str, gpt: Any) -> None:
    plain, odd = (gpt(["the", word, "sea"], -1, context=0)["layer.2"] for word in ("a", text))
    np.testing.assert_allclose(odd[[0, 2]], plain[[0, 2]], atol=1e-5)


def test_a_word_without_a_token_is_named(bert: Any) -> None:
    with pytest.raises(SchemaError, match=r"got none for '\\u200b' \(word 1 of its run"):
        bert(["the", "\u200b", "sea"])


def test_a_token_across_words_is_refused(tiny_gpt2: Any) -> None:
    from tokenizers import Tokenizer, models

    whole = Tokenizer(models.WordLevel({"the sea": 0, "?": 1}, unk_token="?"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=whole)
    with pytest.raises(SchemaError, match="covers 'the' and 'sea'"):
        extract_text(tiny_gpt2, ["the", "sea"], tokenizer=tokenizer, progress=False)


def test_the_tokenizer_of_another_model_is_refused(tiny_bert: Any, byte_pairs: Any) -> None:
    with pytest.raises(ValueError, match="tokenizer: expected tokens below 120, which the model"):
        extract_text(tiny_bert, ["the", "wandering"], tokenizer=byte_pairs, progress=False)


def test_a_tokenizer_that_marks_spaces_is_read(tiny_gpt2: Any) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = ["<s>", "?", "▁", "▁the", "▁sea", "日"]
    whole = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=1))
    whole.pre_tokenizer = pre_tokenizers.Metaspace()
    whole.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=whole)
    found = extract_text(
        tiny_gpt2, ["the", "日", "sea"], -1, tokenizer=tokenizer, pool="first", progress=False
    )
    # The mark of the space before a word is the first token of that word.
    state = states_by_hand(tiny_gpt2, [0, 3, 2, 5, 4])[-1][0, [1, 2, 4]]
    np.testing.assert_allclose(found["layer.2"], state, atol=1e-5)


# --- labels and types


def test_models_in_half_precision_are_read(gpt: Any, tiny_gpt2: Any, story: list[str]) -> None:
    full = gpt(story, -1)["layer.2"]
    tiny_gpt2.bfloat16()
    half = gpt(story, -1)["layer.2"]
    assert half.dtype == "float32"
    assert np.corrcoef(half.values.ravel(), full.values.ravel())[0, 1] > 0.99


def test_labels_follow_the_transcript(gpt: Any, tmp_path: Path) -> None:
    table = pd.DataFrame({"stimulus": ["the", "sea"], "onset": [0.5, 0.8], "duration": [0.2, 0.4]})
    found = gpt({"run-01": table, "run-02": table}, ["layer.1", "layer.2"], context=7)
    first = schema.check_features(found["layer.1"])
    assert first.run.values.tolist() == ["run-01"] * 2 + ["run-02"] * 2
    assert first.onset.values.tolist() == [0.5, 0.8] * 2
    assert (first.stimulus.values[1], first.space.values[0]) == ("sea", "layer.1")
    expected = {"model": "GPT2LMHeadModel", "layer": "layer.1", "layer_order": 1}
    expected |= {"preprocessing": "pool last", "context": "7 words before", "attention": "causal"}
    assert expected.items() <= first.attrs.items()
    storage.save(first, tmp_path / "words.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "words.nc"), first)


def test_transcripts_from_disk_are_read(gpt: Any, tmp_path: Path) -> None:
    path = tmp_path / "run-01.tsv"
    path.write_text("onset\tduration\tword\n0.5\t0.2\tthe\n0.7\t0.1\tsp\n0.9\t0.4\tsea\n")
    found = gpt({"run-01": load_transcript(path)}, -1)["layer.2"]
    assert found.onset.values.tolist() == [0.5, 0.9]
    np.testing.assert_array_equal(found, gpt(["the", "sea"], -1)["layer.2"])


def test_labelled_words_are_read(gpt: Any) -> None:
    words = xr.DataArray(
        np.zeros((2, 1)),
        dims=("sample", "feature"),
        coords={"stimulus": ("sample", ["the", "sea"]), "run": ("sample", ["a", "b"])},
    )
    found, bare = gpt(words, -1)["layer.2"], gpt({"a": ["the"], "b": ["sea"]}, -1)["layer.2"]
    xr.testing.assert_identical(found, bare)
    xr.testing.assert_identical(gpt(words.to_dataset(name="x"), -1)["layer.2"], bare)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_type_is_kept(dtype: str, gpt: Any, story: list[str]) -> None:
    found, usual = gpt(story, -1, dtype=dtype)["layer.2"], gpt(story, -1)["layer.2"]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, usual, atol=2e-3)


def test_indices_and_globs_name_hidden_states(gpt: Any) -> None:
    assert list(gpt(["the"], [0, -1])) == ["embedding", "layer.2"]
    assert list(gpt(["the"], "layer.*")) == ["layer.1", "layer.2"]
    assert list(gpt(["the"], "all")) == ["embedding", "layer.1", "layer.2"]


def test_the_model_is_left_as_it_was(gpt: Any, tiny_gpt2: Any) -> None:
    gpt(["the"], -1)  # transformers adds hooks of its own at the first call
    before = len(tiny_gpt2.transformer.h[0]._forward_hooks)
    tiny_gpt2.train()
    gpt(["the", "sea"], "transformer.h.0")
    assert tiny_gpt2.training
    assert len(tiny_gpt2.transformer.h[0]._forward_hooks) == before


# --- messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "layer.3"}, "layers: expected names of layers, got 'layer.3'"),
        ({"layers": 3}, "layers: expected an index from -3 to 2, got 3"),
        ({"layers": []}, "layers: expected at least one layer, got"),
        ({"layers": "transformer.h.0.attn"}, None),
        ({"pool": "max"}, "pool: expected one of 'last', 'first', 'mean', got 'max'"),
        ({"unit": "letters"}, "unit: expected one of 'words', 'tokens'"),
        ({"kind": "seq2seq"}, "kind: expected one of 'auto', 'causal', 'masked'"),
        ({"dtype": "int8"}, "dtype: expected one of"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"context": -1}, "context: expected None or a whole number of words from 0, got -1"),
        ({"context": 2, "stride": 4}, r"stride: expected 1 to context \+ 1 \(3\), got 4"),
        ({"future": 1}, "future: expected 0 for a causal model"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str | None, gpt: Any) -> None:
    if message is None:
        assert list(gpt(["the"], **options)) == ["transformer.h.0.attn"]
        return
    with pytest.raises(ValueError, match=message):
        gpt(["the", "sea"], **options)


def test_a_model_that_looks_ahead_is_not_called_causal(bert: Any) -> None:
    with pytest.raises(ValueError, match="kind: expected 'masked' for BertModel, which looks ahe"):
        bert(["the", "sea"], kind="causal")


def test_words_that_look_both_ways_cannot_share(bert: Any) -> None:
    with pytest.raises(ValueError, match="stride: expected 1 for a model that looks both ways"):
        bert(["the", "sea"], stride=2)


def test_windows_longer_than_the_model_are_refused(gpt: Any, story: list[str]) -> None:
    with pytest.raises(ValueError, match="context: expected windows of at most 128 tokens"):
        gpt(story * 3, context=None)


def test_results_over_budget_are_refused(gpt: Any, story: list[str]) -> None:
    with pytest.raises(MemoryError, match="memory_budget: expected at most 100 bytes"):
        gpt(story, memory_budget=100)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("the sea", "words: expected a table, .* got str. Split a text into words"),
        ([], "words: expected at least one word, got none"),
        ({}, "words: expected at least one run, got none"),
        (["the", ""], "words.stimulus: expected strings, got a missing value"),
        (["the", 3], "words.stimulus: expected strings, got 3"),
        (pd.DataFrame({"token": ["the"]}), "words: expected one of 'stimulus', 'word'"),
        (pd.DataFrame({"word": ["the"], "run": [1]}), "words.run: expected strings, got 1"),
        (pd.DataFrame({"word": ["the"], "onset": ["x"]}), "words.onset: expected seconds, got 'x'"),
        (
            pd.DataFrame({"word": ["the", "sea"], "onset": [2.0, 1.0]}),
            "words: expected words in order of time within a run, got 'sea' at 1 s after 'the'",
        ),
    ],
)
def test_words_are_checked(words: Any, message: str, gpt: Any) -> None:
    with pytest.raises(SchemaError, match=message):
        gpt(words)


def test_a_model_needs_its_tokenizer(tiny_gpt2: Any, byte_pairs: Any) -> None:
    with pytest.raises(ValueError, match="tokenizer: expected the tokenizer of the model, got Non"):
        extract_text(tiny_gpt2, ["the"], progress=False)
    with pytest.raises(ValueError, match="model: expected a language model of transformers"):
        extract_text(torch.nn.Linear(2, 2), ["the"], tokenizer=byte_pairs, progress=False)


def test_an_encoder_with_a_decoder_is_refused(byte_pairs: Any) -> None:
    config = transformers.T5Config(
        vocab_size=len(byte_pairs), d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    model = transformers.T5Model(config)
    with pytest.raises(ValueError, match=r"Pass model.get_encoder\(\)"):
        extract_text(model, ["the"], tokenizer=byte_pairs, progress=False)
    encoder = model.get_encoder()
    found = extract_text(encoder, ["the", "sea"], -1, tokenizer=byte_pairs, progress=False)
    assert found["layer.1"].attrs["attention"] == "bidirectional"


# --- names


def test_a_folder_gives_the_features_of_its_model(
    tiny_gpt2: Any, byte_pairs: Any, gpt: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    tiny_gpt2.save_pretrained(folder)
    byte_pairs.save_pretrained(folder)
    found = extract_text(folder, ["the", "sea"], -1, progress=False)["layer.2"]
    np.testing.assert_allclose(found, gpt(["the", "sea"], -1)["layer.2"], atol=1e-6)
    assert found.attrs["model"] == "tiny"


def test_a_name_out_of_reach_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LoadError, match="model 'nobody/no-such-model': expected a name on the Hug"):
        extract_text("nobody/no-such-model", ["the"], progress=False)


def test_a_state_beyond_the_last_names_those_there_are(gpt: Any) -> None:
    with pytest.raises(ValueError, match="Hidden states: 'embedding', 'layer.1' to 'layer.2'"):
        gpt(["the"], "layer.7")
