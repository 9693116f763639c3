"""What all readouts share: labels, held-out stimuli, training, ensembles, and ridge beside them."""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from tqdm import tqdm

from neuroalign._arrays import TARGET_DIMS, check_same_rows, flatten_targets, unwrap, wrap_samples
from neuroalign._device import resolve_device
from neuroalign._training import TrainingHistory
from neuroalign._training import TrainingPlan as TrainingPlan
from neuroalign.encoders._labelled import hide_missing, score_r2
from neuroalign.encoders.readouts._baseline import check_size, correlate, predict_by_ridge
from neuroalign.encoders.readouts._losses import LOSSES, squared_error
from neuroalign.encoders.readouts._members import (
    check_counts,
    hold_out_rows,
    key_fit,
    train_members,
)
from neuroalign.encoders.readouts._net import ScaledNet, apply_to_rows, build_core, group_core
from neuroalign.encoders.readouts._tokens import (
    Layout,
    TokenSource,
    check_layout,
    hash_tokens,
    measure_scale,
    read_layout,
)
from neuroalign.errors import NeuroalignWarning, choose, require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
FLOATS = [np.float64, np.float32]
DEFAULT_PLAN = TrainingPlan(epochs=100, learning_rate=1e-3, schedule="cosine", patience=20)
# Ridge is named when it is better by more than this, in mean correlation over neuroids.
MARGIN = 0.01


