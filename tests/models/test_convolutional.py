"""The small network is seeded and has the stages it names."""

import pytest

torch = pytest.importorskip("torch")

from neuroalign.models import SmallConvNet  # noqa: E402


def test_the_same_seed_gives_the_same_network() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first, again, other = (SmallConvNet(seed=seed)(images) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    SmallConvNet(seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_stage_halves_the_image() -> None:
    assert SmallConvNet(channels=(4, 5), seed=0)(torch.zeros(1, 3, 16, 16)).shape == (1, 5, 4, 4)
