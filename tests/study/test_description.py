"""What a path holds is said, once whole and once damaged."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import mne
import mne_bids
import nibabel as nib
import numpy as np
import pynwb
import pytest

from neuroalign.encoders import Ridge, fit_to_store
from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders import features_from_arrays, simulate_linear
from neuroalign.storage import save
from neuroalign.study.description import (
    FILES,
    FOLDERS,
    _find_row,
    describe_file,
    find_function,
    list_findings,
    pick_faults,
)

GIFTI_DATA = Path(nib.__file__).parent / "gifti/tests/data"
EVENTS = "onset\tduration\ttrial_type\n0\t2\tface\n4\t2\thouse\n8\t2\tface\n"


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep the first part of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def faults(path: Path) -> str:
    return "\n".join(pick_faults(list_findings(path)))


def write_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ones((4, 5, 6, 7), np.int16), np.diag([3.0, 3, 2, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((3, 3, 2, 2.5))
    nib.save(image, path)
    return path


def write_gifti(path: Path, *arrays: np.ndarray, codes: tuple[str, ...] = ("NONE",)) -> Path:
    image = nib.GiftiImage()
    for number, array in enumerate(arrays):
        intent = codes[min(number, len(codes) - 1)]
        image.add_gifti_data_array(nib.gifti.GiftiDataArray(array, intent=f"NIFTI_INTENT_{intent}"))
    nib.save(image, path)
    return path


def write_cifti(path: Path) -> Path:
    surface = nib.cifti2.BrainModelAxis.from_surface
    brain = surface([0, 2], 5, "CORTEX_LEFT") + surface([1], 5, "CORTEX_RIGHT")
    rows = {
        ".dtseries": nib.cifti2.SeriesAxis(0, 0.5, 4),
        ".dscalar": nib.cifti2.ScalarAxis(["one", "two", "three", "four"]),
        ".dlabel": nib.cifti2.LabelAxis(
            ["atlas"] * 4, {0: ("none", (0,) * 4), 1: ("V1", (1,) * 4)}
        ),
    }[path.suffixes[-2]]
    values = np.arange(12, dtype="float32").reshape(4, 3)
    nib.save(nib.Cifti2Image(values, header=(rows, brain)), path)
    return path


def make_raw(rng: np.random.Generator) -> mne.io.RawArray:
    info = mne.create_info(["Fz", "Cz", "Pz"], 100.0, "eeg", verbose="warning")
    raw = mne.io.RawArray(rng.standard_normal((3, 1000)) * 1e-5, info, verbose="warning")
    return raw.set_annotations(mne.Annotations([1.0, 4.0, 7.0], 0.1, ["face", "house", "face"]))


def write_phy(folder: Path) -> Path:
    folder.mkdir()
    np.save(folder / "spike_times.npy", np.array([3, 6, 10, 13], np.uint64))
    np.save(folder / "spike_clusters.npy", np.array([4, 9, 4, 4], np.int32))
    (folder / "params.py").write_text("sample_rate = 1000.\n")
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n4\tgood\n9\tmua\n")
    return folder


def write_suite2p(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("F", "Fneu", "spks"):
        np.save(folder / f"{name}.npy", np.ones((3, 20), np.float32))
    np.save(folder / "iscell.npy", np.array([[1.0, 0.9], [0.0, 0.1], [1.0, 0.6]]))
    return folder.parent


def write_alf(folder: Path) -> Path:
    folder.mkdir()
    np.save(folder / "spikes.times.npy", np.array([0.1, 0.5, 0.9]))
    np.save(folder / "spikes.clusters.npy", np.array([0, 1, 0]))
    np.save(folder / "_ibl_trials.stimOn_times.npy", np.array([0.0, np.nan]))
    return folder


def write_nwb(path: Path) -> Path:
    file = pynwb.NWBFile("a session", "id", datetime(2000, 1, 1, tzinfo=UTC))
    file.add_unit(spike_times=np.array([0.1, 0.4]))
    file.add_trial(0.0, 1.0)
    with pynwb.NWBHDF5IO(path, "w") as out:
        out.write(file)
    return path


def write_bids(root: Path) -> Path:
    for run in (1, 2):
        stem = root / f"sub-01/ses-a/func/sub-01_ses-a_task-faces_run-{run}"
        write_image(stem.with_name(f"{stem.name}_bold.nii.gz"))
        stem.with_name(f"{stem.name}_events.tsv").write_text(EVENTS)
    derived = root / "derivatives/fmriprep/sub-01/ses-a/func"
    write_image(derived / "sub-01_ses-a_task-faces_run-1_space-MNI_desc-preproc_bold.nii.gz")
    (root / "task-faces_bold.json").write_text(json.dumps({"RepetitionTime": 2.5}))
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    return root


def test_every_row_names_a_function() -> None:
    for row in {*FILES.values(), *FOLDERS.values()}:
        assert callable(find_function(row)), row


def test_a_row_may_name_a_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, ".func.gii", "loaders.gifti.load_gifti")
    path = write_gifti(tmp_path / "hemi-L_bold.func.gii", *np.ones((4, 9), "float32"))
    path.with_name("hemi-L_bold.json").write_text('{"RepetitionTime": 1.5}')
    assert describe_file(path).splitlines()[:2] == [
        "hemi-L_bold.func.gii: fmri responses, whole",
        "sizes: sample 4, neuroid 9",
    ]
    write_gifti(path, *np.full((4, 9), np.nan, "float32"))
    assert "36 of 36 values not finite" in faults(path)


def test_kind_sizes_and_coords_are_listed(tmp_path: Path) -> None:
    text = describe_file(save(simulate_linear(n_samples=9), tmp_path / "planted.zarr"))
    assert text.startswith("planted.zarr: matched\nsizes: ")
    assert "sample 9" in text
    assert "'stimulus'" in text


def test_damage_is_an_error(tmp_path: Path) -> None:
    path = save(simulate_linear(n_samples=9), tmp_path / "planted.nc")
    with pytest.raises(DataCorruptionError, match=r"planted\.nc"):
        describe_file(cut(path, 0.9))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_an_image_says_its_grid_and_its_tr(ending: str, tmp_path: Path) -> None:
    text = describe_file(write_image(tmp_path / f"sub-01_bold{ending}"))
    assert "grid: 4 x 5 x 6 voxels of 3 x 3 x 2 mm, 7 volume(s)" in text
    assert "TR: 2.5 s, 17.5 s in all" in text
    assert ("CRC holds" in text) == (ending == ".nii.gz")


def test_a_flipped_byte_in_an_image_is_found(tmp_path: Path) -> None:
    path = write_image(tmp_path / "bold.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataCorruptionError, match=r"bold\.nii\.gz"):
        describe_file(path)


def test_an_implausible_tr_and_holes_are_faults_beside_the_rest(tmp_path: Path) -> None:
    values = np.ones((2, 2, 2, 3), "float32")
    values[0, 0, 0, 1] = np.nan
    image = nib.Nifti1Image(values, np.eye(4))
    image.header.set_zooms((1, 1, 1, 2000))
    nib.save(image, tmp_path / "bold.nii")
    text = describe_file(tmp_path / "bold.nii")
    assert "grid: 2 x 2 x 2" in text
    assert "wrong: 1 of 24 values not finite" in text
    assert "expected a TR of 0.2 to 20.0 s" in faults(tmp_path / "bold.nii")


def test_holes_of_a_map_are_said_and_no_fault(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.array([[[1, np.nan]]], "float32"), np.eye(4)), tmp_path / "z.nii")
    assert "1 of 2 values not finite" in describe_file(tmp_path / "z.nii")
    assert not faults(tmp_path / "z.nii")


def test_values_on_vertices_say_their_tr(tmp_path: Path) -> None:
    path = tmp_path / "sub-1_hemi-L_bold.func.gii"
    write_gifti(path, *np.ones((4, 9), "float32"))
    assert "values: 4 on 9 vertices, float32" in describe_file(path)
    assert "left hemisphere" in describe_file(path)
    assert "TR: not known" in describe_file(path)
    path.with_name("sub-1_hemi-L_bold.json").write_text('{"RepetitionTime": 1.5}')
    assert "TR: 1.5 s, 6 s in all" in describe_file(path)
    path.with_name("sub-1_hemi-L_bold.json").write_text('{"RepetitionTime": 1500}')
    assert "1500" in faults(path)
    with pytest.raises(DataCorruptionError, match="hemi-L_bold"):
        describe_file(cut(path))


def test_meshes_and_labels_are_told_apart(tmp_path: Path) -> None:
    points, faces = np.eye(3, dtype="float32"), np.array([[0, 1, 2]], "int32")
    mesh = write_gifti(tmp_path / "x.surf.gii", points, faces, codes=("POINTSET", "TRIANGLE"))
    assert "mesh: 3 vertices, 1 faces" in describe_file(mesh)
    broken = write_gifti(tmp_path / "y.surf.gii", points, faces + 9, codes=("POINTSET", "TRIANGLE"))
    assert "expected vertices 0 to 2, got 9 to 11" in faults(broken)
    assert "3 names: '???', 'Positive'" in describe_file(GIFTI_DATA / "label.gii")
    codes = write_gifti(tmp_path / "z.label.gii", np.array([0, 7], "int32"), codes=("LABEL",))
    assert faults(codes) == "wrong: codes without a name: '7'"


def test_files_of_values_that_do_not_fit_are_faults(tmp_path: Path) -> None:
    odd = write_gifti(tmp_path / "x.gii", np.ones(4, "float32"), np.ones(5, "float32"))
    assert "expected one number of vertices, got [4, 5]" in faults(odd)
    assert "no data arrays" in faults(write_gifti(tmp_path / "y.gii"))


def test_annotations_list_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "lh.aparc.annot"
    table = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]])
    nib.freesurfer.write_annot(path, np.array([0, 1, 1]), table, ["V1", "V2"], fill_ctab=True)
    assert "labels: 3 vertices, 2 names: 'V1', 'V2'" in describe_file(path)
    with pytest.raises(DataCorruptionError, match=r"lh\.aparc"):
        describe_file(cut(path))


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
def test_maps_of_freesurfer_say_their_sizes(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"lh.betas{ending}"
    nib.save(nib.MGHImage(np.arange(30, dtype="f4").reshape(5, 1, 1, 6), np.eye(4)), path)
    assert "sizes: 5 x 1 x 1 places, 6 map(s)" in describe_file(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataCorruptionError, match=r"lh\.betas"):
        describe_file(path)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("dtseries", "series: 4 each 0.5 second, 2 in all"),
        ("dscalar", "maps: 4: 'one'"),
        ("dlabel", "labels: 2: 'none', 'V1'"),
    ],
)
def test_grayordinates_say_their_structures(kind: str, line: str, tmp_path: Path) -> None:
    path = write_cifti(tmp_path / f"x.{kind}.nii")
    assert "grayordinates: 3: 2 CORTEX_LEFT, 1 CORTEX_RIGHT" in describe_file(path)
    assert line in describe_file(path)
    with pytest.raises(DataCorruptionError, match="truncated"):
        describe_file(cut(path, 0.999))


def test_recordings_say_channels_rate_and_events(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "x_raw.fif"
    make_raw(rng).save(path, verbose="error")
    text = describe_file(path)
    assert "channels: 3: 3 eeg" in text
    assert "rate: 100 Hz" in text
    assert "annotations: 2: 'face x 2', 'house x 1'" in text
    assert not faults(path)
    with pytest.raises(DataCorruptionError, match="x_raw"):
        describe_file(cut(path))


def test_flat_and_broken_channels_are_faults(tmp_path: Path, rng: np.random.Generator) -> None:
    raw = make_raw(rng)
    raw._data[0], raw._data[1, 5] = 0, np.nan
    raw.save(tmp_path / "x_raw.fif", verbose="error")
    assert "channels are flat ('Fz')" in faults(tmp_path / "x_raw.fif")
    assert "NaN or infinite ones in 1 of 3 channels ('Cz')" in faults(tmp_path / "x_raw.fif")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["x.vhdr", "x.edf", "x.set"])
def test_exchanged_formats_are_recordings(
    name: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    mne.export.export_raw(tmp_path / name, make_raw(rng), verbose="error")
    assert "channels: 3: 3 eeg" in describe_file(tmp_path / name)
    assert "house x 1" in describe_file(tmp_path / name)
    data = tmp_path / ("x.eeg" if name == "x.vhdr" else name)
    cut(data)
    with pytest.raises(LoadError, match=name):
        describe_file(tmp_path / name)


def make_epochs(rng: np.random.Generator) -> mne.Epochs:
    raw = make_raw(rng)
    return mne.Epochs(raw, tmin=-0.1, tmax=0.2, baseline=None, preload=True, verbose="error")


def test_epochs_and_averages_say_their_events(tmp_path: Path, rng: np.random.Generator) -> None:
    epochs = make_epochs(rng)
    epochs.save(tmp_path / "x-epo.fif", verbose="error")
    epochs.average().save(tmp_path / "x-ave.fif", verbose="error")
    assert "sizes: sample 3, neuroid 3, time 31" in describe_file(tmp_path / "x-epo.fif")
    assert "events: 2: 'face x 2', 'house x 1'" in describe_file(tmp_path / "x-epo.fif")
    assert "3 trials, -0.1 to 0.2 s" in describe_file(tmp_path / "x-ave.fif")
    for name in ("x-epo.fif", "x-ave.fif"):
        with pytest.raises(LoadError, match=name):
            describe_file(cut(tmp_path / name))


@pytest.mark.filterwarnings("ignore")
def test_a_set_of_trials_is_described(tmp_path: Path, rng: np.random.Generator) -> None:
    mne.export.export_epochs(tmp_path / "x.set", make_epochs(rng), verbose="error")
    assert "x.set: epochs" in describe_file(tmp_path / "x.set")


def test_source_estimates_say_vertices_and_peak(tmp_path: Path) -> None:
    data = np.zeros((5, 4))
    data[2, 3] = 1
    stc = mne.SourceEstimate(data, [np.arange(3), np.arange(2)], tmin=0, tstep=0.1)
    stc.save(tmp_path / "x", overwrite=True, verbose="error")
    text = describe_file(tmp_path / "x-lh.stc")
    assert "vertices: 5: 3 L, 2 R" in text
    assert "peak: at 0.3 s" in text
    with pytest.raises(LoadError, match="x-lh"):
        describe_file(cut(tmp_path / "x-lh.stc"))


def test_real_recordings_are_described(real_data: Path) -> None:
    words = describe_file(real_data / "eeg_n400_wordpairs/subject04-epo.fif")
    assert "sizes: sample 200, neuroid 32, time 60" in words
    assert "'related x 100', 'unrelated x 100'" in words
    heard = describe_file(real_data / "meg_mne_sample_evoked/test-ave.fif.gz")
    assert "60 eeg, 1 eog, 204 grad, 102 mag, 9 stim" in heard
    units = describe_file(real_data / "nwb_human_mtl_zheng2022/sub-4_ses-4_ecephys+image.nwb")
    assert "units: 35; spikes: 214278" in units
    with pytest.raises(DataCorruptionError, match="dlabel.nii: truncated"):
        describe_file(next((real_data / "small_nifti_cifti").glob("*.dlabel.nii")))


def test_codes_and_source_spaces_are_described(real_data: Path) -> None:
    folder = real_data / "meg_mne_sample_evoked"
    assert "codes: " in describe_file(folder / "test-eve.fif")
    assert "source space of 2 parts" in describe_file(folder / "small-src.fif.gz")


def test_nwb_says_units_and_tables(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "x.nwb")
    assert "units: 1; spikes: 2 from 0.1 to 0.4 s" in describe_file(path)
    assert "intervals 'trials': 1 rows" in describe_file(path)
    with pytest.raises(DataCorruptionError, match=r"x\.nwb"):
        describe_file(cut(path))


@pytest.mark.parametrize(
    ("write", "line", "name"),
    [
        (write_phy, "clusters: 2", "spike_clusters.npy"),
        (write_alf, "spikes: 3 from 0.1 to 0.9 s", "spikes.clusters.npy"),
    ],
)
def test_sorted_spikes_are_described_and_cut_ones_named(
    write: Callable[[Path], Path], line: str, name: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "sorted")
    assert line in describe_file(folder)
    assert not faults(folder)
    cut(folder / name, 0.95)
    assert name in faults(folder)


def test_a_phy_folder_that_starts_late_is_whole(tmp_path: Path) -> None:
    folder = write_phy(tmp_path / "sorted")
    np.save(folder / "spike_times.npy", np.array([3, 6, 10, 13], np.uint64) + 4_000_000)
    assert "clusters: 2" in describe_file(folder)
    assert not faults(folder)


def test_a_phy_folder_says_clock_and_labels(tmp_path: Path) -> None:
    text = describe_file(write_phy(tmp_path / "sorted"))
    assert "rate: 1000 Hz" in text
    assert "spikes: 4 from 0.003 to 0.013 s" in text
    assert "quality: 2: 'good x 1', 'mua x 1'" in text


def test_a_phy_folder_says_what_does_not_fit(tmp_path: Path) -> None:
    folder = write_phy(tmp_path / "sorted")
    np.save(folder / "spike_times.npy", np.array([0.3, 0.1, 0.2]))
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n4\tgood\n4\tmua\n")
    (folder / "params.py").write_text("sample_rate = 0\n")
    assert "above 0 Hz, got 0" in faults(folder)
    (folder / "params.py").write_text("sample_rate = unknown\n")
    for fault in ("whole samples, got float64", "equally many rows", "params.py", "once, got '4'"):
        assert fault in faults(folder)


def test_an_alf_folder_counts_what_is_missing(tmp_path: Path) -> None:
    folder = write_alf(tmp_path / "alf")
    assert "trials.stimOn_times: 1 times missing" in describe_file(folder)
    np.save(folder / "spikes.times.npy", np.array([0.5, 0.1, np.nan]))
    assert "spikes.times: times not sorted" in faults(folder)
    assert "spikes.times: 1 times not finite" in faults(folder)
    np.save(folder / "spikes.times.npy", np.array([0.5, 0.1]))
    assert "equally many rows" in faults(folder)


def test_a_suite2p_folder_counts_its_cells(tmp_path: Path) -> None:
    folder = write_suite2p(tmp_path / "suite2p/plane0")
    assert "frames: 20; rois: 3, 2 of them cells" in describe_file(folder)
    assert not faults(folder)
    cut(folder / "plane0/F.npy", 0.9)
    assert "F.npy" in faults(folder)


def test_events_say_their_span_and_their_stimuli(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_events.tsv"
    path.write_text(EVENTS)
    text = describe_file(path)
    assert "3 events" in text
    assert "span: 0 to 10 s" in text
    assert "stimuli (2): 'face x 2', 'house x 1'" in text


def test_events_without_an_onset_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_events.tsv"
    path.write_text("time\ttrial_type\n0\tface\n")
    with pytest.raises(LoadError, match=r"sub-01_events\.tsv.*onset"):
        describe_file(path)


def test_commas_instead_of_tabs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_events.tsv"
    path.write_text("onset,duration,trial_type\n0,2,face\n")
    with pytest.raises(LoadError, match="expected columns apart by tabs, got commas"):
        describe_file(path)


def test_events_with_commas_are_told_from_words(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("onset,duration,trial_type\n0,2,face\n")
    with pytest.raises(LoadError, match=r"events\.csv: expected columns apart by tabs, got commas"):
        describe_file(path)
    path.write_text("onset,duration,word\n0,1,the\n")
    assert "1 words, 1 different" in describe_file(path)


def test_a_bare_array_says_who_labels_it(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", [[0.0, np.nan], [1.0, 2.0]])
    text = describe_file(tmp_path / "values.npy")
    assert "array (2, 2), float64, without labels" in text
    assert "loaders.from_arrays" in text
    assert "values: 1 of 4 not finite" in text
    with pytest.raises(DataCorruptionError, match=r"values\.npy"):
        describe_file(cut(tmp_path / "values.npy", 0.5))


def test_confounds_may_lack_values_in_their_first_row_only(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_desc-confounds_timeseries.tsv"
    path.write_text("trans_x\tdvars\n0\tn/a\n1\t2\n3\t4\n")
    assert "2 confounds of 3 volumes" in describe_file(path)
    assert not faults(path)
    path.write_text("trans_x\tdvars\n0\tn/a\nleft\t2\n3\tn/a\n")
    assert "no value after the first row in 1: 'dvars'" in faults(path)
    assert "text in 'trans_x'" in faults(path)


def test_transcripts_say_their_words(tmp_path: Path) -> None:
    table = tmp_path / "talk.tsv"
    table.write_text("onset\tduration\tword\n0\t1\tthe\n1\t1\tcat\n2\t1\tthe\n")
    assert "3 words, 2 different" in describe_file(table)
    grid = tmp_path / "talk.TextGrid"
    grid.write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0 2 <exists> 1\n'
        '"IntervalTier" "words" 0 2 2\n0 1 "the"\n1 2 "cat"\n'
    )
    assert "2 words, 2 different" in describe_file(grid)
    with pytest.raises(DataCorruptionError, match=r"talk\.TextGrid"):
        describe_file(cut(grid, 0.8))


def test_folders_of_stimuli_are_counted_by_kind(tmp_path: Path) -> None:
    for name in ("cat.png", "dog.png", "bell.wav", "plane1.mp4"):
        (tmp_path / name).write_bytes(b"content")
    assert "image: 2 files" in describe_file(tmp_path)
    assert "audio: 1 files" in describe_file(tmp_path)
    (tmp_path / "dog.png").write_bytes(b"<html>404</html>")
    assert "dog.png: expected" in faults(tmp_path)


def test_a_bids_folder_says_what_it_holds(tmp_path: Path) -> None:
    text = describe_file(write_bids(tmp_path))
    for line in ("subjects: 1: '01'", "sessions: 1: 'a'", "tasks: 1: 'faces'", "runs: 2 func"):
        assert line in text
    assert "derivatives: 1: 'fmriprep'" in text
    assert not faults(tmp_path)
    derived = describe_file(tmp_path / "derivatives/fmriprep")
    assert "spaces: 1: 'MNI'" in derived


@pytest.mark.filterwarnings("ignore")
def test_what_mne_bids_writes_is_whole(tmp_path: Path, rng: np.random.Generator) -> None:
    raw = make_raw(rng)
    raw.info["line_freq"] = 50
    path = mne_bids.BIDSPath(root=tmp_path, subject="01", task="see", datatype="eeg")
    mne_bids.write_raw_bids(raw, path, format="BrainVision", allow_preload=True, verbose="error")
    assert "tasks: 1: 'see'" in describe_file(tmp_path)
    assert not faults(tmp_path)


def test_a_bids_folder_names_what_is_missing(tmp_path: Path) -> None:
    folder = write_bids(tmp_path) / "sub-01/ses-a/func"
    (folder / "sub-01_ses-a_task-faces_run-1_events.tsv").unlink()
    (folder / "sub-01_ses-a_task-faces_run-2_events.tsv").write_text(EVENTS + "99\t1\tface\n")
    (folder / "sub-01_ses-a_task-faces_run-2_bold.nii.gz").touch()
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\n")
    assert "run-1_bold.nii.gz: expected an events.tsv, got none" in faults(tmp_path)
    assert "1 of 4 that start later: first onset 99" in faults(tmp_path)
    assert "'sub-02' have no folder" in faults(tmp_path)
    (tmp_path / "task-faces_bold.json").unlink()
    (tmp_path / "dataset_description.json").write_text("{")
    assert "expected RepetitionTime" in faults(tmp_path)
    assert "dataset_description.json: expected JSON" in faults(tmp_path)


def test_recordings_of_a_bids_folder_need_their_tables(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = tmp_path / "sub-01/eeg"
    folder.mkdir(parents=True)
    make_raw(rng).save(folder / "sub-01_task-words_eeg.fif", verbose="error")
    assert "1 of MEG or EEG" in describe_file(tmp_path)
    for missing in ("eeg.json", "channels.tsv", "events.tsv"):
        assert f"expected sub-01_task-words_{missing} beside it" in faults(tmp_path)
    assert "expected dataset_description.json" in faults(tmp_path)


def test_paths_without_a_known_format_are_errors(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no format")
    with pytest.raises(LoadError, match="notes: expected an ending that tells the format"):
        describe_file(tmp_path / "notes")
    with pytest.raises(LoadError, match="expected a folder of BIDS"):
        describe_file(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LoadError, match="empty: expected a folder of data, got an empty one"):
        describe_file(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=r"gone\.nii: expected a file or folder"):
        describe_file(tmp_path / "gone.nii")


def test_whatever_a_library_says_of_damage_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FILES, ".odd", "study.description.find_function")
    (tmp_path / "x.odd").write_text("content")
    with pytest.raises(DataCorruptionError, match=r"x\.odd: expected content of its format"):
        describe_file(tmp_path / "x.odd")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("a.dtseries.nii", "study._describe_surface.describe_cifti"),
        ("a-epo.fif.gz", "study._describe_meg.describe_epochs"),
        ("a.TextGrid", "study._describe_tables.describe_words"),
        ("a_bold.NII.GZ", "study._describe_fmri.describe_image"),
    ],
)
def test_the_longest_ending_tells_the_format(name: str, row: str) -> None:
    assert _find_row(Path(name)) == row


def write_fit(path: Path) -> Path:
    rng = np.random.default_rng(0)
    features = features_from_arrays(rng.normal(size=(20, 3)), stimulus=[f"s{i}" for i in range(20)])
    fit_to_store(Ridge(1.0), features, rng.normal(size=(20, 4)), path)
    return path


def test_a_folder_of_a_fit_is_described_as_a_fit(tmp_path: Path) -> None:
    text = describe_file(write_fit(tmp_path / "fit"))
    assert "fit: a fit of Ridge, 1 of 1 chunks of neuroids done" in text
    assert "sizes: feature 3, neuroid 4" in text
    assert "'weights', 'intercept', 'alpha'" in text


def test_an_unfinished_fit_is_to_be_resumed_not_deleted(tmp_path: Path) -> None:
    folder = write_fit(tmp_path / "fit")
    next((folder / "done").iterdir()).unlink()
    assert "1 of 1 chunks missing or damaged. Repeat the call of fit_to_store" in faults(folder)
    assert "Delete" not in describe_file(folder)
