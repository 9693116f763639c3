"""Affine maps that depend on the image: places moved, turned, scaled and sheared.

Coordinates are x to the right and y downwards, -1 to 1 over the centres of the outer tokens. A map
``theta`` takes a place of the output to the place of the input that is shown there.
"""

from collections.abc import Callable
from functools import reduce

from neuroalign.encoders.readouts.factorized import FactorizedMap
from neuroalign.errors import choose, require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise

# What is moved -> maps, features.
MOVED = {"both": (True, True), "maps": (True, False), "features": (False, True)}
# The summary of an image that its warps are read from: channels, and the largest side.
SUMMARY_CHANNELS, SUMMARY_SIDE = 4, 7
SUMMARY_HIDDEN = 32
# Numbers (image x map x token) warped at once where no gradient is kept.
AT_ONCE = 2**24


def _assemble(rows: list[list[torch.Tensor]]) -> torch.Tensor:
    """Matrices (..., 3, 3) from their first two rows."""
    like = next(value for row in rows for value in row)
    last = [torch.zeros_like(like), torch.zeros_like(like), torch.ones_like(like)]
    return torch.stack([torch.stack(row, dim=-1) for row in [*rows, last]], dim=-2)


def _warp_affine(free: torch.Tensor) -> torch.Tensor:
    a, b, c, d, e, f = free.unbind(-1)
    return _assemble([[1 + a, b, c], [d, 1 + e, f]])


def _warp_translation(free: torch.Tensor) -> torch.Tensor:
    x, y = free.unbind(-1)
    one, none = torch.ones_like(x), torch.zeros_like(x)
    return _assemble([[one, none, x], [none, one, y]])


def _warp_rotation(free: torch.Tensor) -> torch.Tensor:
    (angle,) = free.unbind(-1)
    none = torch.zeros_like(angle)
    return _assemble([[angle.cos(), -angle.sin(), none], [angle.sin(), angle.cos(), none]])


def _warp_scale(free: torch.Tensor) -> torch.Tensor:
    x, y = free.exp().unbind(-1)
    none = torch.zeros_like(x)
    return _assemble([[x, none, none], [none, y, none]])


def _warp_shear(free: torch.Tensor) -> torch.Tensor:
    x, y = free.unbind(-1)
    one, none = torch.ones_like(x), torch.zeros_like(x)
    return _assemble([[one, x, none], [y, one, none]])


# Name -> free numbers, and the function from them, 0 for no change, to matrices (..., 3, 3).
WARPS: dict[str, tuple[int, Callable[[torch.Tensor], torch.Tensor]]] = {
    "affine": (6, _warp_affine),
    "translation": (2, _warp_translation),
    "rotation": (1, _warp_rotation),
    "scale": (2, _warp_scale),
    "shear": (2, _warp_shear),
}


def warp_images(images: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Warp each map by its own affine.

    Parameters
    ----------
    images : Tensor (n, map, row, column)
    theta : Tensor (n, map, 2, 3)

    Returns
    -------
    Tensor (n, map, row, column)
        Interpolated; 0 where a place of the output comes from outside.
    """
    # As affine_grid of torch, which warns where a side is of one token.
    axes = [torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in images.shape[2:]]
    y, x = torch.meshgrid(*axes, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], dim=-1).to(theta)
    grid = places.flatten(0, 1) @ theta.flatten(0, 1).transpose(1, 2)
    flat = images.reshape(-1, 1, *images.shape[2:])
    warped = nn.functional.grid_sample(
        flat, grid.reshape(-1, *places.shape[:2], 2), align_corners=True
    )
    return warped.reshape(images.shape)


class AffineNet(nn.Module):
    """From the summary of an image to one affine for each of ``n_maps``; at first the identity."""

    def __init__(self, n_inputs: int, n_maps: int, warp: str) -> None:
        super().__init__()
        self.parts = [choose(WARPS, name, "warp") for name in warp.split("+")]
        self.n_maps = n_maps
        last = nn.Linear(SUMMARY_HIDDEN, n_maps * sum(count for count, _ in self.parts))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(n_inputs, SUMMARY_HIDDEN), nn.ReLU(), last)

    def forward(self, summary: torch.Tensor) -> torch.Tensor:
        """(n, input) to affines (n, map, 2, 3)."""
        free = self.net(summary).reshape(len(summary), self.n_maps, -1)
        matrices, start = [], 0
        for count, make in self.parts:
            matrices.append(make(free[..., start : start + count]))
            start += count
        return reduce(torch.matmul, matrices)[..., :2, :]


class WarpedMap(FactorizedMap):
    """``y_v = b_v + sum_c f_vc <warp(m_v), warp(x_c)>``, both warps read from the image."""

    def __init__(
        self,
        grid: tuple[int, int],
        n_features: int,
        n_targets: int,
        warp: str,
        moved: tuple[bool, bool],
    ) -> None:
        super().__init__(grid[0] * grid[1], n_features, n_targets)
        self.grid = grid
        sides = [min(side, SUMMARY_SIDE) for side in grid]
        self.summary = nn.Sequential(
            nn.Conv2d(n_features, SUMMARY_CHANNELS, 1),
            nn.AdaptiveAvgPool2d((sides[0], sides[1])),
            nn.Flatten(),
        )
        n_inputs = SUMMARY_CHANNELS * sides[0] * sides[1]
        counts = (n_targets, n_features)
        self.move_maps, self.move_features = (
            AffineNet(n_inputs, count, warp) if move else None
            for count, move in zip(counts, moved, strict=True)
        )

    def _as_images(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)

    def _warp_maps(self, summary: torch.Tensor) -> torch.Tensor:
        maps = self.maps().reshape(1, -1, *self.grid).expand(len(summary), -1, -1, -1)
        if self.move_maps is None:
            return maps.flatten(2)
        return warp_images(maps, self.move_maps(summary)).flatten(2)

    def warped_maps(self, tokens: torch.Tensor) -> torch.Tensor:
        """Maps for each image: (n, target, token)."""
        return self._warp_maps(self.summary(self._as_images(tokens)))

    def _predict(self, tokens: torch.Tensor) -> torch.Tensor:
        images = self._as_images(tokens)
        summary = self.summary(images)
        if self.move_features is not None:
            images = warp_images(images, self.move_features(summary))
        seen = self._warp_maps(summary) @ images.flatten(2).transpose(1, 2)
        return torch.einsum("nvc,vc->nv", seen, self.feature) + self.bias

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        if torch.is_grad_enabled():
            return self._predict(tokens)
        rows = max(1, AT_ONCE // (self.place.numel() + tokens[0].numel()))
        return torch.cat([self._predict(part) for part in torch.split(tokens, rows)])
