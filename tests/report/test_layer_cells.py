"""A cell holds what is behind its mean."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from neuroalign.report.layer_cells import (
    find_members,
    find_starred,
    get_roi_ceilings,
    show_cells,
)


@pytest.fixture
def full(layers: xr.Dataset, rng: np.random.Generator) -> xr.Dataset:
    level = np.repeat(layers["score"].values, 20, axis=1)
    folds = layers["score"].values[:, None] + np.array([-0.1, 0.0, 0.1])[:, None]
    return layers.assign(
        neuroid_score=(("layer", "neuroid"), level + rng.normal(0, 0.02, level.shape)),
        fold_score=(("layer", "fold", "roi"), folds),
        ceiling=("neuroid", np.repeat([0.6, 0.05], 20)),
        q_value=(("layer", "roi"), np.array([[0.01, 0.2], [0.04, 0.01], [0.5, 0.5]])),
    ).assign_coords(region=("neuroid", np.repeat(["V1", "V4"], 20)))


def test_cells_hold_means_frames_stars_and_hatches(full: xr.Dataset) -> None:
    payload = show_cells(full).payload
    means = [[cell["mean"] for cell in row] for row in payload["cells"]]
    np.testing.assert_allclose(means, full["score"])
    best = np.array([[cell["best"] for cell in row] for row in payload["cells"]])
    np.testing.assert_array_equal(best, [[1, 0], [0, 1], [0, 0]])
    star = np.array([[cell["star"] for cell in row] for row in payload["cells"]])
    np.testing.assert_array_equal(star, [[1, 0], [1, 1], [0, 0]])
    assert [cell["hatched"] for cell in payload["cells"][0]] == [0, 1]


def test_details_are_those_of_the_neuroids_of_the_region(full: xr.Dataset) -> None:
    payload = show_cells(full).payload
    cell = payload["cells"][1][1]
    inside = full["neuroid_score"].values[1, 20:]
    assert sum(cell["counts"]) == 20
    np.testing.assert_array_equal(cell["counts"], np.histogram(inside, payload["edges"])[0])
    low, high = stats.t.interval(0.95, 19, inside.mean(), stats.sem(inside))
    assert cell["facts"][0] == (f"mean 0.400 score [{low:.3f}, {high:.3f}: 95 % over 20 neuroids]")
    assert cell["facts"][1] == "folds: 0.300, 0.400, 0.500, SD 0.100"
    assert cell["facts"][2] == "noise ceiling: 0.050 of the variance, mean over neuroids"
    assert cell["facts"][3] == "q_value: 0.01"


def test_a_bare_comparison_still_opens(layers: xr.Dataset) -> None:
    cell = show_cells(layers).payload["cells"][0][0]
    assert cell == {
        "mean": 0.5, "star": 0, "hatched": 0, "planted": 1, "best": 1,
        "facts": ["mean 0.500 score"],
    }  # fmt: skip


def test_the_strictest_test_gives_the_stars(full: xr.Dataset) -> None:
    assert find_starred(full)[1] == "q < 0.05, false discovery rate"
    strict = full.assign(p_fwer=full["q_value"] * 10)
    starred, said = find_starred(strict)
    assert (int(starred.sum()), said) == (0, "p < 0.05 by the max statistic")


def test_ceilings_and_members_by_region(full: xr.Dataset, layers: xr.Dataset) -> None:
    np.testing.assert_allclose(get_roi_ceilings(full), [0.6, 0.05])
    assert np.isnan(get_roi_ceilings(layers)).all()
    by_roi = layers.assign(ceiling=("roi", [0.3, 0.4]))
    np.testing.assert_allclose(get_roi_ceilings(by_roi), [0.3, 0.4])
    assert find_members(layers) == {}
    assert [int(one.sum()) for one in find_members(full).values()] == [20, 20]


def test_the_still_picture_and_its_numbers_stand_behind(full: xr.Dataset) -> None:
    still = show_cells(full).fallback
    assert still.png
    assert "Hatched: mean ceiling below 0.1" in still.caption
    assert still.data is not None
    assert still.data.columns == ("layer", "roi", "score", "q_value")
    assert still.data.rows[3] == ("conv2", "V4", 0.4, 0.01)
