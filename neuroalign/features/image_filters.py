"""Features that need no network: energies of oriented filters over an image."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.features._stimuli import Source, StimulusSet, as_stimuli
from neuroalign.schema import SCHEMA_VERSION, add_history

Array = npt.NDArray[Any]

# Rec. 601: how bright red, green and blue look.
LUMA = np.array([0.299, 0.587, 0.114])
# Complex numbers of one batch of padded spectra: 64 MiB.
BATCH_NUMBERS = 4 * 1024**2


def _read_grey(stimuli: StimulusSet, row: int) -> Array:
    name = f"stimuli['{stimuli.labels[row]}']"
    image = stimuli.read(row).astype(np.float64)
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise SchemaError(
            f"{name}: expected an image with 1 or 3 channels, got shape {image.shape}. "
            "Convert it to grey or RGB."
        )
    return image[0] if image.shape[0] == 1 else np.tensordot(LUMA, image, axes=1)


def make_gabor(
    shape: tuple[int, int], orientation: float, frequency: float, bandwidth: float
) -> Array:
    """Make a quadrature pair of Gabor filters as one complex filter without response to light.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    orientation : float
        Direction of the wave [degrees]: 0 varies along columns, 90 along rows (downwards).
    frequency : float
        Cycles along the shorter side of the image.
    bandwidth : float
        Full width at half height of the frequency response [octaves].

    Returns
    -------
    complex array (2 * rows - 1, 2 * columns - 1)
        Real part even, imaginary part odd, sum zero, centre in the middle.

    Notes
    -----
    ``psi(r) = g(r) (exp(i k r) - c)`` with ``g`` a round Gaussian of sum 1 and ``c`` such that
    psi sums to zero. ``sigma k = sqrt(2 ln 2) (2^b + 1) / (2^b - 1)`` for bandwidth ``b``
    (Daugman 1985, J. Opt. Soc. Am. A 2; Lee 1996, IEEE PAMI 18, eq. 16).
    """
    wave = 2 * np.pi * frequency / min(shape)
    octaves = 2.0**bandwidth
    sigma = np.sqrt(2 * np.log(2)) * (octaves + 1) / (octaves - 1) / wave
    rows = np.arange(1 - shape[0], shape[0])[:, None]
    columns = np.arange(1 - shape[1], shape[1])[None, :]
    envelope = np.exp(-(rows**2 + columns**2) / (2 * sigma**2))
    envelope /= envelope.sum()
    angle = np.deg2rad(orientation)
    carrier = np.exp(1j * wave * (columns * np.cos(angle) + rows * np.sin(angle)))
    result: Array = envelope * (carrier - (envelope * carrier).sum())
    return result


def _pool_cells(energy: Array, grid: int) -> Array:
    """Average (image, row, column) over a grid of cells: (image, grid * grid)."""
    rows, columns = (np.arange(grid) * size // grid for size in energy.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(energy, rows, axis=1), columns, axis=2)
    heights = np.diff(np.append(rows, energy.shape[1]))
    widths = np.diff(np.append(columns, energy.shape[2]))
    cells: Array = (sums / (heights[:, None] * widths)).reshape(len(energy), -1)
    return cells


def _filter_energy(
    images: Array, channels: list[tuple[float, float]], *, bandwidth: float
) -> Iterator[Array]:
    """Energy maps (image, row, column) of each channel, by FFT with zeros around the images."""
    shape = images.shape[1:]
    # Long enough that the filter, as large as twice the image, does not wrap around into it.
    padded = (2 * shape[0] - 1, 2 * shape[1] - 1)
    spectra = np.fft.fft2(images - images.mean(axis=(1, 2), keepdims=True), s=padded)
    for frequency, orientation in channels:
        kernel = np.fft.ifftshift(make_gabor(shape, orientation, frequency, bandwidth))
        response = np.fft.ifft2(spectra * np.fft.fft2(kernel))[:, : shape[0], : shape[1]]
        yield response.real**2 + response.imag**2


def _batches(stimuli: StimulusSet) -> Iterator[tuple[slice, Array]]:
    """Grey images (image, row, column) of one shape, a few at a time."""
    shape = _read_grey(stimuli, 0).shape
    size = max(1, BATCH_NUMBERS // (4 * shape[0] * shape[1]))
    for start in range(0, len(stimuli), size):
        rows = range(start, min(start + size, len(stimuli)))
        images = [_read_grey(stimuli, row) for row in rows]
        for row, image in zip(rows, images, strict=True):
            if image.shape != shape:
                raise SchemaError(
                    f"stimuli: expected images of one size, got {image.shape} for "
                    f"'{stimuli.labels[row]}' and {shape} for '{stimuli.labels[0]}'. Resize them."
                )
        yield slice(rows[0], rows[-1] + 1), np.stack(images)


def gabor_features(
    stimuli: Source,
    *,
    n_orientations: int = 8,
    n_scales: int = 4,
    grid: int = 4,
    lowest_frequency: float = 2.0,
    bandwidth: float = 1.0,
) -> xr.DataArray:
    """Energy of quadrature pairs of Gabor filters, averaged over the cells of a grid.

    Parameters
    ----------
    stimuli : mapping of str to path or array, or DataArray with ``stimulus`` on its first dim
        Images of one size, made grey.
    n_orientations : int
        Evenly over 180 degrees, from 0 (a wave along columns).
    n_scales : int
        Frequencies, one octave apart.
    grid : int
        Cells along rows and along columns.
    lowest_frequency : float
        Cycles along the shorter side of the image.
    bandwidth : float
        Full width at half height of each filter [octaves].

    Returns
    -------
    DataArray (sample, feature)
        float32, never negative. Coords on ``feature``: ``orientation`` [degrees], ``frequency``
        [cycles/image], ``row`` and ``column`` of the cell, ``space`` = "gabor".

    Raises
    ------
    ValueError
        For counts below 1, a grid finer than the pixels, or a frequency above half the pixels.
    SchemaError
        For stimuli that are no images or differ in size.

    Notes
    -----
    The mean luminance of each image is taken away before zeros are put around it: adding light to
    the whole image changes nothing. Contrast is kept: an image ``c`` times as strong has ``c**2``
    times the energy. Take the square root, or z-score, where a linear scale is wanted.

    References
    ----------
    Adelson & Bergen (1985), J. Opt. Soc. Am. A 2 (motion energy; here its spatial part).
    Kay, Naselaris, Prenger & Gallant (2008), Nature 452 (Gabor wavelet pyramid model).

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    >>> found = gabor_features(dict(zip(["a", "b"], noise, strict=True)), n_scales=2, grid=2)
    >>> found.sizes["feature"]  # 8 orientations x 2 scales x 4 cells
    64
    """
    for name, count in {
        "n_orientations": n_orientations,
        "n_scales": n_scales,
        "grid": grid,
    }.items():
        if count < 1:
            raise ValueError(f"{name}: expected at least 1, got {count}. Use more.")
    for name, value in {"lowest_frequency": lowest_frequency, "bandwidth": bandwidth}.items():
        if not value > 0:
            raise ValueError(f"{name}: expected a positive number, got {value}. Use 1.0 or 2.0.")
    listed = as_stimuli(stimuli)
    frequencies = lowest_frequency * 2.0 ** np.arange(n_scales)
    orientations = np.arange(n_orientations) * 180.0 / n_orientations
    channels = [(float(f), float(o)) for f in frequencies for o in orientations]
    _check_size(_read_grey(listed, 0).shape, float(frequencies[-1]), grid)
    values = np.empty((len(listed), len(channels), grid * grid), dtype=np.float32)
    for rows, images in _batches(listed):
        for index, energy in enumerate(_filter_energy(images, channels, bandwidth=bandwidth)):
            values[rows, index] = _pool_cells(energy, grid)
    return _label(values, listed.labels, np.array(channels), grid)


def _check_size(shape: tuple[int, ...], highest: float, grid: int) -> None:
    shorter = min(shape)
    if highest > shorter / 2:
        raise ValueError(
            f"n_scales: expected frequencies up to {shorter / 2:g} cycles/image for {shorter} "
            f"pixels, got {highest:g}. Use fewer scales or a lower lowest_frequency."
        )
    if grid > shorter:
        raise ValueError(
            f"grid: expected at most {shorter} cells for {shorter} pixels, got {grid}. Use fewer."
        )


def _label(values: Array, labels: list[str], channels: Array, grid: int) -> xr.DataArray:
    n_samples, n_channels, n_cells = values.shape
    row, column = np.divmod(np.arange(n_cells), grid)
    coords = {
        "stimulus": ("sample", np.array(labels, dtype=np.str_)),
        "frequency": ("feature", np.repeat(channels[:, 0], n_cells)),
        "orientation": ("feature", np.repeat(channels[:, 1], n_cells)),
        "row": ("feature", np.tile(row, n_channels)),
        "column": ("feature", np.tile(column, n_channels)),
        "space": ("feature", np.full(n_channels * n_cells, "gabor")),
    }
    attrs = {
        "kind": "features",
        "modality": "model",
        "model": "gabor",
        "layer": "energy",
        "layer_order": 0,
        "preprocessing": "grey, mean removed",
        "schema_version": SCHEMA_VERSION,
    }
    flat = values.reshape(n_samples, -1)
    features = xr.DataArray(
        flat, dims=("sample", "feature"), coords=coords, attrs=attrs, name="features"
    )
    return add_history(features, f"features.gabor_features({n_channels} channels, grid={grid})")
