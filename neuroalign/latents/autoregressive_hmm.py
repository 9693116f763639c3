"""Autoregressive hidden Markov models: states that differ in their dynamics."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.latents._chain_model import ChainModel
from neuroalign.latents._emissions import Emission
from neuroalign.latents._regressions import Autoregression, stack_past
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]


class AutoregressiveHMM(ChainModel):
    """Hidden Markov model whose states map the past linearly to the present.

    Parameters
    ----------
    n_states : int
    lags : int
        Bins of the past that are used.
    stickiness : float
        Pseudo-transitions of each state to itself, added to the Dirichlet prior.
    concentration : float
        Of the Dirichlet priors of start and transitions; 1 is flat.
    prior : float
        Pseudo-bins in each state, which draw maps to zero.
    n_restarts : int
        Starts from k-means; the best after ten steps goes on.
    max_iter : int
    tol : float
        Stop when a step gains less than so many nats a bin.
    seed : int

    Attributes
    ----------
    params_ : Dataset
        ``start``, ``transition``, ``weights`` (state, neuroid, past) with ``past`` by lag and
        then unit, ``offset``, ``covariance``, and ``centre`` (neuroid): values are taken as
        differences from it.

    Raises
    ------
    ValueError
        For options out of range, or fewer bins with a full past than states.

    Notes
    -----
    The likelihood is that of bins with a full past, given the first ``lags`` bins of each trial;
    a bin with a missing value in it or in its past counts with likelihood one. Hiding a unit
    thus hides all bins: use `HMM` or `LinearDynamics` to predict units from each other.

    References
    ----------
    Hamilton (1990), Journal of Econometrics 45(1-2), doi:10.1016/0304-4076(90)90093-9.

    Examples
    --------
    >>> import numpy as np
    >>> signals = np.random.default_rng(0).normal(size=(5, 2, 60)).cumsum(axis=2)
    >>> AutoregressiveHMM(2).fit(signals).params_["weights"].shape
    (2, 2, 2)
    """

    def __init__(
        self, n_states: int = 3, *, lags: int = 1, stickiness: float = 0.0,
        concentration: float = 1.0, prior: float = 0.1, n_restarts: int = 4, max_iter: int = 200,
        tol: float = 1e-6, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            n_states, stickiness, concentration, prior, n_restarts, max_iter, tol, seed
        )
        self.lags = lags

    def _check_options(self) -> None:
        super()._check_options()
        if isinstance(self.lags, bool) or not isinstance(self.lags, int) or self.lags < 1:
            raise ValueError(f"lags: expected an integer >= 1, got {self.lags!r}. Pass 1, say.")

    def _make_emission(self, units: int) -> Emission:
        return Autoregression(units)

    def _prepare(self, Y: Array, observed: Array) -> tuple[Array, Array]:
        return stack_past(Y, observed, self.lags)

    def _describe(self, labels: Labels) -> xr.Dataset:
        params = super()._describe(labels)
        return params.assign(centre=("neuroid", self._centre))

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        bins = self._read_bins(Y, observed)
        assert isinstance(self._emission, Autoregression)
        expected = self._emission.predict(bins.Y, self._chain.params)
        weights = self._infer_arrays(Y, observed).reshape(-1, self.n_states)
        found = np.einsum("bk,bku->bu", weights, expected).reshape(Y.shape)
        return np.asarray(found + self._centre)
