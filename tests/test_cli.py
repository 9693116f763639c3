"""The command line as a user meets it: exit codes, one-line errors, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from neuroalign.cli import printable
from neuroalign.loaders import from_arrays
from neuroalign.storage import save
from tests.study.conftest import describe_study, write_inputs


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from neuroalign.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_version_is_printed() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("neuroalign 0.")


def test_help_loads_no_numerical_library() -> None:
    code = (
        "import sys; sys.argv = ['neuroalign', '--help']\n"
        "from neuroalign.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('numpy', 'xarray', 'torch', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "demo" in done.stdout


def test_unknown_option_is_wrong_usage() -> None:
    assert run("info").returncode == 2
    assert run("dmeo").returncode == 2


def test_info_describes_a_store(tmp_path: Path) -> None:
    responses = from_arrays(
        np.zeros((4, 3)), stimulus=["a", "b", "c", "d"], modality="eeg", units="V"
    )
    done = run("info", str(save(responses, tmp_path / "responses.nc")))
    assert done.returncode == 0, done.stderr
    assert "responses" in done.stdout
    assert "sample 4" in done.stdout
    assert "eeg" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [("gone.nc", None, "gone"), ("page.nc", b"<!DOCTYPE html><html>", "whole netCDF")],
)
def test_bad_data_is_one_line_and_exit_3(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run("info", str(tmp_path / name))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert name in done.stderr
    assert expected in done.stderr


def test_info_lists_what_is_wrong_and_exits_3(tmp_path: Path) -> None:
    (tmp_path / "sub-01/func").mkdir(parents=True)
    done = run("info", str(tmp_path))
    assert done.returncode == 3
    assert "subjects: 1: '01'" in done.stdout
    assert "wrong: " in done.stdout
    assert "dataset_description.json" in done.stdout


def test_info_tells_each_format_from_its_damage(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_desc-confounds_timeseries.tsv"
    path.write_text("dvars\nn/a\n1\n")
    assert run("info", str(path)).returncode == 0
    path.write_text("dvars\n1\nn/a\n")
    assert run("info", str(path)).returncode == 3
    for name in ("x.nwb", "x_raw.fif", "x.func.gii"):
        (tmp_path / name).write_bytes(b"not what the name says")
        done = run("info", str(tmp_path / name))
        assert done.returncode == 3, name
        assert name in done.stderr
        assert "Traceback" not in done.stderr


def test_info_says_which_extra_a_format_needs(tmp_path: Path) -> None:
    (tmp_path / "x_raw.fif").write_bytes(b"content")
    code = (
        "import sys; sys.modules['mne'] = None\n"
        f"sys.argv = ['neuroalign', 'info', {str(tmp_path / 'x_raw.fif')!r}]\n"
        "from neuroalign.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "pip install 'neuroalign[meg]'" in done.stderr


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc") == "a\\x1b[31mb\nc"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study file on files that lie beside it."""
    write_inputs(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(describe_study(), sort_keys=False))
    return path


@pytest.mark.slow
def test_a_study_is_planned_run_verified_and_reproduced(study: Path) -> None:
    plan = run("run", str(study), "--dry-run")
    assert plan.returncode == 0
    assert plan.stdout.count("to do") == 4
    done = run("run", str(study), "--json")
    assert json.loads(done.stdout) == {"report": str(study.parent / "results" / "report.html")}
    out = str(study.parent / "results")
    assert run("verify", out).stdout.splitlines()[-1] == "rdm: whole"
    page = Path(out) / "report.html"
    page.unlink()
    assert run("report", out).stdout == f"report: {page}\n"
    assert page.exists()
    again = run("reproduce", out)
    assert again.returncode == 0
    assert again.stdout.count("the same bits") == 4
    chunk = next(Path(out).glob("steps/rdm-*/0000.zarr/_neuroalign_array/c/0/0"))
    chunk.write_bytes(b"spoilt")
    spoilt = run("verify", out)
    assert spoilt.returncode == 3
    assert "rdm: " in spoilt.stdout
    assert "c/0/0" in spoilt.stdout
    mended = run("run", str(study))
    assert "rdm: corrupt, computed anew" in mended.stdout
    assert run("verify", out).returncode == 0


def test_faults_of_a_study_exit_with_3(tmp_path: Path) -> None:
    absent = run("run", str(tmp_path / "no.yaml"))
    assert absent.returncode == 3
    assert "expected a study, found no such file" in absent.stderr
    (tmp_path / "study.yaml").write_text("dta: {}")
    wrong = run("run", str(tmp_path / "study.yaml"))
    assert wrong.returncode == 3
    assert "Did you mean 'data'" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    shown = run("--debug", "run", str(tmp_path / "study.yaml"))
    assert "Traceback" in shown.stderr
    assert run("verify", str(tmp_path)).returncode == 3


def test_a_study_that_fails_names_its_entry_and_one_without_a_page_says_so(tmp_path: Path) -> None:
    values = "{values: [[1, 2], [3, 4]], modality: fmri, stimulus: [a, b]}"
    text = "data: {brain: {call: loaders.from_arrays, with: " + values + "}}\n"
    path = tmp_path / "study.yaml"
    path.write_text(text)
    assert run("run", str(path)).stdout.splitlines()[-1].startswith("no report: no entry")
    assert json.loads(run("run", str(path), "--json").stdout) == {"report": None}
    path.write_text(text + "rsa: {r: {call: rsa.compute_rdm, with: {responses: '@brain', by: x}}}")
    failed = run("run", str(path))
    assert failed.stderr.endswith("(in rsa.r)\n")
    assert failed.stderr.count("\n") == 1


def test_the_doctor_speaks_text_and_json() -> None:
    assert "numpy" in run("doctor").stdout
    assert json.loads(run("doctor", "--json").stdout)["extras"]["torch"] is True
