"""Models followed over their training, planted and trained on the spot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.datasets import load_digits

from neuroalign import convergence, features, report, schema, storage
from neuroalign._training import TrainingPlan, fit_module
from neuroalign.convergence import compare_order, measure_distances, tabulate_trace, trace
from neuroalign.convergence._checkpoints import _sign_checkpoint, sign_stimuli
from neuroalign.convergence._trace_scores import collect_warnings
from neuroalign.errors import NeuroalignWarning, SchemaError
from neuroalign.loaders import from_arrays, simulate_layered_cortex
from tests.report.reading import read

ROIS = ("V1", "V2", "V4", "LO", "IT")
# Share of training at which half of each layer's variance is learnt.
LEARNT_AT = {"layer0": 4, "layer1": 8, "layer2": 16, "layer3": 32, "layer4": 64}
STEPS = (0, 2, 4, 8, 16, 32, 64, 128, 256)
Layers = dict[str, xr.DataArray]


def grow(layers: Layers) -> dict[float, Layers]:
    """Layers that turn from noise to what the cortex reads, the first of them first."""
    rng = np.random.default_rng(11)
    noise = {name: rng.normal(size=one.shape).astype("float32") for name, one in layers.items()}
    grown = {}
    for step in STEPS:
        share = {name: step / (step + at) for name, at in LEARNT_AT.items()}
        grown[float(step)] = {
            name: np.sqrt(share[name]) * one + np.sqrt(1 - share[name]) * noise[name]
            for name, one in layers.items()
        }
    return grown


@pytest.fixture(scope="module")
def cortex(layers: Layers) -> xr.DataArray:
    return simulate_layered_cortex(
        layers,
        {roi: f"layer{index}" for index, roi in enumerate(ROIS)},
        n_neuroids_per_roi=16,
        n_repeats=2,
        noise=0.7,
        n_components=5,
    )


@pytest.fixture(scope="module")
def traced(layers: Layers, cortex: xr.DataArray) -> xr.Dataset:
    ranks = {roi: index for index, roi in enumerate(ROIS)}
    far = measure_distances(cortex, hierarchy=ranks)
    return trace(grow(layers), None, cortex, distances=far, n_spins=20, n_resamples=100)


def test_what_has_learnt_nothing_scores_about_zero(traced: xr.Dataset) -> None:
    untrained = traced.sel(step=0)
    assert (np.abs(untrained["encoding_score"]) < 0.1).all()
    near = untrained.sel(rule="best", unit="neuroid")
    assert (near["spatial_lower"] < 0.1).all()
    assert (np.abs(near["spatial_score"]) < 0.35).all()


def test_what_has_learnt_all_scores_as_planted(traced: xr.Dataset) -> None:
    trained = traced.sel(step=256)
    assert float(trained["encoding_score"].sel(statistic="mean_of_best")) > 0.5
    own = trained.sel(rule="best", unit="neuroid", distance="hierarchy")
    assert float(own["spatial_score"]) > 0.9


def test_half_times_follow_the_planted_order(traced: xr.Dataset) -> None:
    times = traced["half_time"].sel(region=list(ROIS))
    assert (np.diff(times) > 0).all()
    assert ((traced["half_time_lower"] <= times) & (times <= traced["half_time_upper"])).all()
    order = xr.Dataset({"planted": ("roi", list(LEARNT_AT.values()))}, {"roi": list(ROIS)})
    assert float(
        compare_order(times.rename(region="roi"), order)["spearman"].item()
    ) == pytest.approx(1)


def test_tables_hold_the_numbers(traced: xr.Dataset) -> None:
    tables = tabulate_trace(traced)
    assert tables["scores"].shape == (len(STEPS), 3 + 3 * 2 * 2)
    np.testing.assert_array_equal(tables["half_times"]["half_time"], traced["half_time"])
    assert "encoding" in tables["courses"].index
    with pytest.raises(SchemaError, match="traced: expected a result of trace"):
        tabulate_trace(traced.assign_attrs(method="other"))


def test_the_result_passes_the_schema_and_is_stored(traced: xr.Dataset, tmp_path: Path) -> None:
    schema.check(traced)
    storage.save(traced, tmp_path / "trace.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "trace.nc"), traced)


def counted(one: Layers, calls: list[int]) -> Callable[[], Layers]:
    def load() -> Layers:
        calls.append(1)
        return one

    return load


def test_an_interrupted_trace_goes_on_to_the_same_result(
    layers: Layers, cortex: xr.DataArray, tmp_path: Path
) -> None:
    grown = {step: one for step, one in grow(layers).items() if step in (0, 16, 256)}
    options: dict[str, Any] = {"n_resamples": 10, "ceiling": None, "control": False}
    calls: list[int] = []
    lazy = {step: counted(one, calls) for step, one in grown.items()}
    whole = trace(lazy, None, cortex, folder=tmp_path, **options)
    (tmp_path / "step-16.nc").unlink()
    again = trace(lazy, None, cortex, folder=tmp_path, **options)
    assert len(calls) == 4
    xr.testing.assert_identical(again, whole)


def test_a_damaged_file_is_computed_anew_and_another_request_refused(
    layers: Layers, cortex: xr.DataArray, tmp_path: Path
) -> None:
    grown = {step: one for step, one in grow(layers).items() if step in (0, 256)}
    options: dict[str, Any] = {"n_resamples": 10, "ceiling": None, "folder": tmp_path}
    whole = trace(grown, None, cortex, **options)
    path = tmp_path / "step-256.nc"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.warns(NeuroalignWarning, match="computed anew"):
        again = trace(grown, None, cortex, **options)
    xr.testing.assert_identical(again, whole)
    with pytest.raises(FileExistsError, match="same request"):
        trace(grown, None, cortex, **(options | {"group": None}))


def test_time_resolved_responses_bring_the_temporal_score(
    layers: Layers, cortex: xr.DataArray
) -> None:
    time = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    # Each region answers in its own time bin.
    gain = np.repeat(np.eye(5), 16, axis=0)
    noise = 0.5 * np.random.default_rng(0).normal(size=(*cortex.shape, 5))
    cube = (cortex.expand_dims(time=time, axis=-1) * gain[None] + noise).astype("float32")
    grown = {step: one for step, one in grow(layers).items() if step in (0, 256)}
    found = trace(grown, None, cube, ceiling=None, n_resamples=20)
    final = found["temporal_score"].sel(step=256, latency_rule="peak")
    assert float(final) > 0.9
    np.testing.assert_allclose(found["latency"].sel(step=256, latency_rule="peak"), time, atol=0.05)


class Bent(torch.nn.Module):
    """Weights of a line, bent by what the class says."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        return torch.tanh(self.line(x))


