"""Feature spaces: which columns belong together, brought to one scale; what each explains."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._linalg import eigh_ranked
from neuroalign.errors import SchemaError, some

Array = npt.NDArray[Any]
# Single precision makes eigenvalues this negative, relative to the largest; they are left out.
MOST_NEGATIVE = 1e-5


def read_spaces(spaces: Any, features: xr.DataArray | None, n_features: int) -> dict[str, Array]:
    """Name the columns of each space, in order of appearance.

    Parameters
    ----------
    spaces : sequence of labels (feature,), list of column groups, mapping, or None
        None: coord ``space`` of the features where there is one, else all in one space.
    features : DataArray (0 samples, feature), or None
    n_features : int

    Returns
    -------
    dict of array of int

    Raises
    ------
    SchemaError
        Unless every column is in exactly one space.
    """
    if spaces is None:
        named = features is not None and "space" in features.coords
        spaces = features["space"].values if named else ["all"] * n_features  # type: ignore[index]
    if isinstance(spaces, Mapping):
        groups = {str(name): np.arange(n_features)[columns] for name, columns in spaces.items()}
    elif len(spaces) and np.ndim(spaces[0]) == 0 and not isinstance(spaces[0], slice):
        labels = np.asarray(spaces).astype(str)
        if labels.shape != (n_features,):
            raise SchemaError(
                f"spaces: expected one label for each of {n_features} features, got shape "
                f"{labels.shape}. Label each column, or pass lists of columns."
            )
        groups = {name: np.flatnonzero(labels == name) for name in dict.fromkeys(labels.tolist())}
    else:
        groups = {str(row): np.arange(n_features)[columns] for row, columns in enumerate(spaces)}
    count = np.zeros(n_features, dtype=int)
    for columns in groups.values():
        np.add.at(count, columns, 1)
    if (count != 1).any() or not all(map(len, groups.values())):
        raise SchemaError(
            "spaces: expected every feature in exactly one space and no space empty, got "
            f"features {some(np.flatnonzero(count != 1))} in none or several. Name each once."
        )
    return groups


class Root(NamedTuple):
    """Few columns that stand for a space: ``values`` (n, r) of mean square sum 1 over rows.

    ``scale`` divides the columns; ``lift`` (n, r) turns weights of ``values`` into dual weights on
    the kernel of the unscaled space, None where ``values`` are its own columns.
    """

    values: Array
    scale: float
    lift: Array | None


def _measure(total: float, n: int) -> float:
    # A constant space has no variance to be brought to one.
    return float(np.sqrt(total / n)) if total > 0 else 1.0


def take_root(X: Array, *, center: bool) -> Root:
    """Bring a space (n, p) to trace n; when it is wide, by n columns with the same Gram matrix."""
    wide = X.astype(np.float64, copy=False)
    wide = wide - wide.mean(axis=0) if center else wide
    if X.shape[1] > len(X):
        return take_kernel_root(wide @ wide.T, X.dtype, center=False)
    scale = _measure(float(np.vdot(wide, wide)), len(X))
    return Root((wide / scale).astype(X.dtype), scale, None)


def take_kernel_root(kernel: Array, dtype: Any, *, center: bool, name: str = "kernel") -> Root:
    """Find columns whose inner products are a kernel (n, n).

    Raises
    ------
    ValueError
        When it is not symmetric, or an eigenvalue is more negative than single precision makes it.
    """
    rounding = 100 * float(np.finfo(dtype).eps)
    kernel = kernel.astype(np.float64)
    size = float(np.abs(kernel).max(initial=0.0))
    if not np.allclose(kernel, kernel.T, rtol=0, atol=rounding * size):
        raise ValueError(f"{name}: expected a symmetric kernel, got another. Pass X X' or alike.")
    kernel = (kernel + kernel.T) / 2
    if center:
        mean = kernel.mean(axis=0)
        kernel = kernel - mean - mean[:, None] + mean.mean()
    eigenvalues = np.linalg.eigvalsh(kernel)
    lowest, highest = float(eigenvalues[0]), float(np.abs(eigenvalues[-1]))
    if lowest < -MOST_NEGATIVE * max(highest, size * rounding):
        raise ValueError(
            f"{name}: expected a kernel without negative eigenvalues, got {lowest:.3g}. "
            "Use another kernel, or clip its spectrum."
        )
    scale = _measure(float(np.trace(kernel)), len(kernel))
    values, vectors = eigh_ranked(kernel)
    root = np.sqrt(values)
    return Root((vectors * root / scale).astype(dtype), scale, vectors / root / scale)


def explain_parts(parts: Array, observed: Array) -> Array:
    """Divide R2 over predictions that add up: the product measure.

    Parameters
    ----------
    parts : array (space, sample, target)
        Their sum predicts ``observed``.
    observed : array (sample, target)

    Returns
    -------
    array (space, target)
        Sums to R2 about the mean of ``observed``: its offset from zero is taken in equal shares
        out of the parts first, without which the sum would be off. NaN for constant targets.
    """
    mean = observed.mean(axis=0, dtype=np.float64)
    centred = observed - mean
    shares = parts - mean / len(parts)
    joint = shares.sum(axis=0)
    explained = (shares * (2 * centred - joint)).sum(axis=1)
    total = (centred**2).sum(axis=0)
    found: Array = np.divide(explained, total, out=np.full_like(explained, np.nan), where=total > 0)
    return found
