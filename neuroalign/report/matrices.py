"""Figures of RDMs: the gallery, and the conditions laid out in a plane."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from neuroalign import schema
from neuroalign.errors import SchemaError
from neuroalign.report._style import INK, PALETTE, name_ticks, new_figure, tidy, write_label

Array = npt.NDArray[Any]
MOST_PANELS = 12
MOST_NAMES = 32


def to_panels(rdm: xr.DataArray) -> tuple[list[str], Array, list[str], list[str] | None]:
    """Unfold an RDM or a stack into square panels.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)

    Returns
    -------
    titles : list of str
    panels : array (panel, condition, condition)
        NaN where a pair is not given.
    conditions : list of str
    categories : list of str or None
        From ``first_category``, on square RDMs.
    """
    if rdm.dims[-1] != "pair":
        conditions = rdm["first"].values.astype(str).tolist()
        flat = np.asarray(rdm.values, dtype=np.float64).reshape(-1, *rdm.shape[-2:])
        lead = rdm.dims[:-2]
    else:
        if not {"first", "second"} <= set(rdm.coords):
            raise SchemaError(
                "rdm: expected coords 'first' and 'second' on 'pair', got "
                f"{sorted(map(str, rdm.coords))}. Assign the names of both conditions."
            )
        first, second = (rdm[name].values.astype(str).tolist() for name in ("first", "second"))
        conditions = list(dict.fromkeys([*first, *second]))
        place = {name: number for number, name in enumerate(conditions)}
        rows, columns = [place[name] for name in first], [place[name] for name in second]
        values = np.asarray(rdm.values, dtype=np.float64).reshape(-1, rdm.sizes["pair"])
        flat = np.full((len(values), len(place), len(place)), np.nan)
        flat[:, rows, columns] = flat[:, columns, rows] = values
        flat[:, range(len(place)), range(len(place))] = 0.0
        lead = rdm.dims[:-1]
    titles = []
    for where in np.ndindex(*(rdm.sizes[dim] for dim in lead)):
        named = [
            f"{dim} {rdm[dim].values[number] if dim in rdm.coords else number}"
            for dim, number in zip(lead, where, strict=True)
        ]
        titles.append(", ".join(named))
    categories = None
    if "first_category" in rdm.coords and rdm["first_category"].dims == ("first",):
        categories = rdm["first_category"].values.astype(str).tolist()
    return titles, flat, conditions, categories


def plot_rdm(rdm: xr.DataArray) -> Figure:
    """Draw an RDM, or a gallery of the first 12 of a stack on one colour scale.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Lines separate runs of one ``first_category``.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When it is no RDM, or holds no finite value.
    """
    schema.check_rdm(rdm)
    titles, panels, conditions, categories = to_panels(rdm)
    titles, panels = titles[:MOST_PANELS], panels[:MOST_PANELS]
    finite = panels[np.isfinite(panels)]
    if not finite.size:
        raise SchemaError("rdm: expected finite dissimilarities, got none. Check the patterns.")
    low, high = min(0.0, float(finite.min())), float(finite.max())
    n_columns = min(4, len(panels))
    n_rows = -(-len(panels) // n_columns)
    alone = len(panels) == 1
    side = 5.0 if alone else 2.3
    figure = new_figure(min(10.5, side * n_columns + 1.2), side * n_rows + 0.35)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    image = None
    for number, axes in enumerate(grid.ravel()):
        axes.spines[:].set_visible(False)
        if number >= len(panels):
            axes.set_axis_off()
            continue
        image = axes.imshow(
            panels[number], cmap="viridis", vmin=low, vmax=high, interpolation="nearest"
        )
        axes.set_title(write_label(titles[number], 34), fontsize=9, color=INK, loc="left")
        if alone and len(conditions) <= MOST_NAMES:
            size = 8 if len(conditions) <= 20 else 6.5
            name_ticks(axes, "y", conditions, size=size)
            name_ticks(axes, "x", conditions, size=size)
            axes.tick_params(length=0)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        for edge in _find_changes(categories):
            axes.axhline(edge - 0.5, color="white", linewidth=1.1)
            axes.axvline(edge - 0.5, color="white", linewidth=1.1)
    if image is not None:
        bar = figure.colorbar(image, ax=grid, shrink=0.75, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(write_label(rdm.attrs.get("distance", "dissimilarity")), fontsize=9)
        bar.ax.tick_params(labelsize=8, length=2)
    return figure


def _find_changes(categories: list[str] | None) -> list[int]:
    """Where the category differs from the one before; none when they are not in runs."""
    if categories is None:
        return []
    edges = [n for n in range(1, len(categories)) if categories[n] != categories[n - 1]]
    return edges if len(edges) < len(set(categories)) else []


def compute_mds(dissimilarity: Array) -> tuple[Array, float]:
    """Classical scaling to two axes.

    Parameters
    ----------
    dissimilarity : array (condition, condition)
        Symmetric, zero diagonal, taken as distances.

    Returns
    -------
    array (condition, 2)
    float
        Share of the positive eigenvalues that the two axes hold.

    References
    ----------
    Torgerson (1952), Multidimensional scaling: I. Theory and method, doi:10.1007/BF02288916.
    """
    squared = np.asarray(dissimilarity, dtype=np.float64) ** 2
    centred = squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    positive = np.clip(values, 0, None)
    total = positive.sum()
    share = float(positive[-2:].sum() / total) if total > 0 else 0.0
    return vectors[:, :-3:-1] * np.sqrt(positive[:-3:-1]), share


def plot_mds(rdm: xr.DataArray) -> Figure:
    """Lay the conditions of an RDM out in a plane, so that distances are kept as well as can be.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Of kind ``dissimilarity``; a stack is averaged first. Coloured by ``first_category``.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When it is no dissimilarity, has fewer than three conditions, or a pair is missing.
    """
    schema.check_rdm(rdm)
    _, panels, conditions, categories = to_panels(rdm)
    mean = panels.mean(axis=0)
    if rdm.attrs.get("kind") != "dissimilarity" or len(mean) < 3 or not np.isfinite(mean).all():
        raise SchemaError(
            "rdm: expected a complete dissimilarity of at least 3 conditions, got kind "
            f"'{rdm.attrs.get('kind')}', {len(mean)} conditions, "
            f"{int((~np.isfinite(mean)).sum())} missing entries. Average or drop those first."
        )
    # Crossvalidated distances scatter around zero: below it there is no distance to keep.
    points, share = compute_mds(np.clip(mean, 0, None))
    figure = new_figure(6.4, 4.6)
    axes = figure.subplots()
    names = list(dict.fromkeys(categories)) if categories else []
    groups = np.array([names.index(name) for name in categories]) if categories else None
    for number in range(max(1, len(names))):
        inside = np.ones(len(points), dtype=bool) if groups is None else groups == number
        axes.scatter(
            points[inside, 0], points[inside, 1], s=42, color=PALETTE[number % len(PALETTE)],
            edgecolors="white", linewidths=0.7, label=write_label(names[number]) if names else None,
        )  # fmt: skip
    if len(conditions) <= MOST_NAMES:
        for name, (x, y) in zip(conditions, points, strict=True):
            axes.annotate(
                write_label(name, 18), (float(x), float(y)), (5, 4), textcoords="offset points",
                fontsize=7, color=INK,
            )  # fmt: skip
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"axis 1 (both axes hold {share:.0%})")
    axes.set_ylabel("axis 2")
    tidy(axes)
    if names:
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
