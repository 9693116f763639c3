"""Seat features beside the responses to the same stimuli, by label and never by position."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import AlignError, choose, some
from neuroalign.schema import add_history, check_features, check_responses

HOW = {"strict": True, "inner": False}


def find_stimuli(features: xr.DataArray, wanted: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Find the row of features for each stimulus wanted, -1 where there is none.

    Raises
    ------
    AlignError
        When features do not name each stimulus once.
    """
    _check_named(features, "features")
    index = pd.Index(features["stimulus"].values.astype(object))
    if index.has_duplicates:
        twice = index[index.duplicated()].unique()
        raise AlignError(
            f"features: expected each stimulus once, got {len(twice)} repeated ({some(twice)}). "
            "Average or drop the copies."
        )
    return np.asarray(index.get_indexer(wanted.astype(object)))


def _check_named(array: xr.DataArray, name: str) -> None:
    if "stimulus" not in array.coords:
        raise AlignError(
            f"{name}: expected coord 'stimulus', got {some(array.coords)}. "
            "Assign it, or match with on=('run', 'onset')."
        )


def _onset_rows(
    features: xr.DataArray, responses: xr.DataArray, tolerance: float
) -> npt.NDArray[np.intp]:
    """Find the feature row of the same run whose onset is nearest, within the tolerance."""
    rows = np.full(responses.sizes["sample"], -1, dtype=np.intp)
    runs, onsets = features["run"].values, features["onset"].values
    for run in np.unique(responses["run"].values):
        wanted = np.flatnonzero(responses["run"].values == run)
        have = np.flatnonzero(runs == run)
        if not len(have):
            continue
        have = have[np.argsort(onsets[have], kind="stable")]
        times = onsets[have]
        if (np.diff(times) <= 2 * tolerance).any():
            raise AlignError(
                f"features: expected onsets of run '{run}' apart by more than the tolerance "
                f"({tolerance} s), got closer ones. Drop the copies or lower tolerance."
            )
        target = responses["onset"].values[wanted]
        right = np.clip(np.searchsorted(times, target), 1, max(len(times) - 1, 1))
        left = right - 1
        right = np.minimum(right, len(times) - 1)
        near = np.where(np.abs(times[left] - target) <= np.abs(times[right] - target), left, right)
        good = np.abs(times[near] - target) <= tolerance
        rows[wanted[good]] = have[near[good]]
    return rows


def _pairs(array: xr.DataArray) -> list[tuple[str, float]]:
    return list(zip(array["run"].values.tolist(), array["onset"].values.tolist(), strict=True))


def _guess_cause(wanted: Sequence[str], known: Sequence[str]) -> str:
    """Name the usual reason why two styles of ids do not meet."""

    def meets(change: Any) -> bool:
        return bool({change(label) for label in wanted} & {change(label) for label in known})

    if set(wanted) == {"rest"}:
        return (
            " Volumes between events are named 'rest': leave them out by "
            "responses[responses['stimulus'] != 'rest'], or keep all volumes and bring the "
            "features in by align.convolve_hrf."
        )
    if meets(lambda label: label.rsplit(".", 1)[0]):
        return " They meet without file endings: strip '.png' and the like on one side."
    if meets(lambda label: label.lstrip("0")):
        return " They meet without leading zeros: '001' and '1' are different labels."
    if meets(str.lower):
        return " They meet in lower case."
    return ""


def refuse_missing(
    found: npt.NDArray[np.bool_],
    labels: npt.NDArray[Any],
    known: npt.NDArray[Any],
    name: str,
    remedy: str = "",
) -> None:
    """Raise when a label was not found, naming both styles of labels.

    Raises
    ------
    AlignError
    """
    missing = np.unique(labels[~found])
    if len(missing):
        raise AlignError(
            f"features: expected all {len(np.unique(labels))} labels of {name}, missing "
            f"{len(missing)}: {some(missing)}. Features hold {some(known)}."
            f"{_guess_cause(missing.tolist(), known.tolist())}{remedy}"
        )


def match(
    features: xr.DataArray,
    responses: xr.DataArray,
    on: str | tuple[str, str] = "stimulus",
    how: str = "strict",
    tolerance: float = 1e-6,
) -> xr.Dataset:
    """Give every response sample the features of what was shown.

    Parameters
    ----------
    features : DataArray (sample, ...)
        Each stimulus once, in any order.
    responses : DataArray (sample, neuroid[, time])
        Its order and repeats are kept.
    on : "stimulus" or ("run", "onset")
    how : {"strict", "inner"}
        ``inner`` drops samples without features, and counts them in ``attrs['n_dropped']``.
    tolerance : float
        Largest difference of onsets [s].

    Returns
    -------
    Dataset
        ``features`` and ``responses`` over one ``sample``; where both name a coord, that of
        responses stands.

    Raises
    ------
    AlignError
        When labels are missing, repeated or disjoint.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> features = features_from_arrays(np.eye(3), stimulus=["cat", "dog", "car"])
    >>> responses = from_arrays(np.ones((3, 2)), modality="fmri", stimulus=["dog", "cat", "dog"])
    >>> match(features, responses)["features"].values.argmax(axis=1).tolist()
    [1, 0, 1]
    """
    strict = choose(HOW, how, "how")
    given: Any = features
    if isinstance(given, dict):
        raise AlignError(
            f"features: expected one DataArray, got a mapping of {some(given)}. Pick a layer."
        )
    if not isinstance(given, xr.DataArray):
        raise AlignError(
            f"features: expected a DataArray, got {type(given).__name__}. "
            "Label bare arrays with neuroalign.loaders.features_from_arrays."
        )
    check_features(features)
    check_responses(responses)
    if on == "stimulus":
        _check_named(responses, "responses")
        rows = find_stimuli(features, responses["stimulus"].values)
        labels = responses["stimulus"].values
        known = features["stimulus"].values
    elif tuple(on) == ("run", "onset"):
        for array, name in ((features, "features"), (responses, "responses")):
            if not {"run", "onset"} <= set(array.coords):
                raise AlignError(
                    f"{name}: expected coords 'run' and 'onset', got {some(array.coords)}. "
                    "Assign them, or match on='stimulus'."
                )
        rows = _onset_rows(features, responses, tolerance)
        labels, known = (
            np.array(
                [f"{r} {o:g} s" for r, o in zip(a["run"].values, a["onset"].values, strict=True)]
            )
            for a in (responses, features)
        )
    else:
        raise ValueError(
            f"on: expected 'stimulus' or ('run', 'onset'), got {on!r}. Name one of them."
        )
    found = rows >= 0
    if strict or not found.any():
        remedy = " Pass how='inner' to drop those samples." if found.any() else ""
        refuse_missing(found, labels, known, "responses", remedy)
    responses = responses.isel(sample=np.flatnonzero(found))
    picked = features.isel(sample=rows[found])
    own = [n for n, c in picked.coords.items() if "sample" in c.dims and n in responses.coords]
    clash = [
        n for n, c in picked.coords.items() if "sample" not in c.dims and n in responses.coords
    ]
    picked = picked.drop_vars([*own, *clash])
    if not strict:
        responses = add_history(responses, f"match: dropped {int((~found).sum())} samples")
    merged = xr.Dataset({"features": picked, "responses": responses})
    return merged.assign_attrs(kind="matched", n_dropped=int((~found).sum()))
