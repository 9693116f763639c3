"""Links, names, patterns and servers made to lead elsewhere: refused, and nothing else is read."""

import ast
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from neuroalign import features, loaders, storage
from neuroalign.errors import DataCorruptionError, LoadError, NeuroalignError, SchemaError
from neuroalign.loaders import _cards, _http, catalog
from neuroalign.loaders._hdf5_tree import open_hdf5
from neuroalign.study.config import read_study
from tests.loaders.hostile_server import BODY, MD5, serve
from tests.trust.makers import make_responses, write_nwb, write_surface
from tests.trust.messages import assert_message

ROOT = Path(__file__).parents[2]
SECRET = "root:x:0:0"


def link_outside(file: h5py.File, other: Path) -> None:
    file["more"] = h5py.ExternalLink(str(other), "/")


def store_outside(file: h5py.File, other: Path) -> None:
    file.create_dataset("more", (4,), "u1", external=[(str(other), 0, 4)])


def map_outside(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(other), "x", (4,))
    file.create_virtual_dataset("more", layout)


def point_nowhere(file: h5py.File, other: Path) -> None:
    file["more"] = h5py.SoftLink("/more")


def open_any(path: Path) -> None:
    with open_hdf5(path, (".hdf5",)):
        pass


OPENERS = {".nc": storage.load, ".hdf5": open_any}
LINKS = [link_outside, store_outside, map_outside, point_nowhere]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.__name__)
@pytest.mark.parametrize("ending", [".nc", ".hdf5"])
def test_links_of_hdf5_are_refused(ending: str, link: Any, tmp_path: Path) -> None:
    other = tmp_path / "secret"
    other.write_text(SECRET)
    path = storage.save(make_responses(), tmp_path / "x.nc").rename(tmp_path / f"x{ending}")
    with h5py.File(path, "r+") as file:
        link(file, other)
    with pytest.raises(DataCorruptionError) as caught:
        OPENERS[ending](path)
    assert_message(caught.value, names=rf"x\{ending}", found="a link at '/more'", advice="Copy")


@pytest.mark.parametrize("link", LINKS[:3], ids=lambda link: link.__name__)
def test_links_of_sessions_are_refused(link: Any, tmp_path: Path) -> None:
    other = tmp_path / "secret"
    other.write_text(SECRET)
    path = write_nwb(tmp_path / "x.nwb")
    with h5py.File(path, "r+") as file:
        link(file, other)
    with pytest.raises(LoadError) as caught:
        loaders.load_nwb(path)
    assert_message(caught.value, names=r"x\.nwb", found="/more'", advice="Copy the file whole")


def test_groups_that_hold_themselves_are_walked_once(tmp_path: Path) -> None:
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file["a/b/c"] = np.arange(3)
        file["a/b/again"] = file["a"]
    with open_hdf5(path, (".hdf5",)) as file:
        assert file["a/b/again/b/c"].shape == (3,)


def test_arrays_of_a_surface_that_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0123456789" * 4)
    path = write_surface(tmp_path / "lh.func.gii")
    text = re.sub(r'Encoding="[A-Za-z0-9]+"', 'Encoding="ExternalFileBinary"', path.read_text())
    text = text.replace('ExternalFileName=""', 'ExternalFileName="../secret"')
    path.write_text(text)
    with pytest.raises(LoadError) as caught:
        loaders.load_gifti(path, tr=2.0)
    assert_message(caught.value, names=r"lh\.func\.gii", found="'../secret'", advice="one file")


def test_entities_of_a_surface_do_not_grow(tmp_path: Path) -> None:
    lines = [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)]
    path = write_surface(tmp_path / "lh.func.gii")
    body = path.read_text().partition("?>")[2].partition("<GIFTI")[2]
    head = f'<?xml version="1.0"?><!DOCTYPE GIFTI [<!ENTITY a0 "x">{"".join(lines)}]>'
    grown = "<MetaData><MD><Name>x</Name><Value>&a11;</Value></MD></MetaData>"
    path.write_text(f"{head}<GIFTI{body}".replace("<MetaData />", grown, 1))
    started = time.perf_counter()
    with pytest.raises(DataCorruptionError):
        loaders.load_gifti(path, tr=2.0)
    assert time.perf_counter() - started < 2


