"""Reduced-rank regression: responses through few latent directions of the features.

In: features (or one area's responses) and responses. Out: an encoder whose map has the rank that
held-out rows ask for: the communication subspace of two areas.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign._linalg import eigh_gram, shrink
from neuroalign.encoders._labelled import LabelledRegressor, read_exact_folds
from neuroalign.errors import NeuroalignWarning
from neuroalign.latents._input_checks import check_names, read_names

Array = npt.NDArray[Any]


def solve_reduced(X: Array, Y: Array, alpha: float) -> tuple[Array, Array]:
    """Ridge weights (feature, target) and directions of the targets, best first, from centred data.

    Izenman (1975), J. Multivar. Anal. 5, eq. 2.5, with the identity as weight; with a penalty the
    same on rows extended by sqrt(alpha) I.

    Returns
    -------
    array (feature, target), array (target, direction)
    """
    spectrum = eigh_gram(X, center=False)
    scaled = spectrum.left.T @ Y
    weights = spectrum.right @ (shrink(spectrum.values, alpha)[:, None] * scaled)
    # B'(X'X + alpha I)B without forming it: the rows of a root are scaled projections.
    rows = np.sqrt(shrink(spectrum.values, alpha))[:, None] * scaled
    return weights, np.linalg.svd(rows, full_matrices=False)[2].T


def measure_ranks(X: Array, Y: Array, weights: Array, directions: Array) -> Array:
    """Squared error (rank,) on rows for ranks 0, 1, 2, ...: each direction adds its own part."""
    scores = X @ (weights @ directions)
    gain = 2 * np.sum(scores * (Y @ directions), axis=0) - np.sum(scores**2, axis=0)
    errors: Array = np.sum(Y**2) - np.concatenate([[0.0], np.cumsum(gain)])
    return errors


class ReducedRankRegression(LabelledRegressor):
    """Linear map of low rank, chosen on held-out rows.

    Parameters
    ----------
    rank : int or None
        None: the smallest rank whose held-out error lies within one standard error of the best.
    alpha : float
        Ridge penalty on squared weights, as in scikit-learn.
    cv : int, splitter or list of (train, test)
        For the choice of the rank.

    Attributes
    ----------
    rank_ : int
    coef_ : array (feature, target)
    intercept_ : array (target,)
    directions_ : array (target, latent)
        Orthonormal; ``X @ coef_`` lies in their span.
    cv_error_ : array (fold, rank)
        Held-out squared error as a share of that of the mean; only with ``rank=None``.

    Warns
    -----
    NeuroalignWarning
        When ``rank`` is more than features, targets or rows allow.

    References
    ----------
    Izenman (1975), J. Multivariate Anal. 5, doi:10.1016/0047-259X(75)90042-1.
    Semedo, Zandvakili, Machens, Yu & Kohn (2019), Neuron 102, doi:10.1016/j.neuron.2019.01.026,
    methods (choice of the rank).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 6))
    >>> Y = X @ rng.normal(size=(6, 2)) @ rng.normal(size=(2, 8)) + rng.normal(size=(200, 8))
    >>> ReducedRankRegression().fit(X, Y).rank_
    2
    """

    def __init__(self, rank: int | None = None, *, alpha: float = 1e-3, cv: Any = 5) -> None:
        self.rank = rank
        self.alpha = alpha
        self.cv = cv

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"alpha: expected a number >= 0, got {self.alpha}. Pass 1.0, say.")
        whole = self.rank is None or isinstance(self.rank, int | np.integer)
        if not whole or (self.rank is not None and self.rank < 1):
            raise ValueError(
                f"rank: expected an integer >= 1 or None, got {self.rank!r}. "
                "Pass None to choose it."
            )
        X, Y = X.astype(np.float64), Y.astype(np.float64)
        center, mean = X.mean(axis=0), Y.mean(axis=0)
        weights, directions = solve_reduced(X - center, Y - mean, float(self.alpha))
        wanted = self._choose_rank(X, Y, groups) if self.rank is None else int(self.rank)
        self.rank_ = min(wanted, directions.shape[1])
        if wanted > self.rank_:
            warnings.warn(
                f"rank: expected at most {self.rank_} (features, targets or rows), got {wanted}. "
                f"rank_ is {self.rank_}.", NeuroalignWarning, stacklevel=3,
            )  # fmt: skip
        self.directions_ = directions[:, : self.rank_]
        self.coef_ = weights @ self.directions_ @ self.directions_.T
        self.intercept_ = mean - center @ self.coef_

    def _check_new(self, X: Any) -> Array:
        values = super()._check_new(X)
        check_names(read_names(self._features), read_names(X))
        return values

    def _choose_rank(self, X: Array, Y: Array, groups: Any) -> int:
        errors = []
        for train, test in read_exact_folds(self.cv, X, Y, groups):
            center, mean = X[train].mean(axis=0), Y[train].mean(axis=0)
            solved = solve_reduced(X[train] - center, Y[train] - mean, float(self.alpha))
            error = measure_ranks(X[test] - center, Y[test] - mean, *solved)
            errors.append(error / max(error[0], np.finfo(float).tiny))
        depth = min(map(len, errors))
        self.cv_error_ = np.stack([error[:depth] for error in errors])
        mean_error = self.cv_error_.mean(axis=0)
        best = int(mean_error.argmin())
        spread = self.cv_error_[:, best].std(ddof=1) / np.sqrt(len(errors))
        return max(1, int(np.argmax(mean_error <= mean_error[best] + spread)))

    def _predict_arrays(self, X: Array) -> Array:
        predicted: Array = X @ self.coef_ + self.intercept_
        return predicted.astype(X.dtype)
