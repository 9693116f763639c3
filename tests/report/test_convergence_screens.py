"""Results of convergence bring their figures to the page."""

import numpy as np
import xarray as xr

from neuroalign.convergence import find_half_times
from neuroalign.report.convergence_screens import CONVERGENCE, list_convergence_parts


def make() -> xr.Dataset:
    scores = xr.DataArray(
        np.linspace(0, 1, 12).reshape(3, 4),
        dims=("step", "neuroid"),
        coords={"step": [0, 1, 2], "roi": ("neuroid", list("aabb"))},
    )
    return find_half_times(scores)


def test_half_times_bring_one_figure() -> None:
    parts = list_convergence_parts(make())
    assert [title for title, _ in parts] == ["Half-times"]
    assert parts[0][1]() is not None


def test_every_method_has_parts_of_its_own() -> None:
    for method in CONVERGENCE:
        assert list_convergence_parts(make().assign_attrs(method=method))


def test_other_estimates_bring_none() -> None:
    assert list_convergence_parts(make().assign_attrs(method="split_half")) == []
