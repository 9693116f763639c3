"""Courses of responses are predicted, noise is taken out, and said where it cannot be."""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter1d
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge as SklearnRidge

from neuroalign import schema, storage
from neuroalign._folds import make_folds
from neuroalign.convergence import _courses, compare_futures
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError
from neuroalign.loaders import from_arrays, simulate_scenes

TRUE_R = 0.7


def _course(rng: np.random.Generator, n: int, k: int, length: int) -> np.ndarray:
    """Smooth courses (film, column, time) of unit variance."""
    values = gaussian_filter1d(rng.normal(size=(n, k, length)), 2, axis=2)
    scaled: np.ndarray = values / values.std(axis=(0, 2), keepdims=True)
    return scaled


def _plant(
    rng: np.random.Generator, snr: float, n: int = 100, t: int = 30, repeats: int = 6
) -> tuple[xr.DataArray, xr.DataArray]:
    """Signals that the features explain to r = 0.7, in trials with noise that lasts."""
    names, time = [f"film-{i:03d}" for i in range(n)], np.arange(30) / 20
    X = _course(rng, n, 8, 30)
    linear = np.einsum("npt,pk->nkt", X, rng.normal(size=(8, t)))
    linear /= linear.std(axis=(0, 2), keepdims=True)
    signal = TRUE_R * linear + np.sqrt(1 - TRUE_R**2) * _course(rng, n, t, 30)
    noise = gaussian_filter1d(rng.normal(size=(repeats, n, t, 30)), 1, axis=3)
    trials = signal + noise / noise.std() / np.sqrt(snr)
    responses = from_arrays(
        trials.reshape(-1, t, 30), stimulus=names * repeats, time=time, modality="model"
    )
    return _label(X, names, time), responses


def _label(values: np.ndarray, names: list[str], time: np.ndarray) -> xr.DataArray:
    coords = {"stimulus": ("sample", names), "time": time}
    return xr.DataArray(values.astype("float32"), coords, ("sample", "feature", "time"))


@pytest.mark.parametrize("snr", [0.1, 0.3, 1, 3, 10])
def test_the_true_correlation_comes_back_from_courses(snr: float, rng: np.random.Generator) -> None:
    features, responses = _plant(rng, snr)
    result = compare_futures({"model": features}, responses, n_halves=4, n_resamples=50)
    schema.check(result)
    found = result["corrected"].values[0, 0]
    assert np.isfinite(found).all()
    assert result.attrs["n_not_estimable"] == 0
    assert np.mean(found) == pytest.approx(TRUE_R, abs=0.03)
    assert np.std(found) < 0.1
    assert float(result["raw"].mean()) < np.mean(found)
    assert float(result["lower"][0, 0]) < TRUE_R + 0.03
    assert float(result["upper"][0, 0]) > TRUE_R - 0.03


def test_an_odd_number_of_trials_is_no_bias(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 0.2, repeats=3)
    result = compare_futures({"model": features}, responses, n_halves=4, n_resamples=5)
    # Halves of one trial each, doubled, would give 0.83.
    assert float(result["corrected"].mean()) == pytest.approx(TRUE_R, abs=0.04)
    assert "window" in result.dims


@pytest.mark.parametrize(("snr", "repeats"), [(0.3, 6), (0.5, 5), (10.0, 4)])
def test_noise_of_another_animal_is_corrected_too(snr: float, repeats: int) -> None:
    scenes = simulate_scenes(60, 10, n_repeats=repeats, snr=snr, seed=3)
    result = compare_futures(
        {}, scenes.responses["sub-01"], others={"sub-02": scenes.responses["sub-02"]},
        n_halves=4, n_resamples=5,
    )  # fmt: skip
    # All subjects follow the same few quantities: without noise each tells the other wholly.
    assert float(result["median"][0, 0]) == pytest.approx(1, abs=0.05)
    if snr < 1:
        assert float(result["raw"].median()) < 0.85


def test_an_encoder_that_knows_no_groups_is_fitted_too(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 3.0, n=12, t=2, repeats=2)
    one, two = (
        compare_futures({"m": features}, responses, encoder=model, n_halves=1, n_resamples=5)
        for model in (SklearnRidge(3.0), _Grouped())
    )
    xr.testing.assert_allclose(one["raw"], two["raw"])


def test_without_signal_it_says_that_it_cannot(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 0.001)
    with pytest.warns(NeuroalignWarning, match=r"got \d+ of 30 without \('neuroid-0000'"):
        result = compare_futures({"model": features}, responses, n_halves=4, n_resamples=50)
    missing = np.isnan(result["corrected"].values[0, 0])
    assert missing.sum() == result.attrs["n_not_estimable"] > 25
    assert np.isnan(result["median"].values).all()
    assert np.isfinite(result["raw"].values).all()
    assert "'model' in window 'all'" in result.attrs["warnings"]
    assert "not defined" in result.attrs["verdict"]


