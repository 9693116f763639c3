"""Cards are read strictly, and found in the wheel and in the repository."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from neuroalign import loaders
from neuroalign.errors import LoadError
from neuroalign.loaders._cards import (
    Part,
    check_relative,
    expand_range,
    find_cards,
    read_card,
    read_cards,
)
from neuroalign.loaders._installed import INSTALLED

ROOT = Path(__file__).parent.parent.parent
NAMES = sorted(path.parent.name for path in (ROOT / "datasets").glob("*/card.toml"))
WANTED = [
    "nsd",
    "things-fmri",
    "things-meg",
    "things-eeg2",
    "algonauts2023",
    "bold5000",
    "haxby",
    "lebel2023",
    "narratives",
    "pereira2018",
    "dynamic-natural-vision",
    "bold-moments",
    "allen-visual-coding",
    "steinmetz2019",
    "ibl",
    "tvsd",
    "mne-sample",
    "brainscore-public",
]


def change(tmp_path: Path, old: str, new: str) -> Path:
    path = tmp_path / "haxby" / "card.toml"
    path.parent.mkdir()
    text = (ROOT / "datasets" / "haxby" / "card.toml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_public_benchmarks_have_cards() -> None:
    assert set(WANTED) <= set(read_cards())


@pytest.mark.parametrize("name", NAMES)
def test_each_card_can_be_read_and_cited(name: str) -> None:
    card = read_card(ROOT / "datasets" / name / "card.toml")
    assert re.search(r"\((19|20)\d\d\)|neuroalign", card.citation)
    assert card.licence
    assert card.terms
    assert all(file.url.startswith("https://") and file.digest for file in card.files)


FAULTS = {
    "unknown key": ("doi =", "dio =", "card.toml key: expected one of .*Did you mean 'doi'"),
    "unknown route key": ('address = "ds', 'adress = "ds', r"routes\[0\] key.*'address'"),
    "lacking key": ("title =", "manual = 'x' #", "expected the key 'title', got none|TOML"),
    "wrong type": ("terms_required = false", "terms_required = 'no'", "expected bool, got 'no'"),
    "number for text": ("licence =", "licence = 3 #", "licence: expected str, got 3"),
    "unknown route": ('kind = "openneuro"', 'kind = "ftp"', "expected one of http.*got 'ftp'"),
    "another name": ('name = "haxby"', 'name = "../haxby"', "expected the folder's name"),
    "modality": ('"fmri"', '"mri"', "modality: expected one of the schema, got 'mri'"),
    "no TOML": ("title =", "title", "expected TOML, got"),
    "list of tables": ("[expected.counts]", "[[expected]]", "expected: expected a table|TOML"),
    "loader path": ("loader =", "loader_path = '../x'\nloader =", "inside the dataset's folder"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_card_are_named(tmp_path: Path, fault: str) -> None:
    old, new, message = FAULTS[fault]
    with pytest.raises(LoadError, match=message):
        read_card(change(tmp_path, old, new))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('digest = "md5:xyz"', "digest: expected md5:, sha1: or sha256:"),
        ('digest = "crc:0"', "digest: expected md5:"),
        ("size = '3'", "size: expected int | None, got '3'"),
        ("size = true", "size: expected"),
    ],
)
def test_faults_of_a_file_are_named(tmp_path: Path, line: str, message: str) -> None:
    files = f'[[files]]\npath = "a"\nurl = "https://x.org"\n{line}\n[[routes]]'
    with pytest.raises(LoadError, match=re.escape(message)):
        read_card(change(tmp_path, "[[routes]]", files))


UNSAFE = [
    "",
    "/a",
    "../a",
    "a/../b",
    "a//b",
    "./a",
    "a\\b",
    "C:a",
    "a\nb",
    "a\x00",
    "NUL",
    "lpt1.x",
]
UNSAFE += ["a.part", ".neuroalign-lock", "a ", "a.", "~x/../y", "a/."]


@pytest.mark.parametrize("path", UNSAFE)
def test_unsafe_paths_are_refused(path: str) -> None:
    with pytest.raises(LoadError, match="card: expected a path inside the dataset's folder"):
        check_relative(path, "card")


@pytest.mark.parametrize("path", ["a", "a/b.nii.gz", "sub-01/", ".bidsignore", "a..b", "é.txt"])
def test_plain_paths_pass(path: str) -> None:
    assert str(check_relative(path, "card")) == path.rstrip("/")


def test_ranges_and_known_gaps() -> None:
    assert expand_range(["x", "day08..10"]) == ["x", "day08", "day09", "day10"]
    part = Part("sub-{subject}/*{run}", subject=["1..2"], run=["07..08"], absent=["sub-2 run-07"])
    assert list(part.expand()) == ["sub-1 run-07", "sub-1 run-08", "sub-2 run-08"]
    assert list(Part("{subject}/lh.npy", subject=["a"]).expand()) == ["a/lh.npy"]


def test_things_fmri_has_359_runs() -> None:
    (part,) = read_cards()["things-fmri"].expected.parts
    assert len(part.expand()) == 359
    assert part.expand()["sub-02 ses-things03 run-08"][0] == "sub-02"


def test_nsd_has_284_sessions_of_750_trials() -> None:
    card = read_cards()["nsd"]
    sessions = sum(len(part.expand()) for part in card.expected.parts)
    assert sessions * 750 == card.expected.counts["trials"]
    assert list(card.expected.sizes_of) == card.subjects
    samples = [sizes["sample"] for sizes in card.expected.sizes_of.values()]
    assert samples == [750 * number for number in card.expected.counts["sessions"]]


def test_cards_of_the_wheel_come_before_those_of_the_repository(tmp_path: Path) -> None:
    package = tmp_path / "neuroalign"
    for folder in (package / "_datasets", tmp_path / "datasets"):
        shutil.copytree(ROOT / "datasets" / "haxby", folder / "haxby")
    (tmp_path / "pyproject.toml").touch()
    assert find_cards(package) == package / "_datasets"
    shutil.rmtree(package / "_datasets")
    assert find_cards(package) == tmp_path / "datasets"
    assert list(read_cards(find_cards(package))) == ["haxby"]


def test_the_wheel_lists_its_datasets(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"datasets": "neuroalign/_datasets"}
    shutil.copytree(ROOT / "neuroalign", tmp_path / "neuroalign")
    shutil.copytree(ROOT / "datasets", tmp_path / "neuroalign" / "_datasets")
    code = (
        "import sys, neuroalign; from neuroalign.loaders import list_datasets;"
        "print(neuroalign.__file__, len(list_datasets()), 'pooch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    place, count, loaded = done.stdout.split()
    assert Path(place).is_relative_to(tmp_path)
    assert (int(count), loaded) == (len(NAMES), "False")


def test_another_projects_datasets_beside_the_package_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    with pytest.raises(LoadError, match="expected the dataset cards, got no folder"):
        find_cards(tmp_path / "neuroalign")


@pytest.mark.parametrize("name", NAMES)
def test_the_loader_that_a_card_names_is_there(name: str) -> None:
    loader = read_card(ROOT / "datasets" / name / "card.toml").loader
    assert loader == "" or loader in INSTALLED or loader in loaders.__all__
