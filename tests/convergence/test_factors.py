"""Size, training and data over a family of models."""

import sys

import numpy as np
import pandas as pd
import pytest

from neuroalign.convergence import analyse_factors
from neuroalign.errors import MissingExtraError, SchemaError

INTERCEPTS = 0.08 * np.linspace(-1.5, 1.5, 12)


def make(n_families: int = 12, n_each: int = 10) -> pd.DataFrame:
    """Scores with planted effects: .05 a standard deviation of size, .1 for human data."""
    rng = np.random.default_rng(0)
    family = np.repeat(np.arange(n_families), n_each)
    size = rng.normal(size=len(family))
    data = np.where(rng.random(len(family)) < 0.5, "human", "cells")
    score = 0.05 * size / size.std() + 0.1 * (data == "human")
    score += INTERCEPTS[family] + 0.02 * rng.normal(size=len(family))
    return pd.DataFrame(
        {"score": score, "log_size": size, "data": data, "family": family.astype(str)}
    )


def test_planted_effects_come_back_within_their_intervals() -> None:
    pytest.importorskip("statsmodels")
    found = analyse_factors(make(), ["log_size", "data"])
    for term, true in (("log_size", 0.05), ("data=human", 0.1)):
        own = found.sel(term=term)
        assert float(own["lower"]) <= true <= float(own["upper"])
        assert float(own["p_value"]) < 1e-4
    assert found.attrs["group_variance"] == pytest.approx(INTERCEPTS.var(ddof=1), rel=0.1)
    assert found.attrs["residual_variance"] == pytest.approx(0.0004, rel=0.3)


def test_in_a_balanced_design_effects_are_those_of_differences_within_groups() -> None:
    pytest.importorskip("statsmodels")
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "family": np.repeat(list("abcdef"), 8),
            "trained": np.tile(["no", "yes"], 24),
            "score": rng.normal(size=48) + np.repeat(rng.normal(size=6) * 3, 8),
        }
    )
    found = analyse_factors(table, ["trained"]).sel(term="trained=yes")
    means = table.groupby("trained")["score"].mean()
    assert float(found["estimate"]) == pytest.approx(means["yes"] - means["no"], abs=1e-6)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    monkeypatch.setitem(sys.modules, "statsmodels.formula.api", None)
    with pytest.raises(MissingExtraError, match=r"neuroalign\[factors\]"):
        analyse_factors(make(), ["log_size"])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda one: one.drop(columns="log_size"), "missing 'log_size'"),
        (lambda one: one.assign(score=np.nan), "expected a value in every row"),
        (lambda one: one.assign(log_size=1.0), "expected factors that vary"),
        (lambda one: one.assign(family="a"), "two groups or more"),
    ],
)
def test_tables_that_cannot_be_fitted_are_refused(change, match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        analyse_factors(change(make()), ["log_size"])
