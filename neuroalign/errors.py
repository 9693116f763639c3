"""The errors everyone raises, and the two helpers that write their messages.

Form of every message: ``<argument or file>: expected <what>, got <what>. <what to do>.``
"""

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class NeuroalignError(Exception):
    """Root of the errors that neuroalign raises on bad input."""


class SchemaError(NeuroalignError, ValueError):
    """An array does not follow the schema."""


class AlignError(NeuroalignError, ValueError):
    """Labels of two arrays do not fit together."""


class LoadError(NeuroalignError, ValueError):
    """A file cannot be read as what it claims to be."""


class DataCorruptionError(LoadError):
    """A file is damaged or incomplete."""


class FitError(NeuroalignError, ArithmeticError):
    """A model could not be fitted: its objective or its parameters are not finite."""


class LeakageError(NeuroalignError, ValueError):
    """Train and test share what they must not share."""


class MissingExtraError(NeuroalignError, ImportError):
    """An optional library is not installed."""


class NeuroalignWarning(UserWarning):
    """Something the user can act on."""


def choose(table: Mapping[str, T], name: str, argument: str) -> T:
    """Read an option table; raise with the names it holds.

    Parameters
    ----------
    table : mapping of str
        Name -> function or value.
    name : str
        The name asked for.
    argument : str
        The argument to be named in the message.

    Raises
    ------
    ValueError
        When the table lacks the name.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    close = get_close_matches(str(name), table, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    options = ", ".join(f"'{option}'" for option in table)
    raise ValueError(f"{argument}: expected one of {options}, got '{name}'.{hint}")


def require(module: str, extra: str) -> ModuleType:
    """Import an optional library, or say which command brings it.

    Parameters
    ----------
    module : str
        Dotted module name.
    extra : str
        The extra of neuroalign that installs it.

    Raises
    ------
    MissingExtraError
        When the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{module}: expected to be installed, got no such module. "
            f"Run: pip install 'neuroalign[{extra}]'."
        ) from error


def some(values: object, limit: int = 5) -> str:
    """Show the first few values of a sequence, quoted, and how many more there are."""
    items = [f"'{value}'" for value in values]  # type: ignore[attr-defined]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
