"""Figures of RDMs: the gallery, and the conditions laid out in a plane."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata

from neuroalign import schema
from neuroalign.errors import SchemaError, choose
from neuroalign.report._scaling import compute_mds, compute_smacof, compute_stress
from neuroalign.report._style import INK, MUTED, PALETTE, name_ticks, new_figure, tidy, write_label
from neuroalign.report._summaries import name_place
from neuroalign.report.rsa_labels import label_points

Array = npt.NDArray[Any]
MOST_PANELS = 12
MOST_NAMES = 32
# Of each panel of a gallery.
MOST_SMALL_NAMES = 24
# Categories differ by more than colour.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_CATEGORIES = 12
SCALINGS = {"metric": compute_smacof, "classical": compute_mds}
# Lengths in a plane are roots of these.
SQUARED = ("squared_euclidean", "mahalanobis", "crossnobis", "linear_discriminant_contrast")


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
        From ``first_category``, and ``second_category`` of pairs.
    """
    categories: list[str] | None = None
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
        if rdm["first"].dims != ("pair",) or rdm["second"].dims != ("pair",):
            raise SchemaError(
                f"rdm: expected coords 'first' and 'second' on 'pair', got dims "
                f"{rdm['first'].dims}: RDMs in different orders were joined. Use rsa.stack_rdms."
            )
        first, second = (rdm[name].values.astype(str).tolist() for name in ("first", "second"))
        conditions = list(dict.fromkeys([*first, *second]))
        if {"first_category", "second_category"} <= set(rdm.coords):
            ends = [rdm[f"{name}_category"].values.astype(str) for name in ("first", "second")]
            of = dict(zip([*first, *second], np.concatenate(ends).tolist(), strict=True))
            categories = [of[name] for name in conditions]
        place = {name: number for number, name in enumerate(conditions)}
        rows, columns = [place[name] for name in first], [place[name] for name in second]
        values = np.asarray(rdm.values, dtype=np.float64).reshape(-1, rdm.sizes["pair"])
        flat = np.full((len(values), len(place), len(place)), np.nan)
        flat[:, rows, columns] = flat[:, columns, rows] = values
        flat[:, range(len(place)), range(len(place))] = 0.0
        lead = rdm.dims[:-1]
    names = [str(dim) for dim in lead]
    titles = [
        name_place(rdm, dict(zip(names, where, strict=True)))
        for where in np.ndindex(*(rdm.sizes[dim] for dim in names))
    ]
    if "first_category" in rdm.coords and rdm["first_category"].dims == ("first",):
        categories = rdm["first_category"].values.astype(str).tolist()
    return titles, flat, conditions, categories


def rank_pairs(panel: Array, diagonal: bool) -> Array:
    """Replace dissimilarities by their ranks, 0 for the smallest and 1 for the largest.

    Parameters
    ----------
    panel : array (condition, condition)
        NaN stays.
    diagonal : bool
        Whether the diagonal takes part; it is 0 when not.

    Returns
    -------
    array (condition, condition)
    """
    part = np.isfinite(panel)
    if not diagonal:
        np.fill_diagonal(part, False)
    ranks = np.where(np.isfinite(panel), 0.0, np.nan)
    if part.any():
        found = rankdata(panel[part])
        span = found.max() - found.min()
        ranks[part] = (found - found.min()) / span if span else 0.5
    return ranks


