"""The brain transformer: every region asks the tokens its own question."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import wrap_samples
from neuroalign._training import TrainingPlan
from neuroalign.encoders.readouts._attention import QueryDecoder, encode_positions
from neuroalign.encoders.readouts._base import TokenReadout, as_array
from neuroalign.encoders.readouts._tokens import Layout
from neuroalign.errors import choose, require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

# Stimuli routed at once, for the mean over all.
AT_ONCE = 1024
Names = npt.NDArray[np.str_]


def _read_names(targets: Any, key: str, n_neuroids: int) -> Names:
    """A coord of neuroids as text; empty where there is none."""
    if targets is None or key not in targets.coords or targets[key].dims != ("neuroid",):
        return np.full(n_neuroids, "")
    return np.asarray(targets[key].values).astype(str)


def _name_regions(targets: Any, n_neuroids: int) -> Names:
    parts = [_read_names(targets, key, n_neuroids) for key in ("hemisphere", "roi")]
    return np.char.strip(np.char.add(np.char.add(parts[0], " "), parts[1]))


def _name_neuroids(targets: Any, n_neuroids: int) -> Names:
    names = _read_names(targets, "neuroid", n_neuroids)
    return names if (names != "").any() else np.arange(n_neuroids).astype(str)


def _name_hemispheres(targets: Any, n_neuroids: int) -> Names:
    return _read_names(targets, "hemisphere", n_neuroids)


# What shares a query -> the name of the query of each neuroid.
QUERIES: dict[str, Callable[[Any, int], Names]] = {
    "roi": _name_regions,
    "neuroid": _name_neuroids,
    "hemisphere": _name_hemispheres,
}


class BrainTransformer(TokenReadout):
    """Regions ask the tokens of an image where to look, then each neuroid reads what was found.

    Where a region looks depends on what the image shows: a query learnt for the region is compared
    with every token, content and place, and takes the tokens that answer, wherever they are.
    Tokens may also be words: give ``column`` as the place of a word and ``row`` as 0. Where texts
    differ in length, pad them with zeros, and say so by a bool coord ``valid`` of (sample, token)
    that is False for padding: nothing looks there.

    Parameters
    ----------
    queries : {"roi", "neuroid", "hemisphere"}
        One query for each hemisphere and ``roi`` of the responses, each neuroid, or each
        hemisphere. Neuroids without those labels share one query.
    width : int or None
        Features are mapped to this many; None takes them as they are.
    n_heads : int
        Heads of attention; they divide the width.
    n_layers : int
        Layers of the decoder.
    hidden : int, optional
        Units of the net after the attention; by default twice the width.
    dropout : float
        Share of weights of attention and of units set to zero in training.
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
    routing_ : DataArray (query, token)
        Where each query looks, mean over the stimuli of training; see `route`.
    validation_score_, baseline_score_ : float or array (neuroid[, time])
        Pearson correlation on the held-out rows; NaN without them.
    modules_ : list of torch.nn.Module
    history_ : list of TrainingHistory

    References
    ----------
    Adeli, Sun & Kriegeskorte (2025), NeurIPS, arXiv:2505.17329, section 3: queries without
    attention among each other, positions on keys alone, normalisation before each step.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders.readouts import BrainTransformer, TrainingPlan
    >>> rng = np.random.default_rng(0)
    >>> tokens = rng.normal(size=(300, 9, 4))
    >>> responses = tokens[:, 4] @ rng.normal(size=(4, 2))
    >>> plan = TrainingPlan(epochs=20, learning_rate=5e-3)
    >>> readout = BrainTransformer(width=16, plan=plan, baseline=False).fit(tokens, responses)
    >>> readout.routing_.argmax("token").values.tolist()
    [4]
    """

    def __init__(
        self,
        *,
        queries: str = "roi",
        width: int | None = 64,
        n_heads: int = 4,
        n_layers: int = 1,
        hidden: int | None = None,
        dropout: float = 0.1,
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
        self.queries = queries
        self.width = width
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.hidden = hidden
        self.dropout = dropout
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
        n_neuroids = self._shape[0] if self._shape else 1
        names = choose(QUERIES, self.queries, "queries")(targets, n_neuroids)
        self._names, member = _number_names(names)
        width = layout.n_features if self.width is None else self.width
        if self.n_heads < 1 or width % self.n_heads:
            raise ValueError(
                f"n_heads: expected a divisor of the width {width}, got {self.n_heads}. Set "
                "width, or other heads."
            )
        if self.n_layers < 1:
            raise ValueError(
                f"n_layers: expected at least 1, got {self.n_layers}. One is the published net."
            )
        return QueryDecoder(
            encode_positions(layout.positions, width),
            layout.n_features,
            torch.from_numpy(np.repeat(member, n_targets // n_neuroids)),
            project=self.width is not None,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            hidden=2 * width if self.hidden is None else self.hidden,
            dropout=self.dropout,
        )

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Fit to responses; as every readout does (`FactorizedReadout.fit`).

        Parameters
        ----------
        X : DataArray or array (sample, token, feature) or (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        groups : sequence (sample,), optional
            Rows of one group stay on one side when stimuli are held out.

        Returns
        -------
        The readout itself.

        Raises
        ------
        ValueError
            When heads do not divide the width, and where the base raises.
        """
        super().fit(X, y, groups=groups)
        X = as_array(X)
        n = len(X)
        parts = (self.route(X[start : start + AT_ONCE]) for start in range(0, n, AT_ONCE))
        self.routing_ = sum(part.sum("sample") for part in parts) / n
        return self

    def route(self, X: Any) -> xr.DataArray:
        """Show where each query looks in each stimulus.

        Parameters
        ----------
        X : DataArray or array (sample, token, feature)

        Returns
        -------
        DataArray (sample, query, token)
            Attention of the last layer, mean over heads and over the ensemble; each query's sums
            to one. ``query`` names regions as ``"L V1"``; ``row`` and ``column`` are on token.

        Raises
        ------
        SchemaError
            When tokens lie elsewhere than in training.
        """
        check_is_fitted(self)
        values = self._apply(X, lambda module, tokens: module.inner.route(module.prepare(tokens)))
        template = xr.DataArray(
            np.empty((0, *values.shape[1:])),
            dims=("sample", "query", "token"),
            coords={
                "query": self._names,
                "row": ("token", self._field.places[:, 0]),
                "column": ("token", self._field.places[:, 1]),
            },
        )
        inputs = X if isinstance(X, xr.DataArray) else xr.DataArray(np.empty(len(X)), dims="sample")
        return wrap_samples(values, inputs, template)


def _number_names(names: Names) -> tuple[Names, npt.NDArray[np.int64]]:
    """Names as they first appear, and the number of each neuroid's."""
    known, first, member = np.unique(names, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return known[np.argsort(first)], rank[member]
