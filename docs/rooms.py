"""Pages made from the package: one for each room, the sources of methods, the tutorials."""

import inspect
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGE = ROOT / "neuroalign"
# Methods that scikit-learn makes on each estimator, told in words of its own site.
MADE = ", ".join(f"set_{name}_request" for name in ["fit", "predict", "score", "transform"])
# In the order of the road.
ROOMS = [
    "loaders",
    "align",
    "features",
    "models",
    "encoders",
    "encoders.readouts",
    "rsa",
    "similarity",
    "topology",
    "geometry",
    "latents",
    "decoders",
    "convergence",
    "evaluate",
    "scores",
    "ceilings",
    "stats",
    "storage",
    "schema",
    "report",
    "study",
]


def list_public(room: str) -> list[tuple[str, Any]]:
    """Public names of a room, with what they are."""
    module = import_module(f"neuroalign.{room}")
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_")
            and callable(thing)
            and getattr(thing, "__module__", "") == module.__name__
        ]
    return [(name, getattr(module, name)) for name in sorted(names, key=str.lower)]


def sign(room: str) -> str:
    """The first lines of a room's docstring."""
    text = inspect.getdoc(import_module(f"neuroalign.{room}")) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def write_room(room: str, folder: Path) -> None:
    """Write the page of one room."""
    title = f"neuroalign.{room}"
    lines = [title, "=" * len(title), "", f".. py:module:: {title}", "   :no-index:", ""]
    lines += [sign(room), "", ".. contents::", "   :local:", ""]
    for name, thing in list_public(room):
        if not callable(thing):
            continue
        full = f"neuroalign.{room}.{name}"
        kind = "autoclass" if inspect.isclass(thing) else "autofunction"
        lines += [name, "-" * len(name), "", f".. {kind}:: {full}"]
        if inspect.isclass(thing):
            lines += ["   :members:", f"   :exclude-members: {MADE}"]
        lines += [""]
    (folder / f"{room.replace('.', '_')}.rst").write_text("\n".join(lines), encoding="utf-8")


def read_sources(thing: Any) -> str:
    """The section of references of a docstring, as one line."""
    text = inspect.getdoc(thing) or ""
    found = re.search(r"References\n-+\n(.*?)(?:\n\n[A-Z]\w+\n-+|\Z)", text, re.S)
    return " ".join(found[1].split()) if found else ""


def find_tests(name: str, texts: dict[str, str]) -> list[str]:
    """Files of tests that use a name."""
    word = re.compile(rf"\b{name}\b")
    return [file for file, text in texts.items() if word.search(text)]


def write_sources(path: Path) -> None:
    """Write the table: source, function, tests."""
    texts = {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
    }
    lines = ["Sources of methods", "==================", ""]
    lines += ["Each method names the paper or the book that it follows, and is held by tests.", ""]
    lines += [".. list-table::", "   :header-rows: 1", "   :widths: 25 50 25", ""]
    lines += ["   * - function", "     - source", "     - tests"]
    for room in ROOMS:
        for name, thing in list_public(room):
            source = read_sources(thing) if callable(thing) else ""
            if source:
                tests = ", ".join(f"``{one}``" for one in find_tests(name, texts)[:3])
                lines += [f"   * - ``{room}.{name}``", f"     - {source}", f"     - {tests}"]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def write_pages(app: Any) -> None:
    """Make everything that is made, before the site is read."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    for room in ROOMS:
        write_room(room, folder)
    names = "\n".join(f"   {room.replace('.', '_')}" for room in ROOMS)
    text = f"Reference\n=========\n\n.. toctree::\n   :maxdepth: 1\n\n{names}\n"
    (folder / "index.rst").write_text(text, encoding="utf-8")
    write_sources(folder / "sources.rst")
    notebooks = HERE / "_notebooks"
    notebooks.mkdir(exist_ok=True)
    for notebook in sorted((ROOT / "tutorials").glob("*.ipynb")):
        shutil.copy(notebook, notebooks / notebook.name)


def setup(app: Any) -> dict[str, bool]:
    """Hook into the build."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
