"""Datasets on the command line."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "neuroalign", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_datasets_are_listed_with_size_licence_and_what_is_here(tmp_path: Path) -> None:
    done = run("datasets", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split() == [
        *("name", "modality", "here", "size", "licence", "title")
    ]
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("things-fmri")]
    assert "CC0 1.0" in row


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nds"], 1, "error: name: expected one of"),
        (["nsd"], 1, "error: accept_terms: expected agreement to the terms of 'nsd'"),
        (["nsd", "--accept-terms", "--subject", "9"], 1, "subjects: expected one of 'subj01'"),
        (["tvsd", "--yes"], 3, "By hand: THINGS_normMUA.mat from the mirror"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = run("fetch", *arguments, "--folder", str(tmp_path))
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
