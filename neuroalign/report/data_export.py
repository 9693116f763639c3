"""Numbers that a reader takes from the page: written so that no browser reads them as markup.

A table is read by the page's script from its cells. A figure carries its numbers, and a cortex its
surface, as JSON in an element that no browser runs.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from neuroalign.report._blocks import Table
from neuroalign.report._style import clean

# Letters that could end the element or begin another, as JSON writes them.
ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}
LONGEST_PART = 40


def to_plain(value: Any) -> Any:
    """Make a value one that JSON can hold: text cleaned, numbers bare, None where not finite.

    Parameters
    ----------
    value : Any
        Mappings, lists, tuples, arrays, text, numbers, None. Anything else becomes text.

    Returns
    -------
    Any
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return clean(value)


def write_json(value: Any) -> Markup:
    """Write JSON that stands between script tags as it is.

    Parameters
    ----------
    value : Any
        See `to_plain`.

    Returns
    -------
    Markup
    """
    text = json.dumps(to_plain(value), allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(ESCAPES))


def describe_table(table: Table) -> dict[str, Any]:
    """Give a table the form in which a reader takes it.

    Parameters
    ----------
    table : Table

    Returns
    -------
    dict
        ``title``, ``caption``, ``columns`` and ``rows``.
    """
    return {
        "title": table.title,
        "caption": table.caption,
        "columns": list(table.columns),
        "rows": [list(row) for row in table.rows],
    }


def name_file(*parts: object) -> str:
    """Join words to the stem of a file name that every system takes.

    Parameters
    ----------
    *parts : str or number

    Returns
    -------
    str
        Letters, digits, ``-`` and ``_``; each part at most 40 long.
    """
    words = [re.sub(r"[^A-Za-z0-9]+", "-", str(part)).strip("-")[:LONGEST_PART] for part in parts]
    return "_".join(filter(None, words)) or "neuroalign"
