"""Pages made from the package: one for each room, the sources of methods, the tutorials."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

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
    "errors",
    "report",
    "study",
]
# Where a paper says it: "equation 5", "sections 2 and 3", "algorithm 1".
PLACES = re.compile(
    r"\bsections? on [^;.`]+|\b(?:eqs?\.|equations?|sections?|algorithms?|appendix|definitions?"
    r"|theorems?|chapters?|figures?)\s[^,;:()`]*?(?=[,;:()`]|\.(?:\s|$)|$)",
    re.IGNORECASE,
)
# A formula in prose: "EV = var(mean over repeats) / mean(var of a repeat)".
FORMULA = re.compile(r"\b\w+ = (?:[^;:,.\"()]|\((?:[^()\"]|\([^()\"]*\))*\))+")
EQUALS = re.compile(r" = |[(|<].{6,} / .*[(|]")
# Public tables of rooms that are one module.
TABLES = {"METRICS"}
# A paper that a docstring names in a sentence: "Shahbazi et al. (2021), NeuroImage 239, ...".
NAMED = re.compile(r"[A-Z]\w+(?: et al\.| & [A-Z]\w+)? \(\d{4}\), .*?(?=\.\s|\.$|$)", re.DOTALL)


class Methods(NamedTuple):
    """A public table of methods, and the function that takes their names.

    ``like`` names the function whose docstring holds the source of a method; ``papers`` holds
    sources that no docstring names, "" for a method that needs none.
    """

    room: str
    table: str
    door: str
    argument: str
    like: dict[str, str]
    papers: dict[str, str]


# Kernels of comparisons, which the table of comparisons wraps.
KERNELS = ["rsa._comparison_kernels.NORMALISERS", "rsa._comparison_kernels.TAUS"]
METHODS = [
    Methods(
        "rsa",
        "DISTANCES",
        "compute_rdm",
        "distance",
        {},
        dict.fromkeys(("cosine", "city_block", "poisson", "poisson_cv"), ""),
    ),
    Methods(
        "rsa",
        "COMPARISONS",
        "compare_rdms",
        "method",
        {"bures": "similarity.bures_similarity", "riemannian": "rsa._geometry.riemannian_distance"},
        {},
    ),
    Methods(
        "similarity",
        "SIMILARITIES",
        "compare",
        "method",
        {
            "cca": "similarity.canonical_correlations",
            "cca_squared": "similarity.projection_weighted_cca",
            "svcca": "similarity.canonical_correlations",
            "cca_held_out": "similarity.canonical_correlations",
            "linear_predictivity": "similarity.linear_predictivity",
            "symmetric_predictivity": "similarity.linear_predictivity",
            "pwcca": "similarity.projection_weighted_cca",
            "procrustes": "similarity.bures_similarity",
            "procrustes_angle": "similarity.shape_distance",
            "permutation_angle": "similarity.shape_distance",
            "one_to_one_matching": "similarity.match_units",
            "semi_matching": "similarity.match_units",
            "soft_matching": "similarity.match_softly",
        },
        {
            "svcca": "Raghu, Gilmer, Yosinski & Sohl-Dickstein (2017), NeurIPS 30, "
            "arXiv:1706.05806.",
            "linear_predictivity": "Yamins et al. (2014), PNAS 111, doi:10.1073/pnas.1403112111.",
            "symmetric_predictivity": "",
        },
    ),
]


class Source(NamedTuple):
    """One row of the table of sources: ``where`` in the paper, or the formula."""

    room: str
    name: str
    shown: str
    paper: str
    where: str
    tests: list[str]


def list_public(room: str) -> list[tuple[str, Any]]:
    """Public names of a room, with what they are."""
    module = import_module(f"neuroalign.{room}")
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_")
            and (
                name in TABLES
                or (callable(thing) and getattr(thing, "__module__", "") == module.__name__)
            )
        ]
    return [(name, getattr(module, name)) for name in sorted(names, key=str.lower)]


def sign(room: str) -> str:
    """The first lines of a room's docstring."""
    text = inspect.getdoc(import_module(f"neuroalign.{room}")) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def describe(value: Any) -> str:
    """What a row of a public table says of itself."""
    text = getattr(value, "description", "")
    if not text and inspect.isroutine(value):
        text = (inspect.getdoc(value) or "").split("\n\n")[0]
    return " ".join(str(text).split())


