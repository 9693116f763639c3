"""From labelled or bare recordings to padded trials, and back.

In: responses (sample, neuroid, time), or bins (sample, neuroid) whose runs are the trials, or a
list of (neuroid, time). Out: `Trials`, padded float64 (trial, time, unit) and what was observed.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.latents._input_checks import check_agreement, check_recording

Array = npt.NDArray[Any]
# What tells predicted rates from recorded responses.
PREDICTED = {"kind": "responses", "method": "predicted rates"}


@dataclass(frozen=True)
class Labels:
    """Names that go with the units: ``coords`` on ``neuroid``, and the width of a bin [s].

    ``named`` tells names that were given from those made up.
    """

    coords: dict[str, Array]
    bin_size: float | None
    named: bool = False

    @property
    def neuroid(self) -> Array:
        """Unique names of the units."""
        return self.coords["neuroid"]

    def take(self, kept: Array) -> "Labels":
        """Labels of some units."""
        coords = {key: value[kept] for key, value in self.coords.items()}
        return replace(self, coords=coords)

    def on_neuroid(self) -> dict[str, Any]:
        """Coords for xarray, each on ``neuroid``."""
        return {key: ("neuroid", value) for key, value in self.coords.items()}


@dataclass(frozen=True)
class Trials:
    """Padded trials: ``Y`` is 0 where not ``observed``; ``inside`` (trial, time) ends with each."""

    Y: Array
    observed: Array
    inside: Array
    labels: Labels
    source: Any
    rows: list[Array] | None = None

    def wrap_latents(self, values: Array) -> Any:
        """Give (trial, time, latent) the labels and the layout of the input; NaN after the end."""
        values = np.where(self.inside[..., None], values, np.nan)
        if isinstance(self.source, list):
            lengths = self.inside.sum(axis=1)
            return [one[:n] for one, n in zip(values, lengths, strict=True)]
        if self.rows is not None:
            values = self._to_rows(values)
        if not isinstance(self.source, xr.DataArray):
            return values
        dims = ("sample", "latent") if self.rows is not None else ("sample", "time", "latent")
        names = np.array([f"latent-{i:02d}" for i in range(values.shape[-1])])
        coords = {**self._coords(("sample", "time")), "latent": names}
        return xr.DataArray(values, dims=dims, coords=coords, attrs={"kind": "latents"})

    def wrap_states(self, path: Array) -> Any:
        """Give numbers of states (trial, time) the layout of the input; NaN after the end."""
        found = self.wrap_latents(path[..., None].astype(np.float64))
        if isinstance(found, list):
            return [one[:, 0] for one in found]
        if isinstance(found, xr.DataArray):
            return found.isel(latent=0, drop=True).rename("state").assign_attrs(kind="states")
        return found[..., 0]

    def wrap_rates(self, values: Array, labels: Labels) -> Any:
        """Give (trial, time, unit) the layout of the input; NaN after the end."""
        values = np.where(self.inside[..., None], values, np.nan)
        if isinstance(self.source, list):
            lengths = self.inside.sum(axis=1)
            return [one[:n].T for one, n in zip(values, lengths, strict=True)]
        values = self._to_rows(values) if self.rows is not None else values.transpose(0, 2, 1)
        if not isinstance(self.source, xr.DataArray):
            return values
        coords = {**self._coords(("sample", "time")), **labels.on_neuroid()}
        kept = ("modality", "units", "sampling_rate")
        attrs = {key: self.source.attrs[key] for key in kept if key in self.source.attrs}
        dims = ("sample", "neuroid", "time")[: values.ndim]
        return xr.DataArray(values, dims=dims, coords=coords, attrs={**PREDICTED, **attrs})

    def wrap_trials(self, values: Array) -> Any:
        """Give one number a trial the labels of its sample or run."""
        if not isinstance(self.source, xr.DataArray):
            return values
        if self.rows is None:
            return xr.DataArray(values, dims=("sample",), coords=self._coords(("sample",)))
        runs = [str(self.source["run"].values[rows[0]]) for rows in self.rows] if (
            "run" in self.source.coords) else ["run-01"]  # fmt: skip
        return xr.DataArray(values, dims=("run",), coords={"run": np.array(runs)})

    def to_array(self) -> xr.DataArray:
        """Lay trials out as (sample, neuroid, time) with ``valid``, NaN where not observed."""
        width = self.labels.bin_size or 1.0
        coords = {
            **self.labels.on_neuroid(),
            "time": np.arange(self.Y.shape[1]) * width,
            "valid": (("sample", "time"), self.inside),
        }
        if self.rows is None and isinstance(self.source, xr.DataArray):
            coords |= self._coords(("sample",))
        values = np.where(self.observed, self.Y, np.nan).transpose(0, 2, 1)
        return xr.DataArray(values, dims=("sample", "neuroid", "time"), coords=coords)

    def _coords(self, dims: tuple[str, ...]) -> dict[Any, Any]:
        return {
            key: coord
            for key, coord in self.source.coords.items()
            if coord.dims and set(coord.dims) <= set(dims)
        }

    def _to_rows(self, values: Array) -> Array:
        assert self.rows is not None
        out = np.full((sum(map(len, self.rows)), values.shape[2]), np.nan)
        for number, rows in enumerate(self.rows):
            out[rows] = values[number, : len(rows)]
        return out


def read_trials(X: Any, mask: Any = None) -> Trials:
    """Read a recording into padded trials.

    Parameters
    ----------
    X : DataArray (sample, neuroid, time) or (sample, neuroid), array alike, or list of arrays
        A list holds one (neuroid, time) a trial, of any lengths. Two dims are bins of continuous
        runs (coord ``run``, else one run), put in order of ``onset``. Bins are unobserved where
        coord ``valid`` is False and where values are NaN.
    mask : bool, shape of X or (neuroid,), or list alike, optional
        True hides an entry, or a whole unit.

    Returns
    -------
    Trials

    Raises
    ------
    SchemaError
        On other shapes, infinite values, a mask that does not fit, or nothing to read.
    """
    check_recording(X)
    if isinstance(mask, xr.DataArray):
        _check_mask(mask, X)
    if isinstance(X, list | tuple):
        return _read_list(list(X), mask)
    if isinstance(X, xr.DataArray):
        wanted = ("sample", "neuroid", "time")
        if X.dims not in (wanted, wanted[:2]):
            raise SchemaError(
                f"X: expected dims {wanted} or {wanted[:2]}, got {X.dims}. Use transpose or rename."
            )
    values = np.asarray(X, dtype=np.float64)
    if values.ndim not in (2, 3) or not values.size:
        raise SchemaError(
            f"X: expected (sample, neuroid, time) or (sample, neuroid) with some of each, got "
            f"shape {values.shape}. Pass one trial as X[None]."
        )
    _check_infinite(values)
    hidden = _read_mask(mask, values.shape)
    labels = _read_labels(X, values.shape[1])
    if values.ndim == 2:
        return _cut_runs(X, values, hidden, labels)
    Y, hidden = values.transpose(0, 2, 1), hidden.transpose(0, 2, 1)
    finite = np.isfinite(Y)
    if isinstance(X, xr.DataArray) and "valid" in X.coords:
        inside = np.asarray(X["valid"].transpose("sample", "time").values, dtype=bool)
    else:
        inside = _find_ends(finite)
    observed = finite & inside[..., None] & ~hidden
    return Trials(np.where(observed, Y, 0.0), observed, inside, labels, X)


def _check_infinite(values: Array) -> None:
    if np.isinf(values).any():
        place = np.argwhere(np.isinf(values))[0].tolist()
        raise SchemaError(
            f"X: expected finite values or NaN for what is missing, got infinity at {place}. "
            "Set it to NaN, or mask it."
        )


def _check_mask(mask: xr.DataArray, X: Any) -> None:
    """A labelled mask has the dims and labels of X, or of its neuroids."""
    if not isinstance(X, xr.DataArray):
        return
    if mask.dims not in (X.dims, ("neuroid",)):
        raise SchemaError(
            f"mask: expected dims {X.dims} or ('neuroid',), got {mask.dims}. Use transpose."
        )
    check_agreement(mask, X, "mask", "X", ("neuroid",))


def _read_mask(mask: Any, shape: tuple[int, ...]) -> Array:
    if mask is None:
        return np.zeros(shape, dtype=bool)
    hidden = np.asarray(mask)
    if hidden.dtype != bool or hidden.shape not in (shape, shape[1:2]):
        raise SchemaError(
            f"mask: expected bool of shape {shape} or ({shape[1]},), True where hidden, got "
            f"{hidden.dtype} of shape {hidden.shape}. One flag an entry, or one a neuroid."
        )
    if hidden.ndim == 1:
        hidden = hidden.reshape((1, -1) + (1,) * (len(shape) - 2))
    return np.broadcast_to(hidden, shape)


def _read_labels(X: Any, n: int) -> Labels:
    coords = {"neuroid": np.array([f"neuroid-{i:03d}" for i in range(n)])}
    if not isinstance(X, xr.DataArray):
        return Labels(coords, None)
    found = {str(k): np.asarray(c.values) for k, c in X.coords.items() if c.dims == ("neuroid",)}
    rate = X.attrs.get("sampling_rate")
    width = 1.0 / float(rate) if rate else None
    if "time" in X.dims and "time" in X.coords and X.sizes["time"] > 1:
        width = float(np.median(np.diff(np.asarray(X["time"].values, dtype=np.float64))))
    return Labels(coords | found, width, "neuroid" in found)


def _find_ends(finite: Array) -> Array:
    """Mark bins up to the last one of each trial in which some unit has a value."""
    some = np.asarray(finite.any(axis=2))
    return np.asarray(np.cumsum(some[:, ::-1], axis=1)[:, ::-1] > 0)


def _cut_runs(X: Any, values: Array, hidden: Array, labels: Labels) -> Trials:
    """Make each run a trial, its bins in order of onset."""
    coords = X.coords if isinstance(X, xr.DataArray) else {}
    run = np.asarray(coords["run"].values) if "run" in coords else np.zeros(len(values))
    when = np.asarray(coords["onset"].values) if "onset" in coords else np.arange(len(values))
    names = list(dict.fromkeys(run.tolist()))
    rows = [np.flatnonzero(run == name) for name in names]
    rows = [one[np.argsort(when[one], kind="stable")] for one in rows]
    length = max(map(len, rows))
    Y = np.full((len(rows), length, values.shape[1]), np.nan)
    known = np.zeros(Y.shape, dtype=bool)
    inside = np.zeros(Y.shape[:2], dtype=bool)
    for number, one in enumerate(rows):
        Y[number, : len(one)] = values[one]
        known[number, : len(one)] = ~hidden[one]
        inside[number, : len(one)] = True
    observed = np.isfinite(Y) & known
    return Trials(np.where(observed, Y, 0.0), observed, inside, labels, X, rows)


def _read_list(X: list[Any], mask: Any) -> Trials:
    """Pad a list of (neuroid, time) to one length."""
    parts = [np.asarray(one, dtype=np.float64) for one in X]
    if parts and all(one.ndim == 1 for one in parts):
        raise SchemaError(
            f"X: expected a list of arrays (neuroid, time), got {len(X)} arrays of one dim. Spike "
            "times? Bin them: loaders.bin_trials."
        )
    if not parts or any(one.ndim != 2 or not one.size for one in parts):
        raise SchemaError(
            f"X: expected a list of arrays (neuroid, time), got shapes "
            f"{[one.shape for one in parts][:5]}. Drop empty trials."
        )
    n = len(parts[0])
    if any(len(one) != n for one in parts):
        raise SchemaError(
            f"X: expected the same neuroids in each trial, got {sorted(set(map(len, parts)))}. "
            "Pad a unit that is missing in a trial with NaN."
        )
    masks = mask if isinstance(mask, list | tuple) else [mask] * len(parts)
    if len(masks) != len(parts):
        raise SchemaError(
            f"mask: expected one mask for each of {len(parts)} trials, got {len(masks)}. "
            "Pass a list like X, or one flag a neuroid."
        )
    length = max(one.shape[1] for one in parts)
    Y = np.full((len(parts), length, n), np.nan)
    known, inside = np.zeros(Y.shape, dtype=bool), np.zeros(Y.shape[:2], dtype=bool)
    for number, (one, hidden) in enumerate(zip(parts, masks, strict=True)):
        _check_infinite(one)
        Y[number, : one.shape[1]] = one.T
        known[number, : one.shape[1]] = ~_read_mask(hidden, one.shape).T
        inside[number, : one.shape[1]] = True
    observed = np.isfinite(Y) & known
    return Trials(np.where(observed, Y, 0.0), observed, inside, _read_labels(None, n), X)
