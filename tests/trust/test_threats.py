"""Files, archives, names and patterns made to harm: nothing runs, nothing leaves its folder."""

import ast
import gzip
import io
import pickle
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neuroalign import features, loaders, storage
from neuroalign.errors import LoadError, NeuroalignError
from neuroalign.loaders._archives import unpack
from neuroalign.loaders.nifti import open_image
from neuroalign.study.description import FILES, list_findings
from tests.trust.makers import write_image, write_surface
from tests.trust.messages import assert_message

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "neuroalign").rglob("*.py"))
OURS = (NeuroalignError, FileNotFoundError, ValueError)


class Evil:
    """Runs when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return (Path.touch, (self.sentinel,))


def give_up(read: Callable[[], Any]) -> None:
    """Read; whatever is wrong must be said by one of our errors."""
    with pytest.raises(OURS):
        read()


EVENTS = pd.DataFrame({"onset": [0.0], "duration": [1.0], "stimulus": ["a"]})
# What loaders need besides the first argument.
NEEDS: dict[str, Any] = {
    "subject": "01",
    "task": "see",
    "window": (0.0, 0.1),
    "bin_width": 0.1,
    "rate": 10.0,
    "events": EVENTS,
    "onset": "stimOn",
    "stimulus": "stimulus",
    "attribute": "times",
    "table": "spikes",
    "experiment": "243",
    "tr": 2.0,
}
# Maps are read from inside the installed libraries; neo is told a reader of its own.
NO_PATH = ("load_cortical_maps", "read_neo")
READERS = [
    name
    for name in loaders.__all__
    if name.startswith(("load_", "read_", "describe_nwb")) and name not in NO_PATH
]
KINDS = sorted({*FILES, ".npy", ".mat", ".h5", ".hf5", ".pkl", ".joblib", ".json", ".hdf5"})


def fill(reader: Callable[..., Any]) -> dict[str, Any]:
    """Give what a loader needs besides its first argument."""
    rest = list(signature(reader).parameters.values())[1:]
    return {one.name: NEEDS[one.name] for one in rest if one.default is one.empty}


@pytest.mark.parametrize("name", READERS)
def test_no_loader_runs_what_is_pickled(name: str, tmp_path: Path) -> None:
    reader, sentinel = getattr(loaders, name), tmp_path / "sentinel"
    content = pickle.dumps(Evil(sentinel))
    for kind in KINDS:
        path = tmp_path / f"evil{kind}"
        path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    (tmp_path / "sub-01").mkdir()
    for other in ("spike_times", "spike_clusters", "F", "iscell", "spikes.times"):
        (tmp_path / f"{other}.npy").write_bytes(content)
    for path in (*(tmp_path / f"evil{kind}" for kind in KINDS), tmp_path):
        give_up(lambda path=path: reader(path, **fill(reader)))
    assert not sentinel.exists()


@pytest.mark.parametrize("kind", [*KINDS, ".nc", ".zarr"])
def test_neither_stores_nor_info_run_what_is_pickled(kind: str, tmp_path: Path) -> None:
    path, sentinel = tmp_path / f"evil{kind}", tmp_path / "sentinel"
    path.write_bytes(pickle.dumps(Evil(sentinel)))
    give_up(lambda: storage.load(path))
    give_up(lambda: list_findings(path))
    assert not sentinel.exists()


def test_objects_inside_arrays_are_not_run(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    np.save(tmp_path / "F.npy", np.array([Evil(sentinel)], dtype=object), allow_pickle=True)
    with pytest.raises(LoadError) as caught:
        loaders.load_suite2p(tmp_path, rate=10.0, cells=False, neuropil=0)
    assert_message(caught.value, names=r"F\.npy", found="pickled objects", advice="plain array")
    assert not sentinel.exists()


def test_states_of_nets_are_not_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    sentinel = tmp_path / "sentinel"
    torch.save({"weight": Evil(sentinel)}, tmp_path / "evil.pt")
    with pytest.raises(LoadError) as caught:
        features.load_weights(torch.nn.Linear(2, 2), tmp_path / "evil.pt")
    assert_message(caught.value, names=r"evil\.pt", found="not executed", advice="state_dict")
    assert not sentinel.exists()


# Calls that run what a file says, by the name under which they are called.
BANNED = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "joblib.load",
    "dill.load",
    "marshal.loads",
    "shelve.open",
    "pd.read_pickle",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}
# The one place that reads expressions gives pandas no names and no functions.
EXCUSED = {("_nwb.py", "table.eval")}


def list_calls(path: Path) -> list[tuple[str, dict[str, ast.expr]]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        (ast.unparse(call.func), {word.arg or "": word.value for word in call.keywords})
        for call in calls
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_source_calls_nothing_that_runs_files(path: Path) -> None:
    for name, words in list_calls(path):
        assert name not in BANNED, f"{path.name} calls {name}"
        values = {word: ast.unparse(value) for word, value in words.items()}
        assert values.get("shell") != "True", f"{path.name}: shell=True"
        assert values.get("allow_pickle", "False") == "False", f"{path.name}: allow_pickle"
        if name.endswith("torch.load"):
            assert values.get("weights_only") == "True", f"{path.name}: torch.load"
        if name.endswith(("extractall", ".extract")) and "features" not in name:
            assert "tar" not in name, f"{path.name}: {name}"


def add(archive: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr(name, "content")
        return archive
    with tarfile.open(archive, "w:gz") as opened:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/hostname"
        entry.size = 7 if kind == tarfile.REGTYPE else 0
        opened.addfile(entry, io.BytesIO(b"content"))
    return archive


@pytest.mark.parametrize(
    ("archive", "name", "kind"),
    [
        ("x.zip", "../../up.txt", tarfile.REGTYPE),
        ("x.zip", "/tmp/neuroalign-absolute.txt", tarfile.REGTYPE),
        ("x.tar.gz", "../../up.txt", tarfile.REGTYPE),
        ("x.tar.gz", "link", tarfile.SYMTYPE),
        ("x.tar.gz", "hard", tarfile.LNKTYPE),
        ("x.tar.gz", "device", tarfile.CHRTYPE),
    ],
)
def test_archives_stay_in_their_folder(archive: str, name: str, kind: bytes, tmp_path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    path = add(inner / archive, name, kind)
    with pytest.raises(LoadError) as caught:
        unpack(path, inner / "x")
    assert_message(caught.value, names=archive, found="got", advice=r"\w")
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["a", "b", archive]


def measure(read: Callable[[], Any]) -> tuple[float, float]:
    """Seconds and mebibytes that a refusal takes."""
    started = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(OURS):
            read()
        return time.perf_counter() - started, tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def bomb_image(folder: Path) -> Any:
    """Append half a gigabyte of nothing to a small image."""
    whole = write_image(folder / "x.nii").read_bytes()
    path = folder / "bomb.nii.gz"
    path.write_bytes(gzip.compress(whole) + gzip.compress(b"\0" * (1 << 24)) * 32)
    return open_image(path)


def bomb_recording(folder: Path) -> Any:
    path = folder / "bomb_raw.fif.gz"
    path.write_bytes(gzip.compress(b"\0" * (1 << 24)) * 32)
    return loaders.load_continuous(path)


def bomb_promise(folder: Path) -> Any:
    """Let a small compressed image promise 40 gigabytes."""
    content = bytearray(write_image(folder / "x.nii").read_bytes())
    content[42:50] = np.array([3000, 3000, 1000, 1], dtype="<i2").tobytes()
    path = folder / "bomb.nii.gz"
    path.write_bytes(gzip.compress(bytes(content)))
    return open_image(path, verify=False)


def bomb_picture(folder: Path) -> Any:
    nn = pytest.importorskip("torch.nn")
    image = pytest.importorskip("PIL.Image")
    header = io.BytesIO()
    image.new("1", (8, 8)).save(header, "png")
    content = bytearray(header.getvalue())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(bytes(content))
    net = nn.Sequential(nn.Flatten())
    return features.extract(net, {"a": folder / "bomb.png"}, ["0"], progress=False)


def bomb_surface(folder: Path) -> Any:
    path = write_surface(folder / "lh.func.gii")
    path.write_text(path.read_text().replace('Dim0="10"', 'Dim0="90000000000"'))
    return loaders.load_gifti(path, tr=2.0)


def bomb_array(folder: Path) -> Any:
    np.save(folder / "F.npy", np.zeros((2, 3), "float32"))
    content = (folder / "F.npy").read_bytes()
    (folder / "F.npy").write_bytes(content.replace(b"(2, 3), }       ", b"(99999999, 3), }", 1))
    return loaders.load_suite2p(folder, rate=10.0, cells=False, neuropil=0)


BOMBS = [bomb_image, bomb_recording, bomb_promise, bomb_picture, bomb_surface, bomb_array]


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_bombs_are_refused_soon_and_in_little_memory(bomb: Any, tmp_path: Path) -> None:
    seconds, mebibytes = measure(lambda: bomb(tmp_path))
    assert seconds < 5
    assert mebibytes < 200
