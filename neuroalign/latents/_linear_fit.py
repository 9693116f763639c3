"""Expectation maximisation for linear dynamics under Gaussian noise or counts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.special import gammaln

from neuroalign.latents._emissions import LOG_2PI, VARIANCE_FLOOR
from neuroalign.latents._kalman import (
    Dynamics,
    States,
    group_trials,
    smooth_states,
    spread_units,
    update_dynamics,
    weigh_rows,
)

Array = npt.NDArray[Any]
# Ridge of loadings of counts, and pseudo-bins at the mean rate: silent units stay finite.
RIDGE, PSEUDO = 1e-2, 0.1
NEWTON_STEPS, HALVINGS = 50, 12
COVARIANCE_FLOOR = 1e-9
# Counts are smoothed by so many bins where the start is sought.
SMOOTHING = 2.0


@dataclass
class Readout:
    """``loadings`` (unit, latent), ``offset`` (unit,); ``noise`` (unit,) is 1 for counts."""

    loadings: Array
    offset: Array
    noise: Array


@dataclass
class Fitted:
    """Parameters and how they came about."""

    dynamics: Dynamics
    readout: Readout
    objective: list[float] = field(default_factory=list)
    converged: bool = False


class Observations(ABC):
    """How units follow latents."""

    whole = False

    @abstractmethod
    def signal(self, Y: Array, seen: Array) -> Array:
        """Values (trial, time, unit) in which latents are linear, for the start."""

    @abstractmethod
    def infer(
        self, Y: Array, seen: Array, model: Fitted, guess: Array | None
    ) -> tuple[States, Array]:
        """Posterior of the latents and log-likelihood (trial,)."""

    @abstractmethod
    def update(self, Y: Array, seen: Array, states: States, readout: Readout) -> Readout:
        """Maximise over the readout."""

    @abstractmethod
    def expect(self, states: States, readout: Readout) -> Array:
        """Expected values (trial, time, unit)."""

    @abstractmethod
    def draw(self, z: Array, readout: Readout, rng: np.random.Generator) -> Array:
        """Values for latents."""


def _moments(states: States) -> tuple[Array, Array]:
    """Mean (bin, latent) and covariance (bin, latent, latent), trials joined."""
    d = states.mean.shape[2]
    return states.mean.reshape(-1, d), states.covariance[states.group].reshape(-1, d, d)


class GaussianNoise(Observations):
    """Independent normal noise of each unit: exact."""

    def signal(self, Y: Array, seen: Array) -> Array:
        return Y

    def infer(
        self, Y: Array, seen: Array, model: Fitted, guess: Array | None
    ) -> tuple[States, Array]:
        C, R = model.readout.loadings, model.readout.noise
        first, group = group_trials(seen > 0)
        rest = seen * (Y - model.readout.offset)
        states = smooth_states(
            weigh_rows(seen[first] / R, C), (rest / R) @ C, group, model.dynamics
        )
        density = -0.5 * (seen * (np.log(R) + LOG_2PI) + rest**2 / R)
        return states, states.log_integral + density.sum(axis=(1, 2))

    def update(self, Y: Array, seen: Array, states: States, readout: Readout) -> Readout:
        z, V = _moments(states)
        d, units = z.shape[1], Y.shape[2]
        one = np.concatenate([z, np.ones((len(z), 1))], axis=1)
        second = one[:, :, None] * one[:, None, :]
        second[:, :d, :d] += V
        Y, seen = Y.reshape(-1, units), seen.reshape(-1, units)
        S = (seen.T @ second.reshape(len(z), -1)).reshape(units, d + 1, d + 1)
        b = (seen * Y).T @ one
        n = np.maximum(seen.sum(axis=0), 1.0)
        tiny = 1e-10 * np.trace(S, axis1=1, axis2=2) + 1e-12
        weights = np.linalg.solve(S + tiny[:, None, None] * np.eye(d + 1), b[..., None])[..., 0]
        square = (seen * Y * Y).sum(axis=0)
        explained = 2 * (weights * b).sum(1) - np.einsum("ui,uij,uj->u", weights, S, weights)
        spread = square / n - ((seen * Y).sum(axis=0) / n) ** 2
        floor = VARIANCE_FLOOR * np.maximum(spread, 1e-6 * spread.mean())
        return Readout(weights[:, :d], weights[:, d], np.maximum((square - explained) / n, floor))

    def expect(self, states: States, readout: Readout) -> Array:
        return np.asarray(states.mean @ readout.loadings.T + readout.offset)

    def draw(self, z: Array, readout: Readout, rng: np.random.Generator) -> Array:
        mean = z @ readout.loadings.T + readout.offset
        return np.asarray(mean + np.sqrt(readout.noise) * rng.normal(size=mean.shape))


class PoissonCounts(Observations):
    """Counts with an exponential link: a Gaussian about the mode (Laplace)."""

    whole = True

    def signal(self, Y: Array, seen: Array) -> Array:
        n = np.maximum(seen.sum(axis=(0, 1)), 1.0)
        rate = (Y.sum(axis=(0, 1)) + 0.5) / n
        weight = gaussian_filter1d(seen, SMOOTHING, axis=1, mode="constant")
        local = gaussian_filter1d(Y, SMOOTHING, axis=1, mode="constant")
        return np.asarray(np.log((local + 0.2 * rate) / (weight + 0.2)))

    def infer(
        self, Y: Array, seen: Array, model: Fitted, guess: Array | None
    ) -> tuple[States, Array]:
        C, d = model.readout.loadings, model.readout.offset
        group = np.arange(len(Y))
        shape = (*Y.shape[:2], C.shape[1])
        z = np.zeros(shape) + model.dynamics.mean if guess is None else guess
        joint = self._log_joint(z, Y, seen, model)
        for _ in range(NEWTON_STEPS):
            rate = seen * np.exp(np.minimum(z @ C.T + d, 50.0))
            J = weigh_rows(rate, C)
            h = (seen * Y - rate) @ C + (J @ z[..., None])[..., 0]
            states = smooth_states(J, h, group, model.dynamics)
            step = states.mean - z
            if np.abs(step).max() < 1e-6:
                break
            z, joint = self._move(z, step, joint, Y, seen, model)
        near = (h * states.mean).sum(2) - 0.5 * np.einsum(
            "nti,ntij,ntj->nt", states.mean, J, states.mean
        )
        exact = self._log_density(states.mean, Y, seen, model.readout)
        return states, states.log_integral + exact - near.sum(axis=1)

    def _move(
        self, z: Array, step: Array, joint: Array, Y: Array, seen: Array, model: Fitted
    ) -> tuple[Array, Array]:
        """Newton's step, halved in trials where the log-joint would fall."""
        size = np.ones(len(z))
        for _ in range(HALVINGS):
            new = z + size[:, None, None] * step
            value = self._log_joint(new, Y, seen, model)
            worse = ~(value >= joint - 1e-9 * np.abs(joint))
            if not worse.any():
                break
            size[worse] /= 2
        return new, value

    def _log_density(self, z: Array, Y: Array, seen: Array, readout: Readout) -> Array:
        log_rate = np.minimum(z @ readout.loadings.T + readout.offset, 50.0)
        each = Y * log_rate - np.exp(log_rate) - gammaln(Y + 1.0)
        return np.asarray((seen * each).sum(axis=(1, 2)))

    def _log_joint(self, z: Array, Y: Array, seen: Array, model: Fitted) -> Array:
        away = z[:, 0] - model.dynamics.mean
        step = z[:, 1:] - z[:, :-1] @ model.dynamics.A.T
        first = (away * np.linalg.solve(model.dynamics.covariance, away.T).T).sum(axis=1)
        later = ((step @ np.linalg.inv(model.dynamics.Q)) * step).sum(axis=(1, 2))
        return np.asarray(self._log_density(z, Y, seen, model.readout) - 0.5 * (first + later))

    def update(self, Y: Array, seen: Array, states: States, readout: Readout) -> Readout:
        z, V = _moments(states)
        units = Y.shape[2]
        Y, seen = Y.reshape(-1, units), seen.reshape(-1, units)
        weights = np.column_stack([readout.loadings, readout.offset])
        rate = (Y.sum(axis=0) + 0.5) / (seen.sum(axis=0) + 1.0)
        for unit in range(units):
            kept = seen[:, unit] > 0
            weights[unit] = _climb_counts(
                weights[unit], Y[kept, unit], z[kept], V[kept], rate[unit]
            )
        return Readout(weights[:, :-1], weights[:, -1], readout.noise)

    def expect(self, states: States, readout: Readout) -> Array:
        C = readout.loadings
        spread = spread_units(states.covariance, C)[states.group]
        log_rate = states.mean @ C.T + readout.offset + 0.5 * spread
        return np.asarray(np.exp(np.minimum(log_rate, 50.0)))

    def draw(self, z: Array, readout: Readout, rng: np.random.Generator) -> Array:
        log_rate = z @ readout.loadings.T + readout.offset
        return np.asarray(rng.poisson(np.exp(np.minimum(log_rate, 15.0))), dtype=np.float64)


