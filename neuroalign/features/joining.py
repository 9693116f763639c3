"""Several feature spaces side by side, for encoders that weigh spaces."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import schema
from neuroalign._arrays import check_same_rows, list_row_keys
from neuroalign.errors import AlignError, SchemaError, choose, some

Array = npt.NDArray[Any]


def _keep(values: Array) -> Array:
    return values


def _scale_variance(values: Array) -> Array:
    """Divide a space by the root of its summed variance."""
    total = float(values.var(axis=0, dtype=np.float64).sum())
    scaled: Array = values / values.dtype.type(np.sqrt(total) if total > 0 else 1.0)
    return scaled


SCALES = {"none": _keep, "variance": _scale_variance}


def join_features(spaces: Mapping[str, xr.DataArray], *, scale: str | None = None) -> xr.DataArray:
    """Put feature spaces side by side, each column labelled with its space.

    Parameters
    ----------
    spaces : mapping of str to DataArray (sample, feature)
        Name -> features of the same rows in the same order. What differs is matched first:
        ``align.match``, or ``features[rows]``.
    scale : {"variance"} or None
        ``"variance"`` divides each space by the root of its summed variance over all rows, so
        that a plain ridge does not favour wide or loud spaces. It reads all rows, of test folds
        too; ``BandedRidge`` scales spaces itself, by training rows. None: as they are.

    Returns
    -------
    DataArray (sample, feature)
        Coord ``space`` on ``feature``: the name, or ``name/space`` where the features of a name
        had spaces of their own. Sample coords of the first. Other coords of features where all
        have them; a ``feature`` coord gets the name in front, to stay unique. The widest dtype of
        all. attrs on which all agree; ``history`` joins theirs.

    Raises
    ------
    AlignError
        When rows differ in number or in ``stimulus`` (else ``run`` and ``onset``).
    SchemaError
        When an entry is not (sample, feature) by the schema.
    ValueError
        Without any space, or on an unknown scale.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import features_from_arrays
    >>> names = ["cat", "dog", "owl"]
    >>> low = features_from_arrays(np.eye(3), stimulus=names)
    >>> high = features_from_arrays(np.ones((3, 2)), stimulus=names)
    >>> join_features({"low": low, "high": high})["space"].values.tolist()
    ['low', 'low', 'low', 'high', 'high']
    """
    apply = choose(SCALES, "none" if scale is None else scale, "scale")
    if not isinstance(spaces, Mapping) or not spaces:
        got = "none" if isinstance(spaces, Mapping) else type(spaces).__name__
        raise ValueError(
            f"spaces: expected a mapping of names to features, got {got}. "
            "Pass {'low': low, 'high': high}."
        )
    for name, features in spaces.items():
        _check(features, f"spaces['{name}']")
    first_name, first = next(iter(spaces.items()))
    for name, features in spaces.items():
        _compare(first, features, (f"spaces['{first_name}']", f"spaces['{name}']"))
    dtype = np.result_type(*(features.dtype for features in spaces.values()))
    values = [apply(features.values.astype(dtype)) for features in spaces.values()]
    coords: dict[Any, Any] = {
        key: coord for key, coord in first.coords.items() if coord.dims == ("sample",)
    }
    coords |= {key: ("feature", known) for key, known in _join_coords(spaces).items()}
    joined = xr.DataArray(
        np.concatenate(values, axis=1), coords, ("sample", "feature"), attrs=_join_attrs(spaces)
    )
    return schema.add_history(joined, f"join_features({', '.join(map(str, spaces))})")


def _check(features: Any, name: str) -> None:
    if not isinstance(features, xr.DataArray):
        raise SchemaError(
            f"{name}: expected a DataArray (sample, feature), got {type(features).__name__}. "
            "Use loaders.features_from_arrays."
        )
    schema.check_features(features, name)
    if features.ndim != 2:
        raise SchemaError(
            f"{name}: expected dims ('sample', 'feature'), got {features.dims}. Average over the "
            "third dim, or flatten it."
        )


def _compare(first: xr.DataArray, features: xr.DataArray, names: tuple[str, str]) -> None:
    """Check that two spaces have the same rows."""
    if len(first) != len(features):
        raise AlignError(
            f"{names[1]}: expected {len(first)} samples as in {names[0]}, got {len(features)}. "
            "Take the same rows of both, in the same order."
        )
    if not list_row_keys(first, features):
        raise AlignError(
            f"{names[1]}: expected 'stimulus', or 'run' and 'onset', as in {names[0]}, got "
            f"{some(features.coords)}. Label both alike."
        )
    check_same_rows(first, features, names)


def _join_coords(spaces: Mapping[str, xr.DataArray]) -> dict[str, Array]:
    """Join what all know of their columns; name the space of each."""
    known = {
        name: {
            str(key): coord.values for key, coord in one.coords.items() if "feature" in coord.dims
        }
        for name, one in spaces.items()
    }
    shared = set.intersection(*(set(own) for own in known.values())) - {"space"}
    kinds = {key: {own[key].dtype.kind in "UTO" for own in known.values()} for key in shared}
    joined = {
        key: np.concatenate([own[key] for own in known.values()])
        for key in sorted(shared - {"feature"})
        if len(kinds[key]) == 1
    }
    if "feature" in shared:
        joined["feature"] = np.array(
            [f"{name}/{one}" for name, own in known.items() for one in own["feature"]]
        )
    labels: list[str] = []
    for name, one in spaces.items():
        own = known[name].get("space")
        labels += [str(name)] * one.shape[1] if own is None else [f"{name}/{part}" for part in own]
    joined["space"] = np.array(labels)
    return joined


def _join_attrs(spaces: Mapping[str, xr.DataArray]) -> dict[str, Any]:
    """Keep what all say alike, and the history of each under its name."""
    arrays = list(spaces.values())
    shared = {
        key: value
        for key, value in arrays[0].attrs.items()
        if all(key in one.attrs and np.array_equal(one.attrs[key], value) for one in arrays)
    }
    lines = [
        f"{name}: {line}"
        for name, one in spaces.items()
        for line in str(one.attrs.get("history", "")).split("\n")
        if line
    ]
    shared.pop("history", None)
    return shared | ({"history": "\n".join(lines)} if lines else {})
