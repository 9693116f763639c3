"""Emissions of states of which only a posterior is known: expected steps, expected squares."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.latents._emissions import Params, lift_covariance
from neuroalign.latents._kalman import States
from neuroalign.latents._regressions import Autoregression

Array = npt.NDArray[Any]
# The least variance of a step, as a share of that of the latents.
STEP_FLOOR = 1e-5


class SmoothedSteps(Autoregression):
    """Autoregression of latents known up to their posterior: expected steps, expected squares.

    ``states`` must be set before each use; bins are those of ``inside``, as in `Bins`.
    """

    def __init__(self, units: int) -> None:
        super().__init__(units)
        self.moments: tuple[Array, Array, Array] = (np.zeros(0), np.zeros(0), np.zeros(0))

    def hold(self, states: States, inside: Array) -> None:
        """Take the covariances of each bin, of the bin before it, and between them."""
        V, cross = states.covariance[states.group], states.cross[states.group]
        before = np.zeros_like(V)
        before[:, 1:] = V[:, :-1]
        self.moments = (V[inside], before[inside], cross[inside])

    def estimate(self, Y: Array, seen: Array, weights: Array, params: Params | None) -> Params:
        now, past, whole = self._split(Y, seen)
        V, before, cross = self.moments
        d, maps, covariances = self.units, [], []
        for weight in (weights * whole[:, None]).T:
            P = (past * weight[:, None]).T @ past + self.past
            P[:d, :d] += np.tensordot(weight, before, axes=1)
            X = (now * weight[:, None]).T @ past
            X[:, :d] += np.tensordot(weight, cross, axes=1)
            S = (now * weight[:, None]).T @ now + np.tensordot(weight, V, axes=1)
            W = np.linalg.solve(P, X.T).T
            square = S - W @ X.T + self.prior * STEP_FLOOR * np.diag(self.spread)
            covariance = (square + square.T) / 2 / (weight.sum() + self.prior)
            covariances.append(lift_covariance(covariance, STEP_FLOOR * self.spread))
            maps.append(W)
        both = np.stack(maps)
        return {
            "weights": both[:, :, :-1],
            "offset": both[:, :, -1],
            "covariance": np.stack(covariances),
        }

    def log_likelihood(self, Y: Array, seen: Array, params: Params) -> Array:
        at_mean = super().log_likelihood(Y, seen, params)
        V, before, cross = self.moments
        whole = seen[:, 0] > 0
        for state, (A, covariance) in enumerate(
            zip(params["weights"], params["covariance"], strict=True)
        ):
            precision = np.linalg.inv(covariance)
            across = precision @ A
            spread = np.einsum("ij,bji->b", precision, V)
            spread += np.einsum("ij,bji->b", A.T @ across, before)
            spread -= 2 * np.einsum("ij,bij->b", across, cross)
            at_mean[:, state] -= 0.5 * whole * spread
        return at_mean

    def penalty(self, params: Params) -> float:
        total = 0.0
        for A, offset, covariance in zip(
            params["weights"], params["offset"], params["covariance"], strict=True
        ):
            W = np.column_stack([A, offset])
            own = self.prior * STEP_FLOOR * np.diag(self.spread)
            inner = np.linalg.solve(covariance, W @ self.past @ W.T + own)
            total -= 0.5 * (np.trace(inner) + self.prior * np.linalg.slogdet(covariance)[1])
        return float(total)
