"""The scripts that people come for run on small data, and find what was planted."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from neuroalign import align, features, loaders, models, storage

SCRIPTS = Path(__file__).parent.parent / "tutorials" / "scripts"
TR, N_IMAGES, N_RUNS = 2.0, 16, 11
SHAPE = (4, 3, 2)


def run(name: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPTS / name, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_images(folder: Path, rng: np.random.Generator) -> dict[str, Path]:
    """Noise of sixteen grains, as images of their own names."""
    folder.mkdir()
    found = {f"image{n:02d}": folder / f"image{n:02d}.png" for n in range(N_IMAGES)}
    for n, path in enumerate(found.values()):
        small = rng.integers(0, 256, (2 + n, 2 + n, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 64), Image.Resampling.NEAREST).save(path)
    return found


def write_volume(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0]))
    image.header.set_zooms([3.0, 3.0, 3.0, TR][: values.ndim])
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


def write_bids(root: Path, planted: xr.DataArray, rng: np.random.Generator) -> None:
    """More than nine runs, not padded, show each image once; half of the voxels answer."""
    root.mkdir()
    (root / "task-look_bold.json").write_text(json.dumps({"RepetitionTime": TR}))
    n_volumes = N_IMAGES * 3 + 10
    weights = rng.normal(size=(planted.sizes["feature"], np.prod(SHAPE))) / 4
    weights[:, ::2] = 0
    answers = (planted - planted.mean("sample")).values / planted.values.std() @ weights
    for number in range(1, N_RUNS + 1):
        order = rng.permutation(N_IMAGES)
        onsets = 4.0 + 6.0 * np.arange(N_IMAGES)
        stem = f"sub-01_task-look_run-{number}"
        rows = [
            f"{onset}\t1\t{planted['stimulus'].values[i]}"
            for onset, i in zip(onsets, order, strict=True)
        ]
        table = root / "sub-01" / "func" / f"{stem}_events.tsv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("\n".join(["onset\tduration\ttrial_type", *rows]))
        events = loaders.load_events(table)
        clock = loaders.from_arrays(
            np.zeros((n_volumes, 1)), modality="fmri", run=["run-01"] * n_volumes,
            onset=TR * np.arange(n_volumes), sampling_rate=1 / TR,
        )  # fmt: skip
        design = align.convolve_hrf(align.events_to_features({"run-01": events}), clock)
        # Columns of the design are the images in the order of their names, as planted.
        signal = design.values @ answers
        noise = 0.3 * signal.std() * rng.normal(size=signal.shape)
        values = (1000 + signal + noise).T.reshape(*SHAPE, n_volumes).astype("float32")
        folder = root / "derivatives" / "fmriprep" / "sub-01" / "func"
        space = "space-MNI152NLin2009cAsym"
        write_volume(folder / f"{stem}_{space}_desc-preproc_bold.nii.gz", values)
        mask = np.ones(SHAPE, "uint8")
        write_volume(folder / f"{stem}_{space}_desc-brain_mask.nii.gz", mask)


@pytest.mark.slow
def test_encoding_model_on_bids_derivatives(tmp_path: Path, rng: np.random.Generator) -> None:
    images = write_images(tmp_path / "images", rng)
    layer = features.extract(
        models.SmallConvNet(seed=0), images, "stages.stage3", pool="mean", progress=False
    )["stages.stage3"]
    write_bids(tmp_path / "study", layer, rng)
    out = tmp_path / "out"
    said = run("encode_bids.py", tmp_path / "study", "01", "look", tmp_path / "images", out)
    assert f"{N_IMAGES * N_RUNS} trials of 24 voxels" in said
    found = {
        name: (float(r), int(n))
        for name, r, n in re.findall(r"(stages\.\w+): mean r (\S+), (\d+) voxels", said)
    }
    assert found["stages.stage3"][1] >= 6
    assert found["stages.stage3"][0] > found["stages.stage1"][0]
    assert (out / "report.html").stat().st_size > 10_000
    scores = nib.load(out / "stages.stage3.nii.gz").get_fdata().ravel()
    assert scores[1::2].mean() > 0.4 > abs(scores[::2].mean())


@pytest.mark.slow
def test_layers_against_regions(tmp_path: Path, rng: np.random.Generator) -> None:
    stimuli = [f"s{n:02d}" for n in range(20)]
    layers = {name: rng.normal(size=(20, 30)) for name in ("early", "late")}
    (tmp_path / "layers").mkdir()
    for name, values in layers.items():
        made = loaders.features_from_arrays(values, stimulus=stimuli, layer=name)
        storage.save(made, tmp_path / "layers" / f"{name}.nc")
    files = []
    for person in range(6):
        signal = np.concatenate(
            [one @ rng.normal(size=(30, 40)) / 5 for one in layers.values()], axis=1
        )
        values = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
        responses = loaders.from_arrays(
            values, modality="fmri", stimulus=stimuli * 4, roi=["V1"] * 40 + ["IT"] * 40,
            run=np.repeat([f"run-{k}" for k in range(4)], 20),
        )  # fmt: skip
        files.append(storage.save(responses, tmp_path / f"sub-{person}.nc"))
    said = run("compare_layers_rois.py", tmp_path / "layers", tmp_path / "page.html", *files)
    assert "V1: best layer early" in said
    assert "IT: best layer late" in said
    assert "layers against V1" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_co_smoothing_of_spikes(tmp_path: Path, rng: np.random.Generator) -> None:
    import pynwb

    file = pynwb.NWBFile("a session", "id-1", datetime(1900, 1, 1, tzinfo=UTC), session_id="s1")
    n_trials, n_units = 40, 24
    moments = np.arange(0, 1, 0.005)
    trains: list[list[float]] = [[] for _ in range(n_units)]
    loads = rng.normal(size=n_units)
    for trial in range(n_trials):
        start = 2.0 * trial
        file.add_trial(start, start + 1)
        latent = np.sin(2 * np.pi * (moments + rng.uniform()))
        for unit in range(n_units):
            rate = 30 * np.exp(1.2 * loads[unit] * latent)
            hits = rng.random(len(moments)) < rate * 0.005
            trains[unit] += (start + moments[hits] + 0.001).tolist()
    for train in trains:
        file.add_unit(spike_times=np.array(train))
    with pynwb.NWBHDF5IO(tmp_path / "rat.nwb", "w") as out:
        out.write(file)
    said = run("cosmooth_spikes.py", tmp_path / "rat.nwb", tmp_path / "page.html")
    scores = {int(n): float(s) for n, s in re.findall(r"GPFA with (\d): (\S+)", said)}
    assert max(scores.values()) > 0.05
    assert "40 trials, 24 neurons" in said
    assert (tmp_path / "page.html").exists()


def test_scripts_are_short() -> None:
    for path in SCRIPTS.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60, path.name
