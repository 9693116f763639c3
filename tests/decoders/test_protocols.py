"""Networks from elsewhere: what they must be able to do, shown by seeded ones without weights."""

from typing import Any

import numpy as np
import torch
from torch import nn

from neuroalign.decoders import score_reconstructions
from neuroalign.decoders.protocols import ImageEmbedder, ImageGenerator


class SeededNet:
    """A random convolution from a seed, and back from its mean to flat images."""

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Conv2d(1, 8, 5, stride=4), nn.ReLU())

    def embed(self, images: Any) -> Any:
        with torch.no_grad():
            out = self.net(torch.from_numpy(np.asarray(images, dtype=np.float32))[:, None])
        return out.flatten(2).transpose(1, 2).numpy()

    def generate(self, embeddings: Any, *, seed: int = 0) -> Any:
        rng = np.random.default_rng(seed)
        level = 1 / (1 + np.exp(-np.asarray(embeddings).reshape(len(embeddings), -1).mean(axis=1)))
        return np.clip(level[:, None, None] + 0.01 * rng.normal(size=(len(level), 16, 16)), 0, 1)


def test_a_net_with_the_methods_is_one_and_another_is_not() -> None:
    assert isinstance(SeededNet(), ImageEmbedder)
    assert isinstance(SeededNet(), ImageGenerator)
    assert not isinstance(nn.Linear(1, 1), ImageEmbedder)


def test_images_go_through_an_embedder_and_a_generator(rng: np.random.Generator) -> None:
    images = rng.random((10, 16, 16))
    net = SeededNet()
    assert net.embed(images).shape == (10, 9, 8)
    made = net.generate(net.embed(images), seed=1)
    np.testing.assert_array_equal(made, net.generate(net.embed(images), seed=1))
    noisy = np.clip(images + 0.1 * rng.normal(size=images.shape), 0, 1)
    good = score_reconstructions(images, noisy, features={"net": net.embed})
    poor = score_reconstructions(images, made, features={"net": net.embed})
    assert float(good["score"].sel(measure="two-way net")) == 1.0
    assert float(poor["score"].sel(measure="two-way net")) < 0.9
