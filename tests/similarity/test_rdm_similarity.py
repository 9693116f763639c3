"""RSA as a measure against the RSA room."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import pairwise_distances

from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa import from_matrix
from neuroalign.rsa.comparisons import compare_rdms
from neuroalign.rsa.distances import compute_rdm
from neuroalign.similarity.comparison import compare
from neuroalign.similarity.rdm_similarity import NORMALISERS, prepare_rdm


@pytest.mark.parametrize("comparison", NORMALISERS)
@pytest.mark.parametrize("distance", ["correlation", "squared_euclidean", "cosine"])
def test_it_is_what_the_rsa_room_gives(comparison, distance, rng) -> None:  # type: ignore[no-untyped-def]
    x, y = (rng.normal(size=(20, p)) for p in (8, 12))
    names = [f"image-{n}" for n in range(20)]
    rdms = [
        compute_rdm(
            from_arrays(each, stimulus=names, modality="fmri", dtype="float64"), distance=distance
        )
        for each in (x, y)
    ]
    known = float(compare_rdms(*rdms, method=comparison))
    params = {"distance": distance, "comparison": comparison}
    assert compare(x, y, "rsa", params=params) == pytest.approx(known, abs=1e-9)


def test_it_is_the_correlation_of_scipy_distances(rng) -> None:  # type: ignore[no-untyped-def]
    x, y = (rng.normal(size=(20, p)) for p in (8, 12))
    known = stats.spearmanr(pdist(x, "correlation"), pdist(y, "correlation"))[0]
    found = compare(x, y, "rsa", params={"comparison": "spearman"})
    assert found == pytest.approx(known, abs=1e-9)


def test_order_of_many_rows_is_kept(rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(120, 6))
    assert compare(x, x, "rsa") == pytest.approx(1.0)
    known = stats.pearsonr(pdist(x, "correlation"), pdist(x[::-1], "correlation"))[0]
    assert compare(x, x[::-1], "rsa") == pytest.approx(known, abs=1e-9)


def test_a_flat_rdm_compares_as_nothing() -> None:
    flat = 1 - np.eye(6)
    assert not prepare_rdm(flat, comparison="pearson").any()
    with pytest.raises(ValueError, match="distance: expected one of"):
        compare(np.eye(6), np.eye(6), "rsa", params={"distance": "far"})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_pattern_is_said(dtype, rng) -> None:  # type: ignore[no-untyped-def]
    x = rng.normal(size=(8, 300)).astype(dtype)
    x[2] = 0.1
    with pytest.raises(SchemaError, match="correlation distance, got 1 stimuli with a constant"):
        compare(x, x, "rsa")
    assert compare(x, x, "rsa", params={"distance": "squared_euclidean"}) == pytest.approx(1.0)


def test_a_bare_matrix_that_may_be_an_rdm_is_refused_until_named(rng) -> None:  # type: ignore[no-untyped-def]
    points = rng.normal(size=(8, 3))
    square = squareform(pdist(points))
    with pytest.raises(SchemaError, match=r"^b: expected points .* bare symmetric \(8, 8\)"):
        compare(points, square)
    names = [f"s{n}" for n in range(8)]
    named = from_matrix(square, names)
    assert compare(named, named, "rsa") == pytest.approx(1.0)
    rows = xr.DataArray(square, dims=("sample", "neuroid"))
    assert 0 < compare(points, rows, "cka") < 1
    # With values on the diagonal it is no RDM.
    assert 0 < compare(points, square + np.eye(8), "cka") < 1


MADE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "numpy": lambda x: 1 - np.corrcoef(x),
    "numpy, float32": lambda x: 1 - np.corrcoef(x.astype(np.float32)),
    "numpy, lengths": lambda x: np.linalg.norm(x[:, None] - x[None], axis=-1),
    "scikit-learn": lambda x: np.asarray(pairwise_distances(x)),
    "same or not": lambda x: np.arange(len(x))[:, None] % 3 != np.arange(len(x)) % 3,
}


@pytest.mark.parametrize("way", MADE)
def test_rounding_does_not_make_points_of_an_rdm(way, rng) -> None:  # type: ignore[no-untyped-def]
    square = MADE[way](rng.normal(size=(20, 30)) + 3)
    with pytest.raises(SchemaError, match="expected points .* which may be an RDM"):
        compare(square, square)


def test_square_points_and_words_are_no_rdm(rng) -> None:  # type: ignore[no-untyped-def]
    points = rng.normal(size=(9, 9))
    kernel = points @ points.T
    assert 0 < compare(points, kernel, "cka") < 1
    skew = points - points.T
    assert 0 < compare(points, skew, "cka") < 1
    with pytest.raises(SchemaError, match="expected numbers"):
        compare(np.full((9, 9), "word"), points)


def test_the_raw_score_lies_between_halves_and_its_ratio_is_the_corrected_one(rng) -> None:  # type: ignore[no-untyped-def]
    truth = rng.normal(size=(60, 20))
    halves = [truth + rng.normal(size=(60, 20)) for _ in range(2)]
    found = compare({"model": truth}, {"V1": tuple(halves)}, correct=True)
    across = np.mean([compare(truth, half) for half in halves])
    reliability = compare(*halves)
    assert float(found["score_raw"][0, 0]) == pytest.approx(across)
    assert float(found["roi_reliability"][0]) == pytest.approx(reliability)
    assert float(found["score"][0, 0]) == pytest.approx(across / np.sqrt(reliability))
    # Noise of a half lowers more than noise of the mean.
    plain = float(compare({"model": truth}, {"V1": tuple(halves)})["score"][0, 0])
    assert across < plain < float(found["score"][0, 0]) + 0.05
