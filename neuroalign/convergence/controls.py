"""Models that cannot have learnt what a trained one has: the same weights in random places."""

import copy
from typing import Any

import numpy as np


def shuffle_weights(model: Any, *, seed: int = 0) -> Any:
    """Copy a network, with the entries of each of its weight tensors in random order.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is. Tensors of one entry, and buffers such as running means, are copied.
    seed : int

    Returns
    -------
    torch.nn.Module
        With the same values in every tensor, so that sizes and spreads of responses stay near
        those of the trained network, and no learnt structure beyond them.

    Raises
    ------
    TypeError

    References
    ----------
    Kell & McDermott (2019), Current Opinion in Neurobiology 55, 121-132 (networks with permuted
    weights as controls).

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Linear(3, 2)
    >>> other = shuffle_weights(net, seed=1)
    >>> bool((other.weight.flatten().sort()[0] == net.weight.flatten().sort()[0]).all())
    True
    """
    if not hasattr(model, "named_parameters"):
        raise TypeError(
            f"model: expected a torch.nn.Module, got {type(model).__name__}. Shuffle the network "
            "before its features are extracted."
        )
    control, rng = copy.deepcopy(model), np.random.default_rng(seed)
    for _, weight in control.named_parameters():
        order = rng.permutation(weight.numel())
        # Through data: the copy is no step of training.
        weight.data.copy_(weight.data.flatten()[order].reshape(weight.shape))
    return control
