"""Commands become studies that say what was settled for the user."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroalign import storage
from neuroalign.errors import NeuroalignError, SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.rsa import compute_rdm
from neuroalign.study import analyses
from neuroalign.study._inputs import list_encodings, name_files
from neuroalign.study.writing import write_study

STIMULI = [f"s{i:02d}" for i in range(12)]


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Features, repeated responses of two runs, of two subjects, and an RDM, in one folder."""
    features = features_from_arrays(rng.normal(size=(12, 4)), stimulus=STIMULI)
    values = np.tile(features.values @ rng.normal(size=(4, 5)), (2, 1))
    values = values + rng.normal(size=(24, 5))
    options: dict[str, Any] = {"stimulus": STIMULI * 2, "modality": "fmri"}
    runs = ["run-01"] * 12 + ["run-02"] * 12
    brain = from_arrays(values, run=runs, **options)
    storage.save(features, tmp_path / "layer 4.nc")
    storage.save(brain, tmp_path / "brain.nc")
    storage.save(
        from_arrays(values, subject=["a"] * 12 + ["b"] * 12, **options), tmp_path / "two.nc"
    )
    storage.save(compute_rdm(features), tmp_path / "rdm.nc")
    return tmp_path


def test_entries_are_named_after_files() -> None:
    paths = [Path("a/layer 4.nc"), Path("b/layer-4.zarr"), Path("..."), Path("x" * 99)]
    assert name_files(paths, ("x",)) == ["layer-4", "layer-4-2", "file", "x" * 48]


def test_folds_are_whole_runs_unless_stimuli_come_back(files: Path) -> None:
    brain = storage.load(files / "brain.nc")
    assert analyses.choose_group(brain) is None
    once = brain[:12].assign_coords(run=("sample", np.repeat(["a", "b"], 6)))
    assert analyses.choose_group(once) == "run"
    assert analyses.choose_group(once.drop_vars("run")) is None
    timed = once.drop_vars("stimulus").assign_coords(onset=("sample", np.arange(12.0)))
    assert analyses.choose_group(timed) == "run"
    assert analyses.choose_distance(brain, "run") == "crossnobis"
    assert analyses.choose_distance(once, "run") == "correlation"


def test_an_encoding_of_averages_is_bounded_by_what_was_averaged(files: Path) -> None:
    out = files / "out"
    content = analyses.study_encoding(
        out, files / "layer 4.nc", files / "brain.nc", average_repeats=True
    )
    call = content["encoding"]["encoding"]["with"]
    assert (call["ceiling"], call["group"]) == ("@ceiling.ceiling", None)
    assert content["features"]["matched"]["with"]["responses"] == "@averaged"
    assert content["features"]["features"]["with"] == {"path": {"path": "../layer 4.nc"}}
    write_study(content, out)
    plain = analyses.study_encoding(
        out, files / "layer 4.nc", files / "brain.nc", ceiling="none", group="stimulus"
    )
    call = plain["encoding"]["encoding"]["with"]
    assert (call["ceiling"], call["group"]) == (None, "stimulus")
    assert list(plain["encoding"]) == ["encoding"]


def test_series_are_matched_by_run_and_onset(files: Path) -> None:
    brain = storage.load(files / "brain.nc").drop_vars("stimulus")
    timed = brain.assign_coords(onset=("sample", np.tile(np.arange(12.0), 2)))
    storage.save(timed, files / "timed.nc")
    content = analyses.study_encoding(files, files / "layer 4.nc", files / "timed.nc")
    assert content["features"]["matched"]["with"]["on"] == ["run", "onset"]
    assert content["encoding"]["encoding"]["with"]["on"] == ["run", "onset"]
    assert content["encoding"]["encoding"]["with"]["group"] == "run"


def test_turned_arguments_are_named(files: Path) -> None:
    with pytest.raises(SchemaError, match=r"FEATURES: expected .* dim feature, got 'brain.nc'"):
        analyses.study_encoding(files, files / "brain.nc", files / "layer 4.nc")


def test_rdms_are_made_of_what_is_none_yet(files: Path) -> None:
    models = [files / "layer 4.nc", files / "rdm.nc"]
    content = analyses.study_rsa(files, files / "brain.nc", models)
    assert content["rsa"]["rdm"]["with"]["distance"] == "crossnobis"
    call = content["rsa"]["models"]["with"]
    assert call["models"] == {"layer-4": "@layer-4-rdm", "rdm-2": "@rdm-2"}
    assert (call["data"], call["method"]) == ({"responses": "@rdm"}, "whitened_cosine")
    assert content["rsa"]["layer-4-rdm"]["with"]["distance"] == "squared_euclidean"
    assert call["n_permutations"] == 1000
    assert call["bootstrap"] == "stimuli"
    write_study(content, files)
    ready = analyses.study_rsa(files, files / "rdm.nc", models[:1])
    assert (list(ready["rsa"]), ready["rsa"]["models"]["with"]["method"]) == (
        ["layer-4-rdm", "models"],
        "rho_a",
    )


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("crossnobis", "squared_euclidean"),
        ("mahalanobis", "squared_euclidean"),
        ("correlation", "correlation"),
        ("cosine", "cosine"),
        ("poisson", "correlation"),
        ("decoding_accuracy", "correlation"),
        ("unknown", "correlation"),
    ],
)
def test_models_take_the_distance_that_belongs_to_the_responses(
    distance: str, expected: str
) -> None:
    assert analyses.choose_model_distance(distance) == expected


def test_several_subjects_are_what_tests_extend_to(files: Path) -> None:
    content = analyses.study_rsa(
        files, files / "two.nc", [files / "layer 4.nc"], distance="mahalanobis"
    )
    options = content["rsa"]["rdm"]["with"]
    assert (options["over"], options["noise"]) == ("subject", "schaefer_strimmer")
    call = content["rsa"]["models"]["with"]
    assert (call["data"], call["bootstrap"]) == ("@rdm", "both")


def test_representations_are_compared_in_one_table(files: Path) -> None:
    content = analyses.study_comparison(files, [files / "layer 4.nc", files / "brain.nc"])
    call = content["similarity"]["table"]["with"]
    assert call["a"] == {"layer-4": "@layer-4", "brain": "@brain"}
    write_study(content, files)
    with pytest.raises(SchemaError, match="FILES: expected two or more to compare, got 'brain'"):
        analyses.study_comparison(files, [files / "brain.nc"])


def test_a_folder_without_encodings_is_named(files: Path, monkeypatch: Any) -> None:
    with pytest.raises(NeuroalignError, match="expected the record of a finished study"):
        list_encodings(files)
    monkeypatch.setattr("neuroalign.study._inputs.read_study_folder", lambda path: (None, []))
    with pytest.raises(NeuroalignError, match="expected a study with an encoding result"):
        list_encodings(files)


def test_latent_models_get_their_size_and_seed(files: Path) -> None:
    content = analyses.study_latents(files, files / "brain.nc", model="HMM", n_latents=3, seed=7)
    for entry, option in (("score", "model"), ("latents", "model")):
        assert content["latents"][entry]["with"][option] == {
            "use": "latents.HMM",
            "n_states": 3,
            "seed": 7,
        }
    write_study(content, files)
    assert {"GPFA", "HMM"} < set(analyses.list_latent_models())
    assert "BlockModel" not in analyses.list_latent_models()
