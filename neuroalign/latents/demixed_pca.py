"""Demixed principal components: latents that each tell one thing about a trial.

In: responses (sample, neuroid, time) whose samples carry the levels of some factors. Out: decoders
and encoders per marginalisation: the part of the mean responses that one factor (and its course
over time) explains.
"""

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from neuroalign.errors import SchemaError, some
from neuroalign.latents._input_checks import check_names, read_names

Array = npt.NDArray[Any]
PENALTIES = (0.0, *np.logspace(-6, 0, 13))


def marginalize(means: Array) -> dict[tuple[int, ...], Array]:
    """Split condition means into parts of factors, orthogonal over conditions and time.

    Parameters
    ----------
    means : array (unit, factor 1, ..., factor m, time)

    Returns
    -------
    dict of tuple of int -> array (unit, condition * time)
        ``()`` is what depends on time alone; ``(0,)`` on the first factor, with its interaction
        with time; and so on. The parts sum to the centred means.
    """
    factors = range(means.ndim - 2)
    axes = tuple(range(1, means.ndim))
    rest = means - means.mean(axis=axes, keepdims=True)
    parts = {}
    for part in chain.from_iterable(combinations(factors, size) for size in range(means.ndim - 1)):
        away = tuple(1 + factor for factor in factors if factor not in part)
        mean = rest.mean(axis=away, keepdims=True) if away else rest
        # What smaller sets of factors explain is gone by now, so that the mean is this part alone.
        rest = rest - mean
        parts[part] = np.broadcast_to(mean, means.shape).reshape(len(means), -1)
    return parts


def solve_demixing(total: Array, part: Array, penalty: float, n: int) -> tuple[Array, Array]:
    """Decoder (latent, unit) and encoder (unit, latent) with least ||part - F D total||^2.

    Kobak et al. (2016), eqs. 7 to 9: the ridge solution, cut to its leading directions.

    Parameters
    ----------
    total, part : array (unit, condition * time)
    penalty : float
        Added to ``total total'``.
    n : int
        Directions.
    """
    gram = total @ total.T + penalty * np.eye(len(total))
    full = np.linalg.lstsq(gram, total @ part.T, rcond=None)[0].T
    # The penalty's share of the objective is part of what the directions must explain.
    vectors = np.linalg.eigh(full @ gram @ full.T)[1]
    encoder = vectors[:, ::-1][:, :n]
    return encoder.T @ full, encoder


