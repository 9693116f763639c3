"""Penalties on the weights of a Poisson model, and the quadratic problem each poses a Newton step.

In: slopes (t, q) and curvatures (t, q, q) of many neurons at once. Out: where each model of second
order has its minimum. To add a penalty: a class with these methods and its row in ``PENALTIES``.
"""

from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Added to the diagonal relative to its mean, so that collinear features leave a step that exists.
JITTER = 1e-11
MOST_SWEEPS, SWEEP_SHARE, SECULAR_STEPS = 200, 1e-3, 30


class Penalty(Protocol):
    """A penalty with its strength (t,) and which of the q weights each of t neurons may use."""

    def take(self, neurons: Array) -> Self:
        """Keep some neurons."""

    def value(self, b: Array) -> Array:
        """Give the penalty (t,) at weights (t, q)."""

    def residual(self, b: Array, slope: Array) -> Array:
        """Give how far (t,) the conditions of a minimum are from holding."""

    def prepare(self, H: Array) -> Any:
        """Factorise the curvature (t, q, q) once; it may serve several steps."""

    def solve(self, prepared: Any, b: Array, slope: Array) -> Array:
        """Minimise slope'd + d'Hd / 2 + penalty(b + d); give b + d."""


class RidgePenalty:
    """``alpha / 2 * ||b||^2`` over all weights but those of no group (-1)."""

    # Far down: features of unequal scale share one penalty, and the smallest need little of it.
    default_alphas = np.logspace(-8, 2, 21)

    @staticmethod
    def unit(group: Array, used: Array, slope: Array, information: Array) -> Array:
        """Give the mean curvature of a constant rate (t,)."""
        del group, used, slope
        return information

    def __init__(self, group: Array, used: Array, alpha: Array) -> None:
        self.group, self.used, self.alpha = group, used, alpha
        self.strength = alpha[:, None] * (group >= 0)

    def take(self, neurons: Array) -> Self:
        return type(self)(self.group, self.used[neurons], self.alpha[neurons])

    def value(self, b: Array) -> Array:
        found: Array = (self.strength * b * b).sum(axis=1) / 2
        return found

    def residual(self, b: Array, slope: Array) -> Array:
        found: Array = np.abs((slope + self.strength * b) * self.used).max(axis=1, initial=0.0)
        return found

    def prepare(self, H: Array) -> Any:
        full = H.copy()
        place = np.arange(H.shape[1])
        full[:, place, place] += self.strength
        return _steady(full)

    def solve(self, prepared: Any, b: Array, slope: Array) -> Array:
        right = (slope + self.strength * b) * self.used
        found: Array = b - np.linalg.solve(prepared, right[..., None])[..., 0]
        return found


