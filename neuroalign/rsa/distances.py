"""Representational dissimilarity matrices from responses (or features).

Of patterns x and y over P channels, averages over channels where channels are summed:

================================  ==============================================================
``squared_euclidean``             ``|x - y|^2 / P``: mean squared difference; noise raises it
``euclidean``                     root of ``squared_euclidean``
``correlation``                   1 less the correlation: blind to mean and size of a pattern
``cosine``                        1 less the cosine: blind to the size of a pattern alone
``city_block``                    mean absolute difference
``mahalanobis``                   ``squared_euclidean`` of whitened patterns: needs ``noise``
``poisson``                       symmetrised Kullback-Leibler divergence of counts or rates
``crossnobis``                    differences in two folds multiplied: 0 on average where patterns
                                  are equal, negative by chance; whitened where ``noise`` is given
``linear_discriminant_contrast``  ``crossnobis`` that insists on ``noise``: how far a linear
                                  discriminant sets both conditions apart in other folds
``poisson_cv``                    ``poisson`` with rates of one fold and log rates of the others
``decoding_accuracy``             accuracy of a linear discriminant of each pair, in other folds
================================  ==============================================================

``compute_cross_rdm`` takes the first six between folds, where a condition has a distance to
itself.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.rsa import _cells, _crossvalidated, _kernels
from neuroalign.rsa._cells import NoiseLike
from neuroalign.rsa._jobs import (
    Custom,
    Distance,
    Job,
    adapt_function,
    check_job,
    describe_conditions,
    find_labels,
    make_rows,
    read_responses,
)
from neuroalign.rsa._labelled import need_responses
from neuroalign.rsa.rdms import to_condensed, wrap_square
from neuroalign.schema import SCHEMA_VERSION

Array = npt.NDArray[Any]
FORMS = ("square", "condensed")
ENDS = (("first",), ("second",))


DISTANCES: dict[str, Distance] = {
    "squared_euclidean": Distance(_kernels.squared_euclidean, _cells.run_patterns),
    "euclidean": Distance(_kernels.euclidean, _cells.run_patterns),
    "correlation": Distance(_kernels.correlation, _cells.run_patterns),
    "cosine": Distance(_kernels.cosine, _cells.run_patterns),
    "city_block": Distance(_kernels.city_block, _cells.run_patterns),
    "mahalanobis": Distance(_kernels.squared_euclidean, _cells.run_patterns, noise="required"),
    "poisson": Distance(_kernels.poisson, _cells.run_patterns, noise="refused", counts=True),
    "crossnobis": Distance(_crossvalidated.crossnobis, _cells.run_cells, folds=True),
    "linear_discriminant_contrast": Distance(
        _crossvalidated.crossnobis, _cells.run_cells, folds=True, noise="required"
    ),
    "poisson_cv": Distance(
        _crossvalidated.poisson_cv, _cells.run_cells, folds=True, noise="refused", counts=True
    ),
    "decoding_accuracy": Distance(_cells.score_decisions, _cells.run_trials, folds=True),
}
CROSS_DISTANCES: dict[str, Distance] = {
    "squared_euclidean": Distance(_kernels.cross_squared_euclidean, _cells.run_couples, True),
    "euclidean": Distance(_kernels.cross_euclidean, _cells.run_couples, True),
    "correlation": Distance(_kernels.cross_correlation, _cells.run_couples, True),
    "cosine": Distance(_kernels.cross_cosine, _cells.run_couples, True),
    "city_block": Distance(_kernels.cross_city_block, _cells.run_couples, True),
    "mahalanobis": Distance(_kernels.cross_squared_euclidean, _cells.run_couples, True, "required"),
}


def compute_rdm(
    responses: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    by: str = "stimulus",
    distance: str | Custom = "correlation",
    fold: str | None = None,
    noise: NoiseLike = None,
    over: str | Sequence[str] | None = None,
    form: str = "square",
    nan: str = "raise",
    remove_mean: bool = False,
) -> xr.DataArray:
    """Compute one RDM, or a stack of them in one call.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time]) or (sample, feature[, time]), or mapping
        Rows of one condition are averaged. A mapping (by subject, by layer) becomes a stack whose
        dim is the first name in ``over``.
    by : str
        Coord on ``sample`` that names the condition.
    distance : str or callable
        A name in ``DISTANCES``, or a function from patterns (condition, channel) to distances
        (condition, condition). All are means over channels where channels are summed, so
        ``squared_euclidean`` is ``|x - y|^2 / P`` and ``euclidean`` its root; ``mahalanobis`` and
        ``crossnobis`` are squared.
    fold : str, optional
        For cross-validated distances: the coord that names independent data, such as "run". Rows
        of one condition in one fold are averaged first; folds, then couples of different folds,
        weigh alike. Conditions may lack in some folds; two without two common folds score NaN.
    noise : DataArray (neuroid, neuroid_other), str, or None
        What ``estimate_noise`` returned (also one matrix for each fold or time point), or the
        name of its method: it is then estimated from the repeats in ``responses``, in each fold
        where a fold repeats conditions, for each RDM of the stack on its own.
    over : str or sequence of str, optional
        One RDM for each value: "time", a coord on ``sample`` ("subject"), or one on ``neuroid``
        ("roi"). Times are joined to one long pattern when not named here.
    form : {"square", "condensed"}
    nan : {"raise", "omit", "propagate"}
        On missing values: raise; leave out the channels that have any, for this RDM; or return
        an RDM of NaN for this member of the stack.
    remove_mean : bool
        Subtract the mean pattern of all conditions (in each fold) first. It changes
        ``correlation`` and ``cosine`` only.

    Returns
    -------
    DataArray (..., first, second) or (..., pair)
        attrs ``kind`` 'dissimilarity', ``distance``, ``n_channels``, ``noise``. Conditions are in
        the order of their first appearance. Negative cross-validated distances are kept. What all
        rows of each condition agree on, such as ``category``, is kept for both ends of a pair
        (``first_category``, ``second_category``), by which figures sort and colour.

    Raises
    ------
    SchemaError, AlignError
    ValueError
        When a distance lacks its fold or noise, or has one it cannot use.

    Notes
    -----
    Sums are in float64. Only crossnobis products of more than a million float32 values, with one
    row for each condition and fold and without noise, are taken in float32: the distances agree
    to a few 1e-6 of the mean square over all channels.

    References
    ----------
    Walther et al. (2016), NeuroImage 137, doi:10.1016/j.neuroimage.2015.12.012.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> values = np.random.default_rng(0).normal(size=(6, 20))
    >>> runs = ["1"] * 3 + ["2"] * 3
    >>> data = from_arrays(values, stimulus=["a", "b", "c"] * 2, run=runs, modality="fmri")
    >>> compute_rdm(data, distance="crossnobis", fold="run").dims
    ('first', 'second')
    """
    if callable(distance):
        name, chosen = getattr(distance, "__name__", "custom"), adapt_function(distance)
    else:
        name, chosen = distance, choose(DISTANCES, distance, "distance")
    choose(dict.fromkeys(FORMS), form, "form")
    job = Job(name, chosen, by, fold, noise, nan, remove_mean)
    rdm = _stack(responses, job, _read_over(over), "dissimilarity")
    return rdm if form == "square" else to_condensed(rdm)


def compute_cross_rdm(
    responses: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    fold: str,
    by: str = "stimulus",
    distance: str = "correlation",
    noise: NoiseLike = None,
    over: str | Sequence[str] | None = None,
    nan: str = "raise",
    remove_mean: bool = False,
) -> xr.DataArray:
    """Compute asymmetric RDMs between folds: the diagonal tells how well a condition repeats.

    Parameters
    ----------
    responses, by, noise, over, nan, remove_mean
        As in `compute_rdm`.
    fold : str
        Coord on ``sample``: two halves or several runs. Distances are averaged over couples of
        folds, the one whose name sorts first as rows.
    distance : str
        A name in ``CROSS_DISTANCES``.

    Returns
    -------
    DataArray (..., first, second)
        attrs ``kind`` 'cross'. Not symmetric, diagonal kept.

    Raises
    ------
    SchemaError, AlignError, ValueError

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(5, 30))
    >>> values = np.concatenate([signal, signal]) + 0.1 * rng.normal(size=(10, 30))
    >>> runs = ["run-01"] * 5 + ["run-02"] * 5
    >>> responses = from_arrays(values, modality="fmri", stimulus=list("abcde") * 2, run=runs)
    >>> rdm = compute_cross_rdm(responses, fold="run")
    >>> bool((np.diag(rdm) < 0.1).all())
    True
    """
    chosen = choose(CROSS_DISTANCES, distance, "distance")
    job = Job(distance, chosen, by, fold, noise, nan, remove_mean)
    return _stack(responses, job, _read_over(over), "cross")


def _read_over(over: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if over is None else (over,) if isinstance(over, str) else tuple(over)


def _stack(
    responses: xr.DataArray | Mapping[str, xr.DataArray],
    job: Job,
    over: tuple[str, ...],
    kind: str,
) -> xr.DataArray:
    check_job(job)
    need_responses(responses)
    if isinstance(responses, xr.DataArray):
        return _compute(responses, job, over, kind)
    if not over or not responses:
        raise ValueError(
            f"over: expected the name of the dim for {len(responses)} arrays first, got {over}. "
            "Pass over='subject' or over='layer'."
        )
    made = {key: _compute(one, job, over[1:], kind) for key, one in responses.items()}
    order = next(iter(made.values()))["first"].values
    for key, rdm in made.items():
        differing = set(rdm["first"].values.tolist()) ^ set(order.tolist())
        if differing:
            raise AlignError(
                f"responses['{key}']: expected the conditions of the first array, got "
                f"{some(sorted(differing))} in one only. Keep those that all have."
            )
    arrays = _agree([rdm.sel(first=order, second=order) for rdm in made.values()])
    dim = xr.Variable((over[0],), np.array(list(made)))
    stacked = xr.concat(
        arrays,
        dim,
        join="exact",
        coords="different",
        compat="equals",
        combine_attrs="drop_conflicts",
    )
    return stacked.assign_coords({over[0]: np.array(list(made))})


def _agree(rdms: list[xr.DataArray]) -> list[xr.DataArray]:
    """Drop what is known of the conditions of some only, or differently."""
    ends = [{key for key, c in rdm.coords.items() if c.dims in ENDS} for rdm in rdms]
    same = {
        key
        for key in set.intersection(*ends)
        if all(np.array_equal(rdm[key], rdms[0][key]) for rdm in rdms)
    }
    return [rdm.drop_vars(known - same) for rdm, known in zip(rdms, ends, strict=True)]


def _split(responses: xr.DataArray, over: tuple[str, ...]) -> dict[str, tuple[str, Array]]:
    """The values of each coord to stack over, and the dim it lives on."""
    found = {}
    for name in over:
        dims = responses[name].dims if name in responses.coords else ()
        if dims not in (("sample",), ("neuroid",)):
            raise SchemaError(
                f"over: expected 'time' or a coord on 'sample' or 'neuroid', got '{name}'. "
                f"There are {some(responses.coords, 20)}."
            )
        values = responses[name].values
        _, place = np.unique(values, return_index=True)
        found[name] = (str(dims[0]), values[np.sort(place)])
    return found


def _compute(responses: xr.DataArray, job: Job, over: tuple[str, ...], kind: str) -> xr.DataArray:
    responses = read_responses(responses, job)
    timed = "time" in responses.dims
    lead = tuple(name for name in over if not (timed and name == "time"))
    groups = _split(responses, lead)
    labels = find_labels(responses, job.by)
    joined = timed and len(lead) == len(over)
    made, channels = [], []
    for values in product(*(values for _, values in groups.values())):
        part = responses
        for (coord, (dim, _)), value in zip(groups.items(), values, strict=True):
            part = part.isel({dim: np.flatnonzero(part[coord].values == value)})
        one, n_channels = _compute_one(part, labels, job, joined)
        made.append(one)
        channels.append(n_channels)
    sizes = [len(values) for _, values in groups.values()]
    stack = np.stack(made).reshape(*sizes, *made[0].shape)
    dims: tuple[str, ...] = (*lead, "time")
    coords: dict[Any, Any] = {name: values for name, (_, values) in groups.items()}
    if "time" in over and timed:
        coords |= {"time": responses["time"]} if "time" in responses.coords else {}
    else:
        stack, dims = stack[..., 0, :, :], lead
    if job.fold is not None and job.nan == "raise":
        _check_shared_folds(stack, responses, job)
    rdm = wrap_square(stack, labels, dims, coords, describe_conditions(responses, labels, job.by))
    rdm = rdm.transpose(*over, "first", "second")
    noise = "none" if job.noise is None else job.noise
    attrs: dict[str, Any] = {"kind": kind, "distance": job.name, "schema_version": SCHEMA_VERSION}
    attrs["noise"] = noise if isinstance(noise, str) else str(noise.attrs.get("method", "given"))
    if len(set(channels)) == 1:
        attrs["n_channels"] = channels[0]
    else:
        rdm = rdm.assign_coords(n_channels=(lead, np.reshape(channels, sizes)))
    if job.fold is not None:
        attrs["fold"] = job.fold
    return rdm.assign_attrs(attrs)


def _check_shared_folds(stack: Array, responses: xr.DataArray, job: Job) -> None:
    """Refuse folds of which no two hold the same conditions: nothing can be cross-validated."""
    apart = ~np.eye(stack.shape[-1], dtype=bool)
    if np.isnan(stack[..., apart]).all():
        held = len(np.unique(responses[job.fold].values))
        raise SchemaError(
            f"fold: expected conditions measured in two or more '{job.fold}', got none that share "
            f"two of its {held}. Name independent measurements, such as 'run'."
        )


def _compute_one(part: xr.DataArray, labels: Array, job: Job, joined: bool) -> tuple[Array, int]:
    """One RDM (or one for each time): (time or 1, condition, condition), and its channels."""
    finite = np.isfinite(part.values)
    n = len(labels)
    if not finite.all():
        if job.nan == "raise":
            raise SchemaError(
                f"responses: expected finite values, got {int((~finite).sum())} missing of "
                f"{finite.size}. Use nan='omit' to leave out their channels."
            )
        if job.nan == "omit":
            whole = finite.all(axis=tuple(i for i in range(finite.ndim) if i != 1))
            part = part.isel(neuroid=np.flatnonzero(whole))
    n_channels = part.sizes["neuroid"]
    if not (n_channels and part.sizes["sample"]) or (job.nan == "propagate" and not finite.all()):
        times = 1 if joined else part.sizes.get("time", 1)
        return np.full((times, n, n), np.nan), n_channels
    rows = make_rows(part, labels, job)
    run = job.distance.run
    return run(rows, job.distance.kernel, job.noise, joined, job.remove_mean), n_channels
