"""Distances of diagrams are those of topology."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import topology
from neuroalign.errors import MissingExtraError, SchemaError
from neuroalign.report import diagram_figures
from neuroalign.report.diagram_figures import (
    list_diagram_parts,
    measure_diagrams,
    plot_diagram_distances,
)
from neuroalign.report.html import render_html


@pytest.fixture
def rings(rng: np.random.Generator) -> xr.Dataset:
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    clouds = [circle, 2 * circle, rng.normal(size=(20, 2))]
    far = np.stack([np.linalg.norm(one[:, None] - one[None], axis=-1) for one in clouds])
    names = [f"c{number:02d}" for number in range(20)]
    coords = {"layer": ["small", "large", "none"], "first": names, "second": names}
    attrs = {"kind": "dissimilarity", "distance": "euclidean"}
    rdms = xr.DataArray(far, coords, ("layer", "first", "second"), attrs=attrs)
    return topology.compute_persistence(rdms)


def test_distances_are_those_of_each_couple(rings: xr.Dataset) -> None:
    found = measure_diagrams(rings)
    small, large = rings.isel(layer=0), rings.isel(layer=1)
    for name in ("bottleneck", "wasserstein"):
        wanted = topology.diagram_distance(small, large, distance=name)
        assert float(found[name][0, 1]) == pytest.approx(wanted)
        assert float(found[name][1, 0]) == pytest.approx(wanted)
        assert float(found[name][2, 2]) == 0
    assert found["diagram"].values.tolist() == ["layer small", "layer large", "layer none"]


def test_heat_maps_hold_them(rings: xr.Dataset) -> None:
    axes = plot_diagram_distances(rings).axes
    found = measure_diagrams(rings)
    np.testing.assert_allclose(np.asarray(axes[0].images[0].get_array()), found["bottleneck"])
    np.testing.assert_allclose(np.asarray(axes[1].images[0].get_array()), found["wasserstein"])


def test_a_page_of_a_stack_compares_its_diagrams(rings: xr.Dataset) -> None:
    ((_, make),) = list_diagram_parts(rings)
    block = make()
    assert block.shape == "picture"
    assert block.data is not None
    assert len(block.data.rows) == 9
    assert list_diagram_parts(rings.isel(layer=0)) == []
    assert "Distances of diagrams" in render_html(rings)


def test_a_missing_library_is_a_note(rings: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MissingExtraError("gudhi: expected to be installed, got no such module.")

    monkeypatch.setattr(diagram_figures, "measure_diagrams", fail)
    ((_, make),) = list_diagram_parts(rings)
    block = make()
    assert block.shape == "note"
    assert "gudhi" in block.text


def test_one_diagram_has_nothing_to_compare(rings: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="expected a stack of two or more, got 1"):
        measure_diagrams(rings.isel(layer=0))
