"""Variance partition: planted truth, inclusion and exclusion, and what it adds up to."""

from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.encoders import BandedRidge, partition_variance
from neuroalign.encoders.variance_partition import divide_shared, list_subsets
from neuroalign.errors import AlignError

QUICK = BandedRidge(n_candidates=6, n_best=6)


def _plant(
    rng: np.random.Generator, n: int = 1500, t: int = 40
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Unique to a .30, unique to b .15, shared .25 of the variance of every target."""
    unique_a, unique_b, shared = (rng.normal(size=(n, 4)) for _ in range(3))

    def mix(source: np.ndarray, share: float) -> np.ndarray:
        weights = rng.normal(size=(4, t))
        return source @ (weights / np.linalg.norm(weights, axis=0)) * np.sqrt(share)

    Y = mix(unique_a, 0.30) + mix(unique_b, 0.15) + mix(shared, 0.25)
    X = np.concatenate([unique_a, shared, unique_b, shared], axis=1)
    return X, Y + np.sqrt(0.30) * rng.normal(size=Y.shape), ["a"] * 8 + ["b"] * 8


def test_planted_parts_lie_in_their_intervals(rng: np.random.Generator) -> None:
    X, Y, spaces = _plant(rng)
    found = partition_variance(X, Y, spaces=spaces, estimator=QUICK, n_bootstrap=300)
    for part, truth in {"a": 0.30, "b": 0.15, "a&b": 0.25}.items():
        own = found.sel(part=part)
        inside = (own["share_low"] <= truth) & (truth <= own["share_high"])
        assert float(inside.mean()) >= 0.8
        assert abs(float(own["share"].mean()) - truth) < 0.02


def test_parts_add_up_to_the_full_model(rng: np.random.Generator) -> None:
    X, Y, _ = _plant(rng, n=150, t=3)
    groups = [slice(0, 4), slice(4, 8), slice(8, 16)]
    found = partition_variance(X, Y, spaces=groups, estimator=QUICK, n_bootstrap=20)
    assert found.sizes["model"] == found.sizes["part"] == 7
    np.testing.assert_allclose(found["share"].sum("part"), found["r2"].sel(model="0+1+2"))


@pytest.mark.parametrize("m", [2, 3, 4])
def test_parts_of_sets_are_the_regions_of_a_venn_diagram(m: int, rng: np.random.Generator) -> None:
    subsets = list_subsets(m)
    regions = rng.normal(size=len(subsets))
    scores = np.array(
        [sum(r for r, own in zip(regions, subsets, strict=True) if set(own) & set(model))
         for model in subsets]
    )  # fmt: skip
    np.testing.assert_allclose(divide_shared(scores, m), regions, atol=1e-12)
    every = list(chain.from_iterable(combinations(range(m), k) for k in range(1, m + 1)))
    assert subsets == every


def test_an_added_space_of_noise_explains_nothing(rng: np.random.Generator) -> None:
    X, Y, _ = _plant(rng, n=600, t=20)
    X = np.concatenate([X[:, :4], rng.normal(size=(600, 5))], axis=1)
    found = partition_variance(
        X, Y, spaces=["a"] * 4 + ["noise"] * 5, estimator=QUICK, n_bootstrap=200
    )
    assert abs(float(found["share"].sel(part="noise").mean())) < 0.01
    assert float((found["share_low"].sel(part="noise") > 0).mean()) < 0.2
    assert float((found["share_low"].sel(part="a") > 0).mean()) > 0.9


def test_labels_times_and_spaces_come_back(rng: np.random.Generator) -> None:
    X, Y, spaces = _plant(rng, n=100, t=6)
    features = xr.DataArray(X, dims=("sample", "feature"), coords={"space": ("feature", spaces)})
    responses = xr.DataArray(
        Y.reshape(100, 3, 2), dims=("sample", "neuroid", "time"),
        coords={"neuroid": list("xyz"), "time": [0.1, 0.2]},
    )  # fmt: skip
    found = partition_variance(features, responses, estimator=QUICK, n_bootstrap=10)
    assert found["share"].dims == ("part", "neuroid", "time")
    assert found["part"].values.tolist() == ["a", "b", "a&b"]
    assert found["model"].values.tolist() == ["a", "b", "a+b"]
    assert found["neuroid"].values.tolist() == list("xyz")


def test_drawing_whole_runs_widens_intervals_of_correlated_rows(rng: np.random.Generator) -> None:
    X, Y, spaces = _plant(rng, n=400, t=10)
    runs = np.repeat(np.arange(20), 20)
    gain = np.repeat(np.exp(rng.normal(size=20)), 20)[:, None]
    common: dict[str, Any] = {"spaces": spaces, "estimator": QUICK, "n_bootstrap": 200}
    rows = partition_variance(X, Y * gain, **common)
    whole = partition_variance(X, Y * gain, groups=runs, **common)
    blocks = partition_variance(X, Y * gain, block=20, **common)
    widths = [float((one["r2_high"] - one["r2_low"]).mean()) for one in (rows, whole, blocks)]
    assert widths[0] < min(widths[1:])


def test_the_same_seed_gives_the_same_intervals(rng: np.random.Generator) -> None:
    X, Y, spaces = _plant(rng, n=100, t=2)
    one, two = (
        partition_variance(X, Y, spaces=spaces, estimator=QUICK, n_bootstrap=20, seed=4)
        for _ in range(2)
    )
    assert one.identical(two)


def test_rows_that_several_folds_test_count_as_often(rng: np.random.Generator) -> None:
    X, Y, spaces = _plant(rng, n=120, t=2)
    rows = np.arange(120)
    once = [(rows[40:], rows[:40]), (rows[:80], rows[80:])]
    common: dict[str, Any] = {
        "spaces": spaces,
        "estimator": BandedRidge(1.0, n_candidates=3),
        "n_bootstrap": 5,
    }
    single = partition_variance(X, Y, cv=once, **common)
    twice = partition_variance(X, Y, cv=[*once, *once], **common)
    np.testing.assert_allclose(twice["r2"], single["r2"], rtol=1e-12)
    np.testing.assert_allclose(twice["share_low"], single["share_low"], rtol=1e-9)


def test_targets_in_pieces_are_those_of_one_piece(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y, spaces = _plant(rng, n=100, t=7)
    common: dict[str, Any] = {"spaces": spaces, "estimator": QUICK, "n_bootstrap": 20}
    whole = partition_variance(X, Y, **common)
    monkeypatch.setattr("neuroalign.encoders.variance_partition.CHUNK", 3)
    xr.testing.assert_allclose(partition_variance(X, Y, **common), whole, rtol=1e-12)


def test_a_partition_says_how_it_was_made_and_survives_storage(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    X, Y, spaces = _plant(rng, n=60, t=2)
    found = partition_variance(X, Y, spaces=spaces, estimator=QUICK, n_bootstrap=20, level=0.9)
    told = {"kind": "estimate", "method": "partition_variance", "n_samples": 60, "n_units": 60}
    told |= {"n_bootstrap": 20, "level": 0.9, "seed": 0}
    assert told.items() <= found.attrs.items()
    assert found.attrs["model"].startswith("BandedRidge(")
    storage.save(found, tmp_path / "partition.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "partition.nc"), found)


def test_one_space_cannot_be_partitioned(rng: np.random.Generator) -> None:
    X, Y, _ = _plant(rng, n=50, t=2)
    with pytest.raises(ValueError, match="spaces: expected 2 to 6, got 1"):
        partition_variance(X, Y)


def test_options_out_of_range_are_named(rng: np.random.Generator) -> None:
    X, Y, spaces = _plant(rng, n=50, t=2)
    with pytest.raises(ValueError, match="n_bootstrap, level, block: expected"):
        partition_variance(X, Y, spaces=spaces, level=1.5)


def test_rows_of_another_stimulus_are_refused(rng: np.random.Generator) -> None:
    coords = {"stimulus": ("sample", [f"s{row}" for row in range(20)])}
    X = xr.DataArray(rng.normal(size=(20, 2)), coords, ("sample", "feature"))
    with pytest.raises(AlignError, match="y: expected the 'stimulus' of X"):
        partition_variance(X, X.rename(feature="neuroid")[::-1], spaces=["a", "b"])
