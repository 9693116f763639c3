"""Runs become responses: values, places, labels and steps."""

from pathlib import Path

import dask
import dask.array as da
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from nilearn.signal import clean
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from neuroalign.errors import LoadError, NeuroalignWarning, SchemaError
from neuroalign.loaders import load_fmri, to_nifti

AFFINE = np.diag([3.0, 3.0, 4.0, 1.0])


def write(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    image = nib.Nifti1Image(values, affine)
    image.header.set_zooms((3, 3, 4, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


@pytest.fixture
def run(rng: np.random.Generator) -> np.ndarray:
    drift = np.linspace(0, 5, 40)
    return (100 + drift + rng.normal(size=(3, 2, 2, 40))).astype("float32")


def test_values_and_places_equal_the_file(run: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "bold.nii.gz", run)
    responses = load_fmri(path, labels=[["rest"] * 40])
    np.testing.assert_array_equal(responses.values, run.reshape(-1, 40).T)
    assert responses["neuroid"].values[1] == "0-0-1"
    np.testing.assert_allclose(responses["z"].values[:2], [0, 4])
    assert responses["onset"].values[:3].tolist() == [0.0, 2.0, 4.0]
    assert responses.attrs["sampling_rate"] == 0.5


def test_cleaning_agrees_with_nilearn(
    run: np.ndarray, tmp_path: Path, rng: np.random.Generator
) -> None:
    confounds = rng.normal(size=(40, 2))
    path = write(tmp_path / "bold.nii", run)
    responses = load_fmri(path, confounds=[confounds], high_pass=0.03, standardize="zscore").values
    expected = clean(
        run.reshape(-1, 40).T.astype(float),
        confounds=confounds,
        detrend=False,
        filter="cosine",
        high_pass=0.03,
        t_r=2.0,
        standardize="zscore_sample",
        standardize_confounds=True,
    )
    np.testing.assert_allclose(responses * np.sqrt(39 / 40), expected, atol=2e-3)


def test_runs_stay_lazy_and_are_standardised_apart(run: np.ndarray, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.nii", run + 50 * n) for n in range(2)]
    responses = load_fmri(paths, standardize="zscore", detrend=True)
    assert responses.chunks == ((40, 40), (12,))
    one = responses.sel(sample=responses["run"] == "run-02")
    np.testing.assert_allclose(one.mean("sample"), 0, atol=1e-4)
    np.testing.assert_allclose(one.std("sample"), 1, atol=1e-4)
    assert "linear trend removed per run" in responses.attrs["history"]


def test_faults_name_the_run(run: np.ndarray, tmp_path: Path) -> None:
    first = write(tmp_path / "1.nii", run)
    moved = AFFINE.copy()
    moved[0, 3] = 5
    with pytest.raises(LoadError, match=r"2\.nii: expected the affine of .*1\.nii.*5 mm"):
        load_fmri([first, write(tmp_path / "2.nii", run, moved)])
    with pytest.raises(LoadError, match=r"3\.nii: expected the grid"):
        load_fmri([first, write(tmp_path / "3.nii", run[:2])])
    slow = nib.load(first)
    slow.header.set_zooms((3, 3, 4, 3.0))
    nib.save(slow, tmp_path / "4.nii")
    with pytest.raises(LoadError, match=r"4\.nii: expected the TR of .*1\.nii .2 s., got 3 s"):
        load_fmri([first, tmp_path / "4.nii"])
    with pytest.raises(LoadError, match="expected 40 rows .* got 39"):
        load_fmri(first, confounds=[np.zeros((39, 1))])
    holes = np.zeros((40, 1))
    holes[3] = np.nan
    with pytest.raises(LoadError, match="NaN in the first row at most"):
        load_fmri(first, confounds=[holes])
    with pytest.raises(LoadError, match="events: expected one for each of 1 runs, got 2"):
        load_fmri(first, events=["a.tsv", "b.tsv"])
    with pytest.raises(LoadError, match="unique names"):
        load_fmri([first, first], runs=["a", "a"])


CLASSIFIERS = {
    "logistic": (LogisticRegression(C=0.01, max_iter=2000), 0.72),
    "svm": (LinearSVC(C=0.001), 0.80),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_haxby_blocks_decode_as_published(real_data: Path, name: str) -> None:
    classifier, published = CLASSIFIERS[name]
    folder = real_data / "haxby2001_pymvpa"
    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    responses = load_fmri(
        [run / "bold_1slice.nii.gz" for run in runs],
        mask=folder / "mask.nii.gz",
        events=[run / "bold_events.tsv" for run in runs],
        detrend=True,
        standardize="zscore",
    ).compute()
    assert responses.shape == (1452, 530)
    run, shown = responses["run"].values, responses["stimulus"].values
    table = np.loadtxt(folder / "attributes_literal.txt", dtype=str)
    np.testing.assert_array_equal(shown, table[:, 0])
    labels = sorted(set(shown) - {"rest"})
    means = {
        (r, s): responses.values[(run == r) & (shown == s)].mean(axis=0)
        for r in np.unique(run)
        for s in ["rest", *labels]
    }
    blocks = [means[r, s] - means[r, "rest"] for r in np.unique(run) for s in labels]
    score = cross_val_score(
        make_pipeline(StandardScaler(), classifier),
        np.array(blocks),
        labels * 12,
        groups=np.repeat(np.arange(12), 8),
        cv=LeaveOneGroupOut(),
    )
    assert score.mean() == pytest.approx(published, abs=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"high_pass": 128, "tr": 2.0}, "high_pass: expected a frequency between 0 and 0.25 Hz"),
        ({"tr": 2500}, "tr: expected a TR of 0.2 to 20.0 s, got 2500 s"),
        ({"mask": np.ones((2, 2, 2))}, "mask: expected the path of a NIfTI image, got ndarray"),
        ({"labels": [["a"]], "events": "e.tsv"}, "labels: expected labels or events, got both"),
    ],
)
def test_arguments_are_checked_before_reading(
    tmp_path: Path, run: np.ndarray, options: dict[str, object], message: str
) -> None:
    path = write(tmp_path / "bold.nii", run)
    with pytest.raises(LoadError, match=message):
        load_fmri(path, **options)


def test_a_run_given_twice_is_refused(tmp_path: Path, run: np.ndarray) -> None:
    path = write(tmp_path / "bold.nii", run)
    with pytest.raises(LoadError, match="bold: expected each run once"):
        load_fmri([path, path])


def test_events_in_milliseconds_label_nothing(tmp_path: Path, run: np.ndarray) -> None:
    path = write(tmp_path / "bold.nii", run)
    events = tmp_path / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\n0.1\t0.05\tface\n")
    with pytest.raises(
        LoadError,
        match=r"events.tsv: expected events .* got none of 1",
    ):
        load_fmri(path, events=events)


def test_broken_voxels_are_counted(tmp_path: Path, run: np.ndarray) -> None:
    broken = run.astype(np.float32)
    broken[0, 0, 0, 3] = np.nan
    path = write(tmp_path / "bold.nii", broken)
    lazy = load_fmri(path, labels=[["a"] * run.shape[3]], standardize="zscore")
    with pytest.warns(NeuroalignWarning, match=r"bold\.nii: .*NaN or infinity in 1 of"):
        lazy.compute()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("motion\tnote\n" + "0.1\tok\n" * 40, "expected finite numbers, got others in 'note'"),
        ("motion\n" + "inf\n" * 40, "expected finite numbers, got others in 'motion'"),
        ("<html>log in</html>", "HTML"),
    ],
)
def test_confounds_that_are_none_are_named(
    tmp_path: Path, run: np.ndarray, text: str, message: str
) -> None:
    confounds = tmp_path / "confounds.tsv"
    confounds.write_text(text)
    path = write(tmp_path / "bold.nii", run)
    labels = [["a"] * run.shape[3]]
    with pytest.raises(LoadError, match=f"confounds.tsv: .*{message}"):
        load_fmri(path, labels=labels, confounds=[confounds])


