"""One page for all results: self-contained, offline, and inert to what labels may hold."""

import base64
import hashlib
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from neuroalign import __version__
from neuroalign.errors import NeuroalignWarning, choose
from neuroalign.report._blocks import Note
from neuroalign.report._results import check_shown
from neuroalign.report._style import clean
from neuroalign.report.screens import SCREENS
from neuroalign.report.verdicts import state_verdict
from neuroalign.storage import write_whole

Result = xr.DataArray | xr.Dataset
HEAVY_PAGE = 20_000_000


def _read(name: str) -> str:
    return files("neuroalign.report").joinpath(name).read_text(encoding="utf-8")


def hash_source(text: str) -> str:
    """Hash of an inline style or script as a content security policy names it.

    Parameters
    ----------
    text : str
        Everything between the tags.

    Returns
    -------
    str
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _finalize(value: Any) -> Any:
    """Clean what the template prints; our own markup passes as it is."""
    return value if isinstance(value, Markup) else clean(value)


def _name(results: Mapping[str, Result] | Result) -> dict[str, Any]:
    """Name a single result by its kind; refuse an empty page."""
    if isinstance(results, xr.DataArray | xr.Dataset):
        return {str(results.attrs.get("kind", "result")): results}
    if not isinstance(results, Mapping) or not results:
        raise ValueError(
            "results: expected a schema object or a mapping of names to them, got "
            f"{'an empty mapping' if isinstance(results, Mapping) else type(results).__name__}. "
            "Pass a dict: {'name': result}."
        )
    return {str(name): result for name, result in results.items()}


def render_html(results: Mapping[str, Result] | Result, *, title: str = "neuroalign report") -> str:
    """Make the page as text.

    Parameters
    ----------
    results : mapping of str to Dataset or DataArray, or one of them
    title : str

    Returns
    -------
    str

    Raises
    ------
    SchemaError, ValueError
        When a result breaks its kind, or its kind is unknown.
    """
    screens = []
    for number, (name, result) in enumerate(_name(results).items(), 1):
        check_shown(result, name)
        kind = str(result.attrs["kind"])
        make = choose(SCREENS, kind, f"{name}.attrs['kind']")
        blocks = make(result)
        screens.append(
            {
                "anchor": f"result-{number}",
                "name": name,
                "kind": kind,
                "verdict": state_verdict(result),
                "blocks": blocks,
                "n_warnings": sum(isinstance(b, Note) and b.tone == "warning" for b in blocks),
            }
        )
    style, script = _read("page.css"), _read("page.js")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_finalize, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.from_string(_read("page.html.j2")).render(
        title=title,
        screens=screens,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        style=Markup(style),
        style_hash=hash_source(style),
        script=Markup(script),
        script_hash=hash_source(script),
    )


def write_html(
    results: Mapping[str, Result] | Result, path: str | Path, *, title: str = "neuroalign report"
) -> Path:
    """Write one HTML file that holds all figures and tables and needs no network.

    Parameters
    ----------
    results : mapping of str to Dataset or DataArray, or one of them
        Objects of the schema; each kind has its screen. The first gives the headline.
    path : path
        Replaced in one step: an old page or the whole new one, never half.
    title : str

    Returns
    -------
    Path

    Raises
    ------
    SchemaError, ValueError
        When a result breaks its kind, or its kind is unknown.

    Notes
    -----
    Text from results is escaped and stripped of control characters. The page's content security
    policy admits one style and one script, by hash, and images from the page itself.

    Warns
    -----
    NeuroalignWarning
        When the page is larger than 20 MB.

    Examples
    --------
    Two results on one page, the first in its headline::

        write_html({"layer4": result, "layer2": other}, "study.html", title="My study")
    """
    if not isinstance(path, str | PathLike):
        raise ValueError(
            f"path: expected the name of a file, got {type(path).__name__}. "
            "The order is write_html(results, path)."
        )
    path = Path(path)
    page = render_html(results, title=title).encode("utf-8")
    if len(page) > HEAVY_PAGE:
        warnings.warn(
            f"results: expected a page below {HEAVY_PAGE / 1e6:.0f} MB, got {len(page) / 1e6:.0f} "
            "MB. Split the results over several pages.",
            NeuroalignWarning,
            stacklevel=2,
        )
    with write_whole(path) as partial:
        partial.write_bytes(page)
    return path
