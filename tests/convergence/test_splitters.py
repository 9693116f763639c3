"""A T-maze with planted splitter cells, with none, and with types that stand elsewhere."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from neuroalign import schema, storage
from neuroalign.convergence import splitter_index
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays


class Maze(NamedTuple):
    responses: xr.DataArray
    side: np.ndarray
    where: np.ndarray
    lap: np.ndarray

    def index(self, **more: Any) -> xr.Dataset:
        options: dict[str, Any] = {"limits": (0.0, 1.0), "bins": 4} | more
        return splitter_index(self.responses, self.side, self.where, self.lap, **options)


def run_laps(
    split: float,
    *,
    n_laps: int = 80,
    n_units: int = 6,
    n: int = 16,
    lag: float = 0.0,
    seed: int = 0,
) -> Maze:
    """Alternation of left and right: stem from 0 to 1, then an arm.

    All units have place fields; those of the first fire ``split`` more on right trials. On right
    trials the animal is seen ``lag`` farther on.
    """
    rng = np.random.default_rng(seed)
    lap = np.repeat(np.arange(n_laps), n + 8)
    right = lap % 2 == 1
    steps = np.concatenate([(np.arange(n) + 0.5) / n, np.linspace(1.2, 2, 8)])
    where = np.tile(steps, n_laps) + 0.02 * rng.random(len(lap)) + lag * right
    fields = 3 * np.exp(-((where[:, None] - np.linspace(0, 1, n_units)) ** 2) / 0.1)
    values = fields + rng.normal(size=(len(lap), n_units))
    values[:, 0] += split * (right - 0.5)
    values[where > 1] += 5 * right[where > 1, None]
    data = from_arrays(values, stimulus=["maze"] * len(lap), modality="calcium")
    return Maze(data, np.where(right, "right", "left"), where, lap)


@pytest.mark.parametrize("split", [0.35, 0.7])
def test_planted_splitters_are_found_at_their_strength(split: float) -> None:
    # Sixteen samples of unit noise a lap.
    strength = split * np.sqrt(16)
    found = [run_laps(split, n_laps=120, seed=seed).index(n_permutations=0) for seed in range(6)]
    separation = np.mean([one["separation"].values for one in found], axis=0)
    assert separation[0] == pytest.approx(strength, abs=0.3)
    assert (np.abs(separation[1:]) < 0.25).all()
    best = 2 * norm.cdf(strength / 2) - 1
    assert np.mean([float(one["index"]) for one in found]) == pytest.approx(best, abs=0.07)
    # One stretch of four sees a quarter of the samples.
    part = 2 * norm.cdf(strength / 4) - 1
    assert np.mean([one["course"].values for one in found]) == pytest.approx(part, abs=0.07)


def test_a_planted_splitter_passes_the_null() -> None:
    found = run_laps(0.5, n_laps=100).index(n_permutations=39)
    assert float(found["p_value"]) < 0.03
    assert float(found["p_fwer"][0]) < 0.03
    assert (found["p_neuroid"][1:] > 0.03).all()


def test_place_cells_on_the_stem_split_nothing() -> None:
    found = run_laps(0.0).index(n_permutations=39)
    assert abs(float(found["index"])) < 0.3
    assert float(found["p_value"]) > 0.05
    assert (found["p_fwer"] > 0.02).all()


def test_types_that_stand_elsewhere_are_told_by_no_place_cell() -> None:
    maze = run_laps(0.0, n_laps=200, lag=0.04)
    # A unit that counts the way: it answers more wherever the animal is farther on.
    ramp = maze.responses.copy()
    ramp.values[:, 1] += 6 * maze.where
    maze = maze._replace(responses=ramp)
    found = maze.index(n_permutations=39, limits=None, bins=np.linspace(0.1, 0.9, 5))
    assert found.attrs["position_gap"] > 0.1
    assert float(found["p_value"]) > 0.05
    assert (np.abs(found["separation"]) < 0.45).all()
    # Without matching, over the sixteen samples of each stem, the place alone tells the type.
    on = np.tile(np.arange(24) < 16, 200)
    raw = maze.responses.values[on, 1]
    gap = raw[maze.side[on] == "right"].mean() - raw[maze.side[on] == "left"].mean()
    assert gap * np.sqrt(16) > 0.6


def test_splitters_are_found_where_types_stand_elsewhere() -> None:
    found = run_laps(0.6, n_laps=200, lag=0.04).index(
        limits=None, bins=np.linspace(0.1, 0.9, 5), n_permutations=39
    )
    n_samples = 16 * 0.8
    assert float(found["separation"][0]) == pytest.approx(0.6 * np.sqrt(n_samples), abs=0.4)
    assert float(found["p_value"]) < 0.03


@pytest.mark.slow
def test_the_level_of_the_test_holds() -> None:
    found = [
        run_laps(0.0, n_laps=24, n_units=4, n=6, seed=seed).index(
            bins=2, n_permutations=19, classifier="nearest_centroid", seed=seed
        )
        for seed in range(60)
    ]
    rate = np.mean([float(one["p_value"]) <= 0.05 for one in found])
    # Two standard errors of a rate of .05 over 60 draws are .06.
    assert rate <= 0.11
    family = np.mean([float(one["p_fwer"].min()) <= 0.05 for one in found])
    assert family <= 0.11


def test_laps_that_miss_a_stretch_are_left_out_and_counted() -> None:
    maze = run_laps(0.7, n_laps=60)
    lost = np.where((maze.lap < 5) & (maze.where > 0.7), np.nan, maze.where)
    found = maze._replace(where=lost).index(n_permutations=0)
    assert found.attrs["n_dropped"] == 5
    assert found.attrs["n_trials"] == 55
    assert "p_value" not in found


def test_sessions_are_held_out_whole() -> None:
    maze = run_laps(0.7, n_laps=80)
    session = np.array([f"ses-{one // 20}" for one in maze.lap])
    named = maze._replace(responses=maze.responses.assign_coords(session=("sample", session)))
    found = named.index(group="session", n_permutations=20)
    assert float(found["index"]) > 0.4


def test_the_result_is_stored_and_passes_the_schema(tmp_path: Path) -> None:
    found = schema.check(run_laps(0.7).index(n_permutations=10))
    assert found.attrs["verdict"].startswith("splitter index")
    storage.save(found, tmp_path / "splitter.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "splitter.nc"), found)


def test_arguments_are_checked() -> None:
    maze = run_laps(0.0, n_laps=12)
    with pytest.raises(SchemaError, match="expected one type a trial, got two in '1', '11'"):
        maze._replace(side=np.where(maze.where > 0.5, maze.side, "left")[:]).index()
    with pytest.raises(SchemaError, match="expected two types with trials that pass every stretch"):
        maze._replace(side=np.full(len(maze.side), "left")).index()
    with pytest.raises(SchemaError, match="limits: expected a path that samples pass, got none"):
        maze.index(limits=(5, 6))
    with pytest.raises(SchemaError, match="'a', 'b', 'c' in 12 of 12"):
        maze._replace(side=np.array(["a", "b", "c"])[maze.lap % 3]).index()
    with pytest.raises(ValueError, match="limits: expected None where bins are edges"):
        maze.index(bins=[0, 0.5, 1])
    with pytest.raises(SchemaError, match="trial: expected a coord on 'sample', got 'lap'"):
        maze._replace(lap="lap").index()
