"""Framed RSA: two reference patterns let RDMs see the mean and the size of responses."""

import numpy as np
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.schema import add_history, check_responses

FRAMES = ("frame:zero", "frame:constant")
# Coords that tell independent measurements apart, each of which gets its own frames.
GROUPS = ("subject", "session", "run")


def frame_responses(
    responses: xr.DataArray, *, constant: float | None = None, by: str = "stimulus"
) -> xr.DataArray:
    """Add a pattern of zeros and one of a constant to each run, as two more conditions.

    Distances to the zeros hold the size of each pattern, distances to the constant its mean over
    neuroids, neither of which distances between conditions see.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        With a meaningful 0, such as a baseline; not centred.
    constant : float, optional
        In units of the responses; the root mean square of those not missing by default.
    by : str
        Coord on sample that names conditions.

    Returns
    -------
    DataArray
        More samples, of conditions ``frame:zero`` and ``frame:constant``.

    Raises
    ------
    SchemaError
        When conditions have those names already, or the coord is missing.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> responses = from_arrays(np.ones((2, 3)), modality="fmri", stimulus=["a", "b"])
    >>> frame_responses(responses)["stimulus"].values.tolist()
    ['a', 'b', 'frame:zero', 'frame:constant']
    """
    check_responses(responses)
    if by not in responses.coords or set(FRAMES) & set(responses[by].values.tolist()):
        raise SchemaError(
            f"responses: expected coord '{by}' without '{FRAMES[0]}' and '{FRAMES[1]}', got none "
            "or framed responses. Frame once, before computing RDMs."
        )
    groups = [name for name in GROUPS if name in responses.coords]
    keys = [tuple(row) for row in zip(*(responses[g].values.tolist() for g in groups), strict=True)]
    first = [keys.index(key) for key in dict.fromkeys(keys)] if groups else [0]
    known = responses.values[np.isfinite(responses.values)].astype(np.float64)
    size = np.sqrt(np.square(known).mean()) if len(known) else 0.0
    parts = [responses]
    for label, value in zip(FRAMES, (0.0, size if constant is None else constant), strict=True):
        rows = responses.isel(sample=first)
        frame = xr.full_like(rows, value)
        parts.append(frame.assign_coords({by: ("sample", np.array([label] * len(first)))}))
    framed = xr.concat(parts, "sample", coords="minimal", compat="override", join="override")
    return add_history(framed.assign_attrs(responses.attrs), "frame_responses")
