"""The scripts of the README work as pasted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)

PREPARE = """
from collections import OrderedDict
import numpy as np
from PIL import Image
from torch import nn

rng = np.random.default_rng(0)
images = {f"image-{n:02d}": f"image-{n:02d}.png" for n in range(24)}
for path in images.values():
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
stages = {"layer2": nn.Conv2d(3, 4, 9, 8), "relu": nn.ReLU(), "layer4": nn.Conv2d(4, 8, 3, 2)}
model = nn.Sequential(OrderedDict(stages)).eval()
stimuli, runs = 2 * list(images), np.repeat([f"run-{n}" for n in range(4)], 6).tolist() * 2
values = rng.normal(size=(24, 5)).repeat(2, axis=0).reshape(24, 2, 5).swapaxes(0, 1).reshape(48, 5)
values = values + 0.1 * rng.normal(size=values.shape)
"""


def run(script: str, folder: Path) -> str:
    (folder / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PEOPLE = """
def measure(seed):
    noise = np.random.default_rng(seed).normal(size=(4, 24, 5))
    rows = values[:24] + 0.5 * noise
    twice = [f"run-{n}" for n in range(4) for _ in images]
    return na.loaders.from_arrays(
        rows.reshape(96, 5), stimulus=4 * list(images), run=twice, modality="fmri"
    )

people = {f"sub-{n:02d}": measure(n) for n in range(1, 7)}
"""


def test_there_are_three_scripts_and_they_stay_short() -> None:
    assert len(SCRIPTS) == 3
    assert max(len(script.strip().splitlines()) for script in SCRIPTS) < 40


@pytest.mark.slow
def test_the_scripts_on_arrays_work_as_pasted(tmp_path: Path) -> None:
    run(PREPARE + SCRIPTS[0] + PEOPLE + SCRIPTS[1], tmp_path)
    assert (tmp_path / "study.html").stat().st_size > 10_000
    assert (tmp_path / "study.zarr").is_dir()
    assert "noise ceiling" in (tmp_path / "rsa.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_script_on_your_own_data_works_as_pasted(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "haxby2001_pymvpa").symlink_to(real_data / "haxby2001_pymvpa")
    said = run(SCRIPTS[2], tmp_path)
    moved = re.search(r"moved by (\S+) s", said)
    assert moved is not None
    assert -7.5 <= float(moved.group(1)) <= -2.5
    page = (tmp_path / "haxby.html").read_text(encoding="utf-8")
    assert "learnt response" in page
    assert "Volume map" in page
    assert (tmp_path / "scores.nii.gz").exists()