class Cut(Bent):
    def forward(self, x: Any) -> Any:
        return torch.relu(self.line(x))


def make_chain(bend: torch.nn.Module) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return torch.nn.Sequential(torch.nn.Linear(6, 6), bend, torch.nn.Linear(6, 4))


def make_bent(kind: type[Bent]) -> Bent:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return kind()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (make_chain(torch.nn.ReLU()), make_chain(torch.nn.Tanh())),
        (make_bent(Bent), make_bent(Cut)),
        (make_bent(Bent), make_bent(Bent).double()),
    ],
    ids=["layers", "code", "precision"],
)
def test_networks_with_the_same_weights_are_told_apart(one: Any, other: Any) -> None:
    import copy

    weights = [list(net.state_dict().values()) for net in (one, other)]
    assert all(torch.equal(a.double(), b.double()) for a, b in zip(*weights, strict=True))
    assert _sign_checkpoint(one) != _sign_checkpoint(other)
    assert _sign_checkpoint(one) == _sign_checkpoint(copy.deepcopy(one))


def test_another_network_with_the_same_weights_is_not_resumed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"s{row:02d}" for row in range(30)]
    shown = xr.DataArray(
        rng.normal(size=(30, 6)).astype("float32"), {"stimulus": ("sample", names)},
        ("sample", "pixel"),
    )  # fmt: skip
    responses = from_arrays(rng.normal(size=(30, 3)), stimulus=names, modality="model")
    options: dict[str, Any] = {
        "layers": ["0", "1"], "by": None, "ceiling": None, "control": False, "n_resamples": 5,
        "folder": tmp_path, "group": None,
    }  # fmt: skip
    first = {step: make_chain(torch.nn.ReLU()) for step in (0, 1)}
    trace(first, shown, responses, **options)
    with pytest.raises(FileExistsError, match="expected the result of the same request"):
        trace({step: make_chain(torch.nn.Tanh()) for step in (0, 1)}, shown, responses, **options)


