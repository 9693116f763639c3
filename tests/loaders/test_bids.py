"""BIDS folders: runs found by name, the TR of the JSON, events, masks and confounds."""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds, load_confounds_strategy
from nilearn.signal import clean

from neuroalign.errors import LoadError
from neuroalign.loaders.bids import find_runs, load_bids
from neuroalign.storage import load, save

AFFINE = np.diag([3.0, 3.0, 4.0, 1.0])
N = 30
MNI = "space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz"


def write(path: Path, values: np.ndarray, tr: float = 2.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, AFFINE)
    if values.ndim == 4:
        image.header.set_zooms((3, 3, 4, tr))
        image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def copy_confounds(folder: Path, prefix: str, suffix: str, source: str) -> Path:
    data = Path(str(files("nilearn.interfaces.fmriprep") / "data"))
    for ending in ("json", "tsv"):
        found = sorted(data.glob(f"{source}*{ending}")) or sorted(data.glob(f"test_*{ending}"))
        shutil.copy(found[0], folder / f"{prefix}_desc-confounds_{suffix}.{ending}")
    return folder / f"{prefix}_desc-confounds_{suffix}.tsv"


@pytest.fixture
def study(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two sessions of two runs, raw and derived in one space, with masks and confounds."""
    write_text(tmp_path / "task-faces_bold.json", json.dumps({"RepetitionTime": 2.0}))
    for session in ("01", "02"):
        for run in (1, 2):
            stem = f"sub-01_ses-{session}_task-faces_run-{run}"
            raw = tmp_path / f"sub-01/ses-{session}/func"
            derived = tmp_path / f"derivatives/fmriprep/sub-01/ses-{session}/func"
            values = (100 + rng.normal(size=(3, 2, 2, N))).astype("float32")
            write(raw / f"{stem}_bold.nii.gz", values)
            write_text(
                raw / f"{stem}_events.tsv",
                f"onset\tduration\ttrial_type\n4\t6\tface{run}\n20\t6\t001\n",
            )
            write(derived / f"{stem}_{MNI}", values + 1)
            mask = np.ones((3, 2, 2), "uint8")
            mask[run - 1, 0, 0] = 0
            write(derived / f"{stem}_{MNI.replace('preproc_bold', 'brain_mask')}", mask)
            copy_confounds(derived, stem, "timeseries", "test-v21")
    return tmp_path


def fmriprep(study: Path) -> Path:
    return study / "derivatives/fmriprep"


def test_raw_runs_are_loaded_in_order_with_their_labels(study: Path) -> None:
    responses = load_bids(study, subject="01", task="faces")
    assert responses.shape == (4 * N, 12)
    assert list(dict.fromkeys(responses["run"].values.tolist())) == [
        "ses-01_run-01",
        "ses-01_run-02",
        "ses-02_run-01",
        "ses-02_run-02",
    ]
    assert responses["session"].values[[0, -1]].tolist() == ["ses-01", "ses-02"]
    assert set(responses["subject"].values.tolist()) == {"sub-01"}
    assert set(responses["stimulus"].values) == {"rest", "face1", "face2", "001"}
    path = study / "sub-01/ses-02/func/sub-01_ses-02_task-faces_run-2_bold.nii.gz"
    expected = np.asanyarray(nib.load(path).dataobj).reshape(-1, N).T
    np.testing.assert_array_equal(responses.values[-N:], expected)


def test_runs_stay_lazy_and_survive_storage(study: Path, tmp_path: Path) -> None:
    responses = load_bids(study, subject="01", task="faces", session="01")
    assert responses.chunks is not None
    back = load(save(responses, tmp_path / "runs.zarr"))
    assert back.identical(responses.compute()) or back.equals(responses.compute())
    assert back.attrs["history"] == responses.attrs["history"]


def test_records_name_entities_spaces_and_endings(study: Path) -> None:
    runs = find_runs(study, subject="sub-01", task="faces", run=2, derivatives="fmriprep")
    assert [run.session for run in runs] == ["01", "02"]
    assert runs[0].space == "MNI152NLin2009cAsym:res-2"
    assert runs[0].entities["desc"] == "preproc"
    assert runs[0].ending == ".nii.gz"
    same = find_runs(study, subject="01", task="faces", run="02", derivatives=fmriprep(study))
    assert same == runs


def test_some_runs_of_one_session_are_loaded(study: Path) -> None:
    responses = load_bids(study, subject="01", task="faces", session="02", runs=[2])
    assert set(responses["run"].values) == {"ses-02_run-02"}


def test_brain_mask_keeps_voxels_that_every_run_has(study: Path) -> None:
    responses = load_bids(
        study, subject="01", task="faces", derivatives="fmriprep", mask="brain", stimulus=None
    )
    assert responses.sizes["neuroid"] == 10
    assert {"0-0-0", "1-0-0"}.isdisjoint(responses["neuroid"].values)
    assert responses.attrs["space"] == "MNI152NLin2009cAsym:res-2"
    assert "stimulus" not in responses.coords
    assert "brain masks of all 4 runs" in responses.attrs["history"]


def test_a_missing_brain_mask_is_named(study: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run-1_bold.*desc-brain_mask.*mask="):
        load_bids(study, subject="01", task="faces", mask="brain")


def test_json_wins_over_the_header_and_history_says_so(study: Path) -> None:
    write_text(
        study / "sub-01/ses-01/func/sub-01_ses-01_task-faces_bold.json", '{"RepetitionTime": 1.5}'
    )
    write_text(study / "sub-01/ses-01/func/sub-01_ses-01_task-faces_run-1_events.tsv", EVENTS)
    responses = load_bids(study, subject="01", task="faces", session="01", runs=[1])
    assert responses.attrs["sampling_rate"] == pytest.approx(1 / 1.5)
    assert responses["onset"].values[1] == 1.5
    assert "TR 1.5 s from JSON; the header of" in responses.attrs["history"]
    assert "says 2 s" in responses.attrs["history"]


EVENTS = "onset\tduration\ttrial_type\n4\t6\tface\n"


def test_json_mends_an_implausible_header(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path / "sub-a/func/sub-a_task-x_bold.nii", rng.normal(size=(2, 2, 2, 9)), tr=2000)
    write_text(tmp_path / "task-x_bold.json", '{"RepetitionTime": 2}')
    responses = load_bids(tmp_path, subject="a", task="x")
    assert responses.attrs["sampling_rate"] == 0.5
    assert "2000 (implausible)" in responses.attrs["history"]
    assert set(responses["run"].values) == {"run-01"}
    assert "session" not in responses.coords


def test_closer_json_and_events_win(study: Path) -> None:
    write_text(study / "bold.json", '{"RepetitionTime": 9}')
    write_text(study / "task-faces_events.tsv", EVENTS.replace("face", "general"))
    responses = load_bids(study, subject="01", task="faces", session="01")
    assert responses.attrs["sampling_rate"] == 0.5
    assert "general" not in responses["stimulus"].values


def test_runs_of_different_tr_are_refused(study: Path) -> None:
    write_text(study / "sub-01/ses-02/sub-01_ses-02_bold.json", '{"RepetitionTime": 2.2}')
    with pytest.raises(LoadError, match=r"ses-02_bold\.json: expected the RepetitionTime of"):
        load_bids(study, subject="01", task="faces")


@pytest.mark.parametrize("value", ["2000", '"2"', "true", "null"])
def test_a_wrong_repetition_time_is_named(study: Path, value: str) -> None:
    write_text(study / "task-faces_bold.json", f'{{"RepetitionTime": {value}}}')
    with pytest.raises(LoadError, match=r"task-faces_bold\.json: expected RepetitionTime of 0.2"):
        load_bids(study, subject="01", task="faces")


@pytest.mark.parametrize(("text", "found"), [("{", "expected JSON"), ("[1]", "got list")])
def test_a_damaged_sidecar_is_named(study: Path, text: str, found: str) -> None:
    write_text(study / "task-faces_bold.json", text)
    with pytest.raises(LoadError, match=rf"task-faces_bold\.json: .*{found}"):
        load_bids(study, subject="01", task="faces")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "rest"}, r"task: expected 'rest' among .*got 'faces'"),
        ({"session": "03"}, r"session: expected '03' among .*got '01', '02'"),
        ({"run": 7}, r"run: expected '7' among .*got '1', '2'"),
        ({"space": "T1w"}, r"space: expected 'T1w' .*got 'MNI152NLin2009cAsym:res-2'"),
        ({"ending": ".nii"}, r"ending: expected '\.nii' .*got '\.nii\.gz'"),
        ({"entities": {"acq": "x"}}, r"acq: expected 'x' .*got none that name one"),
    ],
)
def test_what_exists_is_listed(study: Path, options: dict[str, object], message: str) -> None:
    choice = {"subject": "01", "task": "faces", "derivatives": "fmriprep"} | options
    with pytest.raises(LoadError, match=message):
        find_runs(study, **choice)


def test_an_unknown_subject_or_folder_is_answered_with_the_known(study: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a folder 'sub-09'.*holds 'sub-01'"):
        find_runs(study, subject="09", task="faces")
    with pytest.raises(FileNotFoundError, match=r"derivatives=.*holds 'fmriprep'"):
        find_runs(study, subject="01", task="faces", derivatives="xcpd")
    with pytest.raises(FileNotFoundError, match="Pass root="):
        find_runs(study / "nowhere", subject="01", task="faces")
    (study / "sub-02").mkdir()
    with pytest.raises(LoadError, match=r"sub-02: expected functional files"):
        find_runs(study, subject="02", task="faces")
    with pytest.raises(ValueError, match=r"ending: expected one of '\.nii\.gz'"):
        find_runs(study, subject="01", task="faces", ending=".mgz")


def test_several_spaces_must_be_chosen_from(study: Path) -> None:
    for path in fmriprep(study).rglob("*preproc_bold.nii.gz"):
        shutil.copy(path, str(path).replace("MNI152NLin2009cAsym_res-2", "T1w"))
    with pytest.raises(LoadError, match=r"space: .*2 that match: 'MNI152.*:res-2', 'T1w'.*space="):
        load_bids(study, subject="01", task="faces", derivatives="fmriprep")
    runs = find_runs(study, subject="01", task="faces", derivatives="fmriprep", space="T1w")
    assert {run.space for run in runs} == {"T1w"}
    assert len(
        find_runs(study, subject="01", task="faces", derivatives="fmriprep", space=MNI[6:25])
    )


def test_several_versions_of_a_recording_are_refused(study: Path) -> None:
    for path in fmriprep(study).rglob("*preproc_bold.nii.gz"):
        shutil.copy(path, str(path).replace("preproc", "denoised"))
    choice = {"subject": "01", "task": "faces", "derivatives": "fmriprep"}
    with pytest.raises(LoadError, match=r"got desc 'denoised', 'preproc'.*entities="):
        find_runs(study, **choice)
    assert len(find_runs(study, **choice, entities={"desc": "preproc"})) == 4


def test_both_endings_of_one_recording_are_refused(study: Path, rng: np.random.Generator) -> None:
    name = "sub-01_ses-01_task-faces_run-1_bold.nii"
    write(study / "sub-01/ses-01/func" / name, rng.normal(size=(3, 2, 2, N)))
    with pytest.raises(LoadError, match=r"got 'sub-01.*bold\.nii', .*nii\.gz'\. Pass ending="):
        find_runs(study, subject="01", task="faces")


def test_directions_are_recordings_of_their_own(tmp_path: Path, rng: np.random.Generator) -> None:
    for way in ("AP", "PA"):
        name = f"sub-1_task-rest_dir-{way}_run-1_bold.nii"
        write(tmp_path / "sub-1/func" / name, rng.normal(size=(2, 2, 2, 8)))
    responses = load_bids(tmp_path, subject="1", task="rest")
    assert set(responses["run"].values) == {"dir-AP_run-01", "dir-PA_run-01"}
    assert "stimulus" not in responses.coords


def test_events_for_some_runs_only_are_refused(study: Path) -> None:
    next(study.glob("sub-01/ses-02/func/*run-1_events.tsv")).unlink()
    with pytest.raises(LoadError, match=r"events\.tsv for every run or none.*'ses-02_run-01'"):
        load_bids(study, subject="01", task="faces")
    assert load_bids(study, subject="01", task="faces", stimulus=None).sizes["sample"] == 4 * N


def test_two_equally_close_events_are_refused(study: Path) -> None:
    func = study / "sub-01/ses-01/func"
    for entity in ("task-faces", "run-1"):
        write_text(func / f"sub-01_ses-01_{entity}_events.tsv", EVENTS)
    (func / "sub-01_ses-01_task-faces_run-1_events.tsv").unlink()
    with pytest.raises(LoadError, match=r"expected one events\.tsv.*Keep one"):
        load_bids(study, subject="01", task="faces", session="01", runs=[1])


CHOICE = {"subject": "01", "task": "faces", "derivatives": "fmriprep", "session": "01"}


CHOICE = {"subject": "01", "task": "faces", "derivatives": "fmriprep", "session": "01"}


CHOICE = {"subject": "01", "task": "faces", "derivatives": "fmriprep", "session": "01"}


@pytest.mark.parametrize("suffix", ["timeseries", "regressors"])
def test_confounds_agree_with_nilearn(study: Path, suffix: str) -> None:
    for path in fmriprep(study).rglob("*_timeseries.*"):
        path.rename(str(path).replace("timeseries", suffix))
    strategy = ("high_pass", "wm_csf")
    responses = load_bids(study, **CHOICE, runs=[1], confounds=strategy, standardize="zscore")
    path = find_runs(study, **CHOICE, run=1)[0].paths[0]
    table, kept = load_confounds(str(path), strategy=strategy)
    expected = clean(
        np.asanyarray(nib.load(path).dataobj).reshape(-1, N).T.astype(float),
        confounds=table,
        sample_mask=kept,
        detrend=False,
        standardize="zscore_sample",
        standardize_confounds=True,
    )
    assert len(expected) == N - 3
    np.testing.assert_allclose(responses * np.sqrt(26 / 27), expected, atol=2e-3)


def test_a_strategy_by_name_is_nilearns(study: Path) -> None:
    responses = load_bids(study, **CHOICE, confounds="simple", stimulus=None)
    kept = [
        load_confounds_strategy(str(run.paths[0]), denoise_strategy="simple")[1]
        for run in find_runs(study, **CHOICE)
    ]
    assert responses.sizes["sample"] == sum(map(len, kept))
    np.testing.assert_array_equal(responses["onset"].values[: len(kept[0])], kept[0] * 2.0)


def test_volumes_that_nilearn_excludes_are_dropped(study: Path) -> None:
    responses = load_bids(study, **CHOICE, confounds=("wm_csf",), standardize="zscore")
    assert responses.sizes["sample"] == 2 * (N - 3)
    assert responses["onset"].values[0] == 6.0
    for _, run in responses.groupby("run"):
        np.testing.assert_allclose(run.mean("sample"), 0, atol=1e-4)
        np.testing.assert_allclose(run.std("sample"), 1, atol=1e-3)
    assert "6 volumes (non steady state or scrubbed) dropped" in responses.attrs["history"]


def test_a_run_that_is_scrubbed_away_is_named(study: Path) -> None:
    with pytest.raises(LoadError, match=r"run-1_space.*'scrubbing' keeps, got none of 30"):
        load_bids(study, **CHOICE, confounds="scrubbing")


def test_percent_and_dropped_volumes_do_not_go_together(study: Path) -> None:
    with pytest.raises(LoadError, match=r"standardize: .*volumes are dropped \(6 by"):
        load_bids(study, **CHOICE, confounds=("wm_csf",), standardize="percent")


def test_confounds_that_cannot_be_had_are_refused(study: Path) -> None:
    options = {"subject": "01", "task": "faces", "derivatives": "fmriprep", "session": "01"}
    with pytest.raises(LoadError, match=r"confounds: expected derived data.*derivatives="):
        load_bids(study, subject="01", task="faces", confounds="simple")
    with pytest.raises(ValueError, match="confounds: expected one of 'simple'"):
        load_bids(study, **options, confounds="simpel")
    for path in fmriprep(study).rglob("*confounds_timeseries.tsv"):
        path.unlink()
    with pytest.raises(LoadError, match=r"run-1.*expected the confounds of 'simple' beside it"):
        load_bids(study, **options, confounds="simple")


def test_holes_in_confounds_are_named(study: Path) -> None:
    for path in fmriprep(study).rglob("*confounds_timeseries.tsv"):
        table = pd.read_csv(path, sep="\t")
        table.loc[5, "trans_x"] = np.nan
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    with pytest.raises(LoadError, match=r"run-1_space.*first row at most, got more in 'trans_x'"):
        load_bids(study, subject="01", task="faces", derivatives="fmriprep", confounds=("motion",))


def test_masks_without_common_voxels_are_refused(study: Path) -> None:
    for number, path in enumerate(sorted(fmriprep(study).rglob("*brain_mask.nii.gz"))):
        values = np.zeros((3, 2, 2), "uint8")
        values[number % 2] = 1
        write(path, values)
    with pytest.raises(LoadError, match=r"brain_mask.*voxels that all runs share, got 0"):
        load_bids(study, subject="01", task="faces", derivatives="fmriprep", mask="brain")


def test_a_lone_hemisphere_is_named(tmp_path: Path) -> None:
    name = "sub-1_task-x_hemi-L_space-fsaverage5_bold.func.gii"
    write_text(tmp_path / "sub-1/func" / name, "<GIFTI/>")
    with pytest.raises(LoadError, match=r"hemi-L_space.*pair hemi-L and hemi-R.*partner"):
        find_runs(tmp_path, subject="1", task="x")


@pytest.fixture
def surfaces(study: Path, rng: np.random.Generator) -> np.ndarray:
    """The same runs on two hemispheres of 642 vertices."""
    values = (100 + rng.normal(size=(N, 1284))).astype("float32")
    folder = fmriprep(study) / "sub-01/ses-01/func"
    halves = {"L": ("CortexLeft", values[:, :642]), "R": ("CortexRight", values[:, 642:])}
    for side, (structure, part) in halves.items():
        meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
        kind = ("NIFTI_INTENT_TIME_SERIES", "NIFTI_TYPE_FLOAT32")
        image = nib.gifti.GiftiImage(meta=meta)
        for row in part:
            image.add_gifti_data_array(nib.gifti.GiftiDataArray(row, *kind))
        for run in (1, 2):
            stem = f"sub-01_ses-01_task-faces_run-{run}_hemi-{side}"
            nib.save(image, folder / f"{stem}_space-fsaverage3_bold.func.gii")
    return values


def test_hemispheres_are_loaded_as_pairs(study: Path, surfaces: np.ndarray) -> None:
    responses = load_bids(study, **CHOICE, space="fsaverage3")
    assert responses.sizes == {"sample": 2 * N, "neuroid": 1284}
    np.testing.assert_array_equal(responses.values[:N], surfaces)
    assert responses["run"].values[-1] == "ses-01_run-02"
    assert responses["hemisphere"].values[[0, -1]].tolist() == ["L", "R"]
    assert responses.attrs["space"] == "fsaverage3"
    assert "face1" in responses["stimulus"].values
    with pytest.raises(LoadError, match=r"mask: expected None for \.func\.gii"):
        load_bids(study, **CHOICE, space="fsaverage3", mask="brain")


CLEANING = {"detrend": True, "high_pass": 0.03, "standardize": "zscore", "confounds": ("wm_csf",)}


def test_hemispheres_are_cleaned_as_volumes_are(study: Path, surfaces: np.ndarray) -> None:
    responses = load_bids(study, **CHOICE, space="fsaverage3", runs=[1], **CLEANING)
    path = next(fmriprep(study).rglob("*ses-01*run-1*preproc_bold.nii.gz"))
    write(path, surfaces.T.reshape(107, 12, 1, N))
    volumes = load_bids(study, **CHOICE, space="MNI152NLin2009cAsym", runs=[1], **CLEANING)
    np.testing.assert_allclose(responses.values, volumes.values, atol=1e-3)
    lines = set(responses.attrs["history"].split("\n")[1:])
    assert lines == set(volumes.attrs["history"].split("\n")[1:])
    assert responses.attrs["units"] == "z"


def test_grayordinates_are_loaded(study: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(N, 24)).astype("float32")
    brain = nib.cifti2.BrainModelAxis.from_mask(np.ones(12, bool), "CortexLeft")
    brain += nib.cifti2.BrainModelAxis.from_mask(np.ones(12, bool), "CortexRight")
    image = nib.Cifti2Image(values, (nib.cifti2.SeriesAxis(0, 2.5, N), brain))
    name = "sub-01_ses-01_task-faces_run-1_space-fsLR_den-91k_bold.dtseries.nii"
    nib.save(image, fmriprep(study) / "sub-01/ses-01/func" / name)
    responses = load_bids(study, **CHOICE, space="fsLR", stimulus=None)
    np.testing.assert_array_equal(responses.values, values)
    assert responses.attrs["space"] == "fsLR:den-91k"
    assert "TR 2 s from JSON; the header of" in responses.attrs["history"]
    assert "says 2.5 s" in responses.attrs["history"]
    with pytest.raises(LoadError, match=r"mask: expected None for \.dtseries"):
        load_bids(study, **CHOICE, space="fsLR", mask="brain", stimulus=None)


def test_haxby_as_bids_equals_its_files(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "haxby2001_pymvpa/haxby2001/sub001/BOLD"
    func = tmp_path / "sub-1/func"
    func.mkdir(parents=True)
    for number in (1, 2):
        stem = func / f"sub-1_task-objects_run-{number:02d}"
        shutil.copy(source / f"task001_run{number:03d}/bold_1slice.nii.gz", f"{stem}_bold.nii.gz")
        shutil.copy(source / f"task001_run{number:03d}/bold_events.tsv", f"{stem}_events.tsv")
    mask = real_data / "haxby2001_pymvpa/mask.nii.gz"
    responses = load_bids(tmp_path, subject="1", task="objects", mask=mask)
    assert responses.shape == (242, 530)
    assert (responses["stimulus"].values == "rest").sum() == 98


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject": 1, "task": "view"}, r"subject: expected text .* got 1\. Quote it"),
        ({"subject": "01", "task": "view", "entities": "desc-preproc"}, "entities: expected a map"),
    ],
)
def test_names_are_text(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        find_runs(tmp_path, **options)
