"""Whatever a label holds, and wherever it stands, the page and the notebook show it as text."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.report import _style, html, screens
from neuroalign.report._blocks import Cortex, Note, Picture, Table
from neuroalign.report._style import clean
from tests.report.reading import (
    HOSTILE,
    Reader,
    assert_inert,
    every_kind,
    make_responses,
    parse,
    undrawn,
)

__all__ = ["every_kind", "undrawn"]
TEXTS = ("model", "metric", "method", "source", "modality", "warnings", "history", "provenance",
         "layer", "distance", "noise", "group", "permutation_scheme", "generalises_to", "units",
         "headline", "bootstrap", "fold")  # fmt: skip
Result = xr.Dataset | xr.DataArray


def bar(label: str) -> str:
    """The label as a name that the schema lets pass."""
    return label.replace("/", "|")


def poison_attrs(result: Result, label: str, names: tuple[str, ...]) -> Result:
    return result.assign_attrs({clean(label) or "x": label} | dict.fromkeys(names, label))


def poison_labels(result: Result, label: str) -> Result:
    """The label in each text coord that is there; numbered, as labels must differ."""
    for name in ("neuroid", "roi", "layer", "subject", "model", "model_other", "first", "second",
                 "first_category", "stimulus"):  # fmt: skip
        if name in result.coords and result[name].ndim == 1:
            dim, values = result[name].dims[0], result[name].values
            order = {value: number for number, value in enumerate(dict.fromkeys(values.tolist()))}
            named = [f"{label} {order[value]}" for value in values.tolist()]
            result = result.assign_coords({name: (dim, np.array(named))})
    return result


def poison(results: dict[str, Result], label: str) -> dict[str, Result]:
    texts = {"rsa": TEXTS[3:], "estimate": tuple(name for name in TEXTS if name != "headline")}
    made = {}
    for number, (name, result) in enumerate(results.items()):
        kind = str(result.attrs["kind"])
        names = texts.get(kind, TEXTS)
        if kind == "responses":
            names = tuple(name for name in names if name != "modality")
        bad = poison_attrs(poison_labels(result, label), label, names)
        made[f"{label} {number} {name}"] = bad.assign_attrs(kind=kind)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_every_field_of_every_kind_is_text(
    number: int, every_kind: dict[str, Result], undrawn: None
) -> None:
    label = HOSTILE[number]
    # Drawing the cortex takes longest, and its labels are those of the test of blocks.
    flat = {name: one.drop_vars("vertex", errors="ignore") for name, one in every_kind.items()}
    page = parse(html.render_html(poison(flat, label), title=label, study=label))
    assert_inert(page)
    shown = clean(label)
    assert page.text["h1"] == page.text["title"] == [shown]
    assert page.text["pre"][-1].strip("\n") == shown.strip("\n")
    assert any(text.startswith(shown) for text in page.text["h2"])
    assert any(shown in text for text in page.text["td"])


def show(monkeypatch: pytest.MonkeyPatch, *blocks: object) -> Reader:
    monkeypatch.setitem(screens.SCREENS, "responses", lambda result: list(blocks))
    return parse(html.render_html(make_responses()))


@pytest.mark.parametrize("label", HOSTILE)
def test_every_field_of_every_block_is_text(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(label, (label, "n"), ((label, 1), (label, None)), label)
    picture = Picture(label, "AAAA", label, label, table)
    cortex = Cortex(label, {"form": label, label: [label]}, picture, label)
    page = show(monkeypatch, Note(label), Note(label, "warning"), table, picture, cortex)
    assert_inert(page)
    shown = clean(label)
    assert page.text["figcaption"] == [shown, shown]
    assert {str(attrs["alt"]) for attrs in page.find("img")} == {shown}
    assert [text for text in page.text["td"] if text.startswith(shown[:9])] == [shown, shown]
    assert page.text["h3"].count(shown) == 3
    for letter in "\x00\x1b\x07\u202e\u2066\u200b\u2028\u2029":
        assert letter not in "".join(map("".join, page.text.values()))


@pytest.mark.parametrize("label", HOSTILE)
def test_what_an_error_says_is_text(label: str, layers: xr.Dataset, undrawn: None) -> None:
    broken = layers[["score"]].assign_coords({f"x{bar(label)}": 1.0})
    page = parse(html.render_html({label: broken.assign_attrs(headline=label)}))
    assert_inert(page)
    estimate = xr.Dataset({"a": 1.0}, attrs={"kind": "estimate", "method": "m", "headline": label})
    page = parse(html.render_html(estimate))
    assert_inert(page)
    assert any(clean(label) in text for text in page.text["p"])


@pytest.mark.slow
def test_figures_draw_every_label(encoding: xr.Dataset, layers: xr.Dataset) -> None:
    n = len(HOSTILE)
    rois = np.resize(HOSTILE, 40)
    bad = encoding.assign_coords(roi=("neuroid", rois)).assign_attrs(metric=HOSTILE[16])
    values = np.linspace(0, 1, 3 * n).reshape(3, n)
    grid = xr.Dataset(
        {"score": (("layer", "roi"), values)},
        {
            "layer": HOSTILE[15:18],
            "roi": [clean(label) + str(k) for k, label in enumerate(HOSTILE)],
        },
        {"kind": "layers", "metric": HOSTILE[16]},
    )
    page = parse(html.render_html({"a": bad, "b": grid}))
    assert_inert(page)
    assert len(page.find("img")) >= 4


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_of_figures_are_neither_mathematics_nor_long(label: str) -> None:
    text = _style.write_label(label)
    assert len(text.replace("\\$", "$")) <= 40
    assert "$" not in text.replace("\\$", "")
    assert text.replace("\\$", "").isprintable()


def notebook_fields(encoding: xr.Dataset, label: str) -> dict[str, Callable[[], Any]]:
    rois = np.full(40, label)
    estimate = {"kind": "estimate", "method": label, "verdict": label, "meaning": label}
    return {
        "roi": lambda: encoding.assign_coords(roi=("neuroid", rois)),
        "attrs": lambda: encoding.assign_attrs(metric=label, model=label, warnings=label),
        "verdict": lambda: xr.Dataset({"a": 1.0}, attrs=estimate),
        "variable": lambda: xr.Dataset({f"a{bar(label)}": ("x", np.ones(3))}, attrs={**estimate}),
        "text": lambda: xr.Dataset({"a": ("x", np.array([label]))}, attrs=estimate),
        "headline": lambda: xr.Dataset(
            {"a": 1.0}, attrs={"kind": "estimate", "method": "m", "headline": label}
        ),
    }


@pytest.mark.parametrize("field", ["roi", "attrs", "verdict", "variable", "text", "headline"])
@pytest.mark.parametrize("label", HOSTILE)
def test_notebooks_show_labels_as_text(label: str, field: str, encoding: xr.Dataset) -> None:
    shown = report.show(notebook_fields(encoding, label)[field]())
    page = parse(shown._repr_html_())
    tags = {tag for tag, _ in page.elements}
    assert tags <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert [attrs for _, attrs in page.elements if attrs] == []
    assert clean(repr(shown)) == repr(shown)
