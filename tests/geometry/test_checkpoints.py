"""Courses of alignment equal pairs aligned by hand, and tell rich from lazy learning."""

from pathlib import Path

import numpy as np
import pytest

from neuroalign import schema, storage
from neuroalign.errors import AlignError, SchemaError
from neuroalign.geometry import align_kernels, align_representations, trace_alignment

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
