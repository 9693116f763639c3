"""Figure of a dynamic connectome: its motifs in time, in subjects and between neuroids."""

from itertools import pairwise

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError, some
from neuroalign.report._style import INK, LINE, PALETTE, new_figure, tidy, write_label
from neuroalign.report.time_figures import get_times

MOST_FACTORS = 6
MOST_SUBJECTS = 24
ATLAS: dict[str, tuple[str, ...]] = {
    "time_course": ("component", "time"),
    "subject_share": ("component", "subject"),
    "affinity": ("component", "neuroid", "neuroid_other"),
    "communities": ("component", "neuroid"),
    "weight": ("component",),
}


def check_atlas(atlas: xr.Dataset) -> xr.Dataset:
    """Check the parts of an atlas of motifs, and bring their dims in order.

    Parameters
    ----------
    atlas : Dataset
        ``time_course`` (time, component), ``affinity`` (component, neuroid, neuroid_other),
        optional ``subject_share`` (subject, component) and ``communities`` (component, neuroid).

    Returns
    -------
    Dataset
        Those parts, and ``weight`` where it is there, each with ``component`` first.

    Raises
    ------
    SchemaError
        When a part is missing or of other dims, or nothing is finite.
    """
    found = {}
    for name, dims in ATLAS.items():
        if name not in atlas and name in ("time_course", "affinity"):
            raise SchemaError(
                f"atlas: expected '{name}' {dims}, got {some(atlas.data_vars)}. Give factors_ of a "
                "dynamic connectome."
            )
        if name in atlas:
            if set(atlas[name].dims) != set(dims):
                raise SchemaError(
                    f"atlas['{name}']: expected dims {dims}, got {atlas[name].dims}. Rename."
                )
            found[name] = atlas[name].transpose(*dims)
    if not np.isfinite(found["affinity"].values).any():
        raise SchemaError("atlas['affinity']: expected finite values, got none. Check the fit.")
    return xr.Dataset(found, attrs=atlas.attrs)


def plot_motifs(atlas: xr.Dataset, communities: xr.DataArray | None = None) -> Figure:
    """Draw the atlas of a dynamic connectome: when each motif is on, in whom, between which.

    Parameters
    ----------
    atlas : Dataset
        ``factors_`` of a dynamic connectome: ``time_course`` (time, component), time in s;
        ``affinity`` (component, neuroid, neuroid_other); ``subject_share`` (subject, component),
        which may lack. The first 6 components, the first 24 subjects.
    communities : DataArray (component, neuroid), optional
        ``communities_``: numbers, below 0 for neuroids in none; otherwise the variable
        ``communities`` of the atlas, else neuroids stay in their order.

    Returns
    -------
    Figure
        One row a component. The matrix is ordered by community, with lines between communities;
        each has colours of its own scale from 0, and a grey diagonal.

    Raises
    ------
    SchemaError
        When a part is missing or of other dims, or nothing is finite.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> joined = np.kron([[1, 0], [0, 1]], np.ones((2, 2)))[[0, 2, 1, 3]][:, [0, 2, 1, 3]]
    >>> atlas = xr.Dataset({
    ...     "time_course": (("time", "component"), [[0.0], [1.0], [0.5]]),
    ...     "affinity": (("component", "neuroid", "neuroid_other"), joined[None]),
    ... })
    >>> communities = xr.DataArray([[0, 1, 0, 1]], dims=("component", "neuroid"))
    >>> plot_motifs(atlas, communities).axes[1].images[0].get_array()[0, 1:].tolist()
    [1.0, 0.0, 0.0]
    """
    if not isinstance(atlas, xr.Dataset):
        raise SchemaError(
            f"atlas: expected a Dataset, got {type(atlas).__name__}. Pass model.factors_."
        )
    if communities is not None:
        atlas = atlas.assign(communities=communities)
    atlas = check_atlas(atlas)
    n = min(MOST_FACTORS, atlas.sizes["component"])
    subjects = "subject_share" in atlas and atlas.sizes["subject"] > 1
    widths = [2.0, 1.3, 1.25] if subjects else [2.0, 1.25]
    figure = new_figure(9.2 if subjects else 7.4, 0.7 + 2.05 * n)
    grid = figure.subplots(n, len(widths), squeeze=False, width_ratios=widths)
    titles = ["when", *(["in whom"] if subjects else []), "between which neuroids"]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10, color=INK, loc="left")
    for row, name in enumerate(name_components(atlas)[:n]):
        one = atlas.isel(component=row)
        color = PALETTE[row]
        _draw_course(grid[row, 0], one["time_course"], name, color)
        if subjects:
            _draw_subjects(grid[row, 1], one["subject_share"], color)
        _draw_pairs(figure, grid[row, -1], one)
        for axes in grid[row]:
            tidy(axes)
    for axes in grid[:-1, :-1].ravel():
        axes.tick_params(labelbottom=False)
        axes.set_xlabel("")
    return figure


