"""Neurons that follow speed need motion features; those that follow places do not."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.convergence import compare_motion
from neuroalign.encoders import BandedRidge, partition_variance
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.features import motion_energy
from neuroalign.loaders import features_from_arrays, simulate_scenes

QUICK = BandedRidge(n_candidates=20)


def test_motion_energy_has_what_single_frames_lack(tmp_path: Path) -> None:
    scenes = simulate_scenes(40, 12, n_subjects=1, seed=2)
    energy = motion_energy(
        scenes.films, rate=20.0, spatial_frequencies=[1.0, 2.0],
        temporal_frequencies=[0.5, 1.0, 2.0, 4.0], spacing=3.0,
    )  # fmt: skip
    result = compare_motion(
        scenes.encoder, energy, scenes.responses["sub-01"], window=~scenes.truth["occluded"],
        estimator=QUICK, n_bootstrap=100,
    )  # fmt: skip
    schema.check(result)
    follows = result["roi"].values
    static, motion = (
        result["normalized_share"].sel(part=part).values for part in ("static", "motion")
    )
    assert (motion - static)[follows == "motion"].min() > 0.6
    assert (static - motion)[follows == "position"].min() > 0.15
    assert (result["share_low"].sel(part="motion").values[follows == "motion"] > 0).all()
    # All parts together explain nearly all that is not noise.
    total = result["normalized_share"].sum("part").values
    assert total[follows == "position"] == pytest.approx(1, abs=0.1)
    storage.save(result, tmp_path / "motion.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "motion.nc"), result)


def _simple() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    scenes = simulate_scenes(12, 3, n_subjects=1, snr=5.0)
    motion = scenes.encoder.diff("time").reindex(time=scenes.encoder["time"], fill_value=0.0)
    return scenes.encoder, motion, scenes.responses["sub-01"]


def test_shares_are_those_of_the_partition_of_averages() -> None:
    static, motion, responses = _simple()
    result = compare_motion(static, motion, responses, estimator=QUICK, n_bootstrap=5)
    y = responses.groupby("stimulus").mean("sample").transpose("stimulus", "time", "neuroid")
    X = np.concatenate([one.values.transpose(0, 2, 1) for one in (static, motion)], axis=2)
    known = np.isfinite(X).all(axis=2)
    from neuroalign._folds import make_folds

    films = np.nonzero(known)[0]
    expected = partition_variance(
        X[known].astype(float), y.values[known].astype(float), estimator=QUICK,
        spaces=["s"] * 25 + ["m"] * 25, groups=films, n_bootstrap=5,
        cv=make_folds(len(films), groups=films, n_splits=5, seed=0, shuffle_groups=True),
    )  # fmt: skip
    np.testing.assert_allclose(result["share"].values, expected["share"].values, atol=1e-4)
    expected_share = result["share"] / result["reliability"]
    xr.testing.assert_allclose(result["normalized_share"], expected_share)


def test_reliability_is_that_of_all_trials_when_their_number_is_odd() -> None:
    scenes = simulate_scenes(30, 8, n_subjects=1, n_repeats=3, snr=0.5)
    motion = scenes.encoder.diff("time").reindex(time=scenes.encoder["time"], fill_value=0.0)
    result = compare_motion(
        scenes.encoder, motion, scenes.responses["sub-01"], n_bootstrap=2,
        estimator=BandedRidge(n_candidates=3), seed=4,
    )  # fmt: skip
    assert float(result["reliability"].mean()) == pytest.approx(1.5 / 2.5, abs=0.03)
    assert result.attrs["seed"] == 4
    assert "BandedRidge" in result.attrs["provenance"]


def test_frames_by_run_and_onset_are_laid_out_as_courses() -> None:
    static, motion, responses = _simple()
    frames = motion.values.transpose(0, 2, 1)
    film, step = np.nonzero(np.isfinite(frames).all(axis=2))
    framed = features_from_arrays(
        frames[film, step], run=motion["stimulus"].values[film], onset=motion["time"].values[step]
    )
    one, two = (
        compare_motion(static, x, responses, estimator=QUICK, n_bootstrap=5)["share"]
        for x in (motion, framed[::-1])
    )
    np.testing.assert_allclose(one.values, two.values, atol=1e-6)
    with pytest.raises(AlignError, match="motion: expected onsets that are times of responses"):
        compare_motion(static, framed.assign_coords(onset=framed["onset"] + 0.02), responses)
    with pytest.raises(AlignError, match="motion: expected every condition of the trials as a 'r"):
        compare_motion(static, framed[framed["run"] != "film-000"], responses)


def test_noise_has_no_normalised_share() -> None:
    static, motion, responses = _simple()
    noise = np.random.default_rng(0).normal(size=responses.shape).astype("float32")
    with pytest.warns(NeuroalignWarning, match=r"responses: .* got 3 of 3 without \('sub-01/neuro"):
        result = compare_motion(
            static, motion, responses.copy(data=noise), estimator=QUICK, n_bootstrap=5
        )
    assert np.isnan(result["normalized_share"].values).all()
    assert result.attrs["n_not_estimable"] == 3
    assert np.isfinite(result["share"].values).all()


def test_faults_are_named() -> None:
    static, motion, responses = _simple()
    with pytest.raises(SchemaError, match=r"static: expected a DataArray \('sample', 'feature', "):
        compare_motion(static[..., 0], motion, responses)
    never = static.isel(feature=0) > 1e9
    with pytest.raises(AlignError, match="expected 5 films or more with frames known everywhere"):
        compare_motion(static, motion, responses, window=never)
