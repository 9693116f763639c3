"""Modules planted in regions are matched to them; modules that share nothing are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.convergence import encode_layers, match_modules
from neuroalign.errors import SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays
from neuroalign.similarity import compare

REGIONS = ("V1", "HPC", "STR")
PLANTED = {"encoder": "V1", "predictor": "HPC", "value": "STR"}


def plant(
    noise: float = 1.0, *, shared: bool = True, n: int = 60, repeats: int = 2, seed: int = 0
) -> tuple[dict[str, xr.DataArray], xr.DataArray]:
    """A module for each region, whose units mix the features of the module."""
    rng = np.random.default_rng(seed)
    names = [f"state-{row:02d}" for row in range(n)]
    parts = {name: rng.normal(size=(n, 6)) for name in PLANTED}
    read = [
        (parts[name] if shared else rng.normal(size=(n, 6))) @ rng.normal(size=(6, 20)) / np.sqrt(6)
        for name in PLANTED
    ]
    clean = np.tile(np.hstack(read), (repeats, 1))
    responses = from_arrays(
        clean + noise * rng.normal(size=clean.shape), stimulus=names * repeats,
        roi=np.repeat(REGIONS, 20), modality="spikes",
    )  # fmt: skip
    # In another order than the responses, the value head first.
    order = rng.permutation(n)
    modules = {
        name: features_from_arrays(one[order], stimulus=[names[row] for row in order])
        for name, one in reversed(parts.items())
    }
    return modules, responses


@pytest.mark.parametrize("method", ["cka_debiased", "encoding", "rsa"])
def test_planted_modules_are_matched_to_their_regions(method: str) -> None:
    modules, responses = plant()
    n = 9 if method == "encoding" else 99
    found = match_modules(modules, responses, method=method, expected=PLANTED, n_permutations=n)
    assert found["assigned"].values.tolist() == ["STR", "HPC", "V1"]
    assert float(found["expected_p"]) == pytest.approx(1 / 6)
    assert int(found["n_agree"]) == 3
    own = [found.sel(module=module, roi=region) for module, region in PLANTED.items()]
    assert all(float(one["p_value"]) <= 1 / (n + 1) + 1e-9 for one in own)
    assert float(found["total_p"]) <= 1 / (n + 1) + 1e-9
    assert "3 as expected" in found.attrs["verdict"]


def test_scores_are_those_of_compare_and_encode_layers() -> None:
    modules, responses = plant()
    found = match_modules(modules, responses, n_permutations=0)
    table = compare(modules, responses, method="cka_debiased")
    table = table.sel(layer=list(modules), roi=list(REGIONS))
    np.testing.assert_allclose(found["score"], table["score"], atol=1e-9)
    assert "p_value" not in found
    encoded = match_modules(modules, responses, method="encoding", n_permutations=0)
    rows = [modules["value"]["stimulus"].values.tolist().index(s) for s in responses["stimulus"]]
    features = {name: one[rows] for name, one in modules.items()}
    scores = encode_layers(features, responses, group=None, n_splits=5)["mean_score"]
    wanted = scores.groupby("roi").mean().sel(roi=list(REGIONS))
    np.testing.assert_allclose(encoded["score"], wanted, atol=1e-3)


def test_the_seed_reaches_the_folds_of_the_encoder() -> None:
    modules, responses = plant(n=40)
    one, same, other = (
        match_modules(modules, responses, method="encoding", n_permutations=0, seed=seed)["score"]
        for seed in (1, 1, 2)
    )
    xr.testing.assert_identical(one, same)
    assert (one != other).any()


def test_rows_of_one_stimulus_must_be_alike() -> None:
    modules, responses = plant(n=20)
    twice = xr.concat([modules["value"], modules["value"]], "sample")
    match_modules(modules | {"value": twice}, responses, n_permutations=0)
    twice[-1] += 1
    with pytest.raises(SchemaError, match=r"modules\['value'\]: expected the same features in ev"):
        match_modules(modules | {"value": twice}, responses, n_permutations=0)


@pytest.mark.parametrize("method", ["cka_debiased", "encoding"])
def test_correction_takes_off_the_noise_of_responses(method: str) -> None:
    clean, noisy = (
        match_modules(*plant(noise, n=120, repeats=6), method=method, n_permutations=0)
        for noise in (0.05, 2.0)
    )
    own = {"module": xr.DataArray(list(PLANTED)), "roi": xr.DataArray(list(PLANTED.values()))}
    raw, corrected, true = (
        noisy["score"].sel(own),
        noisy["corrected"].sel(own),
        clean["score"].sel(own),
    )
    assert (raw < true - 0.05).all()
    np.testing.assert_allclose(corrected, true, atol=0.12)
    assert (noisy["reliability"] < clean["reliability"]).all()
    assert (clean["reliability"] > 0.9).all()


def test_without_repeats_there_is_no_correction() -> None:
    found = match_modules(*plant(repeats=1), n_permutations=0)
    assert np.isnan(found["reliability"]).all()
    assert np.isnan(found["corrected"]).all()
    bent = match_modules(*plant(), method="cka", n_permutations=0)
    assert np.isnan(bent["corrected"]).all()


def test_modules_that_share_nothing_pass_as_often_as_the_level_says() -> None:
    tested = [
        match_modules(
            *plant(shared=False, n=20, repeats=1, seed=seed), n_permutations=19, expected=PLANTED
        )
        for seed in range(60)
    ]
    cells = np.concatenate([one["p_value"].values.ravel() for one in tested])
    assert 0.02 <= (cells <= 0.05).mean() <= 0.09
    assert np.mean([float(one["total_p"]) <= 0.05 for one in tested]) <= 0.12
    # Any of six assignments is the expected one.
    assert 0.05 <= np.mean([float(one["expected_p"]) < 0.2 for one in tested]) <= 0.3


def test_a_theory_that_is_wrong_is_told() -> None:
    modules, responses = plant()
    wrong = {"encoder": "HPC", "predictor": "STR", "value": "V1"}
    found = match_modules(modules, responses, expected=wrong, n_permutations=0)
    assert int(found["n_agree"]) == 0
    assert float(found["expected_p"]) > 0.3
    assert float(found["expected_total"]) < float(found["total"])


def test_modules_beyond_the_regions_stay_alone() -> None:
    modules, responses = plant()
    noise = modules["value"].copy(data=np.random.default_rng(9).normal(size=(60, 6)))
    found = match_modules(modules | {"spare": noise}, responses, n_permutations=0)
    assert found["assigned"].sel(module="spare").item() == ""
    fewer = responses[:, responses["roi"].values != "HPC"]
    some = match_modules(modules, fewer, n_permutations=0)["assigned"]
    assert sorted(some.values.tolist()) == ["", "STR", "V1"]


def test_distances_are_assigned_by_the_least() -> None:
    modules, responses = plant()
    found = match_modules(modules, responses, method="cka_angle", n_permutations=19)
    assert found["assigned"].values.tolist() == ["STR", "HPC", "V1"]
    assert float(found["total_p"]) == pytest.approx(0.05)


def test_the_result_is_stored_and_passes_the_schema(tmp_path: Path) -> None:
    found = schema.check(match_modules(*plant(), expected=PLANTED, n_permutations=5))
    storage.save(found, tmp_path / "modules.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "modules.nc"), found)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"method": "ridge"}, ValueError, "method: expected one of 'cka'"),
        ({"over": "area"}, SchemaError, "over: expected a coord on 'neuroid' that names regions"),
        (
            {"expected": {"encoder": "V9", "value": "V1"}},
            ValueError,
            "each with one of the regions",
        ),
        ({"expected": {"encoder": "V1", "value": "V1"}}, ValueError, "of its own, got"),
        ({"modules": {}}, SchemaError, "modules: expected a mapping of two or more"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], error: Any, match: str) -> None:
    modules, responses = plant(n=20)
    given = {"modules": modules, "responses": responses, "n_permutations": 0} | options
    with pytest.raises(error, match=match):
        match_modules(**given)


def test_stimuli_and_regions_are_checked() -> None:
    modules, responses = plant(n=20)
    with pytest.raises(SchemaError, match=r"modules\['value'\]: expected the stimuli of responses"):
        match_modules(modules | {"value": modules["value"][3:]}, responses)
    with pytest.raises(SchemaError, match="expected features named by 'stimulus'"):
        match_modules(modules | {"value": modules["value"].drop_vars("stimulus")}, responses)
    with pytest.raises(SchemaError, match="expected two or more regions in 'roi', got 'V1'"):
        match_modules(modules, responses[:, :20])
