"""Checkpoints from files: their steps, their identity, and what is wrong with them."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file

from neuroalign.convergence import list_checkpoints, trace
from neuroalign.errors import AlignError, LoadError, SchemaError
from neuroalign.loaders import from_arrays


def make_net(seed: int) -> torch.nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for step in (5, 0, 100):
        torch.save(make_net(step).state_dict(), tmp_path / f"step-{step}.pt")
    return tmp_path


def show() -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(48, 6)).astype("float32")
    names = [f"image-{row:02d}" for row in range(48)]
    stimuli = xr.DataArray(pixels, dims=("sample", "pixel"), coords={"stimulus": ("sample", names)})
    values = np.tanh(pixels @ rng.normal(size=(6, 7))) + 0.3 * rng.normal(size=(48, 7))
    runs = [f"run-{row % 4}" for row in range(48)]
    return stimuli, from_arrays(values, stimulus=names, run=runs, modality="fmri")


def test_steps_are_read_from_names_and_put_in_order(files: Path) -> None:
    net = make_net(0)
    for given in (f"{files}/*.pt", files / "step-*.pt", sorted(files.iterdir())):
        found = list_checkpoints(given, net)
        assert list(found) == [0.0, 5.0, 100.0]
    again = found[5]().state_dict()
    assert all(torch.equal(again[name], one) for name, one in make_net(5).state_dict().items())


def test_a_pattern_with_a_slash_looks_at_folders_too(tmp_path: Path) -> None:
    for step in (1, 20):
        (tmp_path / f"step{step}").mkdir()
        state = make_net(step).state_dict()
        save_file(state, tmp_path / f"step{step}" / "model.safetensors")
    found = list_checkpoints(
        f"{tmp_path}/*/model.safetensors", make_net(0), pattern=r"step(\d+)/model"
    )
    assert list(found) == [1.0, 20.0]


def test_files_give_the_trace_of_their_networks(files: Path) -> None:
    stimuli, responses = show()
    options: dict[str, Any] = {"ceiling": None, "n_resamples": 5, "by": None}
    listed = list_checkpoints(f"{files}/*.pt", make_net(0))
    found = trace(listed, stimuli, responses, ["0", "2"], **options)
    nets = {step: make_net(int(step)) for step in listed}
    wanted = trace(nets, stimuli, responses, ["0", "2"], **options)
    np.testing.assert_array_equal(found["mean_score"], wanted["mean_score"])
    np.testing.assert_array_equal(found["control_encoding"], wanted["control_encoding"])


def test_a_folder_of_a_trace_knows_the_weights_of_files(files: Path, tmp_path: Path) -> None:
    stimuli, responses = show()
    options: dict[str, Any] = {
        "ceiling": None, "n_resamples": 5, "by": None, "folder": tmp_path / "kept",
    }  # fmt: skip
    whole = trace(list_checkpoints(f"{files}/*.pt", make_net(0)), stimuli, responses, **options)
    again = trace(list_checkpoints(f"{files}/*.pt", make_net(1)), stimuli, responses, **options)
    xr.testing.assert_identical(whole, again)
    torch.save(make_net(6).state_dict(), files / "step-5.pt")
    listed = list_checkpoints(f"{files}/*.pt", make_net(0))
    with pytest.raises(FileExistsError, match=r"step-5\.nc: expected the result of the same"):
        trace(listed, stimuli, responses, **options)


def test_other_layers_make_another_checkpoint(files: Path) -> None:
    plain = list_checkpoints(f"{files}/*.pt", make_net(0))[5]
    net = copy.deepcopy(make_net(0))
    net[1] = torch.nn.ReLU()
    assert list_checkpoints(f"{files}/*.pt", net)[5].sign() != plain.sign()
    assert list_checkpoints(f"{files}/*.pt", make_net(3))[5].sign() == plain.sign()


def test_faulty_files_are_named_before_any_is_used(files: Path) -> None:
    net = make_net(0)
    (files / "final.pt").write_bytes((files / "step-5.pt").read_bytes())
    with pytest.raises(LoadError, match=r"final\.pt: expected a name with the training step"):
        list_checkpoints(f"{files}/*.pt", net)
    (files / "final.pt").rename(files / "epoch-5.pt")
    with pytest.raises(LoadError, match=r"got step 5 in 'epoch-5\.pt' too"):
        list_checkpoints(f"{files}/*.pt", net)
    with pytest.raises(FileNotFoundError, match=r"step-7\.pt: expected a file of weights"):
        list_checkpoints([files / "step-7.pt"], net)
    with pytest.raises(LoadError, match=r"files: expected files that match .*got none"):
        list_checkpoints(f"{files}/*.ckpt", net)
    with pytest.raises(ValueError, match="pattern: expected a group around the step"):
        list_checkpoints(f"{files}/*.pt", net, pattern=r"\d+")
    match = r"step-0\.pt: expected the 2 tensors of Sequential, got 4: unexpected '2\.weight'"
    with pytest.raises(LoadError, match=match):
        list_checkpoints(f"{files}/step-*.pt", net[:2])


def test_a_step_that_is_no_number_is_told(files: Path) -> None:
    with pytest.raises(LoadError, match="expected a name with the training step"):
        list_checkpoints(f"{files}/*.pt", make_net(0), pattern="(step)")


def test_what_is_no_network_or_pattern_is_named(files: Path) -> None:
    with pytest.raises(TypeError, match=r"model: expected a torch\.nn\.Module, got the class Sequ"):
        list_checkpoints(f"{files}/*.pt", torch.nn.Sequential)
    with pytest.raises(ValueError, match=r"pattern: expected a regular expression, got '\(\\d\+'"):
        list_checkpoints(f"{files}/*.pt", make_net(0), pattern=r"(\d+")
    with pytest.raises(
        LoadError, match=r"files: expected files, got the folder .*Write '.*\*\.pt'"
    ):
        list_checkpoints(files, make_net(0))
    stimuli, responses = show()
    with pytest.raises(
        SchemaError, match=r"got the path 'step-0\.pt'. Pass what convergence\.list"
    ):
        trace({0: "step-0.pt", 1: "step-1.pt"}, stimuli, responses, by=None)


def test_a_checkpoint_that_diverged_is_named_with_its_step_file_and_layer(files: Path) -> None:
    state = make_net(5).state_dict()
    state["2.weight"] *= np.nan
    torch.save(state, files / "step-5.pt")
    stimuli, responses = show()
    found = list_checkpoints(f"{files}/*.pt", make_net(0))
    with pytest.raises(ValueError, match=r"checkpoints\[step-5\] \(.*5\.pt\): .* in layer '2'"):
        trace(found, stimuli, responses, ["1", "2"], by=None)


def test_advice_names_only_what_trace_can_do(files: Path) -> None:
    stimuli, responses = show()
    found = list_checkpoints(f"{files}/*.pt", make_net(0))
    with pytest.raises(AlignError, match="Show those stimuli too, or drop those samples"):
        trace(found, stimuli[5:], responses, ["1", "2"], by=None)
