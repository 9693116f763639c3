"""Emissions of autoregressive states: each bin a linear map of the bins before it."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular

from neuroalign.latents._emissions import (
    LOG_2PI,
    VARIANCE_FLOOR,
    Emission,
    Params,
    lift_covariance,
    measure_units,
)

Array = npt.NDArray[Any]


def stack_past(Y: Array, observed: Array, lags: int) -> tuple[Array, Array]:
    """Put the bins before each one behind it: (trial, time, unit * (1 + lags)), and what is seen.

    The first bins of a trial have no full past; like bins with missing values they count as not
    seen.
    """
    n, length, units = Y.shape
    stacked = np.zeros((n, length, units * (1 + lags)))
    seen = np.zeros(stacked.shape, dtype=bool)
    for lag in range(min(lags, length - 1) + 1):
        place = slice(lag * units, (lag + 1) * units)
        stacked[:, lag:, place] = np.where(observed, Y, 0.0)[:, : length - lag]
        seen[:, lag:, place] = observed[:, : length - lag]
    whole = seen.all(axis=2, keepdims=True)
    return np.where(whole, stacked, 0.0), np.broadcast_to(whole, seen.shape)


class Autoregression(Emission):
    """Normal about a linear map of the past, with a covariance for each state.

    Bins hold the present first, then the past, latest first (`stack_past`).
    """

    names: ClassVar[dict[str, tuple[str, ...]]] = {
        "weights": ("state", "neuroid", "past"),
        "offset": ("state", "neuroid"),
        "covariance": ("state", "neuroid", "neuroid_other"),
    }
    centred = True
    # Least variance, and that of a pseudo-bin, as shares of the variance of the units.
    floor: ClassVar[float] = VARIANCE_FLOOR
    prior_variance: ClassVar[float] = 1.0

    def __init__(self, units: int) -> None:
        self.units = units

    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        spread = measure_units(Y, seen)[1]
        self.spread = spread[: self.units]
        self.prior = max(prior, 1e-3)
        self.past = self.prior * np.diag(np.append(spread[self.units :], 1.0))

    def _split(self, Y: Array, seen: Array) -> tuple[Array, Array, Array]:
        whole = seen[:, 0] > 0
        past = np.concatenate([Y[:, self.units :], np.ones((len(Y), 1))], axis=1)
        return Y[:, : self.units], past, whole

    def estimate(self, Y: Array, seen: Array, weights: Array, params: Params | None) -> Params:
        now, past, whole = self._split(Y, seen)
        maps, covariances = [], []
        for weight in (weights * whole[:, None]).T:
            W, square = self._regress(now, past, weight)
            square = (square + square.T) / 2 + self._own_square()
            covariance = square / (weight.sum() + self.prior)
            covariances.append(lift_covariance(covariance, self.floor * self.spread))
            maps.append(W)
        both = np.stack(maps)
        return {
            "weights": both[:, :, :-1],
            "offset": both[:, :, -1],
            "covariance": np.stack(covariances),
        }

    def _regress(self, now: Array, past: Array, weight: Array) -> tuple[Array, Array]:
        """Map (unit, past) of weighted bins, and the squares that it leaves (unit, unit)."""
        weighted = past * weight[:, None]
        W = np.linalg.solve(weighted.T @ past + self.past, weighted.T @ now).T
        rest = now - past @ W.T
        return W, (rest * weight[:, None]).T @ rest + W @ self.past @ W.T

    def _own_square(self) -> Array:
        """Squares of the pseudo-bins."""
        return np.asarray(self.prior * self.prior_variance * np.diag(self.spread))

    def _predict(self, past: Array, params: Params, state: int) -> Array:
        return np.asarray(past[:, :-1] @ params["weights"][state].T + params["offset"][state])

    def log_likelihood(self, Y: Array, seen: Array, params: Params) -> Array:
        now, past, whole = self._split(Y, seen)
        out = np.zeros((len(Y), len(params["offset"])))
        for state, covariance in enumerate(params["covariance"]):
            root = cholesky(covariance, lower=True)
            z = solve_triangular(root, (now - self._predict(past, params, state)).T, lower=True)
            constant = self.units * LOG_2PI + 2 * np.log(np.diag(root)).sum()
            out[:, state] = -0.5 * whole * ((z**2).sum(axis=0) + constant)
        return out

    def penalty(self, params: Params) -> float:
        total = 0.0
        for map_, offset, covariance in zip(
            params["weights"], params["offset"], params["covariance"], strict=True
        ):
            W = np.column_stack([map_, offset])
            inner = np.linalg.solve(covariance, W @ self.past @ W.T + self._own_square())
            total -= 0.5 * (np.trace(inner) + self.prior * np.linalg.slogdet(covariance)[1])
        return float(total)

    def mean(self, params: Params) -> Array:
        return params["offset"]

    def predict(self, Y: Array, params: Params) -> Array:
        """Expected bins (bin, state, unit) from their past."""
        past = np.concatenate([Y[:, self.units :], np.ones((len(Y), 1))], axis=1)
        every = [self._predict(past, params, state) for state in range(len(params["offset"]))]
        return np.stack(every, axis=1)

    def draw(self, params: Params, states: Array, rng: np.random.Generator) -> Array:
        """One trial, from a past of zeros."""
        lags = params["weights"].shape[2] // self.units
        roots = np.linalg.cholesky(params["covariance"])
        out = np.zeros((lags + len(states), self.units))
        for t, state in enumerate(states):
            past = out[t : t + lags][::-1].ravel()
            noise = roots[state] @ rng.normal(size=self.units)
            out[lags + t] = params["weights"][state] @ past + params["offset"][state] + noise
        return out[lags:]
