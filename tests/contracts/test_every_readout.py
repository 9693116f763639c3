"""What every readout promises: scikit-learn's contract, labels, masks, seeds, ridge beside it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from neuroalign import evaluate
from neuroalign.encoders import readouts
from neuroalign.encoders.readouts import TrainingPlan
from neuroalign.errors import AlignError, FitError, NeuroalignWarning, SchemaError
from neuroalign.storage import load, save

READOUTS = [
    thing
    for thing in map(readouts.__getattr__, readouts.__all__)
    if isinstance(thing, type) and hasattr(thing, "_build")
]
SHORT = TrainingPlan(epochs=2, batch_size=16)
# Name of the readout -> {check: cause}; at most two each.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {}
pytestmark = pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")


def make_pair(rng: np.random.Generator, n: int = 40) -> tuple[xr.DataArray, xr.DataArray]:
    stimuli = [f"image-{i}" for i in range(n)]
    row, column = (place.ravel() for place in np.indices((3, 4)))
    tokens = rng.normal(size=(n, 12, 5)).astype(np.float32)
    features = xr.DataArray(
        tokens,
        dims=("sample", "token", "feature"),
        coords={
            "stimulus": ("sample", stimuli),
            "row": ("token", row),
            "column": ("token", column),
        },
    )
    values = tokens[:, 5] @ rng.normal(size=(5, 3)) + 0.1 * rng.normal(size=(n, 3))
    responses = xr.DataArray(
        values.astype(np.float32),
        dims=("sample", "neuroid"),
        coords={"stimulus": ("sample", stimuli), "neuroid": ["a", "b", "c"]},
        attrs={"kind": "responses", "modality": "fmri"},
    )
    return features, responses


@pytest.mark.slow
@pytest.mark.parametrize("readout", READOUTS)
def test_readout_keeps_the_scikit_learn_contract(
    readout: Any, broken_checks: Callable[..., list[str]]
) -> None:
    plan = TrainingPlan(epochs=60, learning_rate=0.02)
    made = readout(plan=plan, baseline=False, validation=0.0)
    assert broken_checks(made, EXPECTED_FAILURES.get(readout.__name__)) == []


@pytest.mark.parametrize("readout", READOUTS)
def test_labels_come_back_and_do_not_change_the_numbers(
    readout: Any, rng: np.random.Generator
) -> None:
    features, responses = make_pair(rng)
    predicted = readout(plan=SHORT).fit(features, responses).predict(features[:7])
    assert predicted.dims == ("sample", "neuroid")
    assert predicted["neuroid"].values.tolist() == ["a", "b", "c"]
    assert predicted["stimulus"].values.tolist() == features["stimulus"].values[:7].tolist()
    square = features.isel(token=slice(9)).drop_vars(["row", "column"])
    labelled = readout(plan=SHORT, validation=0.0).fit(square, responses).predict(square)
    bare = readout(plan=SHORT, validation=0.0).fit(square.values, responses.values)
    np.testing.assert_array_equal(labelled.values, bare.predict(square.values))


@pytest.mark.parametrize("readout", READOUTS)
def test_one_seed_gives_one_net_and_another_another(readout: Any, rng: np.random.Generator) -> None:
    features, responses = make_pair(rng)
    torch.manual_seed(5)
    first = readout(plan=SHORT).fit(features, responses).predict(features)
    torch.manual_seed(6)
    again = readout(plan=SHORT).fit(features, responses).predict(features)
    other = readout(plan=SHORT, seed=1).fit(features, responses).predict(features)
    np.testing.assert_array_equal(first.values, again.values)
    assert np.abs(first.values - other.values).max() > 1e-4


@pytest.mark.parametrize("readout", READOUTS)
def test_responses_that_were_not_seen_have_no_say(readout: Any, rng: np.random.Generator) -> None:
    features, responses = make_pair(rng)
    holed = responses.copy(deep=True)
    holed[10:20, 1] = np.nan
    filled = holed.fillna(1e6)
    options = {"plan": SHORT, "validation": 0.0}
    found = readout(**options).fit(features, holed).predict(features)
    wild = readout(**options).fit(features, filled).predict(features)
    assert np.isfinite(found.values).all()
    assert float(abs(found).max()) < 100 < float(abs(wild).max())
    with pytest.raises(ValueError, match="expected a response of every neuroid, got none of 1"):
        readout(**options).fit(features, responses.where(responses["neuroid"] != "b"))


@pytest.mark.parametrize("readout", READOUTS)
def test_a_store_gives_what_memory_gives(
    readout: Any, rng: np.random.Generator, tmp_path: Any
) -> None:
    features, responses = make_pair(rng)
    path = save(features.chunk({"sample": 7}), tmp_path / "tokens.zarr")
    plan = TrainingPlan(epochs=2, batch_size=16, block=7)
    held = readout(plan=plan).fit(features, responses).predict(features)
    stored = readout(plan=plan).fit(load(path).chunk({"sample": 7}), responses)
    np.testing.assert_allclose(stored.predict(load(path)).values, held.values, atol=1e-6)


@pytest.mark.parametrize("readout", READOUTS)
def test_ridge_on_the_same_tokens_stands_beside(readout: Any, rng: np.random.Generator) -> None:
    features, responses = make_pair(rng, 80)
    fitted = readout(plan=SHORT, validation=0.25).fit(features, responses)
    assert fitted.validation_score_.shape == fitted.baseline_score_.shape == (3,)
    assert (fitted.baseline_score_ > 0.3).all()


def test_ridge_stands_beside_tokens_of_a_store_that_can_be_held(
    rng: np.random.Generator, tmp_path: Any, monkeypatch: Any
) -> None:
    features, responses = make_pair(rng, 120)
    save(features, tmp_path / "features.zarr")
    lazy = load(tmp_path / "features.zarr").chunk({"sample": 50})
    held, stored = (
        readouts.FactorizedReadout(plan=SHORT, validation=0.25).fit(X, responses).baseline_score_
        for X in (features, lazy)
    )
    np.testing.assert_allclose(stored, held)
    monkeypatch.setattr("neuroalign.encoders.readouts._baseline.MOST_BYTES", 1000)
    with pytest.warns(NeuroalignWarning, match="expected at most .* GB of tokens for the ridge"):
        large = readouts.FactorizedReadout(plan=SHORT, validation=0.25).fit(lazy, responses)
    assert np.isnan(large.baseline_score_).all()


@pytest.mark.parametrize("readout", READOUTS)
def test_it_stands_in_cross_validation(readout: Any, rng: np.random.Generator) -> None:
    features, responses = make_pair(rng)
    result = evaluate.cross_validate(
        readout(plan=SHORT, baseline=False), features, responses, group=None, n_splits=2,
        ceiling=None,
    )  # fmt: skip
    assert dict(result["score"].sizes) == {"fold": 2, "neuroid": 3}
    assert np.isfinite(result["score"].values).all()


@pytest.mark.parametrize("readout", READOUTS)
def test_tokens_that_are_all_alike_do_not_swamp_the_start(
    readout: Any, rng: np.random.Generator
) -> None:
    """As those of images are: a loss of 1 is that of the mean."""
    tokens = np.repeat(rng.normal(size=(60, 1, 5)), 144, axis=1)
    plan = TrainingPlan(epochs=1, learning_rate=1e-6)
    fitted = readout(plan=plan, validation=0.0).fit(tokens, rng.normal(size=(60, 4)))
    assert fitted.history_[0].loss[0] < 4


@pytest.mark.parametrize("readout", READOUTS)
def test_an_ensemble_is_the_mean_of_its_nets(readout: Any, rng: np.random.Generator) -> None:
    features, responses = make_pair(rng)
    options = {"plan": SHORT, "validation": 0.0}
    both = readout(n_ensemble=2, **options).fit(features, responses).predict(features)
    parts = [
        readout(seed=seed, **options).fit(features, responses).predict(features) for seed in (0, 1)
    ]
    np.testing.assert_allclose(both.values, (parts[0] + parts[1]).values / 2, atol=1e-5)


@pytest.mark.parametrize("readout", READOUTS)
def test_other_rows_and_other_places_are_refused(readout: Any, rng: np.random.Generator) -> None:
    features, responses = make_pair(rng)
    with pytest.raises(AlignError, match="'image-39' against 'image-0' in row 0"):
        readout(plan=SHORT).fit(features, responses[::-1])
    fitted = readout(plan=SHORT, validation=0.0).fit(features, responses)
    with pytest.raises(SchemaError, match="12 tokens x 5 features at the places of training"):
        fitted.predict(features.isel(token=slice(6)))
    with pytest.raises(SchemaError, match=r"X: expected \(sample, token, feature\)"):
        readout(plan=SHORT).fit(features.rename(token="time"), responses)
    holed = features.where(features["stimulus"] != "image-3")
    with pytest.raises(ValueError, match=r"X: expected finite .* 1 rows \(first: 3\)"):
        readout(plan=SHORT).fit(holed, responses)


@pytest.mark.parametrize("readout", READOUTS)
def test_times_of_a_response_are_targets(readout: Any, rng: np.random.Generator) -> None:
    features, responses = make_pair(rng)
    timed = xr.concat([responses, -responses], dim="time").transpose("sample", "neuroid", "time")
    predicted = readout(plan=SHORT).fit(features, timed).predict(features)
    assert predicted.dims == ("sample", "neuroid", "time")


@pytest.mark.parametrize("readout", READOUTS)
def test_a_fit_that_was_stopped_continues(
    readout: Any, rng: np.random.Generator, tmp_path: Any, monkeypatch: Any
) -> None:
    features, responses = make_pair(rng)
    plan = TrainingPlan(epochs=4, batch_size=16)
    whole = readout(plan=plan).fit(features, responses)
    steps = iter(range(100))
    step = torch.optim.AdamW.step

    def break_off(self: Any, *arguments: Any) -> Any:
        if next(steps) == 7:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", break_off)
        with pytest.raises(KeyboardInterrupt):
            readout(plan=plan, checkpoint=tmp_path).fit(features, responses)
    resumed = readout(plan=plan, checkpoint=tmp_path).fit(features, responses)
    np.testing.assert_array_equal(whole.predict(features).values, resumed.predict(features).values)


# What another run has -> its features, responses and options. Means of features, which the net
# holds, are those of the first run in all of them.
OTHERS: dict[str, Any] = {
    "tokens in another order": lambda X, y: (X.copy(data=X.values[:, ::-1]), y, {}),
    "stimuli in another order": lambda X, y: (X.copy(data=X.values[::-1]), y, {}),
    "responses": lambda X, y: (X, y + 1e-3 * y.values[::-1], {}),
    "a response that was not seen": lambda X, y: (X, y.where(y != y[3, 1]), {}),
    "another loss": lambda X, y: (X, y, {"loss": "mse_concordance"}),
}


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("change", OTHERS)
def test_a_checkpoint_of_another_fit_is_refused(
    readout: Any, change: str, rng: np.random.Generator, tmp_path: Any
) -> None:
    features, responses = make_pair(rng)
    options = {"plan": SHORT, "validation": 0.0, "checkpoint": tmp_path}
    fitted = readout(**options).fit(features, responses)
    again = readout(**options, n_ensemble=2, progress=True).fit(features, responses)
    assert fitted.history_[0] == again.history_[0]
    *pair, changed = OTHERS[change](features, responses)
    with pytest.raises(FitError, match="checkpoint: expected the state of this run"):
        readout(**options | changed).fit(*pair)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("readout", READOUTS)
def test_a_gpu_gives_what_the_cpu_gives(
    readout: Any, rng: np.random.Generator, tmp_path: Any
) -> None:
    features, responses = make_pair(rng)
    plan = TrainingPlan(epochs=4, batch_size=16)
    options: dict[str, Any] = {"validation": 0.25, "baseline": False}
    if "dropout" in readout().get_params():
        options["dropout"] = 0.0  # Devices draw other noise.
    here = readout(plan=plan, **options).fit(features, responses).predict(features)
    there = readout(plan=plan, device="cuda", checkpoint=tmp_path, **options)
    expected = there.fit(features, responses).predict(features)
    np.testing.assert_allclose(expected, here, atol=0.02)
    np.testing.assert_array_equal(there.fit(features, responses).predict(features), expected)
    half = TrainingPlan(epochs=4, batch_size=16, precision="bfloat16")
    rough = readout(plan=half, device="cuda", **options).fit(features, responses)
    np.testing.assert_allclose(rough.predict(features), here, atol=0.2)
