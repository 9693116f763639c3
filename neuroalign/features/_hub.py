"""Pretrained models by name: one door to the Hugging Face hub, with one error when it is shut.

In: a name on the hub, or a folder. Out: a model in evaluation mode and what prepares its inputs.
To add a kind: its row in ``KINDS``. Weights are read from safetensors only, and no code that a
repository brings is run.
"""

from os import PathLike, fspath
from typing import Any

from neuroalign.errors import LoadError, choose, require

# kind -> classes of transformers for the model and for its inputs, and the extra that brings them
KINDS: dict[str, tuple[str, str, str]] = {
    "text": ("AutoModel", "AutoTokenizer", "text"),
    "audio": ("AutoModel", "AutoFeatureExtractor", "audio"),
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
    kind : {"text", "audio"}
        Which processor: tokenizer, or preparation of sound.
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
        When the model cannot be reached, lacks safetensors, or is damaged.
    ValueError
        For an unknown kind.
    MissingExtraError
        Without transformers.
    """
    model_class, processor_class, extra = choose(KINDS, kind, "kind")
    transformers: Any = require("transformers", extra)
    safetensors: Any = require("safetensors", extra)
    place, safe = fspath(name), {"revision": revision, "trust_remote_code": False}
    try:
        processor = getattr(transformers, processor_class).from_pretrained(place, **safe)
        model = getattr(transformers, model_class).from_pretrained(
            place, use_safetensors=True, **safe
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
    return model.eval(), processor