def test_loaded_runs_have_no_name_and_one_chunk_each(run: np.ndarray, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.nii", run) for name in "ab"]
    responses = load_fmri(paths, labels=[["rest"] * 40] * 2)
    assert responses.name is None
    assert responses.chunks[0] == (40, 40)


def test_what_was_computed_may_be_changed_without_touching_the_rest(
    run: np.ndarray, tmp_path: Path
) -> None:
    responses = load_fmri(write(tmp_path / "bold.nii", run), labels=[["rest"] * 40])
    expected = run.reshape(-1, 40).T
    for again in (responses, responses.persist(), responses.isel(sample=slice(0, 40))):
        again.values[:] = 0
        computed = again.compute()
        computed[:] = 0
        np.testing.assert_array_equal(again.values, expected)


def test_parts_and_sums_of_runs_equal_those_of_their_values(
    run: np.ndarray, tmp_path: Path
) -> None:
    paths = [write(tmp_path / f"{name}.nii", run * scale) for name, scale in (("a", 1), ("b", 2))]
    lazy = load_fmri(paths, labels=[["rest"] * 40] * 2).data
    whole = np.concatenate([run.reshape(-1, 40).T, 2 * run.reshape(-1, 40).T])
    for index in (np.s_[:40], np.s_[40:], np.s_[10:50], np.s_[:, :3], np.s_[5], [70, 2]):
        np.testing.assert_array_equal(lazy[index].compute(), whole[index])
    np.testing.assert_array_equal(dask.compute(lazy, lazy * 2)[1], whole * 2)
    assert type(lazy[3:7]) is da.Array


def test_events_between_two_volumes_are_warned_of(run: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "bold.nii", run)
    events = pd.DataFrame({"onset": [2.0, 8.5, 20.0], "duration": [2.0, 0.5, 2.0]})
    events["trial_type"] = ["face", "lost", "house"]
    with pytest.warns(NeuroalignWarning, match=r"1 of 3 events .* the first 'lost' at 8\.5 s"):
        responses = load_fmri(path, events=events)
    assert set(responses["stimulus"].values) == {"face", "house", "rest"}


def test_values_go_back_by_the_names_of_their_dims(run: np.ndarray, tmp_path: Path) -> None:
    # As many samples as neuroids: a transposed array has the same shape.
    responses = load_fmri(write(tmp_path / "bold.nii", run[..., :12]), labels=[["rest"] * 12])
    turned = to_nifti(responses.compute().transpose("neuroid", "sample"), tmp_path / "back.nii")
    np.testing.assert_array_equal(nib.load(turned).get_fdata(dtype=np.float32), run[..., :12])
    with pytest.raises(SchemaError, match=r"expected dims \(neuroid,\) or \(sample, neuroid\)"):
        to_nifti(responses.expand_dims(time=[0.0, 1.0]), tmp_path / "no.nii")
    with pytest.raises(SchemaError, match="expected a DataArray, got Dataset"):
        to_nifti(xr.Dataset({"a": responses}), tmp_path / "no.nii")
