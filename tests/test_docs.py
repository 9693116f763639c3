"""What the pages of the site show is what happens."""

import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import neuroalign
from neuroalign.study.config import read_study

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# Pages that people write: what is made of the package has none of its own.
WRITTEN = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("concepts/*.md"))]
# Each block of code, and what stands below it as its output.
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.S)
PAGES = {
    page.relative_to(DOCS).as_posix(): BLOCK.findall(text)
    for page in sorted(DOCS.rglob("*.md"))
    if "```python" in (text := page.read_text(encoding="utf-8"))
}
CUT = "---- what the next block prints ----"
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")
# What follows the name of a room in the name of a file, such as study.yaml.
ENDINGS = {"html", "md", "py", "yaml", "zarr"}


@cache
def load_rooms() -> ModuleType:
    """The module that makes pages of the package."""
    spec = importlib.util.spec_from_file_location("rooms", DOCS / "rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name_things(text: str) -> set[str]:
    """Names of things in rooms, such as ``rsa.infer``, that a page writes as code in prose."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    rooms = "|".join(sorted((re.escape(room) for room in load_rooms().ROOMS), reverse=True))
    pattern = re.compile(
        rf"(?<![\w./\"'-])(?:na\.|neuroalign\.)?((?:{rooms})\.[A-Za-z_]\w*)(?![/\w])"
    )
    literals = re.findall(r"`([^`\n]+)`", prose)
    found = {name for literal in literals for name in pattern.findall(literal)}
    return {name for name in found if name.rpartition(".")[2] not in ENDINGS}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_a_page_run_in_order_and_print_what_stands_below(
    page: str, tmp_path: Path
) -> None:
    script = tmp_path / "page.py"
    code = f"\nprint({CUT!r})\n".join(block for block, _ in PAGES[page])
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{CUT}\n")
    for (block, shown), said in zip(PAGES[page], printed, strict=True):
        assert agree(said, shown), f"{block}\nprints\n{said}"


def agree(said: str, shown: str) -> bool:
    """Tell whether texts are the same, but for numbers that other machines round otherwise."""
    words = [re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip() for text in (said, shown)]
    ours, theirs = ([float(one) for one in NUMBER.findall(text)] for text in (said, shown))
    return words[0] == words[1] and ours == pytest.approx(theirs, rel=0.05, abs=0.02)


def test_texts_agree_up_to_the_rounding_of_numbers() -> None:
    assert agree("r = 0.512 in  V1\n", "r = 0.51 in V1")
    assert not agree("r = 0.61 in V1", "r = 0.51 in V1")
    assert not agree("r = 0.51 in V4", "r = 0.51 in V1")
    assert not agree("r = 0.51", "")


def test_pages_name_only_what_is_there() -> None:
    links = {
        (page, target)
        for page in DOCS.rglob("*.md")
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    }
    made = {"api/sources.rst", "api/index.rst"}
    lost = [
        f"{page.name}: {target}"
        for page, target in links
        if target not in made and not (page.parent / target).exists()
    ]
    assert lost == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_things_that_prose_names_are_public(page: Path) -> None:
    lost = []
    for name in sorted(name_things(page.read_text(encoding="utf-8"))):
        thing = neuroalign
        for part in name.split("."):
            thing = getattr(thing, part, None)
        if thing is None:
            lost.append(name)
    assert lost == []


def test_names_in_prose_are_found() -> None:
    text = "`na.rsa.infer(models)`, `rsa.no_such`, `run study.yaml`, `encoders.readouts.SmallCore`"
    expected = {"rsa.infer", "rsa.no_such", "encoders.readouts.SmallCore"}
    assert name_things(text) == expected
    assert len(name_things((DOCS / "coming_from.md").read_text(encoding="utf-8"))) > 25


def test_first_test_of_a_source_lies_in_its_room() -> None:
    rooms, wrong = load_rooms(), []
    for row in rooms.list_sources():
        at_home = [file.startswith(rooms.name_home(row.room)) for file in row.tests]
        if any(at_home) and not at_home[0]:
            wrong.append(row.shown)
    assert wrong == []


def test_references_come_before_other_tests() -> None:
    texts = dict.fromkeys(
        ["tests/align/test_a.py", "tests/recovery/test_r.py", "tests/reference/test_b.py"], "infer"
    )
    texts |= dict.fromkeys(["tests/rsa/test_a.py", "tests/rsa/test_inference.py"], "infer")
    found = load_rooms().find_tests(["infer"], "rsa", texts, "neuroalign.rsa.inference")
    assert found[:2] == ["tests/rsa/test_inference.py", "tests/rsa/test_a.py"]
    assert found[2:4] == ["tests/reference/test_b.py", "tests/recovery/test_r.py"]


@pytest.mark.parametrize(
    ("table", "n"),
    [("rsa.DISTANCES", 11), ("rsa.COMPARISONS", 10), ("similarity.SIMILARITIES", 26)],
)
def test_each_method_of_a_table_has_a_source_and_a_test(table: str, n: int) -> None:
    room, _, name = table.partition(".")
    methods = next(one for one in load_rooms().METHODS if (one.room, one.table) == (room, name))
    rows = load_rooms().read_methods(methods, load_rooms().read_tests())
    assert len(rows) >= n
    assert [row.shown for row in rows if not row.paper or not row.tests] == []


def test_places_in_papers_and_formulas_are_found() -> None:
    from neuroalign.ceilings import ncsnr, signal_power

    rooms = load_rooms()
    paper = rooms.read_sources(signal_power)
    assert rooms.find_places(signal_power, paper) == "equations 5 to 8"
    assert "ncsnr = s_signal / s_noise" in rooms.find_places(ncsnr, "A paper")


def test_public_tables_and_errors_stand_in_the_reference(tmp_path: Path) -> None:
    for room in ("rsa", "errors"):
        load_rooms().write_room(room, tmp_path)
    page = (tmp_path / "rsa.rst").read_text(encoding="utf-8")
    assert ".. py:data:: DISTANCES" in page
    assert "- ``crossnobis``" in page
    assert "LeakageError" in (tmp_path / "errors.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["studies.md", "concepts/convergence.md"])
def test_studies_that_are_shown_are_valid(page: str, tmp_path: Path) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert shown
    for text in shown:
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
        assert read_study(tmp_path / "study.yaml").entries()
