"""Responses in time: every sensor and time from one factorisation, as if each were alone."""

from typing import Any

import numpy as np
import pytest

from neuroalign import _gram, _linalg
from neuroalign.encoders import Ridge
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import features_from_arrays, from_arrays


def make_study(rng: np.random.Generator, channels: int, times: int) -> tuple[Any, Any]:
    X = rng.normal(size=(120, 5))
    Y = np.einsum("nf,fct->nct", X, rng.normal(size=(5, channels, times)))
    names = [f"word-{i}" for i in range(120)]
    responses = from_arrays(
        Y + 3 * rng.normal(size=Y.shape), stimulus=names, run=np.repeat(list("abcd"), 30),
        modality="meg", time=0.01 * np.arange(times), dtype="float64",
    )  # fmt: skip
    return features_from_arrays(X, stimulus=names, dtype="float64"), responses


def test_scores_in_time_equal_those_of_each_time_alone(rng: np.random.Generator) -> None:
    features, responses = make_study(rng, 3, 4)
    together = cross_validate(Ridge(), features, responses)
    assert together["score"].dims == ("fold", "neuroid", "time")
    assert together["alpha"].dims == ("fold", "neuroid", "time")
    for number in range(4):
        alone = cross_validate(Ridge(), features, responses[:, :, number])
        for name in ("score", "alpha"):
            np.testing.assert_allclose(
                together[name].values[:, :, number], alone[name].values, rtol=1e-9
            )


def test_sensors_and_times_share_their_factorisations(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    original = _linalg.eigh_ranked

    def count(gram: Any) -> Any:
        counts[-1] += 1
        return original(gram)

    monkeypatch.setattr(_linalg, "eigh_ranked", count)
    monkeypatch.setattr(_gram, "eigh_ranked", count)
    for channels, times in ((1, 1), (20, 30)):
        counts.append(0)
        cross_validate(Ridge(), *make_study(rng, channels, times), ceiling=None)
    # At most one for all rows and one an inner fold, in each of four folds.
    assert max(counts) <= 4 * 6