def _split_trials(
    responses: xr.DataArray, codes: np.ndarray, names: np.ndarray, rng: np.random.Generator
) -> tuple[xr.DataArray, xr.DataArray]:
    """Halves that a test can know: the first trials and the last ones."""
    first = responses["repeat"].values < 2
    one, two = (responses[part].groupby("stimulus").mean("sample") for part in (first, ~first))
    return one.transpose("stimulus", ...), two.transpose("stimulus", ...)


def test_the_formula_is_that_of_the_paper(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, responses = _plant(rng, 1.0, n=12, t=3, repeats=4)
    other = responses + 0.5 * _plant(rng, 1.0, n=12, t=3, repeats=4)[1]
    monkeypatch.setattr(_courses, "draw_halves", _split_trials)
    encoder = _Grouped()
    result = compare_futures(
        {"model": features}, responses, others={"sub-02": other}, encoder=encoder, n_halves=1,
        n_splits=3, min_consistency=0.0, n_resamples=10,
    )  # fmt: skip
    y, z = (_by_hand(one) for one in (responses, other))
    x = [features.values.astype(float).transpose(0, 2, 1)] * 3
    names = features["stimulus"].values
    folds = make_folds(12, groups=names, n_splits=3, seed=0, shuffle_groups=True)
    for row, source in enumerate((x, z)):
        np.testing.assert_allclose(
            result["corrected"].values[row, 0], _work_out(source, y, folds), rtol=1e-5
        )


def _by_hand(responses: xr.DataArray) -> list[np.ndarray]:
    """Full average and both halves (film, time, neuroid)."""
    trials = responses.values.astype(float).reshape(4, 12, 3, 30)
    return [one.mean(axis=0).transpose(0, 2, 1) for one in (trials, trials[:2], trials[2:])]


def _work_out(source: list[np.ndarray], target: list[np.ndarray], folds: Any) -> np.ndarray:
    r, model, data = [], [], []
    for train, test in folds:
        guess = [
            SklearnRidge(3.0)
            .fit(x[train].reshape(-1, x.shape[2]), y[train].reshape(-1, 3))
            .predict(x[test].reshape(-1, x.shape[2]))
            for x, y in zip(source, target, strict=True)
        ]
        true = [y[test].reshape(-1, 3) for y in target]
        r.append(_relate(guess[0], true[0]))
        model.append(_relate(guess[1], guess[2]))
        data.append(_relate(true[1], true[2]))
    p, q = np.mean(model, axis=0), np.mean(data, axis=0)
    both = 2 * p / (1 + p) * 2 * q / (1 + q)
    return np.where((p > 0) & (q > 0), np.mean(r, axis=0) / np.sqrt(np.abs(both)), np.nan)


def _relate(one: np.ndarray, two: np.ndarray) -> list[float]:
    return [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, two.T, strict=True)]


