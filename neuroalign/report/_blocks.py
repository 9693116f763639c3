"""What a page is made of: pictures, tables, notes, a cortex to turn."""

from dataclasses import dataclass
from typing import Any, Literal

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows of cells; None is shown as a dash and sorts last."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    shape: Literal["table"] = "table"


@dataclass(frozen=True)
class Picture:
    """A PNG with its words; ``png`` is base64, ``data`` the numbers that a reader may take."""

    title: str
    png: str
    alt: str
    caption: str = ""
    data: Table | None = None
    shape: Literal["picture"] = "picture"


@dataclass(frozen=True)
class Cortex:
    """A surface to turn; ``payload`` can be written as JSON, ``fallback`` stands in print."""

    title: str
    payload: dict[str, Any]
    fallback: Picture
    caption: str = ""
    shape: Literal["cortex"] = "cortex"


@dataclass(frozen=True)
class Note:
    """Something the reader must know; ``tone`` is ``skipped``, ``warning`` or ``good``."""

    text: str
    tone: Literal["skipped", "warning", "good"] = "skipped"
    shape: Literal["note"] = "note"


Block = Picture | Table | Note | Cortex
