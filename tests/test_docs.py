"""What the pages of the site show is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from neuroalign.study.config import read_study

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {
    page.relative_to(DOCS).as_posix(): re.findall(r"```python\n(.*?)```", text, re.S)
    for page in sorted(DOCS.rglob("*.md"))
    if "```python" in (text := page.read_text(encoding="utf-8"))
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_a_page_run_in_order(page: str, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(PAGES[page]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


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


@pytest.mark.parametrize("page", ["studies.md", "concepts/convergence.md"])
def test_studies_that_are_shown_are_valid(page: str, tmp_path: Path) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert shown
    for text in shown:
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
        assert read_study(tmp_path / "study.yaml").entries()
