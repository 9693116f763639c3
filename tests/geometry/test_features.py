"""Variance explained by features equals that of scikit-learn, and is told with its uncertainty."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import detrend
from sklearn.linear_model import LinearRegression

from neuroalign import schema, storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry import equalize_features, explain_variance


@pytest.fixture
def planted(rng: np.random.Generator) -> dict[str, Any]:
    """Two features of three levels and one column, in 8 units with noise."""
    shape, size = rng.choice(["ball", "cube", "ring"], size=300), rng.normal(size=300)
    X = (shape[:, None] == np.unique(shape)) @ rng.normal(size=(3, 8)) * 2
    X = X + size[:, None] * rng.normal(size=8) + rng.normal(size=(300, 8))
    return {"X": X, "features": {"shape": shape, "size": size}}


def test_r2_equals_scikit_learn_on_the_same_folds(planted: dict[str, Any]) -> None:
    X, features = planted["X"], planted["features"]
    group = np.arange(300) % 4
    found = explain_variance(X, features, group=group, n_splits=4, n_bootstrap=0)
    codes = (features["shape"][:, None] == np.unique(features["shape"]))[:, 1:].astype(float)
    designs = {"shape": codes, "size": features["size"][:, None]}
    designs["joint"] = np.hstack(list(designs.values()))
    expected, units = {}, {}
    for name, design in designs.items():
        left, total = np.zeros(8), np.zeros(8)
        for fold in range(4):
            train, test = group != fold, group == fold
            guess = LinearRegression().fit(design[train], X[train]).predict(design[test])
            left += np.square(X[test] - guess).sum(axis=0)
            total += np.square(X[test] - X[train].mean(axis=0)).sum(axis=0)
        expected[name], units[name] = 1 - left.sum() / total.sum(), 1 - left / total
    assert found["total"].values.tolist() == pytest.approx([expected["shape"], expected["size"]])
    assert float(found["joint"]) == pytest.approx(expected["joint"])
    unique = [expected["joint"] - expected["size"], expected["joint"] - expected["shape"]]
    assert found["unique"].values.tolist() == pytest.approx(unique)
    assert float(found["shared"]) == pytest.approx(expected["joint"] - sum(unique))
    np.testing.assert_allclose(found["unit_total"].sel(feature="size"), units["size"])


def test_known_shares_of_variance_come_back(rng: np.random.Generator) -> None:
    a, b, noise = rng.normal(size=(3, 4000))
    X = np.stack([np.sqrt(0.5) * a, np.sqrt(0.3) * b, np.sqrt(0.2) * noise], axis=1)
    found = explain_variance(X, {"a": a, "b": b, "copy": a + 1e-9 * b}, seed=1)
    np.testing.assert_allclose(found["total"], [0.5, 0.3, 0.5], atol=0.03)
    # What two features share belongs to neither alone.
    np.testing.assert_allclose(found["unique"].sel(feature=["a", "copy"]), 0.0, atol=0.01)
    assert (found["total_lower"] < found["total"]).all()
    assert (found["total"] < found["total_upper"]).all()


def test_intervals_hold_the_true_share(rng: np.random.Generator) -> None:
    held = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        a, noise = draw.normal(size=(2, 400, 4))
        found = explain_variance(a[:, :1] * np.ones(4) + noise, {"a": a[:, 0]}, n_bootstrap=200)
        held += bool(found["total_lower"][0] <= 0.5 <= found["total_upper"][0])
    assert held >= 33


def test_components_units_and_items_add_up(planted: dict[str, Any]) -> None:
    X = planted["X"]
    found = explain_variance(X, planted["features"], n_components=8)
    pooled = (found["component_total"] * found["component_share"]).sum("component")
    np.testing.assert_allclose(pooled, found["total"])
    assert float(found["component_share"].sum()) == pytest.approx(1.0)
    turned = explain_variance(
        3 * X @ np.linalg.qr(np.vander(np.arange(1.0, 9)))[0] + 5, planted["features"]
    )
    np.testing.assert_allclose(turned["total"], found["total"])
    items = explain_variance(X, planted["features"], aggregate="item")
    assert (items["total"] < 1).all()


def test_permuted_features_have_uniform_p_values(rng: np.random.Generator) -> None:
    X, found = rng.normal(size=(60, 3)), []
    for seed in range(30):
        lone = np.random.default_rng(seed).choice(["x", "y"], size=60)
        one = explain_variance(X, {"lone": lone}, n_bootstrap=0, n_permutations=19, seed=seed)
        found.append(float(one["p_value"][0]))
    assert 0.3 < np.mean(found) < 0.7
    true = explain_variance(X, {"x": X[:, 0]}, n_permutations=19)
    assert float(true["p_value"][0]) == 0.05


def test_a_ceiling_turns_variance_into_signal(planted: dict[str, Any]) -> None:
    found = explain_variance(planted["X"], planted["features"], ceiling=np.full(8, 0.8))
    assert float(found["signal"]) == pytest.approx(0.8)
    np.testing.assert_allclose(found["total_of_signal"], found["total"] / 0.8)


def test_labels_of_units_come_along_and_results_can_be_stored(
    planted: dict[str, Any], tmp_path: Path
) -> None:
    X = xr.DataArray(
        planted["X"],
        {"stimulus": ("sample", [f"s{k}" for k in range(300)]), "neuroid": list("abcdefgh")},
        ("sample", "neuroid"),
    )
    found = explain_variance(X, planted["features"], n_permutations=3)
    assert found["neuroid"].dims == ("unit",)
    schema.check(found)
    again = storage.load(storage.save(found, tmp_path / "shares.nc")).compute()
    xr.testing.assert_identical(again, found)


def test_equal_features_have_equal_variance(planted: dict[str, Any]) -> None:
    even = equalize_features(planted["X"], planted["features"])
    total = np.square(even).sum("sample").groupby("space").sum()
    np.testing.assert_allclose(total, 300.0)
    # Three levels span two directions, a number one.
    assert even["space"].values.tolist() == ["shape", "shape", "size"]
    np.testing.assert_allclose(even.mean("sample"), 0.0, atol=1e-12)


def test_wrong_features_are_named(planted: dict[str, Any]) -> None:
    X, shape = planted["X"], planted["features"]["shape"]
    with pytest.raises(AlignError, match="features\\['a'\\]: expected 300 rows"):
        explain_variance(X, {"a": shape[:-1]})
    with pytest.raises(SchemaError, match="features\\['a'\\]: expected values that differ"):
        explain_variance(X, {"a": np.ones(300)})
    with pytest.raises(SchemaError, match="features\\['a'\\]: expected finite values, got 300"):
        explain_variance(X, {"a": np.full(300, np.nan)})
    with pytest.raises(SchemaError, match="features\\['a'\\]: expected one label a sample"):
        explain_variance(X, {"a": shape.reshape(300, 1)})
    with pytest.raises(SchemaError, match="features: expected at least one, got none"):
        explain_variance(X, {})
    with pytest.raises(SchemaError, match="group: expected a coord of X, got 'run'"):
        explain_variance(X, {"a": shape}, group="run")
    with pytest.raises(SchemaError, match="group: expected 300 labels"):
        explain_variance(X, {"a": shape}, group=np.arange(3))
    with pytest.raises(AlignError, match="ceiling: expected 8 shares of variance"):
        explain_variance(X, {"a": shape}, ceiling=np.ones(3))
    with pytest.raises(ValueError, match="aggregate: expected one of 'pooled', 'item'"):
        explain_variance(X, {"a": shape}, aggregate="mean")
    with pytest.raises(AlignError, match="features: expected some that the representation holds"):
        equalize_features(np.ones((300, 2)), {"a": shape})
    names = [f"s{k}" for k in range(300)]
    labelled = xr.DataArray(X, {"stimulus": ("sample", names)}, ("sample", "neuroid"))
    other = xr.Dataset({"a": ("sample", shape)}, {"stimulus": ("sample", names[::-1])})
    with pytest.raises(AlignError, match="features: expected the stimuli of X in their order"):
        explain_variance(labelled, other)


def test_haxby_categories_explain_voxels_of_other_runs(real_data: Path) -> None:
    nib = pytest.importorskip("nibabel")
    folder = real_data / "haxby2001_pymvpa"
    bold = nib.load(folder / "bold.nii.gz").get_fdata()
    mask = nib.load(folder / "mask.nii.gz").get_fdata().squeeze() > 0
    values = bold[mask].reshape(-1, 1452).T
    names, run = np.loadtxt(folder / "attributes_literal.txt", dtype=str, unpack=True)
    blocks, labels, runs = [], [], []
    for one in np.unique(run):
        course = detrend(values[run == one], axis=0)
        course /= course.std(axis=0)
        shown = names[run == one]
        for name in np.unique(shown[shown != "rest"]):
            blocks.append(course[shown == name].mean(axis=0))
            labels.append(name)
            runs.append(one)
    category = np.array(labels)
    # Runs differ in their mean, which holds no category: each has all eight.
    patterns = np.array(blocks).reshape(12, 8, -1)
    patterns = (patterns - patterns.mean(axis=1, keepdims=True)).reshape(96, -1)
    random = np.random.default_rng(0).permuted(category.reshape(12, 8), axis=1).ravel()
    features = {"category": category, "house": category == "house", "random": random}
    found = explain_variance(
        patterns, features, group=np.array(runs), n_splits=12, n_permutations=19
    )
    assert found["p_value"].sel(feature=["category", "house"]).max() == 0.05
    assert found["total_lower"].sel(feature="category") > 0.02
    assert found["total"].sel(feature="random") < 0
    # Houses are one of the categories: nothing is left to them alone.
    assert abs(found["unique"].sel(feature="house")) < 1e-9
    assert found["unit_total"].sel(feature="category").max() > 0.7


def test_nothing_to_explain_is_named(rng: np.random.Generator) -> None:
    features = {"a": np.tile(["x", "y"], 10)}
    with pytest.raises(SchemaError, match="X: expected units that vary, got constant ones"):
        explain_variance(np.ones((20, 3)), features)
    with pytest.raises(ValueError, match="ceiling: expected some unit with signal, got a ceiling"):
        explain_variance(rng.normal(size=(20, 3)), features, ceiling=np.zeros(3))
