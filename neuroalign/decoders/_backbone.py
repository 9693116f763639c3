"""Nets from responses to embeddings: a residual perceptron, and a head for retrieval."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# Rows decoded at once.
AT_ONCE = 256


def measure_columns(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (column,) in float32, 1 for columns that do not vary."""
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    still = deviation <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
    return mean.astype(np.float32), np.where(still, 1.0, deviation).astype(np.float32)


class ZScore(nn.Module):
    """Columns with the mean and deviation of training."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: Array, deviation: Array) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("deviation", torch.from_numpy(deviation))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(n, column) to (n, column)."""
        return (values - self.mean) / self.deviation


def make_block(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    """Linear map, layer norm, GELU and dropout."""
    return nn.Sequential(
        nn.Linear(n_in, n_out), nn.LayerNorm(n_out), nn.GELU(), nn.Dropout(dropout)
    )


class ResidualPerceptron(nn.Module):
    """Scotti et al. (2023), section 2.2: a wide first layer, then blocks that add to it."""

    def __init__(
        self, n_in: int, n_out: int, hidden: int, n_blocks: int, dropout: tuple[float, float]
    ) -> None:
        super().__init__()
        self.first = make_block(n_in, hidden, dropout[0])
        self.blocks = nn.ModuleList(make_block(hidden, hidden, dropout[1]) for _ in range(n_blocks))
        self.last = nn.Linear(hidden, n_out)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(n, n_in) to (n, n_out)."""
        state = self.first(values)
        for block in self.blocks:
            state = state + block(state)
        out: torch.Tensor = self.last(state)
        return out


class Projector(nn.Sequential):
    """From the regressed embedding to the one for retrieval, token by token."""

    def __init__(self, n_features: int, hidden: int) -> None:
        super().__init__(
            nn.LayerNorm(n_features), nn.GELU(), nn.Linear(n_features, hidden),
            nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, n_features),
        )  # fmt: skip


class EmbeddingNet(nn.Module):
    """Responses to (regressed embedding, embedding for retrieval), both (n, token * feature)."""

    step: torch.Tensor

    def __init__(self, scale: ZScore, backbone: nn.Module, projector: nn.Module, width: int):
        super().__init__()
        self.scale, self.backbone, self.projector, self.width = scale, backbone, projector, width
        # Part of the state, so that a run that continues knows which loss is its turn.
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode z-scored responses (n, neuroid)."""
        flat = self.backbone(values)
        tokens = flat.reshape(len(flat), -1, self.width)
        return flat, self.projector(tokens).reshape(len(flat), -1)

    def decode(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode responses (n, neuroid) as they are."""
        found: tuple[torch.Tensor, torch.Tensor] = self(self.scale(values))
        return found


def split_decay(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Group parameters for AdamW: matrices decay, offsets and norms do not."""
    matrices = [part for part in module.parameters() if part.ndim > 1]
    rest = [part for part in module.parameters() if part.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": rest, "weight_decay": 0.0},
    ]


def run_rows(apply: Callable[[torch.Tensor], torch.Tensor], values: Array, device: Any) -> Array:
    """Apply a net to rows (n, column) without gradients: float32 (n, ...)."""
    parts = []
    # All batches have one size: rounding would depend on how many rows are decoded together.
    filled = np.zeros((len(values) + -len(values) % AT_ONCE, values.shape[1]), dtype=np.float32)
    filled[: len(values)] = values
    with torch.no_grad():
        for start in range(0, len(filled), AT_ONCE):
            rows = torch.from_numpy(filled[start : start + AT_ONCE]).to(device)
            parts.append(apply(rows).float().cpu().numpy())
    return np.concatenate(parts)[: len(values)]
