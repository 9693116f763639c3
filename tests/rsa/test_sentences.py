"""Every result of the room says in a sentence what it shows, and keeps it when it is stored."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.sparse import diags_array

from neuroalign import rsa
from neuroalign.loaders import from_arrays
from neuroalign.report.verdicts import state_verdict
from neuroalign.storage import load, save

NAMES = [f"c{k:02d}" for k in range(10)]
Made = Callable[[np.random.Generator], xr.Dataset]


def people(rng: np.random.Generator, n: int = 4) -> dict[str, xr.DataArray]:
    base = rng.random(45)
    return {f"s{k}": rsa.from_matrix(base + 0.3 * rng.random(45), NAMES) for k in range(n)}


def volume(rng: np.random.Generator) -> xr.DataArray:
    values = rng.normal(size=(20, 27))
    data = from_arrays(values, stimulus=NAMES * 2, run=np.repeat(["1", "2"], 10), modality="fmri")
    grid = np.stack(np.meshgrid(*[range(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    return data.assign_coords({axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")})


def partition(rng: np.random.Generator) -> xr.Dataset:
    known = people(rng)
    return rsa.partition_variance({"a": known["s0"], "b": known["s1"]}, known)


def generalize(rng: np.random.Generator) -> xr.Dataset:
    values = rng.random((3, 45)) + 0.1 * rng.random((4, 3, 45))
    lead = {"subject": list("abcd"), "time": [0.0, 0.1, 0.2]}
    return rsa.generalize_rdms(rsa.from_matrix(values, NAMES, lead=lead))


def find_balls(rng: np.random.Generator) -> xr.Dataset:
    return rsa.find_neighborhoods(volume(rng), 1, unit="voxel", min_neuroids=5)


def light(rng: np.random.Generator) -> xr.Dataset:
    near = rsa.find_neighborhoods(volume(rng), 1, unit="voxel")
    return rsa.run_searchlight(volume(rng), near, people(rng, 5))


def group(rng: np.random.Generator) -> xr.Dataset:
    maps = {f"s{k}": xr.DataArray(rng.normal(size=6) + 3, dims="neuroid") for k in range(8)}
    line = diags_array([np.ones(5), np.ones(5)], offsets=[-1, 1], shape=(6, 6))
    return rsa.infer_group_map(maps, line, n_permutations=100)


def relate(rng: np.random.Generator) -> xr.Dataset:
    known = people(rng)
    return rsa.relate_subjects(known["s0"], known["s1"], n_permutations=1999)


SAID: dict[str, tuple[Made, str]] = {
    "parts": (partition, r"^'[ab]' explains most alone: \d+.\d % of the variance, of .* by all 2 "),
    "times": (generalize, r"^RDMs of different units are most alike at .* s \(spearman 0\.9"),
    "ceiling": (lambda r: rsa.noise_ceiling(people(r)), r"^The true model would reach a cosine of"),
    "balls": (find_balls, r"^19 neighbourhoods of 5 to 7 places \(median 5\) within 1 voxel; 8 le"),
    "light": (light, r"^Searchlight \(cosine\): 's0' up to 0\.\d+ at .* and 2 more models; 27 of "),
    "group": (group, r"^Differs from 0 at corrected p < 0.05 in: 6 of 6 places\.$"),
    "subjects": (relate, r"are alike in the other to spearman 0\.\d+ \(p < \.001, 10 subjects\)"),
}


@pytest.mark.parametrize("name", SAID)
def test_each_result_says_what_it_shows(
    name: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    make, pattern = SAID[name]
    result = make(rng)
    assert state_verdict(result) == result.attrs["verdict"]
    assert result.attrs["headline"] in result
    assert re.search(pattern, result.attrs["verdict"]), result.attrs["verdict"]
    save(result, tmp_path / "x.nc")
    assert load(tmp_path / "x.nc").attrs["verdict"] == result.attrs["verdict"]


def test_several_rdms_of_subjects_are_counted(rng: np.random.Generator) -> None:
    stack = rsa.stack_rdms(people(rng), over="roi")
    found = rsa.relate_subjects(stack, stack[0].drop_vars("roi"), n_permutations=199)
    assert found.attrs["verdict"].startswith("4 of 4 RDMs of 10 subjects are related")


def test_constant_rdms_make_no_sentence_up(rng: np.random.Generator) -> None:
    flat = {f"s{k}": rsa.from_matrix(np.ones((2, 45)), NAMES, lead={"time": [0.0, 0.1]})
            for k in range(3)}  # fmt: skip
    said = rsa.generalize_rdms(flat, method="pearson").attrs["verdict"]
    assert said.startswith("RDMs of different units are most alike at 0 s (pearson 0.000)")