def plot_rdm(rdm: xr.DataArray, *, ranks: bool = False) -> Figure:
    """Draw an RDM, or a gallery of the first 12 of a stack on one colour scale.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Lines separate runs of one ``first_category``.
    ranks : bool
        Draw ranks within each RDM, scaled to 0 to 1, in place of dissimilarities: what rank
        comparisons see, and a fair view of RDMs on different scales.

    Returns
    -------
    Figure

    Raises
    ------
    SchemaError
        When it is no RDM, or holds no finite value.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> rdm = from_matrix(rng.random(10), list("abcde"))
    >>> plot_rdm(rdm).axes[0].images[0].get_array().shape
    (5, 5)
    """
    schema.check_rdm(rdm)
    titles, panels, conditions, categories = to_panels(rdm)
    n_all = len(panels)
    titles, panels = titles[:MOST_PANELS], panels[:MOST_PANELS]
    if ranks:
        crossed = rdm.attrs.get("kind") == "cross"
        panels = np.stack([rank_pairs(panel, crossed) for panel in panels])
    finite = panels[np.isfinite(panels)]
    if not finite.size:
        raise SchemaError("rdm: expected finite dissimilarities, got none. Check the patterns.")
    low, high = min(0.0, float(finite.min())), float(finite.max())
    colours = "viridis"
    if low < 0:
        # Cross-validated distances fall on both sides of 0, which keeps its own colour.
        colours, high = "RdBu_r", max(high, -low)
        low = -high
    n_columns = min(4, len(panels))
    n_rows = -(-len(panels) // n_columns)
    alone = len(panels) == 1
    named = len(conditions) <= (MOST_NAMES if alone else MOST_SMALL_NAMES)
    side = 5.0 if alone else 2.6 if named else 2.3
    figure = new_figure(min(10.5, side * n_columns + 1.2), side * n_rows + 0.35)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    image = None
    for number, axes in enumerate(grid.ravel()):
        axes.spines[:].set_visible(False)
        if number >= len(panels):
            axes.set_axis_off()
            continue
        image = axes.imshow(
            panels[number], cmap=colours, vmin=low, vmax=high, interpolation="nearest"
        )
        axes.set_title(write_label(titles[number], 34), fontsize=9, color=INK, loc="left")
        if alone and named:
            size = 8 if len(conditions) <= 20 else 6.5
            name_ticks(axes, "y", conditions, size=size)
            name_ticks(axes, "x", conditions, size=size)
            axes.tick_params(length=0)
        elif named:
            last = number + n_columns >= len(panels)
            _name_panel(axes, conditions, left=number % n_columns == 0, below=last)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
            if number % n_columns == 0:
                _name_runs(axes, categories, both=alone)
        for edge in _find_changes(categories):
            axes.axhline(edge - 0.5, color="white", linewidth=1.1)
            axes.axvline(edge - 0.5, color="white", linewidth=1.1)
    if n_all > len(panels):
        figure.suptitle(
            f"{len(panels)} of {n_all} RDMs", fontsize=9, color=MUTED, x=0.01, ha="left"
        )
    if image is not None:
        bar = figure.colorbar(image, ax=grid, shrink=0.75, pad=0.02)
        bar.outline.set_visible(False)
        known = str(rdm.attrs.get("distance", "unknown"))
        name = "dissimilarity" if known == "unknown" else write_label(known.replace("_", " "))
        bar.set_label(f"rank of {name} (0 to 1)" if ranks else name, fontsize=9)
        bar.ax.tick_params(labelsize=8, length=2)
    return figure


def _name_panel(axes: Axes, conditions: list[str], *, left: bool, below: bool) -> None:
    """Name conditions at the left and below a gallery, whose panels all have the same."""
    names = [write_label(name, 14) for name in conditions]
    size = 7 if len(names) <= 16 else 5.5
    places = range(len(names))
    axes.set_yticks(places, names if left else [""] * len(names), fontsize=size)
    axes.set_xticks(places, names if below else [""] * len(names), fontsize=size, rotation=90)
    axes.tick_params(length=0, pad=2)


def has_lines(rdm: xr.DataArray) -> bool:
    """Whether `plot_rdm` draws lines between categories."""
    return bool(_find_changes(to_panels(rdm)[3]))


def _find_changes(categories: list[str] | None) -> list[int]:
    """Where the category differs from the one before; none when they are not in runs."""
    if categories is None:
        return []
    edges = [n for n in range(1, len(categories)) if categories[n] != categories[n - 1]]
    return edges if len(edges) < len(set(categories)) else []


def _name_runs(axes: Axes, categories: list[str] | None, *, both: bool) -> None:
    """Name each run of a category at its middle, where conditions are too many to be named."""
    edges = _find_changes(categories)
    if categories is None or not edges or len(edges) >= MOST_CATEGORIES:
        return
    ends = [0, *edges, len(categories)]
    middles = [(low + high - 1) / 2 for low, high in pairwise(ends)]
    names = [write_label(categories[low], 18) for low in ends[:-1]]
    axes.set_yticks(middles, names, fontsize=8)
    if both:
        axes.set_xticks(middles, names, fontsize=8, rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)


class Plane(NamedTuple):
    """Conditions in a plane: ``points`` (condition, 2) and the ``lengths`` they should keep."""

    points: Array
    lengths: Array  # (condition, condition)
    stress: float
    conditions: list[str]
    categories: list[str] | None


def lay_in_plane(rdm: xr.DataArray, method: str = "metric") -> Plane:
    """Scale the mean of a stack of RDMs to two axes.

    Parameters
    ----------
    rdm, method
        As in `plot_mds`.

    Returns
    -------
    Plane
        With Kruskal's stress-1.

    Raises
    ------
    SchemaError, ValueError
        As `plot_mds`.
    """
    scale = choose(SCALINGS, method, "method")
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
    lengths = np.clip(mean, 0, None)
    if rdm.attrs.get("distance") in SQUARED:
        lengths = np.sqrt(lengths)
    points = scale(lengths)
    return Plane(points, lengths, compute_stress(points, lengths), conditions, categories)


def plot_mds(rdm: xr.DataArray, *, method: str = "metric") -> Figure:
    """Lay the conditions of an RDM out in a plane, so that distances are kept as well as can be.

    Parameters
    ----------
    rdm : DataArray (..., first, second) or (..., pair)
        Of kind ``dissimilarity``; a stack is averaged first. Colours and markers are
        of ``first_category``. Of squared distances (``crossnobis`` and the like) roots are taken.
    method : {"metric", "classical"}
        Least squares of distances (SMACOF), or Torgerson's eigenvectors.

    Returns
    -------
    Figure
        Kruskal's stress-1 is written at the first axis.

    Raises
    ------
    SchemaError
        When it is no dissimilarity, has fewer than three conditions, or a pair is missing.
    ValueError
        When the method is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> square = np.array([[0, 1, 2**0.5], [1, 0, 1], [2**0.5, 1, 0]])
    >>> figure = plot_mds(from_matrix(square, ["cat", "dog", "cup"]))
    >>> "stress" in figure.axes[0].get_title() + figure.axes[0].get_xlabel()
    True
    """
    points, _, stress, conditions, categories = lay_in_plane(rdm, method)
    figure = new_figure(6.4, 4.6)
    axes = figure.subplots()
    names = list(dict.fromkeys(categories)) if categories else []
    groups = np.array([names.index(name) for name in categories]) if categories else None
    for number in range(max(1, len(names))):
        inside = np.ones(len(points), dtype=bool) if groups is None else groups == number
        axes.scatter(
            points[inside, 0], points[inside, 1], s=42, color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[(number + number // len(PALETTE)) % len(MARKERS)],
            edgecolors="white", linewidths=0.7, label=write_label(names[number]) if names else None,
        )  # fmt: skip
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"axis 1 ({method} scaling, stress-1 {stress:.3f})")
    axes.set_ylabel("axis 2")
    tidy(axes)
    if names:
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if len(conditions) <= MOST_NAMES:
        # Room for names at the border, and for those that stand aside.
        axes.margins(0.15)
        label_points(axes, points, conditions)
    return figure
