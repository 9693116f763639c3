"""Dynamic modes: the linear map from each moment to the next, and its rhythms.

In: responses in trials or runs; no pair of snapshots crosses a border. Out: eigenvalues, modes and
forecasts. To add an estimator of the map: a function in ``METHODS``; to add a dictionary of
observables: one in ``DICTIONARIES``.
"""

import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.validation import check_is_fitted

from neuroalign.errors import NeuroalignWarning, SchemaError, choose
from neuroalign.latents._factors import check_count
from neuroalign.latents._input_checks import check_names, read_names
from neuroalign.latents._snapshots import read_time_step, stack_delays, take_pairs, take_stretches

Array = npt.NDArray[Any]
Lift = Callable[[Array], Array]


def _triangle(first: Array, second: Array) -> Array:
    """Rotate pairs into as few rows as they span: least squares then sees the same numbers."""
    return np.asarray(np.linalg.qr(np.concatenate([first, second], axis=1), mode="r"))


def compress(first: Array, second: Array, rank: int | None) -> tuple[Array, Array]:
    """Keep all of the pairs, in few rows."""
    joint = _triangle(first, second)
    return joint[:, : first.shape[1]], joint[:, first.shape[1] :]


def project(first: Array, second: Array, rank: int | None) -> tuple[Array, Array]:
    """Keep what both snapshots of a pair share: noise of both, not of the second alone, is cut.

    Hemati et al. (2017), Theor. Comput. Fluid Dyn. 31, algorithm 1: the projection onto the
    leading right singular vectors of the joint snapshots.
    """
    _, values, shared = np.linalg.svd(_triangle(first, second), full_matrices=False)
    kept = slice(rank if rank is not None else first.shape[1])
    rows = values[kept, None] * shared[kept]
    return rows[:, : first.shape[1]], rows[:, first.shape[1] :]


METHODS: dict[str, Callable[[Array, Array, int | None], tuple[Array, Array]]] = {
    "total": project,
    "plain": compress,
}


def find_modes(first: Array, second: Array, rank: int | None) -> tuple[Array, Array]:
    """Eigenvalues (mode,), largest first, and exact modes (unit, mode) of second ~ A first.

    Tu et al. (2014), J. Comput. Dyn. 1(2), algorithm 2.
    """
    left, values, basis = np.linalg.svd(first, full_matrices=False)
    known = int(np.sum(values > values[0] * max(first.shape) * np.finfo(np.float64).eps))
    r = known if rank is None else min(rank, known)
    back = second.T @ (left[:, :r] / values[:r])
    eigenvalues, vectors = np.linalg.eig(basis[:r] @ back)
    order = np.argsort(-np.abs(eigenvalues), kind="stable")
    modes = (back @ vectors).astype(complex)
    # A mode that dies at once has no image to be seen in; its projection stands for it.
    dead = np.abs(eigenvalues) < np.finfo(np.float64).eps ** 0.5
    modes[:, dead] = (basis[:r].T @ vectors)[:, dead]
    modes /= np.linalg.norm(modes, axis=0)
    return eigenvalues[order].astype(complex), modes[:, order]


def _measure_fit(predicted: Array, observed: Array) -> float:
    """R2 over all units together."""
    rest = np.sum((observed - predicted) ** 2)
    return float(1 - rest / np.sum((observed - observed.mean(axis=0)) ** 2))


class _Stepper(BaseEstimator):  # type: ignore[misc]
    """What both kinds share: reading responses, stepping, and scores of forecasts."""

    delays: int
    center: bool
    time_step: float | None

    def _read(self, X: Any, *, fitting: bool = False) -> list[Array]:
        stretches = take_stretches(X)
        if fitting and stretches:
            rows = np.concatenate(stretches)
            self.n_features_in_ = rows.shape[1]
            self.mean_ = rows.mean(axis=0) if self.center else np.zeros(rows.shape[1])
            self._names = read_names(X)
        if not fitting:
            check_names(self._names, read_names(X))
        if stretches and stretches[0].shape[1] != self.n_features_in_:
            raise SchemaError(
                f"X: expected {self.n_features_in_} neuroids as in training, got "
                f"{stretches[0].shape[1]}. Select the same ones."
            )
        return [stack_delays(stretch - self.mean_, self.delays) for stretch in stretches]

    def _step(self, states: Array, n_steps: int) -> Array:
        raise NotImplementedError

    def _set_rhythms(self, X: Any) -> None:
        self.time_step_ = read_time_step(X, self.time_step)
        step = 1.0 if self.time_step_ is None else self.time_step_
        # A mode that dies within a step decays infinitely fast.
        with np.errstate(divide="ignore"):
            decay = np.log(np.abs(self.eigenvalues_))
        self.rates_ = decay / step + 1j * np.angle(self.eigenvalues_) / step
        self.frequencies_ = np.abs(self.rates_.imag) / (2 * np.pi)

    def predict(self, X: Any, n_steps: int = 1) -> Array:
        """Forecast from the last state of each stretch.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid, time) or (sample, neuroid)
        n_steps : int

        Returns
        -------
        array (stretch, step, neuroid)
            Stretches shorter than ``delays`` are left out.
        """
        check_is_fitted(self, "eigenvalues_")
        check_count(n_steps, "n_steps")
        last = [stretch[-1] for stretch in self._read(X) if len(stretch)]
        if not last:
            raise SchemaError(
                f"X: expected a stretch of {self.delays} times without NaN, got none. "
                "Give longer trials."
            )
        return self._step(np.stack(last), n_steps)

    def score(self, X: Any, y: None = None, n_steps: int = 1) -> float:
        """R2 of forecasts ``n_steps`` ahead, from every state that has such a later one.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid, time) or (sample, neuroid)
        y : ignored
        n_steps : int

        Returns
        -------
        float
            Over all neuroids together.
        """
        check_is_fitted(self, "eigenvalues_")
        ahead = check_count(n_steps, "n_steps")
        states = [stretch for stretch in self._read(X) if len(stretch) > ahead]
        if not states:
            raise SchemaError(
                f"X: expected stretches longer than {ahead} states, got none. Use fewer steps."
            )
        guess = self._step(np.concatenate([one[:-ahead] for one in states]), ahead)[:, -1]
        later = np.concatenate([one[ahead:] for one in states])[:, -self.n_features_in_ :]
        return _measure_fit(guess, later + self.mean_)


