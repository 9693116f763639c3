"""A decoder of attention: queries look at tokens, and take from them what they find.

In: tokens (n, token, width), their positions, and queries that are the same for every image. Out:
one vector for each query. Keys are tokens with their position; values are tokens without.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "torch")
    raise


def encode_positions(positions: npt.NDArray[np.float64], width: int) -> torch.Tensor:
    """Encode places as sines and cosines, half of the width for y and half for x.

    Parameters
    ----------
    positions : array (token, 2)
        x and y, -1 to 1; NaN for a token without place, whose code is zero.
    width : int
        What four does not divide stays zero.

    Returns
    -------
    Tensor (token, width)

    Notes
    -----
    Angles are in steps of the grid, times frequencies from 1 to one over the longer side, evenly
    apart in logarithm: neighbours differ most in the first, opposite edges in the last.
    """
    code = np.zeros((len(positions), width))
    n_waves = width // 4
    longest = 2
    for axis in range(2):
        placed = positions[np.isfinite(positions[:, axis]), axis]
        longest = max(longest, len(np.unique(placed)))
    waves = np.geomspace(1.0, 1.0 / longest, n_waves)
    for part, axis in enumerate((1, 0)):
        steps = len(np.unique(positions[np.isfinite(positions[:, axis]), axis]))
        place = (positions[:, axis] + 1) / 2 * max(steps - 1, 0)
        angles = np.nan_to_num(place)[:, None] * waves
        start = 2 * part * n_waves
        code[:, start : start + n_waves] = np.sin(angles)
        code[:, start + n_waves : start + 2 * n_waves] = np.cos(angles)
    code[~np.isfinite(positions).all(axis=1)] = 0.0
    return torch.from_numpy(code).float()


class CrossAttention(nn.Module):
    """Heads of attention from queries to tokens.

    A key has no bias: it would add the same to all scores of a query. Where queries times heads
    are fewer than the width, keys and values of tokens are never made: the maps to keys and values
    are applied to the queries and to the pooled tokens, which is the same by associativity.
    """

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.to_query = nn.Linear(width, width)
        self.to_key = nn.Linear(width, width, bias=False)
        self.to_value = nn.Linear(width, width)
        self.to_output = nn.Linear(width, width)
        self.dropout = dropout
        for part in (self.to_query, self.to_key, self.to_value, self.to_output):
            nn.init.xavier_uniform_(part.weight)
        for biased in (self.to_query, self.to_value, self.to_output):
            nn.init.zeros_(biased.bias)

    def _split(self, values: torch.Tensor) -> torch.Tensor:
        """(n, item, width) to (n, head, item, width of a head)."""
        n, items, width = values.shape
        return values.reshape(n, items, self.n_heads, width // self.n_heads).transpose(1, 2)

    def weigh(
        self,
        queries: torch.Tensor,
        tokens: torch.Tensor,
        places: torch.Tensor,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Weights of the tokens, which sum to one: (n, head, query, token).

        Parameters
        ----------
        queries : Tensor (n or 1, query, width)
        tokens : Tensor (n, token, width)
        places : Tensor (token, width)
            Added to the tokens for the keys.
        valid : bool Tensor (n, token), optional
            False for tokens that are not there.
        """
        asked = self._split(self.to_query(queries)) / math.sqrt(queries.shape[2] / self.n_heads)
        key = self.to_key.weight.reshape(self.n_heads, -1, tokens.shape[2])
        looked_for = asked @ key
        flat = looked_for.flatten(1, 2)
        scores = flat @ tokens.transpose(1, 2) + flat @ places.T
        scores = scores.reshape(len(tokens), *looked_for.shape[1:3], -1)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, None], -torch.inf)
        weights: torch.Tensor = scores.softmax(dim=3)
        return weights

    def forward(
        self,
        queries: torch.Tensor,
        tokens: torch.Tensor,
        places: torch.Tensor,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As `weigh`, but what the queries take: (n, query, width)."""
        n, width, dropout = len(tokens), tokens.shape[2], self.dropout if self.training else 0.0
        if queries.shape[1] * self.n_heads < width:
            weights = nn.functional.dropout(
                self.weigh(queries, tokens, places, valid), dropout, training=self.training
            )
            pooled = (weights.flatten(1, 2) @ tokens).reshape(*weights.shape[:3], width)
            value = self.to_value.weight.reshape(self.n_heads, -1, width)
            bias = self.to_value.bias.reshape(self.n_heads, 1, -1)
            taken = pooled @ value.transpose(1, 2) + weights.sum(dim=3, keepdim=True) * bias
        else:
            asked = self._split(self.to_query(queries)).expand(n, -1, -1, -1)
            taken = nn.functional.scaled_dot_product_attention(
                asked,
                self._split(self.to_key(tokens + places)),
                self._split(self.to_value(tokens)),
                attn_mask=None if valid is None else valid[:, None, None],
                dropout_p=dropout,
            )
        output: torch.Tensor = self.to_output(taken.transpose(1, 2).reshape(n, -1, width))
        return output


class DecoderLayer(nn.Module):
    """Attention to the tokens, then a two-layer net; both on normalised input, both added."""

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = CrossAttention(width, n_heads, dropout)
        self.forward_net = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        state: torch.Tensor,
        queries: torch.Tensor,
        tokens: torch.Tensor,
        places: torch.Tensor,
        valid: torch.Tensor | None,
    ) -> torch.Tensor:
        """Move the state (n, query, width) one layer on."""
        taken = self.attention(self.norm(state) + queries, tokens, places, valid)
        state = state + self.dropout(taken)
        moved: torch.Tensor = state + self.forward_net(state)
        return moved


class QueryDecoder(nn.Module):
    """``y_v = b_v + w_v . h_q(v)``, with ``h`` what a neuroid's query took from the tokens.

    Parameters
    ----------
    places : Tensor (token, width)
    n_features : int
        Features of a token; mapped to ``width`` when ``project``.
    member : int Tensor (target,)
        The query of each target.
    """

    reads_gaps = True
    places: torch.Tensor
    order: torch.Tensor
    back: torch.Tensor

    def __init__(
        self,
        places: torch.Tensor,
        n_features: int,
        member: torch.Tensor,
        *,
        project: bool,
        n_layers: int,
        n_heads: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        width = places.shape[1]
        self.register_buffer("places", places)
        self.project = nn.Linear(n_features, width) if project else nn.Identity()
        sizes = torch.bincount(member)
        self.sizes: list[int] = sizes.tolist()
        self.queries = nn.Parameter(torch.randn(1, len(self.sizes), width))
        self.layers = nn.ModuleList(
            DecoderLayer(width, n_heads, hidden, dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(width)
        # Targets of one query stand together, so that each query is one matrix product.
        self.register_buffer("order", member.argsort(stable=True))
        self.register_buffer("back", self.order.argsort())
        self.weight = nn.Parameter(torch.randn(len(member), width) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(len(member)))

    def _enter(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Tokens of the width of the net, and which are there (None: all)."""
        missing = tokens[..., 0].isnan()
        if not missing.any():
            return self.project(tokens), None
        return self.project(tokens.nan_to_num()), ~missing

    def route(self, tokens: torch.Tensor) -> torch.Tensor:
        """Where the last layer looks, mean over its heads: (n, query, token)."""
        tokens, valid = self._enter(tokens)
        state = torch.zeros_like(self.queries)
        layers: list[Any] = list(self.layers)
        *before, last = layers
        for layer in before:
            state = layer(state, self.queries, tokens, self.places, valid)
        asked = last.norm(state) + self.queries
        weights: torch.Tensor = last.attention.weigh(asked, tokens, self.places, valid)
        return weights.mean(dim=1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, token, feature) to (n, target)."""
        tokens, valid = self._enter(tokens)
        state = torch.zeros_like(self.queries)
        for layer in self.layers:
            state = layer(state, self.queries, tokens, self.places, valid)
        return self._read_out(self.norm(state)) + self.bias

    def _read_out(self, taken: torch.Tensor) -> torch.Tensor:
        if len(set(self.sizes)) == 1:
            weight = self.weight.reshape(len(self.sizes), -1, taken.shape[2])
            found = torch.einsum("nqd,qvd->nqv", taken, weight).flatten(1)
        else:
            parts = torch.split(self.weight, self.sizes)
            found = torch.cat([taken[:, q] @ part.T for q, part in enumerate(parts)], dim=1)
        return found[:, self.back]
