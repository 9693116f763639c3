"""What the docstrings show is what happens, and each public name shows something."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import pytest

import neuroalign

PACKAGE = Path(__file__).parent.parent / "neuroalign"
SHOWN = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]
# Rooms of one module, and rooms inside of rooms.
ROOMS = sorted(
    {f"neuroalign.{name}" for name in neuroalign.__all__}
    | {
        found.name
        for found in walk_packages([str(PACKAGE)], "neuroalign.")
        if found.ispkg and "._" not in found.name
    }
)
# What is raised, and what makes messages.
WITHOUT = {"neuroalign.errors"}
# What stores of other rooms share with `storage`; nobody outside calls it.
INNER = {"neuroalign.storage": {"say_why", "name_owner", "is_abandoned", "remove"}}


@pytest.mark.parametrize("name", SHOWN)
def test_examples_give_what_they_show(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


def list_public(room: ModuleType) -> dict[str, Any]:
    """What a room lists, or what it defines where it lists nothing; tables and types left out."""
    names = getattr(room, "__all__", None)
    if names is None:
        names = [
            name
            for name, thing in vars(room).items()
            if not name.startswith("_") and getattr(thing, "__module__", "") == room.__name__
        ]
    things = {name: getattr(room, name) for name in names}
    return {
        name: thing
        for name, thing in things.items()
        if inspect.isfunction(thing) or inspect.isclass(thing)
    }


@pytest.mark.parametrize("name", sorted(set(ROOMS) - WITHOUT))
def test_every_public_name_has_an_example(name: str) -> None:
    public = list_public(import_module(name))
    without = {key for key, thing in public.items() if ">>>" not in (inspect.getdoc(thing) or "")}
    assert without - INNER.get(name, set()) == set()
