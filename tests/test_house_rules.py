"""The rules of the house that a linter does not hold."""

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import neuroalign

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "neuroalign"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = [
    "xarray",
    "pandas",
    "scipy",
    "sklearn",
    "torch",
    "mne",
    "numpy",
    "matplotlib",
    "nibabel",
    "nilearn",
    "dask",
    "zarr",
]
ROOMS = sorted(
    path.parent.name for path in PACKAGE.glob("*/__init__.pyi") if path.parent.name != "neuroalign"
)


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith('"""'), "a module opens with its docstring"


def is_tested_alone(path: Path) -> bool:
    """Whether a module has a test of its own: a private one of a room is tested through that."""
    in_room = path.parent != PACKAGE
    return path.stem != "__init__" and not (in_room and path.stem.startswith("_"))


@pytest.mark.parametrize("path", [*filter(is_tested_alone, MODULES)], ids=dotted)
def test_every_module_has_its_test(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    test = ROOT.joinpath("tests", *parts[:-1], f"test_{path.stem.strip('_')}.py")
    assert test.exists(), f"{dotted(path)} lacks {test.relative_to(ROOT)}"


def test_import_loads_no_heavy_library() -> None:
    code = f"import neuroalign, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_lazy_name_resolves() -> None:
    code = "import neuroalign as na; print(len([getattr(na, name) for name in na.__all__]))"
    environment = {**os.environ, "EAGER_IMPORT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(len(neuroalign.__all__))], done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_public_callables_are_documented(room: str) -> None:
    module = import_module(f"neuroalign.{room}")
    for name in module.__all__:
        thing = getattr(module, name)
        if callable(thing):
            text = inspect.getdoc(thing) or ""
            assert len(text.splitlines()) > 3, f"{room}.{name}: a docstring with its parameters"


def test_public_signatures_have_no_catch_all() -> None:
    for room in ROOMS:
        module = import_module(f"neuroalign.{room}")
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                kinds = {p.kind for p in inspect.signature(thing).parameters.values()}
                assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{room}.{name} takes **kwargs"


def test_nothing_unsafe_is_called() -> None:
    unsafe = re.compile(
        r"allow_pickle=True|import pickle|joblib\.load|yaml\.load\("
        r"|weights_only=False|shell=True|\beval\(|\bexec\("
    )
    for path in MODULES:
        text = path.read_text(encoding="utf-8").replace(".eval(", "(")
        assert not unsafe.search(text), f"{dotted(path)}: {unsafe.search(text)}"


def test_relative_imports_are_for_stubs_only() -> None:
    for path in MODULES:
        assert not re.search(r"^\s*from \.", path.read_text(encoding="utf-8"), re.M), dotted(path)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120
