"""Results are held against their hashes, and against themselves computed again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.errors import NeuroalignError
from neuroalign.study.checking import compare, reproduce_study, verify_study
from neuroalign.study.config import Study
from neuroalign.study.runner import run_study, write_page


def test_a_flipped_bit_is_named(write_study: Callable[..., Study], tmp_path: Path) -> None:
    run_study(write_study())
    out = tmp_path / "results"
    assert verify_study(out) == dict.fromkeys(["brain", "net", "ridge", "rdm"], "")
    chunk = next(next(out.glob("steps/ridge-*")).rglob("score/c/0/0"))
    content = bytearray(chunk.read_bytes())
    content[10] ^= 4
    chunk.write_bytes(content)
    faults = verify_study(out)
    assert "score/c/0/0" in faults["ridge"]
    assert not faults["rdm"]


def test_a_study_comes_out_again_to_the_same_bits(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    run_study(write_study())
    assert reproduce_study(tmp_path / "results") == dict.fromkeys(
        ["brain", "net", "ridge", "rdm"], 0.0
    )


def test_inputs_that_changed_since_are_named(
    write_study: Callable[..., Study], tmp_path: Path
) -> None:
    run_study(write_study())
    (tmp_path / "features.nc").write_bytes((tmp_path / "features.nc").read_bytes() + b"x")
    with pytest.raises((NeuroalignError, ValueError), match=r"net|features\.nc"):
        reproduce_study(tmp_path / "results")


def test_a_folder_that_is_not_there_is_named_with_what_is_beside(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "study.json").touch()
    for ask in (verify_study, reproduce_study, write_page):
        with pytest.raises(NeuroalignError, match=r"nosuch: .*got no such folder.*: 'results'"):
            ask(tmp_path / "nosuch")
        with pytest.raises(NeuroalignError, match=r"study.json: .*got a file. Check the path"):
            ask(tmp_path / "results" / "study.json")


def test_a_folder_that_cannot_be_made_is_named(write_study: Callable[..., Study]) -> None:
    study = write_study()
    blocked = study.folder / "features.nc" / "nope"
    message = r"nope: expected a folder for results that can be made, got 'Not a dir.*Give another"
    with pytest.raises(NeuroalignError, match=message):
        run_study(study, blocked)


def test_differences_are_measured() -> None:
    one = xr.Dataset({"x": ("t", [1.0, 2.0, np.nan]), "name": ("t", ["a", "b", "c"])})
    near = one.assign(x=("t", [1.0, 2.25, np.nan]))
    assert compare(one, one.copy()) == 0
    assert compare(one, near) == 0.25
    assert compare({"p": one}, {"p": near}) == 0.25
    assert compare(one, one.assign(x=("t", [1.0, 2.0, 3.0]))) == np.inf
    assert compare(one, one.assign(name=("t", ["a", "b", "d"]))) == np.inf
    assert compare(one, one.drop_vars("name")) == np.inf
    assert compare({"p": one}, {"q": one}) == np.inf
    assert compare(one["x"], one["x"][:2]) == np.inf
