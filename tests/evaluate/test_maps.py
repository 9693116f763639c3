"""Scores and weights go back to the images and surfaces they came from."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import xarray as xr

from neuroalign.encoders import Ridge
from neuroalign.evaluate import cross_validate, normalize_scores, select_features
from neuroalign.loaders import to_gifti, to_nifti

Study = Callable[..., tuple[xr.DataArray, xr.DataArray]]


def _in_volume(study: Study, rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    ijk = np.array([[0, 0, 0], [1, 0, 0], [1, 2, 1], [2, 2, 1], [0, 1, 1], [2, 0, 0]])
    places = {axis: ("neuroid", ijk[:, n]) for n, axis in enumerate("ijk")}
    features, responses = study(rng, **places)
    affine = np.diag([3.0, 3.0, 3.0, 1.0]).ravel().tolist()
    return features, responses.assign_attrs(affine=affine, grid_shape=[3, 3, 2])


def test_scores_and_weights_return_to_a_volume(
    rng: np.random.Generator, study: Study, tmp_path: Path
) -> None:
    features, responses = _in_volume(study, rng)
    result = cross_validate(Ridge(1.0), features, responses, keep=("weights", "prediction"))
    at = tuple(responses[axis].values for axis in "ijk")
    score = nibabel.load(to_nifti(result["mean_score"], tmp_path / "score.nii.gz"))
    np.testing.assert_allclose(score.get_fdata()[at], result["mean_score"], rtol=1e-6)
    assert score.affine[0, 0] == 3
    mean = result["weights"].mean("fold", keep_attrs=True).rename(feature="sample")
    written = nibabel.load(to_nifti(mean, tmp_path / "weights.nii.gz")).get_fdata()
    assert written.shape == (3, 3, 2, 8)
    np.testing.assert_allclose(written[at].T, mean, rtol=1e-6)
    assert np.isnan(written).sum() == (18 - 6) * 8
    guess = nibabel.load(to_nifti(result["prediction"], tmp_path / "p.nii")).get_fdata()
    np.testing.assert_allclose(guess[at].T, result["prediction"], rtol=1e-5)


def test_scores_and_weights_return_to_a_surface(
    rng: np.random.Generator, study: Study, tmp_path: Path
) -> None:
    places = {
        "hemisphere": ("neuroid", list("LLLRRR")),
        "vertex": ("neuroid", [0, 3, 4, 1, 2, 5]),
    }
    features, responses = study(rng, **places)
    responses = responses.assign_attrs(n_vertices=[6, 7], space="small")
    result = cross_validate(Ridge(1.0), features, responses, keep=("weights",))
    mean = result["weights"].mean("fold", keep_attrs=True).rename(feature="sample")
    names = tmp_path / "lh.func.gii", tmp_path / "rh.func.gii"
    to_gifti(mean, *names)
    left, right = (nibabel.load(name) for name in names)
    assert len(left.darrays) == 8
    np.testing.assert_allclose(left.darrays[2].data[[0, 3, 4]], mean[2, :3], rtol=1e-6)
    np.testing.assert_allclose(right.darrays[2].data[[1, 2, 5]], mean[2, 3:], rtol=1e-6)
    to_gifti(result["mean_score"], *names)
    np.testing.assert_allclose(
        nibabel.load(names[0]).darrays[0].data[[0, 3, 4]], result["mean_score"][:3], rtol=1e-6
    )


def test_derived_scores_keep_their_places(
    rng: np.random.Generator, study: Study, tmp_path: Path
) -> None:
    features, responses = _in_volume(study, rng)
    ceiling = xr.DataArray(np.full(6, 0.5), {"neuroid": responses["neuroid"].values}, ("neuroid",))
    result = cross_validate(Ridge(1.0), features, responses, ceiling=ceiling)
    normal = normalize_scores(result)["mean_normalized_score"]
    assert nibabel.load(to_nifti(normal, tmp_path / "n.nii")).shape == (3, 3, 2)
    chosen = select_features(Ridge(1.0), {"a": features, "b": -features}, responses)
    assert nibabel.load(to_nifti(chosen["mean_score"], tmp_path / "c.nii")).shape == (3, 3, 2)
