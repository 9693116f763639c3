"""Sessions come to one scale, in memory and chunk by chunk alike."""

import dask
import numpy as np
import pytest
import xarray as xr

from neuroalign.align import zscore_sessions
from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays


def make(rng: np.random.Generator, session: list[str], time: bool = False) -> xr.DataArray:
    shape = (len(session), 5, 3) if time else (len(session), 5)
    scale = np.array([1.0 + len(set(session[: n + 1])) for n in range(len(session))])
    values = rng.normal(size=shape) * scale.reshape(-1, *[1] * (len(shape) - 1)) + 7
    return from_arrays(
        values,
        modality="fmri",
        stimulus=[f"s{n}" for n in range(len(session))],
        session=session,
        time=np.arange(3.0) if time else None,
    )


@pytest.mark.parametrize("time", [False, True])
def test_each_session_has_mean_0_and_spread_1(rng: np.random.Generator, time: bool) -> None:
    scaled = zscore_sessions(make(rng, ["a"] * 30 + ["b"] * 20, time))
    for own in (slice(0, 30), slice(30, 50)):
        np.testing.assert_allclose(scaled[own].mean("sample"), 0, atol=1e-6)
        np.testing.assert_allclose(scaled[own].std("sample", ddof=1), 1, rtol=1e-6)
    assert scaled.attrs["units"] == "z"
    assert scaled.attrs["history"].endswith("zscore_sessions by session")


@pytest.mark.parametrize("chunks", [(10, 2), (20, 5), (50, 1), (7, 3)])
@pytest.mark.parametrize("mixed", [False, True])
def test_chunks_change_nothing(
    rng: np.random.Generator, chunks: tuple[int, int], mixed: bool
) -> None:
    session = ["a", "b"] * 25 if mixed else ["a"] * 20 + ["b"] * 30
    whole = make(rng, session)
    lazy = zscore_sessions(whole.chunk(sample=chunks[0], neuroid=chunks[1]))
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), zscore_sessions(whole))


def test_whole_sessions_stay_their_own_chunks(rng: np.random.Generator) -> None:
    responses = make(rng, ["a"] * 20 + ["b"] * 20 + ["c"] * 20).chunk(sample=20)
    assert zscore_sessions(responses).chunks[0] == (20, 20, 20)
    assert zscore_sessions(responses.chunk(sample=10)).chunks[0] == (20, 20, 20)


def test_nothing_is_read_before_it_is_computed(rng: np.random.Generator) -> None:
    def fail(values: np.ndarray) -> np.ndarray:
        raise AssertionError("read")

    responses = make(rng, ["a"] * 20 + ["b"] * 20).chunk(sample=20)
    lazy = responses.copy(data=responses.data.map_blocks(fail, dtype="float32", meta=np.empty(0)))
    scaled = zscore_sessions(lazy)
    with dask.config.set(scheduler="sync"), pytest.raises(AssertionError, match="read"):
        scaled.compute()


def test_gaps_stay_gaps_and_constants_become_zero(rng: np.random.Generator) -> None:
    responses = make(rng, ["a"] * 10 + ["b"] * 10)
    responses[3, 0], responses[:10, 1], responses[:10, 2] = np.nan, np.nan, 0.1
    scaled = zscore_sessions(responses).values
    assert np.isnan(scaled[3, 0])
    assert np.isnan(scaled[:10, 1]).all()
    known = np.delete(responses.values[:10, 0], 3).astype(float)
    expected = (known - known.mean()) / known.std(ddof=1)
    np.testing.assert_allclose(np.delete(scaled[:10, 0], 3), expected, rtol=1e-5, atol=1e-6)
    assert (scaled[:10, 2] == 0).all()
    assert np.isfinite(scaled[10:]).all()


def test_a_session_of_one_sample_and_a_missing_coord_are_named(rng: np.random.Generator) -> None:
    responses = make(rng, ["a"] * 10 + ["b"])
    with pytest.raises(SchemaError, match="two samples or more in each session, got one in 'b'"):
        zscore_sessions(responses)
    with pytest.raises(SchemaError, match="expected coord 'visit' on 'sample'"):
        zscore_sessions(responses, by="visit")
