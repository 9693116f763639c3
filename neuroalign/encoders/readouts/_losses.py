"""What a readout's net makes small, over the responses that were seen."""

from typing import Any

from neuroalign.errors import require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise


def squared_error(predicted: torch.Tensor, observed: torch.Tensor, seen: torch.Tensor) -> Any:
    """Mean squared error over what was seen."""
    return ((predicted - observed).square() * seen).sum() / seen.sum().clamp(min=1)


def concordance_error(predicted: torch.Tensor, observed: torch.Tensor, seen: torch.Tensor) -> Any:
    """Squared error, and one minus the concordance of all neuroids and stimuli of the batch.

    Lin (1989): ``2 cov / (var_p + var_o + (mean_p - mean_o)^2)``.
    """
    count = seen.sum().clamp(min=1)
    mean_p, mean_o = (predicted * seen).sum() / count, (observed * seen).sum() / count
    p, o = (predicted - mean_p) * seen, (observed - mean_o) * seen
    spread = (p.square().sum() + o.square().sum()) / count + (mean_p - mean_o).square()
    concordance = 2 * (p * o).sum() / count / spread.clamp(min=1e-12)
    return squared_error(predicted, observed, seen) + 1 - concordance


LOSSES = {"mse": squared_error, "mse_concordance": concordance_error}
