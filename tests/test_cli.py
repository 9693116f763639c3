"""The command line as a user meets it: exit codes, one-line errors, no traceback."""

import io
import json
import subprocess
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from neuroalign import cli
from neuroalign.errors import NeuroalignError
from neuroalign.loaders import from_arrays
from neuroalign.storage import save
from neuroalign.study.terminal import printable
from tests.study.conftest import describe_study, write_inputs


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process: a new one would import everything again."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        patch.setattr(sys, "argv", ["neuroalign", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except NeuroalignError:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


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
    assert "Exit codes: 0 done, 1 the run failed" in " ".join(done.stdout.split())


def test_help_imports_little_of_others() -> None:
    code = (
        "import sys; before = set(sys.modules); import neuroalign.cli\n"
        "names = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(names - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = {"lazy_loader", "neuroalign", "typer", "rich", "annotated_doc", "shellingham"}
    assert set(json.loads(done.stdout.replace("'", '"'))) <= known


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--help"], 0, ""),
        (["info"], 2, "Missing argument"),
        (["dmeo"], 2, "Did you mean 'demo'?"),
        (["run", "--dryrun"], 2, "--dry-run"),
        (["encode", "a.nc", "b.nc", "--permutations", "many"], 2, "--permutations"),
        (["encode", "a.nc", "b.nc", "--permutations", "-1"], 2, "greater than"),
        (["latents", "a.nc", "--n-latents", "0"], 2, "greater than"),
        (["info", "gone.nc"], 3, "gone.nc"),
        (["converge", "gone.yaml"], 3, "expected a study, found no such file"),
    ],
)
def test_exit_codes_say_what_went_wrong(arguments: list[str], code: int, message: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "hostile", ["--x\x1b[31m", "-\x1b]0;title\x07", "a\nb\x1b[2J", "-", "--\r"]
)
def test_hostile_arguments_are_escaped(hostile: str) -> None:
    for arguments in ([hostile], ["run", hostile], ["encode", hostile, "--", hostile]):
        done = run(*arguments)
        assert done.returncode in (2, 3), arguments
        assert not set("\x1b\x07\r") & set(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neuroalign.study.config.read_study", interrupt)
    done = run("run", "study.yaml")
    assert (done.returncode, done.stderr) == (130, "interrupted: run it again to go on\n")


def test_the_table_of_the_demo_stands_in_columns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    layers = xr.Dataset(
        {
            "planted_layer": ("roi", ["stages.stage1", "s2"]),
            "best_layer": ("roi", ["stages.stage1", "stages.stage3"]),
            "score": (("layer", "roi"), [[0.5, 0.1], [0.25, 0.75]]),
        },
        {"roi": ["V1", "LO"], "layer": ["stages.stage1", "stages.stage3"]},
    )
    monkeypatch.setattr(
        "neuroalign.study.demo.run_demo", lambda *given, **more: (layers, tmp_path / "page.html")
    )
    lines = run("demo", "--out", str(tmp_path)).stdout.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["ROI", "planted", "recovered", "mean", "r"],
        ["V1", "stages.stage1", "stages.stage1", "0.500"],
        ["LO", "s2", "stages.stage3", "0.750", "<-", "differs"],
    ]
    assert lines[0].index("recovered") == lines[1].rindex("stages") == lines[2].index("stages")


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
    told = json.loads(done.stdout)
    assert told["report"] == str(study.parent / "results" / "report.html")
    assert told["results"]["ridge"]["verdict"].startswith("Pearson r ")
    out = str(study.parent / "results")
    assert run("verify", out).stdout.splitlines()[-1] == "rdm: whole"
    page = Path(out) / "report.html"
    page.unlink()
    assert run("report", out).stdout == f"report: {page}\n"
    assert page.exists()
    about = run("info", out)
    assert about.stdout.startswith("results: results of the study 'small', whole\ntasks: 4 (1 data")
    assert about.returncode == 0
    again = run("reproduce", out)
    assert again.returncode == 0
    assert again.stdout.count("the same bits") == 4
    chunk = next(Path(out).glob("steps/rdm-*/0000.zarr/_neuroalign_array/c/0/0"))
    chunk.write_bytes(b"spoilt")
    spoilt = run("verify", out)
    assert spoilt.returncode == 3
    assert "rdm: " in spoilt.stdout
    assert "c/0/0" in spoilt.stdout
    about = run("info", out)
    assert about.returncode == 3
    assert "1 of 4 results damaged" in about.stdout
    mended = run("run", str(study))
    assert "rdm: corrupt, computed anew" in mended.stderr
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
    assert json.loads(run("run", str(path), "--json").stdout) == {"report": None, "results": {}}
    path.write_text(text + "rsa: {r: {call: rsa.compute_rdm, with: {responses: '@brain', by: x}}}")
    failed = run("run", str(path), "--quiet")
    assert failed.stderr.endswith("(in rsa.r)\n")
    assert failed.stderr.count("\n") == 1


def test_the_doctor_speaks_text_and_json() -> None:
    assert "numpy" in run("doctor").stdout
    assert json.loads(run("doctor", "--json").stdout)["extras"]["torch"] is True


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["encode", "a.nc", "y.npy"], "FEATURES: expected a file whose array has the dim feature"),
        (["encode", "y.npy", "a.nc"], "FEATURES: expected a .nc or .zarr that storage.save wrote"),
        (["rsa", "y.npy", "a.nc"], "RESPONSES: expected a .nc or .zarr"),
        (["compare", "a.nc", "y.npy"], "FILES: expected a .nc or .zarr"),
        (["latents", "y.npy"], "of the kind: bare array. In Python, label responses by loaders."),
        (["latents", "t.mat"], "see 'neuroalign info t.mat'; then storage.save it"),
        (["run", "y.npy"], "expected a study, which is a YAML file, got a file of the kind: bare"),
        (["run", "a.zarr"], "got a folder of the kind: stored array. See 'neuroalign info"),
    ],
)
def test_files_that_a_command_cannot_take_are_named_by_their_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("y.npy", np.zeros((4, 3)))
    Path("t.mat").write_bytes(b"")
    for name in ("a.nc", "a.zarr"):
        save(from_arrays(np.eye(3), modality="fmri", stimulus=[*"abc"]), name)
    done = run(*arguments)
    assert done.returncode == 3
    assert named in done.stderr
