"""Counts driven by smooth processes: the best Gaussian posterior of their Fourier coefficients.

In: windows of trials (window, time, unit) and what was observed. Out: moments of the latents and a
bound on the log likelihood. Whitened coefficients u have a standard normal prior; the precision of
their posterior is 1 + P W P', P the scaled waves and W (window, time, latent, latent) the weights
of the counts, which depend on the posterior in turn: natural gradient steps find the fixed point.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from neuroalign.latents._factors import invert_definite
from neuroalign.latents._fourier_gp import FourierBasis, find_spectrum
from neuroalign.latents._kalman import spread_units, weigh_rows
from neuroalign.latents._linear_fit import Readout

Array = npt.NDArray[Any]
# Log rates above it would overflow sums, and say that a step went astray.
HIGHEST = 50.0
# Waves of less than this share of the largest prior variance are left out.
NEGLIGIBLE = 1e-4
HALVINGS = 8
# Entries of the largest stack of matrices that is handled at once: 32 MB.
LARGEST = 4_000_000


class Waves(NamedTuple):
    """The scaled waves that matter to each latent: ``kept`` their places, ``rows`` (wave, time)."""

    kept: list[Array]
    rows: list[Array]
    scale: list[Array]

    @property
    def n_waves(self) -> int:
        """Of all latents."""
        return sum(map(len, self.kept))

    def expand(self, u: Array) -> Array:
        """Whitened coefficients (window, wave) to courses (window, time, latent)."""
        ends = np.cumsum([len(one) for one in self.kept])[:-1]
        parts = np.split(u, ends, axis=1)
        return np.stack([a @ b for a, b in zip(parts, self.rows, strict=True)], axis=-1)

    def project(self, courses: Array) -> Array:
        """Transpose of `expand`."""
        parts = [courses[..., k] @ rows.T for k, rows in enumerate(self.rows)]
        return np.concatenate(parts, axis=1)


class State(NamedTuple):
    """Of windows: whitened ``u`` (window, wave), weights ``W``, and what follows from both.

    ``covariance`` (window, wave, wave), ``mean`` (window, time, latent), ``spread``
    (window, time, latent, latent), ``rate`` (window, time, unit), ``bound`` (window,).
    """

    u: Array
    W: Array
    covariance: Array
    mean: Array
    spread: Array
    rate: Array
    bound: Array


def choose_waves(basis: FourierBasis, lengths: Array) -> Waves:
    """Keep the waves that each latent needs for its length."""
    spectra = [find_spectrum(basis, float(length)) for length in lengths]
    kept = [np.flatnonzero(one > NEGLIGIBLE * one.max()) for one in spectra]
    scale = [np.sqrt(one[where]) for one, where in zip(spectra, kept, strict=True)]
    rows = [basis.rows[where] * s[:, None] for where, s in zip(kept, scale, strict=True)]
    return Waves(kept, rows, scale)


def _gain(waves: Waves, W: Array) -> Array:
    """P W P' (window, wave, wave), block by block of latents."""
    ends = np.concatenate([[0], np.cumsum([len(one) for one in waves.kept])])
    out = np.empty((len(W), ends[-1], ends[-1]))
    for k, left in enumerate(waves.rows):
        for j in range(k + 1):
            block = (left * W[:, None, :, k, j]) @ waves.rows[j].T
            out[:, ends[k] : ends[k + 1], ends[j] : ends[j + 1]] = block
            out[:, ends[j] : ends[j + 1], ends[k] : ends[k + 1]] = np.swapaxes(block, 1, 2)
    return out


def _spread(waves: Waves, covariance: Array) -> Array:
    """Posterior covariance of the latents in each bin (window, time, latent, latent)."""
    ends = np.concatenate([[0], np.cumsum([len(one) for one in waves.kept])])
    n_bins, n = waves.rows[0].shape[1], len(waves.rows)
    out = np.empty((len(covariance), n_bins, n, n))
    for k in range(n):
        for j in range(k + 1):
            block = covariance[:, ends[k] : ends[k + 1], ends[j] : ends[j + 1]]
            inner = waves.rows[k].T @ block
            found = np.einsum("rtf,ft->rt", inner, waves.rows[j])
            out[:, :, k, j] = out[:, :, j, k] = found
    return out


