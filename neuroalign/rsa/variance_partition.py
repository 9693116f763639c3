"""How much of the variance of RDMs each model explains alone, and which they share."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import nnls

from neuroalign.errors import choose
from neuroalign.rsa._ranks import rank_rows
from neuroalign.rsa._sentences import describe_partition
from neuroalign.rsa._stacks import reorder, unfold
from neuroalign.rsa.joining import gather_rdms
from neuroalign.rsa.models import Models, as_models

Array = npt.NDArray[Any]
MAX_MODELS = 6


def _regress(design: Array, data: Array) -> Array:
    """Least squares of either sign: R2 (row,)."""
    fitted = design.T @ np.linalg.lstsq(design.T, data.T, rcond=None)[0]
    return np.asarray(np.square(fitted).sum(axis=0))


def _regress_non_negative(design: Array, data: Array) -> Array:
    """Least squares with weights of 0 or more: R2 (row,)."""
    fitted = np.stack([design.T @ nnls(design.T, row)[0] for row in data])
    # Residuals are orthogonal to the fit, as without constraints.
    return np.asarray(np.square(fitted).sum(axis=1))


REGRESSIONS = {"free": _regress, "non_negative": _regress_non_negative}


def _keep(rows: Array) -> Array:
    return rows


def _rank(rows: Array) -> Array:
    return rank_rows(rows, np.ones(rows.shape[1]))


TRANSFORMS = {"values": _keep, "ranks": _rank}


def partition_variance(
    models: Models,
    data: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    transform: str = "ranks",
    weights: str = "free",
) -> xr.Dataset:
    """Partition the variance of RDMs among models, for each RDM of the data.

    Parameters
    ----------
    models : Model, sequence of Model, mapping of name to RDM, or DataArray (rdm, pair)
        Two to six. A model of several RDMs enters with all of them.
    data : DataArray (..., pair) or (..., first, second), or mapping of subject to RDM
    transform : {"ranks", "values"}
        What is regressed.
    weights : {"free", "non_negative"}
        Sign of regression weights. Constrained ones leave shared parts no clear meaning.

    Returns
    -------
    Dataset
        ``r2`` (subset, ...) of the regression on each set of models, with an intercept; ``unique``
        (model, ...), lost when the model is left out; ``shared`` (subset, ...), explained by all
        models of a subset in common and by no other: negative where models suppress noise of each
        other. All of ``shared`` sums to ``r2`` of the full set. In-sample: more RDMs explain more.

    Raises
    ------
    AlignError
        When a model lacks a condition.
    ValueError
        On unknown options or another number of models.

    References
    ----------
    Nimon et al. (2008), Behavior Research Methods 40, 457-466.

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> shape, colour = np.random.default_rng(0).random((2, 45))
    >>> models = {"shape": from_matrix(shape, "abcdefghij"),
    ...           "colour": from_matrix(colour, "abcdefghij")}
    >>> data = from_matrix(2 * shape + colour, "abcdefghij")
    >>> found = partition_variance(models, data, transform="values")
    >>> found["r2"].round(6).sel(subset="shape + colour").item()
    1.0
    >>> found["unique"].idxmax("model").item()
    'shape'
    """
    known = as_models(models)
    if not 2 <= len(known) <= MAX_MODELS:
        raise ValueError(
            f"models: expected 2 to {MAX_MODELS}, got {len(known)}. There are 2^n - 1 parts."
        )
    change = choose(TRANSFORMS, transform, "transform")
    regress = choose(REGRESSIONS, weights, "weights")
    stack = unfold(gather_rdms(data, "data", "subject"), "data")
    rows = _standardise(change(stack.values.reshape(-1, stack.values.shape[-1])))
    bases = [
        _standardise(change(reorder(m.basis, m.labels, stack.labels, f"model '{m.name}'")))
        for m in known
    ]
    n = len(known)
    subsets = [set(one) for size in range(1, n + 1) for one in combinations(range(n), size)]
    r2 = np.array([regress(np.concatenate([bases[i] for i in s]), rows) for s in subsets])
    explained = {frozenset(s): value for s, value in zip(subsets, r2, strict=True)}
    explained[frozenset()] = np.zeros(len(rows))
    shared = np.array([_find_shared(frozenset(s), frozenset(range(n)), explained) for s in subsets])
    shape, lead = stack.values.shape[:-1], stack.lead
    names = np.array([model.name for model in known])
    subset_names = np.array([" + ".join(names[sorted(s)]) for s in subsets])
    made = xr.Dataset(
        {
            "r2": (("subset", *lead), r2.reshape(-1, *shape)),
            "unique": (("model", *lead), shared[:n].reshape(-1, *shape)),
            "shared": (("subset", *lead), shared.reshape(-1, *shape)),
        },
        coords={**stack.coords, "model": names, "subset": subset_names},
        attrs={
            "kind": "estimate",
            "method": f"variance partitioning ({transform}, {weights} weights)",
            "headline": "unique",
        },
    )
    return made.assign_attrs(verdict=describe_partition(made))


def _standardise(rows: Array) -> Array:
    """Mean 0, norm 1; constant rows become 0."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12))


def _find_shared(
    subset: frozenset[int], every: frozenset[int], explained: dict[frozenset[int], Array]
) -> Array:
    """Explained by all of a subset and no other model, by inclusion and exclusion.

    sum over T in S of (-1)^(|T| + 1) R2(T and all models outside S), with R2(outside) for none.
    """
    outside = every - subset
    total = np.zeros_like(explained[frozenset()])
    for size in range(len(subset) + 1):
        for part in combinations(sorted(subset), size):
            total += (-1) ** (size + 1) * explained[outside | frozenset(part)]
    return total
