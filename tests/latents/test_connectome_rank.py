"""The number of components: planted motifs and at most their background; faults are named."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import storage
from neuroalign.errors import SchemaError
from neuroalign.latents import compute_affinity, select_rank
from neuroalign.latents._masked_factors import hide_slabs, rebuild
from neuroalign.loaders import simulate_communities


def draw_affinity(rank: int, noise: float, seed: int) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    model = rebuild([rng.gamma(0.3, size=(size, rank)) for size in (60, 8, 45)])
    noisy = np.maximum(model + noise * model.std() * rng.normal(size=model.shape), 0.0)
    return xr.DataArray(noisy, dims=("time", "subject", "pair"), attrs={"sampling_rate": 2.0})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rank_of_noisy_factors_is_found(seed: int) -> None:
    found = select_rank(draw_affinity(3, 0.3, seed), (1, 2, 3, 4), n_inits=3, n_folds=4)
    assert found.attrs["rank"] == 3
    assert float(found["stability"].sel(rank=3)) > 0.99
    assert np.all(np.diff(found["error"].values) < 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_motifs_are_counted_with_or_without_their_background(seed: int) -> None:
    planted = simulate_communities(6, 300, 30, community_size=6, seed=seed)
    tensor = compute_affinity(planted.responses, window=0.75, span=2.25)
    found = select_rank(tensor, (1, 2, 3, 4, 5), n_inits=3, n_folds=4)
    assert found.attrs["rank"] in (3, 4)


def test_each_fold_is_held_out_once_and_leaves_each_index_seen() -> None:
    for shape in ((40, 5, 10), (40, 1, 10)):
        folds = np.stack([hide_slabs(shape, fold, 4, 6) for fold in range(4)])
        assert (folds.sum(axis=0) == 1).all()
        for held in folds:
            for axis in ((1, 2), (0, 2), (0, 1)):
                assert (~held).any(axis=axis).all()


def test_reports_come_back_from_a_file(tmp_path: Any) -> None:
    found = select_rank(draw_affinity(2, 0.1, 0), (1, 2), n_inits=2, n_folds=3, block=3.0)
    assert found["held_out_error"].dims == ("rank", "fold")
    storage.save(found, tmp_path / "rank.nc")
    assert storage.load(tmp_path / "rank.nc").identical(found)


def test_bad_input_is_named() -> None:
    tensor = draw_affinity(2, 0.1, 0)
    with pytest.raises(SchemaError, match="X: expected affinities with dims"):
        select_rank(tensor.rename(pair="edge"))
    with pytest.raises(ValueError, match="n_inits, n_folds: expected at least 2 each"):
        select_rank(tensor, (1, 2), n_inits=1)
    with pytest.raises(ValueError, match="ranks: expected an integer >= 1"):
        select_rank(tensor, (0, 1))
