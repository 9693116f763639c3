"""Behaviour or images beside the trials of a recording: (trial, time, channel), and what is known.

In: labelled or bare arrays in the layouts of `MMGPVAE`. Out: `Behaviour`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.latents._input_checks import check_agreement
from neuroalign.latents._trials import read_trials

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Behaviour:
    """``values`` (trial, time, channel), 0 where not ``seen``; ``notes`` on how they were read."""

    values: Array
    seen: Array
    notes: list[str] = field(default_factory=list)

    def measure(self) -> tuple[Array, float]:
        """Mean of each channel, and one standard deviation of all about their means.

        Raises
        ------
        ValueError
            When nothing varies.
        """
        n = np.maximum(self.seen.sum(axis=(0, 1)), 1)
        centre = self.values.sum(axis=(0, 1)) / n
        rest = self.seen * (self.values - centre)
        scale = float(np.sqrt((rest**2).sum() / max(1, self.seen.sum())))
        if not scale > 1e-9 * max(1e-300, float(np.abs(centre).max(initial=0.0))):
            raise ValueError(
                "y: expected behaviour that varies, got constants or nothing observed. Leave y "
                "out, or check valid."
            )
        return np.asarray(centre), scale

    def scale(self, centre: Array, scale: float) -> "Behaviour":
        """Centred and in units of ``scale``."""
        return replace(self, values=np.where(self.seen, (self.values - centre) / scale, 0.0))

    def take(self, rows: slice) -> "Behaviour":
        """Some trials."""
        return replace(self, values=self.values[rows], seen=self.seen[rows])


def read_behaviour(y: Any, shape: tuple[int, ...]) -> Behaviour:
    """Read a second modality.

    Parameters
    ----------
    y : DataArray, array or list of arrays (channel, time)
        DataArray: dims ``sample``, ``time`` and any others, which are flattened; or continuous
        bins (sample, channel). Arrays: (sample, channel, time), images (sample, time, row, column,
        ...), one channel (sample, time), or continuous bins (time, channel) beside one trial. NaN
        is not observed.
    shape : (trials, bins)
        Of the recording.

    Returns
    -------
    Behaviour

    Raises
    ------
    SchemaError
        On other shapes, other trials, or infinite values.
    """
    notes: list[str] = []
    if not isinstance(y, list | tuple):
        y, notes = _lay_out(y, shape)
    try:
        trials = read_trials(y)
    except SchemaError as error:
        raise SchemaError(str(error).replace("X:", "y:", 1)) from error
    if trials.Y.shape[:2] != tuple(shape):
        raise SchemaError(
            f"y: expected {shape[0]} trials of {shape[1]} bins as in X, got {trials.Y.shape[0]} of "
            f"{trials.Y.shape[1]}. Arrays are (sample, channel, time), images (sample, time, row, "
            "column)."
        )
    return Behaviour(trials.Y, trials.observed, notes)


def _lay_out(y: Any, shape: tuple[int, ...]) -> tuple[Any, list[str]]:
    """Turn into (sample, channel, time), or (sample, channel) of continuous bins."""
    if isinstance(y, xr.DataArray):
        return _lay_out_labelled(y)
    values = np.asarray(y, dtype=np.float64)
    if values.ndim > 3:
        flat = values.reshape(*values.shape[:2], -1).transpose(0, 2, 1)
        return flat, [_tell(values.shape[2:])]
    if values.ndim == 2 and values.shape == tuple(shape):
        return values[:, None], []
    return values, []


def _lay_out_labelled(y: xr.DataArray) -> tuple[Any, list[str]]:
    others = [dim for dim in y.dims if dim not in ("sample", "time")]
    if "sample" not in y.dims or ("time" not in y.dims and len(others) != 1):
        raise SchemaError(
            f"y: expected dims sample, time and those of a channel or image, got {y.dims}. Rename."
        )
    if "time" not in y.dims:
        bare = y.transpose("sample", *others).drop_vars(
            [name for name, coord in y.coords.items() if coord.dims != ("sample",)]
        )
        return bare.rename({others[0]: "neuroid"}), []
    laid = y.transpose("sample", *others, "time")
    values = np.asarray(laid.values, dtype=np.float64)
    flat = values.reshape(len(values), -1, values.shape[-1])
    if "valid" in y.coords:
        valid = np.asarray(y["valid"].transpose("sample", "time").values, dtype=bool)
        flat = np.where(valid[:, None], flat, np.nan)
    return flat, [_tell(values.shape[1:-1])] if len(others) > 1 else []


def _tell(shape: tuple[int, ...]) -> str:
    return f"y: images of shape {shape} were flattened to {int(np.prod(shape))} channels"


def check_labels(X: Any, y: Any) -> None:
    """Check that labelled trials of both modalities are the same, in one order and at one time.

    Raises
    ------
    AlignError
    """
    check_agreement(y, X, "y", "X")
