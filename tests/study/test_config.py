"""Studies as files: every fault is named by place, with what is near."""

from collections.abc import Callable
from pathlib import Path

import pytest

from neuroalign.errors import SchemaError
from neuroalign.study.config import Study, read_bytes, read_study
from neuroalign.study.tasks import list_tasks


def test_a_study_is_read(write_study: Callable[..., Study]) -> None:
    study = write_study(run={"executor": "processes", "memory_budget": "500 MB"})
    assert list(study.entries()) == ["brain", "net", "ridge", "rdm"]
    assert (study.seed, study.run.budget) == (3, 500_000_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dta: {}", r"study.yaml: dta: expected a known key, got 'dta'. Did you mean 'data'"),
        ("run: {worker: 3}", "run.worker: .*Did you mean 'workers'"),
        ("run: {executor: slrum}", "run.executor: expected 'serial', 'processes'.* got 'slrum'"),
        ("run: {executor: slurmm}", "run.executor: .*got 'slurmm'. Did you mean 'slurm'?"),
        ("run: {workers: 0}", "run.workers: expected greater than or equal to 1, got 0"),
        ("run: {memory_budget: much}", "expected a size such as '4GB', got 'much'"),
        ("seed: x", "seed: expected a valid integer"),
        ("folder: /tmp\nout: 3", "out: expected a valid string, got 3"),
        ("data: {r: {cal: 3}}", "data.r.call: expected"),
        ("data: {'../up': {call: storage.load, with: {path: x}}}", r"got '\.\./up'"),
        ("data: {r: {call: storage.load, wiht: {}}}", "Did you mean 'with'"),
        ("data: {r: {call: loaders.load_fmr}}", "Did you mean 'load_fmri'"),
        ("data: {r: {call: storage.load, with: {pth: x}}}", "data.r: .*Did you mean 'path'"),
        ("data: {r: {call: storage.load}}", "missing path"),
        ("rsa: {r: {call: rsa.compute_rdm, with: {responses: '@x'}}}", "entry above, got '@x'"),
        (
            "data: {r: {call: storage.load, with: {path: x}}}\n"
            "rsa: {r: {call: rsa.compute_rdm, with: {responses: '@r'}}}",
            "rsa.r: expected names used once in a study, got 'r' of 'data' again",
        ),
        (
            "data: {r: {call: storage.load, with: {path: x.nc}}}",
            r"data.r.path: expected \{path: 'x.nc'\}.* got the plain text 'x.nc'",
        ),
        (
            "data: {r: {call: loaders.load_fmri, with: {bold: '@b', detrend: 'false'}}}\n",
            "entry above, got '@b'",
        ),
        (
            "data: {r: {call: loaders.load_fmri, with: {bold: {glob: '*'}, detrend: 'false'}}}",
            "data.r.detrend: expected true or false, got the text 'false'. Take quotes away",
        ),
        (
            "rsa: {r: {call: rsa.compute_rdm, each: responses, with: {responses: x}}}",
            "expected 'each' to name an option that is an '@name', got 'responses'",
        ),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(SchemaError, match=message):
        read_study(path)


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4e9), ("1.5 gb", 1.5e9), ("200", 200), ("3KB", 3e3)]
)
def test_sizes_are_read(text: str, size: float) -> None:
    assert read_bytes(text) == size


def test_a_section_is_kept_with_what_it_needs(write_study: Callable[..., Study]) -> None:
    study = write_study()
    assert list(study.restrict("rsa").entries()) == ["brain", "rdm"]
    assert list(study.restrict("encoding").entries()) == ["brain", "net", "ridge"]
    assert list(study.keep({"net"}).entries()) == ["net"]
    assert study.restrict("rsa").seed == study.seed
    with pytest.raises(SchemaError, match="convergence: expected entries in this section, got"):
        study.restrict("convergence")


def test_workers_of_one_machine_are_counted(write_study: Callable[..., Study]) -> None:
    for run, at_once in [
        ({"executor": "serial", "workers": 4}, 1),
        ({"executor": "processes", "workers": 4}, 4),
        ({"executor": "dask", "workers": 4}, 4),
        ({"executor": "dask", "workers": 4, "address": "tcp://x:1"}, 1),
    ]:
        assert write_study(run=run).run.at_once == at_once


SIMULATED = (
    "data: {sim: {call: loaders.simulate_linear, with: {n_samples: 20}}}\n"
    "features: {m: {call: align.match, with: {features: '@sim.features', "
    "responses: '@sim.responses'}}}\n"
)
ENCODED = (
    "encoding: {e: {call: evaluate.cross_validate, with: {encoder: {use: encoders.Ridge}, "
    "features: '@m.features', responses: '@m.responses', group: NULL, ceiling: NULL}}}"
)


@pytest.mark.parametrize("word", ["none", "None"])
def test_null_may_be_written_as_the_command_line_and_python_do(tmp_path: Path, word: str) -> None:
    path = tmp_path / "study.yaml"
    keys = []
    for spelling in ("null", word, f"'{word}'"):
        path.write_text(SIMULATED + ENCODED.replace("NULL", spelling))
        study = read_study(path)
        assert study.encoding["e"].options["group"] is None
        assert study.encoding["e"].options["ceiling"] is None
        keys.append([task.key for task in list_tasks(study)])
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data: {r: {cal: 3}}",
            r"data.r.call: expected key 'call', got 'cal'. Did you mean 'call'",
        ),
        ("data: {r: {with: {}}}", "expected key 'call', got 'with'. Write call: room.function"),
        ("data: {r: {}}", "expected key 'call', got none. Write call"),
        (
            SIMULATED + ENCODED.replace("m.features", "m.feature"),
            r"encoding.e: .* 'm' \(align.match\) .* got '@m.feature'. Did you mean 'features'",
        ),
    ],
)
def test_what_is_misspelt_is_named_with_what_is_near(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(SchemaError, match=message):
        read_study(path)
