"""Eigenvalues stand where they are, rhythms at their frequency and decay."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.latents import DynamicModes
from neuroalign.report._latent_rows import color_states
from neuroalign.report.eigenvalue_figures import read_rhythms

STEP = 0.01


def to_eigenvalue(frequency: float, decay: float) -> complex:
    return complex(np.exp(-STEP / decay + 2j * np.pi * frequency * STEP))


@pytest.fixture
def params() -> xr.Dataset:
    pair = to_eigenvalue(10, 0.5)
    values = np.array([pair, pair.conjugate(), 0.5, 1.02])
    return xr.Dataset(
        {"eigenvalue_real": ("mode", values.real), "eigenvalue_imag": ("mode", values.imag)},
        attrs={"kind": "estimate", "method": "LinearDynamics", "time_step": STEP},
    )


def get_marks(axes: Any, gid: str) -> np.ndarray:
    found = [one.get_offsets() for one in axes.collections if one.get_gid() == gid]
    return np.concatenate(found)


def test_eigenvalues_stand_in_the_plane_with_the_unit_circle(params: xr.Dataset) -> None:
    plane = report.plot_eigenvalues(params).axes[0]
    shown = plane.collections[0].get_offsets()
    np.testing.assert_allclose(shown[:, 0], params["eigenvalue_real"])
    np.testing.assert_allclose(shown[:, 1], params["eigenvalue_imag"])
    (circle,) = [line for line in plane.lines if line.get_gid() == "unit circle"]
    np.testing.assert_allclose(np.hypot(*np.asarray(circle.get_xydata()).T), 1.0)
    assert plane.get_xlim() == plane.get_ylim()


def test_rhythms_are_in_hertz_and_seconds(params: xr.Dataset) -> None:
    right = report.plot_eigenvalues(params).axes[1]
    expected = [[10.0, 0.5], [0.0, -STEP / np.log(0.5)]]
    np.testing.assert_allclose(get_marks(right, "decay o"), expected)
    (growing,) = get_marks(right, "decay ^")
    assert growing.tolist() == [0.0, right.get_ylim()[1]]
    assert right.get_xlabel() == "frequency [Hz]"
    assert right.get_ylabel() == "decay time to 1/e [s]"


def test_without_a_step_axes_count_steps(params: xr.Dataset) -> None:
    right = report.plot_eigenvalues(params.assign_attrs(time_step=1)).axes[1]
    params.attrs.pop("time_step")
    bare = report.plot_eigenvalues(params).axes[1]
    np.testing.assert_allclose(get_marks(bare, "decay o"), get_marks(right, "decay o"))
    assert (bare.get_xlabel(), bare.get_ylabel()) == (
        "frequency [cycles per step]", "decay time to 1/e [steps]"
    )  # fmt: skip


def test_dynamic_modes_show_the_rhythms_that_were_planted() -> None:
    time = STEP * np.arange(300)
    waves = [np.exp(-time / d) * np.cos(2 * np.pi * f * time + p) for f, d, p in (
        (4, 1.0, 0), (4, 1.0, 1), (11, 0.5, 0), (11, 0.5, 1))]  # fmt: skip
    model = DynamicModes(4, time_step=STEP).fit(np.stack(waves, axis=1))
    right = report.plot_eigenvalues(model.eigenvalues_, time_step=model.time_step_).axes[1]
    marks = get_marks(right, "decay o")
    np.testing.assert_allclose(marks[np.argsort(marks[:, 0])], [[4, 1.0], [11, 0.5]], rtol=1e-6)


def test_states_have_eigenvalues_in_their_colours() -> None:
    values = np.array([[0.9, 0.8], [0.7, 0.6]])
    array = xr.DataArray(values, {"state": ["slow", "fast"]}, ("state", "mode"))
    figure = report.plot_eigenvalues(array)
    drawn = [one.get_facecolor()[0, :3] for one in figure.axes[0].collections]
    np.testing.assert_allclose(drawn, color_states(2))
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["slow", "fast"]


def test_maps_of_switching_states_give_their_eigenvalues() -> None:
    turn = np.array([[0.6, -0.3], [0.3, 0.6]])
    maps = np.stack([turn, np.diag([0.5, 0.2])])
    states = xr.Dataset(
        {"dynamics": (("state", "latent_next", "latent"), maps)}, {"state": ["s0", "s1"]}
    )
    rhythms = read_rhythms(states)
    np.testing.assert_allclose(rhythms.values[0], [0.6 + 0.3j, 0.6 - 0.3j])
    np.testing.assert_allclose(np.sort(rhythms.values[1].real), [0.2, 0.5])
    assert rhythms.groups == ["s0", "s1"]
    with pytest.raises(SchemaError, match="eigenvalues: expected finite 'dynamics', got NaN"):
        read_rhythms(states * np.nan)


def test_a_mode_that_dies_at_once_stands_at_the_lower_edge() -> None:
    rhythms = read_rhythms(np.array([0.0, 0.9]), STEP)
    assert rhythms.decay[0, 0] == 0
    right = report.plot_eigenvalues(np.array([0.0, 0.9]), time_step=STEP).axes[1]
    assert get_marks(right, "decay o")[0, 1] == right.get_ylim()[0] > 0


def test_messages_name_what_is_wrong(params: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="eigenvalues: expected 'eigenvalue_real' and"):
        report.plot_eigenvalues(params[["eigenvalue_real"]])
    with pytest.raises(SchemaError, match=r"got shape \(1, 2\) with 1 that are not"):
        report.plot_eigenvalues(np.array([0.9, np.nan]))
    with pytest.raises(ValueError, match="time_step: expected seconds above 0, got -1"):
        report.plot_eigenvalues(params, time_step=-1)
