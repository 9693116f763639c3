"""Formulas as MathML: drawn by the browser itself, without a script or a network."""

from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def write_inline(translator: Any, node: Any) -> None:
    """Write a formula within a line."""
    translator.body.append(convert(node.astext()))
    raise SkipNode


def write_block(translator: Any, node: Any) -> None:
    """Write a formula on a line of its own."""
    formula = convert(node.astext(), display="block")
    translator.body.append(f'<div class="formula">{formula}</div>')
    raise SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Hook into the build."""
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
    return {"parallel_read_safe": True}
