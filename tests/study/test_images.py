"""Natural crops come from installed wheels, without a download."""

import numpy as np
import pytest

from neuroalign.study.images import cut_natural_images


def test_crops_are_named_small_and_in_range() -> None:
    images = cut_natural_images(50, size=32, seed=1)
    values = np.stack(list(images.values()))
    assert values.shape == (50, 3, 32, 32)
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert (values.std(axis=(1, 2, 3)) > 0.03).all(), "no blank crop"


def test_the_seed_chooses_the_crops() -> None:
    assert list(cut_natural_images(20, seed=1)) == list(cut_natural_images(20, seed=1))
    assert list(cut_natural_images(20, seed=1)) != list(cut_natural_images(20, seed=2))


def test_no_crop_stands_twice() -> None:
    values = np.stack(list(cut_natural_images(100, seed=0).values())).reshape(100, -1)
    assert len(np.unique(values, axis=0)) == 100


def test_asking_for_too_many_says_how_many_there_are() -> None:
    with pytest.raises(ValueError, match="n_images: expected at most"):
        cut_natural_images(100_000)
