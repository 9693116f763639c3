"""What the doctor says is so."""

import sys
from typing import Any

import numpy as np

from neuroalign.study.doctor import EXTRAS, examine


def test_it_names_versions_and_extras(monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "mne" else name)
    found = examine()
    assert found["libraries"]["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["extras"] == {name: name != "meg" for name in EXTRAS}
    assert found["cpus"] >= 1
    assert found["free_disk_gb"] > 0
