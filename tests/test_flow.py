"""The whole walk: load, align, features, fit, score, store, report."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neuroalign as na

pytest.importorskip("torch")


@pytest.fixture
def images(rng: np.random.Generator) -> dict[str, np.ndarray]:
    noise = rng.random((60, 3, 16, 16)).astype("float32")
    return {f"image-{index:02d}": noise[index] for index in range(60)}


def test_the_road_from_images_to_a_report(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    network = na.models.SmallConvNet(channels=(4, 6), seed=0)
    names = ["stages.stage1", "stages.stage2"]
    layers = na.features.extract(network, images, names, progress=False)
    planted = {"V1": names[0], "V4": names[1]}
    responses = na.loaders.simulate_layered_cortex(
        layers, planted, n_neuroids_per_roi=12, noise=0.3, mesh=None, seed=0
    )
    matched = na.align.match(layers[names[0]], responses)
    result = na.evaluate.cross_validate(
        na.encoders.Ridge(), matched["features"], matched["responses"], n_permutations=20
    )
    na.schema.check(result)
    v1 = result["score"].mean("fold").groupby("roi").mean().sel(roi="V1")
    assert float(v1) > 0.3, "the planted layer predicts its region"

    stored = na.storage.load(na.storage.save(result, tmp_path / "result.zarr"))
    xr.testing.assert_identical(stored.compute(), result)
    page = na.report.write_html({"encoding": stored}, tmp_path / "study.html")
    assert "V1" in page.read_text(encoding="utf-8")


def test_the_order_of_rows_changes_nothing(rng: np.random.Generator) -> None:
    planted = na.loaders.simulate_linear(n_samples=80, n_features=6, n_neuroids=4, seed=1)
    shuffled = planted["features"].isel(sample=rng.permutation(80))
    scores = [
        na.evaluate.cross_validate(
            na.encoders.Ridge(),
            *(na.align.match(features, planted["responses"])[k] for k in ("features", "responses")),
            ceiling=None,
        )["score"]
        for features in (planted["features"], shuffled)
    ]
    np.testing.assert_array_equal(scores[0].values, scores[1].values)
