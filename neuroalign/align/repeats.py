"""Average and split repeated presentations."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.align._averages import average_codes
from neuroalign.ceilings._blocks import find_edges
from neuroalign.errors import SchemaError
from neuroalign.schema import add_history, check_responses

Array = npt.NDArray[Any]


def _whole_samples(values: Any) -> Any:
    """Rechunk lazily so that each block holds all samples of a few neuroids."""
    n_others = values.size // max(1, values.shape[1])
    edges = find_edges(values.chunks[1], n_others)
    return values.rechunk({0: -1, 1: tuple(np.diff(edges).tolist())})


def _codes(responses: xr.DataArray, by: str) -> tuple[np.ndarray, np.ndarray]:
    """Number the labels in order of first appearance; return codes and first rows."""
    if by not in responses.coords:
        raise SchemaError(f"responses: expected coord '{by}' to average by, got none. Assign it.")
    labels, first, codes = np.unique(responses[by].values, return_index=True, return_inverse=True)
    rank = np.empty(len(labels), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(labels))
    return rank[codes], np.sort(first)


def average_repeats(responses: xr.DataArray, by: str = "stimulus") -> xr.DataArray:
    """Average the samples of each stimulus.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
    by : str
        Coord on sample that names what is averaged.

    Returns
    -------
    DataArray (sample, neuroid[, time])
        One sample a label, in order of first appearance, with coord ``n_repeats``. Other sample
        coords stay where they agree within each label. NaN entries are left out of the mean.

    Raises
    ------
    SchemaError
        When the coord is absent.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal, stimulus = rng.normal(size=(50, 3)), [f"image-{n}" for n in range(50)]
    >>> noisy = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
    >>> responses = from_arrays(noisy, modality="fmri", stimulus=stimulus * 4)
    >>> average_repeats(responses).sizes["sample"]
    50
    """
    check_responses(responses)
    codes, first = _codes(responses, by)
    lost = [n for n, c in responses.coords.items() if "sample" in c.dims]
    bare = responses.drop_vars(lost).isel(sample=first)
    if responses.chunks is None:
        averaged = bare.copy(data=average_codes(responses.values, codes))
    else:
        blocks = _whole_samples(responses.data)
        chunks = ((len(first),), *blocks.chunks[1:])
        means = blocks.map_blocks(average_codes, codes, dtype=responses.dtype, chunks=chunks)
        averaged = bare.copy(data=means)
    for name, coord in responses.coords.items():
        if coord.dims == ("sample",) and (coord.values == coord.values[first][codes]).all():
            averaged = averaged.assign_coords({name: ("sample", coord.values[first])})
    averaged = averaged.assign_coords(n_repeats=("sample", np.bincount(codes)))
    return add_history(averaged.assign_attrs(responses.attrs), f"average_repeats by {by}")


def split_repeats(responses: xr.DataArray, *, seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    """Split the repeats of each stimulus at random in two halves and average each.

    Parameters
    ----------
    responses : DataArray (sample, neuroid[, time])
    seed : int

    Returns
    -------
    tuple of two DataArray (sample, neuroid[, time])
        The same stimuli in the same order; stimuli with one presentation are left out.

    Raises
    ------
    SchemaError
        When nothing is repeated.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal, stimulus = rng.normal(size=(50, 3)), [f"image-{n}" for n in range(50)]
    >>> noisy = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
    >>> responses = from_arrays(noisy, modality="fmri", stimulus=stimulus * 4)
    >>> [half.sizes["sample"] for half in split_repeats(responses)]
    [50, 50]
    """
    codes, _ = _codes(responses, "stimulus")
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(codes)), codes))
    start = np.searchsorted(codes[order], codes[order])
    place = np.arange(len(codes)) - start
    counts = np.bincount(codes)[codes[order]]
    kept = (counts >= 2) & (place < counts // 2 * 2)
    if not kept.any():
        raise SchemaError("responses: expected repeated stimuli, got each once. Halves need two.")
    halves = [np.sort(order[kept & (place % 2 == half)]) for half in (0, 1)]
    first, second = (average_repeats(responses.isel(sample=rows)) for rows in halves)
    names = list(second["stimulus"].values)
    position = {name: index for index, name in enumerate(names)}
    return first, second.isel(sample=[position[name] for name in first["stimulus"].values])
