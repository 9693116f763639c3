"""Figures of models hold the numbers, ceilings and tests they were given."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.sparse import eye_array

from neuroalign import report, rsa, stats
from neuroalign.errors import SchemaError
from neuroalign.loaders import load_rdms
from neuroalign.report._style import to_picture
from neuroalign.report.rsa_figures import find_winners, pack_bars, spread_wings


def list_pairs(figure: Figure, panel: int = 0) -> list[tuple[int, int]]:
    lines = [line for line in figure.axes[panel].lines if line.get_gid() == "pair"]
    return sorted((int(line.get_xdata()[0]), int(line.get_xdata()[1])) for line in lines)


def test_bars_stand_at_the_means_under_the_ceiling(models: xr.Dataset) -> None:
    axes = report.plot_models(models).axes[0]
    band, *bars = sorted(axes.patches, key=lambda patch: patch.get_y() == 0)
    np.testing.assert_allclose([bar.get_height() for bar in bars], [0.5, 0.3, 0.0])
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.6, 0.7))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["late", "early", "pixels"]
    assert axes.get_ylabel() == "similarity (rho_a)"


def test_error_bars_are_standard_errors_and_dots_are_subjects(models: xr.Dataset) -> None:
    axes = report.plot_models(models).axes[0]
    segments = axes.containers[1].lines[2][0].get_segments()
    np.testing.assert_allclose([np.ptp(one[:, 1]) for one in segments], 0.06)
    dots = axes.collections[-1].get_offsets()
    np.testing.assert_allclose(np.sort(dots[:5, 1]), np.linspace(0.46, 0.54, 5))


def test_stars_and_lines_are_the_q_values(models: xr.Dataset) -> None:
    figure = report.plot_models(models)
    assert [text.get_text() for text in figure.axes[0].texts] == ["**", "**", ""]
    assert list_pairs(figure) == [(0, 1), (0, 2), (1, 2)]
    assert list_pairs(report.plot_models(models, pairs="none")) == []
    assert list_pairs(report.plot_models(models, pairs="wings")) == [(0, 2), (1, 2)]


def test_lines_lie_inside_the_picture_and_above_all_else(models: xr.Dataset) -> None:
    axes = report.plot_models(models).axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines if line.get_gid() == "pair"]
    assert min(heights) > 0.7
    assert max(heights) < axes.get_ylim()[1]


def test_lines_of_pairs_never_touch(rng: np.random.Generator) -> None:
    means = rng.normal(size=9)
    lines = pack_bars(means[:, None] > means[None])
    assert len(lines) == 36
    for level in {line.level for line in lines}:
        ends = sorted((line.first, line.last) for line in lines if line.level == level)
        assert all(one[1] < two[0] for one, two in pairwise(ends))


def test_wings_hang_from_the_better_model(models: xr.Dataset) -> None:
    late, early = spread_wings(find_winners(models))
    assert (late.dots, late.ticks) == ((0,), (1, 2))
    assert (early.dots, early.ticks) == ((1,), (2,))


def test_each_region_has_a_panel(models_by_roi: xr.Dataset) -> None:
    figure = report.plot_models(models_by_roi)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["roi V1", "roi V4"]
    assert list_pairs(figure, 1) == [(0, 2), (1, 2)]


def test_one_subject_has_no_ceiling(models: xr.Dataset) -> None:
    alone = models.isel(subject=[0])
    alone["ceiling_lower"] = alone["ceiling_upper"] = xr.DataArray(np.nan)
    assert len(report.plot_models(alone).axes[0].patches) == 3


def test_an_undefined_model_leaves_the_others(models: xr.Dataset) -> None:
    models["mean"][2] = models["score"][2] = np.nan
    assert len(report.plot_models(models).axes[0].patches) == 4


def test_courses_show_models_ceiling_and_significant_times(models_in_time: xr.Dataset) -> None:
    axes = report.plot_model_courses(models_in_time).axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 6]
    np.testing.assert_allclose([c.get_ydata() for c in curves], models_in_time["mean"].values)
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.6, 0.7))
    marks = [line.get_xdata() for line in axes.lines if line.get_gid() == "passed"]
    expected = models_in_time["time"].values[models_in_time["q_value"].values[0] < 0.05]
    np.testing.assert_array_equal(marks[0], expected)
    assert axes.get_xlabel() == "time from onset [s]"


def test_clusters_may_stand_in_for_single_times(models_in_time: xr.Dataset) -> None:
    scores = models_in_time["score"].rename(model="neuroid").transpose("subject", ...)
    found = stats.find_clusters(
        scores + np.random.default_rng(0).normal(0, 0.01, scores.shape), eye_array(3)
    )
    p = found["p_value"].rename(neuroid="model")
    axes = report.plot_model_courses(models_in_time, p_value=p).axes[0]
    marks = [len(line.get_xdata()) for line in axes.lines if line.get_gid() == "passed"]
    assert marks == (p < 0.05).sum("time").values.tolist()


def test_what_infer_returns_is_drawn(rng: np.random.Generator) -> None:
    first, second = np.triu_indices(8, 1)
    names = np.array([f"c{n}" for n in range(8)])
    coords = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    attrs = {"kind": "dissimilarity", "distance": "correlation"}
    truth = abs(rng.normal(size=28))
    data = xr.DataArray(abs(truth + rng.normal(0, 0.3, (4, 28))), coords, ("subject", "pair"))
    model = xr.DataArray(truth, coords, ("pair",), attrs=attrs)
    found = rsa.infer({"a": model}, data.assign_attrs(attrs), n_bootstrap=20)
    axes = report.plot_models(found).axes[0]
    assert axes.patches[1].get_height() == pytest.approx(float(found["mean"][0]))


def test_models_of_the_92_images_stand_under_their_known_ceiling(real_data: Path) -> None:
    folder, images = real_data / "rsa_92images", [f"image {n}" for n in range(92)]
    known = load_rdms(folder / "92_modelRDMs.mat", labels=images)
    sessions = load_rdms(folder / "92_brainRDMs.mat", labels=images)
    mean = sessions.values.reshape(2, 4, -1).mean(axis=0)
    coords = {"subject": list("abcd"), **{key: sessions[key] for key in ("first", "second")}}
    data = xr.DataArray(mean, coords, ("subject", "pair"), attrs={"kind": "dissimilarity"})
    found = rsa.infer(known, data, method="rho_a", bootstrap="none")
    axes = report.plot_models(found).axes[0]
    band, *bars = axes.patches
    ends = (band.get_y(), band.get_y() + band.get_height())
    assert ends == pytest.approx((0.372, 0.666), abs=1e-3)
    known_fits = [0.334, 0.205, 0.296, 0.245, 0.160, 0.027, 0.097, 0.038]
    np.testing.assert_allclose([bar.get_height() for bar in bars], known_fits, atol=1e-3)


def test_hostile_names_are_drawn_as_text(models: xr.Dataset) -> None:
    names = ["<script>alert(1)</script>", "$\\frac{$", "a\u202eb"]
    figure = report.plot_models(models.assign_coords(model=names))
    to_picture(figure, "t", "a")
    shown = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert "\u202e" not in "".join(shown)
    assert shown[1].startswith("\\$")


def test_messages_name_what_is_wrong(models: xr.Dataset, models_in_time: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="Use plot_model_courses, or select"):
        report.plot_models(models_in_time)
    with pytest.raises(SchemaError, match=r"expected dim 'time', got \('model',\)"):
        report.plot_model_courses(models)
    with pytest.raises(ValueError, match="pairs: expected one of 'auto', 'bars'"):
        report.plot_models(models, pairs="bar")
    with pytest.raises(SchemaError, match="no \\['q_value'\\]. Take it from rsa.infer"):
        report.plot_models(models.drop_vars("q_value"))
    with pytest.raises(SchemaError, match="result: expected finite means, got none"):
        report.plot_models(models.assign(mean=models["mean"] * np.nan))
    with pytest.raises(SchemaError, match=r"p_value: expected dims \('model', 'time'\)"):
        report.plot_model_courses(models_in_time, p_value=models["q_value"])


def test_cosines_have_stars_of_permutations_only(models: xr.Dataset) -> None:
    cosine = models.assign_attrs(metric="whitened_cosine")
    stars = [text.get_text() for text in report.plot_models(cosine).axes[0].texts]
    assert stars == ["", "", ""]
    tested = cosine.assign(p_permutation=("model", [0.002, 0.62, 0.04]))
    stars = [text.get_text() for text in report.plot_models(tested).axes[0].texts]
    assert stars == ["**", "", "*"]
    assert report.plot_models(tested).axes[0].get_ylabel() == "similarity (whitened cosine)"


def test_courses_of_cosines_are_marked_by_permutations_only(models_in_time: xr.Dataset) -> None:
    cosine = models_in_time.assign_attrs(metric="cosine")
    p = xr.full_like(cosine["mean"], 0.3)
    p[1, 2] = 0.01
    for result, n in ((cosine, 0), (cosine.assign(p_permutation=p), 1)):
        axes = report.plot_model_courses(result).axes[0]
        marks = [len(line.get_xdata()) for line in axes.lines if line.get_gid() == "passed"]
        assert sum(marks) == n
