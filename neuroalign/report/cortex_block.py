"""Maps to turn on the page: the mesh once, and each map as whole numbers with a scale.

A vertex keeps the value of its neuroid: nothing is smoothed, and the page shows each number as it
is, up to the step of its scale, which the payload names.
"""

import base64
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib import colormaps

from neuroalign.errors import SchemaError, require
from neuroalign.report._blocks import Cortex, Picture
from neuroalign.report._style import clean
from neuroalign.report._summaries import average
from neuroalign.report.surface import HEMISPHERES, N_VERTICES, load_mesh, place_on_mesh

Array = npt.NDArray[Any]
Form = Literal["signed", "share", "range", "probability", "category"]
# Above this all maps together are written in 8 bits a value, else in 16.
WIDE_BYTES = 260_000
MOST_STEPS = 24
N_COLORS = 41
# Neighbours on the flat cortex are at most this far apart [mm]; farther ones were cut apart.
LONGEST_EDGE = 12.0
# Of the largest: scores below 0 by less than this are drawn as none.
SLIGHT = 0.1
# Another view than the usual one comes first where it shows so many times as much.
MUCH_MORE = 1.1


@dataclass(frozen=True)
class Metric:
    """What a map may show: ``values`` (step, neuroid), with one step or as many as the slider.

    ``signed`` is drawn around 0, but from 0 where no value lies well below it and no ``limit`` is
    given, ``share`` from 0, ``range`` from the smallest to the largest, ``probability`` (p and q
    values) as -log10, and ``category`` holds indices into ``categories``. Colours of the first two
    end at ``limit``, or at the 98th percentile of what is drawn. Of categories ``by`` names the
    metric, with one step for each, whose size is thresholded.
    """

    name: str
    values: Array
    form: Form = "signed"
    categories: tuple[str, ...] = ()
    limit: float | None = None
    by: str = ""


