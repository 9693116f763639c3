"""The factorised readout: where a neuroid looks, times what it looks for."""

from typing import Any

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import TARGET_DIMS
from neuroalign._training import TrainingPlan
from neuroalign.encoders.readouts._base import TokenReadout, label_tokens, label_values
from neuroalign.encoders.readouts._tokens import Layout
from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

# Maps start flat and positive: a place at 0 has no gradient.
MAP_START = 1.0


class FactorizedMap(nn.Module):
    """``y_v = b_v + sum_c f_vc sum_k m_vk x_kc`` with ``m_v >= 0`` of unit length."""

    def __init__(self, n_tokens: int, n_features: int, n_targets: int) -> None:
        super().__init__()
        self.place = nn.Parameter(
            MAP_START + 0.1 * torch.randn(n_targets, n_tokens) if n_tokens > 1
            else torch.ones(n_targets, 1)
        )  # fmt: skip
        # Tokens of an image are alike: flat maps of unit length give the root of their number.
        size = (n_tokens * n_features) ** 0.5
        self.feature = nn.Parameter(torch.randn(n_targets, n_features) / size)
        self.bias = nn.Parameter(torch.zeros(n_targets))

    def maps(self) -> torch.Tensor:
        """Maps (target, token)."""
        place = self.place.relu()
        unit: torch.Tensor = place / place.norm(dim=1, keepdim=True).clamp(min=1e-8)
        return unit

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        # The smaller of the two products first.
        n_tokens, n_features = tokens.shape[1:]
        if n_tokens > n_features:
            seen = torch.einsum("nkc,vk->nvc", tokens, self.maps())
            return torch.einsum("nvc,vc->nv", seen, self.feature) + self.bias
        wanted = torch.einsum("nkc,vc->nvk", tokens, self.feature)
        return torch.einsum("nvk,vk->nv", wanted, self.maps()) + self.bias


class FactorizedReadout(TokenReadout):
    """A non-negative map over space times weights over features, for each neuroid.

    Parameters
    ----------
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
    maps_ : DataArray (neuroid[, time], token)
        Where each neuroid looks; unit length, with ``row`` and ``column``; mean of the ensemble.
    feature_weights_ : DataArray (neuroid[, time], feature)
        What it looks for, in z-scored units.
    validation_score_, baseline_score_ : float or array (neuroid[, time])
        Pearson correlation on the held-out rows; NaN without them.
    modules_ : list of torch.nn.Module
    history_ : list of TrainingHistory

    References
    ----------
    Klindt et al. (2017), NeurIPS 30, arXiv:1711.02653, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders.readouts import FactorizedReadout, TrainingPlan
    >>> rng = np.random.default_rng(0)
    >>> tokens = rng.normal(size=(60, 9, 3))
    >>> responses = tokens[:, 4] @ rng.normal(size=(3, 2))
    >>> plan = TrainingPlan(epochs=60, learning_rate=0.03)
    >>> readout = FactorizedReadout(plan=plan, baseline=False).fit(tokens, responses)
    >>> readout.maps_.argmax("token").values.tolist()
    [4, 4]
    """

    def __init__(
        self,
        *,
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
        return FactorizedMap(layout.n_tokens, layout.n_features, n_targets)

    @property
    def maps_(self) -> xr.DataArray:
        """Where each neuroid looks: (neuroid[, time], token)."""
        check_is_fitted(self)
        values = [module.inner.maps().detach().cpu().numpy() for module in self.modules_]
        return label_tokens(self, np.mean(values, axis=0))

    @property
    def feature_weights_(self) -> xr.DataArray:
        """What each neuroid looks for: (neuroid[, time], feature)."""
        check_is_fitted(self)
        values = [module.inner.feature.detach().cpu().numpy() for module in self.modules_]
        dims = (*TARGET_DIMS[: len(self._shape)], "feature")
        return label_values(self, np.mean(values, axis=0), dims)
