"""Variance ceilings equal their written definitions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.ceilings import (
    ceiling_from_ncsnr,
    explainable_variance,
    ncsnr,
    signal_power,
    split_half,
)
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays, load_fmri

Make = Callable[..., xr.DataArray]


def test_ncsnr_equals_the_definition_with_mixed_counts(rng: np.random.Generator) -> None:
    counts = rng.integers(1, 4, size=60)
    stimulus = np.repeat([f"s{i:02d}" for i in range(60)], counts)
    signal = np.repeat(rng.normal(size=60), counts)
    session = np.where(rng.random(len(stimulus)) < 0.5, "one", "two")
    values = signal + rng.normal(size=len(stimulus))
    # Sessions differ in gain and offset; the z-score within each takes that out.
    values = np.where(session == "one", values, 40 + 7 * values)
    responses = from_arrays(values[:, None], stimulus=stimulus, session=session, modality="fmri")
    scaled = values.copy()
    for one in ("one", "two"):
        part = values[session == one]
        scaled[session == one] = (part - part.mean()) / part.std(ddof=1)
    noise = np.mean(
        [
            scaled[stimulus == s].var(ddof=1)
            for s in np.unique(stimulus)
            if (stimulus == s).sum() > 1
        ]
    )
    ratio = np.sqrt(max(0, 1 - noise) / noise)
    a, b, c = ((counts == n).sum() for n in (3, 2, 1))
    share = (a / 3 + b / 2 + c) / (a + b + c)
    result = ncsnr(responses, n_bootstrap=0)
    assert float(result["ncsnr"][0]) == pytest.approx(ratio)
    assert float(result["ceiling"][0]) == pytest.approx(ratio**2 / (ratio**2 + share))
    three = ncsnr(responses, n_averaged=3, n_bootstrap=0)
    assert float(three["ceiling"][0]) == pytest.approx(ratio**2 / (ratio**2 + 1 / 3))
    with pytest.raises(SchemaError, match="expected coord 'visit'"):
        ncsnr(responses, session="visit")


@pytest.mark.parametrize(("ratio", "percent"), [(0.490, 41.9), (0.542, 46.9), (0.323, 23.8)])
def test_published_ncsnr_give_published_ceilings(
    ratio: float, percent: float, rng: np.random.Generator
) -> None:
    # Medians of nsdgeneral of subjects 1, 5 and 8, and their noise ceilings at three repeats.
    noise = 1 / (1 + ratio**2)
    z = rng.normal(size=(20000, 3))
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, ddof=1, keepdims=True)
    means = rng.normal(size=(20000, 1))
    # The mean of three repeats holds the signal and a third of the noise.
    values = np.sqrt(noise) * z + np.sqrt(1 - noise * 2 / 3) * means
    responses = from_arrays(
        values.reshape(-1, 1), stimulus=np.repeat(np.arange(20000).astype(str), 3), modality="fmri"
    )
    result = ncsnr(responses, n_averaged=3, n_bootstrap=0)
    assert 100 * float(result["ceiling"][0]) == pytest.approx(percent, abs=1.0)


def test_explainable_variance_equals_the_definition(repeated: Make) -> None:
    responses = repeated(50)
    table = responses.values.reshape(50, 4, 5).astype(float)
    table = (table - table.mean(axis=0)) / table.std(axis=0, ddof=1)
    share = table.mean(axis=1).var(axis=0, ddof=1) / table.var(axis=0, ddof=1).mean(axis=0)
    result = explainable_variance(responses, n_bootstrap=10)
    np.testing.assert_allclose(result["explainable_variance"], share)
    corrected = share - (1 - share) / 3
    np.testing.assert_allclose(result["explainable_variance_corrected"], corrected)
    single = explainable_variance(responses, n_averaged=1, n_bootstrap=0)
    np.testing.assert_allclose(single["ceiling"], np.clip(corrected, 0, 1))


def test_unequal_repeats_are_refused() -> None:
    responses = from_arrays(np.eye(5), stimulus=list("aabbb"), modality="eeg")
    with pytest.raises(SchemaError, match="equally often, got 2 to 3 repeats.*use ncsnr"):
        explainable_variance(responses)


def test_a_film_shown_in_several_runs_repeats_by_onset(rng: np.random.Generator) -> None:
    film = np.convolve(rng.normal(size=140), np.ones(6) / np.sqrt(6), mode="valid")[:, None]
    values = np.concatenate([film + rng.normal(size=film.shape) for _ in range(5)])
    n = len(film)
    responses = from_arrays(
        values,
        run=np.repeat([f"run-{i}" for i in range(5)], n),
        onset=np.tile(np.arange(n) * 2.0, 5),
        modality="fmri",
    )
    free = explainable_variance(responses, by="onset", n_bootstrap=500)
    blocked = explainable_variance(responses, by="onset", block=12, n_bootstrap=500)
    assert float(free["ceiling"][0]) == pytest.approx(5 / 6, abs=0.1)
    assert float(blocked["ceiling"][0]) == float(free["ceiling"][0])
    width = [float((one["upper"] - one["lower"])[0]) for one in (free, blocked)]
    assert width[1] > width[0]


def test_haxby_ceilings_agree_with_each_other(real_data: Path) -> None:
    folder = real_data / "haxby2001_pymvpa"
    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    volumes = load_fmri(
        [run / "bold_1slice.nii.gz" for run in runs],
        mask=folder / "mask.nii.gz",
        events=[run / "bold_events.tsv" for run in runs],
        detrend=True,
        standardize="zscore",
    ).compute()
    run, shown = volumes["run"].values, volumes["stimulus"].values
    labels = sorted(set(shown) - {"rest"})
    blocks = from_arrays(
        np.array(
            [
                volumes.values[(run == r) & (shown == s)].mean(axis=0)
                for r in np.unique(run)
                for s in labels
            ]
        ),
        stimulus=labels * 12,
        run=np.repeat(np.unique(run), 8),
        modality="fmri",
    )
    found = [
        method(blocks, n_bootstrap=0)["ceiling"].values
        for method in (split_half, explainable_variance, signal_power, ncsnr)
    ]
    # Most of the responsive voxels repeat themselves over 12 runs, and all methods see the same.
    best = np.argsort(found[0])[-50:]
    for ceiling in found:
        assert ceiling[best].min() > 0.7
        assert np.corrcoef(ceiling, found[0])[0, 1] > 0.9


@pytest.mark.parametrize("ceiling", [ncsnr, explainable_variance])
@pytest.mark.parametrize("block", [1, 16_000, 10**9])
def test_chunked_responses_have_the_ceilings_of_the_whole(
    repeated: Make, ceiling: Make, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuroalign.ceilings._blocks.BLOCK", block)
    responses = repeated(n_stimuli=200, n_repeats=3)
    lazy = responses.chunk(sample=100, neuroid=(1, 2, 2))
    expected = ceiling(responses, n_bootstrap=50)
    result = ceiling(lazy, n_bootstrap=50)
    # Sums over a column may be ordered by its neighbours: the last bit is free.
    xr.testing.assert_allclose(result, expected, rtol=1e-12)
    assert result.attrs == expected.attrs


@pytest.mark.parametrize(("ratio", "percent"), [(0.490, 41.9), (0.542, 46.9), (0.323, 23.8)])
def test_a_shipped_ncsnr_gives_its_published_ceiling(ratio: float, percent: float) -> None:
    assert 100 * float(ceiling_from_ncsnr(ratio)) == pytest.approx(percent, abs=0.1)
    labelled = ceiling_from_ncsnr(xr.DataArray([ratio, 0.0, np.nan], dims="neuroid"), 1)
    assert float(labelled[0]) == pytest.approx(ratio**2 / (1 + ratio**2))
    assert float(labelled[1]) == 0
    assert np.isnan(labelled[2])


def test_a_ratio_below_0_is_no_ncsnr() -> None:
    with pytest.raises(ValueError, match="expected ratios of 0 and more, got -1"):
        ceiling_from_ncsnr([0.5, -1.0])
    with pytest.raises(ValueError, match="expected more than 0 repeats, got 0"):
        ceiling_from_ncsnr(0.5, 0)


def test_a_published_map_beside_the_responses_does_not_stand_in_the_way(repeated: Make) -> None:
    responses = repeated(50)
    known = responses.assign_coords(ncsnr=("neuroid", np.zeros(responses.sizes["neuroid"])))
    xr.testing.assert_identical(ncsnr(known, n_bootstrap=0), ncsnr(responses, n_bootstrap=0))
