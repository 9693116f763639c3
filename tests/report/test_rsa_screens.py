"""Screens of RSA, generalisation and maps: every figure, the table, and what to beware of."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.report._blocks import Note, Picture, Table
from neuroalign.report.rsa_screens import show_generalization, show_rsa
from neuroalign.report.screens import show_estimate
from neuroalign.report.volume import plot_volume


def list_titles(blocks: list) -> list[str]:  # type: ignore[type-arg]
    return [block.title for block in blocks if block.shape != "note"]


def test_models_have_a_figure_with_stars_explained_and_a_table(models: xr.Dataset) -> None:
    blocks = show_rsa(models)
    assert list_titles(blocks) == ["Models", "Models", "Provenance"]
    picture, table = (
        next(b for b in blocks if isinstance(b, kind)) for kind in (Picture, Table)
    )  # fmt: skip
    assert "above 0 at q < 0.05 (*)" in picture.caption
    assert "noise ceiling" in picture.caption
    assert table.rows[0][:4] == ("late", 0.5, 0.03, 0.44)
    assert len(table.columns) == len(table.rows[0])


def test_times_make_it_courses(models_in_time: xr.Dataset) -> None:
    assert list_titles(show_rsa(models_in_time))[:2] == ["Models in time", "Models"]


def test_weights_fitted_on_the_test_data_are_warned_of(models: xr.Dataset) -> None:
    warned = show_rsa(models.assign_attrs(fitted_without_cross_validation=1))[0]
    assert isinstance(warned, Note)
    assert "fitted and scored on the same data" in warned.text


def test_undefined_results_become_notes(models: xr.Dataset) -> None:
    blocks = show_rsa(models.assign(mean=models["mean"] * np.nan))
    assert sum("left out" in block.text for block in blocks if isinstance(block, Note)) == 2


def test_generalization_warns_of_shared_stimuli(generalization: xr.Dataset) -> None:
    blocks = show_generalization(generalization)
    assert list_titles(blocks) == ["Generalisation in time", "Provenance"]
    notes = [block.text for block in blocks if isinstance(block, Note)]
    assert any(note.startswith("Tests overlap with training") for note in notes)


def test_fusion_is_drawn_within_its_estimate(fusion: xr.Dataset) -> None:
    assert list_titles(show_estimate(fusion))[:2] == ["Regions in time", "Estimates"]


def test_a_fusion_without_subjects_speaks_of_none(fusion: xr.Dataset) -> None:
    one = fusion[["score"]].isel(subject=0, drop=True)
    for result, told in ((fusion, True), (one, False)):
        picture = next(b for b in show_estimate(result) if isinstance(b, Picture))
        assert ("over subjects" in picture.caption) is told


def test_latencies_of_a_fusion_are_a_table(fusion: xr.Dataset) -> None:
    onset, peak = ("roi", [0.05, np.nan]), ("roi", [0.1, 0.3])
    blocks = show_estimate(fusion.assign(onset=onset, peak=peak, peak_lower=peak))
    table = next(b for b in blocks if isinstance(b, Table) and b.title == "Onsets and peaks")
    assert table.columns == ("region", "onset [s]", "peak [s]", "low")
    assert table.rows == (("V1", 0.05, 0.1, 0.1), ("V4", None, 0.3, 0.3))


def test_searchlight_has_a_map_of_each_model(rng: np.random.Generator) -> None:
    places = {name: ("neuroid", np.arange(30) % 3) for name in "ijk"}
    coords = {"model": ["a", "b"], "neuroid": [f"v{n}" for n in range(30)], **places}
    score = xr.DataArray(rng.normal(size=(2, 30)), coords, ("model", "neuroid"))
    attrs = {"kind": "estimate", "method": "searchlight"}
    blocks = show_estimate(score.to_dataset(name="score").assign_attrs(attrs))
    pictures = [block for block in blocks if isinstance(block, Picture)]
    assert [picture.title for picture in pictures] == ["Volume map", "Volume map"]
    assert [picture.alt[:14] for picture in pictures] == ["score, model a", "score, model b"]


def test_a_group_map_is_drawn_whole_and_where_it_passes(rng: np.random.Generator) -> None:
    places = {name: ("neuroid", np.arange(30) % 3) for name in "ijk"}
    parts = {
        "mean": ("neuroid", rng.normal(size=30)),
        "p_value": ("neuroid", np.where(np.arange(30) < 4, 0.01, 0.5)),
    }
    attrs = {"kind": "estimate", "method": "find_clusters"}
    group = xr.Dataset(parts, {"neuroid": [f"v{n}" for n in range(30)], **places}, attrs)
    drawn = [block for block in show_estimate(group) if isinstance(block, Picture)]
    assert [one.caption.split(".")[0] for one in drawn] == ["30 neuroids", "4 neuroids"]
    assert drawn[1].alt.startswith("mean where p < 0.05 of 4 neuroids")


def test_maps_in_time_become_frames(timed: xr.Dataset) -> None:
    attrs = {"kind": "estimate", "method": "fusion on the cortex", "n_vertices": 10242}
    result = timed.mean("fold").isel(time=slice(0, 2)).assign_attrs(attrs)
    assert "Frames of score" in list_titles(show_estimate(result))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_hostile_model_names_stay_text(models: xr.Dataset, name: str, tmp_path: Path) -> None:
    names = [name, "https://example.org/x.js", "{{ 7 * 7 }}"]
    hostile = models.assign_coords(model=names, model_other=names)
    hostile.attrs |= {"model": name, "generalises_to": name, "metric": name}
    page = report.write_html({"rsa": hostile}, tmp_path / "x.html").read_text(encoding="utf-8")
    assert name not in page
    assert name.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;") in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_a_notebook_shows_the_table_of_models(models: xr.Dataset) -> None:
    sketch = report.show(models)
    assert [row[0] for row in sketch.table.rows] == ["late", "early", "pixels"]


def test_no_p_of_any_table_is_zero(models: xr.Dataset, fusion: xr.Dataset) -> None:
    sure = models.assign(p_value=models["p_value"] * 1e-9, q_value=models["q_value"] * 1e-6)
    table = next(block for block in show_rsa(sure) if isinstance(block, Table))
    columns = [table.columns.index(name) for name in ("p > 0", "q > 0")]
    assert [[row[n] for n in columns] for row in table.rows] == [["< .001", "< .001"]] * 3
    assert [row[table.columns.index("p vs ceiling")] for row in table.rows] == [0.02] * 3
    p = xr.full_like(fusion["score"].mean("subject"), 0.0002)
    tested = show_estimate(fusion.assign(p_value=p, peak_difference_p=p * np.nan))
    estimates = next(b for b in tested if isinstance(b, Table) and b.title == "Estimates")
    rows = {row[0]: row[2:] for row in estimates.rows}
    assert rows["p_value"] == ("< .001",) * 3
    assert rows["peak_difference_p"] == (None,) * 3


def test_maps_of_all_models_share_one_scale(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: ("neuroid", np.arange(30) % 3) for name in "ijk"}
    coords = {"model": ["weak", "strong"], "neuroid": [f"v{n}" for n in range(30)], **places}
    values = rng.random((2, 30)) * np.array([[0.1], [0.8]])
    score = xr.DataArray(values, coords, ("model", "neuroid"))
    seen: list[object] = []

    def draw(values: xr.DataArray, *, label: str, limits: object) -> object:
        seen.append(limits)
        return plot_volume(values, label=label, limits=limits)  # type: ignore[arg-type]

    monkeypatch.setattr("neuroalign.report._parts.plot_volume", draw)
    attrs = {"kind": "estimate", "method": "searchlight"}
    blocks = show_estimate(score.to_dataset(name="score").assign_attrs(attrs))
    assert seen == [(0.0, pytest.approx(np.quantile(values, 0.98)))] * 2
    captions = [block.caption for block in blocks if isinstance(block, Picture)]
    assert all("share one colour scale" in caption for caption in captions)
    figure = plot_volume(score[0], limits=(0.0, 0.8))
    images = [axes.images[1] for axes in figure.axes[:-1] if len(axes.images) == 2]
    assert {image.get_clim() for image in images} == {(0.0, 0.8)}


def test_captions_say_what_stars_of_cosines_mean(models: xr.Dataset) -> None:
    cosine = models.assign_attrs(metric="whitened_cosine")
    tested = cosine.assign(p_permutation=("model", [0.002, 0.62, 0.04]))
    for result, said in ((cosine, "No stars: a cosine"), (tested, "at permutation p < 0.05 (*)")):
        picture = next(block for block in show_rsa(result) if isinstance(block, Picture))
        assert said in picture.caption
        assert "above 0 at q" not in picture.caption
