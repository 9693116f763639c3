"""Inter-subject functional connectivity: which regions of others a region goes along with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign.errors import SchemaError
from neuroalign.similarity.intersubject import align_subjects

Array = npt.NDArray[Any]


def connect_subjects(
    responses: Mapping[str, xr.DataArray], *, on: str = "stimulus", over: str | None = None
) -> xr.Dataset:
    """Correlate each region of a subject with every region of the mean of all others (ISFC).

    What subjects do not share, such as rest and noise that spreads over the brain, does not enter,
    as it does connectivity within a subject.

    Parameters
    ----------
    responses : mapping of subject to DataArray (sample, neuroid)
        As for `correlate_subjects`: three subjects or more, the same stimuli or moments.
    on : str
        Coord on sample by which rows are matched: ``stimulus``, or ``onset`` (with ``run``).
    over : str, optional
        Average first over the neuroids of each value of this coord, such as "roi".

    Returns
    -------
    Dataset
        Of kind ``estimate``: ``score`` (subject, roi, roi_other), or over neuroids; symmetric, as
        both directions are averaged; its diagonal is the leave-one-out correlation of
        `correlate_subjects`. ``estimate``, the mean over subjects, and ``standard_error``, which
        is somewhat too small, as scores share data. NaN where a region does not vary.

    Raises
    ------
    SchemaError, AlignError

    References
    ----------
    Simony et al. (2016), Nature Communications 7, 12141, doi:10.1038/ncomms12141.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> film, moments = rng.normal(size=(90, 2)), [f"moment-{n}" for n in range(90)]
    >>> mixed = film @ [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> data = {
    ...     name: from_arrays(mixed + rng.normal(size=(90, 3)), modality="fmri", stimulus=moments)
    ...     for name in ("ann", "ben", "cleo")
    ... }
    >>> connect_subjects(data)["estimate"].values.round(1).tolist()[0]
    [0.6, 0.6, 0.1]
    """
    aligned = align_subjects(responses, on, over)
    first = aligned[0]
    if first.ndim != 2:
        raise SchemaError(
            f"responses: expected dims (sample, neuroid), got {first.dims}. Select a time."
        )
    stack = np.stack([one.values for one in aligned]).astype(np.float64)
    score = _connect(stack)
    dim = str(first.dims[1])
    labels = first[dim].values
    dims = ("subject", dim, f"{dim}_other")
    error = score.std(axis=0, ddof=1) / np.sqrt(len(score))
    result = xr.Dataset(
        {
            "score": (dims, score),
            "estimate": (dims[1:], score.mean(axis=0)),
            "standard_error": (dims[1:], error),
        },
        {"subject": list(responses), dim: labels, f"{dim}_other": labels},
    )
    parameters: dict[str, str | float | bool | list[str]] = {"on": on, "over": over or ""}
    hashes = {name: provenance.hash_array(one) for name, one in responses.items()}
    result.attrs = {
        **parameters,
        "kind": "estimate",
        "method": "intersubject functional connectivity",
        "headline": "estimate",
        "metric": "pearson",
        "n_subjects": len(responses),
        "schema_version": schema.SCHEMA_VERSION,
        "provenance": provenance.collect(parameters, hashes),
    }
    return schema.check_estimate(result)


def _connect(stack: Array) -> Array:
    """Correlations (subject, region, region) of one subject's regions with those of the rest."""
    total = stack.sum(axis=0)
    found = np.empty((len(stack), stack.shape[2], stack.shape[2]))
    for row, one in zip(found, stack, strict=True):
        ours, theirs = _standardise(one), _standardise(total - one)
        both = ours.T @ theirs
        row[:] = (both + both.T) / 2
    return found


def _standardise(values: Array) -> Array:
    centred = values - values.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    # What rounding leaves of a constant is no variance.
    real = norm > 1e-12 * np.abs(values).max(initial=0.0) * np.sqrt(len(values))
    return np.asarray(centred / np.where(real, norm, np.nan))
