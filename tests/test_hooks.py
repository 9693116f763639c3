"""Hooks on named layers."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from neuroalign._hooks import capture_layers, check_fired, first_tensor, resolve_layers  # noqa: E402


class Branches(nn.Module):
    """One layer gives a tuple, one a dict, one nothing useful, one never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
        self.recurrent = nn.GRU(4, 3, batch_first=True)
        self.unused = nn.ModuleList([nn.Linear(4, 4)])

    def forward(self, x: Any) -> Any:
        return self.recurrent(self.encoder(x))


class Wrapped(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Any) -> Any:
        return self.value


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Branches().eval()


def n_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_exact_names_keep_the_order_given(model: nn.Module) -> None:
    assert resolve_layers(model, ["recurrent", "encoder.0"]) == ["recurrent", "encoder.0"]


def test_globs_give_matches_in_model_order_once(model: nn.Module) -> None:
    assert resolve_layers(model, ["encoder.*", "encoder.0"]) == ["encoder.0", "encoder.1"]


def test_all_means_modules_without_children(model: nn.Module) -> None:
    assert resolve_layers(model, "all") == ["encoder.0", "encoder.1", "recurrent", "unused.0"]


def test_an_unknown_layer_is_refused_with_near_names(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"got 'recurent', which matches none. Near.*'recurrent'"):
        resolve_layers(model, ["recurent"])


def test_a_glob_without_a_match_is_refused(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"got 'decoder\.\*', which matches none"):
        resolve_layers(model, "decoder.*")


@pytest.mark.parametrize("layers", [[], "all"])
def test_no_layer_at_all_is_refused(layers: Any) -> None:
    with pytest.raises(ValueError, match="layers: expected at least one layer of Linear"):
        resolve_layers(nn.Linear(2, 2), layers)


def test_outputs_are_detached_and_safe_from_work_in_place(model: nn.Module) -> None:
    x = torch.randn(5, 2, 4)
    with capture_layers(model, ["encoder.0"]) as captured:
        model(x)
    expected = x @ model.encoder[0].weight.T + model.encoder[0].bias
    torch.testing.assert_close(captured["encoder.0"], expected.detach())
    assert not captured["encoder.0"].requires_grad


def test_the_first_tensor_of_a_tuple_is_kept(model: nn.Module) -> None:
    x = torch.randn(5, 2, 4)
    with capture_layers(model, ["recurrent"]) as captured:
        expected, _ = model(x)
    torch.testing.assert_close(captured["recurrent"], expected.detach())


def test_the_first_tensor_of_a_dict_is_kept() -> None:
    assert first_tensor({"loss": None, "hidden": torch.ones(2)}, "layer").tolist() == [1, 1]


@pytest.mark.parametrize("value", [None, (1, "a"), {"a": 1}])
def test_outputs_without_a_tensor_are_refused_by_name(value: Any) -> None:
    model = nn.Sequential(Wrapped(value))
    with (
        pytest.raises(TypeError, match="expected layer '0' to give a tensor"),
        capture_layers(model, ["0"]),
    ):
        model(torch.zeros(1))


def test_hooks_are_gone_afterwards(model: nn.Module) -> None:
    with capture_layers(model, ["encoder.0", "recurrent"]):
        assert n_hooks(model) == 2
    assert n_hooks(model) == 0


def test_hooks_are_gone_after_an_error_inside(model: nn.Module) -> None:
    with pytest.raises(RuntimeError, match="shapes"), capture_layers(model, ["encoder.0"]):
        model(torch.zeros(1, 1, 7))
    assert n_hooks(model) == 0


def test_hooks_are_gone_after_an_error_while_registering(model: nn.Module) -> None:
    with pytest.raises(AttributeError), capture_layers(model, ["encoder.0", "nowhere"]):
        pass
    assert n_hooks(model) == 0


def test_a_silent_layer_is_named_with_those_inside_it(model: nn.Module) -> None:
    with capture_layers(model, ["unused"]) as captured:
        model(torch.zeros(1, 2, 4))
    with pytest.raises(ValueError, match=r"got 'unused', which never fired. Near.*'unused.0'"):
        check_fired(model, captured, ["unused"])
