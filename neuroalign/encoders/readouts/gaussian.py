"""Gaussian readouts: each neuroid looks through one blob, whose centre and spread are learnt."""

from typing import Any

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import TARGET_DIMS
from neuroalign._training import TrainingPlan
from neuroalign.encoders.readouts._base import TokenReadout, label_tokens, label_values
from neuroalign.encoders.readouts._tokens import Layout
from neuroalign.errors import SchemaError, choose, require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

# Half of the way from the middle to the edge: every token is seen at the start.
FIRST_SPREAD = 0.5
LEAST_SPREAD = 0.02


class GaussianPool(nn.Module):
    """``y_v = b_v + f_v . mean of x under N(mu_v, sigma_v)``, the weights summing to one."""

    def __init__(self, positions: torch.Tensor, n_features: int, n_targets: int) -> None:
        super().__init__()
        placed = positions.isfinite().all(dim=1)
        self.register_buffer("positions", torch.nan_to_num(positions))
        self.register_buffer("placed", placed)
        self.free_center = nn.Parameter(0.05 * torch.randn(n_targets, 2))
        self.log_spread = nn.Parameter(torch.full((n_targets, 2), FIRST_SPREAD).log())
        self.feature = nn.Parameter(torch.randn(n_targets, n_features) / n_features**0.5)
        self.bias = nn.Parameter(torch.zeros(n_targets))

    positions: torch.Tensor
    placed: torch.Tensor

    def center(self) -> torch.Tensor:
        """Middles (target, 2), which cannot leave the field."""
        return self.free_center.tanh()

    def spread(self) -> torch.Tensor:
        """Standard deviations (target, 2), of at least a hundredth of the field."""
        return self.log_spread.exp().clamp(min=LEAST_SPREAD)

    def maps(self) -> torch.Tensor:
        """Weights (target, token)."""
        apart = (self.positions[None] - self.center()[:, None]) / self.spread()[:, None]
        logits = -0.5 * apart.square().sum(dim=2)
        return logits.masked_fill(~self.placed, -torch.inf).softmax(dim=1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        seen = torch.einsum("nkc,vk->nvc", tokens, self.maps())
        return torch.einsum("nvc,vc->nv", seen, self.feature) + self.bias


class GaussianSample(GaussianPool):
    """As published: one point of the map, drawn from the Gaussian in training, else its centre."""

    def __init__(
        self, positions: torch.Tensor, grid: tuple[int, int], n_features: int, n_targets: int
    ) -> None:
        super().__init__(positions, n_features, n_targets)
        self.grid = grid

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        n = len(tokens)
        places = self.center().expand(n, -1, -1)
        if self.training:
            places = places + self.spread() * torch.randn_like(places)
        image = tokens.transpose(1, 2).reshape(n, -1, *self.grid)
        seen = nn.functional.grid_sample(
            image, places.clamp(-1, 1)[:, :, None], align_corners=True, padding_mode="border"
        )
        return torch.einsum("ncv,vc->nv", seen[..., 0], self.feature) + self.bias


def _build_pool(layout: Layout, positions: torch.Tensor, n_targets: int) -> nn.Module:
    return GaussianPool(positions, layout.n_features, n_targets)


def _build_sample(layout: Layout, positions: torch.Tensor, n_targets: int) -> nn.Module:
    if layout.grid is None:
        raise SchemaError(
            f"X: expected tokens that fill a grid row by row, got {layout.n_tokens} tokens that do "
            "not. Leave out class tokens, or use how='pool'."
        )
    return GaussianSample(positions, layout.grid, layout.n_features, n_targets)


HOWS = {"pool": _build_pool, "sample": _build_sample}


class GaussianReadout(TokenReadout):
    """One Gaussian over space times weights over features, for each neuroid.

    Parameters
    ----------
    how : {"pool", "sample"}
        ``pool`` averages tokens under the Gaussian: its spread is that of the receptive field.
        ``sample`` reads one interpolated point, drawn from the Gaussian while training and its
        centre afterwards; its spread is the uncertainty of the place, and falls as it is found.
        It needs tokens that fill a grid.
    core : torch.nn.Module or callable, optional
        A net over images (n, feature, row, column), trained together with the readout: the tokens
        are its pixels, and the readout sees its map. A module is copied and draws its weights
        anew for each net; a callable, given the number of features, returns a module that keeps
        the weights it has. See `SmallCore`.
    plan : TrainingPlan, optional
        How the net is trained; by default 100 epochs of AdamW with a cosine schedule, stopped
        when 20 checks bring nothing.
    loss : {"mse", "mse_concordance"}
        Squared error over the responses that exist; with the second, one minus the concordance
        of the batch is added.
    validation : float
        Share of the stimuli held out to choose the epoch and to score against ridge; 0 for none.
    n_ensemble : int
        Nets from different starts whose predictions are averaged.
    baseline : bool
        Fit ``Ridge`` on the same tokens, flattened, and score it on the same held-out rows; of
        a store of more than 4 GB, say that this was left out.
    checkpoint : path, optional
        Folder from which a killed fit continues.
    device : str
        "cpu", "cuda", "mps" or "auto".
    seed : int
    progress : bool
        Show a bar, and at the end the held-out scores of the readout and of ridge.

    Attributes
    ----------
    center_, spread_ : DataArray (neuroid[, time], axis)
        ``row`` and ``column`` of the middle and standard deviation, in units of the coords of the
        tokens; mean of the ensemble.
    maps_ : DataArray (neuroid[, time], token)
        The Gaussians on the tokens, summing to one.
    validation_score_, baseline_score_ : float or array (neuroid[, time])
        Pearson correlation on the held-out rows; NaN without them.
    modules_ : list of torch.nn.Module
    history_ : list of TrainingHistory

    References
    ----------
    St-Yves & Naselaris (2018), NeuroImage 180, doi:10.1016/j.neuroimage.2017.06.035 (pool).
    Lurz et al. (2021), ICLR, bioRxiv 2020.10.05.326256, section 3.2 (sample).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders.readouts import GaussianReadout, TrainingPlan
    >>> rng = np.random.default_rng(0)
    >>> tokens = rng.normal(size=(200, 25, 3))
    >>> responses = tokens[:, 7] @ rng.normal(size=(3, 2))
    >>> plan = TrainingPlan(epochs=60, learning_rate=0.03)
    >>> readout = GaussianReadout(plan=plan, baseline=False).fit(tokens, responses)
    >>> readout.center_.round().values.tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(
        self,
        *,
        how: str = "pool",
        core: Any = None,
        plan: TrainingPlan | None = None,
        loss: str = "mse",
        validation: float = 0.1,
        n_ensemble: int = 1,
        baseline: bool = True,
        checkpoint: Any = None,
        device: str = "cpu",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.how = how
        self.core = core
        self.plan = plan
        self.loss = loss
        self.validation = validation
        self.n_ensemble = n_ensemble
        self.baseline = baseline
        self.checkpoint = checkpoint
        self.device = device
        self.seed = seed
        self.progress = progress

    def _build(self, layout: Layout, targets: Any, n_targets: int) -> nn.Module:
        positions = torch.from_numpy(layout.positions).float()
        return choose(HOWS, self.how, "how")(layout, positions, n_targets)

    def _average(self, name: str) -> Any:
        check_is_fitted(self)
        parts = [getattr(module.inner, name) for module in self.modules_]
        values = [(part() if callable(part) else part).detach().cpu().numpy() for part in parts]
        return np.mean(values, axis=0)

    def _in_rows(self, values: Any, shift: bool) -> xr.DataArray:
        """From (target, [x, y]) of -1 to 1 to row and column."""
        places = self._field.places
        low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
        scaled = values[:, ::-1] * (high - low) / 2 + (shift * (high + low) / 2)
        dims = (*TARGET_DIMS[: len(self._shape)], "axis")
        return label_values(self, scaled, dims).assign_coords(axis=["row", "column"])

    @property
    def center_(self) -> xr.DataArray:
        """Middle of each Gaussian: (neuroid[, time], axis)."""
        return self._in_rows(self._average("center"), shift=True)

    @property
    def spread_(self) -> xr.DataArray:
        """Standard deviation of each Gaussian: (neuroid[, time], axis)."""
        return self._in_rows(self._average("spread"), shift=False)

    @property
    def maps_(self) -> xr.DataArray:
        """Weights of the tokens: (neuroid[, time], token)."""
        return label_tokens(self, self._average("maps"))
