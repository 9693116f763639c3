"""Checks of results: what each kind of Dataset must hold before it is stored or reported."""

import xarray as xr

from neuroalign._checks import check_dims, check_plain, check_unique
from neuroalign.errors import SchemaError, some

RESULT_ATTRS = ("metric", "model", "seed", "provenance")


def _need(result: xr.Dataset, name: str, variables: tuple[str, ...]) -> None:
    check_plain(result, name)
    for variable in variables:
        if not isinstance(result, xr.Dataset) or variable not in result:
            raise SchemaError(
                f"{name}: expected '{variable}', got {some(result.coords)}. "
                "Pass the result as it was returned."
            )


def _need_attrs(result: xr.Dataset, name: str) -> None:
    for attr in RESULT_ATTRS:
        if attr not in result.attrs:
            raise SchemaError(
                f"{name}: expected attrs['{attr}'], got {some(result.attrs)}. "
                "Pass the result as it was returned."
            )


def check_encoding(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check an encoding result: ``score`` (fold, neuroid[, time]) with metric and provenance.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import xarray as xr
    >>> attrs = {"metric": "pearson", "model": "Ridge()", "seed": 0, "provenance": "{}"}
    >>> result = xr.Dataset({"score": (("fold", "neuroid"), [[0.5, 0.3]])}, attrs=attrs)
    >>> check_encoding(result) is result
    True
    """
    _need(result, name, ("score",))
    check_dims(result["score"], f"{name}.score", ("fold", "neuroid"), [("fold", "neuroid", "time")])
    _need_attrs(result, name)
    return result


def check_generalization(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check a generalisation across time: ``score`` (fold, neuroid, train_time, time).

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> attrs = {"metric": "pearson", "model": "Ridge()", "seed": 0, "provenance": "{}"}
    >>> score = xr.DataArray(np.zeros((2, 3, 4, 4)), dims=("fold", "neuroid", "train_time", "time"))
    >>> result = xr.Dataset({"score": score}, attrs=attrs)
    >>> check_generalization(result) is result
    True
    """
    _need(result, name, ("score",))
    check_dims(result["score"], f"{name}.score", ("fold", "neuroid", "train_time", "time"))
    _need_attrs(result, name)
    return result


def check_rsa(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check an RSA result: ``score`` and ``mean`` (model, ...), ``pairwise_p`` of the models.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix, infer
    >>> rng = np.random.default_rng(0)
    >>> names = [f"image-{k:02d}" for k in range(12)]
    >>> people = {f"sub-{s}": from_matrix(rng.random(66), names) for s in range(5)}
    >>> models = {name: from_matrix(rng.random(66), names) for name in ("early", "late")}
    >>> check_rsa(infer(models, people, bootstrap="subjects", n_bootstrap=20)).sizes["model"]
    2
    """
    _need(result, name, ("score", "mean", "pairwise_p"))
    for variable in ("score", "mean", "pairwise_p"):
        if result[variable].dims[:1] != ("model",):
            raise SchemaError(
                f"{name}.{variable}: expected 'model' as first dim, got {result[variable].dims}. "
                "Use transpose."
            )
    check_unique(result["score"], f"{name}.score", "model")
    if result["pairwise_p"].dims[:2] != ("model", "model_other"):
        raise SchemaError(
            f"{name}.pairwise_p: expected dims ('model', 'model_other', ...), got "
            f"{result['pairwise_p'].dims}. "
            "Use transpose or rename."
        )
    _need_attrs(result, name)
    return result


def check_layers(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check a comparison of layers: ``score`` (layer, roi), both labelled.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import xarray as xr
    >>> coords = {"layer": ["conv1", "fc"], "roi": ["V1", "IT"]}
    >>> result = xr.Dataset({"score": (("layer", "roi"), [[0.5, 0.2], [0.3, 0.4]])}, coords)
    >>> check_layers(result) is result
    True
    """
    check_plain(result, name)
    if "score" not in result:
        raise SchemaError(
            f"{name}: expected 'score', got {some(result.data_vars)}. Pass what rsa.infer returned."
        )
    check_dims(result["score"], f"{name}.score", ("layer", "roi"))
    for coord in ("layer", "roi"):
        check_unique(result["score"], f"{name}.score", coord)
    return result


def check_estimate(result: xr.Dataset, name: str = "result") -> xr.Dataset:
    """Check numbers with their uncertainty: a ceiling, an interval, a test, a lag.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> import xarray as xr
    >>> found = xr.Dataset({"peak": 0.1}, attrs={"method": "fuse"})
    >>> check_estimate(found) is found
    True
    """
    check_plain(result, name)
    if not isinstance(result, xr.Dataset) or "method" not in result.attrs:
        raise SchemaError(
            f"{name}: expected a Dataset with attrs['method'], got none. "
            "Pass what an inference returned."
        )
    return result
