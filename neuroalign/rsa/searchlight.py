"""Searchlights: an RDM around each place, and a map of how well models explain them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign._arrays import copy_geometry
from neuroalign._chunks import cut_targets, size_chunk
from neuroalign.errors import SchemaError, choose, some
from neuroalign.rsa import _comparison_kernels as kernels
from neuroalign.rsa import _searchlight
from neuroalign.rsa._cells import NoiseLike
from neuroalign.rsa._chunk_runs import fill_chunks
from neuroalign.rsa._geometry import find_definite
from neuroalign.rsa._jobs import Custom
from neuroalign.rsa._lights import Request, name_distance, prepare_light
from neuroalign.rsa._searchlight import Light
from neuroalign.rsa._sentences import describe_searchlight
from neuroalign.rsa._stacks import reorder
from neuroalign.rsa.comparisons import COMPARISONS, Noise, check_name, check_ridge
from neuroalign.rsa.models import FixedModel, Models, as_models
from neuroalign.rsa.neighborhoods import neighbor_matrix
from neuroalign.rsa.rdms import wrap_condensed
from neuroalign.schema import SCHEMA_VERSION

Array = npt.NDArray[Any]
# Centers of one chunk when nobody says; a chunk is what an interruption costs.
CHUNK = 2048


@dataclass(frozen=True)
class Task:
    """What each chunk of centres needs; no method: the RDMs themselves are wanted."""

    light: Light
    parts: list[slice]
    models: Array
    method: str
    ridge: float = 0.0


def run_searchlight(
    responses: xr.DataArray,
    neighbors: Any,
    models: Models,
    *,
    by: str = "stimulus",
    distance: str | Custom = "correlation",
    fold: str | None = None,
    noise: NoiseLike = None,
    method: str = "cosine",
    nan: str = "propagate",
    remove_mean: bool = False,
    ridge: float = 0.0,
    store: Path | str | None = None,
    batch: int | None = None,
    memory: int = 1 << 30,
    n_jobs: int = 1,
    client: Any = None,
    progress: bool = False,
) -> xr.Dataset:
    """Compare model RDMs with the RDM of every neighbourhood; RDMs are never held together.

    Parameters
    ----------
    responses : DataArray (sample, neuroid)
    neighbors : Dataset of `find_neighborhoods`, or sparse array (neuroid, neuroid)
    models : mapping of name to RDM, stack of RDMs, or sequence of FixedModel
        Aligned by the names of conditions.
    by, distance, fold, noise, remove_mean
        As in `compute_rdm`. A named ``noise`` is estimated in each neighbourhood on its own.
    method : str
        A name in ``COMPARISONS``. After cross-validated distances, whose zero has a meaning,
        ``cosine`` and its whitened kin keep it; after others use those that remove the mean.
    nan : {"propagate", "omit", "raise"}
        Where a neuroid has missing values: neighbourhoods with it are NaN, or do without it.
    ridge : float
        For ``riemannian``, as in `compare_rdms`. Neighbourhoods of fewer channels than conditions
        have no positive definite second moments without it, and are NaN.
    store : path, optional
        A folder that keeps each chunk as it is done. An interrupted call with the same arguments
        goes on there, and ends with the same bits. A ``distance`` that is a function is known by
        its name alone.
    batch : int, optional
        Centers of one chunk; found from ``memory`` [bytes a process] when not given.
    n_jobs : int
        Processes; -1 for all CPUs. Each has one thread of linear algebra.
    client : dask.distributed.Client, optional
        Its workers do the chunks instead.
    progress : bool

    Returns
    -------
    Dataset
        ``score`` (model, neuroid) with the places of the centers, for ``loaders.to_nifti`` and
        ``to_gifti``; NaN where there is no neighbourhood, no variance, a singular covariance or a
        missing value. ``size`` (neuroid): how many neuroids made the RDM.

    Raises
    ------
    SchemaError, AlignError, ValueError, MemoryError, FileExistsError

    References
    ----------
    Kriegeskorte, Goebel & Bandettini (2006), PNAS 103, doi:10.1073/pnas.0600244103.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> from neuroalign.rsa.categories import categorical_rdm
    >>> from neuroalign.rsa.neighborhoods import find_neighborhoods
    >>> values = np.random.default_rng(0).normal(size=(4, 30))
    >>> data = from_arrays(values, stimulus=list("abcd"), modality="fmri")
    >>> data = data.assign_coords({axis: ("neuroid", np.arange(30) % (d + 9))
    ...                            for d, axis in enumerate("xyz")})
    >>> model = categorical_rdm({"a": "x", "b": "x", "c": "y", "d": "y"})
    >>> run_searchlight(data, find_neighborhoods(data, 4), {"xy": model})["score"].dims
    ('model', 'neuroid')
    """
    check_name(method)
    choose(COMPARISONS, method, "method")
    check_ridge(ridge, method)
    found = as_models(models)
    if not all(isinstance(model, FixedModel) for model in found):
        raise ValueError(
            "models: expected fixed RDMs, got a model with weights to be fitted. Fit it with "
            "infer(...) in a region, and pass what it predicts."
        )
    request = Request(responses, neighbors, by, distance, fold, noise, nan, remove_mean)
    light, labels, size = prepare_light(request)
    names = np.array([model.name for model in found])
    rows = np.concatenate(
        [reorder(one.basis, one.labels, labels, f"model '{one.name}'") for one in found]
    )
    chunk = batch or _size_chunk(light, memory)
    normalise = kernels.NORMALISERS.get(method)
    ready = rows if normalise is None else normalise(rows, kernels.weigh(rows.shape[1]))
    if method == "riemannian" and not find_definite(rows, ridge).all():
        lost = names[~find_definite(rows, ridge)]
        raise SchemaError(
            f"models: expected RDMs whose second moments are positive definite for method "
            f"'riemannian', got others in {some(lost)} (such as of categories). Use "
            f"ridge={max(2 * ridge, 0.1):g} or more, or method='bures' or 'whitened_cosine'."
        )
    task = Task(light, cut_targets(len(size), chunk), ready, method, ridge)
    compared = f"{method}, ridge {ridge:g}" if ridge else method
    key = _describe(request, compared, provenance.hash_array(rows))
    values = fill_chunks(
        _work, task, task.parts, {"score": len(rows)}, chunk=chunk, store=store, key=key,
        n_jobs=n_jobs, client=client, progress=progress,
    )["score"]  # fmt: skip
    coords = {key_: c for key_, c in responses.coords.items() if c.dims == ("neuroid",)}
    score = xr.DataArray(
        np.asarray(values), {**coords, "model": names}, ("model", "neuroid"),
        attrs={"metric": method},
    )  # fmt: skip
    if method == "riemannian" and not np.isfinite(score.values).any():
        raise SchemaError(
            "neighbors: expected neighbourhoods whose RDMs have positive definite second moments "
            "for method 'riemannian', got none (fewer channels than conditions, or noisy "
            f"distances). Use ridge={max(2 * ridge, 0.1):g} or more, or a larger radius."
        )
    result = xr.Dataset({"score": copy_geometry(responses, score), "size": ("neuroid", size)})
    attrs = _attrs(request, "run_searchlight") | {"metric": method, "provenance": key}
    result = result.assign_attrs(attrs)
    result.attrs |= {"headline": "score", "verdict": describe_searchlight(result)}
    return copy_geometry(responses, result)


def compute_searchlight_rdms(
    responses: xr.DataArray,
    neighbors: Any,
    *,
    by: str = "stimulus",
    distance: str | Custom = "correlation",
    fold: str | None = None,
    noise: NoiseLike = None,
    nan: str = "propagate",
    remove_mean: bool = False,
    batch: int | None = None,
    memory: int = 1 << 30,
    n_jobs: int = 1,
    client: Any = None,
    progress: bool = False,
) -> xr.DataArray:
    """Compute the RDM of every neighbourhood, and hold them all.

    Parameters
    ----------
    responses, neighbors, by, distance, fold, noise, nan, remove_mean
        As in `run_searchlight`.
    batch, n_jobs, client, progress
        As in `run_searchlight`.
    memory : int
        Budget [bytes], of which the RDMs may not take more.

    Returns
    -------
    DataArray (center, pair)
        float64; coord ``center`` is the name of the neuroid, ``n_channels`` how many made the
        RDM. The same numbers as `compute_rdm` of each neighbourhood.

    Raises
    ------
    SchemaError, AlignError, ValueError
    MemoryError
        When the RDMs are larger than the budget: `run_searchlight` never holds them.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> from scipy.sparse import eye_array
    >>> values = np.random.default_rng(0).normal(size=(4, 30))
    >>> data = from_arrays(values, stimulus=list("abcd"), modality="fmri")
    >>> compute_searchlight_rdms(data, eye_array(30), distance="squared_euclidean").shape
    (30, 6)
    """
    request = Request(responses, neighbors, by, distance, fold, noise, nan, remove_mean)
    light, labels, size = prepare_light(request)
    n_pairs = len(labels) * (len(labels) - 1) // 2
    need = 8 * n_pairs * len(size)
    if need > memory:
        raise MemoryError(
            f"memory: expected at least {need:,} bytes for {len(size)} RDMs of {n_pairs} pairs, "
            f"got {memory:,}. Raise it, or use run_searchlight, which never holds them all."
        )
    chunk = batch or _size_chunk(light, memory)
    task = Task(light, cut_targets(len(size), chunk), np.empty((0, n_pairs)), "")
    values = fill_chunks(
        _work, task, task.parts, {"rdm": n_pairs}, chunk=chunk, n_jobs=n_jobs, client=client,
        progress=progress,
    )["rdm"]  # fmt: skip
    centers = responses["neuroid"].values
    coords = {"center": centers, "n_channels": ("center", size)}
    rdms = wrap_condensed(np.ascontiguousarray(values.T), labels, ("center",), coords)
    attrs = _attrs(request, "compute_searchlight_rdms") | {"kind": "dissimilarity"}
    return rdms.assign_attrs(attrs)


def _attrs(request: Request, method: str) -> dict[str, Any]:
    noise = "none" if request.noise is None else request.noise
    attrs: dict[str, Any] = {"kind": "estimate", "method": method}
    attrs["distance"] = name_distance(request.distance)
    attrs["noise"] = noise if isinstance(noise, str) else str(noise.attrs.get("method", "given"))
    attrs["schema_version"] = SCHEMA_VERSION
    return attrs if request.fold is None else {**attrs, "fold": request.fold}


def _describe(request: Request, method: str, models: str) -> str:
    """Hash all that scores depend on."""
    matrix = neighbor_matrix(request.neighbors)
    inputs = {
        "responses": provenance.hash_array(request.responses),
        "neighbors": provenance.hash_array(np.concatenate([matrix.indptr, matrix.indices])),
        "models": models,
    }
    if isinstance(request.noise, xr.DataArray):
        inputs["noise"] = provenance.hash_array(request.noise)
    attrs = _attrs(request, "run_searchlight")
    parameters = {key: attrs[key] for key in ("distance", "noise")}
    parameters |= {"by": request.by, "fold": str(request.fold), "nan": request.nan}
    parameters |= {"comparison": method, "remove_mean": str(request.remove_mean)}
    return provenance.collect(parameters, inputs)


def _size_chunk(light: Light, memory: int) -> int:
    """Centers whose RDMs, and their copies in a comparison, fit the budget."""
    n = light.cells.shape[2]
    per_center = 8 * 6 * n * (n - 1) // 2
    fixed = light.cells.nbytes + 8 * _searchlight.CONTRIBUTED
    return min(CHUNK, size_chunk(len(light.indptr) - 1, fixed, per_center, memory))


def _work(task: Task, number: int) -> dict[str, Array]:
    """RDMs or scores of one chunk."""
    rdms = _searchlight.compute_rdms(task.light, task.parts[number])
    if not task.method:
        return {"rdm": rdms.T}
    score = np.full((len(task.models), len(rdms)), np.nan)
    whole = np.flatnonzero(np.isfinite(rdms).all(axis=1))
    weights = kernels.weigh(rdms.shape[1])
    # Few at a time, so that what comparisons make of them stays in the cache.
    step = max(16, _searchlight.GATHERED // rdms[:1].nbytes)
    for begin in range(0, len(whole), step):
        places = whole[begin : begin + step]
        score[:, places] = _compare(rdms[places], task, weights).T
    return {"score": score}


def _compare(rdms: Array, task: Task, weights: kernels.Weights) -> Array:
    """Similarity (center, model); models that are a product of normalised RDMs are ready."""
    normalise = kernels.NORMALISERS.get(task.method)
    if normalise is not None:
        return np.asarray(normalise(rdms, weights) @ task.models.T)
    noise = Noise(None, None, 2, task.ridge)
    if task.method != "riemannian":
        return COMPARISONS[task.method](rdms, task.models, weights, noise)
    score = np.full((len(rdms), len(task.models)), np.nan)
    whole = np.flatnonzero(find_definite(rdms, task.ridge))
    if len(whole):
        score[whole] = COMPARISONS[task.method](rdms[whole], task.models, weights, noise)
    return score
