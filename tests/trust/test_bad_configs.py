"""Study files and command lines that are wrong: one line, the right exit code, nothing run."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from neuroalign.cli import BAD_DATA, FAILED, main
from neuroalign.errors import LoadError, SchemaError
from neuroalign.features import extract
from neuroalign.study.config import read_study
from tests.study.conftest import describe_study, write_inputs
from tests.trust.messages import Bad, check_refused

USAGE = 2


class Done(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """Run the command line in this process."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["neuroalign", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capfd.readouterr())

    return run


def read(folder: Path, text: str) -> object:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return read_study(path)


LAUGHS = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
)
BAD: dict[str, Bad] = {
    "a key that is not known": Bad(
        lambda f: read(f, "enocding: {}"),
        SchemaError,
        r"study\.yaml: enocding",
        "got 'enocding'",
        "Did you mean 'encoding'",
    ),
    "tabs": Bad(
        lambda f: read(f, "run:\n\tworkers: 1"),
        LoadError,
        r"study\.yaml",
        r"got '.*\\t",
        "Indent with spaces",
    ),
    "a tag of Python": Bad(
        lambda f: read(f, "title: !!python/object/apply:os.system [ls]"),
        LoadError,
        r"study\.yaml",
        "got the tag .*os.system' in line 1",
        "Write the value out",
    ),
    "a billion laughs": Bad(
        lambda f: read(f, LAUGHS),
        LoadError,
        r"study\.yaml",
        "got an anchor or alias in line 1",
        "Write the value out",
    ),
    "a value of another type": Bad(
        lambda f: read(f, "seed: often"),
        SchemaError,
        r"study\.yaml: seed",
        "got 'often'",
        "Mend it",
    ),
    "no workers": Bad(
        lambda f: read(f, "run: {workers: 0}"),
        SchemaError,
        r"study\.yaml: run\.workers",
        "got 0",
        "Mend it",
    ),
    "a function that is not known": Bad(
        lambda f: read(f, "data: {r: {call: loaders.load_fmr}}"),
        SchemaError,
        r"study\.yaml: data\.r",
        "got 'loaders.load_fmr'",
        "Did you mean 'load_fmri'",
    ),
    "a name that leaves the folder": Bad(
        lambda f: read(f, "data: {../../etc: {call: storage.load}}"),
        SchemaError,
        r"study\.yaml: data\.\.\./\.\./etc",
        r"got '\.\./\.\./etc'",
        "Names become names of files",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_study_is_refused(name: str, tmp_path: Path) -> None:
    check_refused(BAD[name], tmp_path)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_study_ends_with_one_line_and_3(name: str, tmp_path: Path, command) -> None:
    with pytest.raises(BAD[name].error):
        BAD[name].use(tmp_path)
    done = command("run", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out"))
    assert done.code == BAD_DATA
    assert done.err.startswith("error: study.yaml") or str(tmp_path) in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study that would run."""
    write_inputs(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(describe_study(), sort_keys=False), encoding="utf-8")
    return path


def test_a_folder_of_other_things_is_not_filled(study: Path, command) -> None:
    target = study.parent / "photos"
    target.mkdir()
    (target / "cat.txt").write_text("mine")
    command("run", str(study), "--out", str(target), "--quiet")
    assert (target / "cat.txt").read_text() == "mine"


def test_a_file_is_no_folder_of_results(study: Path, command) -> None:
    target = study.parent / "taken"
    target.write_text("mine")
    done = command("run", str(study), "--out", str(target), "--quiet")
    assert done.code in (BAD_DATA, FAILED)
    assert "taken" in done.err
    assert "Traceback" not in done.err
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["info"],
        ["inof", "x"],
        ["run", "study.yaml", "--worker", "3"],
        ["demo", "--seed", "often"],
        ["--n-jobs", "0"],
        ["info", "--", "-x", "-y"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], command) -> None:
    done = command(*arguments)
    assert done.code == USAGE
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["-rf", "a\nb", "\x1b[31mred", "\u202egnp.exe", "a\x00b", ""])
def test_odd_paths_are_shown_as_they_are_and_change_nothing(name: str, command) -> None:
    done = command("info", "--", name)
    assert done.code in (USAGE, BAD_DATA, FAILED)
    assert "Traceback" not in done.err
    assert not set("\x1b\u202e\x00") & set(done.out + done.err)


def test_layers_that_a_network_lacks_are_named_with_those_near() -> None:
    nn = pytest.importorskip("torch.nn")
    net = nn.Sequential()
    net.add_module("conv1", nn.Flatten())
    for asked, found in (("conv_1", "'conv_1'"), ("layer.*", r"'layer\.\*'")):
        with pytest.raises(ValueError, match=rf"got {found}.*Near names: 'conv1'"):
            extract(net, {"a": [[1.0]]}, [asked], progress=False)
