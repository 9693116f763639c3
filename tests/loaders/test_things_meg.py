"""Epochs of THINGS-MEG come in with the images' file names, sessions and runs."""

from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders import load_things_meg


def write_epochs(folder: Path, rng: np.random.Generator, columns: list[str]) -> np.ndarray:
    info = mne.create_info(["MLO11", "MRO11", "MZO01"], 200.0, "mag")
    values = rng.normal(size=(8, 3, 20)) * 1e-13
    events = np.column_stack([np.arange(8) * 300, np.zeros(8, int), np.ones(8, int)])
    images = [f"images_meg/cat/cat_{n % 6:02d}b.jpg" for n in range(8)]
    table = {"image_path": images, "session_nr": np.arange(8) // 4 + 1, "run_nr": [1, 1, 2, 2] * 2}
    metadata = pd.DataFrame(table)[columns]
    epochs = mne.EpochsArray(
        values, info, events, tmin=-0.1, metadata=metadata, verbose="error", baseline=None
    )
    epochs.save(folder / "preprocessed_P1-epo.fif", verbose="error")
    return values


def test_images_sessions_and_runs_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    values = write_epochs(tmp_path, rng, ["image_path", "session_nr", "run_nr"])
    responses = load_things_meg(tmp_path, subject="P1")
    np.testing.assert_allclose(responses.values, values, rtol=1e-5)
    assert responses["stimulus"].values[0] == "cat_00b.jpg"
    assert responses["session"].values[[0, 4]].tolist() == ["ses-01", "ses-02"]
    assert responses["run"].values[[0, 7]].tolist() == ["ses-01_run-01", "ses-02_run-02"]
    assert responses["repeat"].values.tolist() == [0] * 6 + [1, 1]
    assert responses.attrs["history"].endswith("load_things_meg: P1")
    assert load_things_meg(tmp_path, subject=1, picks=["MRO11"]).sizes["neuroid"] == 1


def test_epochs_without_sessions_still_come_in(tmp_path: Path, rng: np.random.Generator) -> None:
    write_epochs(tmp_path, rng, ["image_path"])
    responses = load_things_meg(tmp_path, subject="P1")
    assert "session" not in responses.coords
    assert responses["subject"].values[0] == "P1"


def test_what_lacks_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    write_epochs(tmp_path, rng, ["image_path"])
    with pytest.raises(LoadError, match="subject: expected one of 'P1', .*got 'BIGMEG1'"):
        load_things_meg(tmp_path, subject="BIGMEG1")
    with pytest.raises(FileNotFoundError, match="preprocessed_P2-epo.fif: expected a file"):
        load_things_meg(tmp_path, subject=2)
