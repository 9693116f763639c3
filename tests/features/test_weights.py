"""Weights of files in networks, and every file that is none."""

import io
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from neuroalign.errors import LoadError
from neuroalign.features import check_weights, load_weights


def make_net(seed: int = 0, width: int = 3) -> torch.nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            OrderedDict(first=torch.nn.Linear(4, width), norm=torch.nn.BatchNorm1d(width))
        )


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    mine, theirs = one.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def save_plain(net: torch.nn.Module, path: Path) -> Path:
    torch.save(net.state_dict(), path)
    return path


def save_nested(net: torch.nn.Module, path: Path) -> Path:
    torch.save({"epoch": 3, "state_dict": net.state_dict(), "optimizer": {"lr": 0.1}}, path)
    return path


def save_wrapped(net: torch.nn.Module, path: Path) -> Path:
    torch.save({f"module.{name}": one for name, one in net.state_dict().items()}, path)
    return path


def save_old(net: torch.nn.Module, path: Path) -> Path:
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False)
    return path


def save_safe(net: torch.nn.Module, path: Path) -> Path:
    save_file(net.state_dict(), path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize("save", [save_plain, save_nested, save_wrapped, save_old, save_safe])
def test_weights_come_back_whoever_wrote_them(save: Any, tmp_path: Path) -> None:
    net, other = make_net(1), make_net(2)
    path = save(net, tmp_path / "net.pt")
    check_weights(other, path)
    assert_same(load_weights(other, path), net)
    assert_same(other, make_net(2))


def test_what_is_loaded_outlives_its_file(tmp_path: Path) -> None:
    path = save_plain(make_net(1), tmp_path / "net.pt")
    loaded = load_weights(make_net(2), path)
    path.write_bytes(b"0" * path.stat().st_size)
    assert_same(loaded, make_net(1))


class Burglar:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_that_is_no_weights_is_never_executed(tmp_path: Path) -> None:
    torch.save({"weight": Burglar(tmp_path / "opened")}, tmp_path / "bad.pt")
    with pytest.raises(LoadError, match=r"bad\.pt: expected tensors by name.*was not executed"):
        load_weights(make_net(), tmp_path / "bad.pt")
    assert not (tmp_path / "opened").exists()


def test_a_whole_network_is_refused_with_what_to_save(tmp_path: Path) -> None:
    torch.save(make_net(), tmp_path / "net.pt")
    with pytest.raises(LoadError, match=r"Save net\.state_dict\(\), not the network"):
        load_weights(make_net(), tmp_path / "net.pt")


def test_names_that_do_not_fit_are_shown(tmp_path: Path) -> None:
    state = make_net().state_dict()
    state["head.weight"] = state.pop("first.weight")
    torch.save(state, tmp_path / "net.pt")
    match = r"net\.pt.*missing 'first\.weight'; unexpected 'head\.weight'\. Pass the network"
    with pytest.raises(LoadError, match=match):
        check_weights(make_net(), tmp_path / "net.pt")


def test_shapes_that_do_not_fit_are_shown(tmp_path: Path) -> None:
    path = save_plain(make_net(width=5), tmp_path / "net.pt")
    with pytest.raises(LoadError, match=r"'first\.weight' of shape \(3, 4\), got \(5, 4\)"):
        check_weights(make_net(), path)


def test_a_value_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    state = dict(make_net().state_dict()) | {"first.weight": 3}
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(LoadError, match=r"'first\.weight' of shape \(3, 4\), got \(\)"):
        check_weights(make_net(), tmp_path / "net.pt")


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", None])
def test_damaged_files_are_named(ending: str, content: bytes | None, tmp_path: Path) -> None:
    path = save_plain(make_net(), tmp_path / "net.pt")
    if ending == "safetensors":
        path = save_safe(make_net(), path)
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    with pytest.raises(LoadError, match=rf"net\.{ending}: expected"):
        check_weights(make_net(), path)


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme", "hello")
    (tmp_path / "net.pt").write_bytes(buffer.getvalue())
    with pytest.raises(LoadError, match=r"net\.pt: expected"):
        check_weights(make_net(), tmp_path / "net.pt")


def test_numbers_without_tensors_are_no_weights(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "net.pt")
    with pytest.raises(LoadError, match="got dict without tensors"):
        check_weights(make_net(), tmp_path / "net.pt")


def test_other_endings_and_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"net\.npz: ending: expected one of '\.pt'"):
        load_weights(make_net(), tmp_path / "net.npz")
    with pytest.raises(FileNotFoundError, match=r"net\.pt: expected a file of weights, got none"):
        load_weights(make_net(), tmp_path / "net.pt")
