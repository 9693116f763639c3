"""Kalman filter and smoother on bare arrays, for all trials at once.

Observations enter as ``exp(h z - z J z / 2)`` for each bin: zeros where nothing was observed, a
sum over the units that were, and for counts the curve of their likelihood about a guess.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass
class Dynamics:
    """``z_1 ~ N(mean, covariance)``, ``z_t+1 ~ N(A z_t, Q)``."""

    A: Array
    Q: Array
    mean: Array
    covariance: Array


@dataclass(frozen=True)
class States:
    """Posterior of the latents.

    ``mean`` (trial, time, latent); ``covariance`` and ``cross`` (group, time, latent, latent),
    those of each bin and of each bin with the one before it; ``group`` (trial,) says which is
    whose; ``log_integral`` (trial,) is the log of the integral of the observations' factors.
    """

    mean: Array
    covariance: Array
    cross: Array
    group: Array
    log_integral: Array


def smooth_states(J: Array, h: Array, group: Array, dynamics: Dynamics) -> States:
    """Run the filter and the smoother (Rauch, Tung and Striebel).

    Parameters
    ----------
    J : array (group, time, latent, latent)
        Precision of the observations of each bin. Trials of one group share it.
    h : array (trial, time, latent)
    group : array of int (trial,)
    dynamics : Dynamics

    Returns
    -------
    States

    Notes
    -----
    With the Cholesky factor ``L`` of the predicted covariance, the filtered one is
    ``L (I + L' J L)^-1 L'``: symmetric and positive without a difference of covariances. The
    smoothed one is in Joseph's form, a sum of positive terms.

    References
    ----------
    Rauch, Tung & Striebel (1965), AIAA Journal 3(8), doi:10.2514/3.3166.
    """
    A, Q = dynamics.A, dynamics.Q
    n, length, d = h.shape
    groups = len(J)
    eye = np.eye(d)
    filtered, gains = np.empty((groups, length, d, d)), np.empty((groups, length, d, d))
    mean, predicted = np.empty((n, length, d)), np.empty((n, length, d))
    log_integral = np.zeros(n)
    ahead = np.broadcast_to(dynamics.covariance, (groups, d, d))
    m = np.broadcast_to(dynamics.mean, (n, d))
    for t in range(length):
        if t:
            last = filtered[:, t - 1]
            moved = A @ last
            ahead = moved @ A.T + Q
            gains[:, t - 1] = np.linalg.solve(ahead, moved).swapaxes(1, 2)
            m = mean[:, t - 1] @ A.T
        L = np.linalg.cholesky((ahead + ahead.swapaxes(1, 2)) / 2)
        inner = eye + L.swapaxes(1, 2) @ J[:, t] @ L
        half = np.linalg.solve(np.linalg.cholesky(inner), L.swapaxes(1, 2))
        filtered[:, t] = half.swapaxes(1, 2) @ half
        pull = (J[group, t] @ m[..., None])[..., 0]
        rest = h[:, t] - pull
        step = (filtered[group, t] @ rest[..., None])[..., 0]
        predicted[:, t], mean[:, t] = m, m + step
        logdet = np.linalg.slogdet(inner)[1][group]
        log_integral += ((h[:, t] - pull / 2) * m).sum(1) + (rest * step).sum(1) / 2 - logdet / 2
    covariance, cross = filtered.copy(), np.zeros((groups, length, d, d))
    for t in range(length - 2, -1, -1):
        G = gains[:, t]
        left = eye - G @ A
        mean[:, t] += (G[group] @ (mean[:, t + 1] - predicted[:, t + 1])[..., None])[..., 0]
        noise = G @ (Q + covariance[:, t + 1]) @ G.swapaxes(1, 2)
        covariance[:, t] = left @ filtered[:, t] @ left.swapaxes(1, 2) + noise
        cross[:, t + 1] = covariance[:, t + 1] @ G.swapaxes(1, 2)
    return States(mean, covariance, cross, group, log_integral)


def update_dynamics(states: States, inside: Array, dynamics: Dynamics, floor: float) -> Dynamics:
    """Maximise over the dynamics, from the bins before each trial's end.

    Parameters
    ----------
    states : States
    inside : array of bool (trial, time)
    dynamics : Dynamics
        Kept where there is nothing to learn from: no pair of bins.
    floor : float
        Added to the diagonals of both covariances.
    """
    z, V, C = states.mean, states.covariance[states.group], states.cross[states.group]
    d = z.shape[2]
    second = V + z[..., :, None] * z[..., None, :]
    pairs = inside[:, 1:].astype(np.float64)
    n_pairs = pairs.sum()
    started = inside[:, 0]
    mean = z[started, 0].mean(axis=0)
    away = z[started, 0] - mean
    covariance = V[started, 0].mean(axis=0) + away.T @ away / max(1, len(away))
    covariance = _symmetrise(covariance) + floor * np.eye(d)
    if n_pairs < 1:
        return Dynamics(dynamics.A, dynamics.Q, mean, covariance)
    before = np.einsum("nt,ntij->ij", pairs, second[:, :-1])
    after = np.einsum("nt,ntij->ij", pairs, second[:, 1:])
    both = np.einsum("nt,ntij->ij", pairs, C[:, 1:] + z[:, 1:, :, None] * z[:, :-1, None, :])
    A = np.linalg.solve(before + 1e-9 * np.trace(before) * np.eye(d), both.T).T
    Q = (after - A @ both.T - both @ A.T + A @ before @ A.T) / n_pairs
    return Dynamics(A, _symmetrise(Q) + floor * np.eye(d), mean, covariance)


def _symmetrise(matrix: Array) -> Array:
    return np.asarray((matrix + matrix.T) / 2)


def group_trials(observed: Array) -> tuple[Array, Array]:
    """Find trials that lack the same values: (one trial of each group, group of each trial)."""
    flat = np.packbits(observed.reshape(len(observed), -1), axis=1)
    _, first, group = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return first, group.ravel()


def weigh_rows(weights: Array, C: Array) -> Array:
    """Sum ``weight * c c'`` over units: the precision that each bin gives its latents.

    Parameters
    ----------
    weights : array (trial, time, unit)
    C : array (unit, latent)

    Returns
    -------
    array (trial, time, latent, latent)
    """
    d = C.shape[1]
    return np.asarray((weights @ _square_rows(C)).reshape(*weights.shape[:2], d, d))


def spread_units(V: Array, C: Array) -> Array:
    """Variance ``c' V c`` of each unit's drive where latents have covariance ``V``.

    Parameters
    ----------
    V : array (..., latent, latent)
    C : array (unit, latent)

    Returns
    -------
    array (..., unit)
    """
    return np.asarray(V.reshape(*V.shape[:-2], -1) @ _square_rows(C).T)


def _square_rows(C: Array) -> Array:
    return np.asarray((C[:, :, None] * C[:, None, :]).reshape(len(C), -1))
