"""Losses that pull a decoded embedding to its own stimulus and away from those of others.

In: predicted and true embeddings (n, feature) of one batch, and how its inputs were mixed. Out: a
scalar, in float32 whatever the net computed in: a temperature of 0.006 multiplies rounding by 170.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neuroalign.errors import require

try:
    import torch
    from torch.nn import functional
except ModuleNotFoundError:
    require("torch", "torch")
    raise


class Mixing(NamedTuple):
    """Row i is ``share[i]`` of itself and the rest of row ``partner[i]``."""

    partner: torch.Tensor
    share: torch.Tensor

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """Mix rows (n, feature)."""
        share = self.share[:, None].to(values.dtype)
        return share * values + (1 - share) * values[self.partner]

    def targets(self) -> torch.Tensor:
        """Shares (n, n) of each row in each mixture; rows sum to one, own partners included."""
        n = len(self.partner)
        rows = torch.arange(n, device=self.partner.device)
        # Shares are added: a row that is its own partner keeps all of itself.
        return (
            torch.zeros(n, n, device=self.share.device)
            .index_put((rows, rows), self.share, accumulate=True)
            .index_put((rows, self.partner), 1 - self.share, accumulate=True)
        )


def draw_mixing(n: int, beta: float, probability: float) -> Mixing:
    """Draw partners and shares from torch's generator: Beta(beta, beta), or 1 for rows left alone.

    Parameters
    ----------
    n : int
    beta, probability : float
        Of the shares, and of a row to be mixed at all.
    """
    share = torch.distributions.Beta(beta, beta).sample((n,))
    share = torch.where(torch.rand(n) < probability, share, torch.ones(n))
    return Mixing(torch.randperm(n), share)


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()


def compute_bimixco(
    predicted: torch.Tensor, true: torch.Tensor, mixing: Mixing, temperature: float
) -> torch.Tensor:
    """Contrast mixed inputs with the embeddings of both their parts, and the other way round.

    Parameters
    ----------
    predicted : tensor (n, feature)
        From mixed inputs.
    true : tensor (n, feature)
        Not mixed.
    mixing : Mixing
    temperature : float
        Divides the cosines.

    Returns
    -------
    tensor ()
        Scotti et al. (2023), eq. 1; mean of the two directions.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        given, wanted = (functional.normalize(part.float(), dim=1) for part in (predicted, true))
        logits = given @ wanted.T / temperature
        targets = mixing.targets()
        return (_cross_entropy(logits, targets) + _cross_entropy(logits.T, targets.T)) / 2


def compute_soft_clip(
    predicted: torch.Tensor, true: torch.Tensor, temperature: torch.Tensor | float
) -> torch.Tensor:
    """Contrast with soft targets: how much embeddings resemble each other.

    Parameters
    ----------
    predicted, true : tensor (n, feature)
    temperature : tensor () or float
        Divides the cosines, of predictions and of targets.

    Returns
    -------
    tensor ()
        Scotti et al. (2023), eq. 2; mean of the two directions.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        given, wanted = (functional.normalize(part.float(), dim=1) for part in (predicted, true))
        logits = given @ wanted.T / temperature
        targets = (wanted @ wanted.T / temperature).softmax(dim=1)
        return (_cross_entropy(logits, targets) + _cross_entropy(logits.T, targets)) / 2


def anneal(share: torch.Tensor, start: float, end: float) -> torch.Tensor:
    """Go from start to end along half a cosine, while the share of the way goes from 0 to 1."""
    return end + (start - end) * 0.5 * (1 + torch.cos(math.pi * share.clamp(0, 1)))


@dataclass(frozen=True)
class Contrast:
    """The loss of a run: mixed inputs for its first steps, then soft targets, and regression.

    Attributes
    ----------
    n_steps, n_mixed : int
        Of the whole run, and of those that mix.
    beta, mix_probability, temperature, soft_temperature, regression
        See `EmbeddingDecoder`.
    """

    n_steps: int
    n_mixed: int
    beta: float
    mix_probability: float
    temperature: float
    soft_temperature: tuple[float, float]
    regression: float

    def lose(self, module: Any, batch: Any) -> torch.Tensor:
        """Loss of a batch: responses (n, neuroid) and embeddings (n, feature) of one scale."""
        values, wanted = module.scale(batch[0]), batch[1]
        done = module.step.clone()
        module.step += 1
        if int(done) < self.n_mixed:
            drawn = draw_mixing(len(values), self.beta, self.mix_probability)
            mixing = Mixing(*(part.to(values.device) for part in drawn))
            flat, head = module(mixing.apply(values))
            contrast = compute_bimixco(head, wanted, mixing, self.temperature)
            wanted = mixing.apply(wanted)
        else:
            flat, head = module(values)
            share = (done - self.n_mixed) / max(self.n_steps - self.n_mixed - 1, 1)
            contrast = compute_soft_clip(head, wanted, anneal(share, *self.soft_temperature))
        return contrast + self.regression * functional.mse_loss(flat.float(), wanted)


def check_contrast(estimator: Any) -> None:
    """Check the parameters of the loss of an estimator.

    Raises
    ------
    ValueError
    """
    for name in ("temperature", "soft_temperature", "beta"):
        value = getattr(estimator, name)
        if not np.all(np.isfinite(value)) or np.min(value) <= 0:
            raise ValueError(
                f"{name}: expected positive numbers, got {value}. Leave it as it is by default."
            )
    for name in ("mixing", "mix_probability"):
        if not 0 <= getattr(estimator, name) <= 1:
            raise ValueError(
                f"{name}: expected a share from 0 to 1, got {getattr(estimator, name)}. "
                "0 mixes nothing."
            )
