"""Recurrent cells that carry a state from frame to frame, and the net that reads a latent off it.

In: latents (n, latent) of one frame. Out: a state, whose ``first`` part is what is read.
"""

from typing import Any

from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

State = tuple[torch.Tensor, ...]


class LSTMCells(nn.Module):
    """Long short-term memory; its state is (hidden, cell)."""

    def __init__(self, n_latents: int, n_units: int, dt: float, tau: float) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(n_latents, n_units)
        self.n_units = n_units

    def start(self, like: torch.Tensor) -> State:
        """Nothing seen yet: zeros (n, unit)."""
        blank = like.new_zeros(len(like), self.n_units)
        return blank, blank

    def forward(self, latent: torch.Tensor, state: State) -> State:
        """Take one frame in."""
        moved: State = self.cell(latent, state)
        return moved


class CTRNNCells(nn.Module):
    """Rates that leak: ``r <- r + dt / tau (-r + max(0, tanh(W r + U x + b)))``."""

    def __init__(self, n_latents: int, n_units: int, dt: float, tau: float) -> None:
        super().__init__()
        self.enter = nn.Linear(n_latents, n_units)
        self.recur = nn.Linear(n_units, n_units, bias=False)
        self.n_units, self.share = n_units, dt / tau

    def start(self, like: torch.Tensor) -> State:
        """Silence: zeros (n, unit)."""
        return (like.new_zeros(len(like), self.n_units),)

    def forward(self, latent: torch.Tensor, state: State) -> State:
        """Take one frame in."""
        (rate,) = state
        drive = torch.tanh(self.enter(latent) + self.recur(rate)).clamp_min(0.0)
        return ((1.0 - self.share) * rate + self.share * drive,)


class RecurrentPredictor(nn.Module):
    """A cell, and a linear map from its first state to the latent of the next frame."""

    def __init__(self, cells: nn.Module, n_latents: int, n_units: int) -> None:
        super().__init__()
        self.cells: Any = cells
        self.read = nn.Linear(n_units, n_latents)

    def take_in(self, frames: torch.Tensor, seen: torch.Tensor) -> State:
        """State after a stretch (n, time, latent); where ``seen`` (n, time) is False none is read.

        Stretches that are short have their frames at the end.
        """
        state: State = self.cells.start(frames[:, 0])
        for t in range(frames.shape[1]):
            moved: State = self.cells(frames[:, t], state)
            here = seen[:, t, None]
            state = tuple(torch.where(here, *pair) for pair in zip(moved, state, strict=True))
        return state

    def roll_out(self, state: State, n_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents (n, step, latent) foretold one after the other, and the states after each.

        The first latent is read off the state given; its own prediction is what the net sees next.
        """
        latents, states = [], []
        for _ in range(n_steps):
            latent = self.read(state[0])
            state = self.cells(latent, state)
            latents.append(latent)
            states.append(state[0])
        return torch.stack(latents, dim=1), torch.stack(states, dim=1)


def build_predictor(
    cells: type[Any], n_latents: int, n_units: int, dt: float, tau: float, seed: int
) -> RecurrentPredictor:
    """Make a net with seeded weights; the global generator of torch is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RecurrentPredictor(cells(n_latents, n_units, dt, tau), n_latents, n_units)


def measure_miss(
    net: RecurrentPredictor, batch: tuple[torch.Tensor, torch.Tensor], n_ahead: int
) -> torch.Tensor:
    """Mean squared error of ``n_ahead`` latents rolled out from the frames before them.

    Parameters
    ----------
    net : RecurrentPredictor
    batch : tensor (n, time, latent), tensor (n, time)
        Windows, and which of their frames count.
    n_ahead : int

    Returns
    -------
    tensor ()
    """
    frames, seen = batch
    state = net.take_in(frames[:, :-n_ahead], seen[:, :-n_ahead])
    guess, _ = net.roll_out(state, n_ahead)
    wanted = seen[:, -n_ahead:, None]
    missed = torch.where(wanted, guess - frames[:, -n_ahead:], 0.0)
    total = wanted.sum().clamp_min(1) * frames.shape[2]
    return missed.square().sum() / total
