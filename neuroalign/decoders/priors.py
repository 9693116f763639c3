"""A diffusion prior: samples of the embeddings that a decoded embedding may have come from."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import unwrap
from neuroalign._device import list_cuda, resolve_device
from neuroalign._training import TrainingPlan
from neuroalign.decoders._backbone import AT_ONCE, measure_columns, split_decay
from neuroalign.decoders._denoiser import DENOISERS, Diffusion
from neuroalign.decoders._patterns import flatten_responses
from neuroalign.decoders._repeats import number_repeats, read_names
from neuroalign.encoders._labelled import LabelledRegressor
from neuroalign.encoders.readouts._members import (
    check_counts,
    hold_out_rows,
    key_fit,
    train_members,
)
from neuroalign.errors import choose, require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
DEFAULT_PLAN = TrainingPlan(
    epochs=100, batch_size=64, learning_rate=2e-3, weight_decay=1e-2, schedule="cosine", clip=1.0
)
# Times that held-out rows are noised for one score.
CHECKS = 8


class DiffusionPrior(LabelledRegressor):
    """Embeddings given decoded ones, by a diffusion that predicts the clean embedding.

    Parameters
    ----------
    n_steps : int
        Of noise.
    denoiser : {"mlp", "transformer"}
        A residual perceptron, or the transformer of the paper, which sees tokens.
    width, depth : int
        Of the denoiser; the width of a transformer is a multiple of 4.
    drop : float
        Share of conditions hidden in training, which `sample` needs for guidance.
    guidance : float
        1 samples the conditional distribution; above, samples are drawn towards the condition and
        vary less than they should.
    n_draws : int
        Samples that `predict` averages.
    plan : TrainingPlan, optional
        By default 100 epochs of batches of 64 with a cosine schedule.
    validation : float
        Share of the stimuli held out to choose the epoch; 0 for none.
    checkpoint : path, optional
        Folder from which a killed fit continues.
    device : str
        "cpu", "cuda", "mps" or "auto".
    seed : int
    progress : bool

    Attributes
    ----------
    modules_ : list of torch.nn.Module
        One.
    history_ : list of TrainingHistory

    Notes
    -----
    Embeddings are centred and scaled to a mean square of 1 in each feature on average: those of
    unit length are multiplied by the root of their size, as in the paper. A normal distribution of
    that variance is what the net starts from; what it learns is the rest.

    Samples vary a little less than they should: with an exact net and 100 steps by 4 to 10 % of
    the variance, with 1000 by 1 %. A net that was trained too little errs more, either way.

    References
    ----------
    Ramesh et al. (2022), arXiv:2204.06125, section 2.2; Scotti et al. (2023), NeurIPS 36,
    arXiv:2305.18274, section 2.3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(size=(60, 4))
    >>> decoded = true + rng.normal(size=true.shape)
    >>> prior = DiffusionPrior(n_steps=5, width=16, plan=TrainingPlan(epochs=2))
    >>> prior.fit(decoded, true).sample(decoded[:3], n_draws=7).shape
    (3, 7, 4)
    """

    def __init__(
        self,
        *,
        n_steps: int = 100,
        denoiser: str = "mlp",
        width: int = 256,
        depth: int = 2,
        drop: float = 0.2,
        guidance: float = 1.0,
        n_draws: int = 16,
        plan: TrainingPlan | None = None,
        validation: float = 0.1,
        checkpoint: Any = None,
        device: str = "cpu",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.n_steps = n_steps
        self.denoiser = denoiser
        self.width = width
        self.depth = depth
        self.drop = drop
        self.guidance = guidance
        self.n_draws = n_draws
        self.plan = plan
        self.validation = validation
        self.checkpoint = checkpoint
        self.device = device
        self.seed = seed
        self.progress = progress

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Learn which embeddings go with which decoded ones.

        Parameters
        ----------
        X : DataArray or array (sample, feature) or (sample, token, feature)
            Decoded embeddings, or responses: of training stimuli that the decoder has not seen,
            where there are enough.
        y : DataArray or array (sample, feature) or (sample, token, feature)
        groups : sequence (sample,), optional
            Stimuli that meet in a group stay on one side when some are held out.

        Returns
        -------
        DiffusionPrior

        Raises
        ------
        AlignError, SchemaError
            When rows of X and y name other stimuli; on other dims.
        ValueError
            On NaN or infinity, and options out of range.
        FitError
            When the loss stops being finite.
        """
        choose(DENOISERS, self.denoiser, "denoiser")
        check_counts(self, "n_steps", "width", "depth", "n_draws")
        if self.denoiser == "transformer" and self.width % 4:
            raise ValueError(
                f"width: expected a multiple of 4 for the heads, got {self.width}. Use 64."
            )
        if not 0 <= self.drop < 1:
            raise ValueError(f"drop: expected a share from 0 to below 1, got {self.drop}. Use 0.2.")
        self._check_guidance(self.guidance)
        wide = isinstance(X, np.ndarray | xr.DataArray) and X.ndim == 3
        self._tokens_given = X.shape[1:] if wide else None
        self._names = read_names(X)
        super().fit(flatten_responses(X), y, groups=groups)
        del self._names, self._tokens_given
        return self

    def _check_guidance(self, guidance: float) -> None:
        if guidance < 0:
            raise ValueError(f"guidance: expected 0 or more, got {guidance}. 1 is none.")
        if guidance != 1 and self.drop == 0:
            raise ValueError(
                f"guidance: expected 1 for a prior with drop 0, which never saw what it is like "
                f"without a condition, got {guidance}. Fit with drop above 0."
            )

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        codes = np.arange(len(Y)) if self._names is None else number_repeats(self._names, Y)
        train, held = hold_out_rows(codes, groups, self.validation, self.seed)
        self._middle = Y[train].mean(axis=0, dtype=np.float64)
        self._given = self._tokens_given or (1, X.shape[1])
        self._size = float(np.sqrt(((Y[train] - self._middle) ** 2).mean())) or 1.0
        # A row without tokens is one token, and one without features one feature.
        self._tokens = ((1, 1, *self._shape)[-2], (1, *self._shape)[-1])
        wanted = ((Y - self._middle) / self._size).astype(np.float32).reshape(-1, *self._tokens)
        given = X.astype(np.float32).reshape(-1, *self._given)
        device = resolve_device(self.device)
        on_device = [torch.from_numpy(part).to(device) for part in (wanted, given)]
        scale = [part.reshape(self._given) for part in measure_columns(X[train])]

        def read(rows: Array) -> list[torch.Tensor]:
            return [part[torch.from_numpy(rows).to(device)] for part in on_device]

        def validate(module: Any) -> float:
            # The same steps and noise at each check, or the best epoch would be the luckiest.
            with torch.random.fork_rng(devices=list_cuda(device)):
                torch.manual_seed(self.seed)
                parts = read(held)
                return -sum(float(module.lose(*parts, 0.0)) for _ in range(CHECKS)) / CHECKS

        plan = DEFAULT_PLAN if self.plan is None else self.plan
        self.modules_, self.history_ = train_members(
            lambda: self._build(*scale),
            lambda module, batch: module.lose(*batch, self.drop),
            lambda rows: read(train[rows]),
            len(train),
            n_members=1,
            plan=plan,
            seed=self.seed,
            validate=validate if len(held) else None,
            parameter_groups=lambda module: split_decay(module, plan.weight_decay),
            checkpoint=self.checkpoint,
            data_key="" if self.checkpoint is None else key_fit(self, given, wanted, train),
            device=self.device,
            progress=self.progress,
        )

    def _build(self, mean: Array, deviation: Array) -> Diffusion:
        net = DENOISERS[self.denoiser](*self._tokens, self._given, self.width, self.depth)
        return Diffusion(net, self.n_steps, mean, deviation)

    def sample(
        self, X: Any, *, n_draws: int = 1, guidance: float | None = None, seed: int | None = None
    ) -> Any:
        """Draw embeddings for each decoded one.

        Parameters
        ----------
        X : DataArray or array (sample, feature) or (sample, token, feature)
        n_draws : int
        guidance : float, optional
            None: that of the prior.
        seed : int, optional
            None: that of the prior. The same gives the same samples.

        Returns
        -------
        array or DataArray (sample, draw, feature) or (sample, draw, token, feature)
            In units of the embeddings. A DataArray when X is one.

        Raises
        ------
        AlignError
            When features stand in another order than in training.
        ValueError
            With fewer than one draw.
        """
        if n_draws < 1:
            raise ValueError(f"n_draws: expected at least 1, got {n_draws}. Ask for one.")
        self._check_guidance(self.guidance if guidance is None else guidance)
        values = self._check_new(flatten_responses(X))
        drawn = self._draw(
            values, n_draws, self.guidance if guidance is None else guidance,
            self.seed if seed is None else seed,
        )  # fmt: skip
        drawn = drawn.reshape(len(values), n_draws, *self._shape).astype(values.dtype)
        if unwrap(X)[1] is None:
            return drawn
        first = self._label(drawn[:, 0], flatten_responses(X))
        dims = (first.dims[0], "draw", *first.dims[1:])
        return xr.DataArray(drawn, dims=dims, coords=first.coords)

    def _draw(
        self, X: Array, n_draws: int, guidance: float, seed: int, *, shared: bool = False
    ) -> Array:
        """Draw (sample, draw, target); ``shared`` gives the same noise to all rows."""
        device = resolve_device(self.device)
        module = self.modules_[0].to(device).eval()
        generator = torch.Generator().manual_seed(seed)
        at_once = max(1, AT_ONCE // n_draws)
        parts = []
        with torch.no_grad():
            for start in range(0, len(X), at_once):
                rows = np.repeat(X[start : start + at_once].astype(np.float32), n_draws, axis=0)
                given = torch.from_numpy(rows.reshape(-1, *self._given)).to(device)
                if shared:
                    generator.manual_seed(seed)

                def draw(n: int) -> torch.Tensor:
                    # On the CPU, where every device draws the same.
                    fresh = n_draws if shared else n
                    noise = torch.randn(fresh, *self._tokens, generator=generator)
                    return noise.repeat(n // fresh, 1, 1)

                parts.append(module.sample(given, guidance, draw).cpu().numpy())
        flat = np.concatenate(parts).reshape(len(X), n_draws, -1)
        return np.asarray(flat * self._size + self._middle)

    def _predict_arrays(self, X: Array) -> Array:
        # What is predicted of a row must not depend on the rows beside it.
        drawn = self._draw(X, self.n_draws, self.guidance, self.seed, shared=True)
        return np.asarray(drawn.mean(axis=1).astype(X.dtype))

    def predict(self, X: Any) -> Any:
        """Predict embeddings: the mean of ``n_draws`` samples, of the same noise for each row.

        Parameters
        ----------
        X : DataArray or array (sample, feature) or (sample, token, feature)

        Returns
        -------
        array or DataArray (sample, feature) or (sample, token, feature)

        Raises
        ------
        AlignError
            When features stand in another order than in training.
        """
        return super().predict(flatten_responses(X))
