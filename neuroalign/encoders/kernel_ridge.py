"""Ridge regression on kernels of feature spaces, summed with weights chosen for each neuroid."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics.pairwise import euclidean_distances

from neuroalign.encoders._blended import BlendedRegressor
from neuroalign.encoders._spaces import Root, read_spaces, take_kernel_root
from neuroalign.errors import choose, some

Array = npt.NDArray[Any]


def _linear(X: Array, Y: Array, gamma: float, degree: float, coef0: float) -> Array:
    kernel: Array = X @ Y.T
    return kernel


def _rbf(X: Array, Y: Array, gamma: float, degree: float, coef0: float) -> Array:
    kernel: Array = np.exp(-gamma * euclidean_distances(X, Y, squared=True))
    return kernel


def _polynomial(X: Array, Y: Array, gamma: float, degree: float, coef0: float) -> Array:
    kernel: Array = (gamma * (X @ Y.T) + coef0) ** degree
    return kernel


def _precomputed(X: Array, Y: Array, gamma: float, degree: float, coef0: float) -> Array:
    return X


Kernel = Callable[[Array, Array, float, float, float], Array]
KERNELS: dict[str, Kernel] = {
    "linear": _linear,
    "rbf": _rbf,
    "polynomial": _polynomial,
    "precomputed": _precomputed,
}


class KernelRidge(BlendedRegressor):
    """Ridge regression in the space of a kernel, or of a weighted sum of kernels.

    Parameters
    ----------
    alphas : float, sequence of float, or None
        Overall penalties, relative to the mean eigenvalue. None: 19 values from 1e-4 to 1e5.
    kernel : {"linear", "rbf", "polynomial", "precomputed"}, or mapping of space to one of them
        ``rbf``: ``exp(-gamma |x - z|^2)``; ``polynomial``: ``(gamma x'z + coef0)^degree``.
        ``precomputed``: X holds the kernel itself (sample, training sample); several kernels stand
        side by side, with one label of ``spaces`` a column.
    spaces : sequence of labels (feature,), list of column groups, mapping, or None
        One kernel for each. None: coord ``space`` of X where there is one, else one kernel.
    gamma : float or None
        None: one over the number of features times their variance, in each space.
    degree, coef0 : float
    cv : int, splitter or list of (train, test)
    n_candidates, n_best, n_refine : int
    candidates : array (candidate, space), optional
        As for ``BandedRidge``.
    fit_intercept : bool
        Centre in the space of the kernel, with the means of training rows.
    seed : int

    Attributes
    ----------
    dual_coef_ : array (space, training sample[, neuroid[, time]])
    spaces_ : list of str
    space_weights_ : array (space,), or (neuroid[, time], space)
    alpha_, cv_mse_, cv_r2_ : float, or array (neuroid[, time])
    no_signal_ : bool, or array of bool (neuroid[, time])
        Where the training mean predicts as well.
    edge_low_, edge_high_ : float
    intercept_ : float, or array (neuroid[, time])

    Notes
    -----
    Each centred kernel is divided by its mean diagonal first. Errors of folds do not depend on
    the order or number of penalties: directions that rounding alone makes are left out before any.
    Time and memory grow with the samples (cubed, squared), not the features; with several spaces
    the search costs as in ``BandedRidge``. Labels in pipelines: see there too.

    References
    ----------
    Saunders, Gammerman & Vovk (1998), Proceedings of ICML, 515-521.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-2, 2, size=(200, 1))
    >>> y = x**2 + 0.3 * rng.normal(size=(200, 1))
    >>> bool(KernelRidge(kernel="rbf").fit(x, y).score(x, y) > 0.8)
    True
    """

    def __init__(
        self,
        alphas: Any = None,
        *,
        kernel: Any = "linear",
        spaces: Any = None,
        gamma: float | None = None,
        degree: float = 3,
        coef0: float = 1.0,
        cv: Any = 5,
        n_candidates: int = 100,
        candidates: Any = None,
        n_best: int = 5,
        n_refine: int = 0,
        fit_intercept: bool = True,
        seed: int = 0,
    ) -> None:
        self.alphas = alphas
        self.kernel = kernel
        self.spaces = spaces
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.cv = cv
        self.n_candidates = n_candidates
        self.candidates = candidates
        self.n_best = n_best
        self.n_refine = n_refine
        self.fit_intercept = fit_intercept
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags

    def _take_roots(self, X: Array) -> list[Root]:
        spaces = read_spaces(self.spaces, self._features, X.shape[1])
        self.spaces_, self._columns = list(spaces), list(spaces.values())
        names = self.kernel if isinstance(self.kernel, Mapping) else {}
        missing = [one for one in self.spaces_ if names and one not in names]
        if missing:
            raise ValueError(
                f"kernel: expected one for each space, got none for {some(missing)}. "
                f"Name a kernel for each of {some(self.spaces_)}."
            )
        self._names = [names[one] if names else self.kernel for one in self.spaces_]
        for name in self._names:
            choose(KERNELS, name, "kernel")
        self._known = [X[:, columns] for columns in self._columns]
        self._gammas = [self._scale_gamma(one) for one in self._known]
        roots, self._kernel_means = [], []
        for row, (space, known) in enumerate(zip(self.spaces_, self._known, strict=True)):
            kernel = self._compute(row, known)
            if kernel.shape != (len(X), len(X)):
                raise ValueError(
                    f"X: expected a kernel of {len(X)} columns for space '{space}', got "
                    f"{kernel.shape[1]}. Pass (sample, training sample)."
                )
            self._kernel_means.append(kernel.mean(axis=0, dtype=np.float64))
            center, name = bool(self.fit_intercept), f"kernel of space '{space}'"
            roots.append(take_kernel_root(kernel, X.dtype, center=center, name=name))
        return roots

    def _unfold(self, X: Array, Y: Array, roots: list[Root], coef: list[Array]) -> None:
        center = bool(self.fit_intercept)
        mean = Y.mean(axis=0, dtype=np.float64) if center else np.zeros(Y.shape[1])
        self._dual = np.zeros((len(roots), len(X), Y.shape[1]), dtype=X.dtype)
        for row, (root, weights) in enumerate(zip(roots, coef, strict=True)):
            own = root.lift @ weights.T.astype(np.float64)  # type: ignore[operator]
            if center:
                # Weights of a centred kernel sum to zero, which directions with little of it keep
                # by rounding only; then the rest of its centring is a constant.
                own = own - own.mean(axis=0)
                mean = mean - self._kernel_means[row] @ own
            self._dual[row] = own
        self.dual_coef_ = self._dual.reshape(len(roots), len(X), *self._shape)
        self.intercept_ = mean.astype(X.dtype).reshape(self._shape)[()]

    def _scale_gamma(self, X: Array) -> float:
        if self.gamma is not None:
            return float(self.gamma)
        spread = X.shape[1] * float(X.var())
        return 1 / spread if spread > 0 else 1.0

    def _compute(self, row: int, X: Array) -> Array:
        run = choose(KERNELS, self._names[row], "kernel")
        return run(X, self._known[row], self._gammas[row], self.degree, self.coef0)

    def _predict_arrays(self, X: Array) -> Array:
        parts = [
            self._compute(row, X[:, columns]) @ self._dual[row]
            for row, columns in enumerate(self._columns)
        ]
        predicted: Array = sum(parts) + np.reshape(self.intercept_, -1)
        return predicted
