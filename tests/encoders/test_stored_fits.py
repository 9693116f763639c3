"""A fit on disk is opened with its labels and places, or refused by name."""

from pathlib import Path

import numpy as np
import pytest

from neuroalign.encoders import Ridge, fit_to_store, open_fit
from neuroalign.loaders import from_arrays, to_nifti


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone: expected a folder that fit_to_store wrote"):
        open_fit(tmp_path / "gone")


def test_a_stored_fit_knows_where_its_neuroids_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 5)), rng.normal(size=(60, 8))
    place = {"affine": np.eye(4).ravel().tolist(), "grid_shape": [2, 2, 2], "space": "T1w"}
    grid = dict(zip("ijk", np.indices((2, 2, 2)).reshape(3, -1), strict=True))
    y = from_arrays(
        Y,
        modality="fmri",
        stimulus=[f"s{row}" for row in range(len(Y))],
        neuroid_coords=grid,
        attrs=place,
    )
    fit_to_store(Ridge(1.0), X, y, tmp_path / "fit", test=(X, y))
    stored = open_fit(tmp_path / "fit")
    for name in ("weights", "score", "alpha"):
        assert stored[name].attrs["grid_shape"] == [2, 2, 2]
    assert to_nifti(stored["score"], tmp_path / "score.nii").is_file()
    assert to_nifti(stored["weights"][0], tmp_path / "weights.nii").is_file()
