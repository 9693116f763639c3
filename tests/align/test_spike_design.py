"""Stimulus, history and coupling side by side; bins in which a neuron cannot fire."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.align import convolve_basis, make_basis, make_spike_design, mark_refractory
from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.schema import check_features


@pytest.fixture
def spikes(rng: np.random.Generator) -> xr.DataArray:
    """Counts of two neurons in two runs."""
    onset = np.tile(np.arange(20.0), 2)
    return xr.DataArray(
        rng.poisson(0.3, size=(40, 2)).astype("float32"), dims=("sample", "neuroid"),
        coords={"run": ("sample", np.repeat(["a", "b"], 20)), "onset": ("sample", onset),
                "duration": ("sample", np.ones(40)), "neuroid": ["n1", "n2"]},
    )  # fmt: skip


def test_each_space_holds_what_it_says(spikes: xr.DataArray, rng: np.random.Generator) -> None:
    own, other = make_basis("raised_cosine_log", 3, window=8), make_basis("fir", 2, window=4)
    stimulus = rng.normal(size=(40, 2))
    design = make_spike_design(spikes, stimulus, history=own, coupling=other)
    check_features(design.astype("float32"))
    spaces = design["space"].values.tolist()
    assert spaces == ["stimulus"] * 2 + ["history:n1"] * 3 + ["history:n2"] * 3 + [
        "coupling:n1"] * 2 + ["coupling:n2"] * 2  # fmt: skip
    np.testing.assert_array_equal(design.values[:, :2], stimulus)
    run = spikes["run"].values
    past = convolve_basis(spikes.values[:, 1], own, run=run, strictly_past=True)
    np.testing.assert_array_equal(design.values[:, 5:8], past)
    assert design["run"].values.tolist() == run.tolist()


def test_no_bin_sees_its_own_spikes(spikes: xr.DataArray) -> None:
    basis = make_basis("fir", window=3)
    before = make_spike_design(spikes, history=basis, coupling=basis)
    changed = spikes.copy(deep=True)
    changed[10:20] += 5
    after = make_spike_design(changed, history=basis, coupling=basis)
    np.testing.assert_array_equal(before[:11], after[:11])
    np.testing.assert_array_equal(before[20:], after[20:])


def test_refractory_bins_follow_spikes_inside_their_run(spikes: xr.DataArray) -> None:
    lone = spikes.copy(data=np.zeros((40, 2), dtype="float32"))
    lone[5, 0] = lone[18, 1] = 1
    exposure = mark_refractory(lone, 3)
    assert np.flatnonzero(exposure.values[:, 0] == 0).tolist() == [6, 7, 8]
    assert np.flatnonzero(exposure.values[:, 1] == 0).tolist() == [19]


def test_faults_are_named(spikes: xr.DataArray) -> None:
    with pytest.raises(ValueError, match="stimulus: expected a stimulus, history or coupling"):
        make_spike_design(spikes)
    with pytest.raises(AlignError, match="stimulus: expected 40 bins as in spikes, got 3"):
        make_spike_design(spikes, np.ones(3))
    late = spikes.assign_coords(onset=spikes["onset"] + 1)
    with pytest.raises(AlignError, match="stimulus: expected 'onset' as in spikes"):
        make_spike_design(spikes, late)
    with pytest.raises(SchemaError, match=r"spikes: expected a DataArray \(sample, neuroid\)"):
        make_spike_design(spikes.values, np.ones(40))  # type: ignore[arg-type]
    close = spikes.copy(data=np.ones((40, 2), dtype="float32"))
    with pytest.raises(ValueError, match="expected no spike within 2 bins of another, got one"):
        mark_refractory(close, 2)
    with pytest.raises(ValueError, match="n_bins: expected at least 1"):
        mark_refractory(spikes, 0)


@pytest.mark.parametrize("name", ["history", "coupling", "stimulus_basis"])
def test_a_basis_that_is_none_is_named(name: str) -> None:
    spikes = from_arrays(
        np.eye(4, 2), run=["r"] * 4, onset=np.arange(4.0), duration=np.ones(4), modality="spikes"
    )
    with pytest.raises(ValueError, match=rf"{name}: expected a basis \(lag, basis\), got 5"):
        make_spike_design(spikes, **{name: 5})
