"""Faults that every loader meets, and those that belong to no format alone."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import mne
import mne_bids
import nibabel as nib
import numpy as np
import pandas as pd
import pynwb
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignError, SchemaError
from neuroalign.loaders.arrays import features_from_arrays, from_arrays
from neuroalign.loaders.cifti import load_cifti
from neuroalign.loaders.events import label_times, load_events
from neuroalign.loaders.fmri import load_fmri
from neuroalign.loaders.gifti import load_gifti
from neuroalign.loaders.meg import load_continuous, load_epochs, load_meg
from neuroalign.loaders.meg_bids import load_meg_bids
from neuroalign.loaders.nifti import open_image, read_tr, to_nifti
from neuroalign.loaders.nwb import load_nwb
from neuroalign.loaders.phy import load_phy
from neuroalign.loaders.sources import load_source_estimates
from neuroalign.loaders.suite2p import load_suite2p
from neuroalign.loaders.transcript import load_transcript

NIBABEL = Path(nib.__file__).parent / "tests/data"


def load_first_fif(path: Path) -> Any:
    return load_meg(path, window=(0.0, 0.1))


LOADERS: dict[str, Callable[[Path], Any]] = {
    "x.nii": load_fmri,
    "x.nii.gz": load_fmri,
    "x.func.gii": lambda path: load_gifti(path, tr=2.0),
    "x.dtseries.nii": load_cifti,
    "x_raw.fif": load_first_fif,
    "x_raw.fif.gz": load_continuous,
    "x.edf": load_continuous,
    "x.bdf": load_continuous,
    "x.vhdr": load_continuous,
    "x.set": load_continuous,
    "x-epo.fif": load_epochs,
    "x-lh.stc": load_source_estimates,
    "x.nwb": load_nwb,
    "x_events.tsv": load_events,
    "x.csv": load_transcript,
    "x.TextGrid": load_transcript,
    "spike_times.npy": lambda path: load_phy(
        path.parent,
        pd.DataFrame({"onset": [0.0], "duration": [1.0], "stimulus": ["a"]}),
        window=(0.0, 1.0),
        bin_width=1.0,
    ),
    "F.npy": lambda path: load_suite2p(path.parent, rate=10.0, cells=False, neuropil=0),
    "x.nc": storage.load,
}
CONTENTS = {
    "page": b"<!DOCTYPE html><html><body>504 Gateway Time-out</body></html>",
    "annex": b"../../.git/annex/objects/Xk/9F/SHA256E-s1024--0a1b.nii.gz",
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 1024\n",
    "empty": b"",
    "noise": bytes(range(128, 256)) * 8,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", LOADERS)
def test_what_a_failed_download_leaves_is_named(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(CONTENTS[content])
    for other in ("spike_clusters.npy", "iscell.npy"):
        np.save(tmp_path / other, np.zeros((2, 2)))
    with pytest.raises((NeuroalignError, FileNotFoundError), match=name.split(".")[0]) as caught:
        LOADERS[name](tmp_path / name)
    words = {"page": "HTML", "annex": "pointer", "lfs": "pointer", "empty": "empty"}
    # netCDF and .stc have doors of their own, which say that the content is another.
    if content in words and name not in ("x.nc", "x-lh.stc"):
        assert words[content] in str(caught.value)


@pytest.mark.parametrize("name", [name for name in LOADERS if not name.endswith(".npy")])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=name.removesuffix("-lh.stc")):
        LOADERS[name](tmp_path / name)


def make_responses(**options: Any) -> xr.DataArray:
    return from_arrays(np.zeros((3, 2)), stimulus=["a", "b", "c"], modality="eeg", **options)


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: r.stack(both=("sample", "neuroid")), "MultiIndex"),
        (lambda r: r.assign_attrs(affine=np.eye(4)), "affine"),
        (lambda r: r.assign_attrs(affine=np.eye(4).tolist()), "affine"),
        (lambda r: r.assign_attrs(when=pd.Timestamp("2020-01-01")), "Timestamp"),
        (
            lambda r: r.assign_coords(
                when=("sample", pd.date_range("2020", periods=3, tz="UTC").astype(object))
            ),
            "object",
        ),
        (lambda r: r.assign_coords(kind=("sample", np.array(["a", 1, None], object))), "object"),
    ],
)
def test_what_a_file_would_change_is_not_written(
    spoil: Callable[[xr.DataArray], xr.DataArray], message: str, ending: str, tmp_path: Path
) -> None:
    with pytest.raises(SchemaError, match=message):
        storage.save(spoil(make_responses()), tmp_path / f"x{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_categories_of_pandas_are_refused(ending: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"kind": pd.Categorical(["a", "b", "a"])}, index=pd.Index([0, 1, 2]))
    bad = make_responses().assign_coords(kind=("sample", frame["kind"].array))
    with pytest.raises(SchemaError, match="kind"):
        storage.save(bad, tmp_path / f"x{ending}")


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_text_of_any_length_and_alphabet_comes_back(ending: str, tmp_path: Path) -> None:
    names = ["a", "a much longer label than the first", "Straße/Ж"]
    responses = from_arrays(np.zeros((3, 2)), stimulus=names, modality="eeg")
    again = storage.load(storage.save(responses, tmp_path / f"x{ending}")).compute()
    assert again["stimulus"].values.tolist() == names
    assert again["stimulus"].dtype.kind == "U"
    assert again.identical(responses)


def test_a_longer_label_is_not_cut_to_the_width_of_the_first() -> None:
    events = pd.DataFrame({"onset": [0.0], "duration": [1.0], "stimulus": ["a"]})
    labels = label_times(events, np.array([0.0, 5.0]), rest="between the events")
    assert labels.tolist() == ["a", "between the events"]


def test_a_store_that_is_open_may_be_replaced_and_chunked_anew(tmp_path: Path) -> None:
    values = from_arrays(np.arange(24.0).reshape(8, 3), stimulus=list("abcdefgh"), modality="eeg")
    path = storage.save(values.chunk(sample=4), tmp_path / "x.zarr")
    lazy = storage.load(path)
    again = storage.load(storage.save(lazy.chunk(sample=3), tmp_path / "y.zarr"))
    np.testing.assert_array_equal(again.values, values.values)
    storage.save(lazy + 1, path, overwrite=True)
    np.testing.assert_array_equal(storage.load(path).values, values.values + 1)


def test_an_open_netcdf_may_be_replaced(tmp_path: Path) -> None:
    values = make_responses()
    path = storage.save(values, tmp_path / "x.nc")
    storage.save(storage.load(path) + 1, path, overwrite=True)
    np.testing.assert_array_equal(storage.load(path).values, values.values + 1)


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_an_index_of_ones_own_is_not_kept_but_its_labels_are(ending: str, tmp_path: Path) -> None:
    indexed = make_responses().set_xindex("stimulus")
    again = storage.load(storage.save(indexed, tmp_path / f"x{ending}"))
    assert "stimulus" not in again.indexes
    assert again["stimulus"].values.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_what_comes_back_can_be_chunked_by_size(ending: str, tmp_path: Path) -> None:
    again = storage.load(storage.save(make_responses(), tmp_path / f"x{ending}"))
    assert again.chunk("auto").chunks == ((3,), (2,))


def test_features_of_one_name_twice_are_told_apart_from_repeats() -> None:
    responses = from_arrays(np.zeros((3, 1)), stimulus=["a", "b", "a"], modality="eeg")
    assert responses["repeat"].values.tolist() == [0, 0, 1]
    features = features_from_arrays(np.zeros((2, 1)), stimulus=["001", "1"])
    assert features["stimulus"].values.tolist() == ["001", "1"]


def test_nibabels_own_series_with_a_tr_of_2000_s_is_refused() -> None:
    path = NIBABEL / "example4d.nii.gz"
    with pytest.raises(LoadError, match=r"example4d\.nii\.gz: expected a TR .* got 2000 s"):
        read_tr(open_image(path), path)
    assert load_fmri(path, tr=2.0).shape == (2, 128 * 96 * 24)


def test_nibabels_own_big_endian_image_becomes_native() -> None:
    image = nib.load(NIBABEL / "functional.nii")
    responses = load_fmri(NIBABEL / "functional.nii", tr=2.0)
    assert responses.dtype.isnative
    expected = np.asanyarray(image.dataobj).reshape(-1, image.shape[3]).T
    np.testing.assert_allclose(responses.values, expected, rtol=1e-6)


def write_series(path: Path, values: np.ndarray) -> Path:
    image = nib.Nifti1Image(values, np.diag([3.0, 3.0, 4.0, 1.0]))
    image.header.set_zooms((3, 3, 4, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def test_nan_goes_back_as_nan_and_not_as_zero(tmp_path: Path) -> None:
    responses = load_fmri(write_series(tmp_path / "x.nii", np.ones((2, 2, 2, 3), np.int16)))
    holes = responses.mean("sample", keep_attrs=True).compute()
    holes[3] = np.nan
    again = np.asanyarray(nib.load(to_nifti(holes, tmp_path / "again.nii")).dataobj)
    assert again.dtype == np.float32
    assert np.isnan(again).sum() == 1


def test_a_constant_voxel_does_not_become_nan(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(2, 2, 2, 9)).astype("float32")
    values[0, 0, 0] = 7
    path = write_series(tmp_path / "x.nii", values)
    for how in ("zscore", "percent"):
        assert np.isfinite(load_fmri(path, standardize=how, detrend=True).values).all()


def write_bids(root: Path, rng: np.random.Generator) -> Path:
    info = mne.create_info(["Fz", "Cz", "Pz"], 100.0, "eeg", verbose="warning")
    info["line_freq"] = 50
    raw = mne.io.RawArray(rng.standard_normal((3, 400)) * 1e-5, info, verbose="warning")
    raw.set_annotations(mne.Annotations([0.5, 1.5], 0.2, ["face", "house"]))
    path = mne_bids.BIDSPath(root=root, subject="01", task="see", datatype="eeg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mne_bids.write_raw_bids(
            raw, path, format="BrainVision", allow_preload=True, verbose="error"
        )
    return next(root.rglob("*_channels.tsv"))


@pytest.mark.filterwarnings("ignore")
def test_channels_in_another_order_than_the_recording_are_refused(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    table = write_bids(tmp_path, rng)
    head, first, second, third = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([head, second, first, third]) + "\n", encoding="utf-8")
    with pytest.raises(LoadError, match="sub-01"):
        load_meg_bids(tmp_path, subject="01", task="see", window=(0.0, 0.1))


@pytest.mark.filterwarnings("ignore")
def test_a_channel_without_a_row_keeps_its_values(tmp_path: Path, rng: np.random.Generator) -> None:
    table = write_bids(tmp_path, rng)
    whole = load_meg_bids(tmp_path, subject="01", task="see", window=(0.0, 0.1))
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(rows[:-1]) + "\n", encoding="utf-8")
    part = load_meg_bids(tmp_path, subject="01", task="see", window=(0.0, 0.1))
    np.testing.assert_array_equal(part.values, whole.values)


def write_nwb(path: Path, start: float = 0.0) -> Path:
    file = pynwb.NWBFile("a session", "id", datetime(2000, 1, 1, tzinfo=UTC))
    file.add_unit(spike_times=start + np.array([0.1, 0.6]))
    file.add_trial(start, start + 1.0)
    with pynwb.NWBHDF5IO(path, "w") as out:
        out.write(file)
    return path


def test_a_session_that_starts_late_is_counted_from_its_trials(tmp_path: Path) -> None:
    counts = load_nwb(write_nwb(tmp_path / "x.nwb", 4397.3), bin_width=0.5)
    assert counts.values[0, 0].tolist() == [1, 1]


def test_a_date_without_a_zone_changes_nothing(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "x.nwb")
    with h5py.File(path, "r+") as file:
        file["session_start_time"][()] = b"2000-01-01T00:00:00"
    assert load_nwb(path, bin_width=0.5).values[0, 0].tolist() == [1, 1]


def test_a_foreign_version_of_a_store_is_named(tmp_path: Path) -> None:
    path = storage.save(make_responses(), tmp_path / "x.nc")
    with h5py.File(path, "r+") as file:
        file.attrs["_neuroalign_schema"] = "neuroalign/99"
    with pytest.raises((LoadError, DataCorruptionError), match=r"x\.nc.*neuroalign/99"):
        storage.load(path)


def test_an_array_with_an_open_bracket_in_its_header_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "F.npy", np.zeros((2, 3), "float32"))
    content = (tmp_path / "F.npy").read_bytes()
    (tmp_path / "F.npy").write_bytes(content.replace(b"(2, 3)", b"(2, 3 ", 1))
    with pytest.raises(DataCorruptionError, match=r"F\.npy"):
        load_suite2p(tmp_path, rate=10.0, cells=False, neuropil=0)


@pytest.mark.filterwarnings("ignore")
def test_a_header_of_brainvision_without_a_section_is_named(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    write_bids(tmp_path, rng)
    header = next(tmp_path.rglob("*.vhdr"))
    text = header.read_text(encoding="utf-8")
    header.write_text(text.replace("[Channel Infos]", "[Channel Notes]"), encoding="utf-8")
    with pytest.raises(LoadError, match=r"eeg\.vhdr"):
        load_continuous(header)
