"""What the page draws decodes to the values that were given."""

import base64
import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Picture
from neuroalign.report.cortex_block import (
    LONGEST_EDGE,
    Metric,
    build_cortex,
    choose_view,
    pack_mesh,
    quantise,
    sample_colors,
)
from neuroalign.report.surface import N_VERTICES, load_mesh

STILL = Picture("Map", "", "a map")


def decode(part: dict[str, Any]) -> np.ndarray:
    codes = np.frombuffer(base64.b64decode(part["data"]), dtype=f"<u{part['bits'] // 8}")
    values = part["low"] + codes * part["step"]
    return np.where(codes == 2 ** part["bits"] - 1, np.nan, values)


def read_shorts(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<u2")


def decode_points(part: dict[str, Any]) -> np.ndarray:
    codes = read_shorts(part["data"]).reshape(N_VERTICES, len(part["low"]))
    points = np.array(part["low"]) + codes * np.array(part["step"])
    return np.where(codes == 65535, np.nan, points)


def on_vertices(vertex: np.ndarray) -> xr.DataArray:
    side = np.where(vertex < N_VERTICES, "L", "R")
    coords = {
        "vertex": ("neuroid", vertex % N_VERTICES),
        "hemisphere": ("neuroid", side),
        "roi": ("neuroid", np.where(vertex % 2, "odd", "<even>")),
    }
    return xr.DataArray(np.zeros(len(vertex)), dims="neuroid", coords=coords)


@pytest.mark.parametrize("bits", [8, 16])
def test_numbers_are_kept_to_half_a_step(bits: int, rng: np.random.Generator) -> None:
    values = rng.normal(size=500)
    values[::7] = np.nan
    packed = quantise(values, bits)
    found = decode(packed)
    assert packed["step"] == pytest.approx(np.ptp(values[np.isfinite(values)]) / (2**bits - 2))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    assert np.nanmax(np.abs(found - values)) <= packed["step"] / 2 * (1 + 1e-9)


def test_constant_and_empty_values_come_back() -> None:
    np.testing.assert_array_equal(decode(quantise(np.array([0.3, 0.3]), 16)), [0.3, 0.3])
    assert np.isnan(decode(quantise(np.array([np.nan, np.inf]), 8))).all()


@pytest.mark.parametrize(("number", "side"), [(0, "left"), (1, "right")])
def test_mesh_decodes_to_fsaverage5(number: int, side: str) -> None:
    packed, mesh = pack_mesh(), load_mesh(side)
    faces = read_shorts(packed["faces"]).reshape(-1, 3)
    np.testing.assert_array_equal(faces, mesh.faces)
    points = decode_points(packed["sides"][number]["inflated"])
    # Millimetres: the range of the cortex, about 216 mm, in 65534 steps.
    np.testing.assert_allclose(points, mesh.points, atol=0.002)


@pytest.mark.parametrize("number", [0, 1])
def test_flat_faces_stay_neighbours_and_cover_the_flat_cortex(number: int) -> None:
    packed = pack_mesh()
    faces = read_shorts(packed["faces"]).reshape(-1, 3)
    flat = decode_points(packed["sides"][number]["flat"])
    corners = flat[faces]
    far = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    kept = corners[far < LONGEST_EDGE]
    one, two = kept[:, 1] - kept[:, 0], kept[:, 2] - kept[:, 0]
    area = (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]) / 2
    assert (area > 0).mean() > 0.999
    # The flat mesh that nilearn ships covers 58095 and 58446 mm2.
    assert area.sum() == pytest.approx([58095, 58446][number], rel=0.01)


def test_values_stand_at_their_vertices(rng: np.random.Generator) -> None:
    vertex = rng.choice(2 * N_VERTICES, 300, replace=False)
    values = rng.normal(size=(12, 300))
    names = [f"layer{n}" for n in range(12)]
    payload = build_cortex(
        on_vertices(vertex), [Metric("score", values)], STILL, steps=names
    ).payload
    where = read_shorts(payload["vertices"])
    order = np.argsort(vertex)
    np.testing.assert_array_equal(where, vertex[order])
    assert payload["steps"] == names
    for row, part in zip(values, payload["metrics"][0]["maps"], strict=True):
        assert part["bits"] == 16
        np.testing.assert_allclose(decode(part), row[order], atol=part["step"])
    regions = payload["regions"]
    named = np.array(regions["names"])[read_shorts(regions["codes"])]
    np.testing.assert_array_equal(named, np.where(where % 2, "odd", "<even>"))


