"""The net of MM-GPVAE: encoders, smooth posterior in the Fourier domain, decoders, bound.

Encoders see one bin at a time and say, for each latent, a mean and a precision. With the prior of
the Gaussian process these make the posterior of its Fourier coefficients: precisions of modalities
add (a product of Gaussians), bins that are not observed say nothing, and trials may be of any
length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign._training import TrainingPlan, fit_module
from neuroalign.errors import require
from neuroalign.latents._behaviour import Behaviour
from neuroalign.latents._fourier_gp import FourierBasis

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# Log rates are clipped here, so that one bin cannot blow the sum up.
HIGHEST = 10.0
# Log precisions of encoders stay within these.
WIDEST = 12.0
LEAST_NOISE = 1e-4
# Rate of the kernels as a multiple of that of the net.
KERNEL_RATE = 5.0


@dataclass(frozen=True)
class Sizes:
    """Latents of each group, units, channels (0 without behaviour), and widths of hidden layers."""

    n_neural: int
    n_shared: int
    n_behaviour: int
    n_units: int
    n_channels: int
    hidden: tuple[int, ...]

    @property
    def n_latents(self) -> int:
        """Of all groups, in the order neural, shared, behaviour."""
        return self.n_neural + self.n_shared + self.n_behaviour

    @property
    def n_seen_neurally(self) -> int:
        """Latents that drive the units: the first ones."""
        return self.n_neural + self.n_shared


class Batch(NamedTuple):
    """Trials: ``counts`` and ``seen`` (trial, time, unit), the same of ``behaviour`` or None."""

    counts: torch.Tensor
    seen: torch.Tensor
    behaviour: torch.Tensor | None
    shown: torch.Tensor | None


class Posterior(NamedTuple):
    """Of the latents: ``mean``, ``variance`` (trial, time, latent), ``root``, ``divergence``.

    ``root`` (trial, latent, wave, time) times standard normal waves is a draw about the mean;
    ``divergence`` (trial,) is that from the prior.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    root: torch.Tensor
    divergence: torch.Tensor


