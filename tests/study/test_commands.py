"""One analysis from the command line: a study that can be edited, verified and run again."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroalign import cli, storage
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.study.commands import COMMANDS

STIMULI = [f"s{i:02d}" for i in range(16)]
Command = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("plain_page")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: Any, capsys: Any) -> Command:
    """Run the command line in this process, in a folder with three files."""
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(2, 16, 4))
    Y = np.tile(X @ rng.normal(size=(4, 6)), (2, 1)) + rng.normal(size=(32, 6))
    runs = ["run-01"] * 16 + ["run-02"] * 16
    monkeypatch.chdir(tmp_path)
    storage.save(from_arrays(Y, modality="fmri", stimulus=STIMULI * 2, run=runs), "brain.nc")
    storage.save(features_from_arrays(X[::-1], stimulus=STIMULI[::-1]), "good.zarr")
    storage.save(features_from_arrays(noise, stimulus=STIMULI), "bad.nc")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["neuroalign", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        code = end.value.code
        return int(code) if isinstance(code, int) else 0, said.out, said.err

    return run


def test_every_command_has_an_example() -> None:
    for one in COMMANDS:
        assert f"Example: neuroalign {one.__name__} " in str(one.__doc__)


def test_encodings_are_made_kept_and_compared(command: Command, tmp_path: Path) -> None:
    code, said, progress = command(
        "encode", "good.zarr", "brain.nc", "--out", "a", "--keep-predictions"
    )
    assert code == 0
    assert progress.splitlines()[0] == "4 of 4 tasks to do (serial)"
    assert "encoding: Pearson r 0." in said
    assert said.splitlines()[-1] == f"report: {Path('a') / 'report.html'}"
    assert command("run", "a/study.yaml", "--quiet")[0] == 0
    again = command("encode", "good.zarr", "brain.nc", "--out", "a", "--keep-predictions")[2]
    assert again.splitlines()[0] == "0 of 4 tasks to do (serial)"
    assert command("encode", "bad.nc", "brain.nc", "--out", "b", "--keep-predictions")[0] == 0
    assert command("verify", "b")[0] == 0
    options = ("--over", "stimulus", "--responses", "brain.nc", "--out", "c", "--json")
    code, said, _ = command("compare", "a", "b", *options)
    told = json.loads(said)
    assert (code, told["report"]) == (0, str(Path("c") / "report.html"))
    verdict, numbers = told["results"]["a-vs-b"].values()
    assert f"Mean difference {numbers['difference_mean']:+.3f}" in verdict
    assert "a-vs-b" in (tmp_path / "c" / "study.yaml").read_text()


def test_geometries_are_compared(command: Command) -> None:
    code, said, _ = command("rsa", "brain.nc", "good.zarr", "bad.nc", "--out", "geometry")
    assert code == 0
    assert "models: 'good' is the most similar model: whitened cosine 0." in said
    assert "related to these data: permutation p " in said


def test_representations_are_compared(command: Command) -> None:
    code, said, _ = command("compare", "good.zarr", "bad.nc", "brain.nc", "--out", "alike")
    assert code == 0
    assert "most alike good and brain" in said


def test_latents_are_fitted(command: Command) -> None:
    code, said, told = command("latents", "brain.nc", "--n-latents", "2", "--out", "m")
    assert code == 0, told
    assert told.splitlines()[0] == "3 of 3 tasks to do (serial)"
    assert "score: FactorAnalysis" in said


def test_a_dry_run_leaves_nothing(command: Command, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    _code, said, _ = command("encode", "good.zarr", "brain.nc", "--dry-run", "--json")
    assert [row["task"] for row in json.loads(said)["tasks"]][-1] == "encoding"
    assert sorted(tmp_path.iterdir()) == before


def test_a_study_that_was_edited_is_not_lost(command: Command, tmp_path: Path) -> None:
    arguments = ("encode", "good.zarr", "brain.nc", "--out", "a", "--quiet")
    assert command(*arguments)[0] == 0
    code, _, error = command(*arguments, "--metric", "spearman")
    assert (code, "metric: 'pearson' -> 'spearman'" in error) == (3, True)
    assert command(*arguments, "--metric", "spearman", "--update")[0] == 0
    assert len([*(tmp_path / "a").glob("study-*.*")]) == 2


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("encode", "a.nc", "b.nc", "--encoder", "Rigde"), "Ridge"),
        (("encode", "a.nc", "b.nc", "--metric", "person"), "pearson"),
        (("encode", "a.nc", "b.nc", "--ceiling", "split"), "split_half"),
        (("rsa", "a.nc", "b.nc", "--distance", "crosnobis"), "crossnobis"),
        (("compare", "a.nc", "b.nc", "--measure", "cka_debias"), "cka_debiased"),
        (("latents", "a.nc", "--model", "GFPA"), "GPFA"),
    ],
)
def test_names_of_tables_are_suggested(
    command: Command, arguments: tuple[str, ...], near: str
) -> None:
    code, _, error = command(*arguments)
    assert code == 2
    assert f"'{near}'?" in error.replace("│", "").replace("\n", "") or near in error


def test_files_that_are_not_there_are_bad_data(command: Command) -> None:
    code, _, error = command("encode", "goood.zarr", "brain.nc")
    assert (code, error.count("\n")) == (3, 1)
    assert "goood.zarr" in error
