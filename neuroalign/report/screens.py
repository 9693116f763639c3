"""What each kind of result shows on the page, in order of reading.

To add a kind: a function from the result to blocks, and its row in ``SCREENS``. A part that lacks
its dims or coords becomes a visible note.
"""

from collections.abc import Callable
from typing import Any

import xarray as xr

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Block, Table
from neuroalign.report._parts import attempt, picture, warn
from neuroalign.report.convergence_screens import list_convergence_parts
from neuroalign.report.decoding_screens import list_decoding_parts
from neuroalign.report.diagnostic_figures import list_partition_parts
from neuroalign.report.encoding_screens import show_encoding, show_layers
from neuroalign.report.figure_data import lay_out
from neuroalign.report.latent_screens import list_fit_parts, show_latents, show_states
from neuroalign.report.matrices import MOST_PANELS, has_lines, plot_mds, plot_rdm
from neuroalign.report.null_figures import list_null_parts
from neuroalign.report.rsa_screens import list_estimate_parts, show_generalization, show_rsa
from neuroalign.report.second_order_figures import list_second_order_parts, tabulate_plane
from neuroalign.report.shape_screens import list_shape_parts
from neuroalign.report.tables import tabulate_estimate, tabulate_provenance
from neuroalign.report.verdicts import state_verdict


def show_rdm(rdm: xr.DataArray) -> list[Block]:
    """Gallery and plane of an RDM or a stack of them.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)

    Returns
    -------
    list of Block
    """
    said = state_verdict(rdm)
    try:
        lines = " White lines: between categories." if has_lines(rdm) else ""
    except SchemaError:
        # The parts themselves say what is missing.
        lines = ""
    parts = [
        picture(
            "RDM", f"Matrix of dissimilarities. {said}",
            f"All panels share one colour scale; at most {MOST_PANELS} are drawn."
            f"{lines}",
            lambda: plot_rdm(rdm),
            data=lambda: lay_out("RDM", {"dissimilarity": rdm}),
        ),
        picture(
            "Conditions in a plane", f"Metric scaling of the conditions to two axes. {said}",
            "Metric scaling (SMACOF, from the classical solution) of the mean over the stack, "
            "of its root where the distance is squared. Stress-1: 0 where the plane keeps all "
            "distances; above 0.2 it should not be trusted.",
            lambda: plot_mds(rdm),
            data=lambda: tabulate_plane(rdm),
        ),
        *list_second_order_parts(rdm),
    ]  # fmt: skip
    blocks = [attempt(title, make) for title, make in parts]
    return [*warn(rdm), *blocks, tabulate_provenance(rdm)]


def show_estimate(result: xr.Dataset) -> list[Block]:
    """Table of a ceiling, an interval, a test or a lag; figures where it has places or times.

    Parameters
    ----------
    result : Dataset

    Returns
    -------
    list of Block
    """
    parts = [
        *list_estimate_parts(result),
        *list_shape_parts(result),
        *list_fit_parts(result),
        *list_decoding_parts(result),
        *list_convergence_parts(result),
        *list_partition_parts(result),
        *list_null_parts(result),
    ]
    drawn = [attempt(title, make) for title, make in parts]
    return [*warn(result), *drawn, tabulate_estimate(result), tabulate_provenance(result)]


def show_plain(result: xr.DataArray | xr.Dataset) -> list[Block]:
    """Dims, coords and provenance of anything else.

    Parameters
    ----------
    result : DataArray or Dataset

    Returns
    -------
    list of Block
    """
    rows = tuple(
        (str(name), ", ".join(map(str, coord.dims)), str(coord.dtype), int(coord.size))
        for name, coord in result.coords.items()
    )
    coords = Table("Coordinates", ("coord", "dims", "type", "values"), rows)
    return [*warn(result), coords, tabulate_provenance(result)]


SCREENS: dict[str, Callable[[Any], list[Block]]] = {
    "encoding": show_encoding,
    "layers": show_layers,
    "dissimilarity": show_rdm,
    "cross": show_rdm,
    "responses": show_plain,
    "features": show_plain,
    "matched": show_plain,
    "latents": show_latents,
    "states": show_states,
    "estimate": show_estimate,
    "rsa": show_rsa,
    "generalisation": show_generalization,
}
