"""Objects of rsatoolbox: there and back, labels chosen, and what is no such object."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import RDMs, calc_rdm, compare

from neuroalign import rsa
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays, load_rdms

NAMES = ["cat", "dog", "car", "bus"]
KINDS = ["animal", "animal", "thing", "thing"]


def make_theirs(rng: np.random.Generator) -> RDMs:
    return RDMs(
        rng.random((3, 6)),
        dissimilarity_measure="squared euclidean",
        rdm_descriptors={"subject": ["s1", "s2", "s3"], "age": [20, 30, 40]},
        pattern_descriptors={"stimulus": NAMES, "kind": KINDS},
    )


def test_their_values_names_and_descriptors_arrive(rng: np.random.Generator) -> None:
    theirs = make_theirs(rng)
    ours = rsa.from_rsatoolbox(theirs, over="subject", category="kind")
    np.testing.assert_array_equal(rsa.to_square(ours).values, theirs.get_matrices())
    assert rsa.to_square(ours)["first"].values.tolist() == NAMES
    assert rsa.to_square(ours)["first_category"].values.tolist() == KINDS
    assert ours["subject"].values.tolist() == ["s1", "s2", "s3"]
    assert ours["age"].values.tolist() == [20, 30, 40]
    assert ours.attrs["distance"] == "squared_euclidean"
    theirs.dissimilarities[:] = 0
    assert (ours > 0).all()


def test_there_and_back_is_the_same(rng: np.random.Generator) -> None:
    ours = rsa.from_rsatoolbox(make_theirs(rng), over="subject", category="kind")
    back = rsa.to_rsatoolbox(rsa.to_square(ours))
    assert isinstance(back, RDMs)
    assert back.dissimilarity_measure == "squared euclidean"
    again = rsa.from_rsatoolbox(back, over="subject", category="category")
    xr.testing.assert_identical(again, ours)


def test_leading_dims_become_descriptors(rng: np.random.Generator) -> None:
    lead = {"subject": ["s1", "s2"], "roi": ["V1", "V4", "IT"]}
    stack = rsa.from_matrix(rng.random((2, 3, 6)), NAMES, lead=lead)
    theirs = rsa.to_rsatoolbox(stack)
    assert theirs.rdm_descriptors["subject"] == ["s1"] * 3 + ["s2"] * 3
    assert theirs.rdm_descriptors["roi"] == ["V1", "V4", "IT"] * 2
    np.testing.assert_array_equal(theirs.dissimilarities, stack.values.reshape(6, 6))
    assert rsa.to_rsatoolbox(stack[0, 0]).n_rdm == 1


def test_both_compute_and_compare_alike(rng: np.random.Generator) -> None:
    values = rng.normal(size=(4, 20))
    theirs = calc_rdm(Dataset(values, obs_descriptors={"stimulus": NAMES}), descriptor="stimulus")
    ours = rsa.compute_rdm(
        from_arrays(values, stimulus=NAMES, modality="fmri", dtype="float64"),
        distance="squared_euclidean",
    )
    assert float(rsa.compare_rdms(rsa.from_rsatoolbox(theirs)[0], ours)) == pytest.approx(1)
    # They compare by position, and sort names.
    sorted_ours = rsa.to_rsatoolbox(rsa.to_condensed(ours, sorted(NAMES)))
    assert compare(sorted_ours, theirs, "cosine")[0, 0] == pytest.approx(1)


def test_the_object_and_its_file_agree(rng: np.random.Generator, tmp_path) -> None:  # type: ignore[no-untyped-def]
    theirs = make_theirs(rng)
    theirs.save(str(tmp_path / "x.h5"), file_type="hdf5")
    read = load_rdms(tmp_path / "x.h5", labels="stimulus")
    ours = rsa.from_rsatoolbox(theirs)
    np.testing.assert_array_equal(read.values, ours.values)
    np.testing.assert_array_equal(read["second"], ours["second"])


def test_conditions_without_names_are_numbered() -> None:
    ours = rsa.from_rsatoolbox(RDMs(np.ones((2, 3))))
    assert ours.dims == ("rdm", "pair")
    assert ours["rdm"].values.tolist() == ["rdm-00", "rdm-01"]
    assert ours["second"].values.tolist() == ["condition-01", "condition-02", "condition-02"]
    named = rsa.from_rsatoolbox(RDMs(np.ones((2, 3))), by=["a", "b", "c"])
    assert named["first"].values.tolist() == ["a", "a", "b"]


def test_faults_are_named(rng: np.random.Generator) -> None:
    theirs = make_theirs(rng)
    with pytest.raises(SchemaError, match="rdms: expected an rsatoolbox RDMs object, got ndarray"):
        rsa.from_rsatoolbox(np.ones((3, 3)))
    with pytest.raises(ValueError, match="by: expected one of 'stimulus', 'kind', got 'names'"):
        rsa.from_rsatoolbox(theirs, by="names")
    with pytest.raises(SchemaError, match="by: expected 4 different names of conditions"):
        rsa.from_rsatoolbox(theirs, by="kind")
    twice = SimpleNamespace(**{**vars(theirs), "rdm_descriptors": {"subject": ["a", "a", "b"]}})
    with pytest.raises(SchemaError, match="over: expected different 'subject' of 3 RDMs, got 2"):
        rsa.from_rsatoolbox(twice, over="subject")
    short = SimpleNamespace(**{**vars(theirs), "rdm_descriptors": {"subject": ["a"]}})
    with pytest.raises(SchemaError, match=r"rdms.rdm_descriptors\['subject'\]: expected 3 values"):
        rsa.from_rsatoolbox(short)
    with pytest.raises(SchemaError, match="rdms: expected kind 'dissimilarity', got 'cross'"):
        rsa.to_rsatoolbox(rsa.from_matrix(rng.random((3, 3)), "abc", kind="cross"))