class GroupPenalty:
    """``alpha * sum_g sqrt(|g|) ||b_g||``: whole groups are 0 unless they pay."""

    default_alphas = np.logspace(-4, 0, 13)

    @staticmethod
    def unit(group: Array, used: Array, slope: Array, information: Array) -> Array:
        """Give the smallest penalty (t,) at which every group is 0."""
        del information
        found = np.zeros(len(slope))
        for g in np.unique(group[group >= 0]):
            size = np.maximum((used & (group == g)).sum(axis=1), 1)
            norm = np.linalg.norm(slope[:, group == g] * used[:, group == g], axis=1)
            found = np.maximum(found, norm / np.sqrt(size))
        return found

    def __init__(self, group: Array, used: Array, alpha: Array) -> None:
        self.group, self.used, self.alpha = group, used, alpha
        self.blocks = [np.flatnonzero(group == g) for g in np.unique(group)]
        penalised = np.array([group[block[0]] >= 0 for block in self.blocks])
        sizes = np.stack([used[:, block].sum(axis=1) for block in self.blocks], axis=1)
        self.strength = alpha[:, None] * np.sqrt(sizes) * penalised

    def take(self, neurons: Array) -> Self:
        return type(self)(self.group, self.used[neurons], self.alpha[neurons])

    def _norms(self, b: Array) -> Array:
        return np.stack([np.linalg.norm(b[:, block], axis=1) for block in self.blocks], axis=1)

    def value(self, b: Array) -> Array:
        found: Array = (self.strength * self._norms(b)).sum(axis=1)
        return found

    def residual(self, b: Array, slope: Array) -> Array:
        found = np.zeros(len(b))
        slope = slope * self.used
        for column, block in enumerate(self.blocks):
            norm = np.linalg.norm(b[:, block], axis=1)
            pull = self.strength[:, column]
            alive = norm > 0
            inward = b[:, block] / np.where(alive, norm, 1.0)[:, None]
            rest = np.linalg.norm(slope[:, block] + pull[:, None] * inward, axis=1)
            found = np.maximum(found, np.where(alive, rest, np.maximum(rest - pull, 0.0)))
        return found

    def prepare(self, H: Array) -> Any:
        full = _steady(H.copy())
        parts = []
        for block in self.blocks:
            own = np.ascontiguousarray(full[:, block])
            values, vectors = np.linalg.eigh(own[:, :, block])
            parts.append((own, values, vectors, np.ascontiguousarray(np.swapaxes(vectors, 1, 2))))
        return parts

    def solve(self, prepared: Any, b: Array, slope: Array) -> Array:
        """Go round the blocks, each solved exactly, until a round moves little beside the first.

        The steps outside make up for the rest: more rounds for each would cost more than a step.
        """
        new, slope, first = b.copy(), slope * self.used, 0.0
        for _ in range(MOST_SWEEPS):
            moved = 0.0
            for column, (block, (own, values, vectors, back)) in enumerate(
                zip(self.blocks, prepared, strict=True)
            ):
                old = new[:, block]
                right = -slope[:, block] - (own @ (new - b)[..., None])[..., 0]
                right = (back @ right[..., None])[..., 0]
                right += values * (back @ old[..., None])[..., 0]
                found = _shrink(values, right, self.strength[:, column])
                found = (vectors @ found[..., None])[..., 0] * self.used[:, block]
                new[:, block] = found
                moved = max(moved, float(np.abs(found - old).max(initial=0.0)))
            first = first or moved
            if moved <= SWEEP_SHARE * first:
                break
        return new


PENALTIES: dict[str, Any] = {"ridge": RidgePenalty, "group": GroupPenalty}


def _steady(H: Array) -> Array:
    place = np.arange(H.shape[1])
    H[:, place, place] += JITTER * np.trace(H, axis1=1, axis2=2)[:, None] / H.shape[1] + 1e-300
    return H


def _shrink(values: Array, right: Array, pull: Array) -> Array:
    """Minimise z'Dz / 2 - right'z + pull ||z|| for each row, D diagonal.

    The length s of z solves ``||right / (D s + pull)|| = 1``. One over that norm is concave in s,
    and a straight line where D is a multiple of 1, so that Newton from 0 climbs to the root.
    """
    alive = np.linalg.norm(right, axis=1) > pull
    found = np.zeros_like(right)
    free = alive & (pull == 0)
    found[free] = right[free] / values[free]
    rows = np.flatnonzero(alive & (pull > 0))
    if not len(rows):
        return found
    d, r, p = values[rows], right[rows], pull[rows, None]
    s = np.zeros((len(rows), 1))
    for _ in range(SECULAR_STEPS):
        v = r / (d * s + p)
        norm = np.linalg.norm(v, axis=1, keepdims=True)
        steepness = (v * v * d / (d * s + p)).sum(axis=1, keepdims=True) / norm**3
        step = (1.0 - 1.0 / norm) / steepness
        s = np.maximum(s + step, 0.0)
        if (np.abs(step) <= 1e-13 * s).all():
            break
    found[rows] = r * s / (d * s + p)
    return found
