"""Inter-subject correlation against its definition, known signal and its null."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from neuroalign.errors import AlignError, SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.schema import check
from neuroalign.similarity.intersubject import correlate_subjects

MOMENTS = [f"moment-{n:03d}" for n in range(60)]


def simulate(rng: np.random.Generator, noise: float, n: int = 5) -> dict[str, xr.DataArray]:
    """Subjects share the first three neuroids (V1) of six."""
    film = rng.normal(size=(60, 3))
    subjects = {}
    for i in range(n):
        values = noise * rng.normal(size=(60, 6))
        values[:, :3] += film
        data = from_arrays(values, stimulus=MOMENTS, modality="fmri", dtype="float64")
        subjects[f"sub-{i}"] = data.assign_coords(roi=("neuroid", ["V1"] * 3 + ["IT"] * 3))
    return subjects


QUICK = {"n_bootstrap": 0, "n_permutations": 0, "scheme": "block"}


def test_leaving_one_out_is_its_definition(rng) -> None:  # type: ignore[no-untyped-def]
    data = simulate(rng, 1.0)
    stack = np.stack([one.values for one in data.values()])
    found = correlate_subjects(data, **QUICK)["score"]
    known = stats.pearsonr(stack[1, :, 2], stack[[0, 2, 3, 4], :, 2].mean(axis=0))[0]
    assert float(found.sel(subject="sub-1")[2]) == pytest.approx(known)
    assert found.dims == ("subject", "neuroid")


def test_pairs_average_to_their_mean_correlation(rng) -> None:  # type: ignore[no-untyped-def]
    data = simulate(rng, 1.0)
    courses = np.stack([one.values[:, 1] for one in data.values()])
    known = np.corrcoef(courses)[np.triu_indices(5, 1)].mean()
    found = correlate_subjects(data, method="pairwise", **QUICK)
    assert float(found["estimate"][1]) == pytest.approx(known)


def test_planted_signal_comes_back_at_its_size(rng) -> None:  # type: ignore[no-untyped-def]
    # Equal variance of signal and noise: two subjects correlate at one half.
    found = correlate_subjects(simulate(rng, 1.0, n=12), method="pairwise", n_permutations=99)
    assert found["estimate"].values[:3] == pytest.approx(0.5, abs=0.15)
    assert (found["p_fwer"].values[:3] < 0.05).all()
    assert (found["p_fwer"].values[3:] > 0.05).all()
    assert (found["lower"] < found["estimate"]).all()
    assert (found["estimate"] < found["upper"]).all()
    check(found)


def test_the_null_is_uniform_without_signal() -> None:
    rng = np.random.default_rng(8)
    p = []
    for seed in range(8):
        data = {
            f"sub-{i}": from_arrays(
                rng.normal(size=(30, 10)), stimulus=MOMENTS[:30], modality="eeg"
            )
            for i in range(3)
        }
        found = correlate_subjects(
            data, scheme="block", n_bootstrap=0, n_permutations=49, seed=seed
        )
        p += found["p_value"].values.tolist()
    assert stats.kstest(np.array(p) - 0.01, "uniform").pvalue > 0.01


def test_regions_stand_where_subjects_share_no_neuroids(rng) -> None:  # type: ignore[no-untyped-def]
    data = simulate(rng, 0.5)
    data["sub-2"] = data["sub-2"].isel(neuroid=[4, 0, 2, 3])
    with pytest.raises(AlignError, match=r"responses\['sub-2'\]: expected the neuroids"):
        correlate_subjects(data, **QUICK)
    found = correlate_subjects(data, over="roi", **QUICK)
    assert dict(zip(found["roi"].values.tolist(), found["estimate"].values > 0.5, strict=True)) == {
        "IT": False,
        "V1": True,
    }


def test_rows_and_neuroids_meet_by_label(rng) -> None:  # type: ignore[no-untyped-def]
    data = simulate(rng, 1.0)
    known = correlate_subjects(data, **QUICK)
    data["sub-3"] = data["sub-3"].isel(sample=rng.permutation(60), neuroid=[5, 3, 0, 1, 2, 4])
    found = correlate_subjects(data, **QUICK)
    np.testing.assert_allclose(found["score"], known["score"], atol=1e-12)


def test_times_are_kept_apart(rng) -> None:  # type: ignore[no-untyped-def]
    film = rng.normal(size=(40, 2))
    data = {}
    for i in range(4):
        values = rng.normal(size=(40, 2, 3))
        values[..., 1] += 3 * film
        data[f"sub-{i}"] = from_arrays(
            values, stimulus=MOMENTS[:40], modality="meg", time=np.array([0.0, 0.1, 0.2])
        )
    found = correlate_subjects(data, **QUICK)["estimate"]
    assert found.dims == ("neuroid", "time")
    assert (found.sel(time=0.1) > 0.7).all()
    assert (abs(found.sel(time=0.2)) < 0.5).all()


def test_time_series_are_shifted_and_presentations_are_shuffled(rng) -> None:  # type: ignore[no-untyped-def]
    data = simulate(rng, 1.0)
    film = {
        name: one.assign_coords(run=("sample", ["1"] * 60), onset=("sample", 2.0 * np.arange(60)))
        for name, one in data.items()
    }
    small = {"n_bootstrap": 0, "n_permutations": 5}
    assert correlate_subjects(data, **small).attrs["scheme"] == "block"
    assert correlate_subjects(film, on="onset", **small).attrs["scheme"] == "circular"


def test_wrong_inputs_are_named(rng) -> None:  # type: ignore[no-untyped-def]
    data = simulate(rng, 1.0, n=3)
    with pytest.raises(SchemaError, match="responses: expected 3 subjects or more, got 2"):
        correlate_subjects({name: data[name] for name in ("sub-0", "sub-1")})
    with pytest.raises(ValueError, match="method: expected one of 'leave_one_out'"):
        correlate_subjects(data, method="loo")
    with pytest.raises(ValueError, match="scheme: expected one of 'circular'"):
        correlate_subjects(data, scheme="phase")
    with pytest.raises(ValueError, match="n_permutations, n_bootstrap: expected 0 or more"):
        correlate_subjects(data, n_permutations=-1)
    with pytest.raises(SchemaError, match="expected coord 'area' on 'neuroid'"):
        correlate_subjects(data, over="area")
    data["sub-1"][3, 2] = np.nan
    with pytest.raises(SchemaError, match=r"responses\['sub-1'\]: expected finite.*got 1 missing"):
        correlate_subjects(data, **QUICK)
