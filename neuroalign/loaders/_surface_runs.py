"""Paths of surface files, one or several."""

from collections.abc import Sequence
from pathlib import Path

PathLike = Path | str


def list_runs(value: PathLike | Sequence[PathLike] | None) -> list[Path]:
    """One path, several, or none."""
    if value is None:
        return []
    return [Path(value)] if isinstance(value, str | Path) else [Path(path) for path in value]
