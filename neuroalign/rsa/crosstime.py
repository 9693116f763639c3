"""Distances between conditions that hold from one time to another: does the code itself last?"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, choose
from neuroalign.rsa._stacks import unfold
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.noise import estimate_noise
from neuroalign.schema import check_responses

Array = npt.NDArray[Any]
# Squares of differences only: others have no part that two times share.
QUADRATIC = ("crossnobis", "linear_discriminant_contrast", "squared_euclidean", "mahalanobis")


def generalize_distances(
    responses: xr.DataArray,
    *,
    by: str = "stimulus",
    distance: str = "crossnobis",
    fold: str | None = "run",
    noise: xr.DataArray | str | None = None,
) -> xr.DataArray:
    """Compute the distance of each pair of conditions along their difference at another time.

    The product of the difference of two conditions at one time with that at another, in other
    folds, mean over channels. At equal times it is the crossnobis distance; between times it stays
    as large while the pattern that tells both apart lasts, is 0 when other channels take over, and
    negative when it turns round. RDMs may be alike all the same: see `generalize_rdms`.

    Parameters
    ----------
    responses : DataArray (sample, neuroid, time)
        Bin or thin times first (`bin_time`): the result has their square.
    by : str
    distance : {"crossnobis", "linear_discriminant_contrast", "squared_euclidean", "mahalanobis"}
        The last two take no fold, and noise that lasts raises them.
    fold : str or None
        Coord on sample of independent data; None for the last two.
    noise : DataArray (neuroid, neuroid_other), str, or None
        One covariance for all times, or the name of a method to estimate it from all times.

    Returns
    -------
    DataArray (time, time_other, pair)
        The same both ways. RDMs of kind 'dissimilarity' that may be negative.

    Raises
    ------
    SchemaError, AlignError, ValueError

    References
    ----------
    King & Dehaene (2014), Trends in Cognitive Sciences 18, 203-210; Walther et al. (2016),
    NeuroImage 137, doi:10.1016/j.neuroimage.2015.12.012.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> lasting = np.tile(rng.normal(size=(3, 40, 1)), (4, 1, 2)) + rng.normal(size=(12, 40, 2))
    >>> data = from_arrays(
    ...     lasting, stimulus=["a", "b", "c"] * 4, run=np.repeat(list("1234"), 3),
    ...     time=[0.1, 0.3], modality="meg",
    ... )
    >>> generalize_distances(data).mean("pair").values.round(0).tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    choose(dict.fromkeys(QUADRATIC), distance, "distance")
    check_responses(responses)
    if "time" not in responses.dims:
        raise SchemaError(
            f"responses: expected dims ('sample', 'neuroid', 'time'), got {responses.dims}. "
            "Load epochs."
        )
    if isinstance(noise, str):
        cells = [responses[key].values.astype(str) for key in (by, fold) if key is not None]
        repeated = len(np.unique(np.stack(cells, axis=1), axis=0)) < len(cells[0])
        noise = estimate_noise(
            responses, by=by, fold=fold if repeated and fold is not None else None, method=noise
        )
    if noise is not None and noise.ndim != 2:
        raise SchemaError(
            f"noise: expected (neuroid, neuroid_other), got {noise.dims}. Patterns of two times "
            "are multiplied: give one covariance for all times."
        )

    def measure(given: xr.DataArray) -> xr.DataArray:
        return compute_rdm(
            given, by=by, distance=distance, fold=fold, noise=noise, over="time", form="condensed"
        )

    own = measure(responses)
    unfold(own, "responses")
    values, n_times = own.values, len(own)
    found = np.empty((n_times, n_times, values.shape[1]))
    bare = responses.values.astype(np.float64)
    for t in range(n_times):
        later = responses.isel(time=slice(t, None))
        # |a + b|^2 = |a|^2 + |b|^2 + 2 ab, for squares that are products of folds too.
        both = measure(later.copy(data=bare[..., t:] + bare[..., t : t + 1])).values
        found[t, t:] = found[t:, t] = (both - values[t:] - values[t]) / 2
    coords: dict[Any, Any] = dict(own.coords)
    if "time" in own.coords:
        coords["time_other"] = ("time_other", own["time"].values)
    return xr.DataArray(found, coords, ("time", "time_other", "pair"), attrs=own.attrs)
