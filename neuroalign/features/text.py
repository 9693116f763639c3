"""Features of words from the layers of a language model, each word in a stated context."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign._device import resolve_device
from neuroalign._hooks import (
    capture_layers,
    check_fired,
    first_tensor,
    is_pattern,
    resolve_layers,
)
from neuroalign.errors import choose, require
from neuroalign.features._continuous import check_budget
from neuroalign.features._forward import DTYPES
from neuroalign.features._language_models import LanguageModel, open_model, plan_passes, probe_model
from neuroalign.features._runtime import evaluating
from neuroalign.features._windows import Context, Window, batch_windows
from neuroalign.features._words import Words, WordSource, as_words, label_words

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
Layers = str | int | Sequence[str | int]

MEMORY_BUDGET = 4 * 1024**3
# Name -> which tokens of a word (first, one after the last) are averaged.
POOLED: dict[str, Callable[[int, int], range]] = {
    "last": lambda start, stop: range(stop - 1, stop),
    "first": lambda start, stop: range(start, start + 1),
    "mean": range,
}


def name_states(n_states: int) -> list[str]:
    """Name the hidden states of a model: what goes into the first layer, what each gives."""
    return ["embedding", *(f"layer.{number}" for number in range(1, n_states))]


def resolve_states(network: nn.Module, layers: Layers, n_states: int) -> dict[str, int | None]:
    """Turn layers asked for into names: hidden states with their index, modules with None.

    Raises
    ------
    ValueError
        When a name, a glob or an index matches nothing.
    """
    names = name_states(n_states)
    asked = [layers] if isinstance(layers, str | int) else list(layers)
    found: dict[str, int | None] = {}
    for layer in asked:
        if isinstance(layer, int):
            if not -n_states <= layer < n_states:
                raise ValueError(
                    f"layers: expected an index from {-n_states} to {n_states - 1}, got {layer}. "
                    "0 is the embedding, -1 the last layer."
                )
            found[names[layer]] = layer % n_states
            continue
        matches = [
            name
            for name in names
            if layer in ("all", name) or (is_pattern(layer) and fnmatchcase(name, layer))
        ]
        modules = [] if matches else _resolve_module(network, layer, names)
        found |= {name: names.index(name) for name in matches} | dict.fromkeys(modules)
    if not found:
        raise ValueError(
            f"layers: expected at least one layer, got {layers!r}. Use 'all' or 'layer.1'."
        )
    return found


def _resolve_module(network: nn.Module, layer: str, names: list[str]) -> list[str]:
    """Find modules by name; the hidden states are named with those where there are none."""
    try:
        return resolve_layers(network, [layer])
    except ValueError as error:
        states = ", ".join(f"'{name}'" for name in names[:2])
        last = f" to '{names[-1]}'" if len(names) > 2 else ""
        raise ValueError(f"{error} Hidden states: {states}{last}.") from error


def pool_words(states: torch.Tensor, windows: Sequence[Window], pool: str) -> torch.Tensor:
    """Average the states of the tokens of each word.

    Parameters
    ----------
    states : tensor (window, token, feature)
    windows : sequence of Window
    pool : {"last", "mean", "first"}

    Returns
    -------
    tensor (word, feature)
        Words of the first window, then of the second, ...
    """
    pooled = choose(POOLED, pool, "pool")
    tokens: list[int] = []
    counts: list[int] = []
    for row, window in enumerate(windows):
        for start, stop in window.spans.tolist():
            places = [row * states.shape[1] + place for place in pooled(start, stop)]
            tokens += places
            counts.append(len(places))
    flat = states.reshape(-1, states.shape[-1])[torch.tensor(tokens, device=states.device)]
    # At least float32: a mean in half precision would depend on the number of tokens.
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    count = torch.tensor(counts, device=states.device)
    owner = torch.repeat_interleave(torch.arange(len(counts), device=states.device), count)
    total = torch.zeros(len(counts), flat.shape[1], dtype=flat.dtype, device=states.device)
    return total.index_add_(0, owner, flat) / count[:, None]


def extract_text(
    model: Any,
    words: WordSource,
    layers: Layers = "all",
    *,
    tokenizer: Any = None,
    context: int | None = 20,
    unit: str = "words",
    stride: int = 1,
    future: int = 0,
    pool: str = "last",
    kind: str = "auto",
    batch_size: int = 32,
    device: str = "cpu",
    dtype: str = "float32",
    progress: bool = True,
    memory_budget: int = MEMORY_BUDGET,
) -> dict[str, xr.DataArray]:
    """Read words with a language model and keep the states of its layers at each word.

    A word sees itself and what stands before it, never what follows (unless ``future``), and
    nothing of another run.

    Parameters
    ----------
    model : model of transformers, or str or path
        A name on the Hugging Face hub, or a folder: loaded from safetensors only.
    words : DataFrame, DataArray, Dataset, sequence of str, or mapping
        The words as ``stimulus`` (or ``word``, ``words``, ``text``), in order of time; optional
        ``run``, ``session``, ``subject``, ``segment`` (a change of any ends the context),
        ``onset`` and ``duration`` [s]: `loaders.load_transcript` gives such tables. A mapping is
        run -> any of these.
    layers : str, int or sequence of them
        Hidden states: ``"embedding"`` (what goes into the first layer), ``"layer.1"``, ... or
        their index, 0 to -1; globs (``"layer.*"``); ``"all"`` hidden states. Other names, and
        globs that match no hidden state, are modules as in ``model.named_modules()``, which must
        give (window, token, feature). Of many models the last hidden state is that after the
        final norm.
    tokenizer : tokenizer of transformers, optional
        Needed unless ``model`` is a name or folder.
    context : int, optional
        How much before the word the model sees, counted in ``unit``; what lies further back is
        cut off. None: all words of the run.
    unit : {"words", "tokens"}
    stride : int
        Causal models only. The start of the window moves in steps of ``stride``, from the start
        of the run: the context is between ``context - stride + 1`` and ``context`` long, and up
        to ``stride`` words share one forward pass. 1: exactly ``context`` for each word.
    future : int
        Models that look both ways only: words after the word that it also sees.
    pool : {"last", "mean", "first"}
        Which tokens of a word make its features. With ``"first"`` a word of several tokens does
        not see its own end.
    kind : {"auto", "causal", "masked"}
        ``"auto"`` asks the model, by changing a later token. ``"masked"`` runs one window for each
        word, which ends at the word, between the special tokens of the tokenizer.
    batch_size : int
        Windows in one forward pass; changes nothing beyond 1e-5.
    device : {"cpu", "cuda", "mps", "auto"}
    dtype : {"float32", "float16", "float64"}
        Type kept; the forward pass runs in the type of the model.
    progress : bool
    memory_budget : int
        Largest total of the results, in bytes.

    Returns
    -------
    dict of str to DataArray (sample, feature)
        In the order of ``layers``, a sample for each word. attrs: ``model``, ``layer``,
        ``layer_order`` (index of the hidden state, or position among ``model.named_modules()``),
        ``preprocessing`` (pooling), ``context``, ``attention``. Coord ``space``: the layer.

    Raises
    ------
    LoadError
        When a name or folder cannot be loaded.
    SchemaError
        For words that are missing, out of order, or without a token.
    ValueError
        For unknown layers or options, windows longer than the model takes, a tokenizer of another
        model, or ``kind="causal"`` for a model that looks ahead.
    MemoryError
        When the results exceed ``memory_budget``.

    Notes
    -----
    The words of a run, joined by spaces, are tokenised once, so that a word has the same tokens in
    every window. Windows of a causal model that start at the same token are prefixes of one
    another, and share one pass up to the last of their words: with ``stride=1`` the first
    ``context + 1`` words of a run; with ``context=None`` all of it.

    References
    ----------
    Jain & Huth (2018), NeurIPS 31: context of words before fMRI encoding. Toneva & Wehbe (2019),
    NeurIPS 32: windows of 1 to 40 words.

    Examples
    --------
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast
    >>> vocabulary = {word: number for number, word in enumerate(["?", "the", "cat", "sat"])}
    >>> splitter = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    >>> splitter.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=splitter, unk_token="?")
    >>> model = GPT2Model(GPT2Config(vocab_size=4, n_positions=8, n_embd=6, n_layer=2, n_head=2))
    >>> words = ["the", "cat", "sat"]
    >>> layers = extract_text(model, words, tokenizer=tokenizer, context=5, progress=False)
    >>> list(layers), layers["layer.2"].shape
    (['embedding', 'layer.1', 'layer.2'], (3, 6))
    """
    choose(POOLED, pool, "pool")
    kept = choose(DTYPES, dtype, "dtype")
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}. Use 32.")
    reach = Context(context, unit, stride, future)
    parsed = as_words(words)
    opened = open_model(model, tokenizer)
    network, results = opened.network, _Results(len(parsed.text), kept, memory_budget)
    with evaluating(network, resolve_device(device)):
        causal, n_states = probe_model(opened, parsed, kind)
        reach.check(causal)
        chosen = resolve_states(network, layers, n_states)
        windows = plan_passes(opened, parsed, reach, causal)
        batches = list(batch_windows(windows, batch_size))
        modules = [layer for layer, index in chosen.items() if index is None]
        with capture_layers(network, modules) as captured:
            for batch in tqdm(batches, desc="words", unit="batch", disable=not progress):
                captured.clear()
                states = _run_layers(opened, batch, chosen, captured)
                results.write(
                    batch, {name: pool_words(s, batch, pool) for name, s in states.items()}
                )
    shared = {
        "model": opened.name,
        "preprocessing": f"pool {pool}",
        "context": reach.describe(),
        "attention": "causal" if causal else "bidirectional",
    }
    return _label(results.arrays, chosen, parsed, network, shared)


class _Results:
    """Arrays of their final size, made when the first batch has shown how wide they are."""

    def __init__(self, n_words: int, dtype: Any, memory_budget: int) -> None:
        self.n_words, self.dtype, self.memory_budget = n_words, dtype, memory_budget
        self.arrays: dict[str, Array] = {}

    def write(self, batch: Sequence[Window], values: Mapping[str, torch.Tensor]) -> None:
        if not self.arrays:
            width = sum(each.shape[1] for each in values.values())
            check_budget(self.n_words * width * np.dtype(self.dtype).itemsize, self.memory_budget)
            self.arrays = {
                name: np.empty((self.n_words, each.shape[1]), self.dtype)
                for name, each in values.items()
            }
        rows = np.concatenate([window.rows for window in batch])
        for name, each in values.items():
            self.arrays[name][rows] = each.cpu().numpy()


def _run_layers(
    model: LanguageModel,
    batch: Sequence[Window],
    chosen: Mapping[str, int | None],
    captured: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Run one batch and give the states (window, token, feature) of each layer."""
    modules = [layer for layer, index in chosen.items() if index is None]
    # Without modules of the head the body is enough: the head's logits are wide.
    network = model.network if modules else model.network.base_model
    output = model.run(network, batch, len(modules) < len(chosen))
    check_fired(model.network, captured, modules)
    states = {}
    shape = (len(batch), max(len(window.ids) for window in batch))
    for layer, index in chosen.items():
        found = captured[layer] if index is None else output.hidden_states[index]
        found = first_tensor(found, layer)
        if found.ndim != 3 or tuple(found.shape[:2]) != shape:
            raise ValueError(
                f"layers: expected layer '{layer}' to give (window, token, feature), got shape "
                f"{tuple(found.shape)} for {shape[0]} windows of {shape[1]} tokens. Choose another."
            )
        states[layer] = found
    return states


def _label(
    arrays: Mapping[str, Array],
    chosen: Mapping[str, int | None],
    words: Words,
    network: nn.Module,
    shared: Mapping[str, str],
) -> dict[str, xr.DataArray]:
    places = {name: place for place, (name, _) in enumerate(network.named_modules())}
    features = {}
    for layer, index in chosen.items():
        order = places[layer] if index is None else index
        attrs = {**shared, "layer": layer, "layer_order": order}
        step = f"extract_text: {layer}, {shared['context']}, {shared['preprocessing']}"
        features[layer] = label_words(arrays[layer], words, layer, attrs, step)
    return features