def test_twelve_layers_of_the_whole_cortex_stay_below_a_megabyte(rng: np.random.Generator) -> None:
    values = rng.normal(size=(12, 2 * N_VERTICES))
    made = build_cortex(on_vertices(np.arange(2 * N_VERTICES)), [Metric("score", values)], STILL)
    part = made.payload["metrics"][0]["maps"][3]
    assert part["bits"] == 8
    assert np.abs(decode(part) - values[3]).max() <= part["step"] / 2 * (1 + 1e-9)
    assert len(json.dumps(made.payload)) + len(json.dumps(pack_mesh())) < 1_000_000


def test_one_scale_of_colours_is_symmetric_for_all_steps() -> None:
    values = np.array([[0.1, -0.2, 0.3, 0.4], [0.5, 0.6, -0.7, np.nan]])
    made = build_cortex(on_vertices(np.arange(4)), [Metric("score", values)], STILL)
    metric = made.payload["metrics"][0]
    top = np.nanquantile(np.abs(values), 0.98)
    assert (metric["low"], metric["high"]) == pytest.approx((-top, top))
    middle = metric["colors"][len(metric["colors"]) // 2]
    assert min(middle) > 240
    assert made.payload["start"] == 1


def test_probabilities_are_logarithms_and_categories_stay_whole() -> None:
    p = np.array([1.0, 0.01, 0.0, np.nan])
    best = np.array([0.0, 2.0, np.nan, 1.0])
    metrics = [Metric("q", p, "probability"), Metric("best", best, "category", ("a", "b", "c"))]
    first, second = build_cortex(on_vertices(np.arange(4)), metrics, STILL).payload["metrics"]
    np.testing.assert_allclose(decode(first["maps"][0]), [0, 2, np.nan, np.nan], atol=1e-4)
    assert (first["log"], first["unit"]) == ("q", "-log10 q")
    np.testing.assert_array_equal(decode(second["maps"][0]), best)
    assert second["categories"] == ["a", "b", "c"]
    assert second["colors"] == sample_colors("viridis", 3, 0.05, 0.95)


def test_a_range_ends_at_its_extremes() -> None:
    made = build_cortex(
        on_vertices(np.arange(3)), [Metric("a", np.array([2, 3, 5.0]), "range")], STILL
    )
    metric = made.payload["metrics"][0]
    assert (metric["low"], metric["high"]) == (2, 5)


@pytest.mark.parametrize(
    ("axis", "sign", "view"),
    [(0, -1, "lateral"), (0, 1, "medial"), (2, -1, "ventral"), (2, 1, "lateral")],
)
def test_the_first_view_shows_most_of_what_is_drawn(axis: int, sign: int, view: str) -> None:
    place = np.asarray(load_mesh("left").points)[:, axis] * sign
    vertex = np.argsort(place)[-500:]
    payload = build_cortex(on_vertices(vertex), [Metric("score", np.ones(500))], STILL).payload
    assert payload["view"] == view
    mirrored = sign if axis else -sign
    right = np.argsort(np.asarray(load_mesh("right").points)[:, axis] * mirrored)[-500:]
    assert choose_view(right + N_VERTICES, np.full(500, -1.0)) == view


def test_a_whole_cortex_and_large_values_decide_the_view() -> None:
    vertex = np.arange(2 * N_VERTICES)
    values = np.ones(2 * N_VERTICES)
    assert choose_view(vertex, values) == "lateral"
    low = np.asarray(load_mesh("left").points)[:, 2].argsort()[:800]
    values[low] = 100
    assert choose_view(vertex, values) == "ventral"


def test_categories_name_the_score_by_which_they_are_thresholded() -> None:
    score, best = np.ones((2, 3)), np.array([0.0, 1.0, 1.0])
    metrics = [Metric("score", score), Metric("best", best, "category", ("a", "b"), by="score")]
    found = build_cortex(on_vertices(np.arange(3)), metrics, STILL, steps=["a", "b"]).payload
    assert found["metrics"][1]["by"] == 0
    alone = build_cortex(on_vertices(np.arange(3)), metrics[1:], STILL).payload
    assert "by" not in alone["metrics"][0]


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(SchemaError, match="expected finite values on vertices of fsaverage5"):
        build_cortex(on_vertices(np.arange(3)), [Metric("score", np.full(3, np.nan))], STILL)
    with pytest.raises(SchemaError, match="expected coord 'vertex'"):
        build_cortex(on_vertices(np.arange(3)).drop_vars("vertex"), [], STILL)