def _climb_counts(weights: Array, y: Array, z: Array, V: Array, rate: float) -> Array:
    """Newton steps on the expected log-likelihood of one unit, with its small prior."""
    d = z.shape[1]
    ridge = np.append(np.full(d, RIDGE), 0.0)

    def value(w: Array) -> tuple[float, Array, Array]:
        Vc = V @ w[:d]
        log_mu = np.minimum(z @ w[:d] + w[d] + 0.5 * Vc @ w[:d], 50.0)
        mu, extra = np.exp(log_mu), PSEUDO * np.exp(np.minimum(w[d], 50.0))
        total = y @ (z @ w[:d] + w[d]) - mu.sum() - 0.5 * ridge @ w**2
        return float(total + PSEUDO * rate * w[d] - extra), mu, Vc

    now, mu, Vc = value(weights)
    for _ in range(5):
        slope = np.column_stack([z + Vc, np.ones(len(z))])
        gradient = np.append(y @ z, y.sum()) - mu @ slope - ridge * weights
        gradient[d] += PSEUDO * (rate - np.exp(np.minimum(weights[d], 50.0)))
        curve = (slope * mu[:, None]).T @ slope + np.diag(ridge)
        curve[:d, :d] += np.tensordot(mu, V, axes=1)
        curve[d, d] += PSEUDO * np.exp(np.minimum(weights[d], 50.0)) + 1e-12
        step = np.linalg.solve(curve, gradient)
        for _ in range(HALVINGS):
            new, new_mu, new_Vc = value(weights + step)
            if new >= now:
                break
            step = step / 2
        if not new >= now:
            break
        done = new - now < 1e-8 * max(1.0, abs(now))
        weights, now, mu, Vc = weights + step, new, new_mu, new_Vc
        if done:
            break
    return weights