IDS = ["../../x", "/abs", "C:\\x", "a/b", "a\x00b", "x" * 300, "..", "", "\u202ex", "a b", "*"]


@pytest.mark.parametrize("label", IDS)
def test_ids_do_not_leave_their_folder(label: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "sub-01" / "eeg").mkdir(parents=True)
    (root / "derivative" / "preprocessed_data").mkdir(parents=True)
    (root / "derivatives" / "fmriprep" / "sub-01").mkdir(parents=True)
    (tmp_path / "x").mkdir()
    calls = [
        lambda: loaders.find_runs(root, subject=label, task="see"),
        lambda: loaders.load_meg_bids(root, subject=label, task="see", window=(0.0, 0.1)),
        lambda: loaders.load_meg_bids(root, subject="01", task=label, window=(0.0, 0.1)),
        lambda: loaders.load_lebel(root, subject=label),
        lambda: loaders.load_dynamic_vision(root, subject=label),
        lambda: loaders.load_nsd(root, subject=label),
        lambda: loaders.load_things_fmri(root, subject=label),
        lambda: loaders.load_things_meg(root, subject=label),
        lambda: loaders.load_narratives(root, subject=label, task="see"),
    ]
    for call in calls:
        with pytest.raises((LoadError, ValueError)) as caught:
            call()
        assert_message(caught.value, names="subject|task", found="got|expected", advice=r"\w")


@pytest.mark.parametrize("label", IDS)
def test_names_of_datasets_are_looked_up_and_nothing_else(label: str, tmp_path: Path) -> None:
    for call in (loaders.describe_dataset, loaders.load_dataset, loaders.fetch_dataset):
        with pytest.raises(ValueError, match="name: expected one of"):
            call(label)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x" * 5000 + ".nii", "a\x00b.nii", "x" * 300 + ".nii.gz"])
def test_paths_that_no_system_holds_are_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        loaders.load_fmri(tmp_path / name)


def test_names_of_layers_do_not_leave_the_store(tmp_path: Path) -> None:
    nn = pytest.importorskip("torch.nn")
    net = nn.Sequential()
    net.add_module("/out", nn.Flatten())
    net.add_module("a/b\n", nn.Flatten())
    inner = tmp_path / "a" / "b"
    stimuli = {"s": np.zeros((1, 2, 2), dtype="float32"), "t": np.ones((1, 2, 2), dtype="float32")}
    found = features.extract(net, stimuli, "all", store=inner / "store", progress=False)
    assert list(found) == ["/out", "a/b\n"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in inner.iterdir()] == ["store"]
    assert all(inner in path.resolve().parents for path in inner.rglob("*"))


def test_a_plan_of_features_that_names_other_places_reads_none(tmp_path: Path) -> None:
    nn = pytest.importorskip("torch.nn")
    net = nn.Sequential(nn.Flatten())
    stimuli = {"s": np.zeros((1, 2, 2), dtype="float32")}
    features.extract(net, stimuli, ["0"], store=tmp_path / "store", progress=False)
    plan = tmp_path / "store" / "plan.json"
    plan.write_text(plan.read_text().replace('"name": "0"', '"name": "../../../etc"'))
    with pytest.raises(DataCorruptionError):
        features.open_store(tmp_path / "store")


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "*a" * 60, "[" * 200, "a*" * 200 + "b", "[!-a]*" * 40]
)
def test_patterns_of_layers_take_no_time(pattern: str) -> None:
    hooks = pytest.importorskip("neuroalign._hooks")
    nn = pytest.importorskip("torch.nn")
    net = nn.Sequential()
    for number in range(2000):
        net.add_module("a" * 60 + str(number), nn.Identity())
    started = time.perf_counter()
    with pytest.raises(ValueError, match="matches none"):
        hooks.resolve_layers(net, pattern)
    assert time.perf_counter() - started < 5


