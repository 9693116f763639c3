"""Files spoilt at random: read whole or refused by us, never a crash, a hang or another's error.

Thousands more are spoilt by ``python -m benchmarks.fuzz``.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroalign import loaders
from neuroalign.errors import LoadError, NeuroalignError
from neuroalign.study.config import read_study
from tests.trust.fuzzing import Reader, run_cases, spoil
from tests.trust.messages import assert_message
from tests.trust.seeds import SEEDS

# libhdf5 itself may never come back from a damaged header; no check of ours stands before it.
HDF5 = ("netcdf", "netcdf, not verified", "session", "session, described", "assembly")
HANGS = {("hang", kind) for kind in HDF5}
ASKED = [kind for kind in SEEDS if not kind.startswith("netcdf")]
SIMPLE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CELLS = st.one_of(
    st.floats().map(str), st.integers().map(str), st.text(max_size=8), st.sampled_from(["n/a", ""])
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=5).map("\t".join), max_size=8).map("\n".join)


def test_spoiling_changes_content_and_comes_out_again() -> None:
    content = bytes(range(256)) * 8
    spoilt = [spoil(content, np.random.default_rng(seed)) for seed in range(200)]
    again = [spoil(content, np.random.default_rng(seed)) for seed in range(200)]
    assert spoilt == again
    assert sum(one != content for one in spoilt) > 190
    assert spoil(b"", np.random.default_rng(0)) is not None


@SIMPLE
@given(text=TABLES, header=st.sampled_from(["onset\tduration\ttrial_type\n", ""]))
def test_any_table_is_read_or_refused(text: str, header: str, tmp_path: Path) -> None:
    path = tmp_path / "x_events.tsv"
    path.write_bytes((header + text).encode("utf-8", "surrogatepass"))
    try:
        events = loaders.load_events(path)
    except NeuroalignError as error:
        # Cells may hold line breaks of their own.
        one = LoadError(" ".join(str(error).split()))
        assert_message(one, names=r"x_events\.tsv", found="got", advice=r"\w")
    else:
        assert (np.diff(events["onset"]) >= 0).all()
        assert np.isfinite(events[["onset", "duration"]].to_numpy(dtype=float)).all()


@SIMPLE
@given(content=st.binary(max_size=200))
@pytest.mark.parametrize("name", ["x_events.tsv", "x.csv", "x.TextGrid", "x.nii", "x-lh.stc"])
def test_any_bytes_are_refused_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    read = {
        "x_events.tsv": loaders.load_events,
        "x.csv": loaders.load_transcript,
        "x.TextGrid": loaders.load_transcript,
        "x.nii": loaders.load_fmri,
        "x-lh.stc": loaders.load_source_estimates,
    }[name]
    with pytest.raises(NeuroalignError, match=name.split(".")[0]):
        read(path)


@SIMPLE
@given(content=st.recursive(CELLS, lambda part: st.dictionaries(CELLS, part, max_size=3)))
def test_any_study_is_refused_or_read(content: object, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(str(content), encoding="utf-8", errors="replace")
    try:
        study = read_study(path)
    except NeuroalignError as error:
        one = LoadError(" ".join(str(error).split()))
        assert_message(one, names=r"study\.yaml", found="got", advice=r"\w")
    else:
        assert study.entries() == {}


@pytest.mark.slow
def test_a_reader_tells_whole_files_from_others(tmp_path: Path) -> None:
    reader = Reader()
    try:
        for kind in ("nifti", "events", "session"):
            whole = SEEDS[kind].make(tmp_path / kind)
            assert reader.read(kind, whole)["end"] == "read"
            whole.write_bytes(b"nothing")
            assert reader.read(kind, whole)["end"] == "ours"
        assert reader.read("none", tmp_path)["end"] == "foreign"
        reader.process.kill()
        reader.process.wait()
        assert reader.read("nifti", tmp_path)["end"] == "crash"
    finally:
        reader.close()


@pytest.mark.slow
def test_spoilt_files_are_read_or_refused_by_us(tmp_path: Path) -> None:
    tally = run_cases(tmp_path, 20 * len(ASKED), seed=20260, kinds=ASKED)
    failures = [one for one in tally.failures if (one["end"], one["kind"]) not in HANGS]
    assert not failures, failures[:3]
    refused = sum(count for name, count in tally.counts.items() if name.endswith(": ours"))
    assert refused > 5 * len(ASKED)
