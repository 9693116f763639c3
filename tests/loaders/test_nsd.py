"""Betas of the Natural Scenes Dataset come in as released: scales, axes, ids, regions."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr

from neuroalign import storage
from neuroalign.align import average_repeats
from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders import load_nsd

GRID, N_LEFT, N_RIGHT = (4, 3, 5), 12, 9
N_IMAGES, SUBJECT = 700, 2
AFFINE = np.array([[1.8, 0, 0, -70], [0, 1.8, 0, -90], [0, 0, 1.8, -60], [0, 0, 0, 1.0]])
BETAS = "nsddata_betas/ppdata/subj02/{}/betas_fithrf_GLMdenoise_RR"
ROI = "nsddata/ppdata/subj02/func1pt8mm/roi"
LABELS = "nsddata/freesurfer/fsaverage/label"
SESSIONS = (1, 3)


def write_design(folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """3 sessions; 700 images a subject, of 73000; the first 100 of each order are shared."""
    own = folder / "nsddata/experiments/nsd"
    own.mkdir(parents=True)
    shared = np.sort(rng.choice(73000, 100, replace=False) + 1)
    images = np.stack([rng.choice(73000, N_IMAGES, replace=False) + 1 for _ in range(8)])
    images[:, :100] = shared
    pattern = np.zeros((40, 12, 75), dtype=np.uint8)
    pattern[:, ::2, 3:66] = pattern[:, 1::2, 3:65] = 1
    order = rng.permutation(np.repeat(np.arange(N_IMAGES) + 1, 4))[: 3 * 750]
    held = {
        "masterordering": order[None],
        "subjectim": images,
        "sharedix": shared[None],
        "stimpattern": pattern,
    }
    scipy.io.savemat(own / "nsd_expdesign.mat", held)
    flag = np.isin(np.arange(73000), shared - 1)
    table = pd.DataFrame({"cocoId": 1, "nsdId": np.arange(73000), "shared1000": flag})
    table.to_csv(own / "nsd_stim_info_merged.csv")
    return held


def write_volumes(folder: Path, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """The same int16 sessions (i, j, k, trial) as .hdf5 and as .nii.gz, and their maps."""
    own, maps = folder / BETAS.format("func1pt8mm"), folder / ROI
    own.mkdir(parents=True)
    maps.mkdir(parents=True)
    raw = {n: rng.integers(-3000, 3000, (*GRID, 750)).astype(np.int16) for n in SESSIONS}
    for number, values in raw.items():
        with h5py.File(own / f"betas_session{number:02d}.hdf5", "w") as file:
            file.create_dataset("betas", data=values.T, chunks=(750, 1, 1, 1))
        nib.save(nib.Nifti1Image(values, AFFINE), own / f"betas_session{number:02d}.nii.gz")
    save(own / "ncsnr.nii.gz", rng.random(GRID).astype(np.float32))
    mask = np.where(rng.random(GRID) < 0.6, 1, 0)
    mask[0, 0, 0] = -1
    save(maps / "nsdgeneral.nii.gz", mask)
    save(maps / "prf-visualrois.nii.gz", np.arange(60).reshape(GRID) % 4 - 1)
    save(maps / "floc-faces.nii.gz", np.arange(60).reshape(GRID) % 3)
    labels = folder / LABELS
    labels.mkdir(parents=True, exist_ok=True)
    (labels / "prf-visualrois.mgz.ctab").write_text("0 Unknown\n1 V1v\n2 V1d\n")
    return raw


def save(path: Path, values: np.ndarray) -> None:
    kind = np.float32 if values.dtype.kind == "f" else np.int16
    nib.save(nib.Nifti1Image(values.astype(kind), AFFINE), path)


def save_mgh(path: Path, values: np.ndarray) -> None:
    shape = (values.shape[0], 1, 1, *values.shape[1:])
    nib.save(nib.freesurfer.MGHImage(values.reshape(shape).astype(np.float32), np.eye(4)), path)


def write_surfaces(folder: Path, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Percent (vertex, 1, 1, trial) of both sides, and their maps."""
    own, labels = folder / BETAS.format("fsaverage"), folder / LABELS
    own.mkdir(parents=True)
    labels.mkdir(parents=True, exist_ok=True)
    raw = {}
    for number in SESSIONS:
        sides = [rng.normal(size=(n, 750)).astype(np.float32) for n in (N_LEFT, N_RIGHT)]
        for stem, values in zip(("lh", "rh"), sides, strict=True):
            save_mgh(own / f"{stem}.betas_session{number:02d}.mgh", values)
        raw[number] = np.concatenate(sides)
    for stem, n in (("lh", N_LEFT), ("rh", N_RIGHT)):
        save_mgh(own / f"{stem}.ncsnr.mgh", np.arange(n) / n)
        save_mgh(labels / f"{stem}.streams.mgz", np.arange(n) % 3)
        table = np.array([[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0]])
        codes = np.arange(n) % 3
        nib.freesurfer.write_annot(
            labels / f"{stem}.Kastner2015.annot", codes, table, ["???", "V1", "TO1"], fill_ctab=True
        )
    (labels / "streams.mgz.ctab").write_text("0 Unknown\n1 early\n2 ventral\n")
    return raw


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("nsd")
    known: dict[str, Any] = {"design": write_design(folder, rng)}
    known["volumes"], known["surfaces"] = write_volumes(folder, rng), write_surfaces(folder, rng)
    return folder, known


