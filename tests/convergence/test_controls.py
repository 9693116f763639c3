"""Networks with their weights in random places."""

import numpy as np
import pytest
import torch

from neuroalign.convergence import shuffle_weights
from neuroalign.models import SmallConvNet


def test_every_tensor_keeps_its_values_and_loses_their_order() -> None:
    net = SmallConvNet(seed=1)
    control = shuffle_weights(net, seed=3)
    pairs = zip(net.named_parameters(), control.named_parameters(), strict=True)
    for (name, ours), (_, theirs) in pairs:
        assert torch.equal(ours.flatten().sort()[0], theirs.flatten().sort()[0]), name
        assert name.endswith("bias") or not torch.equal(ours, theirs), name


def test_the_model_is_left_alone_and_the_seed_decides() -> None:
    net = SmallConvNet(seed=1)
    before = net.stages[0][0].weight.detach().numpy().copy()
    first, second = (shuffle_weights(net, seed=2).stages[0][0].weight for _ in range(2))
    np.testing.assert_array_equal(before, net.stages[0][0].weight.detach().numpy())
    assert torch.equal(first, second)


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model: expected a torch\.nn\.Module"):
        shuffle_weights(np.zeros(3))
