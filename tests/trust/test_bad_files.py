"""Files that are not what they should be: each is refused with its name, the finding, a remedy."""

from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from neuroalign import loaders, storage
from neuroalign.errors import (
    DataCorruptionError,
    LoadError,
    NeuroalignWarning,
)
from neuroalign.loaders.nifti import open_image
from tests.trust.makers import (
    AFFINE,
    cut,
    make_raw,
    make_responses,
    write_epochs,
    write_events,
    write_image,
    write_nwb,
    write_raw,
    write_surface,
)
from tests.trust.messages import Bad, assert_message, check_refused

PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def load_beside(folder: Path, name: str) -> Any:
    write_image(folder / "sub-01_bold.nii.gz")
    return loaders.load_fmri(folder / name)


def load_page(folder: Path, name: str) -> Any:
    (folder / name).write_bytes(PAGE)
    reader = loaders.load_continuous if name.endswith(".fif") else loaders.load_fmri
    return reader(folder / name)


def load_empty(folder: Path) -> Any:
    (folder / "bold.nii.gz").write_bytes(b"")
    return loaders.load_fmri(folder / "bold.nii.gz")


def load_cut(folder: Path, name: str) -> Any:
    values = np.random.default_rng(0).standard_normal((6, 6, 6, 40)).astype("float32")
    return loaders.load_fmri(cut(write_image(folder / name, values=values)))


def load_lie(folder: Path, size: int) -> Any:
    """Load an image whose header claims ``size`` in each direction."""
    path = write_image(folder / "bold.nii")
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([size] * 3, dtype="<i2").tobytes()
    path.write_bytes(bytes(content))
    return loaders.load_fmri(path)


def load_affine(folder: Path, value: float) -> Any:
    path = write_image(folder / "bold.nii")
    content = bytearray(path.read_bytes())
    # The code of the sform, and its first row.
    content[254:256] = np.array([1], dtype="<i2").tobytes()
    content[280:296] = np.array([value] * 4, dtype="<f4").tobytes()
    path.write_bytes(bytes(content))
    return loaders.load_fmri(path)


def load_masked(folder: Path, values: Any, affine: Any = None) -> Any:
    write_image(folder / "bold.nii")
    write_image(folder / "mask.nii", values=np.asarray(values, dtype="float32"), affine=affine)
    return loaders.load_fmri(folder / "bold.nii", mask=folder / "mask.nii")


def label_by_fractions(folder: Path) -> Any:
    write_image(folder / "bold.nii")
    write_image(folder / "atlas.nii", values=np.full((4, 4, 3), 1.5, dtype="float32"))
    return loaders.add_roi(loaders.load_fmri(folder / "bold.nii"), folder / "atlas.nii")


def load_labelled(folder: Path, *rows: str, **header: str) -> Any:
    write_image(folder / "bold.nii")
    events = write_events(folder / "run_events.tsv", *rows, **header)
    return loaders.load_fmri(folder / "bold.nii", events=events)


def load_cut_fif(folder: Path) -> Any:
    return loaders.load_continuous(cut(write_raw(folder / "x_raw.fif")))


def load_no_trials(folder: Path) -> Any:
    return loaders.load_epochs(write_epochs(folder / "x-epo.fif", bad=True))


def load_two_alike(folder: Path) -> Any:
    raw = make_raw()
    with raw.info._unlock():
        raw.info["chs"][1]["ch_name"] = "Fz"
        raw.info["ch_names"][1] = "Fz"
    return loaders.load_meg(raw, window=(0.0, 0.1))


def bin_spikes(width: float) -> Any:
    events = pd.DataFrame({"onset": [0.0], "duration": [1.0], "stimulus": ["a"]})
    return loaders.bin_trials({"u1": [0.5]}, events, window=(0.0, 1.0), bin_width=width)


def open_linked(folder: Path, ending: str) -> Any:
    storage.save(make_responses(), folder / "other.nc")
    if ending == ".nwb":
        path = write_nwb(folder / "x.nwb")
    else:
        path = storage.save(make_responses(), folder / "x.nc")
    with h5py.File(path, "r+") as file:
        file["more"] = h5py.ExternalLink(str(folder / "other.nc"), "/")
    return (loaders.load_nwb if ending == ".nwb" else storage.load)(path)


