"""Shared responses: what several brains do at the same moments, in coordinates of their own.

In: a dict of subjects with the same samples in the same order. Out: an orthonormal map per subject
into one shared space. To add a way to find it: a function in ``METHODS``.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.latents._input_checks import check_units, read_names

Array = npt.NDArray[Any]


class Shared(NamedTuple):
    """``maps`` (unit, latent) per subject, ``course`` (sample, latent), ``history``, converged."""

    maps: list[Array]
    course: Array
    history: list[float]
    converged: bool


def nearest_orthonormal(product: Array) -> Array:
    """Orthonormal columns with the largest trace against a product (unit, latent): Procrustes."""
    left, _, right = np.linalg.svd(product, full_matrices=False)
    turned: Array = left @ right
    return turned


def _start(X: list[Array], k: int, seed: int) -> list[Array]:
    """Leading directions of all units together, made orthonormal within each subject."""
    rng = np.random.default_rng(seed)
    unit = [one / max(float(np.linalg.norm(one)), 1e-300) for one in X]
    _, vectors = np.linalg.eigh(sum(one @ one.T for one in unit))
    course = vectors[:, ::-1][:, :k]
    # A subject without a share in some direction needs any other one there, not rounding.
    return [
        nearest_orthonormal(one.T @ course + 1e-12 * rng.normal(size=(one.shape[1], k)))
        for one in unit
    ]


def solve_deterministic(X: list[Array], k: int, max_iter: int, tol: float, seed: int) -> Shared:
    """Take turns: the course as the mean of turned subjects, the maps by Procrustes.

    Chen et al. (2015), eq. 1.
    """
    maps, history = _start(X, k, seed), []
    power = sum(float(np.sum(one**2)) for one in X)
    for _ in range(max_iter):
        course = np.mean([one @ W for one, W in zip(X, maps, strict=True)], axis=0)
        maps = [nearest_orthonormal(one.T @ course) for one in X]
        error = sum(
            float(np.sum((one - course @ W.T) ** 2)) for one, W in zip(X, maps, strict=True)
        )
        history.append(error / power)
        if len(history) > 1 and history[-2] - history[-1] < tol:
            return Shared(maps, course, history, True)
    return Shared(maps, course, history, False)


def solve_probabilistic(X: list[Array], k: int, max_iter: int, tol: float, seed: int) -> Shared:
    """EM for a Gaussian course and one noise variance per subject.

    Chen et al. (2015), section 3.1, eqs. 2 to 8; ``history`` is the negative log likelihood per
    entry.
    """
    maps, history = _start(X, k, seed), []
    n = len(X[0])
    sizes = np.array([one.shape[1] for one in X])
    powers = np.array([float(np.sum(one**2)) for one in X])
    prior = np.cov(np.mean([one @ W for one, W in zip(X, maps, strict=True)], axis=0).T, ddof=0)
    prior = np.atleast_2d(prior) + 1e-9 * np.trace(np.atleast_2d(prior)) * np.eye(k)
    noise = powers / (n * sizes)
    for _ in range(max_iter):
        drive = sum(one @ W / s for one, W, s in zip(X, maps, noise, strict=True))
        precision = np.linalg.inv(prior) + np.sum(1 / noise) * np.eye(k)
        covariance = np.linalg.inv(precision)
        course = drive @ covariance
        logdet = np.linalg.slogdet(precision)[1] + np.linalg.slogdet(prior)[1]
        logdet += np.sum(sizes * np.log(2 * np.pi * noise))
        squares = np.sum(powers / noise) - np.sum(drive * course)
        history.append(0.5 * float(n * logdet + squares) / (n * float(sizes.sum())))
        if len(history) > 1 and history[-2] - history[-1] < tol:
            return Shared(maps, course, history, True)
        second = course.T @ course + n * covariance
        products = [one.T @ course for one in X]
        maps = [nearest_orthonormal(product) for product in products]
        agreed = [np.sum(product * W) for product, W in zip(products, maps, strict=True)]
        noise = (powers - 2 * np.array(agreed) + np.trace(second)) / (n * sizes)
        noise = np.maximum(noise, 1e-9 * powers / (n * sizes))
        prior = second / n
    return Shared(maps, course, history, False)


METHODS: dict[str, Callable[[list[Array], int, int, float, int], Shared]] = {
    "probabilistic": solve_probabilistic,
    "deterministic": solve_deterministic,
}


def _read_subjects(X: Any) -> dict[str, Array]:
    if not isinstance(X, Mapping) or len(X) < 2:
        raise SchemaError(
            "X: expected a dict of at least two subjects with arrays (sample, neuroid), got "
            f"{type(X).__name__}. Pass {{'sub-01': responses, ...}}."
        )
    arrays = {str(name): _read_one(one, str(name)) for name, one in X.items()}
    counts = {len(one) for one in arrays.values()}
    if len(counts) > 1:
        raise AlignError(
            f"X: expected the same samples in every subject, got {sorted(counts)} of them. "
            "Match the subjects first."
        )
    flat = [name for name, one in arrays.items() if not (one != one[:1]).any()]
    if flat:
        raise SchemaError(
            f"X: expected samples that differ in every subject, got constants in {some(flat)}. "
            "Drop them, or give more samples."
        )
    labelled = [
        one for one in X.values() if isinstance(one, xr.DataArray) and "stimulus" in one.coords
    ]
    if any((one["stimulus"].values != labelled[0]["stimulus"].values).any() for one in labelled):
        raise AlignError(
            "X: expected the same stimuli in the same order in every subject, got others. "
            "Match the subjects first."
        )
    return arrays


def _read_one(one: Any, name: str) -> Array:
    values = np.asarray(one.values if isinstance(one, xr.DataArray) else one, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise SchemaError(
            f"{name}: expected finite values (sample, neuroid), got shape {values.shape}, finite: "
            f"{bool(np.isfinite(values).all())}. Join time to samples, and drop NaN."
        )
    return values


def _label(values: Array, like: Any) -> xr.DataArray:
    coords: dict[Any, Any] = {}
    if isinstance(like, xr.DataArray):
        first = like.dims[0]
        coords = {key: c for key, c in like.coords.items() if c.dims == (first,)}
    return xr.DataArray(values, dims=("sample", "latent"), coords=coords)


class _SubjectMaps(BaseEstimator):  # type: ignore[misc]
    """A linear map per subject into one space: what both ways of finding it share."""

    _remedy: ClassVar[str]
    maps_: dict[str, Array]
    means_: dict[str, Array]
    _names: dict[str, Array | None]

    def _center(self, arrays: dict[str, Array], X: Mapping[Any, Any]) -> dict[str, Array]:
        self._names = {str(name): read_names(one) for name, one in X.items()}
        self.means_ = {name: one.mean(axis=0) for name, one in arrays.items()}
        return {name: one - self.means_[name] for name, one in arrays.items()}

    def transform(self, X: Mapping[str, Any]) -> dict[str, xr.DataArray]:
        """Bring subjects into the common space.

        Parameters
        ----------
        X : dict of str -> DataArray or array (sample, neuroid)

        Returns
        -------
        dict of str -> DataArray (sample, latent)

        Raises
        ------
        SchemaError
            For a subject that was not fitted, or whose neuroids are named otherwise.
        """
        check_is_fitted(self, "maps_")
        unknown = [name for name in X if name not in self.maps_]
        if unknown:
            raise SchemaError(
                f"X: expected the subjects of the training, got {some(unknown)}. {self._remedy}"
            )
        for name, one in X.items():
            check_units(self._names.get(name), len(self.maps_[name]), one, name)
        return {
            name: _label((_read_one(one, name) - self.means_[name]) @ self.maps_[name], one)
            for name, one in X.items()
        }


class SharedResponse(_SubjectMaps):
    """Shared response model of several subjects.

    Parameters
    ----------
    n_latents : int
        At most the neuroids of the smallest subject.
    method : {"probabilistic", "deterministic"}
    max_iter : int
    tol : float
        Least gain per iteration: in log likelihood per entry, or in the share of variance.
    random_state : int

    Attributes
    ----------
    maps_ : dict of str -> array (neuroid, latent)
        Orthonormal columns.
    shared_ : DataArray (sample, latent)
        The course all have in common.
    means_ : dict of str -> array (neuroid,)
    history_ : dict of str -> list of float
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    The shared space is known up to a rotation.

    References
    ----------
    Chen, Chen, Yeshurun, Hasson, Haxby & Ramadge (2015), NeurIPS 28, "A reduced-dimension fMRI
    shared response model", section 3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> course = rng.normal(size=(50, 2))
    >>> X = {name: course @ rng.normal(size=(2, 6)) for name in ("a", "b", "c")}
    >>> SharedResponse(2).fit(X).shared_.shape
    (50, 2)
    """

    _remedy = "Call add_subject first."

    def __init__(
        self, n_latents: int = 10, *, method: str = "probabilistic", max_iter: int = 100,
        tol: float = 1e-7, random_state: int = 0,
    ) -> None:  # fmt: skip
        self.n_latents = n_latents
        self.method = method
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Mapping[str, Any], y: None = None) -> Self:
        """Find the shared course and each subject's map.

        Parameters
        ----------
        X : dict of str -> DataArray or array (sample, neuroid)
        y : ignored

        Returns
        -------
        The estimator itself.

        Raises
        ------
        AlignError
            When the subjects' samples differ.
        SchemaError
            When a subject's samples are all the same, or not finite.
        ValueError
        """
        arrays = _read_subjects(X)
        solve = choose(METHODS, self.method, "method")
        most = min(min(one.shape) for one in arrays.values())
        if not 1 <= self.n_latents <= most:
            raise ValueError(
                f"n_latents: expected 1 to {most} (smallest subject), got {self.n_latents}. "
                "Ask for fewer."
            )
        centered = list(self._center(arrays, X).values())
        found = solve(centered, self.n_latents, self.max_iter, self.tol, self.random_state)
        self.maps_ = dict(zip(arrays, found.maps, strict=True))
        self.shared_ = _label(found.course, next(iter(X.values())))
        self.history_ = {"loss": found.history}
        self.converged_, self.n_iter_ = found.converged, len(found.history)
        return self

    def add_subject(self, name: str, X: Any) -> Self:
        """Fit the map of one more subject to the course already found.

        Parameters
        ----------
        name : str
        X : DataArray or array (sample, neuroid)
            The samples of the training.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        AlignError
            With another number of samples.
        """
        check_is_fitted(self, "maps_")
        values = _read_one(X, name)
        if len(values) != len(self.shared_):
            raise AlignError(
                f"{name}: expected the {len(self.shared_)} samples of the training, got "
                f"{len(values)}. Match them first."
            )
        self._names[name] = read_names(X)
        self.means_[name] = values.mean(axis=0)
        self.maps_[name] = nearest_orthonormal((values - self.means_[name]).T @ self.shared_.values)
        return self


class Hyperalignment(_SubjectMaps):
    """Rotate subjects onto a common template by Procrustes, in three rounds.

    Parameters
    ----------
    n_rounds : int
        Rounds over a template that is the mean of the turned subjects.

    Attributes
    ----------
    maps_ : dict of str -> array (neuroid, latent)
        Rotations (and reflections) of centred neuroids.
    template_ : array (sample, latent)
    means_ : dict of str -> array (neuroid,)
    disagreement_ : list of float
        Share of the variance not in the template, after each round.

    Notes
    -----
    All subjects keep the dims of the smallest: a larger one loses what has no counterpart.

    References
    ----------
    Haxby, Guntupalli, Connolly, Halchenko, Conroy, Gobbini, Hanke & Ramadge (2011), Neuron 72,
    doi:10.1016/j.neuron.2011.08.026, methods. Schönemann (1966), Psychometrika 31.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(size=(40, 3))
    >>> X = {"a": values, "b": values[:, [2, 0, 1]]}
    >>> turned = Hyperalignment().fit(X).transform(X)
    >>> bool(abs(turned["a"] - turned["b"]).max() < 1e-9)
    True
    """

    _remedy = "Fit them too."

    def __init__(self, n_rounds: int = 3) -> None:
        self.n_rounds = n_rounds

    def fit(self, X: Mapping[str, Any], y: None = None) -> Self:
        """Find the rotations.

        Parameters
        ----------
        X : dict of str -> DataArray or array (sample, neuroid)
        y : ignored

        Returns
        -------
        The estimator itself.

        Raises
        ------
        AlignError, SchemaError, ValueError
        """
        if self.n_rounds < 1:
            raise ValueError(f"n_rounds: expected an integer >= 1, got {self.n_rounds}. Pass 3.")
        centered = self._center(_read_subjects(X), X)
        # The template grows subject by subject; the smallest one sets its dims.
        order = sorted(centered, key=lambda name: centered[name].shape[1])
        template = centered[order[0]]
        for count, name in enumerate(order[1:], start=1):
            turned = centered[name] @ nearest_orthonormal(centered[name].T @ template)
            template = (count * template + turned) / (count + 1)
        self.disagreement_ = []
        for _ in range(self.n_rounds):
            self.maps_ = {
                name: nearest_orthonormal(one.T @ template) for name, one in centered.items()
            }
            turned_all = np.stack([one @ self.maps_[name] for name, one in centered.items()])
            template = turned_all.mean(axis=0)
            rest = np.sum((turned_all - template) ** 2)
            self.disagreement_.append(float(rest / np.sum(turned_all**2)))
        self.template_ = template
        return self
