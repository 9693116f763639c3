"""What a page shows of decoding: the confusions, and where the patterns lie."""

import xarray as xr

from neuroalign.report._parts import Part, map_values, picture
from neuroalign.report.decoding_figures import plot_confusion
from neuroalign.report.figure_data import lay_out

# Maps of more classes than this would be a page of their own.
MOST_MAPS = 8


def list_decoding_parts(result: xr.Dataset) -> list[Part]:
    """Figures of a decoding of classes; none for other estimates.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``: with ``confusion`` (true, predicted), and ``patterns``
        (class, neuroid) where they were asked for.

    Returns
    -------
    list of (title, function that makes the block)
    """
    if "confusion" not in result or set(result["confusion"].dims) != {"true", "predicted"}:
        return []
    chance = float(result["chance"])
    parts = [
        picture(
            "Confusions", "Matrix of true by predicted class; scores of folds against chance.",
            f"Left: each row sums to 1. Right: each dot a fold; dashed: chance, {chance:.3f}; "
            "grey: labels permuted within groups.",
            lambda: plot_confusion(result),
            data=lambda: lay_out("Confusions", {"count": result["confusion"]}),
        )
    ]  # fmt: skip
    patterns = result.get("patterns")
    if patterns is None or patterns.dims != ("class", "neuroid"):
        return parts
    if not {"vertex", "i"} & set(patterns.coords):
        return parts
    high = float(abs(patterns).max())

    def map_class(name: str) -> Part:
        caption = (
            "What the neuroids do when the decoder says this class (Haufe et al., 2014); weights "
            "would show noise too. One scale for all classes."
        )
        heading = f"Pattern of {name}"
        return heading, lambda: map_values(
            patterns.sel({"class": name}), f"pattern of {name}", caption=caption,
            limits=(-high, high), heading=heading,
        )  # fmt: skip

    return parts + [map_class(str(name)) for name in patterns["class"].values[:MOST_MAPS]]
