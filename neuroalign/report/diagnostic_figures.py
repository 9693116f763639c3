"""How the fits went: penalties at ends of their grid, folds that differ, variance shared out."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Block, Note, Table
from neuroalign.report._parts import Part, picture
from neuroalign.report._style import (
    ACCENT,
    INK,
    MUTED,
    PALETTE,
    SECOND,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)
from neuroalign.report._summaries import (
    average,
    compute_interval,
    group_by_roi,
    name_metric,
)
from neuroalign.report.figure_data import lay_out, tabulate_variables

Array = npt.NDArray[Any]
# More neuroids than this at an end of the grid, and the grid may be too short.
EDGE_SHARE = 0.1
# Penalties nearer to each other than this, in decades, are counted together.
BIN = 0.5
MOST_FOLDS = 40
MOST_PARTS = 15
ENDS = {"edge_low": "smallest", "edge_high": "largest"}


def find_edge_shares(result: xr.Dataset) -> dict[str, float]:
    """Share of neuroids whose penalty sits at an end of the grid, mean over folds.

    Parameters
    ----------
    result : Dataset
        ``attrs['edge_low']`` and ``['edge_high']``, one number a fold, as `cross_validate` gives
        them for encoders that know their grid.

    Returns
    -------
    dict of str to float
        By ``smallest`` and ``largest``; empty when it is not known.
    """
    return {
        name: float(np.mean(result.attrs[attr]))
        for attr, name in ENDS.items()
        if attr in result.attrs and np.isfinite(result.attrs[attr]).all()
    }


def tabulate_penalties(result: xr.Dataset) -> Table:
    """Count the penalties that were chosen, over folds and neuroids.

    Parameters
    ----------
    result : Dataset
        ``alpha`` (fold, neuroid[, time]) above 0.

    Returns
    -------
    Table
        A row for each penalty (log10), or for each half decade where folds scale their grids
        apart; shares add up to 1.

    Raises
    ------
    SchemaError
        Without positive penalties.
    """
    values = result["alpha"].values if "alpha" in result else np.array([])
    logs = np.log10(values[np.isfinite(values) & (values > 0)])
    if not logs.size:
        raise SchemaError(
            "result: expected 'alpha' (fold, neuroid) above 0, got none. "
            "Use an encoder that chooses penalties, as Ridge does."
        )
    # Each fold may scale its grid a little: a tenth of a decade joins what belongs together.
    found, counts = np.unique(logs.round(1), return_counts=True)
    if len(found) > 1 and np.diff(found).min() < BIN - 0.05:
        found, counts = np.unique(np.round(logs / BIN) * BIN, return_counts=True)
    rows = tuple(
        (round(float(at), 6), int(count), round(count / logs.size, 6))
        for at, count in zip(found, counts, strict=True)
    )
    return Table("Penalties", ("log10 penalty", "fits", "share"), rows)


def plot_penalties(result: xr.Dataset) -> Figure:
    """Histogram of the penalties that were chosen, over folds and neuroids.

    Parameters
    ----------
    result : Dataset
        ``alpha`` (fold, neuroid[, time]) above 0.

    Returns
    -------
    Figure
        Logarithmic; where the ends of the grid are known, the shares of neuroids there are written
        beside.

    Raises
    ------
    SchemaError
        Without positive penalties.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6)
    >>> result = cross_validate(Ridge(), data.features, data.responses)
    >>> bars = plot_penalties(result).axes[0].patches  # shares of all fits
    >>> bool(np.isclose(sum(bar.get_height() for bar in bars), 1))
    True
    """
    table = tabulate_penalties(result)
    found, counts = np.array([row[:2] for row in table.rows], dtype=np.float64).T
    figure = new_figure(7.2, 3.0)
    axes = figure.subplots()
    gap = float(np.diff(found).min()) if len(found) > 1 else 1.0
    axes.bar(found, counts / counts.sum(), width=0.8 * gap, color=ACCENT, alpha=0.85)
    shares = find_edge_shares(result)
    for name, share in shares.items():
        color = SECOND if share > EDGE_SHARE else MUTED
        label = f"{share:.2g} of neuroids at the {name} of the grid"
        if share > 0:
            # What was chosen most extremely is then the end of the grid.
            at = found[0] if name == "smallest" else found[-1]
            axes.axvline(at, color=color, linestyle="--", linewidth=1.2, label=label)
        else:
            axes.plot([], [], " ", label=label)
    axes.set_xlabel("log10 of the chosen penalty")
    axes.set_ylabel("share of fits")
    tidy(axes, grid="y")
    if shares:
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def judge_penalties(result: xr.Dataset) -> Block:
    """Say whether many penalties sit at an end of their grid.

    Parameters
    ----------
    result : Dataset
        As in `find_edge_shares`.

    Returns
    -------
    Note
    """
    many = {name: x for name, x in find_edge_shares(result).items() if x > EDGE_SHARE}
    if not many:
        return Note("Few penalties lie at the ends of their grid.", "good")
    said = " and ".join(f"{share:.0%} at the {name}" for name, share in many.items())
    return Note(
        f"Penalties lie at an end of their grid: {said}. Harmless where the error is flat there "
        "(neuroids without signal take the largest); else widen alphas.", "warning",
    )  # fmt: skip


def average_folds(result: xr.Dataset) -> xr.DataArray:
    """Mean score over neuroids (and times) of each fold, by region where there are regions.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``.

    Returns
    -------
    DataArray (region, fold)
    """
    score = result["score"].transpose("fold", "neuroid", ...)
    values = average(score.values.reshape(*score.shape[:2], -1), 2)
    everywhere = {"all neuroids": np.ones(values.shape[1], dtype=bool)}
    groups = group_by_roi(result) if "roi" in result.coords else everywhere
    means = np.stack([average(values[:, inside], 1) for inside in groups.values()])
    folds = score["fold"].values.astype(str) if "fold" in score.coords else range(len(values))
    coords = {"region": list(groups), "fold": [str(fold) for fold in folds]}
    return xr.DataArray(means, coords, ("region", "fold"))


def plot_folds(result: xr.Dataset) -> Figure:
    """Mean score of each fold, by region: how much the result depends on what was left out.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding`` with two or more folds; the first 40 folds and 8 regions are drawn.

    Returns
    -------
    Figure
        The legend gives the standard deviation over folds.

    Raises
    ------
    SchemaError
        With fewer than two folds.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6)
    >>> result = cross_validate(Ridge(), data.features, data.responses)
    >>> len(plot_folds(result).axes)
    1
    """
    means = average_folds(result)
    if means.sizes["fold"] < 2:
        raise SchemaError(
            f"score: expected two or more folds, got {means.sizes['fold']}. Nothing to compare."
        )
    shown = means[: len(PALETTE), :MOST_FOLDS]
    figure = new_figure(7.2, 3.2)
    axes = figure.subplots()
    place = np.arange(shown.sizes["fold"])
    for region, values, color in zip(shown["region"].values, shown.values, PALETTE, strict=False):
        known = values[np.isfinite(values)]
        spread = float(known.std(ddof=1)) if len(known) > 1 else np.nan
        label = f"{write_label(region, 20)}, SD {spread:.3f}"
        axes.plot(place, values, "o-", color=color, markersize=5, linewidth=1, label=label)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    name_ticks(axes, "x", shown["fold"].values.tolist(), size=8)
    axes.set_xlabel("fold that was left out")
    axes.set_ylabel(f"{write_label(name_metric(result))}, mean over neuroids")
    tidy(axes, grid="y")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_partition(result: xr.Dataset) -> Figure:
    """Bars of the variance that each feature space explains alone, and which they share.

    Parameters
    ----------
    result : Dataset
        ``share`` (part[, neuroid[, time]]) of `neuroalign.encoders.partition_variance`, with
        ``share_low`` and ``share_high`` where they are stored. The 15 largest parts are drawn.

    Returns
    -------
    Figure
        Of one neuroid with its bootstrap interval, else the mean over neuroids with a 95 %
        t-interval over them.

    Raises
    ------
    SchemaError
        Without finite shares.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import partition_variance
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 4))
    >>> y = X[:, 0] + 0.5 * X[:, 2] + rng.normal(0, 0.3, 60)
    >>> found = partition_variance(X, y, spaces={"a": [0, 1], "b": [2, 3]}, n_bootstrap=20)
    >>> len(plot_partition(found).axes[0].patches)  # a, b, and what they share
    3
    """
    share = result.get("share", xr.DataArray(0.0))
    if "part" not in share.dims or not np.isfinite(share.values).any():
        raise SchemaError(
            f"share: expected finite shares (part, ...), got dims {share.dims}. "
            "Take it from encoders.partition_variance."
        )
    flat = share.transpose("part", ...).values.reshape(share.sizes["part"], -1)
    bounds = np.array([compute_interval(row)[:3] for row in flat])
    over = "95 % over neuroids"
    if flat.shape[1] == 1 and {"share_low", "share_high"} <= set(result.data_vars):
        over = f"{100 * float(result.attrs.get('level', 0.95)):g} % bootstrap"
        for column, name in ((1, "share_low"), (2, "share_high")):
            bounds[:, column] = result[name].values.reshape(len(flat), -1)[:, 0]
    names = share["part"].values.astype(str)
    order = np.sort(np.argsort(-np.abs(np.nan_to_num(bounds[:, 0])))[:MOST_PARTS])
    bounds, names = bounds[order], names[order]
    figure = new_figure(7.2, 1.1 + 0.36 * len(order))
    axes = figure.subplots()
    rows = np.arange(len(order))
    colors = [ACCENT if "&" not in name else MUTED for name in names]
    axes.barh(rows, bounds[:, 0], height=0.62, color=colors, alpha=0.85)
    reach = np.nan_to_num(np.abs(bounds[:, 1:] - bounds[:, :1]).T)
    axes.errorbar(
        bounds[:, 0], rows, xerr=reach, fmt="none", ecolor=INK, elinewidth=1.3, capsize=3,
        label=over,
    )  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=0.8)
    name_ticks(axes, "y", names.tolist())
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlabel("held-out R² of the part")
    tidy(axes, grid="x")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def list_diagnostic_parts(result: xr.Dataset) -> list[Part]:
    """Figures of how the fits of an encoding went.

    Parameters
    ----------
    result : Dataset
        Of kind ``encoding``.

    Returns
    -------
    list of (title, function that makes the block)
    """
    parts: list[Part] = []
    if result["score"].sizes["fold"] > 1 and np.isfinite(result["score"].values).any():
        parts.append(
            picture(
                "Folds", "Dots of the mean score of each fold, by region.",
                "Mean over neuroids of each fold that was left out; SD: over folds, which share "
                f"training rows. At most {len(PALETTE)} regions and {MOST_FOLDS} folds.",
                lambda: plot_folds(result),
                data=lambda: lay_out("Folds", {"score": average_folds(result)}),
            )
        )  # fmt: skip
    if "alpha" in result and (result["alpha"].values > 0).any():
        if find_edge_shares(result):
            parts.append(("Ends of the grid", lambda: judge_penalties(result)))
        parts.append(
            picture(
                "Penalties", "Histogram of the chosen penalties.",
                "Over folds and neuroids; bars add up to 1. Dashed: an end of the grid, where "
                "any neuroid chose it; shares of neuroids there are means over folds.",
                lambda: plot_penalties(result),
                data=lambda: tabulate_penalties(result),
            )
        )  # fmt: skip
    return parts


def list_partition_parts(result: xr.Dataset) -> list[Part]:
    """The figure of a variance partition; none for other estimates.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``.

    Returns
    -------
    list of (title, function that makes the block)
    """
    if "share" not in result or "part" not in result["share"].dims:
        return []
    return [
        picture(
            "Variance by part", "Bars of the held-out variance of each part.",
            "Blue: what a space explains alone; grey, a&b: what a and b explain in common and no "
            "other does. Parts add up to the full model; negative ones are noise, or spaces that "
            f"suppress each other. At most {MOST_PARTS} parts.",
            lambda: plot_partition(result),
            data=lambda: tabulate_variables(
                "Variance by part", result, "share", "share_low", "share_high"
            ),
        )
    ]  # fmt: skip
