"""Every message that is written in the source: what was expected, what was got, and what to do."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "neuroalign"
ROOMS = ("align", "ceilings", "encoders", "evaluate", "loaders")
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] in ROOMS
)
OURS = {
    "SchemaError",
    "AlignError",
    "LoadError",
    "DataCorruptionError",
    "LeakageError",
    "ValueError",
    "FileNotFoundError",
    "FileExistsError",
    "Refused",
}
# A remedy that is put together elsewhere.
COMPOSED = re.compile(r"\{\}\.?$|^\{\} ")


def read_text(node: ast.expr) -> str | None:
    """Give a message with ``{}`` in the place of values; None when it is no literal."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
        return "".join(map(str, parts))
    return None


def list_messages(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            text = read_text(node.exc.args[0])
            if text is not None and ast.unparse(node.exc.func) in OURS:
                found.append((node.lineno, text))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_error_says_where_what_and_what_to_do(path: Path) -> None:
    for line, text in list_messages(path):
        where = f"{path.name}:{line}: {text}"
        if COMPOSED.search(text):
            continue
        assert "\n" not in text, where
        assert re.search(r"expected|truncated|absent", text), where
        assert text.endswith((".", "?", ")")), where
        sentences = [part for part in re.split(r"(?<=[^. ])[.?](?:\s|$)", text) if part.strip()]
        assert len(sentences) > 1, f"{where} (and what to do?)"
