"""The page is whole, self-contained, light, and says first what matters."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

from neuroalign import report
from neuroalign.errors import MissingExtraError, NeuroalignWarning, SchemaError
from neuroalign.report import _style, html, screens
from neuroalign.report._blocks import Cortex, Picture, Table
from neuroalign.report.cortex_block import pack_mesh
from tests.report.reading import HOSTILE, assert_inert, every_kind, parse, read, undrawn

__all__ = ["every_kind", "undrawn"]
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)
STYLES_AND_SCRIPTS = ("page.css", "page.js", "cortex.js")


def test_page_of_every_kind_is_well_formed_inert_and_light(
    every_kind: dict[str, xr.Dataset], tmp_path: Path
) -> None:
    path = report.write_html(every_kind, tmp_path / "deep" / "page.html", title="A study")
    page = read(path)
    assert_inert(page)
    assert path.stat().st_size < 5_000_000
    images = page.find("img")
    assert len(images) >= len(every_kind)
    assert all(attrs["alt"] for attrs in images)
    assert all(attrs["src"].startswith("data:image/png") for attrs in images if attrs["src"])
    left_out = [text for text in page.text["p"] + page.text["li"] if "left out" in text]
    assert not [text for text in left_out if "Map" not in text]


def test_page_of_models_and_times_is_well_formed_and_inert(
    models: xr.Dataset, generalization: xr.Dataset, fusion: xr.Dataset, tmp_path: Path
) -> None:
    hostile = models.assign_coords(model=HOSTILE[:3], model_other=HOSTILE[:3])
    results = {"rsa": models, "bad": hostile, "times": generalization, "fusion": fusion}
    page = read(report.write_html(results, tmp_path / "page.html"))
    assert_inert(page)
    assert len(page.find("img")) >= 4
    assert not [text for text in page.text["p"] if "left out" in text]
    assert HOSTILE[0] in page.text["td"]


def test_own_scripts_are_small() -> None:
    sizes = [len(html._read(name).encode()) for name in STYLES_AND_SCRIPTS if name.endswith("js")]
    assert sum(sizes) < 30_000


def test_first_result_gives_the_headline(layers: xr.Dataset, undrawn: None) -> None:
    page = html.render_html(layers)
    verdict = "The planted layer is recovered in 1 of 2 regions (not in V4)."
    assert f'<p class="verdict">{verdict}</p>' in page
    assert f'<p class="said">{verdict}</p>' in page


def test_warnings_are_content_where_they_belong_and_in_front(
    encoding: xr.Dataset, undrawn: None
) -> None:
    page = html.render_html({"a": encoding, "b": encoding.drop_vars("ceiling")})
    assert '<p class="note warning"><strong>warning</strong> alpha sits on the edge' in page
    front = page[page.index('id="warnings"') : page.index('id="results"')]
    assert front.count("alpha sits on the edge of its grid") == 2
    assert '<a href="#result-2">b</a>: No noise ceiling' in front


def test_no_warning_is_said_too(layers: xr.Dataset, undrawn: None) -> None:
    assert "No warnings." in html.render_html(layers)


def test_parts_left_out_are_listed_in_front(layers: xr.Dataset, undrawn: None) -> None:
    page = html.render_html(layers.drop_vars("best_layer"))
    front = page[page.index('id="warnings"') : page.index('id="result-1"')]
    assert "left out" in front
    assert "expected &#39;best_layer&#39;" in front


def test_lights_have_a_sign_and_a_word(encoding: xr.Dataset, undrawn: None) -> None:
    page = html.render_html(encoding)
    assert '<li class="good"><span class="light"><span aria-hidden="true">✓</span> good' in page
    assert '<li class="unknown"><span class="light"><span aria-hidden="true">?</span> unk' in page


def test_every_link_of_the_page_leads_somewhere_and_anchors_are_unique(
    every_kind: dict[str, xr.Dataset], undrawn: None
) -> None:
    page = parse(html.render_html(every_kind, study="title: x"))
    anchors = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(anchors) == len(set(anchors))
    links = {str(attrs["href"])[1:] for attrs in page.find("a")}
    taken = {
        attrs[key]
        for key in ("data-from", "data-copy")
        for attrs in page.find("button")
        if key in attrs
    }
    assert links | taken <= set(anchors)
    files = [attrs["data-file"] for attrs in page.find("button") if attrs.get("data-take") == "csv"]
    assert len(files) == len(set(files))


def test_the_study_is_shown_where_it_is_given(
    layers: xr.Dataset, tmp_path: Path, undrawn: None
) -> None:
    text = "title: Demo\nsections: [<b>, '{{ 1 }}']\n"
    page = read(report.write_html(layers, tmp_path / "x.html", study=text))
    assert text in page.text["pre"]
    assert 'id="study"' not in html.render_html(layers)
    assert "a: 1\nb: 2</pre>" in html.render_html(layers, study="a: 1\r\nb: 2")


def show_blocks(monkeypatch: pytest.MonkeyPatch, *blocks: object) -> str:
    monkeypatch.setitem(screens.SCREENS, "layers", lambda result: list(blocks))
    layers = xr.Dataset(
        {"score": (("layer", "roi"), [[0.5]])}, {"layer": ["a"], "roi": ["V1"]}, {"kind": "layers"}
    )
    return html.render_html(layers)


def test_figures_with_numbers_can_be_taken_and_others_not(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("Bars", ("name", "r"), (("<b>", 0.25), ("x", None)))
    with_data = show_blocks(monkeypatch, Picture("Bars", PIXEL, "alt", data=table))
    assert '"rows":[["\\u003cb\\u003e",0.25],["x",null]]' in with_data
    assert with_data.count('data-from="result-1-1-data"') == 2
    assert "result-1-1-data" not in show_blocks(monkeypatch, Picture("Bars", PIXEL, "alt"))
    assert "result-1-1-data" in show_blocks(monkeypatch, table)


def test_the_script_of_the_cortex_comes_only_with_a_cortex(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = Picture("Map", PIXEL, "still", data=Table("T", ("x",), ((1,),)))
    plain = parse(show_blocks(monkeypatch, picture))
    cortex = parse(show_blocks(monkeypatch, Cortex("Map", {"form": "</script>"}, picture)))
    assert_inert(plain)
    assert_inert(cortex)
    own = [attrs for attrs in cortex.find("script") if "type" not in attrs]
    assert (len([a for a in plain.find("script") if "type" not in a]), len(own)) == (1, 2)
    assert '{"form":"\\u003c/script\\u003e"}' in cortex.text["script"]
    assert {"alt": "still", "src": f"data:image/png;base64,{PIXEL}"} in cortex.find("img")
    assert "cortex-mesh" not in [attrs.get("id") for attrs in cortex.find("script")]


def test_the_mesh_stands_once_on_a_page_with_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "pack_mesh", lambda: {"faces": "AAAA"})
    still = Picture("Map", PIXEL, "still")
    maps = [Cortex(name, {"form": "maps"}, still) for name in "ab"]
    assert show_blocks(monkeypatch, *maps).count('id="cortex-mesh">{"faces":"AAAA"}') == 1
    assert callable(pack_mesh)


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


def test_swapped_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"path: expected the name of a file, got dict"):
        report.write_html("page.html", {})


def test_pictures_lose_nothing_when_they_are_packed() -> None:
    figure = _style.new_figure(2, 1)
    axes = figure.subplots()
    # Else each drawing lays the axes out anew.
    figure.set_layout_engine("none")
    axes.imshow(np.random.default_rng(0).random((20, 40)), cmap="viridis")
    figure.savefig(plain := io.BytesIO(), format="png", dpi=_style.PIXELS_PER_INCH)
    packed = io.BytesIO(_style.render_png(figure))
    plain.seek(0)
    one, two = imread(plain, format="png"), imread(packed, format="png")
    assert (one[..., 3] == 1).all()
    np.testing.assert_array_equal(one[..., :3], two)
    assert len(packed.getvalue()) < len(plain.getvalue())


def test_many_results_of_a_kind_are_folded_but_the_first(layers: xr.Dataset) -> None:
    many = {f"net {number}": layers for number in range(3)}
    folds = parse(html.render_html(many)).find("details")
    assert [("open" in fold, fold["class"]) for fold in folds] == [
        (True, "fold"), (False, "fold"), (False, "fold"),
    ]  # fmt: skip
    assert parse(html.render_html({"a": layers, "b": layers})).find("details") == []