class _Grouped(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """scikit-learn's ridge, which notes the films it was fitted to."""

    seen: ClassVar[list[tuple[int, int]]] = []

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        self.model_ = SklearnRidge(3.0).fit(X, y)
        counts = np.unique(groups, return_counts=True)[1]
        self.seen.append((len(X), int(counts.min())))
        return self

    def predict(self, X: Any) -> Any:
        return self.model_.predict(X)


def test_frames_of_a_film_are_never_divided(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 1.0, n=10, t=2, repeats=2)
    _Grouped.seen.clear()
    compare_futures({"m": features}, responses, encoder=_Grouped(), n_halves=1, n_resamples=5)
    assert _Grouped.seen == [(8 * 30, 30)] * 5


def test_another_animal_is_at_the_ceiling_and_a_window_is_its_frames() -> None:
    scenes = simulate_scenes(40, 12, snr=1.0, seed=1)
    hidden = scenes.truth["occluded"]
    place = scenes.truth["position"].rename(axis="feature").transpose("sample", "feature", "time")
    result = compare_futures(
        {"place": place}, scenes.responses["sub-01"], windows={"hidden": hidden},
        others={"sub-02": scenes.responses["sub-02"]}, n_halves=4, n_resamples=50,
    )  # fmt: skip
    assert result["source"].values.tolist() == ["model", "subject"]
    ceiling = result["corrected"].sel(predictor="sub-02").values
    assert np.abs(ceiling - 1).max() < 0.15
    assert np.median(ceiling, axis=1) == pytest.approx(1, abs=0.03)
    model = result["corrected"].sel(predictor="place")
    assert float(model.max()) == pytest.approx(1, abs=0.05)
    assert float(model[0].median()) < 0.7
    gap = result["difference"].sel(predictor="sub-02", predictor_other="place", window="all")
    back = result["difference"].sel(predictor="place", predictor_other="sub-02", window="all")
    assert float(gap) == pytest.approx(-float(back))
    known = np.isfinite(scenes.encoder.values).all(axis=1)
    assert result.attrs["n_frames"] == known.sum()


def test_only_what_differs_between_films_passes_the_null(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 1.0, n=30, t=4, repeats=4)
    common = 2 * np.sin(5 * responses["time"].values).astype("float32")
    shared = xr.zeros_like(features[:, :1]) + common
    noise = features.copy(data=rng.normal(size=features.shape).astype("float32"))
    predictors = {
        name: xr.concat([one, shared], "feature")
        for name, one in (("model", features), ("clock", noise))
    }
    result = compare_futures(
        predictors, responses + common, n_halves=2, n_permutations=99, n_resamples=20
    )
    assert result["null"].shape == (99, 2, 1)
    # Both tell the time of a film, and only the model tells which film it is.
    assert (result["median"] > 0.5).all()
    p_value = result["p_value"].values[:, 0]
    assert p_value[0] == pytest.approx(0.01)
    assert p_value[1] > 0.03
    assert float(result["null"].sel(predictor="model").mean()) < float(result["median"][0, 0])


def test_order_of_films_and_trials_makes_no_difference(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 3.0, n=20, t=3, repeats=2)
    one, two = (
        compare_futures({"m": array}, responses, n_halves=2, n_resamples=5)
        for array in (features, features[::-1])
    )
    xr.testing.assert_equal(one["corrected"], two["corrected"])


def test_an_animal_is_no_ceiling_for_itself(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 3.0, n=8, t=3, repeats=2)
    with pytest.raises(
        AlignError, match=r"others\['me'\]: expected neuroids of another an.* got 2"
    ):
        compare_futures({"m": features}, responses, others={"me": responses[:, 1:]}, n_halves=1)


def test_results_survive_storage(tmp_path: Path, rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 0.01, n=20, t=3, repeats=2)
    with pytest.warns(NeuroalignWarning):
        result = compare_futures({"m": features}, responses, n_halves=2, n_resamples=5)
    storage.save(result, tmp_path / "futures.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "futures.nc"), result)


def test_faults_are_named(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 1.0, n=12, t=2, repeats=2)
    with pytest.raises(ValueError, match="features: expected a predictor or more, got none"):
        compare_futures({}, responses)
    with pytest.raises(ValueError, match="n_splits: expected at least 2, got 1"):
        compare_futures({"m": features}, responses, n_splits=1)
    with pytest.raises(ValueError, match="others: expected names that no predictor has, got 'm'"):
        compare_futures({"m": features}, responses, others={"m": responses})
    with pytest.raises(SchemaError, match="every condition twice or more, got 12 shown once"):
        compare_futures({"m": features}, responses[:12])
    with pytest.raises(SchemaError, match=r"responses: expected dims \('sample', 'neuroid', 'tim"):
        compare_futures({"m": features}, responses[..., 0])
    with pytest.raises(SchemaError, match=r"features\['m'\]: expected a DataArray \('sample', 'fe"):
        compare_futures({"m": features[..., 0]}, responses)
    with pytest.raises(AlignError, match=r"features\['m'\]: expected the times of responses, got"):
        compare_futures({"m": features[..., 1:]}, responses)
    with pytest.raises(AlignError, match="got 2 that are missing or there again"):
        compare_futures({"m": features[2:]}, responses)
    with pytest.raises(AlignError, match="expected 5 films or more with frames known everywhere"):
        compare_futures({"m": features.where(features["stimulus"] < "film-003")}, responses)
    with pytest.raises(SchemaError, match=r"windows\['w'\]: expected bool"):
        compare_futures({"m": features}, responses, windows={"w": features[:, 0]})


def test_a_predictor_that_says_nothing_is_told_from_noisy_responses() -> None:
    scenes = simulate_scenes(20, 4, n_repeats=2, snr=10.0, seed=3)
    responses = scenes.responses["sub-01"]
    hidden = scenes.encoder.copy(data=np.zeros(scenes.encoder.shape, dtype="float32"))
    none = xr.zeros_like(scenes.encoder[:, 0], dtype=bool)
    with pytest.warns(NeuroalignWarning, match="And 1 more such lines"):
        result = compare_futures(
            {"blind": hidden}, responses, windows={"none": none}, n_halves=1, n_resamples=5
        )
    empty, blind = result.attrs["warnings"].split("\n")
    assert empty.startswith("windows['none']: expected two frames or more")
    assert blind.startswith("predictions by 'blind' in window 'all': expected maps to both halves")


def test_predictors_must_be_named(rng: np.random.Generator) -> None:
    features, responses = _plant(rng, 1.0, n=8, t=2, repeats=2)
    with pytest.raises(SchemaError, match="features, others: expected a mapping of name to DataAr"):
        compare_futures(features, responses)  # type: ignore[arg-type]
