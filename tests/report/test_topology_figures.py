"""Figures of bars, thresholds and angles hold the numbers they were given."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import report, topology
from neuroalign.errors import SchemaError
from neuroalign.loaders import load_rdms
from neuroalign.report.topology_figures import count_alive

TURN = 2 * np.pi


@pytest.fixture
def angles(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, TURN, 60)


@pytest.fixture
def ring(rng: np.random.Generator, angles: np.ndarray) -> xr.DataArray:
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    points = circle @ np.linalg.qr(rng.normal(size=(9, 2)))[0].T
    coords = {"truth": ("sample", -angles + 1.0)}
    return xr.DataArray(points + rng.normal(0, 0.03, (60, 9)), coords, ("sample", "neuroid"))


@pytest.fixture
def sources(rng: np.random.Generator) -> xr.Dataset:
    first, second = np.triu_indices(12, 1)
    names = np.array([f"c{n:02d}" for n in range(12)])
    values = rng.uniform(size=(3, 66)) + 0.3 * rng.normal(size=(5, 3, 66))
    coords = {"roi": ["V1", "V4", "IT"], "first": ("pair", names[first])}
    coords["second"] = ("pair", names[second])
    attrs = {"kind": "dissimilarity"}
    rdms = xr.DataArray(np.abs(values), coords, ("subject", "roi", "pair"), attrs=attrs)
    return topology.select_source(rdms, step=0.25, n_bootstrap=20)


def test_betti_curves_are_those_of_topology(ring: xr.DataArray) -> None:
    diagrams = topology.compute_persistence(ring)
    for k in (0, 1):
        events, alive = count_alive(topology.take_bars(diagrams, k))
        expected = topology.betti_curve(diagrams, dimension=k, grid=events)
        np.testing.assert_array_equal(alive, expected)


def test_bars_stand_at_birth_and_death_and_the_endless_one_on_its_line(ring: xr.DataArray) -> None:
    diagrams = topology.compute_persistence(ring)
    axes = report.plot_persistence(diagrams).axes[0]
    drawn = {line.get_gid(): line for line in axes.lines}
    bars = topology.take_bars(diagrams, 1)
    np.testing.assert_allclose(drawn["H1"].get_xydata(), bars)
    heights = drawn["H0"].get_ydata()
    finite = topology.take_bars(diagrams, 0)[:, 1]
    assert heights[np.isinf(finite)] > np.nanmax(np.where(np.isinf(finite), np.nan, finite))
    assert axes.get_xlabel() == "birth: distance (euclidean)"


def test_a_ring_keeps_one_loop_alive_in_its_curve(ring: xr.DataArray) -> None:
    figure = report.plot_persistence(topology.compute_persistence(ring, max_dim=2))
    assert [axes.get_ylabel() for axes in figure.axes[1:]] == ["components", "loops", "voids"]
    course = figure.axes[2].lines[0]
    middle = np.searchsorted(course.get_xdata(), 1.0, side="right") - 1
    assert course.get_ydata()[middle] == 1


def test_rdms_of_the_92_images_are_drawn(real_data: Path) -> None:
    names = [f"image-{n:02d}" for n in range(92)]
    rdms = load_rdms(real_data / "rsa_92images/92_brainRDMs.mat", labels=names)
    diagrams = topology.compute_persistence(rdms.mean("rdm", keep_attrs=True))
    axes = report.plot_persistence(diagrams).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == "components (H0, 92)"


def test_the_grid_holds_accuracy_and_error_at_each_pair(sources: xr.Dataset) -> None:
    figure = report.plot_thresholds(sources)
    grid, error, bars = (figure.axes[n] for n in (0, 1, 2))
    for axes, name in ((grid, "accuracy"), (error, "accuracy_error")):
        image = axes.images[0].get_array()
        drawn = np.sort(image.compressed())
        np.testing.assert_allclose(drawn, np.sort(sources[name].values))
    heights = [patch.get_height() for patch in bars.patches]
    np.testing.assert_allclose(heights, sources["mean"].values)
    assert bars.get_title(loc="left") == "dashed: chance 0.33"


def test_a_pair_of_thresholds_lies_at_its_place(sources: xr.Dataset) -> None:
    place = (sources["lower"].values == 0.25) & (sources["upper"].values == 0.75)
    image = report.plot_thresholds(sources).axes[0].images[0]
    left, _, bottom, _ = image.get_extent()
    row, column = round((0.75 - bottom) / 0.25 - 0.5), round((0.25 - left) / 0.25 - 0.5)
    assert image.get_array()[row, column] == pytest.approx(sources["accuracy"].values[place][0])


def test_without_bootstrap_there_is_no_error(sources: xr.Dataset) -> None:
    plain = sources.drop_vars(["accuracy_error", "standard_error"])
    figure = report.plot_thresholds(plain)
    assert len(figure.axes) == 3
    assert figure.axes[1].get_ylabel() == "accuracy"


def test_angles_are_turned_onto_the_truth(ring: xr.DataArray, angles: np.ndarray) -> None:
    found = topology.find_circular_coordinates(ring)
    axes = report.plot_angles(found, truth="truth").axes[1]
    dots = next(line for line in axes.lines if line.get_gid() == "decoded").get_xydata()
    np.testing.assert_allclose(dots[:, 0], (1.0 - angles) % TURN)
    apart = np.abs(np.angle(np.exp(1j * (dots[:, 0] - dots[:, 1]))))
    assert np.median(apart) < 0.15
    score = topology.score_angles(found["angle"][:, 0], ring["truth"])
    assert axes.get_title(loc="left").startswith(f"circular r {float(score['correlation']):.3f}")


def test_two_coordinates_make_a_torus(rng: np.random.Generator) -> None:
    both = xr.Dataset({"angle": (("sample", "coordinate"), rng.uniform(0, 6, (30, 2)))})
    figure = report.plot_angles(both, coordinate=1)
    dots = figure.axes[1].lines[0].get_xydata()
    np.testing.assert_allclose(dots, both["angle"].values[:, ::-1])
    assert figure.axes[1].get_xlabel() == "angle on coordinate 2 [rad]"


def test_messages_name_what_is_wrong(ring: xr.DataArray, sources: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="'birth', 'death'.* Take it from topology.compute"):
        report.plot_persistence(sources)
    stack = xr.concat([topology.compute_persistence(ring)] * 2, "subject")
    with pytest.raises(SchemaError, match="one diagram with bars, got dims .*'subject'"):
        report.plot_persistence(stack)
    with pytest.raises(SchemaError, match=r"Take it from topology.select_source"):
        report.plot_thresholds(sources.drop_vars("accuracy"))
    found = topology.find_circular_coordinates(ring)
    with pytest.raises(SchemaError, match="truth: expected a coord on 'sample', .* got 'angel'"):
        report.plot_angles(found, truth="angel")
    with pytest.raises(SchemaError, match=r"truth: expected 60 finite angles \[rad\], got shape"):
        report.plot_angles(found, truth=[1.0, 2.0])
    with pytest.raises(SchemaError, match="coordinate: expected 0 to 0, got 1"):
        report.plot_angles(found, coordinate=1)
