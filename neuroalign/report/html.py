"""One self-contained HTML file: nothing is fetched, everything is escaped."""

import base64
import hashlib
import io
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from neuroalign import __version__
from neuroalign.errors import choose
from neuroalign.report.screens import SCREENS

SORT = """
for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("th").forEach((cell, column) => {
    cell.tabIndex = 0;
    const sort = () => {
      const up = cell.dataset.up !== "1";
      cell.dataset.up = up ? "1" : "0";
      const rows = [...table.tBodies[0].rows];
      const key = row => row.cells[column].textContent;
      rows.sort((a, b) => key(a).localeCompare(key(b), undefined, {numeric: true}) * (up ? 1 : -1));
      table.tBodies[0].append(...rows);
    };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
}
"""


def encode_figure(figure: Figure) -> str:
    """Render a figure as a PNG data address."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def write_html(
    results: Mapping[str, xr.Dataset] | xr.Dataset,
    path: Path | str,
    *,
    title: str = "neuroalign report",
) -> Path:
    """Write results as one page that needs no network.

    Parameters
    ----------
    results : Dataset, or mapping of str to Dataset
        Each with ``attrs['kind']`` (as "encoding" (fold, neuroid[, time])); names become headings.
    path : path
        The ``.html`` file; replaced whole.
    title : str

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        When a kind has no screen.
    """
    path = Path(path)
    named = {"result": results} if isinstance(results, xr.Dataset) else dict(results)
    chapters = []
    for name, result in named.items():
        show = choose(SCREENS, str(result.attrs.get("kind", "")), f"{name}.attrs['kind']")
        sections = [
            {
                "title": section.title,
                "notes": section.notes,
                "image": encode_figure(section.figure) if section.figure is not None else "",
                "alt": section.alt,
                "head": section.head,
                "rows": section.rows,
            }
            for section in show(result)
        ]
        chapters.append({"name": name, "sections": sections})
    environment = Environment(
        autoescape=True, loader=PackageLoader("neuroalign.report", "."), undefined=StrictUndefined
    )
    script_hash = base64.b64encode(hashlib.sha256(SORT.encode()).digest()).decode("ascii")
    page = environment.get_template("page.html.j2").render(
        title=title, chapters=chapters, script=SORT, script_hash=script_hash, version=__version__
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
