"""The dynamic connectome: motifs of neuroids that move together, when, and in which subjects.

In: recordings of subjects, or their affinities. Out: non-negative components with a course in time,
a share in each subject, a weight for each pair of neuroids, and communities in each.
"""

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neuroalign.errors import AlignError, NeuroalignWarning, some
from neuroalign.latents._factors import check_count, group_rows
from neuroalign.latents._masked_factors import (
    DIMS,
    Factors,
    fit_starts,
    measure_congruence,
    read_tensor,
    solve_nonnegative,
)
from neuroalign.latents.affinity import compute_affinity
from neuroalign.latents.block_model import BlockModel

Array = npt.NDArray[Any]
EXACT_SWEEPS = 200


class DynamicConnectome(BaseEstimator):  # type: ignore[misc]
    """Non-negative factors of the momentary affinities of neuroids, and their communities.

    No `LatentModel`: what it explains is pairs, so that it has no rates of single neuroids and no
    likelihood of them; it is judged by affinities held out.

    Parameters
    ----------
    n_components : int
        One more than the motifs expected: a diffuse background takes one. See `select_rank`.
    affinity : {"same_sign", "abs", "correlation_window"}
    window, span : float, optional
        Of the derivative, and of averaging [s]; as in `compute_affinity`.
    threshold : float
    decimate : int
    by : str
        Coord on ``sample`` that names the subjects of a single DataArray.
    n_inits : int
        Random starts; the best is kept, and ``stability_`` tells how far the others agree.
    max_iter : int
    tol : float
        Least change of the relative error.
    block_model : BlockModel, optional
        Finds the communities; default ``BlockModel(max_blocks=6)``.
    random_state : int

    Attributes
    ----------
    params_ : Dataset
        Of kind ``estimate``, ready for `plot_motifs` and the report: ``time_course`` (time,
        component), ``subject_share`` (subject, component), ``affinity`` (component, neuroid,
        neuroid_other), NaN for a pair never seen, ``weight`` (component), the largest first,
        ``communities`` (component, neuroid): number of each neuroid's, the largest 0, and -1
        where a component is empty, and ``stability`` (component). Columns of the first two, and
        pairs once each, have norm 1.
    factors_ : Dataset
        The same.
    communities_ : DataArray (component, neuroid)
        Those of ``params_``.
    stability_ : array (component,)
        Mean congruence of each component with its match from the other starts: the product of the
        cosines over time, subjects and pairs. NaN with one start.
    error_ : float
        Relative error on what was seen.
    history_ : dict of str -> list of float
    converged_ : bool
    n_iter_ : int
    warnings_ : list of str

    Notes
    -----
    Affinities of a subject are normalised by each neuroid's own deviation. Missing pairs are filled
    by the model before each sweep (expectation maximisation), and pull it nowhere. Affinities of N
    neuroids come from N traces, not N (N - 1) / 2: entries are not independent.

    References
    ----------
    Dyballa et al. (2024), ICLR, arXiv:2402.14102. Gillis & Glineur (2012), Neural Comput. 24,
    1085-1105 (hierarchical least squares). Lorenzo-Seva & ten Berge (2006), Methodology 2, 57-64
    (congruence).

    Examples
    --------
    >>> from neuroalign.latents import DynamicConnectome
    >>> from neuroalign.loaders import simulate_communities
    >>> planted = simulate_communities(3, 80, 16, n_motifs=1, community_size=4)
    >>> model = DynamicConnectome(2, window=0.75, span=2.25, n_inits=2).fit(planted.responses)
    >>> model.params_["time_course"].dims, model.params_["communities"].shape
    (('time', 'component'), (2, 16))
    """

    def __init__(
        self, n_components: int = 4, *, affinity: str = "same_sign", window: float | None = None,
        span: float | None = None, threshold: float = 0.0, decimate: int = 1, by: str = "subject",
        n_inits: int = 4, max_iter: int = 300, tol: float = 1e-5,
        block_model: BlockModel | None = None, random_state: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.affinity = affinity
        self.window = window
        self.span = span
        self.threshold = threshold
        self.decimate = decimate
        self.by = by
        self.n_inits = n_inits
        self.max_iter = max_iter
        self.tol = tol
        self.block_model = block_model
        self.random_state = random_state

    def fit(self, X: Any, y: None = None) -> Self:
        """Find the components and their communities.

        Parameters
        ----------
        X : dict of str -> DataArray, DataArray (sample, neuroid, time), or array
            As in `compute_affinity`; or affinities (time, subject, pair) that it gave.
        y : ignored

        Returns
        -------
        The estimator itself.

        Raises
        ------
        AlignError, SchemaError, ValueError
            As `compute_affinity`.
        SchemaError
            When nothing was seen at a moment or of a subject.
        FitError

        Warns
        -----
        NeuroalignWarning
            When the best start has not converged.
        """
        for name in ("n_components", "n_inits", "max_iter"):
            check_count(getattr(self, name), name)
        tensor = self._measure(X)
        known = tensor[..., np.flatnonzero(np.isfinite(tensor.values).any(axis=(0, 1)))]
        values, seen = read_tensor(known)
        fits = fit_starts(
            values, seen, self.n_components, self.n_inits, self.max_iter, self.tol,
            self.random_state,
        )  # fmt: skip
        best = min(fits, key=lambda one: one.error)
        others = [measure_congruence(best, one) for one in fits if one is not best]
        self.stability_ = np.mean(others, axis=0) if others else np.full(self.n_components, np.nan)
        self.error_, self.converged_ = best.error, best.converged
        self.history_, self.n_iter_ = {"error": best.history}, len(best.history)
        self.warnings_ = []
        if not best.converged:
            self.warnings_.append(
                f"max_iter: expected to converge in {self.max_iter} iterations, got a change of "
                f"the error above tol={self.tol:g}. Raise max_iter."
            )
            warnings.warn(self.warnings_[0], NeuroalignWarning, stacklevel=2)
        self._pair_modes = best.modes[2].astype(np.float64)
        self._pairs = list(zip(known["first"].values, known["second"].values, strict=True))
        self.n_features_in_ = len(_list_neuroids(tensor))
        factors = _wrap(best, known, _list_neuroids(tensor))
        factors["communities"] = self._find_communities(factors["affinity"])
        factors["stability"] = ("component", self.stability_)
        factors.attrs = {
            "kind": "estimate", "method": type(self).__name__, "headline": "weight",
            "affinity": self.affinity, "relative_error": float(self.error_),
            "n_inits": int(self.n_inits), "seed": int(self.random_state),
        }  # fmt: skip
        self.params_ = self.factors_ = factors
        self.communities_ = factors["communities"]
        return self

    def _measure(self, X: Any) -> xr.DataArray:
        if isinstance(X, xr.DataArray) and X.dims == DIMS:
            return X
        return compute_affinity(
            X, method=self.affinity, window=self.window, span=self.span,
            threshold=self.threshold, decimate=self.decimate, by=self.by,
        )  # fmt: skip

    def _find_communities(self, graphs: xr.DataArray) -> xr.DataArray:
        model = self.block_model or BlockModel(max_blocks=6, random_state=self.random_state)
        labels = np.full(graphs.shape[:2], -1, dtype=np.int64)
        for row, graph in enumerate(graphs.values):
            if (graph > 0).any():
                labels[row] = np.asarray(model.fit_predict(graph))
        coords = {key: graphs[key].values for key in ("component", "neuroid")}
        return xr.DataArray(labels, dims=("component", "neuroid"), coords=coords)

    def transform(self, X: Any) -> xr.DataArray:
        """Measure when each component is present in each subject, its pairs held fixed.

        Parameters
        ----------
        X : as in `fit`
            Subjects may be new; neuroids are matched by name.

        Returns
        -------
        DataArray (sample, time, latent)
            One sample a subject, which coord ``subject`` names; NaN where no pair was seen.

        Raises
        ------
        AlignError
            When no pair of the training is there.
        """
        check_is_fitted(self, "params_")
        tensor, pairs = self._match_pairs(X)
        values = tensor.values.astype(np.float64)
        n_times, n_subjects, n_pairs = values.shape
        rows = values.reshape(-1, n_pairs)
        patterns, which = group_rows(np.isfinite(rows))
        loadings = np.full((len(rows), pairs.shape[1]), np.nan)
        for number, pattern in enumerate(patterns):
            if not pattern.any():
                continue
            held, wanted = pairs[pattern], which == number
            gram = held.T @ held
            products = rows[np.ix_(wanted, pattern)] @ held
            start = np.maximum(products / np.maximum(np.diag(gram), 1e-300), 0.0)
            loadings[wanted] = solve_nonnegative(products, gram, start, EXACT_SWEEPS)
        found = loadings.reshape(n_times, n_subjects, -1).transpose(1, 0, 2)
        names = [f"component-{i:02d}" for i in range(found.shape[2])]
        return xr.DataArray(
            found.astype(np.float32), dims=("sample", "time", "latent"),
            coords={
                "subject": ("sample", tensor["subject"].values), "time": tensor["time"].values,
                "latent": np.array(names),
            }, attrs={"kind": "latents"},
        )  # fmt: skip

    def score(self, X: Any, y: None = None) -> float:
        """Variance of affinities about their mean that the components explain, courses refitted.

        Parameters
        ----------
        X : as in `transform`
        y : ignored

        Returns
        -------
        float
        """
        check_is_fitted(self, "params_")
        tensor, pairs = self._match_pairs(X)
        loadings = self.transform(tensor).values.astype(np.float64)
        values = tensor.values.astype(np.float64)
        model = np.einsum("str,pr->tsp", loadings, pairs)
        rest = np.nansum((values - model) ** 2)
        return float(1.0 - rest / np.nansum((values - np.nanmean(values)) ** 2))

    def _match_pairs(self, X: Any) -> tuple[xr.DataArray, Array]:
        """Affinities of the pairs of the training, and the weights of these (pair, component)."""
        tensor = self._measure(X)
        place = {frozenset(pair): row for row, pair in enumerate(self._pairs)}
        here = zip(tensor["first"].values, tensor["second"].values, strict=True)
        rows = np.array([place.get(frozenset(pair), -1) for pair in here])
        if not (rows >= 0).any():
            raise AlignError(
                f"X: expected neuroids of the training ({some(self.params_['neuroid'].values)}), "
                f"got {some(_list_neuroids(tensor))}. Name identified neuroids alike."
            )
        return tensor[..., np.flatnonzero(rows >= 0)], self._pair_modes[rows[rows >= 0]]


def _list_neuroids(tensor: xr.DataArray) -> list[str]:
    names = [*tensor["first"].values.tolist(), *tensor["second"].values.tolist()]
    return list(dict.fromkeys(names))


def _wrap(found: Factors, tensor: xr.DataArray, neuroid: list[str]) -> xr.Dataset:
    time, subject, pair = found.modes
    place = {name: i for i, name in enumerate(neuroid)}
    graphs = np.full((pair.shape[1], len(neuroid), len(neuroid)), np.nan, dtype=np.float32)
    graphs[:, np.arange(len(neuroid)), np.arange(len(neuroid))] = 0.0
    rows = [place[name] for name in tensor["first"].values.tolist()]
    columns = [place[name] for name in tensor["second"].values.tolist()]
    graphs[:, rows, columns] = graphs[:, columns, rows] = pair.T
    names = [f"component-{i:02d}" for i in range(len(graphs))]
    return xr.Dataset(
        {
            "time_course": (("time", "component"), time),
            "subject_share": (("subject", "component"), subject),
            "affinity": (("component", "neuroid", "neuroid_other"), graphs),
            "weight": ("component", found.weights),
        },
        coords={
            "time": tensor["time"].values, "subject": tensor["subject"].values,
            "neuroid": np.array(neuroid), "neuroid_other": np.array(neuroid),
            "component": np.array(names),
        },
    )  # fmt: skip