class DemixedPCA(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Latents demixed by the factors of an experiment.

    Parameters
    ----------
    factors : sequence of str
        Sample coords with the levels, such as ``("stimulus", "choice")``. Every combination of
        levels needs a trial.
    n_components : int
        Latents per marginalisation.
    penalty : float or None
        Ridge penalty as a share of the total variance. None: the best of a grid on held-out trials,
        which needs two trials in every combination.
    n_splits : int
        Random splits, each holding out one trial of every combination.
    random_state : int

    Attributes
    ----------
    decoders_ : dict of str -> array (latent, neuroid)
    encoders_ : dict of str -> array (neuroid, latent)
        Keyed by marginalisation: ``"time"``, the names of factors, joined by ``" x "``.
    explained_variance_ratio_ : dict of str -> array (latent,)
        Share of the variance of all condition means that each latent alone rebuilds.
    marginal_variance_ : dict of str -> array (latent, marginalisation)
        How each latent's variance divides among the marginalisations; rows sum to 1.
    penalty_ : float
    cv_error_ : array (split, penalty), only with ``penalty=None``
    mean_ : array (neuroid,)

    References
    ----------
    Kobak, Brendel, Constantinidis, Feierstein, Kepecs, Mainen, Qi, Romo, Uchida & Machens (2016),
    eLife 5, doi:10.7554/eLife.10989, eqs. 7 to 9 and the section on regularisation.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> tone = np.repeat(["low", "high"], 10)
    >>> values = rng.normal(size=(20, 5, 8))
    >>> values[10:, 0] += 5
    >>> X = xr.DataArray(values, dims=("sample", "neuroid", "time"),
    ...                  coords={"tone": ("sample", tone)})
    >>> model = DemixedPCA(["tone"], 1, penalty=1e-3).fit(X)
    >>> int(abs(model.encoders_["tone"][:, 0]).argmax())
    0
    """

    def __init__(
        self, factors: Sequence[str] = ("stimulus",), n_components: int = 3, *,
        penalty: float | None = None, n_splits: int = 5, random_state: int = 0,
    ) -> None:  # fmt: skip
        self.factors = factors
        self.n_components = n_components
        self.penalty = penalty
        self.n_splits = n_splits
        self.random_state = random_state

    def fit(self, X: xr.DataArray, y: None = None) -> Self:
        """Find decoders and encoders.

        Parameters
        ----------
        X : DataArray (sample, neuroid, time)
        y : ignored

        Returns
        -------
        The estimator itself.

        Raises
        ------
        SchemaError
            Without the coords, with NaN, when a combination of levels lacks trials, or when no
            average varies.
        ValueError
            For options out of range.
        """
        values, cells = self._read_cells(X)
        self._check_options(values.shape[1])
        self._names = read_names(X)
        everyone = self._average(values, cells)
        self.mean_ = everyone.mean(axis=tuple(range(1, everyone.ndim)))
        if not np.ptp(everyone.reshape(len(everyone), -1), axis=1).any():
            raise SchemaError(
                "X: expected averages that vary over levels or time, got constants. Check the data."
            )
        self.penalty_ = self._choose(values, cells) if self.penalty is None else float(self.penalty)
        parts = marginalize(everyone)
        total = np.sum(list(parts.values()), axis=0)
        power = float(np.sum(total**2))
        self.decoders_, self.encoders_, shares, splits = {}, {}, {}, {}
        for part, values_of in parts.items():
            name = self._name(part)
            solved = solve_demixing(total, values_of, self.penalty_ * power, self.n_components)
            self.decoders_[name], self.encoders_[name] = solved
            shares[name] = self._explain(total, *solved) / power
            spread = [((solved[0] @ one) ** 2).sum(axis=1) for one in parts.values()]
            splits[name] = (
                np.stack(spread, axis=1) / np.maximum(np.sum(spread, axis=0), 1e-300)[:, None]
            )
        self.explained_variance_ratio_, self.marginal_variance_ = shares, splits
        return self

    def _explain(self, total: Array, decoder: Array, encoder: Array) -> Array:
        latents = decoder @ total
        cross = np.sum((encoder.T @ total) * latents, axis=1)
        squares = np.sum(encoder**2, axis=0) * np.sum(latents**2, axis=1)
        explained: Array = 2 * cross - squares
        return explained

    def _check_options(self, n_units: int) -> None:
        if not 1 <= self.n_components <= n_units:
            raise ValueError(
                f"n_components: expected 1 to {n_units} (neuroids), got {self.n_components}. "
                "Ask for fewer."
            )
        if self.penalty is not None and not self.penalty >= 0:
            raise ValueError(
                f"penalty: expected a number >= 0, got {self.penalty}. Pass 1e-3, say."
            )

    def _name(self, part: tuple[int, ...]) -> str:
        return " x ".join(self.factors[factor] for factor in part) if part else "time"

    def _read_cells(self, X: Any) -> tuple[Array, list[Array]]:
        if not isinstance(X, xr.DataArray) or X.ndim != 3:
            raise SchemaError(
                "X: expected a DataArray (sample, neuroid, time), got "
                f"{type(X).__name__}{getattr(X, 'dims', '')}. Label the trials first."
            )
        if isinstance(self.factors, str):
            raise SchemaError(
                f"factors: expected a sequence of names, got '{self.factors}'. Pass "
                f"['{self.factors}']."
            )
        missing = [name for name in self.factors if name not in X.coords]
        if missing or not len(self.factors):
            raise SchemaError(
                f"factors: expected coords of the samples, got {some(missing)}. "
                "Assign them, or name others."
            )
        values = np.asarray(X.values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise SchemaError(
                "X: expected finite values, got NaN or infinity. Cut the trials to one length."
            )
        codes = [np.unique(X[name].values, return_inverse=True) for name in self.factors]
        self.levels_ = {name: code[0] for name, code in zip(self.factors, codes, strict=True)}
        self._shape = tuple(len(code[0]) for code in codes)
        for name, levels in self.levels_.items():
            if len(levels) < 2:
                raise SchemaError(
                    f"factors: expected at least 2 levels, got {len(levels)} of '{name}'. Leave "
                    "it out, or select trials of several."
                )
        flat = np.ravel_multi_index([code[1] for code in codes], self._shape)
        cells = [np.flatnonzero(flat == cell) for cell in range(int(np.prod(self._shape)))]
        least = 1 if self.penalty is not None else 2
        poor = [self._name_cell(c) for c, rows in enumerate(cells) if len(rows) < least]
        if poor:
            enough = all(len(rows) for rows in cells)
            remedy = "Drop levels, or pass a penalty." if enough else "Drop levels."
            shown = "; ".join(poor[:3]) + (f" and {len(poor) - 3} more" if len(poor) > 3 else "")
            raise SchemaError(
                f"X: expected at least {least} trials of every combination of levels, got fewer of "
                f"{shown}. {remedy}"
            )
        return values, cells

    def _name_cell(self, cell: int) -> str:
        places = np.unravel_index(cell, self._shape)
        pairs = zip(self.levels_.items(), places, strict=True)
        return ", ".join(f"{name}='{levels[int(at)]}'" for (name, levels), at in pairs)

    def _average(self, values: Array, cells: list[Array]) -> Array:
        means = np.stack([values[rows].mean(axis=0) for rows in cells])
        shaped = means.reshape(*self._shape, *values.shape[1:])
        return np.moveaxis(shaped, -2, 0)

    def _choose(self, values: Array, cells: list[Array]) -> float:
        """Choose the penalty whose maps from held-out trials rebuild the training parts best."""
        rng = np.random.default_rng(self.random_state)
        errors = np.zeros((self.n_splits, len(PENALTIES)))
        for split in range(self.n_splits):
            drawn = [rng.permutation(rows) for rows in cells]
            train = self._average(values, [rows[1:] for rows in drawn])
            test = self._average(values, [rows[:1] for rows in drawn])
            parts = marginalize(train)
            total = np.sum(list(parts.values()), axis=0)
            held = np.sum(list(marginalize(test).values()), axis=0)
            # The trials of a split may be silent where those of all are not.
            power = max(float(np.sum(total**2)), np.finfo(np.float64).tiny)
            for column, penalty in enumerate(PENALTIES):
                for part in parts.values():
                    D, F = solve_demixing(total, part, penalty * power, self.n_components)
                    errors[split, column] += np.sum((part - F @ (D @ held)) ** 2) / power
        self.cv_error_ = errors
        return float(PENALTIES[int(errors.mean(axis=0).argmin())])

    def transform(self, X: xr.DataArray) -> xr.DataArray:
        """Project trials on all decoders.

        Parameters
        ----------
        X : DataArray (sample, neuroid, time)

        Returns
        -------
        DataArray (sample, time, latent)
            Coord ``marginalisation`` on ``latent``.

        Raises
        ------
        SchemaError
            With another number of neuroids, or others by name.
        """
        check_is_fitted(self, "decoders_")
        if X.ndim != 3 or X.shape[1] != len(self.mean_):
            raise SchemaError(
                f"X: expected (sample, {len(self.mean_)} neuroids, time), got {X.shape}. "
                "Select the neuroids of the training."
            )
        check_names(self._names, read_names(X))
        decoders = np.concatenate(list(self.decoders_.values()))
        names = [name for name, decoder in self.decoders_.items() for _ in decoder]
        centered = np.swapaxes(X.values, 1, 2) - self.mean_
        kept = {key: c for key, c in X.coords.items() if X.dims[1] not in c.dims}
        latents = xr.DataArray(
            centered @ decoders.T, dims=("sample", "time", "latent"), coords=kept
        )
        return latents.assign_coords(marginalisation=("latent", names))
