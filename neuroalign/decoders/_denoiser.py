"""The algebra of a diffusion over embeddings: its noise, its nets, and how it runs backwards.

In: embeddings with mean 0 and mean square 1, and conditions of any unit. Out: the clean
embedding that a noisy one came from, and samples.
"""

import math
from collections.abc import Callable
from typing import Any

from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

# Share of signal that the last step keeps, in variance: none must be left to see.
LEAST = 1e-4
# Radians that the fastest of the waves that tell steps apart makes over the whole way.
FASTEST = 30.0


def make_signal_shares(n_steps: int) -> torch.Tensor:
    """Variance share of the signal after each step: (n_steps + 1,), 1 first, a squared cosine.

    Nichol and Dhariwal (2021), arXiv:2102.09672, eq. 17.
    """
    time = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps
    shape = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    return (shape / shape[0]).clamp(min=LEAST)


def embed_time(time: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines (n, width) of times from 0 to 1."""
    half = width // 2
    rates = torch.exp(torch.linspace(0, math.log(FASTEST), half, device=time.device))
    angle = time[:, None] * rates
    parts = torch.cat([angle.sin(), angle.cos()], dim=1)
    return nn.functional.pad(parts, (0, width - 2 * half))


class PerceptronDenoiser(nn.Module):
    """Noisy embedding, time and condition side by side, through residual blocks."""

    def __init__(
        self, n_tokens: int, n_features: int, given: tuple[int, int], width: int, depth: int
    ) -> None:
        super().__init__()
        size = n_tokens * n_features
        self.width, self.shape = width, (n_tokens, n_features)
        self.noisy = nn.Linear(size, width)
        self.time = nn.Linear(width, width)
        self.given = nn.Linear(given[0] * given[1], width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(),
                          nn.Linear(width, width))
            for _ in range(depth)
        )  # fmt: skip
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, size))

    def forward(self, noisy: torch.Tensor, time: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """(n, token, feature), (n,), (n, token, feature) to (n, token, feature)."""
        state = self.noisy(noisy.flatten(1)) + self.time(embed_time(time, self.width))
        state = state + self.given(given.flatten(1))
        for block in self.blocks:
            state = state + block(state)
        out: torch.Tensor = self.last(state).reshape(len(noisy), *self.shape)
        return out


class TransformerDenoiser(nn.Module):
    """Tokens of the condition, one of the time, those of the noisy embedding: all see all."""

    def __init__(
        self, n_tokens: int, n_features: int, given: tuple[int, int], width: int, depth: int
    ) -> None:
        super().__init__()
        self.width, self.n_tokens = width, n_tokens
        self.noisy = nn.Linear(n_features, width)
        self.given = nn.Linear(given[1], width)
        self.time = nn.Linear(width, width)
        self.place = nn.Parameter(0.02 * torch.randn(given[0] + 1 + n_tokens, width))
        layer = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=4 * width, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_features))

    def forward(self, noisy: torch.Tensor, time: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """(n, token, feature), (n,), (n, token, feature) to (n, token, feature)."""
        clock = self.time(embed_time(time, self.width))[:, None]
        tokens = torch.cat([self.given(given), clock, self.noisy(noisy)], dim=1) + self.place
        out: torch.Tensor = self.last(self.layers(tokens)[:, -self.n_tokens :])
        return out


DENOISERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": PerceptronDenoiser,
    "transformer": TransformerDenoiser,
}


class Diffusion(nn.Module):
    """A denoiser with its noise, and with a learned stand-in for a condition that is dropped."""

    shares: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, denoiser: nn.Module, n_steps: int, mean: Any, deviation: Any) -> None:
        super().__init__()
        self.denoiser, self.n_steps = denoiser, n_steps
        self.register_buffer("shares", make_signal_shares(n_steps).float())
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("deviation", torch.from_numpy(deviation))
        self.nothing = nn.Parameter(torch.zeros(tuple(mean.shape)))

    def scale(self, given: torch.Tensor) -> torch.Tensor:
        """Condition in z-scores."""
        return (given - self.mean) / self.deviation

    def denoise(self, noisy: torch.Tensor, step: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Clean embedding; the net adds to what is best for a normal one of variance 1."""
        share = self.shares[step][:, None, None]
        found = self.denoiser(noisy, step / self.n_steps, given).float()
        clean: torch.Tensor = share.sqrt() * noisy + (1 - share).sqrt() * found
        return clean

    def lose(self, clean: torch.Tensor, given: torch.Tensor, drop: float) -> torch.Tensor:
        """Mean squared error of the clean embedding at random steps."""
        n, device = len(clean), clean.device
        step = torch.randint(1, self.n_steps + 1, (n,)).to(device)
        noise = torch.randn(clean.shape).to(device)
        dropped = (torch.rand(n) < drop).to(device)[:, None, None]
        share = self.shares[step][:, None, None]
        noisy = share.sqrt() * clean + (1 - share).sqrt() * noise
        seen = torch.where(dropped, self.nothing, self.scale(given))
        error: torch.Tensor = (self.denoise(noisy, step, seen) - clean).square().mean()
        return error

    def sample(
        self,
        given: torch.Tensor,
        guidance: float,
        draw: Callable[[int], torch.Tensor],
    ) -> torch.Tensor:
        """Run backwards from noise: (n, token, feature); ``draw(n)`` gives the noise of n.

        Ho, Jain and Abbeel (2020), arXiv:2006.11239, eqs. 6 and 7; guidance as Ho and Salimans
        (2022), arXiv:2207.12598, eq. 6, on clean embeddings.
        """
        seen = self.scale(given)
        n, device = len(seen), seen.device
        state = draw(n).to(device)
        for number in range(self.n_steps, 0, -1):
            step = torch.full((n,), number, device=device)
            clean = self.denoise(state, step, seen)
            if guidance != 1.0:
                plain = self.denoise(state, step, self.nothing.expand_as(seen))
                clean = plain + guidance * (clean - plain)
            now, before = self.shares[number], self.shares[number - 1]
            kept = now / before
            state = (before.sqrt() * (1 - kept) * clean + kept.sqrt() * (1 - before) * state) / (
                1 - now
            )
            if number > 1:
                spread = ((1 - before) / (1 - now) * (1 - kept)).sqrt()
                state = state + spread * draw(n).to(device)
        return state
