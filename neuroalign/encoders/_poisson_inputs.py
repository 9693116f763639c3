"""What a Poisson model checks of its inputs, which weights are whose, and how failures are told."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import NeuroalignWarning, some

Array = npt.NDArray[Any]
# Spaces named so are used by the neuron named after the colon, or by all others.
OWN, OTHERS = "history:", "coupling:"


def name_targets(targets: xr.DataArray | None, shape: tuple[int, ...]) -> Array:
    """Name the neuroid of each flat target; by number where there are no names."""
    n_neuroids = shape[0] if shape else 1
    names = np.arange(n_neuroids).astype(str)
    if targets is not None and "neuroid" in targets.coords:
        names = np.atleast_1d(targets["neuroid"].values).astype(str)
    return np.repeat(names, int(np.prod(shape[1:], dtype=int)))


def check_counts(Y: Array, names: Array) -> None:
    """Check that counts (n, t) are not below 0.

    Raises
    ------
    ValueError
    """
    below = np.flatnonzero((Y < 0).any(axis=0))
    if len(below):
        raise ValueError(
            f"y: expected counts >= 0, got {np.nanmin(Y):g}, and values below 0 in neuroid "
            f"{some(dict.fromkeys(names[below].tolist()))}. "
            "Pass spikes per bin, neither z-scored nor centred."
        )


def read_exposure(exposure: Any, n: int, shape: tuple[int, ...]) -> Array:
    """Check the exposure; give (sample, 1) or (sample, target).

    Raises
    ------
    ValueError
    """
    if exposure is None:
        return np.ones((n, 1))
    values = np.asarray(exposure, np.float64)
    if values.shape not in ((n,), (n, *shape)):
        raise ValueError(
            f"exposure: expected shape {(n,)} or {(n, *shape)}, got {values.shape}. "
            "Give the length of each bin."
        )
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            f"exposure: expected finite numbers >= 0, got {values.min():g}. "
            "Give 0 where a neuron cannot fire."
        )
    return values.reshape(n, -1)


def check_possible(Y: Array, E: Array, names: Array) -> None:
    """Check that no spike stands where the exposure is 0.

    Raises
    ------
    ValueError
    """
    impossible = np.argwhere((Y > 0) & (E == 0))
    if len(impossible):
        row, column = impossible[0].tolist()
        raise ValueError(
            f"exposure: expected no spike where it is 0, got one of neuroid '{names[column]}' in "
            f"row {row} ({len(impossible)} in all). Shorten the refractory time, or the bins."
        )


def match_spaces(features: xr.DataArray | None, names: Array, n_features: int) -> Array:
    """Tell which features each target may use (target, feature)."""
    used = np.ones((len(names), n_features), dtype=bool)
    if features is None or "space" not in features.coords:
        return used
    for column, space in enumerate(features["space"].values.astype(str)):
        if space.startswith(OWN):
            used[:, column] = names == space.removeprefix(OWN)
        elif space.startswith(OTHERS):
            used[:, column] = names != space.removeprefix(OTHERS)
    return used


def report_failures(found: dict[str, Array], names: Array) -> None:
    """Warn, naming them, of neurons that are silent, separated or did not converge."""
    lost = ~found["converged"] & ~found["separated"]
    causes = {
        "y": (found["silent"], "no spikes", "Their rate is set to 0; drop them"),
        "alphas": (
            found["separated"],
            "weights without end",
            "Their rate is set to the mean; give alphas above 0",
        ),
        "max_iter": (lost, "no convergence", "Raise it, or alphas"),
    }
    for argument, (which, what, remedy) in causes.items():
        if which.any():
            own = dict.fromkeys(names[which].tolist())
            warnings.warn(
                f"{argument}: expected a finite fit of every neuron, got {what} for {some(own)}. "
                f"{remedy}.",
                NeuroalignWarning,
                stacklevel=4,
            )
