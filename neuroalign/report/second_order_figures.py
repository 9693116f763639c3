"""RDMs held against each other, and against the plane they were laid out in."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist
from scipy.stats import rankdata, spearmanr

from neuroalign import schema
from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Table
from neuroalign.report._parts import Part, picture
from neuroalign.report._style import ACCENT, INK, MUTED, name_ticks, new_figure, tidy, write_label
from neuroalign.report.figure_data import lay_out, to_cell
from neuroalign.report.matrices import lay_in_plane, to_panels

Array = npt.NDArray[Any]
MOST_RDMS = 60
MOST_NUMBERS = 12
MOST_POINTS = 4000


def correlate_rdms(rdm: xr.DataArray) -> xr.DataArray:
    """Spearman correlation of each RDM of a stack with each other, over the pairs both have.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Of kind ``dissimilarity``: the upper triangles are compared. The first 60 of a stack.

    Returns
    -------
    DataArray (rdm, rdm_other)

    Raises
    ------
    SchemaError
        With fewer than two RDMs, or RDMs of another kind.

    References
    ----------
    Kriegeskorte, Mur & Bandettini (2008), Front. Syst. Neurosci. 2:4,
    doi:10.3389/neuro.06.004.2008.
    """
    schema.check_rdm(rdm)
    titles, panels, _, _ = to_panels(rdm)
    if len(panels) < 2 or rdm.attrs.get("kind") != "dissimilarity":
        raise SchemaError(
            f"rdm: expected a stack of two or more dissimilarities, got {len(panels)} of kind "
            f"'{rdm.attrs.get('kind')}'. Stack them by rsa.stack_rdms."
        )
    panels = panels[:MOST_RDMS]
    upper = np.triu_indices(panels.shape[-1], 1)
    vectors = panels[:, upper[0], upper[1]]
    known = np.isfinite(vectors)
    names = titles[:MOST_RDMS]
    if known.all():
        ranks = np.array([rankdata(vector) for vector in vectors])
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.atleast_2d(np.corrcoef(ranks))
    else:
        found = np.full((len(vectors), len(vectors)), np.nan)
        for one, other in np.ndindex(*found.shape):
            both = known[one] & known[other]
            if both.sum() > 2:
                found[one, other] = spearmanr(vectors[one][both], vectors[other][both]).statistic
    coords = {"rdm": names, "rdm_other": names}
    return xr.DataArray(found, coords, ("rdm", "rdm_other"))


def plot_second_order(rdm: xr.DataArray) -> Figure:
    """Heat map of the dissimilarity of RDMs: 1 - Spearman correlation of each two.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        A stack of two or more.

    Returns
    -------
    Figure
        Numbers where there are 12 RDMs or fewer.

    Raises
    ------
    SchemaError
        As `correlate_rdms`.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> rdms = from_matrix(rng.random((3, 10)), list("abcde"), lead={"layer": ["l1", "l2", "l3"]})
    >>> plot_second_order(rdms).axes[0].images[0].get_array().shape
    (3, 3)
    """
    found = 1 - correlate_rdms(rdm)
    values, n = found.values, len(found)
    figure = new_figure(min(9.0, 3.4 + 0.5 * n), min(8.0, 2.2 + 0.45 * n))
    axes = figure.subplots()
    high = max(1.0, float(np.nanmax(values)) if np.isfinite(values).any() else 1.0)
    image = axes.imshow(values, cmap="viridis", vmin=0, vmax=high, interpolation="nearest")
    if n <= MOST_NUMBERS:
        for row, column in np.ndindex(n, n):
            value = values[row, column]
            if np.isfinite(value):
                axes.text(
                    column, row, f"{value:.2f}", ha="center", va="center", fontsize=8,
                    color="white" if value < 0.6 * high else INK,
                )  # fmt: skip
    size = 8 if n <= 20 else 6
    name_ticks(axes, "y", found["rdm"].values.tolist(), size=size)
    name_ticks(axes, "x", found["rdm"].values.tolist(), size=size)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("1 - Spearman ρ", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2)
    return figure


def tabulate_plane(rdm: xr.DataArray) -> Table:
    """One row a condition: where it lies in the plane of `plot_mds`, and its category.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)

    Returns
    -------
    Table
    """
    plane = lay_in_plane(rdm)
    groups = plane.categories or [""] * len(plane.conditions)
    rows = tuple(
        (name, group, *map(to_cell, point))
        for name, group, point in zip(plane.conditions, groups, plane.points, strict=True)
    )
    columns = ("condition", "category", "axis 1", "axis 2")
    return Table("Conditions in a plane", columns, rows, f"Stress-1: {plane.stress:.4f}.")


def list_shepard_pairs(rdm: xr.DataArray) -> xr.Dataset:
    """Length of each pair of conditions as measured, and in the plane of `plot_mds`.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)

    Returns
    -------
    Dataset
        ``length`` and ``distance`` (pair), with coords ``first`` and ``second``; attrs ``stress``.

    Raises
    ------
    SchemaError
        As `plot_mds`.
    """
    plane = lay_in_plane(rdm)
    upper = np.triu_indices(len(plane.points), 1)
    names = np.array(plane.conditions)
    return xr.Dataset(
        {
            "length": ("pair", plane.lengths[upper]),
            "distance": ("pair", cdist(plane.points, plane.points)[upper]),
        },
        {"first": ("pair", names[upper[0]]), "second": ("pair", names[upper[1]])},
        {"stress": plane.stress},
    )


def plot_shepard(rdm: xr.DataArray) -> Figure:
    """Distances in the plane against the dissimilarities they stand for.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        As in `plot_mds`. Of more than 4000 pairs every so-manieth is drawn.

    Returns
    -------
    Figure
        On the line, the plane keeps the dissimilarity.

    Raises
    ------
    SchemaError
        As `plot_mds`.

    References
    ----------
    Kruskal (1964), Psychometrika 29, 1-27, doi:10.1007/BF02289565.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> axes = plot_shepard(from_matrix(rng.random(10), list("abcde"))).axes[0]
    >>> len(axes.lines[-1].get_xdata())  # one dot a pair
    10
    """
    pairs = list_shepard_pairs(rdm)
    length, distance = pairs["length"].values, pairs["distance"].values
    step = -(-len(length) // MOST_POINTS)
    figure = new_figure(4.8, 4.2)
    axes = figure.subplots()
    top = float(max(length.max(), distance.max()))
    axes.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle="--")
    axes.plot(
        length[::step], distance[::step], "o", color=ACCENT, markersize=4, alpha=0.5,
        markeredgewidth=0, gid="pairs",
    )  # fmt: skip
    known = str(rdm.attrs.get("distance", "dissimilarity"))
    axes.set_xlabel(write_label(f"dissimilarity ({known})"))
    axes.set_ylabel("distance in the plane")
    rho = spearmanr(length, distance).statistic if np.ptp(length) and np.ptp(distance) else np.nan
    axes.set_title(
        f"stress-1 {pairs.attrs['stress']:.3f}, Spearman ρ {rho:.2f}",
        fontsize=10, color=INK, loc="left",
    )  # fmt: skip
    tidy(axes)
    return figure


def list_second_order_parts(rdm: xr.DataArray) -> list[Part]:
    """Figures of RDMs against each other and against their plane.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)

    Returns
    -------
    list of (title, function that makes the block)
    """
    if rdm.attrs.get("kind") != "dissimilarity":
        return []

    def tabulate() -> Any:
        pairs = list_shepard_pairs(rdm)
        return lay_out("Shepard plot", {name: pairs[name] for name in ("length", "distance")})

    parts = [
        picture(
            "Shepard plot", "Distances in the plane against dissimilarities.",
            "One dot a pair of conditions; dashed: the plane keeps the dissimilarity (its root "
            "where the distance is squared).",
            lambda: plot_shepard(rdm), data=tabulate,
        )
    ]  # fmt: skip
    lead = rdm.dims[:-1] if rdm.dims[-1] == "pair" else rdm.dims[:-2]
    if int(np.prod([rdm.sizes[dim] for dim in lead])) > 1:
        parts.append(
            picture(
                "RDM of RDMs", "Heat map of the dissimilarity of all couples of RDMs.",
                "1 - Spearman correlation over pairs of conditions. RDMs of the same noise look "
                f"alike for that. At most {MOST_RDMS} RDMs.",
                lambda: plot_second_order(rdm),
                data=lambda: lay_out("RDM of RDMs", {"correlation": correlate_rdms(rdm)}),
            )
        )  # fmt: skip
    return parts
