"""What every latent model promises: masks honoured, ragged trials, labels, and nothing unsound."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

from neuroalign import latents, storage
from neuroalign.latents._base import LatentModel
from neuroalign.loaders import simulate_linear_dynamics

MODELS = [
    thing
    for thing in map(latents.__getattr__, latents.__all__)
    if isinstance(thing, type) and issubclass(thing, LatentModel)
]
ALIGNMENTS = {"affine", "rotation", "permutation_sign", "permutation"}
# Some stop before they converge on so little data, which they rightly say.
pytestmark = pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")


def _trials() -> xr.DataArray:
    return simulate_linear_dynamics(10, 24, 10, seed=3).responses


@cache
def _fit(model: Any) -> Any:
    return model().fit(_trials())


def _assert_same(first: Any, second: Any) -> None:
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("model", MODELS)
def test_fit_sets_what_it_promises(model: Any) -> None:
    fitted = _fit(model)
    assert isinstance(fitted.params_, xr.Dataset)
    assert fitted.identifiability_ in ALIGNMENTS
    assert fitted.log_prob_kind_ in {"exact", "elbo", "laplace"}
    assert isinstance(fitted.converged_, bool)
    assert fitted.n_iter_ >= 0
    assert all(isinstance(line, str) for line in fitted.warnings_)
    assert np.isfinite(fitted.score(_trials()))


@pytest.mark.parametrize("model", MODELS)
def test_latents_and_rates_keep_the_labels(model: Any) -> None:
    X = _trials()
    z, rates = _fit(model).transform(X), _fit(model).predict_rates(X)
    assert z.dims == ("sample", "time", "latent")
    assert rates.dims == X.dims
    assert rates["neuroid"].values.tolist() == X["neuroid"].values.tolist()
    for found in (z, rates):
        assert found["stimulus"].values.tolist() == X["stimulus"].values.tolist()
        assert np.isfinite(found.values).all()
    assert _fit(model).log_prob(X).dims == ("sample",)


@pytest.mark.parametrize("model", MODELS)
def test_labels_do_not_change_the_numbers(model: Any) -> None:
    bare = _fit(model).transform(_trials().values)
    np.testing.assert_array_equal(bare, _fit(model).transform(_trials()).values)


@pytest.mark.parametrize("model", MODELS)
def test_two_fits_are_the_same_and_leave_inputs_and_parameters_alone(model: Any) -> None:
    X = _trials()
    before, asked = X.copy(deep=True), str(model().get_params())
    again = clone(model()).fit(X)
    assert X.identical(before)
    assert str(again.get_params()) == asked
    xr.testing.assert_identical(again.params_, _fit(model).params_)


@pytest.mark.parametrize("model", MODELS)
def test_hidden_entries_do_not_change_predictions(model: Any, rng: np.random.Generator) -> None:
    X = _trials()
    mask = rng.uniform(size=X.shape) < 0.3
    altered = X.copy(data=np.where(mask, 7.0, X.values))
    fitted = _fit(model)
    for method in (fitted.transform, fitted.predict_rates, fitted.log_prob):
        _assert_same(method(X, mask=mask), method(altered, mask=mask))


@pytest.mark.parametrize("model", MODELS)
def test_hidden_entries_do_not_change_a_fit(model: Any, rng: np.random.Generator) -> None:
    X = _trials()
    mask = rng.uniform(size=X.shape) < 0.1
    altered = X.copy(data=np.where(mask, np.nan, X.values))
    one, other = model().fit(X, mask=mask), model().fit(altered)
    xr.testing.assert_allclose(one.params_, other.params_)
    assert np.isfinite(other.predict_rates(altered).values).all()


@pytest.mark.parametrize("model", MODELS)
def test_a_hidden_unit_is_predicted_without_itself(model: Any) -> None:
    X = _trials()
    mask = np.arange(10) == 4
    altered = X.copy()
    altered[:, 4] = 9.0
    _assert_same(
        _fit(model).predict_rates(X, mask=mask), _fit(model).predict_rates(altered, mask=mask)
    )


@pytest.mark.parametrize("model", MODELS)
def test_hidden_ends_are_forecast(model: Any) -> None:
    X = _trials()
    mask = np.zeros(X.shape, dtype=bool)
    mask[:, :, -5:] = True
    rates = _fit(model).predict_rates(X, mask=mask).values[:, :, -5:]
    assert np.isfinite(rates).all()
    assert rates.mean() == pytest.approx(X.values.mean(), rel=0.6)


@pytest.mark.parametrize("model", MODELS)
def test_ragged_trials_are_as_a_list_and_as_padding(model: Any) -> None:
    X = _trials().values
    ragged = [trial[:, : 24 - i % 4] for i, trial in enumerate(X)]
    padded = np.full(X.shape, np.nan)
    for one, trial in zip(padded, ragged, strict=True):
        one[:, : trial.shape[1]] = trial
    fitted = model().fit(ragged)
    listed, laid = fitted.transform(ragged), fitted.transform(padded)
    for one, other in zip(listed, laid, strict=True):
        _assert_same(one, other[: len(one)])
        assert np.isnan(other[len(one) :]).all()
    _assert_same(fitted.log_prob(ragged), fitted.log_prob(padded))


@pytest.mark.parametrize("model", MODELS)
def test_a_shorter_trial_means_the_same_alone(model: Any) -> None:
    X = _trials().values
    ragged = [X[0], X[1][:, :15]]
    together = _fit(model).transform(ragged)[1]
    _assert_same(together, _fit(model).transform([X[1][:, :15]])[0])


@pytest.mark.parametrize("model", MODELS)
def test_an_unseen_trial_costs_nothing(model: Any) -> None:
    X = _trials().values.copy()
    X[0] = np.nan
    found = _fit(model).log_prob(X, mask=np.isnan(X))
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_continuous_runs_are_trials(model: Any) -> None:
    X = _trials()
    rows = X.values[:4].transpose(0, 2, 1).reshape(-1, 10)
    run = np.repeat([f"run-{i:02d}" for i in range(4)], 24)
    coords = {"run": ("sample", run), "onset": ("sample", np.tile(np.arange(24) * 0.02, 4))}
    flat = xr.DataArray(rows, dims=("sample", "neuroid"), coords=coords)
    found = _fit(model).transform(flat)
    assert found.dims == ("sample", "latent")
    _assert_same(found.values.reshape(4, 24, -1), _fit(model).transform(X[:4]).values)


@pytest.mark.parametrize("model", MODELS)
def test_parameters_are_finite_and_come_back_from_a_file(model: Any, tmp_path: Path) -> None:
    params = _fit(model).params_
    for variable in params.data_vars.values():
        assert np.isfinite(variable.values).all()
    storage.save(params, tmp_path / "params.nc")
    assert storage.load(tmp_path / "params.nc").identical(params)


@pytest.mark.parametrize("model", MODELS)
def test_samples_follow_the_seed(model: Any) -> None:
    X, Z = _fit(model).sample(3, 12, seed=1)
    assert X.sizes == {"sample": 3, "neuroid": 10, "time": 12}
    assert Z.sizes["time"] == 12
    np.testing.assert_array_equal(X.values, _fit(model).sample(3, 12, seed=1)[0].values)
    assert not np.array_equal(X.values, _fit(model).sample(3, 12, seed=2)[0].values)


@pytest.mark.parametrize("model", MODELS)
def test_silent_units_do_no_harm(model: Any) -> None:
    X = _trials().copy()
    X[:, 2] = 0.0
    fitted = model().fit(X)
    rates = fitted.predict_rates(X).values
    assert np.isfinite(rates).all()
    assert np.abs(rates[:, 2]).max() < 0.1


@pytest.mark.parametrize("ending", ["nc", "zarr"])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_comes_back_from_a_file_as_it_went(model: Any, ending: str, tmp_path: Path) -> None:
    fitted, X = _fit(model), _trials()
    again = model.load(fitted.save(tmp_path / f"model.{ending}"))
    assert str(again.get_params()) == str(fitted.get_params())
    for method in ("transform", "predict_rates", "log_prob"):
        one, other = (getattr(each, method)(X) for each in (fitted, again))
        assert one.identical(other)
    assert again.history_ == fitted.history_
    assert again.score(X) == fitted.score(X)
    _assert_same(again.sample(2, 8)[0], fitted.sample(2, 8)[0])
    if hasattr(fitted, "predict_states"):
        assert again.predict_states(X).identical(fitted.predict_states(X))
