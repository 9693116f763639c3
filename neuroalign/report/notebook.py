"""A result in a notebook: its verdict and one small table."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Table
from neuroalign.report._results import check_shown
from neuroalign.report._style import clean
from neuroalign.report.rsa_tables import tabulate_models
from neuroalign.report.tables import (
    tabulate_estimate,
    tabulate_recovery,
    tabulate_rois,
)
from neuroalign.report.verdicts import state_verdict

MOST_ROWS = 20
TABLES: dict[str, Callable[[xr.Dataset], Table]] = {
    "encoding": tabulate_rois,
    "estimate": tabulate_estimate,
    "layers": tabulate_recovery,
    "rsa": tabulate_models,
}


@dataclass(frozen=True)
class Sketch:
    """What a notebook displays; ``verdict`` is a sentence, ``table`` its numbers."""

    verdict: str
    table: Table

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{_escape(name)}</th>" for name in self.table.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{_escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.table.rows[:MOST_ROWS]
        )
        more = len(self.table.rows) - MOST_ROWS
        rest = f"<p>and {more} more rows</p>" if more > 0 else ""
        return (
            f"<div><p><strong>{_escape(self.verdict)}</strong></p><table><thead><tr>{head}</tr>"
            f"</thead><tbody>{rows}</tbody></table>{rest}</div>"
        )

    def __repr__(self) -> str:
        return clean(self.verdict)


def _escape(value: object) -> str:
    return escape("–" if value is None else clean(value), quote=True)


def show(result: xr.DataArray | xr.Dataset) -> Sketch:
    """Show a result in a notebook: one sentence and a small table, all text escaped.

    Parameters
    ----------
    result : DataArray or Dataset
        Any object of the schema.

    Returns
    -------
    Sketch
        With ``_repr_html_``.

    Raises
    ------
    SchemaError
        When the object breaks its kind.
    ValueError
        When its kind is unknown.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6)
    >>> result = cross_validate(Ridge(), data.features, data.responses)
    >>> show(result)._repr_html_().startswith("<")
    True
    """
    checked: Any = result
    check_shown(checked, "result")
    verdict = state_verdict(result)
    tabulate = TABLES.get(checked.attrs["kind"])
    if tabulate is not None:
        try:
            return Sketch(verdict, tabulate(checked))
        except SchemaError as error:
            return Sketch(f"{verdict} {error}", Table("Nothing to tabulate", (), ()))
    sizes = tuple((str(dim), size) for dim, size in result.sizes.items())
    return Sketch(verdict, Table("Dims", ("dim", "size"), sizes))
