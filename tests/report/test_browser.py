"""The page in a real browser without network: it works, it is quiet, and it asks for nothing."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.report import screens
from neuroalign.report._blocks import Block, Note, Picture, Table
from neuroalign.report._style import clean
from tests.report.browsing import LOCAL, browser
from tests.report.reading import HOSTILE, every_kind, make_responses

pytestmark = pytest.mark.slow
__all__ = ["browser", "every_kind"]

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)
STUDY = "title: Demo\nseed: 0\n"
NUMBERS = Table(
    "Numbers", ("name", "r, mean", "low"),
    (("b", 0.123456789, -1), ("a", -0.5, None), ("c", 10.0, 7), ('=2+"5"', 2.0, 0)),
    "A caption.",
)  # fmt: skip
FIGURE = Picture("Figure", PIXEL, "a dot", "One dot.", data=NUMBERS)


class Tab:
    """A page that is open, and what it said and asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.trouble: list[str] = []
        self.context = browser.new_context(offline=True, accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: self._refuse(dialog))
        self.page.on("request", self._look)
        self.page.goto(path.as_uri())

    def _refuse(self, dialog: Any) -> None:
        self.trouble.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _look(self, request: Any) -> None:
        if not request.url.startswith(LOCAL):
            self.trouble.append(f"request {request.url}")

    def column(self, number: int) -> list[str]:
        cells = self.page.locator(f"#result-1-1-data tbody td:nth-child({number})")
        return list(cells.all_inner_texts())

    def take(self, anchor: str, kind: str) -> tuple[str, str]:
        button = self.page.locator(f"button[data-from='{anchor}'][data-take='{kind}']")
        with self.page.expect_download() as found:
            button.click()
        text = Path(found.value.path()).read_text(encoding="utf-8")
        return str(found.value.suggested_filename), text


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    tabs: list[Tab] = []

    def open_page(results: Any, title: str = "A study", **options: Any) -> Tab:
        path = report.write_html(results, tmp_path / "page.html", title=title, study=STUDY)
        tabs.append(Tab(browser, path, **{"viewport": DESK, **options}))
        return tabs[-1]

    yield open_page
    for tab in tabs:
        assert tab.trouble == []
        tab.context.close()


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> xr.DataArray:
    """A result whose screen is a table and a figure with known numbers."""
    made: list[Block] = [NUMBERS, FIGURE, Note("beware", "warning")]
    monkeypatch.setitem(screens.SCREENS, "responses", lambda result: made)
    return make_responses()


def test_a_page_of_every_kind_is_quiet_and_asks_for_nothing(
    every_kind: dict[str, xr.Dataset], show: Any
) -> None:
    tab = show(every_kind)
    # Every picture can be seen once its place on the page is reached.
    broken = "images => images.filter(one => !one.naturalWidth).length"
    assert tab.page.locator("img").count() >= len(every_kind)
    assert tab.page.eval_on_selector_all("img", broken) == 0
    tab.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert tab.page.locator("h1").is_visible()
    bar = tab.page.locator("header").bounding_box()
    assert bar["y"] == 0
    assert bar["height"] < 130
    for size in (PHONE, {"width": 320, "height": 640}):
        tab.page.set_viewport_size(size)
        wide = tab.page.evaluate("document.documentElement.scrollWidth")
        assert wide == size["width"]
    tab.page.set_viewport_size(DESK)
    assert tab.page.evaluate("document.documentElement.scrollWidth") == DESK["width"]


def test_tables_sort_by_click_and_by_key(blocks: xr.DataArray, show: Any) -> None:
    tab = show(blocks)
    names = tab.page.locator("#result-1-1-data th button")
    names.nth(0).click()
    assert tab.column(1) == ['=2+"5"', "a", "b", "c"]
    assert tab.page.locator("#result-1-1-data th").nth(0).get_attribute("aria-sort") == "ascending"
    names.nth(1).focus()
    tab.page.keyboard.press("Enter")
    assert tab.column(2) == ["-0.500", "0.123", "2.000", "10.000"]
    tab.page.keyboard.press("Space")
    assert tab.column(2) == ["10.000", "2.000", "0.123", "-0.500"]
    names.nth(2).click()
    assert tab.column(3) == ["-1", "0", "7", "–"]
    names.nth(2).click()
    assert tab.column(3) == ["7", "0", "-1", "–"]


@pytest.mark.parametrize("anchor", ["result-1-1-data", "result-1-2-data"])
def test_downloads_hold_the_numbers(anchor: str, blocks: xr.DataArray, show: Any) -> None:
    tab = show({"my result": blocks})
    name, text = tab.take(anchor, "json")
    taken = json.loads(text)
    assert name.startswith("my-result_")
    assert name.endswith(".json")
    assert taken["title"] in ("Numbers", "Figure")
    assert taken["columns"] == list(NUMBERS.columns)
    assert taken["rows"] == [list(row) for row in NUMBERS.rows]
    name, text = tab.take(anchor, "csv")
    assert name.endswith(".csv")
    head, *rows = csv.reader(text.splitlines())
    assert head == ["name", "r, mean", "low"]
    assert rows == [
        ["b", "0.123456789", "-1"],
        ["a", "-0.5", ""],
        ["c", "10", "7"],
        ['\'=2+"5"', "2", "0"],
    ]


