"""Readouts against the loop that one writes with torch: same nets, same batches, DataLoader.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.readouts --quick``.
Both sides start from the same weights and see the same batches in the same order; ``equal`` is the
difference of their losses in the last epoch, which is rounding. A few epochs, so that what is done
once for a fit is not counted as part of one.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from benchmarks.harness import Race, main
from neuroalign._training import order_samples
from neuroalign.encoders.readouts import (
    BrainTransformer,
    FactorizedReadout,
    GaussianReadout,
    SemanticSpatialTransformer,
    SmallCore,
    TrainingPlan,
)

RATE = 1e-3
# So small that a step leaves float32 weights as they are.
NO_RATE = 1e-30
BATCH = 16
HEADS = 8
N_REGIONS = 10
State = dict[str, torch.Tensor]


class Inputs(NamedTuple):
    """Data, and the weights that both sides start from."""

    X: xr.DataArray
    y: xr.DataArray
    epochs: int
    job: int
    start: State


def simulate(n: int, side: int, c: int, t: int, epochs: int, job: int) -> Inputs:
    """Tokens of a square grid and responses in ten regions; plain float32 noise."""
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((n, side * side, c), dtype=np.float32)
    row, column = (place.ravel() for place in np.indices((side, side)))
    places = {"row": ("token", row), "column": ("token", column)}
    regions = np.sort(rng.integers(N_REGIONS, size=t)).astype(str)
    values = rng.standard_normal((n, t), dtype=np.float32)
    y = xr.DataArray(values, {"roi": ("neuroid", regions)}, ("sample", "neuroid"))
    X = xr.DataArray(tokens, places, ("sample", "token", "feature"))
    begun = _fit(X[:BATCH], y[:BATCH], job, TrainingPlan(epochs=1, learning_rate=NO_RATE))
    return Inputs(X, y, epochs, job, begun.modules_[0].state_dict())


def _fit(X: xr.DataArray, y: xr.DataArray, job: int, plan: TrainingPlan) -> Any:
    readout = JOBS[job].readout(X.sizes["feature"], plan.learning_rate)
    return readout.set_params(plan=plan, validation=0.0, baseline=False).fit(X, y)


def fit_ours(inputs: Inputs) -> np.ndarray:
    """The readout."""
    plan = TrainingPlan(epochs=inputs.epochs, batch_size=BATCH, learning_rate=RATE)
    fitted = _fit(inputs.X, inputs.y, inputs.job, plan)
    return np.array([fitted.history_[0].loss[-1]])


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
        self.free_center = nn.Parameter(0.05 * torch.randn(t, 2))
        self.log_spread = nn.Parameter(torch.full((t, 2), 0.5).log())
        line = torch.linspace(-1, 1, round(k**0.5))
        grid = torch.meshgrid(line, line, indexing="xy")
        self.register_buffer("places", torch.stack(grid, dim=-1).reshape(-1, 2))

    def maps(self) -> torch.Tensor:
        """Gaussians that sum to one."""
        apart = (self.places[None] - self.free_center.tanh()[:, None]) / self.log_spread.exp()[
            :, None
        ]
        return (-0.5 * apart.square().sum(dim=2)).softmax(dim=1)


class PlainTransformer(nn.Module):
    """Attention of torch; as published every map on every query, masked and summed."""

    def __init__(self, k: int, c: int, member: torch.Tensor) -> None:
        super().__init__()
        n_queries = int(member.max()) + 1
        self.project = nn.Linear(c, c)
        self.queries = nn.Parameter(torch.randn(1, n_queries, c))
        self.register_buffer("places", torch.randn(k, c))
        self.before = nn.LayerNorm(c)
        self.attention = nn.MultiheadAttention(c, HEADS, batch_first=True)
        self.net = nn.Sequential(
            nn.LayerNorm(c), nn.Linear(c, 2 * c), nn.ReLU(), nn.Linear(2 * c, c)
        )
        self.norm, self.readout = nn.LayerNorm(c), nn.Linear(c, len(member))
        self.register_buffer("mask", nn.functional.one_hot(member).T.float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        x = self.project(x)
        queries = (self.before(torch.zeros_like(self.queries)) + self.queries).expand(
            len(x), -1, -1
        )
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


# How a plain net names what a readout's net calls otherwise, longest first.
NAMES = {
    "layers.0.attention.to_output": "attention.out_proj",
    "layers.0.forward_net.0": "net.0",
    "layers.0.forward_net.1": "net.1",
    "layers.0.forward_net.4": "net.3",
    "layers.0.norm": "before",
    "move_maps.net": "heads.0",
    "move_features.net": "heads.1",
}


def _take(net: nn.Module, start: State) -> None:
    """Give a plain net the weights of a readout's net."""
    own = net.state_dict()
    state = {name.removeprefix("inner."): value for name, value in start.items()}
    state = {name.replace("core.net.layers", "core"): value for name, value in state.items()}
    for theirs, ours in NAMES.items():
        state = {name.replace(theirs, ours): value for name, value in state.items()}
    if "attention.in_proj_weight" in own:
        parts = [
            state[f"layers.0.attention.to_{part}.weight"] for part in ("query", "key", "value")
        ]
        state |= {"attention.in_proj_weight": torch.cat(parts)}
        state |= {"readout.weight": state["weight"], "readout.bias": state["bias"]}
    if "heads.0.2.bias" in own:
        # Of a plain net the last offset is the identity; of a readout what is added to it.
        state = {name: value for name, value in state.items() if not name.endswith(".2.bias")}
    if "readout.place" in own:
        state |= {f"readout.{name}": state[name] for name in ("place", "feature", "bias")}
    taken = {name: state[name] for name in own if name in state}
    drawn = {name for name, _ in net.named_parameters()} - set(taken)
    assert all(name.endswith(("in_proj_bias", ".2.bias")) for name in drawn), drawn
    net.load_state_dict(own | taken)


