"""Fewer features: a random projection that learns nothing, and principal components for folds."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.random_projection import johnson_lindenstrauss_min_dim
from sklearn.utils.validation import check_is_fitted, validate_data

from neuroalign._arrays import unwrap
from neuroalign.errors import SchemaError
from neuroalign.schema import add_history

Array = npt.NDArray[Any]

# Points whose distances "auto" promises to keep: fixed, for the width must not depend on the data.
JL_POINTS = 10_000
DTYPES = (np.float64, np.float32)


def _take(X: Any) -> Any:
    if isinstance(X, xr.DataArray) and X.ndim != 2:
        raise SchemaError(
            f"X: expected (sample, feature), got dims {X.dims}. Use pool='mean', or stack tokens."
        )
    return unwrap(X)[0]


def _give(values: Array, X: Any, step: str) -> Any:
    """Put the sample labels and attrs of the input on new features."""
    if not isinstance(X, xr.DataArray):
        return values
    first = X.dims[0]
    coords = {key: coord for key, coord in X.coords.items() if coord.dims == (first,)}
    return add_history(
        xr.DataArray(values, dims=(first, "feature"), coords=coords, attrs=X.attrs), step
    )


class SparseProjection(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Very sparse random projection whose matrix depends only on the width and the seed.

    It learns nothing from the data, so that it may be used before the folds are drawn.

    Parameters
    ----------
    n_components : int or "auto"
        Width of the result. ``"auto"``: the Johnson-Lindenstrauss bound for 10 000 points at
        ``eps``. Features that are no more than this are given back as they are.
    eps : float
        Largest relative error of squared distances that ``"auto"`` aims at, in (0, 1).
    seed : int

    Attributes
    ----------
    components_ : sparse array (component, feature)
    n_components_ : int
    n_features_in_ : int

    Notes
    -----
    Entries are ``+-sqrt(s / k)`` with probability ``1 / (2 s)`` each, else 0, with
    ``s = sqrt(n_features)`` and ``k`` components, so that squared lengths are kept on average.

    References
    ----------
    Achlioptas (2003), J. Comput. Syst. Sci. 66, theorem 1.1 (s = 3).
    Li, Hastie & Church (2006), KDD, section 3 (s = sqrt(n_features)).

    Examples
    --------
    >>> import numpy as np
    >>> SparseProjection(10, seed=0).fit_transform(np.ones((3, 500))).shape
    (3, 10)
    """

    data_independent = True

    def __init__(self, n_components: int | str = "auto", eps: float = 0.2, seed: int = 0) -> None:
        self.n_components = n_components
        self.eps = eps
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the matrix for the width of ``X``; its values are not used.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : ignored

        Raises
        ------
        ValueError
            For ``n_components`` other than a positive int or ``"auto"``.
        SchemaError
            For a DataArray with other than two dims.
        """
        width = validate_data(self, _take(X), dtype=DTYPES).shape[1]
        self.n_components_ = min(self._count(), width)
        self.components_ = self._draw(width)
        return self

    def _count(self) -> int:
        count = self.n_components
        if count == "auto":
            return int(johnson_lindenstrauss_min_dim(JL_POINTS, eps=self.eps))
        if isinstance(count, str | bool) or int(count) != count or count < 1:
            raise ValueError(
                f"n_components: expected 'auto' or a positive int, got {count!r}. Use 'auto'."
            )
        return int(count)

    def _draw(self, width: int) -> sparse.csr_array:
        count = self.n_components_
        if count == width:
            return sparse.csr_array(sparse.eye_array(width))
        rng = np.random.default_rng(self.seed)
        sparsity = np.sqrt(width)
        filled = rng.binomial(width, 1 / sparsity, size=count)
        places = [rng.choice(width, n, replace=False, shuffle=False) for n in filled]
        signs = rng.choice([-1.0, 1.0], size=int(filled.sum()))
        indptr = np.concatenate([[0], np.cumsum(filled)])
        data = signs * np.sqrt(sparsity / count)
        matrix = sparse.csr_array((data, np.concatenate(places), indptr), shape=(count, width))
        matrix.sort_indices()
        return matrix

    def transform(self, X: Any) -> Any:
        """Project.

        Parameters
        ----------
        X : DataArray or array (sample, feature)

        Returns
        -------
        DataArray or array (sample, feature)
            Of ``n_components_`` features; a DataArray keeps its sample coords and attrs.
        """
        check_is_fitted(self)
        values = validate_data(self, _take(X), dtype=DTYPES, reset=False)
        matrix = self.components_.astype(values.dtype, copy=False)
        projected = np.ascontiguousarray((matrix @ values.T).T)
        step = f"features.SparseProjection({self.n_components_}, seed={self.seed})"
        return _give(projected, X, step)

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components_)


class PrincipalComponents(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal components of the training rows, for use inside folds.

    Parameters
    ----------
    n_components : int or None
        Components kept. None: as many as samples or features allow.
    whiten : bool
        Divide each component by its standard deviation over the training rows.
    seed : int
        For the randomised solver, which scikit-learn takes for large matrices.

    Attributes
    ----------
    pca_ : sklearn.decomposition.PCA
        The fitted decomposition.
    components_ : array (component, feature)
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> PrincipalComponents(2).fit_transform(np.eye(5)).shape
    (5, 2)
    """

    def __init__(
        self, n_components: int | None = None, whiten: bool = False, seed: int = 0
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the components.

        Parameters
        ----------
        X : DataArray or array (sample, feature)
        y : ignored

        Raises
        ------
        ValueError
            When ``n_components`` exceeds the samples or the features.
        SchemaError
            For a DataArray with other than two dims.
        """
        values = validate_data(self, _take(X), dtype=DTYPES)
        most = min(values.shape)
        if self.n_components is not None and not 1 <= self.n_components <= most:
            raise ValueError(
                f"n_components: expected 1 to {most} for {values.shape[0]} samples and "
                f"{values.shape[1]} features, got {self.n_components}. Ask for fewer."
            )
        self.pca_ = PCA(self.n_components, whiten=self.whiten, random_state=self.seed).fit(values)
        self.components_ = self.pca_.components_
        return self

    def transform(self, X: Any) -> Any:
        """Project onto the components of the training rows.

        Parameters
        ----------
        X : DataArray or array (sample, feature)

        Returns
        -------
        DataArray or array (sample, feature)
            A DataArray keeps its sample coords and attrs.
        """
        check_is_fitted(self)
        values = validate_data(self, _take(X), dtype=DTYPES, reset=False)
        step = f"features.PrincipalComponents({len(self.components_)}, whiten={self.whiten})"
        return _give(self.pca_.transform(values), X, step)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)
