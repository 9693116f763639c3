"""Maps put each value where it belongs, quickly."""

import io
import time

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report.surface import N_VERTICES, load_mesh


def on_vertices(vertex: list[int], hemisphere: list[str], **attrs: int) -> xr.DataArray:
    coords = {"vertex": ("neuroid", vertex), "hemisphere": ("neuroid", hemisphere)}
    return xr.DataArray(np.ones(len(vertex)), dims="neuroid", coords=coords, attrs=attrs)


def count_colored(figure: Figure) -> list[int]:
    """How many painted faces are not grey, in each view."""
    counts = []
    for axes in figure.axes[:6]:
        faces = next(c for c in axes.collections if isinstance(c, PolyCollection))
        colors = np.asarray(faces.get_facecolor())
        counts.append(int((np.ptp(colors[:, :3], axis=1) > 0.02).sum()))
    return counts


def extreme(side: str, axis: int, sign: int) -> int:
    return int(np.argmax(sign * load_mesh(side).points[:, axis]))


def test_mesh_is_closed_and_faces_outward() -> None:
    mesh = load_mesh("left")
    assert mesh.points.shape == (N_VERTICES, 3)
    assert len(mesh.faces) == 2 * N_VERTICES - 4
    a, b, c = (mesh.points[mesh.faces[:, n]].astype(float) for n in range(3))
    assert np.einsum("fi,fi->", a, np.cross(b, c)) > 0


def test_lateral_vertex_shows_on_its_side_only() -> None:
    counts = count_colored(report.plot_cortex(on_vertices([extreme("left", 0, -1)], ["left"])))
    assert counts[0] > 0
    assert [counts[n] for n in (1, 3, 4, 5)] == [0, 0, 0, 0]


def test_medial_and_ventral_vertices_show_in_their_views() -> None:
    medial = count_colored(report.plot_cortex(on_vertices([extreme("right", 0, -1)], ["right"])))
    assert (medial[3], medial[4] > 0) == (0, True)
    ventral = count_colored(report.plot_cortex(on_vertices([extreme("right", 2, -1)], ["R"])))
    assert ventral[5] > 0
    assert ventral[:3] == [0, 0, 0]


def test_counting_through_both_hemispheres_is_understood() -> None:
    within = report.plot_cortex(on_vertices([5, 7], ["left", "right"]))
    through = on_vertices([5, 7 + N_VERTICES], ["left", "right"], n_vertices=2 * N_VERTICES)
    assert count_colored(report.plot_cortex(through)) == count_colored(within)


def test_finer_meshes_are_drawn_by_their_shared_vertices() -> None:
    finer = on_vertices([5, 150_000], ["left", "left"], n_vertices=163842)
    alone = report.plot_cortex(on_vertices([5], ["left"]))
    assert count_colored(report.plot_cortex(finer)) == count_colored(alone)


def test_categories_are_never_mixed() -> None:
    mesh = load_mesh("left")
    values = xr.DataArray(
        np.where(mesh.points[:, 1] > 0, 2.0, 0.0),
        dims="neuroid",
        coords={
            "vertex": ("neuroid", np.arange(N_VERTICES)),
            "hemisphere": ("neuroid", np.full(N_VERTICES, "left")),
        },
    )
    axes = report.plot_cortex(values, categories=["a", "b", "c"]).axes[0]
    colors = np.asarray(axes.collections[0].get_facecolor())[:, :3]  # type: ignore[index]
    hues = colors / np.linalg.norm(colors, axis=1, keepdims=True)
    near = hues @ hues[[0, np.argmin(hues @ hues[0])]].T
    assert near.max(axis=1).min() > 0.99


@pytest.mark.slow
def test_whole_cortex_is_drawn_in_seconds(rng: np.random.Generator) -> None:
    vertex = np.tile(np.arange(N_VERTICES), 2).tolist()
    values = on_vertices(vertex, ["left"] * N_VERTICES + ["right"] * N_VERTICES)
    begin = time.perf_counter()
    report.plot_cortex(values.copy(data=rng.normal(size=len(vertex)))).savefig(
        io.BytesIO(), format="png"
    )
    assert time.perf_counter() - begin < 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (on_vertices([20_000], ["left"]), "expected vertices from 0 to 10241"),
        (on_vertices([1], ["both"]), "expected hemispheres 'left' and 'right'"),
        (on_vertices([1], ["left"], n_vertices=32492), "expected n_vertices of fsaverage5"),
        (on_vertices([1], ["left"]) * np.nan, "expected finite values on vertices"),
        (on_vertices([1], ["left"]).drop_vars("vertex"), "expected coord 'vertex'"),
        (on_vertices([1], ["left"]).expand_dims("fold"), r"expected dims \('neuroid',\)"),
    ],
)
def test_cortex_messages(values: xr.DataArray, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        report.plot_cortex(values)
