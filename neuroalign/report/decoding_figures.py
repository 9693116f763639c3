"""Figures of decoding: what was taken for what, and where chance lies."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroalign.report._style import INK, name_ticks, new_figure
from neuroalign.report._variables import check_variables

# More classes than this are drawn without numbers.
MOST_NUMBERS = 12


def plot_confusion(result: xr.Dataset) -> Figure:
    """Draw how often each class was taken for each, and the score beside its null.

    Parameters
    ----------
    result : Dataset
        What `neuroalign.decoders.decode_classes` returned: ``confusion`` (true, predicted)
        counts, ``score`` (fold), ``chance``, and ``null`` (permutation) where there is one.

    Returns
    -------
    Figure
        Left: shares of each true class, a row summing to 1. Right: folds, their mean, chance, and
        the null.

    Raises
    ------
    SchemaError
        When it is no such result.

    Examples
    --------
    >>> counts = xr.DataArray([[3, 1], [0, 4]], dims=("true", "predicted"))
    >>> names = {"true": ["a", "b"], "predicted": ["a", "b"]}
    >>> found = xr.Dataset(
    ...     {"confusion": counts, "score": ("fold", [0.8, 0.9]), "chance": 0.5}, coords=names
    ... )
    >>> [text.get_text() for text in plot_confusion(found).axes[0].texts]
    ['0.75', '0.25', '0.00', '1.00']
    """
    check_variables(result, ("confusion", "score", "chance"), "decoders.decode_classes")
    counts = result["confusion"].transpose("true", "predicted")
    with np.errstate(invalid="ignore"):
        shares = counts.values / counts.values.sum(axis=1, keepdims=True)
    n = len(shares)
    side = min(7.0, 2.4 + 0.42 * max(n, 3))
    figure = new_figure(side + 2.6, side)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [side, 1.9]})
    image = left.imshow(shares, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(image, ax=left, shrink=0.8, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label("share of the true class", fontsize=9)
    for row, column in np.ndindex(shares.shape):
        if n <= MOST_NUMBERS and np.isfinite(shares[row, column]):
            color = INK if shares[row, column] > 0.5 else "white"
            left.text(
                column, row, f"{shares[row, column]:.2f}", ha="center", va="center",
                fontsize=7, color=color,
            )  # fmt: skip
    for which in ("x", "y"):
        name_ticks(left, which, counts["true"].values.tolist(), size=8 if n <= 20 else 6)
    left.set_xlabel("predicted class")
    left.set_ylabel("true class")
    _draw_scores(right, result)
    return figure


def _draw_scores(axes: Axes, result: xr.Dataset) -> None:
    scores = result["score"].values
    if "null" in result:
        null = result["null"].values
        parts = axes.violinplot([null], positions=[0], widths=0.8, showextrema=False)
        for body in np.atleast_1d(np.asarray(parts["bodies"], dtype=object)):
            body.set(facecolor="0.75", edgecolor="none", alpha=1.0)
    spread = np.linspace(-0.15, 0.15, len(scores)) if len(scores) > 1 else np.zeros(1)
    axes.plot(1 + spread, scores, "o", ms=4, mew=0, color="#0072b2", alpha=0.8, label="folds")
    axes.plot([0.7, 1.3], [scores.mean()] * 2, color=INK, lw=2, label="mean")
    axes.axhline(float(result["chance"]), color=INK, lw=0.8, ls="--", label="chance")
    axes.set_xticks([0, 1] if "null" in result else [1])
    axes.set_xticklabels(["null", "data"] if "null" in result else ["data"], fontsize=8)
    axes.set_xlim(-0.6 if "null" in result else 0.4, 1.6)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel(str(result.attrs.get("metric", "score")).replace("_", " "))
    # Below: inside, it would lie on the null or on the folds.
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.06))
