"""Ridge regression with one penalty for each feature space and neuroid."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import check_same_rows, flatten_targets, unwrap, wrap_weights
from neuroalign.encoders._blended import BlendedRegressor
from neuroalign.encoders._labelled import predict_linear
from neuroalign.encoders._spaces import Root, explain_parts, read_spaces, take_root

Array = npt.NDArray[Any]


class BandedRidge(BlendedRegressor):
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
    weights_ : DataArray (feature, neuroid[, time])
        ``coef_`` with its labels.
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
    grow with candidates or penalties. Time is that of some ten to a hundred fits of ``Ridge``.
    Spaces are read off labels, which a bare scikit-learn pipeline strips before the encoder sees
    them: ``evaluate`` puts them back; elsewhere pass ``spaces``.

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

    Spaces that were extracted apart are joined first:

    >>> from neuroalign.features import join_features
    >>> from neuroalign.loaders import features_from_arrays
    >>> names = [f"image {row}" for row in range(100)]
    >>> layers = {name: features_from_arrays(features[:, part], stimulus=names)
    ...           for name, part in {"low": slice(0, 3), "high": slice(3, 6)}.items()}
    >>> BandedRidge().fit(join_features(layers), responses).spaces_
    ['low', 'high']
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

    def _take_roots(self, X: Array) -> list[Root]:
        spaces = read_spaces(self.spaces, self._features, X.shape[1])
        self.spaces_, self._columns = list(spaces), list(spaces.values())
        center = bool(self.fit_intercept)
        return [take_root(X[:, columns], center=center) for columns in self._columns]

    def _unfold(self, X: Array, Y: Array, roots: list[Root], coef: list[Array]) -> None:
        center = bool(self.fit_intercept)
        self._means = X.mean(axis=0, dtype=np.float64).astype(X.dtype) if center else 0 * X[0]
        self._level = Y.mean(axis=0, dtype=np.float64).astype(X.dtype) if center else 0 * Y[0]
        weights = np.zeros((Y.shape[1], X.shape[1]), dtype=X.dtype)
        for root, columns, own in zip(roots, self._columns, coef, strict=True):
            weights[:, columns] = _lift(X[:, columns] - self._means[columns], root, own)
        self.intercept_ = (self._level - weights @ self._means).reshape(self._shape)[()]
        self.coef_ = weights.reshape(*self._shape, X.shape[1])
        self.space_scales_ = np.array([root.scale for root in roots])

    def _predict_arrays(self, X: Array) -> Array:
        return predict_linear(X, self.coef_, self.intercept_)

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

        Raises
        ------
        AlignError
            When rows of X and y name other stimuli, or other runs and onsets.
        """
        values = self._check_new(X)
        check_same_rows(X, y)
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
