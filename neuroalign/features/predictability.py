"""How unexpected each word is to a language model that has read the words before it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign._device import resolve_device
from neuroalign.errors import choose, require
from neuroalign.features._forward import DTYPES
from neuroalign.features._language_models import LanguageModel, open_model, plan_passes, probe_model
from neuroalign.features._runtime import evaluating
from neuroalign.features._tokens import read_frame
from neuroalign.features._windows import Context, Window, batch_windows
from neuroalign.features._words import Words, WordSource, as_words, label_words

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]


def surprisal(
    model: Any,
    words: WordSource,
    *,
    tokenizer: Any = None,
    context: int | None = 20,
    unit: str = "words",
    stride: int = 1,
    batch_size: int = 8,
    device: str = "cpu",
    dtype: str = "float32",
    progress: bool = True,
) -> xr.DataArray:
    """Measure how unexpected each word is, given the words before it.

    Parameters
    ----------
    model : causal language model of transformers with its head, or str or path
        For example ``AutoModelForCausalLM``; a name on the hub or a folder is loaded as such.
    words : DataFrame, DataArray, Dataset, sequence of str, or mapping
        As in `extract_text`.
    tokenizer : tokenizer of transformers, optional
        Needed unless ``model`` is a name or folder. Must have a start token.
    context, unit, stride : int or None, str, int
        As in `extract_text`.
    batch_size : int
        Windows in one forward pass; memory grows with batch x tokens x vocabulary.
    device : {"cpu", "cuda", "mps", "auto"}
    dtype : {"float32", "float16", "float64"}
    progress : bool

    Returns
    -------
    DataArray (sample, feature)
        One feature, in bits: ``-log2 P(word | words before)``, the sum over the tokens of the
        word. Coord ``space``: ``"surprisal"``.

    Raises
    ------
    LoadError, SchemaError, ValueError
        As in `extract_text`; also when the model looks ahead or has no head, or when the
        tokenizer has no start token.

    Notes
    -----
    Every window opens with the start token (the tokenizer's own, else ``bos_token``), also one
    cut out of the middle of a run; the first word of a run is predicted from it alone. The
    space before a word counts to the word, so that the chance that a word ends where it does
    counts to the next one (Oh & Schuler 2024, arXiv:2406.10851; Pimentel & Meister 2024,
    arXiv:2406.14561).

    References
    ----------
    Smith & Levy (2013), Cognition 128, 302-319, doi:10.1016/j.cognition.2013.02.013.

    Examples
    --------
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    >>> vocabulary = {word: number for number, word in enumerate(["?", "<s>", "the", "cat"])}
    >>> splitter = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    >>> splitter.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=splitter, bos_token="<s>")
    >>> config = GPT2Config(vocab_size=4, n_positions=8, n_embd=6, n_layer=1, n_head=2)
    >>> model = GPT2LMHeadModel(config)
    >>> bits = surprisal(model, ["the", "cat"], tokenizer=tokenizer, progress=False)
    >>> bits.shape, bool((bits > 0).all())
    ((2, 1), True)
    """
    kept = choose(DTYPES, dtype, "dtype")
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}. Use 8.")
    reach, parsed = Context(context, unit, stride, 0), as_words(words)
    opened = open_model(model, tokenizer, head=True)
    values = np.empty((len(parsed.text), 1), kept)
    with evaluating(opened.network, resolve_device(device)):
        probe_model(opened, parsed, "causal")
        reach.check(causal=True)
        start = _find_start(opened, parsed)
        windows = plan_passes(opened, parsed, reach, True, (start, []))
        batches = list(batch_windows(windows, batch_size))
        for batch in tqdm(batches, desc="surprisal", unit="batch", disable=not progress):
            rows = np.concatenate([window.rows for window in batch])
            values[rows, 0] = _measure_batch(opened, batch)
    attrs = {
        "model": opened.name,
        "layer": "surprisal",
        "layer_order": 0,
        "preprocessing": "none",
        "context": reach.describe(),
        "units": "bits",
    }
    history = f"surprisal: {opened.name}, {reach.describe()}"
    return label_words(values, parsed, "surprisal", attrs, history)


def _find_start(model: LanguageModel, words: Words) -> list[int]:
    own, _ = read_frame(model.tokenizer, words.text[0])
    start = getattr(model.tokenizer, "bos_token_id", None)
    if own:
        return own
    if start is not None:
        return [int(start)]
    raise ValueError(
        "tokenizer: expected a start token, from which the first word is predicted, got none. Set "
        "tokenizer.bos_token to the token that opened the texts in training."
    )


def _measure_batch(model: LanguageModel, batch: list[Window]) -> Array:
    """Sum the surprisals of the tokens of each word, in the order of the windows."""
    output = model.run(model.network, batch, False)
    logits = getattr(output, "logits", None)
    longest = max(len(window.ids) for window in batch)
    if logits is None or tuple(logits.shape[:2]) != (len(batch), longest):
        raise ValueError(
            f"model: expected a language model with its head, got {type(model.network).__name__}, "
            "which gives no logits of tokens. Use transformers.AutoModelForCausalLM."
        )
    bits = []
    for scores, window in zip(logits, batch, strict=True):
        ids = torch.tensor(window.ids[1:], device=scores.device)
        # Row t holds what the model expects at place t + 1.
        scores = scores[: len(ids)].to(torch.promote_types(scores.dtype, torch.float32))
        chance = torch.log_softmax(scores, dim=-1).gather(1, ids[:, None])[:, 0]
        nats = chance.cpu().numpy().astype(np.float64)
        bits += [-nats[start - 1 : stop - 1].sum() / np.log(2) for start, stop in window.spans]
    return np.array(bits)
