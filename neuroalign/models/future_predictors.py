"""Foretell the latents of a film frame by frame, and imagine the rest where it cannot be seen."""

from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neuroalign import provenance, schema
from neuroalign._device import resolve_device
from neuroalign._training import TrainingHistory, TrainingPlan, fit_module
from neuroalign.errors import AlignError, SchemaError, choose, require, some
from neuroalign.models._recurrent import (
    CTRNNCells,
    LSTMCells,
    RecurrentPredictor,
    State,
    build_predictor,
    measure_miss,
)

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# Name -> cells to train; the last latent seen is held where there is nothing to train.
KINDS: dict[str, type[Any] | None] = {"lstm": LSTMCells, "ctrnn": CTRNNCells, "identity": None}
# Stretches that a net takes in at a time.
BATCH = 4096
DEFAULT_PLAN = TrainingPlan(epochs=100, batch_size=32, learning_rate=1e-3)


class FuturePredictor(BaseEstimator):  # type: ignore[misc]
    """Recurrent net that learns to foretell the next latent of a frozen encoder.

    Parameters
    ----------
    kind : {"lstm", "ctrnn", "identity"}
        ``ctrnn``: rates that leak, with a rectified tanh. ``identity`` has no dynamics: what was
        seen last is held.
    n_units : int
        Hidden units.
    n_context : int
        Frames that a prediction is made from.
    n_ahead : int
        Frames foretold in training, each from the prediction before it; 1 as published. More make
        roll-outs over long occlusions better.
    dt, tau : float
        Step and time constant of ``ctrnn``, in frames.
    plan : TrainingPlan or None
        `neuroalign.encoders.readouts.TrainingPlan`. None: 100 epochs of 32 windows, rate 1e-3.
        Published are 1e-4 and 1024 units, for far more films.
    checkpoint : path, optional
        Folder for the state of training; a run that was stopped goes on from it to the same
        weights.
    device : str
    seed : int
        Of weights and of the order of windows.
    progress : bool

    Attributes
    ----------
    net_ : torch.nn.Module or None
    history_ : TrainingHistory
        Its loss is that of z-scored latents.
    mean_, scale_ : array (feature,)
        Of the training frames; one scale for all features.
    n_windows_ : int
        Stretches of training films, each film in all its shifts.
    n_features_in_ : int

    Notes
    -----
    Training minimises ``||z_hat(t + k) - z(t + k)||^2`` over k up to ``n_ahead``, from
    ``n_context`` true latents. To simulate, the state after each seen frame is that of the
    ``n_context`` frames up to it; from the start of the occlusion the net goes on from its own
    predictions.

    References
    ----------
    Nayebi, Rajalingham, Jazayeri & Yang (2023), NeurIPS 36, arXiv:2305.11772, sections 3 and A.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_scenes
    >>> from neuroalign.encoders.readouts import TrainingPlan
    >>> films = simulate_scenes(n_conditions=8, occluder=None).encoder
    >>> net = FuturePredictor("ctrnn", n_units=16, plan=TrainingPlan(epochs=2)).fit(films)
    >>> found = net.simulate(films, start=15)
    >>> found["dynamics"].sizes["feature"], found["simulated"].shape == films.shape
    (16, True)
    """

    def __init__(
        self,
        kind: str = "lstm",
        *,
        n_units: int = 128,
        n_context: int = 7,
        n_ahead: int = 1,
        dt: float = 1.0,
        tau: float = 10.0,
        plan: TrainingPlan | None = None,
        checkpoint: Path | str | None = None,
        device: str = "cpu",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.kind = kind
        self.n_units = n_units
        self.n_context = n_context
        self.n_ahead = n_ahead
        self.dt = dt
        self.tau = tau
        self.plan = plan
        self.checkpoint = checkpoint
        self.device = device
        self.seed = seed
        self.progress = progress

    def fit(self, X: xr.DataArray, y: Any = None) -> Self:
        """Train on films that are seen from beginning to end.

        Parameters
        ----------
        X : DataArray (sample, feature, time) or (sample, time, latent)
            Latents of a frozen encoder, one film a sample, NaN from its end.
        y : ignored

        Returns
        -------
        FuturePredictor

        Raises
        ------
        FitError
            When the loss is not finite, or the folder holds another run.
        SchemaError
            On other dims, or NaN within a film.
        ValueError
            For options that cannot be, or films shorter than a window.
        """
        cells = self._check_options()
        frames, known = _read_films(X)
        self.n_features_in_ = frames.shape[2]
        seen = frames[known]
        self.mean_ = seen.mean(axis=0)
        self.scale_ = np.full(self.n_features_in_, float(seen.std(axis=0).mean()) or 1.0)
        self.net_, self.history_ = None, TrainingHistory()
        starts = self._cut(known)
        self.n_windows_ = len(starts)
        if cells is None:
            return self
        net = build_predictor(
            cells, self.n_features_in_, self.n_units, self.dt, self.tau, self.seed
        )
        where, length = resolve_device(self.device), self.n_context + self.n_ahead
        values = torch.as_tensor(self._scale(frames, known), device=where)
        whole = torch.as_tensor(known, device=where)

        def read(indices: Array) -> tuple[torch.Tensor, torch.Tensor]:
            film = torch.as_tensor(starts[indices, :1], device=where)
            time = torch.as_tensor(starts[indices, 1:] + np.arange(length), device=where)
            return values[film, time], whole[film, time]

        self.history_ = fit_module(
            net,
            lambda module, batch: measure_miss(module, batch, self.n_ahead),
            read,
            len(starts),
            plan=self.plan or DEFAULT_PLAN,
            seed=self.seed,
            checkpoint=self.checkpoint,
            data_key=f"{provenance.hash_array(X)} {self.n_context} {self.n_ahead} "
            f"{self.kind} {self.dt} {self.tau}",
            device=self.device,
            progress=self.progress,
        )
        self.net_ = net
        return self

    def simulate(self, X: xr.DataArray, start: Any) -> dict[str, xr.DataArray]:
        """Watch each film up to a frame, then imagine how it goes on.

        Parameters
        ----------
        X : DataArray (sample, feature, time) or (sample, time, latent)
            As in `fit`. Nothing is read of it from ``start`` on but where the film ends.
        start : int, or array of int or bool DataArray
            Frame from which each film (sample,) is imagined; or where it is occluded (sample,
            time), to be imagined from the first such frame to the end. A film without one is seen
            throughout.

        Returns
        -------
        dict of str to DataArray (sample, feature, time)
            ``encoder``: what was given; ``simulated``: true latents, then predicted ones;
            ``dynamics``: hidden states, of the frames seen and of those imagined, and
            ``simulated`` itself where there is no net. NaN from the end of a film.

        Raises
        ------
        AlignError, SchemaError, ValueError
        """
        check_is_fitted(self, "mean_")
        frames, known = _read_films(X)
        if frames.shape[2] != self.n_features_in_:
            raise AlignError(
                f"X: expected {self.n_features_in_} features as in training, got "
                f"{frames.shape[2]}. Use the encoder that the films of training were seen by."
            )
        begin = _read_start(start, known)
        scaled = self._scale(frames, known)
        moved, states = self._hold(scaled, begin) if self.net_ is None else self._run(scaled, begin)
        template = _as_features(X)
        simulated = _label(moved * self.scale_ + self.mean_, known, template, "feature")
        named = {"encoder": template, "simulated": simulated, "dynamics": simulated}
        if states is not None:
            named["dynamics"] = _label(states, known, template, "unit")
        attrs = {"model": f"{self.kind} on {template.attrs.get('model', 'latents')}"}
        return {
            name: schema.check_features(one.assign_attrs(attrs, layer=name), name)
            for name, one in named.items()
        }

    def score(self, X: xr.DataArray, start: Any) -> float:
        """Measure how well imagined latents fit the true ones: R2 over all frames from ``start``.

        Parameters
        ----------
        X : DataArray (sample, feature, time) or (sample, time, latent)
            Films that were seen throughout.
        start : int or array
            As in `simulate`.

        Returns
        -------
        float
            One minus the squared error to that of the mean of training; NaN without such frames.
        """
        guess = self.simulate(X, start)["simulated"].values.transpose(0, 2, 1)
        frames, known = _read_films(X)
        ahead = known & (np.arange(known.shape[1]) >= _read_start(start, known)[:, None])
        true = frames[ahead]
        spread = float(((true - self.mean_) ** 2).sum())
        return 1.0 - float(((true - guess[ahead]) ** 2).sum()) / spread if spread else float("nan")

    def _check_options(self) -> type[Any] | None:
        cells = choose(KINDS, self.kind, "kind")
        for name in ("n_units", "n_context", "n_ahead"):
            value = getattr(self, name)
            if not value >= 1:
                raise ValueError(f"{name}: expected at least 1, got {value}. Ask for more.")
        if not 0 < self.dt <= self.tau:
            raise ValueError(
                f"dt: expected above 0 and up to tau = {self.tau}, got {self.dt}. Larger steps "
                "overshoot."
            )
        return cells

    def _cut(self, known: Array) -> Array:
        """Film and first frame of every window (window, 2) that lies within its film."""
        length = self.n_context + self.n_ahead
        lengths = known.sum(axis=1)
        if lengths.max(initial=0) < length:
            raise ValueError(
                f"X: expected films of {length} frames or more, n_context and n_ahead, got at most "
                f"{int(lengths.max(initial=0))}. Lower those, or use longer films."
            )
        return np.array(
            [(film, first) for film, n in enumerate(lengths) for first in range(n - length + 1)]
        )

    def _scale(self, frames: Array, known: Array) -> Array:
        scaled: Array = np.where(known[..., None], (frames - self.mean_) / self.scale_, 0.0)
        return scaled.astype(np.float32)

    def _hold(self, scaled: Array, begin: Array) -> tuple[Array, None]:
        last = np.minimum(np.arange(scaled.shape[1]), begin[:, None] - 1)
        return np.take_along_axis(scaled, last[..., None], axis=1), None

    def _run(self, scaled: Array, begin: Array) -> tuple[Array, Array]:
        """Latents and states of each frame (sample, time, ...)."""
        length = scaled.shape[1]
        seen = np.arange(length) < begin[:, None]
        # Every seen frame ends a stretch of its own, of n_context frames or fewer.
        pad = np.pad(scaled, ((0, 0), (self.n_context - 1, 0), (0, 0)))
        film, last = np.nonzero(seen)
        latents = scaled.copy()
        states = np.zeros((*seen.shape, self.n_units), dtype=np.float32)
        net, where = cast(RecurrentPredictor, self.net_), resolve_device(self.device)
        with torch.no_grad():
            for cut in range(0, len(film), BATCH):
                rows, ends = film[cut : cut + BATCH], last[cut : cut + BATCH]
                stretch = ends[:, None] + np.arange(self.n_context)
                state = net.take_in(
                    torch.as_tensor(pad[rows[:, None], stretch], device=where),
                    torch.as_tensor(stretch >= self.n_context - 1, device=where),
                )
                states[rows, ends] = state[0].cpu().numpy()
                closing = np.flatnonzero((ends == begin[rows] - 1) & (ends < length - 1))
                if len(closing):
                    self._imagine(net, tuple(one[closing] for one in state), latents, states,
                                  rows[closing], begin[rows[closing]])  # fmt: skip
        return latents, states

    def _imagine(
        self, net: RecurrentPredictor, state: State, latents: Array, states: Array, rows: Array,
        begin: Array,
    ) -> None:  # fmt: skip
        """Fill in what films ``rows`` are imagined to hold from ``begin`` on."""
        length = latents.shape[1]
        imagined, hidden = (one.cpu().numpy() for one in net.roll_out(state, length - begin.min()))
        for number, (row, first) in enumerate(zip(rows, begin, strict=True)):
            latents[row, first:] = imagined[number, : length - first]
            states[row, first:] = hidden[number, : length - first]


def _as_features(X: xr.DataArray) -> xr.DataArray:
    """Latents (sample, time, latent) in the order of features."""
    if X.dims == ("sample", "time", "latent"):
        return X.transpose("sample", "latent", "time").rename(latent="feature")
    return X


def _read_films(X: xr.DataArray) -> tuple[Array, Array]:
    """Latents (sample, time, feature), and which frames are of the film."""
    if not isinstance(X, xr.DataArray):
        raise SchemaError(
            f"X: expected a DataArray (sample, feature, time), got {type(X).__name__}. Label the "
            "latents of each film."
        )
    films = _as_features(X)
    if films.dims != ("sample", "feature", "time"):
        raise SchemaError(
            f"X: expected dims ('sample', 'feature', 'time') or ('sample', 'time', 'latent'), got "
            f"{X.dims}. Give one film a sample."
        )
    frames = films.values.transpose(0, 2, 1).astype(np.float64)
    known = np.asarray(np.isfinite(frames).all(axis=2))
    length = known.sum(axis=1)
    broken = np.flatnonzero((known != (np.arange(known.shape[1]) < length[:, None])).any(axis=1))
    if len(broken) or (length == 0).any():
        rows = broken if len(broken) else np.flatnonzero(length == 0)
        raise SchemaError(
            f"X: expected finite latents from the first frame of a film to its end, got NaN within "
            f"or throughout in {len(rows)} films (rows {some(rows)}). Fill gaps, drop those films."
        )
    return frames, known


def _read_start(start: Any, known: Array) -> Array:
    """First imagined frame of each film, its length in all where none is."""
    n, length = known.shape
    given = np.asarray(start)
    if given.dtype == bool and given.shape == known.shape:
        begin = np.where(given.any(axis=1), given.argmax(axis=1), length)
    elif given.dtype.kind in "iu" and given.shape in ((), (n,)):
        begin = np.broadcast_to(given, n).copy()
    else:
        raise ValueError(
            f"start: expected a frame, {n} frames, or bool (sample, time) of shape {known.shape}, "
            f"got {given.dtype} of shape {given.shape}. Say where each film is occluded."
        )
    if (begin < 1).any() or (begin > length).any():
        raise ValueError(
            f"start: expected 1 to {length}, got {some(begin[(begin < 1) | (begin > length)])}. "
            "A film must be seen before it can be imagined."
        )
    return np.asarray(begin)


def _label(values: Array, known: Array, template: xr.DataArray, name: str) -> xr.DataArray:
    """Label latents or states (sample, time, x) as features."""
    values = np.where(known[..., None], values, np.nan).transpose(0, 2, 1).astype(np.float32)
    coords = {k: c for k, c in template.coords.items() if "feature" not in c.dims}
    if name == "feature":
        coords = dict(template.coords)
    else:
        coords["feature"] = np.array([f"{name}-{i:04d}" for i in range(values.shape[1])])
    return xr.DataArray(values, dims=template.dims, coords=coords, attrs=dict(template.attrs))
