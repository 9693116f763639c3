"""The divergence equals its definition, is 0 for equal shapes, and grows with their difference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from ripser import ripser
from scipy.spatial.distance import pdist, squareform

from neuroalign import storage
from neuroalign.errors import AlignError
from neuroalign.loaders import from_arrays, load_rdms
from neuroalign.rsa import compute_rdm
from neuroalign.topology import compute_divergence

Array = np.ndarray[Any, Any]


def sum_bars_by_definition(w: Array, v: Array) -> float:
    """The graph of 2n + 1 points as it is defined, with its one-sided edges."""
    n, far = len(w), 1e3
    above = np.where(np.tri(n, k=-1, dtype=bool), far, w)
    full = np.full((2 * n + 1, 2 * n + 1), far)
    full[:n, :n], full[n:-1, n:-1] = w, np.minimum(w, v)
    full[:n, n:-1], full[n:-1, :n] = above, above.T
    full[-1, :n] = full[:n, -1] = 0
    np.fill_diagonal(full, 0)
    bars = ripser(full, distance_matrix=True, maxdim=1)["dgms"][1]
    return float((bars[:, 1] - bars[:, 0]).sum())


def scaled(points: Array) -> Array:
    distances = pdist(points)
    return squareform(distances / np.quantile(distances, 0.9))


def test_equals_its_definition(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(25, 3)), rng.normal(size=(25, 5))
    result = compute_divergence(a, b)
    there = sum_bars_by_definition(scaled(a), scaled(b))
    back = sum_bars_by_definition(scaled(b), scaled(a))
    assert float(result["a_to_b"]) == pytest.approx(there, abs=1e-4)
    assert float(result["b_to_a"]) == pytest.approx(back, abs=1e-4)
    assert float(result["divergence"]) == pytest.approx((there + back) / 2, abs=1e-4)


def test_equal_shapes_do_not_diverge(rng: np.random.Generator) -> None:
    points = rng.normal(size=(40, 3))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    result = compute_divergence(points, 7 * points @ rotation + 3)
    assert float(result["divergence"]) < 1e-4


def test_grows_with_the_difference(rng: np.random.Generator) -> None:
    points, noise = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    found = [
        float(compute_divergence(points, points + scale * noise)["divergence"])
        for scale in (0.0, 0.1, 0.4, 2.0)
    ]
    assert np.all(np.diff(found) > 0.3)


def test_splitting_clusters_shows_at_equal_correlation_of_distances(
    rng: np.random.Generator,
) -> None:
    noise = 0.1 * rng.normal(size=(60, 2))
    angle = 2 * np.pi * np.arange(60) / 60
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    fives = np.column_stack([np.cos(x := angle // (2 * np.pi / 5) * (2 * np.pi / 5)), np.sin(x)])
    same = compute_divergence(fives + noise, fives + 0.1 * rng.normal(size=(60, 2)))
    other = compute_divergence(fives + noise, ring)
    assert float(other["divergence"]) > float(same["divergence"])


def test_is_symmetric(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    there, back = compute_divergence(a, b), compute_divergence(b, a)
    assert float(there["divergence"]) == pytest.approx(float(back["divergence"]))
    assert float(there["a_to_b"]) == pytest.approx(float(back["b_to_a"]))


def test_batches_bring_their_uncertainty(rng: np.random.Generator, tmp_path: Path) -> None:
    a = rng.normal(size=(80, 3))
    b = a + 0.3 * rng.normal(size=a.shape)
    result = compute_divergence(a, b, batch_size=20, n_batches=12, seed=1)
    values = result["batch_value"].mean("direction").values
    assert values.shape == (12,)
    assert float(result["divergence"]) == pytest.approx(values.mean())
    assert float(result["standard_error"]) == pytest.approx(values.std(ddof=1) / np.sqrt(12))
    storage.save(result, tmp_path / "rtd.nc")
    assert storage.load(tmp_path / "rtd.nc").identical(result)
    again = compute_divergence(a, b, batch_size=20, n_batches=12, seed=1)
    assert again.identical(result)


def test_one_batch_has_no_standard_error(rng: np.random.Generator) -> None:
    result = compute_divergence(rng.normal(size=(20, 3)), rng.normal(size=(20, 3)))
    assert np.isnan(float(result["standard_error"]))
    assert result.attrs["n_used"] == 20


def make_pair(rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    names = [f"s{i}" for i in range(20)]
    return tuple(
        from_arrays(rng.normal(size=(20, 4)), stimulus=names, modality="model", dtype="float64")
        for _ in range(2)
    )  # type: ignore[return-value]


def test_rdms_are_aligned_by_condition(rng: np.random.Generator) -> None:
    a, b = make_pair(rng)
    turned = b.isel(sample=rng.permutation(20))
    rdms = [compute_rdm(x, distance="squared_euclidean") for x in (a, b, turned)]
    expected = float(compute_divergence(a, b)["divergence"])
    for other in rdms[1:]:
        found = compute_divergence(rdms[0], other)["divergence"]
        assert float(found) == pytest.approx(expected, abs=1e-4)


def test_half_the_sessions_diverge_less_than_shuffled_ones(
    rng: np.random.Generator, real_data: Path
) -> None:
    folder = real_data / "rsa_92images"
    names = [f"image-{i:02d}" for i in range(92)]
    human = load_rdms(folder / "92_brainRDMs.mat", labels=names).mean("rdm", keep_attrs=True)
    half = load_rdms(folder / "92_brainRDMs.mat", labels=names)[::2].mean("rdm", keep_attrs=True)
    order = squareform(np.arange(4186))[np.ix_(p := rng.permutation(92), p)]
    shuffled = half.copy(data=half.values[squareform(order, checks=False)])
    same, other = (float(compute_divergence(human, x)["divergence"]) for x in (half, shuffled))
    assert same < 0.8 * other


def test_other_samples_are_named(rng: np.random.Generator) -> None:
    a, b = make_pair(rng)
    with pytest.raises(AlignError, match="b: expected the 'stimulus' of a in its order"):
        compute_divergence(a, b.isel(sample=slice(None, None, -1)))
    with pytest.raises(AlignError, match="b: expected the 20 samples of a, got 19"):
        compute_divergence(a.values, b.values[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 0}, "dimension: expected 1 or 2, got 0"),
        ({"quantile": 0.0}, r"quantile: expected a share in \(0, 1\], got 0.0"),
        ({"n_batches": 0}, "batch_size, n_batches: expected 3 or more points .* got 200 and 0"),
    ],
)
def test_bad_options_are_named(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compute_divergence(np.eye(5), np.eye(5), **options)


def test_points_all_alike_are_named() -> None:
    with pytest.raises(ValueError, match="b: expected points that differ, got 0.9 of all"):
        compute_divergence(np.eye(5), np.ones((5, 2)))