def load_objects(folder: Path) -> Any:
    np.save(folder / "F.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return loaders.load_suite2p(folder, rate=10.0, cells=False, neuropil=0)


ROW = "1\t1\tface"
# What is wrong -> how it is met, and what must be said.
BAD: dict[str, Bad] = {
    "a path to nothing": Bad(
        lambda f: load_beside(f, "sub-1_bold.nii.gz"),
        FileNotFoundError,
        r"sub-1_bold\.nii\.gz",
        "got none",
        r"In its folder: 'sub-01_bold\.nii\.gz'",
    ),
    "a folder for a file": Bad(
        lambda f: loaders.load_fmri(f), LoadError, r"\w: ", "got a folder", "Name the"
    ),
    "an empty file": Bad(
        load_empty, DataCorruptionError, r"bold\.nii\.gz", "got an empty one", "Download"
    ),
    "a page saved as an image": Bad(
        lambda f: load_page(f, "bold.nii.gz"),
        DataCorruptionError,
        r"bold\.nii\.gz",
        "got an HTML",
        "download it again",
    ),
    "a page saved as a recording": Bad(
        lambda f: load_page(f, "x_raw.fif"),
        DataCorruptionError,
        r"x_raw\.fif",
        "got an HTML",
        "asked to log in; download",
    ),
    "a compressed image that was cut": Bad(
        lambda f: load_cut(f, "bold.nii.gz"),
        DataCorruptionError,
        r"bold\.nii\.gz",
        "expected 34912 bytes",
        "Download it again",
    ),
    "an image that was cut": Bad(
        lambda f: load_cut(f, "bold.nii"),
        DataCorruptionError,
        r"bold\.nii",
        "promises 34912 bytes, the file has 17456",
        "Download",
    ),
    "a header that claims terabytes": Bad(
        lambda f: load_lie(f, 30000),
        LoadError,
        r"bold\.nii",
        r"implies 648000000000352 \(30000, 30000, 30000, 6\)",
        "Raise max_bytes",
    ),
    "a header that claims less than nothing": Bad(
        lambda f: load_lie(f, -4),
        DataCorruptionError,
        r"bold\.nii",
        r"got \(-4",
        "Download it again",
    ),
    "an affine that is not finite": Bad(
        lambda f: load_affine(f, np.nan), LoadError, r"bold\.nii", r"got \[\[nan", "Mend the header"
    ),
    "an affine that cannot be inverted": Bad(
        lambda f: load_affine(f, 0.0), LoadError, r"bold\.nii", r"got \[\[0\.0", "Mend the header"
    ),
    "a mask that lies elsewhere": Bad(
        lambda f: load_masked(f, np.ones((4, 4, 3)), AFFINE + np.eye(4, k=3) * 2),
        LoadError,
        r"mask\.nii",
        r"bold\.nii, got one that differs by 2 mm",
        "Resample",
    ),
    "a volume where a series is expected": Bad(
        lambda f: loaders.load_fmri(write_image(f / "bold.nii", (4, 4, 3))),
        LoadError,
        r"bold\.nii",
        r"expected 4 dims .* got shape \(4, 4, 3\)",
        "Name the series",
    ),
    "a mask that selects nothing": Bad(
        lambda f: load_masked(f, np.zeros((4, 4, 3))),
        LoadError,
        r"mask\.nii",
        "got 0",
        "Check the threshold",
    ),
    "labels that are fractions": Bad(
        label_by_fractions, LoadError, r"atlas\.nii", "got fractions", "use the label image"
    ),
    "events without onsets": Bad(
        lambda f: load_labelled(f, "1\tface", header="duration\ttrial_type"),
        LoadError,
        r"run_events\.tsv",
        r"expected column 'onset', got \['duration', 'trial_type'\]",
        "Rename it",
    ),
    "events after the run": Bad(
        lambda f: load_labelled(f, ROW, "100\t1\thouse"),
        LoadError,
        r"run_events\.tsv",
        r"\(12 s\), got 1 of 2 .* onset 100 'house'",
        "Check units",
    ),
    "an event twice": Bad(
        lambda f: load_labelled(f, ROW, ROW),
        LoadError,
        r"run_events\.tsv",
        "got 'face' at 1 s again in row 1",
        "Drop the copies",
    ),
    "a repetition time of 0": Bad(
        lambda f: loaders.load_fmri(write_image(f / "bold.nii", tr=0.0)),
        LoadError,
        r"bold\.nii",
        "got 0 s",
        "Pass tr= in seconds",
    ),
    "no repetition time at all": Bad(
        lambda f: loaders.load_gifti(write_surface(f / "lh.func.gii")),
        LoadError,
        r"lh\.func\.gii",
        "got none",
        "Pass tr= in seconds",
    ),
    "a recording that was cut": Bad(
        load_cut_fif, DataCorruptionError, r"x_raw\.fif", "got .* whole tags", "download it again"
    ),
    "two channels of one name": Bad(
        load_two_alike, LoadError, "recording", "got 'Fz' several times", "Rename them"
    ),
    "epochs of which none is good": Bad(
        load_no_trials, LoadError, r"x-epo\.fif", "got 0 of ", "Reject fewer"
    ),
    "a session without units": Bad(
        lambda f: loaders.load_nwb(write_nwb(f / "x.nwb", units=False)),
        LoadError,
        r"x\.nwb",
        "expected a units table, got none",
        "load_nwb_traces",
    ),
    "a spike at no time": Bad(
        lambda f: loaders.load_nwb(write_nwb(f / "x.nwb", (0.1, np.nan))),
        LoadError,
        r"x\.nwb",
        r"trains\['0'\].* got nan at position 1 ",
        "Drop those spikes",
    ),
    "bins of no width": Bad(lambda f: bin_spikes(0.0), LoadError, "bin_width", "got 0", "\\w"),
    "bins wider than the trial": Bad(
        lambda f: bin_spikes(2.0), LoadError, "window|bin_width", "got", "\\w"
    ),
    "a result that links to another file": Bad(
        lambda f: open_linked(f, ".nc"), DataCorruptionError, r"x\.nc", "link at '/more'", "Copy"
    ),
    "a session that links to another file": Bad(
        lambda f: open_linked(f, ".nwb"), LoadError, r"x\.nwb", "link to .*at '/more'", "Copy"
    ),
    "an array of objects": Bad(
        load_objects, LoadError, r"F\.npy", "got pickled objects", "Save it as a plain array"
    ),
    "a dataset named like a path": Bad(
        lambda f: loaders.fetch_dataset("../../etc", folder=f),
        ValueError,
        "name",
        r"expected one of 'algonauts2023'",
        r"got '\.\./\.\./etc'",
    ),
    "a dataset that is not here": Bad(
        lambda f: loaders.load_dataset("lebel2023", subject="UTS01", folder=f),
        FileNotFoundError,
        "lebel2023",
        "got none",
        "Run: neuroalign fetch lebel2023",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(name: str, tmp_path: Path) -> None:
    check_refused(BAD[name], tmp_path)


def test_events_in_any_order_come_sorted(tmp_path: Path) -> None:
    table = loaders.load_events(write_events(tmp_path / "x_events.tsv", "5\t1\tb", "1\t1\ta"))
    assert table["stimulus"].tolist() == ["a", "b"]


def test_spikes_in_any_order_and_before_zero_are_counted(tmp_path: Path) -> None:
    counts = loaders.load_nwb(write_nwb(tmp_path / "x.nwb", (0.6, -0.2, 0.1)), bin_width=0.5)
    assert counts.values.ravel().tolist() == [1, 1]
    assert "1 spikes before the reference time kept" in counts.attrs["history"]


def test_only_the_first_volume_is_asked_for_and_the_cut_is_found(tmp_path: Path) -> None:
    path = cut(write_image(tmp_path / "bold.nii", (6, 6, 6, 20)), 0.8)
    assert np.isfinite(np.asanyarray(nib.load(path).dataobj[..., 0])).all()
    with pytest.raises(DataCorruptionError) as caught:
        open_image(path)
    assert_message(caught.value, names=r"bold\.nii", found="promises", advice="Download it again")


def test_channels_of_one_name_in_a_file_are_told(tmp_path: Path) -> None:
    raw = make_raw(names=("Fz", "Cz"))
    path = tmp_path / "x_raw.fif"
    raw.save(path, verbose="error")
    path.write_bytes(path.read_bytes().replace(b"Cz", b"Fz"))
    with pytest.warns(NeuroalignWarning, match=r"x_raw\.fif: .*not unique.*'Fz'"):
        names = loaders.load_continuous(path)["neuroid"].values.tolist()
    assert names == ["Fz-0", "Fz-1"]
