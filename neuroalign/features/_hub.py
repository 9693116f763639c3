"""Pretrained models by name: one door to the Hugging Face hub, with one error when it is shut.

In: a name on the hub, or a folder. Out: a model in evaluation mode and what prepares its inputs.
To add a kind: its row in ``KINDS``. Weights are read from safetensors only, and no code that a
repository brings is run.
"""

import warnings
from os import PathLike, fspath
from typing import Any

from neuroalign.errors import LoadError, NeuroalignWarning, choose, require, some

# kind -> classes of transformers for the model and for its inputs, the extra that brings them, and
# whether the model must come with every weight: a head that starts at random predicts nothing.
KINDS: dict[str, tuple[str, str, str, bool]] = {
    "text": ("AutoModel", "AutoTokenizer", "text", False),
    "causal": ("AutoModelForCausalLM", "AutoTokenizer", "text", True),
    "audio": ("AutoModel", "AutoFeatureExtractor", "audio", False),
    "vision": ("AutoModel", "AutoImageProcessor", "vision", False),
}


def load_pretrained(
    name: str | PathLike[str], kind: str, *, revision: str | None = None
) -> tuple[Any, Any]:
    """Load a pretrained model and its processor.

    Parameters
    ----------
    name : str or path
        A name on the hub ("facebook/wav2vec2-base"), or a folder that holds ``config.json``,
        ``model.safetensors`` and the files of the processor.
    kind : {"text", "causal", "audio", "vision"}
        Which processor: tokenizer, or preparation of sound or images. "causal" loads the head
        that predicts the next token too.
    revision : str, optional
        Commit, tag or branch on the hub. Name a commit where results must stay the same.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, on the CPU.
    object
        Tokenizer or feature extractor of transformers.

    Raises
    ------
    LoadError
        When the model cannot be reached, lacks safetensors, is damaged, or a causal one lacks
        weights.
    ValueError
        For an unknown kind.
    MissingExtraError
        Without transformers.

    Warns
    -----
    NeuroalignWarning
        When weights of the body are missing and start at random.
    """
    model_class, processor_class, extra, whole = choose(KINDS, kind, "kind")
    transformers: Any = require("transformers", extra)
    safetensors: Any = require("safetensors", extra)
    place, safe = fspath(name), {"revision": revision, "trust_remote_code": False}
    try:
        processor = getattr(transformers, processor_class).from_pretrained(place, **safe)
        model, report = getattr(transformers, model_class).from_pretrained(
            place, use_safetensors=True, output_loading_info=True, **safe
        )
    except (OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise LoadError(
            f"model '{place}': expected a name on the Hugging Face hub, or a folder with "
            f"config.json, model.safetensors and the files of its {kind} processor, got "
            f"{type(error).__name__} ({reason.rstrip('.')}). Check the spelling and the network, "
            f"or fetch it where there is one (hf download {place} --local-dir FOLDER) and pass "
            "the folder."
        ) from error
    missing = sorted(map(str, report["missing_keys"]))
    if missing and whole:
        raise LoadError(
            f"model '{place}': expected the weights of a language model with its head, got none "
            f"for {some(missing)}. Choose a checkpoint that has them."
        )
    if missing:
        warnings.warn(
            f"model '{place}': expected all weights, got none for {some(missing)}, which start at "
            "random. Leave out what they feed, or choose another checkpoint.",
            NeuroalignWarning,
            stacklevel=4,
        )
    return model.eval(), processor
