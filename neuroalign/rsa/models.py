"""Model RDMs: fixed, chosen, weighted, interpolated, or built from features.

A model is a name, conditions, and basis RDMs; its parameters are one weight for each basis RDM.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError, some
from neuroalign.rsa import _fitting
from neuroalign.rsa._engine import Plan, fit_weights
from neuroalign.rsa._fitting import Solver
from neuroalign.rsa._labelled import need_rdm
from neuroalign.rsa._stacks import fold, reorder, unfold
from neuroalign.rsa.joining import gather_rdms
from neuroalign.schema import check_features

Array = npt.NDArray[Any]
RDMs = xr.DataArray | Mapping[str, xr.DataArray]


class Model:
    """Basis RDMs under one name, and how their weights are found.

    Parameters
    ----------
    rdms : DataArray (..., pair) or (..., first, second), or mapping of name to RDM
        Basis RDMs; leading dims are joined in order.
    name : str

    Attributes
    ----------
    name : str
    labels : array of str (condition,)
    basis : array (basis, pair)

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> from neuroalign.rsa import FixedModel
    >>> isinstance(FixedModel(from_matrix(np.arange(15.0), "abcdef"), name="one"), Model)
    True
    """

    solver: Solver = staticmethod(_fitting.solve_first)
    penalties: tuple[float, ...] = (0.0,)
    flexible = True

    def __init__(self, rdms: RDMs, *, name: str) -> None:
        place = f"model '{name}'"
        stack = unfold(gather_rdms(rdms, place, "rdm"), place)
        self.name, self.labels = name, stack.labels
        self.basis = stack.values.reshape(-1, stack.values.shape[-1])
        if not len(self.basis):
            raise SchemaError(f"model '{name}': expected one RDM or more, got none.")

    def start(self) -> Array:
        """Weights before any fit: the mean of the basis RDMs."""
        return np.full(len(self.basis), 1 / len(self.basis))

    def predict(self, theta: npt.ArrayLike | None = None) -> xr.DataArray:
        """Give the RDM for a set of weights.

        Parameters
        ----------
        theta : array (basis,), optional
            As `fit` returns it; by default the unfitted model.

        Returns
        -------
        DataArray (pair,)

        Raises
        ------
        ValueError
            When the number of weights does not fit.
        """
        weights = self.start() if theta is None else np.asarray(theta, dtype=np.float64)
        if weights.shape != (len(self.basis),):
            raise ValueError(
                f"theta: expected {len(self.basis)} weights, got shape {weights.shape}. "
                "Use what fit returned."
            )
        return fold(weights @ self.basis, self.labels).rename(self.name)

    def fit(self, rdms: RDMs, method: str = "cosine") -> Array:
        """Find the weights that make the model most similar to RDMs, on average over them.

        Parameters
        ----------
        rdms : DataArray (..., pair) or (..., first, second), or mapping of name to RDM
            Of the same conditions, in any order.
        method : str
            Comparison. Under rank correlations weights are fitted to ranks by least squares.

        Returns
        -------
        array (basis,)
            In-sample: for a fair score use ``infer(..., cross_validate=...)``.

        Raises
        ------
        AlignError
            When the model lacks a condition.
        ValueError
            When the comparison is unknown.
        """
        data = unfold(gather_rdms(rdms, "rdms", "subject"), "rdms")
        basis = reorder(self.basis, self.labels, data.labels, f"model '{self.name}'")
        rows = data.values.reshape(-1, data.values.shape[-1])
        plan = Plan([self], [basis], rows, method)
        ones = np.ones(len(data.labels)), np.ones(len(rows))
        return np.asarray(fit_weights(plan, *ones)[0])


class FixedModel(Model):
    """One RDM, nothing to fit.

    Parameters
    ----------
    rdm : DataArray (pair,) or (first, second), or mapping of its name to it
    name : str, optional
        As in the mapping when not given.

    Examples
    --------
    >>> from neuroalign.rsa.categories import categorical_rdm
    >>> rdm = categorical_rdm({"cat": "animal", "dog": "animal", "car": "thing"})
    >>> FixedModel(rdm, name="animacy").predict().values.tolist()
    [0.0, 1.0, 1.0]
    """

    flexible = False

    def __init__(self, rdm: RDMs, *, name: str | None = None) -> None:
        if name is None and isinstance(rdm, Mapping) and len(rdm) == 1:
            name = next(iter(rdm))
        if name is None:
            raise ValueError(
                "name: expected a name of the model, got None. Pass name='...', or {name: rdm}."
            )
        super().__init__(rdm, name=name)
        if len(self.basis) != 1:
            raise SchemaError(
                f"model '{name}': expected one RDM, got {len(self.basis)}. Use SelectionModel or "
                "WeightedModel for several."
            )


class SelectionModel(Model):
    """The most similar of several RDMs.

    Parameters
    ----------
    rdms : DataArray (rdm, pair) or (rdm, first, second), or mapping of name to RDM
    name : str

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> one, other = rng.random((2, 15))
    >>> layers = {"early": from_matrix(one, "abcdef"), "late": from_matrix(other, "abcdef")}
    >>> SelectionModel(layers, name="best layer").name
    'best layer'
    """

    solver = staticmethod(_fitting.solve_best)


class WeightedModel(Model):
    """A weighted sum of RDMs.

    Parameters
    ----------
    rdms : DataArray (rdm, pair) or (rdm, first, second), or mapping of name to RDM
    name : str
    non_negative : bool
        Weights of 0 or more: sums of squared distances of scaled features, which are distances.
    penalties : sequence of float
        Ridge, in shares of the mean squared norm of the basis RDMs. Of several, the best is
        chosen by folds of the training conditions.

    References
    ----------
    Khaligh-Razavi & Kriegeskorte (2014), PLoS Comput. Biol. 10(11), e1003915,
    doi:10.1371/journal.pcbi.1003915.

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> from neuroalign.rsa import infer
    >>> rng = np.random.default_rng(0)
    >>> one, other = rng.random((2, 276))
    >>> names = [f"image-{n:02d}" for n in range(24)]
    >>> model = WeightedModel(
    ...     {"form": from_matrix(one, names), "colour": from_matrix(other, names)}, name="both"
    ... )
    >>> people = {f"sub-{n}": from_matrix(one + other + rng.random(276), names) for n in range(6)}
    >>> bool(infer([model], people, n_bootstrap=50)["mean"].item() > 0.9)
    True
    """

    def __init__(
        self,
        rdms: RDMs,
        *,
        name: str,
        non_negative: bool = True,
        penalties: Sequence[float] = (0.0,),
    ) -> None:
        super().__init__(rdms, name=name)
        if not len(penalties) or min(penalties) < 0:
            raise ValueError(f"penalties: expected numbers of 0 or more, got {list(penalties)}.")
        self.penalties = tuple(map(float, penalties))
        self.solver = _fitting.solve_non_negative if non_negative else _fitting.solve_free


class InterpolatedModel(Model):
    """The best point on the line through RDMs in order, such as levels of one parameter.

    Parameters
    ----------
    rdms : DataArray (rdm, pair) or (rdm, first, second), or mapping of name to RDM
        In the order of the parameter.
    name : str

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> one, other = rng.random((2, 15))
    >>> layers = {"early": from_matrix(one, "abcdef"), "late": from_matrix(other, "abcdef")}
    >>> InterpolatedModel(layers, name="between").labels.tolist()
    ['a', 'b', 'c', 'd', 'e', 'f']
    """

    solver = staticmethod(_fitting.solve_between)


class FeatureReweightedModel(WeightedModel):
    """Squared distances in features, each feature with its own weight of 0 or more.

    Parameters
    ----------
    features : DataArray (sample, feature)
        One row a condition, named by ``by``.
    name : str
    by : str
    penalties : sequence of float
        As in `WeightedModel`.

    References
    ----------
    Kaniuth and Hebart (2022), NeuroImage 257, 119294.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.loaders import features_from_arrays
    >>> values = np.random.default_rng(0).normal(size=(6, 4))
    >>> model = FeatureReweightedModel(
    ...     features_from_arrays(values, stimulus=list("abcdef")), name="reweighted"
    ... )
    >>> model.labels.size
    6
    """

    def __init__(
        self,
        features: xr.DataArray,
        *,
        name: str,
        by: str = "stimulus",
        penalties: Sequence[float] = (0.001, 0.01, 0.1, 1.0),
    ) -> None:
        check_features(features, f"model '{name}'")
        if by not in features.coords or features[by].dims != ("sample",):
            raise SchemaError(
                f"model '{name}': expected coord '{by}' on 'sample', got "
                f"{some(features.coords)}. Assign it, or name another in by=."
            )
        labels = np.asarray(features[by].values)
        if features.ndim != 2 or len(set(labels.tolist())) < len(labels):
            raise SchemaError(
                f"model '{name}': expected (sample, feature) with unique '{by}', got dims "
                f"{features.dims} with {len(set(labels.tolist()))} names for {len(labels)} rows. "
                "Average repeats first."
            )
        first, second = np.triu_indices(len(labels), 1)
        values = np.asarray(features.values, dtype=np.float64)
        basis = np.square(values[first] - values[second]).T
        super().__init__(fold(basis, labels, ("rdm",)), name=name, penalties=penalties)


def _read_sequence(models: Any) -> list[Model]:
    """Models in a sequence; RDMs have no names there."""
    if not isinstance(models, Sequence):
        need_rdm(models, "models")
    wrong = [one for one in models if not isinstance(one, Model)]
    if wrong:
        need_rdm(wrong[0], "models")
        raise SchemaError(
            "models: expected models in a sequence, got an RDM without a name. Name RDMs in a "
            "mapping: {'animacy': rdm, ...}."
        )
    return list(models)


Models = Sequence[Model] | Mapping[str, xr.DataArray] | xr.DataArray | Model


def as_models(models: Models) -> list[Model]:
    """Bring RDMs, stacks of RDMs and models into a list of models.

    Parameters
    ----------
    models : Model, sequence of Model, mapping of name to RDM, or DataArray (rdm, pair)
        Of a stack each RDM becomes a `FixedModel`, named by the coord of its leading dim.

    Returns
    -------
    list of Model

    Raises
    ------
    SchemaError
        When names come twice or a stack has no names.
    """
    if isinstance(models, Model):
        found = [models]
    elif isinstance(models, xr.DataArray):
        stack = unfold(models, "models")
        if len(stack.lead) != 1 or stack.lead[0] not in models.coords:
            raise SchemaError(
                f"models: expected one leading dim with names, got {stack.lead}. Assign a coord, "
                "or pass a mapping of names to RDMs."
            )
        names = models[stack.lead[0]].values.tolist()
        found = [
            FixedModel(fold(row, stack.labels), name=str(name))
            for name, row in zip(names, stack.values, strict=True)
        ]
    elif isinstance(models, Mapping):
        found = [FixedModel(rdm, name=name) for name, rdm in models.items()]
    else:
        found = _read_sequence(models)
    names = [model.name for model in found]
    if not found or len(set(names)) < len(names):
        raise SchemaError(f"models: expected unique names, got {some(names) or 'none'}. Rename.")
    return found
