"""What a searchlight is made of: cells averaged, noise ready, neighbours without missing values."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import csr_array, diags_array

from neuroalign.errors import SchemaError, choose
from neuroalign.rsa import _cells, _jobs, _searchlight
from neuroalign.rsa._cells import NoiseLike, Rows
from neuroalign.rsa._searchlight import Covariance, Light, Residuals
from neuroalign.rsa.distances import DISTANCES
from neuroalign.rsa.neighborhoods import neighbor_matrix
from neuroalign.rsa.noise import METHODS, find_codes, invert, read_noise, remove_means

Array = npt.NDArray[Any]


class Request(NamedTuple):
    """The arguments that say which RDMs are meant."""

    responses: xr.DataArray
    neighbors: Any
    by: str
    distance: str | _jobs.Custom
    fold: str | None
    noise: NoiseLike
    nan: str
    remove_mean: bool


def name_distance(distance: str | _jobs.Custom) -> str:
    """Name a distance, also a function of the user."""
    return getattr(distance, "__name__", "custom") if callable(distance) else distance


def prepare_light(request: Request) -> tuple[Light, Array, Array]:
    """Read everything; give the light, names of conditions, and sizes of neighbourhoods."""
    if callable(request.distance):
        # Never under its own name, which may be that of a row of the table.
        name, chosen = "custom", _jobs.adapt_function(request.distance)
    else:
        name, chosen = request.distance, choose(DISTANCES, request.distance, "distance")
    job = _jobs.Job(
        name, chosen, request.by, request.fold, request.noise, request.nan, request.remove_mean
    )
    _jobs.check_job(job)
    if request.responses.dims != ("sample", "neuroid"):
        raise SchemaError(
            f"responses: expected (sample, neuroid), got {request.responses.dims}. Average a "
            "window of time first, or run one searchlight for each."
        )
    responses = _jobs.read_responses(request.responses, job)
    members, size = _drop_missing(request, neighbor_matrix(request.neighbors, responses))
    labels = _jobs.find_labels(responses, request.by)
    known = np.isfinite(responses.values)
    # What is missing is in no neighbourhood any more; it must not spoil sums on the way either.
    finite = responses if known.all() else responses.where(known, 0.0)
    rows = _jobs.make_rows(finite, labels, job)
    return _make_light(job, rows, members), labels, size


def _drop_missing(request: Request, members: csr_array) -> tuple[csr_array, Array]:
    """Take out neuroids with missing values, or the neighbourhoods that hold any."""
    lost = ~np.isfinite(request.responses.values).all(axis=0)
    if not lost.any():
        return members, np.diff(members.indptr)
    if request.nan == "raise":
        raise SchemaError(
            f"responses: expected finite values, got {int(lost.sum())} neuroids with missing "
            "ones. Use nan='propagate' or nan='omit'."
        )
    numbers = members.astype(np.float64)
    if request.nan == "omit":
        kept = numbers @ diags_array((~lost).astype(np.float64))
    else:
        kept = diags_array((numbers @ lost == 0).astype(np.float64)) @ numbers
    kept = csr_array(kept)
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept, np.diff(kept.indptr)


def _make_light(job: _jobs.Job, rows: Rows, members: csr_array) -> Light:
    """Average cells, and find how their noise is removed: at once, or in each neighbourhood."""
    alone = job.distance.run is _cells.run_trials
    alone = alone or (isinstance(job.noise, xr.DataArray) and job.noise.ndim != 2)
    single = rows
    if job.distance.run is _cells.run_patterns:
        single = rows._replace(folds=np.zeros_like(rows.folds), fold_names=np.array(["all"]))
    B, present = _cells.average_cells(single)
    if job.remove_mean:
        B = _cells.remove_mean_pattern(B, present)
    cells = np.ascontiguousarray(B[0].transpose(2, 1, 0))
    noise = None
    if job.noise is not None and not alone:
        cells, noise = _read_noise(job.noise, rows, cells)
    if job.name in _searchlight.SHIFTED:
        cells = _searchlight.center_cells(cells, present)
    return Light(
        cells, present, members.indices.astype(np.intp), members.indptr.astype(np.intp),
        job.name, job.distance, noise, rows if alone else None, job.noise, job.remove_mean,
    )  # fmt: skip


def _read_noise(
    noise: xr.DataArray | str, rows: Rows, cells: Array
) -> tuple[Array, Residuals | Covariance | None]:
    """Scale channels where noise is diagonal; else prepare covariances of neighbourhoods."""
    if not isinstance(noise, str):
        matrix, inverse = read_noise(noise, rows.responses["neuroid"].values)
        return cells, Covariance(invert(matrix) if inverse else matrix)
    choose(METHODS, noise, "noise")
    codes = find_codes(rows.responses, rows.by, _cells.find_noise_fold(rows))
    residuals, dof = remove_means(rows.responses.values, codes)
    if dof < 1:
        raise SchemaError(
            f"responses: expected repeats of each {rows.by} to estimate noise, got each once. "
            "Pass a covariance estimated from residuals."
        )
    if noise == "diagonal":
        with np.errstate(divide="ignore"):
            scale = 1 / np.sqrt(np.einsum("ij,ij->j", residuals, residuals) / dof)
        scale[~np.isfinite(scale)] = np.nan
        return cells * scale[:, None, None], None
    return cells, Residuals(np.ascontiguousarray(residuals.T), float(dof), noise)
