"""A net whose latents move linearly: layers, the terms of its loss, and training.

Terms follow Cheng et al. (2026), arXiv:2510.13025, with the signs of the paper: information
between neighbours and entropy of the latents are to be large. The operator is solved on the batch
at hand and passes gradients, so that it is never that of older weights.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign._device import resolve_device
from neuroalign._training import TrainingHistory, TrainingPlan, fit_module
from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
Layers = list[tuple[Array, Array]]
TINY = 1e-12
# Share by which the loss may still fall between the last two tenths of training.
SETTLED = 0.02
# Condition of the eigenvectors beyond which single eigenvalues are not moved.
SHAKY = 1e8


@dataclass(frozen=True)
class Terms:
    """Weights of the loss beside reconstruction and forecast, and what they need."""

    information: float
    linearity: float
    entropy: float
    neighbours: int
    temperature: float
    negatives: str
    ridge: float


class Bent(nn.Module):
    """A linear map plus a net with ``tanh``: both are there from the start."""

    def __init__(self, n_in: int, hidden: tuple[int, ...], n_out: int) -> None:
        super().__init__()
        sizes = [n_in, *hidden, n_out]
        self.straight = nn.Linear(n_in, n_out)
        self.layers = nn.ModuleList(nn.Linear(first, second) for first, second in pairwise(sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map rows (..., n_in) to rows (..., n_out)."""
        bent = x
        for layer in self.layers[:-1]:
            bent = torch.tanh(layer(bent))
        out: torch.Tensor = self.straight(x) + self.layers[-1](bent)
        return out

    def read_layers(self) -> Layers:
        """Weights (in, out) and offsets (out,): the linear map first."""
        return [
            (
                one.weight.detach().cpu().numpy().T.astype(np.float64),
                one.bias.detach().cpu().numpy().astype(np.float64),
            )
            for one in (self.straight, *self.layers)
        ]


class KoopmanNet(nn.Module):
    """Encoder and decoder; the operator belongs to the batch."""

    def __init__(self, n_units: int, hidden: tuple[int, ...], n_latents: int) -> None:
        super().__init__()
        self.encoder = Bent(n_units, hidden, n_latents)
        self.decoder = Bent(n_latents, hidden[::-1], n_units)


def run_layers(layers: Layers, x: Array) -> Array:
    """What `Bent` computes, in float64 and without torch."""
    (weight, offset), bent = layers[0], x
    for inner, shift in layers[1:-1]:
        bent = np.tanh(bent @ inner + shift)
    last, end = layers[-1]
    return np.asarray(x @ weight + offset + bent @ last + end)


def measure_entropy(latents: torch.Tensor) -> torch.Tensor:
    """Von Neumann entropy of the covariance of latents, divided by its trace.

    Parameters
    ----------
    latents : tensor (bin, latent)

    Returns
    -------
    tensor ()
        In nats. Its exponential is the number of directions that carry variance: the number of
        latents where all carry the same, 1 where one carries all.
    """
    centred = latents - latents.mean(dim=0)
    covariance = centred.T @ centred
    share = torch.linalg.eigvalsh(covariance / (covariance.trace() + TINY)).clamp_min(TINY)
    entropy: torch.Tensor = -(share * share.log()).sum()
    return entropy


def compare_neighbours(
    latents: torch.Tensor, known: torch.Tensor, neighbours: int, temperature: float, negatives: str
) -> torch.Tensor:
    """InfoNCE: each bin is to tell its neighbours in time from other bins.

    Parameters
    ----------
    latents : tensor (window, time, latent)
    known : bool tensor (window, time)
        Bins that count.
    neighbours : int
        Positives are up to so many bins away.
    temperature : float
        Divides the cosine.
    negatives : {"batch", "window"}
        Bins of other windows, or the bins of the same window further away. In a window that
        returns to where it was the latter drive true recurrences apart.

    Returns
    -------
    tensor ()
        Mean over pairs of a bin and a neighbour; 0 where there is none with negatives.
    """
    n, length, _ = latents.shape
    flat = nn.functional.normalize(latents.reshape(n * length, -1), dim=1)
    similar = flat @ flat.T / temperature
    time = torch.arange(length, device=latents.device).repeat(n)
    window = torch.arange(n, device=latents.device).repeat_interleave(length)
    gap = (time[:, None] - time[None]).abs()
    same = window[:, None] == window[None]
    usable = known.reshape(-1)
    pair = usable[:, None] & usable[None]
    others = {"batch": ~same, "window": same & (gap > neighbours)}[negatives] & pair
    near = same & (gap > 0) & (gap <= neighbours) & pair & others.any(dim=1, keepdim=True)
    if not bool(near.any()):
        return latents.sum() * 0.0
    against = torch.where(others, similar, -torch.inf).logsumexp(dim=1, keepdim=True)
    close = similar[near]
    return (torch.logaddexp(close, against.expand_as(similar)[near]) - close).mean()


def solve_operator(
    now: torch.Tensor, then: torch.Tensor, known: torch.Tensor, ridge: float
) -> torch.Tensor:
    """Operator K (latent, latent) of ``then ~ now K'`` by ridge regression, with gradients.

    Parameters
    ----------
    now, then : tensor (pair, latent)
    known : tensor (pair,)
        1 where both bins count.
    ridge : float
        As a share of the mean square of the latents.
    """
    weighted = now * known[:, None]
    gram = weighted.T @ now
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    penalty = ridge * gram.trace() / len(gram) + TINY
    operator: torch.Tensor = torch.linalg.solve(gram + penalty * eye, weighted.T @ then).T
    return operator