def name_components(atlas: xr.Dataset) -> list[str]:
    """Names of the components of an atlas.

    Parameters
    ----------
    atlas : Dataset

    Returns
    -------
    list of str
    """
    if "component" in atlas.coords:
        return [str(name) for name in atlas["component"].values]
    return [f"component-{number:02d}" for number in range(atlas.sizes["component"])]


def _draw_course(axes: Axes, loading: xr.DataArray, name: str, color: str) -> None:
    time, unit = get_times(loading)
    values = loading.values.astype(np.float64)
    axes.fill_between(time, 0, values, color=color, alpha=0.2, linewidth=0)
    axes.plot(time, values, color=color, linewidth=1.6, gid="course")
    axes.set_ylim(bottom=float(np.fmin.reduce(values, initial=0.0)))
    axes.margins(x=0.01)
    axes.set_xlabel(f"time [{unit}]")
    axes.set_ylabel(f"{write_label(name, 18)}\nloading", fontsize=9)


def _draw_subjects(axes: Axes, loading: xr.DataArray, color: str) -> None:
    values = loading.values[:MOST_SUBJECTS].astype(np.float64)
    axes.bar(np.arange(len(values)), values, width=0.72, color=color)
    known = "subject" in loading.coords
    names = loading["subject"].values[:MOST_SUBJECTS] if known else range(len(values))
    size = 8 if len(values) <= 10 else 5.5
    axes.set_xticks(range(len(values)), [write_label(name, 10) for name in names], fontsize=size)
    axes.tick_params(axis="x", rotation=90)
    axes.set_xlabel("subject")


def _draw_pairs(figure: Figure, axes: Axes, one: xr.Dataset) -> None:
    pairs = one["affinity"].values.astype(np.float64)
    # Of a neuroid with itself there is none.
    np.fill_diagonal(pairs, np.nan)
    n = len(pairs)
    known = "communities" in one
    community = one["communities"].values.astype(np.int64) if known else np.zeros(n, np.int64)
    # Those in no community come last.
    order = np.lexsort((np.arange(n), np.where(community < 0, np.iinfo(np.int64).max, community)))
    ordered, highest = community[order], float(np.fmax.reduce(pairs.ravel(), initial=0.0)) or 1.0
    colors = colormaps["viridis"].with_extremes(bad=LINE)
    image = axes.imshow(
        pairs[np.ix_(order, order)], cmap=colors, vmin=0, vmax=highest, interpolation="nearest"
    )
    edges = np.flatnonzero(np.diff(ordered)) + 1
    for edge in edges.tolist():
        for mark in (axes.axhline, axes.axvline):
            mark(edge - 0.5, color="white", linewidth=1.0, gid="border")
    bounds = np.r_[0, edges, n]
    wide = [(low + high - 1) / 2 for low, high in pairwise(bounds)]
    names = ["none" if ordered[low] < 0 else f"{ordered[low]}" for low in bounds[:-1]]
    # Names of narrow communities would lie over each other.
    kept = [place for place in range(len(wide)) if bounds[place + 1] - bounds[place] > 0.06 * n]
    if known:
        axes.set_yticks([wide[i] for i in kept], [names[i] for i in kept])
        axes.set_ylabel("community")
    else:
        axes.set_yticks([])
    axes.set_xticks([])
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=14)
    bar.outline.set_visible(False)
    bar.set_label("affinity", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=8, length=2)
