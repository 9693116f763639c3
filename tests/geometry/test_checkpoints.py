"""Courses of alignment equal pairs aligned by hand, and tell rich from lazy learning."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry import (
    align_kernels,
    align_representations,
    estimate_dimension,
    trace_alignment,
    trace_spectra,
)

Array = np.ndarray


def make_path(rng: np.random.Generator) -> tuple[dict[float, Array], Array]:
    start, goal = rng.normal(size=(60, 20)), np.repeat([-1.0, 1.0], 30)
    return {step: start + 0.3 * step * goal[:, None] for step in (0, 1, 3, 10)}, goal


@pytest.mark.parametrize("center", [True, False])
def test_courses_are_the_alignments_of_pairs(rng: np.random.Generator, center: bool) -> None:
    path, goal = make_path(rng)
    found = trace_alignment(path, target=goal, center=center)
    X = [path[step] for step in (0, 1, 3, 10)]
    for name, other in (("to_first", X[0]), ("to_last", X[3])):
        expected = [align_representations(other, one, center=center) for one in X]
        np.testing.assert_allclose(found[name], expected)
    expected = [align_representations(X[k], X[k + 1], center=center) for k in range(3)]
    np.testing.assert_allclose(found["to_previous"][1:], expected)
    assert np.isnan(found["to_previous"][0])
    expected = [align_representations(goal[:, None], one, center=True) for one in X]
    np.testing.assert_allclose(found["target"], expected)


def test_errors_are_those_of_the_jackknife(rng: np.random.Generator) -> None:
    path, _ = make_path(rng)
    found = trace_alignment(path, n_blocks=5, seed=3)
    blocks = np.array_split(np.random.default_rng(3).permutation(60), 5)
    left = [
        align_representations(np.delete(path[0], block, 0), np.delete(path[3], block, 0))
        for block in blocks
    ]
    expected = np.sqrt(4 / 5 * np.square(left - np.mean(left)).sum())
    assert float(found["to_first_error"][2]) == pytest.approx(expected)


def test_jackknife_errors_are_those_of_new_samples(rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(8, 20))
    values, errors = [], []
    for draw in range(60):
        latent = np.random.default_rng(draw).normal(size=(80, 8))
        late = latent[:, :3] @ mixing[:3]
        found = trace_alignment({0: latent @ mixing, 1: late})
        values.append(float(found["to_first"][1]))
        errors.append(float(found["to_first_error"][1]))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.35)


def test_lazy_learning_keeps_its_kernel_and_rich_learning_does_not(
    rng: np.random.Generator,
) -> None:
    start, goal = rng.normal(size=(100, 50)), np.repeat([-1.0, 1.0], 50)
    lazy = {step: start + 0.01 * step * goal[:, None] for step in range(4)}
    rich = {step: start + 2.0 * step * goal[:, None] for step in range(4)}
    slow, fast = (trace_alignment(path, target=goal) for path in (lazy, rich))
    assert float(slow["to_first"].min()) > 0.99
    assert float(fast["to_first"][-1]) < 0.5
    assert float(fast["target"][-1] - fast["target"][0]) > 0.5


def test_tangent_kernels_are_aligned_too(rng: np.random.Generator) -> None:
    path, _ = make_path(rng)
    kernels = {step: one @ one.T for step, one in path.items()}
    found = trace_alignment(path, tangent_kernels=kernels)
    expected = [align_kernels(kernels[10], kernels[step]) for step in (0, 1, 3, 10)]
    np.testing.assert_allclose(found["tangent_to_last"], expected)
    np.testing.assert_allclose(found["tangent_to_first"], found["to_first"])


def test_widths_may_differ_and_results_survive_a_file(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    path, goal = make_path(rng)
    path[20] = path[10][:, :7]
    found = schema.check(trace_alignment(path, target=goal))
    storage.save(found, tmp_path / "course.nc")
    assert storage.load(tmp_path / "course.nc").identical(found)


def test_faults_are_named(rng: np.random.Generator) -> None:
    path, goal = make_path(rng)
    with pytest.raises(ValueError, match="checkpoints: expected at least two, got 1"):
        trace_alignment({0: path[0]})
    with pytest.raises(SchemaError, match=r"checkpoints: expected the same samples .* \[50, 60\]"):
        trace_alignment({**path, 11: path[0][:50]})
    with pytest.raises(AlignError, match="target: expected 60 samples .* got 59"):
        trace_alignment(path, target=goal[1:])
    with pytest.raises(AlignError, match=r"tangent_kernels: expected the steps \[0, 1, 3, 10\]"):
        trace_alignment(path, tangent_kernels={0: np.eye(3)})
    with pytest.raises(ValueError, match="n_blocks: expected 2 to 30 blocks, got 40"):
        trace_alignment(path, n_blocks=40)


def test_labelled_rows_in_another_order_are_refused(rng: np.random.Generator) -> None:
    path, goal = make_path(rng)
    rows = {"stimulus": ("sample", [f"s{k:02d}" for k in range(60)])}
    named = {step: xr.DataArray(one, rows, ("sample", "feature")) for step, one in path.items()}
    target = xr.DataArray(goal, rows, "sample")
    plain, same = trace_alignment(path, target=goal), trace_alignment(named, target=target)
    np.testing.assert_allclose(same["to_first"], plain["to_first"])
    with pytest.raises(AlignError, match=r"checkpoints\[3\]: expected the stimuli of 'checkpoint"):
        trace_alignment({**named, 3: named[3][::-1]})
    with pytest.raises(AlignError, match="target: expected the stimuli of"):
        trace_alignment(named, target=target[::-1])


def test_a_first_kernel_of_zeros_is_said(rng: np.random.Generator) -> None:
    found = trace_alignment({0: np.zeros((20, 3)), 1: rng.normal(size=(20, 3))})
    assert np.isnan(found["to_first"]).all()
    assert "alignment with the first is undefined, as that one is zero" in found.attrs["verdict"]


def test_steps_named_by_text_are_refused(rng: np.random.Generator) -> None:
    X = rng.normal(size=(20, 3))
    with pytest.raises(
        ValueError, match="checkpoints: expected training steps as numbers, got '20"
    ):
        trace_alignment({"20": X, "100": X})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="Text sorts '100' before '20'"):
        trace_spectra({"20": X, "100": X})  # type: ignore[dict-item]
    steps = trace_alignment({np.int64(20): X, np.float32(3): X})["step"]
    assert steps.values.tolist() == [3, 20]


def test_a_course_and_a_table_of_layers_are_told_by_their_ends(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 8))
    course = trace_spectra({0: X, 10: X[:, :2]}, ranks=(1, 2)).attrs["verdict"]
    assert course.startswith("trace_spectra: rankme from 7.")
    assert course.endswith(" at 10, 2 steps.")
    table = estimate_dimension({"first": X, "last": X[:, :1]}, n_bootstrap=2).attrs["verdict"]
    assert " at last to " in table
    assert table.endswith(" at first, 2 layers.")
