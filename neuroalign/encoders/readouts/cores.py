"""Cores: small nets from pixels to feature maps, trained together with a readout.

A core takes images (n, feature, row, column) and gives maps (n, feature, row, column); every
readout has ``core=``. To add one: a ``torch.nn.Module`` that does so, whose parts with weights have
``reset_parameters``; it may name its own ``learning_rate`` and ``weight_decay``.
"""

from collections.abc import Callable, Sequence
from functools import partial

from neuroalign.encoders.readouts._groups import GroupConvolution, GroupNormalisation
from neuroalign.errors import choose, require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise


def halve(images: torch.Tensor) -> torch.Tensor:
    """Average neighbouring pixels, so that half of the rows and columns stay.

    Even sides are cut into pairs; of odd ones every second pixel is the middle of three. Both keep
    the middle of the image in the middle.
    """
    for axis in (2, 3):
        odd = images.shape[axis] % 2
        kernel, step, edge = ([1, 1], [1, 1], [0, 0])
        kernel[axis - 2], step[axis - 2], edge[axis - 2] = 2 + odd, 2, odd
        images = nn.functional.avg_pool2d(images, kernel, step, edge, count_include_pad=False)
    return images


class _Halving(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return halve(images)


def _check_shape(channels: Sequence[int], kernel: int) -> None:
    if not channels or min(channels) < 1:
        raise ValueError(
            f"channels: expected one count above 0 for each layer, got {tuple(channels)}. "
            "(16, 32) has two layers."
        )
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(
            f"kernel: expected an odd side, got {kernel}. An even one would shift the image."
        )


class SmallCore(nn.Module):
    """A few layers of convolution, normalisation over the batch, and rectification.

    Parameters
    ----------
    n_features : int
        Channels of the images.
    channels : sequence of int
        Channels of each layer.
    kernel : int
        Odd side of the filters, in pixels of their layer.
    halvings : int
        After this many of the first layers, half of the rows and columns stay.
    learning_rate, weight_decay : float, optional
        Of the core alone; by default those of the readout's plan.

    References
    ----------
    Klindt et al. (2017), NeurIPS 30, arXiv:1711.02653, section 3: a core shared by all neurons.

    Examples
    --------
    >>> import torch
    >>> from neuroalign.encoders.readouts import FactorizedReadout, SmallCore
    >>> SmallCore(3, channels=(8, 16))(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 16, 16, 16])
    >>> readout = FactorizedReadout(core=SmallCore(3, learning_rate=1e-3))
    """

    def __init__(
        self,
        n_features: int = 3,
        *,
        channels: Sequence[int] = (16, 32),
        kernel: int = 5,
        halvings: int = 1,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
    ) -> None:
        super().__init__()
        _check_shape(channels, kernel)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        layers: list[nn.Module] = []
        width = n_features
        for number, count in enumerate(channels):
            layers += [
                nn.Conv2d(width, count, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(count),
                nn.ReLU(),
            ]
            layers += [_Halving()] if number < halvings else []
            width = count
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, feature, row, column) to maps of the last layer."""
        maps: torch.Tensor = self.layers(images)
        return maps


def _keep(maps: torch.Tensor) -> torch.Tensor:
    return maps.flatten(1, 2)


# What becomes of the directions of each channel: (n, channel, direction, row, column) to maps.
ORIENTATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "keep": _keep,
    "max": partial(torch.amax, dim=2),
    "mean": partial(torch.mean, dim=2),
}


class RotationEquivariantCore(nn.Module):
    """Layers whose every filter exists in all directions: turning the image turns the maps.

    Parameters
    ----------
    n_features : int
        Channels of the images.
    channels : sequence of int
        Channels of each layer; each has a map for every direction.
    kernel : int
        Odd side of the filters, in pixels of their layer.
    halvings : int
        After this many of the first layers, half of the rows and columns stay.
    n_directions : {4, 8}
        Steps of a full turn. By a quarter turn, filters are turned exactly, and so are the maps
        of a square image; by an eighth, filters are interpolated, inside of a disc.
    orientations : {"keep", "max", "mean"}
        The features are ``keep``: channels times directions (direction fastest; a quarter turn of
        the image moves them on by a quarter); or the largest or mean over directions.
    learning_rate, weight_decay : float, optional
        Of the core alone; by default those of the readout's plan.

    References
    ----------
    Cohen & Welling (2016), ICML 48, arXiv:1602.07576, sections 4 and 6.
    Ecker et al. (2019), ICLR, arXiv:1809.10504, section 3: such a core for visual cortex.

    Examples
    --------
    >>> import torch
    >>> from neuroalign.encoders.readouts import RotationEquivariantCore
    >>> core = RotationEquivariantCore(1, channels=(4, 4), orientations="max").eval()
    >>> image = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> turned = core(image.rot90(1, (2, 3)))
    >>> torch.allclose(turned, core(image).rot90(1, (2, 3)), atol=1e-5)
    True
    """

    def __init__(
        self,
        n_features: int = 3,
        *,
        channels: Sequence[int] = (8, 16),
        kernel: int = 5,
        halvings: int = 1,
        n_directions: int = 8,
        orientations: str = "keep",
        learning_rate: float | None = None,
        weight_decay: float | None = None,
    ) -> None:
        super().__init__()
        _check_shape(channels, kernel)
        if n_directions not in (4, 8):
            raise ValueError(
                f"n_directions: expected 4 or 8, got {n_directions}. Others turn the grid of "
                "pixels onto itself by no step."
            )
        self.pool = choose(ORIENTATIONS, orientations, "orientations")
        self.halvings = halvings
        self.n_directions = n_directions
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        widths = [n_features, *channels]
        self.convolutions = nn.ModuleList(
            GroupConvolution(width, count, kernel, n_directions, from_image=number == 0)
            for number, (width, count) in enumerate(zip(widths[:-1], channels, strict=True))
        )
        self.norms = nn.ModuleList(GroupNormalisation(count, n_directions) for count in channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, feature, row, column) to maps of the last layer."""
        maps = images
        layers = zip(self.convolutions, self.norms, strict=True)
        for number, (convolution, norm) in enumerate(layers):
            maps = norm(convolution(maps)).relu()
            maps = halve(maps) if number < self.halvings else maps
        n, _, rows, columns = maps.shape
        pooled: torch.Tensor = self.pool(maps.reshape(n, -1, self.n_directions, rows, columns))
        return pooled
