"""What encoders share whose feature spaces are weighed anew for each target.

An encoder gives few columns for each space (``_take_roots``) and turns their weights into its own
(``_unfold``); the weights of spaces and the penalties in between are chosen here.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.encoders._labelled import (
    TOP_EDGE_R2,
    LabelledRegressor,
    measure_edges,
    read_exact_folds,
    read_grid,
)
from neuroalign.encoders._simplex import SimplexSearch, draw_candidates, normalise
from neuroalign.encoders._spaces import Root
from neuroalign.encoders.ridge import DEFAULT_ALPHAS

Array = npt.NDArray[Any]


def read_candidates(candidates: Any, n_spaces: int, n_candidates: int, seed: int) -> Array:
    """Check given weights (candidate, space), or draw some.

    Raises
    ------
    ValueError
        On negative weights, rows of zeros or another number of spaces.
    """
    if candidates is None:
        return draw_candidates(n_spaces, n_candidates, seed)
    rows = np.atleast_2d(np.asarray(candidates, dtype=np.float64))
    usable = rows.shape[1:] == (n_spaces,) and np.isfinite(rows).all() and (rows >= 0).all()
    if not usable or not (rows.sum(axis=1) > 0).all():
        raise ValueError(
            f"candidates: expected weights >= 0 of {n_spaces} spaces, not all 0, got shape "
            f"{rows.shape}. Pass one row for each candidate."
        )
    return normalise(rows)


class BlendedRegressor(LabelledRegressor):
    """An encoder writes ``_take_roots``, ``_unfold`` and ``_predict_arrays``."""

    alphas: Any
    cv: Any
    n_candidates: int
    candidates: Any
    n_best: int
    n_refine: int
    fit_intercept: bool
    seed: int

    def _take_roots(self, X: Array) -> list[Root]:
        """Name the spaces, and give columns for each."""
        raise NotImplementedError

    def _unfold(self, X: Array, Y: Array, roots: list[Root], coef: list[Array]) -> None:
        """Store the weights, from those (target, column) of the columns of each space."""
        raise NotImplementedError

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        grid, center = read_grid(self.alphas, DEFAULT_ALPHAS), bool(self.fit_intercept)
        roots = self._take_roots(X)
        candidates = read_candidates(
            self.candidates, len(roots), int(self.n_candidates), int(self.seed)
        )
        search = SimplexSearch(
            [root.values for root in roots], read_exact_folds(self.cv, X, Y, groups), grid,
            center=center, n_best=max(1, int(self.n_best)),
        )  # fmt: skip
        found = search.run(Y, candidates, int(self.n_refine) if len(roots) > 1 else 0)
        level = Y[0] if center else np.zeros(Y.shape[1])
        constant = (level == Y).all(axis=0)
        found.coef[constant] = 0.0
        r2 = 1 - np.divide(
            found.mse, found.null, out=np.full_like(found.mse, np.nan), where=found.null > 0
        )
        self.edge_low_, self.edge_high_ = measure_edges(
            found.row[~constant], len(grid), found.short[~constant] & (r2[~constant] > TOP_EDGE_R2)
        )
        self.space_weights_ = found.weights.reshape(*self._shape, len(roots))
        self.alpha_ = grid[found.row].reshape(self._shape)[()]
        self.cv_mse_ = found.mse.reshape(self._shape)[()]
        self.cv_r2_ = r2.reshape(self._shape)[()]
        self.no_signal_ = (r2 <= 0).reshape(self._shape)[()]
        self._unfold(X, Y, roots, [found.coef[:, place] for place in search.columns])