def expect_log_rate(mean: Array, spread: Array, readout: Readout) -> Array:
    """Log of the expected rate under the posterior (window, time, unit), in closed form."""
    C = readout.loadings
    return np.asarray(mean @ C.T + readout.offset + 0.5 * spread_units(spread, C))


def _settle(u: Array, W: Array, Y: Array, seen: Array, readout: Readout, waves: Waves) -> State:
    """Follow from the mean and the weights what a Gaussian with them is worth."""
    gain = _gain(waves, W)
    diagonal = np.arange(gain.shape[1])
    gain[:, diagonal, diagonal] += 1.0
    covariance, logdet = invert_definite(gain)
    mean, spread = waves.expand(u), _spread(waves, covariance)
    log_rate = expect_log_rate(mean, spread, readout)
    rate = seen * np.exp(np.minimum(log_rate, HIGHEST))
    fit = Y * (mean @ readout.loadings.T + readout.offset) - rate
    traces = np.trace(covariance, axis1=1, axis2=2) + (u**2).sum(axis=1)
    divergence = 0.5 * (traces - u.shape[1] + logdet)
    return State(
        u, W, covariance, mean, spread, rate, (seen * fit).sum(axis=(1, 2)) - divergence
    )  # fmt: skip


def _choose(old: State, new: State, better: Array) -> State:
    parts = []
    for a, b in zip(old, new, strict=True):
        parts.append(np.where(better.reshape((-1,) + (1,) * (a.ndim - 1)), b, a))
    return State(*parts)


def infer_block(
    Y: Array, seen: Array, readout: Readout, waves: Waves, start: tuple[Array, Array] | None,
    max_steps: int, tol: float,
) -> State:  # fmt: skip
    """Climb the bound of a few windows; each takes only steps that raise its own.

    Parameters
    ----------
    Y, seen : array (window, time, unit)
        Counts, 0 where ``seen`` is 0.
    readout : Readout
    waves : Waves
    start : (u, W) or None
    max_steps : int
    tol : float
        A window is done when it gains less, in nats.

    Returns
    -------
    State
    """
    C = readout.loadings
    if start is None:
        u = np.zeros((len(Y), waves.n_waves))
        W = weigh_rows(seen * np.exp(np.minimum(readout.offset, HIGHEST)), C)
        start = u, W
    state = _settle(start[0], start[1], Y, seen, readout, waves)
    size, active = np.ones(len(Y)), np.ones(len(Y), dtype=bool)
    for _ in range(max_steps):
        aim = weigh_rows(state.rate, C)
        slope = waves.project((Y - state.rate) @ C) - state.u
        for _ in range(HALVINGS):
            rho = size[:, None, None, None]
            W = (1 - rho) * state.W + rho * aim
            gain = _gain(waves, W) + np.eye(waves.n_waves)
            step = np.linalg.solve(gain, slope[..., None])[..., 0]
            new = _settle(state.u + size[:, None] * step, W, Y, seen, readout, waves)
            better = new.bound >= state.bound - 1e-9 * np.abs(state.bound)
            if better[active].all():
                break
            size = np.where(better, size, size / 2)
        # What is done is left alone, so that a window means the same whatever stands beside it.
        better &= active
        active = better & (new.bound - state.bound >= tol)
        state = _choose(state, new, better)
        size = np.minimum(1.0, 2 * size)
        if not active.any():
            break
    return state


def cut_blocks(n_windows: int, waves: Waves) -> list[slice]:
    """Cut windows into blocks whose matrices fit into memory."""
    size = max(1, LARGEST // waves.n_waves**2)
    return [slice(start, start + size) for start in range(0, n_windows, size)]


def count_constant(Y: Array) -> Array:
    """What the log likelihood of counts owes to the counts alone (window,); 0 adds nothing."""
    return np.asarray(-gammaln(Y + 1.0).sum(axis=(1, 2)))