class SameOrder(Sampler[int]):
    """The order of the samples in each epoch of the readout."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.epoch = 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        yield from order_samples(self.n, None, 0, self.epoch).tolist()
        self.epoch += 1


def train_plain(inputs: Inputs) -> np.ndarray:
    """The loop of a tutorial."""
    x, target = torch.from_numpy(inputs.X.values), torch.from_numpy(inputs.y.values)
    x = (x - x.mean(dim=(0, 1))) / x.std(dim=(0, 1), correction=0)
    target = (target - target.mean(dim=0)) / target.std(dim=0, correction=0)
    net = JOBS[inputs.job].plain(x.shape[1], x.shape[2], inputs.y)
    _take(net, inputs.start)
    loader = DataLoader(TensorDataset(x, target), batch_size=BATCH, sampler=SameOrder(len(x)))
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.0)
    for _ in range(inputs.epochs):
        total = 0.0
        for inside, outside in loader:
            loss = nn.functional.mse_loss(net(inside), outside)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inside)
    return np.array([total / len(x)])


def _plain_regions(k: int, c: int, y: xr.DataArray) -> nn.Module:
    return PlainTransformer(k, c, torch.from_numpy(np.unique(y["roi"], return_inverse=True)[1]))


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


class Job(NamedTuple):
    """A readout for features and a learning rate; a plain net for tokens, features, responses."""

    name: str
    sizes: dict[str, dict[str, int]]
    readout: Callable[[int, float], Any]
    plain: Callable[[int, int, xr.DataArray], nn.Module]


JOBS = [
    Job(
        "factorised readout", FROZEN, lambda c, rate: FactorizedReadout(),
        lambda k, c, y: PlainFactorized(k, c, y.shape[1]),
    ),
    Job(
        "gaussian readout", FROZEN, lambda c, rate: GaussianReadout(),
        lambda k, c, y: PlainGaussian(k, c, y.shape[1]),
    ),
    Job(
        "brain transformer, roi queries", FROZEN,
        lambda c, rate: BrainTransformer(width=c, n_heads=HEADS, dropout=0.0), _plain_regions,
    ),
    Job(
        "brain transformer, neuroid queries", FEW,
        lambda c, rate: BrainTransformer(queries="neuroid", width=c, n_heads=HEADS, dropout=0.0),
        lambda k, c, y: PlainTransformer(k, c, torch.arange(y.shape[1])),
    ),
    Job(
        "semantic spatial transformer", FEW,
        lambda c, rate: SemanticSpatialTransformer(warp_rate=rate),
        lambda k, c, y: PlainMoving(k, c, y.shape[1]),
    ),
    Job(
        "factorised readout on a core", PIXELS,
        lambda c, rate: FactorizedReadout(core=SmallCore(c)),
        lambda k, c, y: PlainCored(k, c, y.shape[1]),
    ),
]  # fmt: skip
RACES = [
    Race(
        job.name,
        module="benchmarks.readouts",
        setup="simulate",
        ours="fit_ours",
        peer="plain torch loop",
        theirs="train_plain",
        full={**job.sizes["full"], "job": number},
        quick={**job.sizes["quick"], "job": number},
    )
    for number, job in enumerate(JOBS)
]

if __name__ == "__main__":
    # Forks of a process whose torch has started threads never finish.
    main(RACES, method="fork" if torch.get_num_threads() == 1 else "spawn")
