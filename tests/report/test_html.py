"""The page is whole, self-contained, and inert whatever the labels hold."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import MissingExtraError, NeuroalignWarning, SchemaError
from neuroalign.report import html

# Names under which systems install the browser that runs the page once, for real.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></script><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "$x$ $\\frac{1}{0}$ \\$",
    "https://example.org/x.js",
    "\u202egnp.exe\x00\x1b[31m",
]


class Reader(HTMLParser):
    """Collects elements and checks that every one is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(text)

    def error(self, message: str) -> None:
        raise AssertionError(message)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def assert_inert(page: Reader) -> None:
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert [t for t, _ in page.elements].count("script") == 1
    script, style = "".join(page.text["script"]), "".join(page.text["style"])
    assert f"script-src '{html.hash_source(script)}'" in policy
    assert f"style-src '{html.hash_source(style)}'" in policy
    assert "url(" not in style
    assert "@import" not in style
    assert {t for t, _ in page.elements}.isdisjoint({"svg", "iframe", "object", "link", "base"})
    for tag, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], tag
        assert re.match(r"#|$", attrs.get("href") or "")
        assert re.match(r"data:image/png;base64,[A-Za-z0-9+/=]+$|$", attrs.get("src") or "")


def poison(result: xr.Dataset) -> xr.Dataset:
    rois = np.resize(HOSTILE, result.sizes["neuroid"])
    every = "\n".join(HOSTILE)
    attrs = {label: label for label in HOSTILE} | {"kind": "encoding", "metric": "pearson"}
    attrs |= dict.fromkeys(("model", "warnings", "history", "provenance"), every)
    return result.assign_coords(roi=("neuroid", rois)).assign_attrs(attrs)


def test_page_of_every_kind_is_well_formed_and_inert(
    encoding: xr.Dataset, timed: xr.Dataset, layers: xr.Dataset, rdm: xr.DataArray, tmp_path: Path
) -> None:
    results = {"layers": layers, "encoding": encoding, "meg": timed, "rdm": rdm}
    path = report.write_html(results, tmp_path / "deep" / "page.html", title="A study")
    page = read(path)
    assert_inert(page)
    assert path.stat().st_size < 5_000_000
    images = [attrs for tag, attrs in page.elements if tag == "img"]
    assert len(images) == 11
    assert all(attrs["alt"] for attrs in images)
    assert not [text for text in page.text["p"] if "left out" in text and "Map" not in text]


def test_page_of_models_and_times_is_well_formed_and_inert(
    models: xr.Dataset, generalization: xr.Dataset, fusion: xr.Dataset, tmp_path: Path
) -> None:
    hostile = models.assign_coords(model=HOSTILE[:3], model_other=HOSTILE[:3])
    results = {"rsa": models, "bad": hostile, "times": generalization, "fusion": fusion}
    page = read(report.write_html(results, tmp_path / "page.html"))
    assert_inert(page)
    assert [tag for tag, _ in page.elements].count("img") == 4
    assert not [text for text in page.text["p"] if "left out" in text]
    assert HOSTILE[0] in page.text["td"]


def test_hostile_text_in_a_result_stays_text(encoding: xr.Dataset, tmp_path: Path) -> None:
    path = report.write_html({HOSTILE[1]: poison(encoding)}, tmp_path / "x.html")
    page = read(path)
    assert_inert(page)
    assert not {"\u202e", "\x00", "\x1b"} & set(path.read_text(encoding="utf-8"))
    cells = page.text["td"]
    assert all(label in cells for label in HOSTILE if label.isprintable())


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_titles_and_names_stay_text(label: str, tmp_path: Path) -> None:
    latents = xr.DataArray(
        np.zeros((2, 1)), dims=("sample", "latent"), attrs={"kind": "latents", "source": label}
    )
    path = report.write_html({label: latents}, tmp_path / "x.html", title=label)
    page = read(path)
    assert_inert(page)
    shown = "".join(page.text["h1"]).strip()
    assert shown == label if label.isprintable() else "\ufffd" in shown


def test_hostile_layers_and_conditions_stay_text(
    layers: xr.Dataset, rdm: xr.DataArray, tmp_path: Path
) -> None:
    names = [f"{label} {n}" for n, label in enumerate(HOSTILE)]
    bad_rdm = rdm.assign_coords(first=names, second=names).assign_attrs(distance=HOSTILE[0])
    bad_layers = layers.assign_coords(layer=HOSTILE[:3], roi=HOSTILE[4:6])
    bad_layers["best_layer"] = ("roi", HOSTILE[:2])
    assert_inert(read(report.write_html({"r": bad_rdm, "l": bad_layers}, tmp_path / "x.html")))


def test_first_result_gives_the_headline(layers: xr.Dataset, tmp_path: Path) -> None:
    page = report.write_html(layers, tmp_path / "x.html").read_text(encoding="utf-8")
    verdict = "The planted layer is recovered in 1 of 2 regions (not in V4)."
    assert f'<p class="verdict">{verdict}</p>' in page


def test_warnings_are_content(encoding: xr.Dataset, tmp_path: Path) -> None:
    page = report.write_html(encoding, tmp_path / "x.html").read_text(encoding="utf-8")
    assert '<p class="note warning"><strong>warning</strong> alpha sits on the edge' in page


def test_interrupted_write_keeps_the_old_page(
    encoding: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    path.write_text("old", encoding="utf-8")

    def fail(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.write_html(encoding, path)
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_nothing_to_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="results: expected a schema object or a mapping"):
        report.write_html({}, tmp_path / "x.html")
    with pytest.raises(SchemaError, match="bare: expected an xarray object, got ndarray"):
        report.write_html({"bare": np.zeros(3)}, tmp_path / "x.html")  # type: ignore[dict-item]


def test_heavy_page_is_warned_of(
    layers: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "HEAVY_PAGE", 1000)
    with pytest.warns(NeuroalignWarning, match="Split the results over several pages"):
        report.write_html(layers, tmp_path / "x.html")


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'neuroalign\[report\]'"):
        report.__getattr__("write_html")


@pytest.mark.slow
def test_browser_runs_the_page_without_complaint(encoding: xr.Dataset, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH, and pip installs none")
    path = report.write_html({"a": poison(encoding)}, tmp_path / "page.html", title=HOSTILE[0])
    switches = "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync dump-dom"
    quiet = ["--disable-background-networking", "--disable-component-update"]
    options = [f"--{switch}" for switch in switches.split()]
    options += [*quiet, "--enable-logging=stderr", "--virtual-time-budget=2000"]
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>" in done.stdout
    assert "CONSOLE" not in done.stderr, done.stderr


def test_swapped_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"path: expected the name of a file, got dict"):
        report.write_html("page.html", {})
