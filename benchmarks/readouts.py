"""Readouts against the loop that one writes with torch: same nets, same batches, DataLoader.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.readouts --quick``.
Both sides train the same number of epochs; ``equal`` is the difference of their last losses. A few
epochs, so that what is done once for a fit is not counted as part of one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.harness import Race, main
from neuroalign.encoders.readouts import (
    BrainTransformer,
    FactorizedReadout,
    GaussianReadout,
    SemanticSpatialTransformer,
    SmallCore,
    TrainingPlan,
)

RATE = 1e-3
BATCH = 16
HEADS = 8
N_REGIONS = 10
Inputs = tuple[xr.DataArray, xr.DataArray, int]


def simulate(n: int, side: int, c: int, t: int, epochs: int) -> Inputs:
    """Tokens of a square grid and responses in ten regions; plain float32 noise."""
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((n, side * side, c), dtype=np.float32)
    row, column = (place.ravel() for place in np.indices((side, side)))
    places = {"row": ("token", row), "column": ("token", column)}
    regions = np.sort(rng.integers(N_REGIONS, size=t)).astype(str)
    values = rng.standard_normal((n, t), dtype=np.float32)
    responses = xr.DataArray(values, {"roi": ("neuroid", regions)}, ("sample", "neuroid"))
    return xr.DataArray(tokens, places, ("sample", "token", "feature")), responses, epochs


def _fit(readout: Any, inputs: Inputs) -> np.ndarray:
    X, y, epochs = inputs
    plan = TrainingPlan(epochs=epochs, batch_size=BATCH, learning_rate=RATE)
    fitted = readout.set_params(plan=plan, validation=0.0, baseline=False).fit(X, y)
    return np.array([fitted.history_[0].loss[-1]])


def fit_factorized(inputs: Inputs) -> np.ndarray:
    """The factorised readout."""
    return _fit(FactorizedReadout(), inputs)


def fit_gaussian(inputs: Inputs) -> np.ndarray:
    """The Gaussian readout."""
    return _fit(GaussianReadout(), inputs)


def fit_regions(inputs: Inputs) -> np.ndarray:
    """The brain transformer, a query for each region."""
    width = inputs[0].sizes["feature"]
    return _fit(BrainTransformer(width=width, n_heads=HEADS, dropout=0.0), inputs)


def fit_neuroids(inputs: Inputs) -> np.ndarray:
    """The brain transformer, a query for each neuroid."""
    width = inputs[0].sizes["feature"]
    readout = BrainTransformer(queries="neuroid", width=width, n_heads=HEADS, dropout=0.0)
    return _fit(readout, inputs)


def fit_moving(inputs: Inputs) -> np.ndarray:
    """The semantic spatial transformer."""
    return _fit(SemanticSpatialTransformer(), inputs)


def fit_cored(inputs: Inputs) -> np.ndarray:
    """The factorised readout on a small core."""
    return _fit(FactorizedReadout(core=SmallCore(inputs[0].sizes["feature"])), inputs)


class PlainFactorized(nn.Module):
    """Map times features, as written down."""

    def __init__(self, k: int, c: int, t: int) -> None:
        super().__init__()
        self.place = nn.Parameter(1 + 0.1 * torch.randn(t, k))
        self.feature = nn.Parameter(torch.randn(t, c) / c**0.5)
        self.bias = nn.Parameter(torch.zeros(t))

    def maps(self) -> torch.Tensor:
        """Unit maps."""
        return nn.functional.normalize(self.place.relu(), dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        return torch.einsum("nkc,vk,vc->nv", x, self.maps(), self.feature) + self.bias


class PlainGaussian(PlainFactorized):
    """The same with Gaussian maps."""

    def __init__(self, k: int, c: int, t: int) -> None:
        super().__init__(k, c, t)
        del self.place
        self.center = nn.Parameter(0.05 * torch.randn(t, 2))
        self.log_spread = nn.Parameter(torch.full((t, 2), 0.5).log())
        line = torch.linspace(-1, 1, round(k**0.5))
        grid = torch.meshgrid(line, line, indexing="xy")
        self.register_buffer("places", torch.stack(grid, dim=-1).reshape(-1, 2))

    def maps(self) -> torch.Tensor:
        """Gaussians that sum to one."""
        apart = (self.places[None] - self.center.tanh()[:, None]) / self.log_spread.exp()[:, None]
        return (-0.5 * apart.square().sum(dim=2)).softmax(dim=1)


class PlainTransformer(nn.Module):
    """Attention of torch; as published every map on every query, masked and summed."""

    def __init__(self, k: int, c: int, member: torch.Tensor) -> None:
        super().__init__()
        n_queries = int(member.max()) + 1
        self.project = nn.Linear(c, c)
        self.queries = nn.Parameter(torch.randn(1, n_queries, c))
        self.register_buffer("places", torch.randn(k, c))
        self.attention = nn.MultiheadAttention(c, HEADS, batch_first=True)
        self.net = nn.Sequential(
            nn.LayerNorm(c), nn.Linear(c, 2 * c), nn.ReLU(), nn.Linear(2 * c, c)
        )
        self.norm, self.readout = nn.LayerNorm(c), nn.Linear(c, len(member))
        self.register_buffer("mask", nn.functional.one_hot(member).T.float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        x = self.project(x)
        queries = self.queries.expand(len(x), -1, -1)
        state, _ = self.attention(queries, x + self.places, x, need_weights=False)
        state = self.norm(state + self.net(state))
        if len(self.mask) == self.mask.shape[1]:
            return (state * self.readout.weight).sum(dim=2) + self.readout.bias
        return (self.readout(state) * self.mask).sum(dim=1)


class PlainMoving(PlainFactorized):
    """Maps and features warped with affine_grid and grid_sample."""

    def __init__(self, k: int, c: int, t: int) -> None:
        super().__init__(k, c, t)
        self.side = round(k**0.5)
        inner = min(self.side, 7)
        self.summary = nn.Sequential(
            nn.Conv2d(c, 4, 1), nn.AdaptiveAvgPool2d(inner), nn.Flatten(),
        )  # fmt: skip
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(4 * inner**2, 32), nn.ReLU(), nn.Linear(32, 6 * count))
            for count in (t, c)
        )
        for head in self.heads:
            nn.init.zeros_(head[2].weight)
            with torch.no_grad():
                head[2].bias.copy_(
                    torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(len(head[2].bias) // 6)
                )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        n, side = len(x), self.side
        image = x.transpose(1, 2).reshape(n, -1, side, side)
        summary = self.summary(image)
        maps = self.maps().reshape(1, -1, side, side).expand(n, -1, -1, -1)
        warped = []
        for head, images in zip(self.heads, (maps, image), strict=True):
            flat = images.reshape(-1, 1, side, side)
            grid = nn.functional.affine_grid(
                head(summary).reshape(-1, 2, 3), list(flat.shape), align_corners=True
            )
            moved = nn.functional.grid_sample(flat, grid, align_corners=True)
            warped.append(moved.reshape(n, -1, side * side))
        return torch.einsum("nvk,nck,vc->nv", *warped, self.feature) + self.bias


class PlainCored(nn.Module):
    """Convolutions, then map times features."""

    def __init__(self, k: int, c: int, t: int) -> None:
        super().__init__()
        self.side = round(k**0.5)
        self.core = nn.Sequential(
            nn.Conv2d(c, 16, 5, padding=2, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.readout = PlainFactorized((self.side // 2) ** 2, 32, t)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        image = x.transpose(1, 2).reshape(len(x), -1, self.side, self.side)
        return self.readout(self.core(image).flatten(2).transpose(1, 2))


def _train(make: Callable[[int, int, int], nn.Module], inputs: Inputs) -> np.ndarray:
    """The loop of a tutorial."""
    X, y, epochs = inputs
    torch.manual_seed(0)
    x, target = torch.from_numpy(X.values), torch.from_numpy(y.values)
    x = (x - x.mean(dim=(0, 1))) / x.std(dim=(0, 1))
    target = (target - target.mean(dim=0)) / target.std(dim=0)
    net = make(x.shape[1], x.shape[2], target.shape[1])
    loader = DataLoader(TensorDataset(x, target), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.0)
    for _ in range(epochs):
        total = 0.0
        for inside, outside in loader:
            loss = nn.functional.mse_loss(net(inside), outside)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inside)
    return np.array([total / len(x)])


def train_factorized(inputs: Inputs) -> np.ndarray:
    """Plain loop over the factorised net."""
    return _train(PlainFactorized, inputs)


def train_gaussian(inputs: Inputs) -> np.ndarray:
    """Plain loop over the Gaussian net."""
    return _train(PlainGaussian, inputs)


def train_regions(inputs: Inputs) -> np.ndarray:
    """Plain loop over the transformer, a query for each region."""
    member = torch.from_numpy(np.unique(inputs[1]["roi"].values, return_inverse=True)[1])
    return _train(lambda k, c, t: PlainTransformer(k, c, member), inputs)


def train_neuroids(inputs: Inputs) -> np.ndarray:
    """Plain loop over the transformer, a query for each neuroid."""
    return _train(lambda k, c, t: PlainTransformer(k, c, torch.arange(t)), inputs)


def train_moving(inputs: Inputs) -> np.ndarray:
    """Plain loop over the warped net."""
    return _train(PlainMoving, inputs)


def train_cored(inputs: Inputs) -> np.ndarray:
    """Plain loop over the cored net."""
    return _train(PlainCored, inputs)


# What a fit does once (checks, scales) is shared by its epochs: three, where hundreds are usual.
FROZEN: dict[str, Any] = {
    "full": {"n": 640, "side": 14, "c": 256, "t": 2000, "epochs": 3},
    "quick": {"n": 128, "side": 8, "c": 64, "t": 300, "epochs": 3},
}
FEW: dict[str, Any] = {
    "full": {"n": 320, "side": 14, "c": 256, "t": 200, "epochs": 3},
    "quick": {"n": 64, "side": 8, "c": 64, "t": 60, "epochs": 3},
}
PIXELS: dict[str, Any] = {
    "full": {"n": 640, "side": 48, "c": 3, "t": 300, "epochs": 3},
    "quick": {"n": 64, "side": 32, "c": 3, "t": 60, "epochs": 3},
}
RACES = [
    Race(
        name,
        module="benchmarks.readouts",
        setup="simulate",
        ours=f"fit_{job}",
        peer="plain torch loop",
        theirs=f"train_{job}",
        **sizes,
    )
    for name, job, sizes in (
        ("factorised readout", "factorized", FROZEN),
        ("gaussian readout", "gaussian", FROZEN),
        ("brain transformer, roi queries", "regions", FROZEN),
        ("brain transformer, neuroid queries", "neuroids", FEW),
        ("semantic spatial transformer", "moving", FEW),
        ("factorised readout on a core", "cored", PIXELS),
    )
]

if __name__ == "__main__":
    main(RACES)
