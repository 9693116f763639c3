"""A small convolutional network with four stages."""

from collections import OrderedDict

import torch
from torch import nn


class SmallConvNet(nn.Module):
    """Four convolutional stages of growing receptive field, with seeded random weights.

    Parameters
    ----------
    channels : tuple of int
        Channels of ``stage1`` to ``stage4``.
    seed : int
        Seed of the weights; the global generator of torch is left alone.

    Notes
    -----
    Each stage is convolution (He-scaled normal weights), contrast normalisation over
    the image, rectification and 2 x 2 pooling; odd stages pool by maximum, even ones by average,
    so that stages differ by more than a linear map.

    Examples
    --------
    >>> import torch
    >>> SmallConvNet(seed=0)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 64, 4, 4])
    """

    def __init__(self, channels: tuple[int, ...] = (16, 32, 48, 64), *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        width = 3
        for index, out in enumerate(channels, start=1):
            # Skipping the default initialisation leaves torch's global generator untouched.
            convolution = nn.utils.skip_init(  # type: ignore[no-untyped-call]
                nn.Conv2d, width, out, 3, padding=1
            )
            with torch.no_grad():
                scale = (2.0 / (width * 9)) ** 0.5
                convolution.weight.copy_(
                    scale * torch.randn(convolution.weight.shape, generator=generator)
                )
                convolution.bias.zero_()
            pool: nn.Module = nn.MaxPool2d(2) if index % 2 else nn.AvgPool2d(2)
            stages[f"stage{index}"] = nn.Sequential(
                convolution, nn.GroupNorm(1, out, affine=False), nn.ReLU(), pool
            )
            width = out
        self.stages = nn.Sequential(stages)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, 3, height, width) in 0 to 1 to the last stage's responses."""
        output: torch.Tensor = self.stages(images)
        return output
