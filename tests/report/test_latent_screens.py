"""Each thing of a latent model has its figures, its table, and a note where it finds nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import report, schema
from neuroalign.errors import SchemaError
from neuroalign.report import latent_screens
from neuroalign.report.latent_screens import list_fit_parts, show_latents
from neuroalign.report.screens import show_estimate


def list_titles(blocks: list[Any]) -> list[str]:
    return [block.title for block in blocks if block.shape != "note"]


def list_notes(blocks: list[Any]) -> list[tuple[str, str]]:
    return [(block.tone, block.text) for block in blocks if block.shape == "note"]


@pytest.fixture
def scored() -> xr.Dataset:
    parts: dict[str, Any] = {
        "co_smoothing": (("fold", "split"), [[0.2], [0.4]]),
        "co_smoothing_shuffled": (("fold", "split"), [[0.0], [0.1]]),
        "oracle": (("fold", "split"), [[0.6], [0.6]]),
        "behaviour": ("fold", [0.1, 0.3]),
        "behaviour_shuffled": ("fold", [0.2, 0.4]),
    }
    attrs = {"kind": "estimate", "method": "latent scores", "model": "GPFA", "null": "train"}
    return xr.Dataset(parts, attrs={**attrs, "metric": "bits per spike"})


@pytest.fixture
def modes() -> xr.Dataset:
    parts = {"eigenvalue_real": ("mode", [0.9, 1.0]), "eigenvalue_imag": ("mode", [0.0, 0.0])}
    attrs = {"kind": "estimate", "method": "LinearDynamics", "time_step": 0.1}
    return xr.Dataset(parts, attrs=attrs)


@pytest.fixture
def atlas() -> xr.Dataset:
    parts = {
        "time_course": (("time", "component"), [[0.0], [2.0], [1.0]]),
        "affinity": (("component", "neuroid", "neuroid_other"), np.ones((1, 2, 2))),
        "subject_share": (("subject", "component"), [[0.5], [0.7]]),
        "communities": (("component", "neuroid"), [[0, 1]]),
        "weight": ("component", [3.0]),
    }
    coords = {"subject": ["s1", "s2"], "time": [0.0, 0.5, 1.0]}
    return xr.Dataset(parts, coords, {"kind": "estimate", "method": "connectome"})


@pytest.fixture
def latents(rng: np.random.Generator) -> xr.DataArray:
    values = rng.normal(size=(4, 10, 2))
    return xr.DataArray(values, dims=("sample", "time", "latent"), attrs={"kind": "latents"})


def test_scores_have_a_figure_a_table_and_a_note_on_their_controls(scored: xr.Dataset) -> None:
    blocks = show_estimate(scored)
    assert list_titles(blocks)[:2] == ["Scores", "Scores of the model"]
    assert ("warning", "Not above the shuffled control: behaviour.") in list_notes(blocks)
    fine = show_estimate(scored.drop_vars(["behaviour", "behaviour_shuffled"]))
    assert ("good", "Above the shuffled control: co-smoothing.") in list_notes(fine)
    bare = show_estimate(scored[["co_smoothing"]])
    assert list_notes(bare)[0][1].startswith("No shuffled control")


def test_the_table_of_scores_holds_the_numbers(scored: xr.Dataset) -> None:
    table = latent_screens.tabulate_scores(scored)
    first, second = table.rows
    assert first == ("co-smoothing", "bits per spike", 0.3, 0.1, 2, 0.05, 2, 0.6, 0.5)
    assert second[:3] == ("behaviour", "R²", 0.2)
    assert second[5:] == (0.3, 0, None, None)


def test_undefined_scores_become_notes(scored: xr.Dataset) -> None:
    blocks = show_estimate(scored.assign(co_smoothing=scored["co_smoothing"] * np.nan))
    assert [text.split(" left out")[0] for _, text in list_notes(blocks)] == [
        "Controls", "Scores", "Table of scores"
    ]  # fmt: skip


def test_modes_have_a_figure_and_a_table(modes: xr.Dataset) -> None:
    assert list_titles(show_estimate(modes))[:2] == ["Eigenvalues", "Modes"]
    table = latent_screens.tabulate_modes(modes)
    assert table.columns[5:] == ("frequency [Hz]", "decay time [s]")
    assert table.rows == (
        ("all", 0, 0.9, 0.0, 0.9, 0.0, round(-0.1 / np.log(0.9), 4)),
        ("all", 1, 1.0, 0.0, 1.0, 0.0, None),
    )


def test_motifs_have_a_figure_and_a_table(atlas: xr.Dataset) -> None:
    assert list_titles(show_estimate(atlas))[:2] == ["Motifs", "Table of motifs"]
    assert latent_screens.tabulate_motifs(atlas).rows == (("component-00", 3.0, 0.5, "s2", 2),)


def test_latents_are_paths_or_states(latents: xr.DataArray) -> None:
    assert list_titles(show_latents(latents)) == ["Trajectories", "Latents", "Provenance"]
    weights = np.exp(latents) / np.exp(latents).sum("latent")
    assert list_titles(show_latents(weights))[0] == "States"
    flat = latents.isel(time=0)
    assert list_titles(show_latents(flat)) == ["Latents", "Provenance"]
    run = flat.assign_coords(run=("sample", ["r"] * 4))
    assert list_titles(show_latents(run))[0] == "Trajectories"


def test_the_table_of_latents_counts_what_is_known(latents: xr.DataArray) -> None:
    latents[0, 5:] = np.nan
    row = latent_screens.tabulate_latents(latents).rows[1]
    known = latents.values[..., 1][np.isfinite(latents.values[..., 1])]
    assert row[:2] == ("1", 35)
    assert row[2:] == pytest.approx([known.mean(), known.std(), known.min(), known.max()], abs=1e-4)


def test_other_estimates_add_nothing() -> None:
    assert list_fit_parts(xr.Dataset({"value": 1.0})) == []


def test_a_page_shows_all_of_them(
    scored: xr.Dataset, modes: xr.Dataset, atlas: xr.Dataset, latents: xr.DataArray, tmp_path: Path
) -> None:
    results = {"scores": scored, "modes": modes, "atlas": atlas, "latents": latents}
    page = report.write_html(results, tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<img") == 4
    assert "left out" not in page
    assert "50 % of the oracle 0.600" in page
    assert "beyond the mean of the training trials" in page


def test_states_have_a_page(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, np.nan]])
    states = xr.DataArray(
        values,
        dims=("sample", "time"),
        coords={"stimulus": ("sample", ["a", "b"]), "time": [0.0, 0.1, 0.2]},
        attrs={"kind": "states"},
    )
    page = report.write_html(states, tmp_path / "states.html").read_text()
    assert "2 states are visited; state-01 is the most frequent, 60 %." in page
    with pytest.raises(SchemaError, match="expected dims"):
        schema.check(states.rename(time="latent"))
