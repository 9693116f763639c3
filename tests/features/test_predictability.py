"""Surprisal equals the chances that the model gives, by hand."""

from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from neuroalign import schema  # noqa: E402
from neuroalign.errors import LoadError, NeuroalignWarning  # noqa: E402
from neuroalign.features import extract_text, surprisal  # noqa: E402

START = 0


@pytest.fixture
def measure(tiny_gpt2: Any, byte_pairs: Any) -> Any:
    def read(words: Any, **options: Any) -> Any:
        return surprisal(tiny_gpt2, words, tokenizer=byte_pairs, progress=False, **options)

    return read


def bits_by_hand(model: Any, ids: list[int], n_last: int) -> float:
    """Minus the log2 chance of the last tokens, one forward pass for each."""
    total = 0.0
    for place in range(len(ids) - n_last, len(ids)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids[:place]])).logits[0, -1].double()
        total -= float(torch.log_softmax(logits, 0)[ids[place]]) / np.log(2)
    return total


@pytest.mark.parametrize(("context", "stride"), [(3, 1), (6, 4), (0, 1), (None, 1)])
def test_surprisal_equals_the_chances_by_hand(
    context: int | None,
    stride: int,
    measure: Any,
    tiny_gpt2: Any,
    byte_pairs: Any,
    story: list[str],
) -> None:
    found = measure(story, context=context, stride=stride).values[:, 0]
    spaced = [word if row == 0 else f" {word}" for row, word in enumerate(story)]
    ids = [byte_pairs(word, add_special_tokens=False)["input_ids"] for word in spaced]
    size = len(story) if context is None else context
    for row in range(len(story)):
        start = max(0, -(-(row - size) // stride) * stride)
        window = [START, *chain(*ids[start : row + 1])]
        expected = bits_by_hand(tiny_gpt2, window, len(ids[row]))
        assert found[row] == pytest.approx(expected, rel=1e-5)


def test_an_even_model_gives_the_bits_of_its_vocabulary(
    measure: Any, tiny_gpt2: Any, byte_pairs: Any
) -> None:
    torch.nn.init.zeros_(tiny_gpt2.lm_head.weight)
    n_tokens = len(byte_pairs("unbelievably", add_special_tokens=False)["input_ids"])
    found = measure(["unbelievably"]).item()
    assert found == pytest.approx(n_tokens * np.log2(len(byte_pairs)), rel=1e-6)


def test_a_later_word_changes_nothing_earlier(measure: Any, story: list[str]) -> None:
    before, after = measure(story), measure([*story[:20], "lighthouse", *story[21:]])
    np.testing.assert_allclose(after[:20], before[:20], rtol=1e-5)
    assert abs(float(after[21, 0] - before[21, 0])) > 1e-4


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_the_batch_size_changes_nothing(batch_size: int, measure: Any, story: list[str]) -> None:
    expected = measure(story, context=5)
    np.testing.assert_allclose(
        measure(story, context=5, batch_size=batch_size), expected, rtol=1e-5
    )


def test_runs_share_no_context(measure: Any, story: list[str]) -> None:
    found = measure({"run-01": story[:9], "run-02": story[9:]})
    alone = np.concatenate([measure(story[:9]), measure(story[9:])])
    np.testing.assert_allclose(found, alone, rtol=1e-5)


def test_labels_follow_the_schema(measure: Any) -> None:
    table = pd.DataFrame({"word": ["the", "sea"], "onset": [0.0, 1.0], "duration": [0.3, 0.4]})
    found = schema.check_features(measure(table.assign(run="run-01"), dtype="float64"))
    assert (found.dtype, found.sizes["feature"], found.space.item()) == ("float64", 1, "surprisal")
    assert found.duration.values.tolist() == [0.3, 0.4]
    assert {"units": "bits", "context": "20 words before"}.items() <= found.attrs.items()


def test_a_folder_is_loaded_with_its_head(
    measure: Any, tiny_gpt2: Any, byte_pairs: Any, tmp_path: Any
) -> None:
    tiny_gpt2.save_pretrained(tmp_path)
    byte_pairs.save_pretrained(tmp_path)
    found = surprisal(tmp_path, ["the", "sea"], progress=False)
    np.testing.assert_allclose(found, measure(["the", "sea"]), rtol=1e-5)


# --- messages


def test_a_checkpoint_without_its_head_is_refused(byte_pairs: Any, tmp_path: Any) -> None:
    config = transformers.GPT2Config(
        vocab_size=300, n_positions=8, n_embd=4, n_layer=1, n_head=1, tie_word_embeddings=False
    )
    transformers.GPT2Model(config).save_pretrained(tmp_path)
    byte_pairs.save_pretrained(tmp_path)
    with pytest.raises(LoadError, match=r"language model with its head, got none for 'lm_head"):
        surprisal(tmp_path, ["the"], progress=False)


def test_a_model_of_another_kind_is_refused(byte_pairs: Any, tmp_path: Any) -> None:
    config = transformers.T5Config(
        vocab_size=300, d_model=4, d_kv=2, d_ff=4, num_layers=1, num_heads=2
    )
    transformers.T5Model(config).save_pretrained(tmp_path)
    byte_pairs.save_pretrained(tmp_path)
    with pytest.raises(LoadError, match="T5Config.*AutoModelForCausalLM"):
        surprisal(tmp_path, ["the"], progress=False)


def test_a_model_without_a_head_is_refused(tiny_gpt2: Any, byte_pairs: Any) -> None:
    with pytest.raises(ValueError, match="model: expected a language model with its head, got GPT"):
        surprisal(tiny_gpt2.transformer, ["the"], tokenizer=byte_pairs, progress=False)


def test_a_model_that_looks_ahead_is_refused(tiny_bert: Any, word_pieces: Any) -> None:
    with pytest.raises(ValueError, match="kind: expected 'masked' for BertModel"):
        surprisal(tiny_bert, ["the"], tokenizer=word_pieces, progress=False)


def test_a_start_token_is_needed(tiny_gpt2: Any) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    whole = Tokenizer(models.WordLevel({"the": 0, "?": 1}, unk_token="?"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=whole)
    with pytest.raises(ValueError, match="tokenizer: expected a start token"):
        surprisal(tiny_gpt2, ["the"], tokenizer=tokenizer, progress=False)


def test_the_batch_size_is_checked(measure: Any) -> None:
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        measure(["the"], batch_size=0)


def test_weights_that_are_not_there_are_said(byte_pairs: Any, tmp_path: Any) -> None:
    config = transformers.BertConfig(
        vocab_size=300, hidden_size=4, num_hidden_layers=1, num_attention_heads=2
    )
    # A masked model comes without the pooler of the body.
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    byte_pairs.save_pretrained(tmp_path)
    with pytest.warns(NeuroalignWarning, match="got none for 'pooler.*start at random"):
        extract_text(tmp_path, ["the"], ["layer.1"], kind="masked", progress=False)
