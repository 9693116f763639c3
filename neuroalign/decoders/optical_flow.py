"""Optical flow of film, and the few codes that stand for its vectors."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted

from neuroalign._arrays import check_same_rows, unwrap
from neuroalign.errors import SchemaError, require

registration: Any = require("skimage.registration", "torch")

Array = npt.NDArray[Any]
DIMS = ("sample", "row", "column", "component")
# Vectors that are clustered; more add nothing to the place of a code.
MOST_VECTORS = 50_000


def estimate_flow(first: Any, second: Any, *, grid: tuple[int, int] | None = None) -> xr.DataArray:
    """Estimate how each place moves from one frame to the next.

    Parameters
    ----------
    first, second : DataArray or array (sample, row, column)
        Grey frames, floats or uint8.
    grid : (int, int), optional
        Rows and columns of places, each the mean over its pixels; they divide those of the
        frames. None keeps every pixel.

    Returns
    -------
    DataArray (sample, row, column, component)
        [pixels of the frames per frame], float32; components "row" (downwards) and "column" (to
        the right). Sample coords as in ``first``.

    Raises
    ------
    AlignError, SchemaError, ValueError
        When frames differ in stimulus or shape, hold NaN, or the grid does not divide them.

    References
    ----------
    Zach, Pock & Bischof (2007), DAGM, 214-223, doi:10.1007/978-3-540-74936-3_22 (TV-L1).

    Examples
    --------
    >>> row, column = np.indices((24, 24))
    >>> frame = np.sin(row / 2.0) + np.cos(column / 3.0)
    >>> flow = estimate_flow(frame[None], np.roll(frame, 1, axis=1)[None], grid=(3, 3))
    >>> flow[0, 1, 1].values.round().tolist()
    [0.0, 1.0]
    """
    check_same_rows(first, second, ("first", "second"))
    pair = []
    for name, part in (("first", first), ("second", second)):
        values = np.asarray(unwrap(part)[0])
        if values.ndim != 3:
            raise SchemaError(
                f"{name}: expected grey frames (sample, row, column), got {values.shape}. "
                "Average over colours."
            )
        values = values.astype(np.float32) / (255 if values.dtype == np.uint8 else 1)
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity. Fill them.")
        pair.append(values)
    if pair[0].shape != pair[1].shape:
        raise SchemaError(
            f"second: expected frames of shape {pair[0].shape} as first, got {pair[1].shape}. "
            "Scale them to one size."
        )
    shape = pair[0].shape[1:]
    rows, columns = shape if grid is None else grid
    if rows < 1 or columns < 1 or shape[0] % rows or shape[1] % columns:
        raise ValueError(
            f"grid: expected rows and columns that divide {shape}, got {grid}. Crop the frames."
        )
    flow = np.empty((len(pair[0]), rows, columns, 2), dtype=np.float32)
    for number, (one, other) in enumerate(zip(*pair, strict=True)):
        # scikit-image gives, for each pixel of the reference, where it lies in the other frame.
        field = registration.optical_flow_tvl1(one, other)
        parts = field.reshape(2, rows, shape[0] // rows, columns, shape[1] // columns)
        flow[number] = np.moveaxis(parts.mean(axis=(2, 4)), 0, -1)
    coords: dict[Any, Any] = {"component": ["row", "column"]}
    if isinstance(first, xr.DataArray):
        coords |= {key: c for key, c in first.coords.items() if c.dims == first.dims[:1]}
    attrs = {"units": "pixels/frame", "source": "TV-L1"}
    return xr.DataArray(flow, dims=DIMS, coords=coords, attrs=attrs)


def read_flow(flow: Any, name: str = "y") -> Array:
    """Check fields of flow; give float64 (sample, row, column, 2).

    Raises
    ------
    SchemaError, ValueError
    """
    if isinstance(flow, xr.DataArray) and flow.dims[0] != "sample":
        raise SchemaError(f"{name}: expected dims {DIMS}, got {flow.dims}. Use transpose.")
    values = np.asarray(unwrap(flow)[0], dtype=np.float64)
    if values.ndim != 4 or values.shape[3] != 2:
        raise SchemaError(
            f"{name}: expected flow (sample, row, column, 2), got {values.shape}. "
            "See estimate_flow."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite flow, got NaN or infinity. Leave those out.")
    return values


class FlowCodebook(BaseEstimator):  # type: ignore[misc]
    """A few vectors that stand for all: the centres of k-means.

    Parameters
    ----------
    n_codes : int
        At most; no more than there are different vectors.
    seed : int

    Attributes
    ----------
    codes_ : array (code, 2)
        Shortest first.

    References
    ----------
    Yeung et al. (2025), CVPR, arXiv:2406.02659, section 3.2: 40 codes.

    Examples
    --------
    >>> flow = np.zeros((4, 2, 2, 2))
    >>> flow[:, 1] = [0.0, 3.0]
    >>> FlowCodebook(n_codes=2).fit(flow).encode(flow)[0].tolist()
    [[0, 0], [1, 1]]
    """

    def __init__(self, n_codes: int = 40, *, seed: int = 0) -> None:
        self.n_codes = n_codes
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the codes of fields of flow.

        Parameters
        ----------
        X : DataArray or array (sample, row, column, 2)
        y : ignored

        Returns
        -------
        FlowCodebook

        Raises
        ------
        SchemaError, ValueError
            On other shapes, NaN, and fewer than one code.
        """
        if self.n_codes < 1:
            raise ValueError(f"n_codes: expected at least 1, got {self.n_codes}. 40 are usual.")
        vectors = read_flow(X, "X").reshape(-1, 2)
        if len(vectors) > MOST_VECTORS:
            rng = np.random.default_rng(self.seed)
            vectors = vectors[rng.choice(len(vectors), MOST_VECTORS, replace=False)]
        n_codes = min(self.n_codes, len(np.unique(vectors, axis=0)))
        centers = KMeans(n_codes, n_init=4, random_state=self.seed).fit(vectors).cluster_centers_
        self.codes_ = centers[np.argsort(np.linalg.norm(centers, axis=1), kind="stable")]
        return self

    def encode(self, flow: Any) -> npt.NDArray[np.int64]:
        """Find the nearest code of each place.

        Parameters
        ----------
        flow : DataArray or array (sample, row, column, 2)

        Returns
        -------
        int array (sample, row, column)
        """
        check_is_fitted(self)
        values = read_flow(flow, "flow")
        # Row by row of the fields: the table of distances of all would be large.
        return np.stack(
            [
                ((one[..., None, :] - self.codes_) ** 2).sum(axis=-1).argmin(axis=-1)
                for one in values
            ]
        )

    def decode(self, probabilities: Any) -> Array:
        """Average the codes by their probabilities.

        Parameters
        ----------
        probabilities : array (..., code)
            Sum to one.

        Returns
        -------
        array (..., 2)
        """
        check_is_fitted(self)
        return np.asarray(np.asarray(probabilities) @ self.codes_)
