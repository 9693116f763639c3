"""Language models of transformers: opened, asked which way they look, run on windows of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from neuroalign.errors import choose, require
from neuroalign.features._hub import load_pretrained
from neuroalign.features._tokens import read_frame, tokenize_words
from neuroalign.features._windows import Context, Window, check_windows, pad_windows, plan_windows
from neuroalign.features._words import Words

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

# kind -> whether it is causal; None: ask the model.
KINDS: dict[str, bool | None] = {"auto": None, "causal": True, "masked": False}
# Share of the largest state by which an earlier one must move to have seen a later token.
MOVED = 1e-5
# Tokens of the text in which it is asked which way a model looks.
PROBE_LENGTH = 6


@dataclass(frozen=True)
class LanguageModel:
    """A network, its tokenizer and its name."""

    network: Any
    tokenizer: Any
    name: str

    @property
    def limit(self) -> int:
        """The most tokens of one pass."""
        positions = getattr(self.network.config, "max_position_embeddings", None)
        longest = getattr(self.tokenizer, "model_max_length", None)
        return int(min(size for size in (positions, longest, 10**9) if size))

    @property
    def vocab(self) -> int:
        """How many tokens the network knows."""
        return int(self.network.get_input_embeddings().weight.shape[0])

    def run(self, network: Any, windows: Sequence[Window], states: bool) -> Any:
        """Run windows through the network (or its body), as one batch."""
        pad = getattr(self.tokenizer, "pad_token_id", None) or 0
        device = next(self.network.parameters()).device
        ids, mask = (torch.from_numpy(part).to(device) for part in pad_windows(windows, pad))
        return network(input_ids=ids, attention_mask=mask, output_hidden_states=states)


def open_model(model: Any, tokenizer: Any, *, head: bool = False) -> LanguageModel:
    """Open a language model.

    Parameters
    ----------
    model : model of transformers, or str or path
        A name on the hub or a folder is loaded from safetensors.
    tokenizer : tokenizer of transformers, or None
        None only with a name.
    head : bool
        Whether a loaded model must predict the next token.

    Returns
    -------
    LanguageModel

    Raises
    ------
    LoadError
        When a name cannot be loaded.
    ValueError
        When the model is no model of transformers, has a decoder of its own, or lacks a tokenizer.
    """
    if isinstance(model, str | PathLike):
        place = fspath(model)
        network, own = load_pretrained(place, "causal" if head else "text")
        name = Path(place).name if Path(place).is_dir() else place
        return _check_model(LanguageModel(network, own if tokenizer is None else tokenizer, name))
    name = Path(str(getattr(getattr(model, "config", None), "_name_or_path", ""))).name
    return _check_model(LanguageModel(model, tokenizer, name or type(model).__name__))


def _check_model(model: LanguageModel) -> LanguageModel:
    network = model.network
    if not (isinstance(network, nn.Module) and hasattr(network, "get_input_embeddings")):
        raise ValueError(
            f"model: expected a language model of transformers, or its name or folder, got "
            f"{type(network).__name__}. Use transformers.AutoModel.from_pretrained."
        )
    both = getattr(network.config, "is_encoder_decoder", False)
    if both and hasattr(network.base_model, "decoder"):
        raise ValueError(
            f"model: expected one stack of layers, got {type(network).__name__} with encoder and "
            "decoder. Pass model.get_encoder()."
        )
    if not callable(model.tokenizer):
        raise ValueError(
            f"tokenizer: expected the tokenizer of the model, got {type(model.tokenizer).__name__}."
            " Use transformers.AutoTokenizer.from_pretrained."
        )
    return model


def plan_passes(
    model: LanguageModel,
    words: Words,
    context: Context,
    causal: bool,
    frame: tuple[list[int], list[int]] | None = None,
) -> list[Window]:
    """Lay windows over all runs, and check that the model can take them."""
    frame = read_frame(model.tokenizer, words.text[0]) if frame is None else frame
    windows = []
    for rows in words.parts:
        tokens = tokenize_words(model.tokenizer, [words.text[row] for row in rows])
        windows += plan_windows(tokens, rows, context, causal, frame)
    check_windows(windows, words.text, model.limit, model.vocab)
    return windows


def probe_model(model: LanguageModel, words: Words, kind: str) -> tuple[bool, int]:
    """Tell whether a model is causal, by changing a later token, and count its hidden states.

    Parameters
    ----------
    model : LanguageModel
        On its device, in evaluation mode.
    words : Words
        Gives the tokens.
    kind : {"auto", "causal", "masked"}

    Returns
    -------
    bool
    int

    Raises
    ------
    ValueError
        When a model called causal looks ahead, or gives no hidden states.
    """
    asked = choose(KINDS, kind, "kind")
    part = [words.text[row] for row in words.parts[0][:PROBE_LENGTH]]
    ids = (tokenize_words(model.tokenizer, part).ids * PROBE_LENGTH)[:PROBE_LENGTH]
    check_windows([_bare(ids)], part, model.limit, model.vocab)
    changed = [*ids[:-1], (ids[-1] + 1) % model.vocab]
    one, other = (
        model.run(model.network.base_model, [_bare(each)], True) for each in (ids, changed)
    )
    states = getattr(one, "hidden_states", None)
    if not states:
        raise ValueError(
            f"model: expected hidden states of its layers, got none from "
            f"{type(model.network).__name__}. Use transformers.AutoModel.from_pretrained."
        )
    difference = (states[-1] - other.hidden_states[-1])[:, :-1].abs().max()
    ahead = bool(difference > MOVED * states[-1].abs().max())
    if asked and ahead:
        raise ValueError(
            f"kind: expected 'masked' for {type(model.network).__name__}, which looks ahead (a "
            "later token changes the state of an earlier one), got 'causal'. Use 'auto'."
        )
    return (not ahead if asked is None else asked), len(states)


def _bare(ids: list[int]) -> Window:
    return Window(ids, np.array([0]), np.array([[0, len(ids)]]))
