"""How well reconstructed images resemble those that were shown: pixels, structure, features."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import check_same_rows, unwrap
from neuroalign.decoders._identification import SIMILARITIES, compare_rows, find_beaten
from neuroalign.errors import SchemaError, choose, require
from neuroalign.scores import pearson
from neuroalign.stats.intervals import bootstrap_interval

color: Any = require("skimage.color", "torch")
metrics: Any = require("skimage.metrics", "torch")
transform: Any = require("skimage.transform", "torch")

Array = npt.NDArray[Any]
# How scikit-image slides its window, and whether images are made grey first.
MODES: dict[str, tuple[int | None, bool]] = {
    "2d": (None, True),
    "color": (-1, False),
    "legacy_multichannel": (-1, True),
}


def score_pixels(true: Any, reconstructed: Any, *, size: int | None = None) -> Array:
    """Correlate pixels of each image with those of its reconstruction (PixCorr).

    Parameters
    ----------
    true, reconstructed : DataArray or array (sample, row, column[, channel])
        uint8, or floats from 0 to 1.
    size : int, optional
        Rows and columns that images are scaled to, bilinearly and without smoothing; the paper
        has 425. None leaves them.

    Returns
    -------
    array (sample,)
        Pearson correlation over pixels and channels; NaN for an image of one colour.

    Raises
    ------
    AlignError, SchemaError, ValueError
        When images differ in stimulus or shape, or do not lie from 0 to 1.

    References
    ----------
    Scotti et al. (2023), NeurIPS 36, arXiv:2305.18274, section 3.3.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((3, 8, 8))
    >>> score_pixels(images, 0.5 * images).round(6).tolist()
    [1.0, 1.0, 1.0]
    """
    shown, made = (_resize(part, size) for part in _read_images(true, reconstructed))
    n = len(shown)
    return pearson(shown.reshape(n, -1).T, made.reshape(n, -1).T)


def score_structure(
    true: Any, reconstructed: Any, *, mode: str = "2d", size: int | None = None
) -> Array:
    """Structural similarity of each image and its reconstruction (SSIM).

    Parameters
    ----------
    true, reconstructed : DataArray or array (sample, row, column[, channel])
        uint8, or floats from 0 to 1; at least 11 rows and columns.
    mode : {"2d", "color", "legacy_multichannel"}
        ``2d``: of the grey images. ``color``: mean over channels. ``legacy_multichannel``: of the
        grey images with their columns taken for channels, each compared alone: what published
        scores with ``multichannel=True`` on grey images measured.
    size : int, optional
        As in `score_pixels`.

    Returns
    -------
    array (sample,)
        Gaussian window of standard deviation 1.5, population covariance, range 1.

    Raises
    ------
    AlignError, SchemaError, ValueError
        As `score_pixels`; for unknown modes, and ``color`` without channels.

    References
    ----------
    Wang et al. (2004), IEEE Trans. Image Process. 13, 600-612, doi:10.1109/TIP.2003.819861.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((2, 16, 16))
    >>> score_structure(images, images).tolist()
    [1.0, 1.0]
    """
    axis, grey = choose(MODES, mode, "mode")
    shown, made = (_resize(part, size) for part in _read_images(true, reconstructed))
    if not grey and shown.ndim != 4:
        raise SchemaError(
            f"true: expected (sample, row, column, channel) for mode 'color', got {shown.shape}. "
            "Use mode='2d'."
        )
    if min(shown.shape[1:3]) < 11:
        raise SchemaError(
            f"true: expected at least 11 rows and columns for the window, got {shown.shape[1:3]}. "
            "Use size=."
        )
    if grey:
        shown, made = _make_grey(shown), _make_grey(made)
    scores = [
        metrics.structural_similarity(
            one, other, channel_axis=axis, data_range=1.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(shown, made, strict=True)
    ]  # fmt: skip
    return np.array(scores, dtype=np.float64)


def identify_pairs(true: Any, reconstructed: Any, *, metric: str = "correlation") -> Array:
    """Two-way identification: is a reconstruction nearer to its own image than to another?

    Parameters
    ----------
    true, reconstructed : array (sample, ...)
        Features of the images, by any function; further dims are joined.
    metric : {"correlation", "cosine"}

    Returns
    -------
    array (sample,)
        Share of the other images whose features are less similar to those of the
        reconstruction; chance 0.5, equal ones count by lot.

    Raises
    ------
    SchemaError, ValueError
        When shapes differ, on fewer than two images, and on NaN.

    References
    ----------
    Scotti et al. (2023), NeurIPS 36, arXiv:2305.18274, section 3.3.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(size=(5, 20))
    >>> identify_pairs(features, features).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    choose(SIMILARITIES, metric, "metric")
    shown, made = (np.asarray(unwrap(part)[0], dtype=np.float64) for part in (true, reconstructed))
    if shown.shape != made.shape or shown.ndim < 2 or len(shown) < 2:
        raise SchemaError(
            f"reconstructed: expected features (sample, ...) of two images at least, of shape "
            f"{shown.shape}, got {made.shape}. Use the same function for both."
        )
    if not (np.isfinite(shown).all() and np.isfinite(made).all()):
        raise ValueError("true: expected finite features, got NaN or infinity. Check the function.")
    n = len(shown)
    similarity = compare_rows(made.reshape(n, -1), shown.reshape(n, -1), metric)
    ahead = find_beaten(similarity, np.random.default_rng(0))
    return np.asarray(1 - ahead.sum(axis=1) / (n - 1))


