"""Features of a spiking model: what was shown, what the neuron did, and what the others did.

In: counts (sample, neuroid) in bins of time, and a stimulus on the same bins. Out: features whose
coord ``space`` says what each filter looks at. To add a kind of filter: one more block here.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.align.temporal_bases import convolve_basis, read_runs
from neuroalign.errors import AlignError, SchemaError
from neuroalign.schema import add_history

Array = npt.NDArray[Any]


def make_spike_design(
    spikes: xr.DataArray,
    stimulus: Any = None,
    *,
    stimulus_basis: Any = None,
    history: Any = None,
    coupling: Any = None,
) -> xr.DataArray:
    """Set the inputs of a spiking model side by side: stimulus, history and coupling.

    Parameters
    ----------
    spikes : DataArray (sample, neuroid)
        Counts in even bins of each ``run``, in order of ``onset``.
    stimulus : DataArray or array (sample,) or (sample, channel), optional
        On the same bins.
    stimulus_basis : DataArray (lag, basis), optional
        The stimulus as it is where none is given.
    history, coupling : DataArray (lag, basis), optional
        Shapes of what a neuron's spikes do to itself, and to the others; see `make_basis`. Both
        start one bin back: a bin never sees itself.

    Returns
    -------
    DataArray (sample, feature)
        float64, sample coords as in ``spikes``. Coord ``space``: ``stimulus``,
        ``history:<neuron>`` or ``coupling:<neuron>`` (the neuron that spiked). `PoissonGLM` uses
        a history only for its own neuron, and a coupling only for the others. Coords ``channel``
        and ``basis`` tell features of one space apart.

    Raises
    ------
    SchemaError
        When ``spikes`` has no dims (sample, neuroid) or no names.
    AlignError
        When the stimulus has other bins, or onsets are uneven.
    ValueError
        When there is nothing to put in, or a basis is none.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.align import make_basis, make_spike_design
    >>> from neuroalign.loaders import from_arrays
    >>> spikes = from_arrays(np.eye(6, 2), run=["run-1"] * 6, onset=np.arange(6.0),
    ...                      duration=np.ones(6), neuroid=["a", "b"], modality="spikes")
    >>> basis = make_basis("fir", window=2)
    >>> design = make_spike_design(spikes, history=basis, coupling=basis)
    >>> sorted(set(design["space"].values.tolist()))
    ['coupling:a', 'coupling:b', 'history:a', 'history:b']
    """
    _check_spikes(spikes)
    bases = {"stimulus_basis": stimulus_basis, "history": history, "coupling": coupling}
    for name, basis in bases.items():
        if basis is not None and np.ndim(basis) != 2:
            raise ValueError(
                f"{name}: expected a basis (lag, basis), got {basis!r}. Make one with "
                "align.make_basis('fir', window=5), say."
            )
    blocks: list[xr.DataArray] = []
    if stimulus is not None:
        blocks.append(_take_stimulus(spikes, stimulus, stimulus_basis))
    for name, basis in (("history", history), ("coupling", coupling)):
        if basis is not None:
            block = convolve_basis(spikes, basis, strictly_past=True)
            space = [f"{name}:{neuron}" for neuron in block["channel"].values]
            blocks.append(block.assign_coords(space=("feature", np.array(space, dtype=str))))
    if not blocks:
        raise ValueError(
            "stimulus: expected a stimulus, history or coupling, got none of them. Give one."
        )
    coords: dict[Any, Any] = {
        key: coord for key, coord in spikes.coords.items() if coord.dims == ("sample",)
    }
    for key in ("space", "channel", "basis"):
        coords[key] = ("feature", np.concatenate([block[key].values for block in blocks]))
    values = np.concatenate([block.values for block in blocks], axis=1)
    design = xr.DataArray(values, dims=("sample", "feature"), coords=coords)
    return add_history(design, f"make_spike_design: {len(np.unique(coords['space'][1]))} spaces")


def mark_refractory(spikes: xr.DataArray, n_bins: int = 1) -> xr.DataArray:
    """Give the exposure of each bin: 0 in the refractory bins after a spike, else 1.

    Parameters
    ----------
    spikes : DataArray (sample, neuroid)
        Counts in even bins of each ``run``, in order of ``onset``.
    n_bins : int
        How many bins after a spike the neuron cannot fire.

    Returns
    -------
    DataArray (sample, neuroid)
        float64. As ``exposure`` of `PoissonGLM` it fixes the rate to 0 in these bins, and takes
        them out of the likelihood.

    Raises
    ------
    SchemaError
        When ``spikes`` has no dims (sample, neuroid) or no names.
    ValueError
        When there is a spike in a bin said to be refractory, or ``n_bins`` < 1.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.align import mark_refractory
    >>> from neuroalign.loaders import from_arrays
    >>> spikes = from_arrays(np.array([[0], [1], [0], [0]]), run=["run-1"] * 4,
    ...                      onset=np.arange(4.0), duration=np.ones(4), modality="spikes")
    >>> mark_refractory(spikes, 1).values.ravel().tolist()
    [1.0, 1.0, 0.0, 1.0]
    """
    _check_spikes(spikes)
    if n_bins < 1:
        raise ValueError(f"n_bins: expected at least 1, got {n_bins}. Leave the exposure out.")
    counts = np.asarray(spikes.values)
    exposure = np.ones(counts.shape)
    for rows in read_runs(spikes, None, len(counts)):
        for lag in range(1, min(n_bins, len(rows) - 1) + 1):
            exposure[rows[lag:]] *= ~(counts[rows[:-lag]] > 0)
    bad = np.argwhere((exposure == 0) & (counts > 0))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"n_bins: expected no spike within {n_bins} bins of another, got one of neuron "
            f"'{spikes['neuroid'].values[column]}' in row {row} ({len(bad)} in all). "
            "Shorten the refractory time, or the bins."
        )
    return spikes.copy(data=exposure)


def _check_spikes(spikes: xr.DataArray) -> None:
    dims = spikes.dims if isinstance(spikes, xr.DataArray) else type(spikes).__name__
    if dims != ("sample", "neuroid") or "neuroid" not in spikes.coords:
        raise SchemaError(
            f"spikes: expected a DataArray (sample, neuroid) with names, got {dims}. "
            "Make one with loaders.from_arrays."
        )


def _take_stimulus(spikes: xr.DataArray, stimulus: Any, basis: Any) -> xr.DataArray:
    if len(stimulus) != len(spikes):
        raise AlignError(
            f"stimulus: expected {len(spikes)} bins as in spikes, got {len(stimulus)}. "
            "Resample it to the bins of the spikes."
        )
    for key in ("run", "onset"):
        both = (
            isinstance(stimulus, xr.DataArray) and key in stimulus.coords and key in spikes.coords
        )
        if both and not np.array_equal(stimulus[key].values, spikes[key].values):
            raise AlignError(
                f"stimulus: expected '{key}' as in spikes, got others. Match them first."
            )
    values = np.asarray(stimulus, np.float64).reshape(len(spikes), -1)
    names = np.arange(values.shape[1]).astype(str)
    if (
        isinstance(stimulus, xr.DataArray)
        and stimulus.ndim == 2
        and stimulus.dims[1] in stimulus.coords
    ):
        names = stimulus[stimulus.dims[1]].values.astype(str)
    clock = {key: c for key, c in spikes.coords.items() if c.dims == ("sample",)}
    signal = xr.DataArray(
        values, dims=("sample", "channel"), coords={**clock, "channel": ("channel", names)}
    )
    block: xr.DataArray = convolve_basis(signal, np.ones((1, 1)) if basis is None else basis)
    return block.assign_coords(space=("feature", np.full(block.shape[1], "stimulus")))
