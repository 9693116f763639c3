"""From responses to embeddings by contrast: decoders that tell stimuli apart."""

import warnings
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign._device import resolve_device
from neuroalign._training import TrainingPlan, cut_batches
from neuroalign.decoders._backbone import (
    EmbeddingNet,
    Projector,
    ResidualPerceptron,
    ZScore,
    measure_columns,
    run_rows,
    split_decay,
)
from neuroalign.decoders._contrastive import Contrast, check_contrast
from neuroalign.decoders._identification import rank_reciprocally
from neuroalign.decoders._patterns import flatten_responses
from neuroalign.decoders._repeats import Repeats, number_repeats, read_names
from neuroalign.decoders.identification import identify
from neuroalign.encoders._labelled import LabelledRegressor
from neuroalign.encoders.readouts._members import check_counts, hold_out, key_fit, train_members
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import NeuroalignWarning, require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
DEFAULT_PLAN = TrainingPlan(
    epochs=60, batch_size=64, learning_rate=1e-3, weight_decay=1e-2, schedule="cosine"
)
# Epochs over which the learning rate rises.
WARMUP = 2
# Ridge is named when it retrieves more by this share.
MARGIN = 0.02


class EmbeddingDecoder(LabelledRegressor):
    """A residual perceptron from responses to embeddings, trained to tell stimuli apart.

    Parameters
    ----------
    hidden, n_blocks : int
        Width of the perceptron, and its residual blocks. The paper has 4096 and 4.
    dropout : tuple of float
        After the first layer, and in the blocks.
    projection : int
        Width of the head for retrieval.
    mixing : float
        Share of the epochs, the first ones, in which inputs are mixed in pairs (BiMixCo); the
        rest have soft targets (SoftCLIP).
    beta, mix_probability : float
        Of the shares of a mixture, and of a row to be mixed.
    temperature : float
        Divides cosines in BiMixCo. The paper's 0.006, and (0.004, 0.0075) below, are for
        embeddings that all resemble each other; here their mean is taken away first.
    soft_temperature : tuple of float
        The same in SoftCLIP, from its first step to its last.
    regression : float
        Weight of the mean squared error of `predict`; targets have variance 1 on average.
    plan : TrainingPlan, optional
        By default 60 epochs of batches of 64, learning rate 1e-3 with a cosine schedule, weight
        decay 0.01. Offsets and layer norms never decay.
    validation : float
        Share of the stimuli held out to choose the epoch and to score against ridge; 0 for none.
    n_ensemble : int
        Nets from different starts whose outputs are averaged.
    baseline : bool
        Fit ``Ridge`` from the same responses, averaged over repeats, to the same embeddings.
    checkpoint : path, optional
        Folder from which a killed fit continues.
    device : str
        "cpu", "cuda", "mps" or "auto".
    seed : int
    progress : bool
        Show a bar, and at the end the held-out scores of the net and of ridge.

    Attributes
    ----------
    mean_ : array (feature,) or (token, feature)
        Of the embeddings of the training stimuli; cosines are of what differs from it.
    baseline_ : Ridge, or None
        From (sample, neuroid) to (sample, feature), tokens joined.
    validation_score_, baseline_score_ : float
        Mean reciprocal rank of held-out stimuli among each other, mean of both directions; NaN
        without them.
    modules_ : list of torch.nn.Module
    history_ : list of TrainingHistory

    Warns
    -----
    NeuroalignWarning
        When ridge and cosines retrieve held-out stimuli better.

    Notes
    -----
    Rows of one stimulus (by coord ``stimulus``; of plain arrays by equal embeddings) are repeats:
    a step of training sees one of them, drawn at random, and they are averaged where held-out
    stimuli are scored, for ridge, and in `identify`. `predict` decodes each row as it is: give it
    averages (`align.average_repeats`) where there are repeats.

    References
    ----------
    Scotti et al. (2023), NeurIPS 36, arXiv:2305.18274, sections 2.2 to 2.4.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> embeddings = rng.normal(size=(80, 6))
    >>> responses = embeddings @ rng.normal(size=(6, 20)) + rng.normal(size=(80, 20))
    >>> plan = TrainingPlan(epochs=5, batch_size=16)
    >>> decoder = EmbeddingDecoder(hidden=32, projection=32, plan=plan, validation=0.0)
    >>> decoder.fit(responses, embeddings).predict(responses).shape
    (80, 6)
    """

    def __init__(
        self,
        *,
        hidden: int = 512,
        n_blocks: int = 4,
        dropout: tuple[float, float] = (0.5, 0.15),
        projection: int = 512,
        mixing: float = 1 / 3,
        beta: float = 0.15,
        mix_probability: float = 0.5,
        temperature: float = 0.05,
        soft_temperature: tuple[float, float] = (0.03, 0.06),
        regression: float = 1.0,
        plan: TrainingPlan | None = None,
        validation: float = 0.1,
        n_ensemble: int = 1,
        baseline: bool = True,
        checkpoint: Any = None,
        device: str = "cpu",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.hidden = hidden
        self.n_blocks = n_blocks
        self.dropout = dropout
        self.projection = projection
        self.mixing = mixing
        self.beta = beta
        self.mix_probability = mix_probability
        self.temperature = temperature
        self.soft_temperature = soft_temperature
        self.regression = regression
        self.plan = plan
        self.validation = validation
        self.n_ensemble = n_ensemble
        self.baseline = baseline
        self.checkpoint = checkpoint
        self.device = device
        self.seed = seed
        self.progress = progress

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Train on responses and the embeddings of what was shown.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid) or (sample, neuroid, time)
            Responses; times are further columns.
        y : DataArray or array (sample,), (sample, feature) or (sample, token, feature)
            The same row for each repeat of a stimulus.
        groups : sequence (sample,), optional
            Stimuli that meet in a group stay on one side when some are held out.

        Returns
        -------
        EmbeddingDecoder

        Raises
        ------
        AlignError, SchemaError
            When rows of X and y name other stimuli; on dims that are not those above.
        ValueError
            On NaN or infinity, stimuli with several embeddings, and numbers out of range.
        FitError
            When the loss stops being finite.
        """
        check_counts(self, "hidden", "projection", "n_ensemble")
        check_contrast(self)
        self._names = read_names(X)
        super().fit(flatten_responses(X), y, groups=groups)
        del self._names
        return self

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        codes = number_repeats(self._names, Y)
        train, held = hold_out(codes, groups, self.validation, self.seed)
        repeats = Repeats(codes)
        embeddings, means = Y[repeats.first], repeats.average(X)
        self._middle = embeddings[train].mean(axis=0, dtype=np.float64)
        deviations = embeddings - self._middle
        self._size = float(np.sqrt((deviations[train] ** 2).mean())) or 1.0
        self.mean_ = self._middle.reshape(self._shape)
        wanted = (deviations / self._size).astype(np.float32)
        device = resolve_device(self.device)
        responses = torch.from_numpy(X.astype(np.float32)).to(device)
        aims = torch.from_numpy(wanted).to(device)
        rows = np.isin(codes, train)
        scale = measure_columns(X[rows])

        def read(indices: Array) -> tuple[torch.Tensor, torch.Tensor]:
            units = train[indices]
            chosen = torch.from_numpy(repeats.draw(units)).to(device)
            return responses[chosen], aims[torch.from_numpy(units).to(device)]

        def validate(module: Any) -> float:
            head = run_rows(lambda part: module.decode(part)[1], means[held], device)
            return rank_reciprocally(head, wanted[held])

        plan = self._read_plan(len(train))
        self.modules_, self.history_ = train_members(
            lambda: self._build(X.shape[1], Y.shape[1], scale),
            self._make_contrast(plan, len(train)).lose,
            read,
            len(train),
            n_members=self.n_ensemble,
            plan=plan,
            seed=self.seed,
            validate=validate if len(held) > 2 else None,
            parameter_groups=lambda module: split_decay(module, plan.weight_decay),
            checkpoint=self.checkpoint,
            data_key="" if self.checkpoint is None else key_fit(self, X, wanted, codes, train),
            device=self.device,
            progress=self.progress,
        )
        self._judge(means, embeddings, wanted, train, held)

    def _read_plan(self, n: int) -> TrainingPlan:
        if self.plan is not None:
            return self.plan
        warmup = WARMUP * _count_batches(n, DEFAULT_PLAN.batch_size)
        return replace(DEFAULT_PLAN, warmup=warmup)

    def _build(self, n_in: int, n_out: int, scale: tuple[Array, Array]) -> EmbeddingNet:
        backbone = ResidualPerceptron(n_in, n_out, self.hidden, self.n_blocks, self.dropout)
        width = self._shape[-1] if self._shape else 1
        projector = Projector(width, self.projection)
        return EmbeddingNet(ZScore(*scale), backbone, projector, width)

    def _make_contrast(self, plan: TrainingPlan, n: int) -> Contrast:
        steps = plan.epochs * _count_batches(n, plan.batch_size)
        return Contrast(
            steps, round(self.mixing * steps), self.beta, self.mix_probability, self.temperature,
            self.soft_temperature, self.regression,
        )  # fmt: skip

    def _judge(
        self, means: Array, embeddings: Array, wanted: Array, train: Array, held: Array
    ) -> None:
        """Fit ridge beside, and score both on the held-out stimuli."""
        self.baseline_ = None
        self.validation_score_ = self.baseline_score_ = float("nan")
        if self.baseline and len(train) > 3:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NeuroalignWarning)
                self.baseline_ = Ridge(cv=min(5, len(train) // 2)).fit(
                    means[train], embeddings[train]
                )
        if len(held) < 3:
            return
        self.validation_score_ = rank_reciprocally(self._run(means[held], 1), wanted[held])
        text = f"held-out reciprocal rank {self.validation_score_:.3f}"
        if self.baseline_ is not None:
            guess = self.baseline_.predict(means[held]).reshape(len(held), -1) - self._middle
            self.baseline_score_ = rank_reciprocally(guess, wanted[held])
            text += f", ridge and cosine {self.baseline_score_:.3f}"
            if self.baseline_score_ > self.validation_score_ + MARGIN:
                warnings.warn(
                    "EmbeddingDecoder: expected to retrieve held-out stimuli as well as ridge and "
                    f"cosine, got a reciprocal rank of {self.validation_score_:.3f} against "
                    f"{self.baseline_score_:.3f}. Train longer, or use baseline_.",
                    NeuroalignWarning,
                    stacklevel=4,
                )
        if self.progress:
            tqdm.write(f"EmbeddingDecoder: {text} ({len(held)} stimuli)")

    def _run(self, X: Array, output: int) -> Array:
        """Average an output of the nets, 0 regressed or 1 for retrieval: (sample, target)."""
        device = resolve_device(self.device)
        parts = []
        for module in self.modules_:
            net = module.to(device).eval()
            found = run_rows(lambda rows, net=net: net.decode(rows)[output], X, device)  # type: ignore[misc]
            length = np.linalg.norm(found, axis=1, keepdims=True) if output else 1.0
            parts.append(found / np.maximum(length, 1e-12))
        return np.asarray(np.mean(parts, axis=0))

    def _predict_arrays(self, X: Array) -> Array:
        predicted: Array = self._run(X, 0) * self._size + self._middle
        return predicted.astype(X.dtype)

    def predict(self, X: Any) -> Any:
        """Predict embeddings in their own units, as a regression does.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid) or (sample, neuroid, time)

        Returns
        -------
        array or DataArray (sample,), (sample, feature) or (sample, token, feature)

        Raises
        ------
        AlignError
        """
        return super().predict(flatten_responses(X))

    def project(self, X: Any) -> Any:
        """Predict embeddings for retrieval: their direction from ``mean_``, at the usual length.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid) or (sample, neuroid, time)

        Returns
        -------
        array or DataArray (sample,), (sample, feature) or (sample, token, feature)
            For `identify` with ``center=decoder.mean_``.

        Raises
        ------
        AlignError
        """
        flat = flatten_responses(X)
        values = self._check_new(flat)
        usual = self._size * np.sqrt(self._middle.size)
        found = (self._run(values, 1) * usual + self._middle).astype(values.dtype)
        return self._label(found.reshape(len(values), *self._shape), flat)

    def identify(
        self,
        X: Any,
        y: Any,
        *,
        n_candidates: Any = None,
        top: Any = (1, 5),
        n_draws: int = 30,
        seed: int = 0,
    ) -> xr.Dataset:
        """Retrieve new stimuli, by the net and by ridge, from the average of their repeats.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid) or (sample, neuroid, time)
        y : DataArray or array (sample, feature) or (sample, token, feature)
        n_candidates, top, n_draws, seed
            See `neuroalign.decoders.identify`.

        Returns
        -------
        Dataset
            That of `identify` with a further first dim ``decoder``: "contrastive" and, where there
            is a baseline, "ridge". ``verdict`` names both.

        Raises
        ------
        ValueError
        """
        values = self._check_new(flatten_responses(X))
        true = np.asarray(y).reshape(len(values), -1)
        repeats = Repeats(number_repeats(read_names(X), true))
        means, true = repeats.average(values), true[repeats.first]
        guesses = {"contrastive": self._run(means, 1) + self._middle}
        if self.baseline_ is not None:
            guesses["ridge"] = self.baseline_.predict(means).reshape(len(means), -1)
        results = [
            identify(
                guess, true, n_candidates=n_candidates, top=top, n_draws=n_draws,
                center=self._middle, seed=seed,
            )
            for guess in guesses.values()
        ]  # fmt: skip
        said = [
            f"{name}: {one.attrs['verdict']}" for name, one in zip(guesses, results, strict=True)
        ]
        joined = xr.concat(results, dim="decoder", combine_attrs="drop_conflicts")
        joined["chance"] = results[0]["chance"]
        return joined.assign_coords(decoder=list(guesses)).assign_attrs(verdict=" ".join(said))


def _count_batches(n: int, batch_size: int | None) -> int:
    return len(list(cut_batches(np.arange(n), batch_size)))
