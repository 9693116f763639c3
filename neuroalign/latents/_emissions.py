"""What a state emits: likelihood of bins, and the estimate from weighted bins.

Each family sees bins (bin, unit) with 0 where ``seen`` is 0. Priors are pseudo-bins: ``prior``
bins a state with the averages of the whole recording, so that no state, and no silent or constant
unit, has a rate or a variance of zero. To add a family: a class with these methods, named in
``EMISSIONS``.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.special import gammaln, logit

from neuroalign.latents._factors import group_rows

Array = npt.NDArray[Any]
Params = dict[str, Array]
LOG_2PI = float(np.log(2 * np.pi))
# The smallest variance, as a share of that of the unit over all bins.
VARIANCE_FLOOR = 1e-3


def measure_units(Y: Array, seen: Array) -> tuple[Array, Array]:
    """Mean and variance of each unit over what is seen; of a constant unit, a little of the others.

    Parameters
    ----------
    Y, seen : array (bin, unit)

    Returns
    -------
    array (unit,), array (unit,)
    """
    n = np.maximum(seen.sum(axis=0), 1.0)
    mean = (seen * Y).sum(axis=0) / n
    spread = (seen * (Y - mean) ** 2).sum(axis=0) / n
    return mean, np.maximum(spread, 1e-6 * spread.mean())


class Emission(ABC):
    """A family: ``setup`` on the training bins, then estimates and likelihoods."""

    names: ClassVar[dict[str, tuple[str, ...]]]
    centred = False

    def find_problem(self, values: Array) -> str | None:
        """Say what was expected of observed values, and what was got."""
        return None

    @abstractmethod
    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        """Remember the averages of the whole recording, for the prior."""

    @abstractmethod
    def estimate(self, Y: Array, seen: Array, weights: Array, params: Params | None) -> Params:
        """Maximise the expected log-likelihood (bin, state weights) with the prior."""

    @abstractmethod
    def log_likelihood(self, Y: Array, seen: Array, params: Params) -> Array:
        """Log-likelihood (bin, state)."""

    @abstractmethod
    def penalty(self, params: Params) -> float:
        """Log-prior of the parameters, up to a constant."""

    @abstractmethod
    def mean(self, params: Params) -> Array:
        """Expected value (state, unit)."""

    @abstractmethod
    def draw(self, params: Params, states: Array, rng: np.random.Generator) -> Array:
        """Values (bin, unit) for states (bin,)."""


def _find_uncounted(values: Array) -> str | None:
    bad = values[(values < 0) | (values != np.rint(values))]
    return f"counts, got {bad[0]:g}" if bad.size else None


def _find_unbinary(values: Array) -> str | None:
    bad = values[(values != 0) & (values != 1)]
    return f"0 or 1, got {bad[0]:g}" if bad.size else None


class Factorised(Emission):
    """Units independent given the state: exponential families, by matrix products."""

    @abstractmethod
    def features(self, Y: Array, seen: Array) -> list[Array]:
        """Sufficient statistics of each bin, each (bin, unit)."""

    @abstractmethod
    def natural(self, params: Params) -> list[Array]:
        """The weights of those, each (state, unit)."""

    @abstractmethod
    def from_sums(self, sums: list[Array]) -> Params:
        """Parameters from weighted sums of the statistics."""

    def base(self, Y: Array, seen: Array) -> Array | float:
        """What does not depend on the state (bin, 1)."""
        return 0.0

    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        n = np.maximum(seen.sum(axis=0), 1.0)
        self.pseudo = [prior * one.sum(axis=0) / n for one in self.features(Y, seen)]

    def estimate(self, Y: Array, seen: Array, weights: Array, params: Params | None) -> Params:
        features = self.features(Y, seen)
        sums = [weights.T @ one + pseudo for one, pseudo in zip(features, self.pseudo, strict=True)]
        return self.from_sums(sums)

    def log_likelihood(self, Y: Array, seen: Array, params: Params) -> Array:
        pairs = zip(self.features(Y, seen), self.natural(params), strict=True)
        return np.asarray(sum(one @ weight.T for one, weight in pairs) + self.base(Y, seen))

    def penalty(self, params: Params) -> float:
        pairs = zip(self.pseudo, self.natural(params), strict=True)
        return float(sum((one * weight).sum() for one, weight in pairs))


class DiagonalGaussian(Factorised):
    """Normal, one variance for each unit and state."""

    names: ClassVar[dict[str, tuple[str, ...]]] = {
        "mean": ("state", "neuroid"),
        "variance": ("state", "neuroid"),
    }
    centred = True

    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        mean, spread = measure_units(Y, seen)
        self.floor = VARIANCE_FLOOR * spread
        self.pseudo = [prior * np.ones_like(mean), prior * mean, prior * (spread + mean**2)]

    def features(self, Y: Array, seen: Array) -> list[Array]:
        return [seen, Y, Y * Y]

    def natural(self, params: Params) -> list[Array]:
        mean, variance = params["mean"], params["variance"]
        constant = -0.5 * (np.log(variance) + LOG_2PI + mean**2 / variance)
        return [constant, mean / variance, -0.5 / variance]

    def from_sums(self, sums: list[Array]) -> Params:
        n = np.maximum(sums[0], 1e-12)
        mean = sums[1] / n
        return {"mean": mean, "variance": np.maximum(sums[2] / n - mean**2, self.floor)}

    def mean(self, params: Params) -> Array:
        return params["mean"]

    def draw(self, params: Params, states: Array, rng: np.random.Generator) -> Array:
        noise = rng.normal(size=(len(states), params["mean"].shape[1]))
        return params["mean"][states] + np.sqrt(params["variance"])[states] * noise


class Poisson(Factorised):
    """Counts."""

    names: ClassVar[dict[str, tuple[str, ...]]] = {"rate": ("state", "neuroid")}

    def find_problem(self, values: Array) -> str | None:
        return _find_uncounted(values)

    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        # Half a spike in the whole recording: a silent unit has a small rate, not none.
        rate = (Y.sum(axis=0) + 0.5) / (seen.sum(axis=0) + 1.0)
        self.floor = 1e-3 * rate
        self.pseudo = [prior * np.ones_like(rate), prior * rate]

    def features(self, Y: Array, seen: Array) -> list[Array]:
        return [seen, Y]

    def base(self, Y: Array, seen: Array) -> Array | float:
        return np.asarray(-gammaln(Y + 1.0).sum(axis=1, keepdims=True))

    def natural(self, params: Params) -> list[Array]:
        return [-params["rate"], np.log(params["rate"])]

    def from_sums(self, sums: list[Array]) -> Params:
        return {"rate": np.maximum(sums[1] / np.maximum(sums[0], 1e-12), self.floor)}

    def mean(self, params: Params) -> Array:
        return params["rate"]

    def draw(self, params: Params, states: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(params["rate"][states]).astype(np.float64)


class Bernoulli(Factorised):
    """At most one event in a bin."""

    names: ClassVar[dict[str, tuple[str, ...]]] = {"probability": ("state", "neuroid")}

    def find_problem(self, values: Array) -> str | None:
        return _find_unbinary(values)

    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        share = (Y.sum(axis=0) + 0.5) / (seen.sum(axis=0) + 1.0)
        self.edge = 1e-3 * np.minimum(share, 1 - share)
        self.pseudo = [prior * np.ones_like(share), prior * share]

    def features(self, Y: Array, seen: Array) -> list[Array]:
        return [seen, Y]

    def natural(self, params: Params) -> list[Array]:
        return [np.log1p(-params["probability"]), logit(params["probability"])]

    def from_sums(self, sums: list[Array]) -> Params:
        share = sums[1] / np.maximum(sums[0], 1e-12)
        return {"probability": np.clip(share, self.edge, 1 - self.edge)}

    def mean(self, params: Params) -> Array:
        return params["probability"]

    def draw(self, params: Params, states: Array, rng: np.random.Generator) -> Array:
        chance = params["probability"][states]
        return (rng.uniform(size=chance.shape) < chance).astype(np.float64)


class Categorical(Factorised):
    """Labels 0, 1, ..., one after the other in each unit."""

    names: ClassVar[dict[str, tuple[str, ...]]] = {"probability": ("state", "neuroid", "category")}

    def find_problem(self, values: Array) -> str | None:
        return _find_uncounted(values)

    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        self.size = int(Y.max()) + 1
        # One pseudo-bin over all labels: a label that a unit never had keeps a small probability.
        n = seen.sum(axis=0) + 1.0
        self.pseudo = [
            prior * (one.sum(axis=0) + 1 / self.size) / n for one in self.features(Y, seen)
        ]

    def features(self, Y: Array, seen: Array) -> list[Array]:
        return [seen * (label == Y) for label in range(self.size)]

    def natural(self, params: Params) -> list[Array]:
        self.size = params["probability"].shape[2]
        return list(np.log(np.moveaxis(params["probability"], 2, 0)))

    def log_likelihood(self, Y: Array, seen: Array, params: Params) -> Array:
        weights = self.natural(params)
        pairs = zip(self.features(Y, seen), weights, strict=True)
        return np.asarray(sum(one @ weight.T for one, weight in pairs))

    def from_sums(self, sums: list[Array]) -> Params:
        share = np.maximum(np.stack(sums, axis=2), 1e-12)
        return {"probability": share / share.sum(axis=2, keepdims=True)}

    def mean(self, params: Params) -> Array:
        return np.asarray(params["probability"] @ np.arange(params["probability"].shape[2]))

    def draw(self, params: Params, states: Array, rng: np.random.Generator) -> Array:
        edges = params["probability"].cumsum(axis=2)[states]
        above = rng.uniform(size=edges.shape[:2])[..., None] > edges[..., :-1]
        return np.asarray(above.sum(axis=2), dtype=np.float64)


class FullGaussian(Emission):
    """Normal with a covariance for each state; missing units are integrated out exactly."""

    names: ClassVar[dict[str, tuple[str, ...]]] = {
        "mean": ("state", "neuroid"),
        "covariance": ("state", "neuroid", "neuroid_other"),
    }
    centred = True

    def setup(self, Y: Array, seen: Array, prior: float) -> None:
        self.average, self.spread = measure_units(Y, seen)
        # A covariance needs as many bins as units: the least that keeps it of full rank.
        self.prior = max(prior, 1e-3)

    def estimate(self, Y: Array, seen: Array, weights: Array, params: Params | None) -> Params:
        k = weights.shape[1]
        n = np.full(k, self.prior)
        total = np.tile(self.prior * self.average, (k, 1))
        square = self.prior * (np.diag(self.spread) + np.outer(self.average, self.average))
        square = np.tile(square, (k, 1, 1))
        if params is None:
            params = {
                "mean": np.tile(self.average, (k, 1)),
                "covariance": np.tile(np.diag(self.spread), (k, 1, 1)),
            }
        for rows, kept in find_patterns(seen):
            for state in range(k):
                weight = weights[rows, state]
                n[state] += weight.sum()
                filled, left = fill_missing(
                    Y[rows], kept, params["mean"][state], params["covariance"][state]
                )
                total[state] += weight @ filled
                square[state] += (filled * weight[:, None]).T @ filled + weight.sum() * left
        mean = total / n[:, None]
        covariance = square / n[:, None, None] - mean[:, :, None] * mean[:, None, :]
        covariance = (covariance + covariance.transpose(0, 2, 1)) / 2
        floor = VARIANCE_FLOOR * self.spread
        covariance = np.stack([lift_covariance(one, floor) for one in covariance])
        return {"mean": mean, "covariance": covariance}

    def log_likelihood(self, Y: Array, seen: Array, params: Params) -> Array:
        out = np.zeros((len(Y), len(params["mean"])))
        for rows, kept in find_patterns(seen):
            part = Y[np.ix_(rows, kept)]
            for state, mean in enumerate(params["mean"]):
                root = cholesky(params["covariance"][state][np.ix_(kept, kept)], lower=True)
                z = solve_triangular(root, (part - mean[kept]).T, lower=True)
                constant = len(kept) * LOG_2PI + 2 * np.log(np.diag(root)).sum()
                out[rows, state] = -0.5 * ((z**2).sum(axis=0) + constant)
        return out

    def penalty(self, params: Params) -> float:
        total = 0.0
        for mean, covariance in zip(params["mean"], params["covariance"], strict=True):
            away = mean - self.average
            inner = np.linalg.solve(covariance, np.diag(self.spread) + np.outer(away, away))
            total -= 0.5 * self.prior * (np.trace(inner) + np.linalg.slogdet(covariance)[1])
        return float(total)

    def mean(self, params: Params) -> Array:
        return params["mean"]

    def draw(self, params: Params, states: Array, rng: np.random.Generator) -> Array:
        roots = np.linalg.cholesky(params["covariance"])
        noise = rng.normal(size=(len(states), params["mean"].shape[1]))
        return np.asarray(params["mean"][states] + np.einsum("tij,tj->ti", roots[states], noise))


def find_patterns(seen: Array) -> list[tuple[Array, Array]]:
    """Bins that lack the same units: (their rows, the units they have)."""
    patterns, which = group_rows(seen > 0)
    return [
        (np.flatnonzero(which == number), np.flatnonzero(pattern))
        for number, pattern in enumerate(patterns)
        if pattern.any()
    ]


def fill_missing(Y: Array, kept: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Expected values of missing units given the others, and the covariance that is left."""
    units = len(mean)
    left = np.zeros((units, units))
    if len(kept) == units:
        return Y, left
    lost = np.setdiff1d(np.arange(units), kept)
    gain = np.linalg.solve(covariance[np.ix_(kept, kept)], covariance[np.ix_(kept, lost)])
    filled = Y.copy()
    filled[:, lost] = mean[lost] + (Y[:, kept] - mean[kept]) @ gain
    left[np.ix_(lost, lost)] = (
        covariance[np.ix_(lost, lost)] - covariance[np.ix_(lost, kept)] @ gain
    )
    return filled, left


def lift_covariance(covariance: Array, floor: Array) -> Array:
    """Raise the eigenvalues that are under the floor, in units of the variances."""
    root = np.sqrt(floor)
    values, vectors = np.linalg.eigh(covariance / np.outer(root, root))
    if values[0] >= 1.0:
        return covariance
    lifted = (vectors * np.maximum(values, 1.0)) @ vectors.T
    return np.asarray(lifted * np.outer(root, root))


EMISSIONS: dict[str, type[Emission]] = {
    "gaussian": DiagonalGaussian,
    "gaussian_full": FullGaussian,
    "poisson": Poisson,
    "bernoulli": Bernoulli,
    "categorical": Categorical,
}
