"""Tiny language models and tokenizers, made on the spot: no network, no weights on disk."""

from collections.abc import Iterator
from typing import Any

import pytest

TEXT = (
    "once upon a time there was a lighthouse keeper who loved unbelievably old stories about "
    "the sea and the wandering ships and the people who came back from far away to tell them"
)


@pytest.fixture(scope="session")
def story() -> list[str]:
    """Words, some of which have several tokens."""
    return TEXT.split()


def _train(model: Any, trainer: Any, splitter: Any) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = splitter
    tokenizer.train_from_iterator([TEXT, "the sea and the ships " * 5], trainer)
    return tokenizer


@pytest.fixture(scope="session")
def byte_pairs() -> Any:
    """A fast tokenizer like that of GPT-2, with a start token it does not add by itself."""
    pytest.importorskip("transformers")
    from tokenizers import decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = _train(models.BPE(), trainer, splitter)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


@pytest.fixture(scope="session")
def word_pieces() -> Any:
    """A fast tokenizer like that of BERT, which puts [CLS] and [SEP] around a text."""
    pytest.importorskip("transformers")
    from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=marks, show_progress=False)
    model = models.WordPiece(unk_token="[UNK]")
    tokenizer = _train(model, trainer, pre_tokenizers.BertPreTokenizer())
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture
def seeded_torch() -> Iterator[Any]:
    """Torch with a fixed seed, whose generator is given back as it was."""
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        yield torch


def _spread(model: Any, torch: Any) -> Any:
    """Make weights larger than at birth, so that context shows in the states."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "head" not in name:
                weight.normal_(0, 0.3)
    return model.eval()


@pytest.fixture
def tiny_gpt2(seeded_torch: Any, byte_pairs: Any) -> Any:
    """GPT-2 with its head: 2 layers, 128 positions."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=len(byte_pairs), n_positions=128, n_embd=12, n_layer=2, n_head=2
    )
    return _spread(transformers.GPT2LMHeadModel(config), seeded_torch)


@pytest.fixture
def tiny_bert(seeded_torch: Any, word_pieces: Any) -> Any:
    """BERT without a head: 2 layers, 128 positions."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=len(word_pieces),
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
    )
    return _spread(transformers.BertModel(config), seeded_torch)
