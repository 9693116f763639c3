"""Hidden Markov models: a population that jumps between states, each with its own rates."""

from typing import Any

import numpy.typing as npt

from neuroalign.errors import choose
from neuroalign.latents._chain_model import ChainModel
from neuroalign.latents._emissions import EMISSIONS, Emission, Params
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]
# Mean of a bin up to which whole numbers are far from normal.
FEW_COUNTS = 10.0


class HMM(ChainModel):
    """Hidden Markov model with emissions chosen by name.

    Parameters
    ----------
    n_states : int
    emission : {"gaussian", "gaussian_full", "poisson", "bernoulli", "categorical"}
        What a bin of a state holds: signals with a variance for each unit, or with a covariance;
        counts; at most one event; labels 0, 1, ....
    stickiness : float
        Pseudo-transitions of each state to itself, added to the Dirichlet prior.
    concentration : float
        Of the Dirichlet priors of start and transitions; 1 is flat.
    prior : float
        Pseudo-bins in each state with the averages of the whole recording. They keep rates of
        rarely visited states above zero.
    n_restarts : int
        Starts from k-means; the best after ten steps goes on.
    max_iter : int
    tol : float
        Stop when a step gains less than so many nats a bin.
    seed : int

    Attributes
    ----------
    params_ : Dataset
        ``start`` (state), ``transition`` (state, state_next), and by emission ``mean`` with
        ``variance`` or ``covariance``, ``rate`` or ``probability``.
    history_ : dict of str to list of float
        "objective": log-likelihood plus log-prior, up to a constant.

    Raises
    ------
    ValueError
        For options out of range, values that the emission does not know, or fewer observed bins
        than states.

    Warns
    -----
    NeuroalignWarning
        When Gaussian emissions meet small counts, when a state died and was started anew from the
        bins that all states explained worst, and when the steps did not suffice.

    Notes
    -----
    Latents are posterior probabilities of states. Bins that are not observed count with
    likelihood one: the chain goes on through them. Units hidden by ``mask`` are integrated out,
    so that ``log_prob`` is exact and co-smoothing sees only the other units. Variances are at
    least a thousandth of that of the unit, in constant stretches too.

    References
    ----------
    Rabiner (1989), Proceedings of the IEEE 77(2), doi:10.1109/5.18626.
    Fox et al. (2011), Annals of Applied Statistics 5(2A), doi:10.1214/10-AOAS395 (sticky chains).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rates = np.repeat([[0.5], [4.0]], 50, axis=0).ravel() * np.ones((10, 6, 1))
    >>> counts = rng.poisson(rates)
    >>> model = HMM(2, emission="poisson").fit(counts)
    >>> model.transform(counts).shape
    (10, 100, 2)
    """

    def __init__(
        self, n_states: int = 5, *, emission: str = "gaussian", stickiness: float = 0.0,
        concentration: float = 1.0, prior: float = 0.1, n_restarts: int = 4, max_iter: int = 200,
        tol: float = 1e-6, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            n_states, stickiness, concentration, prior, n_restarts, max_iter, tol, seed
        )
        self.emission = emission

    def _models_counts(self) -> bool:
        return self.emission == "poisson"

    def _make_emission(self, units: int) -> Emission:
        return choose(EMISSIONS, self.emission, "emission")()

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        few = self.counts_ and float(Y[observed].mean()) < FEW_COUNTS
        if few and str(self.emission).startswith("gaussian"):
            self._tell(
                f"emission: expected signals for '{self.emission}', got small counts. Their "
                "variance grows with their mean: try emission='poisson'."
            )
        super()._fit_arrays(Y, observed, labels)

    def _place(self, params: Params) -> Params:
        if "mean" not in params:
            return params
        return {**params, "mean": params["mean"] + self._centre}
