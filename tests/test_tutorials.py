"""The notebooks of the tutorials: their form, and that they run without a network."""

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
HEADER = ("Goal", "Time", "Data", "You will be able to", "Reference number")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
LONGEST = 120  # [s] a cell may take, on a machine with other work too
CPU = 60  # [s] of the processor that a notebook may take, with what it starts
PUBLIC = {"errors", "encoders.readouts", "study"}  # rooms that notebooks take names from
COUNT = "import os\nprint(sum(os.times()[:4]))"
BLOCK = """
import socket

def _stay_home(name):
    real = getattr(socket.socket, name)
    def connect(self, address):
        if self.family != socket.AF_UNIX and str(address[0]) not in ("127.0.0.1", "::1"):
            raise OSError(f"tutorials stay offline, got a connection to {address}")
        return real(self, address)
    setattr(socket.socket, name, connect)

def _resolve_nothing(host, *rest, _real=socket.getaddrinfo, **named):
    if host not in (None, "localhost", "127.0.0.1", "::1"):
        raise OSError(f"tutorials stay offline, got a question for {host}")
    return _real(host, *rest, **named)

_stay_home("connect")
_stay_home("connect_ex")
socket.getaddrinfo = _resolve_nothing
"""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_of(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "code"]


def run(notebook: Any, folder: Path) -> float:
    """Execute in place, in a folder, with the network blocked; give the seconds of CPU it took."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(BLOCK))
    notebook.cells.append(nbformat.v4.new_code_cell(COUNT))
    client = nbclient.NotebookClient(
        notebook,
        timeout=LONGEST,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--HistoryManager.enabled=False"],
    )
    # Threads that wait for each other would count as work.
    client.execute(env={**os.environ, "OMP_NUM_THREADS": "1"})
    return float(notebook.cells.pop().outputs[0].text)


def test_tutorials_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:2]) for path in NOTEBOOKS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == 10


@every_notebook
def test_a_notebook_is_stripped(path: Path) -> None:
    notebook = read(path)
    assert notebook.metadata == METADATA
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"jupyter", "tags"}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@every_notebook
def test_a_notebook_opens_with_its_title_and_header(path: Path) -> None:
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {int(path.name[:2])}. ")
    assert [name for name in HEADER if name.lower() not in first.source.lower()] == []


@every_notebook
def test_a_notebook_ends_with_its_check(path: Path) -> None:
    title, check, _ = read(path).cells[-3:]
    assert title.source.startswith("## Check")
    assert check.cell_type == "code"
    assert re.search(r"^ *assert ", check.source, re.M)


@every_notebook
def test_after_its_check_a_notebook_names_the_next_and_its_sources(path: Path) -> None:
    last = read(path).cells[-1]
    assert last.cell_type == "markdown"
    onward, sources = last.source.split("**References**")
    assert onward.startswith("**Next:** [")
    named = re.findall(r"\((\d\d_\w+\.ipynb)\)", onward)
    assert named
    assert [name for name in named if not (FOLDER / name).is_file()] == []
    assert [
        page for page in re.findall(r"`(docs/.*?)`", onward) if not (ROOT / page).is_file()
    ] == []
    assert len(re.findall(r"^- .+ \(\d{4}\)", sources, re.M)) >= 4
    for line in re.findall(r"^- .*\[.*", sources, re.M):
        assert re.search(r"\[(doi|arXiv):(\S+)\]\(https://(doi|arxiv)\.org/(abs/)?\2\)", line), line


def test_sources_of_notebooks_are_those_of_the_package() -> None:
    known = "".join(
        file.read_text(encoding="utf-8")
        for folder in ("neuroalign", "datasets")
        for file in (ROOT / folder).rglob("*.*")
        if file.suffix in {".py", ".bib", ".toml"}
    )
    ends = "".join(read(path).cells[-1].source for path in NOTEBOOKS)
    cited = set(re.findall(r"\[(?:doi|arXiv):(\S+?)\]", ends))
    assert [one for one in sorted(cited) if one not in known] == []


@every_notebook
def test_code_holds_no_magics_downloads_or_places_of_one_machine(path: Path) -> None:
    for source in code_of(path):
        assert not re.search(r"^\s*[!%]", source, re.M), source
        assert "http" not in source
        assert not re.search(r"[\"'](/|~|[A-Z]:\\)\w+", source), source
        compile(source, path.name, "exec")


@every_notebook
def test_code_takes_from_the_package_what_is_public(path: Path) -> None:
    code = "\n".join(code_of(path))
    for module, names in re.findall(r"^from (neuroalign[.\w]*) import (.+)$", code, re.M):
        assert all(hasattr(import_module(module), name) for name in names.split(", "))
        room = module.removeprefix("neuroalign.")
        assert room in PUBLIC, f"{module}: expected a room, got a module inside one"


@every_notebook
def test_real_data_that_need_a_download_are_shown_and_not_loaded(path: Path) -> None:
    code = "\n".join(code_of(path))
    if "REAL" in code:
        assert re.findall(r"^REAL = (\w+)$", code, re.M) == ["False"]
        assert "neuroalign fetch " in "\n".join(cell.source for cell in read(path).cells)
    else:
        assert "load_dataset(" not in code or "natural-images" in code or "simulated-" in code


@every_notebook
def test_an_exercise_is_followed_by_its_folded_solution(path: Path) -> None:
    cells = read(path).cells
    asked = [n for n, cell in enumerate(cells) if cell.source.startswith("## Exercise")]
    assert len(asked) <= 1
    for solution in (cells[place + 1] for place in asked):
        assert solution.cell_type == "code"
        assert solution.metadata.jupyter.source_hidden
        assert "hide-input" in solution.metadata.tags


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs_offline_and_without_warnings(path: Path, tmp_path: Path) -> None:
    notebook = read(path)
    seconds = run(notebook, tmp_path)
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    warned = [out.text for out in outputs if out.output_type == "stream" and out.name == "stderr"]
    assert warned == []
    assert any("image/png" in out.get("data", {}) for out in outputs), "it draws"
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
    assert seconds < CPU


@pytest.mark.slow
def test_the_network_is_blocked_in_tests_of_notebooks(tmp_path: Path) -> None:
    asks = "import urllib.request\nurllib.request.urlopen('https://example.org', timeout=5)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(asks)])
    with pytest.raises(Exception, match="tutorials stay offline"):
        run(notebook, tmp_path)
