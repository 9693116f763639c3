"""Reads a page as a browser would, and makes results of every kind, and hostile ones."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.report import _style
from neuroalign.report.html import hash_source

VOID = {"meta", "img", "br", "hr", "link", "input"}
# Thirty labels as a stranger may write them into a file.
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></script><svg onload=alert(1)>",
    "</textarea></pre></figure></table><h1>other</h1>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<base href=//example.org/>",
    "<link rel=stylesheet href=https://example.org/x.css>",
    "<meta http-equiv=refresh content='0;url=https://example.org'>",
    "<!-- --><![CDATA[ ]]> -->",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "https://example.org/x.js",
    "url(https://example.org/x.png) expression(alert(1))",
    "{{ 7 * 7 }}{% raw %}{# #}",
    "{0.__class__} %(x)s %s ${7*7}",
    "$x$ $\\frac{1}{0}$ \\$ $",
    "\\N{BULLET} \\u202e \\x00 \\\\",
    "\u202egnp.exe\u2066\u200b",
    "\x00\x1b[31m\x07\x7f",
    "\u2028\u2029</script><script>alert(1)//",
    "\ud800 lone surrogate",
    "&lt;script&gt;&amp;&#x3c;img onerror=alert(1)&#62;",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1+1)",
    "-2+3\t=1\r=2",
    '"},"rows":[["x"]]};alert(1)//',
    "../../etc/passwd\\..\\x:y*?",
    "wide " * 400,
]


class Reader(HTMLParser):
    """Collects elements and text, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open:
            self.text[self.open[-1]][-1] += text

    def find(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for found, attrs in self.elements if found == tag]


def parse(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def read(path: Path) -> Reader:
    return parse(path.read_text(encoding="utf-8"))


def assert_inert(page: Reader) -> None:
    """Only the scripts and the style that the policy names; nothing loads, nothing listens."""
    policy = next(a["content"] for a in page.find("meta") if "http-equiv" in a)
    assert policy is not None
    scripts = zip(page.find("script"), page.text["script"], strict=True)
    own = [text for attrs, text in scripts if attrs.get("type") != "application/json"]
    allowed = " ".join(f"'{hash_source(text)}'" for text in own)
    (style,) = page.text["style"]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src '{hash_source(style)}'; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )
    assert ['"use strict";' in text for text in own] in ([True], [True, True])
    assert "url(" not in style
    assert "@import" not in style
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"svg", "iframe", "object", "embed", "link", "base", "form"})
    for tag, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], tag
        assert re.match(r"#[\w-]*$|$", attrs.get("href") or "")
        assert re.match(r"data:image/png;base64,[A-Za-z0-9+/=]+$|$", attrs.get("src") or "")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not rendered, which takes long and reaches the page as pixels."""

    monkeypatch.setattr(_style, "render_png", lambda *_: b"png")


def make_responses() -> xr.DataArray:
    """A few responses with places and a source."""
    return xr.DataArray(
        np.zeros((3, 2), dtype="float32"),
        dims=("sample", "neuroid"),
        coords={"stimulus": ("sample", ["a", "b", "c"]), "neuroid": ["n0", "n1"]},
        attrs={"kind": "responses", "modality": "fmri", "source": "bold.nii", "history": "loaded"},
    )


@pytest.fixture
def every_kind(
    encoding: xr.Dataset,
    timed: xr.Dataset,
    layers: xr.Dataset,
    rdm: xr.DataArray,
    models: xr.Dataset,
    models_in_time: xr.Dataset,
    generalization: xr.Dataset,
    fusion: xr.Dataset,
) -> dict[str, xr.Dataset | xr.DataArray]:
    """A page with each kind of result that has a fixture."""
    times = np.linspace(0, 1, 20)
    waves = np.stack([np.sin(6 * times), np.cos(6 * times)], axis=-1)
    latents = xr.DataArray(
        np.stack([waves, 0.5 * waves]), dims=("sample", "time", "latent"),
        coords={"time": times}, attrs={"kind": "latents", "method": "GPFA"},
    )  # fmt: skip
    states = xr.DataArray(
        np.tile(np.repeat([0.0, 1.0, 2.0], 10), (2, 1)), dims=("sample", "time"),
        coords={"time": np.arange(30) / 10}, attrs={"kind": "states", "method": "HMM"},
    )  # fmt: skip
    ceiling = xr.Dataset(
        {"ceiling": ("neuroid", np.linspace(0.2, 0.8, 40))},
        coords={"neuroid": [f"n{number}" for number in range(40)]},
        attrs={"kind": "estimate", "method": "split_half", "seed": 0},
    )
    return {
        "layers": layers,
        "voxels": encoding,
        "sensors": timed,
        "distances": rdm,
        "models": models,
        "models in time": models_in_time,
        "generalisation": generalization,
        "fusion": fusion,
        "latents": latents,
        "states": states,
        "ceiling": ceiling,
        "responses": make_responses(),
    }
