"""Convolution over places and directions: one filter bank, turned to every direction.

Maps are (n, channel x direction, row, column), direction fastest. Turning the image by one step
turns each map and moves each channel's maps on by one direction.
"""

import math

import numpy as np
import numpy.typing as npt

from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[np.float64]


def _turn_eighth(kernel: int) -> Array:
    """Turn filters by an eighth, counter-clockwise, by bilinear interpolation: a matrix."""
    middle = (kernel - 1) / 2
    matrix = np.zeros((kernel**2, kernel**2))
    cosine = math.sqrt(0.5)
    for target, (row, column) in enumerate(np.ndindex(kernel, kernel)):
        y, x = middle - row, column - middle
        # Where the turned filter's value comes from: turned back, clockwise.
        from_x, from_y = cosine * (x + y), cosine * (y - x)
        at_row, at_column = middle - from_y, middle + from_x
        top, left = math.floor(at_row), math.floor(at_column)
        for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            if 0 <= r < kernel and 0 <= c < kernel:
                weight = (1 - abs(at_row - r)) * (1 - abs(at_column - c))
                matrix[target, r * kernel + c] += weight
    return matrix


def make_turns(kernel: int, n_directions: int) -> torch.Tensor:
    """Make the matrices that turn a flattened filter by each of 4 or 8 steps.

    Parameters
    ----------
    kernel : int
        Odd side of the filters.
    n_directions : {4, 8}

    Returns
    -------
    Tensor (direction, pixel, pixel)
        Counter-clockwise. Steps of a quarter are permutations. With 8 directions only pixels
        inside the disc have weight: corners leave the square when turned by an eighth.
    """
    pixels = np.arange(kernel**2).reshape(kernel, kernel)
    quarters = [np.eye(kernel**2)[np.rot90(pixels, turn).ravel()] for turn in range(4)]
    turns = quarters
    if n_directions == 8:
        row, column = np.indices((kernel, kernel)) - (kernel - 1) / 2
        inside = np.diag((np.hypot(row, column) <= kernel / 2).ravel().astype(float))
        eighth = _turn_eighth(kernel)
        # An odd step is an eighth and then quarters, which keeps quarters exact.
        turns = [
            inside @ (quarter @ step) @ inside
            for quarter in quarters
            for step in (np.eye(kernel**2), eighth)
        ]
    return torch.from_numpy(np.stack(turns)).float()


class GroupConvolution(nn.Module):
    """From images or maps of directions to maps of directions.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels, each with all directions (an image has none).
    kernel : int
    n_directions : {4, 8}
    from_image : bool
        The input is an image.
    """

    turns: torch.Tensor

    def __init__(
        self, n_inputs: int, n_outputs: int, kernel: int, n_directions: int, *, from_image: bool
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.n_directions = n_directions
        self.register_buffer("turns", make_turns(kernel, n_directions), persistent=False)
        n_from = 1 if from_image else n_directions
        self.weight = nn.Parameter(torch.empty(n_outputs, n_inputs, n_from, kernel**2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as those of a convolution of the same fan-in (He et al., 2015)."""
        nn.init.normal_(self.weight, std=math.sqrt(2 / math.prod(self.weight.shape[1:])))

    def make_filters(self) -> torch.Tensor:
        """Make the filters: (output x direction, input x direction, row, column)."""
        filters = []
        for step, turn in enumerate(self.turns):
            turned = self.weight @ turn.T
            # Seen from a turned filter, the directions of its input are turned as well.
            filters.append(turned.roll(step, dims=2) if turned.shape[2] > 1 else turned)
        side = self.kernel
        return torch.stack(filters, dim=1).reshape(
            -1, turned.shape[1] * turned.shape[2], side, side
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of the same size, edges padded with zeros."""
        return nn.functional.conv2d(maps, self.make_filters(), padding=self.kernel // 2)


class GroupNormalisation(nn.Module):
    """Normalise each channel over the batch, its directions and places together."""

    def __init__(self, n_channels: int, n_directions: int) -> None:
        super().__init__()
        self.n_directions = n_directions
        self.norm = nn.BatchNorm3d(n_channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of unit variance, scaled and shifted by what is learnt for each channel."""
        n, _, rows, columns = maps.shape
        normed: torch.Tensor = self.norm(maps.reshape(n, -1, self.n_directions, rows, columns))
        return normed.reshape(maps.shape)
