"""What trained nets of readouts and decoders share: held-out stimuli, ensembles, checkpoints."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupShuffleSplit

from neuroalign._training import TrainingHistory, TrainingPlan, fit_module
from neuroalign.errors import require
from neuroalign.provenance import hash_array

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# Parameters that leave the weights of a net as they are, or that its run knows otherwise.
APART = {
    *("checkpoint", "device", "progress", "baseline", "n_ensemble"),
    *("core", "plan", "guidance", "n_draws"),
}


def check_counts(estimator: Any, *names: str) -> None:
    """Check that parameters of an estimator are at least one.

    Raises
    ------
    ValueError
    """
    for name in names:
        if getattr(estimator, name) < 1:
            raise ValueError(
                f"{name}: expected at least 1, got {getattr(estimator, name)}. Give a whole number."
            )


def hold_out(codes: Array, groups: Any, share: float, seed: int) -> tuple[Array, Array]:
    """Hold out stimuli; those that meet in a group stay on one side.

    Parameters
    ----------
    codes : int array (sample,)
        Number of the stimulus of each row.
    groups : sequence (sample,), or None
    share : float
        From 0 to below 1.
    seed : int

    Returns
    -------
    int array, int array
        Numbers of stimuli that train, and of those held out; none of these with fewer than three
        groups.

    Raises
    ------
    ValueError
    """
    if not 0 <= share < 1:
        raise ValueError(
            f"validation: expected a share from 0 to below 1, got {share}. "
            "0.1 holds out a tenth of the stimuli."
        )
    n = int(codes.max()) + 1
    member = np.arange(n)
    if groups is not None:
        number = np.unique(np.asarray(groups), return_inverse=True)[1]
        size = n + int(number.max()) + 1
        links = coo_array((np.ones(len(codes)), (codes, n + number)), shape=(size, size))
        member = connected_components(links, directed=False)[1][:n]
    n_groups = len(np.unique(member))
    if share == 0 or n_groups < 3:
        return np.arange(n), np.arange(0)
    count = min(max(1, round(share * n_groups)), n_groups - 2)
    splitter = GroupShuffleSplit(1, test_size=count, random_state=seed)
    train, held = next(splitter.split(np.zeros(n), groups=member))
    return np.sort(train), np.sort(held)


def hold_out_rows(codes: Array, groups: Any, share: float, seed: int) -> tuple[Array, Array]:
    """As `hold_out`, but the rows of those stimuli: int array, int array, both in order."""
    parts = hold_out(codes, groups, share, seed)
    train, held = (np.flatnonzero(np.isin(codes, part)) for part in parts)
    return train, held


def key_fit(estimator: Any, *arrays: Array) -> str:
    """Hash what weights depend on beside net, plan and seed: other parameters, and the data."""
    parameters = sorted(estimator.get_params(deep=False).items())
    kept = [f"{name}={value!r}" for name, value in parameters if name not in APART]
    return " ".join([*kept, *map(hash_array, arrays)])


def train_members(
    build: Callable[[], Any],
    lose: Callable[[Any, Any], torch.Tensor],
    read: Callable[[Array], Any],
    n_samples: int,
    *,
    n_members: int,
    plan: TrainingPlan,
    seed: int,
    validate: Callable[[Any], float] | None,
    parameter_groups: Callable[[Any], list[dict[str, Any]]],
    checkpoint: Any,
    data_key: str,
    device: str,
    progress: bool,
) -> tuple[list[Any], list[TrainingHistory]]:
    """Train nets from the seeds ``seed``, ``seed + 1`` and so on; see `fit_module`.

    Parameters
    ----------
    build : callable
        Makes a net; torch's generator is seeded.

    Returns
    -------
    list of torch.nn.Module, list of TrainingHistory
    """
    modules, histories = [], []
    for member in range(n_members):
        # Nets are made on the CPU: generators of GPUs, one or many, are left alone.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed + member)
            module = build()
        folder = None if checkpoint is None else f"{checkpoint}/member-{member}"
        histories.append(
            fit_module(
                module, lose, read, n_samples, plan=plan, seed=seed + member, validate=validate,
                parameter_groups=parameter_groups, checkpoint=folder, data_key=data_key,
                device=device, progress=progress,
            )
        )  # fmt: skip
        modules.append(module)
    return modules, histories
