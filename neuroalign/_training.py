"""One training loop for every net: mini-batches, schedule, early stopping, resume.

In: a module, its loss, and a function that reads the samples of a batch. Out: the same module with
the weights of its best check, and the history. An epoch draws its order and its noise from the seed
and its own number alone, which is what lets a killed run continue to the same weights.
"""

import copy
import hashlib
import io
import json
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from neuroalign._device import list_cuda, resolve_device
from neuroalign.errors import FitError, NeuroalignWarning, choose, require
from neuroalign.storage import write_whole

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Indices = npt.NDArray[np.int64]
STATE = "training.pt"
# Blocks of a store that are mixed at a time: few enough to be held, enough to mix.
MIXED_BLOCKS = 8

# Share of the run that is over -> factor on the learning rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))),
    "step": lambda done: 0.1 ** ((done >= 0.5) + (done >= 0.75)),
}
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class TrainingPlan:
    """How a net is trained.

    Parameters
    ----------
    epochs : int
        Passes through the samples, at most.
    batch_size : int or None
        Samples of a step; None takes all of them.
    learning_rate, weight_decay : float
        Of AdamW (Loshchilov and Hutter, 2019), unless a parameter group has its own.
    schedule : {"constant", "cosine", "step"}
        ``step`` divides the rate by ten after half and after three quarters of the run.
    warmup : int
        Steps over which the rate rises from zero.
    clip : float or None
        Largest norm of the gradient.
    patience : int or None
        Checks without a better score after which training stops; needs ``validate``.
    check_every : int
        Epochs between checks (and between saved states).
    precision : {"float32", "bfloat16"}
        ``bfloat16`` multiplies in half precision where the device has units for it.
    block : int or None
        Consecutive samples that a store keeps together: whole blocks are shuffled, then the samples
        of a few blocks among each other, so that a batch touches few of them.

    Examples
    --------
    >>> TrainingPlan(epochs=20, schedule="cosine").learning_rate
    0.001
    """

    epochs: int = 100
    batch_size: int | None = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: int = 0
    clip: float | None = None
    patience: int | None = None
    check_every: int = 1
    precision: str = "float32"
    block: int | None = None

    def check(self) -> None:
        """Check the values.

        Raises
        ------
        ValueError
        """
        choose(SCHEDULES, self.schedule, "schedule")
        choose(PRECISIONS, self.precision, "precision")
        _check_count("epochs", self.epochs)
        _check_count("check_every", self.check_every)
        for name in ("batch_size", "patience", "block"):
            value = getattr(self, name)
            if value is not None:
                _check_count(name, value)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning_rate: expected a positive number, got {self.learning_rate}. "
                "1e-3 is a common start."
            )


@dataclass
class TrainingHistory:
    """What happened.

    Attributes
    ----------
    loss : list of float
        Mean over the samples of each epoch.
    score : list of float
        Of each check; empty without ``validate``.
    best_epoch : int
        Epochs after which the weights that were kept stood.
    stopped_early : bool
    """

    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    best_epoch: int = 0
    stopped_early: bool = False


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}. Give a whole number above 0.")


def order_samples(n_samples: int, block: int | None, seed: int, epoch: int) -> Indices:
    """Draw the order of an epoch: a permutation; ``block`` as in `TrainingPlan`."""
    rng = np.random.default_rng((seed, epoch))
    if block is None or block * MIXED_BLOCKS >= n_samples:
        return rng.permutation(n_samples)
    starts = rng.permutation(np.arange(0, n_samples, block))
    groups = [starts[cut : cut + MIXED_BLOCKS] for cut in range(0, len(starts), MIXED_BLOCKS)]
    return np.concatenate(
        [
            rng.permutation(
                np.concatenate([np.arange(s, min(s + block, n_samples)) for s in group])
            )
            for group in groups
        ]
    )


def cut_batches(order: Indices, batch_size: int | None) -> Iterator[Indices]:
    """Cut an order into batches; a last one of a single sample joins its neighbour."""
    size = len(order) if batch_size is None else batch_size
    # Batch statistics and contrastive losses have no meaning on one sample.
    cuts = list(range(size, len(order) - (size > 1), size))
    yield from np.split(order, cuts)


def _hash_run(module: nn.Module, settings: dict[str, Any]) -> str:
    total = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in module.state_dict().items():
        total.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


