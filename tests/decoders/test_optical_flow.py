"""Flow of moving pictures, and the codes that stand for it."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter, shift

from neuroalign.decoders import FlowCodebook, estimate_flow
from neuroalign.errors import AlignError, SchemaError


def make_frame(rng: np.random.Generator, size: int = 32) -> np.ndarray:
    frame = gaussian_filter(rng.normal(size=(size, size)), 2, mode="wrap")
    return (frame - frame.min()) / (frame.max() - frame.min())


@pytest.mark.parametrize("step", [(0, 1.5), (1, 0), (-1, -1)])
def test_a_picture_that_moves_has_its_step_as_flow(
    rng: np.random.Generator, step: tuple[float, float]
) -> None:
    frame = make_frame(rng)
    moved = shift(frame, step, mode="grid-wrap")
    flow = estimate_flow(frame[None], moved[None])
    inner = flow.values[0, 8:-8, 8:-8].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inner, axis=0), step, atol=0.15)
    assert flow["component"].values.tolist() == ["row", "column"]


def test_places_are_means_over_their_pixels(rng: np.random.Generator) -> None:
    pair = make_frame(rng)[None], make_frame(rng)[None]
    fine, coarse = estimate_flow(*pair), estimate_flow(*pair, grid=(4, 2))
    expected = fine.values[0].reshape(4, 8, 2, 16, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse.values[0], expected, atol=1e-5)


def test_labels_of_the_first_frames_stay(rng: np.random.Generator) -> None:
    first = xr.DataArray(
        make_frame(rng)[None], dims=("sample", "row", "column"), coords={"run": ("sample", ["a"])}
    )
    flow = estimate_flow(first, first)
    assert flow["run"].values.tolist() == ["a"]
    assert flow.attrs["units"] == "pixels/frame"
    assert float(abs(flow).max()) == 0.0
    other = first.assign_coords(stimulus=("sample", ["x"]))
    with pytest.raises(AlignError, match="second: expected the 'stimulus' of first"):
        estimate_flow(other, other.assign_coords(stimulus=("sample", ["y"])))


def test_codes_of_separate_clusters_are_their_centres(rng: np.random.Generator) -> None:
    truth = np.array([[0.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    member = rng.integers(3, size=(20, 4, 5))
    book = FlowCodebook(3).fit(truth[member] + 0.01 * rng.normal(size=(20, 4, 5, 2)))
    np.testing.assert_allclose(book.codes_, truth, atol=0.01)
    np.testing.assert_array_equal(book.encode(truth[member]), member)
    np.testing.assert_allclose(book.decode(np.eye(3)[member]), truth[member], atol=0.01)
    np.testing.assert_allclose(book.decode([0.5, 0.25, 0.25]), [0.75, 0.5], atol=0.01)


def test_encoding_equals_a_loop_over_places(rng: np.random.Generator) -> None:
    flow = rng.normal(size=(6, 3, 4, 2))
    book = FlowCodebook(5, seed=1).fit(flow)
    got = book.encode(flow)
    for place in np.ndindex(6, 3, 4):
        lengths = [np.hypot(*(flow[place] - code)) for code in book.codes_]
        assert got[place] == int(np.argmin(lengths))


def test_there_are_no_more_codes_than_vectors() -> None:
    assert FlowCodebook(40).fit(np.zeros((3, 2, 2, 2))).codes_.tolist() == [[0.0, 0.0]]


def test_faults_are_named(rng: np.random.Generator) -> None:
    frame = make_frame(rng)[None]
    with pytest.raises(SchemaError, match=r"first: expected grey frames .* got \(1, 32, 32, 3\)"):
        estimate_flow(np.zeros((1, 32, 32, 3)), frame)
    with pytest.raises(SchemaError, match="second: expected frames of shape"):
        estimate_flow(frame, frame[:, :16])
    with pytest.raises(ValueError, match="second: expected finite numbers"):
        estimate_flow(frame, np.full_like(frame, np.nan))
    with pytest.raises(ValueError, match="grid: expected rows and columns that divide"):
        estimate_flow(frame, frame, grid=(5, 5))
    with pytest.raises(SchemaError, match=r"X: expected flow \(sample, row, column, 2\)"):
        FlowCodebook().fit(np.zeros((3, 4, 2)))
    with pytest.raises(SchemaError, match="X: expected dims .* Use transpose"):
        FlowCodebook().fit(xr.DataArray(np.zeros((2, 3, 4, 2)), dims=("row", "a", "b", "c")))
    with pytest.raises(ValueError, match="n_codes: expected at least 1"):
        FlowCodebook(0).fit(np.zeros((1, 1, 1, 2)))
    with pytest.raises(ValueError, match="flow: expected finite flow"):
        FlowCodebook(1).fit(np.zeros((1, 1, 1, 2))).encode(np.full((1, 1, 1, 2), np.inf))
