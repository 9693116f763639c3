"""Tangent kernels equal those of explicit Jacobians."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neuroalign.features import compute_tangent_kernel, read_weights, record_layer  # noqa: E402
from neuroalign.models import SmallConvNet  # noqa: E402


def make() -> "torch.nn.Module":
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 3))


def differentiate(net: "torch.nn.Module", inputs: "torch.Tensor") -> np.ndarray:
    """The Jacobian of all outputs, one backward pass each."""
    rows = []
    for one in net.eval()(inputs).reshape(-1):
        grads = torch.autograd.grad(one, list(net.parameters()), retain_graph=True)
        rows.append(torch.cat([grad.reshape(-1) for grad in grads]).double().numpy())
    return np.array(rows)


def test_kernel_equals_that_of_the_explicit_jacobian() -> None:
    net, inputs = make(), torch.randn(6, 5)
    J = differentiate(net, inputs)
    net.train()
    kernel = compute_tangent_kernel(net, inputs, chunk_size=4)
    np.testing.assert_allclose(kernel, J @ J.T, rtol=1e-4, atol=1e-5)
    assert kernel["sample"].values.tolist() == np.repeat(np.arange(6), 3).tolist()
    # Dropout is off for the kernel, and on again afterwards.
    assert all(module.training for module in net.modules())


def test_kernel_predicts_a_small_step_of_learning() -> None:
    net, inputs = make().double().eval(), torch.randn(4, 5, dtype=torch.float64)
    before = net(inputs).detach().reshape(-1)
    pull = torch.randn(12, dtype=torch.float64)
    (net(inputs).reshape(-1) @ pull).backward()
    kernel = compute_tangent_kernel(net, inputs).values
    with torch.no_grad():
        for weight in net.parameters():
            weight += 1e-6 * weight.grad
        moved = (net(inputs).reshape(-1) - before).numpy() / 1e-6
    np.testing.assert_allclose(moved, kernel @ pull.numpy(), rtol=1e-4)


def test_the_kernel_of_a_linear_map_is_that_of_its_inputs(rng: np.random.Generator) -> None:
    inputs = rng.normal(size=(5, 4))
    linear = torch.nn.Linear(4, 2, bias=False).double()
    expected = np.kron(inputs @ inputs.T, np.eye(2))
    np.testing.assert_allclose(compute_tangent_kernel(linear, inputs), expected, atol=1e-12)


def test_chosen_weights_give_their_part_of_the_kernel() -> None:
    net, inputs = make(), torch.randn(4, 5)
    names = [name for name, _ in net.named_parameters()]
    parts = [compute_tangent_kernel(net, inputs, parameters=[name]).values for name in names]
    np.testing.assert_allclose(sum(parts), compute_tangent_kernel(net, inputs), rtol=1e-5)
    net[0].requires_grad_(False)
    trained = compute_tangent_kernel(net, inputs)
    np.testing.assert_allclose(trained, parts[2] + parts[3], rtol=1e-5)


def test_hashed_gradients_keep_inner_products() -> None:
    net, inputs = make(), torch.randn(8, 5)
    exact = compute_tangent_kernel(net, inputs).values
    draws = [compute_tangent_kernel(net, inputs, sketch=64, seed=s).values for s in range(60)]
    spread = np.std(draws, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(draws, axis=0) - exact) < 5 * spread + 1e-5).all()
    again = compute_tangent_kernel(net, inputs, sketch=64, seed=0)
    np.testing.assert_array_equal(again, draws[0])
    assert again.attrs["sketch"] == 64


def test_recurrent_and_convolutional_networks_are_taken() -> None:
    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.RNNCell(3, 4)

        def forward(self, series: "torch.Tensor") -> "torch.Tensor":
            state, states = torch.zeros(len(series), 4), []
            for step in range(series.shape[1]):
                state = self.cell(series[:, step], state)
                states.append(state)
            return torch.stack(states, dim=1)

    net, series = Recurrent(), torch.randn(3, 5, 3)
    J = differentiate(net, series)
    np.testing.assert_allclose(compute_tangent_kernel(net, series), J @ J.T, rtol=1e-4, atol=1e-5)
    images = np.random.default_rng(0).random((2, 3, 64, 64))
    readout = torch.nn.Sequential(SmallConvNet(seed=0), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    readout(torch.zeros(1, 3, 64, 64))
    kernel = compute_tangent_kernel(readout, images, sketch=64)
    assert np.linalg.eigvalsh(kernel.values).min() > -1e-6 * kernel.values.max()


def test_layers_and_weights_are_read_as_they_are() -> None:
    net, inputs = make(), torch.randn(6, 5)
    expected = net[1](net[0](inputs)).detach().numpy()
    np.testing.assert_allclose(record_layer(net, inputs, "1"), expected, rtol=1e-6)
    assert record_layer(net, inputs).shape == (6, 3)
    weights = read_weights(net)
    assert weights["0.weight"].shape == (7, 5)
    weights["0.weight"][:] = 0
    assert float(net[0].weight.detach().abs().sum()) > 0


def test_wrong_requests_are_named() -> None:
    net, inputs = make(), torch.randn(200, 5)
    with pytest.raises(ValueError, match="inputs: expected at most 512 outputs in all, got 200"):
        compute_tangent_kernel(net, inputs)
    with pytest.raises(ValueError, match="parameters: expected names of weights, got 'head'"):
        compute_tangent_kernel(net, inputs[:2], parameters=["head"])
    with pytest.raises(ValueError, match="sketch: expected at least 1 number, got 0"):
        compute_tangent_kernel(net, inputs[:2], sketch=0)
    with pytest.raises(ValueError, match="layers: expected names of layers, got 'head'"):
        record_layer(net, inputs, "head")