def test_stimuli_in_files_are_known_by_content(tmp_path: Path) -> None:
    path, copied = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(b"12345")
    copied.write_bytes(b"12345")
    signed = sign_stimuli({"one": path})
    assert sign_stimuli({"one": copied}) == signed
    path.write_bytes(b"12346")
    assert sign_stimuli({"one": path}) != signed


def test_provenance_tells_what_was_encoded_and_how(layers: Layers, cortex: xr.DataArray) -> None:
    grown = {step: one for step, one in grow(layers).items() if step in (0, 16, 256)}
    options: dict[str, Any] = {"ceiling": None, "n_resamples": 10, "over": "fold"}
    one, same = (trace(grown, None, cortex, **options).attrs for _ in range(2))
    swapped = grown | {16.0: grown[0.0]}
    other = trace(swapped, None, cortex, **options).attrs
    assert one["provenance"] == same["provenance"]
    told, changed = (json.loads(attrs["provenance"]) for attrs in (one, other))
    assert told["parameters"]["over"] == "fold"
    differ = {key for key in told["inputs"] if told["inputs"][key] != changed["inputs"][key]}
    assert differ == {"step 16"}
    assert one["model"] == "features"


def test_what_regions_are_called_by_is_checked_before_the_work(cortex: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match="by: expected a coord on 'neuroid' of responses, got 'a"):
        trace({0: 3, 1: 4}, None, cortex, by="area")


@pytest.mark.parametrize(
    ("checkpoints", "match"),
    [
        ({"first": {}, "last": {}}, "named by their training step, got 'first'"),
        ({1: {}}, "got 1 checkpoints"),
        ({0: 3, 1: 4}, r"expected a torch\.nn\.Module"),
    ],
)
def test_checkpoints_are_checked(checkpoints: Any, match: str, cortex: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match=match):
        trace(checkpoints, None, cortex, ceiling=None)


def test_layers_must_be_the_same_at_each_checkpoint(layers: Layers, cortex: xr.DataArray) -> None:
    fewer = dict(list(layers.items())[:3])
    with pytest.raises(SchemaError, match=r"checkpoints\[1\]: expected the layers"):
        trace({0: layers, 1: fewer}, None, cortex, ceiling=None, control=False)


def train_on_digits() -> tuple[dict[float, torch.nn.Module], dict[str, Any], list[float]]:
    """A net of three layers that learns to read digits; its weights as it learns."""
    import copy

    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32)
    classes = torch.tensor(labels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Linear(64, 40), torch.nn.ReLU(),
            torch.nn.Linear(40, 30), torch.nn.ReLU(),
            torch.nn.Linear(30, 10),
        )  # fmt: skip
    kept, losses = {0.0: copy.deepcopy(net)}, []
    epochs = 0
    for more in (1, 2, 5, 12):
        history = fit_module(
            net,
            lambda module, batch: torch.nn.functional.cross_entropy(module(batch[0]), batch[1]),
            lambda rows: (images[rows], classes[rows]),
            1500,
            plan=TrainingPlan(epochs=more, learning_rate=3e-3),
            seed=more,
        )
        epochs += more
        losses.append(history.loss[-1])
        kept[float(epochs)] = copy.deepcopy(net)
    stimuli = {f"digit-{row}": images[row].numpy() for row in range(1500, 1740)}
    return kept, stimuli, losses


