"""Small results of each kind, with planted numbers."""

import json

import numpy as np
import pytest
import xarray as xr

ROIS = ["V1", "V4"]


def on_cortex(n_per_roi: int = 20) -> dict[str, object]:
    n = n_per_roi * len(ROIS)
    return {
        "neuroid": [f"n{number}" for number in range(n)],
        "roi": ("neuroid", np.repeat(ROIS, n_per_roi)),
        "hemisphere": ("neuroid", np.tile(["left", "right"], n // 2)),
        "vertex": ("neuroid", np.arange(n) * 200),
    }


@pytest.fixture
def encoding(rng: np.random.Generator) -> xr.Dataset:
    n, level = 40, np.repeat([0.5, 0.2], 20)
    score = level + rng.normal(0, 0.05, (3, n))
    attrs = {
        "kind": "encoding",
        "metric": "pearson",
        "model": "Ridge()",
        "seed": 0,
        "provenance": json.dumps({"versions": {"numpy": "2.1"}, "inputs": {"features": "ab12"}}),
        "warnings": "alpha sits on the edge of its grid",
        "history": "loaded\nmatched",
        "n_constant": 0,
        "n_vertices": 10242,
    }
    parts = {
        "score": (("fold", "neuroid"), score.astype("float32")),
        "ceiling": ("neuroid", np.full(n, 0.64)),
        "p_value": ("neuroid", np.linspace(0.001, 0.2, n)),
        "q_value": ("neuroid", np.repeat([0.01, 0.5], 20)),
    }
    return xr.Dataset(parts, coords=on_cortex(), attrs=attrs)


@pytest.fixture
def timed(encoding: xr.Dataset) -> xr.Dataset:
    time = np.linspace(-0.1, 0.4, 6)
    rise = xr.DataArray(np.exp(-((time - 0.1) ** 2) / 0.01), dims="time", coords={"time": time})
    attrs = {**encoding.attrs, "n_vertices": 10242}
    return xr.Dataset({"score": encoding["score"] * rise}, attrs=attrs).transpose(
        "fold", "neuroid", "time"
    )


@pytest.fixture
def layers() -> xr.Dataset:
    parts = {
        "score": (("layer", "roi"), np.array([[0.5, 0.2], [0.3, 0.4], [0.1, 0.3]])),
        "best_layer": ("roi", ["conv1", "conv2"]),
        "planted_layer": ("roi", ["conv1", "fc"]),
        "best_layer_index": ("neuroid", np.repeat([0.0, 1.0], 20)),
    }
    coords = {"layer": ["conv1", "conv2", "fc"], "roi": ROIS}
    neuroids = {key: value for key, value in on_cortex().items() if key != "roi"}
    attrs = {"kind": "layers", "n_vertices": 10242}
    return xr.Dataset(parts, coords=coords | neuroids, attrs=attrs)


@pytest.fixture
def rdm(rng: np.random.Generator) -> xr.DataArray:
    points = rng.normal(size=(9, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    names = [f"{category}-{n}" for category in ("face", "house", "tool") for n in range(3)]
    coords = {
        "first": names,
        "second": names,
        "first_category": ("first", [name.split("-")[0] for name in names]),
    }
    attrs = {"kind": "dissimilarity", "distance": "euclidean"}
    return xr.DataArray(distance, dims=("first", "second"), coords=coords, attrs=attrs)


def to_rsa(mean: np.ndarray, dims: tuple[str, ...], coords: dict[str, object]) -> xr.Dataset:
    """An RSA result of three models and five subjects around planted means (model, ...)."""
    offsets = np.linspace(-0.04, 0.04, 5).reshape(1, -1, *[1] * (mean.ndim - 1))
    shape, rest = mean.shape[1:], dims
    q = np.where(mean > 0.15, 0.004, 0.4)
    pairs = np.where(abs(mean[:, None] - mean[None]) > 0.15, 0.01, 0.5)
    parts = {
        "score": (("model", "subject", *rest), mean[:, None] + offsets),
        "mean": (("model", *rest), mean),
        "standard_error": (("model", *rest), np.full_like(mean, 0.03)),
        "interval_lower": (("model", *rest), mean - 0.06),
        "interval_upper": (("model", *rest), mean + 0.06),
        "p_value": (("model", *rest), q / 2),
        "q_value": (("model", *rest), q),
        "p_ceiling": (("model", *rest), np.full_like(mean, 0.02)),
        "pairwise_p": (("model", "model_other", *rest), pairs / 2),
        "pairwise_q": (("model", "model_other", *rest), pairs),
        "ceiling_lower": (rest, np.full(shape, 0.6)),
        "ceiling_upper": (rest, np.full(shape, 0.7)),
    }
    names = ["late", "early", "pixels"]
    attrs = {"kind": "rsa", "metric": "rho_a", "model": ", ".join(names), "seed": 0, "level": 0.95}
    attrs |= {"provenance": "{}", "generalises_to": "new subjects, for these stimuli"}
    known = {"model": names, "model_other": names, "subject": list("abcde"), **coords}
    return xr.Dataset(parts, coords=known, attrs=attrs)


@pytest.fixture
def models() -> xr.Dataset:
    return to_rsa(np.array([0.5, 0.3, 0.0]), (), {})


@pytest.fixture
def models_by_roi() -> xr.Dataset:
    mean = np.array([[0.5, 0.3], [0.3, 0.4], [0.0, 0.05]])
    return to_rsa(mean, ("roi",), {"roi": ["V1", "V4"]})


@pytest.fixture
def models_in_time() -> xr.Dataset:
    time = np.linspace(-0.1, 0.4, 6)
    rise = np.exp(-((time - 0.1) ** 2) / 0.01)
    return to_rsa(np.outer([0.5, 0.3, 0.0], rise), ("time",), {"time": time})


@pytest.fixture
def generalization() -> xr.Dataset:
    time = np.linspace(-0.1, 0.4, 6)
    score = np.exp(-((time[:, None] - 0.1) ** 2 + (time - 0.2) ** 2) / 0.02)
    peaks = np.repeat([0.5, 0.2], 2)[:, None, None]
    attrs = {"kind": "generalisation", "metric": "pearson", "model": "Ridge()", "seed": 0}
    coords = {"neuroid": list("abcd"), "roi": ("neuroid", np.repeat(ROIS, 2))}
    return xr.Dataset(
        {"score": (("fold", "neuroid", "train_time", "time"), np.stack([peaks * score] * 3))},
        coords={**coords, "train_time": time, "time": time},
        attrs={**attrs, "provenance": '{"parameters": {"allow_shared_stimuli": true}}'},
    )


@pytest.fixture
def fusion() -> xr.Dataset:
    time = np.linspace(0, 0.5, 6)
    score = np.exp(-((time - np.array([[0.1], [0.3]])) ** 2) / 0.01)
    units = score[..., None] + np.linspace(-0.1, 0.1, 4)
    return xr.Dataset(
        {"score": (("roi", "time", "subject"), units)},
        coords={"roi": ROIS, "time": time, "subject": list("abcd")},
        attrs={"kind": "estimate", "method": "fusion (spearman)", "metric": "spearman"},
    )
