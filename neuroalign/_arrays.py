"""Between labelled and bare arrays: take the numbers out, put the labels back.

In: a DataArray or anything array-like. Out: an ndarray and a template that remembers the labels
but holds no data. To add a dim: name it in ``TARGET_DIMS``.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import AlignError, SchemaError

Array = npt.NDArray[Any]
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
TARGET_DIMS = ("neuroid", "time")
# Shares that tell a continuous run, and one whose rows are named by condition.
MOST_STEPS, SHARED_NAMES = 0.8, 0.2
# Largest sizes whose squares can be added, and divided by, without leaving the range of a dtype.
RANGES = {"float32": (1e-16, 1e17), "float64": (1e-140, 1e140)}
# What a map needs to know about the places of neuroids.
GEOMETRY = ("space", "affine", "grid_shape", "n_vertices")


def unwrap(array: Any) -> tuple[Any, xr.DataArray | None]:
    """Take the numbers out of a DataArray; leave anything else as it is.

    Parameters
    ----------
    array : DataArray (sample, ...), or array-like

    Returns
    -------
    array (sample, ...)
        The values; the very object when it is not a DataArray.
    DataArray or None
        The labels of the other dims, with no sample and no data.
    """
    if not isinstance(array, xr.DataArray):
        return array, None
    return np.asarray(array.values), describe(array)


def describe(array: xr.DataArray) -> xr.DataArray:
    """Keep the labels of all dims but the first, on an array of zero samples."""
    first = array.dims[0]
    coords = {key: coord for key, coord in array.coords.items() if first not in coord.dims}
    empty = np.empty((0, *array.shape[1:]), dtype=array.dtype)
    return xr.DataArray(empty, dims=array.dims, coords=coords, attrs=array.attrs)


def flatten_targets(targets: Any, name: str = "y") -> tuple[Array, tuple[int, ...]]:
    """Join neuroids and time into one axis of targets.

    Parameters
    ----------
    targets : array (sample,), (sample, neuroid) or (sample, neuroid, time)
    name : str
        Argument named in the message.

    Returns
    -------
    array (sample,) or (sample, target)
    tuple of int
        The shape of one sample: (), (neuroid,) or (neuroid, time).

    Raises
    ------
    SchemaError
        With more than three dims.
    """
    targets = np.asarray(targets)
    ndim = targets.ndim
    if ndim < 3:
        return targets, targets.shape[1:]
    if ndim > 3:
        raise SchemaError(
            f"{name}: expected (sample,), (sample, neuroid) or (sample, neuroid, time), "
            f"got {ndim} dims. Reshape it."
        )
    return targets.reshape(targets.shape[0], -1), targets.shape[1:]


def wrap_samples(
    values: Array, inputs: xr.DataArray, template: xr.DataArray | None
) -> xr.DataArray:
    """Label predictions: samples as in the inputs, targets as in the training responses.

    Parameters
    ----------
    values : array (sample, ...)
    inputs : DataArray (sample, feature)
        Gives the coords of ``sample``.
    template : DataArray (0 samples, neuroid[, time]), or None for no labels

    Returns
    -------
    DataArray (sample, neuroid[, time])
    """
    first = inputs.dims[0]
    coords: dict[Any, Any] = {
        key: coord for key, coord in inputs.coords.items() if coord.dims == (first,)
    }
    dims = (first, *TARGET_DIMS[: values.ndim - 1])
    if template is not None:
        dims = (first, *template.dims[1:])
        coords |= dict(template.coords)
    return xr.DataArray(values, dims=dims, coords=coords)


def wrap_weights(
    values: Array, features: xr.DataArray | None, template: xr.DataArray | None
) -> xr.DataArray:
    """Label weights.

    Parameters
    ----------
    values : array (feature, neuroid[, time])
    features : DataArray (0 samples, feature), or None
    template : DataArray (0 samples, neuroid[, time]), or None

    Returns
    -------
    DataArray (feature, neuroid[, time])
    """
    coords: dict[Any, Any] = {}
    dims = ("feature", *TARGET_DIMS[: values.ndim - 1])
    if template is not None:
        dims = ("feature", *map(str, template.dims[1:]))
        coords |= dict(template.coords)
    if features is not None:
        coords |= {key: c for key, c in features.coords.items() if c.dims == ("feature",)}
    return xr.DataArray(values, dims=dims, coords=coords)


def is_continuous(responses: xr.DataArray) -> bool:
    """Tell evenly sampled runs (one row a volume) from separate presentations.

    Rows may stand in any order, and volumes may be missing: steps are multiples of the smallest.
    """
    if not {"run", "onset"} <= set(responses.coords):
        return False
    run, onset = responses["run"].values, np.asarray(responses["onset"].values, dtype=np.float64)
    steps = [np.diff(np.sort(onset[run == one])) for one in np.unique(run)]
    every = np.concatenate(steps)
    if min(map(len, steps)) < 2 or every.min() <= 0:
        return False
    multiple = every / every.min()
    # Most steps are the smallest: jittered trials can lie on a grid too, but skip most of it.
    return bool(np.allclose(multiple, np.rint(multiple), rtol=0, atol=1e-3)) and bool(
        np.mean(multiple < 1.5) > MOST_STEPS
    )


def names_conditions(responses: xr.DataArray, by: str = "stimulus") -> bool:
    """Tell volumes that carry the name of a condition: no repeats, but times of its response.

    Neighbours in time then often share a name, which trials, even of a one-back task, rarely do.
    """
    if not is_continuous(responses) or by not in responses.coords:
        return False
    order = np.lexsort([responses["onset"].values, responses["run"].values])
    run, name = responses["run"].values[order], responses[by].values[order]
    alike = (name[1:] == name[:-1])[run[1:] == run[:-1]]
    return bool(alike.mean() > SHARED_NAMES)


def is_time_series(responses: xr.DataArray) -> bool:
    """Tell rows that are times of a course, which depend on their neighbours, from trials.

    Trials at a regular pace look like volumes. They are told by their stimuli, which come back in
    another order, while a film has the same order in every run.
    """
    if "stimulus" not in responses.coords:
        return True
    if not is_continuous(responses):
        return False
    counts = np.unique(responses["stimulus"].values, return_counts=True)[1]
    if counts.max() == 1 or names_conditions(responses):
        return True
    order = np.lexsort([responses["onset"].values, responses["run"].values])
    run, name = responses["run"].values[order], responses["stimulus"].values[order]
    shown = [name[run == one].tolist() for one in np.unique(run)]
    return len(shown) > 1 and all(one == shown[0] for one in shown)


def copy_geometry(source: xr.DataArray | xr.Dataset, target: Labelled) -> Labelled:
    """Give values of the same neuroids the attrs that place them in a brain.

    Parameters
    ----------
    source, target : DataArray or Dataset

    Returns
    -------
    DataArray or Dataset
        The target, with ``space``, ``affine``, ``grid_shape`` and ``n_vertices`` where known.
    """
    return target.assign_attrs({key: source.attrs[key] for key in GEOMETRY if key in source.attrs})


def find_differing(one: xr.DataArray, other: xr.DataArray, key: str) -> Array:
    """Tell the rows whose coord ``key`` differs: bool (sample,); numbers up to rounding."""
    ours, theirs = one[key].values, other[key].values
    numbers = ours.dtype.kind in "iuf" and theirs.dtype.kind in "iuf"
    differs: Array = (
        ~np.isclose(ours, theirs) if numbers else ours.astype(str) != theirs.astype(str)
    )
    return differs


def list_row_keys(one: Any, other: Any) -> tuple[str, ...]:
    """Name the sample coords that tell rows apart and that both arrays hold."""
    if not (isinstance(one, xr.DataArray) and isinstance(other, xr.DataArray)):
        return ()
    if len(one) != len(other):
        return ()
    for keys in (("stimulus",), ("run", "onset")):
        if all(key in a.coords and a[key].dims == a.dims[:1] for a in (one, other) for key in keys):
            return keys
    return ()


def check_same_rows(X: Any, y: Any, names: tuple[str, str] = ("X", "y")) -> None:
    """Check that rows which name what they hold name the same.

    Parameters
    ----------
    X, y : DataArray (sample, ...), or anything else, which has no labels to compare
        Compared on ``stimulus``, else on ``run`` and ``onset``, where both have them.
    names : tuple of str
        Arguments named in the message.

    Raises
    ------
    AlignError
    """
    for key in list_row_keys(X, y):
        differs = find_differing(X, y, key)
        if differs.any():
            row = int(np.argmax(differs))
            raise AlignError(
                f"{names[1]}: expected the '{key}' of {names[0]} in every row, got "
                f"'{y[key].values[row]}' against '{X[key].values[row]}' in row {row} "
                f"({int(differs.sum())} rows differ). Run neuroalign.align.match first."
            )


def check_same_features(known: xr.DataArray | None, X: Any) -> None:
    """Check that new features stand in the order of training, by ``feature`` or ``space``.

    Raises
    ------
    AlignError
    """
    if known is None or not isinstance(X, xr.DataArray) or known.shape[1:] != X.shape[1:]:
        return
    for key in ("feature", "space"):
        if not all(key in a.coords and a[key].dims == a.dims[1:2] for a in (known, X)):
            continue
        ours, theirs = known[key].values, X[key].values
        if ours.dtype.kind not in "UTO" or theirs.dtype.kind not in "UTO":
            continue
        differs = ours.astype(str) != theirs.astype(str)
        if differs.any():
            place = int(np.argmax(differs))
            raise AlignError(
                f"X: expected the '{key}' of training in every column, got '{theirs[place]}' "
                f"against '{ours[place]}' in column {place} ({int(differs.sum())} differ). "
                "Put the features in the order of training."
            )


def check_labelled(array: Any, name: str, *, finite: bool = True) -> None:
    """Check that a DataArray has samples first and holds finite numbers; pass others by.

    Raises
    ------
    SchemaError
        On dims in another order.
    ValueError
        On NaN or infinity.
    """
    if not isinstance(array, xr.DataArray):
        return
    rest = "'feature'" if name == "X" else "'neuroid'[, 'time']"
    if array.dims[:1] != ("sample",) and "sample" in array.dims:
        raise SchemaError(
            f"{name}: expected dims ('sample', {rest}), got {array.dims}. "
            f"Use {name}.transpose('sample', ...)."
        )
    if name == "X" and array.ndim != 2:
        raise SchemaError(
            f"{name}: expected dims ('sample', {rest}), got {array.dims}. "
            "Average over the others, or flatten them."
        )
    values = array.values
    # One number that is not finite makes the sum so; only then rows are looked for.
    with np.errstate(all="ignore"):
        if not finite or values.dtype.kind != "f" or np.isfinite(values.sum(dtype=np.float64)):
            return
    rows = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(rows):
        what = "NaN" if np.isnan(values[rows]).any() else "infinity"
        raise ValueError(
            f"{name}: expected finite numbers, got {what} in {len(rows)} rows (first: {rows[0]}). "
            "Drop or fill those first."
        )


def check_range(values: Array, name: str) -> None:
    """Check that squares of numbers stay in the range of their dtype, so that none is lost unseen.

    Parameters
    ----------
    values : array (sample, column)
        Finite.
    name : str
        Argument named in the message.

    Raises
    ------
    ValueError
        Naming the column of the largest number.
    """
    if not values.size or values.dtype.name not in RANGES:
        return
    least, most = RANGES[values.dtype.name]
    peak = max(float(values.max()), -float(values.min()))
    if peak == 0 or least <= peak <= most:
        return
    column = int(np.argmax(np.abs(values).max(axis=0)))
    raise ValueError(
        f"{name}: expected numbers whose largest is between {least:g} and {most:g} as "
        f"{values.dtype}, got {peak:.3g} (column {column}): its square leaves that range. Rescale "
        f"them, to a standard deviation of 1 say{', or pass float64' if most < 1e100 else ''}."
    )
