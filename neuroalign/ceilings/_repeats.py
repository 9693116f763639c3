"""Repeats sorted by stimulus, resampled stimuli, and the moments that every ceiling needs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import copy_geometry, describe, flatten_targets, names_conditions
from neuroalign.errors import SchemaError, some
from neuroalign.schema import check_responses

Array = npt.NDArray[Any]
# Bootstrapped moments are held for so many numbers at once.
CHUNK = 4_000_000


class Repeats:
    """Rows sorted by stimulus: values (row, target), where each stimulus starts, its counts."""

    def __init__(self, responses: xr.DataArray, by: str) -> None:
        check_responses(responses)
        if by not in responses.coords or responses[by].dims != ("sample",):
            raise SchemaError(
                f"responses: expected coord '{by}' on 'sample', got {some(responses.coords)}. "
                "Name what was repeated."
            )
        if names_conditions(responses, by):
            raise SchemaError(
                f"responses: expected presentations, got volumes named by condition ('{by}' comes "
                "several times in a run): they lie at different times of its response. Estimate "
                "one response a trial first, or name each time of the stimulus."
            )
        self.labels, first, codes, self.counts = np.unique(
            responses[by].values, return_index=True, return_inverse=True, return_counts=True
        )
        if self.counts.max(initial=0) < 2:
            raise SchemaError(
                f"responses: expected repeated stimuli, got {len(self.labels)} shown once each. "
                "Take the ceiling before averaging repeats; without repeats there is none."
            )
        # Stimuli in order of first appearance, so that neighbours in time are neighbours here.
        rank = np.empty(len(first), dtype=np.intp)
        rank[np.argsort(first)] = np.arange(len(first))
        self.labels, self.counts = self.labels[np.argsort(first)], self.counts[np.argsort(first)]
        keys = [rank[codes]]
        if "repeat" in responses.coords:
            keys.insert(0, responses["repeat"].values)
        self.order = np.lexsort(keys)
        self.codes = rank[codes][self.order]
        self.values = flatten_targets(responses.values[self.order])[0].astype(np.float64)
        self.template = copy_geometry(responses, describe(responses))

    @property
    def start(self) -> Array:
        return np.concatenate([[0], np.cumsum(self.counts)[:-1]])

    def table(self, method: str) -> Array:
        """Give (stimulus, repeat, target); all stimuli must come equally often."""
        if len(np.unique(self.counts)) > 1:
            raise SchemaError(
                f"responses: expected every stimulus equally often, got {self.counts.min()} to "
                f"{self.counts.max()} repeats. {method} needs a full table; use ncsnr or "
                "split_half, or keep the first repeats of each."
            )
        return self.values.reshape(len(self.counts), int(self.counts[0]), -1)

    def wrap(self, rho: Array, extra: dict[str, Array], attrs: dict[str, Any]) -> xr.Dataset:
        """Label rho (estimate and draws, target) as a ceiling with its interval."""
        lower, upper = percentiles(rho[1:])
        ceiling = np.clip(rho[0], 0.0, 1.0)
        columns = {"ceiling": ceiling, "ceiling_r": np.sqrt(ceiling)}
        columns |= {"lower": np.clip(lower, 0, 1), "upper": np.clip(upper, 0, 1)} | extra
        return label(self.template, columns, attrs | {"n_clipped": int((rho[0] < 0).sum())})


def percentiles(draws: Array) -> tuple[Array, Array]:
    """Give the 2.5 and 97.5 percentiles over draws; NaN without any."""
    if not len(draws):
        return (np.full(draws.shape[1:], np.nan),) * 2
    # Observed values only: draws may be infinite, and infinities do not interpolate.
    low, high = np.quantile(draws, [0.025, 0.975], axis=0, method="closest_observation")
    return low, high


def label(template: xr.DataArray, columns: dict[str, Array], attrs: dict[str, Any]) -> xr.Dataset:
    dims, shape = template.dims[1:], template.shape[1:]
    named = {name: (dims, column.reshape(shape)) for name, column in columns.items()}
    # Responses may carry a published map of the same name.
    template = template.drop_vars([name for name in named if name in template.coords])
    coords = {name: coord for name, coord in template.coords.items() if coord.ndim}
    result = xr.Dataset(named, coords=coords, attrs={"kind": "estimate", **attrs})
    for name in result.data_vars:
        result[name] = copy_geometry(template, result[name])
    if "ceiling" in result:
        # The array alone goes on to evaluations, which hold it against their responses.
        known = {key: attrs[key] for key in ("method", "n_averaged") if key in attrs}
        result["ceiling"] = result["ceiling"].assign_attrs(known)
    return result


def draw_counts(n: int, n_bootstrap: int, block: int, seed: int) -> Array:
    """Count how often each stimulus is drawn: the first row once each, then the resamples."""
    if not 1 <= block <= n:
        raise ValueError(
            f"block: expected 1 to {n} stimuli, got {block}. "
            "Pass 1 for stimuli that do not depend on each other."
        )
    rng = np.random.default_rng(seed)
    n_blocks = -(-n // block)
    starts = rng.integers(n, size=(n_bootstrap, n_blocks, 1))
    drawn = (starts + np.arange(block)).reshape(n_bootstrap, n_blocks * block)[:, :n] % n
    counts = np.zeros((n_bootstrap + 1, n))
    counts[0] = 1
    np.add.at(counts[1:], (np.arange(n_bootstrap)[:, None], drawn), 1)
    return counts


def in_chunks(values: Array, counts: Array, compute: Callable[[Array], tuple[Array, ...]]) -> Any:
    """Apply a function of (..., target) chunk by chunk, so that draws x targets stay small."""
    step = max(1, CHUNK // len(counts))
    parts = [compute(values[..., i : i + step]) for i in range(0, values.shape[-1], step)]
    return tuple(np.concatenate(column, axis=-1) for column in zip(*parts, strict=True))


def covary(counts: Array, x: Array, y: Array) -> Array:
    """Weighted covariance (ddof 1) of each column of x and y (stimulus, target): (draw, target)."""
    n = len(x)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    cross: Array = counts @ (x * y) - (counts @ x) * (counts @ y) / n
    return cross / (n - 1)


def divide_power(signal: Array, noise: Array) -> Array:
    """Share of signal in signal and noise; negative without signal, to be clipped and counted.

    An estimate of the signal may fall below 0, and its sum with the noise too: their ratio would
    then turn positive.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = signal / (signal + noise)
    signed: Array = np.where(signal <= 0, -np.abs(share), share)
    return signed


def predict_reliability(single: Array, n: float) -> Array:
    """Reliability of the average of n repeats from that of one (Spearman-Brown).

    Where that of one is not positive there is no signal to sum up: it is returned as it is, since
    the formula turns positive again once (n - 1) times it falls below -1.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Array = np.where(single > 0, n * single / (1 + (n - 1) * single), single)
    return rho
