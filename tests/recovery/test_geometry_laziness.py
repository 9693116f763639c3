"""Networks that learn richly and lazily are told apart, as in the specification."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from neuroalign.geometry import measure_laziness

SCALES = (0.3, 1.0, 3.0, 10.0, 30.0)


def train(scale: float) -> tuple[Any, Any, Any]:
    """One hidden layer learns the product of two signs; its output is scaled, and starts at 0."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    inputs = torch.randn(64, 10)
    target = torch.sign(inputs[:, 0] * inputs[:, 1])
    net = torch.nn.Sequential(torch.nn.Linear(10, 200), torch.nn.Tanh(), torch.nn.Linear(200, 1))
    start = deepcopy(net)
    from neuroalign.features import compute_tangent_kernel

    kernel = compute_tangent_kernel(net, inputs).values
    rate = 0.5 * 64 / (scale**2 * np.linalg.eigvalsh(kernel)[-1])
    with torch.no_grad():
        base = start(inputs)[:, 0]
    for _ in range(20_000):
        error = scale * (net(inputs)[:, 0] - base) - target
        if float(error.detach().square().mean()) < 0.05:
            break
        net.zero_grad()
        (0.5 * error.square().mean()).backward()
        with torch.no_grad():
            for weight in net.parameters():
                weight -= rate * weight.grad
    return start, net, inputs


@pytest.mark.slow
def test_larger_output_scales_learn_lazier() -> None:
    found = [measure_laziness(*train(scale), layer="1") for scale in SCALES]
    tangent = np.array([float(one["tangent_alignment"]) for one in found])
    hidden = np.array([float(one["representation_alignment"]) for one in found])
    moved = np.array([float(one["total_relative_change"]) for one in found])
    signs = np.array([float(one["total_sign_similarity"]) for one in found])
    assert (np.diff(tangent) > 0).all()
    assert (np.diff(hidden) > 0).all()
    assert (np.diff(moved) < 0).all()
    assert (np.diff(signs) > 0).all()
    assert tangent[-1] > 0.999
    assert moved[0] / moved[-1] > 10
    # The table of the specification, whose draws are not ours.
    np.testing.assert_allclose(tangent, [0.969, 0.992, 0.998, 1.0, 1.0], atol=0.01)
    np.testing.assert_allclose(hidden, [0.960, 0.996, 0.999, 1.0, 1.0], atol=0.03)
    np.testing.assert_allclose(moved, [0.80, 0.39, 0.20, 0.08, 0.03], rtol=0.3)
    np.testing.assert_allclose(signs[[0, -1]], [0.90, 0.996], atol=0.02)
