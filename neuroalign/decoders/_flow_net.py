"""A net from responses and the first frame to the motion code of each place."""

from neuroalign.decoders._backbone import ZScore, make_block
from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise


class PlaceBlock(nn.Module):
    """A residual map of each place alone: a convolution of size one."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(width, width),
        )  # fmt: skip

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """(n, place, width) to (n, place, width)."""
        out: torch.Tensor = state + self.inner(state)
        return out


class FlowNet(nn.Module):
    """Responses, spread over all places, beside the features of the first frame there.

    Without ``brain`` the same net sees the frame alone.
    """

    def __init__(
        self, scale: ZScore, frame_scale: ZScore, n_places: int, n_codes: int, width: int,
        n_blocks: int, dropout: float, *, brain: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scale, self.frame_scale, self.brain = scale, frame_scale, brain
        self.read_brain = nn.Sequential(
            make_block(len(scale.mean), width, dropout), nn.Linear(width, width)
        )
        self.read_frame = nn.Linear(len(frame_scale.mean), width)
        self.place = nn.Parameter(0.02 * torch.randn(n_places, width))
        self.join = nn.Linear(2 * width, width)
        self.blocks = nn.Sequential(*(PlaceBlock(width, dropout) for _ in range(n_blocks)))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_codes))

    def forward(self, values: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """(n, column) and (n, place, feature) to logits (n, place, code)."""
        seen = self.read_frame(self.frame_scale(frames)) + self.place
        thought = self.read_brain(self.scale(values)) * float(self.brain)
        state = self.join(torch.cat([thought[:, None].expand_as(seen), seen], dim=2))
        out: torch.Tensor = self.last(self.blocks(state))
        return out