class TokenReadout(RegressorMixin, MultiOutputMixin, BaseEstimator):  # type: ignore[misc]
    """A readout writes ``_build``: a net from tokens (n, token, feature) to (n, target).

    The net sees z-scored features and predicts z-scored targets. Parameters that every readout
    has: ``core``, ``plan``, ``loss``, ``validation``, ``n_ensemble``, ``baseline``,
    ``checkpoint``, ``device``, ``seed``, ``progress``; see `FactorizedReadout`.
    """

    core: Any

    plan: TrainingPlan | None
    loss: str
    validation: float
    n_ensemble: int
    baseline: bool
    checkpoint: Any
    device: str
    seed: int
    progress: bool

    def _build(self, layout: Layout, targets: Any, n_targets: int) -> nn.Module:
        """Make the net; torch's generator is seeded. ``targets`` are labels, or None."""
        raise NotImplementedError

    def _group_parameters(self, module: nn.Module) -> list[dict[str, Any]]:
        """Groups for AdamW, where some parameters of what ``_build`` made have their own rate."""
        return [{"params": list(module.parameters())}]

    def _group_all(self, module: Any) -> list[dict[str, Any]]:
        return [*self._group_parameters(module.inner), *group_core(module.core)]

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Fit to responses.

        Parameters
        ----------
        X : DataArray or array (sample, token, feature) or (sample, feature)
            A DataArray on a store is read chunk by chunk.
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
            NaN where a subject did not see a stimulus: left out of loss and scores.
        groups : sequence (sample,), optional
            Rows of one group stay on one side when stimuli are held out. By default those of one
            ``stimulus`` do.

        Returns
        -------
        The readout itself.

        Raises
        ------
        AlignError, SchemaError
            When rows of X and y name other stimuli; on dims that are not those above.
        ValueError
            On NaN in X, infinity, neuroids without any response, and unknown options.
        FitError
            When the loss stops being finite.
        """
        X = as_array(X)
        check_same_rows(X, y)
        measure = choose(LOSSES, self.loss, "loss")
        check_counts(self, "n_ensemble")
        values, seen = self._check_targets(X, y)
        layout, source = read_layout(X), TokenSource(X)
        train, held = self._hold_out(X, len(values), groups)
        mean, deviation = _scale_targets(values[train], seen[train])
        scale = measure_scale(source, train)
        if len(held):
            measure_scale(source, held)
        wanted = ((values - mean) / deviation * seen).astype(np.float32)
        device = resolve_device(self.device)
        on_device = [torch.from_numpy(part).to(device) for part in (wanted, seen)]

        def read(rows: Array) -> tuple[torch.Tensor, ...]:
            place = torch.from_numpy(rows).to(device)
            tokens = torch.from_numpy(source.read(rows)).to(device)
            return (tokens, *(part[place] for part in on_device))

        def lose(module: Any, batch: Any) -> torch.Tensor:
            error: torch.Tensor = measure(module(batch[0]).float(), *batch[1:])
            return error

        def validate(module: Any) -> float:
            guess = torch.from_numpy(apply_to_rows(module, module, source, held, device)).to(device)
            place = torch.from_numpy(held).to(device)
            return 1 - float(squared_error(guess, *(part[place] for part in on_device)))

        plan = self._read_plan(source, len(held) > 0)
        self.layout_, self._mean, self._deviation = layout, mean, deviation
        key = ""
        if self.checkpoint is not None:
            key = f"{key_fit(self, wanted, seen, train)} {hash_tokens(source)}"

        def build() -> ScaledNet:
            # What the readout sees: the tokens, or the cells of the core's map.
            core, self._field = build_core(self.core, layout)
            return ScaledNet(self._build(self._field, self._targets, values.shape[1]), *scale, core)

        self.modules_: list[Any]
        self.history_: list[TrainingHistory]
        self.modules_, self.history_ = train_members(
            build,
            lose,
            lambda rows: read(train[rows]),
            len(train),
            n_members=self.n_ensemble,
            plan=plan,
            seed=self.seed,
            validate=validate if len(held) else None,
            parameter_groups=self._group_all,
            checkpoint=self.checkpoint,
            data_key=key,
            device=self.device,
            progress=self.progress,
        )
        self._judge(source, values, seen, train, held)
        return self

    def _read_plan(self, source: TokenSource, held_out: bool) -> TrainingPlan:
        plan = DEFAULT_PLAN if self.plan is None else self.plan
        if not isinstance(plan, TrainingPlan):
            raise ValueError(
                f"plan: expected a TrainingPlan, got {type(plan).__name__}. Write "
                "TrainingPlan(epochs=20)."
            )
        changes: dict[str, Any] = {}
        if source.block is not None and plan.block is None:
            changes["block"] = source.block
        if not held_out and self.plan is None:
            changes["patience"] = None
        return TrainingPlan(**{**plan.__dict__, **changes})

    def _check_targets(self, X: Any, y: Any) -> tuple[Array, Array]:
        """Targets (sample, target) with 0 for missing, and what was seen, both checked."""
        y, self._targets = unwrap(y)
        shape: tuple[int, ...] = ()
        lost = None
        if y is not None:
            y, shape = flatten_targets(y)
            y, lost = hide_missing(y)
        if X.ndim == 3:
            # What scikit-learn checks of rows; the numbers are checked as they are read.
            rows = np.zeros((len(X), 1))
            _, y = validate_data(self, rows, y, multi_output=True, y_numeric=True)
            self.n_features_in_ = X.shape[2]
        else:
            _, y = validate_data(
                self, unwrap(X)[0], y, multi_output=True, y_numeric=True, dtype=FLOATS,
                ensure_min_samples=2,
            )  # fmt: skip
        self._shape = shape
        values = y.reshape(len(y), -1).astype(np.float64)
        seen = np.ones_like(values) if lost is None else 1.0 - lost.reshape(len(y), -1)
        if not seen.any(axis=0).all():
            raise ValueError(
                f"y: expected a response of every neuroid, got none of {int((~seen.any(0)).sum())} "
                f"(first: column {int(np.argmin(seen.any(0)))}). Leave those out."
            )
        return values, seen.astype(np.float32)

    def _hold_out(self, X: Any, n: int, groups: Any) -> tuple[Array, Array]:
        if groups is None:
            named = hasattr(X, "coords") and "stimulus" in X.coords
            groups = X["stimulus"].values if named else np.arange(n)
        codes = np.unique(groups, return_inverse=True)[1]
        return hold_out_rows(codes, None, self.validation, self.seed)

    def _judge(
        self, source: TokenSource, values: Array, seen: Array, train: Array, held: Array
    ) -> None:
        """Score the held-out rows, and a ridge regression of the same tokens on them."""
        known = np.where(seen[held] > 0, values[held], np.nan)
        nothing = np.full(self._shape, np.nan)
        self.validation_score_ = self.baseline_score_ = nothing[()]
        if len(held) < 3:
            return
        flat = self._apply_to(self.modules_, source, held, lambda module, tokens: module(tokens))
        self.validation_score_ = correlate(known, flat).reshape(self._shape)[()]
        text = f"held-out r {np.nanmean(self.validation_score_):.3f}"
        if self.baseline and check_size(source, type(self).__name__):
            guess = predict_by_ridge(source, values, seen, train, held)
            self.baseline_score_ = correlate(known, guess).reshape(self._shape)[()]
            ours, theirs = np.nanmean(self.validation_score_), np.nanmean(self.baseline_score_)
            text += f", ridge on the same tokens {theirs:.3f}"
            if theirs > ours + MARGIN:
                warnings.warn(
                    f"{type(self).__name__}: expected to predict held-out stimuli as well as ridge "
                    f"on the same tokens, got r {ours:.3f} against {theirs:.3f}. Train longer, or "
                    "use Ridge.",
                    NeuroalignWarning,
                    stacklevel=3,
                )
        if self.progress:
            tqdm.write(f"{type(self).__name__}: {text} ({len(held)} rows)")

    def predict(self, X: Any) -> Any:
        """Predict responses, the mean over the ensemble.

        Parameters
        ----------
        X : DataArray or array (sample, token, feature) or (sample, feature)

        Returns
        -------
        array or DataArray (sample,), (sample, neuroid) or (sample, neuroid, time)
            Of the precision of X. A DataArray when X is one: samples as in X, neuroids as in
            training.

        Raises
        ------
        SchemaError
            When tokens lie elsewhere than in training.
        """
        X = as_array(X)
        precise = np.float64 if X.dtype == np.float64 else np.float32
        flat = self._apply(X, lambda module, tokens: module(tokens))
        flat = (flat * self._deviation + self._mean).astype(precise)
        predicted = flat.reshape(len(flat), *self._shape)
        template = unwrap(X[:0])[1]
        return predicted if template is None else wrap_samples(predicted, X, self._targets)

    def _apply(self, X: Any, call: Callable[[Any, Any], torch.Tensor]) -> Array:
        """Apply ``call(module, tokens)`` to checked rows: the mean over the ensemble."""
        check_is_fitted(self)
        X = as_array(X)
        if X.ndim != 3:
            validate_data(self, unwrap(X)[0], reset=False, dtype=FLOATS)
        check_layout(self.layout_, X)
        source = TokenSource(X)
        rows = np.arange(len(source))
        measure_scale(source, rows)
        precise = X.dtype == np.float64 and resolve_device(self.device).type != "mps"
        modules = [
            copy.deepcopy(module).double() if precise else module for module in self.modules_
        ]
        return self._apply_to(modules, source, rows, call)

    def _apply_to(
        self,
        modules: list[Any],
        source: TokenSource,
        rows: Array,
        call: Callable[[Any, Any], torch.Tensor],
    ) -> Array:
        device = resolve_device(self.device)
        parts = [
            apply_to_rows(module.to(device), partial(call, module), source, rows, device)
            for module in modules
        ]
        return np.asarray(np.mean(parts, axis=0))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute R2 averaged over neuroids (and times), as scikit-learn does.

        Parameters
        ----------
        X : DataArray or array (sample, token, feature) or (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)
        sample_weight : array (sample,), optional

        Returns
        -------
        float
        """
        return score_r2(self.predict(X), y, sample_weight)


