"""Emissions of states of which only a posterior is known: expected steps, expected squares."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neuroalign.latents._emissions import Params
from neuroalign.latents._kalman import States
from neuroalign.latents._regressions import Autoregression

Array = npt.NDArray[Any]
# The least variance of a step, and that of a pseudo-bin, as shares of that of the latents.
STEP_FLOOR = 1e-5


class SmoothedSteps(Autoregression):
    """Autoregression of latents known up to their posterior: expected steps, expected squares.

    ``states`` must be set before each use; bins are those of ``inside``, as in `Bins`.
    """

    floor: ClassVar[float] = STEP_FLOOR
    prior_variance: ClassVar[float] = STEP_FLOOR

    def __init__(self, units: int) -> None:
        super().__init__(units)
        self.moments: tuple[Array, Array, Array] = (np.zeros(0), np.zeros(0), np.zeros(0))

    def hold(self, states: States, inside: Array) -> None:
        """Take the covariances of each bin, of the bin before it, and between them."""
        V, cross = states.covariance[states.group], states.cross[states.group]
        before = np.zeros_like(V)
        before[:, 1:] = V[:, :-1]
        self.moments = (V[inside], before[inside], cross[inside])

    def _regress(self, now: Array, past: Array, weight: Array) -> tuple[Array, Array]:
        V, before, cross = self.moments
        d = self.units
        P = (past * weight[:, None]).T @ past + self.past
        P[:d, :d] += np.tensordot(weight, before, axes=1)
        X = (now * weight[:, None]).T @ past
        X[:, :d] += np.tensordot(weight, cross, axes=1)
        S = (now * weight[:, None]).T @ now + np.tensordot(weight, V, axes=1)
        W = np.linalg.solve(P, X.T).T
        return W, S - W @ X.T

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
