"""Source estimates keep their values, vertices and places."""

from pathlib import Path

import mne
import numpy as np
import pytest

from neuroalign import storage
from neuroalign.errors import LoadError, NeuroalignWarning
from neuroalign.loaders.sources import load_source_estimates


@pytest.fixture
def stc(rng):
    """Three vertices left, two right, eight times."""
    return mne.SourceEstimate(
        rng.standard_normal((5, 8)), [np.array([0, 4, 9]), np.array([2, 3])], 0.1, 0.01
    )


@pytest.fixture
def mesh(rng):
    """Ten vertices a hemisphere [mm]."""
    return {side: rng.standard_normal((10, 3)) * 50 for side in "LR"}


def test_values_of_objects_are_bit_equal(stc, mesh, tmp_path):
    responses = load_source_estimates(
        [stc, stc * 2], stimulus=["a", "b"], mesh=mesh, dtype="float64"
    )
    np.testing.assert_array_equal(responses.values, [stc.data, stc.data * 2])
    assert responses["vertex"].values.tolist() == [0, 4, 9, 2, 3]
    assert responses["hemisphere"].values.tolist() == ["L", "L", "L", "R", "R"]
    np.testing.assert_array_equal(responses["y"].values[3], mesh["R"][2, 1])
    storage.save(responses, tmp_path / "x.nc")
    assert storage.load(tmp_path / "x.nc").identical(responses)


def test_files_round_trip(stc, tmp_path):
    stc.save(tmp_path / "tone", verbose="error")
    responses = load_source_estimates(tmp_path / "tone", run="run-01")
    np.testing.assert_array_equal(responses.values[0], stc.data.astype("float32"))
    assert responses["stimulus"].values.tolist() == ["tone"]
    np.testing.assert_allclose(responses["time"], stc.times, atol=1e-6)


def test_cut_files_are_refused(stc, tmp_path):
    stc.save(tmp_path / "tone", verbose="error")
    path = tmp_path / "tone-lh.stc"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(LoadError, match="tone: expected content that MNE reads"):
        load_source_estimates(tmp_path / "tone")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected 'none-lh.stc' and '-rh.stc'"):
        load_source_estimates(tmp_path / "none")


def test_estimates_on_other_vertices_are_refused(stc):
    other = mne.SourceEstimate(stc.data, [np.array([0, 4, 8]), np.array([2, 3])], 0.1, 0.01)
    with pytest.raises(LoadError, match="expected the 5 vertices and 8 times"):
        load_source_estimates([stc, other])


def test_a_mesh_that_is_too_small_is_refused(stc, mesh):
    mesh["L"] = mesh["L"][:5]
    with pytest.raises(LoadError, match="mesh: expected a mesh with vertex 9 in hemisphere 'L'"):
        load_source_estimates(stc, mesh=mesh)


def test_half_a_mesh_is_refused(stc, mesh):
    with pytest.raises(LoadError, match="mesh: expected one mesh for each of"):
        load_source_estimates(stc, mesh={"L": mesh["L"]})


def test_vectors_are_refused(rng):
    stc = mne.VectorSourceEstimate(
        rng.standard_normal((2, 3, 4)), [np.array([0]), np.array([1])], 0, 0.01
    )
    with pytest.raises(LoadError, match="expected one value a vertex and time, got Vector"):
        load_source_estimates(stc)


def test_no_estimates_are_refused():
    with pytest.raises(LoadError, match="estimates: expected one or more, got none"):
        load_source_estimates([])


def test_volume_estimates_have_no_hemisphere(rng):
    stc = mne.VolSourceEstimate(rng.standard_normal((3, 4)), [np.array([1, 5, 7])], 0, 0.01)
    responses = load_source_estimates(stc)
    assert "hemisphere" not in responses.coords
    assert responses["neuroid"].values.tolist() == ["V-1", "V-5", "V-7"]


def test_real_estimates_peak_at_the_m100(real_data):
    path = real_data / "meg_mne_sample_evoked" / "sample_audvis_trunc-meg-lh.stc"
    responses = load_source_estimates(path)
    assert responses.shape == (1, 7928, 25)
    np.testing.assert_array_equal(responses.values[0], mne.read_source_estimate(path).data)
    for side, expected in (("L", 0.09), ("R", 0.08)):
        part = responses.values[0, responses["hemisphere"].values == side]
        peak = np.unravel_index(np.abs(part).argmax(), part.shape)[1]
        assert responses["time"].values[peak] == pytest.approx(expected)


@pytest.fixture
def space(real_data):
    """The source space of the real subject, whose file is a thousand times too small."""
    path = real_data / "meg_mne_sample_evoked" / "small-src.fif.gz"
    return mne.read_source_spaces(path, verbose="error")


def make_estimate(space):
    """Ones on all vertices in use."""
    vertices = [part["vertno"] for part in space]
    return mne.SourceEstimate(np.ones((sum(map(len, vertices)), 2)), vertices, 0, 0.1)


def test_real_source_space_gives_places_in_mm(space):
    for part in space:
        part["rr"] *= 1000
    responses = load_source_estimates(make_estimate(space), source_space=space)
    x = responses["x"].values
    left = responses["hemisphere"].values == "L"
    assert x[left].mean() < -20
    assert x[~left].mean() > 20
    assert responses.attrs["space"] == "mri"


def test_a_source_space_in_another_unit_is_said(space, real_data):
    path = real_data / "meg_mne_sample_evoked" / "small-src.fif.gz"
    with pytest.warns(NeuroalignWarning, match=r"got 0.097\d* mm. Its unit may not be metres"):
        load_source_estimates(make_estimate(space), source_space=path)


def test_two_volumes_are_no_hemispheres(rng):
    parts = [np.array([0, 3]), np.array([1, 3, 5])]
    stc = mne.VolSourceEstimate(rng.standard_normal((5, 4)), parts, 0, 0.01)
    responses = load_source_estimates(stc)
    assert "hemisphere" not in responses.coords
    assert responses["neuroid"].values.tolist() == ["V0-0", "V0-3", "V1-1", "V1-3", "V1-5"]


def test_volumes_beside_surfaces_are_of_no_side(rng):
    parts = [np.array([0, 4]), np.array([2]), np.array([2, 3])]
    stc = mne.MixedSourceEstimate(rng.standard_normal((5, 4)), parts, 0, 0.01)
    responses = load_source_estimates(stc)
    assert responses["hemisphere"].values.tolist() == ["L", "L", "R", "", ""]
    assert responses["neuroid"].values.tolist() == ["L-0", "L-4", "R-2", "V-2", "V-3"]


def test_two_files_of_one_estimate_are_one(real_data: Path) -> None:
    folder = real_data / "meg_mne_sample_evoked"
    names = [folder / f"sample_audvis_trunc-meg-{side}.stc" for side in ("lh", "rh")]
    with pytest.raises(LoadError, match="estimates: expected each once"):
        load_source_estimates(names)
