"""Connectivity between subjects equals single correlations and leaves out what is not shared."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.similarity import connect_subjects, correlate_subjects

MOMENTS = [f"moment-{n:03d}" for n in range(120)]


def wrap(values: np.ndarray, **more: object) -> xr.DataArray:
    return from_arrays(values, modality="fmri", stimulus=MOMENTS, dtype="float64", **more)


def simulate(rng: np.random.Generator, n_subjects: int = 4) -> dict[str, xr.DataArray]:
    """Regions 0 and 1 follow one film, 2 another; rest spreads over all regions of a subject."""
    film = rng.normal(size=(120, 2)) @ np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = {}
    for n in range(n_subjects):
        rest = 2 * rng.normal(size=(120, 1))
        found[f"s{n}"] = wrap(film + rest + 0.3 * rng.normal(size=(120, 3)))
    return found


def test_each_cell_is_a_correlation_with_the_mean_of_the_others(rng: np.random.Generator) -> None:
    data = simulate(rng)
    found = connect_subjects(data)
    values = [one.values for one in data.values()]
    others = np.mean(values[:1] + values[2:], axis=0)
    there = np.corrcoef(values[1][:, 0], others[:, 2])[0, 1]
    back = np.corrcoef(values[1][:, 2], others[:, 0])[0, 1]
    assert float(found["score"][1, 0, 2]) == pytest.approx((there + back) / 2)


def test_its_diagonal_is_the_intersubject_correlation(rng: np.random.Generator) -> None:
    data = simulate(rng)
    diagonal = np.diagonal(connect_subjects(data)["score"].values, axis1=1, axis2=2)
    known = correlate_subjects(data, scheme="block", n_bootstrap=0, n_permutations=0)["score"]
    np.testing.assert_allclose(diagonal, known)


def test_rest_that_spreads_in_each_subject_is_left_out(rng: np.random.Generator) -> None:
    data = simulate(rng, 12)
    found = connect_subjects(data)["estimate"].values
    within = np.mean([np.corrcoef(one.values.T) for one in data.values()], axis=0)
    assert within[0, 2] > 0.6
    assert abs(found[0, 2]) < 0.1
    assert found[0, 1] > 0.25


def test_rows_meet_by_label_regions_are_averaged_and_files_keep_it(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    data = {
        name: one.assign_coords(roi=("neuroid", ["V1", "V1", "IT"]))
        for name, one in simulate(rng).items()
    }
    shuffled = {**data, "s1": data["s1"].isel(sample=rng.permutation(120))}
    one, two = (connect_subjects(each, over="roi") for each in (data, shuffled))
    np.testing.assert_allclose(one["score"], two["score"])
    assert one["score"].dims == ("subject", "roi", "roi_other")
    storage.save(schema.check(one), tmp_path / "isfc.nc")
    assert storage.load(tmp_path / "isfc.nc").identical(one)


def test_a_region_that_does_not_vary_has_no_score(rng: np.random.Generator) -> None:
    data = simulate(rng)
    data["s0"] = data["s0"].copy()
    data["s0"].values[:, 1] = 3.0
    score = connect_subjects(data)["score"]
    assert np.isnan(score[0, 1]).all()
    assert np.isfinite(score[1:]).all()


def test_faults_are_named(rng: np.random.Generator) -> None:
    data = simulate(rng)
    with pytest.raises(SchemaError, match="responses: expected 3 subjects or more, got 2"):
        connect_subjects({name: data[name] for name in ("s0", "s1")})
    timed = {
        name: from_arrays(
            rng.normal(size=(4, 2, 3)), modality="meg", stimulus=list("abcd"), time=[0.0, 0.1, 0.2]
        )
        for name in "uvw"
    }
    with pytest.raises(SchemaError, match=r"responses: expected dims \(sample, neuroid\), got"):
        connect_subjects(timed)
