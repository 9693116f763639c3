"""The cells of the tutorials that take real data run on data of the form that loaders give."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image

import neuroalign as na

nbformat = pytest.importorskip("nbformat")

FOLDER = Path(__file__).parent.parent / "tutorials"
Patch = pytest.MonkeyPatch
Array = np.ndarray
RNG = np.random.default_rng(3)


def run_real(name: str, **known: Any) -> str:
    """Run the cell of a notebook that waits for real data; give what it prints."""
    (path,) = FOLDER.glob(f"{name}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    (source,) = [c.source for c in cells if c.cell_type == "code" and "if REAL" in c.source]
    assert source.startswith("REAL = False")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(source.replace("REAL = False", "REAL = True"), {"na": na, "np": np, **known})
    return printed.getvalue()


def run_onward(name: str, until: str, **known: Any) -> dict[str, Any]:
    """Run the cell that waits for real data and those after it up to a title; give the names."""
    (path,) = FOLDER.glob(f"{name}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    imports = next(cell for cell in cells if cell.cell_type == "code")
    (first,) = [n for n, c in enumerate(cells) if c.cell_type == "code" and "if REAL" in c.source]
    (end,) = [n for n, cell in enumerate(cells) if cell.source.startswith(until)]
    for cell in (imports, *cells[first:end]):
        if cell.cell_type == "code":
            exec(cell.source.replace("REAL = False", "REAL = True"), known)
    return known


def offer(patch: Patch, make: Callable[[], xr.DataArray], *subjects: str) -> None:
    """Give made data where a dataset would be loaded."""

    def load_dataset(name: str, *, subject: str, options: Any = None) -> xr.DataArray:
        loaders = na.loaders.list_datasets()
        assert name in loaders["name"].tolist() if "name" in loaders else name in loaders.index
        assert subject in subjects
        return make()

    patch.setattr(na.loaders, "load_dataset", load_dataset)


def make_haxby() -> xr.DataArray:
    block = [*["rest"] * 2, *["face"] * 4, *["rest"] * 2, *["house"] * 4]
    code = np.array([{"rest": 0.0, "face": 1.0, "house": -1.0}[name] for name in block * 4])
    values = np.outer(code, np.linspace(0, 2, 20)) + RNG.normal(size=(len(code), 20))
    values[:, 0] = 0.0
    made = na.loaders.from_arrays(
        values,
        modality="fmri",
        stimulus=block * 4,
        run=np.repeat([f"run-{n}" for n in range(4)], len(block)),
        onset=np.tile(np.arange(len(block)) * 2.5, 4),
        sampling_rate=0.4,
    )
    return made.chunk()


def make_things() -> xr.DataArray:
    """Test pictures in each of three runs, training pictures once, regions and voxels outside."""
    kinds = ["V1", "V2", "V3", "hV4", "rFFA", ""]
    pictures = np.r_[np.tile(np.arange(20), 3), 20:30]
    signal = np.random.default_rng(0).normal(size=(30, 24))[pictures]
    place = np.arange(24)
    made = na.loaders.from_arrays(
        signal + 0.5 * RNG.normal(size=signal.shape),
        modality="fmri",
        stimulus=[f"thing_{n:02d}s.jpg" for n in pictures],
        run=[*np.repeat(["ses-01_run-01", "ses-01_run-02", "ses-02_run-01"], 20)]
        + ["ses-02_run-02"] * 10,
        roi=np.repeat(kinds, 4),
        sample_coords={"trial_type": ["test" if n < 20 else "train" for n in pictures]},
        neuroid_coords={"i": place % 4, "j": place // 4 % 3, "k": place // 12},
    )
    return made.chunk(neuroid=5)


def make_pictures(folder: Path, names: list[str], size: int = 16) -> dict[str, Path]:
    for name in names:
        pixels = RNG.integers(0, 255, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in names}


def make_stories() -> xr.DataArray:
    return na.loaders.from_arrays(
        RNG.normal(size=(120, 6)),
        modality="fmri",
        run=np.repeat(["alpha", "beta", "gamma"], 40),
        onset=np.tile(10 + 2.0 * np.arange(40), 3),
        duration=np.full(120, 2.0),
        sampling_rate=0.5,
    ).chunk()


def make_words(folder: str) -> dict[str, pd.DataFrame]:
    onset = np.arange(0.0, 90.0, 0.5)
    table = {
        "onset": onset,
        "duration": 0.4,
        "stimulus": [f"word{n % 7}" for n in range(len(onset))],
    }
    return {story: pd.DataFrame(table) for story in ("alpha", "beta", "gamma")}


def make_states(
    model: str, words: dict[str, pd.DataFrame], layers: list[str], context: int = 20
) -> dict[str, xr.DataArray]:
    whole = pd.concat([table.assign(run=story) for story, table in words.items()])
    return {
        layer: na.loaders.features_from_arrays(
            RNG.normal(size=(len(whole), 3)),
            stimulus=whole["stimulus"].tolist(),
            run=whole["run"].tolist(),
            onset=whole["onset"].tolist(),
            duration=whole["duration"].tolist(),
            layer=layer,
        )
        for layer in ("layer.1", "layer.9")
    }


def make_nsd() -> xr.DataArray:
    pictures = np.tile(np.arange(24), 3)
    signal = np.random.default_rng(0).normal(size=(24, 12))
    values = signal[pictures] + RNG.normal(size=(72, 12))
    values[:, 0] = 0.0
    made = na.loaders.from_arrays(
        values,
        modality="fmri",
        stimulus=[f"nsd-{n:05d}" for n in pictures],
        session=np.repeat(["ses-01", "ses-02", "ses-03"], 24),
        sample_coords={"shared": pictures < 10},
        neuroid_coords={"ncsnr": np.r_[0.0, np.full(11, 0.9)]},
    )
    return made.chunk(neuroid=4)


def make_meg() -> xr.DataArray:
    pictures = np.tile(np.arange(10), 4)
    course = np.exp(-0.5 * ((np.arange(-0.1, 0.4, 0.02) - 0.16) / 0.03) ** 2)
    known = np.random.default_rng(0).normal(size=(10, 8))[pictures]
    values = 3 * known[..., None] * course + RNG.normal(size=(40, 8, len(course)))
    return na.loaders.from_arrays(
        values,
        modality="meg",
        time=np.arange(-0.1, 0.4, 0.02),
        stimulus=[f"picture-{n}" for n in pictures],
        session=np.repeat([f"ses-{n}" for n in range(4)], 10),
        sample_coords={"trial_type": ["exp" if n == 9 else "test" for n in pictures]},
    )


def make_assembly(path: str) -> xr.DataArray:
    pictures = np.tile(np.arange(20), 2)
    return na.loaders.from_arrays(
        RNG.normal(size=(40, 6, 1)),
        modality="spikes",
        time=[0.12],
        stimulus=[f"picture-{n:02d}" for n in pictures],
        roi=["V4"] * 3 + ["IT"] * 3,
    )


def test_five_minutes_go_on_with_a_real_brain(monkeypatch: Patch, tmp_path: Path) -> None:
    offer(monkeypatch, make_things, "sub-01")
    pictures = make_pictures(tmp_path, [f"thing_{n:02d}s.jpg" for n in range(30)])
    monkeypatch.setattr(na.loaders, "list_stimuli", lambda *_, **__: pictures)
    names = [f"stages.stage{stage}" for stage in (1, 2, 3, 4)]
    network = na.models.SmallConvNet(seed=0)
    found = run_onward("01", "## Exercise", network=network, names=names, SEED=0)
    assert found["responses"].shape == (60, 16), "test pictures, voxels of four regions"
    assert found["group"] is None
    assert found["table"]["roi"].values.tolist() == ["V1", "V2", "V3", "hV4"]
    assert float(found["table"]["estimate"].max()) < 0.5, "noise is not predicted"
    assert found["mean_r"]["moved"] == pytest.approx(found["mean_r"]["as it was"])


def test_a_study_of_haxby_is_read_and_run(monkeypatch: Patch, tmp_path: Path) -> None:
    offer(monkeypatch, make_haxby, "1")
    rooms = {name: getattr(na.study, name) for name in ("plan_study", "read_study", "run_study")}
    said = run_real("10", folder=tmp_path, **rooms)
    study = na.study.read_study(tmp_path / "haxby.yaml")
    assert [*study.entries()] == ["volumes", "shown", "categories"]
    assert "3 of 3 tasks to do" in said
    (place,) = (tmp_path / "haxby" / "steps").glob("categories-*")
    accuracy = na.storage.load(place / "0000.zarr")["balanced_accuracy"]
    assert float(accuracy) > 0.9


def test_categories_of_haxby_are_told_apart(monkeypatch: Patch) -> None:
    offer(monkeypatch, make_haxby, "1")
    assert "told apart: 0.9" in run_real("02") or "told apart: 1.0" in run_real("02")


@pytest.mark.parametrize("name", ["03", "05"])
def test_stories_are_fitted_by_words(name: str, monkeypatch: Patch) -> None:
    offer(monkeypatch, make_stories, "UTS03")
    monkeypatch.setattr(na.loaders, "load_lebel_words", make_words)
    monkeypatch.setattr(na.features, "extract_text", make_states)
    said = run_real(name).splitlines()
    assert len(said) == {"03": 1, "05": 2}[name]
    assert all(abs(float(line.split()[-1])) < 0.3 for line in said), "noise has no score"


def test_the_ceiling_of_photographs_is_compared(monkeypatch: Patch) -> None:
    offer(monkeypatch, make_nsd, "subj01")
    ours, published = run_real("04").split(": ours ")[1].split(", published ")
    # Signal and noise of one variance: three of them.
    assert float(ours) == pytest.approx(0.75, abs=0.1)
    assert float(published) == pytest.approx(3 * 0.81 / (3 * 0.81 + 1), abs=1e-3)


def test_people_who_saw_the_same_have_a_ceiling(monkeypatch: Patch) -> None:
    offer(monkeypatch, make_nsd, "subj01", "subj02", "subj05", "subj07")
    low, high = run_real("06").removeprefix("ceiling ").split(" to ")
    assert 0.3 < float(low) < float(high) < 1


def test_the_course_of_meg_peaks_where_it_was_made(monkeypatch: Patch) -> None:
    offer(monkeypatch, make_meg, "P1")
    said = run_real("07").splitlines()
    assert [line.rsplit(" at ")[0] for line in said] == [
        "repeats agree most",
        "pictures differ most",
    ]
    assert all(140 <= float(line.split()[-2]) <= 180 for line in said)


def test_neurons_of_a_session_are_smoothed(monkeypatch: Patch) -> None:
    simulated = na.loaders.simulate_gaussian_processes(
        n_trials=24, n_bins=25, n_neuroids=16, seed=1
    )
    counts = simulated.responses.assign_coords(time=np.arange(25) * 0.02 + 0.01)
    monkeypatch.setattr(na.loaders, "load_nwb", lambda *_, **__: counts)
    bits, _ = run_real("08").removeprefix("bits per spike: ").split(" ± ")
    assert 0.0 < float(bits) < 1.0


def test_checkpoints_are_traced_against_an_assembly(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2)
    )
    for step in (0, 10, 20):
        torch.save(net.state_dict(), f"run/step-{step}.pt")
    pictures = make_pictures(tmp_path, [f"picture-{number:02d}" for number in range(20)])
    monkeypatch.setattr(na.loaders, "list_stimuli", lambda *_, **__: pictures)
    monkeypatch.setattr(na.loaders, "load_brainio", make_assembly)
    said = run_real("09", net=net)
    assert "IT" in said
    assert "V4" in said
