"""The cortex in a real browser: controls change it, keys work, nothing is asked of the network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.report.surface import N_VERTICES
from tests.report.browsing import browser

pytestmark = pytest.mark.slow
__all__ = ["browser"]
HOSTILE = "<img src=x onerror=alert(1)>"
# Pixels whose channels differ: those in the colour of a value, not grey.
COUNT = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let colored = 0, drawn = 0, sum = 0;
  for (let n = 0; n < data.length; n += 4) {
    if (!data[n + 3]) continue;
    drawn += 1;
    sum = (sum * 31 + data[n] + 3 * data[n + 1] + 7 * data[n + 2]) % 1000003;
    const rgb = data.slice(n, n + 3);
    if (Math.max(...rgb) - Math.min(...rgb) > 30) colored += 1;
  }
  return { colored, drawn, sum };
}"""


def make_layers() -> xr.Dataset:
    """Three layers on every vertex: the left side falls with the layer, the right one rises."""
    vertex = np.arange(2 * N_VERTICES)
    left = vertex < N_VERTICES
    scores = np.where(left, [[0.9], [0.5], [0.1]], [[0.1], [0.5], [0.9]])
    region = np.where(left, "V1", HOSTILE)
    means = np.array([[row[left].mean(), row[~left].mean()] for row in scores])
    return xr.Dataset(
        {
            "score": (("layer", "roi"), means),
            "best_layer": ("roi", ["one", "three"]),
            "best_layer_index": ("neuroid", scores.argmax(axis=0).astype(float)),
            "neuroid_score": (("layer", "neuroid"), scores),
        },
        coords={
            "layer": ["one", "two", "three"],
            "roi": ["V1", HOSTILE],
            "neuroid": [f"n{number}" for number in vertex],
            "region": ("neuroid", region),
            "vertex": ("neuroid", vertex % N_VERTICES),
            "hemisphere": ("neuroid", np.where(left, "L", "R")),
        },
        attrs={"kind": "layers", "metric": "pearson", "n_vertices": N_VERTICES},
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write_html(make_layers(), tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def page(browser: Any, path: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(path.as_uri())
    wait(opened)
    yield opened
    opened.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def wait(page: Any) -> None:
    """Until the frame after the next is drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def get_map(page: Any) -> Any:
    return page.locator("figure.cortex", has=page.locator("canvas"))


def count(page: Any) -> dict[str, int]:
    wait(page)
    found: dict[str, int] = get_map(page).locator("canvas").evaluate(COUNT)
    return found


def move(page: Any, number: int, value: int) -> None:
    get_map(page).locator("input[type=range]").nth(number).fill(str(value))


def press(page: Any, name: str) -> None:
    get_map(page).get_by_role("button", name=name, exact=True).click()


def test_layers_differ_and_come_back(page: Any) -> None:
    move(page, 0, 0)
    first = count(page)
    assert first["colored"] > 1000
    move(page, 0, 2)
    assert count(page)["sum"] != first["sum"]
    move(page, 0, 0)
    assert count(page) == first


def test_threshold_hides_what_lies_below(page: Any) -> None:
    move(page, 0, 0)
    before = count(page)
    move(page, 1, 50)
    hidden = count(page)
    # The right hemisphere is at 0.1 of 0.9 and too pale to count; the left one stays.
    assert hidden["drawn"] == before["drawn"]
    assert hidden["sum"] != before["sum"]
    move(page, 0, 1)
    move(page, 1, 100)
    assert count(page)["colored"] == 0
    said = get_map(page).locator("output").nth(2).text_content()
    assert said == "|value| ≥ 0.9"


def test_best_layers_are_thresholded_by_their_score(page: Any) -> None:
    get_map(page).locator("select").select_option(label="best layer")
    before = count(page)
    move(page, 1, 50)
    assert count(page) == before
    move(page, 1, 100)
    assert get_map(page).locator("output").nth(2).text_content() == "|mean Pearson r| ≥ 0.9"
    assert not get_map(page).get_by_role("button", name="find largest").is_visible()


def test_best_layers_without_scores_have_no_threshold(browser: Any, tmp_path: Path) -> None:
    bare = make_layers().drop_vars("neuroid_score")
    opened = browser.new_page()
    opened.goto(report.write_html(bare, tmp_path / "bare.html").as_uri())
    assert count(opened)["colored"] > 1000
    assert not get_map(opened).locator("label", has_text="threshold").is_visible()
    opened.close()


def test_views_the_flat_cortex_and_metrics_change_the_picture(page: Any) -> None:
    seen = {count(page)["sum"]}
    for name in ("medial", "ventral", "dorsal", "flat"):
        press(page, name)
        seen.add(count(page)["sum"])
    get_map(page).locator("select").select_option(label="best layer")
    seen.add(count(page)["sum"])
    assert len(seen) == 6
    assert get_map(page).locator("text=three").count() >= 1


def test_pointing_tells_the_value_of_its_vertex(page: Any) -> None:
    canvas = get_map(page).locator("canvas")
    canvas.scroll_into_view_if_needed()
    move(page, 0, 0)
    wait(page)
    box = canvas.bounding_box()
    said = get_map(page).locator(".cx-said")
    canvas.hover(position={"x": box["width"] * 0.25, "y": box["height"] * 0.5})
    words = said.text_content()
    assert words.startswith("left vertex ")
    assert "V1 · mean Pearson r: 0.9 · one" in words
    canvas.hover(position={"x": box["width"] * 0.75, "y": box["height"] * 0.5})
    assert f"{HOSTILE} · mean Pearson r: 0.1" in said.text_content()
    move(page, 0, 2)
    assert "mean Pearson r: 0.9 · three" in said.text_content()


def test_keys_do_all_that_the_pointer_does(page: Any) -> None:
    before = count(page)["sum"]
    slider = get_map(page).locator("input[type=range]").first
    slider.focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "three"
    after = count(page)["sum"]
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "one"
    get_map(page).locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    turned = count(page)["sum"]
    get_map(page).get_by_role("button", name="flat").focus()
    page.keyboard.press("Space")
    assert len({before, after, turned, count(page)["sum"]}) == 4
    get_map(page).get_by_role("button", name="find largest").focus()
    page.keyboard.press("Enter")
    assert "0.9" in get_map(page).locator(".cx-said").text_content()


def test_dragging_turns_it(page: Any) -> None:
    canvas = get_map(page).locator("canvas")
    canvas.scroll_into_view_if_needed()
    before, box = count(page)["sum"], canvas.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 320, box["y"] + 100, steps=3)
    page.mouse.up()
    assert count(page)["sum"] != before


def test_a_cell_opens_by_click_and_by_key(page: Any) -> None:
    figure = page.locator("figure.cortex", has=page.locator(".cx-cells"))
    first = figure.locator("td button").first
    first.click()
    assert "mean 0.900 Pearson r" in figure.locator(".cx-detail").text_content()
    assert first.get_attribute("aria-pressed") == "true"
    figure.locator("td button").nth(5).focus()
    page.keyboard.press("Enter")
    assert figure.locator(".cx-detail strong").text_content() == f"three in {HOSTILE}"
    assert first.get_attribute("aria-pressed") == "false"
    assert page.locator("img[src=x]").count() == 0


def test_print_and_a_page_without_scripts_show_the_still_picture(browser: Any, path: Path) -> None:
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(path.as_uri())
    assert plain.locator(".cortex-still img").last.is_visible()
    assert not plain.locator(".cortex-live").last.is_visible()
    printed = browser.new_page()
    printed.goto(path.as_uri())
    assert not printed.locator(".cortex-still img").last.is_visible()
    printed.emulate_media(media="print")
    assert printed.locator(".cortex-still img").last.is_visible()
    assert not printed.locator(".cortex-live").last.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_holds_everything(browser: Any, path: Path, scheme: str) -> None:
    narrow = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    narrow.goto(path.as_uri())
    size = "() => document.documentElement.scrollWidth"
    assert narrow.evaluate(size) == 390
    found = count(narrow)
    assert found["colored"] > 1000
    canvas = get_map(narrow).locator("canvas").bounding_box()
    assert canvas["height"] > canvas["width"]


def test_the_script_stays_small_and_the_mesh_comes_once(path: Path) -> None:
    script = Path(report.__file__).with_name("cortex.js").read_bytes()
    assert len(script) <= 20 * 1024
    text = path.read_text(encoding="utf-8")
    assert text.count('id="cortex-mesh"') == 1
    mesh = text.split('id="cortex-mesh">')[1].split("</script>")[0]
    assert len(mesh) < 500_000
    assert len(json.loads(mesh)["sides"]) == 2