def _stack(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for first, second in pairwise(widths[:-1]):
        layers += [nn.Linear(first, second), nn.ELU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


class MultimodalNet(nn.Module):
    """Encoders and decoders of both modalities, and the kernels of the latents.

    Parameters
    ----------
    sizes : Sizes
    log_rate : array (unit,)
        Where the offset begins.
    scale : array (unit,)
        Standard deviations by which encoders divide counts.
    length : float
        Where kernels begin, in bins.
    bounds : (float, float)
        Shortest and longest length.
    """

    log_bounds: torch.Tensor
    mean_count: torch.Tensor
    spread: torch.Tensor

    def __init__(
        self, sizes: Sizes, log_rate: Array, scale: Array, length: float,
        bounds: tuple[float, float],
    ) -> None:  # fmt: skip
        super().__init__()
        self.sizes = sizes
        n, k, hidden = sizes.n_units, sizes.n_seen_neurally, sizes.hidden
        self.encode_counts = _stack([n, *hidden, 2 * k])
        self.loadings = nn.Parameter(0.3 * torch.randn(n, k))
        self.offset = nn.Parameter(torch.tensor(log_rate, dtype=torch.float32))
        if sizes.n_channels:
            seen = sizes.n_shared + sizes.n_behaviour
            self.encode_behaviour = _stack([sizes.n_channels, *hidden, 2 * seen])
            self.decode_behaviour = _stack([seen, *hidden[::-1], sizes.n_channels])
        self.log_noise = nn.Parameter(torch.zeros(()))
        low, high = np.log(bounds)
        at = np.clip((np.log(length) - low) / (high - low), 0.02, 0.98)
        start = float(np.log(at / (1 - at)))
        self.length_share = nn.Parameter(torch.full((sizes.n_latents,), start))
        self.log_variance = nn.Parameter(torch.zeros(sizes.n_latents))
        self.register_buffer("log_bounds", torch.tensor([low, high], dtype=torch.float32))
        self.register_buffer("mean_count", torch.exp(self.offset.detach()))
        self.register_buffer("spread", torch.tensor(scale, dtype=torch.float32))

    def find_lengths(self) -> torch.Tensor:
        """Lengths of the kernels (latent,) in bins, within their bounds."""
        low, high = self.log_bounds
        return torch.exp(low + (high - low) * torch.sigmoid(self.length_share))

    def scale_waves(self, basis: FourierBasis) -> torch.Tensor:
        """Waves (latent, wave, time) times the root of their prior variance."""
        like = self.log_variance
        rows = torch.as_tensor(basis.rows, dtype=like.dtype, device=like.device)
        turn = 2 * np.pi * basis.frequency / basis.circle
        angle = torch.as_tensor(turn, dtype=like.dtype, device=like.device)
        lengths = self.find_lengths()[:, None]
        log_power = 0.5 * np.log(2 * np.pi) + torch.log(lengths) + self.log_variance[:, None]
        return torch.exp(0.5 * log_power - 0.25 * (angle * lengths) ** 2)[..., None] * rows

    def infer(self, batch: Batch, basis: FourierBasis) -> Posterior:
        """Posterior from whatever modalities the batch has."""
        drive, precision = self._listen(batch)
        waves = self.scale_waves(basis)
        gain = (waves * precision.transpose(1, 2)[:, :, None]) @ waves.transpose(1, 2)
        eye = torch.eye(gain.shape[-1], dtype=gain.dtype, device=gain.device)
        factor = torch.linalg.cholesky(gain + eye)
        root = torch.linalg.solve_triangular(
            factor, waves.expand(len(gain), -1, -1, -1), upper=False
        )
        variance = (root**2).sum(2).transpose(1, 2)
        inner = root @ drive.transpose(1, 2)[..., None]
        mean = (root.transpose(2, 3) @ inner)[..., 0].transpose(1, 2)
        u = torch.linalg.solve_triangular(factor.transpose(2, 3), inner, upper=True)
        logdet = 2 * torch.log(torch.diagonal(factor, dim1=-2, dim2=-1)).sum((-2, -1))
        # The trace of the covariance of u, less the number of waves.
        trace = -(precision * variance).sum((1, 2))
        divergence = 0.5 * (trace + (u**2).sum((1, 2, 3)) + logdet)
        return Posterior(mean, variance, root, divergence)

    def _listen(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Precision times mean, and precision (trial, time, latent), modalities added."""
        sizes = self.sizes
        known = batch.seen.sum(-1, keepdim=True)
        # Of fewer units, each speaks for more.
        share = sizes.n_units / known.clamp(min=1.0)
        values = batch.seen * (batch.counts - self.mean_count) / self.spread * share
        drive, precision = _say(self.encode_counts(values), known > 0)
        later = sizes.n_latents - sizes.n_seen_neurally
        drive = nn.functional.pad(drive, (0, later))
        precision = nn.functional.pad(precision, (0, later))
        if batch.behaviour is None or batch.shown is None:
            return drive, precision
        shown = batch.shown.sum(-1, keepdim=True)
        share = sizes.n_channels / shown.clamp(min=1.0)
        said = _say(self.encode_behaviour(batch.behaviour * batch.shown * share), shown > 0)
        first = (sizes.n_neural, 0)
        return drive + nn.functional.pad(said[0], first), precision + nn.functional.pad(
            said[1], first
        )

    def expect_log_rate(self, found: Posterior) -> torch.Tensor:
        """Log of the expected rate (trial, time, unit), in closed form, clipped."""
        k = self.sizes.n_seen_neurally
        mean = found.mean[..., :k] @ self.loadings.T + self.offset
        spread = found.variance[..., :k] @ (self.loadings**2).T
        return (mean + 0.5 * spread).clamp(max=HIGHEST)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Behaviour (trial, time, channel) of latents."""
        shown: torch.Tensor = self.decode_behaviour(z[..., self.sizes.n_neural :])
        return shown

    def find_noise(self) -> torch.Tensor:
        """Variance of the behaviour about what the latents say."""
        return torch.exp(self.log_noise) + LEAST_NOISE

    def bound(self, batch: Batch, basis: FourierBasis, weight: float) -> torch.Tensor:
        """Evidence lower bound (trial,), that of the behaviour from one draw of the latents."""
        found = self.infer(batch, basis)
        k = self.sizes.n_seen_neurally
        linear = found.mean[..., :k] @ self.loadings.T + self.offset
        rate = torch.exp(self.expect_log_rate(found))
        constant = torch.lgamma(batch.counts + 1.0)
        fit = (batch.seen * (batch.counts * linear - rate - constant)).sum((1, 2))
        if batch.behaviour is not None and batch.shown is not None:
            noise = torch.randn(found.root.shape[:3], dtype=fit.dtype, device=fit.device)
            drawn = (noise[:, :, None] @ found.root)[:, :, 0].transpose(1, 2)
            rest = batch.behaviour - self.decode(found.mean + drawn)
            variance = self.find_noise()
            density = -0.5 * (rest**2 / variance + torch.log(2 * np.pi * variance))
            fit = fit + weight * (batch.shown * density).sum((1, 2))
        return fit - found.divergence


def _say(out: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, log_precision = out.chunk(2, dim=-1)
    precision = torch.exp(log_precision.clamp(-WIDEST, WIDEST)) * known
    return mean * precision, precision


def build_net(
    sizes: Sizes, log_rate: Array, scale: Array, length: float, bounds: tuple[float, float],
    seed: int,
) -> MultimodalNet:  # fmt: skip
    """Initialise from a seed, the global generator left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultimodalNet(sizes, log_rate, scale, length, bounds)


def read_weights(net: nn.Module) -> dict[str, Array]:
    """Weights by name, as arrays."""
    return {key: value.detach().cpu().numpy() for key, value in net.state_dict().items()}


def put_weights(net: nn.Module, weights: dict[str, Array]) -> None:
    """Take weights from `read_weights`."""
    net.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in weights.items()})


def to_batch(
    Y: Array, observed: Array, shown: Behaviour | None, dtype: torch.dtype, device: torch.device
) -> Batch:
    """Trials as tensors."""
    parts = [Y, observed] + ([] if shown is None else [shown.values, shown.seen])
    tensors = [torch.as_tensor(part, dtype=dtype, device=device) for part in parts]
    return Batch(*tensors, *[None] * (4 - len(tensors)))


def has_settled(losses: list[float], tol: float) -> bool:
    """Whether the last tenth of epochs is hardly below the tenth before."""
    n = max(1, len(losses) // 10)
    if len(losses) < 2 * n:
        return False
    before, after = np.mean(losses[-2 * n : -n]), np.mean(losses[-n:])
    return bool(before - after < tol * abs(after))


def train_net(
    net: MultimodalNet, trials: Batch, basis: FourierBasis, plan: TrainingPlan, weight: float,
    seed: int, device: str,
) -> list[float]:  # fmt: skip
    """Climb the bound; the negative bound (nats per trial) of each epoch."""

    def read(indices: Array) -> Batch:
        rows = torch.as_tensor(indices, device=trials.counts.device)
        more = [None if part is None else part[rows] for part in trials[2:]]
        return Batch(trials.counts[rows], trials.seen[rows], *more)

    def lose(net: MultimodalNet, batch: Batch) -> torch.Tensor:
        return -net.bound(batch, basis, weight).mean()

    def group(net: MultimodalNet) -> list[dict[str, Any]]:
        kernels = [net.length_share, net.log_variance]
        others = [p for p in net.parameters() if all(p is not one for one in kernels)]
        return [{"params": others}, {"params": kernels, "lr": KERNEL_RATE * plan.learning_rate}]

    return fit_module(
        net, lose, read, len(trials.counts), plan=plan, seed=seed, parameter_groups=group,
        device=device,
    ).loss  # fmt: skip
