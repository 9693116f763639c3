"""The semantic spatial transformer: where a neuroid looks moves with what the image shows."""

from typing import Any

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import wrap_samples
from neuroalign._training import TrainingPlan
from neuroalign.encoders.readouts._tokens import Layout
from neuroalign.encoders.readouts._warps import MOVED, WarpedMap
from neuroalign.encoders.readouts.factorized import FactorizedReadout
from neuroalign.errors import SchemaError, choose, require

try:
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise


class SemanticSpatialTransformer(FactorizedReadout):
    """A map over space times weights over features, both moved by affines read from the image.

    A small net sums up each image and gives one affine for the map of each neuroid and one for
    each feature. It starts at no change at all, as `FactorizedReadout`.

    Parameters
    ----------
    warp : {"affine", "translation", "rotation", "scale", "shear"}
        What the affines may do; several joined by "+", as in ``"translation+scale"``, act one
        after the other.
    moved : {"both", "maps", "features"}
        What is moved. With ``both``, as published, a step of a map to the right and one of the
        features to the left predict the same: choose ``maps`` to read places from `warp_maps`.
    warp_rate : float
        Learning rate of the affines alone: steps that suit weights throw maps out of the image.
    core : torch.nn.Module or callable, optional
        A net over images (n, feature, row, column), trained together with the readout: the tokens
        are its pixels, and the readout sees its map. A module is copied and draws its weights
        anew for each net; a callable, given the number of features, returns a module that keeps
        the weights it has. See `SmallCore`.
    plan : TrainingPlan, optional
        How the net is trained; by default 100 epochs of AdamW with a cosine schedule, stopped
        when 20 checks bring nothing.
    loss : {"mse", "mse_concordance"}
        Squared error over the responses that exist; with the second, as published, one minus the
        concordance of the batch is added.
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
        The maps before they are moved; see `warp_maps`. Unit length, with ``row`` and ``column``.
    feature_weights_ : DataArray (neuroid[, time], feature)
        What each neuroid looks for, in z-scored units.
    validation_score_, baseline_score_ : float or array (neuroid[, time])
        Pearson correlation on the held-out rows; NaN without them.
    modules_ : list of torch.nn.Module
    history_ : list of TrainingHistory

    Notes
    -----
    Memory grows with images of a batch x neuroids x tokens: choose ``plan.batch_size`` by it. The
    published net sums up the image with a ResNet of its own; here the tokens are the summary's
    input, through four channels of at most 7 x 7 places.

    References
    ----------
    Saha, Chadha & Khosla (2024), arXiv:2410.14031, section 3.
    Jaderberg et al. (2015), NeurIPS 28, arXiv:1506.02025, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders.readouts import SemanticSpatialTransformer, TrainingPlan
    >>> rng = np.random.default_rng(0)
    >>> tokens = rng.normal(size=(60, 9, 3))
    >>> responses = tokens[:, 4] @ rng.normal(size=(3, 2))
    >>> plan = TrainingPlan(epochs=30, learning_rate=0.03)
    >>> readout = SemanticSpatialTransformer(warp="translation", plan=plan, baseline=False)
    >>> readout.fit(tokens, responses).warp_maps(tokens[:5]).sizes
    Frozen({'sample': 5, 'neuroid': 2, 'token': 9})
    """

    def __init__(
        self,
        *,
        warp: str = "affine",
        moved: str = "both",
        warp_rate: float = 5e-4,
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
        super().__init__(
            core=core,
            plan=plan,
            loss=loss,
            validation=validation,
            n_ensemble=n_ensemble,
            baseline=baseline,
            checkpoint=checkpoint,
            device=device,
            seed=seed,
            progress=progress,
        )
        self.warp = warp
        self.moved = moved
        self.warp_rate = warp_rate

    def _build(self, layout: Layout, targets: Any, n_targets: int) -> nn.Module:
        if layout.grid is None:
            raise SchemaError(
                f"X: expected tokens that fill a grid row by row, got {layout.n_tokens} tokens "
                "that do not. Leave out class tokens, or use FactorizedReadout."
            )
        moved = choose(MOVED, self.moved, "moved")
        return WarpedMap(layout.grid, layout.n_features, n_targets, self.warp, moved)

    def _group_parameters(self, module: Any) -> list[dict[str, Any]]:
        own = [module.place, module.feature, module.bias]
        known = {id(parameter) for parameter in own}
        warps = [parameter for parameter in module.parameters() if id(parameter) not in known]
        return [{"params": own}, {"params": warps, "lr": self.warp_rate}]

    def warp_maps(self, X: Any) -> xr.DataArray:
        """Show where each neuroid looks in each stimulus.

        Parameters
        ----------
        X : DataArray or array (sample, token, feature)

        Returns
        -------
        DataArray (sample, neuroid[, time], token)
            Maps as moved by the affines of their stimulus, mean over the ensemble.

        Raises
        ------
        SchemaError
            When tokens lie elsewhere than in training.
        """
        check_is_fitted(self)
        flat = self._apply(
            X, lambda module, tokens: module.inner.warped_maps(module.prepare(tokens))
        )
        template = self.maps_.expand_dims("sample")[:0]
        inputs = X if isinstance(X, xr.DataArray) else xr.DataArray(np.empty(len(X)), dims="sample")
        return wrap_samples(flat.reshape(len(flat), *template.shape[1:]), inputs, template)