def read_definitions(function: Any) -> dict[str, str]:
    """Definitions in the table that opens the module of a function."""
    text = inspect.getdoc(import_module(function.__module__)) or ""
    found = re.findall(r"^``(\w+)`` +(.+(?:\n {9,}.+)*)", text, re.MULTILINE)
    return {key: " ".join(told.split()) for key, told in found}


def list_entries(thing: Any, defined: dict[str, str]) -> list[str]:
    """Names in a public table, one a line, with what is said of each."""
    told = {key: describe(thing[key]) for key in thing} if isinstance(thing, dict) else {}
    told |= {key: defined[key] for key in told if key in defined}
    return [f"- ``{key}``" + (f": {told[key]}" if told.get(key) else "") for key in thing]


def reach(path: str) -> Any:
    """What a dotted name in the package stands for."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"neuroalign.{module}"), name)


def write_room(room: str, folder: Path) -> None:
    """Write the page of one room."""
    title = f"neuroalign.{room}"
    lines = [title, "=" * len(title), "", f".. py:module:: {title}", "   :no-index:", ""]
    lines += [sign(room), ""]
    doors = {methods.table: methods.door for methods in METHODS if methods.room == room}
    doors |= {"CROSS_DISTANCES": "compute_cross_rdm"} if room == "rsa" else {}
    for name, thing in list_public(room):
        head = [name, "-" * len(name), ""]
        if inspect.isclass(thing):
            lines += [*head, f".. autoclass:: {title}.{name}"]
            lines += ["   :members:", f"   :exclude-members: {MADE}", ""]
        elif inspect.isroutine(thing):
            lines += [*head, f".. autofunction:: {title}.{name}", ""]
        elif isinstance(thing, dict | list | tuple):
            defined = read_definitions(reach(f"{room}.{doors[name]}")) if name in doors else {}
            lines += [*head, f".. py:data:: {name}", "", *list_entries(thing, defined), ""]
    (folder / f"{room.replace('.', '_')}.rst").write_text("\n".join(lines), encoding="utf-8")


def read_section(thing: Any, name: str) -> str:
    """A section of a docstring, as one line."""
    text = inspect.getdoc(thing) or ""
    found = re.search(rf"{name}\n-+\n(.*?)(?:\n\n[A-Z]\w+\n-+|\Z)", text, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def read_sources(thing: Any) -> str:
    """The papers that a docstring names."""
    return read_section(thing, "References")


def find_places(thing: Any, paper: str) -> str:
    """Equations, sections and algorithms that a docstring names, else its first formula."""
    found = [
        " ".join(one.split())
        for text in (paper, read_section(thing, "Notes"))
        for one in PLACES.findall(text)
    ]
    if found:
        return "; ".join(dict.fromkeys(found))
    told = " ".join((inspect.getdoc(thing) or "").split("\nExamples\n---")[0].split())
    texts = (read_section(thing, "Notes"), told)
    literals = [one for text in texts for one in text.split("``")[1::2] if EQUALS.search(one)]
    prose = [one.strip() for text in texts for one in FORMULA.findall(text.replace("``", ""))]
    prose = [one for one in prose if "/" in one or "(" in one]
    return next((f"``{one}``" for one in [*literals, *prose]), "")


def read_tests() -> dict[str, str]:
    """All files of tests, by their path from the root."""
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
    }


def name_home(room: str) -> tuple[str, str]:
    """Where the tests of a room lie: a folder, or a file for a room of one module."""
    return f"tests/{room.replace('.', '/')}/", f"tests/test_{room.replace('.', '_')}.py"


def find_tests(words: list[str], room: str, texts: dict[str, str], *modules: str) -> list[str]:
    """Files of tests that hold a word: those of its module and room first, then references."""
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")
    order = [*name_home(room), "tests/reference/", "tests/recovery/", "tests/"]
    own = tuple(f"/test_{module.rpartition('.')[2].lstrip('_')}.py" for module in modules)

    def rank(file: str) -> tuple[int, bool, str]:
        place = next(n for n, start in enumerate(order) if file.startswith(start))
        return place, not file.endswith(own), file

    # Most files hold none of the words, which is seen faster than searched.
    near = {file: text for file, text in texts.items() if any(word in text for word in words)}
    return sorted((file for file, text in near.items() if pattern.search(text)), key=rank)


def find_kernel(methods: Methods, key: str, value: Any) -> Any:
    """The function whose docstring tells of a method."""
    if key in methods.like:
        return reach(methods.like[key])
    known = {name: kernel for table in KERNELS for name, kernel in reach(table).items()}
    return getattr(value, "kernel", None) or getattr(value, "prepare", None) or known[key]


def read_methods(methods: Methods, texts: dict[str, str]) -> list[Source]:
    """One row for each name that a function takes."""
    door = reach(f"{methods.room}.{methods.door}")
    defined = read_definitions(door)
    rows = []
    for key, value in reach(f"{methods.room}.{methods.table}").items():
        kernel = find_kernel(methods, key, value)
        told = " ".join((inspect.getdoc(kernel) or "").split("\n\nParameters\n")[0].split())
        named = NAMED.search(told)
        paper = methods.papers.get(key)
        if paper is None:
            paper = read_sources(kernel) or (f"{named[0]}." if named else read_sources(door))
        shown = f'{methods.room}.{methods.door}({methods.argument}="{key}")'
        like = methods.like.get(key, "").rpartition(".")[2]
        words = [f'"{key}"', like] if like else [f'"{key}"']
        tests = find_tests(words, methods.room, texts, kernel.__module__, door.__module__)
        where = find_places(kernel, paper) or defined.get(key, "")
        if not paper:
            paper, where = "By definition.", where or describe(value)
        rows.append(Source(methods.room, methods.door, shown, paper, where, tests))
    return rows


def list_sources() -> list[Source]:
    """All functions and methods that name a source."""
    texts = read_tests()
    rows = []
    for room in ROOMS:
        for name, thing in list_public(room):
            paper = read_sources(thing) if callable(thing) else ""
            if paper:
                tests = find_tests([name], room, texts, thing.__module__)
                where = find_places(thing, paper)
                rows.append(Source(room, name, f"{room}.{name}", paper, where, tests))
        for methods in METHODS:
            if methods.room == room:
                rows += read_methods(methods, texts)
    return rows


def write_sources(path: Path) -> None:
    """Write the table: function, source, place in it, tests."""
    lines = ["Sources of methods", "==================", ""]
    lines += ["Each method names the paper or the book that it follows, and is held by tests.", ""]
    lines += ["The third column says where in the paper, or the formula or definition; it is empty"]
    lines += ["where the docstring has none. Tests of the room come first.", ""]
    lines += [".. list-table::", "   :header-rows: 1", "   :widths: 25 40 15 20", ""]
    lines += [
        "   * - function",
        "     - source",
        "     - equation, section or definition",
        "     - tests",
    ]
    for row in list_sources():
        tests = ", ".join(f"``{one}``" for one in row.tests[:3])
        target = f"neuroalign.{row.room}.{row.name}"
        lines += [f"   * - :py:obj:`{row.shown} <{target}>`", f"     - {row.paper}"]
        lines += [f"     - {row.where}".rstrip(), f"     - {tests}".rstrip()]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def write_pages(app: Any) -> None:
    """Make everything that is made, before the site is read."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    for room in ROOMS:
        write_room(room, folder)
    names = "\n".join(f"   {room.replace('.', '_')}" for room in ROOMS)
    table = "".join(
        f"* :doc:`neuroalign.{room} <{room.replace('.', '_')}>`: {sign(room)}\n" for room in ROOMS
    )
    text = f"Reference\n=========\n\n{table}\n.. toctree::\n   :hidden:\n\n{names}\n"
    (folder / "index.rst").write_text(text, encoding="utf-8")
    write_sources(folder / "sources.rst")
    notebooks = HERE / "_notebooks"
    notebooks.mkdir(exist_ok=True)
    for notebook in sorted((ROOT / "tutorials").glob("*.ipynb")):
        # Pages lie beside the folder of notebooks here, and in docs/ seen from tutorials/.
        text = notebook.read_text(encoding="utf-8").replace("](../docs/", "](../")
        (notebooks / notebook.name).write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Hook into the build."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
