"""Figures of spectra, dichotomies, steps and learning hold the numbers they were given."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from neuroalign import geometry, report
from neuroalign.errors import SchemaError

BITS = np.array([[n >> 2 & 1, n >> 1 & 1, n & 1] for n in range(8)])
NAMES = np.array(["".join(map(str, row)) for row in BITS])
FACTORS = {name: NAMES[BITS[:, k] == 1].tolist() for k, name in enumerate(("hue", "size", "kind"))}


def take(axes: Axes, gid: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_gid() == gid]


@cache
def make_table() -> xr.Dataset:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(40, 3)))[0].T
    X = np.repeat(2 * (2 * BITS - 1) @ axes, 12, axis=0) + 0.5 * rng.normal(size=(96, 40))
    labels = np.repeat(NAMES, 12)
    return geometry.describe_dichotomies(X, conditions=labels, factors=FACTORS, n_null=20)


@pytest.fixture
def table() -> xr.Dataset:
    return make_table().copy(deep=True)


@pytest.fixture
def steps(rng: np.random.Generator) -> xr.Dataset:
    blocks = rng.normal(size=(3, 1, 20))[np.repeat([0, 1, 2], 4)]
    path = blocks + 0.2 * np.cumsum(rng.normal(size=(12, 30, 20)), axis=0) + rng.normal(size=20)
    return geometry.compare_steps({f"block {k}": one for k, one in enumerate(path)})


@pytest.fixture
def checkpoints(rng: np.random.Generator) -> dict[float, np.ndarray]:
    start, goal = rng.normal(size=(60, 15)), np.repeat([-1.0, 1.0], 30)
    return {step: start + 0.01 * step * goal[:, None] for step in (0.0, 1.0, 10.0, 100.0, 1000.0)}


def test_the_dashed_line_is_the_power_law_that_was_fitted() -> None:
    rank = np.arange(1, 121)
    X = np.linalg.qr(np.random.default_rng(0).normal(size=(700, 120)))[0] * rank**-0.6
    result = geometry.describe_spectrum(X - X.mean(axis=0), ranks=(12, 100))
    axes = report.plot_spectra(result).axes[0]
    fit = take(axes, "fit")[0]
    slope = np.polyfit(np.log(fit.get_xdata()), np.log(fit.get_ydata()), 1)[0]
    assert slope == pytest.approx(-float(result["alpha"]))
    near = result["spectrum"].sel(rank=fit.get_xdata()).values
    np.testing.assert_allclose(fit.get_ydata(), near, rtol=0.05)
    assert axes.get_ylabel() == "variance [squared units of the data]"


def test_each_layer_has_its_spectrum_and_exponent(rng: np.random.Generator) -> None:
    layers = {name: rng.normal(size=(200, width)) for name, width in (("a", 30), ("b", 12))}
    result = geometry.describe_spectrum(layers, ranks=(2, 20))
    figure = report.plot_spectra(result)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [f"a: α = {float(result['alpha'][0]):.2f}", "b"]
    assert len(figure.axes[0].lines[-1].get_xdata()) == 12


def test_the_spectrum_that_repeats_stands_beside_the_noisy_one(rng: np.random.Generator) -> None:
    signal = rng.normal(size=(200, 30)) * np.arange(1, 31) ** -0.5
    both = signal + 0.1 * rng.normal(size=(2, 200, 30))
    result = geometry.cross_validate_spectrum(both, ranks=(2, 20))
    axes = report.plot_spectra(result).axes[0]
    plain = axes.lines[-1].get_ydata()
    np.testing.assert_allclose(plain, result["plain_spectrum"].values)


def test_dichotomies_are_rows_with_null_and_shattering(table: xr.Dataset) -> None:
    left, middle, right = report.plot_dichotomies(table).axes
    np.testing.assert_allclose([bar.get_width() for bar in middle.patches], table["ccgp"].values)
    np.testing.assert_allclose(middle.lines[0].get_xdata(), table["ccgp_null_mean"].values)
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], table["decoding"].values)
    assert float(right.lines[1].get_xdata()[0]) == float(table["shattering_dimensionality"])
    assert [text.get_text() for text in left.get_yticklabels()][:3] == ["hue", "size", "kind"]
    assert left.get_ylim()[0] > left.get_ylim()[1]


def test_stars_mark_dichotomies_that_pass(table: xr.Dataset) -> None:
    table["q_value"][:] = np.where(np.arange(35) < 3, 0.01, 0.5)
    middle = report.plot_dichotomies(table).axes[1]
    assert [text.get_text() for text in middle.texts][:4] == ["*", "*", "*", ""]


def test_factors_alone_have_no_shattering(table: xr.Dataset) -> None:
    few = table.isel(dichotomy=[0, 1]).assign(shattering_dimensionality=np.nan)
    assert len(report.plot_dichotomies(few).axes[2].lines) == 1


def test_long_tables_are_cut_and_say_so(table: xr.Dataset) -> None:
    long = xr.concat([table, table], "dichotomy", data_vars="minimal")
    figure = report.plot_dichotomies(long)
    assert len(figure.axes[1].patches) == 40
    assert figure.get_suptitle() == "40 of 70 dichotomies"


def test_steps_are_a_matrix_with_names_and_measure(steps: xr.Dataset) -> None:
    figure = report.plot_steps(steps)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), steps["dissimilarity"])
    assert figure.axes[0].get_yticklabels()[3].get_text() == "block 3"
    assert figure.axes[1].get_ylabel() == "1 - cosine"


def test_boxes_are_the_phases_and_curves_their_costs(steps: xr.Dataset) -> None:
    found = geometry.segment_steps(steps, n_surrogates=19)
    axes, costs, _ = report.plot_steps(found).axes
    corners = [box.get_xdata()[:2].tolist() for box in take(axes, "phase")]
    starts = found["boundary"].values.tolist()
    assert corners == [[a - 0.5, b - 0.5] for a, b in pairwise([0, *starts, 12])]
    np.testing.assert_allclose(costs.lines[0].get_ydata(), found["cost"].values)
    np.testing.assert_allclose(costs.lines[1].get_ydata(), found["reference_cost"].values)
    chosen, p_value = found.attrs["chosen"], float(found["p_value"])
    assert costs.get_title(loc="left") == f"{chosen} phases, p = {p_value:.3g}"


def test_learning_curves_show_alignments_with_their_errors(
    checkpoints: dict[float, np.ndarray],
) -> None:
    target = np.repeat([-1.0, 1.0], 30)
    found = geometry.trace_alignment(checkpoints, target=target)
    axes = report.plot_learning(found).axes[0]
    for name in ("to_first", "to_last", "to_previous", "target"):
        np.testing.assert_allclose(take(axes, name)[0].get_ydata(), found[name].values)
    assert len(axes.collections) == 4
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlabel() == "training step"


def test_spectra_over_checkpoints_have_a_panel_each(checkpoints: dict[float, np.ndarray]) -> None:
    found = geometry.trace_spectra(checkpoints, ranks=(1, 10))
    figure = report.plot_learning(found)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "effective rank [directions]",
        "exponent α of the spectrum",
    ]


def test_phases_of_learning_are_shaded_and_named() -> None:
    curve = [50, 40, 30, 60, 90, 120, 100, 80]
    phases = geometry.label_phases(range(8), curve, window=1)
    axes = report.plot_learning(phases).axes[0]
    assert [text.get_text() for text in axes.texts] == phases["name"].values.tolist()
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    expected = list(zip(phases["first"].values, phases["last"].values, strict=True))
    assert spans == expected
    assert axes.get_xscale() == "linear"


def test_messages_name_what_is_wrong(steps: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match=r"'alpha'.* Take it from geometry.describe_spectrum"):
        report.plot_spectra(steps)
    with pytest.raises(SchemaError, match="Take it from geometry.describe_dichotomies"):
        report.plot_dichotomies(steps)
    with pytest.raises(SchemaError, match="Take it from geometry.compare_steps"):
        report.plot_steps(xr.Dataset())
    with pytest.raises(SchemaError, match="expected courses over 'step', such as 'to_first'"):
        report.plot_learning(steps)
    flat = {"spectrum": ("rank", [0.0, 0.0]), "alpha": np.nan}
    with pytest.raises(SchemaError, match="spectrum: expected values above 0, got none"):
        report.plot_spectra(xr.Dataset(flat, {"rank": [1, 2]}))
