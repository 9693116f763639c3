"""Names of devices."""

import pytest

torch = pytest.importorskip("torch")

from neuroalign._device import list_devices, resolve_device  # noqa: E402


def test_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_is_the_fastest_kind_here() -> None:
    assert resolve_device("auto") == list(list_devices().values())[-1]


def test_auto_prefers_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


def test_a_missing_device_is_refused_with_those_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device: expected one of 'auto', 'cpu', got 'cuda'"):
        resolve_device("cuda")
