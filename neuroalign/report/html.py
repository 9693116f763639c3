"""One page for all results: self-contained, offline, and inert to what labels may hold."""

import base64
import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from neuroalign import __version__
from neuroalign.errors import NeuroalignWarning, choose
from neuroalign.report._blocks import Block, Cortex, Note
from neuroalign.report._results import check_shown
from neuroalign.report._style import clean
from neuroalign.report.cortex_block import pack_mesh
from neuroalign.report.data_export import describe_table, name_file, write_json
from neuroalign.report.methods import describe_methods
from neuroalign.report.overview import make_cards, run_checks
from neuroalign.report.screens import SCREENS
from neuroalign.report.verdicts import state_verdict
from neuroalign.storage import write_whole

Result = xr.DataArray | xr.Dataset
HEAVY_PAGE = 20_000_000
# From so many results of one kind on, all but the first are folded.
MANY_ALIKE = 3
# Scripts of the page; the second only where there is a cortex to turn.
PAGE_SCRIPT, CORTEX_SCRIPT = "page.js", "cortex.js"


@dataclass(frozen=True)
class Screen:
    """A result on the page; ``anchor`` is where it begins."""

    anchor: str
    name: str
    kind: str
    verdict: str
    notes: tuple[Note, ...]
    blocks: tuple[Block, ...]
    folds: bool = False
    open: bool = True

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Notes that warn."""
        return tuple(note for note in self.notes if note.tone == "warning")

    @property
    def n_warnings(self) -> int:
        """How many notes warn."""
        return len(self.warnings)

    @property
    def left_out(self) -> tuple[Note, ...]:
        """Notes of parts that could not be made."""
        return tuple(note for note in self.notes if note.tone == "skipped")


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


def _make_screen(number: int, name: str, result: Result) -> Screen:
    check_shown(result, name)
    kind = str(result.attrs["kind"])
    blocks = choose(SCREENS, kind, f"{name}.attrs['kind']")(result)
    return Screen(
        anchor=f"result-{number}",
        name=name,
        kind=kind,
        verdict=state_verdict(result),
        notes=tuple(block for block in blocks if isinstance(block, Note)),
        blocks=tuple(block for block in blocks if not isinstance(block, Note)),
    )


def _fold(screens: list[Screen]) -> list[Screen]:
    """Fold results of a kind that has many, all but the first, so that a page can be surveyed."""
    kinds = [screen.kind for screen in screens]
    return [
        replace(one, folds=kinds.count(one.kind) >= MANY_ALIKE, open=one.kind not in kinds[:number])
        for number, one in enumerate(screens)
    ]


def _make_environment() -> Environment:
    """Templates of this folder, in which everything is escaped, whatever a file is called."""
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined,
        finalize=_finalize, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["as_json"] = write_json
    environment.filters["as_data"] = lambda table: write_json(describe_table(table))
    environment.filters["as_file"] = name_file
    return environment


def render_html(
    results: Mapping[str, Result] | Result,
    *,
    title: str = "neuroalign report",
    study: str | None = None,
) -> str:
    """Make the page as text.

    Parameters
    ----------
    results : mapping of str to Dataset or DataArray, or one of them
    title : str
    study : str, optional
        The YAML of the study that made the results, shown as it is.

    Returns
    -------
    str

    Raises
    ------
    SchemaError, ValueError
        When a result breaks its kind, or its kind is unknown.
    """
    named = _name(results)
    screens = _fold([_make_screen(number, *item) for number, item in enumerate(named.items(), 1)])
    forms = {
        block.payload.get("form")
        for screen in screens
        for block in screen.blocks
        if isinstance(block, Cortex)
    }
    style = _read("page.css")
    scripts = [_read(name) for name in (PAGE_SCRIPT, *([CORTEX_SCRIPT] if forms else []))]
    return (
        _make_environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            screens=screens,
            cards=make_cards(named),
            checks=run_checks(named),
            methods=describe_methods(named),
            study=None if study is None else study.replace("\r\n", "\n"),
            mesh=pack_mesh() if "maps" in forms else None,
            made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            version=__version__,
            style=Markup(style),
            style_hash=hash_source(style),
            scripts=[Markup(script) for script in scripts],
            script_hashes=[hash_source(script) for script in scripts],
        )
    )


def write_html(
    results: Mapping[str, Result] | Result,
    path: str | Path,
    *,
    title: str = "neuroalign report",
    study: str | None = None,
) -> Path:
    """Write one HTML file that holds all figures and tables and needs no network.

    Parameters
    ----------
    results : mapping of str to Dataset or DataArray, or one of them
        Objects of the schema; each kind has its screen. The first gives the headline.
    path : path
        Replaced in one step: an old page or the whole new one, never half.
    title : str
    study : str, optional
        The YAML of the study that made the results; the page shows it.

    Returns
    -------
    Path

    Raises
    ------
    SchemaError, ValueError
        When a result breaks its kind, or its kind is unknown.

    Notes
    -----
    The page opens with cards, checks and warnings of all results, and closes with a paragraph of
    methods and its references. Numbers of tables, and of figures that carry theirs, can be taken
    as CSV or JSON; in CSV, text that a spreadsheet would run begins with an apostrophe.

    Text from results is escaped and stripped of control characters. The page's content security
    policy admits its style and scripts, by hash, and images from the page itself.

    Warns
    -----
    NeuroalignWarning
        When the page is larger than 20 MB.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> rdm = from_matrix(np.array([1.0, 2.0, 3.0]), ["cat", "dog", "cup"])
    >>> with TemporaryDirectory() as folder:
    ...     path = write_html({"animals": rdm}, f"{folder}/study.html", title="My study")
    ...     page = path.read_text(encoding="utf-8")
    >>> "<title>My study</title>" in page
    True
    """
    if not isinstance(path, str | PathLike):
        raise ValueError(
            f"path: expected the name of a file, got {type(path).__name__}. "
            "The order is write_html(results, path)."
        )
    path = Path(path)
    page = render_html(results, title=title, study=study).encode("utf-8")
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
