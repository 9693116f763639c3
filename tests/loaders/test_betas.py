"""Single-trial betas: equal to plain least squares, and planted responses come back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from nilearn.glm.first_level import run_glm
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroalign.errors import LoadError, SchemaError
from neuroalign.loaders import from_arrays, load_fmri
from neuroalign.loaders.betas import estimate_betas, make_trial_design
from neuroalign.storage import load, save

TR = 2.0


def make_events(onset: np.ndarray, duration: float = 1.0) -> pd.DataFrame:
    names = [f"image{number % 3}" for number in range(len(onset))]
    return pd.DataFrame({"onset": onset, "duration": duration, "trial_type": names})


def make_run(values: np.ndarray, run: str = "run-01") -> xr.DataArray:
    return from_arrays(
        values,
        modality="fmri",
        run=[run] * len(values),
        onset=np.arange(len(values)) * TR,
        session=["01"] * len(values),
        sampling_rate=1 / TR,
        neuroid_coords={"x": np.arange(values.shape[1])},
    )


@pytest.fixture
def events(rng: np.random.Generator) -> pd.DataFrame:
    return make_events(4 + np.cumsum(rng.uniform(6, 10, size=20)))


@pytest.fixture
def run(rng: np.random.Generator) -> xr.DataArray:
    return make_run(rng.normal(size=(110, 7)) + np.linspace(50, 55, 110)[:, None])


def test_lsa_is_ordinary_least_squares(run: xr.DataArray, events: pd.DataFrame) -> None:
    design = make_trial_design(run["onset"].values, events).to_numpy()
    expected = np.linalg.lstsq(design, run.values.astype(float))[0][:20]
    betas = estimate_betas(run, events, method="lsa")
    np.testing.assert_allclose(betas, expected, atol=1e-4)


@pytest.mark.parametrize("hrf", ["glover", "spm"])
def test_lss_is_a_loop_of_nilearn_models(run: xr.DataArray, events: pd.DataFrame, hrf: str) -> None:
    design = make_trial_design(run["onset"].values, events, hrf=hrf)
    names = [name for name in design if str(name).startswith("trial_")]
    expected = []
    for name in names:
        rest = design[[other for other in names if other != name]].sum(axis=1)
        model = np.column_stack([design[name], rest, design.drop(columns=names)])
        labels, results = run_glm(run.values.astype(float), model, noise_model="ols")
        expected.append(results[labels[0]].theta[0])
    betas = estimate_betas(run, events, method="lss", hrf=hrf)
    np.testing.assert_allclose(betas, expected, atol=1e-4)


@pytest.mark.parametrize("method", ["lss", "lsa"])
@pytest.mark.parametrize("drift", ["cosine", "polynomial", "none"])
def test_planted_betas_come_back(
    rng: np.random.Generator, events: pd.DataFrame, method: str, drift: str
) -> None:
    truth = rng.normal(size=(20, 5))
    times = np.arange(110) * TR
    design = make_trial_design(times, events, drift=drift).to_numpy()
    values = design[:, :20] @ truth + design[:, 20:] @ rng.normal(size=(design.shape[1] - 20, 5))
    betas = estimate_betas(make_run(values), events, method=method, drift=drift).values
    if method == "lsa":
        np.testing.assert_allclose(betas, truth, atol=1e-3)
    assert np.corrcoef(betas.ravel(), truth.ravel())[0, 1] > 0.8


def test_lss_beats_lsa_where_trials_follow_closely(rng: np.random.Generator) -> None:
    close = make_events(10 + np.cumsum(rng.uniform(2, 4, size=60)))
    truth = 1 + 0.5 * rng.normal(size=(60, 200))
    design = make_trial_design(np.arange(120) * TR, close).to_numpy()
    noisy = make_run(design[:, :60] @ truth + 0.5 * rng.normal(size=(120, 200)))
    score = {
        method: np.mean(
            [
                np.corrcoef(*pair)[0, 1]
                for pair in zip(
                    estimate_betas(noisy, close, method=method).values.T, truth.T, strict=True
                )
            ]
        )
        for method in ("lss", "lsa")
    }
    assert score["lss"] > score["lsa"] + 0.05


def test_trials_carry_their_labels(run: xr.DataArray, events: pd.DataFrame, tmp_path: Path) -> None:
    second = run.assign_coords(run=("sample", np.full(110, "run-02")))
    both = xr.concat([run, second], "sample", coords="minimal", compat="override", join="override")
    betas = estimate_betas(both, {"run-02": events, "run-01": events.iloc[:4]})
    assert betas.sizes == {"sample": 24, "neuroid": 7}
    assert betas["run"].values.tolist() == ["run-01"] * 4 + ["run-02"] * 20
    assert betas["stimulus"].values[:4].tolist() == ["image0", "image1", "image2", "image0"]
    assert betas["repeat"].values[:5].tolist() == [0, 0, 0, 1, 2]
    assert set(betas["session"].values) == {"01"}
    np.testing.assert_array_equal(betas["onset"].values[4:], events["onset"])
    np.testing.assert_array_equal(betas["x"].values, run["x"].values)
    assert "sampling_rate" not in betas.attrs
    assert "estimate_betas: lss, hrf glover" in betas.attrs["history"]
    assert load(save(betas, tmp_path / "betas.nc")).equals(betas)


def test_confounds_stand_in_the_model(rng: np.random.Generator, events: pd.DataFrame) -> None:
    truth, motion = rng.normal(size=(20, 5)), rng.normal(size=(110, 2))
    design = make_trial_design(np.arange(110) * TR, events).to_numpy()
    values = design[:, :20] @ truth + motion @ (9 * rng.normal(size=(2, 5)))
    betas = estimate_betas(make_run(values), events, method="lsa", confounds=[motion])
    np.testing.assert_allclose(betas, truth, atol=1e-3)


def test_lazy_runs_and_slice_time(run: xr.DataArray, events: pd.DataFrame) -> None:
    later = events.assign(onset=events["onset"] + 1)
    moved = estimate_betas(run.chunk({"sample": 55}), later, slice_time=0.5, drift="none")
    betas = estimate_betas(run, events, drift="none")
    # The fine grid on which nilearn convolves starts elsewhere; all else is the same.
    np.testing.assert_allclose(moved, betas, atol=0.1)
    assert np.corrcoef(moved.values.ravel(), betas.values.ravel())[0, 1] > 0.9999


def test_dropped_volumes_keep_their_times(rng: np.random.Generator, events: pd.DataFrame) -> None:
    truth = rng.normal(size=(20, 5))
    design = make_trial_design(np.arange(110) * TR, events).to_numpy()
    values = make_run(design[:, :20] @ truth).isel(sample=np.r_[2:60, 61:110])
    betas = estimate_betas(values, events, method="lsa").values
    assert np.corrcoef(betas.ravel(), truth.ravel())[0, 1] > 0.99


def test_one_impulse_is_enough(run: xr.DataArray) -> None:
    one = make_events(np.array([10.0]), duration=0.0)
    lss, lsa = (estimate_betas(run, one, method=method) for method in ("lss", "lsa"))
    np.testing.assert_allclose(lss, lsa, rtol=1e-4, atol=1e-5)


def test_faults_of_events_are_named(run: xr.DataArray, events: pd.DataFrame) -> None:
    with pytest.raises(LoadError, match=r"events: expected one for each of 1 runs .*got 2"):
        estimate_betas(run, [events, events])
    with pytest.raises(LoadError, match=r"none for 'run-01' \(it names 'run-1'\)"):
        estimate_betas(run, {"run-1": events})
    with pytest.raises(LoadError, match=r"events of run-01: expected column.*pass stimulus="):
        estimate_betas(run, events.rename(columns={"trial_type": "image"}))
    with pytest.raises(LoadError, match=r"events of run-01: expected trials, got none"):
        estimate_betas(run, events.iloc[:0])
    with pytest.raises(LoadError, match=r"events of run-01: expected duration in seconds"):
        estimate_betas(run, events.assign(duration=np.nan))
    with pytest.raises(LoadError, match=r"inside the run \(220 s\), got 1 of 20 that end later"):
        estimate_betas(run, events.assign(onset=[*events["onset"][:19], 500.0]))
    with pytest.raises(LoadError, match=r"trials that the volumes see, got 1 of 20 .*number 19"):
        estimate_betas(run, events.assign(onset=[*events["onset"][:19], 218.5]))


def test_events_are_read_from_files(
    run: xr.DataArray, events: pd.DataFrame, tmp_path: Path
) -> None:
    events.to_csv(tmp_path / "events.tsv", sep="\t", index=False)
    from_file = estimate_betas(run, tmp_path / "events.tsv")
    np.testing.assert_allclose(from_file, estimate_betas(run, events), atol=1e-5)
    (tmp_path / "empty.tsv").write_text("onset\tduration\ttrial_type\n")
    with pytest.raises(LoadError, match=r"empty\.tsv: expected trials, got none"):
        estimate_betas(run, tmp_path / "empty.tsv")


def test_trials_that_cannot_be_told_apart_are_refused(run: xr.DataArray) -> None:
    crowd = make_events(np.arange(120) * 1.5)
    with pytest.raises(LoadError, match=r"'lsa', got 120 trials in 110 volumes.*method='lss'"):
        estimate_betas(run, crowd, method="lsa")
    with pytest.raises(LoadError, match=r"each trial apart from the others, got 2"):
        estimate_betas(run, make_events(np.array([10.0, 10.0])), method="lss")


def test_faults_of_arguments_are_named(run: xr.DataArray, events: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="method: expected one of 'lss', 'lsa'"):
        estimate_betas(run, events, method="glmsingle")
    with pytest.raises(ValueError, match="hrf: expected one of 'glover', 'spm'"):
        estimate_betas(run, events, hrf="fir")
    with pytest.raises(ValueError, match="slice_time: expected 0 to 1, got 2"):
        estimate_betas(run, events, slice_time=2)
    with pytest.raises(SchemaError, match="expected .* with 'run' and 'onset'"):
        estimate_betas(
            run.drop_vars("onset").assign_coords(stimulus=("sample", run["run"].values)), events
        )
    with pytest.raises(SchemaError, match="tr: expected seconds, got none"):
        estimate_betas(run.drop_attrs(), events)
    with pytest.raises(LoadError, match=r"confounds of run-01: expected \(110, confounds\)"):
        estimate_betas(run, events, confounds=[np.ones((5, 2))])
    with pytest.raises(LoadError, match="confounds of run-01: expected finite values, got 110"):
        estimate_betas(run, events, confounds=[np.full((110, 1), np.nan)])


@pytest.mark.parametrize("method", ["lss", "lsa"])
def test_haxby_blocks_decode_from_betas(real_data: Path, method: str) -> None:
    folder = real_data / "haxby2001_pymvpa"
    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    responses = load_fmri([run / "bold_1slice.nii.gz" for run in runs], mask=folder / "mask.nii.gz")
    # The onsets of this set are late already: they go with the response, not the stimulus.
    tables = [pd.read_csv(run / "bold_events.tsv", sep="\t") for run in runs]
    tables = [table.assign(onset=table["onset"] - 5) for table in tables]
    betas = estimate_betas(responses, tables, method=method)
    assert betas.shape == (96, 530)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    score = cross_val_score(
        model,
        betas.values,
        betas["stimulus"].values,
        groups=betas["run"].values,
        cv=LeaveOneGroupOut(),
    )
    assert score.mean() > 0.6
