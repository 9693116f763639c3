"""Natural images that need no download: crops of the photographs in installed wheels."""

import numpy as np
import numpy.typing as npt

from neuroalign.loaders import load_dataset


def cut_natural_images(
    n_images: int = 240, size: int = 64, *, seed: int = 0
) -> dict[str, npt.NDArray[np.float32]]:
    """Cut square crops that do not overlap out of the photographs at hand.

    Parameters
    ----------
    n_images : int
        How many crops.
    size : int
        Side of a crop [pixels]; crops of twice the side are averaged down to it.
    seed : int
        Seed of the choice.

    Returns
    -------
    dict of str to array (3, size, size)
        Stimulus name, such as ``coffee-03``, to values in 0 to 1.

    Raises
    ------
    ValueError
        When the photographs do not hold so many crops.
    """
    crops: dict[str, npt.NDArray[np.float32]] = {}
    wide = 2 * size
    for name, image in load_dataset("natural-images").items():
        rows, columns = image.shape[0] // wide, image.shape[1] // wide
        for index in range(rows * columns):
            top, left = wide * (index // columns), wide * (index % columns)
            square = image[top : top + wide, left : left + wide]
            small = square.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
            if small.std() > 0.03:
                crops[f"{name}-{index:02d}"] = np.moveaxis(small, -1, 0).copy()
    if n_images > len(crops):
        raise ValueError(
            f"n_images: expected at most {len(crops)} crops of {size} pixels, got {n_images}. "
            "Ask for fewer or smaller ones."
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(len(crops))[:n_images])
    names = list(crops)
    return {names[index]: crops[names[index]] for index in chosen}
