"""A stored object says what it is."""

from pathlib import Path

import pytest

from neuroalign.errors import DataCorruptionError
from neuroalign.loaders import simulate_linear
from neuroalign.storage import save
from neuroalign.study.description import describe_file


def test_kind_sizes_and_coords_are_listed(tmp_path: Path) -> None:
    text = describe_file(save(simulate_linear(n_samples=9), tmp_path / "planted.zarr"))
    assert text.startswith("planted.zarr: matched\nsizes: ")
    assert "sample 9" in text
    assert "'stimulus'" in text


def test_damage_is_an_error(tmp_path: Path) -> None:
    path = save(simulate_linear(n_samples=9), tmp_path / "planted.nc")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataCorruptionError, match=r"planted\.nc"):
        describe_file(path)
