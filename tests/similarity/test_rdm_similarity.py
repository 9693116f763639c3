"""RSA as a measure against the RSA room."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
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
