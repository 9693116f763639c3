"""Motion from responses: the flow of a film, decoded from its first frame and the brain."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from neuroalign._arrays import check_same_rows, unwrap
from neuroalign._device import resolve_device
from neuroalign._training import TrainingPlan
from neuroalign.align.delays import delay_features
from neuroalign.decoders._backbone import AT_ONCE, ZScore, measure_columns, split_decay
from neuroalign.decoders._flow_net import FlowNet
from neuroalign.decoders._flow_report import (
    measure_error,
    read_groups,
    read_mask,
    report_errors,
)
from neuroalign.decoders._patterns import flatten_responses
from neuroalign.decoders.optical_flow import DIMS, FlowCodebook, read_flow
from neuroalign.encoders._labelled import FLOATS
from neuroalign.encoders.readouts._members import check_counts, hold_out, key_fit, train_members
from neuroalign.errors import SchemaError, require

try:
    import torch
    from torch.nn import functional
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
DEFAULT_PLAN = TrainingPlan(
    epochs=50, batch_size=32, learning_rate=1e-3, weight_decay=1e-2, schedule="cosine"
)


def window_responses(
    responses: xr.DataArray, window: Sequence[int] = (-2, -1, 0, 1, 2)
) -> xr.DataArray:
    """Set the volumes around each one side by side.

    Parameters
    ----------
    responses : DataArray (sample, neuroid)
        One sample a volume, with ``run`` and ``onset``.
    window : sequence of int
        [samples]; 2 is the volume two later. The response to a film lags: windows reach ahead.

    Returns
    -------
    DataArray (sample, feature)
        Zeros beyond the ends of a run: nothing crosses from run to run.

    Raises
    ------
    AlignError, SchemaError, ValueError
        As `align.delay_features`.

    Examples
    --------
    >>> import xarray as xr
    >>> volumes = xr.DataArray(
    ...     np.arange(4.0)[:, None], dims=("sample", "neuroid"),
    ...     coords={"run": ("sample", ["run-01"] * 4), "onset": ("sample", np.arange(4) * 2.0)})
    >>> window_responses(volumes, (0, 1)).values.tolist()
    [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 0.0]]
    """
    if responses.dims != ("sample", "neuroid"):
        raise SchemaError(
            f"responses: expected dims ('sample', 'neuroid'), got {responses.dims}. "
            "Give one sample a volume."
        )
    kept = {key: c for key, c in responses.coords.items() if c.dims == ("sample",)}
    bare = xr.DataArray(responses.values, dims=("sample", "feature"), coords=kept)
    return delay_features(bare, [-step for step in window])


class MotionDecoder(BaseEstimator):  # type: ignore[misc]
    """Probabilities of motion codes at each place, from responses and the first frame.

    Parameters
    ----------
    n_codes : int
        Of the codebook of flow, learned from the training fields.
    width, n_blocks : int
        Of the net: its blocks see each place alone.
    dropout : float
    plan : TrainingPlan, optional
        By default 50 epochs of batches of 32, learning rate 1e-3 with a cosine schedule.
    validation : float
        Share of the runs (or groups, or rows) held out to choose the epoch; 0 for none.
    n_ensemble : int
        Nets from different starts whose probabilities are averaged.
    checkpoint : path, optional
        Folder from which a killed fit continues.
    device : str
        "cpu", "cuda", "mps" or "auto".
    seed : int
    progress : bool

    Attributes
    ----------
    codebook_ : FlowCodebook
    modules_, baseline_modules_ : list of torch.nn.Module
        Of the decoder, and of the same net trained on the first frame alone.
    history_, baseline_history_ : list of TrainingHistory
    mean_flow_ : array (row, column, 2)
        Of the training fields.

    References
    ----------
    Yeung et al. (2025), CVPR, arXiv:2406.02659, section 3.2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> flow = np.ones((40, 2, 3, 2)) * rng.choice([-1.0, 1.0], size=(40, 1, 1, 1))
    >>> responses = flow[:, 0, 0] @ rng.normal(size=(2, 8)) + rng.normal(size=(40, 8))
    >>> frames = rng.normal(size=(40, 6, 4))
    >>> decoder = MotionDecoder(n_codes=2, width=16, plan=TrainingPlan(epochs=2))
    >>> decoder.fit(responses, flow, frames=frames).predict(responses, frames=frames).shape
    (40, 2, 3, 2)
    """

    def __init__(
        self,
        *,
        n_codes: int = 40,
        width: int = 128,
        n_blocks: int = 3,
        dropout: float = 0.2,
        plan: TrainingPlan | None = None,
        validation: float = 0.1,
        n_ensemble: int = 1,
        checkpoint: Any = None,
        device: str = "cpu",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.n_codes = n_codes
        self.width = width
        self.n_blocks = n_blocks
        self.dropout = dropout
        self.plan = plan
        self.validation = validation
        self.n_ensemble = n_ensemble
        self.checkpoint = checkpoint
        self.device = device
        self.seed = seed
        self.progress = progress

    def fit(self, X: Any, y: Any, *, frames: Any, groups: Any = None) -> Self:
        """Train the decoder, and the same net without the brain.

        Parameters
        ----------
        X : DataArray or array (sample, feature) or (sample, neuroid, time)
            Responses in a window around each sample, see `window_responses`.
        y : DataArray or array (sample, row, column, 2)
            Flow, see `estimate_flow`.
        frames : DataArray or array (sample, token, feature) or (sample, row, column, feature)
            Features of the first frame at the places of the flow, row by row.
        groups : sequence (sample,), optional
            Rows of one group stay on one side when some are held out; by default those of a
            ``run``.

        Returns
        -------
        MotionDecoder

        Raises
        ------
        AlignError, SchemaError
            When rows differ in what they name, or places in number.
        ValueError
            On NaN or infinity, and numbers out of range.
        FitError
            When the loss stops being finite.
        """
        check_counts(self, "width", "n_blocks", "n_ensemble")
        flow = read_flow(y)
        check_same_rows(X, y)
        self._grid = flow.shape[1:3]
        values = self._check_responses(X, fresh=True)
        _check_count(values, flow, "y")
        seen = self._check_frames(X, frames)
        if groups is None and isinstance(X, xr.DataArray) and "run" in X.coords:
            groups = X["run"].values
        train, held = hold_out(np.arange(len(values)), groups, self.validation, self.seed)
        self.codebook_ = FlowCodebook(self.n_codes, seed=self.seed).fit(flow[train])
        self.mean_flow_ = flow[train].mean(axis=0)
        codes = self.codebook_.encode(flow).reshape(len(flow), -1)
        device = resolve_device(self.device)
        parts = [torch.from_numpy(part).to(device) for part in (values, seen, codes)]
        scales = (
            measure_columns(values[train]),
            measure_columns(seen[train].reshape(-1, seen.shape[2])),
        )
        plan = DEFAULT_PLAN if self.plan is None else self.plan

        def read(rows: Array) -> list[torch.Tensor]:
            place = torch.from_numpy(train[rows]).to(device)
            return [part[place] for part in parts]

        def lose(module: Any, batch: Any) -> torch.Tensor:
            logits = module(*batch[:2]).float()
            return functional.cross_entropy(logits.flatten(0, 1), batch[2].flatten())

        def validate(module: Any) -> float:
            guess = self._guess([module], values[held], seen[held])
            return -float(measure_error(guess, flow[held]).mean())

        def train_nets(brain: bool) -> Any:
            folder = None if self.checkpoint is None else f"{self.checkpoint}/brain-{brain}"
            return train_members(
                lambda: self._build(scales, brain), lose, read, len(train),
                n_members=self.n_ensemble, plan=plan, seed=self.seed,
                validate=validate if len(held) else None,
                parameter_groups=lambda module: split_decay(module, plan.weight_decay),
                checkpoint=folder,
                data_key="" if folder is None else key_fit(self, values, codes, seen),
                device=self.device, progress=self.progress,
            )  # fmt: skip

        self.modules_, self.history_ = train_nets(True)
        self.baseline_modules_, self.baseline_history_ = train_nets(False)
        return self

    def _build(self, scales: Any, brain: bool) -> FlowNet:
        return FlowNet(
            ZScore(*scales[0]), ZScore(*scales[1]), self._grid[0] * self._grid[1],
            len(self.codebook_.codes_), self.width, self.n_blocks, self.dropout, brain=brain,
        )  # fmt: skip

    def _check_responses(self, X: Any, *, fresh: bool) -> Array:
        flat = unwrap(flatten_responses(X))[0]
        values = validate_data(self, flat, reset=fresh, dtype=FLOATS, ensure_min_samples=1 + fresh)
        return np.asarray(values, dtype=np.float32)

    def _check_frames(self, X: Any, frames: Any) -> Array:
        check_same_rows(X, frames, ("X", "frames"))
        values = np.asarray(unwrap(frames)[0], dtype=np.float32)
        n_places = self._grid[0] * self._grid[1]
        _check_count(X, values, "frames")
        wrong = values.ndim == 4 and values.shape[1:3] != self._grid
        if values.ndim not in (3, 4) or wrong or values.size % (len(values) * n_places):
            raise SchemaError(
                f"frames: expected features at the {self._grid[0]} x {self._grid[1]} places of the "
                f"flow, got {values.shape}. Scale frames so that both have one grid."
            )
        if values.ndim == 3 and values.shape[1] != n_places:
            raise SchemaError(
                f"frames: expected {n_places} tokens, one for each place of the flow, got "
                f"{values.shape[1]}. Leave the class token out, or use another grid."
            )
        if not np.isfinite(values).all():
            raise ValueError("frames: expected finite numbers, got NaN or infinity. Fill them.")
        return values.reshape(len(values), n_places, -1)

    def _probabilities(self, modules: list[Any], values: Array, seen: Array) -> Array:
        device = resolve_device(self.device)
        total: Any = 0.0
        for module in modules:
            net = module.to(device).eval()
            parts = []
            with torch.no_grad():
                for start in range(0, len(values), AT_ONCE):
                    rows = slice(start, start + AT_ONCE)
                    pair = (torch.from_numpy(part[rows]).to(device) for part in (values, seen))
                    parts.append(net(*pair).float().softmax(dim=2).cpu().numpy())
            total = total + np.concatenate(parts)
        shares: Array = np.asarray(total, dtype=np.float64) / len(modules)
        return shares.reshape(len(values), *self._grid, -1)

    def _guess(self, modules: list[Any], values: Array, seen: Array) -> Array:
        return self.codebook_.decode(self._probabilities(modules, values, seen))

    def predict(self, X: Any, *, frames: Any) -> Any:
        """Predict flow: codes averaged by their probabilities.

        Parameters
        ----------
        X : DataArray or array (sample, feature) or (sample, neuroid, time)
        frames : DataArray or array (sample, token, feature) or (sample, row, column, feature)

        Returns
        -------
        array or DataArray (sample, row, column, 2)
            In units of the flow. A DataArray when X is one.

        Raises
        ------
        AlignError, SchemaError, ValueError
        """
        check_is_fitted(self)
        values = self._check_responses(X, fresh=False)
        flow = self._guess(self.modules_, values, self._check_frames(X, frames))
        if not isinstance(X, xr.DataArray):
            return flow
        coords: dict[Any, Any] = {key: c for key, c in X.coords.items() if c.dims == X.dims[:1]}
        return xr.DataArray(flow, dims=DIMS, coords={**coords, "component": ["row", "column"]})

    def predict_codes(self, X: Any, *, frames: Any) -> Array:
        """Predict the probability of each code at each place.

        Parameters
        ----------
        X, frames : as in `predict`

        Returns
        -------
        array (sample, row, column, code)
        """
        check_is_fitted(self)
        values = self._check_responses(X, fresh=False)
        return self._probabilities(self.modules_, values, self._check_frames(X, frames))

    def compare(
        self,
        X: Any,
        y: Any,
        *,
        frames: Any,
        mask: Any = None,
        groups: Any = None,
        n_shuffles: int = 10,
        level: float = 0.95,
        seed: int = 0,
    ) -> xr.Dataset:
        """Score predictions of new samples against what needs no brain.

        Parameters
        ----------
        X, y, frames : as in `fit`
        mask : bool array (sample, row, column), optional
            Places that count: those of moving objects, say.
        groups : sequence (sample,), optional
            Samples that depend on each other, drawn together; by default those of a ``run`` where
            there are several. Neighbours in time are not independent.
        n_shuffles : int
            Times the responses are dealt to other samples.
        level : float
            Of the bootstrap interval of ``gain``.
        seed : int

        Returns
        -------
        Dataset
            ``error`` (predictor,): mean end-point error of "decoder", "first frame" (the same net
            trained without the brain), "shuffled brain" (the decoder given responses of other
            samples) and "mean flow" of training; ``error_sample`` (predictor, sample). ``gain``
            (control,): how much larger the error of each control is, with ``lower`` and
            ``upper``.

        Raises
        ------
        AlignError, SchemaError, ValueError
        """
        check_is_fitted(self)
        flow = read_flow(y)
        check_same_rows(X, y)
        values = self._check_responses(X, fresh=False)
        _check_count(values, flow, "y")
        if flow.shape[1:3] != self._grid:
            raise SchemaError(
                f"y: expected flow on {self._grid} places, got {flow.shape[1:3]}. Use one grid."
            )
        seen, inside = self._check_frames(X, frames), read_mask(mask, flow)
        rng = np.random.default_rng(seed)

        def judge(modules: list[Any], brain: Array) -> Array:
            return measure_error(self._guess(modules, brain, seen), flow, inside)

        controls = []
        for _ in range(n_shuffles):
            order = rng.permutation(len(values))
            moved = np.empty_like(order)
            moved[order] = np.roll(order, 1)
            controls.append(judge(self.modules_, values[moved]))
        errors = {
            "decoder": judge(self.modules_, values),
            "first frame": judge(self.baseline_modules_, values),
            "shuffled brain": np.mean(controls, axis=0),
            "mean flow": measure_error(self.mean_flow_[None], flow, inside),
        }
        return report_errors(errors, read_groups(groups, X), level, seed)


def _check_count(one: Any, other: Any, name: str) -> None:
    if len(one) != len(other):
        raise SchemaError(
            f"{name}: expected {len(one)} samples as X, got {len(other)}. Match them."
        )