@pytest.fixture
def copied(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A dataset to be broken."""
    return Path(shutil.copytree(made[0], tmp_path / "nsd"))


def load(folder: Path, **options: Any) -> xr.DataArray:
    return load_nsd(folder, subject="subj02", sessions=list(SESSIONS), **options)


def check_whole(responses: xr.DataArray, folder: Path) -> None:
    assert responses.dtype == np.dtype("=f4")
    storage.save(responses, folder / "responses.zarr")
    xr.testing.assert_identical(storage.load(folder / "responses.zarr").compute(), responses)


def test_hdf5_axes_are_put_right_and_percent_restored(made: Any, tmp_path: Path) -> None:
    folder, known = made
    responses = load(folder)
    assert responses.chunks[0] == (750, 750)
    values = np.concatenate([known["volumes"][n].reshape(60, 750).T for n in SESSIONS])
    np.testing.assert_allclose(responses.values, values / 300, rtol=1e-6)
    at = responses.isel(neuroid=17)
    i, j, k = (int(at[axis]) for axis in "ijk")
    np.testing.assert_allclose(at[750:], known["volumes"][3][i, j, k] / 300, rtol=1e-6)
    position = AFFINE @ [i, j, k, 1]
    np.testing.assert_allclose([at["x"], at["y"], at["z"]], position[:3], rtol=1e-5)
    check_whole(responses.compute(), tmp_path)


def test_nifti_holds_the_same_as_hdf5(copied: Path) -> None:
    from_hdf5 = load(copied, mask="nsdgeneral").compute()
    for path in (copied / BETAS.format("func1pt8mm")).glob("*.hdf5"):
        path.unlink()
    from_nifti = load(copied, mask=copied / ROI / "nsdgeneral.nii.gz")
    assert from_nifti.chunks[0] == (750, 750)
    xr.testing.assert_equal(from_nifti.compute(), from_hdf5)


def test_a_mask_keeps_what_is_above_zero(made: Any) -> None:
    folder, known = made
    inside = nib.load(folder / ROI / "nsdgeneral.nii.gz").get_fdata() > 0
    responses = load(folder, mask="nsdgeneral")
    assert responses.sizes["neuroid"] == inside.sum()
    assert "0-0-0" not in responses["neuroid"].values
    expected = known["volumes"][1][inside].T / 300
    np.testing.assert_allclose(responses[:750], expected, rtol=1e-6)
    ncsnr = nib.load(folder / BETAS.format("func1pt8mm") / "ncsnr.nii.gz").get_fdata()
    np.testing.assert_allclose(responses["ncsnr"], ncsnr[inside], rtol=1e-6)


def test_surface_betas_are_not_divided_and_left_comes_first(made: Any, tmp_path: Path) -> None:
    folder, known = made
    responses = load(folder, space="fsaverage")
    expected = np.concatenate([known["surfaces"][n].T for n in SESSIONS])
    np.testing.assert_array_equal(responses.values, expected)
    assert responses["hemisphere"].values.tolist() == ["L"] * N_LEFT + ["R"] * N_RIGHT
    assert responses["neuroid"].values[N_LEFT] == "R-0"
    assert responses.attrs["n_vertices"] == [N_LEFT, N_RIGHT]
    assert float(responses["ncsnr"][3]) == pytest.approx(3 / N_LEFT)
    check_whole(responses.compute(), tmp_path)


@pytest.mark.parametrize("space", ["fsaverage", "func1pt8mm"])
def test_parts_on_disk_are_those_of_the_whole(
    made: Any, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"space": space, "mask": {"fsaverage": "streams"}.get(space, "nsdgeneral")}
    whole = load(made[0], **options)
    monkeypatch.setattr("neuroalign.loaders.nsd.BLOCK", 4 * 1500 * 4)
    parts = load(made[0], **options)
    assert max(parts.chunks[1]) == 4
    xr.testing.assert_identical(parts.compute(), whole.compute())
    rows = slice(740, 760, 3)
    xr.testing.assert_identical(parts[rows, 3:14:2].compute(), whole.compute()[rows, 3:14:2])


def test_images_are_named_from_0_and_repeats_counted_over_all_sessions(made: Any) -> None:
    folder, known = made
    responses, design = load(folder), known["design"]
    order = design["masterordering"].ravel()
    rows = [*range(750), *range(1500, 2250)]
    images = design["subjectim"][SUBJECT - 1]
    for row, trial in list(enumerate(rows))[::97]:
        image = images[order[trial] - 1] - 1
        assert str(responses["stimulus"].values[row]) == f"nsd-{image:05d}"
        assert int(responses["repeat"][row]) == (order[:trial] == order[trial]).sum()
        assert bool(responses["shared"][row]) == (image + 1 in design["sharedix"])
    assert responses["session"].values[[0, 749, 750]].tolist() == ["ses-01", "ses-01", "ses-03"]
    assert responses["trial"].values[[0, 749, 750]].tolist() == [0, 749, 0]


def test_runs_and_onsets_follow_the_pattern_of_the_design(made: Any) -> None:
    responses = load(made[0])
    assert responses["run"].values[[0, 62, 63]].tolist() == ["ses-01_run-01"] * 2 + [
        "ses-01_run-02"
    ]
    np.testing.assert_array_equal(responses["onset"][:3], [12, 16, 20])
    names, counts = np.unique(responses["run"], return_counts=True)
    assert len(names) == 24
    assert counts.tolist() == [63, 62] * 12


def test_the_shared_images_of_design_and_table_agree(made: Any, copied: Path) -> None:
    folder, known = made
    experiment = Path("nsddata/experiments/nsd")
    table = pd.read_csv(folder / experiment / "nsd_stim_info_merged.csv")
    listed = table.loc[table["shared1000"], "nsdId"].to_numpy()
    np.testing.assert_array_equal(known["design"]["sharedix"].ravel() - 1, listed)
    table["nsdId"] += 1
    table.to_csv(copied / experiment / "nsd_stim_info_merged.csv")
    with pytest.raises(LoadError, match="expected nsdId of shared1000 to be sharedix - 1"):
        load(copied)


def test_regions_take_the_names_of_the_colour_table(made: Any) -> None:
    folder = made[0]
    responses = load(folder, roi="prf-visualrois")
    codes = (np.arange(60) % 4 - 1).tolist()
    names = {1: "V1v", 2: "V1d"}
    assert responses["roi"].values.tolist() == [names.get(code, "") for code in codes]
    both = load(folder, roi=["prf-visualrois", "floc-faces"])
    faces = [str(code) if code else "" for code in (np.arange(60) % 3).tolist()]
    assert both["roi_floc-faces"].values.tolist() == faces, "numbers without a table"
    first = both["roi_prf-visualrois"].values.tolist()
    assert both["roi"].values.tolist() == [a or b for a, b in zip(first, faces, strict=True)]


@pytest.mark.parametrize(
    ("roi", "names"), [("streams", ["", "early", "ventral"]), ("Kastner2015", ["", "V1", "TO1"])]
)
def test_surface_regions_come_from_mgz_and_annot(made: Any, roi: str, names: list[str]) -> None:
    responses = load(made[0], space="fsaverage", roi=roi)
    vertex = responses["vertex"].values
    assert responses["roi"].values.tolist() == [names[n % 3] for n in vertex.tolist()]


def test_repeats_average_to_one_row_an_image(made: Any) -> None:
    responses = load(made[0], space="fsaverage")
    averaged = average_repeats(responses)
    assert averaged.chunks is not None
    assert averaged.sizes["sample"] == len(set(responses["stimulus"].values.tolist()))


def test_a_transposed_mask_is_refused_by_name(copied: Path) -> None:
    path = copied / "wrong.nii.gz"
    save(path, np.ones(GRID[::-1]))
    with pytest.raises(LoadError, match=r"wrong.nii.gz: .*got it reversed, \(5, 3, 4\).*transpose"):
        load(copied, mask=path)
    save(path, np.ones((2, 2, 2)))
    with pytest.raises(LoadError, match=r"wrong.nii.gz: expected the grid \(4, 3, 5\)"):
        load(copied, mask=path)
    save(path, np.zeros(GRID))
    with pytest.raises(LoadError, match="expected voxels above 0, got none"):
        load(copied, mask=path)


def test_a_session_that_lacks_or_is_short_is_named(copied: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected 40 sessions, missing 'betas_session02"):
        load_nsd(copied, subject=2)
    own = copied / BETAS.format("func1pt8mm")
    with h5py.File(own / "betas_session03.hdf5", "w") as file:
        file["betas"] = np.zeros((749, *GRID[::-1]), np.int16)
    with pytest.raises(LoadError, match=r"session03.hdf5: expected 750 trials in a session, got 7"):
        load(copied)
    path = copied / BETAS.format("fsaverage") / "rh.betas_session03.mgh"
    save_mgh(path, np.zeros((N_RIGHT, 700)))
    with pytest.raises(LoadError, match=r"rh.betas_session03.mgh: expected 750 trials"):
        load(copied, space="fsaverage")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"missing 'rh.betas_session03.mgh'"):
        load(copied, space="fsaverage")


def test_damaged_betas_are_named(copied: Path) -> None:
    path = copied / BETAS.format("fsaverage") / "lh.betas_session01.mgh"
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(DataCorruptionError, match=r"lh.betas_session01.mgh: truncated: .*20000"):
        load(copied, space="fsaverage")
    path.write_bytes(b"no such format")
    with pytest.raises(DataCorruptionError, match=r"expected a FreeSurfer .mgh"):
        load(copied, space="fsaverage")
    path = copied / BETAS.format("func1pt8mm") / "betas_session01.hdf5"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataCorruptionError, match=r"betas_session01.hdf5: expected a whole HDF5"):
        load(copied)


def test_betas_in_another_scale_are_refused(copied: Path) -> None:
    own = copied / BETAS.format("func1pt8mm")
    with h5py.File(own / "betas_session01.hdf5", "w") as file:
        file["betas"] = np.zeros((750, *GRID[::-1]), np.float32)
    with pytest.raises(LoadError, match="expected int16 .percent times 300., got float32"):
        load(copied)
    for path in own.glob("*.hdf5"):
        path.unlink()
    image = nib.Nifti1Image(np.ones((*GRID, 750), np.int16), AFFINE)
    image.header.set_slope_inter(1 / 300, 0)
    nib.save(image, own / "betas_session01.nii.gz")
    with pytest.raises(LoadError, match="without a scale in the header, got slope 0.0033"):
        load(copied)


def test_links_out_of_an_hdf5_file_are_refused(copied: Path) -> None:
    path = copied / BETAS.format("func1pt8mm") / "betas_session01.hdf5"
    with h5py.File(path, "w") as file:
        file["betas"] = h5py.ExternalLink("betas_session03.hdf5", "/betas")
    with pytest.raises(LoadError, match=r"betas_session01.hdf5: expected a dataset '/betas' of"):
        load(copied)


def test_maps_of_another_surface_are_refused(copied: Path) -> None:
    save_mgh(copied / LABELS / "lh.streams.mgz", np.zeros(5))
    with pytest.raises(LoadError, match=r"lh.streams.mgz: expected the 12 vertices of the betas"):
        load(copied, space="fsaverage", roi="streams")
    with pytest.raises(FileNotFoundError, match=r"lh.absent.mgz: expected a region file.*Kastner"):
        load(copied, space="fsaverage", roi="absent")
    (copied / LABELS / "streams.mgz.ctab").write_text("one early\n")
    with pytest.raises(LoadError, match=r"ctab: expected 'number name', got 'one early' in row 0"):
        load(copied, space="fsaverage", roi="streams")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject": "subj09"}, "subject: expected 'subj01' to 'subj08', got 'subj09'"),
        ({"sessions": [41]}, "sessions: expected each of 1 to 40 once at most"),
        ({"sessions": []}, r"sessions: expected each of 1 to 40 once at most .*got \[\]"),
        ({"sessions": [1, 1]}, "sessions: expected each of 1 to 40 once at most"),
        ({"space": "MNI"}, "space: expected one of 'func1pt8mm'"),
        ({"preparation": "b3"}, "expected a folder of betas, got none. Beside it: 'betas_fithrf"),
    ],
)
def test_arguments_are_checked(made: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((LoadError, ValueError, FileNotFoundError), match=message):
        load_nsd(made[0], **({"subject": 2, "sessions": [1]} | options))


@pytest.mark.parametrize(
    "fault", ["images from 0", "no order", "few trials", "few subjects", "no mat"]
)
def test_a_design_that_does_not_fit_is_named(copied: Path, made: Any, fault: str) -> None:
    path, held = copied / "nsddata/experiments/nsd/nsd_expdesign.mat", dict(made[1]["design"])
    changes = {
        "images from 0": ({"subjectim": held["subjectim"] * 0}, "counted from 1.*images from 0"),
        "no order": ({"masterordering": None}, "missing .'masterordering'."),
        "few trials": ({"stimpattern": held["stimpattern"] * 0}, "750 trials in stimpattern"),
        "few subjects": (
            {"subjectim": held["subjectim"][:1]},
            "expected images of 8 subjects in subjectim, got 1",
        ),
        "no mat": ({}, "expected a MATLAB file"),
    }
    change, message = changes[fault]
    kept = {key: value for key, value in (held | change).items() if value is not None}
    scipy.io.savemat(path, kept)
    if not change:
        path.write_bytes(b"not a mat file" * 20)
    with pytest.raises(LoadError, match=rf"nsd_expdesign.mat: .*{message}"):
        load(copied)
