"""Ridge regression with one penalty for each feature space and neuroid."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import flatten_targets, unwrap, wrap_weights
from neuroalign.encoders._labelled import (
    TOP_EDGE_R2,
    LabelledRegressor,
    measure_edges,
    read_exact_folds,
    read_grid,
)
from neuroalign.encoders._simplex import SimplexSearch, draw_candidates, normalise
from neuroalign.encoders._spaces import Root, explain_parts, read_spaces, take_root
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


class BandedRidge(LabelledRegressor):
    """Linear map with a penalty for each feature space, chosen for each neuroid.

    Parameters
    ----------
    alphas : float, sequence of float, or None
        Overall penalties, relative to the mean eigenvalue. None: 19 values from 1e-4 to 1e5.
    spaces : sequence of labels (feature,), list of column groups, mapping, or None
        None: coord ``space`` of X where there is one, else a single space.
    cv : int, splitter or list of (train, test)
        Inner folds. An int makes contiguous folds, or folds of groups when ``fit`` gets some.
    n_candidates : int
        Weights tried: each space alone, all alike, all but one, then Dirichlet draws.
    candidates : array (candidate, space), optional
        Weights to try instead; rows are brought to sum 1. Zeros drop a space.
    n_best : int
        Candidates judged on folds for each neuroid, those best by generalised cross-validation.
        As many as there are candidates: no screening.
    n_refine : int
        Steps along the gradient of log weights after the search, kept where held-out error falls.
        Each may need twice as many factorisations a space as there are candidates in use.
    fit_intercept : bool
        Centre features and responses with training means, in each inner fold too.
    seed : int

    Attributes
    ----------
    coef_ : array (feature,), (neuroid, feature) or (neuroid, time, feature)
    intercept_ : float, or array (neuroid[, time])
    spaces_ : list of str
    space_weights_ : array (space,), or (neuroid[, time], space)
        Share of each space in the prior variance; sums to 1, exactly 0 where a space is dropped.
    alpha_ : float, or array (neuroid[, time])
        Overall penalty. That of space i on its scaled columns is ``alpha_ / space_weights_[i]``.
    space_scales_ : array (space,)
        Root of the summed variance of its columns, by which each space is divided.
    cv_mse_, cv_r2_ : float, or array (neuroid[, time])
        On inner held-out rows; R2 against the training mean.
    no_signal_ : bool, or array of bool (neuroid[, time])
        Where the training mean predicts as well.
    edge_low_, edge_high_ : float
        Shares of neuroids at the edges of ``alphas``.

    Warns
    -----
    NeuroalignWarning
        When more than 20 % of neuroids with signal sit at one edge of ``alphas``.

    Notes
    -----
    Every space is scaled to unit summed variance first. Memory beyond inputs and weights does not
    grow with candidates or penalties.

    References
    ----------
    Nunez-Elizalde, Huth & Gallant (2019), NeuroImage 197, doi:10.1016/j.neuroimage.2019.04.012.
    Dupré la Tour et al. (2022), NeuroImage 264, doi:10.1016/j.neuroimage.2022.119728.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(100, 6))
    >>> responses = features[:, :3] @ rng.normal(size=(3, 4)) + rng.normal(size=(100, 4))
    >>> model = BandedRidge(spaces=["a"] * 3 + ["b"] * 3).fit(features, responses)
    >>> model.predict(features, split=True).shape
    (100, 2, 4)
    """

    def __init__(
        self,
        alphas: Any = None,
        *,
        spaces: Any = None,
        cv: Any = 5,
        n_candidates: int = 100,
        candidates: Any = None,
        n_best: int = 5,
        n_refine: int = 0,
        fit_intercept: bool = True,
        seed: int = 0,
    ) -> None:
        self.alphas = alphas
        self.spaces = spaces
        self.cv = cv
        self.n_candidates = n_candidates
        self.candidates = candidates
        self.n_best = n_best
        self.n_refine = n_refine
        self.fit_intercept = fit_intercept
        self.seed = seed

    def _fit_arrays(self, X: Array, Y: Array, groups: Any) -> None:
        grid = read_grid(self.alphas, DEFAULT_ALPHAS)
        groups_ = read_spaces(self.spaces, self._features, X.shape[1])
        self.spaces_, self._columns = list(groups_), list(groups_.values())
        center = bool(self.fit_intercept)
        roots = [take_root(X[:, columns], center=center) for columns in self._columns]
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
        self._means = X.mean(axis=0, dtype=np.float64).astype(X.dtype) if center else 0 * X[0]
        self.coef_ = np.zeros((Y.shape[1], X.shape[1]), dtype=X.dtype)
        for root, columns, place in zip(roots, self._columns, search.columns, strict=True):
            self.coef_[:, columns] = _lift(
                X[:, columns] - self._means[columns], root, found.coef[:, place]
            )
        mean = Y.mean(axis=0, dtype=np.float64).astype(X.dtype) if center else 0 * Y[0]
        r2 = 1 - np.divide(
            found.mse, found.null, out=np.full_like(found.mse, np.nan), where=found.null > 0
        )
        self.edge_low_, self.edge_high_ = measure_edges(
            found.row[~constant], len(grid), found.short[~constant] & (r2[~constant] > TOP_EDGE_R2)
        )
        shape = self._shape
        self.intercept_ = (mean - self.coef_ @ self._means).reshape(shape)[()]
        self._level = mean
        self.coef_ = self.coef_.reshape(*shape, X.shape[1])
        self.space_weights_ = found.weights.reshape(*shape, len(roots))
        self.space_scales_ = np.array([root.scale for root in roots])
        self.alpha_ = grid[found.row].reshape(shape)[()]
        self.cv_mse_ = found.mse.reshape(shape)[()]
        self.cv_r2_ = r2.reshape(shape)[()]
        self.no_signal_ = (r2 <= 0).reshape(shape)[()]

    def _predict_arrays(self, X: Array) -> Array:
        coef = self.coef_.reshape(-1, self.coef_.shape[-1])
        predicted: Array = X @ coef.T + np.reshape(self.intercept_, -1)
        return predicted

    def _predict_parts(self, X: Array) -> Array:
        """Predict from each space: (space, sample, target)."""
        coef = self.coef_.reshape(-1, self.coef_.shape[-1])
        centred, share = X - self._means, self._level / len(self._columns)
        return np.stack([centred[:, one] @ coef[:, one].T + share for one in self._columns])

    def predict(self, X: Any, split: bool = False) -> Any:
        """Predict responses, in whole or by feature space.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        split : bool
            Give what each space adds. The training mean is shared out equally, so that the parts
            add up to the whole prediction.

        Returns
        -------
        array or DataArray (sample,), (sample, neuroid) or (sample, neuroid, time)
            Split: (sample, space[, neuroid[, time]]). A DataArray when X is one.
        """
        if not split:
            return super().predict(X)
        values = self._check_new(X)
        parts = self._predict_parts(values)
        shaped = parts.reshape(len(parts), len(values), *self._shape)
        if not isinstance(X, xr.DataArray):
            return np.moveaxis(shaped, 0, 1)
        labelled = [self._label(part, X) for part in shaped]
        index = xr.DataArray(self.spaces_, dims="space", coords={"space": self.spaces_})
        joined = xr.concat(labelled, dim=index["space"], coords="minimal", compat="override")
        ordered: xr.DataArray = joined.transpose(X.dims[0], "space", ...)
        return ordered

    def product_measure(self, X: Any, y: Any) -> Any:
        """Divide R2 over feature spaces by the product measure.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : DataArray or array (sample,), (sample, neuroid) or (sample, neuroid, time)

        Returns
        -------
        array or DataArray (space,), (space, neuroid) or (space, neuroid, time)
            Adds up over spaces to R2 about the mean of y, whatever its offset. A part may be
            negative; NaN where y is constant. A DataArray when X is one.

        References
        ----------
        Dupré la Tour et al. (2022), NeuroImage 264, section 2.7.
        """
        values = self._check_new(X)
        observed, _ = flatten_targets(unwrap(y)[0])
        parts = explain_parts(self._predict_parts(values), observed.reshape(len(values), -1))
        shaped = parts.reshape(len(parts), *self._shape)
        if not isinstance(X, xr.DataArray):
            return shaped
        labelled = wrap_weights(shaped, None, self._targets).rename(feature="space")
        return labelled.assign_coords(space=self.spaces_)

    @property
    def weights_(self) -> xr.DataArray:
        """Weights as a DataArray (feature, neuroid[, time]), labelled where fit had labels."""
        check_is_fitted(self)
        return wrap_weights(np.moveaxis(self.coef_, -1, 0), self._features, self._targets)


def _lift(X: Array, root: Root, coef: Array) -> Array:
    """Turn weights of the scaled columns (t, r) into weights of the columns themselves (t, p)."""
    if root.lift is None:
        own: Array = coef / coef.dtype.type(root.scale)
        return own
    dual = (root.lift @ coef.T.astype(np.float64)).T
    lifted: Array = dual.astype(X.dtype) @ X
    return lifted
