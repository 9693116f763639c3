"""What the RDMs of one call share: a distance with what it asks for, and rows by condition."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose, some
from neuroalign.rsa import _cells
from neuroalign.rsa._cells import NoiseLike, Rows
from neuroalign.schema import check_features, check_responses

Array = npt.NDArray[Any]
Custom = Callable[[Array], Array]
NAN = ("raise", "omit", "propagate")
# Coords that a presentation has, not what was presented.
PRESENTED = frozenset(("run", "session", "subject", "repeat", "onset", "duration"))


class Distance(NamedTuple):
    """A kernel, how it is run (which tells what it takes), and what it asks for."""

    kernel: Callable[..., Array]
    run: Callable[..., Array]
    folds: bool = False
    noise: str = "optional"
    counts: bool = False


class Job(NamedTuple):
    """What every RDM of a stack shares."""

    name: str
    distance: Distance
    by: str
    fold: str | None
    noise: NoiseLike
    nan: str
    remove_mean: bool


def adapt_function(function: Custom) -> Distance:
    """Run a user's function of patterns over a stack, and check what it returns."""

    def kernel(X: Array) -> Array:
        made = [np.asarray(function(x), dtype=np.float64) for x in X]
        n = X.shape[1]
        wrong = [one.shape for one in made if one.shape != (n, n)]
        if wrong:
            raise ValueError(
                f"distance: expected the function to return ({n}, {n}), got {wrong[0]}. "
                "It takes all patterns (condition, channel) at once."
            )
        return np.stack(made)

    return Distance(kernel, _cells.run_patterns)


def check_job(job: Job) -> None:
    choose(dict.fromkeys(NAN), job.nan, "nan")
    if job.distance.folds != (job.fold is not None):
        wanted = "the name of a coord such as 'run'" if job.distance.folds else "None"
        use = "" if job.distance.folds else " Use 'crossnobis' or 'poisson_cv' to cross-validate."
        raise ValueError(
            f"fold: expected {wanted} for distance '{job.name}', got {job.fold!r}.{use}"
        )
    if job.distance.noise == "required" and job.noise is None:
        raise ValueError(
            f"noise: expected a covariance for distance '{job.name}', got None. "
            "Pass noise='shrinkage', or what rsa.estimate_noise returns."
        )
    if job.distance.noise == "refused" and job.noise is not None:
        raise ValueError(
            f"noise: expected None for distance '{job.name}', got one. Rates carry their own."
        )


def read_responses(responses: xr.DataArray, job: Job) -> xr.DataArray:
    """Check responses; features are channels too."""
    if "feature" in responses.dims:
        check_features(responses)
        if "token" in responses.dims:
            raise SchemaError(
                "responses: expected (sample, feature[, time]), got tokens. Pool them first."
            )
        responses = responses.drop_vars(["neuroid"], errors="ignore").rename(feature="neuroid")
        names = np.array([str(i) for i in range(responses.sizes["neuroid"])])
        responses = responses.assign_coords(neuroid=names)
    else:
        check_responses(responses)
    for coord in filter(None, (job.by, job.fold)):
        if coord not in responses.coords or responses[coord].dims != ("sample",):
            raise SchemaError(
                f"responses: expected coord '{coord}' on 'sample', got {some(responses.coords)}. "
                "Assign it, or name another."
            )
    if job.distance.counts and (responses.values < 0).any():
        raise ValueError(
            f"responses: expected counts or rates of 0 or more for distance '{job.name}', got "
            f"{float(np.nanmin(responses.values)):.3g}. Do not centre or z-score them."
        )
    return responses


def find_labels(responses: xr.DataArray, by: str) -> Array:
    """Conditions in the order of their first appearance, two or more."""
    names = responses[by].values
    _, place = np.unique(names, return_index=True)
    if len(place) < 2:
        raise SchemaError(
            f"responses: expected 2 conditions or more in '{by}', got {len(place)}. "
            "Name another coord."
        )
    return np.asarray(names[np.sort(place)])


def _number_conditions(responses: xr.DataArray, labels: Array, by: str) -> Array:
    order = np.argsort(labels)
    return np.asarray(order[np.searchsorted(labels, responses[by].values, sorter=order)])


def describe_conditions(responses: xr.DataArray, labels: Array, by: str) -> dict[str, Array]:
    """What all rows of each condition agree on and no presentation sets: its category, a rating."""
    codes = _number_conditions(responses, labels, by)
    first = np.unique(codes, return_index=True)[1]
    known = {}
    for key, coord in responses.coords.items():
        if coord.dims != ("sample",) or key == by or key in PRESENTED:
            continue
        column = coord.values
        expected = column[first][codes]
        if ((column == expected) | ((column != column) & (expected != expected))).all():
            known[str(key)] = column[first]
    return known


def make_rows(responses: xr.DataArray, labels: Array, job: Job) -> Rows:
    """Number the condition and the fold of each row."""
    codes = _number_conditions(responses, labels, job.by)
    fold_names, folds = np.array(["all"]), np.zeros(len(codes), dtype=np.intp)
    if job.fold is not None:
        fold_names, folds = np.unique(responses[job.fold].values, return_inverse=True)
        if len(fold_names) < 2:
            raise SchemaError(
                f"responses: expected 2 or more different '{job.fold}', got {len(fold_names)}. "
                "Cross-validation needs independent data."
            )
    return Rows(responses, codes, len(labels), folds, fold_names.astype(str), job.by, job.fold)