OBSERVATIONS: dict[str, Observations] = {"gaussian": GaussianNoise(), "poisson": PoissonCounts()}


def start_linear(
    Y: Array, seen: Array, inside: Array, n_latents: int, observations: Observations
) -> Fitted:
    """Principal components of the units, and the regression of each bin on the one before."""
    signal = observations.signal(Y, seen)
    n = np.maximum(seen.sum(axis=(0, 1)), 1.0)
    offset = (seen * signal).sum(axis=(0, 1)) / n
    centred = seen * (signal - offset)
    spread = (centred**2).sum(axis=(0, 1)) / n
    spread = np.where(spread > 0, spread, 1.0)
    bins = centred[inside] / np.sqrt(spread)
    values, vectors = np.linalg.eigh(bins.T @ bins / len(bins))
    scale = np.sqrt(np.maximum(values[::-1][:n_latents], 1e-6))
    vectors = vectors[:, ::-1][:, :n_latents]
    z = (centred / np.sqrt(spread)) @ vectors / scale
    loadings = vectors * scale * np.sqrt(spread)[:, None]
    noise = np.maximum(spread - (loadings**2).sum(axis=1), 0.05 * spread)
    both = inside[:, 1:]
    before, after = z[:, :-1][both], z[:, 1:][both]
    eye = np.eye(n_latents)
    A = np.linalg.solve(before.T @ before + (1e-3 * len(before) + 1.0) * eye, before.T @ after).T
    A /= max(1.0, float(np.abs(np.linalg.eigvals(A)).max()) / 0.99)
    rest = after - before @ A.T
    Q = rest.T @ rest / max(1, len(rest)) + 1e-2 * eye
    dynamics = Dynamics(A, Q, np.zeros(n_latents), eye.copy())
    if observations.whole:
        noise = np.ones_like(noise)
    return Fitted(dynamics, Readout(loadings, offset, noise))


def fit_linear(
    Y: Array, seen: Array, inside: Array, model: Fitted, observations: Observations,
    max_iter: int, tol: float,
) -> Fitted:  # fmt: skip
    """Climb until the log-likelihood grows by less than ``tol`` a bin.

    Parameters
    ----------
    Y, seen : array (trial, time, unit)
        Values, 0 where ``seen`` is 0.
    inside : array of bool (trial, time)
        Before each trial's end.
    model : Fitted
        Start.
    observations : Observations
    max_iter : int
    tol : float

    Returns
    -------
    Fitted
        The start itself, changed.
    """
    guess = None
    for _ in range(max_iter):
        states, log_prob = observations.infer(Y, seen, model, guess)
        guess = states.mean
        value = float(log_prob.sum())
        gain = value - model.objective[-1] if model.objective else np.inf
        model.objective.append(value)
        if not np.isfinite(value):
            return model
        if gain < tol * inside.sum():
            model.converged = True
            return model
        model.readout = observations.update(Y, seen, states, model.readout)
        model.dynamics = update_dynamics(states, inside, model.dynamics, COVARIANCE_FLOOR)
    return model
