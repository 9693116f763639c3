"""What a result must hold before it is stored or reported."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema
from neuroalign.errors import SchemaError

ATTRS = {"metric": "r", "model": "Ridge", "seed": 0, "provenance": "{}"}


def make_rsa() -> xr.Dataset:
    names = ["a", "b"]
    return xr.Dataset(
        {
            "score": (("model", "subject"), np.zeros((2, 3))),
            "mean": ("model", np.zeros(2)),
            "pairwise_p": (("model", "model_other"), np.ones((2, 2))),
        },
        {"model": names, "model_other": names},
        {"kind": "rsa", **ATTRS},
    )


def make_generalization() -> xr.Dataset:
    dims = ("fold", "neuroid", "train_time", "time")
    return xr.Dataset(
        {"score": (dims, np.zeros((1, 2, 3, 4)))}, attrs={"kind": "generalisation", **ATTRS}
    )


def test_whole_results_pass() -> None:
    assert schema.check(make_rsa()).attrs["kind"] == "rsa"
    assert schema.check(make_generalization()).sizes["train_time"] == 3


@pytest.mark.parametrize("variable", ["score", "mean", "pairwise_p"])
def test_rsa_without_a_part_is_refused(variable: str) -> None:
    with pytest.raises(SchemaError, match=f"expected '{variable}'"):
        schema.check(make_rsa().drop_vars(variable))


def test_rsa_speaks_of_models_first() -> None:
    turned = make_rsa()
    turned["score"] = turned["score"].transpose("subject", "model")
    with pytest.raises(SchemaError, match="expected 'model' as first dim"):
        schema.check(turned)


def test_pairs_of_models_are_square() -> None:
    flat = make_rsa()
    flat["pairwise_p"] = flat["mean"]
    with pytest.raises(SchemaError, match="'model_other'"):
        schema.check(flat)


@pytest.mark.parametrize("attr", sorted(ATTRS))
@pytest.mark.parametrize("make", [make_rsa, make_generalization])
def test_results_say_where_they_come_from(make, attr: str) -> None:  # type: ignore[no-untyped-def]
    result = make()
    del result.attrs[attr]
    with pytest.raises(SchemaError, match=attr):
        schema.check(result)


def test_generalisation_has_two_times() -> None:
    with pytest.raises(SchemaError, match="train_time"):
        schema.check(make_generalization().isel(train_time=0))