def test_a_study_imports_nothing_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "evil_plugin.py").write_text("raise SystemExit('it ran')")
    sys.path.insert(0, str(tmp_path))
    try:
        for call in ("evil_plugin.run", "loaders.evil_plugin", "os.system", "loaders.__builtins__"):
            path = tmp_path / "study.yaml"
            path.write_text(yaml.safe_dump({"data": {"r": {"call": call}}}))
            with pytest.raises(SchemaError, match=re.escape(call)):
                read_study(path)
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil_plugin" not in sys.modules


CARD = """
name = "toy"
title = "A toy"
modality = "fmri"
species = "human"
licence = "CC0 1.0"
terms = "Be kind."
terms_url = "https://example.org/terms"
terms_required = false
citation = "Nobody (2020)."
manual = "ask Nobody"
unverified = []
subjects = []

[[routes]]
kind = "http"
address = ""

[[files]]
path = "data.bin"
url = "{url}"
digest = "{digest}"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serve() as state:
        yield state


@pytest.mark.parametrize(
    ("page", "digest", "found"),
    [
        ("whole", "md5:" + "0" * 32, f"expected md5 {'0' * 32} of data.bin, got [0-9a-f]{{32}}"),
        ("wrong", MD5, "expected md5 [0-9a-f]{32} of data.bin, got [0-9a-f]{32}"),
        ("page", MD5, "got an HTML or XML page"),
        ("to-file", MD5, "status 302|file:"),
    ],
)
def test_a_download_that_is_not_what_it_should_be_is_refused(
    server: Any, page: str, digest: str, found: str, tmp_path: Path, monkeypatch: Any
) -> None:
    cards = tmp_path / "cards" / "toy"
    cards.mkdir(parents=True)
    text = CARD.format(url=f"{server.url}/{page}", digest=digest)
    (cards / "card.toml").write_text(text)
    quick = _http.Patience(tries=2, wait=0.01, timeout=0.5, stall=0.3, slowest=10_000)
    monkeypatch.setattr(catalog, "read_cards", lambda: _cards.read_cards(cards.parent))
    monkeypatch.setattr(catalog, "PATIENCE", quick)
    with pytest.raises(LoadError) as caught:
        loaders.fetch_dataset("toy", folder=tmp_path / "shelf", yes=True, progress=False)
    assert_message(caught.value, names=f"/{page}", found=found, advice="By hand: ask Nobody")
    assert not list((tmp_path / "shelf").rglob("data.bin"))
    assert hashlib.md5(BODY, usedforsecurity=False).hexdigest() in MD5


NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_tutorials_run_no_shell_and_carry_no_outputs(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        assert "<script" not in source.lower()
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"], f"{path.name}: strip the outputs"
        assert cell["execution_count"] is None
        assert not re.search(r"^\s*[!%]", source, re.M), f"{path.name}: {source[:60]}"
        assert not list(reaches_out(source)), path.name


FORBIDDEN = {"eval", "exec", "compile", "__import__", "get_ipython", "os.system", "os.popen"}


def reaches_out(source: str) -> Iterator[str]:
    """What in a cell runs text as code, starts a shell or another program, or calls a host."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [getattr(node, "module", None) or "", *(each.name for each in node.names)]
            yield from {"requests", "urllib", "http", "socket"} & {n.split(".")[0] for n in named}
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            yield from {called} & FORBIDDEN
            yield from ("shell=" for keyword in node.keywords if keyword.arg == "shell")
            if called.startswith("subprocess.") and "sys.executable" not in source:
                yield called


def test_cells_that_reach_out_are_seen() -> None:
    assert not list(reaches_out("net.eval()\nsubprocess.run([sys.executable, '-m', 'neuroalign'])"))
    for bad in (
        "eval('1')",
        "os.system('ls')",
        "subprocess.run(['curl', 'x'])",
        "subprocess.run([sys.executable], shell=True)",
        "from urllib.request import urlopen",
        "import requests",
    ):
        assert list(reaches_out(bad)), bad


def test_every_refusal_is_one_of_ours() -> None:
    for kind in (DataCorruptionError, LoadError, SchemaError):
        assert issubclass(kind, NeuroalignError)
        assert issubclass(kind, ValueError)
