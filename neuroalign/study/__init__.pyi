from .checking import reproduce_study as reproduce_study
from .checking import verify_study as verify_study
from .config import read_study as read_study
from .pieces import chain as chain
from .pieces import cut_images as cut_images
from .pieces import fit_latents as fit_latents
from .pieces import select_samples as select_samples
from .pieces import summarise_layers as summarise_layers
from .runner import plan_study as plan_study
from .runner import run_study as run_study

__all__ = [
    "chain",
    "cut_images",
    "fit_latents",
    "plan_study",
    "read_study",
    "reproduce_study",
    "run_study",
    "select_samples",
    "summarise_layers",
    "verify_study",
]
