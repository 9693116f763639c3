"""What trained decoders share: which rows are held out, and the nets of an ensemble."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupShuffleSplit

from neuroalign._training import TrainingHistory, TrainingPlan, fit_module
from neuroalign.errors import require

try:
    import torch
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# Rows decoded at once.
AT_ONCE = 256


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
        with torch.random.fork_rng():
            torch.manual_seed(seed + member)
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


def run_rows(apply: Callable[[torch.Tensor], torch.Tensor], values: Array, device: Any) -> Array:
    """Apply a net to rows (n, column) without gradients: float32 (n, ...)."""
    parts = []
    # All batches have one size: rounding would depend on how many rows are decoded together.
    filled = np.zeros((len(values) + -len(values) % AT_ONCE, values.shape[1]), dtype=np.float32)
    filled[: len(values)] = values
    with torch.no_grad():
        for start in range(0, len(filled), AT_ONCE):
            rows = torch.from_numpy(filled[start : start + AT_ONCE]).to(device)
            parts.append(apply(rows).float().cpu().numpy())
    return np.concatenate(parts)[: len(values)]
