"""A ceiling that is given belongs to the responses, and folds are large enough to be scored."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.align import average_repeats, match
from neuroalign.ceilings import signal_power, split_half
from neuroalign.encoders import Ridge
from neuroalign.errors import NeuroalignWarning
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import features_from_arrays, from_arrays


@pytest.fixture
def study(rng: np.random.Generator) -> tuple[xr.DataArray, xr.DataArray]:
    """Features of 20 stimuli, and responses to four presentations of each."""
    names = [f"s{n:02d}" for n in range(20)]
    X = rng.normal(size=(20, 3))
    values = np.tile(X @ rng.normal(size=(3, 5)), (4, 1)) + rng.normal(size=(80, 5))
    return features_from_arrays(X, stimulus=names), from_arrays(
        values, stimulus=names * 4, modality="fmri"
    )


def test_the_ceiling_of_an_average_does_not_bound_single_trials(
    study: tuple[xr.DataArray, xr.DataArray],
) -> None:
    features, responses = study
    data = match(features, responses)
    options = {"group": None, "n_splits": 4}
    for ceiling in (split_half(responses), split_half(responses)["ceiling"]):
        with pytest.warns(NeuroalignWarning, match="that of 1 presentations .* got that of 4"):
            cross_validate(Ridge(), data.features, data.responses, ceiling=ceiling, **options)
    single = split_half(responses, n_averaged=1)
    result = cross_validate(Ridge(), data.features, data.responses, ceiling=single, **options)
    assert result.attrs["ceiling_method"] == "split_half"
    assert result.attrs["ceiling_n_averaged"] == 1
    own = cross_validate(Ridge(), data.features, data.responses, **options)
    assert own.attrs["ceiling_n_averaged"] == 1


def test_the_ceiling_of_single_trials_does_not_bound_an_average(
    study: tuple[xr.DataArray, xr.DataArray],
) -> None:
    features, responses = study
    data = match(features, average_repeats(responses))
    options = {"group": None, "n_splits": 4}
    single = signal_power(responses, n_averaged=1)["ceiling"]
    with pytest.warns(NeuroalignWarning, match="that of 4 presentations .* got that of 1"):
        cross_validate(Ridge(), data.features, data.responses, ceiling=single, **options)
    whole = signal_power(responses)["ceiling"]
    result = cross_validate(Ridge(), data.features, data.responses, ceiling=whole, **options)
    assert result.attrs["ceiling_method"] == "signal_power"


def test_folds_of_two_stimuli_are_said(study: tuple[xr.DataArray, xr.DataArray]) -> None:
    features, responses = study
    data = match(features, average_repeats(responses))
    options = {"group": None, "ceiling": None}
    with pytest.warns(NeuroalignWarning, match="got 2 in 10 of 10 folds: a correlation over two"):
        result = cross_validate(Ridge(), data.features, data.responses, n_splits=10, **options)
    np.testing.assert_allclose(np.abs(result["score"]), 1.0)
    assert "Use fewer and larger folds" in result.attrs["warnings"]
    with pytest.raises(ValueError, match="n_splits: expected at most 20, as many as there are"):
        cross_validate(Ridge(), data.features, data.responses, n_splits=100, **options)


def test_folds_may_be_named_fold(study: tuple[xr.DataArray, xr.DataArray]) -> None:
    features, responses = study
    data = match(features, average_repeats(responses))
    dealt = data.responses.assign_coords(fold=("sample", [*"abcde"] * 4))
    plain = dealt.rename(fold="part")
    results = [
        cross_validate(Ridge(), data.features, one, group=group, ceiling=None)
        for one, group in ((dealt, "fold"), (plain, "part"))
    ]
    xr.testing.assert_equal(*results)
    with pytest.warns(NeuroalignWarning, match="coords 'fold' are left out"):
        kept = cross_validate(
            Ridge(), data.features, dealt, group="fold", ceiling=None, keep=["prediction"]
        )
    assert np.isfinite(kept["prediction"]).all()
