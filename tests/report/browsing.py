"""A real browser without network: pages are opened in it, and whatever they say or ask is kept."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

# Names under which systems install the browser; playwright's own are not downloaded.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOCAL = ("file:", "blob:", "data:")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Skip only without a browser: where there is one and no playwright, the import fails."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH, and pip installs none")
    with import_module("playwright.sync_api").sync_playwright() as library:
        started = library.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(browser: Any, path: Path) -> Iterator[Any]:
    """Open a page without network; at the end it must have said and asked for nothing."""
    trouble: list[str] = []
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "request",
        lambda asked: asked.url.startswith(LOCAL) or trouble.append(f"request {asked.url}"),
    )
    page.goto(path.as_uri())
    try:
        yield page
    finally:
        context.close()
    assert trouble == []


def unfold(page: Any) -> int:
    """Open every section that is folded, as a reader does; how many there were."""
    folded = page.locator("details.fold:not([open]) > summary")
    n = int(folded.count())
    for _ in range(n):
        folded.first.click()
    return n


def check_sorting(page: Any) -> int:
    """Sort every table that sorts, up and down; how many there are."""
    unfold(page)
    tables = page.locator("table.sortable")
    for number in range(tables.count()):
        table = tables.nth(number)
        table.locator("th button").first.click()
        assert table.locator("th").first.get_attribute("aria-sort") == "ascending"
        rising = table.locator("tbody td:first-child").all_inner_texts()
        table.locator("th button").first.click()
        falling = table.locator("tbody td:first-child").all_inner_texts()
        assert sorted(rising) == sorted(falling)
        if len(set(rising)) > 1:
            assert rising != falling
    return int(tables.count())


def check_pictures(page: Any) -> None:
    """Every picture can be seen."""
    broken = "images => images.filter(one => !one.naturalWidth).length"
    assert page.locator("img").count() > 0
    assert page.eval_on_selector_all("img", broken) == 0


def take_picture(canvas: Any) -> str:
    """What a canvas shows once the next frames are drawn, as text."""
    wait = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
    canvas.page.evaluate(wait)
    return str(canvas.evaluate("one => one.toDataURL()"))