def measure_loss(
    net: KoopmanNet, batch: tuple[torch.Tensor, torch.Tensor], terms: Terms
) -> torch.Tensor:
    """Reconstruction and forecasts within each window, and the terms of `Terms`.

    Parameters
    ----------
    net : KoopmanNet
    batch : tensor (window, time, unit), tensor (window, time, unit)
        Values, and 1 where they were observed.
    terms : Terms

    Returns
    -------
    tensor ()
    """
    x, seen = batch
    z = net.encoder(x)
    known = seen.any(dim=2)
    total = seen.sum().clamp_min(1.0)
    value: torch.Tensor = (seen * (net.decoder(z) - x) ** 2).sum() / total
    pair = (known[:, 1:] & known[:, :-1]).to(z.dtype)
    d = z.shape[2]
    K = solve_operator(
        z[:, :-1].reshape(-1, d), z[:, 1:].reshape(-1, d), pair.reshape(-1), terms.ridge
    )
    ahead, course = z[:, 0], []
    for _ in range(z.shape[1] - 1):
        ahead = ahead @ K.T
        course.append(ahead)
    started = (seen[:, 1:] * known[:, :1, None]).to(z.dtype)
    missed = (started * (net.decoder(torch.stack(course, dim=1)) - x[:, 1:]) ** 2).sum()
    value = value + missed / started.sum().clamp_min(1.0)
    flat = z[known]
    spread = flat.var(dim=0).mean() + TINY
    rest = ((z[:, 1:] - z[:, :-1] @ K.T) ** 2).mean(dim=2)
    value = value + terms.linearity * (pair * rest).sum() / pair.sum().clamp_min(1.0) / spread
    if terms.information > 0:
        value = value + terms.information * compare_neighbours(
            z, known, terms.neighbours, terms.temperature, terms.negatives
        )
    if terms.entropy > 0:
        value = value - terms.entropy * measure_entropy(flat)
    return value


def cut_windows(lengths: Array, window: int) -> Array:
    """Starts of windows (window, 2): trial and bin, a quarter of a window apart.

    Each trial has a window that ends with it; a trial shorter than a window has one.
    """
    stride = max(1, window // 4)
    rows = [
        (trial, start)
        for trial, n in enumerate(lengths)
        for start in sorted({*range(0, max(1, n - window + 1), stride), max(0, n - window)})
    ]
    return np.array(rows, dtype=np.int64)


def train_net(
    Y: Array, seen: Array, lengths: Array, window: int, net: KoopmanNet, terms: Terms,
    plan: TrainingPlan, seed: int, device: str, progress: bool,
) -> TrainingHistory:  # fmt: skip
    """Train on windows of trials.

    Parameters
    ----------
    Y, seen : array (trial, time, unit)
        Values, filled where ``seen`` is False.
    lengths : array of int (trial,)
    window : int
        Bins.
    net : KoopmanNet
        Changed.
    terms : Terms
    plan : TrainingPlan
    seed : int
    device : str
    progress : bool

    Returns
    -------
    TrainingHistory
    """
    where = resolve_device(device)
    starts = cut_windows(lengths, window)
    pad = ((0, 0), (0, window), (0, 0))
    values = torch.as_tensor(np.pad(Y, pad), dtype=torch.float32, device=where)
    known = torch.as_tensor(np.pad(seen, pad), device=where)

    def read(indices: Array) -> tuple[torch.Tensor, torch.Tensor]:
        trial = torch.as_tensor(starts[indices, :1], device=where)
        bins = torch.as_tensor(starts[indices, 1:] + np.arange(window), device=where)
        return values[trial, bins], known[trial, bins]

    def loss(module: KoopmanNet, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return measure_loss(module, batch, terms)

    return fit_module(
        net, loss, read, len(starts), plan=plan, seed=seed, device=device, progress=progress
    )


def clip_operator(operator: Array, limit: float) -> Array:
    """Bring the moduli of eigenvalues down to a limit, each for itself.

    Where eigenvectors are nearly parallel the whole operator is scaled.
    """
    values, vectors = np.linalg.eig(operator)
    moduli = np.abs(values)
    if moduli.max() <= limit:
        return operator
    if np.linalg.cond(vectors) > SHAKY:
        return operator * (limit / float(moduli.max()))
    clipped = values * np.minimum(1.0, limit / np.maximum(moduli, np.finfo(float).tiny))
    return np.asarray(((vectors * clipped) @ np.linalg.inv(vectors)).real)


def has_settled(loss: list[float]) -> bool:
    """Whether the loss of the last tenth of the epochs is about that of the tenth before."""
    tenth = max(1, len(loss) // 10)
    before, last = np.mean(loss[-2 * tenth : -tenth] or loss), np.mean(loss[-tenth:])
    return bool(before - last <= SETTLED * abs(before))


def name_layers(layers: Layers, name: str, first: str, last: str) -> dict[str, Any]:
    """Name weights and offsets of the layers for a Dataset."""
    dims = [first, *(f"{name}_hidden_{i}" for i in range(len(layers) - 2)), last]
    ends = [(first, last), *pairwise(dims)]
    found: dict[str, Any] = {}
    for number, ((weight, offset), both) in enumerate(zip(layers, ends, strict=True)):
        found[f"{name}_weight_{number}"] = (both, weight)
        found[f"{name}_offset_{number}"] = (both[1], offset)
    return found
