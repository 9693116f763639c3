"""Every ceiling keeps the same promises."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from neuroalign.ceilings import CEILINGS
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays

SINGLE = np.array([0.8, 0.5, 0.5, 0.2, 0.05])
Make = Callable[..., xr.DataArray]


@pytest.mark.parametrize("n_averaged", [None, 1, 10])
@pytest.mark.parametrize("name", CEILINGS)
def test_the_planted_reliability_comes_back(
    name: str, n_averaged: int | None, repeated: Make
) -> None:
    n = n_averaged or 4
    planted = n * SINGLE / (1 + (n - 1) * SINGLE)
    result = CEILINGS[name](repeated(), n_averaged=n_averaged, n_bootstrap=200, seed=1)
    np.testing.assert_allclose(result["ceiling"], planted, atol=0.08)
    np.testing.assert_allclose(result["ceiling_r"] ** 2, result["ceiling"])
    assert result.attrs["n_averaged"] == pytest.approx(n)


@pytest.mark.slow
@pytest.mark.parametrize("name", CEILINGS)
def test_intervals_cover_the_planted_reliability(name: str, repeated: Make) -> None:
    planted = 4 * SINGLE / (1 + 3 * SINGLE)
    covered = []
    for _ in range(40):
        result = CEILINGS[name](repeated(120), n_bootstrap=200)
        covered.append((result["lower"] <= planted) & (planted <= result["upper"]))
    assert 0.86 <= float(np.mean(covered)) <= 0.99


@pytest.mark.parametrize("name", CEILINGS)
def test_rows_times_and_repeats_come_in_any_order(
    name: str, repeated: Make, rng: np.random.Generator
) -> None:
    responses = repeated(40)
    whole = CEILINGS[name](responses, n_bootstrap=20)
    twice = xr.concat([responses, responses], "time").transpose("sample", "neuroid", "time")
    timed = CEILINGS[name](twice.assign_coords(time=[0.0, 0.1]), n_bootstrap=20)
    assert timed["ceiling"].dims == ("neuroid", "time")
    for time in range(2):
        np.testing.assert_allclose(timed["ceiling"][:, time], whole["ceiling"])
        np.testing.assert_allclose(timed["upper"][:, time], whole["upper"])
    again = CEILINGS[name](responses, n_bootstrap=20)
    xr.testing.assert_identical(whole, again)
    # Labels, not positions, say what was repeated.
    mixed = responses.assign_coords(repeat=("sample", np.tile(np.arange(4), 40)))
    shuffled = mixed[rng.permutation(160)]
    tolerance = 0.1 if name == "split_half" else 1e-9
    np.testing.assert_allclose(
        CEILINGS[name](shuffled, n_bootstrap=0)["ceiling"], whole["ceiling"], atol=tolerance
    )


@pytest.mark.parametrize("name", CEILINGS)
def test_noise_and_constants_are_told_apart(name: str, rng: np.random.Generator) -> None:
    values = np.stack([rng.normal(size=200), np.ones(200)], axis=1)
    responses = from_arrays(
        values, stimulus=np.repeat([f"s{i}" for i in range(50)], 4), modality="eeg"
    )
    result = CEILINGS[name](responses, n_bootstrap=0)
    assert float(result["ceiling"][0]) < 0.35
    assert np.isnan(result["ceiling"][1])


@pytest.mark.parametrize("name", CEILINGS)
def test_without_repeats_there_is_no_ceiling(name: str) -> None:
    responses = from_arrays(np.eye(3), stimulus=["a", "b", "c"], modality="eeg")
    with pytest.raises(SchemaError, match="expected repeated stimuli, got 3 shown once"):
        CEILINGS[name](responses)
    timed = from_arrays(np.eye(3), run=["r"] * 3, onset=[0, 1, 2], modality="eeg")
    with pytest.raises(SchemaError, match="expected coord 'stimulus'"):
        CEILINGS[name](timed)
    with pytest.raises(ValueError, match="block: expected 1 to 2 stimuli, got 5"):
        CEILINGS[name](
            from_arrays(np.eye(4), stimulus=["a", "a", "b", "b"], modality="eeg"), block=5
        )


@pytest.mark.parametrize("name", list(CEILINGS))
@pytest.mark.parametrize("repeats", [3, 5])
def test_odd_counts_are_bounded_as_what_they_are(name: str, repeats: int) -> None:
    rng = np.random.default_rng(5)
    signal = rng.normal(size=(400, 60)) * np.sqrt(0.3)
    values = np.concatenate(
        [signal + rng.normal(size=signal.shape) * np.sqrt(0.7) for _ in range(repeats)]
    )
    stimulus = [f"s{n:03d}" for n in range(400)] * repeats
    found = CEILINGS[name](from_arrays(values, modality="fmri", stimulus=stimulus))
    truth = 0.3 / (0.3 + 0.7 / repeats)
    assert float(found["ceiling"].mean()) == pytest.approx(truth, abs=0.02)
    assert found.attrs["n_averaged"] == pytest.approx(repeats)


@pytest.mark.parametrize("name", list(CEILINGS))
def test_noise_has_no_ceiling_however_many_are_averaged(name: str) -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(80, 300))
    noise = from_arrays(values, modality="fmri", stimulus=[f"s{n}" for n in range(40)] * 2)
    found = CEILINGS[name](noise, n_averaged=10, n_bootstrap=20)
    assert float((found["ceiling"] == 1).mean()) == 0
    assert 0.3 < float((found["ceiling"] == 0).mean()) < 0.7
    assert found.attrs["n_clipped"] == int((found["ceiling"] == 0).sum())
