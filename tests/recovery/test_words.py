"""Planted features of words come back from simulated BOLD, and are lost when words are late."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from neuroalign.align import convolve_hrf  # noqa: E402
from neuroalign.encoders import Ridge  # noqa: E402
from neuroalign.evaluate import cross_validate  # noqa: E402
from neuroalign.features import extract_text, word_rate  # noqa: E402
from neuroalign.loaders import from_arrays  # noqa: E402

VOCABULARY = [f"word{number:02d}" for number in range(60)]
RUNS, SECONDS, TR = [f"run-{number:02d}" for number in range(1, 6)], 240.0, 2.0
N_TUNED, N_NOISE = 12, 4


@pytest.fixture
def words(rng: np.random.Generator) -> pd.DataFrame:
    """About 3 words a second, in runs; what is spoken about drifts slowly."""
    tables = []
    for run in RUNS:
        gaps = rng.uniform(0.2, 0.46, size=int(3 * SECONDS))
        onset = np.cumsum(gaps)
        topic = np.cumsum(rng.normal(scale=1.5, size=len(onset)))
        number = np.rint(topic + rng.normal(scale=4, size=len(onset))).astype(int) % 60
        table = pd.DataFrame({"onset": onset, "duration": 0.8 * gaps, "run": run})
        tables.append(table.assign(word=[VOCABULARY[n] for n in number]))
    table = pd.concat(tables, ignore_index=True)
    return table[table["onset"] < SECONDS - 5]


@pytest.fixture
def states(words: pd.DataFrame) -> xr.DataArray:
    """The first layer of a seeded GPT-2."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    ids = {word: number for number, word in enumerate(["?", *VOCABULARY])}
    whole = Tokenizer(models.WordLevel(ids, unk_token="?"))
    whole.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=whole)
    config = transformers.GPT2Config(
        vocab_size=len(ids), n_positions=16, n_embd=8, n_layer=1, n_head=2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = transformers.GPT2Model(config)
    found = extract_text(
        model, words, "layer.1", tokenizer=tokenizer, context=5, batch_size=256, progress=False
    )
    return found["layer.1"]


def volumes(values: Any) -> xr.DataArray:
    n = int(SECONDS / TR)
    return from_arrays(
        values,
        modality="fmri",
        run=np.repeat(RUNS, n).tolist(),
        onset=np.tile(np.arange(n) * TR, len(RUNS)),
        duration=np.full(n * len(RUNS), TR),
    )


@pytest.fixture
def bold(states: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Voxels that follow the states with signal and noise of one variance; some are noise only."""
    n = int(SECONDS / TR) * len(RUNS)
    course = convolve_hrf(states, volumes(np.zeros((n, 1)))).values.astype(np.float64)
    course = (course - course.mean(0)) / course.std(0)
    signal = course @ rng.normal(size=(course.shape[1], N_TUNED))
    signal = np.concatenate([signal / signal.std(0), np.zeros((n, N_NOISE))], axis=1)
    return volumes(signal + rng.normal(size=signal.shape))


def score(features: xr.DataArray, bold: xr.DataArray, lag: float = 0.0) -> Any:
    course = convolve_hrf(features, bold, lag=lag)
    result = cross_validate(Ridge(), course, bold, group="run")
    return result["score"].mean("fold").values


def test_planted_features_of_words_come_back(states: xr.DataArray, bold: xr.DataArray) -> None:
    found = score(states, bold)
    # Half of the variance is signal: the best correlation is sqrt(1/2).
    assert np.all(found[:N_TUNED] > 0.55)
    assert np.all(found[:N_TUNED] < 0.80)
    assert np.all(np.abs(found[N_TUNED:]) < 0.2)


def test_words_that_are_ten_seconds_late_lose_the_score(
    states: xr.DataArray, bold: xr.DataArray
) -> None:
    right, late = score(states, bold)[:N_TUNED], score(states, bold, lag=10.0)[:N_TUNED]
    assert np.median(late) < 0.25 * np.median(right)


def test_the_rate_of_words_does_not_stand_in_for_what_they_are(
    words: pd.DataFrame, states: xr.DataArray, bold: xr.DataArray
) -> None:
    # States have a mean, so that their course holds some of the rate: less, but not nothing.
    rate, full = score(word_rate(words), bold)[:N_TUNED], score(states, bold)[:N_TUNED]
    assert np.all(full > rate)
    assert np.median(rate) < 0.5 * np.median(full)
