"""Figures of RDMs in time show what was planted, and say what they lack."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import report, rsa
from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Picture
from neuroalign.report.screens import show_estimate

TIME = np.linspace(-0.1, 0.4, 11)
NAMES = [f"c{k:02d}" for k in range(10)]


@pytest.fixture(scope="module")
def fused() -> xr.Dataset:
    """V1 at 0.1 s and IT at 0.3 s; the model is V1."""
    rng = np.random.default_rng(0)
    region = rng.random((2, 45))
    course = np.exp(-((TIME[:, None] - np.array([0.1, 0.3])) ** 2) / 0.004)
    meg = course @ region * 2 + 0.5 * rng.random((5, 11, 45))
    fmri = region + 0.3 * rng.random((4, 2, 45))
    in_time = rsa.from_matrix(meg, NAMES, lead={"subject": list("abcde"), "time": TIME})
    in_space = rsa.from_matrix(fmri, NAMES, lead={"subject": list("wxyz"), "roi": ["V1", "IT"]})
    model = {"edges": rsa.from_matrix(region[0], NAMES)}
    return rsa.fuse(in_time, in_space, model=model, n_permutations=200, n_bootstrap=10)


@pytest.fixture(scope="module")
def lasting() -> xr.Dataset:
    rng = np.random.default_rng(1)
    stages = rng.random((2, 45))
    values = stages[[0] * 4 + [1] * 4] + 0.2 * rng.random((4, 8, 45))
    lead = {"subject": list("abcd"), "time": np.arange(8) / 10}
    return rsa.generalize_rdms(rsa.from_matrix(values, NAMES, lead=lead))


def test_shared_variance_peaks_in_its_region(fused: xr.Dataset) -> None:
    (axes,) = report.plot_commonality(fused).axes
    assert axes.get_title(loc="left") == "with model edges"
    first, second = (line for line in axes.lines if line.get_label() in ("V1", "IT"))
    drawn = np.asarray(first.get_ydata(), dtype=float)
    np.testing.assert_allclose(drawn, fused["commonality"].mean("subject")[0, 0].values)
    assert TIME[drawn.argmax()] == pytest.approx(0.1)
    assert drawn.max() > 5 * np.max(np.asarray(second.get_ydata(), dtype=float))
    squares = [line for line in axes.lines if line.get_gid() == "passed"]
    assert len(squares[0].get_xdata()) > 0


def test_panels_of_models_share_their_limits(fused: xr.Dataset) -> None:
    names = [name for name in fused.data_vars if str(name).startswith("commonality")]
    two = xr.concat([fused[names], 0.2 * fused[names]], "model", coords="minimal",
                    compat="override", join="override")  # fmt: skip
    two = two.assign_coords(model=["edges", "weak"])
    one, other = report.plot_commonality(two).axes
    assert one.get_ylim() == other.get_ylim()
    assert len(one.lines) == len(other.lines)


def test_ceilings_of_both_sides_are_drawn(fused: xr.Dataset) -> None:
    left, right = report.plot_ceilings(fused).axes
    (band,) = (patch for patch in left.collections if patch.get_gid() == "ceiling")
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(float(fused["time_ceiling_upper"].max()))
    bars = right.containers[0].patches  # type: ignore[attr-defined]
    tops = [bar.get_y() + bar.get_height() for bar in bars]
    np.testing.assert_allclose(tops, fused["roi_ceiling_upper"])
    assert [text.get_text() for text in right.get_xticklabels()] == ["V1", "IT"]


def test_a_side_without_subjects_has_no_panel(fused: xr.Dataset) -> None:
    alone = fused.drop_vars(["roi_ceiling_lower", "roi_ceiling_upper"])
    assert len(report.plot_ceilings(alone).axes) == 1


def test_two_stages_are_two_blocks(lasting: xr.Dataset) -> None:
    figure = report.plot_rdm_generalization(lasting)
    matrix, corrected, course = figure.axes[:3]
    drawn = np.asarray(matrix.collections[0].get_array())
    np.testing.assert_allclose(drawn, lasting["score"])
    assert drawn[:4, :4].min() > 0.6 > 0.3 > drawn[:4, 4:].max()
    assert matrix.collections[0].get_clim()[0] == -matrix.collections[0].get_clim()[1]
    assert np.asarray(corrected.collections[0].get_array()).max() <= 1
    (line,) = (one for one in course.lines if one.get_gid() == "reliability")
    np.testing.assert_allclose(line.get_ydata(), lasting["reliability"])


def test_slices_have_a_row_each(lasting: xr.Dataset) -> None:
    both = xr.concat([lasting, lasting], xr.Variable("roi", ["V1", "IT"]), combine_attrs="override")
    axes = report.plot_rdm_generalization(both.transpose("roi", ...)).axes
    titles = [one.get_title(loc="left") for one in axes]
    assert titles[0] == "roi V1: between units"
    assert "roi IT: corrected" in titles


def test_screens_hold_all_of_it(fused: xr.Dataset, lasting: xr.Dataset) -> None:
    titles = [b.title for b in show_estimate(fused) if isinstance(b, Picture)]
    assert titles == ["Regions in time", "Noise ceilings", "Variance shared with models"]
    (picture,) = [b for b in show_estimate(lasting) if isinstance(b, Picture)]
    assert picture.title == "Geometry from time to time"
    assert "RDMs of different units are most alike" in picture.alt


def test_faults_are_named(fused: xr.Dataset, lasting: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="commonality: expected dims .* Pass model= to rsa.fuse"):
        report.plot_commonality(lasting)
    with pytest.raises(SchemaError, match="commonality: expected finite values"):
        report.plot_commonality(fused.assign(commonality=fused["commonality"] * np.nan))
    with pytest.raises(SchemaError, match="expected 'mean' and noise ceilings of time or regions"):
        report.plot_ceilings(lasting)
    with pytest.raises(SchemaError, match="result: expected 'score' and 'corrected'"):
        report.plot_rdm_generalization(fused)
    with pytest.raises(SchemaError, match="score: expected finite scores"):
        report.plot_rdm_generalization(lasting.assign(score=lasting["score"] * np.nan))
