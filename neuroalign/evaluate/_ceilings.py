"""The ceiling of a result: computed from repeats, or taken and checked."""

import warnings
from typing import Any

import numpy as np
import xarray as xr

from neuroalign._arrays import describe, names_conditions
from neuroalign._folds import find_repeated
from neuroalign.ceilings.table import CEILINGS
from neuroalign.errors import AlignError, NeuroalignWarning, choose, some

# Numbers of presentations this near count as the same: stimuli may come unequally often.
ALIKE = 1.5


def find_ceiling(ceiling: Any, responses: xr.DataArray, seed: int) -> xr.DataArray:
    """Compute or take the ceiling; NaN where nothing is repeated, as among volumes of a run."""
    if isinstance(ceiling, xr.DataArray | xr.Dataset):
        return _take(ceiling, responses)
    blank = describe(responses)
    unknown = xr.DataArray(np.full(blank.shape[1:], np.nan), dims=blank.dims[1:])
    if ceiling is None:
        return unknown
    if not isinstance(ceiling, str):
        raise ValueError(
            f"ceiling: expected a name, a DataArray (neuroid) or None, got "
            f"{type(ceiling).__name__}. Label bare arrays by neuroid."
        )
    compute = choose(CEILINGS, ceiling, "ceiling")
    shown = responses["stimulus"].values if "stimulus" in responses.coords else None
    if find_repeated(shown) is None:
        return unknown
    if names_conditions(responses):
        warnings.warn(
            "ceiling: expected repeated presentations, got volumes named by condition, which are "
            "no repeats; it is left out. Pass ceiling=None, or a ceiling from repeated runs.",
            NeuroalignWarning,
            stacklevel=4,
        )
        return unknown
    return compute(responses, n_averaged=1, n_bootstrap=0, seed=seed)["ceiling"]


def _take(ceiling: xr.DataArray | xr.Dataset, responses: xr.DataArray) -> xr.DataArray:
    """Check a ceiling that was given: the neuroids, the dims and the range."""
    if isinstance(ceiling, xr.Dataset):
        if "ceiling" not in ceiling:
            raise AlignError(
                f"ceiling: expected a Dataset with 'ceiling', got {some(ceiling.data_vars)}. "
                "Pass what a function of ceilings returned."
            )
        ceiling = ceiling["ceiling"]
    if ceiling.name == "ceiling_r":
        raise ValueError(
            "ceiling: expected a share of variance, got 'ceiling_r', its square root. "
            "Pass ['ceiling']; reports take the root where the score is r."
        )
    if ceiling.dims not in (("neuroid",), tuple(responses.dims[1:])):
        raise AlignError(
            f"ceiling: expected dims ('neuroid',) or {responses.dims[1:]}, got {ceiling.dims}. "
            "Use transpose, or select a time."
        )
    if "neuroid" not in ceiling.coords:
        raise AlignError("ceiling: expected coord 'neuroid' as in responses, got none. Assign it.")
    known = set(ceiling["neuroid"].values.tolist())
    missing = [name for name in responses["neuroid"].values.tolist() if name not in known]
    if missing:
        raise AlignError(
            f"ceiling: expected the {responses.sizes['neuroid']} neuroids of responses, missing "
            f"{len(missing)}: {some(missing)}. Ceiling holds {some(sorted(known))}."
        )
    low, high = float(ceiling.min()), float(ceiling.max())
    if low < 0 or high > 1:
        raise ValueError(
            f"ceiling: expected shares of variance from 0 to 1, got {low:g} to {high:g}. "
            "Divide per cent by 100."
        )
    if "time" in ceiling.dims and not np.array_equal(ceiling["time"], responses["time"]):
        raise AlignError("ceiling: expected the times of responses, got others. Resample it.")
    _warn_other_average(ceiling, responses)
    values = ceiling.sel(neuroid=responses["neuroid"].values)
    return values.drop_vars([name for name in values.coords if name not in values.dims])


def _warn_other_average(ceiling: xr.DataArray, responses: xr.DataArray) -> None:
    """Say so when a ceiling bounds an average of more, or fewer, presentations than there are."""
    bounds = ceiling.attrs.get("n_averaged")
    if bounds is None:
        return
    if "n_repeats" in responses.coords:
        held = 1 / float((1 / responses["n_repeats"]).mean())
    elif "stimulus" in responses.coords and find_repeated(responses["stimulus"].values) is not None:
        held = 1.0
    else:
        return
    if not 1 / ALIKE <= float(bounds) / held <= ALIKE:
        warnings.warn(
            f"ceiling: expected that of {held:.3g} presentations averaged, as in responses, got "
            f"that of {float(bounds):.3g}. Pass n_averaged={held:.3g} to the function of ceilings, "
            "or the responses that it bounds.",
            NeuroalignWarning,
            stacklevel=5,
        )
