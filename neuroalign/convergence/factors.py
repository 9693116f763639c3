"""What makes models converge: size, training and data over a family of models."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroalign import provenance
from neuroalign.errors import SchemaError, require, some
from neuroalign.schema import check_estimate


def analyse_factors(
    table: pd.DataFrame,
    factors: Sequence[str],
    *,
    score: str = "score",
    group: str = "family",
    level: float = 0.95,
) -> xr.Dataset:
    """Fit a linear mixed model of a score over models: fixed factors, random intercepts of groups.

    Parameters
    ----------
    table : DataFrame
        One row a model (and checkpoint, and subject): the score, its factors, its group.
    factors : sequence of str
        Columns. Numbers are brought to mean 0 and standard deviation 1, so that coefficients
        compare; take logarithms of sizes and steps first. Text is coded against its first value
        in alphabetical order.
    score, group : str
        Columns: what is explained, and the models (families, subjects) that rows belong to.
    level : float

    Returns
    -------
    Dataset
        Over (term,): ``estimate``, in units of the score for one standard deviation of the factor
        (or from the reference to a level), ``lower``, ``upper``, ``standard_error``, ``p_value``
        (Wald). attrs: ``group_variance``, ``residual_variance``, ``n_groups``, ``converged``.

    Raises
    ------
    MissingExtraError
        Without statsmodels.
    SchemaError
        On missing columns, missing or constant values, or fewer than two groups.

    Notes
    -----
    Restricted maximum likelihood. Wald tests take the number of groups for large: with few models
    they are optimistic.

    References
    ----------
    Laird & Ware (1982), Biometrics 38, 963-974.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> size = np.tile([1.0, 2.0, 3.0, 4.0], 12)
    >>> family = np.repeat([f"family-{n}" for n in range(12)], 4)
    >>> score = 0.1 * size + np.repeat(rng.normal(size=12), 4) + 0.05 * rng.normal(size=48)
    >>> table = pd.DataFrame({"score": score, "size": size, "family": family})
    >>> found = analyse_factors(table, ["size"])
    >>> bool(found["p_value"].sel(term="size") < 0.001)
    True
    """
    names = [str(one) for one in factors]
    _check_table(table, names, score, group)
    formula_api: Any = require("statsmodels.formula.api", "factors")
    data, parts = pd.DataFrame({"y": table[score].to_numpy(dtype=float)}), []
    for number, name in enumerate(names):
        column = table[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=float)
            data[f"x{number}"] = (values - values.mean()) / values.std()
            parts.append(f"x{number}")
        else:
            data[f"x{number}"] = column.astype(str).to_numpy()
            parts.append(f"C(x{number})")
    labels = table[group].astype(str).to_numpy()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = formula_api.mixedlm(f"y ~ {' + '.join(parts) or '1'}", data, groups=labels)
        fit = model.fit(reml=True)
        bounds = np.asarray(fit.conf_int(alpha=1 - level))
    terms = [str(one) for one in fit.fe_params.index]
    n = len(terms)
    result = xr.Dataset(
        {
            "estimate": ("term", np.asarray(fit.fe_params, dtype=float)),
            "lower": ("term", bounds[:n, 0].astype(float)),
            "upper": ("term", bounds[:n, 1].astype(float)),
            "standard_error": ("term", np.asarray(fit.bse_fe, dtype=float)),
            "p_value": ("term", np.asarray(fit.pvalues, dtype=float)[:n]),
        },
        coords={"term": [_name_term(one, names) for one in terms]},
        attrs={
            "kind": "estimate",
            "method": "analyse_factors",
            "group": group,
            "group_variance": float(np.asarray(fit.cov_re)[0, 0]),
            "residual_variance": float(fit.scale),
            "n_groups": len(np.unique(labels)),
            "n_rows": len(table),
            "converged": int(bool(fit.converged)),
            "level": level,
            "warnings": "\n".join(dict.fromkeys(str(one.message) for one in caught)),
            "provenance": provenance.collect(
                {"score": score, "factors": names, "group": group},
                {"score": provenance.hash_array(data["y"].to_numpy())}
                | {
                    name: provenance.hash_array(data[f"x{number}"].to_numpy().astype(str))
                    for number, name in enumerate(names)
                },
            ),
        },
    )
    return check_estimate(result)


def _name_term(term: str, names: Sequence[str]) -> str:
    """Give back the name of a column to a term of the formula."""
    for number, name in enumerate(names):
        if term == f"x{number}":
            return name
        if term.startswith(f"C(x{number})[T."):
            return f"{name}={term.split('[T.', 1)[1][:-1]}"
    return term


def _check_table(table: pd.DataFrame, factors: Sequence[str], score: str, group: str) -> None:
    missing = [name for name in (*factors, score, group) if name not in table.columns]
    if missing:
        raise SchemaError(
            f"table: expected columns {some([*factors, score, group])}, missing {some(missing)}. "
            f"There are {some(table.columns)}."
        )
    lacking = [name for name in (*factors, score, group) if table[name].isna().any()]
    if lacking:
        raise SchemaError(
            f"table: expected a value in every row, got none in some of {some(lacking)}. "
            "Drop those rows."
        )
    still = [name for name in factors if table[name].nunique() < 2]
    if still:
        raise SchemaError(
            f"table: expected factors that vary, got one value in {some(still)}. Drop those."
        )
    if table[group].nunique() < 2:
        raise SchemaError(
            f"table: expected two groups or more in '{group}', got {table[group].nunique()}. "
            "A random intercept needs several models."
        )