class DynamicModes(_Stepper):
    """Dynamic mode decomposition of trials or runs.

    Parameters
    ----------
    rank : int or None
        Modes kept. None: as many as the snapshots span, which with noise are mostly noise.
    method : {"total", "plain"}
        ``total`` treats noise in both snapshots of a pair alike; ``plain``, least squares, takes
        the first for exact and makes rhythms decay faster than they do.
    delays : int
        Moments joined to one state.
    center : bool
        Subtract the mean over time first.
    time_step : float, optional
        Seconds; found in the coords where they have it.

    Attributes
    ----------
    eigenvalues_ : complex array (mode,)
        Per step, largest first.
    modes_ : complex array (delays * neuroid, mode)
    rates_ : complex array (mode,)
        Logarithm of the eigenvalues per second (per step where no step is known).
    frequencies_ : array (mode,)
        In Hz (cycles per step where no step is known).
    mean_ : array (neuroid,)
    time_step_ : float or None

    References
    ----------
    Tu et al. (2014), J. Comput. Dyn. 1(2), doi:10.3934/jcd.2014.1.391, algorithm 2.
    Hemati, Rowley, Deem & Cattafesta (2017), Theor. Comput. Fluid Dyn. 31,
    doi:10.1007/s00162-017-0432-2, algorithm 1.
    Brunton, Johnson, Ojemann & Kutz (2016), J. Neurosci. Methods 258 (delays, neural data).

    Examples
    --------
    >>> import numpy as np
    >>> angle = 0.1 * np.arange(50)
    >>> wave = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> model = DynamicModes(2, time_step=0.01).fit(wave)
    >>> np.round(model.frequencies_ * 2 * np.pi, 6)
    array([10., 10.])
    """

    def __init__(
        self, rank: int | None = None, *, method: str = "total", delays: int = 1,
        center: bool = False, time_step: float | None = None,
    ) -> None:  # fmt: skip
        self.rank = rank
        self.method = method
        self.delays = delays
        self.center = center
        self.time_step = time_step

    def fit(self, X: Any, y: None = None) -> Self:
        """Find the modes.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid, time) or (sample, neuroid)
            Trials, ragged with NaN or ``valid``; or one row a time, cut where ``run`` changes.
        y : ignored

        Returns
        -------
        The estimator itself.

        Raises
        ------
        SchemaError
            For other dims, or without two states in a stretch.
        ValueError
            For unknown options.

        Warns
        -----
        NeuroalignWarning
            When ``rank`` is more than the snapshots span.
        """
        reduce = choose(METHODS, self.method, "method")
        rank = None if self.rank is None else check_count(self.rank, "rank")
        check_count(self.delays, "delays")
        first, second = take_pairs(self._read(X, fitting=True))
        self.eigenvalues_, self.modes_ = find_modes(*reduce(first, second, rank), rank)
        if rank is not None and rank > (n := len(self.eigenvalues_)):
            told = f"rank: expected at most the {n} modes that the snapshots span, got {rank}."
            warnings.warn(f"{told} Use fewer, or more delays.", NeuroalignWarning, stacklevel=2)
        self._set_rhythms(X)
        return self

    def _step(self, states: Array, n_steps: int) -> Array:
        amplitudes = states @ np.linalg.pinv(self.modes_).T
        powers = self.eigenvalues_[None, :] ** np.arange(1, n_steps + 1)[:, None]
        newest = self.modes_[-self.n_features_in_ :]
        courses = (amplitudes[:, None, :] * powers) @ newest.T
        forecast: Array = courses.real + self.mean_
        return forecast


def _lift_polynomial(X: Array, size: int, rng: np.random.Generator) -> Lift:
    powers = PolynomialFeatures(size, include_bias=True).fit(X)
    return lambda rows: np.asarray(powers.transform(rows))