class _SavedState:
    """The state of a run in a folder, whole or absent."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = Path(folder) / STATE
        self.key = key

    def write(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save({"key": self.key, **state}, buffer)
        payload = buffer.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(self.path) as partial:
            partial.write_bytes(hashlib.sha256(payload).digest() + payload)

    def read(self, device: Any) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        content = self.path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            warnings.warn(
                f"{self.path}: expected the state of a training run, got a file whose hash does "
                "not fit. It is replaced: the run begins anew.",
                NeuroalignWarning,
                stacklevel=3,
            )
            return None
        state: dict[str, Any] = torch.load(
            io.BytesIO(content[32:]), map_location=device, weights_only=True
        )
        if state.pop("key") != self.key:
            raise FitError(
                f"checkpoint: expected the state of this run, got one of another net, data, plan "
                f"or seed in {self.path}. Name another folder, or delete it; where each fold is "
                "another fit, as in cross_validate, leave checkpoint out."
            )
        return state


class _Run:
    """A run under way: what must be kept to go on."""

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.module = module
        self.optimizer = optimizer
        self.history = TrainingHistory()
        self.epoch = 0
        self.best: dict[str, Any] | None = None

    def pack(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": asdict(self.history),
            "epoch": self.epoch,
            "best": self.best,
        }

    def unpack(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = TrainingHistory(**state["history"])
        self.epoch = state["epoch"]
        self.best = state["best"]

    def check(self, score: float, patience: int | None) -> None:
        """Keep the weights if they are the best; note when patience ends."""
        history = self.history
        if not math.isfinite(score):
            raise FitError(
                f"validate: expected a finite score, got {score} after epoch {self.epoch}. Check "
                "that the held-out samples vary, or lower the learning rate."
            )
        if not history.score or score > max(history.score):
            history.best_epoch = self.epoch
            self.best = copy.deepcopy(self.module.state_dict())
        history.score.append(score)
        since = len(history.score) - 1 - int(np.argmax(history.score))
        history.stopped_early = patience is not None and since >= patience


def fit_module(
    module: nn.Module,
    loss: Callable[[Any, Any], torch.Tensor],
    read: Callable[[Indices], Any],
    n_samples: int,
    *,
    plan: TrainingPlan,
    seed: int,
    validate: Callable[[Any], float] | None = None,
    parameter_groups: Callable[[Any], list[dict[str, Any]]] | None = None,
    checkpoint: Path | str | None = None,
    data_key: str = "",
    device: str = "cpu",
    progress: bool = False,
) -> TrainingHistory:
    """Train a net in place, and leave it with its best weights, ready to predict.

    Parameters
    ----------
    module : torch.nn.Module
        Already initialised, from the caller's own seed; moved to ``device``.
    loss : callable
        ``loss(module, batch)`` -> scalar, a mean over the samples of the batch.
    read : callable
        ``read(indices)`` -> batch, its tensors on the device.
    n_samples : int
    plan : TrainingPlan
    seed : int
        Of the order of the samples and of the noise in the net (dropout, sampling).
    validate : callable, optional
        ``validate(module)`` -> score, higher is better. Called in evaluation mode, without
        gradients. Without it the last weights are kept.
    parameter_groups : callable, optional
        ``parameter_groups(module)`` -> groups for AdamW with their own ``lr`` or ``weight_decay``.
    checkpoint : path, optional
        Folder for the state after every check. A run that finds the state of the same net, plan,
        seed and ``data_key`` there continues from it, to the weights of a run never stopped.
    data_key : str
        What else the run depends on: a hash of the data.
    device : str
        See `neuroalign._device.resolve_device`.
    progress : bool

    Returns
    -------
    TrainingHistory

    Raises
    ------
    FitError
        When the loss or a score is not finite, or the folder holds another run.
    ValueError
        For values of the plan that cannot be.

    Warns
    -----
    NeuroalignWarning
        When a saved state does not fit its hash: it is replaced.
    """
    plan.check()
    if plan.patience is not None and validate is None:
        raise ValueError(
            "patience: expected a validation score to wait for, got none. Hold samples out, or "
            "leave patience None."
        )
    where = resolve_device(device)
    module.to(where)
    groups = parameter_groups(module) if parameter_groups else list(module.parameters())
    optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    settings = {
        "plan": asdict(plan), "seed": seed, "n": n_samples, "data": data_key,
        "rates": [[group["lr"], group["weight_decay"]] for group in optimizer.param_groups],
    }  # fmt: skip
    saved = _SavedState(Path(checkpoint), _hash_run(module, settings)) if checkpoint else None
    run = _Run(module, optimizer)
    state = saved.read(where) if saved else None
    if state is not None:
        run.unpack(state)
    bar = tqdm(total=plan.epochs, initial=run.epoch, disable=not progress, desc="training")
    with bar, torch.random.fork_rng(devices=list_cuda(where)):
        while run.epoch < plan.epochs and not run.history.stopped_early:
            _run_epoch(run, loss, read, n_samples, plan, seed, rates, where)
            if run.epoch % plan.check_every == 0 or run.epoch == plan.epochs:
                if validate is not None:
                    run.check(_score(module, validate), plan.patience)
                if saved is not None:
                    saved.write(run.pack())
            bar.update()
            bar.set_postfix(loss=f"{run.history.loss[-1]:.4g}")
    if run.best is not None:
        module.load_state_dict(run.best)
    else:
        run.history.best_epoch = run.epoch
    module.eval()
    return run.history


def _score(module: nn.Module, validate: Callable[[Any], float]) -> float:
    module.eval()
    with torch.no_grad():
        return float(validate(module))


def _run_epoch(
    run: _Run,
    loss: Callable[[Any, Any], torch.Tensor],
    read: Callable[[Indices], Any],
    n_samples: int,
    plan: TrainingPlan,
    seed: int,
    rates: list[float],
    device: torch.device,
) -> None:
    torch.manual_seed(int(np.random.SeedSequence((seed, run.epoch)).generate_state(1)[0]))
    batches = list(
        cut_batches(order_samples(n_samples, plan.block, seed, run.epoch), plan.batch_size)
    )
    scale = choose(SCHEDULES, plan.schedule, "schedule")
    half = PRECISIONS[plan.precision]
    steps = plan.epochs * len(batches)
    total = torch.zeros((), dtype=torch.float64, device="cpu" if device.type == "mps" else device)
    run.module.train()
    for count, indices in enumerate(batches, start=run.epoch * len(batches)):
        factor = scale(count / steps) * min(1.0, (count + 1) / max(plan.warmup, 1))
        for group, rate in zip(run.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            value = loss(run.module, read(indices))
        run.optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if plan.clip is not None:
            nn.utils.clip_grad_norm_(run.module.parameters(), plan.clip)
        run.optimizer.step()
        # Read once an epoch: asking a GPU for every step's loss would make it wait.
        total += value.detach().to(total) * len(indices)
    run.epoch += 1
    mean = float(total) / n_samples
    if not math.isfinite(mean):
        raise FitError(
            f"loss: expected finite values, got {mean} in epoch {run.epoch}. Lower learning_rate "
            "or set clip, and check the data for NaN."
        )
    run.history.loss.append(mean)