def score_reconstructions(
    true: Any,
    reconstructed: Any,
    *,
    features: Mapping[str, Callable[[Array], Any]] | None = None,
    size: int | None = None,
    mode: str = "2d",
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Score reconstructed images by their pixels and by features of any function.

    Parameters
    ----------
    true, reconstructed : DataArray or array (sample, row, column[, channel])
        uint8, or floats from 0 to 1.
    features : mapping of str to callable, optional
        Name -> function of images (sample, row, column[, channel]), 0 to 1, that gives
        (sample, ...): ``embedder.embed`` of an `ImageEmbedder`, say.
    size, mode
        See `score_structure`.
    level : float
        Of the bootstrap interval over images.
    seed : int

    Returns
    -------
    Dataset
        ``score`` (measure,), with ``lower``, ``upper`` and ``chance``, and ``score_image``
        (measure, sample). Measures: "PixCorr", "SSIM", and "two-way <name>". ``shuffled``
        (measure,): the score of reconstructions paired with other images.

    Raises
    ------
    AlignError, SchemaError, ValueError
        As `score_pixels`, `score_structure` and `identify_pairs`.

    Notes
    -----
    PixCorr and SSIM have no common chance level: any two natural images resemble each other.
    ``shuffled`` is that level here, and ``chance`` is NaN for them.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((6, 16, 16))
    >>> found = score_reconstructions(images, images, features={"pixels": np.asarray})
    >>> found["score"].values.tolist()
    [1.0, 1.0, 1.0]
    """
    shown, made = _read_images(true, reconstructed)
    measures: dict[str, Callable[[Array, Array], Array]] = {
        "PixCorr": lambda one, other: score_pixels(one, other, size=size),
        "SSIM": lambda one, other: score_structure(one, other, mode=mode, size=size),
    }
    found = {name: measure(shown, made) for name, measure in measures.items()}
    # Moved by one in a random order: nothing stays in its place.
    order = np.random.default_rng(seed).permutation(len(shown))
    moved = np.empty_like(order)
    moved[order] = np.roll(order, 1)
    control = {name: measure(shown, made[moved]) for name, measure in measures.items()}
    for name, function in (features or {}).items():
        # The caller's own function: it may give tensors, DataArrays or lists.
        one, other = (np.asarray(function(part)) for part in (shown, made))
        found[f"two-way {name}"] = identify_pairs(one, other)
        control[f"two-way {name}"] = identify_pairs(one, other[moved])
    table = np.stack(list(found.values()), axis=1)
    bounds = [_bound(values, level, seed) for values in table.T]
    labels = {}
    if isinstance(true, xr.DataArray) and "stimulus" in true.coords:
        labels["stimulus"] = ("sample", true["stimulus"].values)
    result = xr.Dataset(
        {
            "score": ("measure", np.nanmean(table, axis=0)),
            "lower": ("measure", [low for low, _ in bounds]),
            "upper": ("measure", [high for _, high in bounds]),
            "shuffled": ("measure", [float(np.nanmean(part)) for part in control.values()]),
            "chance": ("measure", [np.nan, np.nan] + [0.5] * (len(found) - 2)),
            "score_image": (("measure", "sample"), table.T),
        },
        coords={"measure": list(found), **labels},
        attrs={
            "kind": "estimate", "method": "reconstruction scores", "headline": "score",
            "ssim_mode": mode, "n_items": len(shown), "level": level, "seed": seed,
        },
    )  # fmt: skip
    said = [
        f"{name} {one:.3f} (shuffled {other:.3f})"
        for name, one, other in zip(
            found, result["score"].values, result["shuffled"].values, strict=True
        )
    ]
    return result.assign_attrs(verdict=f"{', '.join(said)} over {len(shown)} images.")


def _bound(values: Array, level: float, seed: int) -> tuple[float, float]:
    """Interval of the mean over the images that have a score."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return np.nan, np.nan
    found = bootstrap_interval(known, method="percentile", level=level, n_resamples=1000, seed=seed)
    return float(found["lower"]), float(found["upper"])


def _read_images(true: Any, reconstructed: Any) -> tuple[Array, Array]:
    check_same_rows(true, reconstructed, ("true", "reconstructed"))
    pair = []
    for name, part in (("true", true), ("reconstructed", reconstructed)):
        values = np.asarray(unwrap(part)[0])
        values = values / 255.0 if values.dtype == np.uint8 else values.astype(np.float64)
        if values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[3] not in (1, 3)):
            raise SchemaError(
                f"{name}: expected images (sample, row, column[, channel]) with 1 or 3 channels, "
                f"got {values.shape}. Put the channels last."
            )
        if not (values.size and values.min() >= 0 and values.max() <= 1):
            raise ValueError(
                f"{name}: expected uint8, or numbers from 0 to 1, got {np.min(values):g} to "
                f"{np.max(values):g}. Scale and clip the images."
            )
        pair.append(values)
    if pair[0].shape != pair[1].shape:
        raise SchemaError(
            f"reconstructed: expected images of shape {pair[0].shape} as true, got "
            f"{pair[1].shape}. Scale them to one size."
        )
    return pair[0], pair[1]


def _resize(images: Array, size: int | None) -> Array:
    if size is None:
        return images
    shape = (size, size, *images.shape[3:])
    return np.stack([transform.resize(one, shape, order=1, anti_aliasing=False) for one in images])


def _make_grey(images: Array) -> Array:
    if images.ndim == 3:
        return images
    return np.asarray(images[..., 0] if images.shape[3] == 1 else color.rgb2gray(images))
