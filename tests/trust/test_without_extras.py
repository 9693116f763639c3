"""Without optional libraries the core works, and what needs one says which command brings it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
# Library -> what needs it, as a user calls it, and the extra that brings it.
NEEDED = {
    "nibabel": ("na.loaders.load_fmri('x.nii')", "fmri"),
    "mne": ("na.loaders.load_continuous('x_raw.fif')", "meg"),
    "mne_bids": ("na.loaders.load_meg_bids('.', subject='1', task='t', window=(0, 1))", "meg"),
    "pynwb": ("na.loaders.load_nwb('x.nwb')", "spikes"),
    "neo": ("na.loaders.read_neo('x', None)", "spikes"),
    "torch": ("na.features.extract(None, {}, ['layer'])", "torch"),
    "matplotlib": ("na.report.write_html({'r': result}, 'x.html')", "report"),
    "jinja2": ("na.report.write_html({'r': result}, 'x.html')", "report"),
    "pooch": ("na.loaders.fetch_dataset('haxby', folder='x', yes=True)", "data"),
    "ripser": ("na.topology.compute_persistence(points)", "topology"),
}
SETUP = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Absent())
import numpy as np
import neuroalign as na
points = np.random.default_rng(0).standard_normal((12, 3))
"""
CORE = """
planted = na.loaders.simulate_linear(n_samples=60, n_features=4, n_neuroids=3, snr=5.0, n_runs=3)
result = na.evaluate.cross_validate(
    na.encoders.Ridge(), planted["features"], planted["responses"], group="run", ceiling=None
)
assert float(result["mean_score"].mean()) > 0.5
rdm = na.rsa.compute_rdm(planted["responses"])
na.latents.FactorAnalysis(2).fit(points)
path = na.storage.save(result, "result.nc")
assert na.storage.load(path).identical(result)
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, check=False
    )


def test_the_core_needs_none_of_them(tmp_path: Path) -> None:
    done = run(SETUP.format(blocked=[*NEEDED, "nilearn", "distributed"]) + CORE, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", NEEDED)
def test_what_lacks_is_said_with_the_command_that_brings_it(library: str, tmp_path: Path) -> None:
    call, extra = NEEDED[library]
    code = SETUP.format(blocked=[library])
    if "result" in call:
        code += CORE
    code += (
        f"try:\n    {call}\nexcept ImportError as error:\n    print(type(error).__name__, error)"
    )
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    kind, _, text = done.stdout.strip().partition(" ")
    assert kind == "MissingExtraError", done.stdout + done.stderr
    assert "expected to be installed, got no such module" in text
    assert text.endswith(f"Run: pip install 'neuroalign[{extra}]'.")


@pytest.mark.parametrize("library", NEEDED)
def test_the_extra_that_is_named_brings_the_library(library: str) -> None:
    extra = NEEDED[library][1]
    names = [entry.split(">")[0].replace("-", "_").lower() for entry in EXTRAS[extra]]
    assert library in names