def test_spreadsheets_run_nothing_that_was_taken(
    monkeypatch: pytest.MonkeyPatch, show: Any
) -> None:
    formulas = [
        "=1",
        "+1",
        "-1",
        "@A1",
        "\t=1",
        "\r=1",
        "  =1",
        "safe",
        "1=1",
        "a\n=1",
        'q"',
        *HOSTILE,
    ]
    figure = Picture(
        "F", PIXEL, "dot", data=Table("F", ("=x", "n"), tuple((f, -1) for f in formulas))
    )
    monkeypatch.setitem(screens.SCREENS, "responses", lambda result: [figure])
    _, text = show(make_responses()).take("result-1-1-data", "csv")
    head, *rows = csv.reader(text.splitlines(keepends=True))
    assert head == ["'=x", "n"]
    assert [row[1] for row in rows] == ["-1"] * len(formulas)
    for row, given in zip(rows, formulas, strict=True):
        runs = clean(given).lstrip("\ufffd ")[:1] in set("=+-@") and not given.startswith(
            ("\t", "\r")
        )
        assert row[0] == (f"'{clean(given)}" if runs else clean(given))
        assert row[0].lstrip()[:1] not in set("=+-@\t\r")


def test_the_reader_chooses_light_or_dark(blocks: xr.DataArray, show: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        tab = show(blocks, color_scheme=scheme)
        button = tab.page.locator("#theme")
        assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
        seen[scheme] = tab.page.evaluate(ground)
        button.click()
        assert button.get_attribute("aria-pressed") == str(scheme == "light").lower()
        seen[f"not {scheme}"] = tab.page.evaluate(ground)
        # Remembered in the page only: nothing is stored, and a new look starts anew.
        assert tab.page.evaluate("localStorage.length + sessionStorage.length") == 0
        tab.page.reload()
        assert tab.page.evaluate(ground) == seen[scheme]
    assert seen["light"] == seen["not dark"] != seen["dark"] == seen["not light"]
    paper = "getComputedStyle(document.querySelector('.paper')).backgroundColor"
    assert tab.page.evaluate(paper) == "rgb(255, 255, 255)"


def test_methods_and_study_can_be_copied(encoding: xr.Dataset, show: Any) -> None:
    tab = show(encoding, permissions=["clipboard-read", "clipboard-write"])
    read = "navigator.clipboard.readText()"
    for anchor, part in (
        ("methods-paragraph", "by ridge regression (Hoerl & Kennard, 1970"),
        ("methods-bibtex", "@article{hoerl1970,"),
        ("study-text", STUDY.strip()),
    ):
        button = tab.page.locator(f"button[data-copy='{anchor}']")
        button.click()
        # The policy forbids functions made of text, so the test waits for elements.
        tab.page.locator("#told", has_text="Copied").wait_for(state="attached")
        assert part in tab.page.evaluate(read)
        tab.page.locator("#told:empty").wait_for(state="attached")
        assert button.inner_text() == "Copy"


def test_everything_can_be_reached_by_keys(blocks: xr.DataArray, show: Any) -> None:
    tab = show(blocks)
    tab.page.keyboard.press("Tab")
    skip = tab.page.locator(".skip")
    assert skip.evaluate("one => one === document.activeElement")
    assert skip.bounding_box()["x"] >= 0
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    wanted = tab.page.locator("main button, main a, main [tabindex='0']").count()
    reached = set()
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    for number in range(wanted):
        tab.page.keyboard.press("Tab")
        where = "[...document.querySelectorAll('main *')].indexOf(document.activeElement)"
        reached.add(tab.page.evaluate(where))
        assert tab.page.evaluate(ring) == "solid", number
    assert len(reached - {-1}) == wanted


def test_print_shows_everything_and_nothing_to_press(encoding: xr.Dataset, show: Any) -> None:
    rois = [f"region-{number}" for number in range(40)]
    long = encoding.assign_coords(roi=("neuroid", rois))
    tab = show({"a": long, "b": long}, color_scheme="dark")
    tab.page.locator("#theme").click()
    tab.page.locator("#theme").click()
    tab.page.emulate_media(media="print", color_scheme="dark")
    page = tab.page
    assert not page.locator("nav, .skip, .take, #theme").filter(visible=True).count()
    hidden = "all => all.filter(one => one.scrollHeight > one.clientHeight + 1).length"
    assert page.eval_on_selector_all(".scroll, pre, .head, h1, .verdict, .cards p", hidden) == 0
    for part in ("article", ".note", "td", "img", "pre", "figcaption"):
        assert (
            page.locator(f"main {part}").filter(visible=True).count()
            == page.locator(f"main {part}").count()
        )
    colours = "getComputedStyle(document.querySelector('main a')).color"
    assert page.evaluate(colours) == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert (
        page.evaluate("getComputedStyle(document.getElementById('result-2')).breakBefore") == "page"
    )
    assert page.evaluate("getComputedStyle(document.querySelector('header')).position") == "static"
    page.set_viewport_size({"width": 720, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == 720


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_wider_than_a_phone_says_that_it_scrolls(
    encoding: xr.Dataset, show: Any, scheme: str
) -> None:
    tab = show(encoding, color_scheme=scheme, viewport=PHONE)
    box = tab.page.locator(".scroll:has(#result-1-1-data)")
    hint = tab.page.locator(".more:has(+ .scroll #result-1-1-data)")
    assert hint.inner_text() == "scroll →"
    box.evaluate("one => { one.scrollLeft = one.scrollWidth; }")
    hint.filter(has_text="← scroll").wait_for()
    assert "gradient" in box.evaluate("one => getComputedStyle(one).backgroundImage")
    tab.page.set_viewport_size(DESK)
    hint.wait_for(state="hidden")


def test_without_scripts_all_content_is_there(blocks: xr.DataArray, show: Any) -> None:
    tab = show(blocks, java_script_enabled=False)
    assert tab.page.locator("#result-1-1-data tbody tr").count() == 4
    assert tab.page.locator("img").is_visible()
    assert not tab.page.locator(".take, #theme").filter(visible=True).count()


# The script of the cortex styles what it makes; nothing else has a style, and nothing listens.
HANDLERS = """() => [...document.querySelectorAll('*')].flatMap((one) => {
  const own = one.closest('.cortex');
  return one.getAttributeNames().filter((name) => /^on/.test(name) || (name === 'style' && !own));
})"""
SCRIPTS = "[...document.scripts].map((one) => one.type)"


def test_hostile_labels_stay_text_in_a_real_browser(
    encoding: xr.Dataset, rdm: xr.DataArray, monkeypatch: pytest.MonkeyPatch, show: Any
) -> None:
    every = "\n".join(HOSTILE)
    table = Table(every, tuple(HOSTILE), (tuple(HOSTILE),) * 2, every)
    picture = Picture(every, PIXEL, every, every, table)
    made = [Note(every, "warning"), Note(every), table, picture]
    monkeypatch.setitem(screens.SCREENS, "dissimilarity", lambda result: made)
    bad = encoding.assign_coords(roi=("neuroid", np.resize(HOSTILE, 40)))
    texts = dict.fromkeys(("warnings", "history", "provenance", "model", "source"), every)
    tab = show({every: bad.assign_attrs(texts), "b": rdm.assign_attrs(texts)}, title=every)
    assert tab.page.locator("h1").inner_text().split() == clean(every).split()
    assert tab.page.evaluate(HANDLERS) == []
    assert set(tab.page.evaluate(SCRIPTS)) == {"", "application/json"}
    assert (
        tab.page.locator("iframe, object, embed, link, base, form, svg:not(.cortex *)").count() == 0
    )
    links = tab.page.eval_on_selector_all("a", "all => all.map(one => one.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)
    tab.page.set_viewport_size(PHONE)
    assert tab.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_folds_open_by_link_and_by_key(show: Any, layers: xr.Dataset) -> None:
    tab = show({f"net {number}": layers for number in range(3)})
    folds = tab.page.locator("details.fold")
    is_open = [folds.nth(number).get_attribute("open") is not None for number in range(3)]
    assert is_open == [True, False, False]
    tab.page.locator("nav a[href='#result-3-2']").click()
    opened = tab.page.locator("details.fold[open]")
    opened.nth(1).wait_for(state="attached")
    assert opened.count() == 2
    folds.nth(1).locator("summary").focus()
    tab.page.keyboard.press("Enter")
    assert folds.nth(1).get_attribute("open") is not None
    assert tab.page.locator("#result-2 article h3").first.is_visible()
    folds.nth(1).locator("summary").press("Enter")
    tab.page.emulate_media(media="print")
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.page.locator("details.fold[open]").count() == 3
    tab.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.page.locator("details.fold[open]").count() == 2


def test_a_phone_scrolls_wide_figures_inside_their_card(show: Any, encoding: xr.Dataset) -> None:
    tab = show({"voxels": encoding}, viewport=PHONE)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = tab.page.locator(".paper[tabindex='0']")
    assert wide.count() > 0
    box = "one => [one.scrollWidth > one.clientWidth, one.clientWidth <= 390]"
    assert wide.first.evaluate(box) == [True, True]
    tab.page.set_viewport_size(DESK)
    tab.page.locator(".paper[tabindex]").first.wait_for(state="detached")