def as_array(X: Any) -> Any:
    """Leave what knows its type as it is; make anything else an array."""
    return X if hasattr(X, "dtype") else np.asarray(X)


def label_tokens(readout: TokenReadout, values: Array) -> xr.DataArray:
    """Label values (target, token) of a fitted readout: (neuroid[, time], token)."""
    places = readout._field.places
    labelled = label_values(readout, values, (*TARGET_DIMS[: len(readout._shape)], "token"))
    return labelled.assign_coords(row=("token", places[:, 0]), column=("token", places[:, 1]))


def label_values(readout: TokenReadout, values: Array, dims: tuple[str, ...]) -> xr.DataArray:
    """Label values (target, ...) of a fitted readout by its neuroids."""
    shaped = values.reshape(*readout._shape, *values.shape[1:])
    labelled = xr.DataArray(shaped, dims=dims)
    return labelled if readout._targets is None else labelled.assign_coords(readout._targets.coords)


def _scale_targets(values: Array, seen: Array) -> tuple[Array, Array]:
    count = np.maximum(seen.sum(axis=0), 1)
    mean = (values * seen).sum(axis=0) / count
    deviation = np.sqrt((((values - mean) * seen) ** 2).sum(axis=0) / count)
    return mean, np.where(deviation > 1e-12 * np.maximum(np.abs(mean), 1e-30), deviation, 1.0)
