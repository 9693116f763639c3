"""Preferred depths."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.convergence import find_preferred_depth
from neuroalign.errors import SchemaError

Planted = tuple[xr.Dataset, xr.DataArray]


def make(scores: list[list[float]]) -> xr.Dataset:
    values = np.array(scores)
    return xr.Dataset(
        {"mean_score": (("layer", "neuroid"), values)},
        coords={
            "layer": [f"l{i}" for i in range(len(values))],
            "depth": ("layer", np.linspace(0, 1, len(values))),
            "neuroid": [f"n{i}" for i in range(values.shape[1])],
            "roi": ("neuroid", np.array(["a"] * values.shape[1])),
        },
    )


def test_best_and_centroid_by_hand() -> None:
    result = make([[0.1, 0.0], [0.1, 0.3], [0.2, -0.9]])
    np.testing.assert_allclose(find_preferred_depth(result), [1.0, 0.5])
    np.testing.assert_allclose(
        find_preferred_depth(result, rule="centroid"), [(0.05 + 0.2) / 0.4, 0.5]
    )


def test_regions_average_scores_before_they_choose() -> None:
    result = make([[0.5, 0.0], [0.1, 0.3], [0.0, 0.35]])
    np.testing.assert_allclose(find_preferred_depth(result, by="roi"), [0.0])


def test_what_no_layer_predicts_prefers_none() -> None:
    result = make([[-0.1, 0.2], [-0.2, 0.1]])
    assert np.isnan(find_preferred_depth(result)).values.tolist() == [True, False]
    assert np.isnan(find_preferred_depth(result, min_score=0.25)).all()


def test_planted_layers_come_back(planted: Planted) -> None:
    result, responses = planted
    depth = np.array([int(name[-1]) / 4 for name in responses["planted_layer"].values])
    found = find_preferred_depth(result)
    assert float((found == depth).mean()) > 0.95
    by_roi = find_preferred_depth(result, by="roi").sel(roi=["V1", "V2", "V4", "LO", "IT"])
    np.testing.assert_array_equal(by_roi, [0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize(
    ("options", "match"), [({"rule": "last"}, "rule: expected"), ({"by": "voxel"}, "by: expected")]
)
def test_unknown_options_are_named(options: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        find_preferred_depth(make([[0.1], [0.2]]), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda one: one.drop_vars("mean_score"), "expected 'mean_score'"),
        (lambda one: one.drop_vars("depth"), "expected coord 'depth'"),
        (lambda one: one.isel(layer=[0]), "two layers or more"),
    ],
)
def test_results_that_lack_something_are_refused(change, match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        find_preferred_depth(change(make([[0.1], [0.2]])))


def test_regions_need_names() -> None:
    with pytest.raises(SchemaError, match="expected coord 'roi'"):
        find_preferred_depth(make([[0.1], [0.2]]).drop_vars("roi"), by="roi")