def _encode(array: Array) -> str:
    """Bytes of whole numbers, little end first, as base64."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def quantise(values: Array, bits: int) -> dict[str, Any]:
    """Write values as whole numbers: ``value = low + code * step``; the largest code is NaN.

    Parameters
    ----------
    values : array (value,)
        Infinite ones count as missing.
    bits : {8, 16}

    Returns
    -------
    dict
        ``bits``, ``low``, ``step`` and ``data`` (base64). No value is off by more than half a step.
    """
    missing = 2**bits - 1
    kind = np.dtype(f"uint{bits}")
    known = np.isfinite(values)
    low = float(values[known].min()) if known.any() else 0.0
    span = float(values[known].max()) - low if known.any() else 0.0
    step = span / (missing - 1) if span else 1.0
    codes = np.full(values.shape, missing, dtype=kind)
    codes[known] = np.round((values[known] - low) / step).astype(kind)
    return {"bits": bits, "low": low, "step": step, "data": _encode(codes)}


def _pack_points(points: Array) -> dict[str, Any]:
    """Write points (vertex, axis) in 16 bits, each axis on its own scale; NaN as 65535."""
    low = np.nanmin(points, axis=0)
    step = (np.nanmax(points, axis=0) - low) / 65534
    codes = np.where(np.isfinite(points), np.round((points - low) / step), 65535)
    return {
        "low": low.tolist(), "step": step.tolist(), "data": _encode(codes.astype(np.uint16)),
    }  # fmt: skip


def _load_flat(side: str) -> Array:
    """Points (vertex, 2) [mm] of the cut and flattened cortex; NaN where it was cut away."""
    datasets = require("nilearn.datasets", "report")
    part = datasets.load_fsaverage("fsaverage5")["flat"].parts[side]
    points = np.full((N_VERTICES, 2), np.nan)
    used = np.unique(np.asarray(part.faces))
    points[used] = np.asarray(part.coordinates)[used, :2]
    return points


@cache
def pack_mesh() -> dict[str, Any]:
    """Both hemispheres of fsaverage5, inflated and flat, for the page: about 0.45 MB.

    Returns
    -------
    dict
        ``faces`` (uint16, the same for both hemispheres), ``longest`` [mm] edge of the flat
        cortex, and ``sides``: left and right, each with ``inflated``, ``flat`` and ``grey``.

    References
    ----------
    Fischl, Sereno, Tootell & Dale (1999), Human Brain Mapping 8(4), 272-284.
    """
    sides = []
    for side in HEMISPHERES.values():
        mesh = load_mesh(side)
        # Darker than on paper: white means 0 and must not look like a gyrus.
        grey = 255 * (0.66 - 0.14 * np.tanh(2.2 * mesh.sulci))
        sides.append(
            {
                "inflated": _pack_points(mesh.points),
                "flat": _pack_points(_load_flat(side)),
                "grey": _encode(np.round(grey).astype(np.uint8)),
            }
        )
    faces = load_mesh("left").faces
    if not np.array_equal(faces, load_mesh("right").faces):
        raise SchemaError(
            "nilearn: expected fsaverage5 hemispheres with the same faces, got others. "
            "Install another nilearn."
        )
    return {
        "faces": _encode(faces.astype(np.uint16)), "longest": LONGEST_EDGE, "sides": sides,
    }  # fmt: skip


@cache
def _find_normals() -> Array:
    """Outward unit normals (vertex, axis) of both inflated hemispheres, left first."""
    normals = []
    for side in HEMISPHERES.values():
        mesh = load_mesh(side)
        a, b, c = (np.asarray(mesh.points, dtype=np.float64)[mesh.faces[:, n]] for n in range(3))
        across = np.cross(b - a, c - a)
        total = np.zeros((N_VERTICES, 3))
        for corner in range(3):
            np.add.at(total, mesh.faces[:, corner], across)
        normals.append(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))
    return np.concatenate(normals)


def choose_view(vertices: Array, values: Array) -> str:
    """Name the view that shows most of what is drawn.

    Parameters
    ----------
    vertices : array of int (value,)
        Those of the right hemisphere come after the 10242 of the left one.
    values : array (value,)
        Weighed by their part above 0, or counted where none is above 0.

    Returns
    -------
    str
        ``lateral``, unless ``medial`` or ``ventral`` shows a tenth more.
    """
    weight = np.where(np.isfinite(values) & (values > 0), values, 0.0)
    weight = weight if weight.any() else np.isfinite(values).astype(np.float64)
    normals = _find_normals()[vertices]
    outward = np.where(vertices < N_VERTICES, -1.0, 1.0)
    facing = {
        "lateral": outward * normals[:, 0],
        "medial": -outward * normals[:, 0],
        "ventral": -normals[:, 2],
    }
    shown = {name: float(np.clip(one, 0, None) @ weight) for name, one in facing.items()}
    best = max(shown, key=lambda name: shown[name])
    return best if shown[best] > MUCH_MORE * shown["lateral"] else "lateral"


def sample_colors(name: str, n: int, low: float = 0.0, high: float = 1.0) -> list[list[int]]:
    """Take evenly spaced colours (red, green, blue from 0 to 255) from a colour map."""
    rgb = np.asarray(colormaps[name](np.linspace(low, high, n)))[:, :3]
    shades: list[list[int]] = np.round(255 * rgb).astype(int).tolist()
    return shades


def _find_scale(metric: Metric, values: Array) -> dict[str, Any]:
    """Colours and their ends, shared by all steps of a metric."""
    if metric.form == "category":
        n = len(metric.categories)
        return {
            "categories": [clean(name) for name in metric.categories],
            "colors": sample_colors("viridis", n, 0.05, 0.95), "low": 0, "high": n - 1,
        }  # fmt: skip
    known = values[np.isfinite(values)]
    if metric.form == "range":
        low, high = float(known.min()), float(known.max())
        shades = sample_colors("inferno", N_COLORS, 0.12, 0.96)
        return {"colors": shades, "low": low, "high": high if high > low else low + 1}
    finite = np.abs(known)
    top = float(np.quantile(finite, 0.98)) if finite.size else 1.0
    top = metric.limit or top or float(finite.max(initial=0)) or 1.0
    if metric.form == "signed" and (metric.limit is not None or lies_below(known)):
        return {"colors": sample_colors("RdBu_r", N_COLORS), "low": -top, "high": top}
    return {"colors": sample_colors("inferno", N_COLORS, 0.12, 0.96), "low": 0.0, "high": top}


def lies_below(values: Array) -> bool:
    """Whether more of what is drawn lies below 0 than noise around 0 would put there."""
    known = values[np.isfinite(values)]
    if not known.size:
        return False
    low, high = np.quantile(known, [0.02, 0.98])
    return bool(low < -SLIGHT * max(high, 0.0))


def _take_logs(p: Array) -> Array:
    """-log10 of probabilities; 0, which no test gives, counts as missing."""
    known = np.isfinite(p) & (p > 0)
    return np.where(known, -np.log10(np.where(known, p, 1.0)), np.nan)


def build_cortex(
    places: xr.DataArray,
    metrics: list[Metric],
    fallback: Picture,
    *,
    along: str = "layer",
    steps: list[str] | None = None,
    title: str = "Cortical map",
    caption: str = "",
) -> Cortex:
    """Make a map of both hemispheres that can be turned, thresholded and read.

    Parameters
    ----------
    places : DataArray (neuroid)
        With coords ``hemisphere`` and ``vertex``, and ``roi`` where known; see `plot_cortex`. Its
        values are not used.
    metrics : list of Metric
        The first is shown first.
    fallback : Picture
        What stands without scripts and in print.
    along : str
        What the slider goes through.
    steps : list of str, optional
        Its names.
    title, caption : str

    Returns
    -------
    Cortex

    Raises
    ------
    SchemaError
        When places are missing or out of range, or no metric has a finite value on fsaverage5.
    """
    numbered = places.copy(data=np.arange(places.sizes["neuroid"], dtype=np.float64))
    spread = np.concatenate(list(place_on_mesh(numbered).values()))
    vertices = np.flatnonzero(np.isfinite(spread))
    neuroids = spread[vertices].astype(np.int64)
    logs = {"probability": _take_logs}
    drawn = [
        (one, logs.get(one.form, np.asarray)(np.atleast_2d(one.values)[:, neuroids]))
        for one in metrics
    ]
    drawn = [(one, values) for one, values in drawn if np.isfinite(values).any()]
    if not drawn:
        raise SchemaError(
            "values: expected finite values on vertices of fsaverage5, got none. "
            "Check for constant responses."
        )
    n_bytes = 2 * sum(values.size for _, values in drawn)
    bits = 16 if n_bytes <= WIDE_BYTES else 8
    start = int(np.argmax(np.nan_to_num(average(np.abs(drawn[0][1]), 1))))
    payload: dict[str, Any] = {
        "form": "maps",
        "along": clean(along),
        "steps": [clean(step) for step in steps or [""]],
        "start": start,
        "view": choose_view(vertices, drawn[0][1][start]),
        "vertices": _encode(vertices.astype(np.uint16)),
        "metrics": [_pack_metric(one, values, bits) for one, values in drawn],
    }
    names = [one.name for one, _ in drawn]
    for (one, _), packed in zip(drawn, payload["metrics"], strict=True):
        if one.by in names:
            packed["by"] = names.index(one.by)
    if "roi" in places.coords and places["roi"].dims == ("neuroid",):
        rois, codes = np.unique(places["roi"].values.astype(str)[neuroids], return_inverse=True)
        payload["regions"] = {
            "names": [clean(roi) for roi in rois], "codes": _encode(codes.astype(np.uint16)),
        }  # fmt: skip
    return Cortex(title, payload, fallback, caption)


def _pack_metric(metric: Metric, values: Array, bits: int) -> dict[str, Any]:
    name = clean(metric.name)
    packed: dict[str, Any] = {"name": name, "unit": name, **_find_scale(metric, values)}
    if metric.form == "probability":
        packed |= {"unit": f"-log10 {name}", "log": name}
    if metric.form == "category":
        codes = np.where(np.isfinite(values), values, 255).astype(np.uint8)
        maps = [{"bits": 8, "low": 0, "step": 1, "data": _encode(one)} for one in codes]
    else:
        maps = [quantise(one, bits) for one in values]
    return packed | {"maps": maps}
