"""Figure of similarity: layers by layers."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neuroalign.report._style import INK, name_ticks, new_figure
from neuroalign.report._summaries import ALPHA, name_metric
from neuroalign.report._variables import check_variables

MOST_NAMES = 32
MOST_NUMBERS = 12


def plot_similarities(result: xr.Dataset) -> Figure:
    """Draw how alike each layer is to each other layer.

    Parameters
    ----------
    result : Dataset
        What `neuroalign.similarity.compare` returned for layers: ``score`` (layer, layer_other).

    Returns
    -------
    Figure
        First layers at the lower left. Numbers up to 12 layers a side; with ``p_fwer`` a dot
        where it is below 0.05.

    Raises
    ------
    SchemaError
        When it is no such result.

    References
    ----------
    Kornblith et al. (2019), ICML, arXiv:1905.00414, figure 2.

    Examples
    --------
    >>> from neuroalign.similarity import compare
    >>> rng = np.random.default_rng(0)
    >>> found = compare({"early": rng.normal(size=(9, 4)), "late": rng.normal(size=(9, 4))})
    >>> [text.get_text() for text in plot_similarities(found).axes[0].texts][0]
    '1.00'
    """
    check_variables(result, ("score",), "similarity.compare")
    scores = result["score"].transpose("layer", "layer_other")
    values = scores.values.astype(np.float64)
    rows, columns = values.shape
    finite = values[np.isfinite(values)]
    low, high = min(0.0, finite.min(initial=0.0)), finite.max(initial=0.0)
    figure = new_figure(min(9.0, 3.0 + 0.5 * max(columns, 3)), min(8.0, 1.6 + 0.42 * max(rows, 3)))
    axes = figure.subplots()
    image = axes.imshow(
        values, cmap="viridis", vmin=low, vmax=high, origin="lower", interpolation="nearest"
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label(name_metric(result), fontsize=9)
    passed = (
        result["p_fwer"].transpose("layer", "layer_other").values < ALPHA
        if ("p_fwer" in result)
        else np.zeros(values.shape, dtype=bool)
    )
    middle = (low + high) / 2
    for row, column in np.ndindex(rows, columns):
        color = INK if values[row, column] > middle else "white"
        if max(rows, columns) <= MOST_NUMBERS and np.isfinite(values[row, column]):
            axes.text(
                column, row, f"{values[row, column]:.2f}", ha="center", va="center",
                fontsize=7, color=color,
            )  # fmt: skip
        if passed[row, column]:
            axes.plot(column + 0.36, row + 0.34, "o", ms=2.4, color=color, mew=0, gid="passed")
    for side, names in (("x", scores["layer_other"]), ("y", scores["layer"])):
        if names.size <= MOST_NAMES:
            size = 8 if names.size <= 20 else 6.5
            name_ticks(axes, side, names.values.astype(str).tolist(), size=size)
    axes.set_xlabel("layer")
    axes.set_ylabel("layer")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    return figure
