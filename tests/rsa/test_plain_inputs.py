"""What a newcomer passes: mappings of RDMs, bare arrays, lists, objects of rsatoolbox."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import RDMs

from neuroalign import rsa
from neuroalign.errors import SchemaError

NAMES = [f"c{k:02d}" for k in range(8)]
Maker = Callable[[Any], Any]


@pytest.fixture
def people(rng: np.random.Generator) -> dict[str, xr.DataArray]:
    base = rng.random(28)
    return {f"s{k}": rsa.from_matrix(base + rng.random(28), NAMES) for k in range(5)}


def take(x: xr.Dataset | xr.DataArray) -> xr.Dataset | xr.DataArray:
    """Drop what names the input, which differs."""
    return x.drop_attrs() if isinstance(x, xr.Dataset) else x


@pytest.mark.parametrize(
    "use",
    [
        lambda x: rsa.infer({"a": x["s0"]} if isinstance(x, dict) else {"a": x[0]}, x,
                            bootstrap="none"),
        rsa.noise_ceiling,
        rsa.average_rdms,
    ],
)  # fmt: skip
def test_a_mapping_is_its_stack(use: Maker, people: dict[str, xr.DataArray]) -> None:
    xr.testing.assert_allclose(take(use(people)), take(use(rsa.stack_rdms(people))))


def test_models_take_mappings(people: dict[str, xr.DataArray]) -> None:
    alone = rsa.FixedModel({"s0": people["s0"]})
    assert alone.name == "s0"
    np.testing.assert_array_equal(alone.predict().values, people["s0"].values)
    for kind in (rsa.SelectionModel, rsa.WeightedModel, rsa.InterpolatedModel):
        assert kind(people, name="x").basis.shape == (5, 28)
    with pytest.raises(SchemaError, match="model 'x': expected one RDM, got 5"):
        rsa.FixedModel(people, name="x")
    with pytest.raises(ValueError, match="name: expected a name of the model, got None"):
        rsa.FixedModel(people["s0"])
    with pytest.raises(SchemaError, match="models: expected models in a sequence, got an RDM"):
        rsa.infer([people["s0"]], people)  # type: ignore[list-item]


def test_comparisons_and_parts_take_mappings(people: dict[str, xr.DataArray]) -> None:
    found = rsa.compare_rdms(people, people["s0"])
    assert found.dims == ("rdm",)
    assert float(found.sel(rdm="s0")) == pytest.approx(1)
    models = {name: people[name] for name in ("s0", "s1")}
    assert rsa.partition_variance(models, people).sizes["subject"] == 5


def test_times_of_several_people_are_compared(rng: np.random.Generator) -> None:
    lead = {"time": [0.0, 0.1, 0.2]}
    people = {f"s{k}": rsa.from_matrix(rng.random((3, 28)), NAMES, lead=lead) for k in range(3)}
    stack = rsa.stack_rdms(people)
    xr.testing.assert_identical(rsa.generalize_rdms(people), rsa.generalize_rdms(stack))
    rois = rsa.from_matrix(rng.random((2, 28)), NAMES, lead={"roi": ["V1", "IT"]})
    options = {"n_permutations": 20, "n_bootstrap": 10}
    one, other = (rsa.fuse(each, rois, **options) for each in (people, stack))  # type: ignore[arg-type]
    xr.testing.assert_identical(one, other)


RDM_DOORS: dict[str, Maker] = {
    "infer": lambda x: rsa.infer({"a": x}, x),
    "noise_ceiling": rsa.noise_ceiling,
    "compare_rdms": lambda x: rsa.compare_rdms(x, x),
    "to_square": rsa.to_square,
    "to_condensed": rsa.to_condensed,
    "average_rdms": rsa.average_rdms,
    "generalize_rdms": rsa.generalize_rdms,
    "FixedModel": lambda x: rsa.FixedModel(x, name="m"),
    "fuse": lambda x: rsa.fuse(x, x),
    "regress_rdms": lambda x: rsa.regress_rdms(x, x),
}


@pytest.mark.parametrize("name", RDM_DOORS)
def test_every_door_of_rdms_points_to_from_matrix(name: str) -> None:
    with pytest.raises(SchemaError, match=r"expected a labelled RDM, got ndarray.*rsa.from_matrix"):
        RDM_DOORS[name](np.ones((3, 3)))
    with pytest.raises(SchemaError, match="got RDMs. Convert it by rsa.from_rsatoolbox"):
        RDM_DOORS[name](RDMs(np.ones((2, 3))))


def test_what_is_near_an_rdm_is_told_apart(people: dict[str, xr.DataArray]) -> None:
    with pytest.raises(SchemaError, match="rdm: expected one labelled RDM, got a mapping of 5"):
        rsa.to_square(people)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"got a Dataset of 'mine'. Select one, such as rdm\['mi"):
        rsa.to_square(people["s0"].to_dataset(name="mine"))  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [np.ones((4, 5)), [[1, 2], [3, 4]], None])
def test_patterns_without_labels_are_refused(given: Any) -> None:
    for use in (rsa.compute_rdm, rsa.estimate_reliability, rsa.split_rdms):
        with pytest.raises(SchemaError, match=r"responses: expected a DataArray .*from_arrays"):
            use(given)
    with pytest.raises(SchemaError, match=r"responses\['a'\]: expected a DataArray"):
        rsa.compute_rdm({"a": given}, over="subject")


def test_patterns_of_rsatoolbox_are_pointed_to_their_door() -> None:
    with pytest.raises(SchemaError, match="got Dataset. Label it by loaders.from_arrays"):
        rsa.compute_rdm(Dataset(np.ones((3, 4))))  # type: ignore[arg-type]


def test_lists_of_categories_and_magnitudes_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"categories: expected a mapping .* got list. Pass"):
        rsa.categorical_rdm(["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"values: expected a mapping .* got ndarray. Pass"):
        rsa.magnitude_rdm(np.arange(3))  # type: ignore[arg-type]
