"""Figure and rows of how well a latent model predicts, beside its null and its oracle."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign.errors import SchemaError, some
from neuroalign.report._style import (
    ACCENT,
    INK,
    MUTED,
    SECOND,
    name_ticks,
    new_figure,
    tidy,
    write_label,
)

Array = npt.NDArray[Any]
# Variable -> name; those in the first table are in the units of the likelihood, others are R2.
LIKELIHOODS = {"co_smoothing": "co-smoothing", "forward": "forward"}
RECOVERY = "recovery"
SHARES = {"psth": "PSTH", "behaviour": "behaviour"}


class Score(NamedTuple):
    """One row: what was scored, in which unit, each fold's value, its control and its oracle."""

    name: str
    unit: str
    folds: Array
    control: Array | None
    oracle: float


def _per_fold(values: xr.DataArray) -> Array:
    """Mean of each fold over everything else."""
    flat = values.transpose("fold", ...).values.astype(np.float64)
    flat = flat.reshape(len(flat), -1)
    known = np.isfinite(flat)
    total = np.where(known, flat, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def list_scores(result: xr.Dataset) -> list[Score]:
    """Scores that a report of a latent model holds.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.latents.score_latents`.

    Returns
    -------
    list of Score

    Raises
    ------
    SchemaError
        Without ``co_smoothing`` (fold, ...), or when none of it is finite.
    """
    if not isinstance(result, xr.Dataset):
        raise SchemaError(
            f"result: expected a Dataset, got {type(result).__name__}. Pass what "
            "latents.score_latents gives."
        )
    if "co_smoothing" not in result or "fold" not in result["co_smoothing"].dims:
        raise SchemaError(
            f"result: expected 'co_smoothing' (fold, split), got {some(result.data_vars)}. Take it "
            "from latents.score_latents."
        )
    metric = str(result.attrs.get("metric", "score"))
    found = []
    for unit, names in ((metric, LIKELIHOODS), ("R²", SHARES)):
        for key, name in names.items():
            if key not in result:
                continue
            beside = f"{key}_shuffled"
            control = _per_fold(result[beside]) if beside in result else None
            known = key == "co_smoothing" and "oracle" in result
            oracle = float(np.nanmean(result["oracle"].values)) if known else np.nan
            found.append(Score(name, unit, _per_fold(result[key]), control, oracle))
    if "recovery" in result:
        dim = next(str(dim) for dim in result["recovery"].dims if dim != "fold")
        labels = result[dim].values if dim in result.coords else range(result.sizes[dim])
        for number, label in enumerate(labels):
            folds = _per_fold(result["recovery"].isel({dim: number}))
            found.append(Score(f"{RECOVERY}, latent {label}", "R²", folds, None, np.nan))
    if not np.isfinite(found[0].folds).any():
        raise SchemaError(
            "result['co_smoothing']: expected finite scores, got none. Check the fit."
        )
    return found


def plot_score_report(result: xr.Dataset) -> Figure:
    """Draw each score of a latent model over its shuffled control, with the oracle.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.latents.score_latents`: ``co_smoothing`` (fold, split), and what else there
        is of ``forward``, ``psth``, ``behaviour``, ``recovery``, ``oracle`` and the shuffled ones.

    Returns
    -------
    Figure
        Bars: mean over folds ± standard error; dots: folds. Grey: the shuffled control. Diamond:
        the score of the true rates. Scores in bits (or shares of variance) and R² of means have
        panels of their own.

    Raises
    ------
    SchemaError
        Without ``co_smoothing``, or when none of it is finite.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> result = xr.Dataset(
    ...     {"co_smoothing": (("fold", "split"), [[0.2], [0.4]])},
    ...     attrs={"metric": "bits per spike"},
    ... )
    >>> axes = plot_score_report(result).axes[0]
    >>> round(float(axes.patches[0].get_width()), 3), axes.get_xlabel()
    (0.3, 'bits per spike')
    """
    scores = list_scores(result)
    units = list(dict.fromkeys(score.unit for score in scores))
    panels = [[score for score in scores if score.unit == unit] for unit in units]
    heights = [0.5 + len(panel) for panel in panels]
    figure = new_figure(8.2, 0.7 * len(panels) + 0.62 * sum(heights))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        _draw_scores(axes, panel)
        axes.set_xlabel(write_label(panel[0].unit))
    handles: dict[str, Any] = {}
    for axes in grid:
        found = zip(*axes.get_legend_handles_labels(), strict=True)
        handles |= {label: handle for handle, label in found if label not in handles}
    order = [name for name in ("mean over folds", "fold", "shuffled", "oracle") if name in handles]
    figure.legend(
        [handles[name] for name in order], order, frameon=False, fontsize=9,
        loc="outside right upper",
    )  # fmt: skip
    return figure


def _draw_scores(axes: Axes, panel: list[Score]) -> None:
    rows = np.arange(len(panel), dtype=np.float64)
    for row, score in zip(rows, panel, strict=True):
        beside = score.control is not None
        _draw_bar(axes, row - 0.17 * beside, score.folds, ACCENT, 0.5 - 0.16 * beside, main=True)
        if score.control is not None:
            _draw_bar(axes, row + 0.19, score.control, MUTED, 0.22, main=False)
        if np.isfinite(score.oracle):
            axes.plot(
                score.oracle, row, "D", color="white", mec=SECOND, mew=1.7, markersize=8,
                label="oracle", zorder=4, gid="oracle",
            )  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=0.9)
    name_ticks(axes, "y", [score.name for score in panel])
    axes.set_ylim(len(panel) - 0.45, -0.55)
    axes.margins(x=0.06)
    tidy(axes, grid="x")


def _draw_bar(
    axes: Axes, row: float, folds: Array, color: str, height: float, *, main: bool
) -> None:
    """Draw a bar at the mean over folds, with its standard error when it is the main one."""
    known = folds[np.isfinite(folds)]
    if not len(known):
        return
    mean, error = measure_folds(folds)
    name = "mean over folds" if main else "shuffled"
    axes.barh(row, mean, height=height, color=color, alpha=0.85 if main else 0.5, label=name)
    places = np.full(len(known), row)
    axes.scatter(
        known, places, s=16 if main else 9, color=INK if main else MUTED, zorder=3, linewidths=0.5,
        edgecolors="white", label="fold" if main else None,
    )  # fmt: skip
    if main and np.isfinite(error):
        axes.errorbar(mean, row, xerr=error, fmt="none", ecolor=INK, elinewidth=1.5, capsize=4)


def measure_folds(folds: Array) -> tuple[float, float]:
    """Mean and standard error over folds, NaN where there are too few.

    Parameters
    ----------
    folds : array (fold,)

    Returns
    -------
    (float, float)
    """
    known = folds[np.isfinite(folds)]
    mean = float(known.mean()) if len(known) else np.nan
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.nan
    return mean, error
