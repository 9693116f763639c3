"""Tokens as readouts take them: where each lies, and batches of them from memory or a store."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._training import MIXED_BLOCKS
from neuroalign.errors import SchemaError
from neuroalign.provenance import hash_array

Array = npt.NDArray[Any]
# Samples read at once where nothing says how a store is cut.
READ_AT_ONCE = 256


@dataclass(frozen=True)
class Layout:
    """Where tokens lie.

    Attributes
    ----------
    places : array (token, 2)
        Row and column as given.
    positions : array (token, 2)
        x to the right and y downwards, -1 to 1 over centres of the outer rows and columns; NaN for
        a token without place (a class token).
    grid : tuple of int, or None
        (rows, columns) where the tokens fill a grid row by row.
    n_features : int
    """

    places: Array
    positions: Array
    grid: tuple[int, int] | None
    n_features: int

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.positions)


def _scale(places: Array) -> Array:
    places = np.asarray(places, dtype=np.float64)
    placed = places[np.isfinite(places)]
    if not len(placed) or placed.max() == placed.min():
        return np.where(np.isfinite(places), 0.0, np.nan)
    return np.asarray(2 * (places - placed.min()) / (placed.max() - placed.min()) - 1)


def _find_grid(row: Array, column: Array) -> tuple[int, int] | None:
    rows, columns = np.unique(row), np.unique(column)
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return None
    expected = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    full = np.array_equal(np.stack([row, column], axis=1), expected)
    return (len(rows), len(columns)) if full else None


def read_layout(X: Any) -> Layout:
    """Find where the tokens of features lie.

    Parameters
    ----------
    X : DataArray or array (sample, token, feature) or (sample, feature)
        Places are the coords ``row`` and ``column`` on token, NaN or negative for none. Tokens of
        a plain array fill a square row by row. Features without tokens are one token.

    Returns
    -------
    Layout

    Raises
    ------
    SchemaError
        On other dims, and where places are not told and do not fill a square.
    """
    dims = tuple(map(str, X.dims)) if isinstance(X, xr.DataArray) else None
    allowed = (("sample", "feature"), ("sample", "token", "feature"))
    if (dims is not None and dims not in allowed) or np.ndim(X) not in (2, 3):
        raise SchemaError(
            f"X: expected (sample, token, feature) or (sample, feature), got "
            f"{dims or np.shape(X)}. Extract features with pool='tokens'."
        )
    if np.ndim(X) == 2:
        return Layout(np.zeros((1, 2)), np.zeros((1, 2)), (1, 1), X.shape[1])
    n_tokens, n_features = X.shape[1:]
    if isinstance(X, xr.DataArray) and {"row", "column"} <= set(X.coords):
        row, column = (np.asarray(X[key].values, dtype=np.float64) for key in ("row", "column"))
        row, column = (np.where(place < 0, np.nan, place) for place in (row, column))
    else:
        side = round(n_tokens**0.5)
        if side**2 != n_tokens:
            raise SchemaError(
                f"X: expected coords 'row' and 'column' on token, got {n_tokens} tokens without, "
                "which fill no square. Use features.extract(pool='tokens'), or assign_coords."
            )
        row, column = (place.ravel().astype(float) for place in np.indices((side, side)))
    return make_layout(row, column, n_features)


def make_layout(row: Array, column: Array, n_features: int) -> Layout:
    """Make the layout of tokens at given rows and columns, NaN for none."""
    positions = np.stack([_scale(column), _scale(row)], axis=1)
    places = np.stack([row, column], axis=1)
    return Layout(places, positions, _find_grid(row, column), n_features)


def check_layout(known: Layout, X: Any) -> None:
    """Check that new tokens lie where those of training did.

    Raises
    ------
    SchemaError
    """
    new = read_layout(X)
    same = new.n_features == known.n_features and new.n_tokens == known.n_tokens
    if not (same and np.allclose(new.positions, known.positions, equal_nan=True)):
        raise SchemaError(
            f"X: expected {known.n_tokens} tokens x {known.n_features} features at the places of "
            f"training, got {new.n_tokens} x {new.n_features}. Extract them in the same way."
        )


def _read_valid(X: Any) -> Array | None:
    """The coord ``valid`` of (sample, token), where it says that some tokens are padding."""
    if not isinstance(X, xr.DataArray) or "valid" not in X.coords:
        return None
    coord = X["valid"]
    if set(coord.dims) != {"sample", "token"} or coord.dtype != bool:
        raise SchemaError(
            f"X: expected the coord 'valid' as bool of (sample, token), got {coord.dtype} of "
            f"{coord.dims}. It is False for tokens that pad a sample."
        )
    valid = np.asarray(coord.transpose("sample", "token").values)
    empty = np.flatnonzero(~valid.any(axis=1))
    if len(empty):
        raise SchemaError(
            f"X: expected at least one valid token in each row, got none in {len(empty)} rows "
            f"(first: {empty[0]}). Leave those rows out."
        )
    return None if valid.all() else valid


class TokenSource:
    """Samples of features by number, from memory or chunk by chunk from a store.

    Parameters
    ----------
    X : DataArray or array (sample, token, feature) or (sample, feature)

    Attributes
    ----------
    block : int or None
        Samples of one chunk of a store; None in memory.
    """

    def __init__(self, X: Any) -> None:
        lazy = isinstance(X, xr.DataArray) and X.chunks is not None
        self.block: int | None = max(X.chunks[0]) if lazy else None
        self._X: Any = X if lazy else np.asarray(X)
        self._edges = np.cumsum([0, *X.chunks[0]]) if lazy else None
        self._held: OrderedDict[int, Array] = OrderedDict()
        self._valid = _read_valid(X)

    @property
    def ragged(self) -> bool:
        """Whether some samples lack tokens."""
        return self._valid is not None

    @property
    def n_bytes(self) -> int:
        """Bytes of all tokens as they are read."""
        return 4 * int(self._X.size)

    def __len__(self) -> int:
        return len(self._X)

    def _chunk(self, number: int) -> Array:
        if number not in self._held:
            start, end = self._edges[number : number + 2]  # type: ignore[index]
            self._held[number] = np.asarray(self._X[start:end].values)
            # As many as one order mixes, so that a chunk is read about once in an epoch.
            if len(self._held) > 2 * MIXED_BLOCKS:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]

    def read(self, rows: Array) -> Array:
        """Read samples.

        Parameters
        ----------
        rows : int array (n,)

        Returns
        -------
        float32 array (n, token, feature)
            NaN in tokens that a sample does not have.
        """
        if self._edges is None:
            values = self._X[rows]
        else:
            numbers = np.searchsorted(self._edges, rows, side="right") - 1
            values = np.empty((len(rows), *self._X.shape[1:]), dtype=self._X.dtype)
            for number in np.unique(numbers):
                inside = numbers == number
                values[inside] = self._chunk(number)[rows[inside] - self._edges[number]]
        values = np.asarray(values, dtype=np.float32)
        if self._valid is not None:
            return np.where(self._valid[rows][..., None], values, np.float32(np.nan))
        return values[:, None] if values.ndim == 2 else values

    def find_broken(self, rows: Array) -> Array:
        """Tell which of these samples have NaN or infinity in a token that is theirs."""
        broken = ~np.isfinite(self.read(rows)).all(axis=2)
        own = True if self._valid is None else self._valid[rows]
        return np.asarray(np.any(broken & own, axis=1))

    def read_tokens(self, rows: Array) -> Array:
        """Read the tokens that samples have: (row-major sample and token, feature)."""
        values = self.read(rows)
        own = slice(None) if self._valid is None else self._valid[rows].ravel()
        return np.asarray(values.reshape(-1, values.shape[-1])[own])


def hash_tokens(source: TokenSource) -> str:
    """Hash all tokens as nets see them, a few hundred samples at a time."""
    starts = range(0, len(source), READ_AT_ONCE)
    rows = (np.arange(start, min(start + READ_AT_ONCE, len(source))) for start in starts)
    return hash_array(np.array([hash_array(source.read(part)) for part in rows]))


def measure_scale(source: TokenSource, rows: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature over samples and tokens, in one pass.

    Parameters
    ----------
    source : TokenSource
    rows : int array (n,)

    Returns
    -------
    float32 array (feature,), float32 array (feature,)
        1 in place of a deviation of 0.

    Raises
    ------
    ValueError
        On NaN or infinity.
    """
    count, mean, square = 0, np.zeros(1), np.zeros(1)
    for start in range(0, len(rows), READ_AT_ONCE):
        picked = np.sort(rows[start : start + READ_AT_ONCE])
        flat = source.read_tokens(picked).astype(np.float64)
        if not np.isfinite(flat).all():
            bad = picked[source.find_broken(picked)]
            raise ValueError(
                f"X: expected finite numbers, Input X contains NaN or infinity in {len(bad)} rows "
                f"(first: {bad[0]}). Drop or fill those first."
            )
        # Chan et al.: joining two sets keeps digits that sums of squares lose.
        fresh, total = flat.mean(axis=0), count + len(flat)
        step = fresh - mean
        square = square + ((flat - fresh) ** 2).sum(axis=0) + step**2 * count * len(flat) / total
        mean, count = mean + step * len(flat) / total, total
    deviation = np.sqrt(square / count)
    deviation[deviation <= 1e-7 * np.maximum(np.abs(mean), 1e-30)] = 1.0
    return mean.astype(np.float32), deviation.astype(np.float32)