@pytest.mark.slow
def test_a_net_trained_on_the_spot_converges_on_a_cortex_that_reads_its_late_layers(
    tmp_path: Path,
) -> None:
    checkpoints, stimuli, losses = train_on_digits()
    assert losses[-1] < 0.1 < losses[0]
    names = ["1", "3", "4"]
    shown = xr.DataArray(
        np.stack(list(stimuli.values())),
        dims=("sample", "pixel"),
        coords={"stimulus": ("sample", list(stimuli))},
    )
    last = features.extract(checkpoints[20.0], shown, names, progress=False)
    cortex = simulate_layered_cortex(
        last, {"V1": "1", "V4": "3", "IT": "4"},
        n_neuroids_per_roi=30, n_repeats=2, noise=0.5, n_components=8,
    )  # fmt: skip
    far = measure_distances(cortex, hierarchy={"V1": 0, "V4": 1, "IT": 2})
    options: dict[str, Any] = {
        "distances": far, "folder": tmp_path, "n_spins": 100, "baseline": "first",
    }  # fmt: skip
    found = trace(checkpoints, shown, cortex, names, **options)
    best = found["encoding_score"].sel(statistic="mean_of_best")
    assert (np.diff(best) > 0).all()
    assert float(best[-1]) > float(best[0]) + 0.05
    assert float(best[-1]) > float(found["control_encoding"].sel(statistic="mean_of_best")) + 0.03
    near = {"distance": "hierarchy", "rule": "best", "unit": "neuroid"}
    spatial = found["spatial_score"].sel(near)
    # An untrained net is best read at its first layer wherever one looks.
    assert abs(float(spatial[0])) < 0.25
    assert float(spatial[-1]) > 0.6
    assert abs(float(found["control_spatial"].sel(near))) < 0.35
    tables = convergence.tabulate_trace(found)
    assert ((tables["half_times"]["half_time"] > 0) & (tables["half_times"]["half_time"] < 8)).all()
    assert (
        tables["courses"].loc["encoding"].item() < tables["courses"].loc["spatial hierarchy"].item()
    )
    again = trace(checkpoints, shown, cortex, names, **options)
    xr.testing.assert_identical(again, found)
    path = report.write_html({"digits": found}, tmp_path / "digits.html")
    page = read(path)
    for title in ("Scores over training", "Half-times"):
        assert title in path.read_text(encoding="utf-8")
    drawn = [attrs["alt"] for attrs in page.find("img") if attrs["src"].startswith("data:image")]
    assert any("Courses of scores over training steps" in alt for alt in drawn)
    assert not [text for text in page.text["p"] + page.text["li"] if "left out" in text]


def test_what_a_trace_cannot_tell_is_said(layers: Layers, cortex: xr.DataArray) -> None:
    noise = {name: one.copy(data=one.values[::-1]) for name, one in layers.items()}
    once = cortex[cortex["repeat"].values == 0]
    found = trace(
        {0: layers, 1: layers, 2: noise}, None, once, by=None, n_resamples=5, control=False,
        baseline="first",
    )  # fmt: skip
    assert "the encoding score does not rise" in found.attrs["verdict"]
    missing = f"got none for {once.sizes['neuroid']} of {once.sizes['neuroid']}, as without rep"
    assert missing in found.attrs["warnings"]
    flat = trace({0: layers, 1: layers}, None, cortex, by=None, n_resamples=5, control=False)
    assert "is above half of its end from step 0, the first" in flat.attrs["verdict"]
    assert "got 1 of 1 above it at step 0 ('all')" in flat.attrs["warnings"]
    with pytest.raises(ValueError, match="n_spins: expected 0 or more, got -1"):
        trace({0: layers, 1: layers}, None, cortex, n_spins=-1)


def test_a_control_as_good_as_the_trained_network_is_named() -> None:
    score = xr.DataArray([[0.7, 0.78]], dims=("statistic", "step"), coords={"step": [0, 1]})
    score = score.assign_coords(statistic=["mean_of_best"])
    found = xr.Dataset({"encoding_score": score, "ceiling": ("neuroid", [1.0])})
    for control, told in ((0.779, True), (0.2, False)):
        chance = score[:, 0].copy(data=[control]).drop_vars("step")
        said = collect_warnings(found.assign(control_encoding=chance), [], "split_half")
        assert ("got 0.780 against 0.779" in said) == told