def _lift_radial(X: Array, size: int, rng: np.random.Generator) -> Lift:
    """Gaussian bumps around centres of clusters, as wide as these lie apart; and the state."""
    found = KMeans(size, n_init=1, random_state=int(rng.integers(2**31))).fit(X)
    centers = found.cluster_centers_
    gaps = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    width = np.median(gaps[gaps > 0]) if size > 1 else X.std()

    def lift(rows: Array) -> Array:
        squares = ((rows[:, None] - centers[None]) ** 2).sum(axis=2)
        return np.column_stack([np.ones(len(rows)), rows, np.exp(-0.5 * squares / width**2)])

    return lift


def _lift_fourier(X: Array, size: int, rng: np.random.Generator) -> Lift:
    """Random cosines of the state in units of its spread; and the state."""
    waves = rng.normal(size=(X.shape[1], size)) / np.maximum(X.std(axis=0), 1e-300)[:, None]
    phases = rng.uniform(0, 2 * np.pi, size)
    return lambda rows: np.column_stack([np.ones(len(rows)), rows, np.cos(rows @ waves + phases)])


DICTIONARIES: dict[str, Callable[[Array, int, np.random.Generator], Lift]] = {
    "polynomial": _lift_polynomial,
    "radial": _lift_radial,
    "fourier": _lift_fourier,
}


class ExtendedDynamicModes(_Stepper):
    """Linear dynamics of nonlinear observables: a finite picture of the Koopman operator.

    Parameters
    ----------
    dictionary : {"polynomial", "radial", "fourier"} or callable
        A callable takes states (row, unit) and gives observables (row, observable).
    size : int
        Degree of the polynomials, number of bumps or of waves; not used with a callable.
    ridge : float
        Penalty on the operator, relative to the mean square of the observables.
    delays, center, time_step
        As in `DynamicModes`.
    random_state : int

    Attributes
    ----------
    operator_ : array (observable, observable)
        Observables of a state times it are those of the next.
    eigenvalues_ : complex array (observable,)
    eigenfunctions_ : complex array (observable, mode)
        Observables times it are the eigenfunctions.
    rates_, frequencies_, mean_, time_step_
        As in `DynamicModes`.

    References
    ----------
    Williams, Kevrekidis & Rowley (2015), J. Nonlinear Sci. 25, doi:10.1007/s00332-015-9258-5,
    eqs. 12 to 14.

    Examples
    --------
    >>> import numpy as np
    >>> decay = 0.5 ** np.arange(6.0)[:, None]
    >>> model = ExtendedDynamicModes(lambda x: np.hstack([x, x**2])).fit(decay)
    >>> np.round(model.eigenvalues_.real, 6)
    array([0.5 , 0.25])
    """

    def __init__(
        self, dictionary: str | Lift = "polynomial", *, size: int = 2, ridge: float = 0.0,
        delays: int = 1, center: bool = False, time_step: float | None = None,
        random_state: int = 0,
    ) -> None:  # fmt: skip
        self.dictionary = dictionary
        self.size = size
        self.ridge = ridge
        self.delays = delays
        self.center = center
        self.time_step = time_step
        self.random_state = random_state

    def fit(self, X: Any, y: None = None) -> Self:
        """Find the operator on the observables.

        Parameters
        ----------
        X : DataArray or array (sample, neuroid, time) or (sample, neuroid)
        y : ignored

        Returns
        -------
        The estimator itself.

        Raises
        ------
        SchemaError, ValueError
        """
        check_count(self.delays, "delays")
        if not self.ridge >= 0:
            raise ValueError(f"ridge: expected a number >= 0, got {self.ridge}. Pass 1e-6, say.")
        first, second = take_pairs(self._read(X, fitting=True))
        self._lift = self._make_lift(first)
        now, then = self._lift(first), self._lift(second)
        n, m = now.shape
        penalty = np.sqrt(self.ridge * n * np.mean(now**2)) * np.eye(m)
        targets = np.column_stack([then, first])
        padded = np.concatenate([targets, np.zeros((m, targets.shape[1]))])
        solved = np.linalg.lstsq(np.concatenate([now, penalty]), padded, rcond=None)[0]
        self.operator_, self._readout = solved[:, :m], solved[:, m:]
        values, vectors = np.linalg.eig(self.operator_)
        order = np.argsort(-np.abs(values), kind="stable")
        self.eigenvalues_ = values[order].astype(complex)
        self.eigenfunctions_ = vectors[:, order]
        self._set_rhythms(X)
        return self

    def _make_lift(self, states: Array) -> Lift:
        if callable(self.dictionary):
            return self.dictionary
        make = choose(DICTIONARIES, self.dictionary, "dictionary")
        rng = np.random.default_rng(self.random_state)
        return make(states, check_count(self.size, "size"), rng)

    def _step(self, states: Array, n_steps: int) -> Array:
        lifted, courses = self._lift(states), []
        for _ in range(n_steps):
            lifted = lifted @ self.operator_
            courses.append((lifted @ self._readout)[:, -self.n_features_in_ :])
        forecast: Array = np.stack(courses, axis=1) + self.mean_
        return forecast
